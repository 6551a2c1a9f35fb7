//! One question to many, and when there are enough answers.

use crate::context::{Context, ContextError};
use crate::lock;
use crate::park::deadline_after;
use crate::pool::{Job, JobError, JobHandle, JobResult, Outcome, Pool, Refusal, Work};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// Asks many at once, on the workers of `pool`: all of them, the first that succeeds, so many of them, or as many as answer in time.
///
/// # Examples
///
/// Two of three, and no longer than a minute:
///
/// ```
/// use aqueduct::{fan, pool::{Job, Pool}};
/// use std::time::Duration;
///
/// let pool = Pool::builder().max_workers(3).build()?;
/// let replicas = [Ok(7), Err("down"), Ok(7)];
/// let read = fan::scatter(&pool)
///     .timeout(Duration::from_secs(60))
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
/// When there are enough answers, or there cannot be any more, or it is time, the rest is cancelled: no further job is submitted, what waits in the queue
/// is not begun, what runs is [asked to stop](crate::pool::JobContext::is_cancelled) and not waited for. It stays with its worker, so no thread
/// is left behind; that is why this wants a pool and no scope, which would have to wait for the slowest.
///
/// While the pool's queue is full, it waits for room, within the same limits. Called on a worker of the pool it begins jobs that
/// nobody has begun, so that it needs no second worker; one that it has begun it finishes, whatever the time.
///
/// The jobs may be endlessly many: they are taken from their iterator while it is not decided, and one that does not say how many there will be
/// [at most](Iterator::size_hint) is not asked for another then.
#[derive(Clone, Debug)]
#[must_use = "it asks nobody until `all`, `first`, `quorum` or `each` is called"]
pub struct Scatter<'a> {
    pool: &'a Pool,
    context: Option<Context>,
    deadline: Option<Instant>,
}

/// What came of it. `values`, `failed` and `unfinished` are together all jobs, each once, by their places among them; without those
/// that an iterator that may have no end was not asked for.
pub struct Gathered<R> {
    /// The answers, as they came.
    pub values: Vec<(usize, R)>,
    /// Those that failed, and how.
    pub failed: Vec<(usize, Unanswered)>,
    /// Those that had not answered: late, or no more needed; and those that were not submitted for such a reason.
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
        let mut round = Round::new(gives_up, context.clone());
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            match self.pool.submit_job_ctx(&context, job) {
                Ok(handle) => round.ask(handle),
                Err(refused) => round.refused(refused.reason),
            }
            if round.is_decided(need, jobs.size_hint().1) || context.is_done() {
                round.leave_out(jobs);
                break;
            }
        }
        round.need = need.unwrap_or(round.count);

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
                    let last = round.sweep(JobHandle::try_join);
                    Some(last.unwrap_or(GatherEnd::Done(error)))
                }
            };
        }
        round.end(end.expect("it was waited for"))
    }
}

/// One round of questions.
struct Round<R> {
    /// Ends those that are asked.
    context: Context,
    count: usize,
    need: usize,
    gives_up: bool,
    pending: BTreeMap<usize, JobHandle<R>>,
    values: Vec<(usize, R)>,
    failed: Vec<(usize, Unanswered)>,
    /// Some of them were asked, and not only refused.
    has_failed: bool,
    /// Who had answered before it could be noted who is to hear of it.
    at_once: Option<(usize, Outcome<R>)>,
    /// Those that nobody was asked to do.
    left_out: Vec<usize>,
    /// There are such, or there may be.
    is_cut_short: bool,
    /// Who has answered while others were still being asked.
    answered: Arc<Mutex<Vec<usize>>>,
}

/// Writes down that one has answered, whoever wakes it.
struct Note {
    nth: usize,
    answered: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        lock(&self.answered).push(self.nth);
    }
}

impl<R> Round<R> {
    fn new(gives_up: bool, context: Context) -> Self {
        Self {
            context,
            count: 0,
            need: 0,
            gives_up,
            pending: BTreeMap::new(),
            values: Vec::new(),
            failed: Vec::new(),
            has_failed: false,
            at_once: None,
            left_out: Vec::new(),
            is_cut_short: false,
            answered: Arc::default(),
        }
    }

