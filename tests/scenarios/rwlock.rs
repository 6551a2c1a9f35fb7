//! What broke other read-write locks, one test per line of the list.
//!
//! Where the scenario is a race, the test here is the plain part of it, and the doc comment names the model or the checker
//! that covers the rest.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use aqueduct::park::block_on;
use aqueduct_core::rwlock::{
    Fair, Policy, RawRwLock, ReaderPriority, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
    WriterPriority,
};
use aqueduct_core::wait::Slots;

use crate::support::{Counter, Sleepers, poll};

/// Runs a test on a fresh lock under each policy.
fn each_policy(tests: [fn(); 3]) {
    for test in tests {
        test();
    }
}

macro_rules! on_each_policy {
    ($test:ident) => {
        each_policy([$test::<WriterPriority>, $test::<ReaderPriority>, $test::<Fair>])
    };
}

fn lock<P: Policy + Default>() -> RwLock<u32, P> {
    RwLock::with_policy(0, P::default(), Slots::new())
}

/// C41: a waker that comes back to the lock, while it is cloned, called or dropped, finds it usable.
/// (At every step: `interrupt/rwlock.rs`, whose handlers are such wakers as well.)
#[test]
fn a_waker_may_use_the_lock_that_wakes_it() {
    struct Meddler(&'static RwLock<u32>);

    impl Meddler {
        fn meddle(&self) {
            drop(self.0.try_read());
            drop(self.0.try_write());
            drop(self.0.try_upgradable_read());
            let mut write = self.0.write();
            drop(poll(&mut write, Waker::noop()));
        }
    }

    impl Wake for Meddler {
        fn wake(self: Arc<Self>) {
            self.meddle();
        }
    }

    impl Drop for Meddler {
        fn drop(&mut self) {
            self.meddle();
        }
    }

    static LOCK: RwLock<u32> = RwLock::new(0);
    for _ in 0..3 {
        let held = LOCK.try_write().unwrap();
        let mut read = LOCK.read();
        let mut write = LOCK.write();
        assert!(poll(&mut read, &Waker::from(Arc::new(Meddler(&LOCK)))).is_pending());
        assert!(poll(&mut write, &Waker::from(Arc::new(Meddler(&LOCK)))).is_pending());
        // The old waker is dropped by this poll.
        assert!(poll(&mut read, Waker::noop()).is_pending());
        drop(held);
        drop((read, write));
        assert!(LOCK.try_write().is_some());
    }
}

/// C55: an unlock takes off what the lock had put on, and nothing else.
/// (Beside others at every step: `interrupt/rwlock.rs`.)
#[test]
fn an_unlock_clears_only_its_own_bits() {
    fn test<P: Policy + Default>() {
        let lock = lock::<P>();
        let writer = lock.try_write().unwrap();
        let (counter, waker) = Counter::new();
        let mut first = lock.read();
        let mut second = lock.read();
        assert!(poll(&mut first, &waker).is_pending());
        assert!(poll(&mut second, &waker).is_pending());
        drop(writer);
        assert_eq!(counter.wakes(), 2, "the bit of those who wait was there still");
        assert!(poll(&mut first, &waker).is_ready());
        assert!(poll(&mut second, &waker).is_ready());
        assert!(lock.try_write().is_some());
    }
    on_each_policy!(test);
}

/// C56: what was written inside is seen by whoever comes in next, by an upgrade and a downgrade too. (With a data cell
/// of loom's: `loom/rwlock.rs`; the most readers there can be: the lock's own tests.)
#[test]
fn what_one_writes_the_next_one_reads() {
    fn test<P: Policy + Default>() {
        const ROUNDS: u32 = 2_000;
        let lock = lock::<P>();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let upgradable = block_on(lock.upgradable_read());
                        let before = *upgradable;
                        let mut writer = block_on(RwLockUpgradableReadGuard::upgrade(upgradable));
                        assert_eq!(*writer, before);
                        *writer += 1;
                        let reader = RwLockWriteGuard::downgrade(writer);
                        assert_eq!(*reader, before + 1);
                    }
                });
            }
        });
        assert_eq!(lock.into_inner(), 2 * ROUNDS);
    }
    on_each_policy!(test);
}

