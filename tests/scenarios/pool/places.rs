//! Who comes in the place of a worker that is late or waits: one each, whatever the policy says, and also while the pool ends.

use super::{Gate, one_worker};
use crate::support::{FOR_EVER, eventually};
use aqueduct::pool::{
    Builder, Decision, Full, Job, JobError, JobHandle, LatencyTarget, Limit, Load, Pool,
    ScalePolicy, Thresholds,
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Nobody more, ever.
struct Never;

impl ScalePolicy for Never {
    fn on_submit(&self, _: &Load) -> bool {
        false
    }

    fn on_check(&self, _: &Load) -> Decision {
        Decision::Hold
    }
}

/// Pools whose policies add nobody in these tests: there are no checks, and there is always a worker.
fn reluctant() -> [Builder; 3] {
    let builder = || Pool::builder().check_interval(LONG);
    let thresholds = Thresholds { on_submit: false, ..Thresholds::default() };
    [
        builder().scale_policy(Never),
        builder().scale_policy(LatencyTarget::new(LONG)),
        builder().scale_policy(thresholds),
    ]
}

/// The outcome, which would never come if nobody came to the job.
fn joined<R: 'static>(mut job: JobHandle<R>) -> R {
    let outcome = job.join_timeout(FOR_EVER).expect("nobody comes to it");
    outcome.unwrap().value
}

/// A job that waits at the gate, and says so.
fn blocks(gate: &Gate) -> Job<impl aqueduct::pool::Work<Output = ()>> {
    let gate = gate.clone();
    Job::with_context(move |job| job.blocking(|| gate.pass()))
}

/// R16: A worker runs the job that it joins, and that is late: another comes in its place, as if it had taken it from the queue.
#[test]
fn a_late_job_inside_of_another_is_made_up_for() {
    let pool = one_worker(1);
    let gate = Gate::default();
    let (inner, inside) = (pool.clone(), gate.clone());
    let outer = pool.submit(move || {
        let late = inner.submit_job(Job::new(inside.job()).timeout(Duration::from_millis(1)));
        late.unwrap().join().map(|done| done.value)
    });
    gate.until_waiting(1);
    eventually("it is late", || pool.metrics().timed_out == 1);
    assert_eq!(joined(pool.submit(|| 7).unwrap()), 7);
    assert_eq!((pool.metrics().overdue, pool.metrics().workers), (1, 2));
    gate.open();
    assert!(matches!(joined(outer.unwrap()), Err(JobError::TimedOut(Limit::Run))));
    eventually("one of them goes", || (pool.metrics().overdue, pool.metrics().workers) == (0, 1));
}

/// R16: Both of the jobs inside of each other are late. It is one worker that is stuck, until the last of them is back.
#[test]
fn a_worker_that_is_late_twice_is_made_up_for_once() {
    let pool = one_worker(4);
    let (first, second) = (Gate::default(), Gate::default());
    let (inner, inside, outside) = (pool.clone(), first.clone(), second.clone());
    let limit = Duration::from_millis(1);
    let outer = Job::new(move || {
        let late = inner.submit_job(Job::new(inside.job()).timeout(limit)).unwrap();
        let _ = late.join();
        outside.pass();
    });
    // Not before the other is begun inside of it, or somebody else could take that one.
    let outer = pool.submit_job(outer.timeout(Duration::from_millis(500))).unwrap();
    first.until_waiting(1);
    eventually("both are late", || pool.metrics().timed_out == 2);
    at_most_one_works(&pool);
    first.open();
    second.until_waiting(1);
    assert_eq!(pool.metrics().overdue, 1);
    at_most_one_works(&pool);
    second.open();
    assert!(outer.join().is_err());
    eventually("it is back", || pool.metrics().overdue == 0);
}

/// Of several jobs that take their time one is at it, and the others wait.
fn at_most_one_works(pool: &Pool) {
    let gate = Gate::default();
    let jobs: Vec<_> = (0..3)
        .map(|_| {
            let job = pool.submit(gate.job()).unwrap();
            gate.until_waiting(1);
            job
        })
        .collect();
    assert_eq!(pool.metrics().workers, 2, "the one that is stuck, and the one in its place");
    gate.open();
    jobs.into_iter().for_each(joined);
}

