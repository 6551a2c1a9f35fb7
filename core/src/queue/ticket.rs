//! The two kinds of word that the ring is made of: tickets and slot states.
//!
//! A *ticket* names one place in the endless sequence of places: lap and index. `head` is the ticket that
//! is popped next, `tail` the one that is pushed next.
//!
//! ```text
//! ticket   | lap ........................ | index ....... | closed |
//! state    | lap ........................ | skips | phase | 0      |
//!            multiples of `Geometry::lap`   2 bits of phase
//! ```
//!
//! Laps are counted in the same bits of both words, so a slot's lap and a ticket's lap compare without
//! shifting, and a slot that is free in lap 0 is the word 0: a static queue lies in `.bss`.
//!
//! The index stays out of the state, since the slot is the index. Its bits hold the phase and the *skips*:
//! how many later tickets of this slot were passed over while its occupant sat there. A slot cannot be
//! skipped more often than there are other slots that were held and let go meanwhile, which is why a
//! count below the capacity is enough (PROTOCOL.md, "State").

use core::fmt;

/// The bit of `tail` that says that nobody may claim a ticket any more.
pub(super) const CLOSED: usize = 1;

const INDEX_SHIFT: u32 = 1;
const PHASE: usize = 0b110;
const FREE: usize = 0b000;
const FULL: usize = 0b010;
const HELD: usize = 0b100;
/// Only where parties may wait for each other: see `half_way.rs`.
const KEPT: usize = 0b110;
const SKIP: usize = 0b1000;

/// The most values a ring can hold: 2^21 - 1 on 32-bit targets, 2^53 - 1 on 64-bit ones.
///
/// It leaves at least 128 laps before the words wrap.
pub const MAX_CAPACITY: usize = usize::MAX >> 11;

/// At least this many bits count skips, so that a small ring, too, can lose many tickets to places that are given up
/// before it must refuse a push it could have taken. Under the interrupt checker that comes soon.
const MIN_SKIP_BITS: u32 = match usize::BITS {
    _ if cfg!(aqueduct_interrupt) => 1,
    64 => 17,
    _ => 4,
};

/// Who passes over an occupant, and so how far its skips may be counted up: to half of what the word can count, or to
/// the end. PROTOCOL.md, "The count of skips suffices".
#[derive(Clone, Copy)]
pub(super) enum Passer {
    /// A push, which may be refused instead.
    Newcomer,
    /// A party that has a slot and a value, and must not fail.
    Settler,
}

/// How many slots there are, and by how much a word grows from one lap to the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Geometry {
    pub(super) capacity: usize,
    /// A power of two.
    pub(super) lap: usize,
}

impl Geometry {
    /// # Panics
    ///
    /// If `capacity` is 0 or above [`MAX_CAPACITY`].
    pub(super) const fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "the capacity of a queue must be at least 1");
        assert!(capacity <= MAX_CAPACITY, "the capacity of a queue must be at most MAX_CAPACITY");
        let wide = 2 * capacity.next_power_of_two() * SKIP;
        let least = SKIP << MIN_SKIP_BITS;
        Self { capacity, lap: if wide > least { wide } else { least } }
    }

    #[inline(always)]
    pub(super) const fn lap_of(self, word: usize) -> usize {
        word & !(self.lap - 1)
    }

    #[inline(always)]
    pub(super) const fn index_of(self, ticket: usize) -> usize {
        (ticket & (self.lap - 1)) >> INDEX_SHIFT
    }

    /// The ticket for slot `index` in `lap`.
    #[inline(always)]
    pub(super) const fn ticket(self, lap: usize, index: usize) -> usize {
        lap | index << INDEX_SHIFT
    }

    /// The ticket after this one; keeps the closed bit.
    #[inline(always)]
    pub(super) const fn after(self, ticket: usize) -> usize {
        if self.index_of(ticket) + 1 < self.capacity {
            ticket.wrapping_add(1 << INDEX_SHIFT)
        } else {
            self.lap_of(ticket).wrapping_add(self.lap) | ticket & CLOSED
        }
    }

    /// The ticket `n` after this one, in the same lap.
    #[inline(always)]
    pub(super) const fn nth_of_lap(ticket: usize, n: usize) -> usize {
        ticket.wrapping_add(n << INDEX_SHIFT)
    }

    /// What the slot at `tail` must say for the ticket to be claimed. A closed tail carries a bit that no
    /// slot has.
    #[inline(always)]
    pub(super) const fn claimable(self, tail: usize) -> State {
        State::free(tail & (!(self.lap - 1) | CLOSED))
    }

    /// How many tickets lie from `from` up to, and without, `to`.
    pub(super) const fn distance(self, from: usize, to: usize) -> usize {
        let laps = self.lap_of(to).wrapping_sub(self.lap_of(from)) / self.lap;
        (laps * self.capacity).wrapping_add(self.index_of(to)).wrapping_sub(self.index_of(from))
    }

    /// How many slots, from that of `tail` on, may be without a value that has yet to be popped, when so many tickets from `head` to
    /// `tail` are void at most.
    pub(super) const fn may_be_free(self, head: usize, tail: usize, voids: usize) -> usize {
        // Each ticket that is not void has a slot of its own.
        let free = (self.capacity + voids).saturating_sub(self.distance(head, tail));
        // Those of the void ones are anywhere.
        if voids == 0 || free == 0 { free } else { self.capacity }
    }
}

