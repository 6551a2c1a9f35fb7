//! Each item to one branch, chosen by the item: by its key, by a predicate, in turn.

mod error;
mod rule;

pub use error::{RouteError, Unrouted};
pub use rule::Rule;

use super::branch::{self, Branch, BranchId, Outlet};
use super::members::{Member, Members};
use crate::Context;
use crate::channel::{SendError, TrySendError};
use crate::park::{Impatience, deadline_after, drive};
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A router without branches yet, which chooses by `rule` among those that want an item.
///
/// # Examples
///
/// All events of a user go to the same worker, in their order:
///
/// ```
/// use aqueduct::{fan::{self, Rule}, thread};
///
/// let events = fan::route(Rule::by_key(|&(user, _): &(u32, u32)| user));
/// let workers: Vec<_> = (0..3).map(|_| events.add_branch(4)).collect();
/// thread::scope(|scope| {
///     for events in workers {
///         scope.spawn(move || {
///             let mut last = std::collections::HashMap::new();
///             for (user, event) in events {
///                 assert!(last.insert(user, event) < Some(event), "in order");
///             }
///         })
///         .expect("a thread");
///     }
///     for event in 0..100 {
///         events.send((event % 7, event)).expect("three branches are there");
///     }
///     drop(events);
/// })?;
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// By what a branch wants:
///
/// ```
/// use aqueduct::fan::{self, Rule, Unrouted};
///
/// let numbers = fan::route(Rule::first());
/// let small = numbers.add_branch_if(4, |n: &u32| *n < 10);
/// let even = numbers.add_branch_if(4, |n| n % 2 == 0);
/// for n in [8, 12] {
///     numbers.send(n)?;
/// }
/// assert_eq!((small.recv(), even.recv()), (Ok(8), Ok(12)));
/// let refused = numbers.send(13).unwrap_err();
/// assert_eq!((refused.item, refused.reason), (13, Unrouted::NoMatch));
/// # Ok::<(), fan::RouteError<u32>>(())
/// ```
pub fn route<T>(rule: Rule<T>) -> Router<T> {
    Router { shared: Arc::new(Shared { members: Arc::new(Members::new()), rule }) }
}

/// The sending end of a route. Made by [`route`](super::route()). Clones send into the same one.
///
/// Each branch is a channel of its own. An item goes to exactly one: the rule chooses among the branches that want it. If that branch
/// has no room the sender waits for it, and for no other; other senders and other branches go on. There is no thread.
///
/// An item that no branch wants comes back with [`Unrouted::NoMatch`], or goes to the branch [for the rest](Self::add_rest).
/// A branch whose receiver was dropped is no more, and the rule chooses among the others. When the last sending end goes, the
/// branches end: each gets what is in.
///
/// # Ordering
///
/// What one sender sends to one branch comes in order. As long as no branch comes or goes, so does what has the same key; then a new
/// branch takes over some keys, and those of a branch that goes are spread over the others, while all other keys stay.
///
/// # Progress
///
/// [`add_branch`](Self::add_branch) and its like, [`remove_branch`](Self::remove_branch) and [`close`](Self::close) take short locks.
/// Predicates and keys are asked with nothing locked.
///
/// # Cancel safety
///
/// A send that fails, gives up or is cancelled has given the item to nobody.
pub struct Router<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    members: Arc<Members<Leg<T>>>,
    rule: Rule<T>,
}

/// A branch, as the router sees it.
struct Leg<T> {
    id: BranchId,
    outlet: Outlet<T>,
    wants: Wants<T>,
}

enum Wants<T> {
    All,
    Those(Box<dyn Fn(&T) -> bool + Send + Sync>),
    /// What nobody else wants.
    Rest,
}

impl<T> Member for Leg<T> {
    fn close(&self) {
        self.outlet.close();
    }
}

impl<T> Router<T> {
    /// Adds a branch with room for `capacity` items, which wants all. On a router that is closed it has ended.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0, or above [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY).
    pub fn add_branch(&self, capacity: usize) -> Branch<T> {
        self.add(capacity, Wants::All)
    }

    /// Adds a branch that wants what `predicate` is true for.
    ///
    /// # Panics
    ///
    /// As [`add_branch`](Self::add_branch).
    pub fn add_branch_if(
        &self,
        capacity: usize,
        predicate: impl Fn(&T) -> bool + Send + Sync + 'static,
    ) -> Branch<T> {
        self.add(capacity, Wants::Those(Box::new(predicate)))
    }

    /// Adds a branch for the dead letters: it gets what no other branch wants, also when there is no other.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::fan::{self, Rule};
    ///
    /// let router = fan::route(Rule::first());
    /// let known = router.add_branch_if(2, |line: &&str| line.starts_with("GET"));
    /// let rest = router.add_rest(2);
    /// router.send("EHLO")?;
    /// assert_eq!((known.len(), rest.recv()), (0, Ok("EHLO")));
    /// # Ok::<(), fan::RouteError<&str>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`add_branch`](Self::add_branch).
    pub fn add_rest(&self, capacity: usize) -> Branch<T> {
        self.add(capacity, Wants::Rest)
    }

    fn add(&self, capacity: usize, wants: Wants<T>) -> Branch<T> {
        branch::join(&self.shared.members, capacity, |id, outlet| Leg { id, outlet, wants })
    }

