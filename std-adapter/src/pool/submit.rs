//! How a job gets in, and what happens when there is no room.

use super::cell::{Cell, Runnable, Sink};
use super::handle::JobHandle;
use super::job::{Job, JobId, Options, Plain, Priority, Work};
use super::outcome::{JobError, Outcome, Rejection};
use super::places;
use super::queue::{Entry, Queued};
use super::shared::Shared;
use super::shutdown::Clearing;
use super::worker::{Inside, has_turn_here, is_worker_of};
use crate::Context;
use crate::core::channel::TrySendError;
use crate::foreign::discard;
use crate::park;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What happens to a job for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Full {
    /// Its submitter waits for room. A worker of the same pool does not wait, since it may be the one that makes room: it runs the
    /// job itself, as under [`CallerRuns`](Self::CallerRuns), or has it set aside.
    ///
    /// A job with a [key](Job::key) may be run by nobody before its turn. A worker waits until there is room for it among those
    /// that wait for theirs, and another may come in its place meanwhile; where none [may](super::Builder::max_compensation), or the worker
    /// is inside of a job with a key itself, for which those may wait, and in a pool without a queue, it is handed back, as under [`Reject`](Self::Reject).
    #[default]
    Block,
    /// It is handed back.
    Reject,
    /// Its submitter runs it, there and then. Where that is inside of 32 others for which there was no room either, each of which has submitted
    /// the next, it is set aside: it counts as queued, beyond the queue's capacity, and the next worker that is free takes it. So a
    /// job may submit the next one for as long as it likes. A job with a [key](Job::key) is handed back where there is no room for
    /// it among those that wait for their turn.
    CallerRuns,
    /// The oldest job of its priority is [rejected](JobError::Rejected) in its favour. Where nobody could make room for it, it is
    /// itself rejected, as under [`DropNewest`](Self::DropNewest): in a pool without a queue, and for a job with a
    /// [key](Job::key) for which the lines of keys are full, since those in line are older jobs of keys in order.
    DropOldest,
    /// It is [rejected](JobError::Rejected): the handle says so.
    DropNewest,
    /// As [`Block`](Self::Block) for so long, then as [`Reject`](Self::Reject).
    BlockTimeout(Duration),
}

/// A job that was not accepted, handed back.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Pool, Refusal};
///
/// let pool = Pool::builder().max_workers(1).build()?;
/// pool.shutdown();
/// let refused = pool.submit(|| 7).unwrap_err();
/// assert_eq!(refused.reason, Refusal::ShutDown);
/// assert_eq!((refused.job)(), 7);
/// # Ok::<(), aqueduct::pool::BuildError>(())
/// ```
pub struct SubmitError<J> {
    /// What was submitted.
    pub job: J,
    /// Why it was not accepted.
    pub reason: Refusal,
}

/// Why a job was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no room.
    Full,
    /// There was none in time.
    Timeout,
    /// The context that it was submitted with was done first.
    Cancelled,
    /// The pool takes nothing any more.
    ShutDown,
    /// This thread is no worker of any pool: [`execute`](super::execute()).
    NoPool,
}

impl<J> SubmitError<J> {
    /// What was submitted.
    pub fn into_job(self) -> J {
        self.job
    }

    pub(super) fn map<K>(self, f: impl FnOnce(J) -> K) -> SubmitError<K> {
        SubmitError { job: f(self.job), reason: self.reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the pool's queue is full",
            Self::Timeout => "the pool's queue stayed full",
            Self::Cancelled => "the context was done before there was room",
            Self::ShutDown => "the pool is shut down",
            Self::NoPool => "this thread is no worker of a pool",
        })
    }
}

impl<J> fmt::Display for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<J> fmt::Debug for SubmitError<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<J> Error for SubmitError<J> {}

/// Whoever submits a job, while there is no place for it.
#[derive(Clone, Copy, Default)]
pub(super) struct Submitter<'a> {
    /// It waits for room no longer than until this is done.
    pub(super) context: Option<&'a Context>,
    /// It hears before this that it is held up: it waits for room, or runs a job itself.
    pub(super) on_hold: Option<&'a dyn Fn()>,
}

impl<'a> Submitter<'a> {
    fn with(context: Option<&'a Context>) -> Self {
        Self { context, on_hold: None }
    }

    fn is_held_up(self) {
        if let Some(hear) = self.on_hold {
            hear();
        }
    }
}

/// Where an accepted job is.
pub(super) enum Placed {
    Queued,
    /// It is over, or in somebody's hands.
    Settled,
}

impl Shared {
    pub(super) fn submit_plain<F, R>(self: &Arc<Self>, f: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let handle = self.accept(Plain(f), &Options::default(), Submitter::default(), None);
        handle.map_err(|error| error.map(|Plain(f)| f))
    }