/// C57, R52: a writer that gives up, by a timeout for example, leaves nobody asleep behind it: not the reader that it held
/// back, not the next writer, not the one who upgrades. (In every interleaving: `loom/rwlock.rs`.)
#[test]
fn a_writer_that_gives_up_leaves_nobody_asleep() {
    fn test<P: Policy + Default>() {
        let lock = lock::<P>();
        let reader = lock.try_read().unwrap();
        let upgradable = lock.try_upgradable_read().unwrap();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
        let (upgraded, waker) = Counter::new();
        let mut first = lock.write();
        let mut second = lock.write();
        assert!(poll(&mut first, Waker::noop()).is_pending());
        assert!(poll(&mut upgrade, &waker).is_pending());
        let (written, waker) = Counter::new();
        assert!(poll(&mut second, &waker).is_pending());
        drop(first);
        drop(reader);
        assert_eq!((upgraded.wakes(), written.wakes()), (1, 0));
        let Poll::Ready(writer) = poll(&mut upgrade, Waker::noop()) else { panic!("asleep") };
        drop(writer);
        assert_eq!(written.wakes(), 1);
        assert!(poll(&mut second, Waker::noop()).is_ready());
    }
    on_each_policy!(test);
}

/// C58: an upgrade is atomic against writers in line, and two cannot be on their way at once. A mapped write guard has no
/// `downgrade`: parking_lot's was unsound.
#[test]
fn nobody_gets_between_an_upgradable_reader_and_its_upgrade() {
    fn test<P: Policy + Default>() {
        let lock = lock::<P>();
        let upgradable = lock.try_upgradable_read().unwrap();
        assert!(lock.try_upgradable_read().is_none());
        let mut write = lock.write();
        assert!(poll(&mut write, Waker::noop()).is_pending());
        let before = *upgradable;
        let Ok(mut writer) = RwLockUpgradableReadGuard::try_upgrade(upgradable) else {
            panic!("nobody else reads")
        };
        assert_eq!(*writer, before);
        *writer += 1;
        assert!(poll(&mut write, Waker::noop()).is_pending());
        drop(writer);
        let Poll::Ready(writer) = poll(&mut write, Waker::noop()) else { panic!("asleep") };
        assert_eq!(*writer, 1);
    }
    on_each_policy!(test);
}

/// C59: readers and a writer wait; the writer that is to be woken is not there any more. The readers are.
#[test]
fn a_writer_that_is_gone_is_not_woken_in_place_of_readers() {
    fn test<P: Policy + Default>() {
        let lock = lock::<P>();
        let held = lock.try_write().unwrap();
        let (counter, waker) = Counter::new();
        let mut read = lock.read();
        let mut write = lock.write();
        assert!(poll(&mut read, &waker).is_pending());
        assert!(poll(&mut write, Waker::noop()).is_pending());
        drop(write);
        drop(held);
        assert_eq!(counter.wakes(), 1);
        assert!(poll(&mut read, &waker).is_ready());
    }
    on_each_policy!(test);
}

/// C60 (rust-lang/rust#121949): five readers wait for a writer; all five get in together.
#[test]
fn all_readers_that_wait_get_in_together() {
    fn test<P: Policy + Default>() {
        let lock = lock::<P>();
        let writer = lock.try_write().unwrap();
        let together = std::sync::Barrier::new(5);
        let sleepers = Sleepers::default();
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..5)
                .map(|_| {
                    let (lock, together) = (&lock, &together);
                    scope.spawn(sleepers.call(move || {
                        let guard = block_on(lock.read());
                        // Passed by five who are inside at once, or by nobody.
                        together.wait();
                        *guard
                    }))
                })
                .collect();
            sleepers.until_asleep(5);
            drop(writer);
            for reader in readers {
                assert_eq!(reader.join().unwrap(), 0);
            }
        });
    }
    on_each_policy!(test);
}

/// C61: a guard that was leaked keeps the lock locked; who tries is refused, who waits can give up.
#[test]
fn a_leaked_guard_is_a_locked_lock_and_no_more() {
    fn test<P: Policy + Default>() {
        let mut lock = lock::<P>();
        std::mem::forget(lock.try_write());
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        assert!(poll(&mut lock.read(), Waker::noop()).is_pending());
        *lock.get_mut() += 1;
        assert_eq!(lock.into_inner(), 1);
    }
    on_each_policy!(test);
}

/// C62: reading again while a writer waits, or while writing: `try_` refuses and never hangs; where a policy would make it
/// wait for itself the module's documentation says so, and the raw lock has a call for it.
#[test]
fn asking_again_while_inside_is_refused_or_granted_but_never_hangs() {
    fn test<P: Policy + Default>() {
        let lock: RawRwLock<P, Slots<8>> = RawRwLock::default();
        assert!(lock.try_write());
        assert!(!lock.try_read() && !lock.try_read_recursive());
        // SAFETY: the writer is inside.
        unsafe { lock.unlock_write() };
        assert!(lock.try_read());
        let mut write = pin!(lock.write());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(write.as_mut().poll(&mut cx).is_pending());
        let again = lock.try_read();
        assert!(lock.try_read_recursive());
        for _ in 0..2 + usize::from(again) {
            // SAFETY: so many readers are inside.
            unsafe { lock.unlock_read() };
        }
        assert!(write.as_mut().poll(&mut cx).is_ready());
    }
    use std::future::Future;
    on_each_policy!(test);
}

