//! What each policy promises, call by call: who comes before whom, and how often one may lose.

use super::*;
use std::sync::Mutex;

/// C63
#[test]
fn under_writer_priority_a_storm_of_readers_does_not_keep_a_writer_waiting() {
    let lock = lock(WriterPriority);
    let inside = [lock.try_read().unwrap(), lock.try_read().unwrap()];
    let mut write = line!(lock.write());
    let mut late = Vec::new();
    for read in 0..100 {
        assert!(lock.try_read().is_none(), "read {read}");
        assert!(lock.try_upgradable_read().is_none());
        if read < 6 {
            late.push(line!(lock.read()));
        }
    }
    drop(inside);
    // Also between its wake-up and its poll.
    assert!(lock.try_read().is_none());
    assert!(late.iter_mut().all(|read| look(read).is_pending()));
    let writer = ready!(write);
    drop(writer);
    assert!(late.iter_mut().all(|read| look(read).is_ready()));
}

#[test]
fn under_writer_priority_writers_come_before_readers() {
    let lock = lock(WriterPriority);
    let writer = lock.try_write().unwrap();
    let (mut read, mut first, mut second) = line!(lock.read(), lock.write(), lock.write());
    drop(writer);
    drop(ready!(first));
    assert!(look(&mut read).is_pending());
    drop(ready!(second));
    drop(ready!(read));
}

/// The writer that was woken in vain is in line again before it lets go of what keeps readers out.
#[test]
fn under_writer_priority_a_writer_that_lost_still_keeps_readers_out() {
    let lock = lock(WriterPriority);
    let held = lock.try_write().unwrap();
    let mut write = line!(lock.write());
    drop(held);
    let faster = lock.try_write().unwrap();
    assert!(look(&mut write).is_pending());
    let reader = RwLockWriteGuard::downgrade(faster);
    assert!(lock.try_read().is_none());
    drop(reader);
    drop(ready!(write));
}

#[test]
fn under_reader_priority_readers_never_wait_for_a_writer_that_waits() {
    let lock = lock(ReaderPriority);
    let mut reader = lock.try_read().unwrap();
    let task = Task::new();
    let mut write = lock.write();
    for _ in 0..100 {
        assert!(poll(&task, &mut write).is_pending());
        // There is always one inside.
        reader = lock.try_read().unwrap();
        drop(ready!(lock.read()));
        drop(lock.try_upgradable_read().unwrap());
    }
    assert_eq!(task.wakes(), 0);
    drop(reader);
    assert_eq!(task.wakes(), 1);
    drop(ready!(write));
}

#[test]
fn under_reader_priority_readers_come_before_writers_in_line() {
    let lock = lock(ReaderPriority);
    let writer = lock.try_write().unwrap();
    let (mut write, mut one, mut two) = line!(lock.write(), lock.read(), lock.read());
    drop(writer);
    assert!(lock.try_write().is_none(), "the readers have it");
    let (one, two) = (ready!(one), ready!(two));
    assert!(look(&mut write).is_pending());
    drop((one, two));
    drop(ready!(write));
}

/// The losers' class, whoever wins in between.
#[test]
fn a_waiter_that_lost_its_patience_is_handed_the_lock() {
    fn test<P: Policy>(policy: P, kind: usize, patience: usize) {
        let lock = lock(policy);
        let mut held = lock.try_write().unwrap();
        let task = Task::new();
        let mut waiting = match kind {
            0 => lock.raw.read(),
            1 => lock.raw.write(),
            _ => lock.raw.upgradable_read(),
        };
        assert!(poll(&task, &mut waiting).is_pending());
        for lost in 1..=patience {
            drop(held);
            assert_eq!(task.wakes(), lost);
            held = lock.try_write().unwrap_or_else(|| panic!("{kind} passed after {lost} losses"));
            assert!(poll(&task, &mut waiting).is_pending());
        }
        drop(held);
        assert!(lock.try_write().is_none(), "handed over");
        assert_eq!(task.wakes(), patience + 1);
        assert!(poll(&task, &mut waiting).is_ready());
        // SAFETY: the request is ready, so it let us in.
        unsafe { unlock(&lock, kind) };
        assert!(lock.try_write().is_some());
    }
    for kind in 0..3 {
        test(WriterPriority, kind, WriterPriority::PATIENCE);
    }
    // Readers are handed the lock at once.
    test(ReaderPriority, 0, 0);
    test(ReaderPriority, 1, ReaderPriority::PATIENCE);
    test(ReaderPriority, 2, ReaderPriority::PATIENCE);
    for kind in 0..3 {
        test(Fair, kind, 0);
    }
}

