extern crate std;

use super::*;
use crate::testing::{Task, look, poll};
use crate::wait::Growable;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

macro_rules! ready {
    ($future:expr) => {
        match look(&mut $future) {
            Poll::Ready(output) => output.unwrap(),
            Poll::Pending => panic!("still pending"),
        }
    };
}

#[test]
fn a_permit_comes_back_when_its_guard_goes() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    assert_eq!(semaphore.available_permits(), 0);
    drop(permit);
    assert_eq!(semaphore.available_permits(), 1);
}

/// R56, C45
#[test]
fn a_permit_that_was_handed_over_is_not_taken_twice() {
    let semaphore = Semaphore::new(1);
    let first = semaphore.try_acquire().unwrap();
    let mut second = semaphore.acquire();
    assert!(look(&mut second).is_pending());
    drop(first);
    let second = ready!(second);
    assert_eq!(semaphore.available_permits(), 0);
    drop(second);
    assert_eq!(semaphore.available_permits(), 1);
    assert!(semaphore.try_acquire().is_ok());
}

#[test]
fn under_fair_nobody_passes_a_request_for_many() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.try_acquire_many(2).unwrap();
    let mut many = semaphore.acquire_many(3);
    assert!(look(&mut many).is_pending());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    let mut one = semaphore.acquire();
    assert!(look(&mut one).is_pending());
    drop(held);
    let many = ready!(many);
    assert!(look(&mut one).is_pending());
    drop(many);
    drop(ready!(one));
}

/// C44
#[test]
fn a_cancelled_head_lets_the_next_one_through_at_once() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.try_acquire().unwrap();
    let task = Task::new();
    let (mut head, mut next) = (semaphore.acquire_many(3), semaphore.acquire());
    assert!(look(&mut head).is_pending());
    assert!(poll(&task, &mut next).is_pending());
    drop(head);
    assert_eq!(task.wakes(), 1);
    drop(ready!(next));
    drop(held);
    assert_eq!(semaphore.available_permits(), 2);
}

/// C34, C47, C58
#[test]
fn a_request_that_is_dropped_after_it_was_granted_gives_all_of_it_back() {
    for n in [1, 3] {
        let semaphore = Semaphore::new(3);
        let held = semaphore.try_acquire_many(3).unwrap();
        let mut pending = semaphore.acquire_many(n);
        assert!(look(&mut pending).is_pending());
        drop(held);
        assert_eq!(semaphore.available_permits(), 3 - n);
        drop(pending);
        assert_eq!(semaphore.available_permits(), 3);
    }
}

/// C51
#[test]
fn releases_of_one_add_up_to_a_request_for_many() {
    let semaphore = Semaphore::new(0);
    let task = Task::new();
    let mut many = semaphore.acquire_many(3);
    assert!(poll(&task, &mut many).is_pending());
    for wakes in [0, 0, 1] {
        semaphore.add_permits(1).unwrap();
        assert_eq!(task.wakes(), wakes);
    }
    assert_eq!(ready!(many).num_permits(), 3);
}

/// C52
#[test]
fn a_release_wakes_a_second_waiter_though_permits_are_left_over() {
    let semaphore = Semaphore::new(0);
    let (one, two) = (Task::new(), Task::new());
    let (mut first, mut second) = (semaphore.acquire(), semaphore.acquire());
    assert!(poll(&one, &mut first).is_pending());
    assert!(poll(&two, &mut second).is_pending());
    semaphore.add_permits(3).unwrap();
    assert_eq!((one.wakes(), two.wakes()), (1, 1));
    assert_eq!(semaphore.available_permits(), 1);
}

/// R59, C50
#[test]
fn zero_permits_are_a_closed_gate_and_a_request_for_zero_passes_it() {
    let semaphore = Semaphore::new(0);
    drop(ready!(semaphore.acquire_many(0)));
    assert!(semaphore.try_acquire_many(0).is_ok());
    let mut waiting = semaphore.acquire();
    assert!(look(&mut waiting).is_pending());
    drop(ready!(semaphore.acquire_many(0)));
    semaphore.add_permits(1).unwrap();
    drop(ready!(waiting));
}