/// R16: Late, and in a blocking section, and in one inside of that: one worker that is stuck, and one in its place.
#[test]
fn a_worker_that_is_late_where_it_blocks_is_made_up_for_once() {
    let pool = one_worker(4);
    let gate = Gate::default();
    let inside = gate.clone();
    let late = Job::with_context(move |job| job.blocking(|| job.blocking(|| inside.pass())));
    let late = pool.submit_job(late.timeout(Duration::from_millis(1))).unwrap();
    assert!(matches!(late.join(), Err(JobError::TimedOut(Limit::Run))));
    gate.until_waiting(1);
    at_most_one_works(&pool);
    gate.open();
    eventually("it is back", || {
        let metrics = pool.metrics();
        (metrics.overdue, metrics.blocking, metrics.workers) == (0, 0, 1)
    });
}

/// R16: Where nobody works, somebody comes in the place of one that is late, whatever the policy says.
#[test]
fn a_late_worker_is_made_up_for_whatever_the_policy_says() {
    for builder in reluctant() {
        let pool = builder.min_workers(1).max_workers(1).build().unwrap();
        let gate = Gate::default();
        let late = Job::new(gate.job()).timeout(Duration::from_millis(1));
        assert!(pool.submit_job(late).unwrap().join().is_err());
        assert_eq!(joined(pool.submit(|| 7).unwrap()), 7);
        gate.open();
    }
}

/// Where all are in blocking sections somebody comes in their place, whatever the policy says: before the job is queued, or after.
#[test]
fn blocked_workers_are_made_up_for_whatever_the_policy_says() {
    for builder in reluctant() {
        let pool = builder.min_workers(4).max_workers(4).build().unwrap();
        let (first, last) = (Gate::default(), Gate::default());
        let mut blocked: Vec<_> = (0..3).map(|_| pool.submit_job(blocks(&last)).unwrap()).collect();
        last.until_waiting(3);
        let (inside, blocking) = (first.clone(), last.clone());
        let fourth = Job::with_context(move |job| {
            inside.pass();
            job.blocking(|| blocking.pass());
        });
        blocked.push(pool.submit_job(fourth).unwrap());
        first.until_waiting(1);
        let before = pool.submit(|| 7).unwrap();
        first.open();
        assert_eq!(joined(before), 7);
        last.until_waiting(4);
        assert_eq!(joined(pool.submit(|| 8).unwrap()), 8);
        last.open();
        blocked.into_iter().for_each(joined);
    }
}

/// Places that threads of scopes have do not work for the pool.
#[test]
fn the_first_worker_beside_a_scope_comes_unasked() {
    for builder in reluctant() {
        let pool = builder.max_workers(2).build().unwrap();
        let gate = Gate::default();
        let outcome = pool.scope(|scope| {
            let waits = scope.submit(gate.job());
            gate.until_waiting(1);
            let outcome = pool.submit(|| 7).unwrap().join_timeout(FOR_EVER);
            gate.open();
            waits.join().unwrap();
            outcome
        });
        assert_eq!(outcome.expect("nobody comes to it").unwrap().value, 7);
    }
}

/// A pool of a fixed number is checked where more may come: a policy that grows at checks is asked about the place of one that blocks.
#[test]
fn a_fixed_pool_asks_its_policy_about_those_that_may_come_instead() {
    /// One more at each check, and counts them.
    struct AtChecks(Arc<AtomicUsize>);

    impl ScalePolicy for AtChecks {
        fn on_submit(&self, _: &Load) -> bool {
            false
        }

        fn on_check(&self, _: &Load) -> Decision {
            self.0.fetch_add(1, SeqCst);
            Decision::Grow(1)
        }
    }

    let checks = Arc::new(AtomicUsize::new(0));
    let pool =
        Pool::builder().min_workers(2).max_workers(2).scale_policy(AtChecks(Arc::clone(&checks)));
    let pool = pool.check_interval(Duration::from_millis(1)).build().unwrap();
    eventually("that of the beginning is over", || checks.load(SeqCst) == 1);
    let gate = Gate::default();
    let blocked = pool.submit_job(blocks(&gate)).unwrap();
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(2);
    assert_eq!(joined(pool.submit(|| 7).unwrap()), 7);
    gate.open();
    joined(blocked);
    joined(busy);
}

/// A worker waits for room in the lines only where somebody comes in its place, and that one does.
#[test]
fn a_worker_that_waits_for_room_in_the_lines_is_made_up_for() {
    for builder in reluctant() {
        let pool = builder.min_workers(1).max_workers(1).queue_capacity(1).build().unwrap();
        let inner = pool.clone();
        let outer = pool.submit(move || {
            let job = |n| Job::new(move || n).key("k").on_full(Full::Block);
            let jobs: Vec<_> = (0..5).map(|n| inner.submit_job(job(n)).unwrap()).collect();
            jobs.into_iter().map(|job| job.join().unwrap().value).sum::<u32>()
        });
        assert_eq!(joined(outer.unwrap()), 10);
    }
}

