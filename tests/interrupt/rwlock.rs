//! The read-write lock, preempted anywhere: nobody is inside beside a writer, nobody sleeps beside a lock that he could
//! have, and in the end it is free.

use super::harness::{self, Run, Subject};
use super::tasks::{Asked, Tasks};
use aqueduct_core::rwlock::{Fair, Policy, RawRwLock, ReaderPriority, WriterPriority};
use aqueduct_core::wait::Slots;
use std::cell::{Cell, RefCell};
use std::fmt::Debug;

type Tested<P> = RawRwLock<P, Slots<5>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    R,
    W,
    U,
}

use Kind::{R, U, W};

#[derive(Clone, Copy, Debug)]
enum Op {
    Try(Kind),
    /// Comes in beside a reader, whoever waits.
    TryAgain,
    /// One of this kind leaves, if one is inside.
    Leave(Kind),
    /// One of the first kind becomes one of the second, which is less.
    Become(Kind, Kind),
    TryUpgrade,
    /// Starts a request in a place and polls it once.
    Ask(usize, Kind),
    /// Starts to upgrade, in a place, and polls that once.
    Upgrade(usize),
    Poll(usize),
    Drop(usize),
}

use Op::{Ask, Become, Drop as Cancel, Leave, Poll, Try, TryAgain, TryUpgrade, Upgrade};

const PLACES: usize = 4;

#[derive(Debug)]
#[allow(dead_code, reason = "for reports, which print it")]
enum Outcome {
    In(Kind),
    Refused,
    Done,
}

/// Who is inside and free to leave, as the callers know it. Whoever leaves is taken off before the call.
#[derive(Clone, Copy, Debug, Default)]
struct Inside {
    readers: usize,
    writer: bool,
    upgradable: bool,
}

struct Object<P: Policy + 'static> {
    // Dropped before what they borrow.
    tasks: Tasks<()>,
    lock: &'static Tested<P>,
    /// Owns `lock`.
    memory: *mut Tested<P>,
    /// What is asked for in each place; `None` is an upgrade.
    asked: [Cell<Option<Kind>>; PLACES],
    inside: Cell<Inside>,
    /// Of those inside, who is in nobody's hands now: not about to become something else.
    idle: RefCell<Vec<Kind>>,
}

