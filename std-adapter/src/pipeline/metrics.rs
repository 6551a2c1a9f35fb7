//! A run watched while it goes on: counts, queues, who waits for whom, and which stage all others wait for.

use super::cap::Cap;
use super::desk::{Office, Wait};
use super::report::{Counts, StageReport};
use crate::lock;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A snapshot of a run: made by [`Running::metrics`](super::Running::metrics).
///
/// The numbers of one stage may be ahead of one another by what is under way. Time spent waiting counts while it is still going by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PipelineMetrics {
    /// The source, and the stages in their order.
    pub stages: Vec<StageMetrics>,
    /// Since the run began.
    pub elapsed: Duration,
    /// How many items the source will make, if it says so.
    pub total: Option<u64>,
    /// The share of the time in which the last stage waits for whoever takes the output.
    output: f64,
}

/// One stage of a run, as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StageMetrics {
    /// What it has done so far.
    pub so_far: StageReport,
    /// Items that wait in front of it. Where its workers [share](super::Pipeline::bridge) the source, those of their grains: of several that a
    /// worker takes together all count until it has begun the last.
    pub queued: usize,
    /// How many may wait there; 0 for the source, and for a stage that [shares](super::Pipeline::bridge) it.
    pub buffer: usize,
    /// The bound of the [cap](super::Pipeline::max_in_flight) behind it, in items or in weight, if there is one; of several, of that which is nearest to
    /// its bound.
    pub cap: Option<usize>,
    /// How much of that is under way.
    pub under_cap: usize,
    /// Its workers now.
    pub workers: usize,
    /// Of them, those that wait for items.
    pub starved: usize,
    /// Of them, those that wait for room to hand on what they have made.
    pub blocked: usize,
    /// The neighbour that most of its waiting is for: the stage in front if it starves, the stage behind if it is
    /// blocked, `output` behind the last.
    ///
    /// It is always the neighbour, also where nothing is to be had from it: a source that is held at the gate of a
    /// [window](super::Pipeline::ordered), or at a [cap](super::Pipeline::max_in_flight), by a stage further down is said to wait for the stage behind
    /// it. Follow the names until somebody waits for nobody, or ask for the [`bottleneck`](PipelineMetrics::bottleneck).
    pub waits_for: Option<Arc<str>>,
}

/// A worker that is at work on an item.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtWork {
    /// The stage; `source`, which is at work on its next item, or `output` for the function that takes what comes out, and for whoever does not
    /// receive it while all others wait for that.
    pub stage: Arc<str>,
    /// The item's position in what the source made.
    pub item: u64,
}

impl fmt::Display for AtWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage `{}` at item {}", self.stage, self.item)
    }
}

/// Goes on with who was at work, if anybody was.
pub(super) fn name_all(at_work: &[AtWork], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    at_work.iter().enumerate().try_for_each(|(number, at_work)| {
        write!(f, "{} {at_work}", if number == 0 { ":" } else { "," })
    })
}

/// The stage that the others wait for: made by [`PipelineMetrics::bottleneck`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bottleneck {
    /// Its name; `source` if that is what keeps everybody waiting, `output` if it is whoever takes the output.
    pub stage: Arc<str>,
    /// The share of the time in which it is at work, from 0 to 1; of the time in which the last stage waits for it, if it is the
    /// output.
    pub share: f64,
}

impl PipelineMetrics {
    pub(super) fn new(offices: &[Arc<Office>], elapsed: Duration, total: Option<u64>) -> Self {
        let stages = offices.iter().enumerate().map(|(at, office)| {
            let so_far = StageReport::now(office);
            let counts = so_far.counts();
            let starved = share(counts.starved, counts.alive);
            let waits_for = if blocked_share(office, counts) > starved {
                Some(
                    offices
                        .get(at + 1)
                        .map_or_else(|| OUTPUT.into(), |next| Arc::clone(&next.name)),
                )
            } else if at > 0 && counts.starved > Duration::ZERO {
                Some(Arc::clone(&offices[at - 1].name))
            } else {
                None
            };
            let cap = office.caps.iter().max_by(|a, b| a.fullness().total_cmp(&b.fullness()));
            let waits = |wait| office.desks().iter().filter(|d| d.waits() == Some(wait)).count();
            StageMetrics {
                queued: office.depth.items(),
                buffer: office.buffer,
                cap: cap.map(Cap::most),
                under_cap: cap.map_or(0, Cap::used),
                workers: lock(&office.staff).workers,
                starved: waits(Wait::Starved),
                blocked: waits(Wait::Blocked),
                waits_for,
                so_far,
            }
        });
        let output = offices.last().map_or(0.0, |last| blocked_share(last, &last.counts()));
        Self { stages: stages.collect(), elapsed, total, output }
    }

