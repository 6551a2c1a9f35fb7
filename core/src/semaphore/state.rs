//! The word of a semaphore: the queue's bits, two of its own, and the permits.
//!
//! | bits | name | what |
//! |---|---|---|
//! | 7 | of the queue | DRAINING, DIRTY, HAS per class of waiter |
//! | 1 | CLOSED | nobody gets a permit any more |
//! | 1 | WOKEN | a waiter was woken and has not decided yet |
//! | 23 of 32, 55 of 64 | permits | how many can be taken; below zero: how many are owed |
//!
//! The permits are signed: to shrink a semaphore below what is left of it is to owe the rest, and releases pay
//! the debt without knowing of it.
//!
//! Waiters stand in one of two classes. Those of [`COMPETE`] are woken, one at a time, and then try like
//! anybody else; those of [`HAND_OVER`] are given their permits, oldest first, and while one of them waits
//! nobody else may take any. A policy is how often a waiter must lose before it stands in the second class:
//! under `Fair`, never.

use crate::sync::{Acquire, AtomicUsize, Relaxed, const_unless_loom};
use crate::wait::{FREE_BIT, Grant, Head, Primitive, Word};

/// The class of those who are woken and then compete.
pub(super) const COMPETE: usize = 0;
/// The class of those who are handed what they ask for.
pub(super) const HAND_OVER: usize = 1;

const CLOSED: usize = 1 << FREE_BIT;
const WOKEN: usize = 1 << (FREE_BIT + 1);
const SHIFT: u32 = FREE_BIT + 2;

/// The most permits a semaphore can have: 2^22 - 1 on 32-bit targets, 2^54 - 1 on 64-bit ones.
pub const MAX_PERMITS: usize = (isize::MAX >> SHIFT) as usize;

/// A value of the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(pub(super) usize);

impl State {
    pub(super) const fn new(permits: usize) -> Self {
        Self(permits << SHIFT)
    }

    /// How many permits can be taken; negative: how many releases are owed.
    pub(super) const fn balance(self) -> isize {
        self.0 as isize >> SHIFT
    }

    pub(super) const fn available(self) -> usize {
        let balance = self.balance();
        if balance > 0 { balance as usize } else { 0 }
    }

    pub(super) const fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }

    pub(super) const fn is_woken(self) -> bool {
        self.0 & WOKEN != 0
    }

    /// Somebody waits who is to be handed permits: nobody else may take any.
    pub(super) fn is_reserved(self) -> bool {
        self.word().is_awaited_by(HAND_OVER)
    }

    /// Would permits that come back now lie there though somebody waits for them? A waiter that was woken will
    /// look, and wake the next.
    pub(super) fn needs_kick(self) -> bool {
        self.is_reserved() || self.word().is_awaited_by(COMPETE) && !self.is_woken()
    }

    pub(super) const fn closed(self) -> Self {
        Self(self.0 | CLOSED)
    }

    pub(super) const fn woken(self) -> Self {
        Self(self.0 | WOKEN)
    }

    pub(super) const fn decided(self) -> Self {
        Self(self.0 & !WOKEN)
    }

    pub(super) fn word(self) -> Word {
        Word(self.0)
    }
}

/// `permits` as they stand in the word, to add or to take off.
pub(super) const fn in_word(permits: usize) -> usize {
    permits << SHIFT
}

/// What a waiter was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Given {
    /// The semaphore was closed.
    Closed,
    /// It was woken, to compete: it must say how that went.
    Woken,
    /// The permits that it asked for, this many.
    Permits(usize),
}

impl Given {
    pub(super) const fn of(grant: Grant) -> Self {
        match grant.0 {
            0 => Self::Closed,
            1 => Self::Woken,
            n => Self::Permits(n - 1),
        }
    }

    const fn grant(self) -> Grant {
        Grant(match self {
            Self::Closed => 0,
            Self::Woken => 1,
            Self::Permits(n) => n + 1,
        })
    }
}

/// The state behind a semaphore: who may have what.
pub(super) struct Permits {
    pub(super) word: AtomicUsize,
    /// How many permits there should be, those in use included: what `resize` was told.
    pub(super) target: AtomicUsize,
    /// How many there are; while it shrinks, more. What is released never makes it more than this.
    pub(super) total: AtomicUsize,
}

impl Permits {
    const_unless_loom! {
        pub(super) const fn new(permits: usize) -> Self {
            assert!(permits <= MAX_PERMITS, "a semaphore has at most MAX_PERMITS permits");
            Self {
                word: AtomicUsize::new(State::new(permits).0),
                target: AtomicUsize::new(permits),
                total: AtomicUsize::new(permits),
            }
        }
    }

