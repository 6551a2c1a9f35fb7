//! Sources that workers share, and ends that workers make: as much comes out as with threads of their own, and no more is promised than is kept.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::eventually;
use aqueduct::Context;
use aqueduct::pipeline::{AtWork, Batch, BuildError, Cause, Pipeline, PipelineError, Policy};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// Each item once, whoever takes it, and nobody makes one but the workers.
#[test]
fn workers_take_from_the_source_themselves() {
    for grain in [1, 2, 7, 2_000] {
        let makers = Arc::new(Mutex::new(BTreeSet::new()));
        let names = Arc::clone(&makers);
        let items = (0..1_000_u64).inspect(move |_| {
            let name = thread::current().name().map(str::to_owned);
            names.lock().unwrap().insert(name.expect("workers have names"));
        });
        let mut output = Vec::new();
        let report = Pipeline::bridge(items)
            .grain(grain)
            .map("work", |n| n)
            .concurrency(3)
            .run(|n| output.push(n))
            .unwrap();
        output.sort_unstable();
        assert!(output.into_iter().eq(0..1_000));
        assert!(report.is_complete());
        assert_adds_up(&report);
        assert_eq!(report.stages()[0].concurrency(), 0);
        let workers = ["work-0", "work-1", "work-2"].map(str::to_owned);
        let makers = makers.lock().unwrap();
        assert!(!makers.is_empty() && makers.is_subset(&workers.into()), "{makers:?}");
    }
}

/// Whoever is busy has the item that it is at, and keeps none from the others.
#[test]
fn a_busy_worker_holds_back_nothing() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let others = AtomicU64::new(0);
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the other has done the rest", || others.load(SeqCst) == 99);
            drop(go);
        });
        let work = |n: u32| {
            if n == 0 {
                let _ = wait.lock().unwrap().recv();
            } else {
                others.fetch_add(1, SeqCst);
            }
        };
        Pipeline::bridge(0..100).map("work", work).concurrency(2).run(drop)
    });
    assert_eq!(report.unwrap().delivered(), 100);
}

/// Where no stage follows that could take from it, it has a thread, and all comes out.
#[test]
fn a_bridge_to_something_else_is_a_source_like_any() {
    let bridge = || Pipeline::bridge(0..100_u32).grain(3);
    let delivered = [
        bridge().run(drop),
        bridge().filter("even", |n| n % 2 == 0).run(drop),
        bridge().batch("pairs", Batch::of(2)).run(drop),
        bridge().ordered(2).ordered(1).run(drop),
        bridge().max_in_flight(2).map("same", |n| n).run(drop),
        bridge().map("same", |n| n).concurrency(2).keyed(|n| n % 2).run(drop),
        bridge().map("same", |n| n).concurrency_auto(1..=2).run(drop),
        bridge().flat_map("pairs", |n| [n, n]).concurrency(2).ordered(2).run(drop),
        bridge().scan("sum", 0, |sum, n| *sum + n).run(drop),
    ]
    .map(|report| {
        let report = report.unwrap();
        assert_adds_up(&report);
        report.delivered()
    });
    assert_eq!(delivered, [100, 50, 50, 100, 100, 100, 100, 200, 100]);
}

/// A window that is smaller than the grain: what a worker would wait for might be in its own hand.
#[test]
fn a_grain_above_the_window_locks_nobody_up() {
    for (workers, window, grain) in [(1, 1, 10), (2, 2, 100), (3, 5, 4)] {
        let mut output = Vec::new();
        let report = Pipeline::bridge(0..2_000)
            .grain(grain)
            .map("first", |n| n)
            .concurrency(workers)
            .map("second", |n| n)
            .concurrency(workers)
            .buffer(1)
            .ordered(window)
            .run(|n| output.push(n));
        assert!(output.into_iter().eq(0..2_000));
        assert_adds_up(&report.unwrap());
    }
}

