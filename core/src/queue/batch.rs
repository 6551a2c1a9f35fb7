//! `push_many` and `pop_many`: several tickets for one compare-and-swap.
//!
//! Between claiming and finishing they run their caller's code, an iterator or a closure. It may panic,
//! take its time or use the very same ring: the tickets can be voided like any other (where parties may wait, those of
//! an iterator, which are kept; a closure must be quick there, and an iterator over values that are at hand), and a guard
//! finishes what a panic leaves.

use super::progress::Progress;
use super::ring::{Place, Ring, Unclaimable};
use super::storage::{Slot, Storage};
use super::ticket::{Geometry, State};
use crate::sync::SeqCst;
use core::slice;

impl<S: Storage, P: Progress> Ring<S, P> {
    /// Puts values of `items` in until the ring is full or closed, or `items` ends; says how many.
    pub(crate) fn push_many(&self, items: &mut impl Iterator<Item = S::Item>) -> usize {
        let mut pushed = 0;
        let _refused = self.push_each(items, || pushed += 1, &mut 0);
        pushed
    }

    /// As `push_many`, but says so after each value, for `items` may take its time over the next. `given_up` is raised
    /// by the places that were claimed and given up, also if `items` panics. Fails with a value whose place was taken away
    /// from it by a close.
    pub(crate) fn push_each(
        &self,
        items: &mut impl Iterator<Item = S::Item>,
        mut pushed: impl FnMut(),
        given_up: &mut usize,
    ) -> Result<(), S::Item> {
        loop {
            // A value that was taken from `items` cannot be given back: the place comes first.
            let (least, most) = items.size_hint();
            if most == Some(0) {
                return Ok(());
            }
            // A bound, not a decision. Each end of an iterator that does not know its length leaves a void ticket;
            // this many without a pop, and we wait for pops.
            if least == 0 && self.count_voids() >= 2 * self.capacity() {
                return Ok(());
            }
            let Ok(mut claimed) = self.claim_run(least.max(1), given_up) else { return Ok(()) };
            claimed.keep();
            while !claimed.run.is_empty() {
                let Some(value) = items.next() else { return Ok(()) };
                let Some(place) = claimed.run.next() else { break };
                if self.fill_kept(&place, value).is_err() {
                    // A consumer went on without us. The rest must come after this value, so the rest of
                    // the tickets is given up and the value settles first.
                    drop(claimed);
                    self.settle_filled(place.ticket, given_up)?;
                    pushed();
                    break;
                }
                pushed();
            }
        }
    }

    /// As `push_many`, with plain stores where parties may wait: for items that are at hand, since whoever needs the place of
    /// one waits for it. `pushed` and `given_up` are counted also if `items` panics.
    pub(crate) fn push_at_once(
        &self,
        items: &mut impl ExactSizeIterator<Item = S::Item>,
        pushed: &mut usize,
        given_up: &mut usize,
    ) {
        while items.len() > 0 {
            let Ok(mut claimed) = self.claim_run(items.len(), given_up) else { return };
            while !claimed.run.is_empty() {
                // None if its length was wrong.
                let Some(value) = items.next() else { return };
                let Some(place) = claimed.run.next() else { break };
                self.fill_at_once(&place, value);
                *pushed += 1;
            }
        }
    }

    /// Claims up to `want` tickets in a row.
    fn claim_run<'a>(
        &'a self,
        want: usize,
        given_up: &'a mut usize,
    ) -> Result<ClaimedTail<'a, S, P>, Unclaimable> {
        // push:aim - SeqCst: as in claim_tail.
        let tail = self.tail.load(SeqCst);
        let mut run = Run::from(self.geometry(), self.storage.slots(), tail, want);
        let free = self.geometry().claimable(tail);
        // push:enter - SeqCst: as in claim_tail; a closed tail matches no state. A free slot stays free
        // until its ticket is claimed, that is while the tail stands still.
        run.keep_while(|slot| slot.state.load(SeqCst) == free.0);
        // push:claim - SeqCst: as in advance_tail, for all of them at once.
        if run.slots.len() < 2 || !self.advance_tail(tail, run.after(self.geometry())) {
            // One, or somebody was faster, or the way is not clear: as any push does.
            run = Run::of(self.claim_tail()?);
        }
        Ok(ClaimedTail { ring: self, run, is_kept: false, given_up })
    }

    /// Takes up to `max` values out and hands them to `f`, oldest first; says how many.
    pub(crate) fn pop_many(&self, max: usize, mut f: impl FnMut(S::Item)) -> usize {
        let mut popped = 0;
        while popped < max {
            let Some(mut claimed) = self.claim_values(max - popped) else { break };
            while let Some(place) = claimed.run.next() {
                popped += 1;
                f(self.empty_out(&place));
            }
        }
        popped
    }

    /// Claims up to `want` values in a row.
    fn claim_values(&self, want: usize) -> Option<ClaimedHead<'_, S, P>> {
        let geometry = self.geometry();
        // pop:aim - SeqCst: as in claim_head.
        let head = self.head.load(SeqCst);
        let mut run = Run::from(geometry, self.storage.slots(), head, want);
        let lap = run.lap;
        // pop:enter - SeqCst: as in claim_head. A value stays until its ticket is claimed, that is while
        // the head stands still.
        run.keep_while(|slot| State(slot.state.load(SeqCst)).is_value_in(geometry, lap));
        // pop:claim - SeqCst: as in advance_head, for all of them at once.
        if run.slots.len() < 2 || !self.advance_head(head, run.after(geometry)) {
            run = Run::of(self.claim_head().ok()?);
        }
        Some(ClaimedHead { ring: self, run })
    }

    /// Gives up a claimed ticket into which nothing was written.
    pub(crate) fn give_up(&self, ticket: usize) {
        if self.retreat(ticket) {
            return;
        }
        let geometry = self.geometry();
        let slot = self.slot(ticket);
        let mut state = Self::kept(geometry.lap_of(ticket));
        // void:count - SeqCst: as in `void`.
        self.voids.fetch_add(1, SeqCst);
        loop {
            // pop:let_go - SeqCst: as in let_go; nothing was written, but what was read before us was.
            match slot.state.compare_exchange(state.0, state.let_go(geometry).0, SeqCst, SeqCst) {
                Ok(_) => return,
                Err(now) if Self::is_kept(State(now)) => state = State(now),
                Err(now) => {
                    // A consumer has voided it already, and counted it.
                    // void:passed - SeqCst: as in pass_void.
                    self.voids.fetch_sub(1, SeqCst);
                    return self.let_go(slot, State(now));
                }
            }
        }
    }

    /// Gives the last ticket of all back, as if it had not been claimed: no void ticket is left. False if there are later ones.
    ///
    /// PROTOCOL.md, "Back", tells why nobody is led astray by it.
    fn retreat(&self, ticket: usize) -> bool {
        let geometry = self.geometry();
        let (place, last) = (self.place(ticket), geometry.after(ticket));
        // push:aim - SeqCst: as in claim_tail; back:claim decides.
        if self.tail.load(SeqCst) != last {
            return false;
        }
        if !P::LOCK_FREE && !self.unkeep(&place) {
            return false;
        }
        // back:claim - SeqCst: push:aim and push:full read it, so that a push which finds no room before a sleep has seen this
        // place free, or is seen by our look for sleepers.
        let is_last = self.tail.compare_exchange(last, ticket, SeqCst, SeqCst).is_ok();
        if !is_last {
            self.keep(&place);
        }
        is_last
    }
}

