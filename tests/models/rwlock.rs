//! Operation lists applied to a read-write lock, and what must hold whatever the policy: who is inside excludes whom,
//! a lock that nobody waits for refuses nobody, and no waiter sleeps beside a lock that is free.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aqueduct_core::rwlock::{
    Fair, Policy, Read, ReaderPriority, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, UpgradableRead, Upgrade, Write, WriterPriority,
};
use aqueduct_core::wait::{Growable, Slots, Storage};

use crate::bell::Bell;

/// A way to be inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `read`
    Read,
    /// `write`
    Write,
    /// `upgradable_read`
    Upgradable,
}

/// One operation of a list. Requests stand in numbered places, guards in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RwLockOp {
    /// `try_read` and its like; the guard goes to the end of the row.
    Try(Kind),
    /// Polls the request in this place; makes one of this kind first, if there is none.
    Poll(u8, Kind),
    /// The request in this place is dropped; an upgrade leaves the lock.
    Cancel(u8),
    /// A guard is dropped.
    Drop(u8),
    /// `downgrade` of a guard, unless it is a reader's.
    Downgrade(u8),
    /// `downgrade_to_upgradable` of a guard, if it is a writer's.
    DowngradeToUpgradable(u8),
    /// `try_upgrade` of a guard, if it is upgradable.
    TryUpgrade(u8),
    /// `upgrade` of a guard, if it is upgradable: polled, in this place, if that is empty.
    Upgrade(u8, u8),
    /// `cancel` of an upgrade in this place: it is an upgradable reader again, unless it is the writer by now.
    CancelUpgrade(u8),
}

/// Which policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the policies' own names")]
pub enum Rule {
    WriterPriority,
    ReaderPriority,
    Fair,
}

/// A lock, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its policy.
    pub rule: Rule,
    /// Whether its slots are on the heap; otherwise there are two.
    pub growable: bool,
    /// What is done.
    pub ops: Vec<RwLockOp>,
}

/// In how many places requests can stand.
const PLACES: usize = 5;

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the lock lets in whom it must not, refuses whom it must let in, or lets somebody sleep for ever.
    pub fn run(&self) {
        match self.rule {
            Rule::WriterPriority => self.under(WriterPriority),
            Rule::ReaderPriority => self.under(ReaderPriority),
            Rule::Fair => self.under(Fair),
        }
    }

    fn under<P: Policy>(&self, policy: P) {
        if self.growable {
            self.on(&RwLock::with_policy((), policy, Growable::new()));
        } else {
            self.on(&RwLock::with_policy((), policy, Slots::<2>::new()));
        }
    }

    fn on<P: Policy, W: Storage>(&self, lock: &RwLock<(), P, W>) {
        let mut watched = Watched {
            lock,
            requests: [const { None }; PLACES],
            guards: Vec::new(),
            bells: Default::default(),
            heard: [0; PLACES],
        };
        for &op in &self.ops {
            watched.apply(op);
            watched.look();
        }
        watched.finish();
    }
}

