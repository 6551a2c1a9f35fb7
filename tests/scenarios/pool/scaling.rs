//! How many workers there are, and why.

use super::{Gate, join_all};
use crate::support::eventually;
use aqueduct::pool::{
    BuildError, Decision, LatencyTarget, Load, Pool, ScalePolicy, ScaleReason, Thresholds,
};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// R04: While workers are in long jobs, shrinking delays neither submissions, nor metrics, nor growing, nor a shutdown that waits for
/// nobody.
#[test]
fn shrinking_waits_for_no_busy_worker() {
    let pool = Pool::builder().min_workers(3).max_workers(3).build().unwrap();
    let gate = Gate::default();
    let long: Vec<_> = (0..3).map(|_| pool.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(3);
    pool.resize(0, 1).unwrap();
    assert_eq!(pool.metrics().workers, 3, "they are busy");
    let queued = pool.submit(|| 7).unwrap();
    pool.resize(0, 4).unwrap();
    assert_eq!(queued.join().unwrap().value, 7, "a fourth came");
    pool.resize(0, 1).unwrap();
    let report = pool.shutdown_timeout(Duration::ZERO);
    let running: BTreeSet<_> = report.running.iter().map(|job| job.id).collect();
    assert_eq!(running, long.iter().map(|job| job.id()).collect(), "{report}");
    assert!(report.workers >= 3, "they are busy still: {report}");
    gate.open();
    join_all(long);
}

/// R06: While workers come and go, every job is done.
#[test]
fn resizing_under_load_loses_no_job() {
    let pool = Pool::builder().max_workers(4).queue_capacity(8).build().unwrap();
    std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let jobs: Vec<_> =
                        (0..2_000).map(|n| pool.submit(move || n).unwrap()).collect();
                    jobs.into_iter().map(|job| job.join().unwrap().value).sum::<u64>()
                })
            })
            .collect();
        for round in 0..200 {
            pool.resize(round % 2, 1 + round % 4).unwrap();
        }
        for submitter in submitters {
            assert_eq!(submitter.join().unwrap(), 1999 * 1000);
        }
    });
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.completed), (4_000, 4_000));
}

/// R07: Only those that rest are let go; a busy one is not taken for one of them.
#[test]
fn only_resting_workers_go() {
    let pool = Pool::builder().min_workers(4).max_workers(4).keep_alive(LONG).build().unwrap();
    let gate = Gate::default();
    let busy: Vec<_> = (0..2).map(|_| pool.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(2);
    eventually("the others rest", || pool.metrics().idle == 2);
    pool.resize(0, 2).unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.workers, metrics.idle), (2, 0));
    gate.open();
    join_all(busy);
}

/// R08: A worker's number is its own for the life of the pool.
#[test]
fn the_numbers_of_workers_are_never_used_twice() {
    let started = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&started);
    let pool = Pool::builder()
        .name("numbered")
        .max_workers(2)
        .on_thread_start(move || {
            let name = std::thread::current().name().map(String::from);
            note.lock().unwrap().push(name.unwrap());
        })
        .build()
        .unwrap();
    for _ in 0..20 {
        pool.resize(2, 2).unwrap();
        pool.submit(|| ()).unwrap().join().unwrap();
        pool.resize(0, 1).unwrap();
        eventually("one goes", || pool.metrics().workers <= 1);
    }
    pool.shutdown();
    let started = started.lock().unwrap();
    let names: BTreeSet<_> = started.iter().collect();
    assert!(started.len() >= 20, "{started:?}");
    assert_eq!(names.len(), started.len(), "{started:?}");
    assert!(started.iter().all(|name| name.starts_with("numbered-")));
}

