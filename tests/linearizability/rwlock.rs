//! The read-write lock.

use crate::record::{PARTIES, Tally, Tape, hold, now_and_then_yield, record};
use crate::search::{Event, Model, Recorded, explain};
use aqueduct::park::block_on;
use aqueduct_core::rwlock::{
    Fair, Policy, ReaderPriority, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, WriterPriority,
};
use aqueduct_core::wait::Slots;
use aqueduct_tests::share;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// How one is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Upgradable,
    Write,
}
use Kind::{Read, Upgradable, Write};

/// What somebody found when he came in. A writer leaves another value there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    value: u64,
    left: Option<u64>,
}

/// A call, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Try(Kind, Option<Found>),
    /// A future that was awaited.
    Enter(Kind, Found),
    /// A future that was polled, and dropped pending.
    Cancelled(Kind),
    Leave(Kind),
    /// From writing to reading.
    Downgrade,
    /// From reading upgradably to writing.
    TryUpgrade(Option<Found>),
}

/// A plain lock: who is inside, and the value.
///
/// Whatever looks after those who wait is two events: leaving is the moment when the lock is free and the one when the line
/// has been served. Waiting is three: the beginning, coming in, having served others. A cancelled wait may have come in,
/// too, and then leaves. While a call of another party is between its events it may wait, or serve those who do, or
/// have been woken and not have decided; then those who try may be refused though they could come in. Who comes
/// in first is the policy's affair, not the model's; but whoever comes in finds nobody whom he excludes.
struct Lock;

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct State {
    readers: usize,
    is_upgradable: bool,
    is_written: bool,
    value: u64,
    part_way: [bool; PARTIES],
    /// Who has come in, and will not have.
    in_vain: [bool; PARTIES],
}

impl State {
    fn can_enter(&self, kind: Kind) -> bool {
        !self.is_written
            && match kind {
                Read => true,
                Upgradable => !self.is_upgradable,
                Write => !self.is_upgradable && self.readers == 0,
            }
    }

    fn others_are_part_way(&self, party: usize) -> bool {
        (0..PARTIES).any(|other| other != party && self.part_way[other])
    }

    fn enter(&mut self, kind: Kind) {
        match kind {
            Read => self.readers += 1,
            Upgradable => self.is_upgradable = true,
            Write => self.is_written = true,
        }
    }

    fn leave(&mut self, kind: Kind) {
        match kind {
            Read => self.readers -= 1,
            Upgradable => self.is_upgradable = false,
            Write => self.is_written = false,
        }
    }

    /// Whether the value is what was found; leaves the other one there.
    fn look(&mut self, found: Found) -> bool {
        let was = self.value;
        self.value = found.left.unwrap_or(was);
        was == found.value
    }
}

impl Model for Lock {
    type State = State;
    type Call = Call;

    fn start(&self) -> State {
        State::default()
    }

    fn events(&self, call: &Call) -> usize {
        match call {
            Call::Try(..) => 1,
            Call::Leave(_) | Call::Downgrade | Call::TryUpgrade(_) => 2,
            Call::Enter(..) => 3,
            Call::Cancelled(_) => 4,
        }
    }

    fn step(&self, state: &State, event: Event<'_, Call>, next: &mut Vec<State>) {
        let Event { party, recorded: Recorded { call, .. }, nth } = event;
        let mut after = state.clone();
        after.part_way[party] = nth + 1 < self.events(call);
        let happens = match (*call, nth) {
            (Call::Try(kind, Some(found)), _) | (Call::Enter(kind, found), 1) => {
                after.enter(kind);
                state.can_enter(kind) && after.look(found)
            }
            (Call::Try(kind, None), _) => {
                !state.can_enter(kind) || state.others_are_part_way(party)
            }
            (Call::Cancelled(kind), 0) => {
                !state.can_enter(kind) || state.others_are_part_way(party)
            }
            (Call::Cancelled(kind), 1) => {
                next.push(after.clone());
                after.in_vain[party] = true;
                after.enter(kind);
                state.can_enter(kind)
            }
            (Call::Cancelled(kind), 2) => {
                if std::mem::take(&mut after.in_vain[party]) {
                    after.leave(kind);
                }
                true
            }
            (Call::Leave(kind), 0) => {
                after.leave(kind);
                true
            }
            (Call::Downgrade, 0) => {
                after.leave(Write);
                after.enter(Read);
                true
            }
            (Call::TryUpgrade(Some(found)), 0) => {
                after.leave(Upgradable);
                after.enter(Write);
                state.readers == 0 && after.look(found)
            }
            (Call::TryUpgrade(None), 0) => state.readers > 0 || state.others_are_part_way(party),
            _ => true,
        };
        if happens {
            next.push(after);
        }
    }

