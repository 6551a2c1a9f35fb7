//! Runs the candidates of a cell in turn and keeps the median of each, so that what else the machine
//! does in the meantime hits all of them alike. Who comes after whom changes from turn to turn.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use crate::family::{Candidate, Cell, PERCENTILES, is_ours};
use crate::record::Row;
use crate::stats::{greatest, least, median, quartiles};
use crate::watch::Watch;

/// How often and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) reps: usize,
    pub(crate) target: Duration,
    /// Whether runs are as long as their [cells](Cell::ops) say, and not as the time.
    pub(crate) whole: bool,
}

impl Plan {
    pub(crate) const FULL: Self = Self { reps: 7, target: Duration::from_millis(30), whole: true };
    pub(crate) const QUICK: Self = Self { reps: 3, target: Duration::from_millis(5), whole: false };
}

/// One run of one candidate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) ops: u64,
    /// The time that counts.
    pub(crate) wall: Duration,
    /// From the first thread's start to the last one's end: as a rule the same.
    pub(crate) span: Duration,
    /// CPU time of the process during the run, all threads; none where it would say nothing.
    pub(crate) cpu: Option<Duration>,
    /// Context switches of the process during the run, voluntary and not.
    pub(crate) switches: Option<u64>,
    /// Nanoseconds that single operations took, at each of [`PERCENTILES`], where that is what counts.
    pub(crate) latency: Option<[f64; PERCENTILES.len()]>,
    /// Where the run ends whoever waits.
    pub(crate) passage: Option<Passage>,
    /// The share of what was sent that has arrived, where a run may drop some.
    pub(crate) delivered: Option<f64>,
}

/// What one had to let pass who wants to get in where others do not stop coming.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    /// How often it got in before the end.
    pub(crate) got_in: u64,
    /// The most others that came in while it waited once.
    pub(crate) overtaken: u64,
}

impl Sample {
    pub(crate) fn of(ops: u64, wall: Duration, cpu: Duration, switches: u64) -> Self {
        let (cpu, switches) = (Some(cpu), Some(switches));
        Self { ops, wall, span: wall, cpu, switches, ..Self::default() }
    }

    fn ns_per_op(&self) -> f64 {
        self.wall.as_nanos() as f64 / self.ops as f64
    }

    fn cpu_ns_per_op(&self) -> Option<f64> {
        self.cpu.map(|cpu| cpu.as_nanos() as f64 / self.ops as f64)
    }

    fn switches_per_1000(&self) -> Option<f64> {
        self.switches.map(|n| n as f64 * 1000.0 / self.ops as f64)
    }
}

/// What came of a cell.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    /// The runs of peers that hung or failed their checks, each in a sentence.
    pub(crate) failures: Vec<String>,
}

/// How often peers may fail in one cell.
const FAILURES: usize = 3;

/// Measures one cell. The runs that find out how many operations fill the time, or the first whole one, are thrown away:
/// they warm up code, allocator and clock.
///
/// A run of a peer that hangs, or fails a check, is made again, and told of: the figures of all others are none the worse for it, unless the threads of one that
/// hangs spin for ever; then they are for nothing but to see that the rest works. (One that
/// hangs while it is made ready or taken down, on this thread, ends the program: see [`Watch`].)
///
/// # Panics
///
/// If a run of ours fails, or a peer fails again and again.
pub(crate) fn measure(cell: &mut Cell, plan: Plan) -> Measured {
    let watch = Watch::new();
    let (family, workload) = (cell.family, &cell.workload);
    let mut failures = Vec::new();
    let mut run = |candidate: &mut Candidate, ops| loop {
        let what = format!("{family} {workload}, {}", candidate.name);
        let run = || catch_unwind(AssertUnwindSafe(|| (candidate.run)(ops)));
        match watch.over(what.clone(), run) {
            Ok(sample) => return sample,
            Err(panic) if is_ours(candidate.name) || failures.len() == FAILURES => {
                resume_unwind(panic)
            }
            Err(panic) => failures.push(format!("{what}: {}", said(&*panic))),
        }
    };
    let whole = cell.ops.filter(|_| plan.whole);
    let ops: Vec<u64> = (cell.candidates.iter_mut())
        .map(|candidate| match whole {
            Some(ops) => run(candidate, ops).ops,
            None => calibrate(plan.target, |ops| run(candidate, ops)),
        })
        .collect();
    let mut samples = vec![Vec::with_capacity(plan.reps); ops.len()];
    for rep in 0..plan.reps {
        for at in turn(rep, ops.len()) {
            samples[at].push(run(&mut cell.candidates[at], ops[at]));
        }
    }
    let mut rows = Vec::new();
    for (nth, workload) in cell.workloads().iter().enumerate() {
        for (candidate, samples) in cell.candidates.iter().zip(&samples) {
            let times: Vec<f64> = samples
                .iter()
                .map(|s| s.latency.map_or_else(|| s.ns_per_op(), |latency| latency[nth]))
                .collect();
            rows.push(row(cell, workload, candidate.name, &times, samples));
        }
    }
    Measured { rows, failures }
}

