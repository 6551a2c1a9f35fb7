//! The ring: claim a ticket, use its slot, publish; and what to do when somebody stopped half-way.
//!
//! `push` and `pop` below are mirror images. PROTOCOL.md tells the story, proves the steps and lists the
//! pairs that the labels in the comments name.
//!
//! Every access that a decision rests on is `SeqCst`. Within the ring acquire and release would do; but
//! whoever finds the ring empty (or full) may go to sleep, and whoever pushed (or popped) then looks for
//! sleepers: two words, each side writes one and reads the other. In the total order of `SeqCst` one of
//! them sees the other, with no fence beside the read-modify-writes that are there anyway (label `sleep`
//! in the protocol of waiting). On x86 and on ARM with `dmb` these instructions are those of
//! acquire/release.

use super::half_way::End;
use super::progress::{LockFree, Progress};
use super::storage::{Slot, Storage};
use super::ticket::{CLOSED, Geometry, Passer, State, is_before};
use crate::sync::{AtomicUsize, PATIENCE, Padded, Relaxed, SeqCst, const_unless_loom, spin_loop};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// A bounded queue for any number of producers and consumers, in place, in which no operation waits for
/// another; or, where `P` says so, waits only for what another is in the middle of (`half_way.rs`).
pub(crate) struct Ring<S: Storage, P: Progress = LockFree> {
    /// The next ticket to pop.
    pub(super) head: Padded<End>,
    /// The next ticket to push, and the closed bit.
    pub(super) tail: Padded<End>,
    /// How many void tickets `head` has yet to pass; never less than the truth.
    pub(super) voids: AtomicUsize,
    pub(super) storage: S,
    progress: PhantomData<fn() -> P>,
}

/// Why no value went in; the value comes back.
#[derive(Debug)]
pub(crate) enum Refused<T> {
    Full(T),
    Closed(T),
}

/// Why no value came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    Empty,
    /// Empty, and closed, so that nothing will ever come.
    Closed,
}

/// Why no ticket could be claimed.
pub(super) enum Unclaimable {
    Full,
    Closed,
}

/// A ticket, and where it leads: looked up once, since the compiler may not assume that the storage stays
/// where it is across an atomic access.
pub(super) struct Place<'a, T> {
    pub(super) ticket: usize,
    pub(super) lap: usize,
    pub(super) next_lap: usize,
    pub(super) slot: &'a Slot<T>,
}

impl<'a, T> Place<'a, T> {
    /// `slots` are those of a ring of this geometry, and `ticket` is one of its.
    #[inline(always)]
    pub(super) fn of(geometry: Geometry, slots: &'a [Slot<T>], ticket: usize) -> Self {
        let index = geometry.index_of(ticket);
        debug_assert!(index < slots.len());
        // SAFETY: every ticket comes from 0 by `Geometry::after`, whose index stays below the capacity,
        // and there are `capacity` slots.
        let slot = unsafe { slots.get_unchecked(index) };
        let lap = geometry.lap_of(ticket);
        Self { ticket, lap, next_lap: lap.wrapping_add(geometry.lap), slot }
    }
}

impl<S: Storage, P: Progress> Ring<S, P> {
    const_unless_loom! {
        pub(crate) const fn new(storage: S) -> Self {
            Self {
                head: Padded::new(End::new()),
                tail: Padded::new(End::new()),
                voids: AtomicUsize::new(0),
                storage,
                progress: PhantomData,
            }
        }
    }

    // ---------------------------------------------------------------- push

    /// Puts `value` in at the tail.
    #[inline]
    pub(crate) fn push(&self, mut value: S::Item) -> Result<(), Refused<S::Item>> {
        loop {
            let place = match self.claim_tail() {
                Ok(place) => place,
                Err(Unclaimable::Full) => return Err(Refused::Full(value)),
                Err(Unclaimable::Closed) => return Err(Refused::Closed(value)),
            };
            match self.fill(&place, value) {
                Ok(()) => return Ok(()),
                Err(voided) => value = self.take_back(&place, voided),
            }
        }
    }

