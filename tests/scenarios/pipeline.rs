//! Pipelines: how they end, what they count, whom they wake.

use crate::support::{Drops, alone, eventually, threads};
use aqueduct::Context;
use aqueduct::channel::{self, TryRecvError};
use aqueduct::context::ContextError;
use aqueduct::pipeline::{
    BuildError, Cause, Emitter, Pipeline, PipelineError, Policy, Report, StageError, Stopped,
};
use aqueduct::thread;
use std::collections::BTreeSet;
use std::num::ParseIntError;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

/// Nothing is lost silently: stage by stage the numbers add up.
fn assert_adds_up(report: &Report) {
    let stages = report.stages();
    for stage in stages {
        let sum = stage.out() + stage.failed() + stage.cancelled();
        assert_eq!(stage.received(), sum, "{report:#?}");
    }
    for pair in stages.windows(2) {
        assert_eq!(pair[0].out(), pair[1].received(), "{report:#?}");
    }
    let out = stages.last().expect("there is always a source").out();
    assert_eq!(out, report.delivered() + report.undelivered(), "{report:#?}");
}

fn assert_error_adds_up(error: &PipelineError) {
    assert_adds_up(error.report().expect("the run was begun"));
}

/// Ending a run is idempotent, in any order and from any number of threads, also when it has ended.
///
/// R26
#[test]
fn a_run_can_be_ended_any_number_of_times() {
    let running = Pipeline::from_iter(0_u64..).map("same", |n| n).concurrency(2).spawn().unwrap();
    let controllers = [(); 8].map(|()| running.controller());
    thread::scope(|scope| {
        for controller in &controllers {
            scope
                .spawn(move || {
                    controller.drain();
                    controller.abort();
                    controller.drain();
                    controller.abort();
                })
                .unwrap();
        }
    })
    .unwrap();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);
    for controller in controllers {
        controller.abort();
        controller.drain();
    }
}

/// The end of the input and the end of the run may both be told, in either order.
///
/// R27
#[test]
fn input_may_be_closed_before_and_after_the_run_is_drained() {
    for close_first in [true, false] {
        let (sender, receiver) = channel::bounded(4);
        let running = Pipeline::from_receiver(receiver).map("same", |n: i32| n).spawn().unwrap();
        sender.send(7).unwrap();
        assert_eq!(running.output().recv(), Ok(7));
        if close_first {
            sender.close();
            running.drain();
        } else {
            running.drain();
            sender.close();
        }
        let report = running.wait().unwrap();
        assert_eq!(report.delivered(), 1);
        assert_adds_up(&report);
    }
}

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

/// The end of input crosses all stages and all workers, and the output ends once, after the last item.
///
/// R29, R74
#[test]
fn the_end_of_input_crosses_every_stage() {
    for items in [0, 1, 7, 1000] {
        let running = Pipeline::from_iter(0..items)
            .map("first", |n: u64| n + 1)
            .concurrency(8)
            .map("second", |n| n + 1)
            .concurrency(5)
            .buffer(1)
            .map("third", |n| n + 1)
            .map("fourth", |n| n + 1)
            .concurrency(8)
            .output_buffer(3)
            .spawn()
            .unwrap();
        let mut output: Vec<u64> = running.output().iter().collect();
        assert_eq!(running.output().try_recv(), Err(TryRecvError::Disconnected));
        output.sort_unstable();
        assert_eq!(output, (4..items + 4).collect::<Vec<_>>());
        let report = running.wait().unwrap();
        assert!(report.is_complete());
        assert_adds_up(&report);
    }
}

