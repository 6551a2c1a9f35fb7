//! The locks, permits and meeting places of `aqueduct::sync`: limits, contexts, and what a wait that gave up leaves behind.
//! (Condition variables: `condvar.rs`; what core's tests show of semaphores and locks is not repeated.)

use crate::support::{Counter, alone, eventually, poll, resident, threads};
use aqueduct::context::{Context, ContextError};
use aqueduct::park::block_on;
use aqueduct::sync::{
    AcquireCtxError, AcquireError, AcquireTimeoutError, Barrier, Condvar, Event, Greedy, Mutex,
    MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore, TimeoutError,
    TryLockError, WaitGroup,
};
use aqueduct::{thread, timer};
use aqueduct_core::rwlock::{Fair, Policy, ReaderPriority, WriterPriority};
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};

/// R80: More than a semaphore can ever have is an error at once, whatever the limit; and what failed, for whatever reason, took
/// nothing and gives nothing back.
#[test]
fn a_request_that_fails_releases_nothing() {
    let semaphore = Semaphore::new(2);
    let context = Context::background();
    let absurd = usize::MAX;
    assert_eq!(semaphore.acquire_many_blocking(absurd).unwrap_err(), AcquireError::TooMany);
    let late = semaphore.acquire_timeout(absurd, Duration::MAX).unwrap_err();
    assert_eq!(late, AcquireTimeoutError::TooMany);
    let refused = semaphore.acquire_ctx(&context, absurd).unwrap_err();
    assert_eq!(refused, AcquireCtxError::TooMany);

    let held = semaphore.acquire_blocking().unwrap();
    for _ in 0..10 {
        let late = semaphore.acquire_timeout(2, Duration::from_micros(10)).unwrap_err();
        assert_eq!(late, AcquireTimeoutError::Timeout);
        let brief = context.with_timeout(Duration::from_micros(10));
        let late = semaphore.acquire_ctx(&brief, 2).unwrap_err();
        assert_eq!(late, AcquireCtxError::Done(ContextError::DeadlineExceeded));
        assert_eq!(semaphore.available_permits(), 1);
    }
    // Those who gave up do not stand in the way of those who want less.
    drop(semaphore.try_acquire().unwrap());
    semaphore.close();
    assert_eq!(semaphore.acquire_blocking().unwrap_err(), AcquireError::Closed);
    let late = semaphore.acquire_timeout(1, Duration::MAX).unwrap_err();
    assert_eq!(late, AcquireTimeoutError::Closed);
    assert_eq!(semaphore.acquire_ctx(&context, 1).unwrap_err(), AcquireCtxError::Closed);
    drop(held);
    assert_eq!(semaphore.available_permits(), 2);
}

/// R59: No permits are a closed gate; it opens for those who sleep before it.
#[test]
fn no_permits_are_a_gate_that_opens() {
    let gate = Semaphore::new(0);
    thread::scope(|scope| {
        let through = [(); 3].map(|()| scope.spawn(|| gate.acquire_blocking().unwrap().forget()));
        gate.add_permits(3).unwrap();
        for thread in through {
            thread.unwrap().join().unwrap();
        }
    })
    .unwrap();
    assert_eq!(gate.available_permits(), 0);
}

/// C13: The longest limit is none: it neither panics nor ends at once, and the wait ends when it should.
#[test]
fn the_longest_limit_is_none() {
    const MAX: Duration = Duration::MAX;
    let (semaphore, mutex, lock) = (Semaphore::new(1), Mutex::new(1), RwLock::new(1));
    drop(semaphore.acquire_timeout(1, MAX).unwrap());
    drop(mutex.lock_timeout(MAX).unwrap());
    drop(lock.read_timeout(MAX).unwrap());
    drop(lock.write_timeout(MAX).unwrap());
    let upgradable = lock.upgradable_read_timeout(MAX).unwrap();
    drop(RwLockUpgradableReadGuard::upgrade_timeout(upgradable, MAX).unwrap());
    assert!(Barrier::new(1).wait_timeout(MAX).is_ok_and(|result| result.is_leader()));

    // Each in a thread that has to wait.
    let (event, condvar, barrier) = (Event::new(), Condvar::new(), Barrier::new(2));
    let group = WaitGroup::new();
    let (token, permit) = (group.add(), semaphore.acquire_blocking().unwrap());
    let (write, guard) = (lock.write_blocking(), mutex.lock_blocking());
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| event.wait_timeout(MAX).unwrap()),
            scope.spawn(|| group.wait_timeout(MAX).unwrap()),
            scope.spawn(|| assert!(barrier.wait_timeout(MAX).is_ok())),
            scope.spawn(|| drop(semaphore.acquire_timeout(1, MAX).unwrap())),
            scope.spawn(|| drop(lock.read_timeout(MAX).unwrap())),
            scope.spawn(|| {
                let wait = condvar.wait_timeout_while(mutex.lock_blocking(), MAX, |n| *n == 1);
                assert!(!wait.1.timed_out());
            }),
            scope.spawn(|| assert!(Context::background().with_timeout(MAX).deadline().is_none())),
        ];
        event.set();
        barrier.wait();
        drop((token, permit, write, guard));
        *mutex.lock_blocking() += 1;
        condvar.notify_all();
        for wait in waits {
            wait.unwrap().join().unwrap();
        }
    })
    .unwrap();
}

