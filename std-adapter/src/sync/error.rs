//! What can go wrong with a lock, a permit or a wait.

use crate::context::ContextError;
use crate::core::semaphore::AcquireError;
use std::error::Error;
use std::fmt;

/// It did not happen in time.
///
/// # Examples
///
/// ```
/// use aqueduct::sync::{Event, TimeoutError};
/// use std::time::Duration;
///
/// assert_eq!(Event::new().wait_timeout(Duration::ZERO), Err(TimeoutError));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeoutError;

/// A lock could not be had at once.
///
/// # Examples
///
/// ```
/// use aqueduct::sync::{Mutex, TryLockError};
///
/// let mutex = Mutex::new(1);
/// let held = mutex.try_lock();
/// assert_eq!(mutex.try_lock().unwrap_err(), TryLockError);
/// # drop(held);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryLockError;

/// Why a [`Semaphore`](super::Semaphore) gave no permit in time. None was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireTimeoutError {
    /// The semaphore is closed.
    Closed,
    /// More were asked for than a semaphore can ever have.
    TooMany,
    /// There were not enough in time.
    Timeout,
}

/// Why a [`Semaphore`](super::Semaphore) gave no permit to a call with a context. None was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireCtxError {
    /// The semaphore is closed.
    Closed,
    /// More were asked for than a semaphore can ever have.
    TooMany,
    /// The context is done.
    Done(ContextError),
}

impl AcquireTimeoutError {
    /// Whether it was only too early: there were not enough in time.
    pub fn is_timeout(&self) -> bool {
        *self == Self::Timeout
    }
}

impl AcquireCtxError {
    /// Why the context is done, if that is it.
    pub fn context_error(&self) -> Option<ContextError> {
        match self {
            Self::Done(error) => Some(*error),
            Self::Closed | Self::TooMany => None,
        }
    }
}

impl From<AcquireError> for AcquireTimeoutError {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::TooMany => Self::TooMany,
            _ => Self::Closed,
        }
    }
}

impl From<AcquireError> for AcquireCtxError {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::TooMany => Self::TooMany,
            _ => Self::Closed,
        }
    }
}

impl From<ContextError> for AcquireCtxError {
    fn from(error: ContextError) -> Self {
        Self::Done(error)
    }
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is taken, or others wait for it")
    }
}

impl fmt::Display for AcquireTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => AcquireError::Closed.fmt(f),
            Self::TooMany => AcquireError::TooMany.fmt(f),
            Self::Timeout => f.write_str("timed out waiting for permits"),
        }
    }
}

impl fmt::Display for AcquireCtxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => AcquireError::Closed.fmt(f),
            Self::TooMany => AcquireError::TooMany.fmt(f),
            Self::Done(ContextError::Canceled) => f.write_str("canceled while waiting for permits"),
            Self::Done(ContextError::DeadlineExceeded) => {
                f.write_str("deadline exceeded while waiting for permits")
            }
        }
    }
}

impl Error for TimeoutError {}
impl Error for TryLockError {}
impl Error for AcquireTimeoutError {}
impl Error for AcquireCtxError {}
