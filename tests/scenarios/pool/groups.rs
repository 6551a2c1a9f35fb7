//! Jobs that belong together, jobs that borrow, and jobs that are awaited.

use super::Gate;
use crate::support::{Drops, poll};
use aqueduct::park::block_on;
use aqueduct::pool::{Job, JobError, Pool, Refusal, Rejection};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::task::Waker;

/// R19: The results end after the last, be they asked for as they come or in order; a job that is lost is none that is missing.
#[test]
fn results_end_after_the_last() {
    let pool = Pool::builder().max_workers(3).build().unwrap();
    assert_eq!(pool.results::<u8>().completed().count(), 0);
    let results = pool.results();
    for n in 0..100 {
        let job = Job::new(move || if n % 10 == 3 { panic!("on purpose") } else { n });
        assert_eq!(results.submit_job(job).unwrap(), n);
    }
    let mut seen: Vec<_> = results.completed().map(|(n, outcome)| (n, outcome.is_ok())).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..100).map(|n| (n, n % 10 != 3)).collect::<Vec<_>>());

    let results = pool.results();
    for n in 0..100 {
        results.submit(move || n).unwrap();
    }
    let mut in_order = results.in_order();
    for n in 0..100 {
        assert_eq!(in_order.next().unwrap().unwrap().value, n);
    }
    assert!(in_order.next().is_none() && in_order.next().is_none());
}

/// The first that is done comes first.
#[test]
fn results_come_as_they_are_made() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let gate = Gate::default();
    let results = pool.results();
    results.submit(gate.job()).unwrap();
    results.submit(|| ()).unwrap();
    let mut completed = results.completed();
    assert_eq!(completed.next().unwrap().0, 1);
    gate.open();
    assert_eq!(completed.next().unwrap().0, 0);
    assert!(completed.next().is_none());
}

/// A group keeps to its limit, though the pool has more workers.
#[test]
fn a_group_keeps_to_its_limit() {
    let pool = Pool::builder().max_workers(4).build().unwrap();
    let group = pool.group(2);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Two run at a time, or this would wait for ever.
    let two = Arc::new(Barrier::new(2));
    for _ in 0..100 {
        let (now, most, two) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&two));
        group
            .submit(move || {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                two.wait();
                now.fetch_sub(1, SeqCst);
            })
            .unwrap();
    }
    assert!(group.join_all().iter().all(Result::is_ok));
    assert_eq!(most.load(SeqCst), 2);
}

/// A group keeps to its limit, be there ever so many who submit to it at once.
#[test]
fn a_group_keeps_to_its_limit_among_many_submitters() {
    let pool = Pool::builder().min_workers(8).max_workers(8).build().unwrap();
    let group = pool.group(2);
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Arc::new((now, most));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let counts = Arc::clone(&counts);
                    let job = move || {
                        counts.1.fetch_max(counts.0.fetch_add(1, SeqCst) + 1, SeqCst);
                        // Long enough to be seen beside others.
                        (0..50).for_each(|_| std::thread::yield_now());
                        counts.0.fetch_sub(1, SeqCst);
                    };
                    group.submit(job).unwrap();
                }
            });
        }
    });
    assert!(group.join_all().iter().all(Result::is_ok));
    assert!(counts.1.load(SeqCst) <= 2, "{} ran at once", counts.1.load(SeqCst));
}

/// The first failure ends a group that is to fail fast: what waits is cancelled, what runs is asked to stop.
#[test]
fn a_group_fails_fast() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let group = pool.results().fail_fast();
    let started = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&started);
    let runs = Job::fallible(move |job| {
        inside.wait();
        Err::<(), _>(job.context().wait())
    });
    group.submit_job(runs).unwrap();
    started.wait();
    let gate = Gate::default();
    let inside = gate.clone();
    let fails = Job::fallible(move |_| {
        inside.pass();
        Err::<(), _>("on purpose")
    });
    group.submit_job(fails).unwrap();
    for _ in 0..5 {
        group.submit(|| ()).unwrap();
    }
    gate.open();
    let mut completed = group.completed();
    assert!(matches!(completed.next(), Some((1, Err(JobError::Failed(_))))));
    for (number, outcome) in completed {
        assert!(matches!(outcome, Err(JobError::Cancelled)), "{number}");
    }
    let ended = pool.results::<()>();
    ended.cancel();
    assert_eq!(ended.submit(|| ()).unwrap_err().reason, Refusal::Cancelled);
}

/// The first success is enough; without one, all errors are told.
#[test]
fn the_first_success_is_enough() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let race = pool.results();
    let started = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&started);
    let slow = Job::fallible(move |job| {
        inside.wait();
        Err::<u8, _>(job.context().wait())
    });
    race.submit_job(slow).unwrap();
    started.wait();
    race.submit_job(Job::fallible(|_| Ok::<_, &str>(7))).unwrap();
    assert_eq!(race.first_success().unwrap().value, 7);
    pool.wait_idle();

    let race = pool.results::<()>();
    for _ in 0..3 {
        race.submit(|| panic!("on purpose")).unwrap();
    }
    assert_eq!(race.first_success().unwrap_err().len(), 3);
}

