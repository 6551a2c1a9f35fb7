//! Runs between channels: what only they can receive, and what nobody can receive from them.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::{FOR_EVER, eventually};
use aqueduct::Context;
use aqueduct::channel;
use aqueduct::pipeline::{Pipeline, PipelineError};
use aqueduct::thread;
use std::time::Instant;

/// What was sent to a run that alone receives is taken, however it ends; and its senders are told when no more is.
///
/// R31, R32
#[test]
fn what_only_the_run_can_receive_is_delivered_or_counted() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum End {
        Drained,
        Stopped,
        Aborted,
    }
    for end in [End::Drained, End::Stopped, End::Aborted] {
        for others_receive in [false, true] {
            let (sender, receiver) = channel::bounded(16);
            let other = others_receive.then(|| receiver.clone());
            let (begun, has_begun) = channel::bounded(1);
            let (go, gone) = channel::bounded::<()>(1);
            let running = Pipeline::from_receiver(receiver)
                .stage("work", move |n: u32| {
                    if n == 0 {
                        begun.send(()).unwrap();
                        gone.recv().unwrap_err();
                    }
                    if n == 0 && end == End::Stopped { Err("stop") } else { Ok(n) }
                })
                .buffer(1)
                .output_buffer(20)
                .spawn()
                .unwrap();
            for n in 0..10 {
                sender.send(n).unwrap();
            }
            has_begun.recv().unwrap();
            match end {
                End::Drained => running.drain(),
                End::Stopped => {}
                End::Aborted => running.abort(),
            }
            drop(go);
            let mut accepted = 10;
            if other.is_none() {
                eventually("no more is taken", || {
                    let is_over = sender.send_timeout(10, FOR_EVER).is_err();
                    accepted += u64::from(!is_over);
                    is_over
                });
            }
            let output: Vec<_> = running.output().iter().collect();
            let result = running.wait();
            let report = match &result {
                Ok(report) => report,
                Err(error) => error.report().unwrap(),
            };
            assert_adds_up(report);
            let made = report.stages()[0].received();
            match other {
                None => assert_eq!(made, accepted, "{end:?}: {report:#?}"),
                Some(other) => {
                    let left = other.try_iter().count() as u64;
                    assert_eq!(made + left, 10, "{end:?}: {report:#?}");
                }
            }
            match end {
                End::Drained => assert_eq!(output.len() as u64, made, "{report:#?}"),
                End::Stopped => assert_eq!((output.len(), report.cancelled() + 1), (0, made)),
                End::Aborted => assert_eq!((output.len(), report.cancelled()), (0, made)),
            }
        }
    }
}

/// A run ends when its output is closed, or when the last who could receive it goes, though it may never come to an item that finds that out.
///
/// R78
#[test]
fn a_run_that_nobody_can_receive_from_ends() {
    let idle = || {
        let (sender, receiver) = channel::bounded::<u64>(1);
        (sender, Pipeline::from_receiver(receiver).spawn().unwrap())
    };
    let is_aborted = |result| match result {
        Err(error @ PipelineError::Aborted { .. }) => assert_error_adds_up(&error),
        other => panic!("{other:?}"),
    };
    let (sender, running) = idle();
    running.output().close();
    eventually("the source has left", || sender.is_closed());
    is_aborted(running.wait());

    let busy = Pipeline::from_iter(0_u64..).filter("none", |_| false).spawn().unwrap();
    busy.output().close();
    is_aborted(busy.wait_deadline(Instant::now() + FOR_EVER).unwrap());

    let (sender, running) = idle();
    let output = running.output().clone();
    let waits = thread::spawn(|| running.wait()).unwrap();
    eventually("the run is waited for", || output.receiver_count() == 1);
    drop(output);
    is_aborted(waits.join().unwrap());
    assert!(sender.is_closed());

    // One that has come to its end has not been aborted by that.
    let done = Pipeline::from_iter(0..3).spawn().unwrap();
    assert_eq!(done.output().iter().count(), 3);
    done.output().close();
    assert!(done.wait().unwrap().is_complete());

    // A wait that is ended leaves the run as it is.
    let (sender, running) = idle();
    let late = Context::background();
    late.cancel();
    let stuck = running.wait_ctx(&late).unwrap_err();
    sender.send(7).unwrap();
    drop(sender);
    assert!(stuck.running.output().iter().eq([7]));
    assert_eq!(stuck.running.wait().unwrap().delivered(), 1);
}
