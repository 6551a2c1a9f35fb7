//! How many values are in, and how many tickets are void.

use super::half_way::PASSED_OVER;
use super::progress::Progress;
use super::ring::Ring;
use super::storage::Storage;
use super::ticket::{CLOSED, State, is_before};
use crate::sync::SeqCst;

impl<S: Storage, P: Progress> Ring<S, P> {
    /// The number of tickets claimed and not popped.
    pub(crate) fn len(&self) -> usize {
        loop {
            // len:tail - SeqCst: reads push:claim.
            let tail = self.tail.load(SeqCst);
            // Before `head`, as in tail_is_not_free.
            let voids = self.count_voids();
            // len:head - SeqCst: reads pop:claim.
            let head = self.head.load(SeqCst);
            let live = match voids {
                0 => self.geometry().distance(head, tail & !CLOSED),
                // A ticket may be counted that is not void yet, and the party that counted it may be frozen.
                _ => self.count_live(head, tail & !CLOSED),
            };
            // len:head, len:tail - SeqCst: the same two again, so that they belong together.
            if self.head.load(SeqCst) == head && self.tail.load(SeqCst) == tail {
                return live.min(self.capacity());
            }
        }
    }

    /// How many tickets from `head` up to `tail` are not void.
    fn count_live(&self, head: usize, tail: usize) -> usize {
        let geometry = self.geometry();
        let mut ticket = head;
        let mut live = 0;
        while is_before(ticket, tail) {
            // len:slot - SeqCst: reads void:mark.
            let state = State(self.slot(ticket).state.load(SeqCst));
            let is_own = geometry.lap_of(state.0) == geometry.lap_of(ticket) && !state.is_held();
            live += usize::from(is_own || !self.is_void(ticket, state));
            ticket = geometry.after(ticket);
        }
        live
    }

    /// How many tickets are void, or are just becoming so.
    #[inline]
    pub(crate) fn count_voids(&self) -> usize {
        // void:look - SeqCst: reads void:count.
        let voids = self.voids.load(SeqCst);
        if P::LOCK_FREE { voids } else { voids & !PASSED_OVER }
    }
}