#[test]
fn one_writer_is_woken_at_a_time_and_passes_it_on() {
    fn test<P: Policy>(policy: P) {
        let lock = lock(policy);
        let held = lock.try_write().unwrap();
        let tasks: [_; 3] = core::array::from_fn(|_| Task::new());
        let mut writes: [_; 3] = core::array::from_fn(|_| lock.write());
        for (task, write) in tasks.iter().zip(&mut writes) {
            assert!(poll(task, write).is_pending());
        }
        let wakes = || [0, 1, 2].map(|n: usize| tasks[n].wakes());
        drop(held);
        assert_eq!(wakes(), [1, 0, 0]);
        // Others come and go: the one that was woken has not decided.
        if let Some(faster) = lock.try_write() {
            drop(faster);
        }
        assert_eq!(wakes(), [1, 0, 0]);
        let [first, mut second, mut third] = writes;
        drop(first);
        assert_eq!(wakes(), [1, 1, 0]);
        drop(ready!(second));
        assert_eq!(wakes(), [1, 1, 1]);
        drop(ready!(third));
    }
    test(WriterPriority);
    test(ReaderPriority);
    test(Fair);
}

#[test]
fn under_fair_readers_and_writers_take_turns() {
    let lock = lock(Fair);
    let writer = lock.try_write().unwrap();
    let (mut w1, mut r1, mut w2, mut r2) =
        line!(lock.write(), lock.read(), lock.write(), lock.read());
    // The readers of now, though both writers were there before one of them.
    drop(writer);
    let phase = (ready!(r1), ready!(r2));
    assert!(look(&mut w1).is_pending());
    // Who comes now does not come in with them.
    let mut r3 = line!(lock.read());
    assert!(lock.try_read().is_none() && lock.try_upgradable_read().is_none());
    drop(phase);
    let first = ready!(w1);
    assert!(look(&mut w2).is_pending());
    drop(first);
    // And not behind two writers either.
    let third = ready!(r3);
    assert!(look(&mut w2).is_pending());
    drop(third);
    drop(ready!(w2));
    assert!(lock.try_write().is_some());
}

/// A late reader does not overtake the writer in the place of one that has left its phase.
#[test]
fn under_fair_a_phase_is_who_waited_when_it_began() {
    // More readers than one pass of the drainer has room for, so that a waker runs in the middle of the phase; it makes
    // another reader come and one of the phase leave.
    type Big = RwLock<u32, Fair, crate::wait::Growable>;
    static LOCK: Big = RwLock::with_policy(0, Fair, crate::wait::Growable::new());
    let lock = &LOCK;

    struct Meddler {
        lock: &'static Big,
        leaves: std::sync::Mutex<Option<Read<'static, u32, Fair, crate::wait::Growable>>>,
        comes: std::sync::Mutex<Option<Read<'static, u32, Fair, crate::wait::Growable>>>,
    }

    impl Wake for Meddler {
        fn wake(self: Arc<Self>) {
            *self.comes.lock().unwrap() = Some(line!(self.lock.read()));
            drop(self.leaves.lock().unwrap().take());
        }
    }

    let writer = lock.try_write().unwrap();
    let meddler = Arc::new(Meddler {
        lock,
        leaves: std::sync::Mutex::new(None),
        comes: std::sync::Mutex::new(None),
    });
    let mut first = lock.read();
    let waker = Waker::from(meddler.clone());
    assert!(Pin::new(&mut first).poll(&mut Context::from_waker(&waker)).is_pending());
    let mut rest: Vec<_> = (0..19).map(|_| line!(lock.read())).collect();
    *meddler.leaves.lock().unwrap() = Some(line!(lock.read()));
    let mut write = line!(lock.write());
    drop(writer);

    let mut late = meddler.comes.lock().unwrap().take().expect("the first was woken");
    let mut guards: Vec<_> = rest.iter_mut().map(|read| ready!(*read)).collect();
    guards.push(ready!(first));
    assert!(look(&mut late).is_pending(), "late, and the writer waits");
    drop(guards);
    let writer = ready!(write);
    assert!(look(&mut late).is_pending());
    drop(writer);
    drop(ready!(late));
}