/// Tickets of one lap in a row, and their slots: looked up once for all.
struct Run<'a, T> {
    ticket: usize,
    lap: usize,
    next_lap: usize,
    slots: &'a [Slot<T>],
}

impl<'a, T> Run<'a, T> {
    /// From `ticket` on, up to `most` of them, or to the end of the lap.
    #[inline(always)]
    fn from(geometry: Geometry, slots: &'a [Slot<T>], ticket: usize, most: usize) -> Self {
        let lap = geometry.lap_of(ticket);
        let rest = &slots[geometry.index_of(ticket)..];
        let slots = &rest[..rest.len().min(most)];
        Self { ticket, lap, next_lap: lap.wrapping_add(geometry.lap), slots }
    }

    fn of(place: Place<'a, T>) -> Self {
        let Place { ticket, lap, next_lap, slot } = place;
        Self { ticket, lap, next_lap, slots: slice::from_ref(slot) }
    }

    /// Ends it in front of the first slot for which `is_so` is false.
    #[inline(always)]
    fn keep_while(&mut self, is_so: impl Fn(&Slot<T>) -> bool) {
        let end = self.slots.iter().position(|slot| !is_so(slot));
        self.slots = &self.slots[..end.unwrap_or(self.slots.len())];
    }

    /// The ticket after the last of at least one.
    #[inline(always)]
    fn after(&self, geometry: Geometry) -> usize {
        geometry.after(Geometry::nth_of_lap(self.ticket, self.slots.len() - 1))
    }

    fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The first, which leaves the run.
    #[inline(always)]
    fn next(&mut self) -> Option<Place<'a, T>> {
        let (slot, slots) = self.slots.split_first()?;
        let place = Place { ticket: self.ticket, lap: self.lap, next_lap: self.next_lap, slot };
        (self.slots, self.ticket) = (slots, Geometry::nth_of_lap(self.ticket, 1));
        Some(place)
    }

    /// The ticket of the last, which leaves the run.
    fn next_back(&mut self) -> Option<usize> {
        let (_, slots) = self.slots.split_last()?;
        self.slots = slots;
        Some(Geometry::nth_of_lap(self.ticket, slots.len()))
    }
}

/// Tickets at the tail that are claimed and not filled; what is left at the end is given up.
struct ClaimedTail<'a, S: Storage, P: Progress> {
    ring: &'a Ring<S, P>,
    run: Run<'a, S::Item>,
    /// They can be voided, since they are filled in their party's own time.
    is_kept: bool,
    given_up: &'a mut usize,
}

impl<S: Storage, P: Progress> ClaimedTail<'_, S, P> {
    fn keep(&mut self) {
        let Run { ticket, lap, next_lap, slots } = self.run;
        let mut run = Run { ticket, lap, next_lap, slots };
        while let Some(place) = run.next() {
            self.ring.keep(&place);
        }
        self.is_kept = true;
    }
}

impl<S: Storage, P: Progress> Drop for ClaimedTail<'_, S, P> {
    fn drop(&mut self) {
        if !self.is_kept {
            self.keep();
        }
        // From the end: what is last can be given back without a trace.
        while let Some(ticket) = self.run.next_back() {
            self.ring.give_up(ticket);
            *self.given_up += 1;
        }
    }
}

/// Tickets at the head that are claimed and not emptied; what is left at the end is dropped.
struct ClaimedHead<'a, S: Storage, P: Progress> {
    ring: &'a Ring<S, P>,
    run: Run<'a, S::Item>,
}

impl<S: Storage, P: Progress> Drop for ClaimedHead<'_, S, P> {
    fn drop(&mut self) {
        while let Some(place) = self.run.next() {
            drop(self.ring.empty_out(&place));
        }
    }
}