    /// How many items have been begun and have not come to an end: made by the source, or [added](StageReport::added) on the way, and neither out of
    /// the last stage nor left out, failed or cancelled. What is in a batch counts until the batch is made.
    pub fn in_flight(&self) -> u64 {
        let sum =
            |of: fn(&StageReport) -> u64| self.stages.iter().map(|s| of(&s.so_far)).sum::<u64>();
        let (Some(first), Some(last)) = (self.stages.first(), self.stages.last()) else { return 0 };
        let begun = first.so_far.received() + sum(StageReport::added);
        let over =
            sum(StageReport::filtered) + sum(StageReport::failed) + sum(StageReport::cancelled);
        begun.saturating_sub(over + last.so_far.out())
    }

    /// The stage that the others wait for: the one whose workers are at work for the largest share of their time. If the
    /// last stage waits for the output for longer than that, it is the output; if the workers that [share](super::Pipeline::bridge) a source
    /// wait for each other there, it is the source.
    ///
    /// More workers, or a quicker function, help there, and nowhere else. `None` before anything was done.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        let stages = self.stages.iter().enumerate().map(|(at, stage)| {
            let counts = stage.so_far.counts();
            let share = match self.stages.get(at + 1) {
                // One of those who share a source is in it, and the others wait for it.
                Some(next) if stage.so_far.concurrency() == 0 => {
                    let next = next.so_far.counts();
                    share(next.starved, next.longest).min(1.0)
                }
                _ => share(stage.so_far.busy(), counts.alive),
            };
            Bottleneck { stage: stage.so_far.shared_name(), share }
        });
        let output = Bottleneck { stage: OUTPUT.into(), share: self.output };
        let most = stages.chain([output]).max_by(|a, b| a.share.total_cmp(&b.share))?;
        (most.share > 0.0).then_some(most)
    }
}

fn share(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() { 0.0 } else { part.as_secs_f64() / whole.as_secs_f64() }
}

/// The share of the time in which what is behind a stage keeps it waiting. Of workers in front of an ordered point one at a time can be blocked, whoever hands on
/// for all, while the others starve beside a full window.
fn blocked_share(office: &Office, counts: &Counts) -> f64 {
    let whole = if office.has_one_way_out { counts.longest } else { counts.alive };
    // Of several that came and went, none may have been there all the time.
    share(counts.blocked, whole).min(1.0)
}

/// The name under which whoever takes the output appears.
pub(super) const OUTPUT: &str = "output";

/// Who is at work on an item now. If nobody is, and the last stage cannot hand its items on, it is whoever should take the output.
pub(super) fn at_work(offices: &[Arc<Office>]) -> Vec<AtWork> {
    let of = |office: &Arc<Office>| {
        let items: Vec<u64> = office
            .desks()
            .iter()
            .filter(|desk| desk.waits().is_none())
            .filter_map(|desk| desk.item())
            .collect();
        let stage = Arc::clone(&office.name);
        items.into_iter().map(move |item| AtWork { stage: Arc::clone(&stage), item })
    };
    let mut at_work: Vec<_> = offices.iter().flat_map(of).collect();
    if at_work.is_empty() {
        let last = offices.last().map_or_else(Vec::new, |office| office.desks());
        let blocked = last.iter().filter(|desk| desk.waits() == Some(Wait::Blocked));
        let first = blocked.filter_map(|desk| desk.item()).min();
        at_work.extend(first.map(|item| AtWork { stage: OUTPUT.into(), item }));
    }
    at_work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::desk::Staff;
    use std::time::Instant;

    /// Of five workers two work, one hands on for all, and two find the window full: the output is what they wait for.
    #[test]
    fn the_output_behind_an_ordered_stage_is_seen_to_hold_it_up() {
        for is_ordered in [true, false] {
            let began = Instant::now();
            let long = || {
                // So long that whatever held us up before is little beside it.
                let (before, start) = (began.elapsed(), Instant::now());
                while start.elapsed() < Duration::from_millis(5).max(before * 10) {}
            };
            let mut office = Office::new(&"stage".into(), 1, Staff::fixed(5), true);
            office.has_one_way_out = is_ordered;
            let desks: Vec<_> = (0..5).map(|_| office.desk()).collect();
            let offices = [Arc::new(office)];
            let (bottleneck, waits_for) = desks[0].during(Wait::Blocked, || {
                desks[1].during(Wait::Starved, || {
                    desks[2].during(Wait::Starved, || {
                        long();
                        let metrics = PipelineMetrics::new(&offices, began.elapsed(), None);
                        (metrics.bottleneck(), metrics.stages[0].waits_for.clone())
                    })
                })
            });
            let (stage, share) = bottleneck.map(|one| (one.stage, one.share)).unwrap();
            assert_eq!(&*stage, if is_ordered { OUTPUT } else { "stage" }, "{share}");
            assert_eq!(waits_for.as_deref(), is_ordered.then_some(OUTPUT));
        }
    }
}
