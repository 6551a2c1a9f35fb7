//! A pool of workers that scales itself.
//!
//! ```
//! use aqueduct::pool::{Job, Pool, Priority};
//! use std::time::Duration;
//!
//! let pool = Pool::builder().max_workers(4).build()?;
//! let answer = pool.submit(|| 6 * 7)?;
//! let urgent = Job::with_context(|job| job.is_cancelled())
//!     .priority(Priority::Urgent)
//!     .timeout(Duration::from_secs(60));
//! let urgent = pool.submit_job(urgent)?;
//! assert_eq!(answer.join()?.value, 42);
//! assert!(!urgent.join()?.value);
//! assert!(pool.shutdown().is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which jobs run when
//!
//! Each [`Priority`] has a bounded queue. A worker takes the most urgent job, first in, first out; one dispatch in [`AGING`] begins at
//! each of the lower priorities. What was [set aside](Full::CallerRuns) for want of room comes before all queues, but for those dispatches. A worker that has nothing to do takes whatever there is: no job waits beside a worker that rests.
//!
//! # How many workers there are
//!
//! A job that finds nobody at rest brings one more, up to the most there may be; a [`ScalePolicy`] may say otherwise. Who rests for the
//! keep-alive time goes, down to the fewest, which may be none. The worker that has rested the shortest time is called first, so that the
//! others can go. Nothing wakes up while nothing happens.
//!
//! # What becomes of a job
//!
//! Each job that is accepted has exactly one [`Outcome`]: its result, or a [`JobError`]. A job that is not accepted comes back in
//! a [`SubmitError`]. A panic is its job's outcome and nobody else's concern; but a panic in the destructor of a thread-local value, when
//! a worker goes, ends the process: the standard library sees to that.
//!
//! # Progress
//!
//! A submission that finds room pushes to a lock-free queue, and wakes one worker at the most: none if one is on its way
//! or looking for work. A job's own lock is taken by whoever runs it and whoever waits for it, for a few instructions. The lock of
//! the pool is taken where workers come, go, lie down or are called.
//!
//! # Memory
//!
//! A queue takes 64 bytes for each place, when its priority is first used. A job of [`Pool::execute`] takes nothing more, if its closure has four
//! words or fewer; one with a handle takes 128 bytes besides, if its closure and its result are as small (with the feature `tracing`, some 180). A worker that rests has touched about 14 KiB, most of it its
//! stack, and some more where the allocator gives its thread a heap of its own. (Resident memory on Linux, x86-64, of a million queued jobs and of 64 workers; a test holds the first to that, and the other to 24 KiB.)
//!
//! # What instruments see
//!
//! [`Pool::metrics`] is a snapshot of the books. The feature `prometheus` writes it as a page (`pool::prometheus`), the feature `metrics`
//! hands it to the recorder of that facade (`PoolMetrics::publish`); either happens when it is asked for. With the feature `tracing` each
//! job has a span at level debug, target `aqueduct::pool`, with its number, name, priority and outcome: a child of the span in
//! which it was submitted, entered while its function runs. Where somebody listens to it, [`Pool::execute`] costs what [`Pool::submit`]
//! does.
//!
//! # When to use something else
//!
//! CPU-bound work over slices, split recursively: rayon. A program that lives in tokio: its `spawn_blocking`.
//!
//! The protocol:
#![doc = include_str!("pool/PROTOCOL.md")]

mod builder;
mod cell;
mod driven;
#[cfg(feature = "metrics")]
mod facade;
mod group;
mod handle;
mod histogram;
mod job;
mod kept;
mod keyed;
mod light;
mod metrics;
mod outcome;
mod panics;
mod phase;
mod places;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod queue;
mod rare;
mod roster;
mod scale;
mod scope;
mod shared;
mod shutdown;
mod stretch;
mod submit;
mod told;
mod trace;
#[cfg(test)]
mod wakes;
mod worker;

