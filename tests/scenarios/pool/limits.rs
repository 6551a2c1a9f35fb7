//! Time limits and cancelling: reported when they come, and no capacity is lost.

use super::{Gate, one_worker};
use crate::support::{FOR_EVER, eventually};
use aqueduct::pool::{self, Cancel, Full, Job, JobError, Limit, Pool, Refusal};
use aqueduct::{Context, timer};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::time::{Duration, Instant};

/// R16: A job that runs too long is reported when its time is over, is asked to stop, and its worker is replaced until it comes
/// back.
#[test]
fn a_late_job_is_reported_and_replaced() {
    let pool = one_worker(1);
    let gate = Gate::default();
    let inside = gate.clone();
    let (tell, told) = mpsc::channel();
    let late = Job::with_context(move |job| {
        let context = job.context();
        inside.pass();
        // Its outcome is known by then, and nobody hears of a panic.
        tell.send((job.is_cancelled(), context.is_done())).unwrap();
    });
    let late = pool.submit_job(late.timeout(Duration::from_millis(1))).unwrap();
    assert!(matches!(late.join(), Err(JobError::TimedOut(Limit::Run))), "the gate is closed still");
    // The only worker is stuck, and the pool goes on.
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
    let metrics = pool.metrics();
    assert_eq!((metrics.overdue, metrics.workers, metrics.timed_out), (1, 2, 1));
    assert_eq!(metrics.in_flight, 0, "its outcome is known");
    gate.open();
    assert_eq!(told.recv(), Ok((true, true)), "it was asked to stop");
    eventually("the one in its place goes", || {
        let metrics = pool.metrics();
        (metrics.overdue, metrics.workers) == (0, 1)
    });
    assert_eq!(pool.submit(|| 8).unwrap().join().unwrap().value, 8);
}

/// R16: No more are replaced than was said.
#[test]
fn late_jobs_are_replaced_up_to_the_bound() {
    let pool = Pool::builder().max_workers(1).max_compensation(2).build().unwrap();
    let gate = Gate::default();
    for _ in 0..3 {
        let late = Job::new(gate.job()).timeout(Duration::from_millis(1));
        assert!(matches!(
            pool.submit_job(late).unwrap().join(),
            Err(JobError::TimedOut(Limit::Run))
        ));
    }
    let waits = pool.submit(|| ()).unwrap();
    assert_eq!((pool.metrics().overdue, pool.metrics().workers), (3, 3));
    assert!(!waits.is_finished());
    gate.open();
    waits.join().unwrap();
}

/// R16: The same holds for those that block.
#[test]
fn blocked_jobs_are_made_up_for_up_to_the_bound() {
    let pool = Pool::builder().max_workers(1).max_compensation(2).build().unwrap();
    let gate = Gate::default();
    for blocked in 1..=3 {
        let blocks = gate.job();
        let job = Job::with_context(move |job| job.blocking(blocks));
        drop(pool.submit_job(job).unwrap());
        gate.until_waiting(blocked);
    }
    let waits = pool.submit(|| ()).unwrap();
    assert_eq!((pool.metrics().blocking, pool.metrics().workers), (3, 3));
    assert!(!waits.is_finished());
    gate.open();
    waits.join().unwrap();
}

/// R16: What is in time has no timer left behind it.
#[test]
fn a_job_in_time_leaves_no_timer() {
    crate::support::alone("pool::limits::a_job_in_time_leaves_no_timer", || {
        let pool = Pool::builder().min_workers(1).max_workers(1).build().unwrap();
        let hour = Duration::from_secs(3600);
        for _ in 0..10 {
            let job = Job::new(|| ()).timeout(hour).queue_timeout(hour);
            pool.submit_job(job).unwrap().join().unwrap();
        }
        pool.shutdown();
        assert_eq!(aqueduct::timer::pending(), 0);
    });
}

/// A job that runs is asked to stop, wherever it sleeps, and its outcome is its own.
#[test]
fn a_running_job_is_asked_to_stop() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let started = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&started);
    let job = Job::fallible(move |job| {
        inside.wait();
        Err::<(), _>(job.context().wait())
    });
    let job = pool.submit_job(job.attempts(5)).unwrap();
    started.wait();
    assert_eq!(job.cancel(), Cancel::Asked);
    assert!(matches!(job.join(), Err(JobError::Cancelled)), "one attempt, and it gave up");
}