/// An iterator that panics fails at the item that was to come; what is in front of it is delivered.
#[test]
fn an_iterator_that_panics_stops_the_run_at_its_item() {
    for grain in [1, 4, 100] {
        let items = (0..50).inspect(|n| assert_ne!(*n, 30, "on purpose"));
        let mut output = Vec::new();
        let error = Pipeline::bridge(items)
            .grain(grain)
            .map("work", |n| n)
            .concurrency(2)
            .ordered(8)
            .run(|n| output.push(n))
            .unwrap_err();
        assert_error_adds_up(&error);
        let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
        assert_eq!((error.stage(), error.stage_index(), error.item()), ("source", 0, 30));
        assert!(matches!(error.cause(), Cause::Panicked(_)));
        assert!(output.into_iter().eq(0..30), "grain {grain}");
    }
}

/// The same for one whose destructor does, at its end.
#[test]
fn an_iterator_that_panics_when_it_is_dropped_has_failed() {
    struct Last;

    impl Drop for Last {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    let last = Last;
    let items = (0..10).inspect(move |_| {
        let Last = &last;
    });
    let mut output = Vec::new();
    let error = Pipeline::bridge(items)
        .map("work", |n| n)
        .concurrency(2)
        .ordered(4)
        .run(|n| output.push(n))
        .unwrap_err();
    assert_error_adds_up(&error);
    let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
    assert_eq!((error.stage_index(), error.item()), (0, 10));
    assert!(output.into_iter().eq(0..10));
}

/// A source without an end ends with the run, however that does.
#[test]
fn an_endless_source_ends_with_the_run() {
    for grain in [1, 5] {
        let endless = || {
            let pipeline = Pipeline::bridge(0_u64..).grain(grain);
            pipeline.map("work", |n| n).concurrency(2).ordered(16)
        };
        let running = endless().spawn().unwrap();
        assert!(running.output().iter().take(100).eq(0..100));
        running.drain();
        let rest: Vec<_> = running.output().iter().collect();
        assert!(rest.iter().copied().eq(100..100 + rest.len() as u64));
        let report = running.wait().unwrap();
        assert_eq!((report.is_complete(), report.cancelled()), (false, 0));
        assert_adds_up(&report);

        let running = endless().spawn().unwrap();
        assert_eq!(running.output().recv(), Ok(0));
        running.abort();
        let error = running.wait().unwrap_err();
        assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
        assert_error_adds_up(&error);

        drop(endless().spawn().unwrap());

        let error = endless()
            .stage("last", |n| if n == 77 { Err("on purpose") } else { Ok(n) })
            .run(drop)
            .unwrap_err();
        assert_error_adds_up(&error);
        assert_eq!(error.report().unwrap().delivered(), 77);
    }
}

/// A stage that shares a source has as many workers as it is told to have, and whoever goes leaves no item behind.
#[test]
fn a_stage_at_a_bridge_is_resized() {
    for grain in [1, 6] {
        let pipeline = Pipeline::bridge(0_u64..).grain(grain);
        let running = pipeline.map("work", |n| n).concurrency(3).spawn().unwrap();
        let controller = running.controller();
        let mut output = Vec::new();
        for workers in [1, 4, 2, 5, 1] {
            controller.resize("work", workers..=workers).unwrap();
            eventually("it has so many", || {
                output.extend(running.output().recv());
                running.metrics().stages[1].workers == workers
            });
        }
        running.drain();
        output.extend(running.output().iter());
        output.sort_unstable();
        assert!(output.iter().copied().eq(0..output.len() as u64), "each once, and none missing");
        assert_adds_up(&running.wait().unwrap());
    }
}

/// The time of a source that workers share is theirs; what they have taken and not begun waits in front of them.
#[test]
fn what_a_shared_source_costs_is_seen_at_its_stage() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let running = Pipeline::bridge(0_u32..20)
        .grain(5)
        .map("work", move |n| {
            let _ = wait.lock().unwrap().recv();
            n
        })
        .concurrency(2)
        .spawn()
        .unwrap();
    eventually("both have taken what they take", || running.metrics().stages[1].queued == 8);
    let metrics = running.metrics();
    assert_eq!(metrics.stages[0].so_far.out(), 10);
    assert_eq!((metrics.stages[1].buffer, metrics.in_flight()), (0, 10));
    // Before they were both there, one may have waited for the other for a while.
    let bottleneck = || running.metrics().bottleneck().map(|one| one.stage);
    eventually("work is the bottleneck", || bottleneck().as_deref() == Some("work"));
    drop(go);
    assert_eq!(running.output().iter().count(), 20);
    let report = running.wait().unwrap();
    assert!(report.stages()[0].busy().is_zero());
}

