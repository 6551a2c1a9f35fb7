//! Where jobs wait: a bounded channel of core per priority, what is set aside, and which of them is served next.

use super::cell::Runnable;
use super::job::Priority;
use super::light::Light;
use super::outcome::JobError;
use super::shared::Shared;
use super::worker::{Inside, run_inside};
use crate::core::channel::{Channel, TrySendError};
use crate::core::crew::Notice;
use crate::foreign::discard;
use crate::lock;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};

/// A job that has an outcome, whatever it returns.
pub(super) type Entry = Arc<dyn Runnable>;

/// What lies in a queue.
pub(super) enum Queued {
    Job(Entry),
    Light(Light),
}

impl Queued {
    /// That which somebody wanted to put in as a light one.
    pub(super) fn into_light(self) -> Light {
        match self {
            Self::Light(light) => light,
            Self::Job(_) => unreachable!("what is refused is what was to be queued"),
        }
    }

    fn priority(&self) -> Priority {
        match self {
            Self::Job(job) => job.meta().priority,
            Self::Light(_) => Priority::Normal,
        }
    }

    /// Runs it on this thread.
    pub(super) fn run_here(self, shared: &Arc<Shared>) {
        let _inside = Inside::one_more();
        match self {
            Self::Job(job) => {
                run_inside(shared, &job);
                // What it returned has a destructor of the user's.
                discard(job);
            }
            Self::Light(light) => light.run_here(shared),
        }
    }

    /// Ends it unrun; false if it was over, or runs.
    pub(super) fn end(self, shared: &Arc<Shared>, error: JobError) -> bool {
        match self {
            Self::Job(job) => {
                let is_ended = job.end_queued(shared, error);
                discard(job);
                is_ended
            }
            Self::Light(light) => {
                light.end(shared, &error);
                true
            }
        }
    }
}

/// How many dispatches of a worker contain one that begins at any given level: the bound of aging.
///
/// Under a load that keeps all levels full, a worker takes at least one job in so many from each of them.
pub const AGING: usize = 16;

/// The level at which a worker's dispatch number `turn` begins to look; from there it goes on strictly, the most urgent level first.
///
/// Pure. Three turns in [`AGING`] begin at one of the lower levels, evenly spread; all others at the most urgent.
pub(super) fn first_level(turn: usize) -> usize {
    const LOWEST: usize = Priority::ALL.len() - 1;
    match turn % AGING {
        15 => LOWEST,
        10 => LOWEST - 1,
        5 => LOWEST - 2,
        _ => 0,
    }
}

/// The queues of a pool. Those of priorities that nobody uses are not there.
pub(super) struct Queues {
    levels: [OnceLock<Channel<Queued>>; Priority::ALL.len()],
    capacity: usize,
    /// How many are aside, for those who would not take the lock for nothing.
    has_aside: Notice,
    aside: Mutex<Aside>,
}

/// Jobs for which there is no room, and which nobody may wait with or run at once. A leaf among the locks.
#[derive(Default)]
struct Aside {
    jobs: VecDeque<Queued>,
    closed: bool,
}

