//! Slots on the heap, in chunks of doubling size.

extern crate alloc;

use alloc::boxed::Box;
use core::ptr;

use super::{Sealed, Storage, claim_bit, free_bit};
use crate::sync::{
    self, AcqRel, Acquire, AtomicPtr, AtomicUsize, CHECKED, Relaxed, const_unless_loom,
};
use crate::wait::slot::{Slot, new_slot};

/// Slots in the first chunk; each further chunk has twice as many as the one before.
const FIRST: usize = if CHECKED { 1 } else { 8 };
/// 24 chunks that begin with 8 slots hold 134 million waiters.
const CHUNKS: usize = if CHECKED { 4 } else { 24 };

/// Room for as many waiters as come: slots on the heap, added as they are needed.
///
/// Chunks of 8, 16, 32, .. slots are added with one compare-and-swap each, never moved, and freed with the
/// object. Only [`Wait::poll`](crate::wait::Wait) allocates, when it registers; notifying, closing and cancelling
/// never do. Where an allocation fails, the allocator's error handler runs, as for a `Box`.
pub struct Growable {
    chunks: [AtomicPtr<Chunk>; CHUNKS],
}

struct Chunk {
    used: Box<[AtomicUsize]>,
    slots: Box<[Slot]>,
}

impl Growable {
    const_unless_loom! {
        /// Storage without any slot yet: allocates nothing.
        pub const fn new() -> Self {
            Self { chunks: sync::array![AtomicPtr::new(ptr::null_mut()); CHUNKS] }
        }
    }

    /// The chunk of this rank, if it was added.
    fn chunk(&self, rank: usize) -> Option<&Chunk> {
        // slots:chunk - Acquire: reads slots:grow, so the chunk is initialised.
        let chunk = self.chunks[rank].load(Acquire);
        // SAFETY: null, or from `Box::into_raw` in `grow`, and freed only when `self` is dropped.
        unsafe { chunk.as_ref() }
    }

    /// Adds the chunk of this rank, unless somebody else was faster.
    #[cold]
    fn grow(&self, rank: usize) -> &Chunk {
        let chunk = Box::into_raw(Box::new(Chunk::new(FIRST << rank)));
        // slots:grow - AcqRel: slots:chunk reads it, so the chunk is initialised for whoever finds it; failure
        // Acquire, because we then use the winner's chunk.
        match self.chunks[rank].compare_exchange(ptr::null_mut(), chunk, AcqRel, Acquire) {
            // SAFETY: it is ours until just now, and from now on it is freed only when `self` is dropped.
            Ok(_) => unsafe { &*chunk },
            Err(winner) => {
                // SAFETY: from `Box::into_raw` above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(chunk) });
                // SAFETY: not null, so from `Box::into_raw`, and freed only when `self` is dropped.
                unsafe { &*winner }
            }
        }
    }
}

impl Chunk {
    fn new(slots: usize) -> Self {
        let words = slots.div_ceil(usize::BITS as usize);
        Self {
            used: (0..words).map(|_| AtomicUsize::new(0)).collect(),
            slots: (0..slots).map(|_| new_slot()).collect(),
        }
    }

    fn allocate(&self) -> Option<usize> {
        let bits = self.slots.len().min(usize::BITS as usize);
        let mut words = self.used.iter().enumerate();
        words.find_map(|(nth, used)| Some(nth * usize::BITS as usize + claim_bit(used, bits)?))
    }

    fn free(&self, offset: usize) {
        free_bit(&self.used[offset / usize::BITS as usize], offset % usize::BITS as usize);
    }
}

/// The rank of the chunk that holds `index`, and the place in it. The chunks before rank `r` hold
/// `FIRST * (2^r - 1)` slots.
fn locate(index: usize) -> (usize, usize) {
    let rank = (index / FIRST + 1).ilog2() as usize;
    (rank, index - first_of(rank))
}

fn first_of(rank: usize) -> usize {
    FIRST * ((1 << rank) - 1)
}

impl Storage for Growable {}

impl Sealed for Growable {
    fn slot(&self, index: usize) -> &Slot {
        let (rank, offset) = locate(index);
        let chunk = self.chunk(rank).expect("a slot was handed out from this chunk");
        &chunk.slots[offset]
    }

    fn allocate(&self) -> Option<usize> {
        (0..CHUNKS).find_map(|rank| {
            let chunk = self.chunk(rank).unwrap_or_else(|| self.grow(rank));
            Some(first_of(rank) + chunk.allocate()?)
        })
    }

    fn free(&self, index: usize) {
        let (rank, offset) = locate(index);
        let chunk = self.chunk(rank).expect("a slot was handed out from this chunk");
        chunk.free(offset);
    }
}

impl Drop for Growable {
    fn drop(&mut self) {
        for chunk in &self.chunks {
            // slots:drop - Relaxed: `&mut self` says that every other access is over and visible.
            let chunk = chunk.load(Relaxed);
            if !chunk.is_null() {
                // SAFETY: from `Box::into_raw` in `grow`, and nobody can reach it any more.
                drop(unsafe { Box::from_raw(chunk) });
            }
        }
    }
}

impl Default for Growable {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Growable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let chunks = (0..CHUNKS).map_while(|rank| self.chunk(rank));
        let slots: usize = chunks.map(|chunk| chunk.slots.len()).sum();
        f.debug_struct("Growable").field("slots", &slots).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests {
    use super::*;

    #[test]
    fn indices_and_places_are_one_to_one() {
        let mut expected = (0, 0);
        for index in 0..10_000 {
            assert_eq!(locate(index), expected);
            expected.1 += 1;
            if expected.1 == FIRST << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn it_grows_by_chunks_and_uses_freed_slots_first() {
        let growable = Growable::new();
        for index in 0..300 {
            assert_eq!(growable.allocate(), Some(index));
        }
        growable.free(7);
        growable.free(130);
        assert_eq!(
            [growable.allocate(), growable.allocate(), growable.allocate()],
            [Some(7), Some(130), Some(300)]
        );
    }
}