/// The message of a panic.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked")
}

/// The order of one repetition: what a candidate leaves behind, in caches and with the scheduler, should not hit the
/// same one each time. Forth and back in ever longer steps (0, 1, n-1, 2, n-2, ..), all moved on by one each time: in as
/// many turns as there are candidates, each has every place once, and, if their number is even, comes after every
/// other once (Williams 1949).
fn turn(rep: usize, n: usize) -> impl Iterator<Item = usize> {
    (0..n).map(move |at| {
        let step = if at % 2 == 1 { at.div_ceil(2) } else { n - at / 2 };
        (step + rep) % n
    })
}

/// How many operations of a candidate take about `target`. Counted per candidate: in one cell the
/// slowest may need a hundred times as long as the fastest, and both should run for as long.
fn calibrate(target: Duration, mut run: impl FnMut(u64) -> Sample) -> u64 {
    const LEAST: u64 = 128;
    let mut ops = LEAST;
    loop {
        // The best of three: runs that were interrupted would make all later ones too short.
        let took = (0..3).map(|_| run(ops).span).min().unwrap_or_default();
        let factor = target.as_secs_f64() / took.as_secs_f64().max(1e-9);
        let next = ((ops as f64 * factor.min(20.0)) as u64).max(LEAST);
        // Done only when such a run has been seen: the first ones are mostly threads waking up.
        if factor <= 1.5 {
            return next;
        }
        ops = next;
    }
}

