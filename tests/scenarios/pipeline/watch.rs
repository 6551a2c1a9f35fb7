//! A run that is watched, resized, capped and held up: what it says of itself while it goes on.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::eventually;
use aqueduct::Context;
use aqueduct::channel;
use aqueduct::context::ContextError;
use aqueduct::pipeline::{BuildError, Controller, Pipeline, PipelineError, PipelineMetrics};
use aqueduct::pool::{Decision, Load, ScalePolicy};
use aqueduct::thread;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

/// Who waits for whom is seen while they wait, with the time that goes by; the stage that all wait for is named.
///
/// R41
#[test]
fn the_stage_that_all_wait_for_is_named_while_they_wait() {
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0_u64..)
        .map("quick", |n| n)
        .buffer(4)
        .map("slow", move |n| {
            let _ = wait.recv();
            n
        })
        .buffer(4)
        .map("after", |n| n)
        .spawn()
        .unwrap();
    // Should this fail, `slow` ends before the run is waited for.
    let go = go;
    let waiting = |metrics: &PipelineMetrics, at: usize, name: &str| {
        let stage = &metrics.stages[at];
        assert_eq!(stage.so_far.name(), name);
        (stage.starved, stage.blocked)
    };
    // Whoever waits for room is called once half of the places are free: so one may have become free meanwhile.
    let is_full =
        |metrics: &PipelineMetrics, at: usize| (3..=4).contains(&metrics.stages[at].queued);
    eventually("all wait for `slow`", || {
        let metrics = running.metrics();
        waiting(&metrics, 0, "source") == (0, 1)
            && waiting(&metrics, 1, "quick") == (0, 1)
            && is_full(&metrics, 1)
            && waiting(&metrics, 2, "slow") == (0, 0)
            && is_full(&metrics, 2)
            && waiting(&metrics, 3, "after") == (1, 0)
            && metrics.stages[3].queued == 0
    });
    let before = running.metrics().stages[1].so_far.blocked();
    // It counts though the wait is not over.
    eventually("time goes by", || running.metrics().stages[1].so_far.blocked() > before);
    eventually("it is the bottleneck", || {
        let metrics = running.metrics();
        let waits_for = |at: usize| metrics.stages[at].waits_for.clone();
        metrics.bottleneck().is_some_and(|bottleneck| *bottleneck.stage == *"slow")
            && waits_for(1).as_deref() == Some("slow")
            && waits_for(3).as_deref() == Some("slow")
    });
    running.abort();
    drop(go);
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// What several makers have put in front of a stage that stands still is seen to wait there: a full buffer looks full. When all are through, nothing waits anywhere.
///
/// R41
#[test]
fn what_waits_in_front_of_a_stage_is_seen_to_wait() {
    const BUFFER: usize = 64;
    const MAKERS: usize = 4;
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0..200)
        .map("make", |n| n)
        .concurrency(MAKERS)
        .map("still", move |n| {
            let _ = wait.recv();
            n
        })
        .buffer(BUFFER)
        .output_buffer(200)
        .spawn()
        .unwrap();
    // Should this fail, the stage ends before the run is waited for.
    let go = go;
    let queued = |at: usize| running.metrics().stages[at].queued;
    eventually("all makers wait for room", || running.metrics().stages[1].blocked == MAKERS);
    let full = queued(2);
    // Whoever waits for room is called once half of the line is free.
    assert!((BUFFER * 3 / 4..=BUFFER).contains(&full), "{full} of {BUFFER}");
    drop(go);
    assert_eq!(running.output().iter().count(), 200);
    eventually("nothing waits", || queued(1) + queued(2) == 0);
    assert_adds_up(&running.wait().unwrap());
}

/// A run that does not end says which stage is stuck, and at which item; it can be given up, or waited for again.
///
/// R41
#[test]
fn a_run_that_does_not_end_says_who_is_stuck() {
    let (go, wait) = channel::bounded::<()>(1);
    let (begun, has_begun) = channel::bounded(1);
    let running = Pipeline::from_iter(0..10)
        .map("fine", |n| n)
        .map("stuck", move |n| {
            if n == 7 {
                begun.send(()).unwrap();
                let _ = wait.recv();
            }
            n
        })
        .spawn()
        .unwrap();
    has_begun.recv().unwrap();
    let stuck = running.wait_timeout(Duration::ZERO).unwrap_err();
    // The others may be at the items behind it, or about to leave that one.
    assert!(stuck.at_work.iter().all(|at| at.item >= 7), "{stuck:?}");
    assert!(stuck.at_work.iter().any(|at| (&*at.stage, at.item) == ("stuck", 7)), "{stuck:?}");
    drop(go);
    let report = stuck.running.wait().unwrap();
    assert_adds_up(&report);
}

