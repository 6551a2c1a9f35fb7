//! Where the waiters' slots live: inline ([`Slots`]), or on the heap as they are needed ([`Growable`]).
//!
//! Both find a slot by its index, and hand out free ones from a bitmap: a compare-and-swap claims a bit, so
//! there is no free list and no ABA. A slot is in one future's hands from [`allocate`](Sealed::allocate) until
//! its future or the drainer calls [`free`](Sealed::free).

use super::slot::{Slot, new_slot};
use crate::sync::{self, Acquire, AtomicUsize, Relaxed, Release, const_unless_loom};

#[cfg(feature = "alloc")]
mod growable;
#[cfg(feature = "alloc")]
pub use growable::Growable;

/// A place for waiters: [`Slots`] or [`Growable`]. Sealed.
pub trait Storage: Sealed + Send + Sync {}

/// What the queue asks of a storage.
pub trait Sealed {
    /// The slot of an index that `allocate` returned once.
    fn slot(&self, index: usize) -> &Slot;
    /// Claims a free slot, or says that none is.
    fn allocate(&self) -> Option<usize>;
    /// Gives a claimed slot back.
    fn free(&self, index: usize);
}

/// Room for `W` waiters inside the object itself: no allocation, a `const` constructor.
///
/// `W` is at most the number of bits of a `usize` (32 on small targets). Choose it at least as large as the number
/// of tasks that can wait there at once: a waiter that finds no slot stays correct, but polls again and again
/// until one is free (see [`WaitQueue`](crate::wait::WaitQueue#when-slots-are-full)).
///
/// A slot takes eight words, 32 bytes on a 32-bit target.
pub struct Slots<const W: usize> {
    used: AtomicUsize,
    slots: [Slot; W],
}

impl<const W: usize> Slots<W> {
    const_unless_loom! {
        /// Storage with every slot free.
        ///
        /// `W` of 0, or of more than the bits of a `usize`, does not compile.
        pub const fn new() -> Self {
            const { assert!(W >= 1 && W <= usize::BITS as usize, "W is 1 to the number of bits of a usize") }
            Self { used: AtomicUsize::new(0), slots: sync::array![new_slot(); W] }
        }
    }
}

impl<const W: usize> Default for Slots<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const W: usize> core::fmt::Debug for Slots<W> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // slots:debug - Relaxed: a number for people to read, stale when it is printed.
        f.debug_struct("Slots")
            .field("used", &self.used.load(Relaxed).count_ones())
            .finish_non_exhaustive()
    }
}

impl<const W: usize> Storage for Slots<W> {}

impl<const W: usize> Sealed for Slots<W> {
    #[inline]
    fn slot(&self, index: usize) -> &Slot {
        &self.slots[index]
    }

    fn allocate(&self) -> Option<usize> {
        claim_bit(&self.used, W)
    }

    fn free(&self, index: usize) {
        free_bit(&self.used, index);
    }
}

/// Claims the lowest clear bit of the first `bits`, if there is one.
fn claim_bit(used: &AtomicUsize, bits: usize) -> Option<usize> {
    // slots:look - Relaxed: only a guess for the compare-and-swap.
    let mut seen = used.load(Relaxed);
    loop {
        let bit = seen.trailing_ones() as usize;
        if bit >= bits {
            return None;
        }
        // slots:claim - Acquire: reads slots:free, so what the last owner did to the slot's cells is done.
        // Failure Relaxed: the value is only the next guess.
        match used.compare_exchange_weak(seen, seen | (1 << bit), Acquire, Relaxed) {
            Ok(_) => return Some(bit),
            Err(now) => seen = now,
        }
    }
}

fn free_bit(used: &AtomicUsize, bit: usize) {
    // slots:free - Release: slots:claim reads it; the next owner writes the cells after we have left them.
    used.fetch_and(!(1 << bit), Release);
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests {
    use super::*;

    #[test]
    fn slots_are_handed_out_once_lowest_first() {
        static SLOTS: Slots<3> = Slots::new();
        assert_eq!(
            [SLOTS.allocate(), SLOTS.allocate(), SLOTS.allocate()],
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(SLOTS.allocate(), None);
        SLOTS.free(1);
        assert_eq!(SLOTS.allocate(), Some(1));
        assert_eq!(SLOTS.allocate(), None);
    }

    #[test]
    fn every_bit_of_the_word_is_a_slot() {
        let slots: Slots<{ usize::BITS as usize }> = Slots::new();
        for index in 0..usize::BITS as usize {
            assert_eq!(slots.allocate(), Some(index));
        }
        assert_eq!(slots.allocate(), None);
    }

    #[test]
    fn a_slot_takes_what_its_documentation_says() {
        assert_eq!(size_of::<Slot>(), size_of::<[usize; 8]>());
    }
}