/// R11: A pool may have no workers at all while there is nothing to do.
#[test]
fn a_pool_scales_from_zero_and_back() {
    let pool = Pool::builder()
        .max_workers(2)
        .keep_alive(Duration::ZERO)
        .check_interval(Duration::MAX)
        .build()
        .unwrap();
    assert_eq!(pool.metrics().workers, 0);
    for _ in 0..3 {
        pool.submit(|| ()).unwrap().join().unwrap();
        eventually("nobody is left", || pool.metrics().workers == 0);
    }
    let events = pool.metrics().scale_events;
    assert_eq!((events[0].from, events[0].to, events[0].reason), (0, 1, ScaleReason::Submission));
    assert_eq!((events[1].from, events[1].to, events[1].reason), (1, 0, ScaleReason::KeepAlive));
    for pair in events.windows(2) {
        assert!(pair[0].to == pair[1].from && pair[0].at <= pair[1].at, "{pair:?}");
    }
    let nobody = Load::default();
    assert!(nobody.per_worker() == 0.0 && Thresholds::default().on_submit(&nobody));
    assert_eq!(Thresholds::default().on_check(&nobody), Decision::Hold);
}

/// R12: Whatever cannot be is said by the builder.
#[test]
fn what_cannot_be_is_an_error_of_its_own() {
    let build = |change: fn(aqueduct::pool::Builder) -> aqueduct::pool::Builder| {
        change(Pool::builder()).build().map(drop).unwrap_err()
    };
    assert!(matches!(build(|b| b.max_workers(0)), BuildError::NoWorkers));
    let bounds = build(|b| b.min_workers(3).max_workers(2));
    assert!(matches!(bounds, BuildError::Bounds { min: 3, max: 2 }));
    assert!(matches!(build(|b| b.check_interval(Duration::ZERO)), BuildError::CheckInterval));
    let capacity = build(|b| b.queue_capacity(usize::MAX));
    assert!(matches!(capacity, BuildError::Capacity(usize::MAX)));
    for (up, down) in [(0.2, 0.8), (0.5, 0.5), (f64::NAN, 0.1), (1.0, f64::NAN), (1.0, -0.1)] {
        let error = Pool::builder().scale_up_threshold(up).scale_down_threshold(down).build();
        assert!(matches!(error, Err(BuildError::Thresholds { .. })), "{up} and {down}");
    }
    assert!(matches!(build(|b| b.name("a\0b")), BuildError::Name));
    let refused = build(|b| b.min_workers(1).stack_size(usize::MAX / 2));
    assert!(matches!(refused, BuildError::Spawn(_)));
}

/// R13: A burst brings all the workers there may be, at once: these jobs end only if ten of them run at the same time.
#[test]
fn a_burst_brings_all_workers_at_once() {
    // The checks of the timer have no part in it.
    let pool = Pool::builder().max_workers(10).check_interval(LONG).build().unwrap();
    let ten = Arc::new(Barrier::new(10));
    let jobs: Vec<_> = (0..50)
        .map(|_| {
            let ten = Arc::clone(&ten);
            pool.submit(move || {
                ten.wait();
            })
            .unwrap()
        })
        .collect();
    join_all(jobs);
    let metrics = pool.metrics();
    assert_eq!((metrics.peak_workers, metrics.spawn_failures), (10, 0));
}

/// R14: Under a load that comes and goes, the number of workers changes with its edges and not more often.
#[test]
fn a_square_wave_does_not_make_the_pool_flap() {
    let policies: [(&str, Box<dyn ScalePolicy>); 2] = [
        ("thresholds", Box::new(Thresholds { on_submit: false, ..Thresholds::default() })),
        ("latency", Box::new(LatencyTarget::new(Duration::from_millis(100)))),
    ];
    for (name, policy) in policies {
        let (min, max) = (1, 8);
        let (mut workers, mut changed) = (min, Duration::ZERO);
        let mut turns = Vec::new();
        // A second between checks; half a minute of load, half a minute of none, ten times.
        for second in 0..600_u64 {
            let busy = second % 60 < 30;
            let now = Duration::from_secs(second);
            let load = Load::of(|load| {
                load.now = now;
                load.window = Duration::from_secs(1);
                load.workers = workers;
                (load.min, load.max) = (min, max);
                load.unchanged_for = now - changed;
                // Eight workers are just enough.
                load.queued = if busy && workers < max { 20 } else { 0 };
                load.idle = if busy { 0 } else { workers };
                load.begun = if busy { 100 } else { 0 };
                let wait = if workers < max { 500 } else { 60 };
                load.p95_wait = busy.then(|| Duration::from_millis(wait));
            });
            let before = workers;
            workers = match policy.on_check(&load) {
                Decision::Hold => workers,
                Decision::Grow(more) => (workers + more).min(max),
                Decision::Shrink(fewer) => workers.saturating_sub(fewer).max(min),
            };
            if workers != before {
                changed = now;
                let up = workers > before;
                if turns.last() != Some(&up) {
                    turns.push(up);
                }
            }
            if second % 60 == 29 {
                assert_eq!(workers, max, "{name}: all of them at the end of the load");
            }
        }
        assert_eq!(turns.len(), 20, "{name}: one turn for each edge");
    }
}

