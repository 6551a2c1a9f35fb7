//! One job, shared between whoever runs it, whoever waits for it, and whoever ends it early.
//!
//! One lock holds its [`Phase`], and what goes with it. Functions, results, wakers and contexts of users run, are called and are
//! dropped with the lock released. The books are written with it held, so that an outcome that can be seen has been
//! counted. Order of locks: this one before a worker's or the pool's books; never with the roster's.

use super::job::{JobContext, JobId, Options, Priority, Work, WorkerId, try_once};
use super::kept::Kept;
use super::outcome::{JobError, JobResult, Limit, Outcome};
use super::phase::{End, Phase};
use super::rare::{Rare, Turn};
use super::shared::Shared;
use super::told::Told;
use super::trace::Trace;
use super::worker::Slot;
use crate::core::semaphore::{Fair, OwnedSemaphorePermit};
use crate::core::wait::Growable;
use crate::foreign::{call, discard};
use crate::timer;
use crate::{Context, lock};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// What does not change about a job, and every job has.
pub(super) struct Meta {
    pub(super) id: JobId,
    /// In nanoseconds of the pool's life.
    pub(super) submitted: u64,
    pub(super) priority: Priority,
    pub(super) is_keyed: bool,
    pub(super) trace: Trace,
}

/// A job, whatever it returns.
///
/// It does not hold its pool, which whoever has to do with it names: a count of references that each submission raises, and each worker
/// lowers, would be a cache line that all of them write.
pub(super) trait Runnable: Send + Sync {
    fn meta(&self) -> &Meta;
    fn name(&self) -> Option<Arc<str>>;
    /// Takes it in hand; false if that is too late, or too early, since it has not the turn of its key. After true the caller [performs](Self::perform) it, or cancels it.
    fn begin(&self, shared: &Arc<Shared>) -> bool;
    /// Runs it on this thread, which is that of the worker, if one is named; takes it off the desk.
    fn perform(self: Arc<Self>, shared: &Arc<Shared>, began: Instant, worker: Option<&Slot>);
    /// Ends it like this, if it has not begun. An entry that is taken from a queue may be of a job that runs already, on a worker that
    /// waited for it.
    fn end_queued(&self, shared: &Arc<Shared>, error: JobError) -> bool;
    /// Ends it as cancelled, which the caller has begun and does not perform.
    fn give_up(&self, shared: &Arc<Shared>);
    /// Ends it if it has not begun; asks it to stop if it runs.
    fn cancel(&self, shared: &Arc<Shared>) -> Cancel;
    /// Asks it to stop, if it runs.
    fn stop(&self);
    fn is_stopped(&self) -> bool;
    fn is_over(&self) -> bool;
    fn context(&self) -> Context;
    fn set_progress(&self, done: u64, total: u64);
    fn progress(&self) -> Option<(u64, u64)>;
    /// The turn of its key, to be passed on by whoever gets it: once, when it is over, and not while the function runs.
    fn take_turn(&self) -> Option<u64>;
    /// It is its turn among the jobs of its key.
    fn give_turn(&self);
    /// The key in whose line it stands.
    fn line(&self) -> Option<u64>;
}

/// A job, for whoever waits for its outcome.
pub(super) trait Awaited<R>: Runnable {
    fn poll(&self, waker: &Waker) -> Poll<Outcome<R>>;
    fn as_runnable(self: Arc<Self>) -> Arc<dyn Runnable>;
}

/// What [`JobHandle::cancel`](super::JobHandle::cancel) came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cancel {
    /// The job had not begun, and never will.
    Cancelled,
    /// It runs, and was asked to stop. Its outcome is what it makes of that.
    Asked,
    /// It was over.
    TooLate,
}

pub(super) struct Cell<W: Work> {
    meta: Meta,
    stage: Mutex<Stage<W>>,
}

