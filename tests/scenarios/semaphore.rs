//! Lists C and R, where they are about semaphores: permits that are lost, doubled, or lie beside a sleeper.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Poll, Waker};

use aqueduct::park::block_on;
use aqueduct_core::semaphore::{
    Acquire, AcquireError, AcquireOwned, Fair, Greedy, MAX_PERMITS, OverRelease,
    OwnedSemaphorePermit, Policy, Semaphore, SemaphorePermit, TooManyPermits, TryAcquireError,
};
use aqueduct_core::wait::{Growable, Slots, Storage};

use crate::support::{Counter, alone, poll, resident};

fn growable<P: Policy>(permits: usize, policy: P) -> Semaphore<P, Growable> {
    Semaphore::with_policy(permits, policy, Growable::new())
}

/// Polls for the first time: it has to wait.
macro_rules! waits {
    ($future:expr) => {
        assert!(poll(&mut $future, Waker::noop()).is_pending())
    };
}

/// Polls: it has what it asked for.
macro_rules! has {
    ($future:expr) => {
        match poll(&mut $future, Waker::noop()) {
            Poll::Ready(Ok(permit)) => permit,
            other => panic!("{other:?}"),
        }
    };
}

/// C27: a semaphore has no payload, so it, its requests and its permits go anywhere.
#[test]
fn c27_permits_and_requests_cross_threads() {
    fn may_cross<T: Send + Sync + Unpin>() {}
    may_cross::<Semaphore<Greedy, Growable>>();
    may_cross::<Acquire<'_, Fair, Slots<2>>>();
    may_cross::<AcquireOwned>();
    may_cross::<SemaphorePermit<'_>>();
    may_cross::<OwnedSemaphorePermit>();
}

/// C44: the head waits for three, two are free, the next wants one: when the head goes, the next is woken.
#[test]
fn c44_a_cancelled_head_lets_the_next_through() {
    let semaphore = Semaphore::new(2);
    let (counter, waker) = Counter::new();
    let (mut head, mut next) = (semaphore.acquire_many(3), semaphore.acquire());
    waits!(head);
    assert!(poll(&mut next, &waker).is_pending());
    drop(head);
    assert_eq!(counter.wakes(), 1);
    drop(has!(next));
    assert_eq!(semaphore.available_permits(), 2);
}

/// C45: what the first in line leaves goes to the second at once.
#[test]
fn c45_what_the_first_leaves_wakes_the_second() {
    fn check<P: Policy>(policy: P) {
        let semaphore = growable(0, policy);
        let (counter, waker) = Counter::new();
        let (mut first, mut second) = (semaphore.acquire(), semaphore.acquire());
        waits!(first);
        assert!(poll(&mut second, &waker).is_pending());
        semaphore.add_permits(2).unwrap();
        let first = has!(first);
        assert_eq!(counter.wakes(), 1);
        drop((first, has!(second)));
        assert_eq!(semaphore.available_permits(), 2);
    }
    check(Fair);
    check(Greedy);
}

/// C46: whatever is done to the number of permits after the close, it stays closed.
#[test]
fn c46_nothing_reopens_a_closed_semaphore() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.try_acquire().unwrap();
    semaphore.close();
    assert_eq!(semaphore.forget_permits(9), 2);
    semaphore.add_permits(5).unwrap();
    semaphore.resize(0).unwrap();
    drop(held);
    semaphore.resize(4).unwrap();
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    let told = poll(&mut semaphore.acquire(), Waker::noop());
    assert!(matches!(told, Poll::Ready(Err(AcquireError::Closed))));
}

