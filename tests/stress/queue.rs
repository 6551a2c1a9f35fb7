//! The bounded queue among real threads.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;

use aqueduct_core::queue::ArrayQueue;
use aqueduct_tests::history::{Event, Others, Step, explain};
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op;

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
            for _ in 0..20_000 {
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
    const ITEMS: u64 = 5_000;
    for capacity in [1, 2, 3, 64] {
        let (producers, consumers) = (2, 2);
        let queue = ArrayQueue::new(capacity);
        let producing = AtomicUsize::new(producers);
        let got = together(producers + consumers, |n| {
            let mut got = Vec::new();
            if n < producers {
                for nth in 0..ITEMS {
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
        let sent = (0..producers as u64).flat_map(|from| (0..ITEMS).map(move |nth| (from, nth)));
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
            for nth in 0..20_000 {
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
    const ITEMS: usize = 5_000;
    for capacity in [1, 2, 5] {
        let ledger = Ledger::new(2 * ITEMS);
        let queue = ArrayQueue::new(capacity);
        let (displaced, popped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = AtomicUsize::new(0);
        together(3, |n| {
            if n < 2 {
                for nth in 0..ITEMS {
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
        assert_eq!(gone + queue.len(), 2 * ITEMS, "capacity {capacity}");
        drop(queue);
        ledger.settle().unwrap();
    }
}

/// Batches and single calls mixed; every item is dropped once, and each producer's stay in order.
#[test]
fn batches_among_single_calls_add_up() {
    const ITEMS: u64 = 5_000;
    for capacity in [1, 3, 16] {
        let ledger = Ledger::new(2 * ITEMS as usize);
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
                    let mut rest = (0..ITEMS).map(|nth| nth * 2 + n as u64).peekable();
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
        assert_eq!(taken.into_inner(), 2 * ITEMS as usize, "capacity {capacity}");
    }
}

/// Histories of real threads, searched for a sequential order.
#[test]
fn recorded_histories_are_linearizable() {
    const CALLS: u64 = 400;
    for (round, capacity) in [1, 2, 3, 2, 3, 4].into_iter().enumerate() {
        let ledger = Ledger::new(20_000);
        let queue = ArrayQueue::starting_at(capacity, usize::MAX - 20);
        let clock = AtomicU64::new(0);
        let calls = together(4, |n| {
            let mut random = (round * 4 + n) as u64 + 1;
            (0..CALLS)
                .map(|nth| {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let value = (n as u64 * CALLS + nth + 1) * 10;
                    let op = match random % 10 {
                        0..=3 => Op::Push(value),
                        4..=6 => Op::Pop,
                        7 => Op::Force(value),
                        8 => Op::PushMany(value, 3),
                        _ => Op::PopMany(2),
                    };
                    let began = clock.fetch_add(1, SeqCst);
                    let events = op.apply(&queue, &ledger);
                    let ended = clock.fetch_add(1, SeqCst);
                    (op, events, began, ended)
                })
                .collect::<Vec<_>>()
        });
        let left: Vec<_> = queue.into_iter().map(Item::into_value).collect();
        ledger.settle().unwrap();

        let held_around = |party: usize, began: u64, ended: u64| -> usize {
            (0..calls.len())
                .filter(|&other| other != party)
                .flat_map(|other| &calls[other])
                .filter(|(_, _, other_began, other_ended)| {
                    *other_began < ended && began < *other_ended
                })
                .map(|(op, ..)| op.most_held())
                .sum()
        };
        let chains: Vec<Vec<Step>> = (0..calls.len())
            .map(|party| {
                calls[party]
                    .iter()
                    .flat_map(|(_, events, began, ended)| {
                        let others = Others::HoldUpTo(held_around(party, *began, *ended));
                        let step = move |event: &Event| Step {
                            event: event.clone(),
                            began: *began,
                            ended: *ended,
                            others,
                        };
                        events.iter().map(step)
                    })
                    .collect()
            })
            .collect();
        if let Err(complaint) = explain(capacity, &[], &chains, Some(&left)) {
            panic!("capacity {capacity}: {complaint}");
        }
    }
}