/// R57, R80, C48
#[test]
fn what_does_not_fit_is_refused_before_anything_changes() {
    let semaphore = Semaphore::new(2);
    assert_eq!(semaphore.release(1), Err(OverRelease));
    assert_eq!(semaphore.release(usize::MAX), Err(OverRelease));
    semaphore.try_acquire().unwrap().forget();
    assert_eq!(semaphore.release(2), Err(OverRelease));
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(semaphore.add_permits(MAX_PERMITS), Err(TooManyPermits));
    assert_eq!(semaphore.add_permits(usize::MAX), Err(TooManyPermits));
    assert_eq!(semaphore.resize(MAX_PERMITS + 1), Err(TooManyPermits));
    assert_eq!(semaphore.available_permits(), 2);
    let mut never = semaphore.acquire_many(MAX_PERMITS + 1);
    assert!(matches!(look(&mut never), Poll::Ready(Err(AcquireError::TooMany))));
    assert!(semaphore.try_acquire_many(usize::MAX).is_err());
    semaphore.add_permits(MAX_PERMITS - 2).unwrap();
    assert_eq!(semaphore.available_permits(), MAX_PERMITS);
}

/// C46
#[test]
fn closing_is_for_good_and_permits_still_come_back() {
    let semaphore = Semaphore::new(1);
    let permit = semaphore.try_acquire().unwrap();
    let task = Task::new();
    let mut waiting = semaphore.acquire();
    assert!(poll(&task, &mut waiting).is_pending());
    assert!(semaphore.close());
    assert!(!semaphore.close());
    assert_eq!(task.wakes(), 1);
    assert!(matches!(look(&mut waiting), Poll::Ready(Err(AcquireError::Closed))));
    drop(permit);
    assert_eq!(semaphore.forget_permits(1), 1);
    semaphore.add_permits(2).unwrap();
    semaphore.resize(1).unwrap();
    assert!(semaphore.is_closed());
    assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
    assert!(matches!(look(&mut semaphore.acquire()), Poll::Ready(Err(AcquireError::Closed))));
}

#[test]
fn a_grant_before_the_close_stays_a_grant() {
    let semaphore = Semaphore::new(0);
    let mut waiting = semaphore.acquire();
    assert!(look(&mut waiting).is_pending());
    semaphore.add_permits(1).unwrap();
    semaphore.close();
    drop(ready!(waiting));
}

#[test]
fn shrinking_takes_what_is_there_or_owes_the_rest() {
    let semaphore = Semaphore::new(4);
    let held: Vec<_> = (0..3).map(|_| semaphore.try_acquire().unwrap()).collect();
    assert_eq!(semaphore.forget_permits(9), 1);
    assert_eq!(semaphore.forget_permits(9), 0);
    // Three are in use; one shall be left.
    semaphore.resize(1).unwrap();
    let mut waiting = semaphore.acquire();
    for (index, permit) in held.into_iter().enumerate() {
        assert!(look(&mut waiting).is_pending(), "{index} given back");
        drop(permit);
    }
    drop(ready!(waiting));
    assert_eq!(semaphore.available_permits(), 1);
    semaphore.resize(3).unwrap();
    assert_eq!(semaphore.available_permits(), 3);
    // To owe and be forgiven.
    let held = semaphore.try_acquire_many(3).unwrap();
    semaphore.resize(0).unwrap();
    semaphore.resize(2).unwrap();
    drop(held);
    assert_eq!(semaphore.available_permits(), 2);
    assert_eq!(semaphore.release(1), Err(OverRelease));
}

/// Was refused once: more were in use than there should be, and only the latter counted.
#[test]
fn forgotten_permits_pay_a_debt_too() {
    let semaphore = Semaphore::new(3);
    semaphore.try_acquire_many(3).unwrap().forget();
    semaphore.resize(1).unwrap();
    assert_eq!(semaphore.release(4), Err(OverRelease));
    assert_eq!(semaphore.release(2), Ok(()));
    assert_eq!(semaphore.available_permits(), 0);
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(semaphore.available_permits(), 1);
    assert_eq!(semaphore.release(1), Err(OverRelease));
}

