//! What the two ends have in common: the way to the ring, the arithmetic of indices, and who frees it.

#[cfg(feature = "alloc")]
use super::{HEAP, heap};
use super::{Header, Slot, slot_at};
use crate::sync::{AcqRel, Acquire};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;

/// One end's way to the ring.
pub(super) struct End<'a, T> {
    pub(super) ring: NonNull<Header>,
    /// The ring is borrowed for 'a, and its values are the ends' own. Invariant in T, since the other end counts on this one
    /// not to take a T of a shorter life for one of its own.
    of: PhantomData<(&'a (), Slot<T>)>,
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
    pub(super) fn slot(&self, index: usize) -> Places<T> {
        let place = if index < self.capacity() { index } else { index - self.capacity() };
        debug_assert!(place < self.capacity());
        // SAFETY: indices stay below twice the capacity.
        Places(unsafe { slot_at(self.ring, place) })
    }

    /// The slot `by` places on from an index, and how many lie in a row from there; `by` is at most the capacity.
    #[inline(always)]
    pub(super) fn row(&self, index: usize, by: usize) -> (Places<T>, usize) {
        let index = self.after(index, by);
        let behind = if index < self.capacity() { index } else { index - self.capacity() };
        (self.slot(index), self.capacity() - behind)
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

/// Slots in a row.
pub(super) struct Places<T>(NonNull<Slot<T>>);

impl<T> Places<T> {
    /// # Safety
    ///
    /// The `by`-th slot from here lies in the same row.
    #[inline(always)]
    pub(super) unsafe fn add(&self, by: usize) -> Self {
        // SAFETY: the caller says that it is there.
        Self(unsafe { self.0.add(by) })
    }

    /// # Safety
    ///
    /// The first slot is the caller's own and holds no value.
    #[inline(always)]
    pub(super) unsafe fn write(self, value: T) {
        // SAFETY: the caller's slot is there.
        let slot = unsafe { self.0.as_ref() };
        // SAFETY: nobody else touches it.
        slot.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(value)) });
    }

    /// # Safety
    ///
    /// The first slot is the caller's own and holds a value, which is moved out.
    #[inline(always)]
    pub(super) unsafe fn read(self) -> T {
        // SAFETY: the caller's slot is there.
        let slot = unsafe { self.0.as_ref() };
        slot.with(|cell| {
            // SAFETY: nobody else touches it.
            let value = unsafe { cell.read() };
            // SAFETY: it holds a value, and the caller does not read it again.
            unsafe { value.assume_init() }
        })
    }

    /// # Safety
    ///
    /// The first slot is the caller's own, and stays so for 'a, and holds a value.
    #[inline(always)]
    pub(super) unsafe fn peek<'a>(self) -> &'a T {
        // SAFETY: the caller's slot is there.
        let slot = unsafe { self.0.as_ref() };
        slot.with(|cell| {
            // SAFETY: nobody else touches it for 'a.
            let cell = unsafe { &*cell };
            // SAFETY: it holds a value.
            unsafe { cell.assume_init_ref() }
        })
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