/// No value is special: none of these ends anything.
///
/// R30, R50
#[test]
fn none_and_nothing_and_zero_are_items() {
    let items = [None, Some(0), None, None, Some(1)];
    let mut seen = Vec::new();
    Pipeline::from_iter(items)
        .map("same", |item: Option<u32>| item)
        .concurrency(2)
        .stage("checked", Ok::<Option<u32>, Stopped>)
        .ordered(4)
        .run(|item| seen.push(item))
        .unwrap();
    assert_eq!(seen, items);

    let report = Pipeline::from_iter([(); 100]).map("same", |()| ()).ordered(2).run(drop).unwrap();
    assert_eq!(report.delivered(), 100);

    let mut empty = 0;
    Pipeline::from_iter(["", "", ""])
        .map("own", String::from)
        .run(|s| empty += usize::from(s.is_empty()))
        .unwrap();
    assert_eq!(empty, 3);
}

/// A drain delivers all that was made.
///
/// R31, R67
#[test]
fn a_drain_delivers_everything_that_was_made() {
    let made = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&made);
    let running = Pipeline::from_iter((0_u64..).inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    }))
    .map("same", |n| n)
    .concurrency(3)
    .buffer(8)
    .ordered(16)
    .spawn()
    .unwrap();
    assert_eq!(running.output().recv(), Ok(0));
    running.drain();
    let rest: Vec<u64> = running.output().iter().collect();
    let report = running.wait().unwrap();
    let made = made.load(SeqCst);
    assert_eq!(rest, (1..made).collect::<Vec<_>>());
    assert_eq!((report.delivered(), report.cancelled()), (made, 0));
    assert!(!report.is_complete(), "there was more to come");
    assert_adds_up(&report);
}

/// An abort ends everything at once, and tells what was lost, item for item; every item is dropped.
///
/// R31, R70
#[test]
fn an_abort_reports_what_was_lost() {
    let drops = Drops::default();
    let maker = drops.clone();
    let running = Pipeline::from_iter(std::iter::repeat_with(move || maker.item()))
        .map("first", |item| item)
        .concurrency(2)
        .map("second", |item| item)
        .concurrency(2)
        .ordered(8)
        .output_buffer(4)
        .spawn()
        .unwrap();
    drop(running.output().recv().unwrap());
    running.abort();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);
    let report = error.report().unwrap();
    let made = report.stages()[0].received();
    assert_eq!(made, report.delivered() + report.cancelled());
    assert_eq!(drops.count() as u64, made);
}

/// Producers that race the end of a run have each item taken, or given back.
///
/// R32, R68
#[test]
fn producers_that_race_the_end_get_their_items_back() {
    let (sender, receiver) = channel::bounded(2);
    let producers: Vec<_> = (0..4)
        .map(|_| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut sent = 0_u64;
                while sender.send(sent).is_ok() {
                    sent += 1;
                }
                sent
            })
            .unwrap()
        })
        .collect();
    drop(sender);
    let leftover = receiver.clone();
    let running = Pipeline::from_receiver(receiver).map("same", |n| n).spawn().unwrap();
    let taken = running.output().iter().take(50).count() as u64;
    running.drain();
    let rest = running.output().iter().count() as u64;
    let report = running.wait().unwrap();
    assert_eq!(report.delivered(), taken + rest);
    // The channel is the user's: the run leaves in it what it did not take.
    leftover.close();
    let left = leftover.try_iter().count() as u64;
    let sent: u64 = producers.into_iter().map(|producer| producer.join().unwrap()).sum();
    assert_eq!(sent, report.delivered() + left);
}

/// A pipeline without stages hands on what its source makes.
///
/// R33
#[test]
fn no_stages_is_the_identity() {
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..100).run(|n| output.push(n)).unwrap();
    assert_eq!(output, (0..100).collect::<Vec<_>>());
    assert_adds_up(&report);
    let running = Pipeline::from_iter(0..100).ordered(3).output_buffer(1).spawn().unwrap();
    assert!(running.output().iter().eq(0..100));
    assert_adds_up(&running.wait().unwrap());
}