    /// Ends a branch: it gets what is in, and then the end; a send that sleeps at it chooses again. False if it has gone.
    pub fn remove_branch(&self, id: BranchId) -> bool {
        self.shared.members.remove(|leg| leg.id == id) > 0
    }

    /// How many branches there are. One whose receiver was dropped counts until an item that it would get finds that out.
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
    pub fn close_on(self, context: &Context) -> Self
    where
        T: Send + 'static,
    {
        self.shared.members.close_on(context);
        self
    }

    /// Sends to the branch that is chosen, and sleeps while it has no room.
    ///
    /// # Errors
    ///
    /// [`RouteError`], with the item and the reason: no branch wants it, there is none, or the router is closed.
    pub fn send(&self, item: T) -> Result<(), RouteError<T>> {
        self.send_until(item, None)
    }

    /// Sends to the branch that is chosen, if it has room now.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or [`Unrouted::Full`].
    pub fn try_send(&self, item: T) -> Result<(), RouteError<T>> {
        let mut item = item;
        loop {
            let chosen = match self.choose(&item) {
                Ok(chosen) => chosen,
                Err(reason) => return Err(RouteError { item, reason }),
            };
            match chosen.leg.outlet.sender.try_send(item) {
                Ok(()) => {
                    chosen.turn.keep();
                    return Ok(());
                }
                Err(TrySendError::Full(item)) => {
                    return Err(RouteError { item, reason: Unrouted::Full });
                }
                Err(TrySendError::Disconnected(back)) => item = back,
            }
            self.forget(&chosen.leg);
        }
    }

    /// As [`send`](Self::send), for `timeout` at most. One too long for the clock is none.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or [`Unrouted::Timeout`].
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), RouteError<T>> {
        self.send_until(item, deadline_after(timeout))
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or [`Unrouted::Timeout`].
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), RouteError<T>> {
        self.send_until(item, Some(deadline))
    }

    /// As [`send`](Self::send), until `context` is done at most.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), or [`Unrouted::Done`].
    pub fn send_ctx(&self, context: &Context, item: T) -> Result<(), RouteError<T>> {
        let mut item = Some(item);
        let sent = context.block_on(pin!(self.offer(&mut item)));
        match sent {
            Ok(sent) => sent.map_err(|reason| RouteError::new(item, reason)),
            Err(error) => Err(RouteError::new(item, Unrouted::Done(error))),
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
    pub async fn send_async(&self, item: T) -> Result<(), RouteError<T>> {
        let mut item = Some(item);
        let sent = self.offer(&mut item).await;
        sent.map_err(|reason| RouteError::new(item, reason))
    }

    fn send_until(&self, item: T, deadline: Option<Instant>) -> Result<(), RouteError<T>> {
        let item = match self.try_send(item) {
            Err(RouteError { item, reason: Unrouted::Full }) => item,
            sent => return sent,
        };
        let mut item = Some(item);
        let sent = drive(pin!(self.offer(&mut item)), deadline, Impatience::HandOver);
        let sent = sent.unwrap_or(Err(Unrouted::Timeout));
        sent.map_err(|reason| RouteError::new(item, reason))
    }

    /// Sends what is in `item`, and takes it out when it does.
    async fn offer(&self, item: &mut Option<T>) -> Result<(), Unrouted> {
        loop {
            let chosen = self.choose(item.as_ref().expect("it is there until it is sent"))?;
            if let Ok(permit) = chosen.leg.outlet.sender.reserve_async().await {
                match permit.send(item.take().expect("it is there until it is sent")) {
                    Ok(()) => {
                        chosen.turn.keep();
                        return Ok(());
                    }
                    Err(SendError(back)) => *item = Some(back),
                }
            }
            self.forget(&chosen.leg);
        }
    }

    fn choose(&self, item: &T) -> Result<Chosen<'_, T>, Unrouted> {
        let view = self.shared.members.view();
        let wants = |leg: &&Arc<Leg<T>>| match &leg.wants {
            Wants::All => true,
            Wants::Those(predicate) => predicate(item),
            Wants::Rest => false,
        };
        let wanting: Vec<_> = view.list.iter().filter(wants).collect();
        let ids = wanting.iter().map(|leg| leg.id.0);
        if let Some((place, turn)) = self.shared.rule.choose(item, ids) {
            return Ok(Chosen { leg: Arc::clone(wanting[place]), turn });
        }
        let rest = view.list.iter().find(|leg| matches!(leg.wants, Wants::Rest));
        match rest {
            Some(leg) => Ok(Chosen { leg: Arc::clone(leg), turn: rule::Turn::none() }),
            None if self.is_closed() => Err(Unrouted::Closed),
            None if view.list.is_empty() => Err(Unrouted::NoBranch),
            None => Err(Unrouted::NoMatch),
        }
    }

    /// The branch has ended.
    fn forget(&self, leg: &Arc<Leg<T>>) {
        self.shared.members.remove(|other| other.id == leg.id);
    }
}

struct Chosen<'a, T> {
    leg: Arc<Leg<T>>,
    /// Given back if the item is not sent after all.
    turn: rule::Turn<'a>,
}

impl<T> Clone for Router<T> {
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

impl<T> fmt::Debug for Router<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("branches", &self.branches())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
