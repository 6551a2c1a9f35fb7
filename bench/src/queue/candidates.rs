//! Who takes part in family `queue`: ours first, then the peers by name.

use super::{Queue, Shape, candidate};
use crate::check::Payload;
use crate::family::{Candidate, OURS};

pub(super) fn all<T: Payload>(shape: Shape, capacity: usize) -> Vec<Candidate> {
    vec![
        candidate::<T, aqueduct_core::queue::ArrayQueue<T>>(shape, capacity),
        candidate::<T, crossbeam_queue::ArrayQueue<T>>(shape, capacity),
        candidate::<T, Lfqueue<T>>(shape, capacity),
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

/// SCQ, two rings of indices (Nikolaev 2019). Lock-free; the capacity must be a power of two.
struct Lfqueue<T>(lfqueue::AllocBoundedQueue<T>);

impl<T: Payload + Sync> Queue<T> for Lfqueue<T> {
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
