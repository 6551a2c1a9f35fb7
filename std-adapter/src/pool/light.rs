//! Jobs that nobody waits for: a closure in the queue's slot, and nothing else.
//!
//! [`Pool::execute`](super::Pool::execute) hands out no handle, so that there is no outcome to keep, nobody to wake, and nothing to
//! cancel: no cell, no lock and, as a rule, no allocation. The books are the same as for other jobs, but a worker writes up one
//! light job as it begins the next, under one lock, and jobs that are short [share readings](super::stretch) of the clock; their
//! submitters go by what the workers have read.

use super::cell::end_of;
use super::job::{JobId, Priority};
use super::kept::nanos;
use super::outcome::JobError;
use super::phase::End;
use super::queue::Queued;
use super::shared::Shared;
use super::submit::{Refusal, SubmitError, Submitter};
use super::trace::Trace;
use super::worker::{Slot, run_on_this_worker};
use crate::core::channel::TrySendError;
use crate::core::job::InlineFn;
use crate::foreign::{call, discard};
use std::sync::Arc;
use std::time::Instant;

/// The words that a closure may have without being boxed: with what is known about it, and the queue's own word, that makes a slot
/// of 64 bytes.
pub(super) const WORDS: usize = 4;

/// The time that workers show is in units of two to this power, in nanoseconds: a line that is read with each submission is
/// written once in 4 us, and fetched once in dozens of jobs.
pub(super) const TICK: u32 = 12;

/// Among short jobs the next tick is shown before so many have gone by: a millisecond.
const FAR_BEHIND: u64 = 256;

/// A job in a queue that nobody waits for. Its priority is [`Normal`](Priority::Normal).
pub(super) struct Light {
    f: InlineFn<WORDS>,
    /// In nanoseconds of the pool's life.
    pub(super) submitted: u64,
    id: JobId,
}

/// A light job that has been run, and is on the desk yet.
#[derive(Clone, Copy)]
pub(super) struct Done {
    pub(super) id: JobId,
    pub(super) end: End,
}

impl Light {
    /// Runs it, if it may still be begun on this desk; what came before it is taken down in passing.
    pub(super) fn run(self, desk: &Slot, before: Option<Done>) -> Option<Done> {
        let Self { f, id, .. } = self;
        if !desk.begin_light(id, before) {
            discard(f);
            return None;
        }
        let end = if call(|| f.call()) { End::Completed } else { End::Panicked };
        Some(Done { id, end })
    }

    /// Runs it on a thread that submitted it, or that ends the pool.
    pub(super) fn run_here(self, shared: &Arc<Shared>) {
        if let Err(light) = run_on_this_worker(shared, self) {
            light.run_timed(shared, &shared.outside, |took| took);
            shared.tell_quiet();
        }
    }

    /// Runs it, with two readings of the clock for it alone; `own` says how much of the time between them is to be told of it.
    pub(super) fn run_timed(self, shared: &Shared, desk: &Slot, own: impl FnOnce(u64) -> u64) {
        let (began, submitted) = (shared.now(), self.submitted);
        if let Some(done) = self.run(desk, None) {
            let ran = own(shared.now().saturating_sub(began));
            let waited = began.saturating_sub(submitted);
            if desk.end_light(Some(done), |books| books.light(waited, ran)) {
                shared.tell_quiet();
            }
        }
    }

    /// Ends it unrun.
    pub(super) fn end(self, shared: &Shared, error: &JobError) {
        shared.count(end_of(error));
        discard(self.f);
        shared.tell_quiet();
    }
}

