//! What a run did, in numbers that add up.

use super::error::StageError;
use super::flow::Row;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

/// What a run did: items and time per stage, the errors it kept, and what became of the output.
///
/// Nothing is ever lost silently. In each stage `received = out + failed + cancelled`; each stage receives what the
/// one in front of it put out; and what the last one put out is delivered or counted as undelivered.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::Pipeline;
///
/// let report = Pipeline::from_iter(0..100).map("double", |n| n * 2).run(drop)?;
/// let [source, double] = report.stages() else { unreachable!("a source and a stage") };
/// assert_eq!((source.name(), source.out()), ("source", 100));
/// assert_eq!((double.name(), double.received(), double.out()), ("double", 100, 100));
/// assert_eq!(report.delivered(), 100);
/// assert!(report.is_complete());
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
#[derive(Debug, Default)]
pub struct Report {
    pub(super) stages: Vec<StageReport>,
    pub(super) exhausted: bool,
    pub(super) delivered: u64,
    pub(super) undelivered: u64,
    pub(super) errors: Vec<StageError>,
    pub(super) unkept: u64,
    pub(super) elapsed: Duration,
}

impl Report {
    /// The source, and the stages in their order.
    pub fn stages(&self) -> &[StageReport] {
        &self.stages
    }

    /// How many items the consumer of the output was given.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many items came out of the last stage and were taken by nobody.
    pub fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// How many items failed, in all stages together.
    pub fn failed(&self) -> u64 {
        self.stages.iter().map(StageReport::failed).sum()
    }

    /// How many items were given up because the run stopped or was aborted, those undelivered included.
    pub fn cancelled(&self) -> u64 {
        self.stages.iter().map(StageReport::cancelled).sum::<u64>() + self.undelivered
    }

    /// The errors of failed items that nobody has read while the run went on, oldest first.
    ///
    /// At most as many as [`keep_errors`](super::Pipeline::keep_errors) says; see [`errors_unkept`](Self::errors_unkept).
    pub fn errors(&self) -> &[StageError] {
        &self.errors
    }

    /// As [`errors`](Self::errors), for good.
    pub fn into_errors(self) -> Vec<StageError> {
        self.errors
    }

    /// How many errors there was no place for. Their items are counted as failed all the same.
    pub fn errors_unkept(&self) -> u64 {
        self.unkept
    }

    /// The time from the start of the run to the end of its last thread.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Whether the source came to its end by itself, and no item was given up on the way.
    ///
    /// `false` after a drain, a stop or an abort. Failed items do not matter here.
    pub fn is_complete(&self) -> bool {
        self.exhausted && self.cancelled() == 0
    }

    pub(super) fn push(&mut self, row: &Row) {
        self.unkept += row.counts.unkept;
        self.stages.push(StageReport {
            name: Arc::clone(&row.name),
            concurrency: row.concurrency,
            counts: row.counts,
        });
    }
}

/// What one stage did, or the source, whose items are "received" when they are made.
#[derive(Clone, Debug)]
pub struct StageReport {
    name: Arc<str>,
    concurrency: usize,
    counts: Counts,
}

impl StageReport {
    /// The stage's name; that of the source is `source`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many workers it had.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// How many items came in.
    pub fn received(&self) -> u64 {
        self.counts.received
    }

    /// How many items were handed on.
    pub fn out(&self) -> u64 {
        self.counts.handed_on()
    }

    /// How many items failed, by an error or a panic.
    pub fn failed(&self) -> u64 {
        self.counts.failed
    }

    /// How many items were given up, before, in or after the stage's function, because the run stopped or was
    /// aborted.
    pub fn cancelled(&self) -> u64 {
        self.counts.cancelled + self.counts.recalled
    }

    /// How long the workers waited for items, all together.
    pub fn starved(&self) -> Duration {
        self.counts.starved
    }

    /// How long the workers were at work, all together.
    pub fn busy(&self) -> Duration {
        self.counts.alive.saturating_sub(self.counts.starved + self.counts.blocked)
    }

    /// How long the workers waited for room to hand on what they had made, all together.
    pub fn blocked(&self) -> Duration {
        self.counts.blocked
    }
}

/// One line: the counts, then the times.
impl fmt::Display for StageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} x{}: {} in, {} out, {} failed, {} cancelled; busy {:.3?}, starved {:.3?}, blocked {:.3?}",
            self.name,
            self.concurrency,
            self.received(),
            self.out(),
            self.failed(),
            self.cancelled(),
            self.busy(),
            self.starved(),
            self.blocked(),
        )
    }
}

/// What one worker counts. Each counts for itself; they are added up when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub(super) received: u64,
    pub(super) out: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    /// Counted as `out` by somebody, and cancelled after all. Not always by the worker that counted it as `out`.
    pub(super) recalled: u64,
    /// Errors there was no place for.
    pub(super) unkept: u64,
    /// The source ended by itself.
    pub(super) exhausted: bool,
    pub(super) starved: Duration,
    pub(super) blocked: Duration,
    /// From the worker's first step to its last.
    pub(super) alive: Duration,
}

impl Counts {
    /// What was taken back was counted as handed on first, if not by this worker.
    pub(super) fn handed_on(&self) -> u64 {
        self.out.saturating_sub(self.recalled)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.out += other.out;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.recalled += other.recalled;
        self.unkept += other.unkept;
        self.exhausted |= other.exhausted;
        self.starved += other.starved;
        self.blocked += other.blocked;
        self.alive += other.alive;
    }
}
