//! A claim that many lines share, and one counterpart gets.

use std::sync::{Arc, OnceLock};

/// What the arms of one selection share while they stand in line: who claims it first has the selection.
pub struct Token {
    /// The arm that was claimed, or none if the selection itself came first.
    winner: OnceLock<Option<usize>>,
}

impl Token {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { winner: OnceLock::new() })
    }

    /// A counterpart claims the selection, for `arm`; false if that is too late.
    pub(super) fn claim(&self, arm: usize) -> bool {
        self.winner.set(Some(arm)).is_ok()
    }

    /// The selection takes its token back: from now on it cannot be claimed. The arm that has been, if any.
    pub(crate) fn take_back(&self) -> Option<usize> {
        *self.winner.get_or_init(|| None)
    }

    pub(super) fn is_claimable(&self) -> bool {
        self.winner.get().is_none()
    }
}

/// How a party in line is claimed.
pub(super) enum Claim {
    /// By being taken out of its one line.
    Alone,
    /// With the token, for this arm.
    Arm(Arc<Token>, usize),
}

impl Claim {
    pub(super) fn take(&self) -> bool {
        match self {
            Self::Alone => true,
            Self::Arm(token, arm) => token.claim(*arm),
        }
    }

    /// Whether somebody else than the selection of `own` could take it now.
    pub(super) fn is_takeable(&self, own: Option<&Arc<Token>>) -> bool {
        match self {
            Self::Alone => true,
            Self::Arm(token, _) => {
                token.is_claimable() && !own.is_some_and(|own| Arc::ptr_eq(own, token))
            }
        }
    }
}