#[test]
fn a_grain_that_cannot_be_is_refused() {
    let refused = |grain| {
        let error = Pipeline::bridge(0..3).grain(grain).map("work", |n| n).run(drop).unwrap_err();
        let PipelineError::Build(error) = error else { panic!("{error:?}") };
        error
    };
    assert_eq!(refused(0), BuildError::Zero { stage: "source".into() });
    let items = usize::MAX;
    assert_eq!(refused(items), BuildError::Buffer { stage: "source".into(), items });
}

/// One value of all, by several; and one after the other where an order is asked for.
#[test]
fn workers_reduce_what_they_made() {
    let list = |mut some: Vec<u64>, n| {
        some.push(n);
        some
    };
    let both = |mut some: Vec<u64>, others: Vec<u64>| {
        some.extend(others);
        some
    };
    for items in [0, 1, 1_000] {
        let pipeline = || Pipeline::bridge(0..items).map("work", |n| n).concurrency(3);
        let (mut all, report) = pipeline().reduce(Vec::new, list, both).unwrap();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..items));
        assert_eq!(report.delivered(), items);
        assert_adds_up(&report);

        let never = |_, _| unreachable!("there is one value");
        let (all, _) = pipeline().ordered(8).reduce(Vec::new, list, never).unwrap();
        assert!(all.into_iter().eq(0..items));
        // With no stage at all, and a source that has no thread but ours.
        let (all, _) = Pipeline::from_iter(0..items).reduce(Vec::new, list, never).unwrap();
        assert!(all.into_iter().eq(0..items));
    }
}

/// A panic of any of its functions goes on at whoever has called it, when all threads have ended.
#[test]
fn a_panic_while_reducing_goes_on_where_it_was_called() {
    for who in ["init", "fold", "merge", "progress", "start"] {
        let fails = move |this| assert_ne!(this, who, "on purpose");
        let ran = AtomicBool::new(false);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            Pipeline::bridge(0..1_000_u64)
                .map("work", |n| n)
                .concurrency(2)
                .on_progress(10, move |_| fails("progress"))
                .on_start(move |_| fails("start"))
                .reduce(
                    || {
                        fails("init");
                        0
                    },
                    |sum, n| {
                        ran.store(true, SeqCst);
                        if n == 500 {
                            fails("fold");
                        }
                        // So that each of the two has a share.
                        thread::yield_now();
                        sum + n
                    },
                    |some, others| {
                        fails("merge");
                        some + others
                    },
                )
        }));
        match outcome {
            Err(payload) => {
                let message = payload.downcast_ref::<String>().expect("of an assertion");
                assert!(message.contains(who), "{message}");
            }
            // One worker may have done it all.
            Ok(result) => assert_eq!((who, result.unwrap().0), ("merge", 499_500)),
        }
        assert!(ran.load(SeqCst) || who != "fold");
    }
}

/// What comes out after the run was cancelled goes into no value, and is counted.
#[test]
fn a_reduction_that_is_cancelled_adds_up() {
    let context = Context::background();
    let taken = AtomicU64::new(0);
    let error = Pipeline::bridge(0_u64..)
        .map("work", |n| n)
        .concurrency(2)
        .context(&context)
        .reduce(
            || (),
            |(), n| {
                taken.fetch_add(1, SeqCst);
                if n == 100 {
                    context.cancel();
                }
            },
            |(), ()| (),
        )
        .unwrap_err();
    assert!(matches!(error, PipelineError::Cancelled { .. }), "{error:?}");
    assert_error_adds_up(&error);
    assert_eq!(error.report().unwrap().delivered(), taken.load(SeqCst));
}

