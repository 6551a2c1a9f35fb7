//! Jobs that belong together: their outcomes as they come or in order, a limit, an end to all at the first failure.

use super::cell::Sink;
use super::job::{Job, Plain, Work};
use super::outcome::{JobError, JobResult, Outcome};
use super::places;
use super::queue::Entry;
use super::shared::Shared;
use super::submit::{Refusal, SubmitError, Submitter};
use super::worker;
use crate::core::wait::{Growable, WaitQueue};
use crate::foreign::discard;
use crate::{Context, lock, park};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::FusedIterator;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// Jobs whose outcomes are collected. Made by [`Pool::group`](super::Pool::group) and [`Pool::results`](super::Pool::results).
///
/// Dropping it lets its jobs run on.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::Pool;
///
/// let pool = Pool::builder().max_workers(4).build()?;
/// let squares = pool.group(2); // two at a time
/// for n in 1..=10_u32 {
///     squares.submit(move || n * n)?;
/// }
/// let squares: Vec<u32> = squares.join_all().into_iter().map(|job| job.unwrap().value).collect();
/// assert_eq!(squares, [1, 4, 9, 16, 25, 36, 49, 64, 81, 100]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The first that succeeds:
///
/// ```
/// use aqueduct::pool::{Job, Pool};
///
/// let pool = Pool::builder().max_workers(4).build()?;
/// let mirrors = pool.results();
/// mirrors.submit_job(Job::fallible(|_| Err::<&str, _>("down")))?;
/// mirrors.submit_job(Job::fallible(|_| Ok::<_, &str>("the file")))?;
/// assert_eq!(mirrors.first_success().unwrap().value, "the file");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Group<R> {
    pool: Arc<Shared>,
    tally: Arc<Tally<R>>,
}

/// What the jobs and the group share.
struct Tally<R> {
    state: Mutex<State<R>>,
    news: WaitQueue<Growable>,
    /// Ends with the group.
    context: Context,
    limit: usize,
    fail_fast: bool,
}

struct State<R> {
    /// Jobs that are on their way, and outcomes that nobody has taken, by their number in the group.
    jobs: BTreeMap<usize, Member<R>>,
    /// The numbers of those outcomes, as they came.
    arrived: VecDeque<usize>,
    next: usize,
    in_flight: usize,
    /// Workers that sleep until there is something to help with.
    helpers: usize,
}

enum Member<R> {
    /// It is being submitted.
    Coming,
    /// The same, but whoever submits it waits for room in the pool, or runs another job first.
    HeldUp,
    /// Itself, for whoever waits on a worker, until somebody has begun it.
    OnItsWay(Option<Entry>),
    Over(Outcome<R>),
}

