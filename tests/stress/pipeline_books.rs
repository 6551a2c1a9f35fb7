//! Pipelines of random shape whose stages make none, one or several items of one, fail, try again, and bury their dead; under
//! caps, with keys, scaling meanwhile: against the loop that they stand for.

use aqueduct::Context;
use aqueduct::pipeline::{
    Backoff, Boxed, BuildError, Pipeline, PipelineError, Policy, Report, StageError,
};
use aqueduct_tests::share;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What a stage hands on: the item of the source, and the digits of the way it went.
type Step = (u64, u64);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    Stop,
    Skip,
    Collect,
    Bury,
}

/// One stage of a random pipeline.
#[derive(Clone, Debug)]
struct Shape {
    least: usize,
    more: usize,
    buffer: usize,
    /// How many it makes of one: of each remainder modulo 3.
    makes: [u64; 3],
    /// What has this remainder modulo 5 fails; above 4 nothing does.
    fails: u64,
    /// How often it fails before it succeeds; more than [`ATTEMPTS`] - 1 is for good.
    failures: u32,
    last: Last,
    keyed: bool,
    /// An ordered point behind the stage, with this much more room than it needs.
    ordered: Option<usize>,
}

const ATTEMPTS: u32 = 3;

fn shape() -> impl Strategy<Value = Shape> {
    let last = prop_oneof![
        1 => Just(Last::Stop), 3 => Just(Last::Skip), 3 => Just(Last::Collect), 3 => Just(Last::Bury)
    ];
    let makes = [0_u64..3, 1_u64..2, 0_u64..4];
    (1_usize..4, 0_usize..3, prop_oneof![1_usize..4, 30_usize..80], makes, 0_u64..9, 1_u32..5, last)
        .prop_flat_map(|(least, more, buffer, makes, fails, failures, last)| {
            (any::<bool>(), proptest::option::of(0_usize..40)).prop_map(move |(keyed, ordered)| {
                let more = if keyed { 0 } else { more };
                Shape { least, more, buffer, makes, fails, failures, last, keyed, ordered }
            })
        })
}

impl Shape {
    fn fails(&self, (item, way): Step) -> bool {
        (item + way) % 5 == self.fails
    }

    fn is_lost(&self, step: Step) -> bool {
        self.fails(step) && self.failures >= ATTEMPTS
    }

    fn makes(&self, (item, way): Step) -> Vec<Step> {
        let made = self.makes[((item + way) % 3) as usize];
        (0..made).map(|nth| (item, way * 4 + nth + 1)).collect()
    }

    fn most(&self) -> usize {
        self.least + self.more
    }
}

/// What is done to a pipeline as a whole.
#[derive(Clone, Debug)]
struct Whole {
    cap: Option<usize>,
    output_buffer: usize,
    cancel: Option<Cut>,
}

/// When the context is cancelled.
#[derive(Clone, Copy, Debug)]
enum Cut {
    /// After so many delivered items.
    Delivered(usize),
    /// While this stage is at this item, in whatever attempt.
    At(usize, u64),
    /// While the source makes this item.
    Made(u64),
}

fn whole(cut: bool) -> impl Strategy<Value = Whole> {
    let at = prop_oneof![
        (0_usize..60).prop_map(Cut::Delivered),
        (1_usize..3, 0_u64..60).prop_map(|(stage, item)| Cut::At(stage, item)),
        (0_u64..60).prop_map(Cut::Made),
    ];
    let cancel = if cut { at.prop_map(Some).boxed() } else { Just(None).boxed() };
    (proptest::option::of(1_usize..20), 1_usize..40, cancel)
        .prop_map(|(cap, output_buffer, cancel)| Whole { cap, output_buffer, cancel })
}

/// What the loop makes of it.
#[derive(Default)]
struct Serial {
    output: Vec<Step>,
    buried: BTreeSet<(usize, Step)>,
    collected: BTreeSet<(usize, u64)>,
    skipped: u64,
    retried: u64,
    stopped: Option<u64>,
}

