//! One branch of a broadcast or of a router: a receiver, and what it has missed.

use super::members::{Member, Members};
use crate::channel::{self, IntoIter, Iter, Receiver, Sender};
use crate::lock;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

/// Which branch of its [`Broadcast`](super::Broadcast) or [`Router`](super::Router) it is. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BranchId(pub(super) u64);

/// A branch: a [`Receiver`], with all that one can do (block, be awaited, be an arm of a [selection](crate::select!), be looped
/// over), that also knows what it has missed. Made by [`Broadcast::add_branch`](super::Broadcast::add_branch) and
/// [`Router::add_branch`](super::Router::add_branch).
///
/// Dropping it removes the branch.
///
/// # Examples
///
/// ```
/// use aqueduct::fan::{self, Lag};
///
/// let news = fan::broadcast();
/// let branch = news.add_branch(2, Lag::DropOldest);
/// for n in 1..=5 {
///     news.send(n).unwrap();
/// }
/// drop(news);
/// assert_eq!(branch.missed(), 3);
/// assert_eq!(branch.into_iter().collect::<Vec<_>>(), [4, 5]);
/// ```
pub struct Branch<T> {
    id: BranchId,
    receiver: Receiver<T>,
    tally: Arc<Mutex<Tally>>,
}

/// What a branch did not get.
#[derive(Default)]
pub(super) struct Tally {
    missed: u64,
    cut_off: bool,
}

/// The sending end of a branch.
pub(super) struct Outlet<T> {
    pub(super) sender: Sender<T>,
    tally: Arc<Mutex<Tally>>,
}

impl<T> Outlet<T> {
    pub(super) fn missed(&self, items: u64) {
        lock(&self.tally).missed += items;
    }

    /// Ends the branch for its lag; it has missed the item that it was too slow for.
    pub(super) fn cut_off(&self) {
        let mut tally = lock(&self.tally);
        tally.missed += 1;
        tally.cut_off = true;
        drop(tally);
        self.close();
    }
}

impl<T> Member for Outlet<T> {
    fn close(&self) {
        self.sender.close();
    }
}

/// Adds a branch with room for `capacity` items to a list of what `member` makes of its sending end. On a list that is closed it
/// has ended.
pub(super) fn join<T, M: Member>(
    members: &Members<M>,
    capacity: usize,
    member: impl FnOnce(BranchId, Outlet<T>) -> M,
) -> Branch<T> {
    assert!(capacity > 0, "a branch needs room for an item");
    let (sender, receiver) = channel::bounded(capacity);
    let tally = Arc::default();
    let outlet = Outlet { sender, tally: Arc::clone(&tally) };
    let added = members.add(|number| member(BranchId(number), outlet));
    // What a closed list gives back is dropped, and with it the only sending end.
    let number = added.unwrap_or_else(|(number, _)| number);
    Branch { id: BranchId(number), receiver, tally }
}

impl<T> Branch<T> {
    /// Which branch it is, to [remove](super::Broadcast::remove_branch) it by.
    pub fn id(&self) -> BranchId {
        self.id
    }

    /// How many items it did not get, or no more, because it lagged: what it receives, what is still in and what it has missed are
    /// together what was sent while it was there.
    pub fn missed(&self) -> u64 {
        lock(&self.tally).missed
    }

    /// Whether it was ended because it lagged: [`Lag::Disconnect`](super::Lag::Disconnect). What was in can still be received.
    pub fn is_cut_off(&self) -> bool {
        lock(&self.tally).cut_off
    }

    /// The receiver alone.
    pub fn into_receiver(self) -> Receiver<T> {
        self.receiver
    }
}

impl<T> Deref for Branch<T> {
    type Target = Receiver<T>;

    fn deref(&self) -> &Receiver<T> {
        &self.receiver
    }
}

impl<T> IntoIterator for Branch<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.receiver.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Branch<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.receiver.iter()
    }
}

impl<T> fmt::Debug for Branch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Branch")
            .field("id", &self.id.0)
            .field("receiver", &self.receiver)
            .field("missed", &self.missed())
            .finish()
    }
}
