//! What a run did, in numbers that add up.

use super::desk::Office;
use super::error::StageError;
use crate::lock;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::Duration;

/// What a run did: items and time per stage, the errors it kept, and what became of the output.
///
/// Nothing is ever lost silently. In each stage
///
/// ```text
/// received + added = out + filtered + failed + cancelled
/// failed = skipped + collected + dead-lettered + stopped
/// ```
///
/// where `added` is 0 unless the stage makes several items of one. Each stage receives what the one in front of it put
/// out; and what the last one put out is delivered or counted as undelivered.
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
    /// Where a failure stopped the run, and it ended otherwise before all in front of that item had arrived, that failure is the last of them.
    ///
    /// At most as many as [`keep_errors`](super::Pipeline::keep_errors) says, and that one; see [`errors_unkept`](Self::errors_unkept).
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

    pub(super) fn push(&mut self, office: &Office) {
        let stage = StageReport::now(office);
        self.unkept += stage.counts.unkept;
        self.stages.push(stage);
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
    pub(super) fn now(office: &Office) -> Self {
        let concurrency = lock(&office.staff).peak;
        Self { name: Arc::clone(&office.name), concurrency, counts: office.counts() }
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// The stage's name; that of the source is `source`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many workers it had, at most at a time; 0 for a source that is [shared](super::Pipeline::bridge), which takes the time of those who share it.
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

    /// How many items failed, by an error or a panic: those [`skipped`](Self::skipped), [`collected`](Self::collected),
    /// [`dead_lettered`](Self::dead_lettered) and [`stopped`](Self::stopped) at.
    pub fn failed(&self) -> u64 {
        self.counts.failed()
    }

    /// How many items were given up, before, in or after the stage's function, because the run stopped or was
    /// aborted.
    pub fn cancelled(&self) -> u64 {
        self.counts.cancelled + self.counts.recalled
    }

    /// How many items were left out on purpose: by a filter, a flat-map that made nothing, or because a batch, a sum or
    /// a later item took them up.
    pub fn filtered(&self) -> u64 {
        self.counts.filtered + self.counts.absorbed
    }

    /// How many items were made beyond one for one, by a flat-map.
    pub fn added(&self) -> u64 {
        self.counts.added
    }

    /// How many items failed and were left out with no more than this count: [`Policy::Skip`](super::Policy::Skip).
    pub fn skipped(&self) -> u64 {
        self.counts.skipped
    }

    /// How many items failed and were left out, with their errors among those that are [kept](Report::errors):
    /// [`Policy::Collect`](super::Policy::Collect).
    pub fn collected(&self) -> u64 {
        self.counts.collected
    }

    /// How many items failed and went to the stage's dead letters.
    pub fn dead_lettered(&self) -> u64 {
        self.counts.buried
    }

    /// How many items failed and stopped the run: [`Policy::Stop`](super::Policy::Stop). Several may, where workers do so at the same time.
    pub fn stopped(&self) -> u64 {
        self.counts.stopped
    }

    /// How many attempts were made beyond the first of each item.
    pub fn retried(&self) -> u64 {
        self.counts.retried
    }

    /// How long the workers waited for items, all together.
    pub fn starved(&self) -> Duration {
        self.counts.starved
    }

    /// How long the workers were at work, all together. Waits in front of another attempt, and for the sake of a rate, are among it.
    pub fn busy(&self) -> Duration {
        self.counts.busy()
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

/// What one party counted, or several together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) put: u64,
    pub(super) recalled: u64,
    pub(super) filtered: u64,
    /// Left out before they were put.
    pub(super) absorbed: u64,
    pub(super) added: u64,
    pub(super) skipped: u64,
    pub(super) collected: u64,
    pub(super) buried: u64,
    pub(super) stopped: u64,
    /// Those of them that had been put.
    pub(super) fallen: u64,
    pub(super) cancelled: u64,
    pub(super) retried: u64,
    pub(super) unkept: u64,
    pub(super) starved: Duration,
    pub(super) blocked: Duration,
    /// From each party's first step to its last.
    pub(super) alive: Duration,
    /// The longest of these.
    pub(super) longest: Duration,
}

impl Counts {
    /// What the next stage received, or will. Something may be recalled by another party than had put it.
    pub(super) fn handed_on(&self) -> u64 {
        (self.put + self.added).saturating_sub(self.filtered + self.recalled + self.fallen)
    }

    pub(super) fn failed(&self) -> u64 {
        self.skipped + self.collected + self.buried + self.stopped
    }

    pub(super) fn without_times(self) -> Self {
        let none = Duration::ZERO;
        Self { starved: none, blocked: none, alive: none, longest: none, ..self }
    }

    pub(super) fn busy(&self) -> Duration {
        self.alive.saturating_sub(self.starved + self.blocked)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.put += other.put;
        self.recalled += other.recalled;
        self.filtered += other.filtered;
        self.absorbed += other.absorbed;
        self.added += other.added;
        self.skipped += other.skipped;
        self.collected += other.collected;
        self.buried += other.buried;
        self.stopped += other.stopped;
        self.fallen += other.fallen;
        self.cancelled += other.cancelled;
        self.retried += other.retried;
        self.unkept += other.unkept;
        self.starved += other.starved;
        self.blocked += other.blocked;
        self.alive += other.alive;
        self.longest = self.longest.max(other.longest);
    }
}