pub use builder::{BuildError, Builder};
pub use cell::Cancel;
pub use driven::Driven;
pub use group::{Completed, Group, InOrder};
pub use handle::JobHandle;
pub use histogram::Histogram;
pub use job::{Fallible, Informed, Job, JobContext, JobId, Plain, Priority, Work, WorkerId};
pub use metrics::PoolMetrics;
pub use outcome::{JobError, JobPanic, JobResult, Limit, Outcome, Rejection};
pub use queue::AGING;
pub use scale::{
    Decision, LatencyTarget, Load, SCALE_EVENTS, ScaleEvent, ScalePolicy, ScaleReason, Thresholds,
};
pub use scope::{Scope, ScopedJob};
pub use shutdown::{RunningJob, ShutdownReport};
pub use submit::{Full, Refusal, SubmitError};

use crate::Context;
use crate::park::deadline_after;
use shared::Shared;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

/// Workers, and the jobs that wait for them. See the [module](self).
///
/// A clone is the same pool. When the last one is dropped, the pool is [shut down at once](Self::shutdown_now); that waits for nobody.
/// To let all jobs run, [shut it down](Self::shutdown).
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// Submits a function to the pool whose worker this thread is, as [`Pool::execute`] does: for jobs that submit jobs, and need
/// no handle to their pool for that.
///
/// # Errors
///
/// The function, handed back, if this thread is no worker, or as [`Pool::execute`].
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{self, Pool, Refusal};
///
/// let pool = Pool::builder().max_workers(2).build()?;
/// pool.execute(|| {
///     for _ in 0..3 {
///         pool::execute(|| ()).unwrap();
///     }
/// })?;
/// pool.wait_idle();
/// assert_eq!(pool.metrics().completed, 4);
/// assert_eq!(pool::execute(|| ()).unwrap_err().reason, Refusal::NoPool);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn execute<F>(f: F) -> Result<(), SubmitError<F>>
where
    F: FnOnce() + Send + 'static,
{
    worker::pool_of_this_thread(|pool| match pool {
        Some(pool) => pool.execute(f),
        None => Err(SubmitError { job: f, reason: Refusal::NoPool }),
    })
}

