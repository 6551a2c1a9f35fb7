//! One question to many, and when there are enough answers.

use crate::context::{Context, ContextError};
use crate::park::deadline_after;
use crate::pool::{Job, JobError, JobHandle, JobResult, Outcome, Pool, Refusal, Work};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Asks many at once, on the workers of `pool`: all of them, the first that succeeds, so many of them, or as many as answer in time.
///
/// # Examples
///
/// Two of three, and no longer than ten seconds:
///
/// ```
/// use aqueduct::{fan, pool::{Job, Pool}};
/// use std::time::Duration;
///
/// let pool = Pool::builder().max_workers(3).build()?;
/// let replicas = [Ok(7), Err("down"), Ok(7)];
/// let read = fan::scatter(&pool)
///     .timeout(Duration::from_secs(10))
///     .quorum(2, replicas.map(|replica| Job::fallible(move |_| replica)))?;
/// assert!(read.values.iter().all(|(_, value)| *value == 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The first that succeeds:
///
/// ```
/// # use aqueduct::{fan, pool::{Job, Pool}};
/// # let pool = Pool::builder().max_workers(2).build().unwrap();
/// let mirrors = ["", "the file"];
/// let file = fan::scatter(&pool).first(mirrors.map(|mirror| {
///     Job::fallible(move |_| if mirror.is_empty() { Err("down") } else { Ok(mirror) })
/// }));
/// assert_eq!(file.unwrap(), "the file");
/// ```
pub fn scatter(pool: &Pool) -> Scatter<'_> {
    Scatter { pool, context: None, deadline: None }
}

/// Jobs that are answered together. Made by [`scatter`].
///
/// When there are enough answers, or there cannot be any more, or it is time, the rest is cancelled: what waits in the queue is not begun,
/// what runs is [asked to stop](crate::pool::JobContext::is_cancelled) and not waited for. It stays with its worker, so no thread
/// is left behind; that is why this wants a pool and no scope, which would have to wait for the slowest.
///
/// While the pool's queue is full, it waits for room, within the same limits. Called on a worker of the pool it begins jobs that
/// nobody has begun, so that it needs no second worker; one that it has begun it finishes, whatever the time.
#[derive(Clone, Debug)]
#[must_use = "it asks nobody until `all`, `first`, `quorum` or `each` is called"]
pub struct Scatter<'a> {
    pool: &'a Pool,
    context: Option<Context>,
    deadline: Option<Instant>,
}

/// What came of it. `values`, `failed` and `unfinished` are together all jobs, each once, by their places among them.
pub struct Gathered<R> {
    /// The answers, as they came.
    pub values: Vec<(usize, R)>,
    /// Those that failed, and how.
    pub failed: Vec<(usize, Unanswered)>,
    /// Those that had not answered: late, or no more needed.
    pub unfinished: Vec<usize>,
    /// Why it ended.
    pub end: GatherEnd,
}

/// Why a [`Scatter`] waited no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherEnd {
    /// All have answered, or failed.
    Complete,
    /// There were enough answers.
    Enough,
    /// So many had failed that there could not be enough answers any more.
    Hopeless,
    /// The time was up, or the context was done.
    Done(ContextError),
}

/// Why one did not answer.
#[derive(Debug)]
pub enum Unanswered {
    /// The pool did not take the job.
    Refused(Refusal),
    /// It took the job, which did not succeed.
    Failed(JobError),
}