/// Limits of zero and limits in the past: what can be had at once is had, and what cannot is not waited for.
#[test]
fn a_limit_that_has_passed_still_tries_once() {
    let past = Instant::now();
    let (semaphore, mutex, lock) = (Semaphore::new(1), Mutex::new(1), RwLock::new(1));
    let (event, group, barrier) = (Event::new(), WaitGroup::new(), Barrier::new(2));
    {
        let _held = (
            semaphore.acquire_deadline(1, past).unwrap(),
            mutex.lock_deadline(past).unwrap(),
            lock.write_deadline(past).unwrap(),
            group.add(),
        );
        assert!(semaphore.acquire_deadline(1, past).unwrap_err().is_timeout());
        assert!(semaphore.acquire_timeout(1, Duration::ZERO).unwrap_err().is_timeout());
        assert_eq!(mutex.lock_deadline(past).unwrap_err(), TimeoutError);
        assert_eq!(mutex.lock_timeout(Duration::ZERO).unwrap_err(), TimeoutError);
        assert_eq!(mutex.try_lock().unwrap_err(), TryLockError);
        assert_eq!(lock.write_deadline(past).unwrap_err(), TimeoutError);
        assert_eq!(lock.read_timeout(Duration::ZERO).unwrap_err(), TimeoutError);
        assert_eq!(lock.upgradable_read_deadline(past).unwrap_err(), TimeoutError);
        assert_eq!(group.wait_deadline(past), Err(TimeoutError));
        assert_eq!(event.wait_deadline(past), Err(TimeoutError));
        assert_eq!(barrier.wait_deadline(past), Err(TimeoutError));
        assert_eq!(Context::background().wait_deadline(past), None);
    }
    event.set();
    assert_eq!(group.wait_deadline(past), Ok(()));
    assert_eq!(event.wait_timeout(Duration::ZERO), Ok(()));
    let upgradable = lock.upgradable_read_deadline(past).unwrap();
    assert!(RwLockUpgradableReadGuard::upgrade_deadline(upgradable, past).is_ok());
    assert!(semaphore.try_acquire().is_ok());
    assert!(mutex.try_lock().is_ok());
}

