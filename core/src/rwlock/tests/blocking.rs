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

/// Panics, at the latest when the future is ready.
struct Panics;

impl Relax for Panics {
    fn relax() {
        panic!("as planned");
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        drop(crate::block_on(future, Self::relax));
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

/// Panics where it is woken.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("as planned");
    }
}

/// Runs `call`, of the test called `name`, in a process of its own, and sees that a panic in it ends that process by the
/// word of the one who looks after it: not by one who noticed that the lock was spoilt, and not at all.
fn ends_the_program(name: &str, call: impl FnOnce()) {
    const ALONE: &str = "AQUEDUCT_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let _ = catch_unwind(AssertUnwindSafe(call));
        std::process::exit(0);
    }
    let output = std::process::Command::new(std::env::current_exe().expect("we run from a file"))
        .args([name, "--exact", "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it can be run again");
    let told = std::string::String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("as planned"), "{told}");
    assert!(
        !output.status.success() && told.contains("in the middle of a call of lock_api"),
        "{told}"
    );
}

/// The tests of what ends the program: each with a lock at hand.
macro_rules! ends_the_program {
    ($($name:ident($lock:ident: $relax:ty) $body:block)+) => {$(
        #[test]
        #[cfg_attr(miri, ignore = "it starts a process")]
        fn $name() {
            let name = concat!(module_path!(), "::", stringify!($name));
            // Without the name of the crate.
            let (_, name) = name.split_once("::").unwrap();
            ends_the_program(name, || {
                let $lock: lock_api::RwLock<Relaxed<$relax>, u32> = lock_api::RwLock::new(1);
                $body
            });
        }
    )+};
}

/// Stands in line, and panics where it is woken.
macro_rules! bomb {
    ($request:expr) => {{
        let mut request = $request;
        let waker = Waker::from(Arc::new(Bomb));
        assert!(Pin::new(&mut request).poll(&mut Context::from_waker(&waker)).is_pending());
        request
    }};
}

ends_the_program! {
    a_waker_that_panics_in_a_downgrade(lock: Spin) {
        let writer = lock.write();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.read());
        drop(lock_api::RwLockWriteGuard::downgrade(writer));
    }

    a_waker_that_panics_in_a_downgrade_to_upgradable(lock: Spin) {
        let writer = lock.write();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.read());
        drop(lock_api::RwLockWriteGuard::downgrade_to_upgradable(writer));
    }

    a_waker_that_panics_in_a_downgrade_of_an_upgradable_reader(lock: Spin) {
        let upgradable = lock.upgradable_read();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.upgradable_read());
        drop(Upgradable::downgrade(upgradable));
    }

    a_waker_that_panics_while_a_reader_is_unlocked(lock: Spin) {
        let mut reader = lock.read();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.write());
        lock_api::RwLockReadGuard::unlocked(&mut reader, || ());
    }

    a_waker_that_panics_while_a_writer_is_unlocked(lock: Spin) {
        let mut writer = lock.write();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.read());
        lock_api::RwLockWriteGuard::unlocked(&mut writer, || ());
    }

    a_waker_that_panics_while_an_upgradable_reader_is_unlocked(lock: Spin) {
        let mut upgradable = lock.upgradable_read();
        // SAFETY: nobody is unlocked by it.
        let _request = bomb!(unsafe { lock.raw() }.upgradable_read());
        Upgradable::unlocked(&mut upgradable, || ());
    }

    a_wait_that_panics_when_a_reader_comes_back(lock: Panics) {
        let mut reader = lock.read();
        lock_api::RwLockReadGuard::unlocked(&mut reader, || core::mem::forget(lock.write()));
    }

    a_wait_that_panics_when_a_writer_comes_back(lock: Panics) {
        let mut writer = lock.write();
        lock_api::RwLockWriteGuard::unlocked(&mut writer, || core::mem::forget(lock.write()));
    }

    a_wait_that_panics_when_an_upgradable_reader_comes_back(lock: Panics) {
        let mut upgradable = lock.upgradable_read();
        Upgradable::unlocked(&mut upgradable, || core::mem::forget(lock.write()));
    }
}