/// Whoever cancels the context of a run is told who was at work on what at that moment.
///
/// R41
#[test]
fn a_cancelled_context_names_who_was_at_work() {
    let context = Context::background();
    let (begun, has_begun) = channel::bounded(1);
    let (go, gone) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0..10)
        .map("long", move |n| {
            if n == 3 {
                begun.send(()).unwrap();
                gone.recv().unwrap_err();
            }
            n
        })
        .context(&context)
        .spawn()
        .unwrap();
    has_begun.recv().unwrap();
    // Whoever cancels has told the run when the call returns.
    context.cancel();
    drop(go);
    let error = running.wait().unwrap_err();
    let PipelineError::Cancelled { at_work, .. } = &error else { panic!("{error:?}") };
    assert!(at_work.iter().any(|at| &*at.stage == "long" && at.item == 3), "{at_work:?}");
    assert_error_adds_up(&error);
}

/// Where all wait for room in an output that nobody receives, that is who is named, with the item that it should take.
///
/// R41
#[test]
fn an_output_that_nobody_receives_is_named() {
    let full = Pipeline::from_iter(0..10).map("fine", |n| n).output_buffer(1).spawn().unwrap();
    full.drain();
    eventually("it waits for room", || full.metrics().stages[1].blocked == 1);
    let mut running = Some(full);
    eventually("the source has ended, and the output is named", || {
        let stuck = running.take().unwrap().wait_timeout(Duration::ZERO).unwrap_err();
        let is_named = stuck.to_string() == "the pipeline does not end: stage `output` at item 1";
        running = Some(stuck.running);
        is_named
    });
}

/// A source that does not come to its next item is named with it, and so is whoever does not come back from an item of the output. One that only waits, for room or
/// for a channel, is not.
///
/// R41
#[test]
fn a_source_and_an_output_that_are_stuck_are_named() {
    fn named(error: &PipelineError) -> Vec<(&str, u64)> {
        assert_error_adds_up(error);
        let PipelineError::Cancelled { at_work, .. } = error else { panic!("{error:?}") };
        at_work.iter().map(|at| (&*at.stage, at.item)).collect()
    }
    let context = Context::background();
    let (begun, has_begun) = channel::bounded(1);
    let (go, gone) = channel::bounded::<()>(1);
    let items = (0..10).inspect(move |n| {
        if *n == 3 {
            begun.send(()).unwrap();
            gone.recv().unwrap_err();
        }
    });
    let running = Pipeline::from_iter(items).map("fine", |n| n).context(&context).spawn().unwrap();
    // Should this fail, the source goes on before the run is waited for.
    let go = go;
    has_begun.recv().unwrap();
    assert!(running.output().iter().take(3).eq(0..3));
    let stuck = running.wait_timeout(Duration::ZERO).unwrap_err();
    context.cancel();
    drop(go);
    assert!(stuck.at_work.iter().any(|at| &*at.stage == "source" && at.item == 3), "{stuck:?}");
    let error = stuck.running.wait().unwrap_err();
    assert!(named(&error).contains(&("source", 3)), "{error:?}");

    // It cancels itself, so it is at work when that happens.
    let context = Context::background();
    let result = Pipeline::from_iter(0..10).context(&context).run(|n| {
        if n == 2 {
            context.cancel();
        }
    });
    let error = result.unwrap_err();
    assert!(named(&error).contains(&("output", 2)), "{error:?}");

    let context = Context::background();
    let (sender, receiver) = channel::bounded::<u64>(1);
    let waits = Pipeline::from_receiver(receiver).context(&context).spawn().unwrap();
    context.cancel();
    assert_eq!(named(&waits.wait().unwrap_err()), []);
    drop(sender);

    let context = Context::background();
    let full = Pipeline::from_iter(0..10).output_buffer(1).context(&context).spawn().unwrap();
    eventually("it waits for room", || full.metrics().stages[0].blocked == 1);
    context.cancel();
    // It may have seen that before anybody asked who is at work.
    let error = full.wait().unwrap_err();
    let at_work = named(&error);
    assert!(at_work.is_empty() || at_work == [("source", 2)], "{at_work:?}");
}

