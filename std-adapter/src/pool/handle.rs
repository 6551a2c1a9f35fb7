//! The handle of a job: what it will come to.

use super::cell::{Awaited, Cancel};
use super::job::JobId;
use super::outcome::Outcome;
use super::places;
use super::queue::Entry;
use super::shared::Shared;
use super::worker::{help, may_help};
use crate::park::{self, deadline_after};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// A job that was accepted: its outcome, to be joined or awaited.
///
/// Dropping it lets the job run on; what it returns is dropped then.
///
/// # Examples
///
/// ```
/// use aqueduct::{park, pool::Pool};
/// use std::time::Duration;
///
/// let pool = Pool::builder().max_workers(2).build()?;
/// let joined = pool.submit(|| 1)?;
/// let mut limited = pool.submit(|| 2)?;
/// let awaited = pool.submit(|| 3)?;
/// assert_eq!(joined.join()?.value, 1);
/// let outcome = limited.join_timeout(Duration::from_secs(60)).expect("it is quick");
/// assert_eq!(outcome?.value, 2);
/// assert_eq!(park::block_on(awaited)?.value, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Waiting inside a job
///
/// A worker that joins a job of its own pool which nobody has begun runs that job itself, there and then. It never runs any other
/// while it waits: a job that has nothing to do with the one that waits may be long, or wait for what the latter holds. As what
/// a job joins has either begun or is begun by that, jobs that submit jobs and join them do not deadlock, be the pool
/// as small as it may. A job with a [key](super::Job::key) has others before it: those are run there too, as far as nobody has begun them.
///
/// What a job joins must not be behind it: a job that joins a later one of its own key waits for ever, for that one begins when it is
/// over. Nor does a worker know what it waits for where the handle is awaited in a future, or the outcome comes by some channel: say so
/// with [`JobContext::blocking`](super::JobContext::blocking).
///
/// # Cancel safety
///
/// As a future it may be polled, left and taken up again; the outcome is kept until it is taken.
///
/// # Panics
///
/// When the outcome is asked for again after it was given out.
#[must_use = "dropping a handle lets the job run on, unobserved"]
pub struct JobHandle<R> {
    pub(super) job: Arc<dyn Awaited<R>>,
    pub(super) pool: Arc<Shared>,
}

impl<R> JobHandle<R> {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// The outcome's own: see [`JobError`](super::JobError).
    pub fn join(self) -> Outcome<R>
    where
        R: 'static,
    {
        self.wait(None).expect("without a deadline there is no way out but the outcome")
    }

    /// Waits for the outcome, but not longer than `timeout`; `None` if it is not there by then.
    ///
    /// A worker that calls it runs the job as in [`join`](Self::join), and is not interrupted in that.
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Outcome<R>>
    where
        R: 'static,
    {
        self.wait(deadline_after(timeout))
    }

    /// Waits for the outcome, but not beyond `deadline`; `None` if it is not there by then.
    pub fn join_deadline(&mut self, deadline: Instant) -> Option<Outcome<R>>
    where
        R: 'static,
    {
        self.wait(Some(deadline))
    }

    /// The outcome, if it is there.
    pub fn try_join(&mut self) -> Option<Outcome<R>> {
        match self.job.poll(Waker::noop()) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    /// Ends the job if it has not begun, and what it holds is dropped here; asks it to stop if it runs.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::{Cancel, JobError, Pool};
    ///
    /// let pool = Pool::builder().max_workers(1).build()?;
    /// let (go, wait) = std::sync::mpsc::channel::<()>();
    /// let first = pool.submit(move || wait.recv().is_err())?;
    /// let second = pool.submit(|| unreachable!("the only worker is busy"))?;
    /// assert_eq!(second.cancel(), Cancel::Cancelled);
    /// assert!(matches!(second.join(), Err(JobError::Cancelled)));
    /// drop(go);
    /// assert!(first.join()?.value);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) -> Cancel {
        self.job.cancel(&self.pool)
    }

    /// Whether the outcome is there.
    pub fn is_finished(&self) -> bool {
        self.job.is_over()
    }

    /// Which job it is.
    pub fn id(&self) -> JobId {
        self.job.meta().id
    }

    /// How far it says that it is: so many of so many.
    pub fn progress(&self) -> Option<(u64, u64)> {
        self.job.progress()
    }

    /// Waits. In a place that was lent: without it. On a worker of the job's pool: runs the job, and what stands in its way, as far as
    /// nobody has begun it.
    fn wait(&self, deadline: Option<Instant>) -> Option<Outcome<R>>
    where
        R: 'static,
    {
        if may_help(&self.pool)
            && let Some(outcome) = self.wait_in_line(deadline)
        {
            return outcome;
        }
        let outcome = poll_fn(|context| self.job.poll(context.waker()));
        places::wait(&self.pool, || block_on(pin!(outcome), deadline))
    }

    /// On a worker: helps as long as the job stands in the line of its key. `None` when it does not; then it has begun somewhere, or is over.
    fn wait_in_line(&self, deadline: Option<Instant>) -> Option<Option<Outcome<R>>>
    where
        R: 'static,
    {
        loop {
            // From here on it hears of turns that are passed on.
            let mut news = pin!(self.pool.lines.news.wait());
            help(&self.pool, &self.entry());
            self.job.line()?;
            let either = poll_fn(|context| match self.job.poll(context.waker()) {
                Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
                Poll::Pending => news.as_mut().poll(context).map(|_| None),
            });
            match block_on(pin!(either), deadline) {
                Some(None) => {}
                Some(outcome) => return Some(outcome),
                None => return Some(None),
            }
        }
    }

    /// The job, as it lies in a queue.
    pub(super) fn entry(&self) -> Entry
    where
        R: 'static,
    {
        Arc::clone(&self.job).as_runnable()
    }
}

/// Holds the thread until it is ready; not beyond the deadline, if there is one.
fn block_on<F: Future>(future: Pin<&mut F>, deadline: Option<Instant>) -> Option<F::Output> {
    match deadline {
        None => Some(park::block_on(future)),
        Some(deadline) => park::block_on_deadline(future, deadline),
    }
}

impl<R> Future for JobHandle<R> {
    type Output = Outcome<R>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<R>> {
        self.job.poll(context.waker())
    }
}

// Nothing of a job is half-done when a panic passes: whoever catches it may go on with the handle.
impl<R> UnwindSafe for JobHandle<R> {}
impl<R> RefUnwindSafe for JobHandle<R> {}

impl<R> fmt::Debug for JobHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobHandle")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
