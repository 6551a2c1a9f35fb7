//! What the lock does, call by call, in one thread.

extern crate std;

use super::*;
use crate::testing::{Task, look, poll};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::format;
use std::string::ToString;
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

macro_rules! ready {
    ($future:expr) => {
        match look(&mut $future) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("still pending"),
        }
    };
}

/// Polls each once; all must stand in line after that.
macro_rules! line {
    ($($future:expr),+ $(,)?) => {
        ($({
            let mut future = $future;
            assert!(look(&mut future).is_pending());
            future
        }),+)
    };
}

// After the macros that they use.
#[cfg(feature = "lock_api")]
mod blocking;
mod policies;

type Lock<P> = RwLock<u32, P, Slots<8>>;

fn lock<P: Policy>(policy: P) -> Lock<P> {
    RwLock::with_policy(0, policy, Slots::new())
}

/// Runs a test under each policy.
macro_rules! each_policy {
    ($($(#[$doc:meta])* fn $name:ident<$policy:ident>($lock:ident) $body:block)+) => {$(
        $(#[$doc])*
        #[test]
        fn $name() {
            fn test<$policy: Policy + Default>() {
                let $lock: Lock<$policy> = lock($policy::default());
                $body
                assert!($lock.try_write().is_some(), "free in the end: {:?}", $lock.raw);
                assert!(!$lock.raw.is_locked());
            }
            test::<WriterPriority>();
            test::<ReaderPriority>();
            test::<Fair>();
        }
    )+};
}

each_policy! {
    fn readers_share_and_a_writer_is_alone<P>(lock) {
        let [one, two] = [lock.try_read().unwrap(), lock.try_read().unwrap()];
        let upgradable = lock.try_upgradable_read().unwrap();
        assert!(lock.try_upgradable_read().is_none() && lock.try_write().is_none());
        assert_eq!((*one, *two, *upgradable), (0, 0, 0));
        drop((one, two));
        assert!(lock.try_write().is_none());
        drop(upgradable);
        let mut writer = lock.try_write().unwrap();
        *writer += 1;
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        assert!(lock.try_upgradable_read().is_none());
        drop(writer);
        assert_eq!(*lock.try_read().unwrap(), 1);
    }

    fn a_writer_waits_for_the_last_reader<P>(lock) {
        let [one, two] = [lock.try_read().unwrap(), lock.try_read().unwrap()];
        let task = Task::new();
        let mut write = lock.write();
        assert!(poll(&task, &mut write).is_pending());
        drop(one);
        assert_eq!(task.wakes(), 0);
        drop(two);
        assert_eq!(task.wakes(), 1);
        *ready!(write) = 7;
        assert_eq!(*lock.try_read().unwrap(), 7);
    }

    /// C60
    fn when_a_writer_leaves_all_readers_that_wait_come_in_together<P>(lock) {
        let writer = lock.try_write().unwrap();
        let tasks: [_; 5] = core::array::from_fn(|_| Task::new());
        let mut reads: [_; 5] = core::array::from_fn(|_| lock.read());
        for (task, read) in tasks.iter().zip(&mut reads) {
            assert!(poll(task, read).is_pending());
        }
        drop(writer);
        assert!(tasks.iter().all(|task| task.wakes() == 1));
        let guards: Vec<_> = reads.iter_mut().map(|read| ready!(*read)).collect();
        assert!(lock.try_write().is_none());
        drop(guards);
    }

    /// C57, C59
    fn a_cancelled_writer_releases_the_readers_that_it_held_back<P>(lock) {
        let reader = lock.try_read().unwrap();
        let write = line!(lock.write());
        let task = Task::new();
        let mut read = lock.read();
        // Under reader priority it does not wait at all.
        let early = poll(&task, &mut read);
        drop(write);
        let second = match early {
            Poll::Ready(guard) => guard,
            Poll::Pending => {
                assert_eq!(task.wakes(), 1);
                ready!(read)
            }
        };
        drop((reader, second, read));
    }

    /// C59: the writer that was to be served is gone.
    fn a_writer_that_leaves_after_it_was_served_passes_it_on<P>(lock) {
        let writer = lock.try_write().unwrap();
        let next = line!(lock.write());
        let task = Task::new();
        let mut read = lock.read();
        assert!(poll(&task, &mut read).is_pending());
        drop(writer);
        drop(next);
        assert_eq!(task.wakes(), 1);
        drop(ready!(read));
    }

    fn a_reader_that_leaves_after_it_was_served_passes_it_on<P>(lock) {
        let writer = lock.try_write().unwrap();
        let read = line!(lock.read());
        drop(writer);
        let task = Task::new();
        let mut write = lock.write();
        let early = poll(&task, &mut write).map(drop);
        drop(read);
        if early.is_pending() {
            assert_eq!(task.wakes(), 1);
            drop(ready!(write));
        }
    }

    fn a_downgrade_lets_readers_in_and_no_writer<P>(lock) {
        let mut writer = lock.try_write().unwrap();
        let task = Task::new();
        let mut read = lock.read();
        assert!(poll(&task, &mut read).is_pending());
        *writer = 3;
        let reader = RwLockWriteGuard::downgrade(writer);
        assert_eq!(task.wakes(), 1);
        assert_eq!(*ready!(read), 3);
        assert!(lock.try_write().is_none());
        assert_eq!(*reader, 3);
    }

    fn a_downgrade_to_upgradable_lets_readers_in_and_goes_back<P>(lock) {
        let writer = lock.try_write().unwrap();
        let mut read = line!(lock.read());
        let upgradable = RwLockWriteGuard::downgrade_to_upgradable(writer);
        let reader = ready!(read);
        let upgradable = RwLockUpgradableReadGuard::try_upgrade(upgradable).unwrap_err();
        drop(reader);
        let writer = RwLockUpgradableReadGuard::try_upgrade(upgradable).unwrap();
        assert!(lock.try_read().is_none());
        drop(writer);
    }

    fn an_upgradable_reader_that_becomes_plain_lets_the_next_one_in<P>(lock) {
        let first = lock.try_upgradable_read().unwrap();
        let task = Task::new();
        let mut second = lock.upgradable_read();
        assert!(poll(&task, &mut second).is_pending());
        let reader = RwLockUpgradableReadGuard::downgrade(first);
        assert_eq!(task.wakes(), 1);
        let second = ready!(second);
        drop(reader);
        drop(second);
    }

    /// C58: nobody gets between, whoever waits.
    fn an_upgrade_comes_before_writers_that_wait_and_keeps_readers_out<P>(lock) {
        let reader = lock.try_read().unwrap();
        let upgradable = lock.try_upgradable_read().unwrap();
        let mut write = line!(lock.write());
        let task = Task::new();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
        assert!(poll(&task, &mut upgrade).is_pending());
        assert!(lock.try_read().is_none());
        let mut read = line!(lock.read());
        drop(reader);
        assert_eq!(task.wakes(), 1);
        assert!(look(&mut write).is_pending() && look(&mut read).is_pending());
        let mut writer = ready!(upgrade);
        assert!(look(&mut write).is_pending() && look(&mut read).is_pending());
        *writer = 5;
        drop(writer);
        drop((write, read));
        assert_eq!(*lock.try_read().unwrap(), 5);
    }

    fn an_upgrade_with_nobody_else_inside_is_done_at_once<P>(lock) {
        let write = line!({
            let upgradable = lock.try_upgradable_read().unwrap();
            let mut write = lock.write();
            assert!(look(&mut write).is_pending());
            *ready!(RwLockUpgradableReadGuard::upgrade(upgradable)) = 1;
            drop(write);
            let held = lock.try_read().unwrap();
            core::mem::forget(held);
            lock.write()
        });
        // SAFETY: the guard forgotten above was a reader's.
        unsafe { lock.raw.unlock_read() };
        drop(write);
        assert_eq!(*lock.try_read().unwrap(), 1);
    }

    fn a_cancelled_upgrade_is_upgradable_again_and_lets_others_in<P>(lock) {
        let reader = lock.try_read().unwrap();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(lock.try_upgradable_read().unwrap());
        // Not polled: nothing has changed.
        drop(lock.try_read().unwrap());
        assert!(look(&mut upgrade).is_pending());
        let task = Task::new();
        let mut read = lock.read();
        assert!(poll(&task, &mut read).is_pending());
        let upgradable = upgrade.cancel().unwrap();
        assert_eq!(task.wakes(), 1);
        let second = ready!(read);
        assert!(lock.try_upgradable_read().is_none() && lock.try_write().is_none());
        // The same after it was granted; and dropped instead, it leaves.
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
        assert!(look(&mut upgrade).is_pending());
        drop((reader, second));
        assert!(lock.raw.is_locked_exclusive());
        let upgradable = upgrade.cancel().unwrap();
        assert!(lock.try_read().is_some());
        let reader = lock.try_read();
        let upgrade = line!(RwLockUpgradableReadGuard::upgrade(upgradable));
        drop(upgrade);
        assert!(lock.try_upgradable_read().is_some());
        drop(reader);
    }

    /// C54
    fn poll_and_drop_in_a_loop_keeps_no_slot<P>(lock) {
        let writer = lock.try_write().unwrap();
        for _ in 0..100 {
            drop(line!(lock.read(), lock.write(), lock.upgradable_read()));
        }
        assert_eq!(lock.self_wakes(), 0);
        drop(writer);
        let reader = lock.try_read().unwrap();
        let mut upgradable = lock.try_upgradable_read().unwrap();
        for _ in 0..100 {
            upgradable = line!(RwLockUpgradableReadGuard::upgrade(upgradable)).cancel().unwrap();
        }
        assert_eq!(lock.self_wakes(), 0);
        drop((reader, upgradable));
    }

    /// C61: a guard that was forgotten leaves the lock locked, and nothing worse.
    fn a_forgotten_guard_locks_for_good<P>(lock) {
        core::mem::forget(lock.try_write());
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        assert!(look(&mut lock.read()).is_pending());
        assert!(look(&mut lock.write()).is_pending());
        assert!(look(&mut lock.upgradable_read()).is_pending());
        // SAFETY: the guard forgotten above was a writer's.
        unsafe { lock.raw.unlock_write() };
        core::mem::forget((lock.try_read(), lock.try_upgradable_read()));
        assert!(lock.try_write().is_none());
        // SAFETY: a guard forgotten above was a reader's.
        unsafe { lock.raw.unlock_read() };
        // SAFETY: a guard forgotten above was an upgradable reader's.
        unsafe { lock.raw.unlock_upgradable() };
    }

    /// C62: a task that reads and asks again may wait for itself; `try_` never does.
    fn a_recursive_read_never_hangs_in_try<P>(lock) {
        let reader = lock.try_read().unwrap();
        let write = line!(lock.write());
        let again = lock.try_read();
        let recursive = lock.raw.try_read_recursive();
        assert!(recursive);
        // SAFETY: it let us in.
        unsafe { lock.raw.unlock_read() };
        drop((reader, again, write));
        let writer = lock.try_write().unwrap();
        assert!(!lock.raw.try_read_recursive());
        assert!(lock.try_read().is_none());
        drop(writer);
        // Past an upgrade that waits for the reader who asks again.
        let reader = lock.try_read().unwrap();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(lock.try_upgradable_read().unwrap());
        assert!(look(&mut upgrade).is_pending());
        assert!(lock.raw.try_read_recursive());
        drop(reader);
        assert!(look(&mut upgrade).is_pending());
        // SAFETY: it let us in.
        unsafe { lock.raw.unlock_read() };
        drop(ready!(upgrade));
    }

    /// C34, C58: whatever was granted when the request is dropped goes back.
    fn requests_dropped_at_any_time_leave_the_lock_as_it_was<P>(lock) {
        for held in 0..3 {
            for first in 0..3 {
                for second in 0..3 {
                    let guard = match held {
                        0 => Held::Read(lock.try_read().unwrap()),
                        1 => Held::Write(lock.try_write().unwrap()),
                        _ => Held::Upgradable(lock.try_upgradable_read().unwrap()),
                    };
                    let [mut one, mut two] = [first, second].map(|kind| match kind {
                        0 => lock.raw.read(),
                        1 => lock.raw.write(),
                        _ => lock.raw.upgradable_read(),
                    });
                    let [one_in, two_in] = [look(&mut one), look(&mut two)];
                    drop(guard);
                    drop(one);
                    let kinds = [(first, one_in), (second, two_in)];
                    for kind in kinds.into_iter().filter_map(|(kind, inside)| inside.is_ready().then_some(kind)) {
                        // SAFETY: the request was ready, so it let us in.
                        unsafe { unlock(&lock, kind) };
                    }
                    if two_in.is_pending() && look(&mut two).is_ready() {
                        // SAFETY: the request is ready, so it let us in.
                        unsafe { unlock(&lock, second) };
                    }
                    drop(two);
                    assert!(lock.try_write().is_some(), "{held} {first} {second}: {:?}", lock.raw);
                }
            }
        }
    }

    fn a_waker_that_panics_when_cloned_leaves_the_lock_usable<P>(lock) {
        let held = lock.try_read().unwrap();
        let upgradable = lock.try_upgradable_read().unwrap();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
        let mut write = lock.write();
        for _ in 0..2 {
            assert!(polled_with_a_bomb(&mut write));
            assert!(polled_with_a_bomb(&mut upgrade));
        }
        assert!(lock.try_read().is_none(), "the upgrade is under way");
        drop(upgrade);
        drop(write);
        drop(held);
    }
}

/// Guards of three kinds, to hold one of them.
#[allow(dead_code, reason = "held, not read")]
enum Held<'a, P: Policy> {
    Read(RwLockReadGuard<'a, u32, P, Slots<8>>),
    Write(RwLockWriteGuard<'a, u32, P, Slots<8>>),
    Upgradable(RwLockUpgradableReadGuard<'a, u32, P, Slots<8>>),
}

/// # Safety
///
/// The caller is inside: 0 as a reader, 1 as the writer, 2 as the upgradable reader.
unsafe fn unlock<P: Policy>(lock: &Lock<P>, kind: usize) {
    match kind {
        // SAFETY: the caller is inside as a reader.
        0 => unsafe { lock.raw.unlock_read() },
        // SAFETY: the caller is inside as the writer.
        1 => unsafe { lock.raw.unlock_write() },
        // SAFETY: the caller is inside as the upgradable reader.
        _ => unsafe { lock.raw.unlock_upgradable() },
    }
}

/// Polls with a waker that panics when it is cloned. True if that happened.
fn polled_with_a_bomb<F: Future + Unpin>(future: &mut F) -> bool {
    static BOMB: RawWakerVTable = RawWakerVTable::new(|_| panic!("boom"), drop, drop, drop);
    // SAFETY: the functions never look at the pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(core::ptr::null(), &BOMB)) };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = Pin::new(future).poll(&mut Context::from_waker(&waker));
    }))
    .is_err()
}

/// C56 (spin 0.9.4): there is a most, and it is looked at before the count changes.
#[test]
fn the_number_of_readers_does_not_overflow() {
    fn test<P: Policy>(policy: P) {
        // As many inside as can be, but two.
        let lock: RawRwLock<P, Slots<8>> =
            RawRwLock::with_readers(policy, Slots::new(), MAX_READERS - 2);
        assert!(lock.try_upgradable_read() && lock.try_read());
        assert!(!lock.try_read() && !lock.try_read_recursive());
        // The upgradable one has its place as a plain one already.
        // SAFETY: it is inside.
        unsafe { lock.downgrade_upgradable() };
        assert!(!lock.try_upgradable_read() && !lock.try_read());
        let task = Task::new();
        let mut read = lock.read();
        assert!(poll(&task, &mut read).is_pending());
        // SAFETY: somebody reads.
        unsafe { lock.unlock_read() };
        assert_eq!(task.wakes(), 1, "there is room for another");
        assert!(poll(&task, &mut read).is_ready());
        assert!(!lock.try_read());
    }
    test(WriterPriority);
    test(ReaderPriority);
    test(Fair);
}

/// A recursive reader took the place of an upgrade that waited, once: given up, the upgrade was one reader too many, and
/// the count began at none again.
#[test]
fn a_recursive_read_leaves_room_for_an_upgrade_that_waits() {
    fn test<P: Policy>(policy: P) {
        let lock: RawRwLock<P, Slots<8>> =
            RawRwLock::with_readers(policy, Slots::new(), MAX_READERS - 2);
        assert!(lock.try_upgradable_read());
        // SAFETY: the upgradable reader is inside, and does nothing else meanwhile.
        let upgrade = line!(unsafe { lock.upgrade() });
        assert!(lock.try_read_recursive(), "there is room for one");
        assert!(!lock.try_read_recursive(), "the other place is the upgrade's");
        drop(upgrade);
        // SAFETY: it is the upgradable reader again.
        unsafe { lock.downgrade_upgradable() };
        assert!(lock.is_locked() && !lock.try_write());
    }
    test(WriterPriority);
    test(ReaderPriority);
    test(Fair);
}

#[test]
fn without_a_free_slot_everybody_gets_in_all_the_same() {
    fn test<P: Policy>(policy: P) {
        let lock = RwLock::with_policy((), policy, Slots::<1>::new());
        let reader = lock.try_read().unwrap();
        let upgradable = lock.try_upgradable_read().unwrap();
        let mut write = line!(lock.write());
        let task = Task::new();
        let mut upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
        for wakes in 1..=2 {
            assert!(poll(&task, &mut upgrade).is_pending());
            assert_eq!((task.wakes(), lock.self_wakes()), (wakes, wakes));
            assert!(lock.try_read().is_none(), "the upgrade is under way all the same");
        }
        drop(reader);
        drop(ready!(upgrade));
        drop(ready!(write));
    }
    test(WriterPriority);
    test(ReaderPriority);
    test(Fair);
}

/// R54, R55: in debug builds the raw lock says so, before the word is harmed.
#[test]
#[cfg(debug_assertions)]
fn leaving_a_lock_that_nobody_holds_is_refused() {
    let lock = RawRwLock::new();
    let refused = |what: &dyn Fn()| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(what)).unwrap_err();
        let said = panicked.downcast_ref::<&str>().expect("an assertion with no values");
        assert!(said.contains("nobody"), "{said}");
        assert!(lock.try_write(), "{lock:?}");
        // SAFETY: it let us in.
        unsafe { lock.unlock_write() };
    };
    // SAFETY: none; this is what is tested, and the assertion comes before any harm.
    refused(&|| unsafe { lock.unlock_read() });
    // SAFETY: as above.
    refused(&|| unsafe { lock.unlock_write() });
    // SAFETY: as above.
    refused(&|| unsafe { lock.unlock_upgradable() });
    // SAFETY: as above.
    refused(&|| unsafe { lock.downgrade() });
    // SAFETY: as above.
    refused(&|| drop(unsafe { lock.upgrade() }));
    // SAFETY: as above.
    refused(&|| _ = unsafe { lock.try_upgrade() });
}

