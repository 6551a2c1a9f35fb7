//! The semaphore.

use crate::record::{PARTIES, Tally, Tape, hold, now_and_then_yield, record};
use crate::search::{Event, Model, Recorded, explain};
use aqueduct::park::block_on;
use aqueduct_core::semaphore::{
    self, AcquireError, Fair, Greedy, Policy, SemaphorePermit, TryAcquireError,
};
use aqueduct_core::wait::Slots;
use aqueduct_tests::share;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// A call, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Try(usize, Result<(), TryAcquireError>),
    /// A future that was awaited.
    Acquire(usize, Result<(), AcquireError>),
    /// A future that was polled, and dropped pending.
    Cancelled(usize),
    Release(usize),
    /// How many are free.
    Available(usize),
    /// Permits that were not there before.
    Add(usize),
    /// So many were to be taken out of circulation, and so many were.
    Forget(usize, usize),
    /// Whether it was the first.
    Close(bool),
}

/// A plain counter with a line of waiters.
///
/// Whatever looks after those who wait is two events: a release is the moment when the permits are there and the one when
/// the line has been served. Waiting is four: being refused, or taking at once; joining the line (whoever comes between the two
/// passes nobody); being served; having served others. A cancelled wait may have been served, too, and then gives back what it was
/// given. A call of another party that is between
/// its events may be the one that serves, and while it is at it, permits that are free may be refused to those who
/// try. To grant is exact: what is granted is there, and under `Fair` nobody is passed.
struct Counter {
    permits: usize,
    is_fair: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct State {
    free: usize,
    /// How many there are, free or not.
    total: usize,
    is_closed: bool,
    /// Who has been refused, and is about to join the line.
    refused: [bool; PARTIES],
    /// Who waits, oldest first.
    line: Vec<usize>,
    part_way: [bool; PARTIES],
}

impl State {
    fn others_are_part_way(&self, party: usize) -> bool {
        (0..PARTIES).any(|other| other != party && self.part_way[other])
    }
}

impl Counter {
    fn may_take(&self, state: &State, n: usize) -> bool {
        let is_passed = self.is_fair && !state.line.is_empty();
        !state.is_closed && (n == 0 || n <= state.free && !is_passed)
    }

    fn may_refuse(&self, state: &State, party: usize, n: usize) -> bool {
        n > 0 && !state.is_closed && (n > state.free || state.others_are_part_way(party))
    }

    /// Whether a party may find so many free where there are `free`. Whoever serves takes what it is about to grant, and puts it back
    /// if the one to have it has gone meanwhile.
    fn may_find(&self, state: &State, party: usize, found: usize, free: usize) -> bool {
        found == free || found < free && state.others_are_part_way(party)
    }

    /// Whether the one at this place of the line can be given `n` permits.
    fn may_serve(&self, state: &State, place: usize, n: usize) -> bool {
        !state.is_closed && n <= state.free && (place == 0 || !self.is_fair)
    }
}

impl Model for Counter {
    type State = State;
    type Call = Call;

    fn start(&self) -> State {
        let (is_closed, line) = (false, Vec::new());
        let (free, total) = (self.permits, self.permits);
        let refused = [false; PARTIES];
        State { free, total, is_closed, refused, line, part_way: [false; PARTIES] }
    }

    fn events(&self, call: &Call) -> usize {
        match call {
            Call::Try(..) | Call::Available(_) | Call::Forget(..) => 1,
            Call::Release(_) | Call::Add(_) | Call::Close(_) => 2,
            Call::Acquire(..) => 4,
            Call::Cancelled(_) => 5,
        }
    }