fn serial(shapes: &[Shape], items: u64) -> Serial {
    let mut serial = Serial::default();
    for item in 0..items {
        let mut steps = vec![(item, 0)];
        for (index, shape) in shapes.iter().enumerate() {
            let mut made = Vec::new();
            for step in steps {
                if shape.fails(step) {
                    serial.retried += u64::from((ATTEMPTS - 1).min(shape.failures));
                }
                if !shape.is_lost(step) {
                    made.extend(shape.makes(step));
                    continue;
                }
                match shape.last {
                    Last::Stop => {
                        serial.stopped.get_or_insert(item);
                    }
                    Last::Skip => serial.skipped += 1,
                    Last::Collect => drop(serial.collected.insert((index + 1, item))),
                    Last::Bury => drop(serial.buried.insert((index + 1, step))),
                }
            }
            steps = made;
        }
        if serial.stopped.is_some() {
            return serial;
        }
        serial.output.extend(steps);
    }
    serial
}

/// What the stages of one run share.
struct Shared<'a> {
    shapes: &'a [Shape],
    attempts: Mutex<BTreeMap<(usize, Step), u32>>,
    buried: Mutex<BTreeSet<(usize, Step)>>,
    /// Items of the source that have come in, and those below which everything is done.
    made: AtomicU64,
    context: Context,
    cut: Option<Cut>,
}

impl Shared<'_> {
    fn work(&self, index: usize, step: Step) -> Vec<Step> {
        let shape = &self.shapes[index - 1];
        if matches!(self.cut, Some(Cut::At(stage, item)) if (stage, item) == (index, step.0)) {
            self.context.cancel();
        }
        if shape.fails(step) {
            let mut attempts = self.attempts.lock().unwrap();
            let attempt = attempts.entry((index, step)).or_default();
            *attempt += 1;
            let fails = *attempt <= shape.failures;
            drop(attempts);
            assert!(!fails, "on purpose");
        }
        shape.makes(step)
    }

    fn policy(&self, index: usize) -> impl Fn(&StageError) -> Policy + Send + Sync + use<> {
        let last = match self.shapes[index - 1].last {
            Last::Stop => Policy::Stop,
            Last::Skip => Policy::Skip,
            Last::Collect => Policy::Collect,
            Last::Bury => Policy::DeadLetter,
        };
        let time = Duration::from_micros(1);
        move |_| Policy::Retry(Backoff::new(ATTEMPTS, time, time).then(last))
    }
}

struct Run {
    result: Result<Report, PipelineError>,
    output: Vec<Step>,
    cancelled: bool,
}

/// The stages, one after the other; each has a window with room enough for those since the last ordered point.
fn staged<'a>(
    mut pipeline: Pipeline<Boxed<'a, Step>>,
    shared: &'a Shared<'a>,
) -> Pipeline<Boxed<'a, Step>> {
    let mut widest = 1;
    for (shape, index) in shared.shapes.iter().zip(1..) {
        widest = widest.max(shape.most());
        let stage = pipeline
            .flat_map(format!("stage {index}"), move |step| shared.work(index, step))
            .concurrency_auto(shape.least..=shape.most())
            .buffer(shape.buffer)
            .on_error(shared.policy(index))
            .dead_letters(move |step, _| {
                assert!(shared.buried.lock().unwrap().insert((index, step)), "buried twice");
            });
        let stage =
            if shape.keyed { stage.keyed(|step: &Step| step.1).boxed() } else { stage.boxed() };
        // A flat-map puts its lists in order inside, within the window that follows.
        pipeline = match shape.ordered {
            None => stage,
            Some(room) => stage.ordered(std::mem::replace(&mut widest, 1) + room).boxed(),
        };
    }
    pipeline
}

fn finish(pipeline: Pipeline<Boxed<'_, Step>>, shared: &Shared<'_>, whole: &Whole) -> Run {
    let mut output = Vec::new();
    let pipeline = pipeline.context(&shared.context).output_buffer(whole.output_buffer);
    let result = pipeline.keep_errors(10_000).run(|step| {
        output.push(step);
        if matches!(whole.cancel, Some(Cut::Delivered(at)) if output.len() > at) {
            shared.context.cancel();
        }
    });
    Run { result, output, cancelled: shared.context.is_done() }
}

fn assert_adds_up(report: &Report) {
    for stage in report.stages() {
        assert_eq!(
            stage.received() + stage.added(),
            stage.out() + stage.filtered() + stage.failed() + stage.cancelled(),
            "{report:#?}"
        );
    }
    for pair in report.stages().windows(2) {
        assert_eq!(pair[0].out(), pair[1].received(), "{report:#?}");
    }
    let out = report.stages().last().expect("there is always a source").out();
    assert_eq!(out, report.delivered() + report.undelivered(), "{report:#?}");
}

