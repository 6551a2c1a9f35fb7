//! The tree under [`Context`](super::Context): who is told when a node is done, and how it is decided.
//!
//! A node has one decision, `outcome`, made once. Making it and telling it are separate steps, so that
//! reading it never runs foreign code:
//!
//! - *decide*: whoever cancels, or looks at the clock first, sets `outcome`. A deadline that was inherited is
//!   decided at the node that owns it, and copied from there, so that the two cannot disagree.
//! - *mark*: whoever cancels, or the timer at the deadline, walks down from the node and decides each child in its parent's
//!   sense. All tables stay as they are, and the node stays in its parent's.
//! - *tell*: the same then leaves the parent, empties the tables of all nodes that it has come by, and only after that wakes
//!   and calls.
//!
//! The race that would lose: a follower enters the table just after it was emptied. It does not: `outcome` is
//! set before the table is locked to be walked over or emptied, and a follower looks at `outcome` with the table locked
//! before it enters. So either the walker finds it, or it finds the outcome.
//!
//! The other: two cancel at once, here or one above the other, and one of them returns while nodes below are not decided, for
//! the other has taken them along and is still at it. It does not: who walks goes down into children that are decided
//! already, too, and what it does not find in a table was taken out by one who had marked everything below that.
//!
//! Up, nodes hold each other strongly (a child needs its ancestors' deadline, cancellation and values); down,
//! weakly, and a child that goes takes itself out of its parent's table. Walks in both directions,
//! destruction included, are loops: a chain of 100,000 contexts needs no more stack than one.

use super::decision::{Decision, Outcome};
use super::table::{Place, Table};
use super::{Cause, ContextError};
use crate::foreign::discard;
use crate::lock;
use crate::thread::{SpawnError, catch};
use crate::timer::{self, Timer};
use std::any::Any;
use std::mem;
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;
use std::time::Instant;

pub(super) struct Node {
    /// Where values come from, and, for a node with a `place`, cancellation.
    parent: Option<Arc<Node>>,
    /// Where in the parent's table this node was put; none in a node that does not follow its parent.
    place: Option<Place>,
    /// The earliest here or above: shared with the node that set it.
    deadline: Option<Arc<Deadline>>,
    value: Option<Box<dyn Any + Send + Sync>>,
    outcome: Decision,
    /// Children, wakers and callbacks, in the order in which they came.
    followers: Mutex<Table<Follower>>,
}

/// A deadline, and the timer that tells it, if anybody waits who must be told.
struct Deadline {
    at: Instant,
    /// The node that set it; all others that share it are below.
    owner: Weak<Node>,
    watch: Mutex<Watch>,
}

impl Deadline {
    fn new(at: Instant, owner: Weak<Node>) -> Self {
        Self { at, owner, watch: Mutex::new(Watch::Idle) }
    }
}

enum Watch {
    /// Nobody waits: everybody who cares looks at the clock.
    Idle,
    /// Dropping the timer frees it.
    Set { _timer: Timer },
    /// The owner has been told.
    Over,
}

/// What happens when a node is done.
pub(super) enum Follower {
    Child(Weak<Node>),
    Wake(Waker),
    Call(Box<dyn FnOnce() + Send>),
}

impl Follower {
    pub(super) fn run(self) {
        match self {
            Self::Child(_) => {}
            Self::Wake(waker) => waker.wake(),
            Self::Call(f) => f(),
        }
    }
}

impl Node {
    /// A node that nothing above can cancel; it finds the values of `values_of` and above.
    pub(super) fn root(values_of: Option<&Arc<Node>>) -> Arc<Self> {
        Arc::new(Self {
            parent: values_of.cloned(),
            place: None,
            deadline: None,
            value: None,
            outcome: Decision::default(),
            followers: Mutex::default(),
        })
    }

    /// A node that ends with `parent`, or at `deadline` if that is earlier.
    pub(super) fn derive(
        parent: &Arc<Self>,
        deadline: Option<Instant>,
        value: Option<Box<dyn Any + Send + Sync>>,
    ) -> Arc<Self> {
        let inherited = parent.deadline.as_ref();
        let own = deadline.filter(|&at| inherited.is_none_or(|inherited| at < inherited.at));
        // Looks at the clock, too.
        parent.outcome();
        // Locked until the child is in: its place is part of it.
        let mut followers = lock(&parent.followers);
        let outcome = Decision::default();
        let place = match parent.outcome.get() {
            None => Some(followers.next_place()),
            Some(decided) => {
                outcome.decide(decided.clone());
                None
            }
        };
        let node = Arc::new_cyclic(|owner| Self {
            parent: Some(Arc::clone(parent)),
            place,
            deadline: own.map_or_else(
                || inherited.cloned(),
                |at| Some(Arc::new(Deadline::new(at, Weak::clone(owner)))),
            ),
            value,
            outcome,
            followers: Mutex::default(),
        });
        if let Some(place) = place {
            let put = followers.insert(Follower::Child(Arc::downgrade(&node)));
            debug_assert_eq!(put, place, "locked all the time");
        }
        node
    }

    /// How this node ended, if it has: by its own or an inherited decision, or by the clock. Calls nobody.
    pub(super) fn outcome(&self) -> Option<&Outcome> {
        // The clock is not asked once it is decided.
        self.outcome.get().or_else(|| {
            self.deadline.as_ref()?;
            self.look_at_clock(Instant::now());
            self.outcome.get()
        })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline.as_ref().map(|deadline| deadline.at)
    }