    fn step(&self, state: &State, event: Event<'_, Call>, next: &mut Vec<State>) {
        let Event { party, recorded: Recorded { call, .. }, nth } = event;
        let mut after = state.clone();
        after.part_way[party] = nth + 1 < self.events(call);
        let leave = |state: &mut State| {
            let place = state.line.iter().position(|&waiter| waiter == party);
            place.inspect(|&place| {
                state.line.remove(place);
            })
        };
        let happens = match (*call, nth) {
            (Call::Try(n, Ok(())), _) => {
                after.free = state.free.saturating_sub(n);
                self.may_take(state, n)
            }
            (Call::Try(n, Err(TryAcquireError::NoPermits)), _) => self.may_refuse(state, party, n),
            (Call::Try(_, Err(TryAcquireError::Closed)), _) => state.is_closed,
            (Call::Acquire(n, outcome), 0) => {
                if outcome.is_ok() && self.may_take(state, n) {
                    next.push(State { free: state.free - n, ..after.clone() });
                }
                if outcome.is_err() && state.is_closed {
                    next.push(after.clone());
                }
                after.refused[party] = true;
                self.may_refuse(state, party, n)
            }
            (Call::Acquire(..) | Call::Cancelled(_), 1) => {
                if std::mem::take(&mut after.refused[party]) {
                    after.line.push(party);
                }
                true
            }
            (Call::Acquire(n, outcome), 2) => match (leave(&mut after), outcome) {
                (Some(place), Ok(())) => {
                    after.free = state.free.saturating_sub(n);
                    self.may_serve(state, place, n)
                }
                (Some(_), Err(_)) => state.is_closed,
                (None, _) => true,
            },
            (Call::Cancelled(n), 0) => {
                after.refused[party] = true;
                self.may_refuse(state, party, n)
            }
            (Call::Cancelled(n), 2) => {
                // Not served, or served.
                next.push(after.clone());
                let place = leave(&mut after).expect("it has joined the line");
                after.free = state.free.saturating_sub(n);
                self.may_serve(state, place, n)
            }
            (Call::Cancelled(n), 3) => {
                if leave(&mut after).is_none() {
                    after.free += n;
                }
                true
            }
            (Call::Release(n), 0) => {
                after.free += n;
                true
            }
            (Call::Available(n), _) => self.may_find(state, party, n, state.free),
            (Call::Add(n), 0) => {
                after.free += n;
                after.total += n;
                true
            }
            (Call::Forget(n, forgotten), _) => {
                after.free = state.free.saturating_sub(forgotten);
                after.total = state.total.saturating_sub(forgotten);
                self.may_find(state, party, forgotten, n.min(state.free))
            }
            (Call::Close(first), 0) => {
                after.is_closed = true;
                first != state.is_closed
            }
            (
                Call::Acquire(..)
                | Call::Cancelled(_)
                | Call::Release(_)
                | Call::Add(_)
                | Call::Close(_),
                _,
            ) => true,
        };
        if happens {
            next.push(after);
        }
    }

    fn may_end(&self, state: &State) -> bool {
        state.free == state.total && state.line.is_empty()
    }
}

/// The semaphore that is held against the model.
trait Subject: Sync {
    type Permit<'a>
    where
        Self: 'a;

    fn try_acquire(&self, n: usize) -> Result<Self::Permit<'_>, TryAcquireError>;
    fn acquire(&self, n: usize) -> Result<Self::Permit<'_>, AcquireError>;
    /// Begins to wait, and thinks better of it.
    fn begin(&self, n: usize) -> Option<Result<Self::Permit<'_>, AcquireError>>;
    fn release(&self, permit: Self::Permit<'_>);
    fn available(&self) -> usize;
    fn add(&self, n: usize);
    /// How many of them.
    fn forget(&self, n: usize) -> usize;
    fn close(&self) -> bool;
}

struct Real<P: Policy>(semaphore::Semaphore<P>);

impl<P: Policy + 'static> Subject for Real<P> {
    type Permit<'a> = SemaphorePermit<'a, P>;

    fn try_acquire(&self, n: usize) -> Result<SemaphorePermit<'_, P>, TryAcquireError> {
        self.0.try_acquire_many(n)
    }

    fn acquire(&self, n: usize) -> Result<SemaphorePermit<'_, P>, AcquireError> {
        block_on(self.0.acquire_many(n))
    }

    fn begin(&self, n: usize) -> Option<Result<SemaphorePermit<'_, P>, AcquireError>> {
        let mut future = pin!(self.0.acquire_many(n));
        for _ in 0..2 {
            if let Poll::Ready(got) = future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return Some(got);
            }
            now_and_then_yield();
        }
        None
    }

    fn release(&self, permit: SemaphorePermit<'_, P>) {
        // A guard, or a number without one.
        if permit.num_permits().is_multiple_of(2) {
            drop(permit);
        } else {
            let n = permit.num_permits();
            permit.forget();
            self.0.release(n).unwrap();
        }
    }

    fn available(&self) -> usize {
        self.0.available_permits()
    }

    fn add(&self, n: usize) {
        self.0.add_permits(n).unwrap();
    }

    fn forget(&self, n: usize) -> usize {
        self.0.forget_permits(n)
    }

    fn close(&self) -> bool {
        self.0.close()
    }
}