impl Queues {
    /// Each level holds so many.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            levels: Default::default(),
            capacity,
            has_aside: Notice::new(),
            aside: Mutex::default(),
        }
    }

    /// The queue of a priority; the first job makes it.
    pub(super) fn level(&self, priority: Priority) -> &Channel<Queued> {
        self.levels[priority.level()].get_or_init(|| Channel::new(self.capacity))
    }

    pub(super) fn push(&self, priority: Priority, job: Entry) -> Result<(), TrySendError<Queued>> {
        self.level(priority).try_send(Queued::Job(job))
    }

    /// Sets a job aside, which is not to wait for room; it comes back if nothing is let in any more.
    pub(super) fn set_aside(&self, job: Queued) -> Result<(), Queued> {
        let mut aside = lock(&self.aside);
        if aside.closed {
            return Err(job);
        }
        aside.jobs.push_back(job);
        self.has_aside.show(aside.jobs.len());
        Ok(())
    }

    fn take_aside(&self) -> Option<Queued> {
        // Whoever was called for it sees it.
        if self.has_aside.seen() == 0 {
            return None;
        }
        let mut aside = lock(&self.aside);
        let job = aside.jobs.pop_front();
        self.has_aside.show(aside.jobs.len());
        job
    }

    /// The job for a worker's dispatch number `turn`.
    ///
    /// What is set aside was to be run at once, and goes on with what had begun before: it comes first, but for one turn of each level
    /// in [`AGING`].
    pub(super) fn take(&self, turn: usize) -> Option<Queued> {
        let first = first_level(turn);
        let take = |level: &OnceLock<Channel<Queued>>| level.get()?.try_recv().ok();
        if first > 0
            && let Some(job) = take(&self.levels[first])
        {
            return Some(job);
        }
        if !turn.is_multiple_of(AGING)
            && let Some(job) = self.take_aside()
        {
            return Some(job);
        }
        self.levels.iter().find_map(take).or_else(|| self.take_aside())
    }

    /// How many wait, those counted that were ended while they did.
    pub(super) fn len(&self) -> usize {
        let queued = self.levels.iter().filter_map(OnceLock::get).map(Channel::len).sum::<usize>();
        queued + lock(&self.aside).jobs.len()
    }

    /// Whether nothing waits. It takes the lock of what is aside, so that of who sets something aside, and then asks the crew, and one who goes
    /// to rest, and then looks here, one sees the other.
    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().filter_map(OnceLock::get).all(Channel::is_empty)
            && lock(&self.aside).jobs.is_empty()
    }

    /// How many wait at each level, the most urgent first.
    pub(super) fn lengths(&self) -> [usize; Priority::ALL.len()] {
        let mut lengths = self.levels.each_ref().map(|level| level.get().map_or(0, Channel::len));
        for job in &lock(&self.aside).jobs {
            lengths[job.priority().level()] += 1;
        }
        lengths
    }

    /// Lets nothing in any more. What is in can still be taken.
    pub(super) fn close(&self) {
        for level in &self.levels {
            // One that was never used need not be large to be closed.
            level.get_or_init(|| Channel::new(1)).close();
        }
        lock(&self.aside).closed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;
    use crate::pool::cell::Cell;
    use crate::pool::job::{JobId, Options, Plain};

    /// R15: The bound of aging, for every level and every stretch of dispatches.
    #[test]
    fn every_level_comes_first_once_in_a_stretch() {
        for from in 0..2 * AGING {
            let mut firsts = [0; Priority::ALL.len()];
            (from..from + AGING).for_each(|turn| firsts[first_level(turn)] += 1);
            assert_eq!(firsts, [AGING - 3, 1, 1, 1]);
        }
    }

    /// R15: And though what is set aside comes before the levels, and there is always something.
    #[test]
    fn what_is_aside_leaves_each_level_its_turn() {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let queues = Queues::new(AGING);
        let job = |priority, name: &'static str| {
            let options = Options { priority, name: Some(name.into()), ..Options::default() };
            Cell::new(JobId(0), Plain(|| ()), &options, pool.shared(), None)
        };
        for from in 0..AGING {
            for _ in 0..AGING {
                for priority in Priority::ALL {
                    assert!(queues.push(priority, job(priority, "queued")).is_ok());
                }
                assert!(queues.set_aside(Queued::Job(job(Priority::Urgent, "aside"))).is_ok());
            }
            let (mut levels, mut aside) = ([0; Priority::ALL.len()], 0);
            for turn in from..from + AGING {
                let Some(Queued::Job(job)) = queues.take(turn) else { unreachable!("jobs are in") };
                match job.name().as_deref() {
                    Some("aside") => aside += 1,
                    _ => levels[job.meta().priority.level()] += 1,
                }
            }
            assert_eq!((levels, aside), ([1; 4], AGING - 4));
            assert_eq!(queues.lengths(), [AGING - 1 + 4, AGING - 1, AGING - 1, AGING - 1]);
            assert_eq!(queues.len(), 4 * (AGING - 1) + 4);
            while queues.take(0).is_some() {}
            assert!(queues.is_empty());
            assert!(queues.set_aside(Queued::Job(job(Priority::Low, "alone"))).is_ok());
            assert!(!queues.is_empty() && queues.take(0).is_some() && queues.is_empty());
        }
        queues.close();
        assert!(queues.set_aside(Queued::Job(job(Priority::Low, "too late"))).is_err());
    }
}