/// R14: In a pool, too: between one wave and the next nobody goes while the cool-down lasts, however often it is checked.
#[test]
fn waves_of_jobs_bring_each_worker_once() {
    struct Counted(Thresholds, Arc<AtomicUsize>);
    impl ScalePolicy for Counted {
        fn on_submit(&self, load: &Load) -> bool {
            self.0.on_submit(load)
        }
        fn on_check(&self, load: &Load) -> Decision {
            self.1.fetch_add(1, SeqCst);
            self.0.on_check(load)
        }
    }
    let checks = Arc::new(AtomicUsize::new(0));
    let policy = Thresholds { cool_down: LONG, ..Thresholds::default() };
    let pool = Pool::builder()
        .max_workers(4)
        .keep_alive(LONG)
        .check_interval(Duration::from_millis(1))
        .scale_policy(Counted(policy, Arc::clone(&checks)))
        .build()
        .unwrap();
    for _ in 0..5 {
        let gate = Gate::default();
        let wave: Vec<_> = (0..8).map(|_| pool.submit(gate.job()).unwrap()).collect();
        gate.until_waiting(4);
        gate.open();
        join_all(wave);
        eventually("all rest", || pool.metrics().idle == 4);
        let before = checks.load(SeqCst);
        eventually("it is checked", || checks.load(SeqCst) >= before + 3);
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.scalings, metrics.workers), (4, 4), "{:?}", metrics.scale_events);
}

/// A target for the wait brings workers while jobs wait, checks being what it is kept by, and lets them go when none does.
#[test]
fn a_latency_target_follows_what_jobs_wait() {
    let target = LatencyTarget { p95: Duration::from_nanos(1), cool_down: Duration::ZERO };
    let pool = Pool::builder()
        .max_workers(3)
        .keep_alive(LONG)
        .check_interval(Duration::from_millis(1))
        .scale_policy(target)
        .build()
        .unwrap();
    let gate = Gate::default();
    let jobs: Vec<_> = (0..3).map(|_| pool.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(3);
    assert_eq!(pool.metrics().workers, 3);
    gate.open();
    join_all(jobs);
    eventually("nobody is left", || pool.metrics().workers == 0);
    // The first comes unasked; on a slow machine one may have come and gone before the next job was submitted.
    let events = pool.metrics().scale_events;
    assert_eq!((events[0].to, events[0].reason), (1, ScaleReason::Submission));
    assert!(events[1..].iter().all(|event| event.reason == ScaleReason::Check), "{events:?}");
}

/// A thread that the system refuses is counted, and the pool goes on with what it has, or waits for better times.
#[test]
fn a_refused_thread_is_counted_and_tried_again() {
    let pool = Pool::builder()
        .max_workers(1)
        .stack_size(usize::MAX / 2)
        .check_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let waits = pool.submit(|| 7).unwrap();
    eventually("it is tried again", || pool.metrics().spawn_failures > 2);
    assert!(!waits.is_finished());
    // Whoever shuts it down runs what is left, for want of a worker.
    assert!(pool.shutdown().is_complete());
    assert_eq!(waits.join().unwrap().value, 7);
}

/// R67: Two shut down a pool that has no worker, and one of them runs what is left: neither says that it is done before that is. The
/// job itself may shut it down as well, and does not wait for itself.
#[test]
fn nobody_says_done_while_another_runs_what_is_left() {
    for _ in 0..50 {
        let pool = Pool::builder().max_workers(1).stack_size(usize::MAX / 2).build().unwrap();
        let inside = pool.clone();
        let left = pool
            .submit(move || {
                for _ in 0..20 {
                    std::thread::yield_now();
                }
                assert!(!inside.shutdown().is_complete(), "this job runs");
            })
            .unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let report = pool.shutdown();
                    assert!(report.is_complete() && left.is_finished(), "{report}");
                });
            }
        });
        left.join().unwrap();
    }
}

