//! The word of a read-write lock: the queue's bits, five of its own, and the readers.
//!
//! | bits | name | what |
//! |---|---|---|
//! | 7 | of the queue | DRAINING, DIRTY, HAS per class of waiter |
//! | 1 | WRITER | somebody writes; with readers beside it: an upgrade, which waits for them to leave |
//! | 1 | UPGRADABLE | somebody reads who may become the writer |
//! | 1 | TURN | it is the readers' turn: a writer was inside last (only under `Fair`) |
//! | 1 | WOKEN, of writers | a writer was woken and has not decided yet (not under `Fair`) |
//! | 1 | WOKEN, of upgradable readers | likewise |
//! | 20 of 32, 52 of 64 | readers | how many read, the upgradable one not counted |
//!
//! Only read-modify-writes change it, and each changes only its own bits: an unlock subtracts what the lock had
//! added, and never stores a whole word.
//!
//! Waiters stand in five classes: those of [`READ`], [`WRITE`] and [`UPGRADABLE`]; the one of [`UPGRADE`], who is
//! inside already and waits for the readers to leave; and the [`LOSERS`], of whatever kind, who were woken in
//! vain too often: they are handed the lock one after the other, in order.

use crate::sync::{Acquire, AtomicUsize, Relaxed, Release, const_unless_loom};
use crate::wait::{FREE_BIT, Grant, Head, Primitive, Word};
use core::marker::PhantomData;

use super::policy::{Line, Rules};

/// What somebody wants to be, or is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Read = READ as isize,
    Write = WRITE as isize,
    Upgradable = UPGRADABLE as isize,
}

use Kind::{Read, Upgradable, Write};

/// The class of those who want to read.
pub(super) const READ: usize = 0;
/// The class of those who want to write.
pub(super) const WRITE: usize = 1;
/// The class of those who want to read and perhaps to write later.
pub(super) const UPGRADABLE: usize = 2;
/// The class of the one who becomes the writer when the last reader has left.
pub(super) const UPGRADE: usize = 3;
/// The class of those who were woken in vain too often.
pub(super) const LOSERS: usize = 4;
/// How many classes there are.
pub(super) const CLASSES: usize = 5;

const WRITER: usize = 1 << FREE_BIT;
const RESERVED: usize = 1 << (FREE_BIT + 1);
const TURN: usize = 1 << (FREE_BIT + 2);
const WOKEN_WRITER: usize = 1 << (FREE_BIT + 3);
const WOKEN_UPGRADABLE: usize = 1 << (FREE_BIT + 4);
const SHIFT: u32 = FREE_BIT + 5;
const READER: usize = 1 << SHIFT;

/// The most that can read at once, an upgradable reader included: 2^20 - 1 on 32-bit targets, 2^52 - 1 on 64-bit
/// ones.
pub const MAX_READERS: usize = usize::MAX >> SHIFT;

impl Kind {
    /// What one of this kind is in the word.
    const fn unit(self) -> usize {
        match self {
            Read => READER,
            Write => WRITER,
            Upgradable => RESERVED,
        }
    }

    const fn woken_bit(self) -> usize {
        match self {
            // Readers are woken all together, and nobody waits for what they decide.
            Read => 0,
            Write => WOKEN_WRITER,
            Upgradable => WOKEN_UPGRADABLE,
        }
    }

    /// What a waiter asks for when it asks for this.
    pub(super) const fn of(ask: usize) -> Self {
        match ask {
            READ => Read,
            WRITE => Write,
            _ => Upgradable,
        }
    }
}

/// What to add to the word, wrapping, to make a holder of one kind one of another.
pub(super) const fn change(from: Kind, to: Kind) -> usize {
    to.unit().wrapping_sub(from.unit())
}

/// A value of the word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(pub(super) usize);

impl State {
    /// Nobody is inside, nobody waits, nobody was.
    pub(super) const FREE: Self = Self(0);

    #[cfg(test)]
    pub(super) const fn with_readers(readers: usize) -> Self {
        Self(readers << SHIFT)
    }

    /// Is somebody the writer, or about to be it when the readers have left?
    pub(super) const fn is_written(self) -> bool {
        self.0 & WRITER != 0
    }

