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
        self.0.store(self.0.load().wrapping_add(1));
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
}

impl Depth {
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

    /// How many items there are; no more than the buffers have room for, though one may just have been taken and not been counted.
    pub(super) fn items(&self, buffer: usize) -> usize {
        let ends = lock(&self.ends);
        let sum =
            |tallies: &[Tally]| tallies.iter().fold(0_usize, |sum, t| sum.wrapping_add(t.0.load()));
        // What is put meanwhile, and taken, is not to be missed here and counted there.
        let put = sum(&ends.put);
        let items = ends.before.wrapping_add(put).wrapping_sub(sum(&ends.taken));
        let is_negative = items > usize::MAX / 2;
        self.grains.load() + if is_negative { 0 } else { items.min(buffer) }
    }
}

fn leave(open: &mut Vec<Tally>, tally: &Tally) -> usize {
    open.retain(|other| !Arc::ptr_eq(&other.0, &tally.0));
    tally.0.load()
}
