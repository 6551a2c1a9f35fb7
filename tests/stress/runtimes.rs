//! One semaphore, and one lock, for everybody at once: bare threads, the tasks of tokio, and users of `lock_api`.

use aqueduct::park::block_on;
use aqueduct::sync::RawRwLock;
use aqueduct_core::rwlock::{Fair, Policy, ReaderPriority, WriterPriority};
use aqueduct_core::semaphore::{self, Greedy, Semaphore};
use aqueduct_core::wait::Growable;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const PARTIES: usize = 4;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn threads_and_tasks_share_permits<P: semaphore::Policy + 'static>(policy: P) {
    let rounds = aqueduct_tests::share(500);
    let semaphore = Arc::new(Semaphore::with_policy(2, policy, Growable::new()));
    let inside = Arc::new(AtomicUsize::new(0));
    let enter = |inside: &AtomicUsize| {
        assert!(inside.fetch_add(1, SeqCst) < 2, "more than two inside");
        inside.fetch_sub(1, SeqCst);
    };

    let runtime = runtime();
    let tasks: Vec<_> = (0..PARTIES)
        .map(|_| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            runtime.spawn(async move {
                for _ in 0..rounds {
                    let permit = semaphore.acquire().await.unwrap();
                    enter(&inside);
                    drop(permit);
                }
            })
        })
        .collect();
    let threads: Vec<_> = (0..PARTIES)
        .map(|_| {
            let (semaphore, inside) = (semaphore.clone(), inside.clone());
            thread::spawn(move || {
                for _ in 0..rounds {
                    let permit = block_on(semaphore.acquire()).unwrap();
                    enter(&inside);
                    drop(permit);
                }
            })
        })
        .collect();

    threads.into_iter().for_each(|thread| thread.join().unwrap());
    tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn threads_and_tokio_tasks_share_a_fair_semaphore() {
    threads_and_tasks_share_permits(semaphore::Fair);
}

#[test]
fn threads_and_tokio_tasks_share_a_greedy_semaphore() {
    threads_and_tasks_share_permits(Greedy);
}

/// A `lock_api` lock over ours: its users block, some with a limit; tasks of tokio await the raw lock in it.
macro_rules! one_lock_for_all {
    ($policy:ty) => {{
        let rounds = aqueduct_tests::share(500);
        let lock = Arc::new(lock_api::RwLock::<RawRwLock<$policy>, [usize; 2]>::new([0; 2]));

        let runtime = runtime();
        let tasks: Vec<_> = (0..PARTIES)
            .map(|_| {
                let lock = lock.clone();
                runtime.spawn(async move {
                    for _ in 0..rounds {
                        // SAFETY: we unlock what we locked, by the guard made below.
                        unsafe { lock.raw() }.write().await;
                        // SAFETY: the raw lock let us in as the writer.
                        let mut pair = unsafe { lock.make_write_guard_unchecked() };
                        pair[0] += 1;
                        pair[1] += 1;
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || {
                    for round in 0..rounds {
                        // Without a limit, and with one that is not reached.
                        let mut pair = match round % 2 {
                            0 => lock.write(),
                            _ => lock.try_write_for(Duration::MAX).unwrap(),
                        };
                        pair[0] += 1;
                        pair[1] += 1;
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let lock = lock.clone();
                thread::spawn(move || {
                    for _ in 0..rounds {
                        let pair = lock.read();
                        assert_eq!(pair[0], pair[1]);
                        // One that is inside may come in again, whoever waits.
                        assert_eq!(*lock.read_recursive(), *pair);
                        // A limit that has passed leaves the line, and nobody waits for us.
                        assert!(lock.try_write_for(Duration::ZERO).is_none());
                    }
                })
            })
            .collect();

        writers.into_iter().chain(readers).for_each(|thread| thread.join().unwrap());
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
        let total = (PARTIES + 2) * rounds;
        assert_eq!(*lock.read(), [total, total]);
        assert!(lock.try_write().is_some(), "free again");
    }};
}

#[test]
fn lock_api_users_threads_and_tokio_tasks_share_a_lock_for_writers_first() {
    one_lock_for_all!(WriterPriority);
}

#[test]
fn lock_api_users_threads_and_tokio_tasks_share_a_lock_for_readers_first() {
    one_lock_for_all!(ReaderPriority);
}

#[test]
fn lock_api_users_threads_and_tokio_tasks_share_a_fair_lock() {
    one_lock_for_all!(Fair);
}

/// An upgrade with a limit: given up, it is the upgradable reader still.
fn an_upgrade_gives_up_in_time<P: Policy>(lock: &lock_api::RwLock<RawRwLock<P>, u32>)
where
    RawRwLock<P>: lock_api::RawRwLockUpgradeTimed<Duration = Duration>,
{
    let reader = lock.read();
    let upgradable = lock.upgradable_read();
    let upgradable =
        lock_api::RwLockUpgradableReadGuard::try_upgrade_for(upgradable, Duration::ZERO)
            .unwrap_err();
    assert!(lock.try_upgradable_read().is_none(), "it is there still");
    drop(reader);
    let mut writer =
        lock_api::RwLockUpgradableReadGuard::try_upgrade_for(upgradable, Duration::MAX).unwrap();
    *writer += 1;
}

#[test]
fn an_upgrade_with_a_limit_is_undone_when_it_passes() {
    an_upgrade_gives_up_in_time(&lock_api::RwLock::<RawRwLock<WriterPriority>, _>::new(0));
    an_upgrade_gives_up_in_time(&lock_api::RwLock::<RawRwLock<ReaderPriority>, _>::new(0));
    an_upgrade_gives_up_in_time(&lock_api::RwLock::<RawRwLock<Fair>, _>::new(0));
}