impl<P: Policy + 'static> Object<P> {
    fn enter(&self, kind: Kind) -> Outcome {
        let mut inside = self.inside.get();
        let alone = inside.readers == 0 && !inside.upgradable;
        let allowed = !inside.writer
            && match kind {
                R => true,
                W => alone,
                U => !inside.upgradable,
            };
        assert!(allowed, "{kind:?} came in beside {inside:?}");
        match kind {
            R => inside.readers += 1,
            W => inside.writer = true,
            U => inside.upgradable = true,
        }
        self.inside.set(inside);
        self.idle.borrow_mut().push(kind);
        Outcome::In(kind)
    }

    /// Takes one of `kind` into our hands.
    fn take(&self, kind: Kind) -> bool {
        let mut idle = self.idle.borrow_mut();
        let found = idle.iter().position(|&it| it == kind);
        found.map(|index| idle.swap_remove(index)).is_some()
    }

    /// One of `kind`, in our hands, is not inside any more.
    fn gone(&self, kind: Kind) {
        let mut inside = self.inside.get();
        match kind {
            R => inside.readers -= 1,
            W => inside.writer = false,
            U => inside.upgradable = false,
        }
        self.inside.set(inside);
    }

    fn leave(&self, kind: Kind) -> Outcome {
        if !self.take(kind) {
            return Outcome::Refused;
        }
        self.gone(kind);
        match kind {
            // SAFETY: one was inside as this, and was in our hands.
            R => unsafe { self.lock.unlock_read() },
            // SAFETY: as above.
            W => unsafe { self.lock.unlock_write() },
            // SAFETY: as above.
            U => unsafe { self.lock.unlock_upgradable() },
        }
        Outcome::Done
    }

    fn become_less(&self, from: Kind, to: Kind) -> Outcome {
        if !self.take(from) {
            return Outcome::Refused;
        }
        self.gone(from);
        self.enter(to);
        assert!(self.take(to));
        match (from, to) {
            // SAFETY: one was inside as this, and was in our hands.
            (W, R) => unsafe { self.lock.downgrade() },
            // SAFETY: as above.
            (W, U) => unsafe { self.lock.downgrade_to_upgradable() },
            // SAFETY: as above.
            _ => unsafe { self.lock.downgrade_upgradable() },
        }
        self.idle.borrow_mut().push(to);
        Outcome::Done
    }

    /// The upgradable reader, in our hands, has become the writer.
    fn upgraded(&self) -> Outcome {
        self.gone(U);
        self.enter(W)
    }

    fn asked(&self, place: usize, asked: Asked<()>) -> Outcome {
        match (asked, self.asked[place].get()) {
            (Asked::Ready(()), Some(kind)) => self.enter(kind),
            (Asked::Ready(()), None) => self.upgraded(),
            _ => Outcome::Done,
        }
    }

    fn cancel(&self, place: usize) {
        let asked = self.asked[place].get();
        if self.tasks.cancel(place) && asked.is_none() {
            self.idle.borrow_mut().push(U);
        }
    }

    fn apply(&self, op: Op) -> Outcome {
        let lock = self.lock;
        match op {
            Op::Try(kind) => {
                let entered = match kind {
                    R => lock.try_read(),
                    W => lock.try_write(),
                    U => lock.try_upgradable_read(),
                };
                if entered { self.enter(kind) } else { Outcome::Refused }
            }
            Op::TryAgain => {
                if lock.try_read_recursive() {
                    self.enter(R)
                } else {
                    Outcome::Refused
                }
            }
            Op::Leave(kind) => self.leave(kind),
            Op::Become(from, to) => self.become_less(from, to),
            Op::TryUpgrade => {
                if !self.take(U) {
                    return Outcome::Refused;
                }
                // SAFETY: the upgradable reader is inside, and in our hands.
                if unsafe { lock.try_upgrade() } {
                    self.upgraded()
                } else {
                    self.idle.borrow_mut().push(U);
                    Outcome::Refused
                }
            }
            Op::Ask(place, kind) => {
                if self.tasks.is_pending(place) {
                    return Outcome::Refused;
                }
                self.asked[place].set(Some(kind));
                let request = match kind {
                    R => lock.read(),
                    W => lock.write(),
                    U => lock.upgradable_read(),
                };
                self.asked(place, self.tasks.start(place, request))
            }
            Op::Upgrade(place) => {
                if self.tasks.is_pending(place) || !self.take(U) {
                    return Outcome::Refused;
                }
                self.asked[place].set(None);
                // SAFETY: the upgradable reader is inside, and in our hands.
                let upgrade = unsafe { lock.upgrade() };
                self.asked(place, self.tasks.start(place, upgrade))
            }
            Op::Poll(place) => self.asked(place, self.tasks.poll(place)),
            Op::Drop(place) => {
                self.cancel(place);
                Outcome::Done
            }
        }
    }

    /// Runs whoever is woken, until all sleep. Nobody may sleep who could come in.
    fn settle(&self) -> Result<(), String> {
        for turn in 0.. {
            let woken = (0..PLACES).find(|&place| self.tasks.is_woken(place));
            let Some(place) = woken else { break };
            self.asked(place, self.tasks.poll(place));
            if turn > 100 {
                return Err("they wake each other for ever".into());
            }
        }
        let sleeps = |kind| {
            (0..PLACES).any(|place| self.tasks.is_pending(place) && self.asked[place].get() == kind)
        };
        let inside = self.inside.get();
        if inside.writer {
            return Ok(());
        }
        let wrong = |who| Err(format!("{who} sleeps beside {inside:?}"));
        if sleeps(None) {
            return if inside.readers == 0 { wrong("an upgrade") } else { Ok(()) };
        }
        if sleeps(Some(W)) {
            let free = inside.readers == 0 && !inside.upgradable;
            return if free { wrong("a writer, and perhaps others,") } else { Ok(()) };
        }
        if sleeps(Some(U)) {
            return if inside.upgradable { Ok(()) } else { wrong("an upgradable reader") };
        }
        if sleeps(Some(R)) { wrong("a reader") } else { Ok(()) }
    }
}