impl<R: Send + 'static> Group<R> {
    pub(super) fn new(pool: &Arc<Shared>, limit: usize) -> Self {
        let state = State {
            jobs: BTreeMap::new(),
            arrived: VecDeque::new(),
            next: 0,
            in_flight: 0,
            helpers: 0,
        };
        let tally = Tally {
            state: Mutex::new(state),
            news: WaitQueue::with_storage(Growable::new()),
            context: Context::background(),
            limit: limit.max(1),
            fail_fast: false,
        };
        Self { pool: Arc::clone(pool), tally: Arc::new(tally) }
    }

    /// Ends the whole group at the first job that does not succeed: those that wait are cancelled, those that run are asked to stop,
    /// and none is taken any more. Before the first submission.
    ///
    /// # Panics
    ///
    /// If a job was submitted before.
    pub fn fail_fast(mut self) -> Self {
        let tally = Arc::get_mut(&mut self.tally).expect("fail_fast comes before the first job");
        tally.fail_fast = true;
        self
    }

    /// Submits a function; says its number in the group, from 0. While as many are on their way as the group may have, it waits;
    /// on a worker of the pool it runs one of them meanwhile.
    ///
    /// # Errors
    ///
    /// The function, handed back, if the group has ended, or as [`Pool::submit`](super::Pool::submit); on a worker, also as [full](Refusal::Full), while the group is at
    /// its limit and another thread waits for room in the pool with a job for it, if no worker [may](super::Builder::max_compensation) come in the place of this one.
    pub fn submit<F>(&self, f: F) -> Result<usize, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
    {
        let number = self.submit_job(Job::new(f));
        number.map_err(|error| error.map(|job: Job<Plain<F>>| job.work.0))
    }

    /// Submits a job. As [`submit`](Self::submit).
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit).
    pub fn submit_job<W: Work<Output = R>>(
        &self,
        job: Job<W>,
    ) -> Result<usize, SubmitError<Job<W>>> {
        // Taken where it is seen to be free, lest another take it meanwhile.
        let number = match self.wait_for(|state| {
            (state.in_flight < self.tally.limit).then(|| {
                let number = state.next;
                state.next += 1;
                state.in_flight += 1;
                state.jobs.insert(number, Member::Coming);
                number
            })
        }) {
            Ok(number) => number,
            Err(reason) => return Err(SubmitError { job, reason }),
        };
        if self.tally.context.is_done() {
            self.tally.withdraw(number);
            return Err(SubmitError { job, reason: Refusal::Cancelled });
        }
        let tally = Arc::clone(&self.tally);
        let sink: Sink<R> = Box::new(move |outcome| tally.arrive(number, outcome));
        let Job { work, options } = job;
        let on_hold = || self.tally.note(number, Member::HeldUp);
        let submitter = Submitter { context: Some(&self.tally.context), on_hold: Some(&on_hold) };
        match self.pool.accept(work, &options, submitter, Some(sink)) {
            Ok(handle) => {
                self.tally.note(number, Member::OnItsWay(Some(handle.entry())));
                Ok(number)
            }
            Err(SubmitError { job: work, reason }) => {
                self.tally.withdraw(number);
                Err(SubmitError { job: Job { work, options }, reason })
            }
        }
    }

    /// Cancels what waits, asks what runs to stop, and takes no more.
    pub fn cancel(&self) {
        self.tally.context.cancel();
    }

    /// The outcomes as they come, each with its number; ends after the last.
    pub fn completed(self) -> Completed<R> {
        Completed { group: self }
    }

    /// The outcomes in the order of submission; ends after the last.
    pub fn in_order(self) -> InOrder<R> {
        InOrder { group: self, next: 0 }
    }

    /// Waits for all, and gives their outcomes in the order of submission.
    pub fn join_all(self) -> Vec<Outcome<R>> {
        self.in_order().collect()
    }

    /// Waits for the first that succeeds, and cancels the others.
    ///
    /// # Errors
    ///
    /// All errors, in the order in which they came, if none succeeds.
    pub fn first_success(self) -> Result<JobResult<R>, Vec<JobError>> {
        let tally = Arc::clone(&self.tally);
        let mut errors = Vec::new();
        for (_, outcome) in self.completed() {
            match outcome {
                Ok(result) => {
                    tally.context.cancel();
                    return Ok(result);
                }
                Err(error) => errors.push(error),
            }
        }
        Err(errors)
    }

    /// Waits until `look` finds something. On a worker of the pool, jobs of the group that nobody has begun are run meanwhile.
    ///
    /// # Errors
    ///
    /// [`Refusal::Full`] on a worker, while whoever submits to the group is held up, perhaps until this very worker makes room: if none may come in its place.
    fn wait_for<T>(&self, mut look: impl FnMut(&mut State<R>) -> Option<T>) -> Result<T, Refusal> {
        let is_worker = worker::may_help(&self.pool);
        loop {
            // Of all that happens from here on it hears at the end of the round.
            let (news, turns) = (self.tally.news.wait(), self.pool.lines.news.wait());
            let mut from = 0;
            let is_one_held_up = loop {
                let mut state = lock(&self.tally.state);
                if let Some(found) = look(&mut state) {
                    return Ok(found);
                }
                let is_one_held_up = is_worker && state.is_one_held_up();
                let next = if is_worker { state.to_help(from) } else { None };
                state.helpers += usize::from(is_worker && next.is_none());
                drop(state);
                let Some((number, job)) = next else { break is_one_held_up };
                worker::help(&self.pool, &job);
                // One that stands in the line of its key, behind one that runs, can be helped later.
                if job.line().is_none() {
                    lock(&self.tally.state).forget(number);
                }
                discard(job);
                from = number + 1;
            };
            let section = if is_one_held_up { self.pool.begin_blocking_here() } else { None };
            if section.as_ref().is_some_and(|section| !section.is_made_up_for()) {
                lock(&self.tally.state).helpers -= 1;
                return Err(Refusal::Full);
            }
            let (mut news, mut turns) = (pin!(news), pin!(turns));
            let heard = poll_fn(|context| {
                let heard = news.as_mut().poll(context).is_ready()
                    || (is_worker && turns.as_mut().poll(context).is_ready());
                if heard { Poll::Ready(()) } else { Poll::Pending }
            });
            places::wait(&self.pool, || park::block_on(heard));
            if is_worker {
                lock(&self.tally.state).helpers -= 1;
            }
        }
    }
}

impl<R> State<R> {
    /// A job from this number on that perhaps nobody has begun.
    fn to_help(&self, from: usize) -> Option<(usize, Entry)> {
        self.jobs.range(from..).find_map(|(&number, member)| match member {
            Member::OnItsWay(job) => job.as_ref().map(|job| (number, Arc::clone(job))),
            Member::Coming | Member::HeldUp | Member::Over(_) => None,
        })
    }

    fn is_one_held_up(&self) -> bool {
        self.jobs.values().any(|member| matches!(member, Member::HeldUp))
    }

    /// Somebody has begun the job of this number.
    fn forget(&mut self, number: usize) {
        if let Some(Member::OnItsWay(job)) = self.jobs.get_mut(&number) {
            // Not the last hold: whoever has asked for it has one.
            *job = None;
        }
    }
}

