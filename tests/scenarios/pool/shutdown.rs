//! Ending a pool: it ends, once, and says what is left.

use super::{Gate, join_all};
use crate::support::{FOR_EVER, alone, eventually, threads};
use aqueduct::pool::{Job, JobError, Pool, Refusal};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// R02, R64: Shutting down returns, whether workers rest, are busy, or have gone; and brings no result of its own.
#[test]
fn shutdown_returns_whatever_the_workers_do() {
    let idle = Pool::builder().min_workers(2).max_workers(2).build().unwrap();
    eventually("both rest", || idle.metrics().idle == 2);
    assert!(idle.shutdown().is_complete());
    assert_eq!(idle.metrics().submitted, 0);

    let busy = Pool::builder().max_workers(2).build().unwrap();
    let gate = Gate::default();
    let jobs: Vec<_> = (0..4).map(|_| busy.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(2);
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| busy.shutdown());
        gate.open();
        assert!(shutdown.join().unwrap().is_complete());
    });
    assert!(jobs.iter().all(|job| job.is_finished()));

    let gone = Pool::builder().max_workers(1).keep_alive(Duration::ZERO).build().unwrap();
    gone.submit(|| ()).unwrap().join().unwrap();
    eventually("it has gone", || gone.metrics().workers == 0);
    assert!(gone.shutdown().is_complete());
}

/// R03, R66, R72: It may be shut down from eight threads at once, and again, and in other ways.
#[test]
fn shutdown_is_idempotent() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let jobs: Vec<_> = (0..100).map(|n| pool.submit(move || n).unwrap()).collect();
    let all = Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                all.wait();
                assert!(pool.shutdown().is_complete());
            });
        }
    });
    join_all(jobs);
    assert!(pool.shutdown_now().is_complete());
    assert!(pool.shutdown_timeout(Duration::ZERO).is_complete());
    assert!(pool.shutdown().is_complete());
}

/// R05: Shrinking and shutting down at the same time.
#[test]
fn shrinking_races_with_shutdown() {
    for round in 0..100 {
        let pool = Pool::builder().min_workers(2).max_workers(4).build().unwrap();
        let both = Barrier::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                pool.resize(0, 1).unwrap();
            });
            scope.spawn(|| {
                both.wait();
                (0..10).map_while(|n| pool.submit(move || n).ok()).for_each(drop);
            });
            both.wait();
            let report = if round % 2 == 0 { pool.shutdown() } else { pool.shutdown_now() };
            assert!(round % 2 == 1 || report.is_complete());
        });
        assert!(pool.shutdown().is_complete());
        assert_eq!(pool.metrics().in_flight, 0);
    }
}

/// R20, R68: A submission that races with a shutdown either has its outcome, or gives the job back.
#[test]
fn a_submission_that_races_with_a_shutdown_is_accepted_or_given_back() {
    for round in 0..100 {
        let pool = Pool::builder().max_workers(2).queue_capacity(2).build().unwrap();
        let ran = Arc::new(AtomicUsize::new(0));
        let both = Barrier::new(2);
        let (accepted, refused) = std::thread::scope(|scope| {
            let submitter = scope.spawn(|| {
                both.wait();
                let (mut accepted, mut refused) = (Vec::new(), 0);
                for _ in 0..50 {
                    let ran = Arc::clone(&ran);
                    match pool.submit(move || ran.fetch_add(1, SeqCst)) {
                        Ok(job) => accepted.push(job),
                        Err(back) => {
                            assert_eq!(back.reason, Refusal::ShutDown);
                            refused += 1;
                        }
                    }
                }
                (accepted, refused)
            });
            both.wait();
            if round % 2 == 0 {
                pool.shutdown();
            } else {
                pool.shutdown_now();
            }
            submitter.join().unwrap()
        });
        assert_eq!(accepted.len() + refused, 50);
        assert!(pool.submit(|| ()).is_err(), "and every later one is given back");
        let done = accepted.into_iter().map(|job| job.join()).filter(Result::is_ok).count();
        assert_eq!(done, ran.load(SeqCst));
        assert_eq!(pool.metrics().in_flight, 0);
    }
}