/// A context that is done takes its jobs along: those that wait, and those that run.
#[test]
fn a_context_takes_its_jobs_along() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let context = Context::background();
    let started = Arc::new(Barrier::new(2));
    let inside = Arc::clone(&started);
    let runs = Job::with_context(move |job| {
        inside.wait();
        job.context().wait()
    });
    let runs = pool.submit_job_ctx(&context, runs).unwrap();
    let waits = pool.submit_ctx(&context, || ()).unwrap();
    started.wait();
    context.cancel();
    assert!(matches!(waits.join(), Err(JobError::Cancelled)));
    runs.join().unwrap();
    assert!(pool.submit_ctx(&context, || ()).is_err());
}

/// Calls it on a thread of its own, and waits until it is over, but not for ever.
fn in_time<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || done.send(f()));
    wait.recv_timeout(FOR_EVER).expect("it does not end")
}

/// The same of a job that is run where it was submitted, for want of room: outside of the pool, on a worker, and in a group.
#[test]
fn a_context_takes_along_what_runs_where_it_was_submitted() {
    fn waits(begun: &mpsc::Sender<()>) -> Job<impl pool::Work<Output = ()>> {
        let begun = begun.clone();
        Job::with_context(move |job| {
            begun.send(()).unwrap();
            job.context().wait();
        })
    }

    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let busy = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let fills = pool.submit(|| ()).unwrap();
    let (begun, is_so) = mpsc::channel();

    let context = Context::background();
    let (job, inner, source) = (waits(&begun), pool.clone(), context.clone());
    let outside = std::thread::spawn(move || {
        inner.submit_job_ctx(&source, job.on_full(Full::CallerRuns)).unwrap()
    });
    is_so.recv().unwrap();
    context.cancel();
    in_time(move || outside.join().unwrap().join()).unwrap();

    let group = Arc::new(pool.results());
    let (job, inner) = (waits(&begun), Arc::clone(&group));
    let member =
        std::thread::spawn(move || inner.submit_job(job.on_full(Full::CallerRuns)).unwrap());
    is_so.recv().unwrap();
    group.cancel();
    in_time(move || member.join().unwrap());

    gate.open();
    busy.join().unwrap();
    fills.join().unwrap();
    let context = Context::background();
    let (job, source, inner) = (waits(&begun), context.clone(), pool.clone());
    let worker = Job::new(move || {
        let queued = inner.submit(|| ()).unwrap();
        inner.submit_job_ctx(&source, job).unwrap().join().unwrap();
        queued
    });
    let worker = pool.submit_job(worker).unwrap();
    is_so.recv().unwrap();
    context.cancel();
    in_time(move || worker.join().unwrap().value.join()).unwrap();
}

/// A job that waits too long is not begun, also if nobody has noticed that yet: the timer is late.
#[test]
fn a_job_that_has_waited_too_long_is_not_begun_though_its_timer_is_late() {
    crate::support::alone(
        "pool::limits::a_job_that_has_waited_too_long_is_not_begun_though_its_timer_is_late",
        || {
            let pool = Pool::builder().max_workers(1).build().unwrap();
            let (gate, clock) = (Gate::default(), Gate::default());
            let busy = pool.submit(gate.job()).unwrap();
            gate.until_waiting(1);
            timer::call_at(Instant::now(), clock.job()).unwrap().detach();
            clock.until_waiting(1);
            let limit = Duration::from_millis(1);
            let late = Job::new(|| unreachable!("it is too late")).queue_timeout(limit);
            let late = pool.submit_job(late).unwrap();
            // A worker that joins it begins it no more than others do.
            let inside = Job::new(|| unreachable!("it is too late")).queue_timeout(limit);
            let inside = pool.submit_job(inside).unwrap();
            let joins = pool.submit(move || inside.join()).unwrap();
            let keyed = Job::new(|| unreachable!("it is too late")).queue_timeout(limit).key(1);
            let keyed = pool.submit_job(keyed).unwrap();
            let behind = pool.submit_job(Job::new(|| 7).key(1)).unwrap();
            let submitted = Instant::now();
            while submitted.elapsed() <= limit {
                std::thread::yield_now();
            }
            gate.open();
            busy.join().unwrap();
            let is_late = |outcome| matches!(outcome, Err(JobError::TimedOut(Limit::Queue)));
            assert!(is_late(late.join()));
            assert!(is_late(joins.join().unwrap().value));
            assert!(is_late(keyed.join()));
            assert_eq!(behind.join().unwrap().value, 7, "the turn goes on");
            clock.open();
            pool.shutdown();
            assert_eq!(pool.metrics().timed_out, 3);
        },
    );
}

