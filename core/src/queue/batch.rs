//! `push_many` and `pop_many`: several tickets for one compare-and-swap.
//!
//! Between claiming and finishing they run their caller's code, an iterator or a closure. It may panic,
//! take its time or use the very same ring: the tickets can be voided like any other (where parties may wait, those of
//! an iterator, which are kept; a closure must be quick there, and an iterator over values that are at hand), and a guard
//! finishes what a panic leaves.

use super::progress::Progress;
use super::ring::{Ring, Unclaimable};
use super::storage::Storage;
use super::ticket::State;
use crate::sync::SeqCst;

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
            while claimed.tickets > 0 {
                let Some(value) = items.next() else { return Ok(()) };
                let ticket = claimed.take_one();
                if self.fill_kept(&self.place(ticket), value).is_err() {
                    // A consumer went on without us. The rest must come after this value, so the rest of
                    // the tickets is given up and the value settles first.
                    drop(claimed);
                    self.settle_filled(ticket)?;
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
            while claimed.tickets > 0 {
                // None if its length was wrong.
                let Some(value) = items.next() else { return };
                let ticket = claimed.take_one();
                self.fill_at_once(&self.place(ticket), value);
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
        let geometry = self.geometry();
        // push:aim - SeqCst: as in claim_tail.
        let tail = self.tail.load(SeqCst);
        let mut end = tail;
        let mut tickets = 0;
        // push:enter - SeqCst: as in claim_tail; a closed tail matches no state. A free slot stays free
        // until its ticket is claimed, that is while the tail stands still.
        while tickets < want.min(geometry.capacity)
            && self.slot(end).state.load(SeqCst) == geometry.claimable(end).0
        {
            end = geometry.after(end);
            tickets += 1;
        }
        // push:claim - SeqCst: as in advance_tail, for all of them at once.
        if tickets > 1 && self.advance_tail(tail, end) {
            return Ok(ClaimedTail { ring: self, first: tail, tickets, is_kept: false, given_up });
        }
        // One, or somebody was faster, or the way is not clear: as any push does.
        let first = self.claim_tail()?.ticket;
        Ok(ClaimedTail { ring: self, first, tickets: 1, is_kept: false, given_up })
    }

    /// Takes up to `max` values out and hands them to `f`, oldest first; says how many.
    pub(crate) fn pop_many(&self, max: usize, mut f: impl FnMut(S::Item)) -> usize {
        let mut popped = 0;
        while popped < max {
            let Some(mut claimed) = self.claim_values(max - popped) else { break };
            while claimed.tickets > 0 {
                popped += 1;
                f(claimed.take_one());
            }
        }
        popped
    }

    /// Claims up to `want` values in a row.
    fn claim_values(&self, want: usize) -> Option<ClaimedHead<'_, S, P>> {
        let geometry = self.geometry();
        // pop:aim - SeqCst: as in claim_head.
        let head = self.head.load(SeqCst);
        let mut end = head;
        let mut tickets = 0;
        // pop:enter - SeqCst: as in claim_head. A value stays until its ticket is claimed, that is while
        // the head stands still.
        while tickets < want.min(geometry.capacity)
            && State(self.slot(end).state.load(SeqCst)).is_value_in(geometry, geometry.lap_of(end))
        {
            end = geometry.after(end);
            tickets += 1;
        }
        // pop:claim - SeqCst: as in advance_head, for all of them at once.
        if tickets > 1 && self.advance_head(head, end) {
            return Some(ClaimedHead { ring: self, first: head, tickets });
        }
        let first = self.claim_head().ok()?.ticket;
        Some(ClaimedHead { ring: self, first, tickets: 1 })
    }

    /// Gives up a claimed ticket into which nothing was written.
    pub(crate) fn give_up(&self, ticket: usize) {
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
}

/// Tickets at the tail that are claimed and not filled; what is left at the end is given up.
struct ClaimedTail<'a, S: Storage, P: Progress> {
    ring: &'a Ring<S, P>,
    first: usize,
    tickets: usize,
    /// They can be voided, since they are filled in their party's own time.
    is_kept: bool,
    given_up: &'a mut usize,
}

impl<S: Storage, P: Progress> ClaimedTail<'_, S, P> {
    fn keep(&mut self) {
        let mut ticket = self.first;
        for _ in 0..self.tickets {
            self.ring.keep(&self.ring.place(ticket));
            ticket = self.ring.geometry().after(ticket);
        }
        self.is_kept = true;
    }

    fn take_one(&mut self) -> usize {
        let ticket = self.first;
        self.first = self.ring.geometry().after(ticket);
        self.tickets -= 1;
        ticket
    }
}

impl<S: Storage, P: Progress> Drop for ClaimedTail<'_, S, P> {
    fn drop(&mut self) {
        if self.tickets > 0 && !self.is_kept {
            self.keep();
        }
        while self.tickets > 0 {
            let ticket = self.take_one();
            self.ring.give_up(ticket);
            *self.given_up += 1;
        }
    }
}

/// Tickets at the head that are claimed and not emptied; what is left at the end is dropped.
struct ClaimedHead<'a, S: Storage, P: Progress> {
    ring: &'a Ring<S, P>,
    first: usize,
    tickets: usize,
}

impl<S: Storage, P: Progress> ClaimedHead<'_, S, P> {
    fn take_one(&mut self) -> S::Item {
        let ticket = self.first;
        self.first = self.ring.geometry().after(ticket);
        self.tickets -= 1;
        self.ring.empty_out(&self.ring.place(ticket))
    }
}

impl<S: Storage, P: Progress> Drop for ClaimedHead<'_, S, P> {
    fn drop(&mut self) {
        while self.tickets > 0 {
            drop(self.take_one());
        }
    }
}