impl Scatter<'_> {
    /// Ends when `context` is done.
    pub fn context(mut self, context: &Context) -> Self {
        self.context = Some(context.clone());
        self
    }

    /// Ends at `deadline`.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends in `timeout`. One too long for the clock is none.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = deadline_after(timeout);
        self
    }

    /// The answers of all, in the order of the jobs.
    ///
    /// # Errors
    ///
    /// What there is, as soon as one has failed, or when it is time.
    pub fn all<W: Work>(
        self,
        jobs: impl IntoIterator<Item = Job<W>>,
    ) -> Result<Vec<W::Output>, Gathered<W::Output>>
    where
        W::Output: Send + 'static,
    {
        let mut gathered = self.gather(jobs, None, true)?;
        gathered.values.sort_unstable_by_key(|(nth, _)| *nth);
        Ok(gathered.values.into_iter().map(|(_, value)| value).collect())
    }

    /// The first answer.
    ///
    /// # Errors
    ///
    /// What there is (failures, and who is late), when all have failed, or when it is time.
    pub fn first<W: Work>(
        self,
        jobs: impl IntoIterator<Item = Job<W>>,
    ) -> Result<W::Output, Gathered<W::Output>>
    where
        W::Output: Send + 'static,
    {
        let mut gathered = self.gather(jobs, Some(1), true)?;
        Ok(gathered.values.swap_remove(0).1)
    }

    /// The first `count` answers, which say who gave them.
    ///
    /// # Errors
    ///
    /// What there is, as soon as so many have failed that there cannot be `count` answers, or when it is time.
    pub fn quorum<W: Work>(
        self,
        count: usize,
        jobs: impl IntoIterator<Item = Job<W>>,
    ) -> Result<Gathered<W::Output>, Gathered<W::Output>>
    where
        W::Output: Send + 'static,
    {
        self.gather(jobs, Some(count), true)
    }

    /// What comes of each, until it is time.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{context::ContextError, fan::{self, GatherEnd}, pool::{Job, Pool}, sync::Event};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// let repaired = Arc::new(Event::new());
    /// let jobs = ["a mirror", "a mirror that hangs"].map(|mirror| {
    ///     let repaired = repaired.clone();
    ///     Job::new(move || {
    ///         if mirror.ends_with("hangs") {
    ///             repaired.wait();
    ///         }
    ///         mirror
    ///     })
    /// });
    /// let gathered = fan::scatter(&pool).timeout(Duration::from_millis(50)).each(jobs);
    /// for (_, mirror) in &gathered.values {
    ///     assert_eq!(*mirror, "a mirror");
    /// }
    /// assert!(gathered.unfinished.contains(&1));
    /// assert_eq!(gathered.end, GatherEnd::Done(ContextError::DeadlineExceeded));
    /// repaired.set();
    /// # Ok::<(), aqueduct::pool::BuildError>(())
    /// ```
    pub fn each<W: Work>(self, jobs: impl IntoIterator<Item = Job<W>>) -> Gathered<W::Output>
    where
        W::Output: Send + 'static,
    {
        match self.gather(jobs, None, false) {
            Ok(gathered) | Err(gathered) => gathered,
        }
    }

    /// Waits for `need` answers, or for those of all; and gives up when that is hopeless, if it is to be.
    fn gather<W: Work>(
        self,
        jobs: impl IntoIterator<Item = Job<W>>,
        need: Option<usize>,
        gives_up: bool,
    ) -> Result<Gathered<W::Output>, Gathered<W::Output>>
    where
        W::Output: Send + 'static,
    {
        let parent = self.context.unwrap_or_default();
        let context = match self.deadline {
            Some(deadline) => parent.with_deadline(deadline),
            None => parent.child(),
        };
        let _rest_is_cancelled = context.cancel_guard();
        let mut round = Round::default();
        for job in jobs {
            let nth = round.count;
            round.count += 1;
            match self.pool.submit_job_ctx(&context, job) {
                Ok(handle) => round.pending.push((nth, handle)),
                Err(refused) => round.failed.push((nth, Unanswered::Refused(refused.reason))),
            }
        }
        round.need = need.unwrap_or(round.count);
        round.gives_up = gives_up;

        // On a worker this runs what nobody has begun.
        let now = Instant::now();
        let mut end = round.sweep(|handle| handle.join_deadline(now));
        if end.is_none() {
            let answers = pin!(poll_fn(|cx| {
                let end = round.sweep(|handle| match Pin::new(handle).poll(cx) {
                    Poll::Ready(outcome) => Some(outcome),
                    Poll::Pending => None,
                });
                end.map_or(Poll::Pending, Poll::Ready)
            }));
            end = match context.block_on(answers) {
                Ok(end) => Some(end),
                // What has come by now has come in time.
                Err(error) => {
                    let last = round.sweep(|handle| handle.try_join().filter(Outcome::is_ok));
                    Some(last.unwrap_or(GatherEnd::Done(error)))
                }
            };
        }
        round.end(end.expect("it was waited for"))
    }
}

/// One round of questions.
struct Round<R> {
    count: usize,
    need: usize,
    gives_up: bool,
    pending: Vec<(usize, JobHandle<R>)>,
    values: Vec<(usize, R)>,
    failed: Vec<(usize, Unanswered)>,
}

impl<R> Default for Round<R> {
    fn default() -> Self {
        let (pending, values, failed) = (Vec::new(), Vec::new(), Vec::new());
        Self { count: 0, need: 0, gives_up: false, pending, values, failed }
    }
}

impl<R> Round<R> {
    /// Asks those that are pending, until it is decided. Says why it is over, if it is.
    fn sweep(
        &mut self,
        mut ask: impl FnMut(&mut JobHandle<R>) -> Option<Outcome<R>>,
    ) -> Option<GatherEnd> {
        let mut at = 0;
        loop {
            if self.pending.is_empty() && !(self.gives_up && self.values.len() < self.need) {
                return Some(GatherEnd::Complete);
            }
            if self.gives_up && self.values.len() >= self.need {
                return Some(GatherEnd::Enough);
            }
            if self.gives_up && self.failed.len().saturating_add(self.need) > self.count {
                return Some(GatherEnd::Hopeless);
            }
            let (nth, handle) = self.pending.get_mut(at)?;
            match ask(handle) {
                None => at += 1,
                Some(Ok(JobResult { value, .. })) => {
                    self.values.push((*nth, value));
                    drop(self.pending.swap_remove(at));
                }
                Some(Err(error)) => {
                    self.failed.push((*nth, Unanswered::Failed(error)));
                    drop(self.pending.swap_remove(at));
                }
            }
        }
    }

    fn end(self, end: GatherEnd) -> Result<Gathered<R>, Gathered<R>> {
        let mut unfinished: Vec<_> = self.pending.iter().map(|(nth, _)| *nth).collect();
        unfinished.sort_unstable();
        let gathered = Gathered { values: self.values, failed: self.failed, unfinished, end };
        match end {
            GatherEnd::Complete | GatherEnd::Enough => Ok(gathered),
            GatherEnd::Hopeless | GatherEnd::Done(_) => Err(gathered),
        }
    }
}

impl<R> fmt::Display for Gathered<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (values, failed) = (self.values.len(), self.failed.len());
        write!(f, "{values} answered, {failed} failed, {} did not answer", self.unfinished.len())
    }
}

impl<R> fmt::Debug for Gathered<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gathered")
            .field("values", &self.values.len())
            .field("failed", &self.failed)
            .field("unfinished", &self.unfinished)
            .field("end", &self.end)
            .finish()
    }
}

impl<R> Error for Gathered<R> {
    /// The first failure.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.failed.first().map(|(_, error)| error as _)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Error for Unanswered {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(_) => None,
            Self::Failed(error) => error.source(),
        }
    }
}
