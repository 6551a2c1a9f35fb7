//! What is submitted: a function, and what is to be known about it.

use super::cell::Runnable;
use super::handle::JobHandle;
use super::outcome::{JobError, JobPanic};
use super::panics;
use super::places::Blocking;
use super::shared::Shared;
use super::submit::{Full, SubmitError};
use crate::Context;
use crate::thread::catch;
use std::error::Error;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A job's number: one of its own for each call that submits to the same pool, in order; on a 32-bit target they begin anew after 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub(super) usize);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {}", self.0)
    }
}

/// A worker's number: never used twice in the life of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub(super) usize);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {}", self.0)
    }
}

/// Which jobs come first. Each has a queue of its own.
///
/// A job of a higher one is taken first, but one dispatch in [`AGING`](super::AGING) of each worker begins at each of the
/// lower levels, so that none is starved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// When there is nothing else to do.
    Low,
    /// What has not been given another.
    #[default]
    Normal,
    /// Before those.
    High,
    /// Before all.
    Urgent,
}

impl Priority {
    /// All of them, the first to be served first.
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// As in reports: lower case.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(super) fn level(self) -> usize {
        Self::Urgent as usize - self as usize
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// A function to run, with what is to be known about it.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Job, Pool, Priority};
/// use std::time::Duration;
///
/// let pool = Pool::builder().max_workers(2).build()?;
/// let job = Job::new(|| 6 * 7).priority(Priority::High).queue_timeout(Duration::from_secs(60));
/// assert_eq!(pool.submit_job(job)?.join()?.value, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a job does nothing until it is submitted"]
pub struct Job<W> {
    pub(super) work: W,
    pub(super) options: Options,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) priority: Priority,
    pub(super) run_timeout: Option<Duration>,
    pub(super) queue_timeout: Option<Duration>,
    pub(super) key: Option<u64>,
    pub(super) name: Option<Arc<str>>,
    pub(super) full: Option<Full>,
}

impl<F, R> Job<Plain<F>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    /// A job that runs `f`, once.
    pub fn new(f: F) -> Self {
        Self { work: Plain(f), options: Options::default() }
    }
}

impl<F, R> Job<Informed<F>>
where
    F: FnOnce(&JobContext<'_>) -> R + Send + 'static,
    R: Send + 'static,
{
    /// A job that runs `f`, once, and lets it ask whether it should stop, and how much time is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::{Job, Pool};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let job = Job::with_context(|job| (0..1_000).take_while(|_| !job.is_cancelled()).count());
    /// assert_eq!(pool.submit_job(job)?.join()?.value, 1_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_context(f: F) -> Self {
        Self { work: Informed(f), options: Options::default() }
    }
}

impl<F, R, E> Job<Fallible<F>>
where
    F: FnMut(&JobContext<'_>) -> Result<R, E> + Send + 'static,
    R: Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    /// A job that may fail. It is counted as failed then, and may be [tried again](Self::attempts).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::{Job, Pool};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let flaky = Job::fallible(|job| if job.attempt() < 3 { Err("not yet") } else { Ok(7) });
    /// let done = pool.submit_job(flaky.attempts(5))?.join()?;
    /// assert_eq!((done.value, done.attempt), (7, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fallible(f: F) -> Self {
        Self { work: Fallible { f, attempts: 1 }, options: Options::default() }
    }

    /// How often it is tried at the most, at once and on the same worker; 1 unless said otherwise.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.work.attempts = attempts.max(1);
        self
    }
}

impl<W> Job<W> {
    /// Which jobs it comes before; [`Normal`](Priority::Normal) unless said otherwise.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.options.priority = priority;
        self
    }

    /// How long it may run. Late, it has [timed out](JobError::TimedOut), at that moment, is asked to stop, and what it
    /// returns is dropped. Until it returns, the pool may have another worker in its place.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options.run_timeout = Some(limit);
        self
    }

    /// How long it may wait to be begun. Late, it has [timed out](JobError::TimedOut), at that moment, and never runs.
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.options.queue_timeout = Some(limit);
        self
    }

    /// Jobs of one key run one after the other, in the order in which they were submitted.
    ///
    /// Keys are told apart by a hash of 64 bits: two of them that share one wait for each other, and nothing worse.
    pub fn key(mut self, key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        self.options.key = Some(hasher.finish());
        self
    }

    /// What it is called, in reports of what does not end.
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.options.name = Some(name.into());
        self
    }

    /// What happens to it when there is no room; what the pool's [builder](super::Builder::on_full) said unless said
    /// otherwise.
    pub fn on_full(mut self, full: Full) -> Self {
        self.options.full = Some(full);
        self
    }
}

impl<W> fmt::Debug for Job<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a job does. Sealed: [`Plain`], [`Informed`], [`Fallible`] and [`Driven`](super::Driven), as made by [`Job`]'s constructors.
pub trait Work: sealed::Work {}

impl<W: sealed::Work> Work for W {}

pub(super) mod sealed {
    use super::{JobContext, JobError};

    pub trait Work: Send + 'static {
        type Output: Send + 'static;

        /// Called with panics caught around it.
        fn run(self, context: &mut JobContext<'_>) -> Result<Self::Output, JobError>;
    }
}

