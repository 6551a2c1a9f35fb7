//! Jobs that are in nobody's queue for a moment: in a line, in the hands of who submits them, inside of other jobs.

use super::Gate;
use super::destructors::Bomb;
use crate::support::{Sleepers, eventually};
use aqueduct::pool::{Full, Job, JobError, JobHandle, Limit, Pool, Refusal};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// One of two of a key waits for room, and the other stands behind it. The first never gets in, and whoever submitted it runs the second, when
/// the workers have gone.
#[test]
fn a_shutdown_waits_for_who_stands_in_line_behind_one_that_never_got_in() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    pool.execute(|| ()).unwrap();
    let has_run = Arc::new(AtomicBool::new(false));
    let job = || {
        let (pool, has_run) = (pool.clone(), Arc::clone(&has_run));
        Job::new(move || {
            eventually("the workers have gone", || pool.metrics().workers == 0);
            (0..1000).for_each(|_| thread::yield_now());
            has_run.store(true, SeqCst);
        })
        .key("k")
    };
    thread::scope(|scope| {
        let both = [0; 2].map(|_| {
            let job = job();
            scope.spawn(|| pool.submit_job(job))
        });
        eventually("one stands in line", || both.iter().any(|thread| thread.is_finished()));
        let ends = scope.spawn(|| pool.shutdown());
        eventually("it is shut down", || pool.is_shut_down());
        gate.open();
        assert!(ends.join().unwrap().is_complete());
        assert!(has_run.load(SeqCst), "it was accepted");
        let refused = both.map(|thread| thread.join().unwrap().is_err());
        assert_eq!(refused.iter().filter(|is_so| **is_so).count(), 1);
    });
}

/// A job with a key that runs where it was submitted has others behind it, and shuts the pool down: it does not wait for those, who wait for it.
#[test]
fn a_job_that_runs_where_it_was_submitted_may_shut_its_pool_down() {
    let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
    let gate = Gate::default();
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    pool.execute(|| ()).unwrap();
    let (note, ran) = mpsc::channel();
    let inner = pool.clone();
    let first = Job::new(move || {
        let second = note.clone();
        let behind = Job::new(move || second.send(2).unwrap()).key("k");
        drop(inner.submit_job(behind).unwrap());
        inner.shutdown();
        note.send(1).unwrap();
    });
    let first = first.key("k").on_full(Full::CallerRuns);
    pool.submit_job(first).unwrap().join().unwrap();
    gate.open();
    assert!(pool.shutdown().is_complete());
    assert_eq!(ran.try_iter().collect::<Vec<_>>(), [1, 2]);
}

/// A worker submits to a group that is full of one job, which waits until this worker makes room.
#[test]
fn a_worker_and_a_thread_that_submit_to_one_group_do_not_wait_for_each_other() {
    for compensation in [0, 1] {
        let builder = Pool::builder().max_workers(1).max_compensation(compensation);
        let pool = builder.queue_capacity(0).build().unwrap();
        let group = Arc::new(pool.group(1));
        let gate = Gate::default();
        let (wait, inner) = (gate.clone(), Arc::clone(&group));
        let outer = pool.submit(move || {
            wait.pass();
            inner.submit(|| ()).map_err(|refused| refused.reason)
        });
        gate.until_waiting(1);
        thread::scope(|scope| {
            let other = scope.spawn(|| group.submit(|| ()));
            eventually("it is on its way", || format!("{group:?}").contains("in_flight: 1"));
            gate.open();
            let expected = if compensation == 0 { Err(Refusal::Full) } else { Ok(1) };
            assert_eq!(outer.unwrap().join().unwrap().value, expected);
            assert_eq!(other.join().unwrap().unwrap(), 0);
        });
        pool.wait_idle();
    }
}

/// The job around them is over, and its function runs on: those inside of it may be the last.
#[test]
fn who_waits_for_all_hears_of_jobs_inside_of_one_that_is_late() {
    for is_light in [false, true] {
        let builder = Pool::builder().max_workers(1).max_compensation(0);
        let pool = builder.queue_capacity(1).build().unwrap();
        let (gate, end) = (Gate::default(), Gate::default());
        let (inner, [first, last]) = (pool.clone(), [&gate, &end].map(Gate::clone));
        let (ready, is_ready) = mpsc::channel();
        let late = Job::new(move || {
            eventually("it is late", || inner.metrics().timed_out == 1);
            let queued = inner.submit(|| ()).unwrap();
            if is_light {
                // There is no room, be it over.
                queued.cancel();
                let inside = move || {
                    ready.send(()).unwrap();
                    first.pass();
                };
                inner.execute(inside).unwrap();
            } else {
                ready.send(()).unwrap();
                first.pass();
                queued.join().unwrap();
            }
            last.pass();
        });
        let late = pool.submit_job(late.timeout(Duration::from_millis(1))).unwrap();
        assert!(matches!(late.join(), Err(JobError::TimedOut(Limit::Run))));
        is_ready.recv().unwrap();
        let sleepers = Sleepers::default();
        thread::scope(|scope| {
            let idle = scope.spawn(sleepers.call(|| pool.wait_idle()));
            sleepers.until_asleep(1);
            gate.open();
            end.until_waiting(1);
            idle.join().unwrap();
            end.open();
        });
    }
}

/// What a job returned lies in its entry, which lies in the queue yet, and nobody else has it.
#[test]
fn an_abort_survives_what_it_drops() {
    for is_aborted in [true, false] {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let (gate, wait) = (Gate::default(), Gate::default());
        let (ready, go) = (gate.clone(), wait.clone());
        let (send, handles) = mpsc::channel();
        pool.execute(move || {
            let second: JobHandle<()> = handles.recv().unwrap();
            second.join().unwrap();
            ready.pass();
            go.pass();
        })
        .unwrap();
        drop(pool.submit_job(Job::new(|| Bomb).key("k")).unwrap());
        send.send(pool.submit_job(Job::new(|| ()).key("k")).unwrap()).unwrap();
        gate.until_waiting(1);
        let last = pool.submit(|| ()).unwrap();
        gate.open();
        wait.until_waiting(1);
        if is_aborted {
            assert_eq!(pool.shutdown_now().cancelled, 1);
            assert!(matches!(last.join(), Err(JobError::Cancelled)));
            wait.open();
        } else {
            wait.open();
            last.join().unwrap();
        }
        assert!(pool.shutdown().is_complete());
    }
}

/// There are no threads, and whoever shuts down runs what is in: a job of that waits for another, to which nobody else would come.
#[test]
fn who_runs_what_nobody_comes_to_helps_as_a_worker_does() {
    let pool = Pool::builder().max_workers(1).stack_size(usize::MAX / 2).build().unwrap();
    let (send, handles) = mpsc::channel::<JobHandle<u32>>();
    let first = pool.submit(move || handles.recv().unwrap().join().unwrap().value + 1).unwrap();
    send.send(pool.submit(|| 1).unwrap()).unwrap();
    assert!(pool.shutdown().is_complete());
    assert_eq!(first.join().unwrap().value, 2);
}
