//! Pipelines of random shape against the loop that they stand for.

use aqueduct::Context;
use aqueduct::pipeline::{Boxed, Pipeline, PipelineError, Policy, Report};
use aqueduct_tests::share;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// A pipeline of numbers and what was made of them, whatever its shape.
type Pairs = Pipeline<Boxed<'static, (u64, u64)>>;

/// One stage of a random pipeline.
#[derive(Clone, Debug)]
struct Shape {
    concurrency: usize,
    buffer: usize,
    /// Items whose number has this remainder modulo 7 fail; above 6 none does.
    fails: u64,
    panics: bool,
    stops: bool,
    /// An ordered point behind the stage, with this much more room than the stages in front of it need.
    ordered: Option<usize>,
}

/// How the run is disturbed, if it is, when this many items have been delivered.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    None,
    Cancel(usize),
    Refuse(usize),
    Drain(usize),
    Abort(usize),
}

fn shape(stops: bool) -> impl Strategy<Value = Shape> {
    let fails = prop_oneof![2 => Just(7_u64), 1 => 0_u64..7];
    let ordered = option::of(0_usize..12);
    (1_usize..5, 1_usize..6, fails, any::<bool>(), any::<bool>(), ordered).prop_map(
        move |(concurrency, buffer, fails, panics, stop, ordered)| Shape {
            concurrency,
            buffer,
            fails,
            panics,
            stops: stops && stop,
            ordered,
        },
    )
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    prop_oneof![
        Just(Disturbance::None),
        (0_usize..80).prop_map(Disturbance::Cancel),
        (0_usize..80).prop_map(Disturbance::Refuse),
        (0_usize..80).prop_map(Disturbance::Drain),
        (0_usize..80).prop_map(Disturbance::Abort),
    ]
}

/// What the stage makes of an item whose number is `item`. Each stage leaves its mark.
fn work(shape: &Shape, item: u64, value: u64) -> Result<u64, &'static str> {
    if item % 7 == shape.fails {
        assert!(!shape.panics, "on purpose");
        return Err("on purpose");
    }
    Ok(value * 3 + 1)
}

/// What the serial loop makes of the items.
#[derive(Default)]
struct Serial {
    /// The number of each item that gets through, and what it becomes.
    output: Vec<(u64, u64)>,
    /// Stage and item of each failure, up to the one that stops.
    failures: BTreeSet<(usize, u64)>,
    stop: Option<(usize, u64)>,
}

fn serial(shapes: &[Shape], items: u64) -> Serial {
    let mut serial = Serial::default();
    'items: for item in 0..items {
        let mut value = item;
        for (index, shape) in shapes.iter().enumerate() {
            if item % 7 == shape.fails {
                if shape.stops {
                    serial.stop = Some((index + 1, item));
                    return serial;
                }
                serial.failures.insert((index + 1, item));
                continue 'items;
            }
            value = value * 3 + 1;
        }
        serial.output.push((item, value));
    }
    serial
}

/// A run of a random pipeline: how it ended, and what it delivered.
struct Run {
    result: Result<Report, PipelineError>,
    output: Vec<(u64, u64)>,
    disturbed: bool,
}

/// Where a pipeline's items come from, and what is to be done with it once it has its stages.
#[derive(Clone, Copy, Debug)]
struct Finish {
    /// So many at a time, the workers of the first stage take from the source themselves; none: it has a thread.
    grain: Option<usize>,
    /// And the workers of the last one gather what comes out. What refuses its output, or is aborted by hand, is undisturbed then.
    reduced: bool,
    /// In the background. What is drained or aborted by hand is there in any case, and what refuses its output is not.
    spawned: bool,
    output_buffer: usize,
    /// A cap just in front of the output, where the items come in order.
    cap: Option<usize>,
    disturbance: Disturbance,
}

impl Finish {
    /// A cap only where there is an order.
    fn for_shapes(self, shapes: &[Shape]) -> Self {
        Self { cap: self.cap.filter(|_| keeps_order(shapes)), ..self }
    }

    fn run(&self, pipeline: Pairs) -> Run {
        let pipeline = match self.cap {
            None => pipeline,
            Some(cap) => pipeline.max_in_flight(cap).boxed(),
        };
        if self.reduced { self.gather(pipeline) } else { self.take(pipeline) }
    }

    fn take(&self, pipeline: Pairs) -> Run {
        let context = Context::background();
        let pipeline = pipeline.context(&context).output_buffer(self.output_buffer);
        match self.disturbance {
            Disturbance::Drain(_) | Disturbance::Abort(_) => self.watch(pipeline, &context),
            Disturbance::None | Disturbance::Cancel(_) if self.spawned => {
                self.watch(pipeline, &context)
            }
            _ => self.stay(pipeline, &context),
        }
    }

