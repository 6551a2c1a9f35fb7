//! Pipelines of random shape with a step that remembers, against the loop that they stand for: what comes out, in which order, how far it is
//! committed, and what is refused.

use aqueduct::pipeline::{Batch, Boxed, BuildError, Flow, Pipeline, PipelineError, Policy, Report};
use aqueduct_tests::share;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// One of those that a list is made of: the item of the source, and its place in the list.
type Part = (u64, u64);

/// What the step makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Made {
    parts: Vec<Part>,
    /// Of all that the step has seen, if it is one that adds up.
    sum: u64,
}

impl From<Vec<Part>> for Made {
    fn from(parts: Vec<Part>) -> Self {
        Self { parts, sum: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Scan,
    Batch(usize),
}

/// A source, workers, perhaps an ordered point, lists, the step, workers, and perhaps a commit point.
#[derive(Clone, Debug)]
struct Shape {
    items: u64,
    work: Stage,
    /// The same worker for the same key.
    keyed: bool,
    ordered: Option<usize>,
    /// How long the lists are: of each remainder modulo 3.
    makes: [u64; 3],
    step: Step,
    store: Stage,
    commits: Option<usize>,
}

#[derive(Clone, Debug)]
struct Stage {
    workers: usize,
    buffer: usize,
    /// What has this remainder modulo 7 fails; above 6 nothing does.
    fails: u64,
    stops: bool,
}

/// How it is run, and what is done when so many have come out.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Run,
    Spawn,
    Drain(usize),
    Abort(usize),
}

fn stage() -> impl Strategy<Value = Stage> {
    let fails = prop_oneof![2 => Just(7_u64), 1 => 0_u64..7];
    (1_usize..4, 1_usize..20, fails, any::<bool>())
        .prop_map(|(workers, buffer, fails, stops)| Stage { workers, buffer, fails, stops })
}

fn shape() -> impl Strategy<Value = Shape> {
    let step = prop_oneof![Just(Step::Scan), (1_usize..12).prop_map(Step::Batch)];
    let ordered = prop_oneof![1 => Just(None), 3 => (0_usize..12).prop_map(Some)];
    let makes = [0_u64..3, 1_u64..2, 0_u64..4];
    let commits = option::of(0_usize..12);
    (0_u64..120, stage(), any::<bool>(), ordered, makes, step, stage(), commits).prop_map(
        |(items, work, keyed, ordered, makes, step, store, commits)| {
            let ordered = ordered.map(|room| work.workers + room);
            let commits = commits.map(|room| store.workers + room);
            Shape { items, work, keyed, ordered, makes, step, store, commits }
        },
    )
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        Just(Mode::Run),
        Just(Mode::Spawn),
        (0_usize..60).prop_map(Mode::Drain),
        (0_usize..60).prop_map(Mode::Abort),
    ]
}

impl Stage {
    fn fails(&self, item: u64) -> bool {
        item % 7 == self.fails
    }

    fn policy(&self) -> Policy {
        if self.stops { Policy::Stop } else { Policy::Skip }
    }
}

impl Shape {
    fn list(&self, item: u64) -> Vec<Part> {
        (0..self.makes[(item % 3) as usize]).map(|nth| (item, nth)).collect()
    }

    /// What of an item comes to the step, unless the run has stopped.
    fn parts(&self, item: u64) -> Vec<Part> {
        if self.work.fails(item) { Vec::new() } else { self.list(item) }
    }

    /// Whether items come to the step in the order of the source.
    fn is_in_order(&self) -> bool {
        self.work.workers == 1 || self.ordered.is_some()
    }
}

fn scan(sum: &mut u64, (item, nth): Part) -> Made {
    *sum += item * 10 + nth + 1;
    Made { parts: vec![(item, nth)], sum: *sum }
}

/// What the loop makes of so many items.
struct Serial {
    /// What comes out, as far as nothing stops it behind the step.
    made: Vec<Made>,
    /// How many of these come out in front of what stops it.
    output: usize,
    /// Which stage stops it, and at which item.
    stop: Option<(usize, u64)>,
}

fn serial(shape: &Shape, items: u64) -> Serial {
    let stops = (0..items).find(|item| shape.work.stops && shape.work.fails(*item));
    let parts = (0..stops.unwrap_or(items)).flat_map(|item| shape.parts(item));
    let made: Vec<Made> = match shape.step {
        Step::Scan => {
            let mut sum = 0;
            parts.map(|part| scan(&mut sum, part)).collect()
        }
        Step::Batch(several) => {
            let parts: Vec<_> = parts.collect();
            parts.chunks(several).map(|batch| batch.to_vec().into()).collect()
        }
    };
    let fails = |made: &Made| made.parts.iter().any(|part| shape.store.fails(part.0));
    let mut serial = Serial { made: Vec::new(), output: 0, stop: stops.map(|item| (1, item)) };
    let mut is_over = false;
    for made in made {
        if !fails(&made) {
            serial.output += usize::from(!is_over);
            serial.made.push(made);
        } else if shape.store.stops && !is_over {
            is_over = true;
            serial.stop = Some((4, made.parts[0].0));
        }
    }
    serial
}