struct Stage<W: Work> {
    phase: Phase,
    body: Body<W>,
    /// Of whoever waits for the outcome.
    waker: Option<Waker>,
    /// Asked to stop.
    stopped: bool,
    /// Which attempt it is.
    attempt: u32,
    /// A worker that runs it beyond its end must be taken off the list of those that are late.
    overdue: bool,
    rare: Option<Box<Rare<W::Output>>>,
}

enum Body<W: Work> {
    Work(W),
    /// In the hands of whoever runs it; or taken.
    Away {
        /// Which worker runs it, if one does.
        at: Option<WorkerId>,
    },
    Done(Kept<W::Output>),
    Error(Box<JobError>),
}

/// Takes the outcome of a job, on the thread that made it.
pub(super) type Sink<R> = Box<dyn FnOnce(Outcome<R>) + Send>;

impl<W: Work> Cell<W> {
    pub(super) fn new(
        id: JobId,
        work: W,
        options: &Options,
        shared: &Arc<Shared>,
        sink: Option<Sink<W::Output>>,
    ) -> Arc<Self> {
        let meta = Meta {
            id,
            submitted: shared.now(),
            priority: options.priority,
            is_keyed: options.key.is_some(),
            trace: Trace::submitted(id, options),
        };
        let Options { name, run_timeout, key, .. } = options;
        let is_rare = sink.is_some() || name.is_some() || run_timeout.is_some() || key.is_some();
        let rare = is_rare.then(|| {
            let (name, run_timeout, key) = (name.clone(), *run_timeout, *key);
            Box::new(Rare { name, run_timeout, key, sink, ..Rare::default() })
        });
        Arc::new(Self {
            meta,
            stage: Mutex::new(Stage {
                phase: Phase::Queued,
                body: Body::Work(work),
                waker: None,
                stopped: false,
                attempt: 1,
                overdue: false,
                rare,
            }),
        })
    }

