//! Jobs of one key, and workers that wait for them.

use super::Gate;
use crate::support::eventually;
use aqueduct::pool::{
    Cancel, Full, Group, Job, JobError, JobHandle, Limit, Pool, Priority, Refusal,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

fn pool_of(workers: usize) -> Pool {
    Pool::builder().max_workers(workers).max_compensation(0).build().unwrap()
}

/// Submits a job of key "k" that says its number.
fn numbered(pool: &Pool, n: u32) -> JobHandle<u32> {
    pool.submit_job(Job::new(move || n).key("k")).unwrap()
}

/// A worker that joins a job in a line runs those before it, and then that one; be it joined, with a limit, or by a group.
#[test]
fn a_worker_helps_the_line_that_it_waits_for() {
    let pool = pool_of(1);
    let inner = pool.clone();
    let outer = pool.submit(move || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut jobs: Vec<_> = (0..4)
            .map(|n| {
                let order = Arc::clone(&order);
                let job = Job::new(move || order.lock().unwrap().push(n)).key("k");
                inner.submit_job(job).unwrap()
            })
            .collect();
        assert_eq!(jobs[2].cancel(), Cancel::Cancelled);
        jobs.remove(1).join().unwrap();
        let last = jobs.pop().unwrap().join_timeout(Duration::MAX);
        last.unwrap().unwrap();
        let group: Group<u32> = inner.results();
        for n in 0..4 {
            group.submit_job(Job::new(move || n).key("k")).unwrap();
        }
        // The last first.
        let behind = numbered(&inner, 9);
        assert_eq!(behind.join().unwrap().value, 9);
        let sum: u32 = group.join_all().into_iter().map(|job| job.unwrap().value).sum();
        (Arc::into_inner(order).unwrap().into_inner().unwrap(), sum)
    });
    assert_eq!(outer.unwrap().join().unwrap().value, (vec![0, 1, 3], 6));
    pool.wait_idle();
    assert_eq!(pool.metrics().in_flight, 0);
}

/// The worker sleeps, since the first of the line runs elsewhere; when that is done it runs the second, though all others are busy.
#[test]
fn a_worker_that_waits_for_a_line_goes_on_when_a_turn_is_passed() {
    let pool = pool_of(2);
    let (first, busy) = (Gate::default(), Gate::default());
    let joined = pool.submit_job(Job::new(first.job()).key("k")).unwrap();
    first.until_waiting(1);
    let (second, third) = (numbered(&pool, 2), numbered(&pool, 3));
    let outer = pool.submit(move || third.join().unwrap().value).unwrap();
    // In the queue before the turn is passed on: whoever runs the first comes to this one before the second.
    let other = pool.submit(busy.job()).unwrap();
    first.open();
    assert_eq!(outer.join().unwrap().value, 3);
    assert_eq!(second.join().unwrap().value, 2);
    joined.join().unwrap();
    busy.open();
    other.join().unwrap();
}

/// A group that a worker waits for, with a job in a line behind one that runs elsewhere.
#[test]
fn a_group_with_a_line_is_helped_when_a_turn_is_passed() {
    let pool = pool_of(2);
    let (first, busy) = (Gate::default(), Gate::default());
    let joined = pool.submit_job(Job::new(first.job()).key("k")).unwrap();
    first.until_waiting(1);
    let group = pool.results();
    for n in 0..3 {
        group.submit_job(Job::new(move || n).key("k")).unwrap();
    }
    let outer = pool.submit(move || group.join_all().len()).unwrap();
    let other = pool.submit(busy.job()).unwrap();
    first.open();
    assert_eq!(outer.join().unwrap().value, 3);
    busy.open();
    other.join().unwrap();
    joined.join().unwrap();
}

