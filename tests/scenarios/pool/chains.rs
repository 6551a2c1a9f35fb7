//! Jobs that submit the next one while there is no room: none is lost, and none lies on top of all the others.

use super::Gate;
use crate::support::{FOR_EVER, alone};
use aqueduct::pool::{
    self, Decision, Full, Job, JobContext, JobError, JobHandle, Load, Pool, Priority, Refusal,
    ScalePolicy,
};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LONG: usize = 100_000;

/// Inside of so many others, at the most, runs a job for which there is no room.
const DEEP: usize = 32;

/// One worker, whose queue has room for one job.
fn pool(full: Full) -> Pool {
    Pool::builder().max_workers(1).queue_capacity(1).on_full(full).build().unwrap()
}

/// R10: A job of which nobody waits for the next, a hundred thousand times, while others see to it that the queue is full.
#[test]
fn a_chain_of_jobs_beside_a_full_queue_is_no_tower() {
    fn next(left: usize, done: mpsc::Sender<()>) {
        match left.checked_sub(1) {
            Some(left) => pool::execute(move || next(left, done)).unwrap(),
            None => done.send(()).unwrap(),
        }
    }

    alone("pool::chains::a_chain_of_jobs_beside_a_full_queue_is_no_tower", || {
        for full in [Full::Block, Full::CallerRuns, Full::BlockTimeout(Duration::MAX)] {
            let pool = pool(full);
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !stop.load(SeqCst) {
                            drop(pool.submit_job(Job::new(|| ()).on_full(Full::Block)).unwrap());
                        }
                    });
                }
                let (done, is_done) = mpsc::channel();
                // Not where it is submitted: that is no worker.
                let first = Job::new(move || next(LONG, done)).on_full(Full::Block);
                let first = pool.submit_job(first).unwrap();
                let outcome = is_done.recv();
                stop.store(true, SeqCst);
                outcome.unwrap();
                first.join().unwrap();
            });
            pool.wait_idle();
            let metrics = pool.metrics();
            assert_eq!((metrics.submitted, metrics.in_flight), (metrics.completed, 0));
        }
    });
}

/// R10: The same with handles; and with a key that all of them have.
#[test]
fn a_chain_with_handles_is_no_tower() {
    fn next(job: &JobContext<'_>, left: usize, keyed: bool, done: mpsc::Sender<()>) {
        let Some(left) = left.checked_sub(1) else { return done.send(()).unwrap() };
        let mut link = Job::with_context(move |job| next(job, left, keyed, done));
        if keyed {
            link = link.key(left / 2);
        }
        drop(job.submit_job(link).unwrap_or_else(|refused| panic!("{refused}")));
    }

    alone("pool::chains::a_chain_with_handles_is_no_tower", || {
        for keyed in [false, true] {
            let pool = pool(Full::Block);
            let (done, is_done) = mpsc::channel();
            let gate = Gate::default();
            let inside = gate.clone();
            let first = Job::with_context(move |job| {
                inside.pass();
                next(job, LONG, keyed, done);
            });
            drop(pool.submit_job(first).unwrap());
            gate.until_waiting(1);
            // It fills the queue as long as nobody comes to it.
            let filler = pool.submit(|| ()).unwrap();
            gate.open();
            is_done.recv().unwrap();
            filler.join().unwrap();
            pool.wait_idle();
            assert_eq!(pool.metrics().completed, LONG as u64 + 2);
        }
    });
}

/// R10: A thread that is no worker, and runs what there is no room for: a worker goes on with what is too deep.
#[test]
fn a_chain_outside_of_the_pool_is_no_tower() {
    fn next(pool: &Pool, left: usize, done: mpsc::Sender<bool>, outside: thread::ThreadId) {
        match left.checked_sub(1) {
            Some(left) => {
                let inner = pool.clone();
                pool.execute(move || next(&inner, left, done, outside)).unwrap();
            }
            None => done.send(thread::current().id() == outside).unwrap(),
        }
    }

    alone("pool::chains::a_chain_outside_of_the_pool_is_no_tower", || {
        let pool = pool(Full::CallerRuns);
        let gate = Gate::default();
        pool.execute(gate.job()).unwrap();
        gate.until_waiting(1);
        pool.execute(|| ()).unwrap();
        let (done, is_done) = mpsc::channel();
        next(&pool, LONG, done, thread::current().id());
        gate.open();
        assert!(!is_done.recv().unwrap());
        pool.wait_idle();
    });
}