    fn stage(&self) -> MutexGuard<'_, Stage<W>> {
        lock(&self.stage)
    }

    /// Takes the function back, of a job that was not accepted: it is over, and was nobody's. And the turn of its key, if it had that.
    pub(super) fn reclaim(&self, shared: &Shared) -> Option<(W, Option<u64>)> {
        let mut stage = self.stage();
        if !stage.phase.end(End::Rejected) {
            return None;
        }
        shared.count(End::Rejected);
        let turn = stage.take_turn();
        let rare = stage.rare.take();
        let body = mem::replace(&mut stage.body, Body::Away { at: None });
        drop(stage);
        drop(rare);
        shared.tell_quiet();
        match body {
            Body::Work(work) => Some((work, turn)),
            Body::Away { .. } | Body::Done(_) | Body::Error(_) => None,
        }
    }

    /// Ends the job after so long if it has not begun by then.
    pub(super) fn limit_wait(self: &Arc<Self>, shared: &Arc<Shared>, limit: Duration) {
        // A limit beyond the clock is none.
        let Some(deadline) = Instant::now().checked_add(limit) else { return };
        let mut stage = self.stage();
        if stage.phase != Phase::Queued {
            return;
        }
        stage.rare().begin_by = Some(deadline);
        drop(stage);
        self.set_timer(shared, deadline, Phase::Queued, Limit::Queue);
    }

    /// From now on it is not begun once `context` is done. Before it is queued.
    pub(super) fn heed(&self, context: &Context) {
        self.stage().rare().source = Some(context.clone());
    }

    /// Keeps the permit until the job is over and its function has returned.
    pub(super) fn keep(&self, permit: OwnedSemaphorePermit<Fair, Growable>) {
        self.stage().rare().permit = Some(permit);
    }

    /// Cancels the job when `context` is done, if that is not seen to.
    pub(super) fn tie(self: &Arc<Self>, shared: &Arc<Shared>, context: &Context) {
        let (me, shared) = (Arc::downgrade(self), Arc::clone(shared));
        let tie = context.after_func(move || {
            if let Some(cell) = me.upgrade() {
                cell.cancel(&shared);
            }
        });
        let mut stage = self.stage();
        if stage.phase.is_over() || stage.rare().tie.is_some() {
            drop(stage);
            tie.stop();
        } else {
            stage.rare().tie = Some(tie);
        }
    }

    /// Ends the job at that time, if it is in this phase then.
    fn set_timer(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        deadline: Instant,
        phase: Phase,
        limit: Limit,
    ) {
        let (me, pool) = (Arc::downgrade(self), Arc::clone(shared));
        let timer = timer::call_at(deadline, move || {
            if let Some(cell) = me.upgrade() {
                cell.end_in(&pool, phase, JobError::TimedOut(limit));
            }
        });
        // Without a thread for timers nobody is told in time; `begin`, and `perform` at the end, look at the clock.
        let Ok(timer) = timer else { return };
        let mut stage = self.stage();
        if stage.phase == phase {
            stage.rare().timer = Some(timer);
        } else {
            drop(stage);
            drop(timer);
        }
    }

    /// Ends the job if it is in this phase.
    fn end_in(&self, shared: &Arc<Shared>, phase: Phase, error: JobError) -> bool {
        let stage = self.stage();
        stage.phase == phase && self.end_with(shared, stage, error)
    }

    /// Ends the job, and tells.
    fn end_with(
        &self,
        shared: &Arc<Shared>,
        mut stage: MutexGuard<'_, Stage<W>>,
        error: JobError,
    ) -> bool {
        let end = end_of(&error);
        let was_running = stage.phase == Phase::Running;
        if !stage.phase.end(end) {
            return false;
        }
        match error {
            JobError::TimedOut(Limit::Queue) => shared.count_expired(&self.meta),
            _ => shared.count(end),
        }
        stage.stopped = true;
        let late = match stage.body {
            Body::Away { at } if was_running => at,
            _ => None,
        };
        stage.overdue = late.is_some();
        let (body, told) = stage.settle(Err(error), 0, was_running);
        if let Some(worker) = late {
            // Listed as late before the worker can be done, and taken off: the cell is still locked.
            shared.note_overdue(worker, true);
        }
        drop(stage);
        // The function, with all that it holds; its destructor is foreign code.
        discard(body);
        call(|| self.meta.trace.over(end.label()));
        told.tell();
        if late.is_some() {
            shared.replace_overdue();
        }
        shared.tell_quiet();
        true
    }
}

impl<W: Work> Stage<W> {
    fn rare(&mut self) -> &mut Rare<W::Output> {
        self.rare.get_or_insert_default()
    }

    fn put_turn_down(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.turn.put_down();
        }
    }

    fn take_turn(&mut self) -> Option<u64> {
        let rare = self.rare.as_mut().filter(|_| self.phase.is_over())?;
        if rare.turn.take() { rare.key } else { None }
    }

    /// Puts the outcome where it is looked for. The caller tells, with the lock released.
    fn settle(
        &mut self,
        outcome: Outcome<W::Output>,
        began: u64,
        is_running: bool,
    ) -> (Body<W>, Told<W::Output>) {
        let waker = self.waker.take();
        let mut told =
            Told { waker, context: None, timer: None, tie: None, permit: None, sink: None };
        let mut outcome = Some(outcome);
        if let Some(rare) = &mut self.rare {
            told.timer = rare.timer.take();
            told.tie = rare.tie.take();
            if self.stopped {
                told.context = rare.context.clone();
            }
            if !is_running {
                told.permit = rare.permit.take();
            }
            if let Some(sink) = rare.sink.take() {
                told.sink = outcome.take().map(|outcome| (sink, outcome));
            }
        }
        let body = match outcome {
            Some(Ok(result)) => Body::Done(Kept::new(result, began)),
            Some(Err(error)) => Body::Error(Box::new(error)),
            None => Body::Away { at: None },
        };
        (mem::replace(&mut self.body, body), told)
    }
}