    /// One more that is to answer.
    fn ask(&mut self, handle: JobHandle<R>) {
        let nth = self.count;
        self.count += 1;
        self.pending.insert(nth, handle);
        self.at_once = self.answer_of(nth).map(|outcome| (nth, outcome));
    }

    /// One more that the pool did not take.
    fn refused(&mut self, why: Refusal) {
        match why {
            // It was late, as those behind it are.
            Refusal::Cancelled => self.left_out.push(self.count),
            _ => self.failed.push((self.count, Unanswered::Refused(why))),
        }
        self.count += 1;
    }

    /// Its answer, if it is there; if not, it will be [written down](Note) when it is.
    fn answer_of(&mut self, nth: usize) -> Option<Outcome<R>> {
        let handle = self.pending.get_mut(&nth)?;
        let answered = Arc::clone(&self.answered);
        let waker = Waker::from(Arc::new(Note { nth, answered }));
        match Pin::new(handle).poll(&mut task::Context::from_waker(&waker)) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        }
    }

    fn settle(&mut self, nth: usize, outcome: Outcome<R>) {
        match outcome {
            Ok(JobResult { value, .. }) => self.values.push((nth, value)),
            // It has not failed: the time was up.
            Err(JobError::Cancelled) if self.context.is_done() => self.left_out.push(nth),
            Err(error) => {
                self.has_failed = true;
                self.failed.push((nth, Unanswered::Failed(error)));
            }
        }
        drop(self.pending.remove(&nth));
    }

    /// Takes the answers that have come, as they came, and says whether it is decided; there may be so many more to ask.
    fn is_decided(&mut self, need: Option<usize>, more: Option<usize>) -> bool {
        let answered = std::mem::take(&mut *lock(&self.answered));
        for nth in answered {
            if self.is_over(need, more) {
                return true;
            }
            if let Some(outcome) = self.answer_of(nth) {
                self.settle(nth, outcome);
            }
        }
        // It was found behind those, which had been written down by then.
        if let Some((nth, outcome)) = self.at_once.take()
            && !self.is_over(need, more)
        {
            self.settle(nth, outcome);
        }
        self.is_over(need, more)
    }

    /// Whether there are enough answers, or there cannot be.
    fn is_over(&self, need: Option<usize>, more: Option<usize>) -> bool {
        // All are to answer.
        let Some(need) = need else { return self.gives_up && !self.failed.is_empty() };
        let all = more.and_then(|more| self.count.checked_add(more));
        let most = all.map(|all| all.saturating_sub(self.failed.len()));
        let is_hopeless = self.has_failed && most.is_some_and(|most| most < need);
        self.values.len() >= need || is_hopeless
    }

    /// These are not asked any more.
    fn leave_out(&mut self, jobs: impl Iterator) {
        let first = self.count;
        // Where it is not known how many they are, there may be no end of them.
        let has_end = jobs.size_hint().1.is_some();
        if has_end {
            self.count += jobs.count();
            self.left_out.extend(first..self.count);
        }
        self.is_cut_short = !has_end || self.count > first;
    }

    /// Asks those that are pending, until it is decided. Says why it is over, if it is.
    fn sweep(
        &mut self,
        mut ask: impl FnMut(&mut JobHandle<R>) -> Option<Outcome<R>>,
    ) -> Option<GatherEnd> {
        let mut from = 0;
        loop {
            let all_are_over =
                self.pending.is_empty() && self.left_out.is_empty() && !self.is_cut_short;
            if all_are_over && !(self.gives_up && self.values.len() < self.need) {
                return Some(GatherEnd::Complete);
            }
            if self.gives_up && self.values.len() >= self.need {
                return Some(GatherEnd::Enough);
            }
            if self.gives_up && self.failed.len().saturating_add(self.need) > self.count {
                return Some(GatherEnd::Hopeless);
            }
            let (&nth, handle) = self.pending.range_mut(from..).next()?;
            from = nth + 1;
            if let Some(outcome) = ask(handle) {
                self.settle(nth, outcome);
            }
        }
    }

    fn end(self, end: GatherEnd) -> Result<Gathered<R>, Gathered<R>> {
        let mut unfinished: Vec<_> = self.pending.into_keys().chain(self.left_out).collect();
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
