//! Who takes part in family `context`: ours first, then the peer, and Go where it is installed.

use super::{Context, Shape, candidate};
use crate::family::{Candidate, OURS};

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    vec![
        candidate::<aqueduct::Context>(shape),
        candidate::<tokio_util::sync::CancellationToken>(shape),
    ]
}

impl Context for aqueduct::Context {
    const NAME: &'static str = OURS;

    fn root() -> Self {
        Self::background()
    }

    #[inline]
    fn child(&self) -> Self {
        self.child()
    }

    fn cancel(&self) {
        self.cancel();
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.is_done()
    }
}

impl Context for tokio_util::sync::CancellationToken {
    const NAME: &'static str = "tokio-util";

    fn root() -> Self {
        Self::new()
    }

    #[inline]
    fn child(&self) -> Self {
        self.child_token()
    }

    fn cancel(&self) {
        self.cancel();
    }

    #[inline]
    fn is_done(&self) -> bool {
        self.is_cancelled()
    }
}
