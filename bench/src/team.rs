//! Runs one candidate once: some threads that start together, timed from the first one's start to
//! the last one's end. Starting and joining the threads is outside the measurement.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::Sample;
use crate::sys;

/// What one thread does.
pub(crate) type Job<R> = Box<dyn FnOnce() -> R + Send>;

/// A run is meant to take milliseconds. One that is not through after this long has lost an item or
/// missed a wake-up, and would never end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the jobs, each on its own thread, and returns what they returned, in their order.
///
/// # Panics
///
/// If a job panics, or the whole does not end; the threads that still run are left to themselves.
pub(crate) fn race<R: Send + 'static>(ops: u64, jobs: Vec<Job<R>>) -> (Sample, Vec<R>) {
    race_within(PATIENCE, ops, jobs)
}

fn race_within<R: Send + 'static>(
    patience: Duration,
    ops: u64,
    jobs: Vec<Job<R>>,
) -> (Sample, Vec<R>) {
    let team = jobs.len();
    let ready = Arc::new(Barrier::new(team + 1));
    let go = Arc::new(Barrier::new(team + 1));
    let (report, reports) = mpsc::channel();
    let threads: Vec<_> = jobs
        .into_iter()
        .enumerate()
        .map(|(at, job)| {
            let (ready, go, report) = (ready.clone(), go.clone(), report.clone());
            thread::spawn(move || {
                ready.wait();
                go.wait();
                let start = Instant::now();
                let result = catch_unwind(AssertUnwindSafe(job));
                // If nobody listens any more, another job has failed already.
                let _ = report.send((at, start, Instant::now(), result));
            })
        })
        .collect();
    drop(report);

    ready.wait();
    let (cpu, switches) = (sys::cpu_time(), sys::switches());
    go.wait();
    let deadline = Instant::now() + patience;
    let mut results: Vec<Option<R>> = (0..team).map(|_| None).collect();
    let mut span: Option<(Instant, Instant)> = None;
    for _ in 0..team {
        let left = deadline.saturating_duration_since(Instant::now());
        let (at, start, end, result) = match reports.recv_timeout(left) {
            Ok(report) => report,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no end after {patience:?}: an item was lost or a wake-up missed")
            }
            Err(RecvTimeoutError::Disconnected) => panic!("a thread of this run is gone"),
        };
        results[at] = Some(result.unwrap_or_else(|_| panic!("a thread of this run panicked")));
        span = Some(span.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
    }
    let (cpu, switches) = (sys::cpu_time() - cpu, sys::switches() - switches);
    for thread in threads {
        thread.join().expect("it has reported");
    }
    let wall = span.map_or(Duration::ZERO, |(first, last)| last - first);
    (Sample::of(ops, wall, cpu, switches), results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs_and_the_span_covers_them_all() {
        let jobs: Vec<Job<u64>> = [9, 1, 5]
            .into_iter()
            .map(|n| -> Job<u64> {
                Box::new(move || {
                    thread::sleep(Duration::from_millis(n));
                    n
                })
            })
            .collect();
        let (sample, results) = race(3, jobs);
        assert_eq!(results, [9, 1, 5]);
        assert!(sample.wall >= Duration::from_millis(9), "{sample:?}");
        assert!(sample.switches.is_some_and(|n| n >= 3), "{sample:?}");
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_failed_check_on_a_thread_fails_the_run() {
        race::<()>(1, vec![Box::new(|| panic!("planted")), Box::new(|| ())]);
    }

    #[test]
    #[should_panic(expected = "no end after")]
    fn a_run_that_hangs_fails() {
        let forever: Job<()> = Box::new(|| {
            loop {
                thread::park();
            }
        });
        race_within(Duration::from_millis(20), 1, vec![forever]);
    }
}