/// What cannot run is an error with the stage's name, and nothing is begun.
///
/// R34, R49
#[test]
fn what_cannot_run_is_rejected_before_it_begins() {
    fn rejected<T: Send>(result: Result<T, PipelineError>) -> BuildError {
        match result {
            Err(PipelineError::Build(error)) => error,
            Err(error) => panic!("another error: {error:?}"),
            Ok(_) => panic!("it ran"),
        }
    }
    let source = || Pipeline::from_iter(std::iter::from_fn(|| -> Option<u32> { panic!("begun") }));
    let stage = || source().map("work", |n| n);
    let concurrency = |n| stage().concurrency(n);

    let zero = BuildError::ZeroConcurrency { stage: "work".into() };
    assert_eq!(rejected(concurrency(0).run(drop)), zero);
    assert_eq!(rejected(concurrency(0).spawn()), zero);
    assert_eq!(rejected(concurrency(0).map("more", |n| n).run(drop)), zero);
    let buffer = BuildError::Buffer { stage: "work".into(), items: 0 };
    assert_eq!(rejected(stage().buffer(0).run(drop)), buffer);
    let buffer = BuildError::Buffer { stage: "work".into(), items: usize::MAX };
    assert_eq!(rejected(stage().buffer(usize::MAX).run(drop)), buffer);
    let output = BuildError::Buffer { stage: "output".into(), items: 0 };
    assert_eq!(rejected(stage().output_buffer(0).run(drop)), output);
    assert_eq!(rejected(stage().ordered(0).run(drop)), BuildError::Window { items: 0 });
    let window = BuildError::WindowTooSmall { window: 3, stage: "work".into(), concurrency: 4 };
    assert_eq!(rejected(concurrency(4).map("more", |n| n).ordered(3).run(drop)), window);
    // Each window counts for the stages in front of it, up to the last one.
    let report = Pipeline::from_iter(0..9)
        .map("wide", |n| n)
        .concurrency(4)
        .ordered(4)
        .map("narrow", |n| n)
        .ordered(1);
    assert_eq!(report.run(drop).unwrap().delivered(), 9);
}