/// Who looks on while it runs.
struct Watch {
    shape: Shape,
    /// The last of each key.
    last: [AtomicU64; 3],
    overtaken: AtomicBool,
    /// What the last stage was given.
    stored: Mutex<BTreeSet<Part>>,
    commits: Mutex<Vec<u64>>,
    /// What was committed and not stored.
    lie: Mutex<Option<(u64, Part)>>,
}

impl Watch {
    fn work(&self, item: u64) -> Result<u64, &'static str> {
        let before = self.last[(item % 3) as usize].swap(item + 1, SeqCst);
        self.overtaken.fetch_or(before > item, SeqCst);
        if self.shape.work.fails(item) { Err("on purpose") } else { Ok(item) }
    }

    fn store(&self, made: Made) -> Result<Made, &'static str> {
        let fails = made.parts.iter().any(|part| self.shape.store.fails(part.0));
        self.stored.lock().unwrap().extend(&made.parts);
        if fails { Err("on purpose") } else { Ok(made) }
    }

    fn commit(&self, done: u64) {
        let stored = self.stored.lock().unwrap();
        let mut parts = (0..done).flat_map(|item| self.shape.parts(item));
        if let Some(part) = parts.find(|part| !stored.contains(part)) {
            self.lie.lock().unwrap().get_or_insert((done, part));
        }
        self.commits.lock().unwrap().push(done);
    }
}

/// How it ended, and what came out.
struct Run {
    result: Result<Report, PipelineError>,
    output: Vec<Made>,
    disturbed: bool,
}

fn run(watch: &Arc<Watch>, mode: Mode) -> Run {
    let shape = &watch.shape;
    let worker = Arc::clone(watch);
    let work = Pipeline::from_iter(0..shape.items)
        .stage("work", move |item| worker.work(item))
        .concurrency(shape.work.workers)
        .buffer(shape.work.buffer)
        .on_error(shape.work.policy());
    let work = match shape.keyed {
        true => work.keyed(|item| item % 3).boxed(),
        false => work.boxed(),
    };
    let ordered = match shape.ordered {
        Some(window) => work.ordered(window).boxed(),
        None => work,
    };
    let maker = Arc::clone(watch);
    let lists = ordered.flat_map("lists", move |item| maker.shape.list(item));
    let stored = match shape.step {
        Step::Scan => stored(lists.scan("step", 0, scan), watch),
        Step::Batch(of) => stored(lists.batch("step", Batch::of(of)), watch),
    };
    finish(stored, mode)
}

/// The stage behind the step, and perhaps a commit point.
fn stored<N>(pipeline: Pipeline<N>, watch: &Arc<Watch>) -> Pipeline<Boxed<'static, Made>>
where
    N: Flow<Item: Into<Made>> + 'static,
{
    let stage = &watch.shape.store;
    let (store, commit) = (Arc::clone(watch), Arc::clone(watch));
    let stored = pipeline
        .stage("store", move |made: N::Item| store.store(made.into()))
        .concurrency(stage.workers)
        .buffer(stage.buffer)
        .on_error(stage.policy());
    match watch.shape.commits {
        Some(window) => stored.commit_point(window, move |n| commit.commit(n)).boxed(),
        None => stored.boxed(),
    }
}

fn finish(pipeline: Pipeline<Boxed<'static, Made>>, mode: Mode) -> Run {
    let (mut output, mut disturbed) = (Vec::new(), false);
    if let Mode::Run = mode {
        let result = pipeline.run(|made| output.push(made));
        return Run { result, output, disturbed };
    }
    let running = match pipeline.output_buffer(3).spawn() {
        Ok(running) => running,
        Err(error) => return Run { result: Err(error), output, disturbed },
    };
    for made in running.output().iter() {
        output.push(made);
        match mode {
            Mode::Drain(at) if output.len() == at + 1 => running.drain(),
            Mode::Abort(at) if output.len() == at + 1 => {
                disturbed = true;
                running.abort();
            }
            _ => {}
        }
    }
    Run { result: running.wait(), output, disturbed }
}

