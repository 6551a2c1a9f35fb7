//! The line between two single threads: a ring for one that puts and one that takes.

use super::edge::Bell;
use super::parcel::Parcel;
use crate::lock;
use aqueduct_core::channel::{TryRecvError, TrySendError};
use aqueduct_core::queue::spsc::{Consumer, Producer, ring};
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::sync::Mutex;

/// The one end of the ring, where items go in.
pub(super) type Inlet<T> = Producer<'static, Parcel<T>>;

/// The other, where they come out.
pub(super) struct Outlet<T> {
    ring: Consumer<'static, Parcel<T>>,
    /// How many were taken since it was last looked whether room is wanted.
    taken: usize,
}

/// What two parties have of a line that is theirs alone, beside its ends.
///
/// Each of them has its end for itself, and passes an item with no lock and no word that the other one writes, but for the two that say
/// that somebody waits. If a stage is changed and others come, both ends that are shared then are kept here, under locks.
pub(super) struct Pair<T> {
    inlet: Mutex<Option<Inlet<T>>>,
    outlet: Mutex<Option<Outlet<T>>>,
    /// [`AWAITED`], [`CLOSED`].
    items: CachePadded<AtomicCell<usize>>,
    /// A maker waits for room.
    wants_room: CachePadded<AtomicCell<bool>>,
}

/// A taker waits for items.
const AWAITED: usize = 1;
/// Nobody takes any more.
const CLOSED: usize = 2;

impl<T> Pair<T> {
    pub(super) fn new(capacity: usize) -> (Self, Inlet<T>, Outlet<T>) {
        let (inlet, ring) = ring(capacity);
        let pair = Self {
            inlet: Mutex::new(None),
            outlet: Mutex::new(None),
            items: CachePadded::default(),
            wants_room: CachePadded::default(),
        };
        (pair, inlet, Outlet { ring, taken: 0 })
    }

    /// Puts a parcel in, and wakes whoever waits for it. `own` is the end of a maker that has it for itself.
    #[inline]
    pub(super) fn put(
        &self,
        own: Option<&mut Inlet<T>>,
        parcel: Parcel<T>,
        takers: &Bell,
    ) -> Result<(), TrySendError<Parcel<T>>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(parcel));
        }
        let pushed = match own {
            Some(inlet) => inlet.push(parcel),
            None => self.push_shared(parcel),
        };
        pushed.map_err(TrySendError::Full)?;
        match self.items.fetch_and(!AWAITED) {
            0 => Ok(()),
            told => self.put_and_told(told, takers),
        }
    }

    #[cold]
    fn push_shared(&self, parcel: Parcel<T>) -> Result<(), Parcel<T>> {
        match &mut *lock(&self.inlet) {
            Some(inlet) => inlet.push(parcel),
            None => Err(parcel),
        }
    }

    /// What a maker does that finds one of the marks behind its item.
    #[cold]
    fn put_and_told(&self, told: usize, takers: &Bell) -> Result<(), TrySendError<Parcel<T>>> {
        if told & AWAITED != 0 {
            takers.notify_all();
        }
        if told & CLOSED != 0 {
            // Whoever closed it takes what is in before it leaves its end here: if that has happened, one too many is in for each maker
            // that comes by here.
            if let Some(parcel) = lock(&self.outlet).as_mut().and_then(|outlet| outlet.ring.pop()) {
                return Err(TrySendError::Closed(parcel));
            }
        }
        Ok(())
    }

    /// Takes a parcel out, and lets makers in that wait, once half of the room is free.
    #[inline]
    pub(super) fn take(&self, own: Option<&mut Outlet<T>>, makers: &Bell) -> Option<Parcel<T>> {
        match own {
            Some(outlet) => self.take_from(outlet, makers),
            None => self.take_from(lock(&self.outlet).as_mut()?, makers),
        }
    }

    #[inline]
    fn take_from(&self, outlet: &mut Outlet<T>, makers: &Bell) -> Option<Parcel<T>> {
        let parcel = outlet.ring.pop()?;
        outlet.taken += 1;
        let half = outlet.ring.capacity() / 2;
        if outlet.taken >= half {
            // Whoever waits found no room, and sees what is taken until here, or is seen: it is enough to look once while half is taken.
            let is_wanted = self.wants_room.fetch_or(false);
            if !is_wanted {
                outlet.taken = 0;
            } else if outlet.ring.len() <= half || outlet.taken >= outlet.ring.capacity() {
                // The latter where several makers share their end, and those who never sleep keep the line full.
                outlet.taken = 0;
                self.wants_room.swap(false);
                makers.notify_all();
            }
        }
        Some(parcel)
    }

    /// To be said before the last look for an item, and the sleep.
    pub(super) fn await_items(&self) {
        self.items.fetch_or(AWAITED);
    }

    /// To be said before the last look for room, and the sleep.
    pub(super) fn await_room(&self) {
        self.wants_room.swap(true);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.items.load() & CLOSED != 0
    }

    /// Nobody is to put anything from now on; what is in by now still comes out, and then the end is left here.
    pub(super) fn close(&self, own: &mut Option<Outlet<T>>) -> Result<Parcel<T>, TryRecvError> {
        let mut left = lock(&self.outlet);
        self.items.fetch_or(CLOSED);
        leave(own, &mut left);
        let rest = left.as_mut().and_then(|outlet| outlet.ring.pop());
        rest.ok_or(TryRecvError::Closed)
    }

    /// From now on several have this end.
    pub(super) fn share_inlet(&self, own: &mut Option<Inlet<T>>) {
        leave(own, &mut lock(&self.inlet));
    }

    /// From now on several have this end.
    pub(super) fn share_outlet(&self, own: &mut Option<Outlet<T>>) {
        leave(own, &mut lock(&self.outlet));
    }

    pub(super) fn len(&self, own: Option<&Outlet<T>>) -> usize {
        let len = |outlet: &Outlet<T>| outlet.ring.len();
        own.map_or_else(|| lock(&self.outlet).as_ref().map_or(0, len), len)
    }
}

/// Lays an end where others find it, unless it lies there already.
fn leave<E>(own: &mut Option<E>, place: &mut Option<E>) {
    if let Some(end) = own.take() {
        *place = Some(end);
    }
}
