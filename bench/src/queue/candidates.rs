//! Who takes part in family `queue`: ours first, then the peers by name.

use super::{BATCH, Queue, Shape, candidate};
use crate::check::{Id, Load, Payload};
use crate::family::{Candidate, OURS};

pub(super) fn all<T: Payload>(shape: Shape, capacity: usize) -> Vec<Candidate> {
    let heapless = match capacity {
        64 => candidate::<T, Heapless<T, 64>>(shape, capacity),
        1024 => candidate::<T, Heapless<T, 1024>>(shape, capacity),
        _ => unreachable!("its capacity is a constant, and these are the ones measured"),
    };
    vec![
        candidate::<T, aqueduct_core::queue::ArrayQueue<T>>(shape, capacity),
        candidate::<T, concurrent_queue::ConcurrentQueue<T>>(shape, capacity),
        candidate::<T, crossbeam_queue::ArrayQueue<T>>(shape, capacity),
        heapless,
        candidate::<T, Lfqueue<T>>(shape, capacity),
        candidate::<T, Nblf<T>>(shape, capacity),
        candidate::<T, Thingbuf<T>>(shape, capacity),
    ]
}

impl<T: Payload> Queue<T> for aqueduct_core::queue::ArrayQueue<T> {
    const NAME: &'static str = OURS;

    fn with_capacity(capacity: usize) -> Self {
        Self::new(capacity)
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        self.push(item)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.pop()
    }

    #[inline]
    fn push_batch(&self, load: &mut Load<T>) -> usize {
        self.push_many(&mut load.take(BATCH))
    }

    #[inline]
    fn pop_batch(&self, max: usize, take: impl FnMut(T)) -> usize {
        self.pop_many(max, take)
    }
}

/// Vyukov's ring, the positions carrying a bit for "closed". Not lock-free.
impl<T: Payload> Queue<T> for concurrent_queue::ConcurrentQueue<T> {
    const NAME: &'static str = "concurrent-queue";

    fn with_capacity(capacity: usize) -> Self {
        Self::bounded(capacity)
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        self.push(item).map_err(concurrent_queue::PushError::into_inner)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.pop().ok()
    }
}

/// Vyukov's ring. Not lock-free: a producer that is frozen in the middle of a push holds up every
/// consumer.
impl<T: Payload> Queue<T> for crossbeam_queue::ArrayQueue<T> {
    const NAME: &'static str = "crossbeam-queue";

    fn with_capacity(capacity: usize) -> Self {
        Self::new(capacity)
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        self.push(item)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.pop()
    }
}

/// Vyukov's ring, without an allocator of its own; deprecated by its authors as not lock-free. Sequence
/// numbers as wide as a pointer (its feature `mpmc_large`): those of 8 bits allow no 1024 places.
struct Heapless<T, const N: usize>(Box<heapless::mpmc::Queue<T, N>>);

impl<T: Payload, const N: usize> Queue<T> for Heapless<T, N> {
    const NAME: &'static str = "heapless";

    #[expect(deprecated, reason = "it is what people use in its place")]
    fn with_capacity(capacity: usize) -> Self {
        assert_eq!(capacity, N);
        Self(Box::new(heapless::mpmc::Queue::new()))
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        self.0.enqueue(item)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.0.dequeue()
    }
}

/// SCQ, two rings of indices (Nikolaev 2019). Lock-free; the capacity must be a power of two.
struct Lfqueue<T>(lfqueue::AllocBoundedQueue<T>);

impl<T: Payload> Queue<T> for Lfqueue<T> {
    const NAME: &'static str = "lfqueue";

    fn with_capacity(capacity: usize) -> Self {
        Self(lfqueue::AllocBoundedQueue::new(capacity))
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        self.0.enqueue(item)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.0.dequeue()
    }
}

/// NBLFQ, lock-free; items of any type go through a pool of places, and the queue proper holds their
/// numbers.
struct Nblf<T>(nblf_queue::PooledQueue<T>);

impl<T: Payload> Queue<T> for Nblf<T> {
    const NAME: &'static str = "nblf-queue";

    fn with_capacity(capacity: usize) -> Self {
        Self(nblf_queue::PooledQueue::new(capacity))
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        nblf_queue::MPMCQueue::push(&self.0, item)
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        nblf_queue::MPMCQueue::pop(&self.0)
    }
}

/// Vyukov's ring over places that keep a value of their own, which is written to in place.
struct Thingbuf<T>(thingbuf::ThingBuf<T, Overwritten>);

/// Items are no buffers here: a new one simply replaces the old one.
struct Overwritten;

impl<T: Payload> thingbuf::recycling::Recycle<T> for Overwritten {
    fn new_element(&self) -> T {
        T::make(Id::new(0, 0))
    }

    fn recycle(&self, _: &mut T) {}
}

impl<T: Payload> Queue<T> for Thingbuf<T> {
    const NAME: &'static str = "thingbuf";

    fn with_capacity(capacity: usize) -> Self {
        Self(thingbuf::ThingBuf::with_recycle(capacity, Overwritten))
    }

    #[inline]
    fn push(&self, item: T) -> Result<(), T> {
        match self.0.push_ref() {
            Ok(mut place) => {
                *place = item;
                Ok(())
            }
            Err(_) => Err(item),
        }
    }

    #[inline]
    fn pop(&self) -> Option<T> {
        self.0.pop_ref().map(|place| *place)
    }
}
