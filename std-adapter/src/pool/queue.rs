//! Where jobs wait: a bounded channel of core per priority, and which of them is served next.

use super::cell::Runnable;
use super::job::Priority;
use super::light::Light;
use super::outcome::JobError;
use super::shared::Shared;
use super::worker::run_here;
use crate::core::channel::{Channel, TrySendError};
use std::sync::{Arc, OnceLock};

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

    /// Runs it on this thread.
    pub(super) fn run_here(self, shared: &Arc<Shared>) {
        match self {
            Self::Job(job) => run_here(shared, &job),
            Self::Light(light) => light.run_here(shared),
        }
    }

    /// Ends it unrun; false if it was over, or runs.
    pub(super) fn end(self, shared: &Arc<Shared>, error: JobError) -> bool {
        match self {
            Self::Job(job) => job.end_queued(shared, error),
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
}

impl Queues {
    /// Each level holds so many.
    pub(super) fn new(capacity: usize) -> Self {
        Self { levels: Default::default(), capacity }
    }

    /// The queue of a priority; the first job makes it.
    pub(super) fn level(&self, priority: Priority) -> &Channel<Queued> {
        self.levels[priority.level()].get_or_init(|| Channel::new(self.capacity))
    }

    pub(super) fn push(&self, priority: Priority, job: Entry) -> Result<(), TrySendError<Queued>> {
        self.level(priority).try_send(Queued::Job(job))
    }

    /// The job for a worker's dispatch number `turn`.
    pub(super) fn take(&self, turn: usize) -> Option<Queued> {
        let first = first_level(turn);
        let take = |level: &OnceLock<Channel<Queued>>| level.get()?.try_recv().ok();
        if first > 0
            && let Some(job) = take(&self.levels[first])
        {
            return Some(job);
        }
        self.levels.iter().find_map(take)
    }

    /// How many wait, those counted that were ended while they did.
    pub(super) fn len(&self) -> usize {
        self.levels.iter().filter_map(OnceLock::get).map(Channel::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.levels.iter().filter_map(OnceLock::get).all(Channel::is_empty)
    }

    /// How many wait at each level, the most urgent first.
    pub(super) fn lengths(&self) -> [usize; Priority::ALL.len()] {
        self.levels.each_ref().map(|level| level.get().map_or(0, Channel::len))
    }

    /// Lets nothing in any more. What is in can still be taken.
    pub(super) fn close(&self) {
        for level in &self.levels {
            // One that was never used need not be large to be closed.
            level.get_or_init(|| Channel::new(1)).close();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R15: The bound of aging, for every level and every stretch of dispatches.
    #[test]
    fn every_level_comes_first_once_in_a_stretch() {
        for from in 0..2 * AGING {
            let mut firsts = [0; Priority::ALL.len()];
            (from..from + AGING).for_each(|turn| firsts[first_level(turn)] += 1);
            assert_eq!(firsts, [AGING - 3, 1, 1, 1]);
        }
    }
}
