//! Jobs: each has one outcome, in order, with all that is to be known about it.

use super::Gate;
use crate::support::{Drops, Sleepers, alone, eventually, poll};
use aqueduct::pool::{AGING, Cancel, Full, Job, JobError, Limit, Pool, Priority, Rejection};
use aqueduct::{Context, park};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Waker;
use std::time::{Duration, Instant};

/// R01, R63: Every job that is accepted yields exactly one result, whatever the size of the queue.
#[test]
fn every_job_has_one_result_whatever_the_queue() {
    for capacity in [0, 1, 2, 50, 1000] {
        let pool = Pool::builder().max_workers(3).queue_capacity(capacity).build().unwrap();
        let handles: Vec<_> = (0..200).map(|n| pool.submit(move || n).unwrap()).collect();
        let values: Vec<_> = handles.into_iter().map(|job| job.join().unwrap().value).collect();
        assert_eq!(values, (0..200).collect::<Vec<_>>());
        let metrics = pool.metrics();
        assert_eq!((metrics.completed, metrics.in_flight), (200, 0), "capacity {capacity}");
    }
}

/// R10: With all workers busy and the queue full a job is neither lost nor taken out of its turn.
#[test]
fn a_full_queue_keeps_every_job_and_their_order() {
    let pool = Pool::builder().max_workers(1).queue_capacity(3).build().unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let (note, seen) = mpsc::channel();
    let job = |n: u32| {
        let note = note.clone();
        move || note.send(n).unwrap()
    };
    let accepted: Vec<_> = (0..3).map(|n| pool.try_submit(job(n)).unwrap()).collect();
    let refused = pool.try_submit(job(3)).unwrap_err();
    gate.open();
    let last = pool.submit(refused.into_job()).unwrap();
    for handle in [first].into_iter().chain(accepted).chain([last]) {
        handle.join().unwrap();
    }
    drop(note);
    assert_eq!(seen.iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
}

/// R15: Among jobs that wait, the urgent come first, and those of one priority in order; a lower level waits for no more than
/// its share.
#[test]
fn the_urgent_come_first_and_nobody_starves() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    // It waits for its worker's thread to start, which may take long: in the books of those who wait longest.
    let first = pool.submit_job(Job::new(gate.job()).priority(Priority::Low)).unwrap();
    gate.until_waiting(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    for priority in Priority::ALL.into_iter().rev() {
        for n in 0..4 * AGING {
            let order = Arc::clone(&order);
            let job =
                Job::new(move || order.lock().unwrap().push((priority, n))).priority(priority);
            drop(pool.submit_job(job).unwrap());
        }
    }
    gate.open();
    first.join().unwrap();
    pool.wait_idle();
    let order = order.lock().unwrap();
    for priority in Priority::ALL {
        let of_it: Vec<_> = order.iter().filter(|(p, _)| *p == priority).map(|(_, n)| *n).collect();
        assert_eq!(of_it, (0..4 * AGING).collect::<Vec<_>>(), "{priority:?} in order");
    }
    // While all levels are full: the most urgent gets all but three in a stretch, and everybody else one.
    let contended = &order[..4 * AGING];
    for stretch in contended.windows(AGING) {
        for priority in [Priority::High, Priority::Normal, Priority::Low] {
            assert_eq!(stretch.iter().filter(|(p, _)| *p == priority).count(), 1, "{priority:?}");
        }
    }
    // Each priority has books of its own.
    let books = pool.metrics();
    for priority in Priority::ALL {
        let jobs = 4 * AGING + usize::from(priority == Priority::Low);
        let (waits, runs) = (books.queue_wait(priority), books.run_time(priority));
        assert_eq!((waits.count(), runs.count()), (jobs as u64, jobs as u64), "{priority:?}");
    }
    // Those that are served last have waited longer than those before them.
    let longest = Priority::ALL.map(|priority| books.queue_wait(priority).max());
    assert!(longest.is_sorted() && longest[0] < longest[3], "{longest:?}");
}

/// R17: A panic is the outcome of its job, with its message and its place, and costs the pool no worker.
#[test]
fn a_panic_is_an_outcome_and_costs_no_worker() {
    let pool =
        Pool::builder().min_workers(1).max_workers(1).capture_backtraces(true).build().unwrap();
    let panicked = pool.submit(|| -> u8 { panic!("shelf {}", 3) }).unwrap().join().unwrap_err();
    let JobError::Panicked(panic) = panicked else { panic!("{panicked:?}") };
    assert_eq!(panic.message(), "shelf 3");
    assert!(
        panic.backtrace().unwrap().contains("a_panic_is_an_outcome"),
        "{:?}",
        panic.backtrace()
    );
    let next = pool.submit(|| 7).unwrap().join().unwrap();
    assert_eq!(next.value, 7);
    let metrics = pool.metrics();
    assert_eq!((metrics.workers, metrics.panicked, metrics.completed), (1, 1, 1));
}

/// R17: A result whose destructor panics, and that nobody takes, costs the pool no worker either.
#[test]
fn a_result_that_panics_when_dropped_costs_no_worker() {
    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let pool = Pool::builder().min_workers(1).max_workers(1).build().unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    drop(pool.submit(|| Mine).unwrap());
    gate.open();
    first.join().unwrap();
    assert_eq!(pool.submit(|| 7).unwrap().join().unwrap().value, 7);
    assert_eq!(pool.metrics().scalings, 1, "the first worker is the only one there ever was");
}

/// R18, R65: Results that nobody reads stall nothing.
#[test]
fn unread_results_stall_nothing() {
    let pool = Pool::builder().max_workers(2).queue_capacity(4).build().unwrap();
    let unread: Vec<_> = (0..500).map(|n| pool.submit(move || vec![n; 100]).unwrap()).collect();
    for n in 0..500 {
        drop(pool.submit(move || vec![n; 100]).unwrap());
    }
    pool.wait_idle();
    assert!(unread.iter().all(|job| job.is_finished()));
    assert_eq!(pool.metrics().completed, 1000);
}

/// R24: What a job holds, and what it returned, is dropped as soon as nobody can want it.
#[test]
fn functions_and_results_are_dropped_at_once() {
    let drops = Drops::default();
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let (held, item) = (drops.item(), drops.item());
    let first = {
        let gate = gate.clone();
        pool.submit(move || {
            let _held = held;
            gate.pass();
            item
        })
    }
    .unwrap();
    gate.until_waiting(1);

    let waiting = drops.item();
    let cancelled = pool.submit(move || drop(waiting)).unwrap();
    assert_eq!(cancelled.cancel(), Cancel::Cancelled);
    assert_eq!(drops.count(), 1, "with the handle alive, and the entry in the queue");

    gate.open();
    let result = first.join().unwrap();
    assert_eq!(drops.count(), 2, "what the function held, and not what it returned");
    drop(result);
    assert_eq!(drops.count(), 3);

    let item = drops.item();
    drop(pool.submit(move || item).unwrap());
    pool.wait_idle();
    eventually("the result of a job without a handle is dropped", || drops.count() == 4);
}

/// R25: A result says where, when and at which attempt it was made.
#[test]
fn a_result_tells_how_it_came_about() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let began = Instant::now();
    let job = Job::fallible(|job| match job.attempt() {
        1 | 2 => Err(format!("attempt {}", job.attempt())),
        _ => Ok(job.worker()),
    });
    let handle = pool.submit_job(job.attempts(3)).unwrap();
    let id = handle.id();
    let submitted = Instant::now();
    eventually("some time passes", || submitted.elapsed() > Duration::from_millis(2));
    let (ran, queued) = (began.elapsed(), submitted.elapsed());
    gate.open();
    let (first, second) = (first.join().unwrap(), handle.join().unwrap());
    assert_eq!((second.id, second.attempt), (id, 3));
    assert_eq!(second.value, second.worker);
    assert_eq!(first.worker, second.worker);
    assert!(first.worker.is_some(), "neither ran where it was submitted");
    assert!(first.id < second.id);
    assert!(first.ran_for >= ran, "{first:?}, and it was at the gate for {ran:?}");
    assert!(second.queued_for >= queued, "{second:?}, and it was in line for {queued:?}");

    let failed = pool.submit_job(Job::fallible(|_| Err::<(), _>("no"))).unwrap().join();
    assert!(matches!(failed, Err(JobError::Failed(error)) if error.to_string() == "no"));
}