    pub(super) fn submit_job<W: Work>(
        self: &Arc<Self>,
        job: Job<W>,
        context: Option<&Context>,
    ) -> Result<JobHandle<W::Output>, SubmitError<Job<W>>> {
        let Job { work, options } = job;
        let handle = self.accept(work, &options, Submitter::with(context), None);
        handle.map_err(|error| error.map(|work| Job { work, options }))
    }

    /// Accepts a job, whose outcome goes to the `sink`, if there is one, instead of the handle.
    pub(super) fn accept<W: Work>(
        self: &Arc<Self>,
        work: W,
        options: &Options,
        submitter: Submitter<'_>,
        sink: Option<Sink<W::Output>>,
    ) -> Result<JobHandle<W::Output>, SubmitError<W>> {
        let id = JobId(self.numbers.give());
        let cell = Cell::new(id, work, options, self, sink);
        if let Some(context) = submitter.context {
            cell.heed(context);
        }
        match self.place(&cell, options, submitter) {
            Ok(Placed::Queued) => {
                if let Some(limit) = options.queue_timeout.or(self.settings.queue_timeout) {
                    cell.limit_wait(self, limit);
                }
                if let Some(context) = submitter.context {
                    cell.tie(self, context);
                }
                Ok(self.handle(cell))
            }
            Ok(Placed::Settled) => Ok(self.handle(cell)),
            Err(reason) => match cell.reclaim(self) {
                Some((job, turn)) => {
                    if let Some(key) = turn {
                        submitter.is_held_up();
                        self.pass_turn_on(key);
                    }
                    Err(SubmitError { job, reason })
                }
                // Somebody who waits for a later job of its key has run it meanwhile.
                None => Ok(self.handle(cell)),
            },
        }
    }

    fn handle<W: Work>(self: &Arc<Self>, job: Arc<Cell<W>>) -> JobHandle<W::Output> {
        JobHandle { job, pool: Arc::clone(self) }
    }

    fn place<W: Work>(
        self: &Arc<Self>,
        cell: &Arc<Cell<W>>,
        options: &Options,
        submitter: Submitter<'_>,
    ) -> Result<Placed, Refusal> {
        if submitter.context.is_some_and(Context::is_done) {
            return Err(Refusal::Cancelled);
        }
        let full = options.full.unwrap_or(self.settings.full);
        let entry = || -> Entry { Arc::clone(cell) as Entry };
        if let Some(door) = &self.door {
            return self.hand_over(door, cell, options.key, full, submitter);
        }
        if let Some(key) = options.key {
            return self.place_keyed(key, entry(), full, submitter);
        }
        let priority = options.priority;
        match self.queues.push(priority, entry()) {
            Ok(()) => {
                self.call_if_needed();
                Ok(Placed::Queued)
            }
            Err(TrySendError::Closed(_)) => Err(Refusal::ShutDown),
            Err(TrySendError::Full(job)) => self.place_job_in_full(job, priority, full, submitter),
        }
    }

    /// As [`place_in_full`](Self::place_in_full), for a job that its submitter has yet.
    fn place_job_in_full(
        self: &Arc<Self>,
        job: Queued,
        priority: Priority,
        full: Full,
        submitter: Submitter<'_>,
    ) -> Result<Placed, Refusal> {
        let placed = self.place_in_full(priority, job, full, submitter);
        placed.map_err(|(_, reason)| reason)
    }

    /// What the policy says of a job for which there is no room; refused, it comes back.
    pub(super) fn place_in_full(
        self: &Arc<Self>,
        priority: Priority,
        job: Queued,
        full: Full,
        submitter: Submitter<'_>,
    ) -> Result<Placed, (Queued, Refusal)> {
        let limit = match full {
            Full::Reject => return Err((job, Refusal::Full)),
            Full::DropNewest => {
                job.end(self, JobError::Rejected(Rejection::Dropped));
                return Ok(Placed::Settled);
            }
            Full::DropOldest => {
                submitter.is_held_up();
                // The oldest is nowhere else than in these hands for a moment.
                let _clearing = Clearing::unless_worker(self);
                return match self.queues.level(priority).force_send(job) {
                    Ok(displaced) => {
                        if let Some(displaced) = displaced {
                            self.displace(displaced);
                        }
                        self.call_if_needed();
                        Ok(Placed::Queued)
                    }
                    Err(closed) => {
                        // Closed half-way: the oldest is out, and nobody came in its place.
                        if let Some(oldest) = closed.displaced {
                            oldest.run_here(self);
                        }
                        Err((closed.value, Refusal::ShutDown))
                    }
                };
            }
            Full::CallerRuns => None,
            // A worker may be the one that makes room.
            Full::Block | Full::BlockTimeout(_) if is_worker_of(self) => None,
            Full::Block => Some(None),
            Full::BlockTimeout(limit) => Some(Some(limit)),
        };
        let Some(limit) = limit else {
            submitter.is_held_up();
            return Ok(self.run_or_set_aside(job));
        };
        let mut room = self.queues.level(priority).send(job);
        match self.wait_for(&mut room, limit, submitter) {
            Ok(Ok(())) => {
                self.call_if_needed();
                Ok(Placed::Queued)
            }
            Ok(Err(closed)) => Err((closed.0, Refusal::ShutDown)),
            Err(reason) => Err((room.into_value().expect("it did not get in"), reason)),
        }
    }

