//! Jobs that nobody waits for: accepted, counted and dropped as the others are.

use super::Gate;
use crate::support::Drops;
use aqueduct::pool::{self, Full, Job, JobError, Pool, Priority, Refusal, Rejection};
use std::sync::mpsc;
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering::SeqCst};
use std::time::Duration;

/// A pool whose only worker waits at the gate, and whose queue has room for so many.
fn busy(full: Full, capacity: usize) -> (Pool, Gate) {
    let pool = Pool::builder().max_workers(1).queue_capacity(capacity).on_full(full).build();
    let (pool, gate) = (pool.unwrap(), Gate::default());
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    (pool, gate)
}

/// R01, R10: Each runs once, in the order of submission, whatever it captures.
#[test]
fn light_jobs_run_once_and_in_order_inline_or_boxed() {
    let (pool, gate) = busy(Full::Block, 100);
    let (note, seen) = mpsc::channel();
    for n in 0..100_usize {
        let note = note.clone();
        if n % 2 == 0 {
            pool.execute(move || note.send(n).unwrap()).unwrap();
        } else {
            // Nine words do not lie in a slot.
            let long = [n; 8];
            pool.execute(move || note.send(long[7]).unwrap()).unwrap();
        }
    }
    drop(note);
    gate.open();
    assert_eq!(seen.iter().collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    pool.wait_idle();
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.completed, metrics.in_flight), (101, 101, 0));
    assert_eq!(metrics.queue_wait(Priority::Normal).count(), 101);
    assert_eq!(metrics.run_time(Priority::Normal).count(), 101);
}

/// R17: A panic is counted, and nobody else's concern.
#[test]
fn a_light_job_that_panics_is_counted_and_drops_what_it_held() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let drops = Drops::default();
    let token = drops.item();
    pool.execute(move || {
        let _token = token;
        panic!("on purpose")
    })
    .unwrap();
    pool.execute(|| ()).unwrap();
    pool.wait_idle();
    let metrics = pool.metrics();
    assert_eq!((metrics.panicked, metrics.completed, metrics.in_flight), (1, 1, 0));
    assert_eq!(drops.count(), 1);
}

/// R71: Each policy of a full queue does with a light job what it does with others, and hands back what it refuses.
#[test]
fn a_full_queue_treats_light_jobs_as_others() {
    let ran = Arc::new(AtomicUsize::new(0));
    let job = || {
        let ran = Arc::clone(&ran);
        move || ran.fetch_add(1, SeqCst)
    };
    let run = |f: fn(&Pool) -> Option<Refusal>, full: Full| {
        ran.store(0, SeqCst);
        let (pool, gate) = busy(full, 1);
        let queued = job();
        pool.execute(move || assert!(queued() < 2)).unwrap();
        let refused = f(&pool);
        gate.open();
        pool.wait_idle();
        let metrics = pool.metrics();
        assert_eq!(metrics.submitted, 3);
        (refused, ran.load(SeqCst), metrics.rejected)
    };
    let plain: fn(&Pool) -> Option<Refusal> = |pool| {
        pool.execute(|| ()).err().map(|refused| {
            (refused.job)();
            refused.reason
        })
    };
    assert_eq!(run(plain, Full::Reject), (Some(Refusal::Full), 1, 1));
    let at_once = Full::BlockTimeout(Duration::ZERO);
    assert_eq!(run(plain, at_once), (Some(Refusal::Timeout), 1, 1));
    assert_eq!(run(plain, Full::CallerRuns), (None, 1, 0));
    assert_eq!(run(plain, Full::DropNewest), (None, 1, 1));
    // The one that was queued makes room.
    assert_eq!(run(plain, Full::DropOldest), (None, 0, 1));
}

/// R71: Who waits for room gets in when there is some.
#[test]
fn a_light_job_waits_for_room() {
    let (pool, gate) = busy(Full::Block, 1);
    pool.execute(|| ()).unwrap();
    let (note, seen) = mpsc::channel();
    std::thread::scope(|scope| {
        let last = scope.spawn(|| pool.execute(move || note.send(7).unwrap()).is_ok());
        gate.open();
        assert!(last.join().unwrap());
    });
    assert_eq!(seen.recv(), Ok(7));
}

/// A light job and one with a handle displace each other.
#[test]
fn the_oldest_makes_room_whatever_it_is() {
    let (pool, gate) = busy(Full::DropOldest, 1);
    let drops = Drops::default();
    let token = drops.item();
    pool.execute(move || drop(token)).unwrap();
    let handle = pool.submit(|| ()).unwrap();
    assert_eq!(drops.count(), 1, "dropped unrun, at once");
    pool.execute(|| ()).unwrap();
    assert!(matches!(handle.join(), Err(JobError::Rejected(Rejection::Displaced))));
    gate.open();
    pool.wait_idle();
    assert_eq!((pool.metrics().completed, pool.metrics().rejected), (2, 2));
}

/// R21, R22, R24: An abort drops those that wait, unrun, counts them as cancelled, and names the one that runs.
#[test]
fn an_abort_cancels_light_jobs_and_names_the_one_that_runs() {
    let (pool, gate) = busy(Full::Block, 10);
    let drops = Drops::default();
    for _ in 0..10 {
        let token = drops.item();
        pool.execute(move || {
            drop(token);
            unreachable!("it was cancelled")
        })
        .unwrap();
    }
    let report = pool.shutdown_now();
    assert_eq!((report.cancelled, report.running.len(), drops.count()), (10, 1, 10));
    let refused = pool.execute(|| ()).unwrap_err();
    assert_eq!(refused.reason, Refusal::ShutDown);
    gate.open();
    assert!(pool.shutdown().is_complete());
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.cancelled, metrics.rejected), (1, 10, 1));
}

/// R21: A drain runs them all.
#[test]
fn a_drain_runs_light_jobs() {
    let (pool, gate) = busy(Full::Block, 50);
    for _ in 0..50 {
        pool.execute(|| ()).unwrap();
    }
    gate.open();
    assert!(pool.shutdown().is_complete());
    assert_eq!(pool.metrics().completed, 51);
}

/// Pools with limits, and pools without a queue, keep their promises to light jobs, too.
#[test]
fn limits_and_missing_queues_hold_for_light_jobs() {
    let builder = || Pool::builder().max_workers(1);
    let pool = builder().run_timeout(Duration::from_nanos(1)).build().unwrap();
    pool.execute(std::thread::yield_now).unwrap();
    pool.wait_idle();
    assert_eq!(pool.metrics().timed_out, 1);
    let pool = builder().queue_capacity(0).on_full(Full::Reject).build().unwrap();
    let gate = Gate::default();
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    assert_eq!(pool.execute(|| ()).unwrap_err().reason, Refusal::Full);
    gate.open();
}

/// A light job may submit and join others of its pool, however small that is, and knows its pool by the thread.
#[test]
fn light_jobs_submit_and_join() {
    let pool = Pool::builder().max_workers(1).queue_capacity(2).build().unwrap();
    let inner = pool.clone();
    pool.execute(move || {
        let handle = inner.submit_job(Job::new(|| 6 * 7)).unwrap();
        assert_eq!(handle.join().unwrap().value, 42);
        for _ in 0..10 {
            // More than the queue holds: the worker runs what does not fit.
            pool::execute(|| ()).unwrap();
        }
    })
    .unwrap();
    pool.wait_idle();
    assert_eq!(pool.metrics().completed, 12);
    assert_eq!(pool::execute(|| ()).unwrap_err().reason, Refusal::NoPool);
}