impl Shared {
    /// How old the pool is, in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        nanos(self.built.elapsed())
    }

    /// How old it was then.
    pub(super) fn age_at(&self, time: Instant) -> u64 {
        nanos(time.saturating_duration_since(self.built))
    }

    /// About [`now`](Self::now): what the workers have read last, while they run one short job after the other. If one could be called,
    /// they do not, and whoever has shown the time last may have been in a long one for an hour.
    fn about_now(&self) -> u64 {
        match self.tick.seen() {
            0 => self.now(),
            _ if self.crew.is_short_handed() => self.now(),
            ticks => (ticks as u64) << TICK,
        }
    }

    /// A worker that runs one short job after the other has read this, and shows it to submitters.
    pub(super) fn show_time(&self, now: u64) {
        // From a pool's fifth hour on, where a word is that short, everybody reads for himself.
        self.tick.show(usize::try_from(now >> TICK).unwrap_or(0));
    }

    /// A worker has read this. If the time that is shown is far behind, whoever has shown it is in a long job.
    pub(super) fn doubt_time(&self, now: u64) {
        let seen = self.tick.seen() as u64;
        if seen != 0 && (now >> TICK).saturating_sub(seen) > FAR_BEHIND {
            self.tick.show(0);
        }
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
        let light = Light {
            id: JobId(self.numbers.give()),
            f: InlineFn::boxed(f),
            submitted: self.about_now(),
        };
        match self.queues.level(Priority::Normal).try_send(Queued::Light(light)) {
            Ok(()) => {
                self.call_if_needed();
                Ok(())
            }
            Err(TrySendError::Closed(refused)) => Err(self.refuse(refused, Refusal::ShutDown)),
            Err(TrySendError::Full(light)) => {
                let submitter = Submitter::default();
                match self.place_in_full(Priority::Normal, light, settings.full, submitter) {
                    Ok(_) => Ok(()),
                    Err((light, reason)) => Err(self.refuse(light, reason)),
                }
            }
        }
    }

    /// Hands the function back, of a job that was not accepted.
    fn refuse<F>(&self, light: Queued, reason: Refusal) -> SubmitError<F>
    where
        F: FnOnce() + Send + 'static,
    {
        self.count(End::Rejected);
        self.tell_quiet();
        let job = light.into_light().f.into_inner();
        SubmitError { job: job.expect("the function that was submitted"), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::{FAR_BEHIND, TICK};
    use crate::pool::Pool;
    use std::sync::mpsc;

    /// As it stays when the worker that has shown it is in a long job.
    #[test]
    fn a_time_that_stands_still_is_not_believed() {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let shared = pool.shared();
        let long_ago = |ticks| {
            shared.show_time(1 << TICK);
            while shared.now() >> TICK <= ticks {
                std::thread::yield_now();
            }
            assert_eq!(shared.tick.seen(), 1);
        };
        // A worker may be added: nobody works.
        long_ago(10);
        let before = shared.now();
        assert!(shared.about_now() >= before);
        // The worker that finds nothing more takes it down, whosoever it was.
        pool.execute(|| ()).unwrap();
        let until_it_is_down = || {
            while shared.tick.seen() != 0 {
                std::thread::yield_now();
            }
        };
        until_it_is_down();
        // One that works sees that it is old, and leaves it if it is not.
        let (go, wait) = mpsc::channel::<()>();
        let (begun, is_so) = mpsc::channel();
        pool.execute(move || {
            begun.send(()).unwrap();
            let _ = wait.recv();
        })
        .unwrap();
        is_so.recv().unwrap();
        long_ago(FAR_BEHIND + 1);
        assert_eq!(shared.about_now(), 1 << TICK, "the only worker is at it");
        shared.doubt_time((FAR_BEHIND + 1) << TICK);
        assert_eq!(shared.tick.seen(), 1);
        shared.doubt_time(shared.now());
        assert_eq!(shared.tick.seen(), 0);
        long_ago(FAR_BEHIND + 1);
        let next = pool.submit(|| ()).unwrap();
        pool.execute(|| ()).unwrap();
        drop(go);
        next.join().unwrap();
        until_it_is_down();
    }

    /// Else a job that comes an hour later would seem to have waited for an hour.
    #[test]
    fn workers_that_have_nothing_to_do_show_no_time() {
        let pool = Pool::builder().max_workers(2).build().unwrap();
        let mut was_shown = false;
        for _ in 0..20 {
            for _ in 0..2_000 {
                pool.execute(|| ()).unwrap();
                was_shown |= pool.shared().tick.seen() > 0;
            }
            pool.wait_idle();
            // Whoever has counted the last one is about to.
            while pool.shared().tick.seen() != 0 {
                std::thread::yield_now();
            }
        }
        // Not on a machine on which nothing is short.
        println!("a time was shown: {was_shown}");
        let books = pool.metrics();
        let times = (books.queue_wait(Default::default()), books.run_time(Default::default()));
        assert_eq!((times.0.count(), times.1.count()), (40_000, 40_000));
    }
}
