//! What a [`WaitQueue`](super::WaitQueue) hands out: notifications. The primitive behind it.
//!
//! The word, above the queue's bits:
//!
//! | bits | name | what |
//! |---|---|---|
//! | 1 | CLOSED | everybody who waits, now or later, gets an error |
//! | 12 of 32, 28 of 64 | ones | `notify_one`s not handed over yet; at rest 0, or 1: the stored token |
//! | as many | some | of `notify(n)`, not handed over yet; at rest 0 |
//!
//! Two counts, because what nobody takes has two fates: a `notify_one` becomes the token, the rest of a `notify(n)`
//! is dropped. A count that reaches its maximum stays there until nobody waits any more: it stands for "everybody
//! who waits", so no number of notifications is too large, and none is lost.
//!
//! A second word counts the `notify_all`s: the epoch. A waiter asks with the epoch at which it was made, and is
//! served for nothing when that has passed.

use super::queue::{Head, Post, Primitive};
use super::slot::Grant;
use super::state::{FREE_BIT, Word};
use crate::sync::{AcqRel, Acquire, AtomicUsize, Relaxed, const_unless_loom};

/// By `notify(n)`; not passed on to the future.
pub(super) const SOME: Grant = Grant(0);
/// By `notify_one`.
pub(super) const ONE: Grant = Grant(1);
/// By `notify_all`.
pub(super) const ALL: Grant = Grant(2);
/// By `close`.
pub(super) const CLOSED: Grant = Grant(3);

/// The word and the epoch of a `WaitQueue`.
pub(crate) struct Notices {
    word: AtomicUsize,
    epoch: AtomicUsize,
}

impl Notices {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self { word: AtomicUsize::new(0), epoch: AtomicUsize::new(0) }
        }
    }

    pub(super) fn state(&self) -> State {
        // state:read - Acquire: reads kick:post of a close, so who learns of it sees what came before it.
        State(self.word.load(Acquire))
    }

    /// The epoch in which a wait is made now.
    pub(super) fn epoch(&self) -> usize {
        // wait:epoch - Acquire: reads notify_all:epoch; of what came before a `notify_all` that does not reach this wait, its
        // maker's next look sees all.
        self.epoch.load(Acquire)
    }

    /// Has there been a `notify_all` since the epoch `made`?
    pub(super) fn has_passed(&self, made: usize) -> bool {
        // epoch:observe - Acquire: reads notify_all:epoch, so what came before the `notify_all` is visible.
        self.epoch.load(Acquire) != made
    }

    /// Ends the epoch. The caller kicks those who wait, with a read-modify-write in any case.
    pub(super) fn next_epoch(&self) {
        // notify_all:epoch - AcqRel: epoch:observe reads it; one `notify_all` also passes on what it knows from
        // those before.
        self.epoch.fetch_add(1, AcqRel);
    }

    /// What a wait made in the epoch `made` gets without waiting.
    ///
    /// With a token, look once more whether the epoch [has passed](Self::has_passed), and give it back if so: a
    /// `notify_all`, and a `notify_one` that left the token as it was, may have come while we took it.
    pub(super) fn try_take(&self, made: usize) -> Option<Grant> {
        loop {
            // take:look - Acquire: reads kick:post, so the epoch that we load next is at least as new as each
            // notification counted here: those after a `notify_all` are not taken by who was made before it.
            let seen = State(self.word.load(Acquire));
            if self.has_passed(made) {
                return Some(ALL);
            }
            if seen.word().is_awaited() || !seen.has_token() {
                // With others waiting, what is counted is theirs.
                return seen.is_closed().then_some(CLOSED);
            }
            // take:take - Acquire: reads kick:post, of a `notify_one` that found the token there and left the word as
            // take:look saw it.
            if self.word.compare_exchange(seen.0, seen.without_one().0, Acquire, Relaxed).is_ok() {
                return Some(ONE);
            }
        }
    }
}

impl Primitive<1> for Notices {
    fn word(&self) -> &AtomicUsize {
        &self.word
    }

    fn grant(&self, heads: &[Option<Head>; 1]) -> Option<(usize, Grant)> {
        let made = heads[0].as_ref()?.ask;
        loop {
            // grant:look - Acquire: as take:look, for the head.
            let seen = State(self.word.load(Acquire));
            if self.has_passed(made) {
                return Some((0, ALL));
            }
            let Some((next, grant)) = seen.take() else {
                return seen.is_closed().then_some((0, CLOSED));
            };
            // grant:take - Relaxed: what the notification stands for was acquired by grant:look, and hand:open or
            // hand:early passes it on.
            if self.word.compare_exchange(seen.0, next.0, Relaxed, Relaxed).is_ok() {
                return Some((0, grant));
            }
        }
    }

    fn ungrant(&self, _class: usize, grant: Grant) {
        // ungrant:look - Relaxed: only a guess for the compare-and-swap.
        let mut seen = State(self.word.load(Relaxed));
        loop {
            let next = match grant {
                ONE => seen.with_one(),
                SOME => seen.with_some(1),
                _ => return,
            };
            // ungrant:put - Relaxed: the read-modify-write carries on the release sequence of the notification
            // itself, which whoever takes it next reads.
            match self.word.compare_exchange_weak(seen.0, next.0, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = State(now),
            }
        }
    }