pub(super) fn end_of(error: &JobError) -> End {
    match error {
        JobError::Panicked(_) => End::Panicked,
        JobError::Failed(_) => End::Failed,
        JobError::TimedOut(_) => End::TimedOut,
        JobError::Cancelled => End::Cancelled,
        JobError::Rejected(_) => End::Rejected,
    }
}

impl<W: Work> Runnable for Cell<W> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn name(&self) -> Option<Arc<str>> {
        self.stage().rare.as_ref()?.name.clone()
    }

    fn begin(&self, shared: &Arc<Shared>) -> bool {
        let mut stage = self.stage();
        // The callback that would end it may not have got to it yet.
        if stage.phase == Phase::Queued
            && let Some(error) = stage.rare.as_ref().and_then(|rare| rare.too_late())
        {
            self.end_with(shared, stage, error);
            return false;
        }
        stage.phase == Phase::Queued
            && (!self.meta.is_keyed || stage.rare().turn.begin())
            && stage.phase.begin()
    }

    fn perform(self: Arc<Self>, shared: &Arc<Shared>, began: Instant, worker: Option<&Slot>) {
        let mut stage = self.stage();
        let at = worker.map(Slot::id);
        let Body::Work(work) = mem::replace(&mut stage.body, Body::Away { at }) else {
            unreachable!("whoever has begun a job has it alone, until a limit is set below")
        };
        let waiting = stage.rare.as_mut().and_then(|rare| rare.timer.take());
        let run_timeout = stage.rare.as_ref().and_then(|rare| rare.run_timeout);
        let untied = stage.rare.as_ref().and_then(|rare| rare.untied());
        drop(stage);
        drop(waiting);
        // It was not queued, or not seen to yet.
        if let Some(context) = untied {
            self.tie(shared, &context);
        }
        let run_timeout = run_timeout.or(shared.settings.run_timeout);
        if let Some(deadline) = run_timeout.and_then(|limit| Instant::now().checked_add(limit)) {
            self.set_timer(shared, deadline, Phase::Running, Limit::Run);
        }
        let mut context = JobContext {
            job: &*self,
            shared,
            worker: worker.map(Slot::id),
            attempt: 1,
            deadline: run_timeout.and_then(|limit| began.checked_add(limit)),
        };
        // The function, and all that is dropped with it.
        let run = || try_once(|| work.run(&mut context)).unwrap_or_else(Err);
        // Whoever listens to spans may panic, too.
        let result = try_once(|| self.meta.trace.run(run)).unwrap_or_else(Err);
        let ran_for = began.elapsed();
        let began = shared.age_at(began);
        let outcome = match result {
            Ok(late) if run_timeout.is_some_and(|limit| ran_for > limit) => {
                discard(late);
                Err(JobError::TimedOut(Limit::Run))
            }
            Ok(value) => Ok(JobResult {
                value,
                id: self.meta.id,
                queued_for: Duration::from_nanos(began.saturating_sub(self.meta.submitted)),
                ran_for,
                worker: context.worker,
                attempt: context.attempt,
            }),
            Err(error) => Err(error),
        };
        let desk = worker.unwrap_or(&shared.outside);
        let end = outcome.as_ref().map_or_else(end_of, |_| End::Completed);
        let mut stage = self.stage();
        stage.put_turn_down();
        if stage.phase.end(end) {
            stage.attempt = context.attempt;
            let entry = desk.leave(&self.meta, Some(end), ran_for);
            let (body, told) = stage.settle(outcome, began, false);
            drop(stage);
            drop((entry, body));
            call(|| self.meta.trace.over(end.label()));
            told.tell();
        } else {
            let overdue = mem::take(&mut stage.overdue);
            let permit = stage.rare.as_mut().and_then(|rare| rare.permit.take());
            drop(stage);
            // Too late for anybody; its destructor is foreign code.
            discard(outcome);
            drop(permit);
            // A function returned whose job had been over before.
            drop(desk.leave(&self.meta, None, ran_for));
            if overdue && let Some(slot) = worker {
                shared.note_overdue(slot.id(), false);
                shared.fewer_may_be();
            }
        }
    }

    fn end_queued(&self, shared: &Arc<Shared>, error: JobError) -> bool {
        self.end_in(shared, Phase::Queued, error)
    }

    fn give_up(&self, shared: &Arc<Shared>) {
        let mut stage = self.stage();
        stage.put_turn_down();
        self.end_with(shared, stage, JobError::Cancelled);
    }

    fn cancel(&self, shared: &Arc<Shared>) -> Cancel {
        let stage = self.stage();
        match stage.phase {
            Phase::Queued => {
                self.end_with(shared, stage, JobError::Cancelled);
                Cancel::Cancelled
            }
            Phase::Running => {
                drop(stage);
                self.stop();
                Cancel::Asked
            }
            Phase::Over(_) => Cancel::TooLate,
        }
    }

    fn stop(&self) {
        let mut stage = self.stage();
        stage.stopped = true;
        let context = stage.rare.as_ref().and_then(|rare| rare.context.clone());
        drop(stage);
        if let Some(context) = context {
            context.cancel();
        }
    }

    fn is_stopped(&self) -> bool {
        self.stage().stopped
    }

    fn is_over(&self) -> bool {
        self.stage().phase.is_over()
    }

    fn context(&self) -> Context {
        let mut stage = self.stage();
        let context = stage.rare().context.get_or_insert_with(Context::background).clone();
        let stopped = stage.stopped;
        drop(stage);
        if stopped {
            context.cancel();
        }
        context
    }

    fn set_progress(&self, done: u64, total: u64) {
        self.stage().rare().progress = Some((done, total));
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.stage().rare.as_ref()?.progress
    }

    fn take_turn(&self) -> Option<u64> {
        if self.meta.is_keyed { self.stage().take_turn() } else { None }
    }

    fn give_turn(&self) {
        self.stage().rare().turn = Turn::Has;
    }

    fn line(&self) -> Option<u64> {
        if !self.meta.is_keyed {
            return None;
        }
        let stage = self.stage();
        let rare = stage.rare.as_ref().filter(|_| stage.phase == Phase::Queued)?;
        if rare.turn == Turn::Waits { rare.key } else { None }
    }
}

