//! What a pool takes in memory, as its documentation states.

use super::Gate;
use crate::support::{alone, resident};
use aqueduct::pool::Pool;

const JOBS: usize = 1_000_000;
const WORKERS: usize = 64;

/// A pool whose only worker waits at the gate.
fn busy() -> (Pool, Gate) {
    let pool = Pool::builder().max_workers(1).queue_capacity(JOBS).build().unwrap();
    let gate = Gate::default();
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    (pool, gate)
}

/// What a job with a handle takes: 64 bytes in the queue and 128 besides, or some 180 where the pool has been built with `tracing`.
const WITH_HANDLE: usize = if cfg!(feature = "tracing") { 64 + 184 } else { 64 + 128 };

/// The queue's and the allocator's own, per job.
const SLACK: usize = 8;

/// What a worker that rests has touched: about 14 KiB, which are four pages; and up to two more where the threads, started at the same time, met in
/// the allocator, and it made a heap of their own for some.
const AT_REST: usize = 6 * 4096;

/// A million queued jobs take 64 bytes each if nobody waits for them, and 128 more with a handle; a worker that rests, a few pages.
#[test]
fn a_million_queued_jobs_take_what_is_stated() {
    alone("pool::memory::a_million_queued_jobs_take_what_is_stated", || {
        let Some(before) = resident() else { return };
        let per = |what: &str, before: usize, count: usize, most: usize| {
            let each = resident().unwrap().saturating_sub(before) / count;
            println!("{what}: {each} bytes each");
            assert!(each <= most, "{what}: {each} bytes each, {most} are stated");
        };
        let (pool, gate) = busy();
        (0..JOBS).for_each(|n| pool.execute(move || assert_ne!(n, JOBS)).unwrap());
        per("queued, without a handle", before, JOBS, 64 + SLACK);
        gate.open();
        assert!(pool.shutdown().is_complete());
        drop(pool);

        let before = resident().unwrap();
        let (pool, gate) = busy();
        (0..JOBS).for_each(|n| drop(pool.submit(move || n).unwrap()));
        per("queued, with a handle", before, JOBS, WITH_HANDLE + SLACK);
        gate.open();
        assert!(pool.shutdown().is_complete());

        let before = resident().unwrap();
        let pool = Pool::builder().min_workers(WORKERS).max_workers(WORKERS).build().unwrap();
        while pool.metrics().idle < WORKERS {
            std::thread::yield_now();
        }
        per("a worker that rests", before, WORKERS, AT_REST);
    });
}