    fn settled(word: Word) -> Word {
        State(word.0).settled().word()
    }
}

const COUNT_BITS: u32 = (usize::BITS - FREE_BIT - 1) / 2;
/// The largest value of a count, which stands for "everybody who waits".
const MANY: usize = (1 << COUNT_BITS) - 1;

const CLOSED_BIT: usize = 1 << FREE_BIT;
const ONES: u32 = FREE_BIT + 1;
const SOMES: u32 = ONES + COUNT_BITS;

/// A value of the word, with the questions and the transitions that concern notifications.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State(usize);

impl State {
    pub(super) const fn word(self) -> Word {
        Word(self.0)
    }

    pub(super) const fn is_closed(self) -> bool {
        self.0 & CLOSED_BIT != 0
    }

    /// Is a `notify_one` counted that nobody has taken?
    pub(super) const fn has_token(self) -> bool {
        self.ones() > 0
    }

    const fn ones(self) -> usize {
        (self.0 >> ONES) & MANY
    }

    const fn some(self) -> usize {
        (self.0 >> SOMES) & MANY
    }

    const fn with_ones(self, ones: usize) -> Self {
        Self(self.0 & !(MANY << ONES) | (ones << ONES))
    }

    const fn with_somes(self, some: usize) -> Self {
        Self(self.0 & !(MANY << SOMES) | (some << SOMES))
    }

    const fn with_one(self) -> Self {
        if self.ones() == MANY { self } else { self.with_ones(self.ones() + 1) }
    }

    const fn with_some(self, n: usize) -> Self {
        let room = MANY - self.some();
        self.with_somes(if n < room { self.some() + n } else { MANY })
    }

    const fn without_one(self) -> Self {
        if self.ones() == MANY { self } else { self.with_ones(self.ones() - 1) }
    }

    const fn without_some(self) -> Self {
        if self.some() == MANY { self } else { self.with_somes(self.some() - 1) }
    }

    /// One notification less, if there is any. Those of `notify(n)` first, for a `notify_one` can still become
    /// the token.
    const fn take(self) -> Option<(Self, Grant)> {
        match (self.some(), self.ones()) {
            (0, 0) => None,
            (0, _) => Some((self.without_one(), ONE)),
            _ => Some((self.without_some(), SOME)),
        }
    }

    /// Nobody waits: of any number of `notify_one`s one token remains, of the `notify(n)`s nothing.
    const fn settled(self) -> Self {
        self.with_somes(0).with_ones(if self.ones() > 0 { 1 } else { 0 })
    }

    /// `notify_one`. Ignored once closed: everybody is told anyway.
    pub(super) fn notify_one(self) -> Post {
        if self.is_closed() { Post::Nothing } else { self.put_one() }
    }

    const fn put_one(self) -> Post {
        if self.word().needs_kick() {
            Post::Kick(self.with_one().word())
        } else {
            // Even where the token is there already: the read-modify-write publishes what we did before.
            Post::Change(self.with_ones(1).word())
        }
    }

    /// A grant that its receiver did not use. What was notified before a close is still delivered after it.
    pub(super) fn give_back(self, grant: Grant) -> Post {
        match grant {
            ONE => self.put_one(),
            SOME => self.notify(1),
            _ => Post::Nothing,
        }
    }

    /// `notify(n)`. Reaches only those who wait.
    pub(super) fn notify(self, n: usize) -> Post {
        if self.is_closed() || !self.word().is_awaited() || n == 0 {
            Post::Nothing
        } else {
            Post::Kick(self.with_some(n).word())
        }
    }

    /// `notify_all`, after the epoch was ended: a read-modify-write in any case, so that a registrant who does not
    /// see it is seen by it.
    pub(super) fn notify_all(self) -> Post {
        if self.word().needs_kick() { Post::Kick(self.word()) } else { Post::Change(self.word()) }
    }

    pub(super) fn close(self) -> Post {
        let closed = Self(self.0 | CLOSED_BIT).word();
        if self.is_closed() {
            Post::Nothing
        } else if self.word().needs_kick() {
            Post::Kick(closed)
        } else {
            Post::Change(closed)
        }
    }