/// C62: an upgradable reader who asks to read would wait for itself behind one who was overtaken so often that nobody may pass
/// it; `try_` refuses, and the recursive call comes in.
#[test]
fn who_is_inside_asks_again_in_vain_while_one_that_lost_often_waits() {
    let lock: RawRwLock = RawRwLock::new();
    let mut overtaken = pin!(lock.upgradable_read());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(lock.try_upgradable_read());
    for _ in 0..WriterPriority::PATIENCE {
        assert!(overtaken.as_mut().poll(&mut cx).is_pending());
        // Whoever waits is woken, and somebody else is faster.
        // SAFETY: we are the upgradable reader.
        unsafe { lock.unlock_upgradable() };
        assert!(lock.try_upgradable_read());
        assert!(lock.try_read(), "it has not lost yet");
        // SAFETY: we are a reader, too.
        unsafe { lock.unlock_read() };
    }
    assert!(overtaken.as_mut().poll(&mut cx).is_pending());
    assert!(!lock.try_read() && lock.try_read_recursive());
    // SAFETY: we are a reader, too.
    unsafe { lock.unlock_read() };
    // SAFETY: we are the upgradable reader.
    unsafe { lock.unlock_upgradable() };
    assert!(!lock.try_upgradable_read(), "handed over");
    assert!(overtaken.as_mut().poll(&mut cx).is_ready());
}

/// R53: the three policies are three. (Their bounds among threads: `stress/rwlock.rs`.)
#[test]
fn the_policies_differ() {
    fn order<P: Policy + Default>() -> (bool, bool) {
        let lock = lock::<P>();
        let reader = lock.try_read().unwrap();
        let mut write = lock.write();
        assert!(poll(&mut write, Waker::noop()).is_pending());
        let passes = lock.try_read().is_some();
        drop(write);
        drop(reader);
        let writer = lock.try_write().unwrap();
        let (mut write, mut read) = (lock.write(), lock.read());
        assert!(poll(&mut write, Waker::noop()).is_pending());
        assert!(poll(&mut read, Waker::noop()).is_pending());
        drop(writer);
        (passes, poll(&mut read, Waker::noop()).is_ready())
    }
    // Does a reader pass a writer that waits? After a writer, does the reader come in first?
    assert_eq!(order::<WriterPriority>(), (false, false));
    assert_eq!(order::<ReaderPriority>(), (true, true));
    assert_eq!(order::<Fair>(), (false, true));
}

/// R54, R55: guards make it impossible to leave a lock twice, or one that nobody holds; the raw lock is `unsafe`, and says
/// so in debug builds, before anything is harmed.
#[test]
#[cfg(debug_assertions)]
fn leaving_what_nobody_holds_is_refused() {
    let lock = RawRwLock::new();
    for leave in [RawRwLock::unlock_read, RawRwLock::unlock_write, RawRwLock::unlock_upgradable] {
        // SAFETY: none: that is what is tested, and the assertion comes before the harm.
        let leave = std::panic::AssertUnwindSafe(|| unsafe { leave(&lock) });
        assert!(std::panic::catch_unwind(leave).is_err());
        assert!(!lock.is_locked());
    }
}

/// Users of `lock_api` and bare threads with one kind of lock: that crate's guards over ours.
#[test]
fn the_guards_of_lock_api_work_over_it() {
    static TABLE: lock_api::RwLock<RawRwLock, Vec<u32>> =
        lock_api::RwLock::const_new(RawRwLock::new(), Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            scope.spawn(move || {
                for n in 0..100 {
                    let table = TABLE.upgradable_read();
                    if table.contains(&n) {
                        // Who kept it and asked to read would wait for itself behind one that was overtaken often.
                        drop(table);
                    } else {
                        lock_api::RwLockUpgradableReadGuard::upgrade(table).push(n);
                    }
                    let item = lock_api::RwLockReadGuard::map(TABLE.read(), |table| &table[0]);
                    assert_eq!(*item, 0, "thread {thread}");
                }
            });
        }
    });
    let table = lock_api::RwLockWriteGuard::downgrade(TABLE.write());
    let again = TABLE.read_recursive();
    assert_eq!((table.len(), again.len()), (100, 100));
    assert!(TABLE.is_locked() && !TABLE.is_locked_exclusive());
}
