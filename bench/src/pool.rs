//! Family `pool`: jobs handed to two workers.
//!
//! | workload | one operation |
//! |---|---|
//! | `empty` | a job that only signs for having run; one thread submits all, and waits until the last has run |
//! | `busy1us` | the same, and each job keeps its CPU busy for a microsecond |
//! | `results` | a job that sends a number into a channel; one thread submits all, and adds up what comes out |
//! | `handles` | a job that returns a number; one thread submits all, and adds up what it gets through the handle of each |
//! | `nested` | a job submitted by a job: a tree, in which each submits two more |
//! | `start` | from the submission to a pool at rest until the job begins, `p50` and `p99` |
//!
//! Pools are made, warmed up and ended outside of the measurement. A ledger holds what has run against what was
//! submitted.

mod candidates;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::stats::quantile;
use crate::team::{self, race};
use ledger::Ledger;

/// As many as the smallest machine has CPUs, whatever this one has: figures of one machine are compared with each other.
pub(crate) const WORKERS: usize = 2;

/// Long enough for every pool's workers to fall asleep.
const REST: Duration = Duration::from_micros(200);

/// What a candidate must be able to do.
pub(crate) trait Pool: Send + Sync + Sized + 'static {
    const NAME: &'static str;

    /// With [`WORKERS`] of them.
    fn new() -> Self;

    /// Submits a job that nobody waits for.
    fn spawn(&self, job: impl FnOnce() + Send + 'static);

    /// Submits `job`, which gets from its pool what it needs to submit more: [`branch`] of its children, in the same way.
    fn grow(&self, n: u64, ledger: &'static Ledger);

    /// Once all jobs have run: sends the workers home, and waits until they have gone where the pool lets one wait for that.
    fn end(self);
}

/// A pool whose jobs have handles, by which one gets what each returns.
pub(crate) trait Handles: Pool {
    /// Submits `jobs` jobs, job `n` returning [`result_of`]`(n)`, and adds up what they return, wrapping.
    fn join_all(&self, jobs: u64) -> u64;
}

/// The children of job `n` in a tree of so many jobs.
pub(crate) fn branch(n: u64, ledger: &Ledger) -> impl Iterator<Item = u64> + use<> {
    let jobs = ledger.jobs();
    [2 * n + 1, 2 * n + 2].into_iter().filter(move |&child| child < jobs)
}

/// What comes of job `n`.
#[inline]
pub(crate) fn result_of(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ n
}

pub(crate) fn cells() -> Vec<Cell> {
    let of_all = Shape::ALL.iter().map(|&(name, shape)| {
        let mut candidates = candidates::all(shape);
        candidates.extend(go::candidate("pool", name.into()));
        let latency = matches!(shape, Shape::Start);
        let unit = if latency { "start" } else { "job" };
        Cell { latency, ..Cell::new("pool", name.into(), unit, candidates) }
    });
    let handles = Cell::new("pool", "handles".into(), "job", candidates::with_handles());
    of_all.chain([handles]).collect()
}

#[derive(Clone, Copy)]
enum Shape {
    Empty,
    Busy,
    Results,
    Nested,
    Start,
}

impl Shape {
    const ALL: [(&'static str, Self); 5] = [
        ("empty", Self::Empty),
        ("busy1us", Self::Busy),
        ("results", Self::Results),
        ("nested", Self::Nested),
        ("start", Self::Start),
    ];
}

fn candidate<P: Pool>(shape: Shape) -> Candidate {
    Candidate::new(P::NAME, move |ops| match shape {
        Shape::Empty => run::<P>(ops, submit_empty),
        Shape::Busy => run::<P>(ops, submit_busy),
        Shape::Results => add_up::<P>(ops, through_a_channel),
        Shape::Nested => run::<P>(ops, |pool, ledger| pool.grow(0, ledger)),
        Shape::Start => start::<P>(ops),
    })
}

fn joining<P: Handles>() -> Candidate {
    Candidate::new(P::NAME, |ops| add_up::<P>(ops, P::join_all))
}

/// One that has run something on every worker, as a pool in use has.
fn warm<P: Pool>() -> Arc<P> {
    let pool = P::new();
    // More than there are workers, since one may take several.
    let ledger = Ledger::of(64);
    ledger.attend();
    (0..64).for_each(|n| pool.spawn(move || spin_and_sign(ledger, n)));
    ledger.wait();
    Arc::new(pool)
}

fn end<P: Pool>(pool: Arc<P>) {
    Arc::into_inner(pool).expect("the thread that submitted has gone").end();
}

fn run<P: Pool>(ops: u64, submit: fn(&P, &'static Ledger)) -> Sample {
    let ledger = Ledger::of(ops);
    let pool = warm::<P>();
    let job: team::Job<()> = Box::new({
        let pool = pool.clone();
        move || {
            ledger.attend();
            submit(&pool, ledger);
            ledger.wait();
        }
    });
    let (sample, _) = race(ops, vec![job]);
    end(pool);
    ledger.settle();
    sample
}

#[inline(never)]
fn submit_empty<P: Pool>(pool: &P, ledger: &'static Ledger) {
    for n in 0..ledger.jobs() {
        pool.spawn(move || ledger.sign(n));
    }
}

#[inline(never)]
fn submit_busy<P: Pool>(pool: &P, ledger: &'static Ledger) {
    for n in 0..ledger.jobs() {
        pool.spawn(move || spin_and_sign(ledger, n));
    }
}

fn spin_and_sign(ledger: &Ledger, n: u64) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_micros(1) {
        std::hint::spin_loop();
    }
    ledger.sign(n);
}

/// The same channel for every pool: one that nobody waits to send into.
#[inline(never)]
fn through_a_channel<P: Pool>(pool: &P, jobs: u64) -> u64 {
    let (sender, receiver) = crossbeam_channel::unbounded();
    for n in 0..jobs {
        let sender = sender.clone();
        pool.spawn(move || sender.send(result_of(n)).expect("somebody adds up"));
    }
    drop(sender);
    receiver.into_iter().fold(0, u64::wrapping_add)
}

fn add_up<P: Pool>(ops: u64, results: fn(&P, u64) -> u64) -> Sample {
    let pool = warm::<P>();
    let job: team::Job<u64> = Box::new({
        let pool = pool.clone();
        move || results(&pool, ops)
    });
    let (sample, sums) = race(ops, vec![job]);
    end(pool);
    let sum = (0..ops).map(result_of).fold(0, u64::wrapping_add);
    assert_eq!(sums, [sum], "{} has lost a result, or invented one", P::NAME);
    sample
}

/// One job at a time, each to a pool whose workers sleep.
fn start<P: Pool>(ops: u64) -> Sample {
    let pool = warm::<P>();
    let job: team::Job<Vec<f64>> = Box::new({
        let pool = pool.clone();
        move || (0..ops).map(|_| start_once(&*pool)).collect()
    });
    let (sample, waits) = race(ops, vec![job]);
    end(pool);
    let waits: Vec<f64> = waits.into_iter().flatten().collect();
    let latency = Some([quantile(&waits, 0.5), quantile(&waits, 0.99)]);
    // CPU time and switches are those of falling asleep, too.
    Sample { latency, cpu: None, switches: None, ..sample }
}

fn start_once<P: Pool>(pool: &P) -> f64 {
    thread::sleep(REST);
    let wait = Arc::new(AtomicU64::new(0));
    let submitter = thread::current();
    let submitted = Instant::now();
    pool.spawn({
        let wait = wait.clone();
        move || {
            let nanos = submitted.elapsed().as_nanos() as u64;
            wait.store(nanos.max(1), Ordering::Release);
            submitter.unpark();
        }
    });
    loop {
        match wait.load(Ordering::Acquire) {
            0 => thread::park(),
            nanos => return nanos as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use super::*;

    /// A pool of one thread; a fault at its 700th job.
    struct Planted<const FAULT: u8> {
        jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
        submitted: Mutex<u64>,
        worker: thread::JoinHandle<()>,
    }

    const NONE: u8 = 0;
    /// A job is dropped, and another one runs twice in its place: by the ledger.
    const DOUBLES: u8 = 1;
    const ALTERS: u8 = 2;
    const FORGETS: u8 = 3;

    impl<const FAULT: u8> Pool for Planted<FAULT> {
        const NAME: &'static str = "planted";

        fn new() -> Self {
            let (jobs, todo) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
            let worker = thread::spawn(move || todo.into_iter().for_each(|job| job()));
            Self { jobs, submitted: Mutex::default(), worker }
        }

        fn spawn(&self, job: impl FnOnce() + Send + 'static) {
            let mut submitted = self.submitted.lock().unwrap();
            *submitted += 1;
            if FAULT == FORGETS && *submitted == 700 {
                return;
            }
            self.jobs.send(Box::new(job)).unwrap();
        }

        fn grow(&self, n: u64, ledger: &'static Ledger) {
            let mut todo = vec![n];
            while let Some(n) = todo.pop() {
                ledger.sign(if FAULT == DOUBLES && n == 700 { 716 } else { n });
                todo.extend(branch(n, ledger));
            }
        }

        fn end(self) {
            drop(self.jobs);
            self.worker.join().unwrap();
        }
    }

    impl<const FAULT: u8> Handles for Planted<FAULT> {
        fn join_all(&self, jobs: u64) -> u64 {
            let all = (0..jobs).map(result_of).fold(0, u64::wrapping_add);
            if FAULT == ALTERS { all ^ 1 } else { all }
        }
    }

    #[test]
    fn a_pool_that_works_passes() {
        run::<Planted<NONE>>(1000, submit_empty);
        run::<Planted<NONE>>(1000, |pool, ledger| pool.grow(0, ledger));
        add_up::<Planted<NONE>>(1000, through_a_channel);
        add_up::<Planted<NONE>>(1000, Handles::join_all);
        let sample = start::<Planted<NONE>>(10);
        let [p50, p99] = sample.latency.unwrap();
        assert!(0.0 < p50 && p50 <= p99);
    }

    #[test]
    #[should_panic(expected = "has run twice")]
    fn a_pool_that_runs_one_job_for_another_fails() {
        run::<Planted<DOUBLES>>(1000, |pool, ledger| pool.grow(0, ledger));
    }

    #[test]
    #[should_panic(expected = "has lost a result")]
    fn a_pool_that_alters_a_result_fails() {
        add_up::<Planted<ALTERS>>(1000, Handles::join_all);
    }

    #[test]
    #[should_panic(expected = "has lost a result")]
    fn a_pool_that_loses_a_result_fails() {
        add_up::<Planted<FORGETS>>(1000, through_a_channel);
    }

    /// Such a run would wait for a minute, and fail; here it is ended before.
    #[test]
    #[should_panic(expected = "has not run")]
    fn a_pool_that_forgets_a_job_fails() {
        let pool = Planted::<FORGETS>::new();
        let ledger = Ledger::of(1000);
        submit_empty(&pool, ledger);
        pool.end();
        ledger.settle();
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                let ops = if cell.latency { 20 } else { 3000 };
                let sample = (candidate.run)(ops);
                let seen = (sample.ops, sample.latency.is_some());
                assert_eq!(seen, (ops, cell.latency), "{}", candidate.name);
            }
        }
    }
}