pub(super) fn try_once<R>(f: impl FnOnce() -> R) -> Result<R, JobError> {
    let _watch = panics::watch();
    catch(f)
        .map_err(|panicked| JobError::Panicked(JobPanic { panicked, backtrace: panics::take() }))
}

/// A function without arguments. See [`Job::new`].
pub struct Plain<F>(pub(super) F);

impl<F, R> sealed::Work for Plain<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn run(self, _: &mut JobContext<'_>) -> Result<R, JobError> {
        Ok((self.0)())
    }
}

/// A function that is told about its job. See [`Job::with_context`].
pub struct Informed<F>(F);

impl<F, R> sealed::Work for Informed<F>
where
    F: FnOnce(&JobContext<'_>) -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn run(self, context: &mut JobContext<'_>) -> Result<R, JobError> {
        Ok((self.0)(context))
    }
}

/// A function that may fail. See [`Job::fallible`].
pub struct Fallible<F> {
    f: F,
    attempts: u32,
}

impl<F, R, E> sealed::Work for Fallible<F>
where
    F: FnMut(&JobContext<'_>) -> Result<R, E> + Send + 'static,
    R: Send + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    type Output = R;

    fn run(self, context: &mut JobContext<'_>) -> Result<R, JobError> {
        let Self { mut f, attempts } = self;
        // An error that is not the last is dropped here, too.
        let tried = try_once(|| {
            loop {
                let error = match f(context) {
                    Ok(value) => return Ok(value),
                    Err(error) => error.into(),
                };
                if context.is_cancelled() {
                    return Err(JobError::Cancelled);
                }
                if context.attempt >= attempts {
                    return Err(JobError::Failed(error));
                }
                context.attempt += 1;
            }
        });
        // As a function that can be called once drops what it holds before it is done. For itself, lest two panics meet.
        let dropped = try_once(|| drop(f));
        tried.unwrap_or_else(Err).and_then(|value| dropped.map(|()| value))
    }
}

/// What a job may ask about itself while it runs, and what it may ask of its pool.
pub struct JobContext<'a> {
    pub(super) job: &'a dyn Runnable,
    pub(super) shared: &'a Arc<Shared>,
    pub(super) worker: Option<WorkerId>,
    pub(super) attempt: u32,
    pub(super) deadline: Option<Instant>,
}

impl JobContext<'_> {
    /// Which job this is.
    pub fn id(&self) -> JobId {
        self.job.meta().id
    }

    /// Which worker runs it, or thread in a worker's place; `None` on one that submitted it, waits for it, or shuts the pool down.
    pub fn worker(&self) -> Option<WorkerId> {
        self.worker
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether it should stop: it was cancelled, is late, or the pool is being shut down at once.
    pub fn is_cancelled(&self) -> bool {
        self.job.is_stopped()
    }

    /// When it will have timed out, if it has a limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// How much time is left; zero when it is late; `None` without a limit.
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.deadline?.saturating_duration_since(Instant::now()))
    }

    /// A context that is done when this job should stop, for the calls that take one.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pool::{Job, Pool}};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let (_sender, receiver) = channel::bounded::<u8>(1);
    /// let waits = Job::with_context(move |job| receiver.recv_ctx(&job.context()).is_err());
    /// let waits = pool.submit_job(waits)?;
    /// pool.shutdown_now(); // wakes it, wherever it sleeps
    /// # drop(waits);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn context(&self) -> Context {
        self.job.context()
    }

    /// Says how far it is, for whoever holds the [handle](JobHandle::progress).
    pub fn set_progress(&self, done: u64, total: u64) {
        self.job.set_progress(done, total);
    }

    /// Runs `f`, which will wait without using a processor. Meanwhile the pool may have another worker in this one's place, up
    /// to the [bound](super::Builder::max_compensation).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pool::{Job, Pool}};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let (sender, receiver) = channel::bounded(1);
    /// let waits = Job::with_context(move |job| job.blocking(|| receiver.recv()));
    /// let waits = pool.submit_job(waits)?;
    /// pool.submit(move || sender.send(7).unwrap())?; // runs, though the only worker waits
    /// assert_eq!(waits.join()?.value, Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking<T>(&self, f: impl FnOnce() -> T) -> T {
        let _section = self.wait_section();
        f()
    }

    /// Until this is dropped, the job waits without using a processor.
    pub(super) fn wait_section(&self) -> Option<Blocking> {
        self.worker.map(|worker| self.shared.begin_blocking(worker))
    }

    /// Submits a job to the pool of this one. See [`Pool::submit`](super::Pool::submit).
    ///
    /// # Errors
    ///
    /// As [`Pool::submit`](super::Pool::submit).
    pub fn submit<F, R>(&self, f: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.shared.submit_plain(f)
    }

    /// Submits a job to the pool of this one. See [`Pool::submit_job`](super::Pool::submit_job).
    ///
    /// # Errors
    ///
    /// As [`Pool::submit_job`](super::Pool::submit_job).
    pub fn submit_job<W: Work>(
        &self,
        job: Job<W>,
    ) -> Result<JobHandle<W::Output>, SubmitError<Job<W>>> {
        self.shared.submit_job(job, None)
    }
}

impl fmt::Debug for JobContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("id", &self.id())
            .field("worker", &self.worker)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