/// A grant that is taken back leaves the turn as it was.
#[test]
fn under_fair_a_writer_that_leaves_does_not_use_up_the_turn_of_others() {
    let lock = lock(Fair);
    let reader = lock.try_read().unwrap();
    let (w1, mut w2, mut read) = line!(lock.write(), lock.write(), lock.read());
    // It is a writer's turn; the first goes before it can be served, and after.
    drop(w1);
    drop(reader);
    let writer = ready!(w2);
    assert!(look(&mut read).is_pending());
    drop(writer);
    drop(ready!(read));
}

/// The turn is the downgraded writer's own, if no reader waits.
#[test]
fn under_fair_a_downgrade_does_not_let_late_readers_pass_a_writer() {
    let lock = lock(Fair);
    let reader = RwLockWriteGuard::downgrade(lock.try_write().unwrap());
    let mut write = line!(lock.write());
    let mut late = line!(lock.read());
    drop(reader);
    let writer = ready!(write);
    assert!(look(&mut late).is_pending());
    drop(writer);
    drop(ready!(late));
}

#[test]
fn under_fair_an_upgradable_reader_is_one_of_its_phase() {
    let lock = lock(Fair);
    let writer = lock.try_write().unwrap();
    let (mut write, mut one, mut two, mut read) =
        line!(lock.write(), lock.upgradable_read(), lock.upgradable_read(), lock.read());
    drop(writer);
    let (first, reader) = (ready!(one), ready!(read));
    // The other one waits for the first, and now it is the writer's turn.
    drop(first);
    assert!(look(&mut two).is_pending());
    drop(reader);
    drop(ready!(write));
    drop(ready!(two));
}

/// A phase of more readers than are handed the lock at once, cut by one of them that upgrades, and then does not.
#[test]
fn readers_of_a_phase_come_in_when_an_upgrade_is_given_up() {
    type Upgrader = Mutex<Option<RawAcquire<'static, Fair, Slots<40>>>>;
    type Upgrading = Mutex<Option<RawUpgrade<'static, Fair, Slots<40>>>>;
    static LOCK: RawRwLock<Fair, Slots<40>> = RawRwLock::with_policy(Fair, Slots::new());
    static UPGRADER: Upgrader = Mutex::new(None);
    static UPGRADING: Upgrading = Mutex::new(None);

    /// Comes in as soon as it is woken, and asks to write.
    struct Upgrade;

    impl Wake for Upgrade {
        fn wake(self: Arc<Self>) {
            let mut upgrader = UPGRADER.lock().unwrap().take().unwrap();
            assert!(look(&mut upgrader).is_ready());
            // SAFETY: it is inside, by the line above, as one that may upgrade.
            let mut upgrading = unsafe { LOCK.upgrade() };
            assert!(look(&mut upgrading).is_pending(), "the readers of its phase are inside");
            *UPGRADING.lock().unwrap() = Some(upgrading);
        }
    }

    assert!(LOCK.try_write());
    let mut upgrader = LOCK.upgradable_read();
    let waker = Waker::from(Arc::new(Upgrade));
    assert!(Pin::new(&mut upgrader).poll(&mut Context::from_waker(&waker)).is_pending());
    *UPGRADER.lock().unwrap() = Some(upgrader);
    let task = Task::new();
    let mut readers = Vec::from_iter((0..20).map(|_| LOCK.read()));
    assert!(readers.iter_mut().all(|reader| poll(&task, reader).is_pending()));
    let mut writer = LOCK.write();
    assert!(look(&mut writer).is_pending());
    // SAFETY: `try_write` let us in.
    unsafe { LOCK.unlock_write() };
    assert!(task.wakes() < 20, "one batch, and then the upgrade keeps the others out");

    drop(UPGRADING.lock().unwrap().take());
    assert_eq!(task.wakes(), 20);
}