impl<R> Tally<R> {
    /// How far the job of this number has come, unless it is over; workers that wait for something to help with look again.
    fn note(&self, number: usize, how_far: Member<R>) {
        let mut state = lock(&self.state);
        if let Some(member @ (Member::Coming | Member::HeldUp)) = state.jobs.get_mut(&number) {
            *member = how_far;
        }
        let is_wanted = state.helpers > 0;
        drop(state);
        if is_wanted {
            self.news.notify_all();
        }
    }

    /// The job of this number was not accepted.
    fn withdraw(&self, number: usize) {
        let mut state = lock(&self.state);
        state.jobs.remove(&number);
        state.in_flight -= 1;
        drop(state);
        self.news.notify_all();
    }

    fn arrive(&self, number: usize, outcome: Outcome<R>) {
        let ends_all = self.fail_fast && outcome.is_err();
        let mut state = lock(&self.state);
        let before = state.jobs.insert(number, Member::Over(outcome));
        state.arrived.push_back(number);
        state.in_flight -= 1;
        drop(state);
        drop(before);
        self.news.notify_all();
        if ends_all {
            self.context.cancel();
        }
    }
}

impl<R> fmt::Debug for Group<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_flight = lock(&self.tally.state).in_flight;
        f.debug_struct("Group").field("in_flight", &in_flight).finish_non_exhaustive()
    }
}

/// Whoever has the group's outcomes has the group.
const NOBODY_SUBMITS: &str = "nobody else has the group, to submit to it";

/// Outcomes as they come. Made by [`Group::completed`].
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are asked"]
pub struct Completed<R> {
    group: Group<R>,
}

impl<R: Send + 'static> Iterator for Completed<R> {
    type Item = (usize, Outcome<R>);

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.group.wait_for(|state| match state.arrived.pop_front() {
            Some(number) => match state.jobs.remove(&number) {
                Some(Member::Over(outcome)) => Some(Some((number, outcome))),
                _ => unreachable!("what has arrived is kept until it is taken"),
            },
            None => (state.in_flight == 0).then_some(None),
        });
        found.expect(NOBODY_SUBMITS)
    }
}

impl<R: Send + 'static> FusedIterator for Completed<R> {}

/// Outcomes in the order of submission. Made by [`Group::in_order`].
#[derive(Debug)]
#[must_use = "iterators do nothing unless they are asked"]
pub struct InOrder<R> {
    group: Group<R>,
    next: usize,
}

impl<R: Send + 'static> Iterator for InOrder<R> {
    type Item = Outcome<R>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = &mut self.next;
        let found = self.group.wait_for(|state| {
            // Numbers of jobs that were not accepted are missing.
            let Some((&number, member)) = state.jobs.range_mut(*next..).next() else {
                return Some(None);
            };
            if !matches!(member, Member::Over(_)) {
                return None;
            }
            let Some(Member::Over(outcome)) = state.jobs.remove(&number) else { return None };
            *next = number + 1;
            Some(Some(outcome))
        });
        found.expect(NOBODY_SUBMITS)
    }
}

impl<R: Send + 'static> FusedIterator for InOrder<R> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{JobHandle, Pool};

    fn until(what: impl Fn() -> bool) {
        while !what() {
            std::thread::yield_now();
        }
    }

    /// A group at its limit because of a job that another thread is about to submit; and a worker that submits to it as well, and waits.
    fn a_worker_behind_one_that_comes(pool: &Pool) -> (Arc<Group<()>>, JobHandle<Option<Refusal>>) {
        let group = Arc::new(pool.group(1));
        let mut state = lock(&group.tally.state);
        (state.next, state.in_flight) = (1, 1);
        state.jobs.insert(0, Member::Coming);
        drop(state);
        let inner = Arc::clone(&group);
        let job = move || inner.submit(|| ()).err().map(|error| error.reason);
        let job = pool.submit(job).unwrap();
        until(|| lock(&group.tally.state).helpers > 0 || job.is_finished());
        (group, job)
    }

    fn pool_of_one() -> Pool {
        Pool::builder().max_workers(1).max_compensation(0).build().unwrap()
    }

    #[test]
    fn a_worker_waits_for_whoever_is_about_to_submit() {
        let pool = pool_of_one();
        let (group, job) = a_worker_behind_one_that_comes(&pool);
        group.tally.withdraw(0);
        assert_eq!(job.join().unwrap().value, None);
        let group = Arc::into_inner(group).expect("the job has dropped its hold");
        assert_eq!(group.join_all().len(), 1);
    }

    #[test]
    fn a_worker_does_not_wait_for_whoever_waits_for_room() {
        let pool = pool_of_one();
        let (group, job) = a_worker_behind_one_that_comes(&pool);
        group.tally.note(0, Member::HeldUp);
        assert_eq!(job.join().unwrap().value, Some(Refusal::Full));
        group.tally.withdraw(0);
    }
}
