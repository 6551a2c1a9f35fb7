//! The ring whose parties may wait for each other: what it does otherwise.
//!
//! Tickets and slots are the same, claimed the same way. But a claimed slot is its claimant's until that one has shown its
//! value, or given the slot back, by a plain store, which is half the price of an item; and who needs the slot
//! meanwhile waits. Nobody else may change the slot's word then, or the store would wipe that out. PROTOCOL.md, "Where
//! parties may wait", has the proof.
//!
//! Two kinds of ticket can still be voided, since their parties may take their time: those that are *kept*, for a value
//! that is still to be made; and those of a slot that lost its ticket that way.

use super::progress::Progress;
use super::ring::{Nothing, Place, Ring, Unclaimable};
use super::storage::{Slot, Storage};
use super::ticket::{CLOSED, Passer, State, is_before};
use crate::sync::{self, AtomicUsize, Guess, Release, SeqCst, const_unless_loom};
use core::mem::MaybeUninit;
use core::ops::Deref;

/// The bit of `voids` that says that a slot with a value in it was passed over once: from then on slots are let go by
/// compare-and-swap, which heeds that.
pub(super) const PASSED_OVER: usize = 1 << (usize::BITS - 1);

/// One end of the ring: the next ticket there, and a guess at it.
pub(super) struct End {
    ticket: AtomicUsize,
    guess: Guess,
}

impl End {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self { ticket: AtomicUsize::new(0), guess: Guess::new(0) }
        }
    }
}

impl Deref for End {
    type Target = AtomicUsize;

    #[inline(always)]
    fn deref(&self) -> &AtomicUsize {
        &self.ticket
    }
}

/// What a search among the slots has found.
enum Found<'a, T> {
    Nothing,
    /// What was searched for.
    It,
    /// A party that is half-way through, which must be waited for before one can tell.
    HalfWay(&'a Slot<T>, State),
}

impl<S: Storage, P: Progress> Ring<S, P> {
    // ------------------------------------------------- the plain stores

