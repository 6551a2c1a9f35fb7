//! Where the slots of a ring lie: inline in the object, or on the heap.

use super::ticket::{Geometry, State};
use crate::sync::{AtomicUsize, UnsafeCell, const_unless_loom};
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// One place for a value, and the word that says whose it is.
///
/// Who may touch `value`: between claiming a ticket of this slot and letting go of the slot, the claimant
/// and nobody else (PROTOCOL.md, "State").
pub(crate) struct Slot<T> {
    pub(super) state: AtomicUsize,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Slot<T> {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self { state: AtomicUsize::new(State::free(0).0), value: UnsafeCell::new(MaybeUninit::uninit()) }
        }
    }
}

// SAFETY: a slot only moves values of T from the thread that pushed to the one that pops; `state` lets one
// party at a time at the cell.
unsafe impl<T: Send> Sync for Slot<T> {}

// No value is half-way in or out when a panic passes: none of ours runs while one moves.
impl<T> UnwindSafe for Slot<T> {}
impl<T> RefUnwindSafe for Slot<T> {}

/// The slots of one ring.
pub(crate) trait Storage {
    type Item;

    fn geometry(&self) -> Geometry;

    /// `geometry().capacity` slots.
    fn slots(&self) -> &[Slot<Self::Item>];
}

/// `N` slots inside the object.
pub(crate) struct Inline<T, const N: usize>([Slot<T>; N]);

impl<T, const N: usize> Inline<T, N> {
    const GEOMETRY: Geometry = Geometry::new(N);

    const_unless_loom! {
        pub(crate) const fn new() -> Self {
            // Evaluated here so that a capacity of 0 does not compile.
            let _ = Self::GEOMETRY;
            #[cfg(not(aqueduct_loom))]
            return Self([const { Slot::new() }; N]);
            #[cfg(aqueduct_loom)]
            return Self(core::array::from_fn(|_| Slot::new()));
        }
    }
}

impl<T, const N: usize> Storage for Inline<T, N> {
    type Item = T;

    #[inline(always)]
    fn geometry(&self) -> Geometry {
        Self::GEOMETRY
    }

    #[inline(always)]
    fn slots(&self) -> &[Slot<T>] {
        &self.0
    }
}

/// Slots on the heap, their number chosen at run time.
#[cfg(feature = "alloc")]
pub(crate) struct Heap<T> {
    geometry: Geometry,
    slots: alloc::boxed::Box<[Slot<T>]>,
}

#[cfg(feature = "alloc")]
impl<T> Heap<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { geometry: Geometry::new(capacity), slots: Self::slots(capacity) }
    }

    /// Initialises the state words where they lie, so that not even one `T` passes over the stack.
    #[cfg(not(aqueduct_loom))]
    fn slots(capacity: usize) -> alloc::boxed::Box<[Slot<T>]> {
        let mut slots = alloc::boxed::Box::<[Slot<T>]>::new_uninit_slice(capacity);
        for slot in &mut slots {
            let slot = slot.as_mut_ptr();
            // SAFETY: `slot` points to memory for a Slot<T>; no reference to the rest of it is made.
            let state = unsafe { &raw mut (*slot).state };
            // SAFETY: `state` is in bounds, aligned and writable.
            unsafe { state.write(AtomicUsize::new(State::free(0).0)) };
        }
        // SAFETY: the state word of each slot is initialised, and its value is a cell of MaybeUninit.
        unsafe { slots.assume_init() }
    }

    #[cfg(aqueduct_loom)]
    fn slots(capacity: usize) -> alloc::boxed::Box<[Slot<T>]> {
        (0..capacity).map(|_| Slot::new()).collect()
    }
}

#[cfg(feature = "alloc")]
impl<T> Storage for Heap<T> {
    type Item = T;

    #[inline(always)]
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    #[inline(always)]
    fn slots(&self) -> &[Slot<T>] {
        &self.slots
    }
}
