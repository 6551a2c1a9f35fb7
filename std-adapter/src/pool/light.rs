//! Jobs that nobody waits for: a closure in the queue's slot, and nothing else.
//!
//! [`Pool::execute`](super::Pool::execute) hands out no handle, so that there is no outcome to keep, nobody to wake, and nothing to
//! cancel: no cell, no lock and, as a rule, no allocation. The books are the same as for other jobs, but a worker writes up one
//! light job as it begins the next, under one lock, and reads the clock once for both.

use super::job::{JobId, Priority};
use super::outcome::{JobError, Rejection};
use super::phase::End;
use super::queue::Queued;
use super::shared::Shared;
use super::submit::{Full, Refusal, SubmitError, wait_for};
use super::trace::Trace;
use super::worker::{Slot, is_worker_of, on_this_thread};
use crate::core::channel::TrySendError;
use crate::core::job::InlineFn;
use crate::thread::catch;
use std::sync::Arc;
use std::time::Duration;

/// The words that a closure may have without being boxed: with what is known about it, and the queue's own word, that makes a slot
/// of 64 bytes.
pub(super) const WORDS: usize = 4;

/// A job in a queue that nobody waits for. Its priority is [`Normal`](Priority::Normal).
pub(super) struct Light {
    f: InlineFn<WORDS>,
    /// In nanoseconds of the pool's life.
    submitted: u64,
    id: JobId,
}

/// A light job that has been run, and is not in the books yet.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) id: JobId,
    pub(super) end: End,
    pub(super) ran_for: Duration,
    /// When it ended, in nanoseconds of the pool's life.
    ended: u64,
}

impl Light {
    /// Runs it, if it may still be begun on this desk; what came before it is entered in the books in passing.
    pub(super) fn run(self, shared: &Shared, desk: &Slot, before: Option<Done>) -> Option<Done> {
        // One job after the other: the end of the first is the beginning of the next.
        let began = before.map_or_else(|| shared.now(), |before| before.ended);
        let waited = Duration::from_nanos(began.saturating_sub(self.submitted));
        let Self { f, id, .. } = self;
        if !desk.begin_light(id, waited, before) {
            let _ = catch(|| drop(f));
            return None;
        }
        let end = if catch(|| f.call()).is_ok() { End::Completed } else { End::Panicked };
        let ended = shared.now();
        Some(Done { id, end, ran_for: Duration::from_nanos(ended.saturating_sub(began)), ended })
    }

    /// Runs it on a thread that submitted it, or that ends the pool.
    pub(super) fn run_here(self, shared: &Arc<Shared>) {
        on_this_thread(shared, |desk| {
            if let Some(done) = self.run(shared, desk, None) {
                desk.end_light(done);
            }
        });
        shared.tell_quiet();
    }

    /// Ends it unrun.
    pub(super) fn end(self, shared: &Shared, error: &JobError) {
        shared.count(super::cell::end_of(error));
        let _ = catch(|| drop(self.f));
        shared.tell_quiet();
    }
}

impl Shared {
    /// How old the pool is, in nanoseconds: 500 years fit.
    pub(super) fn now(&self) -> u64 {
        self.built.elapsed().as_nanos() as u64
    }

    /// Submits a function that nobody waits for.
    pub(super) fn execute<F>(self: &Arc<Self>, f: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let settings = &self.settings;
        let limited = settings.run_timeout.is_some() || settings.queue_timeout.is_some();
        if limited || self.door.is_some() || Trace::is_wanted() {
            return self.submit_plain(f).map(drop);
        }
        let light =
            Light { id: JobId(self.numbers.give()), f: InlineFn::boxed(f), submitted: self.now() };
        match self.queues.level(Priority::Normal).try_send(Queued::Light(light)) {
            Ok(()) => {
                self.call_if_needed();
                Ok(())
            }
            Err(TrySendError::Closed(refused)) => Err(self.refuse(refused, Refusal::ShutDown)),
            Err(TrySendError::Full(light)) => self.execute_in_full(light),
        }
    }

    /// What the policy says.
    fn execute_in_full<F>(self: &Arc<Self>, light: Queued) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let level = self.queues.level(Priority::Normal);
        let limit = match self.settings.full {
            Full::Reject => return Err(self.refuse(light, Refusal::Full)),
            Full::DropNewest => {
                light.into_light().end(self, &JobError::Rejected(Rejection::Dropped));
                return Ok(());
            }
            Full::DropOldest => {
                return match level.force_send(light) {
                    Ok(displaced) => {
                        if let Some(displaced) = displaced {
                            self.displace(displaced);
                        }
                        self.call_if_needed();
                        Ok(())
                    }
                    Err(closed) => {
                        if let Some(oldest) = closed.displaced {
                            self.run_queued(oldest);
                        }
                        Err(self.refuse(closed.value, Refusal::ShutDown))
                    }
                };
            }
            Full::CallerRuns => None,
            // A worker may be the one that makes room.
            _ if is_worker_of(self) => None,
            Full::Block => Some(None),
            Full::BlockTimeout(limit) => Some(Some(limit)),
        };
        let Some(limit) = limit else {
            light.into_light().run_here(self);
            return Ok(());
        };
        let mut room = level.send(light);
        match wait_for(&mut room, limit, None) {
            Ok(Ok(())) => {
                self.call_if_needed();
                Ok(())
            }
            Ok(Err(closed)) => Err(self.refuse(closed.0, Refusal::ShutDown)),
            Err(reason) => {
                let light = room.into_value().expect("it did not get in");
                Err(self.refuse(light, reason))
            }
        }
    }

    /// Hands the function back, of a job that was not accepted.
    fn refuse<F>(&self, light: Queued, reason: Refusal) -> SubmitError<F>
    where
        F: FnOnce() + Send + 'static,
    {
        self.count(End::Rejected);
        let job = light.into_light().f.into_inner();
        SubmitError { job: job.expect("the function that was submitted"), reason }
    }
}
