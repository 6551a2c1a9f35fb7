//! What becomes of a run when an item fails.

use super::error::StageError;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// What to do about an item that failed.
///
/// Given to [`on_error`](super::Pipeline::on_error) as it is, or returned by a closure that looks at each error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// End the run as a serial loop with `?` would: everything in front of the failed item is finished and
    /// delivered, nothing behind it is begun, and the error is what the run returns. The default.
    ///
    /// In front and behind are meant of the source's items. What a [`flat_map`](super::Pipeline::flat_map) has made of one stands or falls with it: of what was
    /// made of the same item as the one that failed, something may come out, or nothing.
    #[default]
    Stop,
    /// Leave the item out, keep the error for the report, and go on.
    Collect,
    /// Leave the item out, count it, and go on. The error is dropped.
    Skip,
    /// Try the item again, after a wait. For stages that keep a copy of what they work on:
    /// [`retry`](super::Pipeline::retry), [`on_error_keeping`](super::Pipeline::on_error_keeping). Elsewhere there is nothing
    /// to try again, and it is [`Stop`](Self::Stop), whatever is to be done [when all attempts have failed](Backoff::then).
    Retry(Backoff),
    /// Give the item and its error to the stage's [`dead_letters`](super::Pipeline::dead_letters), and go on. In a stage that has
    /// none it is [`Stop`](Self::Stop).
    DeadLetter,
}

/// How often an item is tried, and how long it waits in between: longer each time, and by chance not all at once.
///
/// The wait before attempt `n + 1` is between a half and the whole of `first * 2^(n - 1)`, and of `most` at the longest. A wait ends
/// early when the run is aborted, or stopped by an item in front of the one that waits.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new(5, Duration::from_millis(10), Duration::from_secs(1));
/// let third = backoff.wait_after(3);
/// assert!((20..=40).contains(&third.as_millis()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    attempts: u32,
    first: Duration,
    most: Duration,
    then: Then,
}

/// What to do about an item that failed as often as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Stop,
    Collect,
    Skip,
    DeadLetter,
}

impl Backoff {
    /// So many attempts in all, with waits from `first` to `most` between them. An item that has failed in all of them stops the
    /// run; [`then`](Self::then) says otherwise.
    pub fn new(attempts: u32, first: Duration, most: Duration) -> Self {
        Self { attempts, first, most, then: Then::Stop }
    }

    /// What to do about an item that failed in all attempts. A policy to retry is none; it stops the run.
    pub fn then(mut self, policy: Policy) -> Self {
        self.then = match policy {
            Policy::Stop | Policy::Retry(_) => Then::Stop,
            Policy::Collect => Then::Collect,
            Policy::Skip => Then::Skip,
            Policy::DeadLetter => Then::DeadLetter,
        };
        self
    }

    /// The wait after attempt `n`, counted from 1; another one at each call.
    pub fn wait_after(&self, n: u32) -> Duration {
        let longer = 2_u32.saturating_pow(n.saturating_sub(1));
        let wait = self.first.saturating_mul(longer).min(self.most);
        // A fresh state of the hasher is as random as this has to be.
        let chance = RandomState::new().hash_one(n) as u32;
        wait / 2 + (wait / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }

    pub(super) fn allows(&self, attempt: u32) -> bool {
        attempt < self.attempts
    }

    pub(super) fn last_resort(&self) -> Policy {
        match self.then {
            Then::Stop => Policy::Stop,
            Then::Collect => Policy::Collect,
            Then::Skip => Policy::Skip,
            Then::DeadLetter => Policy::DeadLetter,
        }
    }
}

/// Something that decides about errors: a [`Policy`], or a closure from [`StageError`] to one.
///
/// The closure runs on the worker that met the error, before anything else is done about it, so it is also the
/// place to show errors as they come. If it panics, the run stops.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::{Pipeline, Policy, StageError};
///
/// let report = Pipeline::from_iter(["1", "two", "3"])
///     .stage("parse", |text: &str| text.parse::<u32>())
///     .on_error(|error: &StageError| {
///         eprintln!("{error}");
///         Policy::Collect
///     })
///     .run(|number| println!("{number}"))?;
/// assert_eq!((report.delivered(), report.failed()), (2, 1));
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
pub trait ErrorPolicy<In>: Send + Sync {
    /// What to do about this error.
    fn decide(&self, error: &StageError) -> Policy;

    /// A copy of an item, made before each attempt, if it may be needed after it.
    #[doc(hidden)]
    fn copy(&self, _: &In) -> Option<In> {
        None
    }

    /// Takes an item that is beyond help, if this is where such go; else gives the error back.
    #[doc(hidden)]
    fn bury(&self, _: In, error: StageError) -> Result<(), StageError> {
        Err(error)
    }
}

impl<In> ErrorPolicy<In> for Policy {
    fn decide(&self, _: &StageError) -> Policy {
        *self
    }
}

impl<In, F> ErrorPolicy<In> for F
where
    F: Fn(&StageError) -> Policy + Send + Sync,
{
    fn decide(&self, error: &StageError) -> Policy {
        self(error)
    }
}

/// A policy with a copy of each item: [`on_error_keeping`](super::Pipeline::on_error_keeping).
pub struct Keeping<Q>(pub(super) Q);

impl<In: Clone, Q: ErrorPolicy<In>> ErrorPolicy<In> for Keeping<Q> {
    fn decide(&self, error: &StageError) -> Policy {
        self.0.decide(error)
    }

    fn copy(&self, item: &In) -> Option<In> {
        Some(item.clone())
    }
}

/// A policy with a place for dead letters: [`dead_letters`](super::Pipeline::dead_letters).
pub struct Burying<Q, D>(pub(super) Q, pub(super) D);

impl<In, Q, D> ErrorPolicy<In> for Burying<Q, D>
where
    In: Clone,
    Q: ErrorPolicy<In>,
    D: Fn(In, StageError) + Send + Sync,
{
    fn decide(&self, error: &StageError) -> Policy {
        self.0.decide(error)
    }

    fn copy(&self, item: &In) -> Option<In> {
        Some(item.clone())
    }

    fn bury(&self, item: In, error: StageError) -> Result<(), StageError> {
        self.1(item, error);
        Ok(())
    }
}
