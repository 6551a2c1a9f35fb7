//! Who takes part in family `pool`: ours, then the peers by name. `crossbeam-channel`, `crossfire` and `kanal` stand for the
//! pool that one writes oneself, told in `by_hand`.

mod by_hand;

use super::ledger::Ledger;
use super::{Handles, Pool, Shape, WORKERS, branch, candidate, joining, result_of};
use crate::family::{Candidate, OURS};
use aqueduct::pool as ours;
use by_hand::{ByHand, Task};

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    vec![
        candidate::<Aqueduct>(shape),
        candidate::<ByHand<crossbeam_channel::Sender<Task>>>(shape),
        candidate::<ByHand<crossfire::MTx<crossfire::mpmc::List<Task>>>>(shape),
        candidate::<ByHand<kanal::Sender<Task>>>(shape),
        candidate::<Rayon>(shape),
        candidate::<RustyPool>(shape),
        candidate::<ThreadPool>(shape),
        candidate::<Tokio>(shape),
        candidate::<TokioBlocking>(shape),
    ]
}

pub(super) fn with_handles() -> Vec<Candidate> {
    vec![
        joining::<Aqueduct>(),
        joining::<RustyPool>(),
        joining::<Tokio>(),
        joining::<TokioBlocking>(),
    ]
}

/// What programs use: bounded at the default capacity, so that a submitter that is faster than the workers waits.
struct Aqueduct(ours::Pool);

impl Pool for Aqueduct {
    const NAME: &'static str = OURS;

    fn new() -> Self {
        let pool = ours::Pool::builder().min_workers(WORKERS).max_workers(WORKERS).build();
        Self(pool.expect("two threads can be started"))
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.execute(job).expect("nobody shuts it down");
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        self.spawn(move || work(n, ledger));

        fn work(n: u64, ledger: &'static Ledger) {
            for child in branch(n, ledger) {
                ours::execute(move || work(child, ledger)).expect("nobody shuts it down");
            }
            ledger.sign(n);
        }
    }

    fn end(self) {
        assert!(self.0.shutdown().is_complete());
    }
}

impl Handles for Aqueduct {
    fn join_all(&self, jobs: u64) -> u64 {
        let submit = |n| self.0.submit(move || result_of(n)).expect("nobody shuts it down");
        let handles: Vec<_> = (0..jobs).map(submit).collect();
        let values = handles.into_iter().map(|job| job.join().expect("it returns").value);
        values.fold(0, u64::wrapping_add)
    }
}

struct Rayon(rayon::ThreadPool);

impl Pool for Rayon {
    const NAME: &'static str = "rayon";

    fn new() -> Self {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build();
        Self(pool.expect("two threads can be started"))
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.spawn(job);
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        self.0.spawn(move || work(n, ledger));

        fn work(n: u64, ledger: &'static Ledger) {
            branch(n, ledger).for_each(|child| rayon::spawn(move || work(child, ledger)));
            ledger.sign(n);
        }
    }

    fn end(self) {}
}

/// Its jobs have no way to their pool but a handle that each takes along.
struct RustyPool(rusty_pool::ThreadPool);

impl Pool for RustyPool {
    const NAME: &'static str = "rusty_pool";

    fn new() -> Self {
        let builder = rusty_pool::Builder::new().core_size(WORKERS).max_size(WORKERS);
        Self(builder.build())
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.execute(job);
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        work(&self.0, n, ledger);

        fn work(pool: &rusty_pool::ThreadPool, n: u64, ledger: &'static Ledger) {
            let own = pool.clone();
            pool.execute(move || {
                branch(n, ledger).for_each(|child| work(&own, child, ledger));
                drop(own);
                ledger.sign(n);
            });
        }
    }

    fn end(self) {
        self.0.shutdown_join();
    }
}

impl Handles for RustyPool {
    fn join_all(&self, jobs: u64) -> u64 {
        let handles: Vec<_> = (0..jobs).map(|n| self.0.evaluate(move || result_of(n))).collect();
        handles.into_iter().map(|job| job.await_complete()).fold(0, u64::wrapping_add)
    }
}

/// As rusty_pool, a job takes a handle along.
struct ThreadPool(threadpool::ThreadPool);

impl Pool for ThreadPool {
    const NAME: &'static str = "threadpool";

    fn new() -> Self {
        Self(threadpool::ThreadPool::new(WORKERS))
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        self.0.execute(job);
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        work(&self.0, n, ledger);

        fn work(pool: &threadpool::ThreadPool, n: u64, ledger: &'static Ledger) {
            let own = pool.clone();
            pool.execute(move || {
                branch(n, ledger).for_each(|child| work(&own, child, ledger));
                drop(own);
                ledger.sign(n);
            });
        }
    }

    fn end(self) {
        self.0.join();
    }
}

/// A task that does not wait for anything.
struct Tokio(tokio::runtime::Runtime);

impl Pool for Tokio {
    const NAME: &'static str = "tokio";

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build();
        Self(runtime.expect("two threads can be started"))
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        drop(self.0.spawn(async move { job() }));
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        drop(self.0.spawn(async move { work(n, ledger) }));

        fn work(n: u64, ledger: &'static Ledger) {
            for child in branch(n, ledger) {
                drop(tokio::spawn(async move { work(child, ledger) }));
            }
            ledger.sign(n);
        }
    }

    fn end(self) {}
}

impl Handles for Tokio {
    fn join_all(&self, jobs: u64) -> u64 {
        let handles: Vec<_> =
            (0..jobs).map(|n| self.0.spawn(async move { result_of(n) })).collect();
        let values =
            handles.into_iter().map(|job| futures_lite::future::block_on(job).expect("it returns"));
        values.fold(0, u64::wrapping_add)
    }
}

struct TokioBlocking(tokio::runtime::Runtime);

impl Pool for TokioBlocking {
    const NAME: &'static str = "tokio-blocking";

    fn new() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).max_blocking_threads(WORKERS).build();
        Self(runtime.expect("three threads can be started"))
    }

    #[inline]
    fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        drop(self.0.spawn_blocking(job));
    }

    fn grow(&self, n: u64, ledger: &'static Ledger) {
        drop(self.0.spawn_blocking(move || work(n, ledger)));

        fn work(n: u64, ledger: &'static Ledger) {
            for child in branch(n, ledger) {
                drop(tokio::task::spawn_blocking(move || work(child, ledger)));
            }
            ledger.sign(n);
        }
    }

    fn end(self) {}
}

impl Handles for TokioBlocking {
    fn join_all(&self, jobs: u64) -> u64 {
        let handles: Vec<_> =
            (0..jobs).map(|n| self.0.spawn_blocking(move || result_of(n))).collect();
        let values =
            handles.into_iter().map(|job| futures_lite::future::block_on(job).expect("it returns"));
        values.fold(0, u64::wrapping_add)
    }
}
