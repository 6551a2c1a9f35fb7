//! What fails: an error says where, a policy decides, and the stage works on.

use super::{assert_adds_up, assert_error_adds_up};
use aqueduct::Context;
use aqueduct::channel::{self, Receiver, Sender};
use aqueduct::pipeline::{
    Backoff, Cause, Flow, Pipeline, PipelineError, Policy, StageError, Stopped,
};
use aqueduct::thread;
use std::collections::BTreeSet;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

/// Every item fails, and nobody reads errors: the run ends, the counts are exact, memory is bounded.
///
/// R28
#[test]
fn errors_that_nobody_reads_stall_nobody() {
    let report = Pipeline::from_iter(0..10_000)
        .stage("refuse", |n: u32| Err::<(), _>(format!("{n} refused")))
        .concurrency(4)
        .buffer(2)
        .on_error(Policy::Collect)
        .map("never", |()| ())
        .keep_errors(8)
        .output_buffer(1)
        .run(|()| unreachable!("nothing gets through"))
        .unwrap();
    assert_eq!((report.failed(), report.delivered()), (10_000, 0));
    assert_eq!((report.errors().len(), report.errors_unkept()), (8, 9_992));
    assert!(report.is_complete());
    assert_adds_up(&report);
}

/// Errors can be read while the run goes on; the stream ends with the run, and each error has one reader.
///
/// R28, R38
#[test]
fn errors_can_be_read_as_they_come() {
    let running = Pipeline::from_iter(0..1000)
        .stage("odd", |n: u32| if n % 2 == 1 { Ok(n) } else { Err("even") })
        .concurrency(2)
        .on_error(Policy::Collect)
        .spawn()
        .unwrap();
    let errors = running.errors().clone();
    let reader =
        thread::spawn(move || errors.iter().map(|error| error.item()).collect::<BTreeSet<_>>());
    let delivered: BTreeSet<u64> = running.output().iter().map(u64::from).collect();
    // The reader ends by itself, when the run does.
    let failed = reader.unwrap().join().unwrap();
    let report = running.wait().unwrap();
    assert_eq!(delivered, (0..1000).filter(|n| n % 2 == 1).collect());
    assert_eq!(failed, (0..1000).filter(|n| n % 2 == 0).collect());
    assert!(report.errors().is_empty());
    assert_adds_up(&report);
}

/// An error says which stage, which item, which attempt, and why; the cause keeps its type.
///
/// R36
#[test]
fn an_error_says_where_and_which_and_why() {
    let report = Pipeline::from_iter(["1", "x", "3"])
        .map("trim", str::trim)
        .stage("parse", |text: &str| text.parse::<u32>())
        .on_error(Policy::Collect)
        .map("crash", |n| if n == 3 { panic!("{n} is unlucky") } else { n })
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    let mut errors = report.into_errors();
    errors.sort_by_key(StageError::item);
    let [parse, crash] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(
        (parse.stage(), parse.stage_index(), parse.item(), parse.attempt()),
        ("parse", 2, 1, 1)
    );
    assert!(parse.cause().downcast_ref::<ParseIntError>().is_some());
    assert_eq!((crash.stage(), crash.stage_index(), crash.item()), ("crash", 3, 2));
    assert!(
        matches!(crash.cause(), Cause::Panicked(panicked) if panicked.message() == "3 is unlucky")
    );
    assert_eq!(crash.to_string(), "stage `crash` (3), item 2: panicked: 3 is unlucky");
}

/// Panics cost their items and nothing else: after more of them than there are workers, all workers are there.
///
/// R40
#[test]
fn a_stage_keeps_its_workers_after_panics() {
    const WORKERS: usize = 4;
    let meeting = Barrier::new(WORKERS);
    let report = Pipeline::from_iter(0..100 + WORKERS)
        .map("crash", |n| {
            assert!(n >= 100, "crash {n}");
            // Passes only if all are at work at the same time.
            meeting.wait();
        })
        .concurrency(WORKERS)
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    assert_eq!((report.failed(), report.delivered()), (100, WORKERS as u64));
    assert!(report.errors().iter().all(|error| matches!(error.cause(), Cause::Panicked(_))));
    assert_adds_up(&report);
}

/// A worker's state is made once, and made anew after a panic.
///
/// R40
#[test]
fn a_state_that_saw_a_panic_is_made_anew() {
    let made = AtomicU64::new(0);
    let mut seen = Vec::new();
    Pipeline::from_iter(0..6)
        .stage_init(
            "count",
            || {
                made.fetch_add(1, SeqCst);
                0
            },
            |calls: &mut u32, n| {
                *calls += 1;
                assert_ne!(n, 2, "on purpose");
                Ok::<_, Stopped>((n, *calls))
            },
        )
        .on_error(Policy::Collect)
        .run(|pair| seen.push(pair))
        .unwrap();
    assert_eq!(seen, [(0, 1), (1, 2), (3, 1), (4, 2), (5, 3)]);
    assert_eq!(made.load(SeqCst), 2);
}

