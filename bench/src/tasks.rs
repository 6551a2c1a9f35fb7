//! Runs one candidate once, by tasks: what [`team`](crate::team) does with threads, on tokio's runtime
//! with two workers. The runtime is made once and outlives all repetitions.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

use crate::measure::Sample;
use crate::{sys, team};

/// What one task does.
pub(crate) type Task<R> = Pin<Box<dyn Future<Output = R> + Send>>;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).build().expect("two threads can be started")
});

/// Runs the tasks and returns what they returned, in their order. They meet at a barrier first; the
/// time counts from the first one that passes it to the end of the last.
///
/// # Panics
///
/// If a task panics, or the whole does not end.
pub(crate) fn race_tasks<R: Send + 'static>(ops: u64, tasks: Vec<Task<R>>) -> (Sample, Vec<R>) {
    race_within(team::PATIENCE, ops, tasks)
}

fn race_within<R: Send + 'static>(
    patience: Duration,
    ops: u64,
    tasks: Vec<Task<R>>,
) -> (Sample, Vec<R>) {
    let count = tasks.len();
    let go = Arc::new(Barrier::new(count));
    let (report, reports) = mpsc::channel();
    let (cpu, switches) = (sys::cpu_time(), sys::switches());
    for (at, task) in tasks.into_iter().enumerate() {
        let (go, report) = (go.clone(), report.clone());
        RUNTIME.spawn(async move {
            go.wait().await;
            let start = Instant::now();
            let result = AssertUnwindSafe(task).catch_unwind().await;
            // If nobody listens any more, another task has failed already.
            let _ = report.send((at, start, Instant::now(), result));
        });
    }
    drop(report);
    let deadline = Instant::now() + patience;
    let mut results: Vec<Option<R>> = (0..count).map(|_| None).collect();
    let mut span: Option<(Instant, Instant)> = None;
    for _ in 0..count {
        let left = deadline.saturating_duration_since(Instant::now());
        let (at, start, end, result) = match reports.recv_timeout(left) {
            Ok(report) => report,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no end after {patience:?}: an item was lost or a wake-up missed")
            }
            Err(RecvTimeoutError::Disconnected) => panic!("a task of this run is gone"),
        };
        results[at] = Some(result.unwrap_or_else(|_| panic!("a task of this run panicked")));
        span = Some(span.map_or((start, end), |(first, last)| (first.min(start), last.max(end))));
    }
    let (cpu, switches) = (sys::cpu_time() - cpu, sys::switches() - switches);
    let wall = span.map_or(Duration::ZERO, |(first, last)| last - first);
    (Sample::of(ops, wall, cpu, switches), results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        let tasks: Vec<Task<u64>> = [9, 1, 5]
            .into_iter()
            .map(|n| -> Task<u64> {
                Box::pin(async move {
                    for _ in 0..n {
                        tokio::task::yield_now().await;
                    }
                    n
                })
            })
            .collect();
        let (sample, results) = race_tasks(3, tasks);
        assert_eq!(results, [9, 1, 5]);
        assert!(sample.wall > Duration::ZERO, "{sample:?}");
    }

    #[test]
    #[should_panic(expected = "a task of this run panicked")]
    fn a_failed_check_in_a_task_fails_the_run() {
        race_tasks::<()>(1, vec![Box::pin(async { panic!("planted") }), Box::pin(async {})]);
    }

    #[test]
    #[should_panic(expected = "no end after")]
    fn a_run_that_hangs_fails() {
        let forever: Task<()> = Box::pin(std::future::pending());
        race_within(Duration::from_millis(20), 1, vec![forever]);
    }
}
