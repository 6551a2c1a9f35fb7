//! Bounded queues for any number of producers and consumers, in which no operation waits for another.
//!
//! [`StaticQueue`] lies inline and is made at compile time; [`ArrayQueue`] (feature `alloc`) lies on the
//! heap and has its capacity chosen at run time. Both are the same ring.
//!
//! # When to use something else
//!
//! One producer and one consumer for ever: [`spsc`] is faster. A queue whose user must sleep
//! when it is empty: [`channel`](crate::channel). An unbounded queue: not here; bounds are the point.
//!
//! # Progress
//!
//! Every operation is lock-free in the strong sense that this crate means: it finishes in its own steps
//! *wherever any other context is frozen*, be it a thread descheduled in the middle of an operation or the
//! code that an interrupt handler has preempted. So an interrupt handler may call any method on a queue
//! whose owner it has just interrupted in the middle of any method. While a context is frozen half-way
//! through an operation the queue has one place less.
//!
//! `push` and `pop` are not wait-free: under contention an attempt may have to be repeated, each time
//! because another operation has succeeded.
//!
//! # Ordering
//!
//! Linearizable: values come out in the order in which their places were claimed. What happened before a
//! value was pushed happens before what follows its pop. "Empty" is exact. "Full" is exact unless another
//! operation is half-way through; after your own `pop`, your `push` is never refused while at most
//! `capacity` values are in circulation, which is what a pool of objects needs. (A `push_many` or `force_push` that is
//! half-way through may have one place more than it has values; so do not mix those with such a pool.)
//!
//! # Limits
//!
//! A context that is frozen while 2^24 values pass (2^43 on 64-bit targets) may go on wrongly, as in any
//! ring with counters.
//!
//! The protocol, with its proofs:
#![doc = include_str!("queue/PROTOCOL.md")]

mod batch;
mod count;
mod displace;
mod half_way;
pub(crate) mod progress;
mod prospect;
mod ring;
pub mod spsc;
mod storage;
mod ticket;

pub(crate) use ring::{Nothing, Refused, Ring};
#[cfg(feature = "alloc")]
pub(crate) use storage::Heap;
pub(crate) use storage::{Inline, Storage};
pub use ticket::MAX_CAPACITY;

use crate::sync::const_unless_loom;
use core::fmt;

/// A bounded queue of up to `N` values, inline and made at compile time.
///
/// See the [module](self) for its progress and ordering.
///
/// # Examples
///
/// ```
/// use aqueduct_core::queue::StaticQueue;
///
/// static READINGS: StaticQueue<u16, 8> = StaticQueue::new();
///
/// fn on_interrupt(sample: u16) {
///     // Keep the newest: the oldest goes when the queue is full.
///     READINGS.force_push(sample);
/// }
///
/// on_interrupt(7);
/// assert_eq!(READINGS.pop(), Some(7));
/// assert_eq!(READINGS.pop(), None);
/// ```
///
/// A capacity of 0 does not compile:
///
/// ```compile_fail
/// static NOTHING: aqueduct_core::queue::StaticQueue<u8, 0> = aqueduct_core::queue::StaticQueue::new();
/// ```
pub struct StaticQueue<T, const N: usize> {
    ring: Ring<Inline<T, N>>,
}

impl<T, const N: usize> StaticQueue<T, N> {
    const_unless_loom! {
        /// An empty queue.
        ///
        /// # Panics
        ///
        /// At compile time, if `N` is 0 or above [`MAX_CAPACITY`].
        pub const fn new() -> Self {
            Self { ring: Ring::new(Inline::new()) }
        }
    }
}

impl<T, const N: usize> Default for StaticQueue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A bounded queue on the heap, its capacity chosen at run time.
///
/// See the [module](self) for its progress and ordering.
///
/// # Examples
///
/// ```
/// use aqueduct_core::queue::ArrayQueue;
///
/// let queue = ArrayQueue::new(2);
/// assert_eq!(queue.push('a'), Ok(()));
/// assert_eq!(queue.push('b'), Ok(()));
/// assert_eq!(queue.push('c'), Err('c'));
/// assert_eq!(queue.pop(), Some('a'));
/// ```
#[cfg(feature = "alloc")]
pub struct ArrayQueue<T> {
    ring: Ring<Heap<T>>,
}

#[cfg(feature = "alloc")]
impl<T> ArrayQueue<T> {
    /// An empty queue of up to `capacity` values.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or above [`MAX_CAPACITY`].
    pub fn new(capacity: usize) -> Self {
        Self { ring: Ring::new(Heap::new(capacity)) }
    }

    /// A queue whose counters start `laps` laps on, so that a test can cross the wrap.
    #[doc(hidden)]
    pub fn starting_at(capacity: usize, laps: usize) -> Self {
        let mut queue = Self::new(capacity);
        queue.ring.start_at(laps);
        queue
    }
}