    fn may_end(&self, state: &State) -> bool {
        state.can_enter(Write)
    }
}

/// The lock that is held against the model.
trait Subject: Sync {
    type Guard<'a>
    where
        Self: 'a;

    fn try_enter(&self, kind: Kind) -> Option<Self::Guard<'_>>;
    fn enter(&self, kind: Kind) -> Self::Guard<'_>;
    /// Begins to wait, and thinks better of it.
    fn begin(&self, kind: Kind) -> Option<Self::Guard<'_>>;
    /// What is there; whoever may write leaves `value` there.
    fn look(&self, guard: &mut Self::Guard<'_>, value: u64) -> Found;
    fn leave(&self, guard: Self::Guard<'_>);
    fn downgrade<'a>(&'a self, guard: Self::Guard<'a>) -> Self::Guard<'a>;
    fn try_upgrade<'a>(
        &'a self,
        guard: Self::Guard<'a>,
    ) -> Result<Self::Guard<'a>, Self::Guard<'a>>;
}

struct Real<P: Policy>(RwLock<u64, P>);

enum Guard<'a, P: Policy> {
    Read(RwLockReadGuard<'a, u64, P>),
    Upgradable(RwLockUpgradableReadGuard<'a, u64, P>),
    Write(RwLockWriteGuard<'a, u64, P>),
}

impl<P: Policy + Send + Sync + 'static> Subject for Real<P> {
    type Guard<'a> = Guard<'a, P>;

    fn try_enter(&self, kind: Kind) -> Option<Guard<'_, P>> {
        match kind {
            Read => self.0.try_read().map(Guard::Read),
            Upgradable => self.0.try_upgradable_read().map(Guard::Upgradable),
            Write => self.0.try_write().map(Guard::Write),
        }
    }

    fn enter(&self, kind: Kind) -> Guard<'_, P> {
        match kind {
            Read => Guard::Read(block_on(self.0.read())),
            Upgradable => Guard::Upgradable(block_on(self.0.upgradable_read())),
            Write => Guard::Write(block_on(self.0.write())),
        }
    }

    fn begin(&self, kind: Kind) -> Option<Guard<'_, P>> {
        fn twice<F: Future>(future: F) -> Option<F::Output> {
            let mut future = pin!(future);
            for _ in 0..2 {
                let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if let Poll::Ready(guard) = polled {
                    return Some(guard);
                }
                now_and_then_yield();
            }
            None
        }
        match kind {
            Read => twice(self.0.read()).map(Guard::Read),
            Upgradable => twice(self.0.upgradable_read()).map(Guard::Upgradable),
            Write => twice(self.0.write()).map(Guard::Write),
        }
    }

    fn look(&self, guard: &mut Guard<'_, P>, value: u64) -> Found {
        match guard {
            Guard::Read(guard) => Found { value: **guard, left: None },
            Guard::Upgradable(guard) => Found { value: **guard, left: None },
            Guard::Write(guard) => {
                Found { value: std::mem::replace(&mut **guard, value), left: Some(value) }
            }
        }
    }

    fn leave(&self, guard: Guard<'_, P>) {
        drop(guard);
    }

    fn downgrade<'a>(&'a self, guard: Guard<'a, P>) -> Guard<'a, P> {
        match guard {
            Guard::Write(guard) => Guard::Read(RwLockWriteGuard::downgrade(guard)),
            _ => unreachable!("only who writes is told to"),
        }
    }

    fn try_upgrade<'a>(&'a self, guard: Guard<'a, P>) -> Result<Guard<'a, P>, Guard<'a, P>> {
        match guard {
            Guard::Upgradable(guard) => RwLockUpgradableReadGuard::try_upgrade(guard)
                .map(Guard::Write)
                .map_err(Guard::Upgradable),
            _ => unreachable!("only who reads upgradably is told to"),
        }
    }
}