    /// On the workers.
    fn gather(&self, pipeline: Pairs) -> Run {
        let (context, drain) = (Context::background(), Context::background());
        let delivered = AtomicU64::new(0);
        let gathered = Mutex::new(Vec::new());
        let take = |mut all: Vec<_>, pair| {
            all.push(pair);
            // Also if the run does not return it.
            gathered.lock().unwrap().push(pair);
            let so_far = delivered.fetch_add(1, SeqCst);
            match self.disturbance {
                Disturbance::Cancel(at) if so_far == at as u64 => context.cancel(),
                Disturbance::Drain(at) if so_far == at as u64 => drain.cancel(),
                _ => {}
            }
            all
        };
        let merge = |mut some: Vec<_>, mut others: Vec<_>| {
            some.append(&mut others);
            some
        };
        let result = pipeline.context(&context).drain_on(&drain).reduce(Vec::new, take, merge);
        let gathered = gathered.into_inner().unwrap();
        let (output, result) = match result {
            Ok((output, report)) => {
                assert_eq!(BTreeSet::from_iter(&output), BTreeSet::from_iter(&gathered));
                (output, Ok(report))
            }
            Err(error) => (gathered, Err(error)),
        };
        Run { result, output, disturbed: context.is_done() }
    }

    /// In the background, and ended by hand.
    fn watch(&self, pipeline: Pairs, context: &Context) -> Run {
        let running = pipeline.spawn().expect("it can be built");
        let mut output = Vec::new();
        let mut disturbed = false;
        for pair in running.output().iter() {
            output.push(pair);
            match self.disturbance {
                Disturbance::Drain(at) if output.len() == at + 1 => running.drain(),
                Disturbance::Abort(at) if output.len() == at + 1 => {
                    disturbed = true;
                    running.abort();
                }
                Disturbance::Cancel(at) if output.len() == at + 1 => {
                    disturbed = true;
                    context.cancel();
                }
                _ => {}
            }
        }
        Run { result: running.wait(), output, disturbed }
    }

    /// On this thread.
    fn stay(&self, pipeline: Pairs, context: &Context) -> Run {
        let mut output = Vec::new();
        let mut disturbed = false;
        let result = pipeline.try_run(|pair| {
            output.push(pair);
            match self.disturbance {
                Disturbance::Cancel(at) if output.len() == at + 1 => {
                    disturbed = true;
                    context.cancel();
                    Ok(())
                }
                Disturbance::Refuse(at) if output.len() == at + 1 => {
                    disturbed = true;
                    Err("refused")
                }
                _ => Ok(()),
            }
        });
        Run { result, output, disturbed }
    }
}

/// The stages, one after the other; each has a window with room enough for those since the last ordered point.
fn staged(mut pipeline: Pairs, shapes: &[Shape]) -> Pairs {
    let mut widest = 1;
    for (number, shape) in shapes.iter().enumerate() {
        widest = widest.max(shape.concurrency);
        let this = shape.clone();
        let stage = pipeline
            .stage(format!("stage {number}"), move |(item, value)| {
                work(&this, item, value).map(|value| (item, value))
            })
            .concurrency(shape.concurrency)
            .buffer(shape.buffer)
            .on_error(if shape.stops { Policy::Stop } else { Policy::Collect });
        pipeline = match shape.ordered {
            None => stage.boxed(),
            Some(room) => stage.ordered(std::mem::replace(&mut widest, 1) + room).boxed(),
        };
    }
    pipeline
}

/// Whether the output has to be in the order of the source: behind the last ordered point nothing overtakes.
fn keeps_order(shapes: &[Shape]) -> bool {
    let behind = shapes.iter().rposition(|shape| shape.ordered.is_some()).map_or(0, |at| at + 1);
    shapes[behind..].iter().all(|shape| shape.concurrency == 1)
}

fn assert_adds_up(report: &Report) {
    for stage in report.stages() {
        assert_eq!(
            stage.received(),
            stage.out() + stage.failed() + stage.cancelled(),
            "{report:#?}"
        );
    }
    for pair in report.stages().windows(2) {
        assert_eq!(pair[0].out(), pair[1].received(), "{report:#?}");
    }
    let out = report.stages().last().expect("there is always a source").out();
    assert_eq!(out, report.delivered() + report.undelivered(), "{report:#?}");
}

