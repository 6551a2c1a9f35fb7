//! Jobs of one key: one after the other, in order.
//!
//! A key has a *turn*, which one of its jobs holds from the moment at which it is put into a queue until its function has returned, or
//! it has been passed over because it was ended before. Whoever has done with the job passes the turn on. The others stand
//! in the key's line, outside of the queues.

use super::queue::Entry;
use crate::core::semaphore::{Fair, OwnedSemaphorePermit, Semaphore};
use crate::core::wait::Growable;
use crate::lock;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

type Permit = OwnedSemaphorePermit<Fair, Growable>;

pub(super) struct Lines {
    /// Those who wait for their turn, by key; a key is in if one of its jobs has the turn.
    lines: Mutex<HashMap<u64, VecDeque<(Entry, Permit)>>>,
    /// How many more may stand in lines, all together.
    pub(super) room: Arc<Semaphore<Fair, Growable>>,
}

impl Lines {
    pub(super) fn new(capacity: usize) -> Self {
        let room = Arc::new(Semaphore::with_policy(capacity, Fair, Growable::new()));
        Self { lines: Mutex::default(), room }
    }

    /// Gives the job back if it is its turn at once; else it stands in line.
    pub(super) fn enter(&self, key: u64, job: Entry, permit: Permit) -> Option<Entry> {
        let mut lines = lock(&self.lines);
        if let Some(line) = lines.get_mut(&key) {
            line.push_back((job, permit));
            return None;
        }
        lines.insert(key, VecDeque::new());
        // The permit is given back with the lines unlocked.
        drop(lines);
        drop(permit);
        Some(job)
    }

    /// The next job of the key; the key is forgotten if there is none.
    pub(super) fn next(&self, key: u64) -> Option<Entry> {
        let mut lines = lock(&self.lines);
        let next = lines.get_mut(&key).and_then(VecDeque::pop_front);
        if next.is_none() {
            lines.remove(&key);
        }
        drop(lines);
        next.map(|(job, _permit)| job)
    }

    /// Everybody who stands in a line.
    pub(super) fn take_all(&self) -> Vec<Entry> {
        let mut lines = lock(&self.lines);
        let all: Vec<_> = lines.values_mut().flat_map(std::mem::take).collect();
        drop(lines);
        all.into_iter().map(|(job, _permit)| job).collect()
    }
}