/// R73: One outcome for each job, be it done, failed, late, cancelled, displaced, or gone with a panic.
#[test]
fn every_way_to_end_is_one_outcome() {
    let pool = Pool::builder().max_workers(1).queue_capacity(5).build().unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let late = Job::new(|| ()).queue_timeout(Duration::ZERO);
    let late = pool.submit_job(late).unwrap();
    assert!(matches!(late.join(), Err(JobError::TimedOut(Limit::Queue))));
    let cancelled = pool.submit(|| ()).unwrap();
    assert_eq!((cancelled.cancel(), cancelled.cancel()), (Cancel::Cancelled, Cancel::TooLate));
    let panics = pool.submit(|| panic!("on purpose")).unwrap();
    let done = pool.submit(|| ()).unwrap();
    let fails = pool.submit_job(Job::fallible(|_| Err::<(), _>("on purpose"))).unwrap();
    let dropped = pool.submit_job(Job::new(|| ()).on_full(Full::DropNewest)).unwrap();
    assert!(matches!(dropped.join(), Err(JobError::Rejected(Rejection::Dropped))));
    assert!(pool.try_submit(|| ()).is_err());
    gate.open();
    first.join().unwrap();
    assert!(matches!(panics.join(), Err(JobError::Panicked(_))));
    assert!(matches!(fails.join(), Err(JobError::Failed(_))));
    done.join().unwrap();
    assert!(matches!(cancelled.join(), Err(JobError::Cancelled)));
    let m = pool.metrics();
    assert_eq!((m.submitted, m.in_flight), (8, 0));
    let counts = [m.completed, m.failed, m.panicked, m.timed_out, m.cancelled, m.rejected];
    assert_eq!(counts, [2, 1, 1, 1, 1, 2]);
}