    /// Is an upgradable reader inside?
    pub(super) const fn is_upgradable(self) -> bool {
        self.0 & RESERVED != 0
    }

    pub(super) const fn readers(self) -> usize {
        self.0 >> SHIFT
    }

    /// Is nobody inside?
    pub(super) const fn is_free(self) -> bool {
        !self.is_written() && !self.is_shared()
    }

    /// Are there readers inside?
    pub(super) const fn is_shared(self) -> bool {
        self.is_upgradable() || self.readers() > 0
    }

    /// Is no room for another reader? The upgradable reader counts, so that it can always become a plain one.
    pub(super) const fn is_crowded(self) -> bool {
        self.readers() + self.is_upgradable() as usize >= MAX_READERS
    }

    /// Can one of this kind be inside beside those who are? Whether it may is for the policy to say.
    pub(super) const fn admits(self, kind: Kind) -> bool {
        match kind {
            Read => !self.is_written() && !self.is_crowded(),
            Write => self.is_free(),
            Upgradable => !self.is_written() && !self.is_upgradable() && !self.is_crowded(),
        }
    }

    /// One more of this kind is inside.
    pub(super) const fn entered(self, kind: Kind) -> Self {
        Self(self.0 + kind.unit())
    }

    /// One of this kind has left.
    pub(super) const fn left(self, kind: Kind) -> Self {
        Self(self.0 - kind.unit())
    }

    /// One holder of `from` is one of `to` now.
    pub(super) const fn changed(self, from: Kind, to: Kind) -> Self {
        Self(self.0.wrapping_add(change(from, to)))
    }

    pub(super) const fn is_woken(self, kind: Kind) -> bool {
        self.0 & kind.woken_bit() != 0
    }

    pub(super) const fn woken(self, kind: Kind) -> Self {
        Self(self.0 | kind.woken_bit())
    }

    pub(super) const fn decided(self, kind: Kind) -> Self {
        Self(self.0 & !kind.woken_bit())
    }

    /// Is it the readers' turn?
    pub(super) const fn is_readers_turn(self) -> bool {
        self.0 & TURN != 0
    }

    pub(super) const fn with_readers_turn(self, turn: bool) -> Self {
        Self(if turn { self.0 | TURN } else { self.0 & !TURN })
    }

    pub(super) fn is_awaited(self) -> bool {
        self.word().is_awaited()
    }

    pub(super) fn is_awaited_by(self, class: usize) -> bool {
        self.word().is_awaited_by(class)
    }

    pub(super) fn word(self) -> Word {
        Word(self.0)
    }
}

/// What a waiter was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Given {
    /// The lock, as what it asked for.
    Lock(Kind),
    /// The readers have left: the upgrade is done.
    Upgraded,
    /// Nothing but the news that it may try. A writer or an upgradable reader must say how that went.
    Woken(Kind),
}

const UPGRADED: usize = 3;
const WOKEN_KIND: usize = 4;
/// Beside what was given: that changed whose turn it is.
const TURNED: usize = 8;

impl Given {
    pub(super) const fn of(grant: Grant) -> Self {
        match grant.0 & !TURNED {
            UPGRADED => Self::Upgraded,
            code if code < WOKEN_KIND => Self::Lock(Kind::of(code)),
            code => Self::Woken(Kind::of(code - WOKEN_KIND)),
        }
    }

    const fn grant(self, turned: bool) -> Grant {
        let code = match self {
            Self::Lock(kind) => kind as usize,
            Self::Upgraded => UPGRADED,
            Self::Woken(kind) => WOKEN_KIND + kind as usize,
        };
        Grant(if turned { code | TURNED } else { code })
    }
}

/// The word, and what is done to it in one step. The policy decides; this has the orderings.
pub(super) struct Lock<P> {
    word: AtomicUsize,
    policy: PhantomData<P>,
}

impl<P: Rules> Lock<P> {
    const_unless_loom! {
        pub(super) const fn new(state: State) -> Self {
            Self { word: AtomicUsize::new(state.0), policy: PhantomData }
        }
    }