/// Ends the pool when the last handle to it goes. Workers and jobs hold what is shared, and not this.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Pool {
    /// How a pool is to be.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn from_shared(shared: Arc<Shared>) -> Self {
        Self { owner: Arc::new(Owner(shared)) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.owner.0
    }

    /// Submits a function. What happens if there is no room, the pool was [told](Builder::on_full); by default it waits.
    ///
    /// # Errors
    ///
    /// The function, handed back, if there is no room, or the pool is shut down.
    pub fn submit<F, R>(&self, f: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared().submit_plain(f)
    }

    /// Submits a function that nobody waits for: without a handle, and without what makes one possible. As [`submit`](Self::submit)
    /// in all else.
    ///
    /// A closure of up to four words lies in the queue itself, and costs no allocation. Its books are as complete as others'. Where one
    /// job after the other takes two microseconds or less, eight of them share a reading of the clock: their sum is exact, and each one's
    /// share, as its time in the queue, is right to within some sixteen microseconds, or to what the longest of the eight took. Where all workers
    /// go from short jobs into long ones, what is submitted during those may count as having waited since they began.
    ///
    /// # Errors
    ///
    /// The function, handed back, if there is no room, or the pool is shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pool::Pool};
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// let (sender, receiver) = channel::bounded(10);
    /// for n in 1..=10 {
    ///     let sender = sender.clone();
    ///     pool.execute(move || sender.send(n * n).unwrap())?;
    /// }
    /// drop(sender);
    /// assert_eq!(receiver.iter().sum::<u32>(), 385);
    /// pool.wait_idle();
    /// assert_eq!(pool.metrics().completed, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn execute<F>(&self, f: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.shared().execute(f)
    }

    /// Submits a function, if there is room for it now.
    ///
    /// # Errors
    ///
    /// The function, handed back, if there is no room, or the pool is shut down.
    pub fn try_submit<F, R>(&self, f: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let handle = self.submit_job(Job::new(f).on_full(Full::Reject));
        handle.map_err(|SubmitError { job, reason }| SubmitError { job: job.work.0, reason })
    }

    /// Submits a function, and waits for room no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// The function, handed back, if there was no room, or the pool is shut down.
    pub fn submit_timeout<F, R>(
        &self,
        f: F,
        timeout: Duration,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let handle = self.submit_job(Job::new(f).on_full(Full::BlockTimeout(timeout)));
        handle.map_err(|SubmitError { job, reason }| SubmitError { job: job.work.0, reason })
    }

    /// Submits a function that is cancelled when the context is done: it does not wait for room any longer, does not begin any more, or is
    /// asked to stop.
    ///
    /// # Errors
    ///
    /// The function, handed back, if there was no room, or the context was done, or the pool is shut down.
    pub fn submit_ctx<F, R>(&self, context: &Context, f: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let handle = self.submit_job_ctx(context, Job::new(f));
        handle.map_err(|SubmitError { job, reason }| SubmitError { job: job.work.0, reason })
    }

    /// Submits a job. As [`submit`](Self::submit), for one of which there is more to say.
    ///
    /// # Errors
    ///
    /// The job, handed back, if there is no room, or the pool is shut down.
    pub fn submit_job<W: Work>(
        &self,
        job: Job<W>,
    ) -> Result<JobHandle<W::Output>, SubmitError<Job<W>>> {
        self.shared().submit_job(job, None)
    }

    /// Submits a job that is cancelled when the context is done. As [`submit_ctx`](Self::submit_ctx).
    ///
    /// # Errors
    ///
    /// The job, handed back, if there was no room, or the context was done, or the pool is shut down.
    pub fn submit_job_ctx<W: Work>(
        &self,
        context: &Context,
        job: Job<W>,
    ) -> Result<JobHandle<W::Output>, SubmitError<Job<W>>> {
        self.shared().submit_job(job, Some(context))
    }

    /// Runs a function on the pool and awaits its outcome, in whatever runtime. If there is no room, it awaits that first.
    ///
    /// # Errors
    ///
    /// The outcome's own; [`Rejection::ShutDown`] if the pool takes nothing any more.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it cancels the job: one that waits is never begun, one that runs is asked to stop.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{park::block_on, pool::Pool};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let done = block_on(async { pool.run(|| 6 * 7).await })?;
    /// assert_eq!(done.value, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn run<F, R>(&self, f: F) -> Outcome<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared().run(f).await
    }

    /// Drives a future to its end, with the same accounting as other jobs: see [`Job::future`].
    ///
    /// # Errors
    ///
    /// The future, handed back unpolled, if there is no room, or the pool is shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::Pool;
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// let inner = pool.submit(|| 6 * 7)?;
    /// let outer = pool.spawn_future(async { inner.await.map_or(0, |done| done.value) })?;
    /// assert_eq!(outer.join()?.value, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_future<F>(&self, future: F) -> Result<JobHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let handle = self.submit_job(Job::future(future));
        handle.map_err(|SubmitError { job, reason }| SubmitError { job: job.work.0, reason })
    }

    /// A group of jobs, of which at most `limit` are on their way at a time; at least one.
    pub fn group<R: Send + 'static>(&self, limit: usize) -> Group<R> {
        Group::new(self.shared(), limit)
    }

    /// A group of jobs without a limit, for their outcomes in the order of completion or of submission.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::Pool;
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// let results = pool.results();
    /// for n in 0..10 {
    ///     results.submit(move || n)?;
    /// }
    /// // As they come; it ends after the last.
    /// assert_eq!(results.completed().map(|(_, done)| done.unwrap().value).sum::<u32>(), 45);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn results<R: Send + 'static>(&self) -> Group<R> {
        self.group(usize::MAX)
    }

    /// Runs `f`, lets it submit jobs that borrow from around the call, and returns when all of them are over.
    ///
    /// They run on threads that take the places of workers for that time, as far as there are any free, and on this one. For one scope
    /// such a thread costs what a thread costs; where jobs are small and need not borrow, [`submit`](Self::submit) them.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::Pool;
    ///
    /// let pool = Pool::builder().max_workers(4).build()?;
    /// let words = ["a", "bc", "def"];
    /// let total: usize = pool.scope(|scope| {
    ///     let lengths = words.each_ref().map(|word| scope.submit(|| word.len()));
    ///     lengths.into_iter().map(|length| length.join().unwrap().value).sum()
    /// });
    /// assert_eq!(total, 6);
    /// # Ok::<(), aqueduct::pool::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When `f` does; jobs that nobody has begun are cancelled then. A panic of a job is its outcome.
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> T,
    {
        scope::scope(self.shared(), f)
    }

    /// Changes the bounds of the number of workers. Those that are too many go when they rest, or between two jobs; nobody waits for them.
    ///
    /// # Errors
    ///
    /// Bounds that cannot be, or the system refused a thread for one of the fewest; the new bounds hold then.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::{BuildError, Pool};
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// pool.resize(1, 8)?;
    /// assert!(matches!(pool.resize(9, 8), Err(BuildError::Bounds { min: 9, max: 8 })));
    /// # Ok::<(), BuildError>(())
    /// ```
    pub fn resize(&self, min: usize, max: usize) -> Result<(), BuildError> {
        if max == 0 {
            return Err(BuildError::NoWorkers);
        }
        if min > max {
            return Err(BuildError::Bounds { min, max });
        }
        self.shared().set_bounds(min, max).map_err(BuildError::Spawn)
    }

    /// What the pool does and has done.
    ///
    /// Locks the books of each worker for a moment, one after the other.
    pub fn metrics(&self) -> PoolMetrics {
        self.shared().metrics()
    }

    /// Waits until every job that was submitted has its outcome. A job that calls it waits for itself.
    pub fn wait_idle(&self) {
        self.shared().wait_until(None, || self.shared().is_quiet());
    }

    /// As [`wait_idle`](Self::wait_idle), but not longer than `timeout`; false if it is not so by then.
    pub fn wait_idle_timeout(&self, timeout: Duration) -> bool {
        self.shared().wait_until(deadline_after(timeout), || self.shared().is_quiet())
    }

    /// Takes nothing any more, runs all that is in, and waits until all workers have gone.
    ///
    /// No worker is started any more, but where all are late or [blocked](JobContext::blocking) and may wait for what is in: then one is,
    /// up to the [bound](Builder::max_compensation), as before.
    ///
    /// May be called again, from several threads at once, and after the other ways of shutting down. A worker that calls it only lets
    /// the end begin, and does not wait, nor does a job with a key that runs where it was submitted: the [report](ShutdownReport) says what still runs.
    pub fn shutdown(&self) -> ShutdownReport {
        self.shared().drain()
    }

    /// Takes nothing any more, cancels what has not begun, asks what runs to stop, and waits for nobody.
    ///
    /// When it returns, nothing begins any more. [`shutdown`](Self::shutdown), called after it, waits for what runs.
    pub fn shutdown_now(&self) -> ShutdownReport {
        self.shared().abort()
    }

    /// As [`shutdown`](Self::shutdown) for so long, then as [`shutdown_now`](Self::shutdown_now). The report names the jobs that are stuck.
    ///
    /// A worker that calls it does not wait: what is in is run for so long all the same, unless the system has no thread for the timer; then
    /// there is no limit.
    ///
    /// Where the system has refused all threads, what is in is run by whoever shuts down. No job is begun then after that time, but one that
    /// has begun is not left. Nor are threads that have nothing left to run: if all jobs are over in time, their destructors of thread-local values
    /// are waited for, however long they take.
    pub fn shutdown_timeout(&self, timeout: Duration) -> ShutdownReport {
        self.shared().drain_or_abort(timeout)
    }

    /// Whether the pool takes nothing any more.
    pub fn is_shut_down(&self) -> bool {
        self.shared().queues_closed()
    }
}

// Nothing in a pool is half-done when a panic passes: whoever catches it may go on with the handle.
impl UnwindSafe for Pool {}
impl RefUnwindSafe for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let metrics = self.metrics();
        f.debug_struct("Pool")
            .field("workers", &metrics.workers)
            .field("in_flight", &metrics.in_flight)
            .finish_non_exhaustive()
    }
}