/// A cancel ends every call that was given the context or one below it, wherever it sleeps, and what was waited for is as
/// if nobody had.
#[test]
fn a_cancel_ends_every_kind_of_wait() {
    const CANCELED: ContextError = ContextError::Canceled;
    for _ in 0..30 {
        let context = Context::background();
        let below = context.child().with_timeout(Duration::from_secs(3600));
        let start = Barrier::new(12);
        let (semaphore, mutex, lock) = (Semaphore::new(1), Mutex::new(1), RwLock::new(1));
        let (event, group, barrier) = (Event::new(), WaitGroup::new(), Barrier::new(2));
        let (condvar, other, second) = (Condvar::new(), Mutex::new(1), RwLock::new(1));
        let (finish, unfinished) = mpsc::channel::<()>();
        let worker = thread::spawn(move || unfinished.recv().is_err()).unwrap();
        let worker = Mutex::new(worker);
        let held = (
            semaphore.acquire_blocking().unwrap(),
            mutex.lock_blocking(),
            lock.write_blocking(),
            second.read_blocking(),
            group.add(),
        );
        thread::scope(|scope| {
            let waits = [
                scope.spawn(|| {
                    start.wait();
                    let error = semaphore.acquire_ctx(&context, 1).unwrap_err();
                    assert_eq!(error.context_error(), Some(CANCELED));
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(mutex.lock_ctx(&below).unwrap_err(), CANCELED);
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(lock.read_ctx(&context).unwrap_err(), CANCELED);
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(lock.write_ctx(&below).unwrap_err(), CANCELED);
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(lock.upgradable_read_ctx(&context).unwrap_err(), CANCELED);
                }),
                scope.spawn(|| {
                    let upgradable = second.upgradable_read_blocking();
                    start.wait();
                    let refused = RwLockUpgradableReadGuard::upgrade_ctx(upgradable, &below);
                    assert_eq!(refused.unwrap_err().1, CANCELED);
                }),
                scope.spawn(|| {
                    start.wait();
                    let (guard, result) = condvar.wait_ctx(other.lock_blocking(), &context);
                    assert_eq!((*guard, result), (1, Err(CANCELED)));
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(event.wait_ctx(&below), Err(CANCELED));
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(group.wait_ctx(&context), Err(CANCELED));
                }),
                scope.spawn(|| {
                    start.wait();
                    assert_eq!(barrier.wait_ctx(&below), Err(CANCELED));
                }),
                scope.spawn(|| {
                    let mut worker = worker.lock_blocking();
                    start.wait();
                    assert_eq!(worker.join_ctx(&context).unwrap_err(), CANCELED);
                }),
            ];
            start.wait();
            context.cancel();
            for wait in waits {
                wait.unwrap().join().unwrap();
            }
        })
        .unwrap();
        drop((held, finish));
        assert!(worker.into_inner().join().unwrap());
        assert_eq!(semaphore.available_permits(), 1);
        assert!(mutex.try_lock().is_ok() && lock.try_write().is_ok() && second.try_write().is_ok());
        assert_eq!(barrier.wait_timeout(Duration::ZERO), Err(TimeoutError));
    }
}

/// A context that is done already wins over what could be had, and nothing is taken.
#[test]
fn a_context_that_is_done_takes_nothing() {
    let context = Context::background();
    context.cancel();
    let done = ContextError::Canceled;
    let (semaphore, mutex, lock) = (Semaphore::new(1), Mutex::new(1), RwLock::new(1));
    let event = Event::new();
    event.set();
    assert_eq!(semaphore.acquire_ctx(&context, 1).unwrap_err(), AcquireCtxError::Done(done));
    assert_eq!(mutex.lock_ctx(&context).unwrap_err(), done);
    assert_eq!(lock.read_ctx(&context).unwrap_err(), done);
    assert_eq!(lock.write_ctx(&context).unwrap_err(), done);
    assert_eq!(event.wait_ctx(&context), Err(done));
    assert_eq!(WaitGroup::new().wait_ctx(&context), Err(done));
    let barrier = Barrier::new(2);
    assert_eq!(barrier.wait_ctx(&context), Err(done));
    let upgradable = lock.try_upgradable_read().unwrap();
    let (upgradable, error) =
        RwLockUpgradableReadGuard::upgrade_ctx(upgradable, &context).unwrap_err();
    assert_eq!((*upgradable, error), (1, done));
    drop(upgradable);
    assert_eq!(semaphore.available_permits(), 1);
    assert!(mutex.try_lock().is_ok() && lock.try_write().is_ok());
    // Nobody has arrived.
    let mut first = pin!(barrier.wait_async());
    assert!(poll(&mut first, Waker::noop()).is_pending());
}

/// Ten thousand wait on one semaphore; a third of them go; permits come one by one, and in the order of arrival.
#[test]
fn ten_thousand_wait_on_one_semaphore() {
    const MANY: usize = 10_000;
    let semaphore = Semaphore::new(0);
    let (counter, waker) = Counter::new();
    let mut waits: Vec<_> = (0..MANY).map(|_| Some(semaphore.acquire())).collect();
    for wait in waits.iter_mut().flatten() {
        assert!(poll(wait, &waker).is_pending());
    }
    assert_eq!(semaphore.self_wakes(), 0, "there is a slot for each");
    waits.iter_mut().step_by(3).for_each(|wait| *wait = None);
    let mut left: Vec<_> = waits.into_iter().flatten().collect();
    for served in 1..=left.len() {
        semaphore.add_permits(1).unwrap();
        assert_eq!(counter.wakes(), served);
        match poll(&mut left[served - 1], &waker) {
            Poll::Ready(Ok(permit)) => permit.forget(),
            other => panic!("{served}: {other:?}"),
        }
    }
    assert_eq!(semaphore.available_permits(), 0);
}

