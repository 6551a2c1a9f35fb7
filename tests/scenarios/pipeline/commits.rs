//! How far a run has come, and in which order, behind steps that remember.

use super::{assert_adds_up, assert_error_adds_up};
use aqueduct::channel;
use aqueduct::pipeline::{Batch, BuildError, Flow, Pipeline, PipelineError, Policy};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// What was told to a commit point.
#[derive(Default)]
struct Commits(Mutex<Vec<u64>>);

impl Commits {
    fn tell(&self, done: u64) {
        self.0.lock().unwrap().push(done);
    }

    /// Each is larger than the one before.
    fn all(self) -> Vec<u64> {
        let all = self.0.into_inner().unwrap();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        all
    }
}

fn assert_refused<T>(result: Result<T, PipelineError>, step: &str) {
    match result {
        Err(PipelineError::Build(error)) => {
            assert_eq!(error, BuildError::StepOutOfOrder { stage: step.into() });
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it ran"),
    }
}

/// Items that overtake each other reach a batch in another order than the source's: a commit point behind it could only lie about what
/// is in it. It is refused, and with an ordered point in front nothing is committed that is not stored.
///
/// R29, R34
#[test]
fn nothing_is_committed_that_waits_in_front_of_a_batch() {
    let (stored, lies) = (AtomicBool::new(false), AtomicBool::new(false));
    let (let_go, gate) = channel::bounded::<()>(1);
    // The first item waits until a batch of others is stored.
    let result = Pipeline::from_iter(0..16_u64)
        .map("work", |n| {
            if n == 0 {
                let _ = gate.recv();
            }
            n
        })
        .concurrency(4)
        .batch("rows", Batch::of(2))
        .map("store", |rows| {
            stored.fetch_or(rows.contains(&0), SeqCst);
            let _ = let_go.try_send(());
        })
        .commit_point(16, |_| {
            lies.fetch_or(!stored.load(SeqCst), SeqCst);
        })
        .run(drop);
    assert!(!lies.load(SeqCst), "something is committed, and item 0 is not stored");
    assert_refused(result, "rows");

    let (stored, commits) = (AtomicU64::new(0), Commits::default());
    let report = Pipeline::from_iter(0..1000_u64)
        .map("work", |n| n)
        .concurrency(4)
        .ordered(16)
        .batch("rows", Batch::of(7))
        .map("store", |rows| {
            stored.fetch_add(rows.len() as u64, SeqCst);
        })
        .commit_point(16, |done| {
            assert!(done <= stored.load(SeqCst));
            commits.tell(done);
        })
        .run(drop)
        .unwrap();
    assert_adds_up(&report);
    assert_eq!(commits.all().last(), Some(&1000));
}

/// A step that remembers, in front of an ordered point, has its input in order, or is refused: whatever step, whatever overtakes in front of it, and
/// however far in front.
///
/// R34, R37
#[test]
fn a_step_that_remembers_in_front_of_an_order_has_its_input_in_order() {
    fn work() -> Pipeline<impl Flow<Item = u64>> {
        Pipeline::from_iter(0..9).map("work", |n| n).concurrency(4)
    }
    let (hour, second) = (Duration::from_secs(3600), Duration::from_secs(1));
    let rows = Batch::of(2);
    let scan = |sum: &mut u64, n| {
        *sum += n;
        *sum
    };
    assert_refused(work().batch("step", rows).ordered(8).run(drop), "step");
    assert_refused(
        work().batch_by("step", rows, |_| 1).map("m", drop).ordered(8).run(drop),
        "step",
    );
    assert_refused(work().scan("step", 0, scan).ordered(8).run(drop), "step");
    assert_refused(work().rate_limit("step", 9, second).ordered(8).run(drop), "step");
    assert_refused(work().debounce("step", hour).commit_point(8, drop).run(drop), "step");
    assert_refused(work().debounce("step", hour).ordered(8).spawn(), "step");

    let scales = Pipeline::from_iter(0..9).map("work", |n| n).concurrency_auto(1..=2);
    assert_refused(scales.batch("step", rows).ordered(8).run(drop), "step");
    let keyed = Pipeline::from_iter(0..9).map("work", |n| n).concurrency(2).keyed(|n| *n);
    assert_refused(keyed.batch("step", rows).ordered(8).run(drop), "step");
    let lists = Pipeline::from_iter(0..9).flat_map("work", |n| [n; 2]).concurrency(2);
    assert_refused(lists.batch("step", rows).ordered(8).run(drop), "step");
    let far = work().map("one", |n| n).filter("all", |_| true).batch("step", rows);
    assert_refused(far.map("m", drop).ordered(8).run(drop), "step");
    // The second has its input in the order of the first, which has none.
    let twice = work().batch("first", rows).map("one", |n| n).batch("second", rows);
    assert_refused(twice.ordered(8).run(drop), "first");

    // Nobody asks for an order; or it is there.
    assert_adds_up(&work().batch("rows", rows).max_in_flight(2).run(drop).unwrap());
    let before = work().ordered(8).rate_limit("pace", 9, Duration::ZERO);
    let mut output = Vec::new();
    before.map("parse", |n| n).concurrency(4).ordered(8).run(|n| output.push(n)).unwrap();
    assert!(output.into_iter().eq(0..9));
    let behind = Pipeline::from_iter(0..9).scan("sum", 0, scan).map("m", |n| n).concurrency(4);
    assert_adds_up(&behind.ordered(8).run(drop).unwrap());
}

/// So it is while it runs: a stage in front of such a step is given no second worker.
///
/// R34
#[test]
fn a_stage_in_front_of_a_step_that_remembers_stays_in_order() {
    let running = Pipeline::from_iter(0_u64..)
        .map("free", |n| n)
        .ordered(8)
        .map("in order", |n| n)
        .batch("pairs", Batch::of(2))
        .map("too", |n| n)
        .batch("fours", Batch::of(2))
        .map("behind", |n| n)
        .ordered(8)
        .spawn()
        .unwrap();
    let controller = running.controller();
    for (stage, step) in [("in order", "pairs"), ("too", "fours")] {
        let refused = BuildError::StepOutOfOrder { stage: step.into() };
        assert_eq!(controller.resize(stage, 1..=2), Err(refused));
        assert_eq!(controller.resize(stage, 1..=1), Ok(()));
    }
    for stage in ["free", "behind"] {
        assert_eq!(controller.resize(stage, 4..=4), Ok(()));
    }
    let fours = running.output().iter().take(100).flatten().flatten();
    assert!(fours.eq(0..400));
    running.abort();
    assert_error_adds_up(&running.wait().unwrap_err());

    // Where nobody asks for an order, it is.
    let running = Pipeline::from_iter(0_u64..)
        .map("work", |n| n)
        .batch("pairs", Batch::of(2))
        .spawn()
        .unwrap();
    assert_eq!(running.controller().resize("work", 4..=4), Ok(()));
}

/// Behind a batch the items in it are done with it, all of them; in the end all are, those included that were left out on the way.
///
/// R29
#[test]
fn a_batch_commits_all_that_is_in_it() {
    let commits = Commits::default();
    let rows = Pipeline::from_iter(0..10_u64).batch("rows", Batch::of(10));
    rows.commit_point(1, |done| commits.tell(done)).run(drop).unwrap();
    assert_eq!(commits.all(), [10]);

    let commits = Commits::default();
    Pipeline::from_iter(0..95_u64)
        .batch("rows", Batch::of(10))
        .map("store", drop)
        .concurrency(2)
        .commit_point(16, |done| commits.tell(done))
        .run(drop)
        .unwrap();
    let commits = commits.all();
    assert!(commits.iter().all(|done| done % 10 == 0 || *done == 95), "{commits:?}");
    assert_eq!(commits.last(), Some(&95));

    // Of a burst the last one passes, and is the last that is done.
    let commits = Commits::default();
    Pipeline::from_iter(0..50_u64)
        .debounce("quiet", Duration::from_secs(3600))
        .commit_point(4, |done| commits.tell(done))
        .run(drop)
        .unwrap();
    assert_eq!(commits.all(), [50]);
}

/// What is left out in front of a step that remembers is done with what came before it.
///
/// R29, R42
#[test]
fn what_is_left_out_in_front_of_a_batch_is_committed() {
    fn end_of<T: Send>(pipeline: Pipeline<impl Flow<Item = T>>) -> Vec<u64> {
        let commits = Commits::default();
        let report = pipeline.commit_point(4, |done| commits.tell(done)).run(drop).unwrap();
        assert_adds_up(&report);
        commits.all()
    }
    let source = || Pipeline::from_iter(0..100_u64);
    let rows = Batch::of(10);
    let filtered = source().filter("few", |n| *n == 3).batch("rows", rows);
    assert_eq!(end_of(filtered).last(), Some(&100));
    let filtered = source().filter("none", |_| false).batch("rows", rows);
    assert_eq!(end_of(filtered).last(), Some(&100));
    let skipped = source().stage("none", |_| Err::<u64, _>("on purpose")).on_error(Policy::Skip);
    assert_eq!(end_of(skipped.scan("sum", 0, |_, n| n)).last(), Some(&100));
    // Also where the function of the lists itself fails, in front of a batch and without one.
    let list = |n| {
        assert!(n < 50, "on purpose");
        [n, n]
    };
    let failed = source().flat_map("half", list).on_error(Policy::Skip);
    assert_eq!(end_of(failed).last(), Some(&100));
    let failed = source().flat_map("half", list).on_error(Policy::Skip);
    assert_eq!(end_of(failed.batch("rows", rows)).last(), Some(&100));
    let lists = source().flat_map("few", |n| vec![n; usize::from(n % 50 == 0)]);
    assert_eq!(end_of(lists.batch("rows", rows).flat_map("again", |n| n)).last(), Some(&100));
    let lists = source().flat_map("few", |n| vec![n; usize::from(n % 50 == 0)]).concurrency(3);
    let in_order = lists.ordered(8).rate_limit("pace", 5, Duration::ZERO).batch("rows", rows);
    assert_eq!(end_of(in_order).last(), Some(&100));
}

/// A failure in front of a batch, in it, or behind it: all before it is committed, and nothing of it.
///
/// R31, R42
#[test]
fn a_failure_around_a_batch_is_not_committed() {
    let fails = |at: u64| move |n: u64| if n == at { Err("on purpose") } else { Ok(n) };
    let commits = Commits::default();
    let error = Pipeline::from_iter(0_u64..)
        .stage("fails", fails(55))
        .batch("rows", Batch::of(10))
        .map("store", drop)
        .commit_point(4, |done| commits.tell(done))
        .run(drop)
        .unwrap_err();
    assert!(matches!(&error, PipelineError::Stopped { error, .. } if error.item() == 55));
    assert_error_adds_up(&error);
    assert_eq!(commits.all().last(), Some(&55), "the last batch is smaller");

    let commits = Commits::default();
    let error = Pipeline::from_iter(0_u64..)
        .batch("rows", Batch::of(10))
        .stage("store", |rows| if rows.contains(&55) { Err("on purpose") } else { Ok(rows) })
        .concurrency(3)
        .commit_point(4, |done| commits.tell(done))
        .run(drop)
        .unwrap_err();
    assert!(matches!(&error, PipelineError::Stopped { error, .. } if error.item() == 50));
    assert_error_adds_up(&error);
    assert_eq!(commits.all().last(), Some(&50));

    let commits = Commits::default();
    let error = Pipeline::from_iter(0_u64..)
        .scan("sum", 0_u64, |sum, n| {
            assert_ne!(n, 55, "on purpose");
            *sum += n;
        })
        .batch("rows", Batch::of(10))
        .commit_point(4, |done| commits.tell(done))
        .run(drop)
        .unwrap_err();
    assert!(matches!(&error, PipelineError::Stopped { error, .. } if error.item() == 55));
    assert_eq!(commits.all().last(), Some(&55));
}

/// What passes a quiet step is its last item, and is called so when it fails.
///
/// R36
#[test]
fn of_a_burst_the_one_that_passes_is_named() {
    let report = Pipeline::from_iter(0..50_u64)
        .debounce("quiet", Duration::from_secs(3600))
        .stage("fails", |n| Err::<(), _>(n.to_string()))
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    let [error] = report.errors() else { panic!("{report:?}") };
    assert_eq!((error.item(), error.cause().to_string()), (49, "49".to_owned()));
}

/// What a step that remembers does to each item changes nothing about how many there will be.
#[test]
fn steps_of_one_for_one_know_how_many_there_will_be() {
    let steps = Pipeline::from_iter(0..50_u64)
        .scan("sum", 0, |_, n| n)
        .rate_limit("pace", 100, Duration::ZERO)
        .debounce("quiet", Duration::ZERO)
        .batch("rows", Batch::of(2));
    let running = steps.spawn().unwrap();
    assert_eq!(running.metrics().total, Some(50));
}