    /// Changes the word to what `change` says, or not at all.
    pub(super) fn update(&self, mut change: impl FnMut(State) -> Option<State>) -> Option<State> {
        // permits:look - Relaxed: only a guess for the compare-and-swap, or a reason to refuse, which is as good
        // when it is old.
        let mut seen = State(self.word.load(Relaxed));
        loop {
            let next = change(seen)?;
            // permits:take - Acquire: reads permits:put, so what the last holder did is visible.
            match self.word.compare_exchange_weak(seen.0, next.0, Acquire, Relaxed) {
                Ok(_) => return Some(seen),
                Err(now) => seen = State(now),
            }
        }
    }
}

impl Primitive<2> for Permits {
    fn word(&self) -> &AtomicUsize {
        &self.word
    }

    fn grant(&self, heads: &[Option<Head>; 2]) -> Option<(usize, Grant)> {
        let mut given = None;
        let taken = self.update(|seen| {
            let (class, what, next) = serve(seen, heads)?;
            given = Some((class, what.grant()));
            Some(next)
        });
        // What a lost attempt would have given is not given.
        taken.and(given)
    }

    fn ungrant(&self, _class: usize, grant: Grant) {
        match Given::of(grant) {
            Given::Closed => {}
            // permits:give_back - Relaxed: the drainer, which looks again; the read-modify-write carries on the
            // release sequence of whoever released.
            Given::Woken => drop(self.word.fetch_and(!WOKEN, Relaxed)),
            Given::Permits(n) => drop(self.word.fetch_add(in_word(n), Relaxed)),
        }
    }

    fn settled(word: Word) -> Word {
        word
    }
}

/// Who is served next, with what, and what the word then says.
fn serve(seen: State, heads: &[Option<Head>; 2]) -> Option<(usize, Given, State)> {
    let class = if heads[HAND_OVER].is_some() { HAND_OVER } else { COMPETE };
    let wanted = heads[class].as_ref()?.ask;
    if seen.is_closed() {
        return Some((class, Given::Closed, seen));
    }
    if seen.available() < wanted {
        return None;
    }
    match class {
        HAND_OVER => Some((class, Given::Permits(wanted), State(seen.0 - in_word(wanted)))),
        _ if seen.is_woken() => None,
        _ => Some((class, Given::Woken, seen.woken())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(ask: usize) -> Option<Head> {
        Some(Head { ask, in_phase: false })
    }

    #[test]
    fn permits_below_zero_are_owed() {
        let one = State::new(1);
        let owing = State(one.0.wrapping_sub(in_word(3)));
        assert_eq!((owing.balance(), owing.available()), (-2, 0));
        let paid = State(owing.0.wrapping_add(in_word(3)));
        assert_eq!((paid.balance(), paid.available()), (1, 1));
        // The debt does not reach the flags, nor they it.
        let flagged = owing.closed().woken();
        assert_eq!(flagged.balance(), -2);
        assert!(flagged.is_closed() && flagged.is_woken());
        assert_eq!(State::new(MAX_PERMITS).available(), MAX_PERMITS);
    }

    /// Who is served: every state in which it matters.
    #[test]
    fn the_table_of_who_is_served() {
        let (two, three) = (State::new(2), State::new(3));
        let table = [
            // nobody waits
            (three, [None, None], None),
            // those who compete are woken, one at a time, if there is enough
            (three, [head(3), None], Some((COMPETE, Given::Woken, three.woken()))),
            (two, [head(3), None], None),
            (three.woken(), [head(1), None], None),
            // those who are handed over come first, and in order: what is too little for the head is for nobody
            (three, [head(1), head(3)], Some((HAND_OVER, Given::Permits(3), State::new(0)))),
            (two, [head(1), head(3)], None),
            (
                three.woken(),
                [None, head(2)],
                Some((HAND_OVER, Given::Permits(2), State::new(1).woken())),
            ),
            // closed: everybody
            (two.closed(), [head(9), None], Some((COMPETE, Given::Closed, two.closed()))),
            (two.closed(), [head(9), head(9)], Some((HAND_OVER, Given::Closed, two.closed()))),
        ];
        for (row, (seen, heads, expected)) in table.into_iter().enumerate() {
            assert_eq!(serve(seen, &heads), expected, "row {row}");
        }
    }

    #[test]
    fn what_is_given_survives_the_slot() {
        for given in [Given::Closed, Given::Woken, Given::Permits(1), Given::Permits(MAX_PERMITS)] {
            assert_eq!(Given::of(given.grant()), given);
        }
    }
}
