//! The books of a pool: what became of its jobs, how long they waited and ran, and what its workers do.
//!
//! Each worker counts for itself, under a lock that nobody else takes but to read; what happens elsewhere is counted in one
//! more place. A snapshot adds up.

use super::histogram::Histogram;
use super::job::Priority;
use super::phase::End;
use super::scale::ScaleEvent;
use std::time::Duration;

const LEVELS: usize = Priority::ALL.len();

/// One party's share of the books.
#[derive(Clone, Default)]
pub(super) struct Tally {
    ends: [u64; End::COUNT],
    /// Jobs that were not begun in time, among those that have timed out.
    expired: u64,
    /// Of priorities that were used.
    times: [Option<Box<Times>>; LEVELS],
}

#[derive(Clone, Default)]
struct Times {
    waits: Histogram,
    runs: Histogram,
}

impl Tally {
    pub(super) fn count(&mut self, end: End) {
        self.ends[end as usize] += 1;
    }

    pub(super) fn waited(&mut self, priority: Priority, time: Duration) {
        self.times(priority).waits.record(time);
    }

    /// A job waited so long, and was not begun in time.
    pub(super) fn expired(&mut self, priority: Priority, time: Duration) {
        self.count(End::TimedOut);
        self.waited(priority, time);
        self.expired += 1;
    }

    pub(super) fn ran(&mut self, priority: Priority, time: Duration) {
        self.times(priority).runs.record(time);
    }

    /// A light job waited and ran so long, in nanoseconds.
    pub(super) fn light(&mut self, wait: u64, run: u64) {
        let times = self.times(Priority::Normal);
        times.waits.record_nanos(wait);
        times.runs.record_nanos(run);
    }

    fn times(&mut self, priority: Priority) -> &mut Times {
        self.times[priority.level()].get_or_insert_default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, more) in self.ends.iter_mut().zip(other.ends) {
            *sum += more;
        }
        self.expired += other.expired;
        for (sum, more) in self.times.iter_mut().zip(&other.times) {
            if let Some(more) = more {
                let sum = sum.get_or_insert_default();
                sum.waits.add(&more.waits);
                sum.runs.add(&more.runs);
            }
        }
    }

    /// How many jobs are over.
    pub(super) fn over(&self) -> u64 {
        self.ends.iter().sum()
    }

    /// The queue waits of all priorities together.
    pub(super) fn waits(&self) -> Histogram {
        let mut sum = Histogram::default();
        self.times.iter().flatten().for_each(|times| sum.add(&times.waits));
        sum
    }

    /// How many were not begun in time.
    pub(super) fn all_expired(&self) -> u64 {
        self.expired
    }

    fn ended(&self, end: End) -> u64 {
        self.ends[end as usize]
    }
}

/// What the roster says, for a snapshot.
pub(super) struct Staff {
    pub(super) workers: usize,
    pub(super) idle: usize,
    pub(super) overdue: usize,
    pub(super) blocking: usize,
    pub(super) peak: usize,
    pub(super) spawn_failures: u64,
    pub(super) scalings: u64,
    pub(super) scale_events: Vec<ScaleEvent>,
}

/// A snapshot of a pool: made by [`Pool::metrics`](super::Pool::metrics).
///
/// Always, also while jobs come and go:
///
/// ```text
/// submitted = completed + failed + panicked + timed_out + cancelled + rejected + in_flight
/// ```
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Pool, Priority};
///
/// let pool = Pool::builder().max_workers(2).build()?;
/// pool.submit(|| ())?.join()?;
/// pool.submit(|| panic!("on purpose"))?.join().unwrap_err();
/// let metrics = pool.metrics();
/// assert_eq!((metrics.submitted, metrics.completed, metrics.panicked), (2, 1, 1));
/// assert_eq!(metrics.in_flight, 0);
/// println!("95 % waited at most {:?}", metrics.queue_wait(Priority::Normal).quantile(0.95));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Calls that submitted a job, whatever became of it.
    pub submitted: u64,
    /// Jobs whose function returned.
    pub completed: u64,
    /// Jobs whose function returned an error: see [`Job::fallible`](super::Job::fallible).
    pub failed: u64,
    /// Jobs whose function panicked.
    pub panicked: u64,
    /// Jobs that waited or ran too long.
    pub timed_out: u64,
    /// Jobs that were cancelled before they ran, or stopped because they were asked to.
    pub cancelled: u64,
    /// Jobs for which there was no room, or no pool any more.
    pub rejected: u64,
    /// Jobs that wait or run.
    pub in_flight: u64,
    /// Entries in the queues, the most urgent first; one whose job was ended while it waited counts until a worker comes to it.
    pub queued: [usize; LEVELS],
    /// Workers, those counted that are being started.
    pub workers: usize,
    /// Workers that rest.
    pub idle: usize,
    /// Workers that run a job beyond its limit.
    pub overdue: usize,
    /// Jobs in a [blocking](super::JobContext::blocking) section.
    pub blocking: usize,
    /// The most workers there ever were.
    pub peak_workers: usize,
    /// How often the system refused a thread.
    pub spawn_failures: u64,
    /// How often the number of workers changed.
    pub scalings: u64,
    /// The last of those changes, oldest first; at most [`SCALE_EVENTS`](super::SCALE_EVENTS).
    pub scale_events: Vec<ScaleEvent>,
    waits: [Histogram; LEVELS],
    runs: [Histogram; LEVELS],
}

impl PoolMetrics {
    /// Of jobs that are not over, counted after the rest: there may only be more.
    pub(super) fn new(
        tally: &Tally,
        queued: [usize; LEVELS],
        staff: Staff,
        in_flight: u64,
    ) -> Self {
        let times = |pick: fn(&Times) -> &Histogram| {
            tally
                .times
                .each_ref()
                .map(|times| times.as_deref().map(pick).cloned().unwrap_or_default())
        };
        Self {
            submitted: tally.over() + in_flight,
            completed: tally.ended(End::Completed),
            failed: tally.ended(End::Failed),
            panicked: tally.ended(End::Panicked),
            timed_out: tally.ended(End::TimedOut),
            cancelled: tally.ended(End::Cancelled),
            rejected: tally.ended(End::Rejected),
            in_flight,
            queued,
            workers: staff.workers,
            idle: staff.idle,
            overdue: staff.overdue,
            blocking: staff.blocking,
            peak_workers: staff.peak,
            spawn_failures: staff.spawn_failures,
            scalings: staff.scalings,
            scale_events: staff.scale_events,
            waits: times(|times| &times.waits),
            runs: times(|times| &times.runs),
        }
    }

    /// How long jobs of a priority waited to be begun, or until it was [too late](super::Job::queue_timeout) for that.
    pub fn queue_wait(&self, priority: Priority) -> &Histogram {
        &self.waits[priority.level()]
    }

    /// How long functions of jobs of a priority ran.
    pub fn run_time(&self, priority: Priority) -> &Histogram {
        &self.runs[priority.level()]
    }
}
