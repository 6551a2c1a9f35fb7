//! Pipelines whose types do not tell their stages: they do what they would do without the box.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::eventually;
use aqueduct::pipeline::{Batch, Boxed, BuildError, Flow, Pipeline, PipelineError, Policy};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

/// Fails at every tenth.
fn work(n: u32) -> Result<u32, String> {
    if n.is_multiple_of(10) { Err(format!("{n} is refused")) } else { Ok(n * 2) }
}

/// The same errors, the same output in the same order, the same accounts.
#[test]
fn a_box_changes_nothing() {
    let numbers = || Pipeline::from_iter(0..500_u32);
    let mut bare = Vec::new();
    let expected = numbers()
        .stage("work", work)
        .concurrency(3)
        .on_error(Policy::Collect)
        .ordered(5)
        .filter("odd ones", |n| n % 3 != 0)
        .batch("three", Batch::of(3))
        .run(|batch| bare.push(batch))
        .unwrap();

    let mut boxed = Vec::new();
    let worked = numbers().boxed().stage("work", work).concurrency(3).on_error(Policy::Collect);
    let ordered = worked.boxed().ordered(5).boxed();
    let batches = ordered.filter("odd ones", |n| n % 3 != 0).boxed().batch("three", Batch::of(3));
    let report = batches.boxed().boxed().run(|batch| boxed.push(batch)).unwrap();

    assert_eq!(boxed, bare);
    assert_adds_up(&report);
    assert_eq!(report.stages().len(), expected.stages().len());
    for (stage, expected) in report.stages().iter().zip(expected.stages()) {
        assert_eq!(stage.name(), expected.name());
        assert_eq!(
            (stage.received(), stage.out(), stage.failed(), stage.filtered()),
            (expected.received(), expected.out(), expected.failed(), expected.filtered()),
        );
    }
    let errors = |report: &aqueduct::pipeline::Report| {
        let mut items: Vec<_> =
            report.errors().iter().map(|e| (e.stage_index(), e.item())).collect();
        items.sort_unstable();
        items
    };
    assert_eq!(errors(&report), errors(&expected));
}

/// As many stages as it turns out; none is the identity.
#[test]
fn a_loop_adds_the_stages() {
    for stages in [0, 1, 2, 25] {
        let mut pipeline = Pipeline::from_iter(0..200_u64).boxed();
        for number in 0..stages {
            pipeline = pipeline.map(format!("stage {number}"), |n| n + 1).boxed();
        }
        let mut output = Vec::new();
        let report = pipeline.run(|n| output.push(n)).unwrap();
        assert!(output.into_iter().eq(stages..200 + stages));
        assert_adds_up(&report);
        let names: Vec<_> = report.stages().iter().map(|stage| stage.name()).collect();
        assert_eq!(names.len() as u64, 1 + stages);
        assert!(names[1..].iter().enumerate().all(|(at, name)| *name == format!("stage {at}")));
    }
}

/// What a function is given may be a field, and borrow.
#[test]
fn a_box_borrows_what_its_stages_borrow() {
    struct Plan<'a> {
        words: Pipeline<Boxed<'a, &'a str>>,
    }
    let text = String::from("a boxed pipeline may borrow");
    let letters = AtomicU64::new(0);
    let count = |word: &'_ str| {
        letters.fetch_add(word.len() as u64, SeqCst);
    };
    let plan = Plan { words: Pipeline::from_iter(text.split(' ')).boxed() };
    let report = plan.words.inspect("count", |word| count(word)).concurrency(2).boxed().run(drop);
    assert_eq!(report.unwrap().delivered(), 5);
    assert_eq!(letters.load(SeqCst), 23);
}

/// The workers of the stage behind the box take from the source in it; and from one with a stage around it they do not.
#[test]
fn a_shared_source_is_shared_through_a_box() {
    let makers = Mutex::new(Vec::new());
    let items = || {
        (0..300_u32).inspect(|_| {
            makers.lock().unwrap().push(thread::current().name().map(str::to_owned));
        })
    };
    let bridge = Pipeline::bridge(items()).grain(4).boxed().boxed();
    let (sum, report) = bridge
        .map("work", |n| n)
        .concurrency(2)
        .boxed()
        .reduce(|| 0, |sum, n| sum + n, |a, b| a + b)
        .unwrap();
    assert_eq!((sum, report.stages()[0].concurrency()), (300 * 299 / 2, 0));
    let by_workers = |name: &Option<String>| name.as_ref().unwrap().starts_with("work-");
    assert!(makers.lock().unwrap().iter().all(by_workers));

    makers.lock().unwrap().clear();
    let stage = Pipeline::bridge(items()).map("work", |n| n).boxed();
    let report = stage.map("more", |n| n).concurrency(2).run(drop).unwrap();
    assert_eq!(report.stages()[0].concurrency(), 0);
    assert_eq!(report.stages()[2].concurrency(), 2);
    assert!(makers.lock().unwrap().iter().all(by_workers));
}

/// What cannot run is refused, on whichever side of the box it is.
#[test]
fn a_box_hides_no_mistake() {
    fn rejected(pipeline: Pipeline<impl Flow<Item = u32>>) -> BuildError {
        match pipeline.run(drop) {
            Err(PipelineError::Build(error)) => error,
            other => panic!("{other:?}"),
        }
    }
    let wide = || Pipeline::from_iter(0..9_u32).map("wide", |n| n).concurrency(4);
    let zero = Pipeline::from_iter(0..9_u32).map("none", |n| n).concurrency(0).boxed();
    assert_eq!(rejected(zero), BuildError::ZeroConcurrency { stage: "none".into() });
    let window = BuildError::WindowTooSmall { window: 3, stage: "wide".into(), concurrency: 4 };
    assert_eq!(rejected(wide().boxed().ordered(3)), window);
    assert_eq!(rejected(wide().boxed().map("more", |n| n).boxed().ordered(3).boxed()), window);
    let sums = wide().boxed().scan("sum", 0, |sum, n| {
        *sum += n;
        *sum
    });
    let step = BuildError::StepOutOfOrder { stage: "sum".into() };
    assert_eq!(rejected(sums.boxed().ordered(9)), step);
    let grain = Pipeline::bridge(0..9_u32).grain(0).boxed().map("work", |n| n);
    assert_eq!(rejected(grain), BuildError::Zero { stage: "source".into() });
}

/// In the background: its stages can be resized, an abort ends it, and what is lost is counted.
#[test]
fn a_boxed_run_is_watched_and_ended_like_any() {
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let items = (0_u64..).inspect(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let running = Pipeline::from_iter(items)
        .boxed()
        .map("work", |n| n)
        .buffer(3)
        .boxed()
        .output_buffer(2)
        .spawn()
        .unwrap();
    eventually("it is full", || made.load(SeqCst) >= 4);
    running.controller().resize("work", 3..=3).unwrap();
    // Others come as items do.
    eventually("two came", || {
        running.output().recv().unwrap();
        running.metrics().stages[1].workers == 3
    });
    running.abort();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);
}