fn check(shapes: &[Shape], items: u64, finish: &Finish) {
    let source = (0..items).map(|item| (item, item));
    let source = match finish.grain {
        None => Pipeline::from_iter(source).boxed(),
        Some(grain) => Pipeline::bridge(source).grain(grain).boxed(),
    };
    let run = finish.run(staged(source, shapes));

    let report = match &run.result {
        Ok(report) => report,
        Err(error) => error.report().expect("it can be built"),
    };
    assert_adds_up(report);
    assert_eq!(report.delivered(), run.output.len() as u64);
    // Of a run that is drained, or ended otherwise, the source has made fewer.
    let items = report.stages()[0].out();
    let serial = serial(shapes, items);

    // Each item as the loop would have made it, none twice, and in order where that is promised.
    let output: BTreeSet<_> = run.output.iter().copied().collect();
    assert_eq!(output.len(), run.output.len());
    let undisturbed = serial_without_stops(shapes, items);
    assert!(output.iter().all(|pair| undisturbed.contains(pair)), "{:?}", run.output);
    if keeps_order(shapes) {
        assert!(serial.output.starts_with(&run.output), "{:?}", run.output);
    }
    // A run that had stopped and delivered all of it is not disturbed by what comes afterwards.
    if run.disturbed && !matches!(run.result, Err(PipelineError::Stopped { .. })) {
        return match run.result {
            Ok(report) => assert!(report.is_complete()),
            Err(PipelineError::Cancelled { .. } | PipelineError::Output { .. }) => {}
            Err(PipelineError::Aborted { .. }) => {}
            Err(error) => panic!("{error:?}"),
        };
    }
    // Everything in front of a stop is delivered, and without one everything.
    assert!(serial.output.iter().all(|pair| output.contains(pair)), "{:?}", run.output);
    match (run.result, serial.stop) {
        (Ok(report), None) => {
            assert_eq!(report.cancelled(), 0);
            assert!(report.is_complete() || matches!(finish.disturbance, Disturbance::Drain(_)));
            assert_eq!(run.output.len(), serial.output.len());
            let errors = report.errors().iter();
            let failures: BTreeSet<_> = errors.map(|e| (e.stage_index(), e.item())).collect();
            assert_eq!(failures, serial.failures);
            assert_eq!(report.failed(), serial.failures.len() as u64);
        }
        (Err(PipelineError::Stopped { error, report }), Some(stop)) => {
            assert_eq!((error.stage_index(), error.item()), stop);
            let errors = report.errors().iter();
            let failures: BTreeSet<_> = errors.map(|e| (e.stage_index(), e.item())).collect();
            assert!(failures.is_superset(&serial.failures), "{failures:?}");
        }
        (result, stop) => panic!("the loop ends with {stop:?}, the pipeline with {result:?}"),
    }
}

/// What gets through if no failure stops.
fn serial_without_stops(shapes: &[Shape], items: u64) -> BTreeSet<(u64, u64)> {
    let shapes: Vec<_> = shapes.iter().map(|s| Shape { stops: false, ..s.clone() }).collect();
    serial(&shapes, items).output.into_iter().collect()
}

fn finish(disturbance: impl Strategy<Value = Disturbance>) -> impl Strategy<Value = Finish> {
    let grain = option::of(1_usize..9);
    let cap = option::of(1_usize..5);
    (grain, any::<bool>(), any::<bool>(), 1_usize..6, cap, disturbance).prop_map(
        |(grain, reduced, spawned, output_buffer, cap, disturbance)| Finish {
            grain,
            reduced,
            spawned,
            output_buffer,
            cap,
            disturbance,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(600) as u32, ..ProptestConfig::default() })]

    /// R37: output, order, errors and accounts are those of the serial loop.
    #[test]
    fn a_pipeline_does_what_the_loop_does(
        shapes in vec(shape(false), 0..6),
        items in 0_u64..150,
        finish in finish(Just(Disturbance::None)),
    ) {
        check(&shapes, items, &finish.for_shapes(&shapes));
    }

    /// R42: so it is when failures stop it.
    #[test]
    fn a_pipeline_stops_where_the_loop_stops(
        shapes in vec(shape(true), 1..6),
        items in 0_u64..150,
        finish in finish(Just(Disturbance::None)),
    ) {
        check(&shapes, items, &finish.for_shapes(&shapes));
    }

    /// R31: and when it is cancelled, or its output fails, at any point.
    #[test]
    fn a_pipeline_that_is_cut_short_keeps_its_accounts(
        shapes in vec(shape(true), 0..6),
        items in 0_u64..150,
        finish in finish(disturbance()),
    ) {
        check(&shapes, items, &finish.for_shapes(&shapes));
    }
}