/// C47, R58: requests are cancelled while permits are on their way to them, by real threads (and by loom,
/// `tests/loom/semaphore.rs`): all permits are there in the end.
#[test]
fn c47_cancelling_against_releasing_loses_no_permit() {
    fn check<P: Policy>(policy: P) {
        const PERMITS: usize = 3;
        let semaphore = growable(PERMITS, policy);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let semaphore = &semaphore;
                scope.spawn(move || {
                    for turn in 0..5_000 {
                        let n = (thread + turn) % PERMITS + 1;
                        let mut request = semaphore.acquire_many(n);
                        // Served at once, or dropped: waiting, or served meanwhile.
                        let _ = poll(&mut request, Waker::noop());
                    }
                });
            }
        });
        assert_eq!(semaphore.available_permits(), PERMITS);
    }
    check(Fair);
    check(Greedy);
}

/// C48, R57: more than there can be, and more than are in use, is refused before anything changes.
#[test]
fn c48_overflow_and_over_release_change_nothing() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    for too_many in [MAX_PERMITS - 1, MAX_PERMITS, MAX_PERMITS + 1, usize::MAX] {
        assert_eq!(semaphore.add_permits(too_many), Err(TooManyPermits));
    }
    for too_many in [2, 3, MAX_PERMITS, usize::MAX] {
        assert_eq!(semaphore.release(too_many), Err(OverRelease));
    }
    assert_eq!(semaphore.available_permits(), 1);
    drop(held);
    assert_eq!(semaphore.available_permits(), 2);
    assert!(semaphore.try_acquire_many(2).is_ok());
}

/// C49: an owned request sleeps: it is polled once, and once more when it has been served.
#[test]
fn c49_an_owned_request_does_not_poll_itself() {
    let semaphore = Arc::new(Semaphore::new(1));
    let held = semaphore.clone().try_acquire_owned().unwrap();
    let (counter, waker) = Counter::new();
    let mut request = semaphore.clone().acquire_owned();
    assert!(poll(&mut request, &waker).is_pending());
    assert_eq!((counter.wakes(), semaphore.self_wakes()), (0, 0));
    drop(held);
    assert_eq!(counter.wakes(), 1);
    drop(has!(request));
}

/// C50, R59: a weight is a `usize`, so none is negative; zero never waits, and one beyond all bounds is an error.
#[test]
fn c50_weights_of_zero_and_beyond_all_bounds() {
    let gate = Semaphore::new(0);
    let mut waiting = gate.acquire();
    waits!(waiting);
    assert_eq!(has!(gate.acquire_many(0)).num_permits(), 0);
    assert!(gate.try_acquire_many(0).is_ok());
    for n in [MAX_PERMITS + 1, usize::MAX / 2, usize::MAX] {
        assert_eq!(gate.try_acquire_many(n).unwrap_err(), TryAcquireError::NoPermits);
        let asked = poll(&mut gate.acquire_many(n), Waker::noop());
        assert!(matches!(asked, Poll::Ready(Err(AcquireError::TooMany))));
    }
    gate.add_permits(1).unwrap();
    drop(has!(waiting));
}

/// C51: releases of one, one after the other, add up to what one request waits for.
#[test]
fn c51_single_releases_wake_a_request_for_many() {
    fn check<P: Policy>(policy: P) {
        const MANY: usize = 5;
        let semaphore = growable(MANY, policy);
        let mut held = semaphore.try_acquire_many(MANY).unwrap();
        std::thread::scope(|scope| {
            let many =
                scope.spawn(|| block_on(semaphore.acquire_many(MANY)).unwrap().num_permits());
            while let Some(one) = held.split(1) {
                drop(one);
            }
            assert_eq!(many.join().unwrap(), MANY);
        });
    }
    check(Fair);
    check(Greedy);
}

/// C52: a release that finds permits there already wakes a second sleeper all the same.
#[test]
fn c52_a_release_beside_free_permits_wakes_a_second() {
    let semaphore = Semaphore::with_policy(0, Greedy, Slots::<4>::new());
    let wakers = [Counter::new(), Counter::new()];
    let mut requests = [semaphore.acquire(), semaphore.acquire()];
    for (request, (_, waker)) in requests.iter_mut().zip(&wakers) {
        assert!(poll(request, waker).is_pending());
    }
    semaphore.add_permits(1).unwrap();
    // The first is on its way, and has not taken the permit.
    semaphore.add_permits(1).unwrap();
    let [mut first, mut second] = requests;
    let first = has!(first);
    assert_eq!(wakers.each_ref().map(|(counter, _)| counter.wakes()), [1, 1]);
    drop((first, has!(second)));
}