/// R21, R69: A drain runs all that is in; an abort gives back as cancelled all that has not begun.
#[test]
fn a_drain_runs_all_and_an_abort_cancels_all_that_waits() {
    let gate = Gate::default();
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let jobs: Vec<_> = (0..10).map(|_| pool.submit(gate.job()).unwrap()).collect();
    gate.until_waiting(1);
    gate.open();
    pool.shutdown();
    join_all(jobs);

    let gate = Gate::default();
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let runs = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let mut waits: Vec<_> = (0..10).map(|_| pool.submit(|| ()).unwrap()).collect();
    waits.extend((0..5).map(|n| pool.submit_job(Job::new(|| ()).key(n % 2)).unwrap()));
    let report = pool.shutdown_now();
    assert_eq!((report.cancelled, report.running.len(), report.workers), (15, 1, 1));
    for job in waits {
        assert!(matches!(job.join(), Err(JobError::Cancelled)));
    }
    gate.open();
    runs.join().unwrap();
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.cancelled, metrics.in_flight), (1, 15, 0));
}

/// R22, R70: Nothing begins once an abort has returned.
#[test]
fn nothing_begins_after_an_abort() {
    // The abort must fall between a worker's taking of a job and its beginning.
    for _ in 0..1_000 {
        let pool = Pool::builder().max_workers(2).build().unwrap();
        let begun = Arc::new(Mutex::new(BTreeSet::new()));
        let job = |n| {
            let begun = Arc::clone(&begun);
            move || {
                begun.lock().unwrap().insert(n);
            }
        };
        let jobs: Vec<_> = (0..20)
            .map(|n| {
                pool.execute(job(2 * n)).unwrap();
                pool.submit(job(2 * n + 1)).unwrap()
            })
            .collect();
        let report = pool.shutdown_now();
        // Whatever may run from now on has begun already, or is on the list.
        let mut may_run = begun.lock().unwrap().clone();
        for running in &report.running {
            // Numbers are given in order, so they tell which it is, also where there is no handle.
            let n = jobs.partition_point(|job| job.id() < running.id);
            let has_handle = jobs.get(n).is_some_and(|job| job.id() == running.id);
            may_run.insert(2 * n + usize::from(has_handle));
        }
        pool.shutdown();
        let begun = begun.lock().unwrap();
        assert!(begun.is_subset(&may_run), "{:?} after the abort", &*begun - &may_run);
        assert!(begun.len() <= 40 - report.cancelled, "{begun:?}, though {report}");
        for job in jobs {
            assert!(matches!(job.join(), Ok(_) | Err(JobError::Cancelled)));
        }
        let metrics = pool.metrics();
        assert_eq!((metrics.submitted, metrics.in_flight), (40, 0));
        assert_eq!(
            (metrics.completed, metrics.cancelled),
            (begun.len() as u64, 40 - begun.len() as u64)
        );
    }
}

/// R23: No thread is started once a shutdown has begun, while somebody works.
#[test]
fn no_thread_is_started_after_shutdown() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let pool = Pool::builder()
        .max_workers(1)
        .check_interval(Duration::from_millis(1))
        .on_thread_start(move || {
            count.fetch_add(1, SeqCst);
        })
        .build()
        .unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let waits: Vec<_> = (0..5).map(|_| pool.submit(|| ()).unwrap()).collect();
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| pool.shutdown());
        eventually("it is shut down", || pool.is_shut_down());
        pool.resize(4, 8).unwrap();
        gate.open();
        assert!(shutdown.join().unwrap().is_complete());
    });
    join_all([first].into_iter().chain(waits));
    assert_eq!(started.load(SeqCst), 1, "though there was work, and room for more");
}

