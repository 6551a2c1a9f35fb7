//! The drainer's list of the waiters of one class, oldest first, linked through their slots.
//!
//! A *phase* is all who stood in the list when the first of them was served. It is known by its youngest, which moves
//! towards the older when that one leaves; so it is exact whoever leaves, where a count would let latecomers in for
//! those who left.

use super::slot::{Links, Slot, UNLISTED};
use super::slots::Storage;

/// Addresses of slots (an index plus one, 0 for none). Only the drainer touches it.
#[derive(Clone, Copy)]
pub(super) struct List {
    head: usize,
    tail: usize,
    /// The youngest of the phase that has begun, 0 if none has or all of it are gone.
    phase: usize,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: 0, tail: 0, phase: 0 }
    }

    /// The address of the oldest, 0 for none.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    /// Does the oldest belong to a phase that has begun?
    pub(super) fn is_in_phase(&self) -> bool {
        self.phase != 0
    }

    /// The oldest is about to be served: those who stand here now are a phase, unless one goes on.
    pub(super) fn begin_phase(&mut self) {
        if self.phase == 0 {
            self.phase = self.tail;
        }
    }

    /// Appends the slot at `address` as the youngest.
    ///
    /// # Safety
    ///
    /// The caller is the drainer, and the slot came out of the inbox and is in no list.
    pub(super) unsafe fn append<W: Storage>(&mut self, storage: &W, address: usize) {
        // SAFETY: the drainer owns the links of a slot that came out of the inbox.
        unsafe { at(storage, address).set_links(Links { next: 0, prev: self.tail }) };
        match self.tail {
            0 => self.head = address,
            tail => {
                // SAFETY: the drainer owns the links of a listed slot.
                let links = unsafe { at(storage, tail).links() };
                // SAFETY: as above.
                unsafe { at(storage, tail).set_links(Links { next: address, ..links }) };
            }
        }
        self.tail = address;
    }

    /// Unlinks the slot at `address`, unless it is unlinked already.
    ///
    /// # Safety
    ///
    /// The caller is the drainer, and the slot is in this list or in none.
    pub(super) unsafe fn unlink<W: Storage>(&mut self, storage: &W, address: usize) {
        // SAFETY: the drainer owns the links until it lets go of the slot.
        let Links { next, prev } = unsafe { at(storage, address).links() };
        if prev == UNLISTED {
            return;
        }
        // SAFETY: as above.
        unsafe { at(storage, address).set_links(Links { next: 0, prev: UNLISTED }) };
        match prev {
            0 => self.head = next,
            prev => {
                // SAFETY: the drainer owns the links of a listed slot.
                let links = unsafe { at(storage, prev).links() };
                // SAFETY: as above.
                unsafe { at(storage, prev).set_links(Links { next, ..links }) };
            }
        }
        match next {
            0 => self.tail = prev,
            next => {
                // SAFETY: the drainer owns the links of a listed slot.
                let links = unsafe { at(storage, next).links() };
                // SAFETY: as above.
                unsafe { at(storage, next).set_links(Links { prev, ..links }) };
            }
        }
        if self.phase == address {
            self.phase = prev;
        }
    }
}

/// The slot at an address that is not 0.
pub(super) fn at<W: Storage>(storage: &W, address: usize) -> &Slot {
    storage.slot(address - 1)
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests {
    use super::*;
    use crate::wait::Slots;

    fn addresses<const N: usize>(list: &List, storage: &Slots<N>) -> ([usize; 4], usize) {
        let (mut found, mut count, mut address) = ([0; 4], 0, list.head());
        while address != 0 {
            found[count] = address;
            count += 1;
            // SAFETY: there is one thread, and it drains.
            address = unsafe { at(storage, address).links() }.next;
        }
        (found, count)
    }

    #[test]
    fn unlinking_the_first_the_last_the_middle_and_twice() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [2, 4, 1, 3], [3, 1, 4, 2]] {
            let storage = Slots::<4>::new();
            let mut list = List::new();
            for address in 1..=4 {
                // SAFETY: there is one thread, it drains, and the slot is in no list.
                unsafe { list.append(&storage, address) };
            }
            assert_eq!(addresses(&list, &storage), ([1, 2, 3, 4], 4));
            for (gone, address) in order.into_iter().enumerate() {
                for _twice in 0..2 {
                    // SAFETY: there is one thread, it drains, and the slot is in this list or in none.
                    unsafe { list.unlink(&storage, address) };
                }
                let (left, count) = addresses(&list, &storage);
                assert_eq!(count, 3 - gone);
                assert!(left[..count].is_sorted() && !left[..count].contains(&address));
            }
            assert_eq!((list.head, list.tail), (0, 0));
        }
    }

    #[test]
    fn a_phase_is_who_stood_there_when_it_began_whoever_leaves() {
        // Four stand there; two come when the first has been served. In whatever order the rest of the four leave, it
        // is in phase until the last of them has, and no longer.
        for order in [[2, 3, 4], [2, 4, 3], [3, 2, 4], [3, 4, 2], [4, 2, 3], [4, 3, 2]] {
            let storage = Slots::<6>::new();
            let mut list = List::new();
            for address in 1..=4 {
                // SAFETY: there is one thread, it drains, and the slot is in no list.
                unsafe { list.append(&storage, address) };
            }
            assert!(!list.is_in_phase());
            list.begin_phase();
            // SAFETY: there is one thread, it drains, and the slot is in this list.
            unsafe { list.unlink(&storage, 1) };
            for address in 5..=6 {
                // SAFETY: there is one thread, it drains, and the slot is in no list.
                unsafe { list.append(&storage, address) };
            }
            for address in order {
                assert!(list.is_in_phase(), "{order:?} before {address}");
                list.begin_phase();
                // SAFETY: there is one thread, it drains, and the slot is in this list.
                unsafe { list.unlink(&storage, address) };
            }
            assert!(!list.is_in_phase(), "{order:?}: the latecomers are the next phase");
            assert_eq!(addresses(&list, &storage).0[..2], [5, 6]);
        }
    }
}
