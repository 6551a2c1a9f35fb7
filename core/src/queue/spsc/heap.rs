//! A ring in memory of its own: the header and, as in a [`StaticRing`](super::StaticRing), the slots behind it.

use super::{HEAP, Header, Slot, drop_values, slot_at};
use crate::sync::UnsafeCell;
use alloc::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::ptr::NonNull;

/// # Panics
///
/// If it would be larger than memory can be.
fn layout<T>(capacity: usize) -> Layout {
    Layout::array::<Slot<T>>(capacity)
        .and_then(|slots| Layout::new::<Header>().extend(slots))
        .map(|(ring, _)| ring.pad_to_align())
        .expect("a ring must fit into memory")
}

/// The slots that have to be made and dropped: not those without a size, of which there may be more than anybody can count.
fn with_a_size<T>(capacity: usize) -> Range<usize> {
    0..if size_of::<Slot<T>>() == 0 { 0 } else { capacity }
}

pub(super) fn new<T>(capacity: usize) -> NonNull<Header> {
    let layout = layout::<T>(capacity);
    // SAFETY: a header is not of size 0.
    let memory = unsafe { alloc(layout) };
    let Some(ring) = NonNull::new(memory.cast::<Header>()) else { handle_alloc_error(layout) };
    // SAFETY: the memory is ours, and begins with room for a header.
    unsafe { ring.write(Header::new(capacity, HEAP)) };
    for index in with_a_size::<T>(capacity) {
        // SAFETY: the memory goes on with room for so many slots.
        let slot = unsafe { slot_at::<T>(ring, index) };
        // SAFETY: as above.
        unsafe { slot.write(UnsafeCell::new(MaybeUninit::uninit())) };
    }
    ring
}

/// # Safety
///
/// `ring` came from [`new`] with the same T, and nobody uses it any more.
#[cold]
pub(super) unsafe fn free<T>(ring: NonNull<Header>) {
    /// Gives the memory back, also if the `drop` of a value panics.
    struct Memory(NonNull<Header>, Layout);

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: it was allocated with this layout, and nobody uses it.
            unsafe { dealloc(self.0.as_ptr().cast(), self.1) };
        }
    }

    // SAFETY: the caller says that this is a ring.
    let capacity = unsafe { ring.as_ref() }.capacity;
    let _memory = Memory(ring, layout::<T>(capacity));
    drop_values::<T>(ring);
    for index in with_a_size::<T>(capacity) {
        // SAFETY: as in `new`.
        let slot = unsafe { slot_at::<T>(ring, index) };
        // SAFETY: `new` wrote it, and nobody uses it any more. (Only a checker's cell has anything to drop.)
        unsafe { slot.drop_in_place() };
    }
    // SAFETY: as above.
    unsafe { ring.drop_in_place() };
}