    /// Runs a job for which there is no room on this thread; but sets it aside, if this one is as deep inside of others as it may be.
    pub(super) fn run_or_set_aside(self: &Arc<Self>, job: Queued) -> Placed {
        let job = if Inside::is_deep() { self.queues.set_aside(job) } else { Err(job) };
        if let Err(job) = job {
            // Or nothing is let in any more, so that this is the last one here.
            job.run_here(self);
            return Placed::Settled;
        }
        self.call_if_needed();
        Placed::Queued
    }

    /// A job that lost its place to a newer one.
    pub(super) fn displace(self: &Arc<Self>, displaced: Queued) {
        let error = JobError::Rejected(Rejection::Displaced);
        let job = match displaced {
            Queued::Job(job) => job,
            Queued::Light(light) => return light.end(self, &error),
        };
        job.end_queued(self, error);
        // Jobs of its key wait for it no more.
        if let Some(key) = job.take_turn() {
            self.pass_turn_on(key);
        }
        discard(job);
    }

    /// Queues a job whose turn among those of its key has come, or lets it stand in their line.
    fn place_keyed(
        self: &Arc<Self>,
        key: u64,
        job: Entry,
        full: Full,
        submitter: Submitter<'_>,
    ) -> Result<Placed, Refusal> {
        let permit = match self.lines.room.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if self.queues_closed() => return Err(Refusal::ShutDown),
            Err(_) => {
                let limit = match full {
                    // Nobody but the line may run it.
                    Full::Reject | Full::CallerRuns => return Err(Refusal::Full),
                    Full::DropNewest | Full::DropOldest => {
                        job.end_queued(self, JobError::Rejected(Rejection::Dropped));
                        return Ok(Placed::Settled);
                    }
                    Full::Block => None,
                    Full::BlockTimeout(limit) => Some(limit),
                };
                // A worker waits with another in its place. If none may come, or others wait for the turn of what runs here, it may be the
                // one that makes room.
                let section = self.begin_blocking_here();
                if section.as_ref().is_some_and(|section| !section.is_made_up_for())
                    || has_turn_here(self)
                {
                    return Err(Refusal::Full);
                }
                let room = self.lines.room.clone().acquire_owned();
                self.wait_for(room, limit, submitter)?.map_err(|_| Refusal::ShutDown)?
            }
        };
        let Some(job) = self.lines.enter(key, job, permit) else {
            // An abort may have emptied the lines just before; then nobody else would come to this one.
            if self.is_aborted() {
                self.cancel_lines();
            }
            return Ok(Placed::Queued);
        };
        let priority = job.meta().priority;
        let placed = match self.queues.push(priority, Arc::clone(&job)) {
            Ok(()) => {
                self.call_if_needed();
                Ok(Placed::Queued)
            }
            Err(TrySendError::Closed(_)) => Err(Refusal::ShutDown),
            Err(TrySendError::Full(job)) if self.door.is_some() => self.let_in(job),
            Err(TrySendError::Full(job)) => self.place_job_in_full(job, priority, full, submitter),
        };
        // Dropped: others wait for the turn.
        if let Some(key) = job.take_turn() {
            submitter.is_held_up();
            self.pass_turn_on(key);
        }
        placed
    }

    /// Submits a function, awaits room for it if there is none, and then its outcome.
    pub(super) async fn run<F, R>(self: &Arc<Self>, f: F) -> Outcome<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        /// What nobody awaits any more is not begun any more.
        struct CancelOnDrop<R>(JobHandle<R>);

        impl<R> Drop for CancelOnDrop<R> {
            fn drop(&mut self) {
                self.0.cancel();
            }
        }

        let id = JobId(self.numbers.give());
        let options = Options::default();
        let cell = Cell::new(id, Plain(f), &options, self, None);
        let entry = Arc::clone(&cell) as Entry;
        let mut job = CancelOnDrop(self.handle(cell.clone()));
        let mut accepted = true;
        if let Some(door) = &self.door {
            match Arc::clone(door).acquire_owned().await {
                Ok(permit) => cell.keep(permit),
                Err(_) => accepted = false,
            }
        }
        accepted =
            accepted && self.queues.level(options.priority).send(Queued::Job(entry)).await.is_ok();
        if accepted {
            self.call_if_needed();
            if let Some(limit) = self.settings.queue_timeout {
                cell.limit_wait(self, limit);
            }
        } else {
            cell.end_queued(self, JobError::Rejected(Rejection::ShutDown));
        }
        drop(cell);
        (&mut job.0).await
    }

    /// Without a queue: accepts a job only for a worker that is, or can be, free for it.
    fn hand_over<W: Work>(
        self: &Arc<Self>,
        door: &Arc<super::shared::Door>,
        cell: &Arc<Cell<W>>,
        key: Option<u64>,
        full: Full,
        submitter: Submitter<'_>,
    ) -> Result<Placed, Refusal> {
        let priority = cell.meta().priority;
        let settle = |full| {
            let job = Queued::Job(Arc::clone(cell) as Entry);
            self.place_job_in_full(job, priority, full, submitter)
        };
        let permit = match Arc::clone(door).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) if self.queues_closed() => return Err(Refusal::ShutDown),
            Err(_) => {
                let limit = match full {
                    // Nobody but the line may run it.
                    Full::CallerRuns if key.is_some() => return Err(Refusal::Full),
                    Full::Block | Full::BlockTimeout(_) if is_worker_of(self) => {
                        if key.is_some() {
                            return Err(Refusal::Full);
                        }
                        return settle(Full::CallerRuns);
                    }
                    Full::Block => None,
                    Full::BlockTimeout(limit) => Some(limit),
                    // There is no oldest one in a queue that holds none.
                    Full::DropOldest => return settle(Full::DropNewest),
                    _ => return settle(full),
                };
                let entry = Arc::clone(door).acquire_owned();
                self.wait_for(entry, limit, submitter)?.map_err(|_| Refusal::ShutDown)?
            }
        };
        cell.keep(permit);
        if let Some(key) = key {
            return self.place_keyed(key, Arc::clone(cell) as Entry, full, submitter);
        }
        match self.queues.push(priority, Arc::clone(cell) as Entry) {
            Ok(()) => {
                self.call_if_needed();
                Ok(Placed::Queued)
            }
            Err(TrySendError::Closed(_)) => Err(Refusal::ShutDown),
            Err(TrySendError::Full(job)) => self.let_in(job),
        }
    }

    /// Without a queue: a job that was let in for a worker, behind very many others.
    fn let_in(self: &Arc<Self>, job: Queued) -> Result<Placed, Refusal> {
        self.queues.set_aside(job).map_err(|_| Refusal::ShutDown)?;
        self.call_if_needed();
        Ok(Placed::Queued)
    }

    /// Waits for room: up to the limit, if there is one, and until the submitter's context is done.
    fn wait_for<F: Future>(
        self: &Arc<Self>,
        room: F,
        limit: Option<Duration>,
        submitter: Submitter<'_>,
    ) -> Result<F::Output, Refusal> {
        submitter.is_held_up();
        let mut room = pin!(room);
        let mut done = submitter.context.map(Context::done);
        let either = poll_fn(|cx| {
            if let Poll::Ready(output) = room.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            if let Some(done) = &mut done
                && pin!(done).poll(cx).is_ready()
            {
                return Poll::Ready(Err(Refusal::Cancelled));
            }
            Poll::Pending
        });
        let mut either = pin!(either);
        places::wait(self, || match limit {
            None => park::block_on(either),
            Some(limit) => {
                park::block_on_timeout(either.as_mut(), limit).unwrap_or(Err(Refusal::Timeout))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Limit, Pool};
    use std::sync::mpsc;
    use std::thread;

    /// The job that runs is over already, so that nobody else would tell.
    #[test]
    fn a_refusal_is_told_to_whoever_waits_for_all_to_be_over() {
        let pool = Pool::builder().max_workers(1).queue_capacity(0).max_compensation(0);
        let pool = pool.build().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let late = Job::new(move || wait.recv().is_err()).timeout(Duration::from_millis(1));
        let late = pool.submit_job(late).unwrap().join();
        assert!(matches!(late, Err(JobError::TimedOut(Limit::Run))), "{late:?}");
        let context = Context::background();
        let shared = pool.shared();
        let until = |what: &dyn Fn() -> bool| {
            while !what() {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            let refused = scope.spawn(|| pool.submit_ctx(&context, || ()).map(drop));
            until(&|| shared.numbers.given() == 2);
            let waits = scope.spawn(|| pool.wait_idle());
            until(&|| shared.quiet.has_waiters());
            context.cancel();
            assert_eq!(refused.join().unwrap().unwrap_err().reason, Refusal::Cancelled);
            waits.join().unwrap();
        });
        assert_eq!(pool.metrics().rejected, 1);
        drop(go);
    }
}