    pub(super) fn state(&self) -> State {
        // lock:read - Relaxed: for people to read, and for assertions about what the caller himself holds.
        State(self.word.load(Relaxed))
    }

    /// Goes in as one of `kind`, if the policy lets a newcomer in now.
    #[inline]
    pub(super) fn enter(&self, kind: Kind) -> bool {
        // Most find the lock as it was left: no look before the first try.
        let guess = if kind == Write { P::UNCONTENDED } else { State::FREE };
        let next = P::turn(guess.entered(kind), kind);
        // lock:first - Acquire: as lock:take. Failure Relaxed: the value is only the next guess.
        match self.word.compare_exchange(guess.0, next.0, Acquire, Relaxed) {
            Ok(_) => true,
            Err(now) => self.enter_beside(kind, State(now)),
        }
    }

    /// The same for a lock that is not as it was left. Not inlined: it is what makes a way in long.
    #[inline(never)]
    fn enter_beside(&self, kind: Kind, seen: State) -> bool {
        self.enter_from(seen, |seen| P::enter(seen, kind))
    }

    /// Changes the word to what `next` says, or not at all.
    #[inline]
    pub(super) fn update(&self, next: impl FnMut(State) -> Option<State>) -> bool {
        // lock:look - Relaxed: only a guess for the compare-and-swap, or a reason to refuse, which is as good when
        // it is old.
        let seen = State(self.word.load(Relaxed));
        self.enter_from(seen, next)
    }

    #[inline]
    fn enter_from(&self, mut seen: State, mut next: impl FnMut(State) -> Option<State>) -> bool {
        loop {
            let Some(next) = next(seen) else { return false };
            // lock:take - Acquire: reads lock:leave and lock:change, so what was written by who was inside before,
            // and read by who may not be disturbed, is over and visible.
            match self.word.compare_exchange_weak(seen.0, next.0, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = State(now),
            }
        }
    }

    /// Leaves; the caller was inside as one of `kind`. Returns the word before.
    #[inline]
    pub(super) fn leave(&self, kind: Kind) -> State {
        // lock:leave - Release: lock:take, lock:first and serve:look read it, so what we did inside is over, and
        // visible, for whoever comes in. A subtraction, which on x86 costs less than clearing a bit and asking what
        // was there.
        State(self.word.fetch_sub(kind.unit(), Release))
    }

    /// Becomes a lesser holder, in one step. Returns the word before.
    pub(super) fn change(&self, from: Kind, to: Kind) -> State {
        // lock:change - Release: as lock:leave, for the readers who may come in beside us now.
        State(self.word.fetch_add(change(from, to), Release))
    }
}

impl<P: Rules> Primitive<CLASSES> for Lock<P> {
    fn word(&self) -> &AtomicUsize {
        &self.word
    }

    fn grant(&self, heads: &[Option<Head>; CLASSES]) -> Option<(usize, Grant)> {
        let line = Line::of(heads);
        // serve:look - Acquire: reads lock:leave and lock:change, as lock:take does, for those who are given
        // something that needs no change of the word: an upgrade that was waiting for the readers.
        let mut seen = State(self.word.load(Acquire));
        loop {
            let served = P::serve(seen, line)?;
            let next = served.next;
            if next != seen {
                // serve:take - Acquire: as lock:take; hand:open or hand:early passes it on to the waiter. Failure
                // Acquire: as serve:look.
                match self.word.compare_exchange_weak(seen.0, next.0, Acquire, Acquire) {
                    Ok(_) => {}
                    Err(now) => {
                        seen = State(now);
                        continue;
                    }
                }
            }
            if let Some((class, given)) = served.given {
                // While a writer waits nobody passes under `Fair`, so nobody changes the turn before `ungrant`.
                let turned = line.writer && next.is_readers_turn() != seen.is_readers_turn();
                return Some((class, given.grant(turned)));
            }
            seen = next;
        }
    }