/// R71: Submissions that wait, that do not, that wait so long or until a context is done: all give the job back when they fail.
#[test]
fn every_submission_gives_the_job_back() {
    use aqueduct::pool::Refusal;
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let running = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let waiting = pool.submit(|| ()).unwrap();
    let back = pool.try_submit(|| 1).unwrap_err();
    assert_eq!((back.reason, (back.job)()), (Refusal::Full, 1));
    let back = pool.submit_timeout(|| 2, Duration::from_millis(1)).unwrap_err();
    assert_eq!((back.reason, (back.job)()), (Refusal::Timeout, 2));
    let context = Context::background();
    let cancelled = context.clone();
    std::thread::scope(|scope| {
        let sleepers = Sleepers::default();
        let submitter = scope.spawn(sleepers.call(|| pool.submit_ctx(&context, || 3)));
        sleepers.until_asleep(1);
        cancelled.cancel();
        let back = submitter.join().unwrap().unwrap_err();
        assert_eq!((back.reason, (back.job)()), (Refusal::Cancelled, 3));
        // A submission that sleeps when the pool is shut down.
        let sleepers = Sleepers::default();
        let submitter = scope.spawn(sleepers.call(|| pool.submit(|| 4)));
        sleepers.until_asleep(1);
        pool.shutdown_now();
        let back = submitter.join().unwrap().unwrap_err();
        assert_eq!((back.reason, (back.job)()), (Refusal::ShutDown, 4));
    });
    assert!(matches!(waiting.join(), Err(JobError::Cancelled)));
    gate.open();
    running.join().unwrap();
}

