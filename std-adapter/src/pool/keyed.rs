//! Jobs of one key: one after the other, in order.
//!
//! A key has a *turn*, which one of its jobs holds from the moment at which it is put into a queue until its function has returned, or
//! it has been passed over because it was ended before. Whoever has done with the job passes the turn on. The others stand
//! in the key's line, outside of the queues.
//!
//! A worker that waits for one in a line does what stands in its way: it runs the job that has the turn, if nobody has begun that, and so on.
//! If somebody has, it sleeps until a turn is passed on, and looks again.

use super::cell::Runnable;
use super::queue::Entry;
use crate::core::semaphore::{Fair, OwnedSemaphorePermit, Semaphore};
use crate::core::wait::{Growable, WaitQueue};
use crate::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, Weak};

type Permit = OwnedSemaphorePermit<Fair, Growable>;

pub(super) struct Lines {
    /// By key; a key is in if one of its jobs has the turn. Locked before a cell.
    lines: Mutex<HashMap<u64, Line>>,
    /// Told whenever a turn was passed on.
    pub(super) news: WaitQueue<Growable>,
    /// How many more may stand in lines, all together.
    pub(super) room: Arc<Semaphore<Fair, Growable>>,
}

struct Line {
    /// The job that has the turn. Whoever runs it holds it.
    first: Weak<dyn Runnable>,
    /// Those who wait for it.
    behind: VecDeque<(Entry, Permit)>,
}

impl Lines {
    pub(super) fn new(capacity: usize) -> Self {
        let room = Arc::new(Semaphore::with_policy(capacity, Fair, Growable::new()));
        Self { lines: Mutex::default(), news: WaitQueue::with_storage(Growable::new()), room }
    }

    /// Gives the job back, and the turn to it, if it comes at once; else it stands in line.
    pub(super) fn enter(&self, key: u64, job: Entry, permit: Permit) -> Option<Entry> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get_mut(&key) {
            line.behind.push_back((job, permit));
            return None;
        }
        job.give_turn();
        lines.insert(key, Line { first: Arc::downgrade(&job), behind: VecDeque::new() });
        // The permit is given back with the lines unlocked.
        drop(lines);
        drop(permit);
        Some(job)
    }

    /// The job that has the turn of the key.
    pub(super) fn first(&self, key: u64) -> Option<Entry> {
        lock(&self.lines).get(&key)?.first.upgrade()
    }

    /// The next job of the key, which has the turn now; the key is forgotten if there is none.
    pub(super) fn next(&self, key: u64) -> Option<Entry> {
        let mut lines = lock(&self.lines);
        let line = lines.get_mut(&key)?;
        let Some((job, permit)) = line.behind.pop_front() else {
            lines.remove(&key);
            return None;
        };
        job.give_turn();
        line.first = Arc::downgrade(&job);
        drop(lines);
        drop(permit);
        Some(job)
    }

    /// Whether nobody stands in a line.
    pub(super) fn are_empty(&self) -> bool {
        lock(&self.lines).values().all(|line| line.behind.is_empty())
    }

    /// Everybody who stands in a line.
    pub(super) fn take_all(&self) -> Vec<Entry> {
        let mut lines = lock(&self.lines);
        let all: Vec<_> =
            lines.values_mut().flat_map(|line| std::mem::take(&mut line.behind)).collect();
        drop(lines);
        all.into_iter().map(|(job, _permit)| job).collect()
    }
}