/// Whether word `a` (a lap, or a ticket without its closed bit) lies behind word `b`, across the wrap.
#[inline(always)]
pub(super) const fn is_before(a: usize, b: usize) -> bool {
    (a.wrapping_sub(b) as isize) < 0
}

/// What a slot's word says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(pub(super) usize);

impl State {
    /// Nobody has used the slot in `lap` yet, or whoever claimed it has not published.
    #[inline(always)]
    pub(super) const fn free(lap: usize) -> Self {
        Self(lap | FREE)
    }

    /// The slot holds the value of its ticket in `lap`, until whoever claims it has moved it out.
    #[inline(always)]
    pub(super) const fn full(lap: usize) -> Self {
        Self(lap | FULL)
    }

    /// A party that claimed the slot in some earlier lap, or in this one, still has it; its ticket in
    /// `lap` is void.
    #[inline(always)]
    pub(super) const fn held(lap: usize) -> Self {
        Self(lap | HELD)
    }

    /// The slot was claimed in `lap` for a value that is still to be made: its ticket may be taken away.
    #[inline(always)]
    pub(super) const fn kept(lap: usize) -> Self {
        Self(lap | KEPT)
    }

    #[inline(always)]
    pub(super) const fn is_kept(self) -> bool {
        self.0 & PHASE == KEPT
    }

    #[inline(always)]
    pub(super) const fn is_free(self) -> bool {
        self.0 & PHASE == FREE
    }

    #[inline(always)]
    pub(super) const fn is_full(self) -> bool {
        self.0 & PHASE == FULL
    }

    #[inline(always)]
    pub(super) const fn is_held(self) -> bool {
        self.0 & PHASE == HELD
    }

    /// Whether the slot holds the value of its ticket in `lap`.
    #[inline(always)]
    pub(super) const fn is_value_in(self, geometry: Geometry, lap: usize) -> bool {
        (self.0 ^ lap) & (!(geometry.lap - 1) | PHASE) == FULL
    }

    /// How many of the slot's tickets after its own were passed over.
    #[inline(always)]
    pub(super) const fn skips(self, geometry: Geometry) -> usize {
        (self.0 & (geometry.lap - 1)) / SKIP
    }

    /// The lap in which the slot can be claimed next, once its occupant lets go.
    #[inline(always)]
    pub(super) const fn next_lap(self, geometry: Geometry) -> usize {
        let next = geometry.lap_of(self.0).wrapping_add(geometry.lap);
        match self.skips(geometry) {
            0 => next,
            skips => next.wrapping_add(skips.wrapping_mul(geometry.lap)),
        }
    }

    /// The same occupant, its value published.
    #[inline(always)]
    pub(super) const fn published(self) -> Self {
        debug_assert!(self.is_free());
        Self(self.0 | FULL)
    }

    /// As `published`, of a kept slot.
    #[inline(always)]
    pub(super) const fn published_kept(self) -> Self {
        debug_assert!(self.is_kept());
        Self(self.0 ^ (KEPT ^ FULL))
    }

    /// The same occupant, with one more of the slot's tickets passed over; `None` where the count is full.
    #[inline(always)]
    pub(super) fn skipped(self, geometry: Geometry, passer: Passer) -> Option<Self> {
        let limit = match passer {
            Passer::Newcomer => geometry.lap / SKIP / 2,
            Passer::Settler => geometry.lap / SKIP,
        };
        (self.skips(geometry) + 1 < limit).then_some(Self(self.0 + SKIP))
    }

    /// Nobody has the slot: it waits for the first ticket that is not void.
    #[inline(always)]
    pub(super) const fn let_go(self, geometry: Geometry) -> Self {
        Self::free(self.next_lap(geometry))
    }

