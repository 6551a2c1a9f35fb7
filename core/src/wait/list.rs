//! The drainer's list of the waiters of one class, oldest first, linked through their slots.

use super::slot::{Links, Slot, UNLISTED};
use super::slots::Storage;

/// Addresses of slots (an index plus one, 0 for none). Only the drainer touches it.
#[derive(Clone, Copy)]
pub(super) struct List {
    head: usize,
    tail: usize,
    count: usize,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: 0, tail: 0, count: 0 }
    }

    /// The address of the oldest, 0 for none.
    pub(super) fn head(&self) -> usize {
        self.head
    }

    pub(super) fn count(&self) -> usize {
        self.count
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
        self.count += 1;
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
        self.count -= 1;
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

    fn addresses(list: &List, storage: &Slots<4>) -> ([usize; 4], usize) {
        let (mut found, mut count, mut address) = ([0; 4], 0, list.head());
        while address != 0 {
            found[count] = address;
            count += 1;
            // SAFETY: there is one thread, and it drains.
            address = unsafe { at(storage, address).links() }.next;
        }
        assert_eq!(count, list.count());
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
}
