//! Threads of scopes, which hold the places of workers, and what they wait for.

use super::Gate;
use crate::support::{Drops, FOR_EVER, eventually};
use aqueduct::pool::{Full, Job, JobError, Pool, Priority, Refusal, Rejection, ScopedJob};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

/// One worker at the most, and nobody in the place of one that waits.
fn pool() -> Pool {
    Pool::builder().max_workers(1).max_compensation(0).queue_capacity(1).build().unwrap()
}

/// Runs it on a thread of a scope, which holds the only place: the thread that opened the scope is busy until it has begun, and
/// the pool had no worker before.
fn in_the_only_place<R: Send>(pool: &Pool, job: impl FnOnce() -> R + Send) -> R {
    assert_eq!(pool.metrics().workers, 0);
    pool.scope(|scope| {
        let (begun, wait) = mpsc::channel();
        let job = scope.submit(move || {
            begun.send(()).unwrap();
            job()
        });
        wait.recv().unwrap();
        let done = job.join().unwrap();
        assert!(done.worker.is_some());
        done.value
    })
}

/// It has the last place, and joins a job of the pool, or waits for room, or for a group: the place is another's meanwhile.
#[test]
fn a_scoped_job_that_waits_for_the_pool_gives_its_place_back() {
    let join = pool();
    assert_eq!(in_the_only_place(&join, || join.submit(|| 7).unwrap().join().unwrap().value), 7);
    let room = pool();
    let values = in_the_only_place(&room, || {
        let jobs: Vec<_> = (0..9).map(|n| room.submit(move || n).unwrap()).collect();
        jobs.into_iter().map(|job| job.join().unwrap().value).sum::<u32>()
    });
    assert_eq!(values, 36);
    let line = pool();
    let values = in_the_only_place(&line, || {
        let job = |n| Job::new(move || n).key("k").on_full(Full::Block);
        let jobs: Vec<_> = (0..9).map(|n| line.submit_job(job(n)).unwrap()).collect();
        jobs.into_iter().map(|job| job.join().unwrap().value).sum::<u32>()
    });
    assert_eq!(values, 36);
    let limit = pool();
    let all = in_the_only_place(&limit, || {
        let group = limit.group(2);
        for n in 0..9 {
            group.submit(move || n).unwrap();
        }
        group.join_all().len()
    });
    assert_eq!(all, 9);
    for pool in [join, room, line, limit] {
        pool.wait_idle();
        assert_eq!(pool.metrics().in_flight, 0);
    }
}

/// It would wait for its own place to be given back.
#[test]
fn a_scoped_job_shuts_its_pool_down() {
    let pool = pool();
    let report = in_the_only_place(&pool, || {
        pool.execute(|| ()).unwrap();
        pool.shutdown()
    });
    assert_eq!(report.running.len(), 1, "itself: {report}");
    assert!(pool.shutdown().is_complete());
    assert_eq!(pool.metrics().completed, 2);
}

/// Each comes while the thread of the one before it is about to go, and nobody joins it.
#[test]
fn a_scoped_job_that_comes_while_a_thread_goes_has_one() {
    let pool = pool();
    pool.scope(|scope| {
        let (note, seen) = mpsc::channel();
        for n in 0..2_000 {
            let note = note.clone();
            drop(scope.submit(move || note.send(n).unwrap()));
            assert_eq!(seen.recv(), Ok(n));
        }
    });
}

/// Without a queue a job is let in for a worker that may be there, and not for a thread of a scope.
#[test]
fn without_a_queue_the_place_of_a_scope_lets_nobody_in() {
    let pool = Pool::builder().max_workers(1).queue_capacity(0).build().unwrap();
    let refused = in_the_only_place(&pool, || pool.try_submit(|| ()).map(drop).unwrap_err().reason);
    assert_eq!(refused, Refusal::Full);
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
    let pool = Pool::builder().max_workers(1).queue_capacity(0).build().unwrap();
    // It waits at the door for its own place.
    assert_eq!(in_the_only_place(&pool, || pool.submit(|| 7).unwrap().join().unwrap().value), 7);
}

/// R73: A job that nobody has begun when the function of its scope panics has an outcome as well, and whoever joins it is told.
#[test]
fn a_job_that_its_scope_drops_is_cancelled_for_whoever_joins_it() {
    let (told, hears) = mpsc::channel();
    std::thread::spawn(move || {
        let (pool, drops) = (pool(), Drops::default());
        let is_cancelled = AtomicBool::new(false);
        let panicked = aqueduct::thread::catch(|| {
            pool.scope(|scope| {
                let (begun, wait) = mpsc::channel();
                let (give, take) = mpsc::channel::<ScopedJob<'_, ()>>();
                let (drops, is_cancelled) = (&drops, &is_cancelled);
                drop(scope.submit(move || {
                    begun.send(()).unwrap();
                    let job = take.recv().unwrap();
                    eventually("it is dropped", || drops.count() == 1);
                    is_cancelled.store(matches!(job.join(), Err(JobError::Cancelled)), SeqCst);
                }));
                wait.recv().unwrap();
                let item = drops.item();
                give.send(scope.submit(move || drop(item))).unwrap();
                panic!("on purpose");
            })
        });
        assert!(panicked.is_err());
        let metrics = pool.metrics();
        assert_eq!((metrics.cancelled, metrics.completed, metrics.in_flight), (1, 1, 0));
        told.send(is_cancelled.load(SeqCst)).unwrap();
    });
    assert_eq!(hears.recv_timeout(FOR_EVER), Ok(true));
}