enum Guard<'l, P: Policy, W: Storage> {
    Read(RwLockReadGuard<'l, (), P, W>),
    Write(RwLockWriteGuard<'l, (), P, W>),
    Upgradable(RwLockUpgradableReadGuard<'l, (), P, W>),
}

enum Request<'l, P: Policy, W: Storage> {
    Read(Read<'l, (), P, W>),
    Write(Write<'l, (), P, W>),
    Upgradable(UpgradableRead<'l, (), P, W>),
    Upgrade(Upgrade<'l, (), P, W>),
}

struct Watched<'l, P: Policy, W: Storage> {
    lock: &'l RwLock<(), P, W>,
    requests: [Option<Request<'l, P, W>>; PLACES],
    guards: Vec<Guard<'l, P, W>>,
    bells: [Bell; PLACES],
    /// How often each bell had rung when its request was polled last.
    heard: [usize; PLACES],
}

impl<'l, P: Policy, W: Storage> Watched<'l, P, W> {
    /// Readers, writers and upgradable readers inside; an upgrade that is on its way is the last.
    fn inside(&self) -> [usize; 3] {
        let mut inside = [0; 3];
        for guard in &self.guards {
            inside[match guard {
                Guard::Read(_) => 0,
                Guard::Write(_) => 1,
                Guard::Upgradable(_) => 2,
            }] += 1;
        }
        let upgrades = |request: &&Request<'_, P, W>| matches!(request, Request::Upgrade(_));
        inside[2] += self.requests.iter().flatten().filter(upgrades).count();
        inside
    }

    fn may_enter(&self, kind: Kind) -> bool {
        match (kind, self.inside()) {
            (_, [_, 1, _]) => false,
            (Kind::Read, _) => true,
            (Kind::Upgradable, [_, _, upgradable]) => upgradable == 0,
            (Kind::Write, inside) => inside == [0; 3],
        }
    }

    fn apply(&mut self, op: RwLockOp) {
        let lock = self.lock;
        match op {
            RwLockOp::Try(kind) => {
                let may = self.may_enter(kind);
                let guard = match kind {
                    Kind::Read => lock.try_read().map(Guard::Read),
                    Kind::Write => lock.try_write().map(Guard::Write),
                    Kind::Upgradable => lock.try_upgradable_read().map(Guard::Upgradable),
                };
                assert!(may || guard.is_none(), "let in whom it must not: {kind:?}");
                let nobody_waits = self.requests.iter().all(Option::is_none);
                assert!(guard.is_some() || !may || !nobody_waits, "refused: {kind:?}");
                self.guards.extend(guard);
            }
            RwLockOp::Poll(place, kind) => {
                let place = usize::from(place) % PLACES;
                self.requests[place].get_or_insert_with(|| match kind {
                    Kind::Read => Request::Read(lock.read()),
                    Kind::Write => Request::Write(lock.write()),
                    Kind::Upgradable => Request::Upgradable(lock.upgradable_read()),
                });
                self.poll(place);
            }
            RwLockOp::Cancel(place) => self.requests[usize::from(place) % PLACES] = None,
            RwLockOp::Drop(nth) => drop(self.guard(nth)),
            RwLockOp::Downgrade(nth) => {
                let reader = match self.guard(nth) {
                    Some(Guard::Write(guard)) => RwLockWriteGuard::downgrade(guard),
                    Some(Guard::Upgradable(guard)) => RwLockUpgradableReadGuard::downgrade(guard),
                    Some(Guard::Read(guard)) => guard,
                    None => return,
                };
                self.guards.push(Guard::Read(reader));
            }
            RwLockOp::DowngradeToUpgradable(nth) => {
                let guard = self.guard(nth).map(|guard| match guard {
                    Guard::Write(guard) => {
                        Guard::Upgradable(RwLockWriteGuard::downgrade_to_upgradable(guard))
                    }
                    other => other,
                });
                self.guards.extend(guard);
            }
            RwLockOp::TryUpgrade(nth) => match self.guard(nth) {
                Some(Guard::Upgradable(guard)) => {
                    let alone = self.inside() == [0; 3];
                    self.guards.push(match RwLockUpgradableReadGuard::try_upgrade(guard) {
                        Ok(writer) => {
                            assert!(alone, "upgraded beside others");
                            Guard::Write(writer)
                        }
                        Err(guard) => {
                            let waits = self.requests.iter().any(Option::is_some);
                            assert!(!alone || waits, "refused: an upgrade");
                            Guard::Upgradable(guard)
                        }
                    });
                }
                other => self.guards.extend(other),
            },
            RwLockOp::Upgrade(nth, place) => {
                let place = usize::from(place) % PLACES;
                match self.guard(nth) {
                    Some(Guard::Upgradable(guard)) if self.requests[place].is_none() => {
                        let upgrade = RwLockUpgradableReadGuard::upgrade(guard);
                        self.requests[place] = Some(Request::Upgrade(upgrade));
                        self.poll(place);
                    }
                    other => self.guards.extend(other),
                }
            }
            RwLockOp::CancelUpgrade(place) => {
                let place = usize::from(place) % PLACES;
                match self.requests[place].take() {
                    Some(Request::Upgrade(upgrade)) => {
                        self.guards.extend(upgrade.cancel().map(Guard::Upgradable));
                    }
                    other => self.requests[place] = other,
                }
            }
        }
    }

    /// Takes a guard out of the row.
    fn guard(&mut self, nth: u8) -> Option<Guard<'l, P, W>> {
        let nth = usize::from(nth).checked_rem(self.guards.len())?;
        Some(self.guards.remove(nth))
    }

    fn poll(&mut self, place: usize) {
        fn poll<F: Future + Unpin, R>(
            future: &mut F,
            cx: &mut Context<'_>,
            guard: fn(F::Output) -> R,
        ) -> Poll<R> {
            Pin::new(future).poll(cx).map(guard)
        }
        self.heard[place] = self.bells[place].rung();
        let waker = self.bells[place].waker();
        let cx = &mut Context::from_waker(&waker);
        let polled = match self.requests[place].as_mut().expect("made before") {
            Request::Read(request) => poll(request, cx, Guard::Read),
            Request::Write(request) => poll(request, cx, Guard::Write),
            Request::Upgradable(request) => poll(request, cx, Guard::Upgradable),
            Request::Upgrade(request) => poll(request, cx, Guard::Write),
        };
        if let Poll::Ready(guard) = polled {
            self.requests[place] = None;
            self.guards.push(guard);
        }
    }

    fn look(&self) {
        match self.inside() {
            [_, 0, 0..=1] | [0, 1, 0] => {}
            inside => panic!("inside together: {inside:?} (readers, writers, upgradable)"),
        }
        let inside = self.inside() != [0; 3];
        let waits = self.requests.iter().any(Option::is_some);
        let called = (0..PLACES).any(|place| self.is_called(place));
        assert!(inside || !waits || called, "all sleep beside a lock that is free");
        let only_readers = self.requests.iter().flatten().all(|r| matches!(r, Request::Read(_)));
        if self.inside()[1] == 0 && only_readers {
            let sleeps = |place: usize| self.requests[place].is_some() && !self.is_called(place);
            assert!(!(0..PLACES).any(sleeps), "a reader sleeps, and nobody keeps it out");
        }
    }

    /// Was the request in this place woken since it was polled?
    fn is_called(&self, place: usize) -> bool {
        self.requests[place].is_some() && self.bells[place].rung() > self.heard[place]
    }

    /// Whoever is inside goes, and whoever is called comes; in the end nobody is left.
    fn finish(mut self) {
        self.guards.clear();
        // In turns: who has no slot calls itself, again and again. A waiter may lose some times.
        for turn in 0..20 * PLACES {
            if self.is_called(turn % PLACES) {
                self.poll(turn % PLACES);
                self.look();
                self.guards.clear();
            }
        }
        assert!(self.requests.iter().all(Option::is_none), "somebody sleeps for ever");
        for kind in [Kind::Write, Kind::Read, Kind::Upgradable] {
            self.apply(RwLockOp::Try(kind));
            self.guards.clear();
        }
    }
}