    pub(super) const fn of(word: Word) -> Self {
        Self(word.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word as (waiting, draining, closed, ones, some).
    type Row = (bool, bool, bool, usize, usize);

    fn state((waiting, draining, closed, ones, some): Row) -> State {
        let mut word = Word(0);
        if waiting {
            word = word.with_waiter(0);
        }
        if draining {
            word = word.kicked().0;
        }
        let closed = if closed { CLOSED_BIT } else { 0 };
        State(word.0 | closed).with_ones(ones).with_somes(some)
    }

    #[derive(Debug, PartialEq)]
    enum Posted {
        Nothing,
        Change(State),
        Kick(State),
    }

    fn posted(post: Post) -> Posted {
        match post {
            Post::Nothing => Posted::Nothing,
            Post::Change(word) => Posted::Change(State(word.0)),
            Post::Kick(word) => Posted::Kick(State(word.0)),
        }
    }

    #[test]
    fn what_each_call_does_to_each_state() {
        use Posted::{Change, Kick, Nothing};
        const Y: bool = true;
        const N: bool = false;
        let s = state;
        #[rustfmt::skip]
        let table = [
            // state            notify_one              notify(2)               notify_all              close
            ((N, N, N, 0, 0), Change(s((N, N, N, 1, 0))), Nothing,               Change(s((N, N, N, 0, 0))), Change(s((N, N, Y, 0, 0)))),
            ((N, N, N, 1, 0), Change(s((N, N, N, 1, 0))), Nothing,               Change(s((N, N, N, 1, 0))), Change(s((N, N, Y, 1, 0)))),
            ((Y, N, N, 0, 0), Kick(s((Y, N, N, 1, 0))),   Kick(s((Y, N, N, 0, 2))), Kick(s((Y, N, N, 0, 0))),   Kick(s((Y, N, Y, 0, 0)))),
            ((Y, N, N, 1, 1), Kick(s((Y, N, N, 2, 1))),   Kick(s((Y, N, N, 1, 3))), Kick(s((Y, N, N, 1, 1))),   Kick(s((Y, N, Y, 1, 1)))),
            ((N, Y, N, 1, 0), Kick(s((N, Y, N, 2, 0))),   Nothing,               Kick(s((N, Y, N, 1, 0))),   Kick(s((N, Y, Y, 1, 0)))),
            ((N, N, Y, 1, 0), Nothing,                    Nothing,               Change(s((N, N, Y, 1, 0))), Nothing),
            ((Y, N, Y, 0, 0), Nothing,                    Nothing,               Kick(s((Y, N, Y, 0, 0))),   Nothing),
        ];
        for (row, one, some, all, close) in table {
            assert_eq!(posted(s(row).notify_one()), one, "{row:?}");
            assert_eq!(posted(s(row).notify(2)), some, "{row:?}");
            assert_eq!(posted(s(row).notify(0)), Nothing, "{row:?}");
            assert_eq!(posted(s(row).give_back(SOME)), posted(s(row).notify(1)), "{row:?}");
            assert_eq!(posted(s(row).give_back(ALL)), Nothing, "{row:?}");
            if !row.2 {
                assert_eq!(posted(s(row).give_back(ONE)), one, "{row:?}");
            }
            assert_eq!(posted(s(row).notify_all()), all, "{row:?}");
            assert_eq!(posted(s(row).close()), close, "{row:?}");
        }
    }

    #[test]
    fn what_is_given_back_after_a_close_is_kept() {
        let closed = state((false, false, true, 0, 0));
        let kept = state((false, false, true, 1, 0));
        assert_eq!(posted(closed.give_back(ONE)), Posted::Change(kept));
    }

    #[test]
    fn what_is_taken_and_what_remains() {
        const N: bool = false;
        #[rustfmt::skip]
        let table = [
            // state            taken                                     when nobody waits
            ((N, N, N, 0, 0), None,                                       (N, N, N, 0, 0)),
            ((N, N, N, 1, 0), Some(((N, N, N, 0, 0), ONE)),               (N, N, N, 1, 0)),
            ((N, N, N, 3, 0), Some(((N, N, N, 2, 0), ONE)),               (N, N, N, 1, 0)),
            ((N, N, N, 0, 2), Some(((N, N, N, 0, 1), SOME)),              (N, N, N, 0, 0)),
            ((N, N, N, 2, 2), Some(((N, N, N, 2, 1), SOME)),              (N, N, N, 1, 0)),
            ((N, N, N, MANY, 0), Some(((N, N, N, MANY, 0), ONE)),         (N, N, N, 1, 0)),
            ((N, N, N, 0, MANY), Some(((N, N, N, 0, MANY), SOME)),        (N, N, N, 0, 0)),
        ];
        for (row, taken, settled) in table {
            assert_eq!(state(row).take(), taken.map(|(row, grant)| (state(row), grant)), "{row:?}");
            assert_eq!(state(row).settled(), state(settled), "{row:?}");
        }
    }

    #[test]
    fn counts_stop_at_many_and_stay_out_of_each_others_bits() {
        let full = state((true, true, true, MANY, MANY));
        assert_eq!(full.with_one(), full);
        assert_eq!(full.with_some(usize::MAX), full);
        assert_eq!(full.without_one(), full);
        assert_eq!(full.without_some(), full);
        assert_eq!(
            state((true, true, true, MANY - 1, 0)).with_one(),
            state((true, true, true, MANY, 0))
        );
        assert_eq!(
            state((true, true, true, 0, 1)).with_some(MANY - 2),
            state((true, true, true, 0, MANY - 1))
        );
        assert_eq!(
            state((true, true, true, 0, 1)).with_some(MANY - 1),
            state((true, true, true, 0, MANY))
        );
        assert_eq!(full.settled().with_ones(0), state((true, true, true, 0, 0)));
    }
}
