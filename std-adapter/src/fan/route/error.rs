//! An item that found no branch.

use crate::context::ContextError;
use std::error::Error;
use std::fmt;

/// An item was not sent; it comes back, with the reason.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RouteError<T> {
    /// What was to be sent.
    pub item: T,
    /// Why it was not.
    pub reason: Unrouted,
}

/// Why a [`Router`](super::Router) did not send an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrouted {
    /// There are branches, and none wants it.
    NoMatch,
    /// There is no branch: none was added, or all have gone.
    NoBranch,
    /// The router is closed.
    Closed,
    /// The branch that was chosen has no room now.
    Full,
    /// The branch that was chosen had no room in time.
    Timeout,
    /// The context was done first, and why.
    Done(ContextError),
}

impl<T> RouteError<T> {
    pub(super) fn new(item: Option<T>, reason: Unrouted) -> Self {
        Self { item: item.expect("what was not sent is there"), reason }
    }

    /// The item.
    pub fn into_inner(self) -> T {
        self.item
    }
}

impl fmt::Display for Unrouted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMatch => "no branch wants it",
            Self::NoBranch => "there is no branch",
            Self::Closed => "the router is closed",
            Self::Full => "its branch has no room",
            Self::Timeout => "its branch had no room in time",
            Self::Done(error) => return error.fmt(f),
        })
    }
}

impl Error for Unrouted {}

impl<T> fmt::Display for RouteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item not sent: {}", self.reason)
    }
}

impl<T> fmt::Debug for RouteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> Error for RouteError<T> {}