impl<P: Policy + 'static> Drop for Object<P> {
    fn drop(&mut self) {
        for place in 0..PLACES {
            self.tasks.cancel(place);
        }
        // SAFETY: `memory` came from a box, and all that borrowed from it is gone.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

/// A lock with a past: what was done to it before.
struct Locks<P> {
    policy: P,
    past: &'static [Op],
}

impl<P: Policy + Debug + 'static> Subject for Locks<P> {
    type Object = Object<P>;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        format!("{:?} lock after {:?}", self.policy, self.past)
    }

    fn fresh(&self) -> Object<P> {
        let lock = Tested::with_policy(self.policy, Slots::new());
        let memory = Box::into_raw(Box::new(lock));
        let object = Object {
            tasks: Tasks::new(PLACES),
            // SAFETY: it is freed when the object is dropped, after all that borrows from it.
            lock: unsafe { &*memory },
            memory,
            asked: Default::default(),
            inside: Cell::default(),
            idle: RefCell::default(),
        };
        for op in self.past {
            object.apply(*op);
        }
        object
    }

    fn apply(&self, object: &Object<P>, op: &Op) -> Outcome {
        object.apply(*op)
    }

    fn check(&self, object: Object<P>, _run: &Run<'_, Self>) -> Result<(), String> {
        // All leave, one after the other, and those who wait come in, until nobody is left.
        loop {
            object.settle()?;
            let Some(kind) = object.idle.borrow().first().copied() else { break };
            object.leave(kind);
        }
        if object.tasks.pending() > 0 {
            return Err("somebody sleeps, and nobody is inside".into());
        }
        let lock = object.lock;
        let free = "written: false, upgradable: false, readers: 0, awaited: false";
        if !format!("{lock:?}").contains(free) {
            return Err(format!("left behind: {lock:?}"));
        }
        if !lock.try_write() {
            return Err(format!("free, and nobody can write: {lock:?}"));
        }
        Ok(())
    }
}

/// What a lock may have behind it. Places 2 and 3 are those of its waiters.
const PASTS: &[&[Op]] = &[
    &[],
    &[Try(R)],
    &[Try(W)],
    &[Try(U), Try(R)],
    // those who wait behind a reader, and behind a writer
    &[Try(R), Ask(2, W)],
    &[Try(R), Ask(2, W), Ask(3, R)],
    &[Try(W), Ask(2, R), Ask(3, W)],
    &[Try(W), Ask(2, R), Ask(3, R)],
    &[Try(W), Ask(2, U), Ask(3, W)],
    &[Try(U), Ask(2, U), Ask(3, R)],
    &[Try(U), Try(R), Ask(2, U), Ask(3, W)],
    // served, and not polled yet
    &[Try(W), Ask(2, W), Ask(3, R), Leave(W)],
    &[Try(W), Ask(2, R), Ask(3, W), Leave(W)],
    &[Try(W), Ask(2, U), Ask(3, R), Leave(W)],
    // woken in vain
    &[Try(W), Ask(2, W), Ask(3, R), Leave(W), Try(W), Poll(2)],
    // upgrades on their way
    &[Try(R), Try(U), Upgrade(2)],
    &[Try(R), Try(U), Ask(3, W), Upgrade(2)],
    &[Try(R), Try(U), Upgrade(2), Ask(3, R)],
    &[Try(R), Try(U), Upgrade(2), Ask(3, U), Leave(R)],
    // a reader who has lost its patience, where there is any
    &[
        Try(W),
        Ask(2, R),
        Leave(W),
        Try(W),
        Poll(2),
        Leave(W),
        Try(W),
        Poll(2),
        Leave(W),
        Try(W),
        Poll(2),
        Leave(W),
        Try(W),
        Poll(2),
        Ask(3, W),
    ],
];

