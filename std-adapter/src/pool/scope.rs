//! Jobs that borrow.
//!
//! A worker's thread outlives everything that could be borrowed, and to tell the compiler that a job nevertheless does not takes unsafe
//! code, which this crate has none of. So these jobs run on threads of a scope, which take the places of workers for that time, and
//! on the thread that opened it.

use super::cell::end_of;
use super::job::{JobId, Options, WorkerId, try_once};
use super::kept::nanos;
use super::light::Done;
use super::outcome::{JobError, JobResult, Outcome, Rejection};
use super::phase::End;
use super::places;
use super::shared::Shared;
use super::trace::Trace;
use super::worker::Slot;
use crate::core::wait::{Growable, WaitQueue};
use crate::foreign::{call, discard};
use crate::{lock, park};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread::{self as os, ThreadId};
use std::time::Instant;

/// Where jobs that borrow are submitted. Made by [`Pool::scope`](super::Pool::scope).
pub struct Scope<'scope, 'env: 'scope> {
    threads: &'scope os::Scope<'scope, 'env>,
    state: Arc<State<'scope>>,
}

struct State<'scope> {
    pool: Arc<Shared>,
    /// Those that nobody has begun, in the order of submission.
    tasks: Mutex<BTreeMap<JobId, Box<dyn Task + 'scope>>>,
    news: WaitQueue<Growable>,
    opened_at: Spot,
}

impl State<'_> {
    /// Runs the oldest of the tasks that wait. False if there is none.
    fn run_one(&self) -> bool {
        let task = lock(&self.tasks).pop_first();
        task.map(|(_, task)| self.run(task)).is_some()
    }

    /// Runs the task of this number. False if it waits no more.
    fn run_this(&self, id: JobId) -> bool {
        let task = lock(&self.tasks).remove(&id);
        task.map(|task| self.run(task)).is_some()
    }

    fn run(&self, task: Box<dyn Task + '_>) {
        let lent = places::here(&self.pool);
        let (desk, worker) =
            lent.as_ref().map_or((&self.pool.outside, None), |slot| (slot, Some(slot.id())));
        DEPTH.set(DEPTH.get() + 1);
        // What it returned may be dropped there, and its destructor is foreign code.
        call(|| task.run(desk, worker));
        DEPTH.set(DEPTH.get() - 1);
    }
}

thread_local! {
    /// How many jobs of scopes this thread runs, inside each other.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// A thread, and inside of how many jobs of scopes.
#[derive(PartialEq, Eq)]
struct Spot {
    thread: ThreadId,
    depth: usize,
}

impl Spot {
    fn here() -> Self {
        Self { thread: os::current().id(), depth: DEPTH.get() }
    }
}

/// Opens a scope, and runs what is left in it at its end.
pub(super) fn scope<'env, F, T>(pool: &Arc<Shared>, f: F) -> T
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> T,
{
    os::scope(|threads| {
        let state = Arc::new(State {
            pool: Arc::clone(pool),
            tasks: Mutex::default(),
            news: WaitQueue::with_storage(Growable::new()),
            opened_at: Spot::here(),
        });
        let scope = Scope { threads, state };
        let _left = Leftovers(&scope.state);
        let result = f(&scope);
        while scope.state.run_one() {}
        result
    })
}

/// Drops the tasks that nobody has begun when the scope's function panics.
struct Leftovers<'s, 'scope>(&'s State<'scope>);

impl Drop for Leftovers<'_, '_> {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        tasks.into_values().for_each(discard);
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Submits a function that may borrow from around the scope. It runs on a thread that takes a worker's place, if one is free, else on
    /// the thread that opened the scope or on one that waits for it.
    ///
    /// It is counted in the pool's books, but has no priority and no limits, and there is no way to ask it to stop. Where the thread of one joins
    /// a job of the pool, or waits for room in it, it gives its place back meanwhile.
    ///
    /// A pool that is shut down takes it no more: it is dropped unrun, and its outcome is [`Rejection::ShutDown`]. One that was in before
    /// is run, though a shutdown does not wait for those that no thread has begun; but after a [`shutdown_now`](super::Pool::shutdown_now) it does
    /// not begin any more, and is cancelled when its turn comes. A shutdown waits until the threads have given their places back, and names the
    /// jobs that run.
    pub fn submit<F, R>(&self, f: F) -> ScopedJob<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
        R: Send + 'scope,
    {
        let id = JobId(self.state.pool.numbers.give());
        let outcome = Arc::new(Mutex::new(None));
        let promise = Promise {
            id,
            submitted: Instant::now(),
            trace: Trace::submitted(id, &Options::default()),
            state: Arc::clone(&self.state),
            outcome: Some(Arc::clone(&outcome)),
        };
        if self.state.pool.queues_closed() {
            discard(f);
            promise.end(End::Rejected, JobError::Rejected(Rejection::ShutDown));
        } else {
            lock(&self.state.tasks).insert(id, Box::new(Unbegun { f, promise }));
            self.state.news.notify_all();
            self.add_thread();
        }
        ScopedJob { id, outcome, state: Arc::clone(&self.state), _scope: PhantomData }
    }

    /// Takes a worker's place for a thread of this scope, if one is free.
    fn add_thread(&self) {
        let pool = &self.state.pool;
        let mut free = pool.lend_place();
        if free.is_none() {
            return;
        }
        let state = Arc::clone(&self.state);
        let mut builder = os::Builder::new().name(format!("{}-scope", pool.settings.name));
        if let Some(bytes) = pool.settings.stack_size {
            builder = builder.stack_size(bytes);
        }
        let spawned = builder.spawn_scoped(self.threads, move || {
            while let Some(place) = free.take() {
                place.hold(|| while state.run_one() {});
                drop(place);
                // One that came in between has found no place free.
                if !lock(&state.tasks).is_empty() {
                    free = state.pool.lend_place();
                }
            }
        });
        if spawned.is_err() {
            // The task waits for one of the threads that are there.
            pool.note_refused_thread();
        }
    }
}

/// A job that nobody has begun, whatever it returns. Dropped, it was cancelled.
trait Task: Send {
    /// Runs it, as a job of that desk, unless none is begun there any more.
    fn run(self: Box<Self>, desk: &Slot, worker: Option<WorkerId>);
}

struct Unbegun<'scope, F, R> {
    /// Dropped first: what it holds is gone when there is an outcome.
    f: F,
    promise: Promise<'scope, R>,
}

