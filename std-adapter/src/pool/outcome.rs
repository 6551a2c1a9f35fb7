//! What becomes of a job.

use super::job::{JobId, WorkerId};
use crate::thread::Panicked;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What became of a job: exactly one for each that a pool has accepted.
pub type Outcome<R> = Result<JobResult<R>, JobError>;

/// A job that was done: what it returned, and how it went.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::Pool;
///
/// let pool = Pool::builder().max_workers(1).build()?;
/// let done = pool.submit(|| 6 * 7)?.join()?;
/// assert_eq!((done.value, done.attempt), (42, 1));
/// println!("{} waited {:?} and took {:?}", done.id, done.queued_for, done.ran_for);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobResult<R> {
    /// What the function returned.
    pub value: R,
    /// Which job it was.
    pub id: JobId,
    /// From the submission to the start.
    pub queued_for: Duration,
    /// From the start to the end, all attempts together.
    pub ran_for: Duration,
    /// Which worker ran it, or thread in a worker's place; `None` if it was one that submitted it, waits for it, or shuts the pool down.
    pub worker: Option<WorkerId>,
    /// Which attempt it was, from 1.
    pub attempt: u32,
}

/// Why a job has no result.
#[derive(Debug)]
#[non_exhaustive]
pub enum JobError {
    /// Its function panicked.
    Panicked(JobPanic),
    /// Its function, one of [`Job::fallible`](super::Job::fallible), returned an error, the last time that it was tried.
    Failed(Box<dyn Error + Send + Sync>),
    /// It was late.
    TimedOut(Limit),
    /// It was cancelled before it ran, or stopped because it was asked to.
    Cancelled,
    /// There was no room for it.
    Rejected(Rejection),
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panic) => write!(f, "job panicked: {}", panic.message()),
            Self::Failed(_) => f.write_str("job failed"),
            Self::TimedOut(Limit::Queue) => f.write_str("job waited too long in the queue"),
            Self::TimedOut(Limit::Run) => f.write_str("job ran too long"),
            Self::Cancelled => f.write_str("job cancelled"),
            Self::Rejected(Rejection::Displaced) => f.write_str("job displaced by a newer one"),
            Self::Rejected(Rejection::ShutDown) => f.write_str("the pool is shut down"),
            Self::Rejected(Rejection::Dropped) => f.write_str("job dropped, the queue is full"),
        }
    }
}

impl Error for JobError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => Some(&**error),
            Self::Panicked(panic) => Some(&panic.panicked),
            _ => None,
        }
    }
}

/// Which limit a job has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// It was not begun in time.
    Queue,
    /// It was not done in time. Its function may still be running; it was asked to stop.
    Run,
}

/// How a job that had been accepted lost its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// A newer one took it: [`Full::DropOldest`](super::Full::DropOldest).
    Displaced,
    /// There was none: [`Full::DropNewest`](super::Full::DropNewest).
    Dropped,
    /// The pool takes nothing any more: [`Pool::run`](super::Pool::run), [`Scope::submit`](super::Scope::submit).
    ShutDown,
}

/// The panic of a job.
#[derive(Debug)]
pub struct JobPanic {
    pub(super) panicked: Panicked,
    pub(super) backtrace: Option<String>,
}

impl JobPanic {
    /// What was said to `panic!`; a placeholder if the payload is not text.
    pub fn message(&self) -> &str {
        self.panicked.message()
    }

    /// Where it came from, if the pool [captures](super::Builder::capture_backtraces) that.
    pub fn backtrace(&self) -> Option<&str> {
        self.backtrace.as_deref()
    }

    /// The panic itself: its payload, and the way to let it go on.
    pub fn into_panicked(self) -> Panicked {
        self.panicked
    }
}