/// No more items are under way than the buffers and workers add up to.
///
/// R35, R79
#[test]
fn configured_bounds_are_the_real_bounds() {
    let made = Arc::new(AtomicU64::new(0));
    let source = || {
        made.store(0, SeqCst);
        let made = Arc::clone(&made);
        Pipeline::from_iter((0..3000).inspect(move |_| {
            made.fetch_add(1, SeqCst);
        }))
    };
    let watch = |bound: u64, output: &channel::Receiver<i32>| {
        // The bound is reached with nobody reading, and it is never passed.
        eventually("everything is full", || made.load(SeqCst) == bound);
        for received in 0.. {
            let under_way = made.load(SeqCst) - received;
            assert!(under_way <= bound, "{under_way} under way, bound {bound}");
            if output.recv().is_err() {
                break;
            }
        }
    };
    // In the source's hand, in front of `a`, in its workers' hands, in front of `b`, in its hand, at the output.
    let running = source().map("a", |n| n).concurrency(2).buffer(3).map("b", |n| n).buffer(5);
    let running = running.output_buffer(7).spawn().unwrap();
    watch(1 + 3 + 2 + 5 + 1 + 7, running.output());
    assert_eq!(running.wait().unwrap().delivered(), 3000);
    // In the source's hand, anywhere in the window, at the output.
    let running = source().map("a", |n| n).concurrency(2).buffer(30).ordered(9);
    let running = running.output_buffer(2).spawn().unwrap();
    watch(1 + 9 + 2, running.output());
    assert_eq!(running.wait().unwrap().delivered(), 3000);
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

/// The first item ends last, and still comes out first.
///
/// R37
#[test]
fn order_holds_when_the_oldest_item_takes_longest() {
    let (done, wait) = channel::bounded(3);
    let mut output = Vec::new();
    Pipeline::from_iter(0..40)
        .map("reverse", move |n| {
            match n {
                // Ends when the last that fits into the window has ended.
                0 => (1..4).for_each(|_| wait.recv().unwrap()),
                1..4 => done.send(()).unwrap(),
                _ => {}
            }
            n
        })
        .concurrency(4)
        .ordered(4)
        .run(|n| output.push(n))
        .unwrap();
    assert!(output.into_iter().eq(0..40));
}

/// Without `ordered`, a slow item holds up nobody.
///
/// R37
#[test]
fn without_order_a_slow_item_is_overtaken() {
    let (go, wait) = channel::bounded(1);
    let mut output = Vec::new();
    Pipeline::from_iter(0..1000)
        .map("slow", |n| {
            if n == 0 {
                wait.recv().unwrap();
            }
            n
        })
        .concurrency(2)
        .run(|n| {
            output.push(n);
            if output.len() == 999 {
                go.send(()).unwrap();
            }
        })
        .unwrap();
    assert_eq!(output.pop(), Some(0));
}

/// Whatever way a run ends, it leaves no thread.
///
/// R38, R75, R78
#[test]
fn all_threads_are_joined_whatever_the_end() {
    alone("pipeline::all_threads_are_joined_whatever_the_end", || {
        let Some(before) = threads() else { return };
        let endless = || Pipeline::from_iter(0_u64..).map("a", |n| n).concurrency(3);
        // A thread that is joined may be seen in `/proc` for a moment.
        let back = |after: &str| eventually(after, || threads() == Some(before));
        for _ in 0..20 {
            Pipeline::from_iter(0..9).map("a", |n| n).concurrency(3).run(drop).unwrap();
            back("no thread after a run");
            endless().try_run(|n| if n < 9 { Ok(()) } else { Err("enough") }).unwrap_err();
            back("no thread after an output that fails");
            endless().stage("b", |_| Err::<(), _>("no")).run(drop).unwrap_err();
            back("no thread after a stop");
            let running = endless().spawn().unwrap();
            running.output().recv().unwrap();
            drop(running);
            back("no thread after a drop");
            let running = endless().spawn().unwrap();
            running.drain();
            running.wait().unwrap();
            back("no thread after a drain");
            let caught = thread::catch(|| endless().run(|_| panic!("consumer")));
            assert_eq!(caught.unwrap_err().message(), "consumer");
            back("no thread after a panic of the consumer");
        }
    });
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

/// What panics where no item can be blamed ends the run with an error, and hangs nobody.
///
/// R40
#[test]
fn a_worker_lost_to_a_destructor_ends_the_run() {
    struct Grenade;
    impl Drop for Grenade {
        fn drop(&mut self) {
            panic!("bang");
        }
    }
    let error = Pipeline::from_iter(0..100)
        .stage_init("armed", || Grenade, |_, n: u32| Ok::<_, Stopped>(n))
        .run(drop)
        .unwrap_err();
    let PipelineError::Worker { stage, panicked, .. } = error else { panic!("{error:?}") };
    assert_eq!((&*stage, panicked.message()), ("armed", "bang"));
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

/// A context that is cancelled wakes the source, the workers and the consumer, wherever they wait.
///
/// R47, R65
#[test]
fn a_cancelled_context_wakes_everybody() {
    // The consumer and the worker wait for items, and the source for its channel.
    let context = Context::background();
    let (sender, receiver) = channel::bounded::<u32>(1);
    let running =
        Pipeline::from_receiver(receiver).map("same", |n| n).context(&context).spawn().unwrap();
    let output = running.output().clone();
    let consumer = thread::spawn(move || output.recv().is_err()).unwrap();
    context.cancel_with("closing time");
    assert!(consumer.join().unwrap());
    let error = running.wait().unwrap_err();
    let PipelineError::Cancelled { cause, .. } = error else { panic!("{error:?}") };
    assert_eq!(cause.to_string(), "closing time");
    drop(sender);

    // The worker waits for room at the output, and the source for room in front of the worker.
    let context = Context::background();
    let running = Pipeline::from_iter(0_u64..)
        .map("same", |n| n)
        .buffer(1)
        .ordered(4)
        .output_buffer(1)
        .context(&context)
        .spawn()
        .unwrap();
    eventually("the output is full", || running.output().len() == 1);
    context.cancel();
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// A deadline ends a run that has no end of its own.
///
/// R41
#[test]
fn a_deadline_ends_an_endless_run() {
    let context = Context::background().with_timeout(Duration::from_millis(5));
    let error =
        Pipeline::from_iter(0_u64..).map("same", |n| n).context(&context).run(drop).unwrap_err();
    assert_error_adds_up(&error);
    let PipelineError::Cancelled { cause, .. } = error else { panic!("{error:?}") };
    assert_eq!(cause.downcast_ref(), Some(&ContextError::DeadlineExceeded));
}

/// A context that is done already lets nothing begin; one that ends after the last item changes nothing.
///
/// R22
#[test]
fn a_context_counts_only_while_there_is_something_to_cancel() {
    let context = Context::background();
    context.cancel();
    let error =
        Pipeline::from_iter(0..9).map("same", |n| n).context(&context).run(drop).unwrap_err();
    assert_eq!(error.report().unwrap().delivered(), 0);
    assert_error_adds_up(&error);

    let context = Context::background();
    let running = Pipeline::from_iter(0..9).context(&context).spawn().unwrap();
    assert_eq!(running.output().iter().count(), 9);
    context.cancel();
    assert!(running.wait().unwrap().is_complete());
}

/// The consumer that goes away early takes the rest with it: the source ends, and no item is kept.
///
/// R65, R78
#[test]
fn dropping_the_run_ends_an_endless_source() {
    let drops = Drops::default();
    let maker = drops.clone();
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let running = Pipeline::source(move |out: &mut Emitter<'_, _>| {
        loop {
            count.fetch_add(1, SeqCst);
            out.send(maker.item())?;
        }
    })
    .map("same", |item| item)
    .concurrency(2)
    .spawn()
    .unwrap();
    drop(running.output().recv().unwrap());
    drop(running);
    assert_eq!(drops.count() as u64, made.load(SeqCst));
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

/// An output that fails aborts the run, and its error is what the run returns.
///
/// R75
#[test]
fn an_output_that_fails_ends_the_run() {
    let mut taken = 0;
    let error = Pipeline::from_iter(0_u64..)
        .map("same", |n| n)
        .concurrency(2)
        .ordered(8)
        .try_run(|n| {
            taken += 1;
            if n == 5 { Err("disk full") } else { Ok(()) }
        })
        .unwrap_err();
    assert_error_adds_up(&error);
    assert_eq!(error.report().unwrap().delivered(), taken);
    let PipelineError::Output { cause, .. } = error else { panic!("{error:?}") };
    assert_eq!((taken, cause.to_string()), (6, "disk full".into()));
}

/// Stages, policies, sources and consumers may borrow from around the run.
///
/// R51
#[test]
fn a_run_may_borrow() {
    let words = vec![String::from("one"), String::from("two"), String::from("three")];
    let limit = 3;
    let refused = Mutex::new(0);
    let mut short = Vec::new();
    Pipeline::from_iter(&words)
        .stage(
            "short",
            |word: &String| if word.len() <= limit { Ok(word.as_str()) } else { Err("long") },
        )
        .concurrency(2)
        .on_error(|_: &StageError| {
            *refused.lock().unwrap() += 1;
            Policy::Collect
        })
        .ordered(2)
        .run(|word| short.push(word))
        .unwrap();
    assert_eq!(short, ["one", "two"]);
    assert_eq!(*refused.lock().unwrap(), 1);
}

/// Waiting without reading: what comes out is dropped, and counted.
///
/// R67
#[test]
fn waiting_without_reading_does_not_hang() {
    let running = Pipeline::from_iter(0..1000).output_buffer(1).spawn().unwrap();
    let report = running.wait().unwrap();
    assert_eq!((report.delivered(), report.undelivered()), (0, 1000));
    assert!(!report.is_complete());
}