impl<'scope, F, R> Task for Unbegun<'scope, F, R>
where
    F: FnOnce() -> R + Send + 'scope,
    R: Send + 'scope,
{
    fn run(self: Box<Self>, desk: &Slot, worker: Option<WorkerId>) {
        let Self { f, promise } = *self;
        let id = promise.id;
        let began = Instant::now();
        if !desk.begin_light(id, None) {
            // The desk has counted it.
            discard(f);
            return promise.keep(End::Cancelled, Err(JobError::Cancelled));
        }
        let result = promise.trace.run(|| try_once(f));
        let ran_for = began.elapsed();
        let queued_for = began.saturating_duration_since(promise.submitted);
        let outcome =
            result.map(|value| JobResult { value, id, queued_for, ran_for, worker, attempt: 1 });
        let end = outcome.as_ref().map_or_else(end_of, |_| End::Completed);
        // The books first, as everywhere.
        desk.end_light(Some(Done { id, end }), |books| {
            books.light(nanos(queued_for), nanos(ran_for));
        });
        promise.keep(end, outcome);
    }
}

/// Sees to it that a job has an outcome, and is counted, also one that is dropped unrun.
struct Promise<'scope, R> {
    id: JobId,
    submitted: Instant,
    trace: Trace,
    state: Arc<State<'scope>>,
    /// Where the outcome goes; `None` when it is there.
    outcome: Option<Arc<Mutex<Option<Outcome<R>>>>>,
}

impl<R> Promise<'_, R> {
    /// The job is over like this, without having begun.
    fn end(mut self, end: End, error: JobError) {
        self.state.pool.count(end);
        self.give(end, Err(error));
    }

    /// The job is over like this, and counted.
    fn keep(mut self, end: End, outcome: Outcome<R>) {
        self.give(end, outcome);
    }

    fn give(&mut self, end: End, outcome: Outcome<R>) {
        let Some(place) = self.outcome.take() else { return };
        // Whoever listens to spans is foreign code, and must not cost the outcome.
        call(|| self.trace.over(end.label()));
        *lock(&place) = Some(outcome);
        self.state.news.notify_all();
        self.state.pool.tell_quiet();
    }
}

impl<R> Drop for Promise<'_, R> {
    fn drop(&mut self) {
        if self.outcome.is_some() {
            self.state.pool.count(End::Cancelled);
            self.give(End::Cancelled, Err(JobError::Cancelled));
        }
    }
}

/// A job that was submitted in a scope: its outcome, to be joined. Dropping it lets the job run on, until the scope ends.
pub struct ScopedJob<'scope, R> {
    id: JobId,
    outcome: Arc<Mutex<Option<Outcome<R>>>>,
    state: Arc<State<'scope>>,
    _scope: PhantomData<&'scope ()>,
}

impl<R> ScopedJob<'_, R> {
    /// Waits for the outcome. If nobody has begun the job, it runs here.
    ///
    /// Where the scope was opened, its other jobs run here as well meanwhile: none of them may want what is held there, such as a lock. In
    /// a job of a scope, and on other threads, no other runs: what is joined there has either begun or is begun by that.
    ///
    /// # Errors
    ///
    /// The outcome's own; [`JobError::Cancelled`] also if nobody had begun the job when the function of the scope panicked.
    pub fn join(self) -> Outcome<R> {
        let state = &self.state;
        let may_help = state.opened_at == Spot::here();
        loop {
            let news = pin!(state.news.wait());
            if let Some(outcome) = lock(&self.outcome).take() {
                return outcome;
            }
            let has_run = state.run_this(self.id) || (may_help && state.run_one());
            if !has_run {
                // Whoever runs it may need a worker.
                let pool = &state.pool;
                let _section = pool.begin_blocking_here();
                let _ = places::wait(pool, || park::block_on(news));
            }
        }
    }

    /// Which job it is.
    pub fn id(&self) -> JobId {
        self.id
    }
}

impl<R> fmt::Debug for ScopedJob<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJob").finish_non_exhaustive()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}
