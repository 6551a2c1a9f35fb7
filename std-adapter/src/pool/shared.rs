//! What everybody who has to do with a pool shares.

use super::builder::Settings;
use super::cell::Meta;
use super::job::WorkerId;
use super::keyed::Lines;
use super::metrics::{PoolMetrics, Tally};
use super::phase::End;
use super::places::Away;
use super::queue::{Entry, Queued, Queues};
use super::roster::Roster;
use super::shutdown::Clearing;
use super::worker::Slot;
use crate::core::crew::{Crew, Notice, Numbers};
use crate::core::semaphore::{Fair, Semaphore};
use crate::core::wait::{Growable, WaitQueue};
use crate::{lock, park};
use crossbeam_utils::CachePadded;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The way in to a pool without a queue: a permit for each worker that there [may be](Shared::fit_door) now, late and blocked jobs made up for.
pub(super) type Door = Semaphore<Fair, Growable>;

/// What is written at each submission keeps to cache lines of its own.
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) queues: CachePadded<Queues>,
    pub(super) crew: CachePadded<Crew>,
    pub(super) numbers: CachePadded<Numbers>,
    /// The time, while workers [show](Self::show_time) it; else 0.
    pub(super) tick: CachePadded<Notice>,
    pub(super) lines: Lines,
    pub(super) door: Option<Arc<Door>>,
    pub(super) roster: CachePadded<Mutex<Roster>>,
    /// The desk of all threads that are no workers: what they run, and what is counted elsewhere than on workers.
    pub(super) outside: Arc<Slot>,
    /// The workers that are stuck. A leaf among the locks.
    pub(super) away: Mutex<Away>,
    /// Those who wait for something to come to its end look again.
    pub(super) quiet: WaitQueue<Growable>,
    pub(super) built: Instant,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        let capacity = settings.queue_capacity;
        let door = (capacity == 0).then(|| {
            let permits = settings.max_workers;
            Arc::new(Semaphore::with_policy(permits, Fair, Growable::new()))
        });
        let roster = Mutex::new(Roster::new(&settings)).into();
        Arc::new(Self {
            queues: Queues::new(if capacity == 0 { HAND_OVER } else { capacity }).into(),
            lines: Lines::new(capacity.max(1)),
            settings,
            crew: Crew::new().into(),
            numbers: Numbers::new().into(),
            tick: Notice::new().into(),
            door,
            roster,
            outside: Slot::new(WorkerId(usize::MAX)),
            away: Mutex::default(),
            quiet: WaitQueue::with_storage(Growable::new()),
            built: Instant::now(),
        })
    }

    /// A job ended elsewhere than on a worker, or before it ran.
    pub(super) fn count(&self, end: End) {
        self.outside.count(end);
    }

    /// A job was not begun in time.
    pub(super) fn count_expired(&self, job: &Meta) {
        let waited = Duration::from_nanos(self.now().saturating_sub(job.submitted));
        self.outside.end_light(None, |books| books.expired(job.priority, waited));
    }

    /// The next job of a key, unless it could be put into a queue.
    pub(super) fn next_of_key(self: &Arc<Self>, key: u64) -> Option<Entry> {
        let next = self.lines.next(key)?;
        let queued = self.queues.push(next.meta().priority, Arc::clone(&next)).is_ok();
        if queued {
            self.call_if_needed();
        }
        self.lines.news.notify_all();
        // No room, or no more: whoever is at it runs it.
        (!queued).then_some(next)
    }

    /// The turn of the key was taken from a job that is over.
    pub(super) fn pass_turn_on(self: &Arc<Self>, key: u64) {
        // While the next is in the line, or in these hands, nobody says that all is done.
        let _clearing = Clearing::unless_worker(self);
        if let Some(next) = self.next_of_key(key) {
            self.run_or_set_aside(Queued::Job(next));
        }
    }

    /// Lets those look again who wait for an end.
    pub(super) fn tell_quiet(&self) {
        self.quiet.notify_all();
    }

    /// Waits until `is_so`, looking whenever something has ended; false if that was not before the deadline.
    pub(super) fn wait_until(
        &self,
        deadline: Option<Instant>,
        mut is_so: impl FnMut() -> bool,
    ) -> bool {
        loop {
            let news = pin!(self.quiet.wait());
            if is_so() {
                return true;
            }
            let heard = match deadline {
                None => park::block_on(news).is_ok(),
                Some(deadline) => park::block_on_deadline(news, deadline).is_some(),
            };
            if !heard {
                return is_so();
            }
        }
    }

    /// All books together, and how many jobs are not over, going by the number of submissions, read after them.
    pub(super) fn read_books(&self) -> (Tally, u64) {
        // Locked, lest a worker that goes be counted twice, or not at all.
        let roster = lock(&self.roster);
        let sum = self.add_tallies(&roster);
        let in_flight = in_flight(self.numbers.given(), sum.over());
        (sum, in_flight)
    }

    /// Whether every job that was submitted has its outcome.
    pub(super) fn is_quiet(&self) -> bool {
        self.read_books().1 == 0
    }

    pub(super) fn metrics(&self) -> PoolMetrics {
        let staff = self.staff();
        let queued = self.queues.lengths();
        let (tally, in_flight) = self.read_books();
        PoolMetrics::new(&tally, queued, staff, in_flight)
    }
}

/// How many jobs are not over. The numbers of jobs begin anew where a word ends, on a 32-bit target after 2^32; the ends are counted on.
fn in_flight(given: usize, over: u64) -> u64 {
    given.wrapping_sub(over as usize) as u64
}

/// Places of a queue that nobody waits in: jobs on their way to a worker that is free.
const HAND_OVER: usize = 256;

#[cfg(test)]
mod tests {
    use super::in_flight;

    /// For the words of this target; 32 bits are a matter of a minute.
    #[test]
    fn what_is_in_flight_is_so_also_where_the_numbers_begin_anew() {
        let last = usize::MAX;
        for over in [0, 1, last / 2, last - 2, last - 1, last] {
            for open in [0, 1, 3, 1_000] {
                let given = over.wrapping_add(open);
                assert_eq!(in_flight(given, over as u64), open as u64, "{over} are over");
            }
        }
        // More ends than a number has room for.
        let over = (last as u64).saturating_add(8);
        let given = (over as usize).wrapping_add(5);
        assert_eq!(in_flight(given, over), 5);
    }
}