    pub(super) fn value<V: Any>(&self) -> Option<&V> {
        let mut node = Some(self);
        while let Some(here) = node {
            let value = here.value.as_ref().and_then(|value| value.downcast_ref());
            if value.is_some() {
                return value;
            }
            node = here.parent.as_deref();
        }
        None
    }

    /// Decides for cancellation, unless it is decided, and tells.
    pub(super) fn cancel(self: &Arc<Self>, cause: Option<Cause>) {
        let now = Instant::now();
        self.look_at_clock(now);
        self.outcome.decide(Outcome { error: ContextError::Canceled, cause });
        self.end(now);
    }

    /// Adds to what happens when this node is done; gives it back if it is done.
    pub(super) fn follow(&self, follower: Follower) -> Result<Place, Follower> {
        self.outcome();
        let mut followers = lock(&self.followers);
        if self.outcome.get().is_some() {
            return Err(follower);
        }
        Ok(followers.insert(follower))
    }

    /// Takes a follower back, unless it was told already.
    pub(super) fn unfollow(&self, place: Place) -> Option<Follower> {
        lock(&self.followers).remove(place)
    }

    /// Makes sure that the deadline, if there is one, will be told to the followers that are in the table now.
    pub(super) fn watch_clock(&self) -> Result<(), SpawnError> {
        let Some(deadline) = &self.deadline else { return Ok(()) };
        let mut watch = lock(&deadline.watch);
        if let Watch::Idle = *watch {
            let owner = Weak::clone(&deadline.owner);
            let _timer = timer::call_at(deadline.at, move || {
                // Gone: then everybody below is gone too.
                let Some(owner) = owner.upgrade() else { return };
                let now = Instant::now();
                owner.look_at_clock(now);
                owner.end(now);
            })?;
            *watch = Watch::Set { _timer };
        }
        Ok(())
    }

    /// Decides for the deadline if it has passed and nothing is decided.
    fn look_at_clock(&self, now: Instant) {
        let Some(deadline) = &self.deadline else { return };
        if now < deadline.at || self.outcome.get().is_some() {
            return;
        }
        let owner = deadline.owner.upgrade().expect("a node keeps all above it");
        // It may have been cancelled just now, and have reached us next.
        owner.outcome.decide(ContextError::DeadlineExceeded.into());
        let outcome = owner.outcome.get().expect("it is decided");
        self.outcome.decide(outcome.clone());
    }

    /// Marks all below this node, which is decided, and tells all followers of it and of those.
    fn end(self: &Arc<Self>, now: Instant) {
        let nodes = self.mark(now);
        // Not before: whoever cancels the parent meanwhile must find us, and all that is not decided yet.
        self.leave_parent();
        let mut told = Vec::new();
        for node in &nodes {
            node.stop_watching();
            // A statement of its own: the lock is not held while followers are dropped.
            let followers = lock(&node.followers).take_all();
            told.extend(followers.filter(|follower| !matches!(follower, Follower::Child(_))));
        }
        let mut first_panic = None;
        for follower in told {
            if let Err(panicked) = catch(|| follower.run()) {
                if first_panic.is_none() {
                    first_panic = Some(panicked);
                } else {
                    discard(panicked);
                }
            }
        }
        // If their last handles have gone meanwhile, this is where their values are dropped.
        nodes.into_iter().for_each(discard);
        match first_panic {
            None => {}
            Some(panicked) if std::thread::panicking() => discard(panicked),
            Some(panicked) => panicked.resume(),
        }
    }

    /// Decides all nodes below this one, which is decided. Returns those that have somebody to tell, parents first.
    fn mark(self: &Arc<Self>, now: Instant) -> Vec<Arc<Self>> {
        let mut nodes = vec![Arc::clone(self)];
        let mut children = Vec::new();
        let mut next = 0;
        while let Some(node) = nodes.get(next) {
            let outcome =
                node.outcome.get().expect("decided before it was put on the list").clone();
            // With the lock held they are held only: the last handle of one may go meanwhile, and who lets go of it last
            // looks into this table.
            children.extend(lock(&node.followers).iter().filter_map(|follower| match follower {
                Follower::Child(child) => child.upgrade(),
                Follower::Wake(_) | Follower::Call(_) => None,
            }));
            for child in children.drain(..) {
                // Its own deadline may have passed unnoticed, before this happened.
                child.look_at_clock(now);
                child.outcome.decide(outcome.clone());
                // Nobody enters any more, so most are done with here, while they are in the cache.
                if lock(&child.followers).is_empty() {
                    child.stop_watching();
                    discard(child);
                } else {
                    nodes.push(child);
                }
            }
            next += 1;
        }
        nodes
    }

    /// Frees the timer of a deadline that this node owns.
    fn stop_watching(self: &Arc<Self>) {
        if let Some(deadline) = &self.deadline
            && deadline.owner.as_ptr() == Arc::as_ptr(self)
        {
            let watch = mem::replace(&mut *lock(&deadline.watch), Watch::Over);
            drop(watch);
        }
    }

    fn leave_parent(&self) {
        if let (Some(parent), Some(place)) = (&self.parent, self.place) {
            parent.unfollow(place);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.leave_parent();
        // Taken apart from the leaf upwards, in a loop: dropped from within, each would drop its parent, as
        // deep as the chain is long.
        let mut parent = self.parent.take();
        while let Some(mut node) = parent.and_then(Arc::into_inner) {
            node.leave_parent();
            parent = node.parent.take();
        }
    }
}
