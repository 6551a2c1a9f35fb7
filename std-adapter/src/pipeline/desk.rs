//! What each party of a run writes down about itself, for others to read while it works.

use super::report::Counts;
use crate::lock;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One party's page: the source's, or a worker's. Only its owner writes, so a count is a load and a store.
///
/// Whoever reads meanwhile may find one number ahead of another by the item that is under way.
#[derive(Debug)]
pub struct Desk {
    began: Instant,
    page: CachePadded<Page>,
}

#[derive(Debug, Default)]
struct Page {
    counts: [AtomicCell<u64>; Count::ALL],
    /// What the owner waits for, as a [`Wait`]; 0 while it does not.
    waits: AtomicCell<u8>,
    /// When it began to, in nanoseconds since it began itself.
    since: AtomicCell<u64>,
    /// Nanoseconds it waited, for each of [`Wait`]: only waits that are over.
    waited: [AtomicCell<u64>; 2],
    /// The item it is at, plus one; 0 between items.
    item: AtomicCell<u64>,
    /// Nanoseconds from beginning to end; 0 before the end.
    alive: AtomicCell<u64>,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Received,
    /// Handed to the sink.
    Put,
    /// Put and taken back: nobody was there to take it.
    Recalled,
    /// Left out on purpose, or absorbed by another item.
    Filtered,
    /// Made beyond one for one.
    Added,
    Skipped,
    Collected,
    Buried,
    Stopped,
    Cancelled,
    Retried,
    Unkept,
}

impl Count {
    const ALL: usize = Self::Unkept as usize + 1;
}

/// What a party can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Items.
    Starved = 1,
    /// Room to put what it made.
    Blocked = 2,
}

impl Desk {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), page: CachePadded::default() })
    }

    pub(super) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    pub(super) fn add(&self, what: Count, more: u64) {
        let cell = &self.page.counts[what as usize];
        cell.store(cell.load() + more);
    }

    pub(super) fn is_at(&self, item: u64) {
        self.page.item.store(item + 1);
    }

    pub(super) fn is_between(&self) {
        self.page.item.store(0);
    }

    /// Waits, with the clock running: others see the time while it is still going by.
    pub(super) fn during<R>(&self, wait: Wait, f: impl FnOnce() -> R) -> R {
        self.page.since.store(self.now());
        self.page.waits.store(wait as u8);
        let result = f();
        let total = &self.page.waited[wait as usize - 1];
        total.store(total.load() + self.now().saturating_sub(self.page.since.load()));
        self.page.waits.store(0);
        result
    }

    /// The end of the owner's work.
    pub(super) fn close(&self) {
        self.page.item.store(0);
        self.page.alive.store(self.now().max(1));
    }

    /// What the owner waits for at the moment.
    pub(super) fn waits(&self) -> Option<Wait> {
        match self.page.waits.load() {
            1 => Some(Wait::Starved),
            2 => Some(Wait::Blocked),
            _ => None,
        }
    }

    /// The item that the owner is working on: not one that it waits to hand on.
    pub(super) fn item(&self) -> Option<u64> {
        self.page.item.load().checked_sub(1)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.page.alive.load() > 0
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |what: Count| self.page.counts[what as usize].load();
        let waited = |wait: Wait| {
            let so_far = match self.waits() == Some(wait) {
                true => self.now().saturating_sub(self.page.since.load()),
                false => 0,
            };
            Duration::from_nanos(self.page.waited[wait as usize - 1].load() + so_far)
        };
        let alive = match self.page.alive.load() {
            0 => self.now(),
            alive => alive,
        };
        Counts {
            received: count(Count::Received),
            put: count(Count::Put),
            recalled: count(Count::Recalled),
            filtered: count(Count::Filtered),
            added: count(Count::Added),
            skipped: count(Count::Skipped),
            collected: count(Count::Collected),
            buried: count(Count::Buried),
            stopped: count(Count::Stopped),
            cancelled: count(Count::Cancelled),
            retried: count(Count::Retried),
            unkept: count(Count::Unkept),
            starved: waited(Wait::Starved),
            blocked: waited(Wait::Blocked),
            alive: Duration::from_nanos(alive),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// All desks of one stage, and what waits in front of it.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) name: Arc<str>,
    pub(super) buffer: usize,
    /// Items that wait in front of the stage, or lie in its workers' hands unbegun.
    pub(super) depth: AtomicCell<usize>,
    pub(super) staff: Mutex<Staff>,
    /// Whether that may change, and has to be looked at.
    pub(super) scales: AtomicCell<bool>,
    /// It may not.
    pub(super) is_fixed: bool,
    desks: Mutex<Desks>,
}

#[derive(Debug, Default)]
struct Desks {
    open: Vec<Arc<Desk>>,
    /// The sum of those whose owners have left.
    left: Counts,
}

/// How many workers a stage has, and may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Staff {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) workers: usize,
    pub(super) peak: usize,
}

impl Staff {
    pub(super) fn fixed(workers: usize) -> Self {
        Self { min: workers, max: workers, workers, peak: workers }
    }
}

impl Office {
    pub(super) fn new(name: &Arc<str>, buffer: usize, staff: Staff, is_fixed: bool) -> Arc<Self> {
        Arc::new(Self {
            name: Arc::clone(name),
            buffer,
            is_fixed,
            scales: AtomicCell::new(staff.min < staff.max),
            depth: AtomicCell::new(0),
            staff: Mutex::new(staff),
            desks: Mutex::default(),
        })
    }

    /// A desk for one that comes.
    pub(super) fn desk(&self) -> Arc<Desk> {
        let desk = Desk::new();
        lock(&self.desks).open.push(Arc::clone(&desk));
        desk
    }

    /// What one that leaves has done goes into the sum.
    pub(super) fn leave(&self, desk: &Arc<Desk>) {
        desk.close();
        let mut desks = lock(&self.desks);
        desks.open.retain(|open| !Arc::ptr_eq(open, desk));
        desks.left += desk.counts();
    }

    pub(super) fn counts(&self) -> Counts {
        let desks = lock(&self.desks);
        desks.open.iter().fold(desks.left, |mut sum, desk| {
            sum += desk.counts();
            sum
        })
    }

    /// The desks that are in use.
    pub(super) fn desks(&self) -> Vec<Arc<Desk>> {
        lock(&self.desks).open.iter().filter(|desk| !desk.is_closed()).cloned().collect()
    }
}