/// After an abort, jobs of scopes do not begin either; those that run are named, wherever that is.
#[test]
fn an_abort_holds_for_the_jobs_of_scopes() {
    let (pool, gate) = (pool(), Gate::default());
    let ran = AtomicUsize::new(0);
    pool.scope(|scope| {
        let stuck = scope.submit(gate.job());
        gate.until_waiting(1);
        let waits = scope.submit(|| ran.fetch_add(1, SeqCst));
        let report = pool.shutdown_timeout(Duration::from_millis(1));
        gate.open();
        let stuck = stuck.join().unwrap();
        assert!(matches!(waits.join(), Err(JobError::Cancelled)));
        let running: Vec<_> = report.running.iter().map(|job| (job.id, job.worker)).collect();
        assert_eq!(running, [(stuck.id, stuck.worker)], "{report}");
        assert!(stuck.worker.is_some());
    });
    assert_eq!(ran.load(SeqCst), 0);
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.cancelled, metrics.in_flight), (1, 1, 0));
    assert!(pool.shutdown().is_complete());
}

/// The thread that opened the scope runs it, which is no place of a worker.
#[test]
fn a_job_that_runs_where_its_scope_was_opened_is_named() {
    let (pool, gate) = (pool(), Gate::default());
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let done =
        pool.scope(|scope| scope.submit(|| pool.shutdown_timeout(Duration::ZERO)).join().unwrap());
    let running: Vec<_> = done.value.running.iter().map(|job| job.id).collect();
    assert_eq!(running, [busy.id(), done.id], "{}", done.value);
    assert_eq!((done.value.running[1].worker, done.worker), (None, None));
    gate.open();
    busy.join().unwrap();
}

/// What its function holds is dropped, and it is counted as refused.
#[test]
fn a_pool_that_is_shut_down_takes_no_job_of_a_scope() {
    let (pool, drops) = (pool(), Drops::default());
    pool.scope(|scope| {
        pool.shutdown();
        let item = drops.item();
        let refused = scope.submit(move || drop(item));
        assert_eq!(drops.count(), 1);
        let outcome = refused.join();
        assert!(matches!(outcome, Err(JobError::Rejected(Rejection::ShutDown))), "{outcome:?}");
    });
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.rejected, metrics.in_flight), (1, 1, 0));
}

thread_local! {
    /// Whether this thread joins a job.
    static JOINS: Cell<bool> = const { Cell::new(false) };
}

/// A job of a scope that holds a lock, and joins another, is not given a third that may want that lock.
#[test]
fn a_job_of_a_scope_that_joins_another_runs_no_third() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let (gate, third_ran) = (Gate::default(), AtomicBool::new(false));
    pool.scope(|scope| {
        let first = scope.submit(gate.job());
        gate.until_waiting(1);
        let (begun, wait) = mpsc::channel();
        let (go, may) = mpsc::channel();
        let second = scope.submit(move || {
            begun.send(()).unwrap();
            may.recv().unwrap();
            JOINS.set(true);
            first.join().unwrap();
            JOINS.set(false);
        });
        wait.recv().unwrap();
        // Both places are taken.
        let third = scope.submit(|| {
            third_ran.store(true, SeqCst);
            JOINS.get()
        });
        go.send(()).unwrap();
        // It waits, in no place; or it has run the third.
        let waits_or_helps = || pool.metrics().workers == 1 || third_ran.load(SeqCst);
        eventually("it joins the first", waits_or_helps);
        gate.open();
        second.join().unwrap();
        assert!(!third.join().unwrap().value, "it ran on top of one that joins another");
    });
}

/// It runs that which it joins, if nobody has begun it.
#[test]
fn a_job_of_a_scope_runs_what_it_joins() {
    let pool = pool();
    let outer = pool.scope(|scope| {
        let (begun, wait) = mpsc::channel();
        let (give, take) = mpsc::channel::<ScopedJob<'_, _>>();
        let outer = scope.submit(move || {
            begun.send(()).unwrap();
            take.iter().map(|job| job.join().unwrap()).collect::<Vec<_>>()
        });
        wait.recv().unwrap();
        for n in 0..3 {
            give.send(scope.submit(move || n)).unwrap();
        }
        drop(give);
        // Without the help of this thread.
        eventually("it has run them", || pool.metrics().completed == 4);
        outer.join().unwrap()
    });
    let inner: Vec<_> = outer.value.iter().map(|job| (job.value, job.worker)).collect();
    assert!(outer.worker.is_some());
    assert_eq!(inner, [0, 1, 2].map(|n| (n, outer.worker)));
}

/// Their waits and runs are noted, a refused thread is counted, and panics have their backtraces.
#[test]
fn jobs_of_scopes_are_in_all_books() {
    let pool = Pool::builder().max_workers(1).stack_size(usize::MAX / 2).capture_backtraces(true);
    let pool = pool.build().unwrap();
    let panic = pool.scope(|scope| {
        scope.submit(|| ()).join().unwrap();
        scope.submit(|| panic!("on purpose")).join().unwrap_err()
    });
    let metrics = pool.metrics();
    let normal = Priority::Normal;
    let times = (metrics.queue_wait(normal).count(), metrics.run_time(normal).count());
    assert_eq!((times, metrics.spawn_failures, metrics.workers), ((2, 2), 2, 0));
    let JobError::Panicked(panic) = panic else { panic!("{panic}") };
    assert!(panic.backtrace().is_some());
}
