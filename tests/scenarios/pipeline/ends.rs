//! How runs end: by themselves, drained, aborted, cancelled, dropped; whom that wakes, and what it leaves.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::{Drops, FOR_EVER, alone, eventually, threads};
use aqueduct::Context;
use aqueduct::channel;
use aqueduct::context::ContextError;
use aqueduct::pipeline::{Emitter, Pipeline, PipelineError};
use aqueduct::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Ending a run is idempotent, in any order and from any number of threads, also when it has ended.
///
/// R26
#[test]
fn a_run_can_be_ended_any_number_of_times() {
    let running = Pipeline::from_iter(0_u64..).map("same", |n| n).concurrency(2).spawn().unwrap();
    // It stays there, so that the run is no empty one when it ends.
    eventually("something is made", || !running.output().is_empty());
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

/// An item that waits in a window for one that will not come any more is counted: the run was aborted while the older one was at work, and the
/// next stage is gone when it is done.
///
/// R31
#[test]
fn what_waits_behind_a_gap_is_counted() {
    struct Tells(channel::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let context = Context::background();
    let (tells, has_gone) = channel::bounded(1);
    let error = Pipeline::from_iter(0..10)
        .map("older", |n| {
            if n == 0 {
                has_gone.recv().unwrap();
            }
            n
        })
        .concurrency(2)
        .stage_init(
            "newer",
            || Tells(tells.clone()),
            |_, n| {
                context.cancel();
                Ok::<_, std::fmt::Error>(n)
            },
        )
        .ordered(4)
        .context(&context)
        .run(drop)
        .unwrap_err();
    assert_error_adds_up(&error);
    let report = error.report().unwrap();
    assert_eq!(report.delivered() + report.undelivered(), 0);
    assert_eq!(report.stages()[2].received() - report.stages()[2].cancelled(), 0, "{report:#?}");
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

/// Whatever way a run ends, it leaves no thread.
///
/// R38, R75, R78
#[test]
fn all_threads_are_joined_whatever_the_end() {
    alone("pipeline::ends::all_threads_are_joined_whatever_the_end", || {
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

/// Waiting beside somebody who receives takes nothing away from them: each item has one owner.
///
/// R38
#[test]
fn waiting_leaves_the_output_to_those_who_receive_it() {
    for output_buffer in [1, 64] {
        let running = Pipeline::from_iter(0..1000).output_buffer(output_buffer).spawn().unwrap();
        let output = running.output().clone();
        let consumer = thread::spawn(move || output.iter().collect::<Vec<_>>()).unwrap();
        let report = running.wait().unwrap();
        let received = consumer.join().unwrap();
        assert!(received.iter().copied().eq(0..1000), "{} of 1000", received.len());
        assert_eq!((report.delivered(), report.undelivered()), (1000, 0));
        assert!(report.is_complete());
    }
}

/// What lies in the output when the run has ended is still there for those who receive.
///
/// R38
#[test]
fn what_lies_in_the_output_outlives_the_run() {
    let running = Pipeline::from_iter(0..3).spawn().unwrap();
    let output = running.output().clone();
    let report = running.wait_timeout(FOR_EVER).unwrap().unwrap();
    assert_eq!((report.delivered(), report.undelivered()), (3, 0));
    assert_eq!(output.iter().collect::<Vec<_>>(), [0, 1, 2]);
}

/// Whoever closes the output ends an endless run.
///
/// R75, R78
#[test]
fn closing_the_output_ends_an_endless_run() {
    let running = Pipeline::from_iter(0_u64..)
        .map("same", |n| n)
        .concurrency(2)
        .ordered(8)
        .output_buffer(4)
        .spawn()
        .unwrap();
    assert_eq!(running.output().recv(), Ok(0));
    running.output().close();
    let error = running.wait_timeout(FOR_EVER).expect("nobody takes what it makes").unwrap_err();
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);
    assert_eq!(error.report().unwrap().delivered(), 1);
}

/// Those who receive may all go while the run is waited for: it ends, and what they have left in the output is counted and dropped.
///
/// R65, R75, R78
#[test]
fn a_run_ends_when_the_last_who_receives_goes() {
    const ROOM: usize = 4;
    let drops = Drops::default();
    let maker = drops.clone();
    let running = Pipeline::from_iter(std::iter::repeat_with(move || maker.item()))
        .map("same", |item| item)
        .concurrency(2)
        .output_buffer(ROOM)
        .spawn()
        .unwrap();
    let (output, controller) = (running.output().clone(), running.controller());
    let consumer = thread::spawn(move || {
        let received = output.iter().take(3).count() as u64;
        let waits = thread::catch(|| {
            eventually("the run is waited for", || output.receiver_count() == 1);
            eventually("the output is full", || output.len() == ROOM);
        });
        if waits.is_err() {
            controller.abort();
        }
        drop(output);
        waits.map(|()| received)
    })
    .unwrap();
    let error = running.wait().unwrap_err();
    assert_eq!(consumer.join().unwrap().unwrap(), 3);
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);
    let report = error.report().unwrap();
    assert_eq!((report.delivered(), report.undelivered()), (3, ROOM as u64));
    let made = report.stages()[0].received();
    assert_eq!(made, report.delivered() + report.cancelled());
    assert_eq!(drops.count() as u64, made);
}

/// What is delivered of a run that is aborted has no gap where it is in order: behind an item that found the way closed none is let through, with a cap
/// in front of the output and without one.
///
/// R31, R37
#[test]
fn an_abort_leaves_no_gap_in_the_output() {
    for round in 0..1_000 {
        let work = Pipeline::from_iter(0_u64..).map("work", |n| n).output_buffer(2);
        let running = match round % 2 {
            0 => work.spawn(),
            _ => work.max_in_flight(2).spawn(),
        };
        let running = running.unwrap();
        let controller = running.controller();
        let begun = AtomicBool::new(false);
        let output: Vec<u64> = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !begun.load(SeqCst) {
                    std::thread::yield_now();
                }
                controller.abort();
            });
            let count = |n: &u64| begun.fetch_or(*n == round % 50, SeqCst);
            running
                .output()
                .iter()
                .inspect(|n| {
                    count(n);
                })
                .collect()
        });
        assert!(output.iter().copied().eq(0..output.len() as u64), "round {round}: {output:?}");
        assert_error_adds_up(&running.wait().unwrap_err());
    }
}

/// All was delivered before: what was cancelled afterwards has stopped nothing. Not so what lies in the output yet.
///
/// R22
#[test]
fn a_cancellation_behind_a_drain_or_a_stop_changes_nothing() {
    for is_aborted in [false, true] {
        let context = Context::background();
        let running = Pipeline::from_iter(0_u64..).context(&context).spawn().unwrap();
        running.output().recv().unwrap();
        running.drain();
        running.output().iter().for_each(drop);
        if is_aborted {
            running.abort()
        } else {
            context.cancel()
        }
        assert_adds_up(&running.wait().unwrap());
    }
    let context = Context::background();
    let fails = |n: u64| if n == 5 { Err("on purpose") } else { Ok(n) };
    let stages = Pipeline::from_iter(0_u64..).stage("fails", fails).context(&context);
    let running = stages.spawn().unwrap();
    assert_eq!(running.output().iter().count(), 5);
    // The threads have ended when their last has closed the list of errors.
    running.errors().iter().for_each(drop);
    context.cancel();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
}