macro_rules! queue_of {
    ([$($generics:tt)*] $queue:ty) => {
        impl<$($generics)*> $queue {
            /// Puts `value` in at the tail.
            ///
            /// # Errors
            ///
            /// If the queue is full, `value` comes back.
            #[inline]
            pub fn push(&self, value: T) -> Result<(), T> {
                self.ring.push(value).map_err(Refused::into_value)
            }

            /// Takes the oldest value out; `None` if the queue is empty.
            #[inline]
            pub fn pop(&self) -> Option<T> {
                self.ring.pop().ok()
            }

            /// Puts `value` in; if the queue is full, in place of the oldest value, which comes back.
            ///
            /// Displacing is two steps, for whoever looks on: the oldest value goes, and then `value` is in, in the place that
            /// became free, which nobody else can take in between.
            ///
            /// If every place belongs to an operation that is half-way through, as when an interrupt
            /// handler has preempted a push into a queue of capacity 1, there is no oldest value to
            /// displace, and `value` itself comes back.
            pub fn force_push(&self, value: T) -> Option<T> {
                self.ring.force_push(value, &mut 0).unwrap_or_else(|never| Some(never.value))
            }

            /// As [`push`](Self::push), for the only owner: cheaper.
            ///
            /// # Errors
            ///
            /// If the queue is full, `value` comes back.
            pub fn push_mut(&mut self, value: T) -> Result<(), T> {
                self.ring.push_mut(value).map_err(Refused::into_value)
            }

            /// As [`pop`](Self::pop), for the only owner: cheaper.
            pub fn pop_mut(&mut self) -> Option<T> {
                self.ring.pop_mut().ok()
            }

            /// Puts values of `items` in until the queue is full or `items` ends; says how many went in.
            ///
            /// A value is only taken from `items` once its place is claimed, so none is lost. Places are
            /// claimed together, up to the lower bound of [`Iterator::size_hint`], which is what makes
            /// this cheaper than single pushes. They are not one step: values of other producers may
            /// stand between two of these, but these stay in order.
            ///
            /// An iterator whose lower bound is 0 is asked for one value at a time, and its end costs a
            /// place in the line, not in the queue. When `2 * capacity` places in the line are lost that
            /// no pop has come to yet, such an iterator is left alone, perhaps before its end.
            ///
            /// # Panics
            ///
            /// If `items` does. The places that were claimed and not filled are given up, and what went
            /// in stays in.
            pub fn push_many(&self, items: &mut impl Iterator<Item = T>) -> usize {
                self.ring.push_many(items)
            }

            /// Takes up to `max` values out and hands them to `f`, oldest first; says how many.
            ///
            /// `f` should be quick: the values that wait for their turn keep their places.
            ///
            /// # Panics
            ///
            /// If `f` does. The values that were claimed and not handed over are dropped.
            pub fn pop_many(&self, max: usize, f: impl FnMut(T)) -> usize {
                self.ring.pop_many(max, f)
            }

            /// How many values are in, those being put in counted, those being taken out not.
            pub fn len(&self) -> usize {
                self.ring.len()
            }

            /// Whether [`len`](Self::len) is 0.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether [`len`](Self::len) is the [`capacity`](Self::capacity).
            pub fn is_full(&self) -> bool {
                self.len() == self.capacity()
            }

            /// How many values it can hold: exactly what was asked for.
            pub fn capacity(&self) -> usize {
                self.ring.capacity()
            }
        }

        impl<$($generics)*> fmt::Debug for $queue {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($queue))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .finish_non_exhaustive()
            }
        }

        impl<$($generics)*> IntoIterator for $queue {
            type Item = T;
            type IntoIter = IntoIter<$queue>;

            fn into_iter(self) -> Self::IntoIter {
                IntoIter { queue: self }
            }
        }

        impl<$($generics)*> Iterator for IntoIter<$queue> {
            type Item = T;

            fn next(&mut self) -> Option<T> {
                self.queue.pop_mut()
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.queue.len(), Some(self.queue.len()))
            }
        }

        impl<$($generics)*> ExactSizeIterator for IntoIter<$queue> {}
        impl<$($generics)*> core::iter::FusedIterator for IntoIter<$queue> {}
    };
}

/// The values of a queue, oldest first; dropping it drops those that are left.
#[derive(Debug)]
pub struct IntoIter<Q> {
    queue: Q,
}

queue_of!([T, const N: usize] StaticQueue<T, N>);
#[cfg(feature = "alloc")]
queue_of!([T] ArrayQueue<T>);

impl<T> Refused<T> {
    pub(crate) fn into_value(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}
