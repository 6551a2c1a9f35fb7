//! What few jobs have: a name, a key, limits, contexts. The others do not carry the room for it.

use super::cell::Sink;
use super::outcome::{JobError, Limit};
use crate::Context;
use crate::context::StopHandle;
use crate::core::semaphore::{Fair, OwnedSemaphorePermit};
use crate::core::wait::Growable;
use crate::timer::Timer;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What few jobs have.
pub(super) struct Rare<R> {
    pub(super) name: Option<Arc<str>>,
    pub(super) run_timeout: Option<Duration>,
    pub(super) key: Option<u64>,
    /// Later it is not begun.
    pub(super) begin_by: Option<Instant>,
    /// The limit that is running now: of waiting, then of running.
    pub(super) timer: Option<Timer>,
    pub(super) context: Option<Context>,
    /// The context that it was submitted with, and the tie to that.
    pub(super) source: Option<Context>,
    pub(super) tie: Option<StopHandle>,
    pub(super) progress: Option<(u64, u64)>,
    /// Whom the outcome goes to instead of a handle.
    pub(super) sink: Option<Sink<R>>,
    /// The permit of a pool without a queue.
    pub(super) permit: Option<OwnedSemaphorePermit<Fair, Growable>>,
    pub(super) turn: Turn,
}

impl<R> Default for Rare<R> {
    fn default() -> Self {
        Self {
            name: None,
            run_timeout: None,
            key: None,
            begin_by: None,
            timer: None,
            context: None,
            source: None,
            tie: None,
            progress: None,
            sink: None,
            permit: None,
            turn: Turn::Waits,
        }
    }
}

impl<R> Rare<R> {
    /// Why it must not be begun any more, whoever would end it being late.
    pub(super) fn too_late(&self) -> Option<JobError> {
        if self.source.as_ref().is_some_and(Context::is_done) {
            return Some(JobError::Cancelled);
        }
        let is_late = self.begin_by.is_some_and(|begin_by| Instant::now() >= begin_by);
        is_late.then_some(JobError::TimedOut(Limit::Queue))
    }

    /// The context that it is to be cancelled by, if it is not tied to that.
    pub(super) fn untied(&self) -> Option<Context> {
        self.source.clone().filter(|_| self.tie.is_none())
    }
}

/// Where the turn of its key is, as seen from a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits for it, in the line of its key.
    Waits,
    /// It has it, and its function does not run.
    Has,
    /// It has it, and its function runs, be the job over or not: nobody may take the turn.
    Used,
    /// It was taken from it, to be passed on.
    Passed,
}

impl Turn {
    /// The function is about to run. False if it may not.
    pub(super) fn begin(&mut self) -> bool {
        let may = *self == Self::Has;
        if may {
            *self = Self::Used;
        }
        may
    }

    /// The function has returned, or will not be called.
    pub(super) fn put_down(&mut self) {
        if *self == Self::Used {
            *self = Self::Has;
        }
    }

    /// Takes it from the job; false if that has none to give.
    pub(super) fn take(&mut self) -> bool {
        let may = *self == Self::Has;
        if may {
            *self = Self::Passed;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_used_by_one_function_and_taken_once() {
        let mut turn = Turn::Waits;
        assert!(!turn.begin() && !turn.take(), "not yet");
        turn.put_down();
        assert_eq!(turn, Turn::Waits);
        turn = Turn::Has;
        assert!(turn.begin() && !turn.begin());
        assert!(!turn.take(), "not while the function runs");
        turn.put_down();
        assert!(turn.take() && !turn.take() && !turn.begin(), "once");
        turn.put_down();
        assert_eq!(turn, Turn::Passed);
    }
}