fn assert_adds_up(report: &Report) {
    for stage in report.stages() {
        let sum = stage.out() + stage.filtered() + stage.failed() + stage.cancelled();
        assert_eq!(stage.received() + stage.added(), sum, "{report:#?}");
    }
    for pair in report.stages().windows(2) {
        assert_eq!(pair[0].out(), pair[1].received(), "{report:#?}");
    }
    let out = report.stages().last().expect("there is always a source").out();
    assert_eq!(out, report.delivered() + report.undelivered(), "{report:#?}");
}

fn check(shape: &Shape, mode: Mode) {
    let watch = Arc::new(Watch {
        shape: shape.clone(),
        last: Default::default(),
        overtaken: AtomicBool::new(false),
        stored: Mutex::default(),
        commits: Mutex::default(),
        lie: Mutex::default(),
    });
    let Run { result, output, disturbed } = run(&watch, mode);
    assert_eq!(*watch.lie.lock().unwrap(), None, "committed, and not stored");

    // What could not keep its promise is refused, and nothing else.
    if shape.commits.is_some() && !shape.is_in_order() {
        let refused = BuildError::StepOutOfOrder { stage: "step".into() };
        assert!(matches!(&result, Err(PipelineError::Build(e)) if *e == refused), "{result:?}");
        return;
    }
    let report = match &result {
        Ok(report) => report,
        Err(error) => error.report().expect("it can be built"),
    };
    assert_adds_up(report);
    assert_eq!(report.delivered(), output.len() as u64);
    let in_order = shape.keyed || shape.work.workers == 1;
    assert!(!in_order || !watch.overtaken.load(SeqCst), "one of a key was overtaken");

    // Each part once at most, and as the loop makes it.
    let parts: Vec<_> = output.iter().flat_map(|made| &made.parts).copied().collect();
    let set: BTreeSet<_> = parts.iter().copied().collect();
    assert_eq!(set.len(), parts.len(), "something came twice");
    let items = report.stages()[0].out();
    let stored = watch.stored.lock().unwrap();
    if !shape.is_in_order() {
        assert!(set.is_subset(&stored));
        let stops = shape.work.stops || shape.store.stops;
        let may_be_stopped = stops && report.failed() > 0;
        if !disturbed && !may_be_stopped {
            let all: BTreeSet<_> = (0..items).flat_map(|item| shape.parts(item)).collect();
            assert_eq!(*stored, all);
        }
        return;
    }
    // Of a run that is drained or aborted, the source has made fewer.
    let serial = serial(shape, items);
    let made: BTreeSet<_> = serial.made.iter().collect();
    assert!(disturbed || output.iter().all(|one| made.contains(one)), "{output:?}");
    let expected = &serial.made[..serial.output];
    let commits = watch.commits.lock().unwrap();
    assert!(commits.is_sorted_by(|a, b| a < b), "{commits:?}");
    let committed = commits.last().copied().unwrap_or(0);
    assert!(committed <= serial.stop.map_or(items, |stop| stop.1), "{committed}");
    if shape.commits.is_some() || shape.store.workers == 1 {
        assert!(expected.starts_with(&output), "{output:?}");
    }
    // A run that had stopped and delivered all of it is not disturbed by what comes afterwards.
    if disturbed && !matches!(result, Err(PipelineError::Stopped { .. })) {
        match result {
            Ok(report) => assert!(report.is_complete()),
            Err(PipelineError::Aborted { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        return;
    }
    // What else was made of the item whose failure stops it may come out or not.
    let is_in_front = |one: &Made| serial.stop.is_none_or(|stop| one.parts[0].0 < stop.1);
    let mut in_front = expected.iter().filter(|one| is_in_front(one));
    assert!(in_front.all(|one| output.contains(one)), "{output:?}");
    match (&result, serial.stop) {
        (Ok(report), None) => {
            assert_eq!((output.len(), report.cancelled()), (expected.len(), 0));
            if shape.commits.is_some() {
                assert_eq!(committed, items, "all is done in the end");
            }
        }
        (Err(PipelineError::Stopped { error, .. }), Some(stop)) => {
            assert_eq!((error.stage_index(), error.item()), stop);
            // After an abort nobody is told any more.
            if shape.commits.is_some() && !disturbed {
                assert_eq!(committed, stop.1, "all in front of the failure is done");
            }
        }
        (result, stop) => panic!("the loop ends with {stop:?}, the pipeline with {result:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(600) as u32, ..ProptestConfig::default() })]

    /// R29, R31, R34, R37: output, order, commits and accounts are those of the loop, however it is run and ended.
    #[test]
    fn steps_that_remember_do_what_the_loop_does(shape in shape(), mode in mode()) {
        check(&shape, mode);
    }
}