/// R67: A shutdown says what is left, by name, and is true to it.
#[test]
fn a_shutdown_names_what_is_stuck() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let stuck = pool.submit_job(Job::new(gate.job()).name("the stuck one")).unwrap();
    gate.until_waiting(1);
    let waits = pool.submit(|| ()).unwrap();
    let report = pool.shutdown_timeout(Duration::from_millis(1));
    assert!(!report.is_complete());
    assert_eq!(report.cancelled, 1);
    assert_eq!(report.running[0].name.as_deref(), Some("the stuck one"));
    assert!(report.to_string().contains("the stuck one"));
    assert!(matches!(waits.join(), Err(JobError::Cancelled)));
    gate.open();
    stuck.join().unwrap();
    assert!(pool.shutdown().is_complete());
}

/// A worker may shut its own pool down; it does not wait for itself.
#[test]
fn a_worker_shuts_its_pool_down() {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    let both = Arc::new(Barrier::new(2));
    let jobs: Vec<_> = (0..2)
        .map(|_| {
            let (inner, both) = (pool.clone(), Arc::clone(&both));
            pool.submit(move || {
                both.wait();
                inner.shutdown().is_complete()
            })
            .unwrap()
        })
        .collect();
    for job in jobs {
        assert!(!job.join().unwrap().value);
    }
    assert!(pool.shutdown().is_complete());
}

/// A worker that shuts its pool down with a limit does not wait either: all that is in is run, unless the time comes first.
#[test]
fn a_worker_shuts_its_pool_down_with_a_limit() {
    for limit in [Duration::from_secs(3600), Duration::MAX] {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let inner = pool.clone();
        let first = pool
            .submit(move || {
                let queued = inner.submit(|| 7).unwrap();
                let report = inner.shutdown_timeout(limit);
                assert_eq!((report.cancelled, report.running.len(), report.workers), (0, 1, 1));
                assert!(inner.is_shut_down());
                queued
            })
            .unwrap();
        assert_eq!(first.join().unwrap().value.join().unwrap().value, 7);
        assert!(pool.shutdown().is_complete());
    }
    for limit in [Duration::ZERO, Duration::from_millis(1)] {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let inner = pool.clone();
        let first = Job::with_context(move |job| {
            let queued = job.submit(|| ()).unwrap();
            inner.shutdown_timeout(limit);
            job.context().wait();
            queued
        });
        let queued = pool.submit_job(first).unwrap().join().unwrap().value;
        assert!(matches!(queued.join(), Err(JobError::Cancelled)));
        assert!(pool.shutdown().is_complete());
    }
}

/// Its limit is nobody's concern when the pool has ended before.
#[test]
fn a_limit_that_a_worker_has_set_goes_with_the_pool() {
    alone("pool::shutdown::a_limit_that_a_worker_has_set_goes_with_the_pool", || {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let inner = pool.clone();
        let first = pool.submit(move || {
            inner.shutdown_timeout(Duration::from_secs(3600));
            aqueduct::timer::pending()
        });
        assert_eq!(first.unwrap().join().unwrap().value, 1);
        assert!(pool.shutdown().is_complete());
        assert_eq!(aqueduct::timer::pending(), 0);
    });
}

/// The hooks are called on workers: they shut the pool down as jobs do, and wait for its jobs as those do.
#[test]
fn hooks_shut_their_pool_down_and_join_its_jobs() {
    fn pool_with(hook: impl Fn(&Pool) + Send + Sync + 'static, at_start: bool) -> Pool {
        let shared = Arc::new(OnceLock::<Pool>::new());
        let inner = Arc::clone(&shared);
        let hook = move || hook(inner.get().unwrap());
        let pool = Pool::builder().max_workers(1).keep_alive(Duration::ZERO);
        let pool =
            if at_start { pool.on_thread_start(hook) } else { pool.on_thread_stop(hook) }.build();
        shared.get_or_init(|| pool.unwrap()).clone()
    }

    for at_start in [true, false] {
        let (note, noted) = mpsc::channel();
        let pool = pool_with(move |pool| note.send(pool.shutdown()).unwrap(), at_start);
        let job = pool.submit(|| 7).unwrap();
        let report = noted.recv_timeout(FOR_EVER).expect("it waits for itself");
        assert_eq!(report.workers, 1, "at its start: {at_start}");
        assert_eq!(job.join().unwrap().value, 7);
        assert!(pool.shutdown().is_complete());

        let (note, noted) = mpsc::channel();
        let once = AtomicUsize::new(0);
        let hook = move |pool: &Pool| {
            if once.fetch_add(1, SeqCst) == 0 {
                let jobs = [pool.submit(|| 1).unwrap(), pool.submit(|| 2).unwrap()];
                note.send(jobs.map(|job| job.join().unwrap().value)).unwrap();
            }
        };
        let pool = pool_with(hook, at_start);
        let job = pool.submit(|| 7).unwrap();
        assert_eq!(noted.recv_timeout(FOR_EVER), Ok([1, 2]), "{at_start}");
        assert_eq!(job.join().unwrap().value, 7);
        assert!(pool.shutdown().is_complete());
        assert_eq!(pool.metrics().completed, 3);
    }
}