    /// Claims a place for `push_reserved` or `give_up`.
    pub(crate) fn reserve(&self) -> Result<usize, Refused<()>> {
        match self.claim_tail() {
            Ok(place) => {
                self.keep(&place);
                Ok(place.ticket)
            }
            Err(Unclaimable::Full) => Err(Refused::Full(())),
            Err(Unclaimable::Closed) => Err(Refused::Closed(())),
        }
    }

    /// Puts `value` into a place that this party reserved: at its ticket, or, if a consumer has gone on
    /// without it, at a later one with the slot that it still has, or with another, as `settle` says.
    pub(crate) fn push_reserved(
        &self,
        ticket: usize,
        value: S::Item,
        given_up: &mut usize,
    ) -> Result<(), S::Item> {
        match self.fill_kept(&self.place(ticket), value) {
            Ok(()) => Ok(()),
            Err(_) => self.settle_filled(ticket, given_up),
        }
    }

    /// Claims the ticket at the tail: its slot is then this party's alone.
    #[inline]
    pub(super) fn claim_tail(&self) -> Result<Place<'_, S::Item>, Unclaimable> {
        let (geometry, slots) = (self.geometry(), self.storage.slots());
        if !P::LOCK_FREE
            && let Some(place) = self.claim_guessed_tail()
        {
            return Ok(place);
        }
        loop {
            // push:aim - SeqCst: push:claim; what is older only costs a turn.
            let tail = self.tail.load(SeqCst);
            let place = Place::of(geometry, slots, tail);
            // push:enter - SeqCst: reads pop:let_go, so the value that was here is out before ours goes in.
            let state = State(place.slot.state.load(SeqCst));
            if state == geometry.claimable(tail) {
                if self.advance_tail(tail, geometry.after(tail)) {
                    return Ok(place);
                }
            } else {
                self.tail_is_not_free(tail, state)?;
            }
        }
    }

    #[inline(always)]
    pub(super) fn advance_tail(&self, tail: usize, after: usize) -> bool {
        // push:claim - SeqCst: pop:behind reads it, so that a pop which finds nothing before a sleep has
        // seen every ticket claimed before the sleep; the slot itself is ordered by push:enter.
        let is_ours = self.tail.compare_exchange(tail, after, SeqCst, SeqCst).is_ok();
        Self::claimed(&self.tail, after, is_ours)
    }

    /// Writes the value into a claimed slot and shows it; on failure the ticket was voided, and the slot,
    /// with the value in it, is still this party's.
    #[inline(always)]
    pub(super) fn fill(&self, place: &Place<'_, S::Item>, value: S::Item) -> Result<(), State> {
        if !P::LOCK_FREE {
            self.fill_at_once(place, value);
            return Ok(());
        }
        self.fill_kept(place, value)
    }

    /// As `fill`, for a ticket that this party [keeps](Self::keep).
    #[inline(always)]
    pub(super) fn fill_kept(
        &self,
        place: &Place<'_, S::Item>,
        value: S::Item,
    ) -> Result<(), State> {
        // SAFETY: this party claimed the ticket and has not let go, so the slot is its own.
        place.slot.value.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(value)) });
        let mut state = Self::kept(place.lap);
        loop {
            let (word, published) = (&place.slot.state, Self::published(state));
            // push:publish - SeqCst (Release would do inside the ring): pop:enter reads it, so the value is
            // initialised; also the write that wait's `sleep` pairs rest on.
            match word.compare_exchange(state.0, published.0, SeqCst, SeqCst) {
                Ok(_) => return Ok(()),
                // Others passed over a later ticket of this slot: publish that too.
                Err(now) if Self::is_kept(State(now)) => state = State(now),
                Err(now) => return Err(State(now)),
            }
        }
    }

    /// Undoes `fill`: takes the value out again and lets go of the slot.
    #[cold]
    pub(super) fn take_back(&self, place: &Place<'_, S::Item>, voided: State) -> S::Item {
        // SAFETY: this party wrote the value, and the slot is still its own, since publishing failed.
        let value = unsafe { self.read(place.slot) };
        self.let_go(place.slot, voided);
        value
    }

    /// What `push` does at a tail whose slot is not free for it: helps the tail past a void ticket, passes
    /// over a slot that somebody holds, or finds that the ring is full.
    #[cold]
    fn tail_is_not_free(&self, tail: usize, state: State) -> Result<(), Unclaimable> {
        if tail & CLOSED != 0 {
            return Err(Unclaimable::Closed);
        }
        if self.is_void(tail, state) {
            self.help_tail(tail, state);
            return Ok(());
        }
        // Before `head`, so that 0 means no void ticket between the head read next and the tail.
        let voids = self.count_voids();
        let (head, is_leaving) = self.is_leaving(tail, state);
        if !P::LOCK_FREE {
            return self.tail_is_occupied(tail, state, head, voids);
        }
        if is_leaving && self.moves_soon(self.slot(tail), state) {
            return Ok(());
        }
        if self.is_any_free(tail, head, voids)
            && self.pass_over(tail, state, is_leaving, Passer::Newcomer)
        {
            return Ok(());
        }
        // push:full - SeqCst: while the tail stood still no slot can have been filled, so that what was
        // seen occupied after the first load was occupied at that load: full at that moment.
        if self.tail.load(SeqCst) == tail { Err(Unclaimable::Full) } else { Ok(()) }
    }

    /// Moves the tail past a void ticket, unless `tail` is old.
    pub(super) fn help_tail(&self, tail: usize, state: State) {
        // Its party may be giving this ticket back just now, and then it is not to be passed.
        let is_claimed =
            Self::is_kept(state) && self.geometry().lap_of(state.0) == self.geometry().lap_of(tail);
        if !is_claimed {
            self.advance_tail(tail, self.geometry().after(tail));
        }
    }

    /// Whether `state` lets nobody claim `ticket` any more: it was voided, or claimed before.
    #[inline]
    pub(super) fn is_void(&self, ticket: usize, state: State) -> bool {
        is_before(self.geometry().lap_of(ticket), state.next_lap(self.geometry()))
    }

    /// The head, and whether the occupant of the slot at `tail` is on its way out: its value is popped, or
    /// was never shown, and only the party that has the slot is late.
    pub(super) fn is_leaving(&self, tail: usize, state: State) -> (usize, bool) {
        let geometry = self.geometry();
        let occupant = geometry.ticket(geometry.lap_of(state.0), geometry.index_of(tail));
        // push:behind - SeqCst: reads pop:claim; an old head shows fewer slots on their way out.
        let head = self.head.load(SeqCst);
        (head, state.is_held() || is_before(occupant, head))
    }

    /// Gives the slot's party, half-way through, time to go on; says whether it has.
    ///
    /// Without a look in between: each would take the line away from the party that is about to write it.
    /// And long enough for it to go on to slots further on, so that we do not meet again at the next.
    pub(super) fn moves_soon(&self, slot: &Slot<S::Item>, state: State) -> bool {
        if PATIENCE == 0 {
            return false;
        }
        (0..PATIENCE).for_each(|_| spin_loop());
        // push:enter, pop:enter - SeqCst: as in claim_tail and claim_head.
        slot.state.load(SeqCst) != state.0
    }

    /// Voids the ticket at the tail, because its slot is occupied. False if the occupant was passed over
    /// as often as its word can count for such a `passer`.
    pub(super) fn pass_over(
        &self,
        tail: usize,
        state: State,
        is_leaving: bool,
        passer: Passer,
    ) -> bool {
        let geometry = self.geometry();
        let lap = geometry.lap_of(tail);
        if !P::LOCK_FREE && self.is_to_be_waited_for(tail, state, is_leaving) {
            return true;
        }
        let (passed, tickets) = if is_leaving {
            // A displacing push may have claimed an earlier ticket for the slot it already had: void, too.
            let missed = lap.wrapping_sub(state.next_lap(geometry)) / geometry.lap;
            (Some(State::held(lap)), missed + 1)
        } else {
            (state.skipped(geometry, passer), 1)
        };
        if let Some(passed) = passed {
            self.void(self.slot(tail), state, passed, tickets);
        }
        passed.is_some()
    }

    /// Whether a slot after the one at `tail` waits for its next ticket.
    fn is_any_free(&self, tail: usize, head: usize, voids: usize) -> bool {
        let geometry = self.geometry();
        let mut ticket = tail;
        for _ in 1..geometry.may_be_free(head, tail, voids) {
            ticket = geometry.after(ticket);
            // push:enter - SeqCst: as in claim_tail.
            if self.slot(ticket).state.load(SeqCst) == State::free(geometry.lap_of(ticket)).0 {
                return true;
            }
        }
        false
    }

    // ----------------------------------------------------------------- pop

    /// Takes the value at the head out.
    #[inline]
    pub(crate) fn pop(&self) -> Result<S::Item, Nothing> {
        let place = self.claim_head()?;
        Ok(self.empty_out(&place))
    }

    /// Claims the ticket at the head: its value, and its slot until it lets go, are then this party's alone.
    #[inline]
    pub(super) fn claim_head(&self) -> Result<Place<'_, S::Item>, Nothing> {
        let (geometry, slots) = (self.geometry(), self.storage.slots());
        if !P::LOCK_FREE
            && let Some(place) = self.claim_guessed_head()
        {
            return Ok(place);
        }
        loop {
            // pop:aim - SeqCst: pop:claim; what is older only costs a turn.
            let head = self.head.load(SeqCst);
            let place = Place::of(geometry, slots, head);
            // pop:enter - SeqCst: reads push:publish, so the value is initialised.
            let state = State(place.slot.state.load(SeqCst));
            if state.is_value_in(geometry, place.lap) {
                if self.advance_head(head, geometry.after(head)) {
                    return Ok(place);
                }
            } else {
                self.head_is_not_full(head, state)?;
            }
        }
    }

    #[inline(always)]
    pub(super) fn advance_head(&self, head: usize, after: usize) -> bool {
        // pop:claim - SeqCst: push:behind reads it, so that a push which finds no room before a sleep has
        // seen every slot that was on its way out; the value is ordered by pop:enter.
        let is_ours = self.head.compare_exchange(head, after, SeqCst, SeqCst).is_ok();
        Self::claimed(&self.head, after, is_ours)
    }

    /// Moves the value out of a claimed slot and lets go.
    #[inline(always)]
    pub(super) fn empty_out(&self, place: &Place<'_, S::Item>) -> S::Item {
        // SAFETY: pop:enter saw the value published, and claiming the ticket made it this party's.
        let value = unsafe { self.read(place.slot) };
        // Most likely nobody has passed over a ticket of this slot: then the next one is a lap on.
        let (full, free) = (State::full(place.lap), State::free(place.next_lap));
        if !P::LOCK_FREE && self.gives_at_once(place.slot, free) {
            return value;
        }
        // pop:let_go - SeqCst: as in let_go.
        if let Err(now) = place.slot.state.compare_exchange(full.0, free.0, SeqCst, SeqCst) {
            self.let_go(place.slot, State(now));
        }
        value
    }

    /// Gives a slot that this party has, to the next ticket of it that is not void.
    #[cold]
    pub(super) fn let_go(&self, slot: &Slot<S::Item>, mut state: State) {
        loop {
            let free = state.let_go(self.geometry());
            // pop:let_go - SeqCst (Release would do inside the ring): push:enter reads it, so our reads of
            // the value come before the next write; also the write that wait's `sleep` pairs rest on.
            match slot.state.compare_exchange(state.0, free.0, SeqCst, SeqCst) {
                Ok(_) => return,
                // Somebody passed over one more ticket of this slot, or voided ours.
                Err(now) => state = State(now),
            }
        }
    }

    /// What `pop` does at a head whose slot holds nothing for it: passes a void ticket, voids one that was
    /// claimed and not published though later ones were, or finds that the ring is empty.
    #[cold]
    pub(super) fn head_is_not_full(&self, head: usize, state: State) -> Result<(), Nothing> {
        let geometry = self.geometry();
        let lap = geometry.lap_of(head);
        let is_unpublished =
            (state.is_free() || Self::is_kept(state)) && geometry.lap_of(state.0) == lap;
        if !is_unpublished && self.is_void(head, state) {
            self.pass_void(head);
            return Ok(());
        }
        // pop:behind - SeqCst: reads push:claim; an old tail would hide a ticket claimed before our sleep.
        let tail = self.tail.load(SeqCst);
        let is_closed = tail & CLOSED != 0;
        if tail & !CLOSED == head {
            return Err(if is_closed { Nothing::Closed } else { Nothing::Empty });
        }
        if !P::LOCK_FREE {
            return self.head_is_unfilled(head, state, tail);
        }
        let slot = self.slot(head);
        if self.moves_soon(slot, state) {
            return Ok(());
        }
        // On a closed ring nobody may publish once we have said "closed", so the ticket is voided whatever
        // comes behind it; its party then learns that the ring is closed.
        if !is_closed && !self.is_any_full(head, tail) {
            // pop:empty - SeqCst: while the head's slot stood still nothing behind it can have been popped,
            // so that what was seen unpublished now was unpublished at pop:behind: empty at that moment.
            let unmoved = slot.state.load(SeqCst) == state.0;
            return if unmoved { Err(Nothing::Empty) } else { Ok(()) };
        }
        self.void(slot, state, state.voided(geometry, lap), 1);
        Ok(())
    }

    /// Whether a ticket after the one at `head`, and before `tail`, was published and is still in.
    fn is_any_full(&self, head: usize, tail: usize) -> bool {
        let geometry = self.geometry();
        let mut ticket = geometry.after(head);
        for _ in 1..geometry.capacity {
            if !is_before(ticket, tail & !CLOSED) {
                return false;
            }
            // pop:enter - SeqCst: as in claim_head.
            let state = State(self.slot(ticket).state.load(SeqCst));
            // A later lap counts too: this slot's ticket may be void and the next one published.
            if state.is_full() && !is_before(geometry.lap_of(state.0), geometry.lap_of(ticket)) {
                return true;
            }
            ticket = geometry.after(ticket);
        }
        false
    }

    /// Moves the head past a void ticket; the tail first, for a head beyond the tail would break everything.
    fn pass_void(&self, head: usize) {
        loop {
            // pop:behind - SeqCst: as in head_is_not_full.
            let tail = self.tail.load(SeqCst);
            if tail & !CLOSED != head {
                break;
            }
            self.advance_tail(tail, self.geometry().after(tail));
        }
        if self.advance_head(head, self.geometry().after(head)) {
            // void:passed - SeqCst: void:look reads it; late, it costs a search, never a refusal.
            self.voids.fetch_sub(1, SeqCst);
        }
    }

    // --------------------------------------------------------- both sides

    /// Moves an occupied slot from `state` to `voided`, by which `tickets` of it become void. Fails if the
    /// slot has changed, which is as good: the caller looks again.
    pub(super) fn void(&self, slot: &Slot<S::Item>, state: State, voided: State, tickets: usize) {
        // void:count - SeqCst: void:look reads it; before the ticket is void, so that a count of 0 is never
        // too low.
        self.voids.fetch_add(tickets, SeqCst);
        // void:mark - SeqCst: push:publish and pop:let_go of the party that has the slot fail on it.
        if slot.state.compare_exchange(state.0, voided.0, SeqCst, SeqCst).is_err() {
            // void:passed - SeqCst: as in pass_void.
            self.voids.fetch_sub(tickets, SeqCst);
        }
    }

    /// Lets nobody claim a ticket any more; what is in can still be popped. True for the first call.
    pub(crate) fn close(&self) -> bool {
        // close:mark - SeqCst: push:aim reads it, and push:claim fails on it.
        self.tail.fetch_or(CLOSED, SeqCst) & CLOSED == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        // close:look - SeqCst: reads close:mark, also in the total order with a registration to sleep.
        self.tail.load(SeqCst) & CLOSED != 0
    }

    pub(crate) fn capacity(&self) -> usize {
        self.geometry().capacity
    }

    #[inline(always)]
    pub(super) fn geometry(&self) -> Geometry {
        self.storage.geometry()
    }

    #[inline(always)]
    pub(super) fn place(&self, ticket: usize) -> Place<'_, S::Item> {
        Place::of(self.geometry(), self.storage.slots(), ticket)
    }

    #[inline(always)]
    pub(super) fn slot(&self, ticket: usize) -> &Slot<S::Item> {
        self.place(ticket).slot
    }

    /// # Safety
    ///
    /// The slot must be the caller's own and hold a value, which is moved out.
    #[inline(always)]
    pub(super) unsafe fn read(&self, slot: &Slot<S::Item>) -> S::Item {
        slot.value.with(|cell| {
            // SAFETY: the caller says that nobody else touches the cell.
            let value = unsafe { cell.read() };
            // SAFETY: the caller says that there is a value, and will not read it again.
            unsafe { value.assume_init() }
        })
    }
}