    /// The occupant keeps the slot, and its ticket, which was claimed and not published, is void.
    #[inline(always)]
    pub(super) const fn voided(self, geometry: Geometry, ticket_lap: usize) -> Self {
        if geometry.lap_of(self.0) == ticket_lap {
            // FREE, perhaps with skips: they stay void.
            Self::held(self.next_lap(geometry).wrapping_sub(geometry.lap))
        } else {
            // An older occupant that had claimed this ticket for the slot it already had.
            Self::held(ticket_lap)
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.0 & PHASE {
            FREE => "FREE",
            FULL => "FULL",
            HELD => "HELD",
            _ => "KEPT",
        };
        write!(f, "{phase}({:#x})", self.0 & !PHASE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of slot states in PROTOCOL.md: from, step, to.
    #[test]
    fn every_row_of_the_table_of_states() {
        for capacity in [1, 2, 3, 5, 8, 1000] {
            let g = Geometry::new(capacity);
            for lap in [0, g.lap, 0usize.wrapping_sub(g.lap), 0usize.wrapping_sub(2 * g.lap)] {
                let next = lap.wrapping_add(g.lap);
                let third = next.wrapping_add(g.lap);
                let (free, full, held) = (State::free(lap), State::full(lap), State::held(lap));
                let skipped = |state: State| state.skipped(g, Passer::Settler).unwrap();
                // push publishes
                assert_eq!(free.published(), full);
                // pop lets go
                assert_eq!(full.let_go(g), State::free(next));
                // pop voids, push lets go
                assert_eq!(free.voided(g, lap), held);
                assert_eq!(held.let_go(g), State::free(next));
                // push passes over an occupant
                assert_eq!(skipped(full).let_go(g), State::free(third));
                assert_eq!(skipped(free).published(), skipped(full));
                // a void ticket takes the tickets passed over with it
                assert_eq!(skipped(free).voided(g, lap), State::held(next));
                // where parties may wait, a kept slot is what a free and claimed one is elsewhere
                let kept = State::kept(lap);
                assert!(kept.is_kept() && !kept.is_free() && !kept.is_full() && !kept.is_held());
                assert_eq!(kept.published_kept(), full);
                assert_eq!(kept.voided(g, lap), held);
                assert_eq!(kept.let_go(g), State::free(next));
                assert_eq!(skipped(kept).published_kept(), skipped(full));
                assert!(!kept.is_value_in(g, lap));
                // displace: the popped slot's next ticket was claimed, and voided
                assert_eq!(full.voided(g, next), State::held(next));
                for state in [free, full, held] {
                    assert_eq!(
                        [state.is_free(), state.is_full(), state.is_held()],
                        [state == free, state == full, state == held]
                    );
                    assert_eq!(state.next_lap(g), next);
                }
            }
        }
    }

    #[test]
    fn skips_fill_up_and_stop_before_the_lap_changes() {
        for capacity in [1, 2, 3, 9, 64, 100] {
            let g = Geometry::new(capacity);
            let mut state = State::full(g.lap);
            let mut skips = 0;
            let mut fill = |passer| {
                let before = skips;
                while let Some(more) = state.skipped(g, passer) {
                    skips += 1;
                    assert_eq!(more.skips(g), skips);
                    assert_eq!(more.next_lap(g), g.lap.wrapping_mul(skips + 2));
                    assert!(more.is_full());
                    state = more;
                }
                skips - before
            };
            let newcomers = fill(Passer::Newcomer);
            assert!(newcomers >= capacity - 1, "capacity {capacity}: only {newcomers}");
            let settlers = fill(Passer::Settler);
            assert!(settlers >= capacity, "capacity {capacity}: only {settlers}");
        }
    }

    /// What the module says under "Limits".
    #[test]
    fn words_repeat_late() {
        let least = 1 << if usize::BITS == 64 { 44 } else { 25 };
        for capacity in [1, 2, 3, 4, 5, 8, 9, 1000, 70_000, MAX_CAPACITY / 2 + 1, MAX_CAPACITY] {
            let laps = (usize::MAX / Geometry::new(capacity).lap) + 1;
            assert!(laps >= 128 && laps * capacity >= least, "capacity {capacity}");
        }
    }

    #[test]
    fn a_full_ring_is_seen_to_be_full_without_a_look_at_its_slots() {
        let geometry = Geometry::new(5);
        let head = geometry.ticket(geometry.lap * 7, 3);
        let mut tail = head;
        for taken in 0..5 {
            assert_eq!(geometry.may_be_free(head, tail, 0), 5 - taken);
            assert_eq!(geometry.may_be_free(head, tail, 2), 5, "anywhere");
            tail = geometry.after(tail);
        }
        assert_eq!(geometry.may_be_free(head, tail, 0), 0);
        assert_eq!(geometry.may_be_free(head, tail, 1), 5, "the void one may have been let go");
        tail = geometry.after(tail);
        assert_eq!(geometry.may_be_free(head, tail, 1), 0, "the others are five");
        assert_eq!(geometry.may_be_free(geometry.after(tail), tail, 0), 0, "an old tail");
    }

    #[test]
    fn tickets_advance_through_every_index_and_wrap() {
        for capacity in [1, 2, 3, 7, 8, 100] {
            let g = Geometry::new(capacity);
            let start = 0usize.wrapping_sub(2 * g.lap);
            let mut ticket = start;
            for step in 0..capacity * 4 {
                assert_eq!(g.index_of(ticket), step % capacity);
                assert_eq!(g.distance(start, ticket), step);
                let next = g.after(ticket);
                assert!(is_before(ticket, next) && !is_before(next, ticket));
                assert_eq!(g.after(ticket | CLOSED), next | CLOSED);
                ticket = next;
            }
        }
    }
}
