//! How many items wait in front of a stage, for those who look on.

use crate::lock;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::sync::{Arc, Mutex};

/// How many items have passed one end of an edge. Only its owner writes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<CachePadded<AtomicCell<usize>>>);

impl Tally {
    #[inline]
    pub(super) fn count(&self) {
        self.0.store(self.read().wrapping_add(1));
    }

    pub(super) fn read(&self) -> usize {
        self.0.load()
    }
}

/// What waits in front of a stage: all its edges together, and what its workers have taken from a bridge and not begun.
///
/// An edge holds items of a type that may borrow, and those who look on may not: so it is told by counts at its ends.
#[derive(Debug, Default)]
pub(super) struct Depth {
    ends: Mutex<Ends>,
    /// In the grains of a bridge.
    pub(super) grains: AtomicCell<usize>,
}

#[derive(Debug, Default)]
struct Ends {
    put: Vec<Tally>,
    taken: Vec<Tally>,
    /// By those who are gone: put, less taken.
    before: usize,
    /// How many items fit into the edges.
    places: usize,
}

impl Depth {
    /// One more edge, with so many places.
    pub(super) fn add_places(&self, places: usize) {
        lock(&self.ends).places += places;
    }

    pub(super) fn open_entrance(&self) -> Tally {
        let tally = Tally::default();
        lock(&self.ends).put.push(tally.clone());
        tally
    }

    pub(super) fn open_exit(&self) -> Tally {
        let tally = Tally::default();
        lock(&self.ends).taken.push(tally.clone());
        tally
    }

    pub(super) fn close_entrance(&self, tally: &Tally) {
        let mut ends = lock(&self.ends);
        ends.before = ends.before.wrapping_add(leave(&mut ends.put, tally));
    }

    pub(super) fn close_exit(&self, tally: &Tally) {
        let mut ends = lock(&self.ends);
        ends.before = ends.before.wrapping_sub(leave(&mut ends.taken, tally));
    }

    /// How many items there are.
    pub(super) fn items(&self) -> usize {
        let ends = lock(&self.ends);
        let sum = |open: &[Tally]| open.iter().fold(0_usize, |sum, t| sum.wrapping_add(t.read()));
        // First what was taken: what passes meanwhile is then counted as being there, and no more is there than there is room for.
        let taken = sum(&ends.taken);
        let items = ends.before.wrapping_add(sum(&ends.put)).wrapping_sub(taken);
        // Taken, and not written down as put yet.
        let is_negative = items > usize::MAX / 2;
        self.grains.load() + if is_negative { 0 } else { items.min(ends.places) }
    }
}

fn leave(open: &mut Vec<Tally>, tally: &Tally) -> usize {
    open.retain(|other| !Arc::ptr_eq(&other.0, &tally.0));
    tally.read()
}