/// Calls `last` in a job inside of as many others as there may be, where the only worker is at it and the queue is full. The outermost job, and
/// the one that fills the queue.
fn at_the_top(
    pool: &Pool,
    last: impl FnOnce(&JobContext<'_>) + Send + 'static,
) -> [JobHandle<()>; 2] {
    type Last = Box<dyn FnOnce(&JobContext<'_>) + Send>;

    fn next(job: &JobContext<'_>, depth: usize, last: Last) {
        if depth == DEEP {
            return last(job);
        }
        let higher = job.submit_job(Job::with_context(move |job| next(job, depth + 1, last)));
        higher.unwrap().try_join().expect("it was run there and then").unwrap();
    }

    let gate = Gate::default();
    let (inside, last) = (gate.clone(), Box::new(last));
    let lowest = pool.submit_job(Job::with_context(move |job| {
        inside.pass();
        next(job, 0, last);
    }));
    gate.until_waiting(1);
    let filler = pool.submit(|| ());
    gate.open();
    [lowest.unwrap(), filler.unwrap()]
}

/// R21, R69: What is set aside counts as queued, and is cancelled with the rest; what comes later is handed back.
#[test]
fn an_abort_cancels_what_is_set_aside() {
    let pool = pool(Full::Block);
    let (hand, taken) = mpsc::channel();
    let gate = Gate::default();
    let inside = gate.clone();
    let [lowest, filler] = at_the_top(&pool, move |job| {
        hand.send(job.submit_job(Job::new(|| ()).priority(Priority::High)).unwrap()).unwrap();
        hand.send(job.submit(|| ()).unwrap()).unwrap();
        inside.pass();
        assert_eq!(job.submit(|| ()).unwrap_err().reason, Refusal::ShutDown);
    });
    gate.until_waiting(1);
    // There was room at the other priority.
    assert_eq!(pool.metrics().queued, [0, 1, 2, 0]);
    assert_eq!(pool.shutdown_now().cancelled, 3);
    for job in [filler, taken.recv().unwrap(), taken.recv().unwrap()] {
        assert!(matches!(job.join(), Err(JobError::Cancelled)));
    }
    gate.open();
    lowest.join().unwrap();
    assert!(pool.shutdown().is_complete());
    assert_eq!(pool.metrics().in_flight, 0);
}

/// R21, R69: A drain runs what is set aside, in order.
#[test]
fn a_drain_runs_what_is_set_aside() {
    let pool = pool(Full::Block);
    let (note, seen) = mpsc::channel();
    let gate = Gate::default();
    let inside = gate.clone();
    let [lowest, filler] = at_the_top(&pool, move |job| {
        for n in 0..10 {
            let note = note.clone();
            drop(job.submit(move || note.send(n).unwrap()).unwrap());
        }
        inside.pass();
    });
    gate.until_waiting(1);
    assert_eq!(pool.metrics().queued, [0, 0, 11, 0]);
    gate.open();
    assert!(pool.shutdown().is_complete());
    assert!(lowest.is_finished() && filler.is_finished());
    assert!(seen.iter().eq(0..10));
}

/// The worker that has set it aside waits for what it does: another takes it, who comes in the place of that one.
#[test]
fn somebody_else_takes_what_is_set_aside() {
    let pool = pool(Full::Block);
    let (note, seen) = mpsc::channel();
    let [lowest, filler] = at_the_top(&pool, move |job| {
        let (send, receive) = mpsc::channel();
        drop(job.submit(move || send.send(7).unwrap()).unwrap());
        note.send(job.blocking(|| receive.recv())).unwrap();
    });
    assert_eq!(seen.recv_timeout(FOR_EVER), Ok(Ok(7)));
    lowest.join().unwrap();
    filler.join().unwrap();
}

/// The worker that has set it aside joins it: it is what it waits for, and begun there.
#[test]
fn what_is_set_aside_can_be_joined() {
    let pool = pool(Full::Block);
    let (note, seen) = mpsc::channel();
    let [lowest, filler] = at_the_top(&pool, move |job| {
        note.send(job.submit(|| 7).unwrap().join().unwrap().value).unwrap();
    });
    assert_eq!(seen.recv(), Ok(7));
    lowest.join().unwrap();
    filler.join().unwrap();
}

/// Without a queue, with room for hundreds of workers: what is let in is for those, and not for whoever submits it.
#[test]
fn without_a_queue_a_burst_is_not_run_by_whoever_submits_it() {
    /// One worker, and no more.
    struct One;

    impl ScalePolicy for One {
        fn on_submit(&self, _: &Load) -> bool {
            false
        }

        fn on_check(&self, _: &Load) -> Decision {
            Decision::Hold
        }
    }

    let pool = Pool::builder().max_workers(400).queue_capacity(0).scale_policy(One);
    let pool = pool.build().unwrap();
    let gate = Gate::default();
    pool.execute(gate.job()).unwrap();
    gate.until_waiting(1);
    let jobs: Vec<_> = (0..399)
        .map(|n| {
            let job = Job::new(|| thread::current().id());
            let job = if n % 2 == 0 { job } else { job.key(n) };
            pool.submit_job(job).unwrap()
        })
        .collect();
    assert_eq!(pool.try_submit(|| ()).unwrap_err().reason, Refusal::Full);
    gate.open();
    for job in jobs {
        assert_ne!(job.join().unwrap().value, thread::current().id());
    }
}
