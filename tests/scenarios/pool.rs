//! The worker pool: what broke others of its kind.

mod chains;
mod destructors;
mod futures;
mod groups;
mod hands;
mod jobs;
mod latency;
mod light;
mod limits;
mod memory;
mod places;
mod scaling;
mod scopes;
mod shutdown;
mod turns;

use aqueduct::pool::{Job, JobHandle, Pool};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// One worker, and so many in its place while it is stuck. None is sent away for want of work, however long a test is held up.
fn one_worker(max_compensation: usize) -> Pool {
    let long = Duration::from_secs(3600);
    let pool = Pool::builder().max_workers(1).max_compensation(max_compensation);
    pool.keep_alive(long).check_interval(long).build().unwrap()
}

/// What jobs wait at until a test lets them pass.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    /// Waits until the gate is open.
    pub(crate) fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        changed.notify_all();
        while !state.open {
            state = changed.wait(state).unwrap();
        }
        state.waiting -= 1;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Waits until so many wait at the gate.
    pub(crate) fn until_waiting(&self, count: usize) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        while state.waiting < count {
            state = changed.wait(state).unwrap();
        }
    }

    /// A job that waits at the gate.
    pub(crate) fn job(&self) -> impl FnOnce() + Send + 'static {
        let gate = self.clone();
        move || gate.pass()
    }
}

/// Fifty jobs of one key, and the order in which they ran; each fails if it is not alone.
pub(crate) fn fifty_of_key(pool: &Pool, key: &str) -> (Vec<JobHandle<()>>, Arc<Mutex<Vec<usize>>>) {
    let running = Arc::new(AtomicUsize::new(0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let jobs = (0..50).map(|n| {
        let (running, order) = (Arc::clone(&running), Arc::clone(&order));
        let job = Job::new(move || {
            assert_eq!(running.fetch_add(1, SeqCst), 0, "alone of its key");
            order.lock().unwrap().push(n);
            running.fetch_sub(1, SeqCst);
        });
        pool.submit_job(job.key(key)).unwrap()
    });
    (jobs.collect(), order)
}

/// Joins jobs that are done.
pub(crate) fn join_all<R: 'static>(jobs: impl IntoIterator<Item = JobHandle<R>>) {
    for job in jobs {
        job.join().unwrap();
    }
}