/// A destructor of a thread-local value does so when its worker goes: whoever waits for all threads waits for that one.
#[test]
fn a_destructor_of_a_worker_that_goes_shuts_its_pool_down() {
    struct Ends(Pool, mpsc::Sender<&'static str>);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.shutdown();
            let _ = self.1.send("the destructor");
        }
    }

    thread_local! {
        static ENDS: RefCell<Option<Ends>> = const { RefCell::new(None) };
    }

    let (note, noted) = mpsc::channel();
    let pool = Pool::builder().min_workers(1).max_workers(1).build().unwrap();
    let ends = Ends(pool.clone(), note.clone());
    pool.submit(move || ENDS.set(Some(ends))).unwrap().join().unwrap();
    std::thread::spawn(move || {
        assert!(pool.shutdown().is_complete());
        note.send("the shutdown").unwrap();
    });
    let in_time = || noted.recv_timeout(FOR_EVER);
    assert_eq!((in_time(), in_time()), (Ok("the destructor"), Ok("the shutdown")));
}

/// Dropping a pool ends it, waits for nobody, and leaves no thread behind; a worker may drop the last handle.
#[test]
fn a_dropped_pool_leaves_no_thread() {
    alone("pool::shutdown::a_dropped_pool_leaves_no_thread", || {
        let Some(before) = threads() else { return };
        let gate = Gate::default();
        let pool = Pool::builder().min_workers(2).max_workers(2).build().unwrap();
        let runs = pool.submit(gate.job()).unwrap();
        gate.until_waiting(1);
        let inner = pool.clone();
        let last = pool.submit(move || drop(inner)).unwrap();
        drop(pool);
        gate.open();
        runs.join().unwrap();
        drop(last);
        eventually("as many threads as before", || threads() == Some(before));

        for _ in 0..20 {
            let pool = Pool::builder().min_workers(1).max_workers(4).build().unwrap();
            (0..20).for_each(|n| drop(pool.submit(move || n).unwrap()));
            assert!(pool.shutdown().is_complete());
            // A thread that was joined may be listed for a moment more.
            eventually("no thread is left but the timers'", || threads() <= Some(before + 1));
        }
        eventually("as many threads as before", || threads() == Some(before));
    });
}

/// A hook that panics costs one worker, which is replaced.
#[test]
fn a_lost_worker_is_replaced() {
    let started = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&started);
    let pool = Pool::builder()
        .min_workers(1)
        .max_workers(1)
        .on_thread_start(move || assert_ne!(count.fetch_add(1, SeqCst), 0, "on purpose"))
        .build()
        .unwrap();
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
    assert_eq!(started.load(SeqCst), 2);
    assert!(pool.shutdown().is_complete());
}

/// Without a thread to be had, whoever shuts down runs what is in, and begins nothing when the time is over.
#[test]
fn a_shutdown_with_a_limit_begins_nothing_after_it() {
    let pool = Pool::builder().max_workers(1).stack_size(usize::MAX / 2).build().unwrap();
    let limit = Duration::from_millis(5);
    let first = pool.submit(move || {
        let begun = Instant::now();
        while begun.elapsed() <= limit {
            std::thread::yield_now();
        }
    });
    let second = pool.submit(|| ()).unwrap();
    pool.shutdown_timeout(limit);
    assert!(matches!(second.join(), Err(JobError::Cancelled)));
    drop(first);
}