/// Five hundred threads sleep on one semaphore; closing it sends all of them home.
#[test]
fn five_hundred_threads_go_home_when_it_closes() {
    fn check<P: aqueduct_core::semaphore::Policy>(semaphore: Semaphore<P>) {
        let arrived = AtomicUsize::new(0);
        thread::scope(|scope| {
            let sleepers: Vec<_> = (0..500)
                .map(|_| {
                    let sleeper = || {
                        arrived.fetch_add(1, SeqCst);
                        semaphore.acquire_blocking().unwrap_err()
                    };
                    let small = thread::Builder::new().stack_size(64 * 1024);
                    small.spawn_scoped(scope, sleeper).unwrap()
                })
                .collect();
            eventually("all are there", || arrived.load(SeqCst) == sleepers.len());
            semaphore.close();
            for sleeper in sleepers {
                assert_eq!(sleeper.join().unwrap(), AcquireError::Closed);
            }
        })
        .unwrap();
    }
    check(Semaphore::new(0));
    check(Semaphore::with_policy(0, Greedy));
}

/// C57: A writer that gives up, by its limit or its context, lets those in whom it held back.
#[test]
fn a_writer_that_gives_up_lets_readers_in() {
    fn check<P: Policy + Default>() {
        let lock = RwLock::with_policy(1, P::default());
        let context = Context::background().with_timeout(Duration::from_micros(50));
        let reader = lock.read_blocking();
        assert!(lock.write_timeout(Duration::from_micros(50)).is_err());
        drop(lock.try_read().unwrap());
        assert!(lock.write_ctx(&context).is_err());
        drop(lock.try_read().unwrap());
        let upgradable = lock.try_upgradable_read().unwrap();
        let brief = Duration::from_micros(50);
        let upgradable = RwLockUpgradableReadGuard::upgrade_timeout(upgradable, brief).unwrap_err();
        drop(lock.try_read().unwrap());
        drop((reader, upgradable));
        assert!(lock.try_write().is_ok());
    }
    check::<WriterPriority>();
    check::<ReaderPriority>();
    check::<Fair>();
}

/// C63: A writer whose thread waits keeps new readers out, whatever call it waits in, until those inside have left.
#[test]
fn a_thread_that_waits_to_write_keeps_readers_out() {
    fn check<P: Policy + Default>() {
        type Waits<P> = fn(&RwLock<u32, P>, &Context);
        let calls: [Waits<P>; 3] = [
            |lock, _| *lock.write_blocking() += 1,
            |lock, _| *lock.write_timeout(Duration::MAX).unwrap() += 1,
            |lock, context| *lock.write_ctx(context).unwrap() += 1,
        ];
        let (lock, context) = (RwLock::with_policy(0, P::default()), Context::background());
        for (turn, call) in calls.into_iter().enumerate() {
            let inside = [lock.try_read().unwrap(), lock.try_read().unwrap()];
            thread::scope(|scope| {
                let writer = scope.spawn(|| call(&lock, &context));
                eventually("the writer stands in line", || lock.try_read().is_err());
                for reader in inside {
                    assert!(lock.try_read().is_err() && lock.try_upgradable_read().is_err());
                    let late = lock.read_timeout(Duration::from_micros(50));
                    assert_eq!(late.unwrap_err(), TimeoutError);
                    assert_eq!(*reader, turn as u32, "the writer is not in");
                }
                writer.unwrap().join().unwrap();
            })
            .unwrap();
        }
        assert_eq!(lock.into_inner(), 3);
    }
    check::<WriterPriority>();
    check::<Fair>();
}

