//! Every item to every branch, and what becomes of a branch that lags.

use super::branch::{self, Branch, BranchId, Outlet};
use super::members::{Member, Members, View};
use crate::Context;
use crate::channel::{SendCtxError, SendError, SendTimeoutError, TrySendError};
use crate::park::{Impatience, deadline_after, drive};
use crate::sync::Mutex;
use crossbeam_utils::atomic::AtomicCell;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is done about a branch that has no room for the next item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lag {
    /// The sender waits for it, and with the sender all other branches: nothing is lost.
    Block,
    /// Its oldest item is dropped: it gets the news.
    DropOldest,
    /// The item is not given to it: it gets what it has begun with.
    DropNewest,
    /// It is disconnected: it gets what is in, and then the end, and [knows why](Branch::is_cut_off).
    Disconnect,
}

/// A broadcast without branches yet: each item that is sent goes to every branch that is there then.
///
/// # Examples
///
/// ```
/// use aqueduct::{fan::{self, Lag}, thread};
///
/// let frames = fan::broadcast();
/// let archive = frames.add_branch(8, Lag::Block); // each frame
/// let screen = frames.add_branch(1, Lag::DropOldest); // the newest
/// thread::scope(|scope| {
///     let archived = scope.spawn(move || archive.into_iter().count()).expect("a thread");
///     for frame in 0..100 {
///         frames.send(frame)?;
///     }
///     drop(frames);
///     assert_eq!(archived.join().unwrap(), 100);
///     assert_eq!((screen.recv(), screen.missed()), (Ok(99), 99));
///     Ok::<(), aqueduct::channel::SendError<i32>>(())
/// })??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn broadcast<T: Clone>() -> Broadcast<T> {
    let members = Arc::new(Members::new());
    let turn = Mutex::new(members.view());
    Broadcast { shared: Arc::new(Shared { members, turn }) }
}

/// The sending end of a broadcast. Made by [`broadcast`](super::broadcast()). Clones send into the same one.
///
/// Each branch is a channel of its own, with its own bound and its own rule for [lag](Lag). Items are cloned, one time less than there
/// are branches; put what is big into an [`Arc`]. When the last sending end goes, the branches end: each gets what is in.
///
/// There is no thread: whoever sends carries the item to the branches. What is in memory is what the branches have room for.
///
/// # All or nobody
///
/// A send first waits until all branches that [block](Lag::Block) have room, and then gives the item to all. One that fails, gives up
/// or is cancelled has given it to nobody. Only a panic in the middle, of `clone` or of a receiver's waker, leaves it with some.
///
/// # Ordering and fairness
///
/// One send at a time has its turn: all branches get the same items in the same order, apart from what they miss. Sends
/// wait for their turn in the order of their coming, and compete with those that have just come. A send that sleeps at a lagging
/// branch holds up other sends, but nobody else: branches come, go, and are removed meanwhile.
///
/// # Progress
///
/// [`add_branch`](Self::add_branch), [`remove_branch`](Self::remove_branch) and [`close`](Self::close) take short locks. `try_send` waits
/// neither for its turn nor for room. Where a receiver is in the middle of taking an item, it waits for those few instructions, as a
/// `try_send` into a [channel](crate::channel#progress) does; and so do the other sends when they give.
///
/// `clone` is called while it is the sender's turn, and must not send into the same broadcast; what lagging branches lose is
/// dropped after it.
///
/// # Cancel safety
///
/// As said under *All or nobody*; a turn that had been given goes to the next.
pub struct Broadcast<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    members: Arc<Members<Leg<T>>>,
    /// Whoever has it sends; nobody else fills a branch, so room that has been seen stays. In it, the list as it was last seen.
    turn: Mutex<View<Leg<T>>>,
}

struct Leg<T> {
    id: BranchId,
    outlet: Outlet<T>,
    lag: Lag,
    /// Room that has been seen and not been used: a look at the receiver's end of the channel for each lap, and not for each item. Of whoever has
    /// the turn.
    room: AtomicCell<usize>,
}

impl<T> Member for Leg<T> {
    fn close(&self) {
        self.outlet.close();
    }
}

/// What a branch did with an item.
enum Given<T> {
    Taken,
    /// It has missed this one.
    Missed(T),
    /// It is no more.
    Gone(T),
}

impl<T> Leg<T> {
    /// Whether the sender has to wait for it.
    fn holds_up(&self) -> bool {
        if self.lag != Lag::Block || self.room.load() > 0 {
            return false;
        }
        let sender = &self.outlet.sender;
        let capacity = sender.capacity().unwrap_or(usize::MAX);
        self.room.store(capacity.saturating_sub(sender.len()));
        self.room.load() == 0 && !sender.is_closed()
    }

