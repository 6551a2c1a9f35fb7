//! What each party of a run writes down about itself, for others to read while it works.

use super::cap::Cap;
use super::depth::Depth;
use super::error::BuildError;
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
    /// The most that was ever read of each of [`times`](Self::times).
    shown: [AtomicCell<u64>; 3],
}

#[derive(Debug, Default)]
struct Page {
    counts: [AtomicCell<u64>; Count::ALL],
    /// How long the owner waited, for each of [`Wait`].
    waited: [Stopwatch; 2],
    /// The item it is at, plus one; 0 between items.
    item: AtomicCell<u64>,
    /// Nanoseconds from beginning to end; 0 before the end.
    alive: AtomicCell<u64>,
}

/// How often others look at a page before they take what they find.
const LOOKS: u32 = 100;

/// How long something went on, all together, in one word: whoever reads it finds no moment in which a time that has just ended is counted
/// twice, or not at all.
///
/// Twice the nanoseconds; odd while it goes on, and then less the time at which that began.
#[derive(Debug, Default)]
struct Stopwatch(AtomicCell<u64>);

impl Stopwatch {
    fn start(&self, now: u64) {
        self.0.store(self.0.load().wrapping_sub(2 * now) + 1);
    }

    fn stop(&self, now: u64) {
        self.0.store((self.0.load() - 1).wrapping_add(2 * now));
    }

    fn read(&self) -> u64 {
        self.0.load()
    }

    fn goes_on(word: u64) -> bool {
        word % 2 == 1
    }

    /// What was read is so much, in nanoseconds.
    fn total(word: u64, now: u64) -> u64 {
        if Self::goes_on(word) { (word - 1).wrapping_add(2 * now) / 2 } else { word / 2 }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Received,
    /// Handed to the sink.
    Put,
    /// Put and taken back: nobody was there to take it.
    Recalled,
    /// Put, and left out on purpose.
    Filtered,
    /// Taken up by another item, before it was put.
    Absorbed,
    /// Made beyond one for one.
    Added,
    Skipped,
    Collected,
    Buried,
    Stopped,
    /// Put, and failed on its way to the next, which stopped the run.
    Fallen,
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
    Starved,
    /// Room to put what it made.
    Blocked,
}

impl Desk {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            page: CachePadded::default(),
            shown: Default::default(),
        })
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
        let watch = &self.page.waited[wait as usize];
        watch.start(self.now());
        let result = f();
        watch.stop(self.now());
        result
    }

    /// The end of the owner's work.
    pub(super) fn close(&self) {
        self.page.item.store(0);
        self.page.alive.store(self.now().max(1));
    }

    /// What the owner waits for at the moment.
    pub(super) fn waits(&self) -> Option<Wait> {
        let goes_on = |wait: &Wait| Stopwatch::goes_on(self.page.waited[*wait as usize].read());
        [Wait::Starved, Wait::Blocked].into_iter().find(goes_on)
    }

    /// The item that the owner is working on: not one that it waits to hand on.
    pub(super) fn item(&self) -> Option<u64> {
        self.page.item.load().checked_sub(1)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.page.alive.load() > 0
    }

    pub(super) fn counts(&self) -> Counts {
        // As of one moment, if the owner lets us find one: else what is put and left out while we look would be found left out alone.
        let read = || self.page.counts.each_ref().map(AtomicCell::load);
        let mut counts = read();
        for _ in 0..LOOKS {
            let again = read();
            if std::mem::replace(&mut counts, again) == again {
                break;
            }
        }
        let count = |what: Count| counts[what as usize];
        let [starved, blocked, busy] = self.times().map(Duration::from_nanos);
        Counts {
            received: count(Count::Received),
            put: count(Count::Put),
            recalled: count(Count::Recalled),
            filtered: count(Count::Filtered),
            absorbed: count(Count::Absorbed),
            added: count(Count::Added),
            skipped: count(Count::Skipped),
            collected: count(Count::Collected),
            buried: count(Count::Buried),
            stopped: count(Count::Stopped) + count(Count::Fallen),
            fallen: count(Count::Fallen),
            cancelled: count(Count::Cancelled),
            retried: count(Count::Retried),
            unkept: count(Count::Unkept),
            starved,
            blocked,
            alive: starved + blocked + busy,
            longest: starved + blocked + busy,
        }
    }

    /// How long the owner starved, was blocked, and was at work, as of one moment. None of the three ever goes back.
    fn times(&self) -> [u64; 3] {
        let read = || {
            let [starved, blocked] = &self.page.waited;
            [starved.read(), blocked.read(), self.page.alive.load()]
        };
        let mut seen = read();
        let times = loop {
            let now = self.now();
            let again = read();
            if again == seen {
                let [starved, blocked, alive] = seen;
                let [starved, blocked] = [starved, blocked].map(|word| Stopwatch::total(word, now));
                let alive = if alive == 0 { now } else { alive };
                break [starved, blocked, alive.saturating_sub(starved + blocked)];
            }
            // It began or ended a wait meanwhile.
            seen = again;
        };
        // The owner may have read the clock for the end of a wait, and not have written it down yet: then this is more than it will be.
        std::array::from_fn(|at| {
            let (shown, time) = (&self.shown[at], times[at]);
            shown.fetch_max(time).max(time)
        })
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
    /// What its workers pass on their way out, where something is capped behind them.
    pub(super) caps: Vec<Cap>,
    /// An ordered point follows: one worker at a time hands on what all have made.
    pub(super) has_one_way_out: bool,
    /// Its workers share the source: nothing waits in front of them that would say how many it takes.
    pub(super) shares_source: bool,
    /// Items that wait in front of the stage.
    pub(super) depth: Depth,
    pub(super) staff: Mutex<Staff>,
    /// Whether that may change, and has to be looked at.
    pub(super) scales: AtomicCell<bool>,
    /// It may not.
    pub(super) is_fixed: bool,
    /// Why there may be one at most, if so: what follows counts on the order.
    pub(super) keeps_order: Option<BuildError>,
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
    /// One above the fewest waits without a limit, for those who are busy: only who takes an item calls another.
    pub(super) spare: bool,
}

