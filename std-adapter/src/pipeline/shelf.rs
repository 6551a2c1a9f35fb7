//! Where a maker lays what it has made, and how it hears that somebody waits for it.

use super::parcel::Parcel;
use crate::lock;
use aqueduct_core::queue::spsc::Consumer;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::sync::{Arc, Mutex};

/// What a maker has made and not put into the line yet: a ring that it alone fills. Whoever holds the edge's lock may empty it.
pub(super) struct Shelf<T> {
    items: Consumer<'static, Parcel<T>>,
    pub(super) bill: Bill,
}

impl<T> Shelf<T> {
    pub(super) fn new(items: Consumer<'static, Parcel<T>>, bill: Bill) -> Self {
        Self { items, bill }
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(super) fn pop(&mut self) -> Option<Parcel<T>> {
        let parcel = self.items.pop()?;
        self.bill.strike(1);
        Some(parcel)
    }

    pub(super) fn pop_many(&mut self, max: usize, f: impl FnMut(Parcel<T>)) -> usize {
        let popped = self.items.pop_many(max, f);
        self.bill.strike(popped);
        popped
    }
}

/// What a maker writes each item on that it has laid on its shelf, so that it hears of those who wait for it.
///
/// The maker lays the item down, and then writes; a taker that is about to sleep writes, and then looks. One of the two comes second, and
/// sees what the other did before.
///
/// What was written less what was struck off is what lies there: so others can tell it who know nothing of the items.
#[derive(Clone, Debug)]
pub(super) struct Bill(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    /// So many items, and whether they are awaited. The maker's own, but for that.
    written: CachePadded<AtomicCell<usize>>,
    /// So many items, in the same measure. Changed with the edge's lock.
    struck: CachePadded<AtomicCell<usize>>,
}

impl Bill {
    /// A taker looked here in vain and sleeps until it is called: items go into the line one by one.
    const AWAITED: usize = 1;
    const ITEM: usize = 2;

    pub(super) fn new(awaited: bool) -> Self {
        let written = CachePadded::new(AtomicCell::new(usize::from(awaited)));
        Self(Arc::new(Lines { written, struck: CachePadded::default() }))
    }

    /// One more item lies there; whether it is awaited.
    pub(super) fn write(&self) -> bool {
        self.0.written.fetch_add(Self::ITEM) & Self::AWAITED != 0
    }

    pub(super) fn await_items(&self) {
        self.0.written.fetch_or(Self::AWAITED);
    }

    /// Nobody sleeps any more.
    pub(super) fn forget(&self) {
        if self.0.written.load() & Self::AWAITED != 0 {
            self.0.written.fetch_and(!Self::AWAITED);
        }
    }

    /// So many were taken off the shelf.
    fn strike(&self, items: usize) {
        let struck = &self.0.struck;
        struck.store(struck.load().wrapping_add(items * Self::ITEM));
    }

    /// How many items lie there. One may be taken before it is written down.
    fn items(&self) -> usize {
        let written = self.0.written.load() & !Self::AWAITED;
        let lie = written.wrapping_sub(self.0.struck.load()) / Self::ITEM;
        if lie > usize::MAX / 4 { 0 } else { lie }
    }

    /// Whether it is the same one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What waits in front of a stage, for those who look on: all its edges together.
#[derive(Debug, Default)]
pub(super) struct Depth {
    /// In lines and in hands.
    pub(super) moved: AtomicCell<usize>,
    shelves: Mutex<Vec<Bill>>,
}

impl Depth {
    pub(super) fn add(&self, shelf: &Bill) {
        lock(&self.shelves).push(shelf.clone());
    }

    pub(super) fn remove(&self, shelf: &Bill) {
        lock(&self.shelves).retain(|other| !other.is(shelf));
    }

    /// How many items there are. Something may just be on its way from one place to another.
    pub(super) fn items(&self) -> usize {
        self.moved.load() + lock(&self.shelves).iter().map(Bill::items).sum::<usize>()
    }
}