/// A job may submit a group and wait for it on the only worker, even if the group has a limit.
#[test]
fn a_group_inside_a_job_needs_no_second_worker() {
    let pool = Pool::builder().max_workers(1).queue_capacity(2).build().unwrap();
    let inner = pool.clone();
    let outer = pool.submit(move || {
        let group = inner.group(3);
        for n in 0..50 {
            group.submit(move || n).unwrap();
        }
        group.join_all().into_iter().map(|job| job.unwrap().value).sum::<u64>()
    });
    assert_eq!(outer.unwrap().join().unwrap().value, 49 * 25);
}

/// Jobs of a scope borrow, and are over when it is: with free places, and without any.
#[test]
fn jobs_of_a_scope_borrow() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    for busy in [0, 2] {
        let gate = Gate::default();
        let busy: Vec<_> = (0..busy).map(|_| pool.submit(gate.job()).unwrap()).collect();
        gate.until_waiting(busy.len());
        let mut numbers: Vec<u64> = (0..1000).collect();
        let sum = pool.scope(|scope| {
            let (left, right) = numbers.split_at_mut(500);
            let left = scope.submit(|| left.iter_mut().for_each(|n| *n *= 2));
            right.iter_mut().for_each(|n| *n *= 2);
            left.join().unwrap();
            let panicked = scope.submit(|| panic!("on purpose")).join();
            assert!(matches!(panicked, Err(JobError::Panicked(_))));
            7
        });
        assert_eq!((sum, numbers.iter().sum::<u64>()), (7, 999 * 1000));
        gate.open();
        super::join_all(busy);
        pool.wait_idle();
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.panicked, metrics.in_flight), (6, 2, 0));
    assert!(metrics.workers <= 2, "the places were given back");
}

/// Scopes in jobs of scopes, and in jobs, with places for all of them and without.
#[test]
fn scopes_nest() {
    for workers in [1, 4] {
        let pool = Pool::builder().max_workers(workers).build().unwrap();
        let numbers: Vec<u64> = (0..64).collect();
        let halve = |numbers: &[u64]| {
            pool.scope(|scope| {
                let (left, right) = numbers.split_at(numbers.len() / 2);
                let left = scope.submit(|| {
                    pool.scope(|inner| {
                        let sum = inner.submit(|| left.iter().sum::<u64>());
                        sum.join().unwrap().value
                    })
                });
                right.iter().sum::<u64>() + left.join().unwrap().value
            })
        };
        assert_eq!(halve(&numbers), 63 * 32);
        let inner = pool.clone();
        let in_job = pool.submit(move || {
            let numbers = [1, 2, 3];
            inner.scope(|scope| scope.submit(|| numbers.iter().sum::<u64>()).join().unwrap().value)
        });
        assert_eq!(in_job.unwrap().join().unwrap().value, 6);
        pool.wait_idle();
        let metrics = pool.metrics();
        assert_eq!((metrics.completed, metrics.in_flight), (4, 0));
        assert!(metrics.workers <= workers, "the places were given back");
    }
}

/// A scope whose function panics ends, drops what was not begun, and gives its places back.
#[test]
fn a_scope_that_panics_leaves_nothing() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let drops = Drops::default();
    let panicked = aqueduct::thread::catch(|| {
        pool.scope(|scope| {
            let item = drops.item();
            drop(scope.submit(move || drop(item)));
            panic!("on purpose");
        })
    });
    assert!(panicked.is_err());
    assert_eq!(drops.count(), 1);
    gate.open();
    busy.join().unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.cancelled, metrics.in_flight), (1, 0));
}

/// A job that is awaited: room for it, too; dropped, it is cancelled.
#[test]
fn a_job_is_awaited() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let mut first = pin!(pool.run(|| 1));
    let mut second = Box::pin(pool.run(|| 2));
    let mut third = pin!(pool.run(|| 3));
    assert!(poll(&mut first, Waker::noop()).is_pending(), "queued");
    assert!(poll(&mut second, Waker::noop()).is_pending(), "waits for room");
    assert!(poll(&mut third, Waker::noop()).is_pending(), "waits for room");
    drop(second);
    gate.open();
    assert_eq!(block_on(&mut first).unwrap().value, 1);
    assert_eq!(block_on(&mut third).unwrap().value, 3);
    busy.join().unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.cancelled, metrics.in_flight), (3, 1, 0));
    pool.shutdown();
    let late = block_on(pool.run(|| 4));
    assert!(matches!(late, Err(JobError::Rejected(Rejection::ShutDown))));
}
