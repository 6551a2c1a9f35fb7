//! Where a maker lays what it has made, and how it hears that somebody waits for it.

use super::parcel::Parcel;
use aqueduct_core::queue::spsc::Consumer;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::sync::Arc;

/// What a maker has made and not put into the line yet: a ring that it alone fills. Whoever holds the edge's lock may empty it.
pub(super) struct Shelf<T> {
    pub(super) items: Consumer<'static, Parcel<T>>,
    pub(super) bill: Bill,
}

/// What a maker writes each item on that it has laid on its shelf, so that it hears of those who wait for it.
///
/// The maker lays the item down, and then writes; a taker that is about to sleep writes, and then looks. One of the two comes second, and
/// sees what the other did before.
#[derive(Clone)]
pub(super) struct Bill(Arc<CachePadded<AtomicCell<usize>>>);

impl Bill {
    /// A taker looked here in vain and sleeps until it is called: items go into the line one by one.
    const AWAITED: usize = 1;
    const ITEM: usize = 2;

    pub(super) fn new(awaited: bool) -> Self {
        Self(Arc::new(CachePadded::new(AtomicCell::new(usize::from(awaited)))))
    }

    /// One more item lies there; whether it is awaited.
    pub(super) fn write(&self) -> bool {
        self.0.fetch_add(Self::ITEM) & Self::AWAITED != 0
    }

    pub(super) fn await_items(&self) {
        self.0.fetch_or(Self::AWAITED);
    }

    /// Nobody sleeps any more.
    pub(super) fn forget(&self) {
        if self.0.load() & Self::AWAITED != 0 {
            self.0.fetch_and(!Self::AWAITED);
        }
    }

    /// Whether it is the same one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
