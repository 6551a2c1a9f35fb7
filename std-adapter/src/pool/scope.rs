//! Jobs that borrow.
//!
//! A worker's thread outlives everything that could be borrowed, and to tell the compiler that a job nevertheless does not takes unsafe
//! code, which this crate has none of. So these jobs run on threads of a scope, which take the places of workers for that time, and
//! on the thread that opened it.

use super::job::{JobId, Options, WorkerId};
use super::outcome::{JobError, JobPanic, JobResult, Outcome};
use super::phase::End;
use super::places;
use super::shared::Shared;
use super::trace::Trace;
use crate::core::wait::{Growable, WaitQueue};
use crate::foreign::{call, discard};
use crate::thread::catch;
use crate::{lock, park};
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::thread as os;
use std::time::Instant;

/// Where jobs that borrow are submitted. Made by [`Pool::scope`](super::Pool::scope).
pub struct Scope<'scope, 'env: 'scope> {
    threads: &'scope os::Scope<'scope, 'env>,
    state: Arc<State<'scope>>,
}

type Task<'scope> = Box<dyn FnOnce(Option<WorkerId>) + Send + 'scope>;

struct State<'scope> {
    pool: Arc<Shared>,
    tasks: Mutex<VecDeque<Task<'scope>>>,
    news: WaitQueue<Growable>,
}

impl State<'_> {
    /// Runs one of the tasks that wait. False if there is none.
    fn run_one(&self, worker: Option<WorkerId>) -> bool {
        let task = lock(&self.tasks).pop_front();
        // What it returned may be dropped there, and its destructor is foreign code.
        task.map(|task| call(|| task(worker))).is_some()
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
        });
        let scope = Scope { threads, state };
        let _left = Leftovers(&scope.state);
        let result = f(&scope);
        while scope.state.run_one(None) {}
        result
    })
}

/// Drops the tasks that nobody has begun when the scope's function panics.
struct Leftovers<'s, 'scope>(&'s State<'scope>);

impl Drop for Leftovers<'_, '_> {
    fn drop(&mut self) {
        let tasks = std::mem::take(&mut *lock(&self.0.tasks));
        tasks.into_iter().for_each(discard);
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Submits a function that may borrow from around the scope. It runs on a thread that takes a worker's place, if one is free, else on
    /// the thread that opened the scope or on one that waits in it.
    ///
    /// It is counted in the pool's books, but has no priority and no limits. A shutdown of the pool waits until these threads have given
    /// their places back, and the scope until they have ended. Where such a thread joins a job of the pool, or waits for room in it, it
    /// gives its place back meanwhile.
    pub fn submit<F, R>(&self, f: F) -> ScopedJob<'scope, R>
    where
        F: FnOnce() -> R + Send + 'scope,
        R: Send + 'scope,
    {
        let id = JobId(self.state.pool.numbers.give());
        let submitted = Instant::now();
        let trace = Trace::submitted(id, &Options::default());
        let outcome = Arc::new(Mutex::new(None));
        let books = Booked { state: Arc::clone(&self.state), end: End::Cancelled };
        let task: Task<'scope> = Box::new({
            let outcome = Arc::clone(&outcome);
            move |worker| {
                let mut books = books;
                let began = Instant::now();
                let result = trace.run(|| catch(f));
                let made = match result {
                    Ok(value) => {
                        books.end = End::Completed;
                        Ok(JobResult {
                            value,
                            id,
                            queued_for: began.saturating_duration_since(submitted),
                            ran_for: began.elapsed(),
                            worker,
                            attempt: 1,
                        })
                    }
                    Err(panicked) => {
                        books.end = End::Panicked;
                        Err(JobError::Panicked(JobPanic { panicked, backtrace: None }))
                    }
                };
                trace.over(books.end.label());
                // The books first, as everywhere.
                let news = books.close();
                *lock(&outcome) = Some(made);
                news.news.notify_all();
            }
        });
        lock(&self.state.tasks).push_back(task);
        self.state.news.notify_all();
        self.add_thread();
        ScopedJob { outcome, state: Arc::clone(&self.state), _scope: PhantomData }
    }

    /// Takes a worker's place for a thread of this scope, if one is free.
    fn add_thread(&self) {
        let mut free = self.state.pool.lend_place();
        if free.is_none() {
            return;
        }
        let state = Arc::clone(&self.state);
        let builder = os::Builder::new().name(format!("{}-scope", self.state.pool.settings.name));
        // Refused a thread, the task waits for one of those that are there.
        let _ = builder.spawn_scoped(self.threads, move || {
            while let Some(place) = free.take() {
                place.hold(|| while state.run_one(Some(place.id)) {});
                drop(place);
                // One that came in between has found no place free.
                if !lock(&state.tasks).is_empty() {
                    free = state.pool.lend_place();
                }
            }
        });
    }
}

/// Sees to it that a task is counted, also one that is dropped unrun.
struct Booked<'scope> {
    state: Arc<State<'scope>>,
    end: End,
}

impl<'scope> Booked<'scope> {
    fn close(self) -> Arc<State<'scope>> {
        Arc::clone(&self.state)
    }
}

impl Drop for Booked<'_> {
    fn drop(&mut self) {
        self.state.pool.count(self.end);
        self.state.pool.tell_quiet();
    }
}

/// A job that was submitted in a scope: its outcome, to be joined. Dropping it lets the job run on, until the scope ends.
pub struct ScopedJob<'scope, R> {
    outcome: Arc<Mutex<Option<Outcome<R>>>>,
    state: Arc<State<'scope>>,
    _scope: PhantomData<&'scope ()>,
}

impl<R> ScopedJob<'_, R> {
    /// Waits for the outcome, and runs jobs of the scope meanwhile.
    ///
    /// # Errors
    ///
    /// The outcome's own.
    pub fn join(self) -> Outcome<R> {
        loop {
            let news = pin!(self.state.news.wait());
            if let Some(outcome) = lock(&self.outcome).take() {
                return outcome;
            }
            if !self.state.run_one(None) {
                // Whoever runs it may need a worker.
                let pool = &self.state.pool;
                let _section = pool.begin_blocking_here();
                let _ = places::wait(pool, || park::block_on(news));
            }
        }
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
