//! The feature `deadlock-detection`: orders of taking locks that do not go together are found without a deadlock.
#![cfg(debug_assertions)]

use aqueduct::core::rwlock::ReaderPriority;
use aqueduct::park::block_on;
use aqueduct::sync::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
};
use aqueduct::thread::{self, Builder, catch};
use std::time::Duration;

/// The report, if `f` panics with one.
fn report(f: impl FnOnce()) -> Option<String> {
    let panicked = catch(f).err()?;
    assert!(panicked.message().contains("can deadlock"), "{}", panicked.message());
    Some(panicked.message().to_owned())
}

/// In a thread of its own, so that each scene begins with empty hands.
fn in_a_thread<R: Send>(name: &str, f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| {
        let thread = Builder::new().name(name).spawn_scoped(scope, f).unwrap();
        thread.join().unwrap()
    })
    .unwrap()
}

fn here(line: u32) -> String {
    format!("{}:{line}:", file!())
}

/// Two threads, two locks, two orders, and never at the same time: all four lines are named, and the threads.
#[test]
fn two_orders_are_reported_with_all_their_sites() {
    let (a, b) = (Mutex::new('a'), Mutex::new('b'));
    let first = in_a_thread("first", || {
        let _a = a.lock_blocking();
        let _b = b.lock_blocking();
        line!() - 2
    });
    let mut second = 0;
    let report = in_a_thread("second", || {
        report(|| {
            second = line!() + 1;
            let _b = b.lock_blocking();
            let _a = a.lock_blocking();
        })
    });
    let report = report.expect("it is found");
    for expected in [first, first + 1, second, second + 1].map(here) {
        assert!(report.contains(&expected), "{expected} is missing in: {report}");
    }
    assert!(report.contains("\"first\"") && report.contains("\"second\""), "{report}");
    // It was found before the call waited, and both are free.
    assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
}

/// As many threads as locks, each with two of them: the circle is closed by the last.
#[test]
fn a_circle_of_five_is_reported() {
    let locks: [Mutex<u8>; 5] = Default::default();
    let pair = |nth: usize| {
        let _one = locks[nth].lock_blocking();
        let _next = locks[(nth + 1) % 5].lock_blocking();
    };
    for nth in 0..4 {
        in_a_thread("philosopher", || assert_eq!(report(|| pair(nth)), None));
    }
    let report = in_a_thread("the fifth", || report(|| pair(4))).expect("it is found");
    assert_eq!(report.matches("holds one taken at").count(), 5, "{report}");
}

/// A thread that asks for what it holds.
#[test]
fn a_thread_that_waits_for_itself_is_reported() {
    let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
    let again = |ask: &dyn Fn()| assert!(report(ask).is_some());
    let guard = mutex.lock_blocking();
    again(&|| drop(mutex.lock_blocking()));
    drop(guard);
    let guard = MutexGuard::map(mutex.lock_blocking(), |value| value);
    again(&|| drop(mutex.lock_blocking()));
    drop(guard);
    let guard = lock.write_blocking();
    again(&|| drop(lock.read_blocking()));
    let guard = RwLockWriteGuard::downgrade(guard);
    // A writer that comes in between would make it one.
    again(&|| drop(lock.read_blocking()));
    again(&|| drop(lock.write_blocking()));
    drop(guard);
    let guard = lock.upgradable_read_blocking();
    again(&|| drop(lock.upgradable_read_blocking()));
    drop(RwLockUpgradableReadGuard::upgrade_blocking(guard));
    drop(lock.write_blocking());
}

/// Readers count, unless the policy lets readers pass; and then still where a writer is in the circle.
#[test]
fn readers_wait_for_each_other_where_writers_go_first() {
    fn read_both<P: aqueduct::core::rwlock::Policy>(one: &RwLock<u8, P>, two: &RwLock<u8, P>) {
        let _one = one.read_blocking();
        let _two = two.read_blocking();
    }
    let (a, b) = (RwLock::new(1), RwLock::new(1));
    assert_eq!(report(|| read_both(&a, &b)), None);
    assert!(report(|| read_both(&b, &a)).is_some());

    let passing = || RwLock::with_policy(1, ReaderPriority);
    let (a, b) = (passing(), passing());
    assert_eq!(report(|| read_both(&a, &b)), None);
    assert_eq!(report(|| read_both(&b, &a)), None);
    let reader = a.read_blocking();
    assert_eq!(report(|| drop(a.read_blocking())), None);
    drop(reader);
    // A guard counts as what it has become.
    let reader = RwLockWriteGuard::downgrade(a.write_blocking());
    assert_eq!(report(|| drop(a.read_blocking())), None);
    // Whoever reads `b` and asks to read `a` gets it, and lets this writer in.
    assert_eq!(report(|| drop(b.write_blocking())), None);
    drop(reader);
    let _writer = a.write_blocking();
    assert!(report(|| drop(b.write_blocking())).is_some());
}

/// An upgrade waits for readers, and so does a condition variable for its mutex.
#[test]
fn upgrades_and_condition_variables_ask_again() {
    let (lock, mutex) = (RwLock::new(1), Mutex::new(1));
    {
        let _read = lock.read_blocking();
        let _mutex = mutex.lock_blocking();
    }
    let asks = report(|| {
        let upgradable = lock.try_upgradable_read().unwrap();
        let _mutex = mutex.try_lock().unwrap();
        drop(RwLockUpgradableReadGuard::upgrade_blocking(upgradable));
    });
    assert!(asks.is_some());

    let (mutex, other) = (Mutex::new(1), Mutex::new(1));
    let asks = report(|| {
        let guard = mutex.lock_blocking();
        let _other = other.lock_blocking();
        drop(Condvar::new().wait_timeout(guard, Duration::ZERO));
    });
    assert!(asks.is_some(), "it has the other, and asks for the mutex");
}

/// One order, however often and in however many threads, is none; nor is what can give up, or was awaited.
#[test]
fn what_cannot_deadlock_is_not_reported() {
    let (a, b) = (Mutex::new(1), RwLock::new(1));
    thread::scope(|scope| {
        for _ in 0..3 {
            let in_order = || {
                for _ in 0..100 {
                    let _a = a.lock_blocking();
                    let _b = b.write_blocking();
                }
            };
            scope.spawn(in_order).unwrap();
        }
    })
    .unwrap();
    let b_held = b.write_blocking();
    assert!(a.try_lock().is_ok());
    assert!(a.lock_timeout(Duration::MAX).is_ok());
    assert!(a.lock_ctx(&aqueduct::Context::background()).is_ok());
    block_on(async { drop(a.lock().await) });
    drop(b_held);
    let awaited = block_on(b.write());
    drop(a.lock_blocking());
    drop(awaited);
    // But what was had by a `try_` is held.
    let tried = b.try_read().unwrap();
    assert!(report(|| drop(a.lock_blocking())).is_some());
    drop(tried);
}

/// A guard that is dropped in another thread is not held any more; a lock that is gone leaves no order behind.
#[test]
fn what_is_gone_does_not_count() {
    let (a, b) = (Mutex::new(1), Mutex::new(1));
    {
        let _a = a.lock_blocking();
        let _b = b.lock_blocking();
    }
    let b_guard = b.lock_blocking();
    in_a_thread("dropper", move || drop(b_guard));
    assert_eq!(report(|| drop(a.lock_blocking())), None);
    drop(a);
    let a = Mutex::new(1);
    let _b = b.lock_blocking();
    assert_eq!(report(|| drop(a.lock_blocking())), None);
}
