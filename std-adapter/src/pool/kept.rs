//! What a job returned, and how it went, until somebody asks.

use super::job::{JobId, WorkerId};
use super::outcome::JobResult;
use std::time::Duration;

/// A [`JobResult`] in half of its room, inside of its job.
///
/// What is made on one thread and freed on another costs less where it is small. A job with a small function and a small result is
/// 120 bytes, the most that glibc's allocator takes back without a lock.
pub(super) struct Kept<R> {
    value: R,
    /// In nanoseconds of the pool's life.
    began: u64,
    /// In nanoseconds.
    ran_for: u64,
    /// Of the worker; [`NOBODY`] if there was none.
    worker: usize,
}

/// No worker has this number.
const NOBODY: usize = usize::MAX;

impl<R> Kept<R> {
    /// Of a job that began then.
    pub(super) fn new(result: JobResult<R>, began: u64) -> Self {
        Self {
            value: result.value,
            began,
            ran_for: nanos(result.ran_for),
            worker: result.worker.map_or(NOBODY, |worker| worker.0),
        }
    }

    /// Of the job of this number, that was submitted then, at that attempt.
    pub(super) fn into_result(self, id: JobId, submitted: u64, attempt: u32) -> JobResult<R> {
        JobResult {
            value: self.value,
            id,
            queued_for: Duration::from_nanos(self.began.saturating_sub(submitted)),
            ran_for: Duration::from_nanos(self.ran_for),
            worker: (self.worker != NOBODY).then_some(WorkerId(self.worker)),
            attempt,
        }
    }
}

/// 500 years fit.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_out_as_it_was() {
        for worker in [None, Some(WorkerId(0)), Some(WorkerId(7))] {
            let result = JobResult {
                value: "seven",
                id: JobId(5),
                queued_for: Duration::from_nanos(40),
                ran_for: Duration::from_secs(3),
                worker,
                attempt: 2,
            };
            assert_eq!(Kept::new(result.clone(), 1_040).into_result(JobId(5), 1_000, 2), result);
        }
    }
}
