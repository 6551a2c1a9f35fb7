//! The lock under the guards of `lock_api`, whose words count: what they believe of the lock must be so, whatever a
//! [`Relax`] or a waker does.

use super::*;
use lock_api::{RawRwLockRecursiveTimed, RawRwLockTimed, RawRwLockUpgradeTimed};
use std::panic::{AssertUnwindSafe, catch_unwind};

type Relaxed<R> = RawRwLock<WriterPriority, Slots<8>, R>;
type Upgradable<'a, R> = lock_api::RwLockUpgradableReadGuard<'a, Relaxed<R>, u32>;

/// Waits until the future is ready, and says that it was late.
struct SaysLate;

impl Relax for SaysLate {
    fn relax() {}
}

impl RelaxUntil for SaysLate {
    type Duration = ();
    type Instant = ();

    fn block_on_for<F: Future>(mut future: Pin<&mut F>, (): ()) -> Option<F::Output> {
        let mut cx = Context::from_waker(Waker::noop());
        while future.as_mut().poll(&mut cx).is_pending() {}
        None
    }

    fn block_on_until<F: Future>(future: Pin<&mut F>, (): ()) -> Option<F::Output> {
        Self::block_on_for(future, ())
    }
}

/// Waits until the future is ready, and panics.
struct Panics;

impl Relax for Panics {
    fn relax() {}

    fn block_on<F: Future>(future: F) -> F::Output {
        drop(crate::block_on(future, || ()));
        panic!("as planned");
    }
}

impl RelaxUntil for Panics {
    type Duration = ();
    type Instant = ();

    fn block_on_for<F: Future>(future: Pin<&mut F>, (): ()) -> Option<F::Output> {
        Self::block_on(future);
        None
    }

    fn block_on_until<F: Future>(future: Pin<&mut F>, (): ()) -> Option<F::Output> {
        Self::block_on(future);
        None
    }
}

/// Forgets the future that it waits for, and panics.
struct Forgets;

impl Relax for Forgets {
    fn relax() {}

    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = std::boxed::Box::pin(future);
        assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        core::mem::forget(future);
        panic!("as planned");
    }
}

/// It was an upgradable reader for the guard and a writer for the word, once; upgraded again, it left the lock free.
#[test]
fn an_upgrade_that_is_said_to_be_late_is_done_all_the_same() {
    let lock: lock_api::RwLock<Relaxed<SaysLate>, u32> = lock_api::RwLock::new(1);
    for upgrade in [Upgradable::try_upgrade_for as fn(_, ()) -> _, |guard, ()| {
        Upgradable::try_upgrade_until(guard, ())
    }] {
        match upgrade(lock.upgradable_read(), ()) {
            Ok(mut writer) => *writer += 1,
            Err(upgradable) => {
                core::mem::forget(upgradable);
                panic!("it was ready");
            }
        }
        assert!(!lock.is_locked());
    }
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn a_lock_that_is_said_to_be_late_is_held_all_the_same() {
    let raw = Relaxed::<SaysLate>::default();
    for read in [
        RawRwLockTimed::try_lock_shared_for as fn(&_, ()) -> _,
        RawRwLockTimed::try_lock_shared_until,
        RawRwLockRecursiveTimed::try_lock_shared_recursive_for,
        RawRwLockRecursiveTimed::try_lock_shared_recursive_until,
    ] {
        assert!(read(&raw, ()) && raw.is_locked());
        // SAFETY: it let us in as a reader.
        unsafe { raw.unlock_read() };
    }
    for write in [
        RawRwLockTimed::try_lock_exclusive_for as fn(&_, ()) -> _,
        RawRwLockTimed::try_lock_exclusive_until,
    ] {
        assert!(write(&raw, ()) && raw.is_locked_exclusive());
        // SAFETY: it let us in as the writer.
        unsafe { raw.unlock_write() };
    }
    for read in [
        RawRwLockUpgradeTimed::try_lock_upgradable_for as fn(&_, ()) -> _,
        RawRwLockUpgradeTimed::try_lock_upgradable_until,
    ] {
        assert!(read(&raw, ()) && !raw.try_upgradable_read());
        // SAFETY: it let us in as the upgradable reader.
        unsafe { raw.unlock_upgradable() };
    }
    assert!(!raw.is_locked());
}

/// The guard was dropped as an upgradable reader's, and the word said that it was the writer.
#[test]
fn a_wait_that_panics_after_it_was_ready_gives_back_what_it_got() {
    let lock: lock_api::RwLock<Relaxed<Panics>, u32> = lock_api::RwLock::new(1);
    let panicked = |call: &dyn Fn()| {
        assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
        assert!(!lock.is_locked());
        drop(lock.try_write().expect("nobody is inside"));
    };
    panicked(&|| drop(Upgradable::upgrade(lock.upgradable_read())));
    panicked(&|| drop(Upgradable::try_upgrade_for(lock.upgradable_read(), ()).map_err(drop)));
    panicked(&|| drop(lock.try_read_for(())));
    panicked(&|| drop(lock.try_write_for(())));
    panicked(&|| drop(lock.try_upgradable_read_for(())));
}

/// The same for one that forgets the future: the word said for ever that an upgrade was under way.
#[test]
fn an_upgrade_that_a_wait_forgets_is_given_up() {
    let lock: lock_api::RwLock<Relaxed<Forgets>, u32> = lock_api::RwLock::new(1);
    let reader = lock.read();
    let upgradable = lock.upgradable_read();
    assert!(catch_unwind(AssertUnwindSafe(|| drop(Upgradable::upgrade(upgradable)))).is_err());
    drop(lock.try_read().expect("nobody is about to write"));
    drop(reader);
    assert!(!lock.is_locked());
}
