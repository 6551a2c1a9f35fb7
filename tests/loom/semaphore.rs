//! The semaphore: releasing against registering, grants against cancellation, and what a permit orders.

use aqueduct_core::semaphore::{AcquireError, Fair, Greedy, Policy, Semaphore};
use aqueduct_core::wait::Slots;
use loom::cell::UnsafeCell;
use loom::thread;

use crate::support::{block_on, look, model};
use std::task::Poll;

/// A semaphore, and something that only whoever has its only permit may touch; loom tells if that is not ordered.
struct Guarded<P: Policy> {
    semaphore: Semaphore<P, Slots<2>>,
    count: UnsafeCell<u32>,
}

// SAFETY: loom checks every access to `count`.
unsafe impl<P: Policy> Sync for Guarded<P> {}

impl<P: Policy> Guarded<P> {
    fn new(policy: P, permits: usize) -> Self {
        Self {
            semaphore: Semaphore::with_policy(permits, policy, Slots::new()),
            count: UnsafeCell::new(0),
        }
    }

    fn touch(&self) {
        // SAFETY: the caller has the only permit; loom checks it.
        self.count.with_mut(|count| unsafe { *count += 1 });
    }

    fn touched(&self) -> u32 {
        // SAFETY: as in `touch`.
        self.count.with(|count| unsafe { *count })
    }
}

fn two_take_turns<P: Policy + 'static>(name: &str, policy: P) {
    let expected = ["one slept", "two slept", "one did not sleep"];
    model(
        name,
        &expected,
        move || Guarded::new(policy, 1),
        |guarded, seen| {
            let parties = ["one", "two"].map(|who| {
                let seen = seen.clone();
                thread::spawn(move || {
                    let permit = block_on(guarded.semaphore.acquire(), &seen, who).unwrap();
                    guarded.touch();
                    drop(permit);
                })
            });
            for party in parties {
                party.join().unwrap();
            }
            assert_eq!((guarded.touched(), guarded.semaphore.available_permits()), (2, 1));
        },
    );
}

/// permits:put and its kick against kick:post of a registration; permits:put / permits:take for the data.
#[test]
fn a_release_meets_a_registration_under_fair() {
    two_take_turns("semaphore: fair, two take turns", Fair);
}

#[test]
fn a_release_meets_a_registration_under_greedy() {
    two_take_turns("semaphore: greedy, two take turns", Greedy);
}

fn cancelled<P: Policy + 'static>(name: &str, policy: P) {
    model(
        name,
        &[],
        move || Guarded::new(policy, 1),
        |guarded, _| {
            let held = guarded.semaphore.try_acquire().unwrap();
            let [mut early, mut late] = [(); 2].map(|()| guarded.semaphore.acquire());
            assert!(look(&mut early).is_pending());
            assert!(look(&mut late).is_pending());
            let holder = thread::spawn(move || {
                guarded.touch();
                drop(held);
            });
            let canceller = thread::spawn(move || drop(early));
            canceller.join().unwrap();
            holder.join().unwrap();
            let Poll::Ready(permit) = look(&mut late) else {
                panic!("the permit went to nobody");
            };
            guarded.touch();
            drop(permit);
            assert_eq!((guarded.touched(), guarded.semaphore.available_permits()), (2, 1));
        },
    );
}

/// A grant that meets a cancellation goes to the next.
#[test]
fn a_granted_waiter_is_cancelled_while_another_waits_under_fair() {
    cancelled("semaphore: fair, grant against cancel", Fair);
}

#[test]
fn a_woken_waiter_is_cancelled_while_another_waits_under_greedy() {
    cancelled("semaphore: greedy, wake-up against cancel", Greedy);
}

/// A request for two is served by two releases of one, whoever comes between.
#[test]
fn two_releases_meet_a_request_for_both() {
    let expected = ["waiter slept", "waiter did not sleep"];
    model(
        "semaphore: a request for many",
        &expected,
        || Guarded::new(Fair, 2),
        |guarded, seen| {
            let held = [(); 2].map(|()| guarded.semaphore.try_acquire().unwrap());
            let seen = seen.clone();
            let waiter = thread::spawn(move || {
                let permits = block_on(guarded.semaphore.acquire_many(2), &seen, "waiter").unwrap();
                assert_eq!(permits.num_permits(), 2);
                guarded.touch();
            });
            let holder = thread::spawn(move || held.map(drop));
            holder.join().unwrap();
            waiter.join().unwrap();
            assert_eq!(guarded.semaphore.available_permits(), 2);
        },
    );
}

#[test]
fn closing_meets_a_registration() {
    let expected = ["waiter slept", "waiter did not sleep"];
    model(
        "semaphore: close against wait",
        &expected,
        || Guarded::new(Fair, 0),
        |guarded, seen| {
            let seen = seen.clone();
            let waiter = thread::spawn(move || {
                block_on(guarded.semaphore.acquire(), &seen, "waiter").map(|_| ())
            });
            let closer = thread::spawn(move || guarded.semaphore.close());
            assert!(closer.join().unwrap());
            assert_eq!(waiter.join().unwrap(), Err(AcquireError::Closed));
        },
    );
}

/// Shrinking below what is left, while a permit comes back: what is owed is paid.
#[test]
fn a_release_meets_a_resize() {
    model(
        "semaphore: release against resize",
        &[],
        || Guarded::new(Fair, 2),
        |guarded, _| {
            let held = guarded.semaphore.try_acquire_many(2).unwrap();
            let holder = thread::spawn(move || drop(held));
            let resizer = thread::spawn(move || guarded.semaphore.resize(1).unwrap());
            holder.join().unwrap();
            resizer.join().unwrap();
            assert_eq!(guarded.semaphore.available_permits(), 1);
        },
    );
}

/// permits:lower, both sides: whoever sees the sum lowered sees the permits gone, and refuses no lawful release.
#[test]
fn a_release_while_permits_go() {
    for (name, go) in [
        (
            "semaphore: release against resize",
            (|it| it.semaphore.resize(2).unwrap()) as fn(&Guarded<Fair>),
        ),
        ("semaphore: release against forget", |it| assert!(it.semaphore.forget_permits(1) == 1)),
    ] {
        model(
            name,
            &["released"],
            || Guarded::new(Fair, 3),
            move |guarded, seen| {
                guarded.semaphore.try_acquire().unwrap().forget();
                let other = thread::spawn(move || go(guarded));
                assert_eq!(guarded.semaphore.release(1), Ok(()), "it was in use all the time");
                other.join().unwrap();
                assert_eq!(guarded.semaphore.available_permits(), 2);
                seen.record("released".to_owned());
            },
        );
    }
}

/// What a resize takes is off the word before its number is there: who makes it one again adds nothing that is still to go.
#[test]
fn permits_that_go_meet_permits_that_come() {
    model(
        "semaphore: resize against resize",
        &["none in use", "one in use", "none left", "one left"],
        || Guarded::new(Fair, 1),
        |guarded, seen| {
            let other = thread::spawn(move || guarded.semaphore.resize(0).unwrap());
            guarded.semaphore.resize(1).unwrap();
            let first = guarded.semaphore.try_acquire();
            let second = guarded.semaphore.try_acquire();
            assert!(first.is_err() || second.is_err(), "there was one at most");
            let count = if first.is_ok() || second.is_ok() { "one" } else { "none" };
            seen.record(format!("{count} in use"));
            other.join().unwrap();
            drop((first, second));
            let left = guarded.semaphore.available_permits();
            seen.record(format!("{} left", ["none", "one"][left]));
        },
    );
}
