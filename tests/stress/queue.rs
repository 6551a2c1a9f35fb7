//! The bounded queue among real threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use aqueduct_core::queue::ArrayQueue;
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::share;

/// Runs `party(n)` in `parties` threads that start together.
fn together<R: Send>(parties: usize, party: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let start = Barrier::new(parties);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..parties)
            .map(|n| {
                let (start, party) = (&start, &party);
                scope.spawn(move || {
                    start.wait();
                    party(n)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// C01: as many objects as threads. Whoever holds none finds one, since the others hold at most one each;
/// whoever gives one back is never refused.
#[test]
fn a_pool_of_objects_never_runs_dry_and_never_overflows() {
    for threads in [2, 3, 4] {
        let pool = ArrayQueue::new(threads);
        let in_use: Vec<_> = (0..threads).map(|_| AtomicBool::new(false)).collect();
        for object in 0..threads {
            pool.push(object).unwrap();
        }
        together(threads, |_| {
            for _ in 0..share(20_000) {
                let object = pool.pop().expect("some object is in the pool");
                assert!(!in_use[object].swap(true, SeqCst), "{object} was given out twice");
                in_use[object].store(false, SeqCst);
                pool.push(object).expect("there is a place for each object");
            }
        });
        let mut left: Vec<_> = pool.into_iter().collect();
        left.sort_unstable();
        assert!(left.into_iter().eq(0..threads));
    }
}

#[test]
fn every_item_arrives_once_and_each_producers_items_in_order() {
    let items = share(5_000) as u64;
    for capacity in [1, 2, 3, 64] {
        let (producers, consumers) = (2, 2);
        let queue = ArrayQueue::new(capacity);
        let producing = AtomicUsize::new(producers);
        let got = together(producers + consumers, |n| {
            let mut got = Vec::new();
            if n < producers {
                for nth in 0..items {
                    let mut item = (n as u64, nth);
                    while let Err(back) = queue.push(item) {
                        item = back;
                        thread::yield_now();
                    }
                }
                producing.fetch_sub(1, SeqCst);
            } else {
                // Empty is exact: after the last producer it is the end.
                let mut is_last_look = false;
                loop {
                    match queue.pop() {
                        Some(item) => got.push(item),
                        None if is_last_look => break,
                        None => {
                            is_last_look = producing.load(SeqCst) == 0;
                            thread::yield_now();
                        }
                    }
                }
            }
            got
        });
        for got in &got {
            for producer in 0..producers as u64 {
                let own = got.iter().filter(|(from, _)| *from == producer).map(|(_, nth)| nth);
                assert!(
                    own.is_sorted(),
                    "capacity {capacity}: a producer's items came out of order"
                );
            }
        }
        let mut all: Vec<_> = got.into_iter().flatten().collect();
        all.sort_unstable();
        let sent = (0..producers as u64).flat_map(|from| (0..items).map(move |nth| (from, nth)));
        assert!(all.into_iter().eq(sent), "capacity {capacity}: lost or doubled");
    }
}

/// C18: each pushes one and pops one; there is always one to pop, and always a place.
#[test]
fn a_pop_after_an_own_push_finds_something() {
    for threads in [2, 3] {
        let queue = ArrayQueue::new(threads);
        let sums = together(threads, |n| {
            let (mut pushed, mut popped) = (0, 0);
            for nth in 0..share(20_000) {
                let item = n * 1_000_000 + nth;
                queue.push(item).expect("every thread has at most one item in");
                pushed += item;
                popped += queue.pop().expect("own push, and nobody pops without pushing first");
            }
            (pushed, popped)
        });
        let pushed: usize = sums.iter().map(|sum| sum.0).sum();
        let popped: usize = sums.iter().map(|sum| sum.1).sum();
        assert_eq!(pushed, popped);
    }
}

#[test]
fn forced_pushes_add_up() {
    let items = share(5_000);
    for capacity in [1, 2, 5] {
        let ledger = Ledger::new(2 * items);
        let queue = ArrayQueue::new(capacity);
        let (displaced, popped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = AtomicUsize::new(0);
        together(3, |n| {
            if n < 2 {
                for nth in 0..items {
                    if queue.force_push(ledger.item(nth as u64)).is_some() {
                        displaced.fetch_add(1, SeqCst);
                    }
                }
                done.fetch_add(1, SeqCst);
            } else {
                while done.load(SeqCst) < 2 {
                    match queue.pop() {
                        Some(_) => drop(popped.fetch_add(1, SeqCst)),
                        None => thread::yield_now(),
                    }
                }
            }
        });
        let gone = displaced.into_inner() + popped.into_inner();
        ledger.judge(queue.len()).unwrap();
        assert_eq!(gone + queue.len(), 2 * items, "capacity {capacity}");
        drop(queue);
        ledger.settle().unwrap();
    }
}

/// Batches and single calls mixed; every item is dropped once, and each producer's stay in order.
#[test]
fn batches_among_single_calls_add_up() {
    let items = share(5_000) as u64;
    for capacity in [1, 3, 16] {
        let ledger = Ledger::new(2 * items as usize);
        let queue = ArrayQueue::new(capacity);
        let (producing, taken) = (AtomicUsize::new(2), AtomicUsize::new(0));
        together(4, |n| {
            let mut newest = [0; 2];
            let mut take = |item: Item<'_>| {
                let (from, nth) = ((item.value() % 2) as usize, item.value() / 2);
                assert!(nth + 1 > newest[from], "a producer's items came out of order");
                newest[from] = nth + 1;
                taken.fetch_add(1, SeqCst);
            };
            match n {
                0 | 1 => {
                    let mut rest = (0..items).map(|nth| nth * 2 + n as u64).peekable();
                    while rest.peek().is_some() {
                        // In turn: what fits of seven, of as many as it says nothing about, one.
                        queue.push_many(&mut rest.by_ref().take(7).map(|value| ledger.item(value)));
                        let mut some = 3;
                        queue.push_many(&mut std::iter::from_fn(|| {
                            some -= 1;
                            if some == 0 { None } else { rest.next().map(|v| ledger.item(v)) }
                        }));
                        thread::yield_now();
                    }
                    producing.fetch_sub(1, SeqCst);
                }
                _ => {
                    let mut is_last_look = false;
                    loop {
                        let took = if n == 2 {
                            queue.pop_many(5, &mut take)
                        } else {
                            queue.pop().into_iter().map(&mut take).count()
                        };
                        if took == 0 {
                            if is_last_look {
                                break;
                            }
                            is_last_look = producing.load(SeqCst) == 0;
                            thread::yield_now();
                        }
                    }
                }
            }
        });
        ledger.settle().unwrap();
        assert_eq!(taken.into_inner(), 2 * items as usize, "capacity {capacity}");
    }
}