    /// Gives it the item, without waiting for it. What it loses goes into `litter`.
    fn give(&self, item: T, litter: &mut Vec<T>) -> Given<T> {
        let sender = &self.outlet.sender;
        if self.lag == Lag::DropOldest {
            let (given, displaced) = match sender.force_send(item) {
                Ok(displaced) => (Given::Taken, displaced),
                Err(closed) => (Given::Gone(closed.value), closed.displaced),
            };
            if displaced.is_some() {
                self.outlet.missed(1);
            }
            litter.extend(displaced);
            return given;
        }
        self.room.store(self.room.load().saturating_sub(1));
        match (sender.try_send(item), self.lag) {
            (Ok(()), _) => Given::Taken,
            (Err(TrySendError::Disconnected(item)), _) => Given::Gone(item),
            (Err(TrySendError::Full(item)), Lag::DropNewest) => {
                self.outlet.missed(1);
                Given::Missed(item)
            }
            (Err(TrySendError::Full(item)), Lag::Disconnect) => {
                self.outlet.cut_off();
                Given::Gone(item)
            }
            (Err(TrySendError::Full(_)), Lag::Block | Lag::DropOldest) => {
                unreachable!("there was room, and only whoever has the turn takes any")
            }
        }
    }
}

/// Nobody is there to take anything.
struct NoBranch;

impl<T> Broadcast<T> {
    /// Adds a branch with room for `capacity` items; it gets what is sent from now on. On a broadcast that is closed it has ended.
    ///
    /// A send that sleeps at another branch gives its item to this one, too.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::fan::{self, Lag};
    ///
    /// let news = fan::broadcast();
    /// let early = news.add_branch(4, Lag::Block);
    /// news.send(1).unwrap();
    /// let late = news.add_branch(4, Lag::Block);
    /// news.send(2).unwrap();
    /// drop(news);
    /// assert_eq!(early.into_iter().collect::<Vec<_>>(), [1, 2]);
    /// assert_eq!(late.into_iter().collect::<Vec<_>>(), [2]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or above [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY).
    pub fn add_branch(&self, capacity: usize, lag: Lag) -> Branch<T> {
        branch::join(&self.shared.members, capacity, |id, outlet| {
            let room = AtomicCell::new(0);
            Leg { id, outlet, lag, room }
        })
    }

    /// Ends a branch: it gets what is in, and then the end; a send that sleeps at it goes on. False if it has gone.
    pub fn remove_branch(&self, id: BranchId) -> bool {
        self.shared.members.remove(|leg| leg.id == id) > 0
    }

    /// How many branches there are. One whose receiver was dropped counts until the next item finds that out.
    pub fn branches(&self) -> usize {
        self.shared.members.view().list.len()
    }

    /// Ends all branches: each gets what is in, and then the end; sends fail from now on, sleeping ones too. True if this call did it.
    pub fn close(&self) -> bool {
        self.shared.members.close()
    }

    /// Whether it is closed. One without branches is not.
    pub fn is_closed(&self) -> bool {
        self.shared.members.is_closed()
    }

    /// Closes when `context` is done, which wakes everybody on both ends.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, fan::{self, Lag}};
    ///
    /// let context = Context::background();
    /// let news = fan::broadcast::<u8>().close_on(&context);
    /// let branch = news.add_branch(1, Lag::Block);
    /// context.cancel();
    /// assert!(branch.recv().is_err() && news.send(1).is_err());
    /// ```
    pub fn close_on(self, context: &Context) -> Self
    where
        T: Send + 'static,
    {
        self.shared.members.close_on(context);
        self
    }
}

impl<T: Clone> Broadcast<T> {
    /// Sends to all branches, and sleeps while one that [blocks](Lag::Block) has no room. Says how many took it.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item, if there is no branch (none was added, all have gone), or it is closed; also while this sleeps.
    pub fn send(&self, item: T) -> Result<usize, SendError<T>> {
        self.send_until(item, None).map_err(|refused| SendError(refused.into_inner()))
    }

    /// Sends to all branches if none holds it up now.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel::TrySendError, fan::{self, Lag}};
    ///
    /// let news = fan::broadcast();
    /// assert_eq!(news.try_send(0), Err(TrySendError::Disconnected(0)), "to nobody");
    /// let (slow, fast) = (news.add_branch(1, Lag::Block), news.add_branch(9, Lag::Block));
    /// assert_eq!(news.try_send(1), Ok(2));
    /// assert_eq!(news.try_send(2), Err(TrySendError::Full(2)));
    /// assert_eq!((slow.len(), fast.len()), (1, 1), "neither got it");
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the item: `Full` also while another send has its turn.
    pub fn try_send(&self, item: T) -> Result<usize, TrySendError<T>> {
        let Ok(mut turn) = self.shared.turn.try_lock() else {
            return Err(TrySendError::Full(item));
        };
        self.refresh(&mut turn);
        if turn.list.iter().any(|leg| leg.holds_up()) {
            return Err(TrySendError::Full(item));
        }
        let mut item = Some(item);
        let sent = self.deliver(turn, &mut item);
        sent.map_err(|NoBranch| TrySendError::Disconnected(item.expect("nobody took it")))
    }