/// C58, C62: What a guard becomes, and what asking again is refused; a part of a value keeps the whole locked.
#[test]
fn guards_become_what_they_may() {
    let lock = RwLock::new((1, "one"));
    let mut write = lock.write_blocking();
    write.0 = 2;
    assert!(lock.try_read().is_err() && lock.try_write().is_err());
    let upgradable = RwLockWriteGuard::downgrade_to_upgradable(write);
    drop(lock.try_read().unwrap());
    assert!(lock.try_upgradable_read().is_err());
    let write = RwLockUpgradableReadGuard::try_upgrade(upgradable).unwrap();
    let read = RwLockWriteGuard::downgrade(write);
    let other = lock.try_upgradable_read().unwrap();
    let other = RwLockUpgradableReadGuard::try_upgrade(other).unwrap_err();
    let other = RwLockUpgradableReadGuard::downgrade(other);
    assert_eq!((read.0, other.1), (2, "one"));
    drop(read);
    let name = aqueduct::sync::RwLockReadGuard::map(other, |pair| &pair.1);
    assert!(lock.try_write().is_err());
    assert_eq!(name.to_string(), "one");
    drop(name);
    let mut number = RwLockWriteGuard::map(lock.write_blocking(), |pair| &mut pair.0);
    *number += 1;
    assert!(lock.try_read().is_err());
    drop(number);
    assert!(RwLockWriteGuard::try_map(lock.write_blocking(), |_| None::<&mut u8>).is_err());
    assert_eq!(lock.into_inner().0, 3);

    let mutex = Mutex::new(vec![1]);
    let guard = MutexGuard::try_map(mutex.lock_blocking(), |list| list.get_mut(7)).unwrap_err();
    assert!(std::ptr::eq(MutexGuard::mutex(&guard), &mutex));
    let first = MutexGuard::try_map(guard, |list| list.first_mut()).unwrap();
    assert!(mutex.try_lock().is_err());
    drop(first);
    assert!(mutex.try_lock().is_ok());
}

/// A mutex shares what only one thread at a time may touch, of any size, known or not.
#[test]
fn a_mutex_shares_what_cannot_be_shared() {
    let mutex: &Mutex<[Cell<u32>]> = &Mutex::new([Cell::new(0), Cell::new(0)]);
    thread::scope(|scope| {
        for index in [0, 1, 0] {
            scope
                .spawn(move || {
                    for _ in 0..1_000 {
                        let cells = mutex.lock_blocking();
                        cells[index].set(cells[index].get() + 1);
                    }
                })
                .unwrap();
        }
    })
    .unwrap();
    assert_eq!(mutex.lock_blocking().iter().map(Cell::get).collect::<Vec<_>>(), [2_000, 1_000]);
}

/// A panic inside unlocks, and the value is as the panic left it: there is no poison.
#[test]
fn a_panic_inside_unlocks() {
    let (mutex, lock) = (Mutex::new(1), RwLock::new(1));
    let panicked = thread::catch(|| {
        let mut guards = (mutex.lock_blocking(), lock.write_blocking());
        *guards.0 = 2;
        *guards.1 = 2;
        panic!("on purpose");
    });
    assert!(panicked.is_err());
    assert_eq!((*mutex.lock_blocking(), *lock.read_blocking()), (2, 2));
}

/// Everything that is awaited may be awaited by a task that moves between threads, guards included.
#[test]
fn what_is_awaited_may_move_between_threads() {
    fn may_move<F: Future + Send>(future: F) -> F {
        future
    }
    let (mutex, lock, condvar) = (Mutex::new(1), RwLock::new(1), Condvar::new());
    let (event, group, barrier) = (Event::new(), WaitGroup::new(), Barrier::new(1));
    let semaphore = Arc::new(Semaphore::new(1));
    event.set();
    block_on(may_move(async {
        let guard = mutex.lock().await;
        drop(semaphore.acquire().await);
        drop(semaphore.clone().acquire_owned().await);
        drop(lock.read().await);
        drop(RwLockUpgradableReadGuard::upgrade(lock.upgradable_read().await).await);
        let mut write = lock.write().await;
        *write += *guard;
        event.wait_async().await;
        group.wait_async().await;
        assert!(barrier.wait_async().await.is_leader());
    }));
    drop(may_move(condvar.wait_async(mutex.try_lock().unwrap())));
    assert_eq!(lock.into_inner(), 2);
}

/// A set lets go all who wait at that moment, though a reset follows before they look.
#[test]
fn a_reset_keeps_nobody_whom_a_set_let_go() {
    let event = Event::new();
    let (counter, waker) = Counter::new();
    let mut cx = task::Context::from_waker(&waker);
    let mut before = pin!(event.wait_async());
    assert!(before.as_mut().poll(&mut cx).is_pending());
    assert!(event.set() && !event.set());
    assert!(event.reset() && !event.reset() && !event.is_set());
    assert_eq!(counter.wakes(), 1);
    let mut after = pin!(event.wait_async());
    assert!(after.as_mut().poll(&mut cx).is_pending());
    assert!(before.as_mut().poll(&mut cx).is_ready());
    event.set();
    assert!(after.as_mut().poll(&mut cx).is_ready());
}