/// What a party does in one round. Who is inside does not wait, so that everybody comes to an end.
fn script<S: Subject>(subject: &S, calls: usize, tape: &mut Tape<'_, Call>) {
    let mut inside: Vec<(Kind, S::Guard<'_>)> = Vec::new();
    for _ in 0..calls {
        let kind = [Read, Read, Upgradable, Write][tape.random(4)];
        let value = tape.value();
        let mut got = None;
        match (tape.random(8), inside.pop()) {
            (0 | 1, last) => {
                inside.extend(last);
                tape.call(|| {
                    got = subject.try_enter(kind);
                    Call::Try(kind, got.as_mut().map(|guard| subject.look(guard, value)))
                });
            }
            (2 | 3, None) => {
                tape.call(|| {
                    let mut guard = subject.enter(kind);
                    let found = subject.look(&mut guard, value);
                    got = Some(guard);
                    Call::Enter(kind, found)
                });
            }
            (4, None) => {
                tape.call(|| {
                    got = subject.begin(kind);
                    match &mut got {
                        None => Call::Cancelled(kind),
                        Some(guard) => Call::Enter(kind, subject.look(guard, value)),
                    }
                });
            }
            (5 | 6, Some((Write, guard))) => {
                tape.call(|| {
                    inside.push((Read, subject.downgrade(guard)));
                    Call::Downgrade
                });
            }
            (5 | 6, Some((Upgradable, guard))) => {
                tape.call(|| match subject.try_upgrade(guard) {
                    Ok(mut guard) => {
                        let found = subject.look(&mut guard, value);
                        inside.push((Write, guard));
                        Call::TryUpgrade(Some(found))
                    }
                    Err(guard) => {
                        inside.push((Upgradable, guard));
                        Call::TryUpgrade(None)
                    }
                });
            }
            (_, Some((kind, guard))) => {
                tape.call(|| {
                    subject.leave(guard);
                    now_and_then_yield();
                    Call::Leave(kind)
                });
            }
            (_, None) => now_and_then_yield(),
        }
        inside.extend(got.map(|guard| (kind, guard)));
    }
    for (kind, guard) in inside {
        tape.call(|| {
            subject.leave(guard);
            Call::Leave(kind)
        });
    }
}

fn history<S: Subject>(
    subject: S,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> (Lock, Vec<Vec<Recorded<Call>>>) {
    (Lock, record(round, tally, |_| 0, |tape| script(&subject, calls, tape)))
}

fn hold_real<P: Policy + Send + Sync + 'static>(policy: P, name: &str) {
    let real = || Real(RwLock::with_policy(0, policy, Slots::new()));
    let tally = Tally::default();
    hold(share(700), |round| history(real(), round, 40, &tally)).unwrap();
    hold(share(8), |round| history(real(), round, 1_500, &tally)).unwrap();
    tally.tell(name);
}

#[test]
fn recorded_histories_of_locks_with_writer_priority_are_linearizable() {
    hold_real(WriterPriority, "read-write lock, writers first");
}

#[test]
fn recorded_histories_of_locks_with_reader_priority_are_linearizable() {
    hold_real(ReaderPriority, "read-write lock, readers first");
}

#[test]
fn recorded_histories_of_fair_locks_are_linearizable() {
    hold_real(Fair, "read-write lock, fair");
}

/// The lock with a bug.
struct Planted {
    state: Mutex<State>,
    bug: Bug,
    turn: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Bug {
    /// A writer comes in beside a reader.
    WritesBesideReaders,
    /// A second upgradable reader comes in.
    TwoUpgradable,
    /// Refuses though nobody is inside.
    RefusesAtRest,
    /// A reader now and then sees the value before the last.
    StaleValue,
}

impl Planted {
    fn new(bug: Bug) -> Self {
        Self { state: Mutex::default(), bug, turn: AtomicUsize::new(0) }
    }

    fn is_its_turn(&self) -> bool {
        self.turn.fetch_add(1, SeqCst) % 5 == 4
    }
}

impl Subject for Planted {
    type Guard<'a> = Kind;

    fn try_enter(&self, kind: Kind) -> Option<Kind> {
        let mut state = self.state.lock().unwrap();
        let can_enter = match (self.bug, kind) {
            (Bug::WritesBesideReaders, Write) => !state.is_written && !state.is_upgradable,
            (Bug::TwoUpgradable, Upgradable) => !state.is_written,
            (Bug::RefusesAtRest, _) if self.is_its_turn() => false,
            _ => state.can_enter(kind),
        };
        can_enter.then(|| state.enter(kind))?;
        Some(kind)
    }

    fn enter(&self, kind: Kind) -> Kind {
        loop {
            match self.try_enter(kind) {
                Some(kind) => return kind,
                None => std::thread::yield_now(),
            }
        }
    }

    fn begin(&self, kind: Kind) -> Option<Kind> {
        self.try_enter(kind)
    }

    fn look(&self, kind: &mut Kind, value: u64) -> Found {
        let mut state = self.state.lock().unwrap();
        let stale = matches!(self.bug, Bug::StaleValue) && *kind == Read && self.is_its_turn();
        let found = if stale { state.value.saturating_sub(10) } else { state.value };
        let left = (*kind == Write).then_some(value);
        state.look(Found { value: found, left });
        Found { value: found, left }
    }

    fn leave(&self, kind: Kind) {
        let mut state = self.state.lock().unwrap();
        // Two may be in where the model knows of one.
        if kind != Read || state.readers > 0 {
            state.leave(kind);
        }
    }

    fn downgrade(&self, kind: Kind) -> Kind {
        self.leave(kind);
        self.state.lock().unwrap().enter(Read);
        Read
    }

    fn try_upgrade(&self, kind: Kind) -> Result<Kind, Kind> {
        let mut state = self.state.lock().unwrap();
        if state.readers > 0 || state.is_written {
            return Err(kind);
        }
        state.leave(kind);
        state.enter(Write);
        Ok(Write)
    }
}

fn is_found_out(bug: Bug) {
    let tally = Tally::default();
    let complaint = hold(200, |round| history(Planted::new(bug), round, 40, &tally)).unwrap_err();
    assert!(complaint.contains("no sequential order"), "{complaint}");
}

#[test]
fn a_lock_that_lets_writers_in_beside_readers_is_found_out() {
    is_found_out(Bug::WritesBesideReaders);
}

#[test]
fn a_lock_with_two_upgradable_readers_is_found_out() {
    is_found_out(Bug::TwoUpgradable);
}

#[test]
fn a_lock_that_refuses_at_rest_is_found_out() {
    is_found_out(Bug::RefusesAtRest);
}

#[test]
fn a_lock_whose_readers_see_an_old_value_is_found_out() {
    is_found_out(Bug::StaleValue);
}

/// A history written by hand: per party, calls with beginning and end.
fn by_hand(chains: &[&[(Call, u64, u64)]]) -> Result<(), String> {
    let recorded = |&(call, began, ended): &_| Recorded { call, began, ended, around: 0 };
    let chains: Vec<Vec<_>> =
        chains.iter().map(|chain| chain.iter().map(recorded).collect()).collect();
    explain(&Lock, &chains)
}

#[test]
fn histories_written_by_hand_are_judged_as_in_the_textbook() {
    use Call::{Cancelled, Downgrade, Enter, Leave, Try, TryUpgrade};
    let saw = |value| Some(Found { value, left: None });
    let wrote = |value, left| Some(Found { value, left: Some(left) });
    // One writes while the other tries: refused, or after it has left, and then with the value.
    let writes: &[_] = &[(Try(Write, wrote(0, 7)), 0, 1), (Leave(Write), 4, 5)];
    let reads = |found, began| [(Try(Read, found), began, began + 1), (Leave(Read), 8, 9)];
    by_hand(&[writes, &[(Try(Read, None), 2, 3)]]).unwrap();
    by_hand(&[writes, &reads(saw(7), 6)]).unwrap();
    by_hand(&[writes, &reads(saw(0), 6)]).unwrap_err();
    by_hand(&[writes, &reads(saw(7), 2)]).unwrap_err();
    by_hand(&[writes, &[(Try(Read, None), 6, 7)]]).unwrap_err();
    // While somebody waits those who try may be refused; when he is gone they may not.
    let reading: &[_] = &[(Try(Read, saw(0)), 0, 1), (Leave(Read), 20, 21)];
    let waits: &[_] = &[(Cancelled(Write), 2, 9)];
    by_hand(&[reading, waits, &[(Try(Read, None), 5, 6)]]).unwrap();
    by_hand(&[reading, waits, &[(Try(Read, None), 10, 11)]]).unwrap_err();
    // A wait that ends before the one who excludes it leaves.
    let enters: &[_] =
        &[(Enter(Write, Found { value: 0, left: Some(1) }), 2, 9), (Leave(Write), 30, 31)];
    by_hand(&[&[(Try(Read, saw(0)), 0, 1), (Leave(Read), 8, 12)], enters]).unwrap();
    by_hand(&[reading, enters]).unwrap_err();
    // Downgrading lets readers in, and no writer; upgrading needs to be alone.
    let downgrades: &[_] =
        &[(Try(Write, wrote(0, 7)), 0, 1), (Downgrade, 2, 3), (Leave(Read), 20, 21)];
    by_hand(&[downgrades, &reads(saw(7), 4)]).unwrap();
    by_hand(&[downgrades, &[(Try(Write, wrote(7, 8)), 4, 5), (Leave(Write), 6, 7)]]).unwrap_err();
    let upgrades = |found, left| {
        [(Try(Upgradable, saw(0)), 2, 3), (TryUpgrade(found), 4, 5), (Leave(left), 30, 31)]
    };
    by_hand(&[reading, &upgrades(None, Upgradable)]).unwrap();
    by_hand(&[reading, &upgrades(wrote(0, 9), Write)]).unwrap_err();
    by_hand(&[&upgrades(wrote(0, 9), Write)]).unwrap();
    by_hand(&[&upgrades(None, Upgradable)]).unwrap_err();
    // Who never leaves is still inside.
    by_hand(&[&reading[..1]]).unwrap_err();
}
