//! What the two ends have in common: the way to the ring, the arithmetic of indices, and who frees it.

#[cfg(feature = "alloc")]
use super::{HEAP, heap};
use super::{Header, Slot, slot_at};
use crate::sync::{AcqRel, Acquire};
use core::marker::PhantomData;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

/// One end's way to the ring.
pub(super) struct End<'a, T> {
    pub(super) ring: NonNull<Header>,
    of: PhantomData<(&'a Slot<()>, T)>,
}

// SAFETY: an end that moves to another thread takes with it the right to its half of the slots, whose values
// are T, and to its index; the other end is another value.
unsafe impl<T: Send> Send for End<'_, T> {}
// SAFETY: through a shared reference an end only offers its length and, for the consumer, a look at a value
// that no other thread may look at the same time: `peek` takes `&mut self`.
unsafe impl<T: Send> Sync for End<'_, T> {}

// As a whole ring.
impl<T> UnwindSafe for End<'_, T> {}
impl<T> RefUnwindSafe for End<'_, T> {}

impl<T> End<'_, T> {
    /// The ring must live as long as 'a, or until the second end goes.
    pub(super) fn new(ring: NonNull<Header>) -> Self {
        Self { ring, of: PhantomData }
    }

    #[inline(always)]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: the ring lives as long as 'a, or until the second end goes.
        unsafe { self.ring.as_ref() }
    }

    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.header().capacity
    }

    /// The slot of an index, or of one lap on.
    #[inline(always)]
    pub(super) fn slot(&self, index: usize) -> &Slot<T> {
        let place = if index < self.capacity() { index } else { index - self.capacity() };
        debug_assert!(place < self.capacity());
        // SAFETY: indices stay below twice the capacity.
        let slot = unsafe { slot_at(self.ring, place) };
        // SAFETY: the ring lives as long as 'a, or until the second end goes.
        unsafe { slot.as_ref() }
    }

    /// The index `by` places on; `by` is at most the capacity.
    #[inline(always)]
    pub(super) fn after(&self, index: usize, by: usize) -> usize {
        let next = index + by;
        if next < 2 * self.capacity() { next } else { next - 2 * self.capacity() }
    }

    /// How many places lie from `head` to `tail`.
    #[inline(always)]
    pub(super) fn distance(&self, head: usize, tail: usize) -> usize {
        if tail >= head { tail - head } else { tail + 2 * self.capacity() - head }
    }

    pub(super) fn len(&self) -> usize {
        // spsc:head, spsc:tail - Acquire: whoever asks from one end knows its own index; the other's may move
        // on meanwhile, one way only.
        let head = self.header().head.load(Acquire);
        self.distance(head, self.header().tail.load(Acquire)).min(self.capacity())
    }

    pub(super) fn is_abandoned(&self) -> bool {
        // spsc:look - Acquire: reads spsc:gone, so all that the other end pushed or popped is there to see.
        self.header().gone.load(Acquire) & 1 != 0
    }
}

impl<T> Drop for End<'_, T> {
    fn drop(&mut self) {
        // spsc:gone - AcqRel: spsc:look reads it; and the second end to go reads the first, so
        // that it frees the ring after the first is done with it.
        let _gone = self.header().gone.fetch_add(1, AcqRel);
        #[cfg(feature = "alloc")]
        if _gone == HEAP + 1 {
            // SAFETY: both ends are gone, and only a ring on the heap counts so.
            unsafe { heap::free::<T>(self.ring) }
        }
    }
}