impl Staff {
    pub(super) fn fixed(workers: usize) -> Self {
        Self::of(workers, workers)
    }

    /// The fewest, of so many.
    pub(super) fn of(min: usize, max: usize) -> Self {
        Self { min, max, workers: min, peak: min, spare: false }
    }
}

impl Office {
    pub(super) fn new(name: &Arc<str>, buffer: usize, staff: Staff, is_fixed: bool) -> Self {
        Self {
            name: Arc::clone(name),
            buffer,
            caps: Vec::new(),
            has_one_way_out: false,
            shares_source: false,
            is_fixed,
            keeps_order: None,
            scales: AtomicCell::new(staff.min < staff.max),
            depth: Depth::default(),
            staff: Mutex::new(staff),
            desks: Mutex::default(),
        }
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
        let mut sum = desks.left;
        desks.open.iter().for_each(|desk| sum += desk.counts());
        drop(desks);
        // What has no thread of its own takes the time of others, who count it.
        if lock(&self.staff).peak == 0 { sum.without_times() } else { sum }
    }

    /// The desks that are in use.
    pub(super) fn desks(&self) -> Vec<Arc<Desk>> {
        lock(&self.desks).open.iter().filter(|desk| !desk.is_closed()).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;

    #[test]
    fn a_stopwatch_counts_while_it_runs() {
        let watch = Stopwatch::default();
        let total = |now| Stopwatch::total(watch.read(), now);
        watch.start(10);
        assert_eq!((total(10), total(15)), (0, 5));
        watch.stop(20);
        assert_eq!((total(20), total(99)), (10, 10));
        watch.start(100);
        assert_eq!((total(100), total(103)), (10, 13));
        assert!(Stopwatch::goes_on(watch.read()));
        watch.stop(105);
        assert_eq!(total(999), 15);
        assert!(!Stopwatch::goes_on(watch.read()));
    }

    #[test]
    fn times_never_go_back_while_waits_begin_and_end() {
        let (desk, over) = (Desk::new(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    desk.during(Wait::Starved, || ());
                    desk.during(Wait::Blocked, || ());
                }
                desk.close();
                over.store(true, SeqCst);
            });
            let mut before = Counts::default();
            while !over.load(SeqCst) {
                let now = desk.counts();
                assert!(now.starved >= before.starved, "{now:?} after {before:?}");
                assert!(now.blocked >= before.blocked, "{now:?} after {before:?}");
                assert!(now.busy() >= before.busy(), "{now:?} after {before:?}");
                before = now;
            }
        });
    }
}