#[test]
fn guards_split_merge_and_forget() {
    let (semaphore, other) = (Semaphore::new(5), Semaphore::new(1));
    let mut permit = semaphore.try_acquire_many(5).unwrap();
    let mut two = permit.split(2).unwrap();
    assert!(permit.split(4).is_none());
    assert_eq!((permit.num_permits(), two.num_permits()), (3, 2));
    let stranger = other.try_acquire().unwrap();
    assert_eq!(two.merge(stranger).unwrap_err().num_permits(), 1);
    two.merge(permit).unwrap();
    assert_eq!((two.num_permits(), semaphore.available_permits()), (5, 0));
    drop(two.split(1).unwrap());
    two.forget();
    assert_eq!(semaphore.available_permits(), 1);
    semaphore.release(4).unwrap();
    assert_eq!((semaphore.available_permits(), other.available_permits()), (5, 1));
}

#[test]
fn owned_permits_keep_their_semaphore() {
    let semaphore = Arc::new(Semaphore::with_policy(2, Greedy, Growable::new()));
    let mut permit = semaphore.clone().try_acquire_many_owned(2).unwrap();
    let mut waiting = semaphore.clone().acquire_owned();
    assert!(look(&mut waiting).is_pending());
    drop(permit.split(1));
    let second = ready!(waiting);
    assert!(Arc::ptr_eq(second.semaphore(), permit.semaphore()));
    let weak = Arc::downgrade(&semaphore);
    drop((semaphore, second, waiting));
    assert!(weak.upgrade().is_some());
    drop(permit);
    assert!(weak.upgrade().is_none());
}

#[test]
fn under_greedy_the_woken_compete_and_are_handed_over_in_the_end() {
    let semaphore = Semaphore::with_policy(1, Greedy, Slots::<4>::new());
    let mut held = semaphore.try_acquire().unwrap();
    let task = Task::new();
    let mut waiting = semaphore.acquire();
    assert!(poll(&task, &mut waiting).is_pending());
    for lost in 1..=Greedy::PATIENCE {
        drop(held);
        assert_eq!(task.wakes(), lost);
        // Somebody else is faster.
        held = semaphore.try_acquire().unwrap();
        assert!(poll(&task, &mut waiting).is_pending());
    }
    drop(held);
    assert_eq!(semaphore.available_permits(), 0, "handed over");
    assert!(semaphore.try_acquire().is_err());
    drop(ready!(waiting));
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn under_greedy_one_is_woken_at_a_time_and_passes_it_on() {
    let semaphore = Semaphore::with_policy(2, Greedy, Slots::<4>::new());
    let held = semaphore.try_acquire_many(2).unwrap();
    let tasks: [_; 3] = core::array::from_fn(|_| Task::new());
    let mut waiting: [_; 3] = core::array::from_fn(|_| semaphore.acquire());
    for (task, waiting) in tasks.iter().zip(&mut waiting) {
        assert!(poll(task, waiting).is_pending());
    }
    let wakes = || [0, 1, 2].map(|n: usize| tasks[n].wakes());
    drop(held);
    assert_eq!(wakes(), [1, 0, 0]);
    let [mut a, b, mut c] = waiting;
    // The first takes one of two, and the second is woken for the other; it goes, and so on.
    let first = ready!(a);
    assert_eq!(wakes(), [1, 1, 0]);
    drop(b);
    assert_eq!(wakes(), [1, 1, 1]);
    drop((first, ready!(c)));
    assert_eq!(semaphore.available_permits(), 2);
}

/// Its permits were lost once: the waker ran between the decision and the guard.
#[test]
fn under_greedy_a_winner_whose_successor_panics_loses_no_permit() {
    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as planned");
        }
    }

    let semaphore = Semaphore::with_policy(0, Greedy, Slots::<4>::new());
    let (mut winner, mut next) = (semaphore.acquire_many(2), semaphore.acquire());
    assert!(look(&mut winner).is_pending());
    let panics = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&panics)).is_pending());
    semaphore.add_permits(3).unwrap();
    let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| look(&mut winner)));
    assert!(polled.is_err());
    assert_eq!(semaphore.available_permits(), 3);
    drop((ready!(winner), ready!(next)));
    assert_eq!(semaphore.available_permits(), 3);
}

/// C54
#[test]
fn poll_and_drop_in_a_loop_keeps_no_slot() {
    let semaphore = Semaphore::with_policy(0, Fair, Slots::<1>::new());
    for _ in 0..1000 {
        assert!(look(&mut semaphore.acquire()).is_pending());
    }
    assert_eq!(semaphore.self_wakes(), 0);
}