/// What needs no claiming, since nobody else is there.
impl<S: Storage, P: Progress> Ring<S, P> {
    /// As [`push`](Self::push), without read-modify-writes on the way that is always open here.
    pub(crate) fn push_mut(&mut self, value: S::Item) -> Result<(), Refused<S::Item>> {
        // alone - Relaxed: `&mut self` orders everything that was done before.
        let tail = self.tail.load(Relaxed);
        let slot = self.slot(tail);
        let state = State(slot.state.load(Relaxed));
        if state != self.geometry().claimable(tail) {
            return self.push(value);
        }
        // SAFETY: `&mut self`: nobody else is there, and a free slot holds no value.
        slot.value.with_mut(|cell| unsafe { cell.write(MaybeUninit::new(value)) });
        // alone - Relaxed: whoever comes next is ordered after by what lets them borrow the ring.
        slot.state.store(state.published().0, Relaxed);
        self.tail.store(self.geometry().after(tail), Relaxed);
        Ok(())
    }

    /// As [`pop`](Self::pop), without read-modify-writes on the way that is always open here.
    pub(crate) fn pop_mut(&mut self) -> Result<S::Item, Nothing> {
        // alone - Relaxed: `&mut self` orders everything that was done before.
        let head = self.head.load(Relaxed);
        let slot = self.slot(head);
        let state = State(slot.state.load(Relaxed));
        if !state.is_value_in(self.geometry(), self.geometry().lap_of(head)) {
            return self.pop();
        }
        // SAFETY: `&mut self`: nobody else is there, and a full slot holds a value.
        let value = unsafe { self.read(slot) };
        // alone - Relaxed: whoever comes next is ordered after by what lets them borrow the ring.
        slot.state.store(state.let_go(self.geometry()).0, Relaxed);
        self.head.store(self.geometry().after(head), Relaxed);
        Ok(value)
    }

    /// Starts all counters `laps` laps on, for tests near the wrap.
    #[cfg(feature = "alloc")]
    pub(crate) fn start_at(&mut self, laps: usize) {
        let start = laps.wrapping_mul(self.geometry().lap);
        // alone - Relaxed: `&mut self`, before the ring is shared.
        self.head.store(start, Relaxed);
        self.tail.store(start, Relaxed);
        for slot in self.storage.slots() {
            slot.state.store(State::free(start).0, Relaxed);
        }
    }
}

impl<S: Storage, P: Progress> Drop for Ring<S, P> {
    fn drop(&mut self) {
        /// Goes on with the rest when a value's own `drop` panics.
        struct Rest<'a, S: Storage, P: Progress>(&'a mut Ring<S, P>);

        impl<S: Storage, P: Progress> Drop for Rest<'_, S, P> {
            fn drop(&mut self) {
                while self.0.pop_mut().is_ok() {}
            }
        }

        if core::mem::needs_drop::<S::Item>() {
            let rest = Rest(self);
            while let Ok(value) = rest.0.pop_mut() {
                drop(value);
            }
        }
    }
}