#[test]
fn guards_narrow_to_parts() {
    let lock = RwLock::new((1, [2, 3]));
    let first = RwLockReadGuard::map(lock.try_read().unwrap(), |value| &value.0);
    let second = RwLockReadGuard::map(lock.try_read().unwrap(), |value| &value.1[..]);
    let second = MappedRwLockReadGuard::map(second, |items| &items[1]);
    let whole = RwLockReadGuard::try_map(lock.try_read().unwrap(), |_| None::<&u8>).unwrap_err();
    assert_eq!((*first, *second, whole.1[0]), (1, 3, 2));
    let second = MappedRwLockReadGuard::try_map(second, |_| None::<&u8>).unwrap_err();
    drop((first, whole));
    assert!(lock.try_write().is_none());
    drop(second);

    let items = RwLockWriteGuard::map(lock.try_write().unwrap(), |value| &mut value.1);
    let item = MappedRwLockWriteGuard::try_map(items, |items| items.get_mut(9)).unwrap_err();
    let mut item = MappedRwLockWriteGuard::map(item, |items| &mut items[0]);
    *item = 9;
    assert!(lock.try_read().is_none());
    drop(item);
    let whole = RwLockWriteGuard::try_map(lock.try_write().unwrap(), |_| None::<&mut u8>);
    assert_eq!(whole.unwrap_err().1, [9, 3]);
    assert!(!lock.raw.is_locked());
}

#[test]
fn it_looks_like_the_one_of_std() {
    let mut lock = RwLock::from(5);
    *lock.get_mut() += 1;
    assert_eq!(format!("{lock:?}"), "RwLock { data: 6, .. }");
    let guard = lock.try_write().unwrap();
    assert_eq!((guard.to_string(), format!("{guard:?}")), ("6".to_string(), "6".to_string()));
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, .. }");
    drop(guard);
    assert_eq!(lock.into_inner(), 6);
    let other: RwLock<std::string::String, Fair, Slots<2>> = RwLock::default();
    assert_eq!(*other.try_read().unwrap(), "");
    let unsized_lock: &RwLock<[u8]> = &RwLock::new([1, 2]);
    assert_eq!(unsized_lock.try_read().unwrap().len(), 2);
}
