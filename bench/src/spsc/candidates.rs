//! Who takes part in family `spsc`: ours first, then the peers by name.

use rtrb::chunks::ChunkError::TooFewSlots;

use super::{BATCH, Consumer, Producer, Ring, Shape, candidate};
use crate::check::{Load, Payload};
use crate::family::{Candidate, OURS};

pub(super) fn all<T: Payload>(shape: Shape, capacity: usize) -> Vec<Candidate> {
    // One place of heapless' ring stays empty, so a capacity of 64 takes 65.
    let heapless = match capacity {
        64 => candidate::<T, Heapless<65>>(shape, capacity),
        1024 => candidate::<T, Heapless<1025>>(shape, capacity),
        _ => unreachable!("its capacity is a constant, and these are the ones measured"),
    };
    vec![candidate::<T, Aqueduct>(shape, capacity), heapless, candidate::<T, Rtrb>(shape, capacity)]
}

struct Aqueduct;

impl<T: Payload> Ring<T> for Aqueduct {
    const NAME: &'static str = OURS;
    type Producer = aqueduct_core::queue::spsc::Producer<'static, T>;
    type Consumer = aqueduct_core::queue::spsc::Consumer<'static, T>;

    fn with_capacity(capacity: usize) -> (Self::Producer, Self::Consumer) {
        aqueduct_core::queue::spsc::ring(capacity)
    }
}

impl<T: Payload> Producer<T> for aqueduct_core::queue::spsc::Producer<'static, T> {
    #[inline]
    fn push(&mut self, item: T) -> Result<(), T> {
        self.push(item)
    }

    #[inline]
    fn push_batch(&mut self, load: &mut Load<T>) -> usize {
        self.push_many(&mut load.take(BATCH))
    }
}

impl<T: Payload> Consumer<T> for aqueduct_core::queue::spsc::Consumer<'static, T> {
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.pop()
    }

    #[inline]
    fn pop_batch(&mut self, max: usize, take: impl FnMut(T)) -> usize {
        self.pop_many(max, take)
    }
}

/// The ring lies inside the value that is split, so it is leaked here: at most 64 KiB a repetition.
struct Heapless<const N: usize>;

impl<T: Payload, const N: usize> Ring<T> for Heapless<N> {
    const NAME: &'static str = "heapless";
    type Producer = heapless::spsc::Producer<'static, T>;
    type Consumer = heapless::spsc::Consumer<'static, T>;

    fn with_capacity(capacity: usize) -> (Self::Producer, Self::Consumer) {
        assert_eq!(capacity + 1, N);
        Box::leak(Box::new(heapless::spsc::Queue::<T, N>::new())).split()
    }
}

impl<T: Payload> Producer<T> for heapless::spsc::Producer<'static, T> {
    #[inline]
    fn push(&mut self, item: T) -> Result<(), T> {
        self.enqueue(item)
    }
}

impl<T: Payload> Consumer<T> for heapless::spsc::Consumer<'static, T> {
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.dequeue()
    }
}

/// Batches are its chunks. A whole one is asked for first: only if there may not be so many places or items does
/// that look at the other end, as ours does; `slots` always would.
struct Rtrb;

impl<T: Payload> Ring<T> for Rtrb {
    const NAME: &'static str = "rtrb";
    type Producer = rtrb::Producer<T>;
    type Consumer = rtrb::Consumer<T>;

    fn with_capacity(capacity: usize) -> (Self::Producer, Self::Consumer) {
        rtrb::RingBuffer::new(capacity)
    }
}

impl<T: Payload> Producer<T> for rtrb::Producer<T> {
    #[inline]
    fn push(&mut self, item: T) -> Result<(), T> {
        self.push(item).map_err(|rtrb::PushError::Full(item)| item)
    }

    #[inline]
    fn push_batch(&mut self, load: &mut Load<T>) -> usize {
        let chunk = match self.write_chunk_uninit(BATCH) {
            Ok(chunk) => chunk,
            Err(TooFewSlots(room)) => self.write_chunk_uninit(room).expect("they are free"),
        };
        chunk.fill_from_iter(load)
    }
}

impl<T: Payload> Consumer<T> for rtrb::Consumer<T> {
    #[inline]
    fn pop(&mut self) -> Option<T> {
        self.pop().ok()
    }

    #[inline]
    fn pop_batch(&mut self, max: usize, take: impl FnMut(T)) -> usize {
        let chunk = match self.read_chunk(max) {
            Ok(chunk) => chunk,
            Err(TooFewSlots(there)) => self.read_chunk(there).expect("they are there"),
        };
        let there = chunk.len();
        chunk.into_iter().for_each(take);
        there
    }
}
