//! Locks, permits and meeting places under threads and tasks that come, give up and go, all at once.

use aqueduct::context::Context;
use aqueduct::park::{block_on, block_on_timeout};
use aqueduct::sync::{
    Barrier, Condvar, Event, Greedy, Mutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
    Semaphore, WaitGroup,
};
use aqueduct::thread;
use aqueduct_core::rwlock::{Fair, Policy, ReaderPriority, WriterPriority};
use aqueduct_core::semaphore;
use aqueduct_tests::share;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Longer than any load explains.
const FOR_EVER: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn micros(n: usize) -> Duration {
    Duration::from_micros(n as u64)
}

/// Permits taken in every way there is, some in vain: never more are out than there are, and in the end all are back.
fn permits_in_every_way<P: semaphore::Policy + 'static>(semaphore: Semaphore<P>) {
    const PERMITS: usize = 3;
    let semaphore = Arc::new(semaphore);
    let inside = Arc::new(AtomicUsize::new(0));
    let visit = {
        let inside = inside.clone();
        move |n: usize| {
            assert!(inside.fetch_add(n, SeqCst) + n <= PERMITS, "too many inside");
            inside.fetch_sub(n, SeqCst);
        }
    };
    let rounds = share(600);
    let runtime = runtime();
    let tasks: Vec<_> = (0..3)
        .map(|task| {
            let (semaphore, visit) = (semaphore.clone(), visit.clone());
            runtime.spawn(async move {
                for round in 0..rounds {
                    let n = (task + round) % PERMITS + 1;
                    let owned = semaphore.clone().acquire_many_owned(n).await.unwrap();
                    visit(owned.num_permits());
                    drop(owned);
                    let permit = semaphore.acquire().await.unwrap();
                    visit(1);
                    drop(permit);
                }
            })
        })
        .collect();
    let root = Context::background();
    thread::scope(|scope| {
        for user in 0..4 {
            let (semaphore, visit, root) = (&semaphore, &visit, &root);
            let user = move || {
                for round in 0..rounds {
                    let n = (user + round) % PERMITS + 1;
                    let limit = micros(round % 5 * 20);
                    let permit = match round % 4 {
                        0 => Some(semaphore.acquire_many_blocking(n).unwrap()),
                        1 => semaphore.acquire_timeout(n, limit).ok(),
                        2 => semaphore.acquire_ctx(&root.with_timeout(limit), n).ok(),
                        _ => semaphore.try_acquire_many(n).ok(),
                    };
                    if let Some(permit) = permit {
                        visit(permit.num_permits());
                    }
                }
            };
            scope.spawn(user).unwrap();
        }
    })
    .unwrap();
    tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    assert_eq!(semaphore.available_permits(), PERMITS);
}

#[test]
fn permits_taken_in_every_way_come_back() {
    permits_in_every_way(Semaphore::new(3));
    permits_in_every_way(Semaphore::with_policy(3, Greedy));
}

/// One lock, taken in every way there is: writers are alone, what they write stays whole, and in the end it is free.
fn a_lock_in_every_way<P: Policy + Default + 'static>() {
    let lock = Arc::new(RwLock::with_policy([0_usize; 2], P::default()));
    let written = Arc::new(AtomicUsize::new(0));
    let rounds = share(400);
    let write = |pair: &mut [usize; 2], written: &AtomicUsize| {
        pair[0] += 1;
        assert_eq!(pair[0], pair[1] + 1, "somebody else writes");
        pair[1] += 1;
        written.fetch_add(1, SeqCst);
    };
    let runtime = runtime();
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let (lock, written) = (lock.clone(), written.clone());
            runtime.spawn(async move {
                for _ in 0..rounds {
                    write(&mut *lock.write().await, &written);
                    let pair = lock.read().await;
                    assert_eq!(pair[0], pair[1]);
                    drop(pair);
                    let pair = lock.upgradable_read().await;
                    write(&mut *RwLockUpgradableReadGuard::upgrade(pair).await, &written);
                }
            })
        })
        .collect();
    let root = Context::background();
    thread::scope(|scope| {
        for user in 0..4 {
            let (lock, written, root) = (&*lock, &*written, &root);
            let user = move || {
                for round in 0..rounds {
                    let limit = micros(round % 5 * 20);
                    let guard = match (user + round) % 5 {
                        0 => Some(lock.write_blocking()),
                        1 => lock.write_timeout(limit).ok(),
                        2 => lock.write_ctx(&root.with_timeout(limit)).ok(),
                        3 => lock.upgradable_read_timeout(limit).ok().and_then(|pair| {
                            RwLockUpgradableReadGuard::upgrade_timeout(pair, limit).ok()
                        }),
                        _ => {
                            let pair = lock.upgradable_read_blocking();
                            Some(RwLockUpgradableReadGuard::upgrade_blocking(pair))
                        }
                    };
                    if let Some(mut pair) = guard {
                        write(&mut pair, written);
                        let pair = RwLockWriteGuard::downgrade(pair);
                        assert_eq!(pair[0], pair[1]);
                    }
                    if let Ok(pair) = lock.read_ctx(&root.with_timeout(limit)) {
                        assert_eq!(pair[0], pair[1]);
                    }
                }
            };
            scope.spawn(user).unwrap();
        }
    })
    .unwrap();
    tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    let pair = *lock.try_write().expect("free again");
    assert_eq!(pair, [written.load(SeqCst); 2]);
}

#[test]
fn a_lock_taken_in_every_way_stays_whole() {
    a_lock_in_every_way::<WriterPriority>();
    a_lock_in_every_way::<ReaderPriority>();
    a_lock_in_every_way::<Fair>();
}

