//! `force_push`: when the ring is full, the new value takes the slot of the oldest.
//!
//! Popping and then pushing would not do: between the two another push may take the room, and a second
//! value would have to go. So the party that popped the oldest keeps its slot, and brings the tail to it:
//! whoever has a slot always finds a ticket for it.

use super::progress::Progress;
use super::ring::{Nothing, Refused, Ring};
use super::storage::Storage;
use super::ticket::{CLOSED, Passer, State};
use crate::sync::{PATIENCE, SeqCst, spin_loop};
use core::mem::MaybeUninit;

/// The ring was closed before the value was in. Nothing is lost: here it is, and the oldest, if that had
/// been taken out already.
#[derive(Debug)]
pub(crate) struct ClosedHalfWay<T> {
    pub(crate) value: T,
    pub(crate) displaced: Option<T>,
}

impl<S: Storage, P: Progress> Ring<S, P> {
    /// Puts `value` in, in place of the oldest one if the ring is full. `given_up` is raised by the places that this
    /// party had beside the one of its value: while it had them the ring looked full.
    pub(crate) fn force_push(
        &self,
        mut value: S::Item,
        given_up: &mut usize,
    ) -> Result<Option<S::Item>, ClosedHalfWay<S::Item>> {
        let geometry = self.geometry();
        let mut displaced = None;
        let mut patience = PATIENCE;
        loop {
            // displace:aim - SeqCst: pop:claim; read before the ring is found full. If the head is still
            // here when its ticket is claimed, nothing was popped in between: it is full at that moment too.
            let head = self.head.load(SeqCst);
            value = match self.push(value) {
                Ok(()) => return Ok(displaced),
                Err(Refused::Closed(value)) => return Err(ClosedHalfWay { value, displaced }),
                Err(Refused::Full(value)) => value,
            };
            // pop:enter - SeqCst: as in claim_head.
            let state = State(self.slot(head).state.load(SeqCst));
            if state.is_value_in(geometry, geometry.lap_of(head)) {
                if self.advance_head(head, geometry.after(head)) {
                    // SAFETY: as in empty_out; but the slot stays this party's.
                    let oldest = unsafe { self.read(self.slot(head)) };
                    // A second turn comes only if `settle` finds no way on an open ring, which it does: PROTOCOL.md, "The
                    // count of skips suffices".
                    displaced = Some(oldest);
                    value = match self.settle(head, value, given_up) {
                        Ok(()) => return Ok(displaced),
                        Err(value) => value,
                    };
                }
            } else if self.head_is_not_full(head, state) == Err(Nothing::Empty) {
                // Full and empty at once: every slot belongs to somebody who is half-way through, so there
                // is neither a place nor anything to displace.
                if patience == 0 {
                    return Ok(Some(value));
                }
                patience -= 1;
                spin_loop();
            }
        }
    }

    /// Publishes, with a later ticket, the value that this party wrote into the slot of `voided`.
    #[cold]
    pub(super) fn settle_filled(&self, voided: usize, given_up: &mut usize) -> Result<(), S::Item> {
        // SAFETY: `fill` wrote the value, and the slot is still this party's, since publishing failed.
        let value = unsafe { self.read(self.slot(voided)) };
        self.settle(voided, value, given_up)
    }

    /// Publishes `value` with a slot that this party has, whose ticket is spent: in that slot with its next
    /// ticket, or in another one if the tail comes by a free one first. Fails, with the slot let go, on a
    /// closed ring (and where an occupant cannot be passed over once more, see PROTOCOL.md, "The count of skips suffices"). `given_up` is raised by the slots that were let go.
    pub(super) fn settle(
        &self,
        spent: usize,
        mut value: S::Item,
        given_up: &mut usize,
    ) -> Result<(), S::Item> {
        let geometry = self.geometry();
        let own = self.slot(spent);
        loop {
            // settle:own - SeqCst: reads void:mark, which decides the next ticket of our slot.
            let state = State(own.state.load(SeqCst));
            let ticket = geometry.ticket(state.next_lap(geometry), geometry.index_of(spent));
            // push:aim - SeqCst: as in claim_tail.
            let tail = self.tail.load(SeqCst);
            if tail == ticket {
                if self.advance_tail(tail, geometry.after(tail)) {
                    match self.refill(spent, state, ticket, value) {
                        Ok(()) => return Ok(()),
                        Err(back) => value = back,
                    }
                }
                continue;
            }
            // The tail has not come to our slot: the slot there is free, or it is passed over.
            // push:enter - SeqCst: as in claim_tail.
            let there = State(self.slot(tail).state.load(SeqCst));
            if there == geometry.claimable(tail) {
                if self.advance_tail(tail, geometry.after(tail)) {
                    let place = self.place(tail);
                    match self.fill(&place, value) {
                        Ok(()) => {
                            self.let_go(own, state);
                            *given_up += 1;
                            return Ok(());
                        }
                        Err(voided) => {
                            value = self.take_back(&place, voided);
                            *given_up += 1;
                        }
                    }
                }
            } else if tail & CLOSED == 0 && self.is_void(tail, there) {
                self.help_tail(tail, there);
            } else if tail & CLOSED != 0
                || !self.pass_over(tail, there, self.is_leaving(tail, there).1, Passer::Settler)
            {
                self.let_go(own, state);
                *given_up += 1;
                return Err(value);
            }
        }
    }

    /// Publishes `value` in a slot that this party has, with `ticket`, which it has claimed for it.
    fn refill(
        &self,
        spent: usize,
        state: State,
        ticket: usize,
        value: S::Item,
    ) -> Result<(), S::Item> {
        let slot = self.slot(spent);
        // SAFETY: this party has not let go of the slot since it claimed `spent`.
        slot.value.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(value)) });
        let full = State::full(self.geometry().lap_of(ticket));
        // push:publish - SeqCst: as in fill.
        if slot.state.compare_exchange(state.0, full.0, SeqCst, SeqCst).is_ok() {
            return Ok(());
        }
        // SAFETY: the value was written above, and the slot is still this party's: the ticket was voided.
        Err(unsafe { self.read(slot) })
    }
}