/// Stop ends as the serial loop would; Collect goes on; a closure decides error by error, stage by stage.
///
/// R42
#[test]
fn each_stage_has_its_policy() {
    let parse = |text: &str| text.parse::<u32>();
    let items = ["1", "2", "x", "4", "y"];

    let mut output = Vec::new();
    let error = Pipeline::from_iter(items)
        .stage("parse", parse)
        .concurrency(3)
        .ordered(8)
        .run(|n| output.push(n))
        .unwrap_err();
    assert_eq!(output, [1, 2]);
    assert_error_adds_up(&error);
    let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
    assert_eq!(error.item(), 2);

    let mut output = Vec::new();
    let report = Pipeline::from_iter(items)
        .stage("parse", parse)
        .on_error(Policy::Collect)
        .run(|n| output.push(n))
        .unwrap();
    assert_eq!(output, [1, 2, 4]);
    assert_eq!(report.failed(), 2);

    let asked = Mutex::new(Vec::new());
    let error = Pipeline::from_iter(items)
        .stage("parse", parse)
        .on_error(|error: &StageError| {
            asked.lock().unwrap().push(error.item());
            if error.item() == 2 { Policy::Collect } else { Policy::Stop }
        })
        .run(drop)
        .unwrap_err();
    assert_eq!(asked.into_inner().unwrap(), [2, 4]);
    assert_eq!(error.report().unwrap().errors()[0].item(), 2);
    let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
    assert_eq!(error.item(), 4);

    // A policy that crashes decides nothing, so the run stops.
    let error = Pipeline::from_iter(items)
        .stage("parse", parse)
        .on_error(|_: &StageError| panic!("undecided"))
        .run(drop)
        .unwrap_err();
    assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
}

/// After a failure that stops, nothing that comes later leaves an ordered point, even if it was made before.
///
/// R42
#[test]
fn nothing_behind_a_failure_is_delivered_in_order() {
    let (later_is_done, wait) = channel::bounded(1);
    let mut output = Vec::new();
    let error = Pipeline::from_iter(0..100)
        .stage("race", move |n: u32| match n {
            3 => {
                wait.recv().unwrap();
                Err("three")
            }
            4 => {
                later_is_done.send(()).unwrap();
                Ok(n)
            }
            _ => Ok(n),
        })
        .concurrency(2)
        .ordered(16)
        .run(|n| output.push(n))
        .unwrap_err();
    assert_eq!(output, [0, 1, 2]);
    assert_error_adds_up(&error);
}

/// The error that is reported is the first in the order of the source, whichever happened first.
///
/// R42
#[test]
fn of_two_failures_the_first_in_order_counts() {
    let (second_failed, wait) = channel::bounded(1);
    let error = Pipeline::from_iter(0..100)
        .stage("race", move |n: u32| match n {
            3 => {
                wait.recv().unwrap();
                Err("three")
            }
            4 => Err("four"),
            _ => Ok(n),
        })
        .concurrency(2)
        .on_error(move |error: &StageError| {
            if error.item() == 4 {
                second_failed.send(()).unwrap();
            }
            Policy::Stop
        })
        .run(drop)
        .unwrap_err();
    let PipelineError::Stopped { error, report } = error else { panic!("{error:?}") };
    assert_eq!(error.cause().to_string(), "three");
    // The other failure is not forgotten.
    assert_eq!(report.failed(), 2);
    assert_eq!(report.errors().iter().map(StageError::item).collect::<Vec<_>>(), [4]);
}

/// So it is when the later item fails later, while the run ends already.
///
/// R42
#[test]
fn a_failure_behind_the_one_that_stopped_changes_nothing() {
    let (begun, four_has_begun) = channel::bounded(1);
    let (stopped, three_has_stopped) = channel::bounded(1);
    let error = Pipeline::source(move |out| {
        for n in 0..5 {
            // The last may be late: three has failed by then.
            let _ = out.send(n);
        }
        out.context().wait();
        stopped.send(())?;
        Err(Stopped.into())
    })
    .stage("race", move |n: u32| match n {
        3 => {
            four_has_begun.recv().unwrap();
            Err("three")
        }
        4 => {
            begun.send(()).unwrap();
            three_has_stopped.recv().unwrap();
            Err("four")
        }
        _ => Ok(n),
    })
    .concurrency(2)
    .run(drop)
    .unwrap_err();
    let PipelineError::Stopped { error, report } = error else { panic!("{error:?}") };
    assert_eq!(error.cause().to_string(), "three");
    assert_eq!(report.errors().iter().map(StageError::item).collect::<Vec<_>>(), [4]);
}

/// A source that fails, or panics, is reported like a stage; what it made before is delivered.
///
/// R36
#[test]
fn a_source_that_fails_is_an_error_behind_its_items() {
    for panics in [false, true] {
        let mut output = Vec::new();
        let error = Pipeline::source(|out| {
            out.send(1)?;
            out.send(2)?;
            assert!(!panics, "the tape broke");
            Err("the tape broke".into())
        })
        .map("same", |n| n)
        .concurrency(2)
        .ordered(2)
        .run(|n| output.push(n))
        .unwrap_err();
        assert_eq!(output, [1, 2]);
        assert_error_adds_up(&error);
        let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
        assert_eq!((error.stage(), error.stage_index(), error.item()), ("source", 0, 2));
        assert!(error.cause().to_string().ends_with("the tape broke"));
    }
}

