//! Condition variables: no wake-up is lost between the look and the sleep, and none dies with a waiter that goes.

use crate::support::{Counter, poll};
use aqueduct::Context;
use aqueduct::sync::{Condvar, Mutex};
use aqueduct::thread;
use aqueduct_tests::share;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Longer than any load explains.
const FOR_EVER: Duration = Duration::from_secs(60);

/// What a waiter has to do with the state.
struct Shared {
    ready: Mutex<bool>,
    changed: Condvar,
}

/// A waker that does the other side's work at the very moment at which the waiter's mutex is unlocked.
struct AtTheUnlock {
    shared: Arc<Shared>,
    /// What it saw: whether the mutex was free.
    ran: StdMutex<Option<bool>>,
}

impl Wake for AtTheUnlock {
    fn wake(self: Arc<Self>) {
        let free = self.shared.ready.try_lock().map(|mut ready| *ready = true).is_ok();
        self.shared.changed.notify_one();
        *self.ran.lock().unwrap() = Some(free);
    }
}

/// C38, R52: The value changes, and the change is notified, as soon as the waiter has unlocked, and before it does anything else.
/// One that stands in line only after it has unlocked would sleep on.
#[test]
fn a_notification_right_after_the_unlock_is_not_lost() {
    let shared = Arc::new(Shared { ready: Mutex::new(false), changed: Condvar::new() });
    let other = Arc::new(AtTheUnlock { shared: Arc::clone(&shared), ran: StdMutex::new(None) });
    let (counter, waker) = Counter::new();

    let guard = shared.ready.try_lock().unwrap();
    assert!(!*guard, "the look");
    let mut lock = Box::pin(shared.ready.lock());
    assert!(poll(&mut lock, &Waker::from(Arc::clone(&other))).is_pending());
    let mut wait = Box::pin(shared.changed.wait_async(guard));
    let first = poll(&mut wait, &waker);
    assert_eq!(*other.ran.lock().unwrap(), Some(true), "the other side had its turn");
    drop((first, lock));
    assert_eq!(counter.wakes(), 1, "the waiter sleeps, and nobody will wake it");
    match poll(&mut wait, &waker) {
        std::task::Poll::Ready(ready) => assert!(*ready),
        std::task::Poll::Pending => panic!("the notification is lost"),
    }
}

/// R52: The same with threads: each waits for the other's turn, over and over. Lost once, it stands still.
#[test]
fn two_threads_take_turns() {
    let (turn, changed) = (Mutex::new(0_usize), Condvar::new());
    let rounds = share(20_000);
    thread::scope(|scope| {
        for me in [0, 1] {
            let (turn, changed) = (&turn, &changed);
            scope
                .spawn(move || {
                    for _ in 0..rounds {
                        let guard = turn.lock_blocking();
                        let (mut turn, result) =
                            changed.wait_timeout_while(guard, FOR_EVER, |turn| *turn % 2 != me);
                        assert!(!result.timed_out(), "stands still at {turn}");
                        *turn += 1;
                        drop(turn);
                        changed.notify_one();
                    }
                })
                .unwrap();
        }
    })
    .unwrap();
    assert_eq!(turn.into_inner(), 2 * rounds);
}

/// C34: A waiter that was notified and is dropped, in line or on its way to the mutex, passes the notification on.
#[test]
fn a_waiter_that_goes_passes_its_notification_on() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    let (counter, waker) = Counter::new();
    let waits = || {
        let mut wait = Box::pin(condvar.wait_async(mutex.try_lock().unwrap()));
        assert!(poll(&mut wait, Waker::noop()).is_pending());
        wait
    };
    // In line.
    let (first, mut second) = (waits(), Box::pin(condvar.wait_async(mutex.try_lock().unwrap())));
    assert!(poll(&mut second, &waker).is_pending());
    condvar.notify_one();
    assert_eq!(counter.wakes(), 0, "the first is meant");
    drop(first);
    assert_eq!(counter.wakes(), 1);
    assert!(poll(&mut second, &waker).is_ready());

    // On its way.
    let (mut first, mut second) = (waits(), waits());
    let held = mutex.try_lock().unwrap();
    condvar.notify_one();
    assert!(poll(&mut first, Waker::noop()).is_pending(), "notified, and waits for the mutex");
    assert!(poll(&mut second, &waker).is_pending());
    drop(first);
    assert_eq!(counter.wakes(), 2);
    drop(held);
    assert!(poll(&mut second, &waker).is_ready());

    // A notification that was used is not passed on.
    let (mut first, mut second) = (waits(), waits());
    condvar.notify_one();
    assert!(poll(&mut first, Waker::noop()).is_ready());
    drop(first);
    assert!(poll(&mut second, Waker::noop()).is_pending());
}