/// C53: two requests of one task, the first of which was served and is not polled: the second has its turn
/// when the first is dropped.
#[test]
fn c53_two_requests_of_one_task() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let (mut first, mut second) = (semaphore.acquire(), semaphore.acquire());
    waits!(first);
    waits!(second);
    drop(held);
    waits!(second);
    drop(first);
    drop(has!(second));
}

/// C53b: a request that waits is moved, and dropped; a release then touches no memory of its own.
#[test]
fn c53b_a_waiting_request_may_move_and_go() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    let mut boxed = Box::new(semaphore.acquire());
    waits!(boxed);
    let mut moved = *boxed;
    waits!(moved);
    let mut gone = Box::new(semaphore.acquire());
    waits!(gone);
    drop(gone);
    drop(held);
    drop(has!(moved));
    assert_eq!(semaphore.available_permits(), 1);
}

/// C54: polled and dropped in a loop: slots do not run out.
#[test]
fn c54_poll_and_drop_in_a_loop_leaves_no_slot_used() {
    let semaphore = Semaphore::with_policy(0, Fair, Slots::<1>::new());
    for _ in 0..10_000 {
        waits!(semaphore.acquire());
    }
    assert_eq!(semaphore.self_wakes(), 0);
}

/// R56: many threads, few permits, weights of one and two: never more inside than there are permits, and at rest all
/// of them are free.
#[test]
fn r56_at_rest_every_permit_is_free() {
    fn check<P: Policy>(policy: P) {
        const PERMITS: usize = 3;
        let semaphore = growable(PERMITS, policy);
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (semaphore, inside) = (&semaphore, &inside);
                scope.spawn(move || {
                    for turn in 0..500 {
                        let n = (thread + turn) % 2 + 1;
                        let permit = block_on(semaphore.acquire_many(n)).unwrap();
                        assert!(inside.fetch_add(n, SeqCst) + n <= PERMITS);
                        inside.fetch_sub(n, SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(semaphore.available_permits(), PERMITS);
        assert!(semaphore.try_acquire_many(PERMITS).is_ok());
    }
    check(Fair);
    check(Greedy);
}

/// R60: a million permits are handed over, to a line that never empties, and memory stays as it is.
#[test]
fn r60_a_million_hand_overs_keep_no_memory() {
    fn hand_over<W: Storage>(semaphore: &Semaphore<Fair, W>, times: usize) {
        let mut held = semaphore.try_acquire().unwrap();
        let mut next = semaphore.acquire();
        waits!(next);
        for _ in 0..times {
            let mut last = semaphore.acquire();
            waits!(last);
            drop(held);
            held = has!(next);
            next = last;
        }
    }
    alone("semaphore::r60_a_million_hand_overs_keep_no_memory", || {
        let semaphore = growable(1, Fair);
        hand_over(&semaphore, 1_000);
        let before = resident();
        hand_over(&semaphore, 1_000_000);
        if let (Some(before), Some(after)) = (before, resident()) {
            // One word kept per hand-over would be 8 MB.
            assert!(after < before + 2_000_000, "{before} bytes before, {after} after");
        }
    });
}

/// R80: what failed released nothing; and a request for more than can ever be is an error at once.
#[test]
fn r80_a_failed_request_gives_nothing_back() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.try_acquire().unwrap();
    assert!(semaphore.try_acquire().is_err());
    waits!(semaphore.acquire());
    assert!(poll(&mut semaphore.acquire_many(MAX_PERMITS + 1), Waker::noop()).is_ready());
    assert_eq!(semaphore.available_permits(), 0);
    semaphore.close();
    assert!(poll(&mut semaphore.acquire(), Waker::noop()).is_ready());
    drop(held);
    assert_eq!(semaphore.available_permits(), 1);
}