/// Nothing behind a failure that stops goes into the value that its error is returned beside.
#[test]
fn a_reduction_stops_where_the_loop_stops() {
    let taken = Mutex::new(Vec::new());
    let error = Pipeline::bridge(0..1_000)
        .stage("work", |n| if n == 300 { Err("on purpose") } else { Ok(n) })
        .concurrency(2)
        .on_error(Policy::Stop)
        .ordered(8)
        .reduce(|| (), |(), n| taken.lock().unwrap().push(n), |(), ()| ())
        .unwrap_err();
    assert!(matches!(&error, PipelineError::Stopped { error, .. } if error.item() == 300));
    assert_error_adds_up(&error);
    assert!(taken.into_inner().unwrap().into_iter().eq(0..300));
}

/// A grain is what a worker may take, and not what it has to: when no more is wanted, it takes no more.
#[test]
fn a_drain_ends_in_the_middle_of_a_grain() {
    let enough = Context::background();
    let drain = enough.clone();
    let items = (0_u32..).inspect(move |n| {
        if *n == 2 {
            drain.cancel();
        }
    });
    let pipeline = Pipeline::bridge(items).grain(32).map("work", |n| n).drain_on(&enough);
    let report = pipeline.run(drop).unwrap();
    assert_eq!((report.delivered(), report.cancelled()), (3, 0));
    assert_adds_up(&report);
}

#[test]
fn a_shared_source_that_is_waited_for_is_the_bottleneck() {
    let (send, items) = mpsc::channel();
    let pipeline = Pipeline::bridge(items);
    let running = pipeline.map("work", |n: u32| n).concurrency(3).spawn().unwrap();
    send.send(7).unwrap();
    assert_eq!(running.output().recv(), Ok(7));
    let bottleneck = || running.metrics().bottleneck().map(|one| one.stage);
    eventually("two wait for the third", || bottleneck().as_deref() == Some("source"));
    let is_there = |one: &AtWork| &*one.stage == "source" && one.item == 1;
    let mut running = Some(running);
    eventually("one is at the next item", || {
        let stuck = running.take().unwrap().wait_timeout(Duration::ZERO).unwrap_err();
        running = Some(stuck.running);
        stuck.at_work.iter().any(is_there)
    });
    // A run that is dropped waits for its source.
    drop(send);
}

/// Nothing waits in front of it that would say how many workers it takes.
#[test]
fn a_stage_at_a_bridge_has_one_number_of_workers() {
    let running = Pipeline::bridge(0_u64..).map("work", |n| n).spawn().unwrap();
    let refused = running.controller().resize("work", 1..=2);
    assert_eq!(refused, Err(BuildError::FixedConcurrency { stage: "work".into() }));
}

/// Whoever hands on for others is at their items.
#[test]
fn a_reduction_is_stuck_at_the_item_that_it_adds() {
    let context = Context::background();
    let others = AtomicU64::new(0);
    let work = |n: u64| {
        if n == 0 {
            eventually("the others are left in the window", || others.load(SeqCst) == 3);
        } else {
            others.fetch_add(1, SeqCst);
        }
        n
    };
    let fold = |(), n| {
        if n == 2 {
            context.cancel();
        }
    };
    let result = Pipeline::bridge(0..4)
        .map("work", work)
        .concurrency(2)
        .ordered(8)
        .context(&context)
        .reduce(|| (), fold, |(), ()| ());
    let Err(PipelineError::Cancelled { at_work, .. }) = result else { panic!("{result:?}") };
    assert!(at_work.iter().any(|one| &*one.stage == "work" && one.item == 2), "{at_work:?}");
}

/// What a worker has delivered, and what it has taken and not begun, is counted though a panic takes it away.
#[test]
fn a_worker_that_is_lost_leaves_its_accounts() {
    let fails = |n| assert_ne!(n, 50, "on purpose");
    let pipeline = || Pipeline::bridge(0..1_000_u64).grain(100).map("work", |n| n).concurrency(2);
    let result =
        pipeline().ordered(16).commit_point(16, fails).reduce(|| (), |(), _| (), |(), ()| ());
    let Err(error @ PipelineError::Worker { .. }) = result else { panic!("{result:?}") };
    assert!(error.report().unwrap().delivered() >= 50);

    let running = pipeline().on_progress(10, |_| panic!("on purpose")).spawn().unwrap();
    running.output().iter().for_each(drop);
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Worker { .. }), "{error:?}");
    let stages = error.report().unwrap().stages();
    assert_eq!(stages[0].out(), stages[1].received());
}