/// A job that blocks in a section that says so is replaced meanwhile.
#[test]
fn a_blocking_section_is_replaced() {
    let pool = one_worker(1);
    let gate = Gate::default();
    let inside = gate.clone();
    let blocks = Job::with_context(move |job| job.blocking(|| inside.pass()));
    let blocks = pool.submit_job(blocks).unwrap();
    gate.until_waiting(1);
    pool.submit(|| ()).unwrap().join().unwrap();
    assert_eq!((pool.metrics().workers, pool.metrics().blocking), (2, 1));
    gate.open();
    blocks.join().unwrap();
    eventually("one of them goes", || pool.metrics().workers == 1);
}

/// One that came in the place of a blocked one is not called any more when that one goes on, though it is there and rests.
#[test]
fn after_a_blocking_section_no_more_work_than_may() {
    let pool = one_worker(1);
    let gate = Gate::default();
    let (inside, inner) = (gate.clone(), pool.clone());
    let blocks = Job::with_context(move |job| {
        job.blocking(|| inside.pass());
        let queued = job.submit(|| ()).unwrap();
        let books = inner.metrics();
        assert_eq!((books.workers, books.idle, books.blocking), (2, 1, 0));
        assert_eq!(books.queued.iter().sum::<usize>(), 1);
        queued
    });
    let blocks = pool.submit_job(blocks).unwrap();
    gate.until_waiting(1);
    pool.submit(|| ()).unwrap().join().unwrap();
    eventually("the other rests", || pool.metrics().idle == 1);
    gate.open();
    blocks.join().unwrap().value.join().unwrap();
    eventually("one of them goes", || pool.metrics().workers == 1);
}

/// R16: The one in the place of a late job goes when that one is back, also where there is always something to do.
#[test]
fn a_late_job_that_comes_back_takes_its_place_under_load() {
    /// A job that submits the next one like it.
    fn again(stop: Arc<AtomicBool>) {
        if !stop.load(SeqCst) {
            pool::execute(move || again(stop)).unwrap();
        }
    }

    let pool = one_worker(1);
    let gate = Gate::default();
    let late = Job::new(gate.job()).timeout(Duration::from_millis(1));
    assert!(pool.submit_job(late).unwrap().join().is_err());
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let stop = Arc::clone(&stop);
        pool.execute(move || again(stop)).unwrap();
    }
    eventually("it was replaced", || pool.metrics().workers == 2);
    gate.open();
    eventually("it is back, and one of them goes", || pool.metrics().workers == 1);
    stop.store(true, SeqCst);
    pool.wait_idle();
}

/// R16: Without a queue, too: a job is let in for whoever is in the place of a late or of a blocked one, and for nobody else.
#[test]
fn without_a_queue_late_and_blocked_jobs_are_made_up_for() {
    let pool =
        Pool::builder().max_workers(1).max_compensation(1).queue_capacity(0).build().unwrap();
    let gate = Gate::default();
    let late = Job::new(gate.job()).timeout(Duration::from_millis(1));
    assert!(pool.submit_job(late).unwrap().join().is_err());
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
    let second = Gate::default();
    let instead = pool.submit(second.job()).unwrap();
    assert_eq!(pool.try_submit(|| ()).unwrap_err().reason, Refusal::Full, "both are at it");
    second.open();
    instead.join().unwrap();
    gate.open();
    eventually("it is back", || pool.metrics().overdue == 0);
    let gate = Gate::default();
    let inside = gate.clone();
    let blocks = Job::with_context(move |job| job.blocking(|| inside.pass()));
    let blocks = pool.submit_job(blocks).unwrap();
    gate.until_waiting(1);
    assert_eq!(pool.submit(|| 8).unwrap().join().unwrap().value, 8);
    gate.open();
    blocks.join().unwrap();
    eventually("no more than one is let in", || {
        let gate = Gate::default();
        let one = pool.submit(gate.job()).unwrap();
        let refused = pool.try_submit(|| ()).is_err();
        gate.open();
        one.join().unwrap();
        refused
    });
}