/// A deadline that ends a run says which stage was at work, and on which item, when it came.
///
/// R41
#[test]
fn a_deadline_names_the_stage_and_the_item_at_work() {
    let mut patience = Duration::from_millis(20);
    // A deadline that came before the item was begun, on a machine that was busy with other things, shows nothing: the next one is later.
    while !is_named_at_a_deadline(patience) {
        patience *= 2;
    }
}

/// Runs with a deadline that comes while item 3 is held in its stage; false if it came before that.
fn is_named_at_a_deadline(patience: Duration) -> bool {
    let context = Context::background().with_deadline(Instant::now() + patience);
    let (begun, has_begun) = channel::bounded(1);
    let (go, gone) = channel::bounded::<()>(1);
    let inner = context.clone();
    let running = Pipeline::from_iter(0..10)
        .map("quick", |n| n)
        .map("long", move |n| {
            if n == 3 {
                begun.send(inner.is_done()).unwrap();
                gone.recv().unwrap_err();
            }
            n
        })
        .context(&context)
        .spawn()
        .unwrap();
    let in_time = has_begun.recv() == Ok(false);
    // The item is held, so that the run cannot end but by its deadline; the output ends after the run has been told.
    while running.output().recv().is_ok() {}
    drop(go);
    let error = running.wait().unwrap_err();
    assert_eq!(context.err(), Some(ContextError::DeadlineExceeded));
    let PipelineError::Cancelled { at_work, .. } = &error else { panic!("{error:?}") };
    assert_error_adds_up(&error);
    if in_time {
        let at: Vec<_> = at_work.iter().map(|at| (&*at.stage, at.item)).collect();
        assert!(at.contains(&("long", 3)), "{at:?}");
        let message = error.to_string();
        assert!(message.contains("stage `long` at item 3"), "{message}");
    }
    in_time
}

/// Workers come while items wait and nobody is free, up to the most; and more, or fewer, when somebody says so meanwhile.
///
/// R13, R35
#[test]
fn workers_come_when_items_wait_and_when_they_are_asked_for() {
    const MOST: usize = 3;
    let meeting = Arc::new(Barrier::new(MOST));
    let (inner, met) = (Arc::clone(&meeting), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&met);
    let (sender, receiver) = channel::bounded(64);
    let running = Pipeline::from_receiver(receiver)
        .map("meet", move |()| {
            // Passes only if three are at work at the same time.
            inner.wait();
            count.fetch_add(1, SeqCst);
        })
        .concurrency_auto(1..=MOST)
        .spawn()
        .unwrap();
    for _ in 0..6 * MOST {
        sender.send(()).unwrap();
    }
    sender.close();
    assert_eq!(running.output().iter().count(), 6 * MOST);
    assert_eq!(met.load(SeqCst), 6 * MOST as u64);
    let controller = running.controller();
    let unknown = controller.resize("met", 1..=2).unwrap_err();
    assert_eq!(unknown, BuildError::NoSuchStage { stage: "met".into() });
    let zero = controller.resize("meet", 0..=2).unwrap_err();
    assert_eq!(zero, BuildError::ZeroConcurrency { stage: "meet".into() });
    let report = running.wait().unwrap();
    assert_eq!(report.stages()[1].concurrency(), MOST);
    assert_adds_up(&report);
}

/// A stage that has one worker has as many as it is given while it runs.
#[test]
fn a_stage_is_resized_while_it_runs() {
    let (sender, receiver) = channel::bounded(1);
    let meeting = Arc::new(Barrier::new(4));
    let inner = Arc::clone(&meeting);
    let running = Pipeline::from_receiver(receiver)
        .map("work", move |meets| {
            if meets {
                inner.wait();
            }
        })
        .spawn()
        .unwrap();
    running.controller().resize("work", 4..=4).unwrap();
    // Each that comes sees that there are too few yet, and calls the next.
    for _ in 0..8 {
        sender.send(false).unwrap();
    }
    eventually("four workers", || running.metrics().stages[1].workers == 4);
    for _ in 0..4 {
        sender.send(true).unwrap();
    }
    sender.close();
    assert_eq!(running.output().iter().count(), 12);
    assert_adds_up(&running.wait().unwrap());
}

