//! Threads of scopes, which hold the places of workers, and what they wait for.

use aqueduct::pool::{Full, Job, Pool, Refusal};
use std::sync::mpsc;

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
    assert!(report.running.is_empty(), "{report}");
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
