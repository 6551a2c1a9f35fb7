//! Futures that a pool drives: jobs like others, that wait without holding up the pool.

use crate::support::Drops;
use aqueduct::Context;
use aqueduct::channel;
use aqueduct::pool::{Cancel, Full, Job, JobError, Limit, Pool, Refusal};
use std::future::pending;
use std::time::Duration;

/// One that waits makes room for others, and is ready when what it waits for is there.
#[test]
fn a_future_that_waits_leaves_its_place_to_others() {
    let pool = Pool::builder().max_workers(1).max_compensation(2).build().unwrap();
    let (sender, receiver) = channel::bounded(1);
    let waiting = pool.spawn_future(async move { receiver.recv_async().await }).unwrap();
    // Runs though the only worker waits.
    pool.submit(move || sender.send(7).unwrap()).unwrap().join().unwrap();
    let done = waiting.join().unwrap();
    assert_eq!((done.value, done.attempt), (Ok(7), 1));
    pool.wait_idle();
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.completed, metrics.in_flight), (2, 2, 0));
    assert_eq!(metrics.blocking, 0, "it gave its place back");
}

/// R16, R73: Cancelled, late, panicking or aborted, it has one outcome, and is dropped where it waits.
#[test]
fn a_future_ends_as_other_jobs_do() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let drops = Drops::default();
    let forever = || {
        let (item, (begun, until)) = (drops.item(), channel::bounded(1));
        let future = async move {
            let _item = item;
            begun.send(()).unwrap();
            pending::<()>().await;
        };
        (future, until)
    };
    let (future, begun) = forever();
    let cancelled = pool.spawn_future(future).unwrap();
    begun.recv().unwrap();
    assert_eq!(cancelled.cancel(), Cancel::Asked);
    assert!(matches!(cancelled.join(), Err(JobError::Cancelled)));
    let (future, _begun) = forever();
    let late = pool.submit_job(Job::future(future).timeout(Duration::from_millis(1))).unwrap();
    assert!(matches!(late.join(), Err(JobError::TimedOut(Limit::Run))));
    let panics = pool.spawn_future(async { panic!("on purpose") }).unwrap();
    assert!(matches!(panics.join(), Err(JobError::Panicked(_))));
    let (context, (future, begun)) = (Context::background().child(), forever());
    let tied = pool.submit_job_ctx(&context, Job::future(future)).unwrap();
    begun.recv().unwrap();
    context.cancel();
    assert!(matches!(tied.join(), Err(JobError::Cancelled)));
    let (future, begun) = forever();
    let aborted = pool.spawn_future(future).unwrap();
    begun.recv().unwrap();
    pool.shutdown_now();
    assert!(matches!(aborted.join(), Err(JobError::Cancelled)));
    assert!(pool.shutdown().is_complete());
    assert_eq!(drops.count(), 4);
    let metrics = pool.metrics();
    assert_eq!((metrics.cancelled, metrics.timed_out, metrics.panicked), (3, 1, 1));
}

/// R71: One that is not accepted comes back, unpolled.
#[test]
fn a_future_that_is_refused_comes_back() {
    let pool = Pool::builder().max_workers(1).on_full(Full::Reject).build().unwrap();
    pool.shutdown();
    let refused = pool.spawn_future(async { 7 }).unwrap_err();
    assert_eq!(refused.reason, Refusal::ShutDown);
    assert_eq!(aqueduct::park::block_on(refused.job), 7);
}
