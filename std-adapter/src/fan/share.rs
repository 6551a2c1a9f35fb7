//! Work-sharing: each item goes to one branch, whichever is free.

use crate::channel::Receiver;

/// Shares `source` among `branches` receivers: each item goes to exactly one of them, whichever asks first.
///
/// That is what the clones of a [`Receiver`] do, and they are what this gives: it costs nothing, nothing is read ahead, and a branch
/// that is slow takes less. To add a branch, clone one; to remove one, drop it. When all are gone the source's channel is closed, so
/// whoever sends stops; with 0 branches, at once.
///
/// Where each branch is to get every item, use a [`broadcast`](super::broadcast()); where the item says who gets it, or all are to get
/// equally many, [`route`](super::route()).
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, fan, thread};
///
/// let (sender, receiver) = channel::bounded(4);
/// thread::scope(|scope| {
///     let workers: Vec<_> = fan::share(receiver, 3)
///         .into_iter()
///         .map(|jobs| scope.spawn(move || jobs.iter().sum::<u64>()).expect("a thread"))
///         .collect();
///     for n in 1..=100 {
///         sender.send(n).expect("three workers are there");
///     }
///     drop(sender);
///     let sums: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
///     assert_eq!(sums, 5050);
/// })?;
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// # Fairness
///
/// Branches that sleep are woken in the order of their coming, and compete with those that are awake: nobody is promised a part.
pub fn share<T>(source: Receiver<T>, branches: usize) -> Vec<Receiver<T>> {
    vec![source; branches]
}