/// C33, R58: Impatient waiters time out, or are cancelled, just when they are notified, and go without a look. What was meant
/// for them reaches the patient one.
#[test]
fn a_waiter_that_times_out_steals_nothing() {
    const IMPATIENT: usize = 3;
    let rounds = share(2_000);
    let (jobs, added) = (Mutex::new(0_usize), Condvar::new());
    let done = AtomicUsize::new(0);
    let context = Context::background();
    thread::scope(|scope| {
        let (jobs, added, done, context) = (&jobs, &added, &done, &context);
        for nth in 0..IMPATIENT {
            let impatient = move || {
                while done.load(SeqCst) < rounds {
                    let guard = jobs.lock_blocking();
                    let limit = Duration::from_micros(nth as u64 * 15);
                    let (mut guard, notified) = if nth % 2 == 0 {
                        let (guard, result) = added.wait_timeout(guard, limit);
                        (guard, !result.timed_out())
                    } else {
                        let (guard, result) = added.wait_ctx(guard, &context.with_timeout(limit));
                        (guard, result.is_ok())
                    };
                    // Whoever was not notified does not look: the job was not meant for it.
                    if notified && *guard > 0 {
                        *guard -= 1;
                        done.fetch_add(1, SeqCst);
                    }
                }
            };
            scope.spawn(impatient).unwrap();
        }
        let patient = move || {
            while done.load(SeqCst) < rounds {
                let guard = jobs.lock_blocking();
                let (mut guard, result) = added.wait_timeout_while(guard, FOR_EVER, |jobs| {
                    *jobs == 0 && done.load(SeqCst) < rounds
                });
                assert!(!result.timed_out(), "a notification was stolen");
                if *guard > 0 {
                    *guard -= 1;
                    done.fetch_add(1, SeqCst);
                }
            }
        };
        let patient = scope.spawn(patient).unwrap();
        for round in 0..rounds {
            *jobs.lock_blocking() += 1;
            added.notify_one();
            // One at a time, so that a stolen one is missed.
            while done.load(SeqCst) <= round && !patient.is_finished() {
                std::thread::yield_now();
            }
        }
        added.notify_all();
        patient.join().unwrap();
    })
    .unwrap();
    assert_eq!(done.load(SeqCst), rounds);
}

/// C42: Nothing is stored for those who come later, and `notify_all` reaches everybody who is there.
#[test]
fn notifications_are_for_those_who_are_there() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    condvar.notify_one();
    condvar.notify_all();
    let (guard, result) = condvar.wait_timeout(mutex.lock_blocking(), Duration::from_micros(10));
    assert!(result.timed_out());
    drop(guard);

    let mut waits: Vec<_> = (0..20)
        .map(|_| {
            let mut wait = Box::pin(condvar.wait_async(mutex.try_lock().unwrap()));
            assert!(poll(&mut wait, Waker::noop()).is_pending());
            wait
        })
        .collect();
    condvar.notify_all();
    condvar.notify_one();
    let mut late = pin!(condvar.wait_async(mutex.try_lock().unwrap()));
    assert!(poll(&mut late, Waker::noop()).is_pending());
    for wait in &mut waits {
        // The guard is dropped at once, so that the next one finds the mutex free.
        assert!(poll(wait, Waker::noop()).is_ready());
    }
    assert!(poll(&mut late, Waker::noop()).is_pending(), "it came after both");
}

/// C41: A waker that is called by a notification uses the same condition variable and mutex.
#[test]
fn a_waker_may_come_back() {
    struct Again(Arc<Shared>, AtomicUsize);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, SeqCst);
            self.0.changed.notify_all();
            *self.0.ready.try_lock().unwrap() = true;
        }
    }
    let shared = Arc::new(Shared { ready: Mutex::new(false), changed: Condvar::new() });
    let again = Arc::new(Again(Arc::clone(&shared), AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&again));
    let mut wait = Box::pin(shared.changed.wait_async(shared.ready.try_lock().unwrap()));
    assert!(poll(&mut wait, &waker).is_pending());
    shared.changed.notify_one();
    assert_eq!(again.1.load(SeqCst), 1);
    assert!(matches!(poll(&mut wait, &waker), std::task::Poll::Ready(ready) if *ready));
}
