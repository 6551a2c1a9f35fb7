//! Whether there is a value, or room, as far as one can tell without taking it.
//!
//! The count of values does not tell: a reserved place is counted and has no value, and one whose ticket was taken away is
//! not counted and leaves no room. So these look at the slots, as `claim_head` and `claim_tail` do where the first one is
//! of no use, and change nothing.

use super::progress::Progress;
use super::ring::Ring;
use super::storage::Storage;
use super::ticket::{CLOSED, State, is_before};
use crate::sync::SeqCst;

impl<S: Storage, P: Progress> Ring<S, P> {
    /// Whether a pop would have found a value, or (where parties may wait) one on its way in. As exact as "empty".
    pub(crate) fn has_value(&self) -> bool {
        let geometry = self.geometry();
        loop {
            // pop:aim - SeqCst: as in claim_head.
            let head = self.head.load(SeqCst);
            // pop:behind - SeqCst: as in head_is_not_full.
            let tail = self.tail.load(SeqCst) & !CLOSED;
            let mut ticket = head;
            while is_before(ticket, tail) {
                // pop:enter - SeqCst: as in claim_head.
                let state = State(self.slot(ticket).state.load(SeqCst));
                let (lap, own) = (geometry.lap_of(state.0), geometry.lap_of(ticket));
                // A later lap counts too, as in is_any_full.
                let is_in = state.is_full() && !is_before(lap, own);
                if is_in || !P::LOCK_FREE && state.is_free() && lap == own {
                    return true;
                }
                ticket = geometry.after(ticket);
            }
            // pop:empty - SeqCst: while the head stood still nothing behind it was popped: what was not in when it was
            // looked at was not in at pop:behind.
            if self.head.load(SeqCst) == head {
                return false;
            }
        }
    }

    /// Whether a push would have found room, or (where parties may wait) a slot on its way out. As exact as "full".
    pub(crate) fn has_room(&self) -> bool {
        let geometry = self.geometry();
        loop {
            // push:aim - SeqCst: as in claim_tail.
            let tail = self.tail.load(SeqCst) & !CLOSED;
            // push:behind - SeqCst: as in is_leaving.
            let head = self.head.load(SeqCst);
            let mut ticket = tail;
            for _ in 0..geometry.capacity {
                // push:enter - SeqCst: as in claim_tail.
                let state = State(self.slot(ticket).state.load(SeqCst));
                let occupant = geometry.ticket(geometry.lap_of(state.0), geometry.index_of(ticket));
                let is_free = state.is_free() && !is_before(occupant, tail);
                let is_leaving = state.is_full() && is_before(occupant, head);
                if is_free || !P::LOCK_FREE && is_leaving {
                    return true;
                }
                ticket = geometry.after(ticket);
            }
            // push:full - SeqCst: while the tail stood still no slot was filled: what was occupied when it was looked at was
            // occupied at push:aim.
            if self.tail.load(SeqCst) & !CLOSED == tail {
                return false;
            }
        }
    }
}