/// The six policies for a full queue.
#[test]
fn a_full_queue_follows_its_policy() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let running = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let oldest = pool.submit(|| 1).unwrap();
    let here = std::thread::current().id();
    let caller = Job::new(|| std::thread::current().id()).on_full(Full::CallerRuns);
    let caller = pool.submit_job(caller).unwrap().join().unwrap();
    assert_eq!((caller.value, caller.worker), (here, None));
    let newest = pool.submit_job(Job::new(|| 2).on_full(Full::DropOldest)).unwrap();
    assert!(matches!(oldest.join(), Err(JobError::Rejected(Rejection::Displaced))));
    // A worker that would have to wait for itself runs the job instead.
    let inner = pool.clone();
    gate.open();
    running.join().unwrap();
    assert_eq!(newest.join().unwrap().value, 2);
    let outer = pool.submit(move || {
        let fill = inner.submit(|| 5).unwrap();
        let blocked = inner.submit(|| 6).unwrap();
        assert!(blocked.is_finished(), "there was no room, and nobody else to make it");
        (fill.join().unwrap().value, blocked.join().unwrap().value)
    });
    assert_eq!(outer.unwrap().join().unwrap().value, (5, 6));
}

/// Jobs that submit jobs and join them need no more than one worker, however deep.
#[test]
fn jobs_that_join_their_jobs_do_not_deadlock() {
    fn sum(pool: &Pool, from: u64, to: u64) -> u64 {
        if to - from == 1 {
            return from;
        }
        let middle = from.midpoint(to);
        let (left, right) = (pool.clone(), pool.clone());
        let left = pool.submit(move || sum(&left, from, middle)).unwrap();
        let right = pool.submit(move || sum(&right, middle, to)).unwrap();
        left.join().unwrap().value + right.join().unwrap().value
    }
    for workers in [1, 2, 4] {
        let pool = Pool::builder().max_workers(workers).queue_capacity(4).build().unwrap();
        let inner = pool.clone();
        let all = pool.submit(move || sum(&inner, 0, 256)).unwrap();
        assert_eq!(all.join().unwrap().value, 255 * 128);
        assert_eq!(pool.shutdown().workers, 0);
    }
}

/// A worker that waits runs what it waits for, and never a stranger, which might need what it holds.
#[test]
fn a_worker_that_waits_runs_no_stranger() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let held = Arc::new(Mutex::new(0));
    let (inner, lock) = (pool.clone(), Arc::clone(&held));
    let outer = pool.submit(move || {
        let mut guard = lock.lock().unwrap();
        let stranger = Arc::clone(&lock);
        let stranger = inner.submit(move || *stranger.lock().unwrap() += 1).unwrap();
        let own = inner.submit(|| 7).unwrap();
        *guard += own.join().unwrap().value;
        stranger
    });
    outer.unwrap().join().unwrap().value.join().unwrap();
    assert_eq!(*held.lock().unwrap(), 8);
}

/// A job that a worker has begun while it waited for it lies in the queue yet: whoever displaces that entry, or takes it down at an
/// abort, does not end the job.
#[test]
fn an_empty_entry_does_not_end_its_job() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    let (inner, inside) = (pool.clone(), gate.clone());
    let outer = pool.submit(move || inner.submit(inside.job()).unwrap().join().is_ok()).unwrap();
    gate.until_waiting(1);
    let newer = pool.submit_job(Job::new(|| ()).on_full(Full::DropOldest)).unwrap();
    assert_eq!(pool.metrics().rejected, 0);
    let newest = pool.submit_job(Job::new(|| ()).on_full(Full::DropOldest)).unwrap();
    assert!(matches!(newer.join(), Err(JobError::Rejected(Rejection::Displaced))));
    assert_eq!(pool.shutdown_now().cancelled, 1);
    assert!(matches!(newest.join(), Err(JobError::Cancelled)));
    gate.open();
    assert!(outer.join().unwrap().value, "the job that was joined was done");
}

