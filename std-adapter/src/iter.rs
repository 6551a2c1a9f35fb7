//! Iterators whose work is done by several threads: [`par_map_ordered`](ParallelIterator::par_map_ordered), in one line.
//!
//! # When to use something else
//!
//! Several steps, errors with a policy, a source that is to run ahead: [`pipeline`](crate::pipeline). Computing over slices: rayon.

mod feed;

pub use feed::{ParMap, ParMapOrdered};

use crate::thread::Scope;
use feed::Feed;

/// What every iterator can do with several threads.
///
/// The iterator itself stays where it is: whoever asks for the next result draws items from it, hands them to the threads, and gets
/// what they made of others. So it need not cross threads and may borrow; only items and results cross. Nothing begins before the first
/// `next`.
///
/// The `_in` forms take a [scope](crate::thread::scope), and with it the function, the items and the results may borrow.
///
/// # Examples
///
/// ```
/// use aqueduct::iter::ParallelIterator;
///
/// let squares: Vec<u64> = (1..=1_000_u64).par_map_ordered(4, |n| n * n).collect();
/// assert!(squares.into_iter().eq((1..=1_000).map(|n| n * n)));
/// ```
///
/// Borrowing:
///
/// ```
/// use aqueduct::{iter::ParallelIterator, thread};
///
/// let words = ["a", "bc", "def"];
/// let longest = thread::scope(|scope| words.iter().par_map_in(scope, 2, |word| word.len()).max())?;
/// assert_eq!(longest, Some(3));
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// # Bounds
///
/// At most as many items are drawn and not yet returned as the [window](ParMapOrdered::window) has places: four for each thread,
/// unless you say otherwise.
///
/// # Panics
///
/// A panic of the function goes on where its result is asked for: in ordered mode, after all results that come before it. Then the threads
/// have ended, and so has the iterator.
///
/// # Ends
///
/// At the end of the items the threads end. Dropped before, it takes back what no thread has begun with, waits for what they are
/// working on, and joins them.
///
/// If the system has fewer threads to give, those there are do the work; without any, `next` does it.
pub trait ParallelIterator: Iterator + Sized {
    /// Maps with `threads` threads, and keeps the order. With 0 threads, on the thread that asks.
    fn par_map_ordered<R, F>(self, threads: usize, f: F) -> ParMapOrdered<'static, Self, R>
    where
        Self::Item: Send + 'static,
        R: Send + 'static,
        F: Fn(Self::Item) -> R + Send + Sync + 'static,
    {
        ParMapOrdered::new(Feed::new(self, threads, f))
    }

    /// Maps with `threads` threads; results come as they are made.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::iter::ParallelIterator;
    ///
    /// let sum: u64 = (1..=100_u64).par_map(3, |n| n * n).sum();
    /// assert_eq!(sum, 338_350);
    /// ```
    fn par_map<R, F>(self, threads: usize, f: F) -> ParMap<'static, Self, R>
    where
        Self::Item: Send + 'static,
        R: Send + 'static,
        F: Fn(Self::Item) -> R + Send + Sync + 'static,
    {
        ParMap::new(Feed::new(self, threads, f))
    }

    /// As [`par_map_ordered`](Self::par_map_ordered), in a scope.
    fn par_map_ordered_in<'scope, R, F>(
        self,
        scope: &Scope<'scope, '_>,
        threads: usize,
        f: F,
    ) -> ParMapOrdered<'scope, Self, R>
    where
        Self::Item: Send + 'scope,
        R: Send + 'scope,
        F: Fn(Self::Item) -> R + Send + Sync + 'scope,
    {
        ParMapOrdered::new(Feed::new_in(scope, self, threads, f))
    }

    /// As [`par_map`](Self::par_map), in a scope.
    fn par_map_in<'scope, R, F>(
        self,
        scope: &Scope<'scope, '_>,
        threads: usize,
        f: F,
    ) -> ParMap<'scope, Self, R>
    where
        Self::Item: Send + 'scope,
        R: Send + 'scope,
        F: Fn(Self::Item) -> R + Send + Sync + 'scope,
    {
        ParMap::new(Feed::new_in(scope, self, threads, f))
    }
}

impl<I: Iterator> ParallelIterator for I {}