    /// Writes the value into a claimed slot and shows it.
    #[inline(always)]
    pub(super) fn fill_at_once(&self, place: &Place<'_, S::Item>, value: S::Item) {
        // SAFETY: this party claimed the ticket and has not let go, so the slot is its own.
        place.slot.value.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(value)) });
        // push:show - Release: pop:enter reads it, so the value is initialised. Whoever sleeps is not told by this, but
        // by push:claim, see `in_order`.
        place.slot.state.store(State::full(place.lap).0, Release);
    }

    /// Lets go of a slot whose value is out, if nobody can have counted a skip in its word.
    #[inline(always)]
    pub(super) fn gives_at_once(&self, slot: &Slot<S::Item>, free: State) -> bool {
        // passed:look - SeqCst: after pop:claim in the total order, as passed:head comes after passed:mark: we see the
        // mark, or who would pass over this slot sees that it is popped.
        let is_plain = self.voids.load(SeqCst) & PASSED_OVER == 0;
        if is_plain {
            // pop:give - Release: push:enter reads it, so our reads of the value come before the next write.
            slot.state.store(free.0, Release);
        }
        is_plain
    }

    /// Claims the ticket at the tail, if that is where the last claim has left it.
    ///
    /// To load a word that a compare-and-swap has just written costs as much again as the compare-and-swap; a plain
    /// copy of it is at hand. An old copy shows as a slot that is taken, or fails the claim.
    #[inline(always)]
    pub(super) fn claim_guessed_tail(&self) -> Option<Place<'_, S::Item>> {
        let (geometry, slots) = (self.geometry(), self.storage.slots());
        let tail = self.tail.guess.get()?;
        let place = Place::of(geometry, slots, tail);
        // push:enter - SeqCst: as in claim_tail.
        let state = State(place.slot.state.load(SeqCst));
        let is_ours =
            state == geometry.claimable(tail) && self.advance_tail(tail, geometry.after(tail));
        is_ours.then_some(place)
    }

    /// As `claim_guessed_tail`, at the head.
    #[inline(always)]
    pub(super) fn claim_guessed_head(&self) -> Option<Place<'_, S::Item>> {
        let (geometry, slots) = (self.geometry(), self.storage.slots());
        let head = self.head.guess.get()?;
        let place = Place::of(geometry, slots, head);
        // pop:enter - SeqCst: as in claim_head.
        let state = State(place.slot.state.load(SeqCst));
        let is_ours =
            state.is_value_in(geometry, place.lap) && self.advance_head(head, geometry.after(head));
        is_ours.then_some(place)
    }

    /// After a claim, or an attempt at one: the claim is what stands before our look for sleepers in the total order, for a
    /// plain store does not.
    #[inline(always)]
    pub(super) fn claimed(end: &End, after: usize, is_ours: bool) -> bool {
        if !P::LOCK_FREE && is_ours {
            end.guess.set(after);
            // After the claim, and before the plain store: a checker must not take that for ordered.
            sync::total_order();
        }
        is_ours
    }

    /// Marks a claimed slot as one whose value is still to be made.
    #[inline(always)]
    pub(super) fn keep(&self, place: &Place<'_, S::Item>) {
        if !P::LOCK_FREE {
            // push:keep - Release: void:mark takes it over, and nothing is shown by it.
            place.slot.state.store(State::kept(place.lap).0, Release);
        }
    }

    /// Undoes `keep`, if nobody has taken the ticket away or passed over the slot: it is as it was when it was claimed.
    pub(super) fn unkeep(&self, place: &Place<'_, S::Item>) -> bool {
        let (kept, free) = (State::kept(place.lap), State::free(place.lap));
        // back:unkeep - SeqCst (Relaxed would do): nothing was written to the slot; void:mark of another party fails on it, or this on
        // that.
        place.slot.state.compare_exchange(kept.0, free.0, SeqCst, SeqCst).is_ok()
    }

    /// The word of a slot claimed in `lap` whose ticket can be voided: where nobody waits, of any.
    #[inline(always)]
    pub(super) const fn kept(lap: usize) -> State {
        if P::LOCK_FREE { State::free(lap) } else { State::kept(lap) }
    }

    #[inline(always)]
    pub(super) const fn is_kept(state: State) -> bool {
        if P::LOCK_FREE { state.is_free() } else { state.is_kept() }
    }

    #[inline(always)]
    pub(super) const fn published(state: State) -> State {
        if P::LOCK_FREE { state.published() } else { state.published_kept() }
    }

    // ------------------------------------------------------- the waiting

    /// What a push does at an occupied slot: waits for a party that is half-way through, passes over the slot, or finds that
    /// the ring is full.
    pub(super) fn tail_is_occupied(
        &self,
        tail: usize,
        state: State,
        head: usize,
        voids: usize,
    ) -> Result<(), Unclaimable> {
        if self.is_half_way_out(tail, state, head) {
            self.wait_for(self.slot(tail), state);
            return Ok(());
        }
        match self.find_room(tail, head, voids) {
            Found::HalfWay(slot, state) => {
                self.wait_for(slot, state);
                return Ok(());
            }
            Found::It if self.pass_over(tail, state, state.is_held(), Passer::Newcomer) => {
                return Ok(());
            }
            Found::It | Found::Nothing => {}
        }
        // push:full - SeqCst: as in tail_is_not_free.
        if self.tail.load(SeqCst) == tail { Err(Unclaimable::Full) } else { Ok(()) }
    }

    /// Looks for a slot after the one at `tail` that waits for its next ticket.
    fn find_room(&self, tail: usize, head: usize, voids: usize) -> Found<'_, S::Item> {
        let geometry = self.geometry();
        let mut ticket = tail;
        for _ in 1..geometry.may_be_free(head, tail, voids) {
            ticket = geometry.after(ticket);
            let slot = self.slot(ticket);
            // push:enter - SeqCst: as in claim_tail.
            let state = State(slot.state.load(SeqCst));
            if state == State::free(geometry.lap_of(ticket)) {
                return Found::It;
            }
            if self.is_half_way_out(ticket, state, head) {
                // Its store may be invisible to us, and our place in line to it.
                return Found::HalfWay(slot, state);
            }
        }
        Found::Nothing
    }

    /// What a pop does at a head that is claimed, and neither void nor published: waits for the party, if it is half-way through;
    /// else, if the ticket is kept, voids it or finds that the ring is empty.
    pub(super) fn head_is_unfilled(
        &self,
        head: usize,
        state: State,
        tail: usize,
    ) -> Result<(), Nothing> {
        let slot = self.slot(head);
        if !state.is_kept() && !state.is_held() {
            self.wait_for(slot, state);
            return Ok(());
        }
        // On a closed ring nobody may publish once we have said "closed": as in head_is_not_full.
        if tail & CLOSED == 0 {
            match self.find_value(head, tail) {
                Found::It => {}
                Found::HalfWay(slot, state) => {
                    self.wait_for(slot, state);
                    return Ok(());
                }
                Found::Nothing => {
                    // pop:empty - SeqCst: as in head_is_not_full.
                    let unmoved = slot.state.load(SeqCst) == state.0;
                    return if unmoved { Err(Nothing::Empty) } else { Ok(()) };
                }
            }
        }
        let geometry = self.geometry();
        self.void(slot, state, state.voided(geometry, geometry.lap_of(head)), 1);
        Ok(())
    }

    /// Looks for a value after `head` and before `tail`.
    fn find_value(&self, head: usize, tail: usize) -> Found<'_, S::Item> {
        let geometry = self.geometry();
        let mut ticket = geometry.after(head);
        for _ in 1..geometry.capacity {
            if !is_before(ticket, tail) {
                break;
            }
            let slot = self.slot(ticket);
            // pop:enter - SeqCst: as in claim_head.
            let state = State(slot.state.load(SeqCst));
            let lap = geometry.lap_of(state.0);
            if state.is_full() && !is_before(lap, geometry.lap_of(ticket)) {
                return Found::It;
            }
            if state.is_free() && is_before(geometry.ticket(lap, geometry.index_of(ticket)), tail) {
                // Claimed; its value may be in, invisible to us, and our place in line to its party.
                return Found::HalfWay(slot, state);
            }
            ticket = geometry.after(ticket);
        }
        Found::Nothing
    }

    /// Whether the value of the slot at `ticket` was popped, and the slot not yet let go.
    fn is_half_way_out(&self, ticket: usize, state: State, head: usize) -> bool {
        let geometry = self.geometry();
        let occupant = geometry.ticket(geometry.lap_of(state.0), geometry.index_of(ticket));
        !state.is_held() && !state.is_kept() && is_before(occupant, head)
    }

    /// Whether the occupant of the slot at `tail` may not be passed over; then it was waited for. One whose value is in is
    /// passed over only with the mark set, so that it is not let go by a plain store.
    pub(super) fn is_to_be_waited_for(&self, tail: usize, state: State, is_leaving: bool) -> bool {
        if state.is_held() {
            return false;
        }
        let slot = self.slot(tail);
        if !state.is_kept() && (is_leaving || state.is_free()) {
            self.wait_for(slot, state);
            return true;
        }
        // passed:mark - SeqCst: before passed:head in the total order, see passed:look; and before the skip in the word
        // of a kept slot, which is there when its value is published.
        self.voids.fetch_or(PASSED_OVER, SeqCst);
        // Between the mark and the look at the head.
        sync::total_order();
        // passed:head - SeqCst: reads pop:claim.
        let head = self.head.load(SeqCst);
        if self.is_half_way_out(tail, state, head) {
            self.wait_for(slot, state);
            return true;
        }
        false
    }

    /// Gives the slot's party time to finish: a moment, and if that does not do, the CPU.
    #[cold]
    fn wait_for(&self, slot: &Slot<S::Item>, state: State) {
        if !self.moves_soon(slot, state) {
            P::give_way();
        }
    }
}