/// Shuts it down, which would never end if nobody came to what is queued.
fn ends(pool: &Pool) {
    let (ended, wait) = mpsc::channel();
    let inner = pool.clone();
    std::thread::spawn(move || ended.send(inner.shutdown()));
    let report = wait.recv_timeout(FOR_EVER).expect("it does not end");
    assert!(report.is_complete(), "{report}");
}

/// Shut down while jobs wait at the gate, it ends all the same.
fn ends_before_it_opens(pool: &Pool, gate: &Gate) {
    std::thread::scope(|scope| {
        scope.spawn(|| ends(pool));
        eventually("it is shut down", || pool.is_shut_down());
        gate.open();
    });
}

/// R02: What is queued when the pool is shut down is run, also if the only worker waits for it, and begins to do so only then. The same of one
/// that is run so, and waits for the next.
#[test]
fn a_shutdown_runs_what_those_who_block_wait_for() {
    let pool = Pool::builder().min_workers(1).max_workers(1).max_compensation(2).build().unwrap();
    let gate = Gate::default();
    let inside = gate.clone();
    let (send, receive) = mpsc::channel();
    let (again, relayed) = mpsc::channel();
    let first = Job::with_context(move |job| {
        inside.pass();
        job.blocking(|| relayed.recv())
    });
    let first = pool.submit_job(first).unwrap();
    gate.until_waiting(1);
    let second = Job::with_context(move |job| again.send(job.blocking(|| receive.recv()).unwrap()));
    let second = pool.submit_job(second).unwrap();
    let third = pool.submit(move || send.send(7)).unwrap();
    ends_before_it_opens(&pool, &gate);
    assert_eq!(joined(first), Ok(7));
    joined(second).unwrap();
    joined(third).unwrap();
}

/// R02: The one that comes is lost to its start hook: whoever shuts down runs what is in.
#[test]
fn a_shutdown_runs_what_a_worker_was_lost_before() {
    for _ in 0..50 {
        let started = AtomicUsize::new(0);
        let hook = move || assert_eq!(started.fetch_add(1, SeqCst), 0, "on purpose, but the first");
        let pool = Pool::builder().min_workers(1).max_workers(1).on_thread_start(hook);
        let pool = pool.build().unwrap();
        let gate = Gate::default();
        let inside = gate.clone();
        let (send, receive) = mpsc::channel();
        let first = Job::with_context(move |job| {
            inside.pass();
            job.blocking(|| receive.recv())
        });
        let first = pool.submit_job(first).unwrap();
        gate.until_waiting(1);
        let second = pool.submit(move || send.send(7)).unwrap();
        ends_before_it_opens(&pool, &gate);
        assert_eq!(joined(first), Ok(7));
        joined(second).unwrap();
    }
}

/// R02, R16: The same of a future that is pending, of a late job, and where a worker shuts the pool down.
#[test]
fn a_shutdown_runs_what_those_who_are_late_or_pending_wait_for() {
    let pool =
        || Pool::builder().min_workers(1).max_workers(1).max_compensation(1).build().unwrap();
    let pending = pool();
    let gate = Gate::default();
    let (inside, (sender, receiver)) = (gate.clone(), aqueduct::channel::bounded(1));
    let first = pending.spawn_future(async move {
        inside.pass();
        receiver.recv_async().await
    });
    gate.until_waiting(1);
    pending.execute(move || sender.send(7).unwrap()).unwrap();
    ends_before_it_opens(&pending, &gate);
    assert_eq!(joined(first.unwrap()), Ok(7));

    let late = pool();
    let gate = Gate::default();
    let (inside, (send, receive)) = (gate.clone(), mpsc::channel());
    let first = Job::new(move || {
        inside.pass();
        receive.recv().unwrap();
    });
    let first = late.submit_job(first.timeout(Duration::from_millis(20))).unwrap();
    gate.until_waiting(1);
    late.execute(move || send.send(7).unwrap()).unwrap();
    gate.open();
    ends(&late);
    assert!(first.join().is_err());

    let inside = pool();
    let inner = inside.clone();
    let (send, receive) = mpsc::channel();
    let first = Job::with_context(move |job| {
        drop(job.submit(move || send.send(7)).unwrap());
        assert!(!inner.shutdown().is_complete());
        job.blocking(|| receive.recv())
    });
    assert_eq!(joined(inside.submit_job(first).unwrap()), Ok(7));
    ends(&inside);
}