/// A stop waits for no item that it cancels, however long that was to wait for its next attempt; also when a second stop, at an
/// item before the first, is what cancels it.
///
/// R42
#[test]
fn a_stop_ends_the_waits_of_what_it_cancels() {
    let hour = Duration::from_secs(3600);
    let (one_failed, one_has_failed) = channel::bounded(1);
    let (stopped, two_has_stopped) = channel::bounded::<()>(1);
    let error = Pipeline::source(move |out| {
        for n in 0..3 {
            out.send(n)?;
        }
        out.context().wait();
        drop(stopped);
        Err(Stopped.into())
    })
    .stage("race", move |n: u32| {
        match n {
            0 => assert!(two_has_stopped.recv().is_err()),
            1 => {}
            _ => one_has_failed.recv().unwrap(),
        }
        Err::<(), _>(format!("item {n}"))
    })
    .concurrency(3)
    .on_error_keeping(move |error: &StageError| {
        if error.item() != 1 {
            return Policy::Stop;
        }
        one_failed.send(()).unwrap();
        Policy::Retry(Backoff::new(2, hour, hour))
    })
    .run(drop)
    .unwrap_err();
    assert_error_adds_up(&error);
    let PipelineError::Stopped { error, report } = error else { panic!("{error:?}") };
    assert_eq!(error.item(), 0);
    let race = &report.stages()[1];
    assert_eq!((race.retried(), race.cancelled(), race.failed()), (1, 1, 2));
}

/// Nor does it wait for one that is held back to keep a rate.
///
/// R42
#[test]
fn a_stop_ends_the_wait_for_a_rate() {
    let error = Pipeline::from_iter(0..3)
        .rate_limit("once", 1, Duration::MAX)
        .stage("fail", |n: u32| Err::<(), _>(format!("item {n}")))
        .run(drop)
        .unwrap_err();
    assert_error_adds_up(&error);
    let PipelineError::Stopped { error, report } = error else { panic!("{error:?}") };
    assert_eq!((error.item(), report.stages()[1].failed(), report.failed()), (0, 0, 1));
}

/// A failure that has stopped the run is told also when the run ends in another way before all in front of it has arrived: beside the errors that were
/// kept, and once.
///
/// R36, R42
#[test]
fn the_failure_that_stopped_a_run_is_told_however_it_ends() {
    /// Item 0 is held until `gate` ends; item 1 fails. `stopped` hears when no more items are wanted.
    fn held(gate: Receiver<()>, stopped: Sender<()>) -> Pipeline<impl Flow<Item = u64> + 'static> {
        let source = Pipeline::source(move |out| {
            out.send(0)?;
            // It may have failed before this returns.
            let _ = out.send(1);
            out.context().wait();
            let _ = stopped.send(());
            Ok(())
        });
        let work = source.stage("work", move |n: u64| match n {
            0 => {
                let _ = gate.recv();
                Ok(0)
            }
            _ => Err("on purpose"),
        });
        work.concurrency(2).ordered(4)
    }
    fn told(error: &PipelineError) -> Vec<(String, u64)> {
        assert_error_adds_up(error);
        let report = error.report().unwrap();
        assert_eq!(report.failed(), 1);
        report.errors().iter().map(|error| (error.stage().to_owned(), error.item())).collect()
    }
    for by_hand in [true, false] {
        let context = Context::background();
        let (let_go, gate) = channel::bounded(1);
        let (stopped, has_stopped) = channel::bounded(1);
        let running = held(gate, stopped).context(&context).spawn().unwrap();
        has_stopped.recv().unwrap();
        if by_hand {
            running.abort();
        } else {
            context.cancel();
        }
        drop(let_go);
        let error = running.wait().unwrap_err();
        assert_eq!(matches!(error, PipelineError::Aborted { .. }), by_hand, "{error:?}");
        assert_eq!(told(&error), [("work".to_owned(), 1)]);
    }
    for refuses in [true, false] {
        let (let_go, gate) = channel::bounded(1);
        let (stopped, has_stopped) = channel::bounded(1);
        let waiter = std::thread::spawn(move || {
            has_stopped.recv().unwrap();
            drop(let_go);
        });
        let take = |_| if refuses { Err("refused") } else { Ok(()) };
        let error = held(gate, stopped).try_run(take).unwrap_err();
        waiter.join().unwrap();
        assert_eq!(matches!(error, PipelineError::Output { .. }), refuses, "{error:?}");
        let is_told = told(&error);
        match error {
            PipelineError::Stopped { error, .. } => {
                assert_eq!((error.item(), &is_told[..]), (1, &[][..]))
            }
            _ => assert_eq!(is_told, [("work".to_owned(), 1)]),
        }
    }
}