/// Jobs of one key run one after the other, in order, whatever else runs; other keys are not held up.
#[test]
fn jobs_of_a_key_run_in_turn() {
    let pool = Pool::builder().max_workers(4).build().unwrap();
    let gate = Gate::default();
    let first = pool.submit_job(Job::new(gate.job()).key("a")).unwrap();
    gate.until_waiting(1);
    let (behind, order) = super::fifty_of_key(&pool, "a");
    pool.submit_job(Job::new(|| ()).key("b")).unwrap().join().unwrap();
    // One that is cancelled in the line is passed over.
    assert_eq!(behind[20].cancel(), Cancel::Cancelled);
    assert!(order.lock().unwrap().is_empty());
    gate.open();
    first.join().unwrap();
    for (n, job) in behind.into_iter().enumerate() {
        assert_eq!(job.join().is_ok(), n != 20);
    }
    let expected: Vec<_> = (0..50).filter(|n| *n != 20).collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

/// A handle can be polled, left, taken up, and joined with a limit.
#[test]
fn a_handle_is_a_future() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let mut first = pool.submit(gate.job()).unwrap();
    let mut second = pool.submit(|| 7).unwrap();
    assert!(poll(&mut second, Waker::noop()).is_pending());
    assert!(second.try_join().is_none());
    assert!(first.join_timeout(Duration::from_millis(1)).is_none());
    gate.open();
    assert_eq!(park::block_on(&mut second).unwrap().value, 7);
    park::block_on(first).unwrap();
}

/// A job reports how far it is, and how much time it has.
#[test]
fn a_job_knows_its_time_and_tells_its_progress() {
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let gate = Gate::default();
    let inside = gate.clone();
    let job = Job::with_context(move |job| {
        job.set_progress(3, 10);
        inside.pass();
        job.time_left().zip(job.deadline()).is_some()
    });
    let handle = pool.submit_job(job.timeout(Duration::from_secs(3600))).unwrap();
    gate.until_waiting(1);
    assert_eq!(handle.progress(), Some((3, 10)));
    gate.open();
    assert!(handle.join().unwrap().value);
}

/// Nothing grows with the number of jobs that have been.
#[test]
fn memory_is_flat_over_many_jobs() {
    alone("pool::jobs::memory_is_flat_over_many_jobs", || {
        use crate::support::resident;
        let pool = Pool::builder().max_workers(2).build().unwrap();
        let round = || {
            for _ in 0..20_000 {
                drop(pool.submit(|| vec![0_u8; 64]).unwrap());
            }
            pool.wait_idle();
        };
        round();
        let Some(before) = resident() else { return };
        (0..4).for_each(|_| round());
        let after = resident().unwrap();
        assert!(after < before + (4 << 20), "{before} bytes became {after}");
    });
}

/// R17, as far as it can be had: a panic in the destructor of a thread-local value, when a worker goes, ends the process. That is the
/// standard library's doing, and cannot be caught; that it has not changed is what this shows.
#[test]
fn a_panic_in_a_thread_locals_destructor_ends_the_process() {
    const NAME: &str = "pool::jobs::a_panic_in_a_thread_locals_destructor_ends_the_process";
    const CHILD: &str = "AQUEDUCT_TEST_THREAD_LOCAL";

    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    thread_local!(static PANICS: Panics = const { Panics });

    if std::env::var_os(CHILD).is_some() {
        let pool = Pool::builder().min_workers(1).max_workers(1).build().unwrap();
        // The job itself is done, and its outcome is there before the worker goes.
        pool.submit(|| PANICS.with(|_| ())).unwrap().join().unwrap();
        pool.shutdown();
        println!("survived");
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("thread local panicked on drop"), "{said}");
    assert!(
        !child.status.success() && !String::from_utf8_lossy(&child.stdout).contains("survived")
    );
}