impl<W: Work> Awaited<W::Output> for Cell<W> {
    fn poll(&self, waker: &Waker) -> Poll<Outcome<W::Output>> {
        // Cloned and dropped outside the lock: a waker is foreign code.
        let mut waker = Some(waker.clone());
        let mut stage = self.stage();
        if !stage.phase.is_over() {
            mem::swap(&mut stage.waker, &mut waker);
            drop(stage);
            return Poll::Pending;
        }
        match mem::replace(&mut stage.body, Body::Away { at: None }) {
            Body::Done(kept) => {
                Poll::Ready(Ok(kept.into_result(self.meta.id, self.meta.submitted, stage.attempt)))
            }
            Body::Error(error) => Poll::Ready(Err(*error)),
            Body::Work(_) | Body::Away { .. } => {
                panic!("the outcome of this job was already taken")
            }
        }
    }

    fn as_runnable(self: Arc<Self>) -> Arc<dyn Runnable> {
        self
    }
}

#[cfg(all(test, target_pointer_width = "64", not(feature = "tracing")))]
mod tests {
    use super::Cell;
    use crate::pool::job::Plain;

    /// With the two counts of its `Arc`.
    #[test]
    fn a_job_with_a_small_function_and_a_small_result_is_120_bytes() {
        fn size<F: FnOnce() -> u64 + Send + 'static>(_: &F) -> usize {
            size_of::<Cell<Plain<F>>>() + 2 * size_of::<usize>()
        }

        let words = [1_u64, 2, 3, 4];
        let sum = move || words.iter().sum();
        assert_eq!((size(&sum), sum()), (120, 10));
    }
}