/// The last one that lay down is called first, so that the others can go.
#[test]
fn the_warmest_worker_is_called() {
    let pool = Pool::builder().min_workers(3).max_workers(3).build().unwrap();
    eventually("all rest", || pool.metrics().idle == 3);
    let mut used = BTreeSet::new();
    for _ in 0..50 {
        used.insert(pool.submit(|| ()).unwrap().join().unwrap().worker);
        eventually("all rest", || pool.metrics().idle == 3);
    }
    // One that was about to sleep may have taken what another was called for.
    assert!(used.len() < 3, "{used:?}");
}

/// A policy that says no is asked again at the next check.
#[test]
fn thresholds_alone_grow_at_the_check() {
    let pool = Pool::builder()
        .max_workers(2)
        .grow_on_submit(false)
        .scale_up_threshold(2.0)
        .check_interval(Duration::from_millis(1))
        .build()
        .unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let queued: Vec<_> = (0..3).map(|_| pool.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(2);
    assert_eq!(pool.metrics().workers, 2);
    gate.open();
    join_all(queued.into_iter().chain([first]));
}

/// A policy that panics has said no: neither the submission nor the job that a worker has just taken is lost, and there is a
/// worker all the same.
#[test]
fn a_policy_that_panics_loses_no_job() {
    struct Panics;
    impl ScalePolicy for Panics {
        fn on_submit(&self, _: &Load) -> bool {
            panic!("on purpose")
        }
        fn on_check(&self, _: &Load) -> Decision {
            panic!("on purpose")
        }
    }
    let pool = Pool::builder().max_workers(2).scale_policy(Panics);
    let pool = pool.check_interval(Duration::from_millis(1)).build().unwrap();
    for _ in 0..10 {
        let jobs: Vec<_> = (0..10).map(|n| pool.submit(move || n).unwrap()).collect();
        join_all(jobs);
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.submitted, metrics.completed, metrics.peak_workers), (100, 100, 1));
}

/// A worker that its start hook costs the pool is not replaced at once, or a hook that always panics would start threads without end; the
/// next check tries again.
#[test]
fn a_start_hook_that_panics_is_tried_again_at_a_check_and_not_at_once() {
    /// It is dropped when the worker's thread is over, and what the pool did about that is done.
    struct Over(mpsc::Sender<()>);
    impl Drop for Over {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    thread_local! {
        static OVER: RefCell<Option<Over>> = const { RefCell::new(None) };
    }
    let pool_with = |interval, failures| {
        let (over, is_over) = mpsc::channel();
        let left = AtomicUsize::new(failures);
        let hook = move || {
            OVER.set(Some(Over(over.clone())));
            let fails = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            assert!(!fails, "on purpose, at the start");
        };
        let pool = Pool::builder().min_workers(1).max_workers(2).check_interval(interval);
        (pool.on_thread_start(hook).build().unwrap(), is_over)
    };
    let (pool, is_over) = pool_with(LONG, usize::MAX);
    is_over.recv().unwrap();
    let _waits = pool.submit(|| ()).unwrap();
    let reasons: Vec<_> = pool.metrics().scale_events.iter().map(|event| event.reason).collect();
    assert_eq!(reasons, [ScaleReason::Minimum, ScaleReason::Lost]);
    // With checks the pool comes to life once the hook does not panic any more, with its fewest and with a job.
    let (pool, _is_over) = pool_with(Duration::from_millis(1), 5);
    eventually("the fewest are there", || pool.metrics().workers == 1 && pool.metrics().idle == 1);
    let (pool, _is_over) = pool_with(Duration::from_millis(1), 5);
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
}