/// A group that somebody else waits for, who is no worker, can still be helped by a worker.
#[test]
fn a_group_is_helped_by_a_worker_beside_others_who_wait() {
    let pool = pool_of(1);
    let gate = Gate::default();
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let group = Arc::new(pool.group(1));
    group.submit(|| ()).unwrap();
    let inner = Arc::clone(&group);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| group.submit(|| ()).unwrap());
        // So that it probably waits.
        (0..1_000).for_each(|_| std::thread::yield_now());
        let outer = Job::new(move || inner.submit(|| ()).unwrap()).priority(Priority::Urgent);
        let outer = pool.submit_job(outer).unwrap();
        gate.open();
        outer.join().unwrap();
        waits.join().unwrap();
    });
    busy.join().unwrap();
    let group = Arc::into_inner(group).expect("the job has dropped its hold");
    assert_eq!(group.join_all().len(), 3);
}

/// R16: A job that is late keeps the turn of its key until its function has returned, whoever comes to its empty entry.
#[test]
fn a_late_job_keeps_its_turn() {
    let pool = Pool::builder().max_workers(2).max_compensation(4).build().unwrap();
    let running = Arc::new(AtomicUsize::new(0));
    let (inner, gate) = (pool.clone(), Gate::default());
    let (inside, alone) = (gate.clone(), Arc::clone(&running));
    let (started, seen) = mpsc::channel();
    let busy = Gate::default();
    let others = pool.submit(busy.job()).unwrap();
    busy.until_waiting(1);
    let outer = pool.submit(move || {
        let late = Job::new(move || {
            alone.fetch_add(1, SeqCst);
            inside.pass();
            alone.fetch_sub(1, SeqCst);
        });
        let late = inner.submit_job(late.timeout(Duration::from_millis(1)).key("k")).unwrap();
        let alone = Arc::clone(&running);
        let next = Job::new(move || alone.load(SeqCst)).key("k");
        started.send(inner.submit_job(next).unwrap()).unwrap();
        // Begun here, and its entry is in the queue.
        late.join()
    });
    let outer = outer.unwrap();
    let next = seen.recv().unwrap();
    gate.until_waiting(1);
    eventually("it is late", || pool.metrics().timed_out == 1);
    busy.open();
    others.join().unwrap();
    // The other worker has come to the entry of the late one before these.
    pool.submit(|| ()).unwrap().join().unwrap();
    pool.submit(|| ()).unwrap().join().unwrap();
    assert!(!next.is_finished());
    gate.open();
    assert!(matches!(outer.join().unwrap().value, Err(JobError::TimedOut(Limit::Run))));
    assert_eq!(next.join().unwrap().value, 0, "alone of its key");
}

/// Where nobody could make room in the lines, a worker does not wait for it.
#[test]
fn a_worker_does_not_wait_for_room_that_it_would_have_to_make() {
    let pool =
        Pool::builder().max_workers(1).max_compensation(0).queue_capacity(1).build().unwrap();
    let inner = pool.clone();
    let outer = pool.submit(move || {
        let jobs: Vec<_> = (0..3).map(|n| inner.submit_job(Job::new(move || n).key("k"))).collect();
        let [first, second, third] = jobs.try_into().unwrap();
        assert_eq!(third.unwrap_err().reason, Refusal::Full);
        second.unwrap().join().unwrap().value + first.unwrap().join().unwrap().value
    });
    assert_eq!(outer.unwrap().join().unwrap().value, 1);
    // With a turn in its hands, though others might come in its place.
    let pool =
        Pool::builder().max_workers(1).max_compensation(4).queue_capacity(1).build().unwrap();
    let inner = pool.clone();
    let outer = Job::new(move || {
        let second = inner.submit_job(Job::new(|| 2).key("k")).unwrap();
        let third = inner.submit_job(Job::new(|| 3).key("k")).unwrap_err();
        (second, third.reason)
    });
    let (second, refused) = pool.submit_job(outer.key("k")).unwrap().join().unwrap().value;
    assert_eq!(refused, Refusal::Full);
    assert_eq!(second.join().unwrap().value, 2);
    let runs = Job::new(|| ()).key("k").on_full(Full::CallerRuns);
    assert!(pool.submit_job(runs).is_ok());
}

/// R15: A pool without a queue keeps the order of a key, too.
#[test]
fn without_a_queue_keys_take_turns() {
    let pool = Pool::builder().max_workers(4).queue_capacity(0).build().unwrap();
    let (jobs, order) = super::fifty_of_key(&pool, "k");
    super::join_all(jobs);
    assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
}