    fn ungrant(&self, _class: usize, grant: Grant) {
        let back = |seen: State| {
            let turned = grant.0 & TURNED != 0;
            let seen = seen.with_readers_turn(seen.is_readers_turn() ^ turned);
            match Given::of(grant) {
                Given::Lock(kind) => seen.left(kind),
                // The one who has withdrawn is still inside, and undoes it himself.
                Given::Upgraded => seen,
                Given::Woken(kind) => seen.decided(kind),
            }
        };
        // ungrant:guess - Relaxed: only a guess for the compare-and-swap.
        let mut seen = State(self.word.load(Relaxed));
        // serve:put - Relaxed: nobody was inside; the read-modify-write carries on the release sequence of those who
        // were before.
        while let Err(now) = self.word.compare_exchange_weak(seen.0, back(seen).0, Relaxed, Relaxed)
        {
            seen = State(now);
        }
    }

    fn settled(word: Word) -> Word {
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readers(n: usize) -> State {
        State::with_readers(n)
    }

    #[test]
    fn who_can_be_inside_beside_whom() {
        let written = State::FREE.entered(Write);
        let upgradable = State::FREE.entered(Upgradable);
        #[rustfmt::skip]
        let table = [
            // inside                         reader, writer, upgradable can come in
            (State::FREE,                     (true,  true,  true)),
            (readers(1),                      (true,  false, true)),
            (readers(2),                      (true,  false, true)),
            (written,                         (false, false, false)),
            (upgradable,                      (true,  false, false)),
            (readers(1).entered(Upgradable),  (true,  false, false)),
            // an upgrade that waits for readers
            (readers(1).entered(Write),       (false, false, false)),
            // no room
            (readers(MAX_READERS),            (false, false, false)),
            (readers(MAX_READERS - 1),        (true,  false, true)),
            (readers(MAX_READERS - 1).entered(Upgradable), (false, false, false)),
        ];
        for (row, (state, can)) in table.into_iter().enumerate() {
            let admits = [Read, Write, Upgradable].map(|kind| state.admits(kind));
            assert_eq!(admits, [can.0, can.1, can.2], "row {row}");
            // Whatever the queue's bits and the flags say.
            let flagged = State(state.0 | ((1 << FREE_BIT) - 1))
                .woken(Write)
                .woken(Upgradable)
                .with_readers_turn(true);
            let admits = [Read, Write, Upgradable].map(|kind| flagged.admits(kind));
            assert_eq!(admits, [can.0, can.1, can.2], "row {row}, with every flag");
        }
    }

    /// C55: no step touches a bit that is not its own.
    #[test]
    fn every_step_changes_only_its_own_bits() {
        let flags = State((1 << FREE_BIT) - 1).woken(Write).woken(Upgradable);
        for flags in [flags, flags.with_readers_turn(true), State::FREE] {
            for inside in [readers(0), readers(3), readers(MAX_READERS - 1)] {
                let state = State(flags.0 | inside.0);
                for kind in [Read, Write, Upgradable] {
                    let entered = state.entered(kind);
                    assert_eq!(entered.left(kind), state);
                    assert_eq!(entered.0 & ((1 << FREE_BIT) - 1), flags.0 & ((1 << FREE_BIT) - 1));
                    assert_eq!(entered.is_woken(Write), flags.is_woken(Write));
                    assert_eq!(entered.is_readers_turn(), flags.is_readers_turn());
                    for to in [Read, Write, Upgradable] {
                        assert_eq!(entered.changed(kind, to), state.entered(to));
                    }
                }
                assert_eq!(state.woken(Write).decided(Write), state.decided(Write));
                assert_eq!(state.woken(Read), state);
                assert_eq!(state.readers(), inside.readers());
            }
        }
        // The largest number of readers, with an upgradable one become plain, touches nothing else.
        let full = readers(MAX_READERS - 1).entered(Upgradable).changed(Upgradable, Read);
        assert_eq!(full, readers(MAX_READERS));
        assert!(full.is_crowded());
    }

    #[test]
    fn what_is_given_survives_the_slot() {
        for turned in [false, true] {
            for kind in [Read, Write, Upgradable] {
                for given in [Given::Lock(kind), Given::Woken(kind), Given::Upgraded] {
                    assert_eq!(Given::of(given.grant(turned)), given);
                    assert_eq!(given.grant(turned).0 & TURNED != 0, turned);
                }
            }
        }
    }
}