fn row(cell: &Cell, workload: &str, candidate: &str, times: &[f64], samples: &[Sample]) -> Row {
    let middle = |values: Option<Vec<f64>>| values.map(|values| median(&values));
    let (q1, q3) = quartiles(times);
    Row {
        family: cell.family.into(),
        workload: workload.into(),
        candidate: candidate.into(),
        unit: cell.unit.into(),
        pinned: false,
        ns_per_op: median(times),
        min: least(times),
        max: greatest(times),
        q1,
        q3,
        reps: samples.len(),
        ops: samples.first().map_or(0, |sample| sample.ops),
        cpu_ns_per_op: middle(samples.iter().map(Sample::cpu_ns_per_op).collect()),
        switches_per_1000: middle(samples.iter().map(Sample::switches_per_1000).collect()),
        got_in: middle(samples.iter().map(|s| s.passage.map(|p| p.got_in as f64)).collect()),
        overtaken: middle(samples.iter().map(|s| s.passage.map(|p| p.overtaken as f64)).collect()),
        delivered: middle(samples.iter().map(|s| s.delivered).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    const BRIEF: Plan = Plan { reps: 2, target: Duration::from_nanos(1), whole: false };

    fn sample(ops: u64, ns: u64) -> Sample {
        let wall = Duration::from_nanos(ns);
        Sample { cpu: None, ..Sample::of(ops, wall, wall, 2) }
    }

    #[test]
    fn candidates_take_turns() {
        let turns = Rc::new(RefCell::new(Vec::new()));
        let candidate = |name| {
            let turns = turns.clone();
            Candidate::new(name, move |ops| {
                turns.borrow_mut().push(name);
                sample(ops, ops)
            })
        };
        let candidates = vec![candidate("A"), candidate("B"), candidate("C")];
        let mut cell = Cell::new("f", "w".into(), "item", candidates);
        let rows =
            measure(&mut cell, Plan { reps: 2, target: Duration::from_micros(1), whole: true })
                .rows;
        assert_eq!(rows.len(), 3);
        let turns = turns.borrow();
        assert_eq!(turns[turns.len() - 6..], ["A", "B", "C", "B", "C", "A"]);
    }

    #[test]
    fn each_candidate_has_every_place_once_and_comes_after_every_other_once() {
        for n in [2, 6, 12] {
            let turns: Vec<Vec<usize>> = (0..n).map(|rep| turn(rep, n).collect()).collect();
            let sorted = |mut all: Vec<(usize, usize)>| {
                all.sort();
                all
            };
            let pairs = (0..n).flat_map(|a| (0..n).map(move |b| (a, b)));
            let places = turns.iter().flat_map(|turn| turn.iter().copied().enumerate());
            assert_eq!(sorted(places.collect()), pairs.clone().collect::<Vec<_>>());
            let after = turns.iter().flat_map(|turn| turn.windows(2).map(|w| (w[0], w[1])));
            let others: Vec<_> = pairs.filter(|(a, b)| a != b).collect();
            assert_eq!(sorted(after.collect()), others);
        }
        assert_eq!(turn(5, 1).collect::<Vec<_>>(), [0]);
        assert_eq!(turn(0, 5).collect::<Vec<_>>(), [0, 1, 4, 2, 3]);
    }

    #[test]
    fn a_row_keeps_median_quartiles_and_extremes() {
        let mut ns = [300, 100, 200, 0, 400].into_iter().cycle();
        let candidate = Candidate::new("a", move |_| sample(10, ns.next().expect("for ever")));
        let mut cell = Cell::new("f", "w".into(), "item", vec![candidate]);
        let plan = Plan { reps: 5, ..BRIEF };
        let [row] = &measure(&mut cell, plan).rows[..] else { panic!("one candidate, one row") };
        assert_eq!(
            (row.min, row.q1, row.ns_per_op, row.q3, row.max),
            (0.0, 10.0, 20.0, 30.0, 40.0)
        );
        assert_eq!((row.reps, row.cpu_ns_per_op, row.switches_per_1000), (5, None, Some(200.0)));
    }

    #[test]
    fn a_cell_of_latencies_has_a_row_for_each_percentile() {
        let passage = Some(Passage { got_in: 9, overtaken: 3 });
        let late = move |ops| Sample { latency: Some([7.0, 70.0]), passage, ..sample(ops, ops) };
        let mut cell = Cell::new("f", "w".into(), "wait", vec![Candidate::new("a", late)]);
        cell.latency = true;
        let rows = measure(&mut cell, Plan { reps: 3, ..BRIEF }).rows;
        let seen: Vec<_> = rows.iter().map(|row| (row.workload.as_str(), row.ns_per_op)).collect();
        assert_eq!(seen, [("w/p50", 7.0), ("w/p99", 70.0)]);
        assert!(rows.iter().all(|row| (row.got_in, row.overtaken) == (Some(9.0), Some(3.0))));
    }

    #[test]
    fn a_row_keeps_the_share_that_was_delivered() {
        let mut shares = [0.5, 0.1, 0.9].into_iter().cycle();
        let lossy = move |ops| Sample { delivered: shares.next(), ..sample(ops, ops) };
        let mut cell = Cell::new("f", "w".into(), "item", vec![Candidate::new("a", lossy)]);
        let rows = measure(&mut cell, Plan { reps: 3, ..BRIEF }).rows;
        assert_eq!(rows[0].delivered, Some(0.5));
    }

    /// Fails at its `nth` run and works otherwise.
    fn fails_at(name: &'static str, nth: std::ops::Range<usize>) -> Cell {
        let mut runs = 0..;
        let run = move |ops| {
            let run = runs.next().expect("for ever");
            assert!(!nth.contains(&run), "planted in run {run}");
            sample(ops, ops)
        };
        Cell::new("f", "w".into(), "item", vec![Candidate::new(name, run)])
    }

    #[test]
    fn a_run_of_a_peer_that_fails_is_made_again_and_told_of() {
        let measured = measure(&mut fails_at("peer", 4..5), BRIEF);
        assert_eq!(measured.failures, ["f w, peer: planted in run 4"]);
        assert_eq!((measured.rows.len(), measured.rows[0].reps), (1, 2));
    }

    #[test]
    #[should_panic(expected = "planted in run 3")]
    fn a_peer_that_fails_again_and_again_fails_the_cell() {
        measure(&mut fails_at("peer", 0..usize::MAX), BRIEF);
    }

    #[test]
    #[should_panic(expected = "planted in run 4")]
    fn a_run_of_ours_that_fails_fails_the_cell() {
        measure(&mut fails_at("aqueduct-fair", 4..5), BRIEF);
    }

    #[test]
    fn a_workload_of_so_many_operations_has_them_unless_it_is_to_be_quick() {
        for (whole, expected) in [(true, 1_000), (false, 128)] {
            let candidate = Candidate::new("a", |ops| sample(ops, ops * 1_000_000));
            let mut cell = Cell::new("f", "w".into(), "item", vec![candidate]);
            cell.ops = Some(1_000);
            let rows = measure(&mut cell, Plan { whole, ..BRIEF }).rows;
            assert_eq!(rows[0].ops, expected);
        }
    }

    #[test]
    fn calibration_finds_how_many_fill_the_time() {
        // 5 ns per operation, 400 us to get going, and every other run is interrupted for 50 ms.
        let mut runs = 0;
        let ops = calibrate(Duration::from_millis(30), |ops| {
            runs += 1;
            sample(ops, 5 * ops + 400_000 + if runs % 2 == 0 { 50_000_000 } else { 0 })
        });
        assert!((5_000_000..=6_500_000).contains(&ops), "{ops} operations of 5 ns for 30 ms");
    }

    #[test]
    fn calibration_ends_for_a_candidate_that_is_slower_than_the_time() {
        let ops = calibrate(Duration::from_millis(30), |ops| sample(ops, ops * 1_000_000));
        assert_eq!(ops, 128);
    }
}