/// And those who are too many go, each when it next looks for an item: down to as many as there may be.
#[test]
fn a_stage_that_is_made_smaller_loses_workers() {
    let (sender, receiver) = channel::bounded(1);
    let running =
        Pipeline::from_receiver(receiver).map("work", |()| ()).concurrency(4).spawn().unwrap();
    let workers = || running.metrics().stages[1].workers;
    assert_eq!(workers(), 4);
    for most in [2, 1] {
        running.controller().resize("work", 1..=most).unwrap();
        // Who sleeps for want of items does not look.
        eventually("those who are too many are gone", || {
            sender.send(()).unwrap();
            running.output().recv().unwrap();
            assert!(workers() >= 1);
            workers() <= most
        });
    }
    assert_eq!(workers(), 1);
    sender.close();
    let report = running.wait().unwrap();
    assert_eq!(report.stages()[1].concurrency(), 4);
    assert_adds_up(&report);
}

/// With an endless source and a last stage that stands still, no more is under way than the cap, or the buffers, allow.
///
/// R35, R79
#[test]
fn an_endless_source_fills_no_more_than_the_cap() {
    let made = Arc::new(AtomicU64::new(0));
    for (cap, weight) in [(5, 1), (12, 4)] {
        made.store(0, SeqCst);
        let count = Arc::clone(&made);
        let (go, wait) = channel::bounded::<()>(1);
        let running = Pipeline::from_iter((0_u64..).inspect(move |_| {
            count.fetch_add(1, SeqCst);
        }))
        .max_weight_in_flight(cap, move |_| weight)
        .map("quick", |n| n)
        .concurrency(2)
        .ordered(32)
        .map("still", move |n| {
            let _ = wait.recv();
            n
        })
        .output_buffer(1)
        .spawn()
        .unwrap();
        // Those under the cap, and the one that the source has in its hand.
        let bound = (cap / weight) as u64 + 1;
        eventually("the cap is reached", || made.load(SeqCst) == bound);
        for out in 0..40 {
            go.send(()).unwrap();
            running.output().recv().unwrap();
            // It is counted before the item is received, and after the one before it.
            let under_way = made.load(SeqCst) - out;
            assert!(under_way <= bound + 1, "{under_way} under way, bound {bound}");
        }
        running.abort();
        drop(go);
        assert_error_adds_up(&running.wait().unwrap_err());
    }
}

/// Of a run in the background, what has reached the output is under the cap no more: there may be so many besides.
///
/// R35, R79
#[test]
fn what_waits_at_the_output_comes_on_top_of_the_cap() {
    const CAP: usize = 3;
    const OUTPUT: usize = 4;
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let running = Pipeline::from_iter((0_u64..).inspect(move |_| {
        count.fetch_add(1, SeqCst);
    }))
    .max_in_flight(CAP)
    .map("quick", |n| n)
    .output_buffer(OUTPUT)
    .spawn()
    .unwrap();
    // And the one that the source has in its hand.
    let most = (CAP + OUTPUT + 1) as u64;
    for out in 0..20 {
        eventually("it is full", || made.load(SeqCst) == most + out);
        let metrics = running.metrics();
        assert_eq!((metrics.stages[0].under_cap, running.output().len()), (CAP, OUTPUT));
        running.output().recv().unwrap();
    }
    running.abort();
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// A cap behind a cap bounds what is behind it, and the one in front goes on to bound both.
///
/// R35, R79
#[test]
fn a_cap_behind_a_cap_leaves_the_first_as_it_is() {
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0_u64..)
        .max_in_flight(2)
        .map("quick", |n| n)
        .max_in_flight(5)
        .map("still", move |n| {
            let _ = wait.recv();
            n
        })
        .spawn()
        .unwrap();
    let under = |metrics: &PipelineMetrics, at: usize| metrics.stages[at].under_cap;
    for _ in 0..20 {
        eventually("both of the two are behind the second", || {
            let metrics = running.metrics();
            (under(&metrics, 0), under(&metrics, 1)) == (2, 2) && metrics.in_flight() == 3
        });
        go.send(()).unwrap();
        running.output().recv().unwrap();
    }
    running.abort();
    drop(go);
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// What is heavier than all that is allowed goes alone, and holds nothing up for ever.
#[test]
fn what_is_too_heavy_goes_alone() {
    let mut output = Vec::new();
    let report = Pipeline::from_iter(0..50_usize)
        .max_weight_in_flight(10, |n| n * 3)
        .map("carry", |n| n)
        .concurrency(3)
        .ordered(4)
        .run(|n| output.push(n))
        .unwrap();
    assert!(output.into_iter().eq(0..50));
    assert_adds_up(&report);
}

/// Progress is told after every so many items, with the total where it is known.
#[test]
fn progress_is_told_with_the_total() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let inner = Arc::clone(&told);
    Pipeline::from_iter(0..100)
        .map("same", |n| n)
        .on_progress(30, move |metrics| inner.lock().unwrap().push(metrics.total))
        .run(drop)
        .unwrap();
    assert_eq!(*told.lock().unwrap(), [Some(100); 3]);
}