/// Threads and tasks pass values through a place for one, under one mutex and two condition variables; some of them give up and
/// come again. Each value arrives once.
#[test]
fn a_place_for_one_under_a_mutex_and_two_condvars() {
    struct Place {
        value: Mutex<Option<usize>>,
        filled: Condvar,
        emptied: Condvar,
    }
    let place = Arc::new(Place {
        value: Mutex::new(None),
        filled: Condvar::new(),
        emptied: Condvar::new(),
    });
    let rounds = share(1_000);
    let (sum, runtime) = (Arc::new(AtomicUsize::new(0)), runtime());
    let task = {
        let place = place.clone();
        runtime.spawn(async move {
            for n in 1..=rounds {
                let mut value = place.value.lock().await;
                while value.is_some() {
                    value = place.emptied.wait_async(value).await;
                }
                *value = Some(n);
                drop(value);
                place.filled.notify_one();
            }
        })
    };
    let taker = {
        let (place, sum) = (place.clone(), sum.clone());
        runtime.spawn(async move {
            for _ in 0..rounds {
                let mut value = place.value.lock().await;
                while value.is_none() {
                    value = place.filled.wait_async(value).await;
                }
                sum.fetch_add(value.take().unwrap(), SeqCst);
                drop(value);
                place.emptied.notify_one();
            }
        })
    };
    thread::scope(|scope| {
        let putter = || {
            for n in 1..=rounds {
                let value = place.value.lock_blocking();
                let (mut value, result) =
                    place.emptied.wait_timeout_while(value, FOR_EVER, |value| value.is_some());
                assert!(!result.timed_out(), "stands still");
                *value = Some(n);
                drop(value);
                place.filled.notify_one();
            }
        };
        let taker = || {
            for _ in 0..rounds {
                let mut value = place.value.lock_blocking();
                while value.is_none() {
                    // Gives up over and over, and comes again.
                    (value, _) = place.filled.wait_timeout(value, micros(50));
                }
                sum.fetch_add(value.take().unwrap(), SeqCst);
                drop(value);
                place.emptied.notify_one();
            }
        };
        scope.spawn(putter).unwrap();
        scope.spawn(taker).unwrap();
    })
    .unwrap();
    runtime.block_on(task).unwrap();
    runtime.block_on(taker).unwrap();
    assert_eq!(sum.load(SeqCst), rounds * (rounds + 1));
}

/// Parties at a barrier, most of which lose patience at once: each round ends with as many as it is for, and one leader.
#[test]
fn each_round_of_a_barrier_ends_with_all_and_one_leader() {
    const PARTIES: usize = 3;
    let barrier = Barrier::new(PARTIES);
    let (through, leaders, over) =
        (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let rounds = share(2_000);
    thread::scope(|scope| {
        for party in 0..PARTIES + 1 {
            let (barrier, through, leaders, over) = (&barrier, &through, &leaders, &over);
            let party = move || {
                while !over.load(SeqCst) {
                    let Ok(result) = barrier.wait_timeout(micros(party * 10)) else { continue };
                    through.fetch_add(1, SeqCst);
                    if result.is_leader() && leaders.fetch_add(1, SeqCst) + 1 >= rounds {
                        over.store(true, SeqCst);
                    }
                }
            };
            scope.spawn(party).unwrap();
        }
    })
    .unwrap();
    assert_eq!(through.load(SeqCst), leaders.load(SeqCst) * PARTIES);
}

/// Something comes just as a wait for it begins, between the look and the sleep above all: nobody sleeps on. The two sides meet
/// by spinning, and one of them a little later each time.
fn comes_just_as_the_wait_begins<F: Future<Output = ()>>(
    wait: impl Fn() -> F + Sync,
    come: impl Fn(usize) + Sync,
) {
    let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let reaches = |counter: &AtomicUsize, round: usize| {
        for turn in 0.. {
            if counter.load(SeqCst) >= round {
                return;
            }
            if turn % 64 == 0 { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let rounds = share(5_000);
    thread::scope(|scope| {
        let other = || {
            for round in 1..=rounds {
                reaches(&begun, round);
                (0..round % 50).for_each(|_| std::hint::spin_loop());
                come(round);
                reaches(&ended, round);
            }
        };
        scope.spawn(other).unwrap();
        for round in 1..=rounds {
            let wait = wait();
            begun.store(round, SeqCst);
            let came = block_on_timeout(pin!(wait), FOR_EVER);
            ended.store(round, SeqCst);
            assert!(came.is_some(), "sleeps on in round {round}");
        }
    })
    .unwrap();
}

#[test]
fn an_event_that_is_set_just_as_a_wait_begins_is_seen() {
    let event = Event::new();
    let wait = || {
        event.reset();
        event.wait_async()
    };
    comes_just_as_the_wait_begins(wait, |_| assert!(event.set()));
}

#[test]
fn a_group_that_ends_just_as_a_wait_begins_is_seen() {
    let (group, token) = (WaitGroup::new(), Mutex::new(None));
    let wait = || {
        *token.lock_blocking() = Some(group.add());
        group.wait_async()
    };
    comes_just_as_the_wait_begins(wait, |_| drop(token.lock_blocking().take().unwrap()));
}

#[test]
fn an_arrival_just_as_a_wait_begins_is_seen() {
    let barrier = Barrier::new(2);
    let wait = || async {
        barrier.wait_async().await;
    };
    let come = |_| {
        block_on(barrier.wait_async());
    };
    comes_just_as_the_wait_begins(wait, come);
}