/// A group's wait ends when the count has been zero, though it is not any more; a panic ends a member.
#[test]
fn a_wait_group_that_has_been_empty_lets_go() {
    let group = WaitGroup::new();
    let (token, waker) = (group.add(), Waker::noop());
    let mut wait = pin!(group.wait_async());
    assert!(poll(&mut wait, waker).is_pending());
    let more = token.clone();
    drop(token);
    assert!(poll(&mut wait, waker).is_pending());
    drop(more);
    let next = group.clone().add();
    assert!(poll(&mut wait, waker).is_ready());
    assert_eq!(group.wait_timeout(Duration::ZERO), Err(TimeoutError));
    let panicked = thread::spawn(move || {
        let _next = next;
        panic!("on purpose");
    });
    assert!(panicked.unwrap().join().is_err());
    group.wait();
}

/// A wait on a barrier that gives up has never come: the round needs as many as before.
#[test]
fn an_arrival_is_taken_back() {
    let barrier = Barrier::new(3);
    let waker = Waker::noop();
    let mut first = Box::pin(barrier.wait_async());
    assert!(poll(&mut first, waker).is_pending());
    {
        let mut gone = Box::pin(barrier.wait_async());
        assert!(poll(&mut gone, waker).is_pending());
    }
    assert_eq!(barrier.wait_timeout(Duration::from_micros(10)), Err(TimeoutError));
    let mut second = Box::pin(barrier.wait_async());
    assert!(poll(&mut second, waker).is_pending());
    assert!(barrier.wait().is_leader(), "the third");
    // The round is over: going now takes nothing back from the next.
    drop(second);
    assert_eq!(poll(&mut first, waker).map(|result| result.is_leader()), Poll::Ready(false));
    let mut first = Box::pin(barrier.wait_async());
    let mut second = Box::pin(barrier.wait_async());
    assert!(poll(&mut first, waker).is_pending() && poll(&mut second, waker).is_pending());
    assert!(barrier.wait().is_leader());
}

/// Nobody waits at a barrier for one, or for none.
#[test]
fn a_barrier_for_one_holds_nobody() {
    for parties in [0, 1] {
        let barrier = Barrier::new(parties);
        assert!(barrier.wait().is_leader() && barrier.wait().is_leader());
    }
}

/// R60, R81: Waits of all kinds that give up leave no thread, no timer and no memory.
#[test]
fn waits_that_give_up_leave_nothing() {
    alone("sync::waits_that_give_up_leave_nothing", || {
        let before = threads();
        let root = Context::background().with_timeout(Duration::from_secs(3600));
        let (semaphore, mutex, lock) = (Semaphore::new(0), Mutex::new(1), RwLock::new(1));
        let (event, group, barrier) = (Event::new(), WaitGroup::new(), Barrier::new(2));
        let condvar = Condvar::new();
        let _held = (mutex.lock_blocking(), lock.write_blocking(), group.add());
        let other = Mutex::new(1);
        let give_up = |times: usize| {
            let past = Instant::now();
            for _ in 0..times {
                let context = root.with_deadline(past + Duration::from_secs(7));
                let late = context.child();
                assert!(semaphore.acquire_deadline(1, past).is_err());
                assert!(mutex.lock_deadline(past).is_err());
                assert!(lock.write_deadline(past).is_err());
                assert!(event.wait_deadline(past).is_err());
                assert!(group.wait_deadline(past).is_err());
                assert!(barrier.wait_deadline(past).is_err());
                let wait = condvar.wait_deadline(other.lock_blocking(), past);
                assert!(wait.1.timed_out());
                late.cancel();
                assert!(semaphore.acquire_ctx(&late, 1).is_err());
            }
        };
        give_up(1_000);
        let resident_before = resident();
        give_up(40_000);
        assert_eq!(timer::pending(), 0);
        assert_eq!(threads(), before);
        if let (Some(before), Some(after)) = (resident_before, resident()) {
            // One word kept per wait would be more than 2 MB.
            assert!(after < before + 1_000_000, "{before} bytes before, {after} after");
        }
    });
}