/// What a party does in one round. Who holds a permit does not wait, so that everybody comes to an end.
fn script<S: Subject>(
    subject: &S,
    permits: usize,
    calls: usize,
    closes: bool,
    tape: &mut Tape<'_, Call>,
) {
    let mut held: Vec<(usize, S::Permit<'_>)> = Vec::new();
    let mut added = 0;
    for nth in 0..calls {
        let n = tape.random(permits + 1);
        let mut got = None;
        match tape.random(11) {
            _ if closes && tape.party == 0 && nth == calls * 3 / 4 => {
                tape.call(|| Call::Close(subject.close()));
            }
            0 | 1 => {
                tape.call(|| {
                    let outcome = subject.try_acquire(n);
                    let call = Call::Try(n, outcome.as_ref().map(|_| ()).map_err(|&error| error));
                    got = outcome.ok();
                    call
                });
            }
            2 | 3 if held.is_empty() => {
                tape.call(|| {
                    let outcome = subject.acquire(n);
                    let call =
                        Call::Acquire(n, outcome.as_ref().map(|_| ()).map_err(|&error| error));
                    got = outcome.ok();
                    call
                });
            }
            4 => {
                tape.call(|| match subject.begin(n) {
                    None => Call::Cancelled(n),
                    Some(outcome) => {
                        let call =
                            Call::Acquire(n, outcome.as_ref().map(|_| ()).map_err(|&error| error));
                        got = outcome.ok();
                        call
                    }
                });
            }
            5 => {
                tape.call(|| Call::Available(subject.available()));
            }
            6 => {
                added += 1;
                tape.call(|| {
                    subject.add(1);
                    Call::Add(1)
                });
            }
            // Never more than were added, so that who waits for all there were at first will have them.
            7 if added > 0 => {
                tape.call(|| {
                    let forgotten = subject.forget(added);
                    let call = Call::Forget(added, forgotten);
                    added -= forgotten;
                    call
                });
            }
            _ if !held.is_empty() => {
                let (n, permit) = held.swap_remove(0);
                tape.call(|| {
                    subject.release(permit);
                    now_and_then_yield();
                    Call::Release(n)
                });
            }
            _ => now_and_then_yield(),
        }
        held.extend(got.map(|permit| (n, permit)));
    }
    for (n, permit) in held {
        tape.call(|| {
            subject.release(permit);
            Call::Release(n)
        });
    }
}

fn history<S: Subject>(
    make: impl Fn(usize) -> S,
    is_fair: bool,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> (Counter, Vec<Vec<Recorded<Call>>>) {
    let permits = [1, 2, 3, 5][round as usize % 4];
    let subject = make(permits);
    let closes = round.is_multiple_of(3);
    let chains = record(round, tally, |_| 0, |tape| script(&subject, permits, calls, closes, tape));
    (Counter { permits, is_fair }, chains)
}

fn real<P: Policy + 'static>(policy: P) -> impl Fn(usize) -> Real<P> {
    move |permits| Real(semaphore::Semaphore::with_policy(permits, policy, Slots::new()))
}

#[test]
fn recorded_histories_of_fair_semaphores_are_linearizable() {
    let tally = Tally::default();
    hold(share(1_000), |round| history(real(Fair), true, round, 40, &tally)).unwrap();
    hold(share(12), |round| history(real(Fair), true, round, 1_500, &tally)).unwrap();
    tally.tell("semaphore, fair");
}

#[test]
fn recorded_histories_of_greedy_semaphores_are_linearizable() {
    let tally = Tally::default();
    hold(share(1_000), |round| history(real(Greedy), false, round, 40, &tally)).unwrap();
    hold(share(12), |round| history(real(Greedy), false, round, 1_500, &tally)).unwrap();
    tally.tell("semaphore, greedy");
}

/// The semaphore with a bug.
struct Planted {
    free: AtomicUsize,
    is_closed: AtomicBool,
    bug: Bug,
    turn: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Bug {
    /// Looks and takes in two steps, so that two can take the same permit.
    OverAdmits,
    /// Gives back one less, sometimes.
    Loses,
    /// Refuses what is free.
    RefusesAtRest,
    /// Admits one after it was closed.
    AdmitsWhenClosed,
    /// Says that one more is free, sometimes.
    Miscounts,
    /// Takes more out of circulation than it says, sometimes.
    ForgetsTwice,
}

impl Planted {
    fn new(permits: usize, bug: Bug) -> Self {
        let (free, turn) = (AtomicUsize::new(permits), AtomicUsize::new(0));
        Self { free, is_closed: AtomicBool::new(false), bug, turn }
    }

    fn is_its_turn(&self) -> bool {
        self.turn.fetch_add(1, SeqCst) % 5 == 4
    }
}

impl Subject for Planted {
    type Permit<'a> = usize;

    fn try_acquire(&self, n: usize) -> Result<usize, TryAcquireError> {
        if self.is_closed.load(SeqCst) {
            let admits = matches!(self.bug, Bug::AdmitsWhenClosed) && self.is_its_turn();
            return if admits && n == 0 { Ok(0) } else { Err(TryAcquireError::Closed) };
        }
        if n > 0 && matches!(self.bug, Bug::RefusesAtRest) && self.is_its_turn() {
            return Err(TryAcquireError::NoPermits);
        }
        if matches!(self.bug, Bug::OverAdmits) && self.free.load(SeqCst) >= n {
            std::thread::yield_now();
            self.free.fetch_sub(n, SeqCst);
            return Ok(n);
        }
        let take = self.free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(n));
        take.map(|_| n).map_err(|_| TryAcquireError::NoPermits)
    }

    fn acquire(&self, n: usize) -> Result<usize, AcquireError> {
        /// So often nobody looks in vain, unless what it waits for is lost.
        const LOST: usize = 10_000;
        for _ in 0..LOST {
            match self.try_acquire(n) {
                Ok(n) => return Ok(n),
                Err(TryAcquireError::Closed) => return Err(AcquireError::Closed),
                Err(TryAcquireError::NoPermits) => std::thread::yield_now(),
            }
        }
        self.is_closed.store(true, SeqCst);
        Err(AcquireError::Closed)
    }

    fn begin(&self, n: usize) -> Option<Result<usize, AcquireError>> {
        match self.try_acquire(n) {
            Ok(n) => Some(Ok(n)),
            Err(TryAcquireError::Closed) => Some(Err(AcquireError::Closed)),
            Err(TryAcquireError::NoPermits) => None,
        }
    }

    fn release(&self, permit: usize) {
        let less = usize::from(matches!(self.bug, Bug::Loses) && permit > 0 && self.is_its_turn());
        self.free.fetch_add(permit - less, SeqCst);
    }

    fn available(&self) -> usize {
        let more = usize::from(matches!(self.bug, Bug::Miscounts) && self.is_its_turn());
        self.free.load(SeqCst) + more
    }

    fn add(&self, n: usize) {
        self.free.fetch_add(n, SeqCst);
    }

    fn forget(&self, n: usize) -> usize {
        let one_too_many = usize::from(matches!(self.bug, Bug::ForgetsTwice) && self.is_its_turn());
        let taken = |free: usize| Some(free.saturating_sub(n + one_too_many));
        n.min(self.free.fetch_update(SeqCst, SeqCst, taken).unwrap_or_default())
    }

    fn close(&self) -> bool {
        !self.is_closed.swap(true, SeqCst)
    }
}

fn is_found_out(bug: Bug) {
    let planted = |permits| Planted::new(permits, bug);
    let tally = Tally::default();
    let complaint = hold(200, |round| history(planted, false, round, 40, &tally)).unwrap_err();
    assert!(complaint.contains("no sequential order"), "{complaint}");
}

#[test]
fn a_semaphore_that_admits_too_many_is_found_out() {
    is_found_out(Bug::OverAdmits);
}

#[test]
fn a_semaphore_that_loses_permits_is_found_out() {
    is_found_out(Bug::Loses);
}

#[test]
fn a_semaphore_that_refuses_at_rest_is_found_out() {
    is_found_out(Bug::RefusesAtRest);
}

#[test]
fn a_semaphore_that_admits_when_it_is_closed_is_found_out() {
    is_found_out(Bug::AdmitsWhenClosed);
}

#[test]
fn a_semaphore_that_miscounts_what_is_free_is_found_out() {
    is_found_out(Bug::Miscounts);
}

#[test]
fn a_semaphore_that_forgets_more_than_it_says_is_found_out() {
    is_found_out(Bug::ForgetsTwice);
}

/// As one history of a semaphore with so many permits: per party, calls with beginning and end.
fn by_hand(permits: usize, is_fair: bool, chains: &[&[(Call, u64, u64)]]) -> Result<(), String> {
    let recorded = |&(call, began, ended): &_| Recorded { call, began, ended, around: 0 };
    let chains: Vec<Vec<_>> =
        chains.iter().map(|chain| chain.iter().map(recorded).collect()).collect();
    explain(&Counter { permits, is_fair }, &chains)
}

#[test]
fn histories_written_by_hand_are_judged_as_in_the_textbook() {
    use Call::{Acquire, Available, Cancelled, Close, Release, Try};
    const NO: Result<(), TryAcquireError> = Err(TryAcquireError::NoPermits);
    // One permit, two who try.
    let first: &[_] = &[(Try(1, Ok(())), 0, 1), (Release(1), 6, 7)];
    by_hand(1, true, &[first, &[(Try(1, NO), 2, 3)]]).unwrap();
    by_hand(1, true, &[first, &[(Try(1, Ok(())), 2, 3), (Release(1), 4, 5)]]).unwrap_err();
    // Refused at rest; refused while the release is under way.
    by_hand(1, true, &[first, &[(Try(1, NO), 8, 9)]]).unwrap_err();
    let slow: &[_] = &[(Try(1, Ok(())), 0, 1), (Release(1), 2, 9)];
    let seen: &[_] = &[(Try(1, Ok(())), 3, 4), (Release(1), 5, 6), (Try(1, NO), 7, 8)];
    by_hand(1, true, &[slow, seen]).unwrap();
    // A request for two waits behind one permit; under `Fair` nobody passes it.
    let waits: &[_] = &[(Acquire(2, Ok(())), 3, 20), (Release(2), 21, 22)];
    let holds: &[_] = &[(Try(1, Ok(())), 0, 1), (Release(1), 10, 11)];
    let looks = |outcome| [(Try(1, outcome), 5, 6)];
    by_hand(2, true, &[holds, waits, &looks(NO)]).unwrap();
    by_hand(2, true, &[holds, &[(Acquire(2, Ok(())), 3, 4)]]).unwrap_err();
    // First come, first served.
    let first: &[_] = &[(Acquire(1, Ok(())), 2, 20), (Release(1), 21, 22)];
    let second: &[_] = &[(Cancelled(1), 3, 4), (Acquire(1, Ok(())), 5, 12), (Release(1), 13, 14)];
    by_hand(1, false, &[&[(Try(1, Ok(())), 0, 1), (Release(1), 10, 11)], first, second]).unwrap();
    // Whoever comes after one was refused, and before it stands in line, passes nobody; whoever comes later is refused, also
    // while it has not been served.
    let holds: &[_] = &[(Try(2, Ok(())), 0, 1), (Release(2), 5, 6)];
    let waits: &[_] = &[(Acquire(2, Ok(())), 2, 20), (Release(2), 21, 22)];
    let comes: &[_] = &[(Try(1, Ok(())), 7, 8), (Try(1, NO), 9, 10), (Release(1), 23, 24)];
    by_hand(3, true, &[holds, waits, comes, &[(Available(2), 11, 12)]]).unwrap();
    // What is lost is missed; what is closed admits nobody, and only one was the first to close it.
    by_hand(1, true, &[&[(Try(1, Ok(())), 0, 1)]]).unwrap_err();
    let closed = |outcome| [(Close(true), 0, 1), (Try(0, outcome), 2, 3)];
    by_hand(1, true, &[&closed(Err(TryAcquireError::Closed))]).unwrap();
    by_hand(1, true, &[&closed(Ok(()))]).unwrap_err();
    by_hand(1, true, &[&[(Close(true), 0, 1)], &[(Close(true), 0, 1)]]).unwrap_err();
    by_hand(1, true, &[&[(Close(true), 0, 9)], &[(Acquire(1, Err(AcquireError::Closed)), 0, 1)]])
        .unwrap();
    by_hand(1, true, &[&[(Close(true), 2, 3)], &[(Acquire(1, Err(AcquireError::Closed)), 0, 1)]])
        .unwrap_err();
}