    /// As [`send`](Self::send), for `timeout` at most. One too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the item.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<usize, SendTimeoutError<T>> {
        self.send_until(item, deadline_after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the item.
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<usize, SendTimeoutError<T>> {
        self.send_until(item, Some(deadline))
    }

    /// As [`send`](Self::send), until `context` is done at most.
    ///
    /// # Errors
    ///
    /// [`SendCtxError`], with the item.
    pub fn send_ctx(&self, context: &Context, item: T) -> Result<usize, SendCtxError<T>> {
        let mut item = Some(item);
        let sent = context.block_on(pin!(self.offer(&mut item)));
        let rest = || item.expect("what was not sent is there");
        match sent {
            Ok(Ok(taken)) => Ok(taken),
            Ok(Err(NoBranch)) => Err(SendCtxError::Disconnected(rest())),
            Err(error) => Err(SendCtxError::Done(rest(), error)),
        }
    }

    /// As [`send`](Self::send), awaited.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has given the item to nobody.
    pub async fn send_async(&self, item: T) -> Result<usize, SendError<T>> {
        let mut item = Some(item);
        let sent = self.offer(&mut item).await;
        sent.map_err(|NoBranch| SendError(item.expect("nobody took it")))
    }

    fn send_until(&self, item: T, deadline: Option<Instant>) -> Result<usize, SendTimeoutError<T>> {
        let item = match self.try_send(item) {
            Ok(taken) => return Ok(taken),
            Err(TrySendError::Disconnected(item)) => {
                return Err(SendTimeoutError::Disconnected(item));
            }
            Err(TrySendError::Full(item)) => item,
        };
        let mut item = Some(item);
        let sent = drive(pin!(self.offer(&mut item)), deadline, Impatience::HandOver);
        let rest = || item.expect("what was not sent is there");
        match sent {
            Some(Ok(taken)) => Ok(taken),
            Some(Err(NoBranch)) => Err(SendTimeoutError::Disconnected(rest())),
            None => Err(SendTimeoutError::Timeout(rest())),
        }
    }

    /// Sends what is in `item`, and takes it out when it does.
    async fn offer(&self, item: &mut Option<T>) -> Result<usize, NoBranch> {
        let mut turn = self.shared.turn.lock().await;
        loop {
            self.refresh(&mut turn);
            let Some(leg) = turn.list.iter().find(|leg| leg.holds_up()) else { break };
            // It takes nothing: the room stays, for the turn is ours.
            leg.outlet.sender.room().await;
        }
        self.deliver(turn, item)
    }

    fn refresh(&self, view: &mut View<Leg<T>>) {
        if view.is_stale() {
            *view = self.shared.members.view();
        }
    }

    /// Gives the item to all, without waiting for any. What is dropped is dropped when the turn is over.
    fn deliver(&self, turn: Turn<'_, T>, item: &mut Option<T>) -> Result<usize, NoBranch> {
        let (mut taken, mut gone) = (0, 0);
        // What one branch did not take is for the next.
        let mut spare = None;
        let mut litter = Vec::new();
        for (nth, leg) in turn.list.iter().enumerate() {
            let copy = match (spare.take(), &*item) {
                (Some(spare), _) => Some(spare),
                (None, Some(item)) if nth + 1 < turn.list.len() => Some(item.clone()),
                (None, _) => item.take(),
            };
            match leg.give(copy.expect("it goes to the last"), &mut litter) {
                Given::Taken => taken += 1,
                Given::Missed(copy) => spare = Some(copy),
                Given::Gone(copy) => {
                    gone += 1;
                    spare = Some(copy);
                }
            }
        }
        let branches = turn.list.len() - gone;
        drop(turn);
        if gone > 0 {
            self.shared.members.remove(|leg| leg.outlet.sender.is_closed());
        }
        if branches == 0 {
            *item = item.take().or(spare);
            return Err(NoBranch);
        }
        *item = None;
        Ok(taken)
    }
}

type Turn<'a, T> = crate::sync::MutexGuard<'a, View<Leg<T>>>;

impl<T> Clone for Broadcast<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // The callback of a context may hold the list for a moment longer.
        self.members.close();
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast")
            .field("branches", &self.branches())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