/// Every operation, by a party whose place is `place`.
fn all(place: usize) -> Vec<Op> {
    vec![
        Try(R),
        Try(W),
        Try(U),
        TryAgain,
        Leave(R),
        Leave(W),
        Leave(U),
        Become(W, R),
        Become(W, U),
        Become(U, R),
        TryUpgrade,
        Ask(place, R),
        Ask(place, W),
        Ask(place, U),
        Upgrade(place),
        Poll(2),
        Poll(3),
        Cancel(2),
        Cancel(3),
    ]
}

/// What begins in a place of one's own and goes on.
fn sequences(place: usize) -> Vec<Vec<Op>> {
    let mut sequences: Vec<_> = all(place).into_iter().map(|op| vec![op]).collect();
    for kind in [R, W, U] {
        sequences.push(vec![Ask(place, kind), Cancel(place)]);
        sequences.push(vec![Ask(place, kind), Poll(place)]);
        for leaving in [R, W, U] {
            sequences.push(vec![Ask(place, kind), Leave(leaving), Poll(place)]);
            sequences.push(vec![Ask(place, kind), Leave(leaving), Cancel(place)]);
        }
    }
    sequences.push(vec![Upgrade(place), Cancel(place)]);
    sequences.push(vec![Upgrade(place), Leave(R), Poll(place)]);
    sequences.push(vec![Upgrade(place), Leave(R), Cancel(place)]);
    sequences.push(vec![Upgrade(place), Leave(R), Poll(place), Leave(W)]);
    sequences
}

/// All pairs of operations.
fn pairs(place: usize) -> Vec<Vec<Op>> {
    let all = all(place);
    all.iter().flat_map(|&first| all.iter().map(move |&second| vec![first, second])).collect()
}

fn check<P: Policy + Debug + 'static>(policy: P) -> u64 {
    let handlers: Vec<_> = sequences(1).into_iter().chain(pairs(1)).collect();
    let mut combinations = 0;
    for &past in PASTS {
        let locks = Locks { policy, past };
        for a in sequences(0) {
            combinations += harness::preempt(&locks, &a, &handlers);
        }
    }
    combinations
}

#[test]
fn every_call_on_a_lock_that_puts_writers_first_preempted_by_every_other() {
    println!("interrupt: rwlock, writers first: {} combinations", check(WriterPriority));
}

#[test]
fn every_call_on_a_lock_that_puts_readers_first_preempted_by_every_other() {
    println!("interrupt: rwlock, readers first: {} combinations", check(ReaderPriority));
}

#[test]
fn every_call_on_a_fair_lock_preempted_by_every_other() {
    println!("interrupt: rwlock, fair: {} combinations", check(Fair));
}

fn check_twice_and_nested<P: Policy + Debug + 'static>(policy: P) -> u64 {
    let handlers = |place| {
        vec![
            vec![Try(R)],
            vec![Try(W)],
            vec![Leave(R)],
            vec![Leave(W)],
            vec![Become(W, R)],
            vec![Ask(place, W), Cancel(place)],
            vec![Ask(place, R)],
            vec![Poll(2)],
            vec![Cancel(2)],
        ]
    };
    let mut combinations = 0;
    for past in [4, 6, 11, 16] {
        let locks = Locks { policy, past: PASTS[past] };
        for a in [
            vec![Ask(0, R)],
            vec![Ask(0, W), Cancel(0)],
            vec![Leave(R)],
            vec![Leave(W)],
            vec![Poll(2)],
            vec![Cancel(2)],
        ] {
            combinations += harness::preempt_twice(&locks, &a, &handlers(1), &handlers(1));
            combinations += harness::preempt_nested(&locks, &a, &handlers(1), &handlers(3));
        }
    }
    combinations
}

#[test]
fn a_lock_preempted_at_two_steps_and_within_a_handler() {
    let combinations = check_twice_and_nested(WriterPriority)
        + check_twice_and_nested(ReaderPriority)
        + check_twice_and_nested(Fair);
    println!("interrupt: rwlock, twice and nested: {combinations} combinations");
}