/// A panic of whoever is told of the progress ends the run, on the thread that called it or in the background.
///
/// R40
#[test]
fn a_panic_of_who_is_told_of_the_progress_ends_the_run() {
    let tells =
        || Pipeline::from_iter(0_u64..).map("same", |n| n).on_progress(5, |_| panic!("on purpose"));
    let panicked = thread::catch(|| tells().run(drop)).unwrap_err();
    assert_eq!(panicked.message(), "on purpose");
    let running = tells().spawn().unwrap();
    assert!(running.output().iter().count() >= 5);
    let error = running.wait().unwrap_err();
    let PipelineError::Worker { stage, panicked, .. } = &error else { panic!("{error:?}") };
    assert_eq!((&**stage, panicked.message()), ("same", "on purpose"));
}

/// A policy of scaling that panics has said no, and the item that a worker has just taken is not lost.
///
/// R13, R40
#[test]
fn a_scale_policy_that_panics_has_said_no() {
    struct Panics;
    impl ScalePolicy for Panics {
        fn on_submit(&self, _: &Load) -> bool {
            panic!("on purpose")
        }
        fn on_check(&self, _: &Load) -> Decision {
            Decision::Hold
        }
    }
    let report = Pipeline::from_iter(0..100)
        .map("same", |n| n)
        .concurrency_auto(1..=4)
        .scale_policy(Panics)
        .run(drop)
        .unwrap();
    assert_eq!((report.delivered(), report.stages()[1].concurrency()), (100, 1));
    assert_adds_up(&report);
}

/// It is asked with nothing locked.
#[test]
fn a_scale_policy_may_look_at_its_run() {
    struct Looks(Arc<Mutex<Option<Controller>>>, Arc<AtomicUsize>);

    impl ScalePolicy for Looks {
        fn on_submit(&self, load: &Load) -> bool {
            let controller = self.0.lock().unwrap().clone();
            // The first item may come before the run has said that it has started.
            let Some(controller) = controller else { return false };
            // A panic in here is a no, of which nobody hears: so what was seen is counted.
            let workers = controller.metrics().stages[1].workers;
            self.1.fetch_add(usize::from((load.workers..=load.max).contains(&workers)), SeqCst);
            true
        }

        fn on_check(&self, _: &Load) -> Decision {
            Decision::Hold
        }
    }

    let (slot, seen) = (Arc::default(), Arc::default());
    let (looks, filled) = (Looks(Arc::clone(&slot), Arc::clone(&seen)), Arc::clone(&slot));
    let (go, wait) = channel::bounded::<u64>(100);
    (0..100).for_each(|n| go.send(n).unwrap());
    drop(go);
    let report = Pipeline::from_receiver(wait)
        .map("stage", |n| {
            eventually("it has started", || slot.lock().unwrap().is_some());
            n
        })
        .concurrency_auto(1..=3)
        .scale_policy(looks)
        .on_start(move |controller| *filled.lock().unwrap() = Some(controller))
        .run(drop)
        .unwrap();
    assert_adds_up(&report);
    assert!(seen.load(SeqCst) > 0, "it was asked, and could look");
    assert!(report.stages()[1].concurrency() > 1, "and it was heard");
}
