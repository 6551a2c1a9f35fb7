//! One waiter's slot: a phase that says whose it is, and plain cells that belong to whoever the phase says.
//!
//! | phase | means | waker | request, links |
//! |---|---|---|---|
//! | (free) | in no future's hands | nobody | nobody |
//! | UPDATING | its future is inside a poll | its future | drainer, once it is pushed |
//! | WAITING | its future has returned Pending | nobody; whoever leaves this phase takes it | drainer |
//! | GRANTING | the drainer moves the waker out | drainer | drainer |
//! | GRANTED | handed over; the drainer has let go | its future | nobody |
//! | CONSUMED | the future has its grant already, the drainer frees the slot | drainer | drainer |
//! | CANCELLED | withdrawn; the drainer unlinks and frees it | its future | drainer |
//!
//! "Drainer" is whoever has set DRAINING in the primitive's word, one at a time. `request` is written by the
//! registrant before it pushes the slot, and `withdrawn` by the canceller before it pushes it; after that the
//! drainer owns them.

use core::panic::{RefUnwindSafe, UnwindSafe};
use core::task::Waker;

use crate::sync::{AtomicUsize, UnsafeCell};

/// 0, so that what waits for nobody yet is all zero, and lies in `.bss`, which takes no flash.
pub(super) const CONSUMED: usize = 0;
pub(super) const UPDATING: usize = 1;
pub(super) const WAITING: usize = 2;
pub(super) const GRANTING: usize = 3;
pub(super) const GRANTED: usize = 4;
pub(super) const CANCELLED: usize = 5;

const PHASE_BITS: u32 = 3;

/// What a waiter was given, in the primitive's own code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Grant(pub(crate) usize);

/// A value of a slot's `phase` word: a phase and, from GRANTING on, the grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Phase(pub(super) usize);

impl Phase {
    pub(super) const fn with(phase: usize, grant: Grant) -> Self {
        Self(phase | (grant.0 << PHASE_BITS))
    }

    pub(super) const fn kind(self) -> usize {
        self.0 & ((1 << PHASE_BITS) - 1)
    }

    pub(super) const fn grant(self) -> Grant {
        Grant(self.0 >> PHASE_BITS)
    }
}

/// What a waiter asks for: its class, and a number that the primitive understands (a weight, an epoch).
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) class: usize,
    pub(super) ask: usize,
}

/// Where the slot stands in the list of its class. An address is an index plus one, and 0 is "none".
#[derive(Clone, Copy)]
pub(super) struct Links {
    /// Towards the younger; in the inbox: towards the older.
    pub(super) next: usize,
    /// Towards the older, or [`UNLISTED`].
    pub(super) prev: usize,
}

/// The `prev` of a slot that is in no list: still in the inbox, or unlinked.
pub(super) const UNLISTED: usize = usize::MAX;

/// A waiter's slot.
pub struct Slot {
    pub(super) phase: AtomicUsize,
    waker: UnsafeCell<Option<Waker>>,
    request: UnsafeCell<Request>,
    links: UnsafeCell<Links>,
    withdrawn: UnsafeCell<usize>,
}

// SAFETY: `phase` is atomic, and the table above names one owner for each cell in each phase; the functions
// that touch a cell are unsafe and ask for that owner.
unsafe impl Sync for Slot {}

// A panic in a waker leaves its slot in a phase from which the next poll, or the drop of the future, goes on.
impl UnwindSafe for Slot {}
impl RefUnwindSafe for Slot {}

crate::sync::const_unless_loom! {
    pub(super) const fn new_slot() -> Slot {
        Slot {
            phase: AtomicUsize::new(CONSUMED),
            waker: UnsafeCell::new(None),
            request: UnsafeCell::new(Request { class: 0, ask: 0 }),
            // Not UNLISTED, for the same reason: whoever pushes the slot writes them before anybody reads them.
            links: UnsafeCell::new(Links { next: 0, prev: 0 }),
            withdrawn: UnsafeCell::new(0),
        }
    }
}

impl Slot {
    /// Puts `waker` in and takes out what was there.
    ///
    /// # Safety
    ///
    /// The caller owns the waker, by the table above.
    pub(super) unsafe fn replace_waker(&self, waker: Option<Waker>) -> Option<Waker> {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.waker.with_mut(|cell| unsafe { core::mem::replace(&mut *cell, waker) })
    }

    /// # Safety
    ///
    /// The caller owns the request, by the table above.
    pub(super) unsafe fn request(&self) -> Request {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.request.with(|cell| unsafe { *cell })
    }

    /// # Safety
    ///
    /// The caller owns the request, by the table above.
    pub(super) unsafe fn set_request(&self, request: Request) {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.request.with_mut(|cell| unsafe { *cell = request });
    }

    /// # Safety
    ///
    /// The caller owns the links, by the table above.
    pub(super) unsafe fn links(&self) -> Links {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.links.with(|cell| unsafe { *cell })
    }

    /// # Safety
    ///
    /// The caller owns the links, by the table above.
    pub(super) unsafe fn set_links(&self, links: Links) {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.links.with_mut(|cell| unsafe { *cell = links });
    }

    /// The next slot on the stack of the withdrawn.
    ///
    /// # Safety
    ///
    /// The caller owns `withdrawn`: the drainer, after it took the stack.
    pub(super) unsafe fn withdrawn(&self) -> usize {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.withdrawn.with(|cell| unsafe { *cell })
    }

    /// # Safety
    ///
    /// The caller owns `withdrawn`: the canceller, before it pushes the slot.
    pub(super) unsafe fn set_withdrawn(&self, next: usize) {
        // SAFETY: the caller is the only one who may touch this cell now.
        self.withdrawn.with_mut(|cell| unsafe { *cell = next });
    }
}