fn check(shapes: &[Shape], items: u64, whole: &Whole) {
    let shared = Shared {
        shapes,
        attempts: Mutex::default(),
        buried: Mutex::default(),
        made: AtomicU64::new(0),
        context: Context::background(),
        cut: whole.cancel,
    };
    let source = Pipeline::from_iter((0..items).map(|item| {
        shared.made.fetch_add(1, SeqCst);
        if matches!(shared.cut, Some(Cut::Made(at)) if at == item) {
            shared.context.cancel();
        }
        (item, 0)
    }));
    let source = match whole.cap {
        Some(cap) => source.max_in_flight(cap).boxed(),
        None => source.boxed(),
    };
    let run = finish(staged(source, &shared), &shared, whole);
    let report = match &run.result {
        Ok(report) => report,
        Err(error) => error.report().expect("it can be built"),
    };
    assert_adds_up(report);
    assert_eq!(report.delivered(), run.output.len() as u64);
    assert_eq!(report.stages()[0].received(), shared.made.load(SeqCst));

    let serial = serial(shapes, items);
    let output: BTreeSet<_> = run.output.iter().copied().collect();
    assert_eq!(output.len(), run.output.len(), "delivered twice");
    let behind = shapes.iter().rposition(|shape| shape.ordered.is_some()).map_or(0, |at| at + 1);
    if shapes[behind..].iter().all(|shape| shape.most() == 1) && serial.stopped.is_none() {
        assert!(serial.output.starts_with(&run.output), "{:?}", run.output);
    }
    let expected: BTreeSet<_> = serial.output.iter().copied().collect();
    if let Some(stopped) = serial.stopped {
        // All that came before is there; what came behind it may be.
        match &run.result {
            Err(PipelineError::Stopped { error, .. }) if !run.cancelled => {
                assert_eq!(error.item(), stopped);
                assert!(output.is_superset(&expected), "{:?}", run.output);
            }
            result => assert!(run.cancelled, "{result:?}"),
        }
        return;
    }
    assert!(output.is_subset(&expected), "{:?}", run.output);
    assert!(shared.buried.lock().unwrap().is_subset(&serial.buried));
    if run.cancelled {
        return;
    }
    let report = run.result.expect("nothing stops it");
    assert!(report.is_complete());
    assert_eq!(output, expected);
    assert_eq!(*shared.buried.lock().unwrap(), serial.buried);
    let sum = |f: fn(&aqueduct::pipeline::StageReport) -> u64| -> u64 {
        report.stages().iter().map(f).sum()
    };
    assert_eq!(sum(|stage| stage.dead_lettered()), serial.buried.len() as u64);
    assert_eq!(sum(|stage| stage.skipped()), serial.skipped);
    assert_eq!(sum(|stage| stage.retried()), serial.retried);
    let errors = report.errors().iter();
    let collected: BTreeSet<_> = errors.map(|e| (e.stage_index(), e.item())).collect();
    assert_eq!(collected, serial.collected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(300) as u32, ..ProptestConfig::default() })]

    /// R37, R42: output, order, retries, dead letters, errors and accounts are those of the serial loop.
    #[test]
    fn lists_retries_and_dead_letters_are_those_of_the_loop(
        shapes in vec(shape(), 0..4),
        items in 0_u64..120,
        whole in whole(false),
    ) {
        check(&shapes, items, &whole);
    }

    /// R31: and the accounts hold wherever it is cut.
    #[test]
    fn the_books_balance_wherever_a_run_is_cut(
        shapes in vec(shape(), 0..4),
        items in 0_u64..120,
        whole in whole(true),
    ) {
        check(&shapes, items, &whole);
    }
}

/// R34: a cap where items overtake each other could lock up, and is refused.
#[test]
fn a_cap_behind_workers_that_overtake_is_refused() {
    let error = Pipeline::from_iter(0..9)
        .map("race", |n| n)
        .concurrency(2)
        .max_in_flight(3)
        .run(drop)
        .unwrap_err();
    assert!(matches!(error, PipelineError::Build(BuildError::CapOutOfOrder)), "{error:?}");
    let ordered = Pipeline::from_iter(0..9).map("race", |n| n).concurrency(2).ordered(4);
    assert_eq!(ordered.max_in_flight(3).run(drop).unwrap().delivered(), 9);
}
