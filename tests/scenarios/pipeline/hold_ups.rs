//! What holds a run up, and what does not: items and room that somebody keeps, lists without an end, and ends that meet others at work.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::eventually;
use aqueduct::Context;
use aqueduct::channel;
use aqueduct::pipeline::{Batch, BuildError, Cause, Pipeline, PipelineError, Policy};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Workers that are busy keep no room of the buffer for hands that are empty: the third of three goes on alone, also when the other two
/// are sent away.
///
/// R01, R35
#[test]
fn workers_that_are_busy_keep_no_room() {
    for sends_away in [false, true] {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let (begin, begun) = channel::bounded::<()>(3);
        let (comes, has_come) = channel::bounded(3);
        let (go, gate) = channel::bounded::<()>(1);
        let held = AtomicU64::new(0);
        let running = Pipeline::from_iter((0..4000_u64).inspect(move |n| {
            if *n == 3 {
                (0..3).for_each(|_| has_come.recv().unwrap());
            }
            count.fetch_add(1, SeqCst);
        }))
        .map("work", move |n| {
            if n < 3 {
                comes.send(()).unwrap();
                begun.recv().unwrap();
            } else if held.fetch_add(1, SeqCst) < 2 {
                gate.recv().unwrap_err();
            }
            n
        })
        .concurrency(3)
        .spawn()
        .unwrap();
        // The first item for each: all three are at work. Then the buffer is full, and the source waits with one more.
        eventually("everything is full", || made.load(SeqCst) == 3 + 64 + 1);
        // They fill their hands now; two of them are held up at the first item, and the others take what is in their hands.
        (0..3).for_each(|_| begin.send(()).unwrap());
        let alone = running.output().iter().take(3 + 1000).count();
        assert_eq!(alone, 1003);
        if sends_away {
            running.controller().resize("work", 1..=1).unwrap();
        }
        drop(go);
        assert_eq!(alone + running.output().iter().count(), 4000);
        assert_adds_up(&running.wait().unwrap());
    }
}

/// All places of a buffer are used, by one worker in front of it and by several.
///
/// R35
#[test]
fn all_places_of_a_buffer_are_used() {
    for workers in [1, 3] {
        let made = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&made);
        let (go, gate) = channel::bounded::<()>(1);
        // Nothing else is made before the first is taken: a maker that has waited for room may leave a place free.
        let (open, is_open) = channel::bounded::<()>(1);
        let open = Mutex::new(Some(open));
        let running = Pipeline::from_iter(0..1000_u64)
            .map("make", move |n| {
                if n > 0 {
                    let _ = is_open.recv();
                }
                count.fetch_add(1, SeqCst);
                n
            })
            .concurrency(workers)
            .map("still", move |n| {
                drop(open.lock().unwrap().take());
                let _ = gate.recv();
                n
            })
            .buffer(60)
            .spawn()
            .unwrap();
        // One is worked on, and the makers have one each in their hands.
        let all = 1 + 60 + workers as u64;
        eventually("every place is taken", || made.load(SeqCst) == all);
        drop(go);
        assert_eq!(running.output().iter().count(), 1000);
        assert_adds_up(&running.wait().unwrap());
    }
}

/// A list without an end ends with the run: when it is dropped, when it is aborted, and when one of its items stops it.
///
/// R31, R75, R78
#[test]
fn an_endless_list_ends_with_the_run() {
    let running = Pipeline::from_iter([0]).flat_map("n", |_| 0_u64..).spawn().unwrap();
    assert!(running.output().iter().take(3).eq(0..3));
    drop(running);

    let running = Pipeline::from_iter(0_u64..3)
        .flat_map("n", std::iter::repeat)
        .concurrency(3)
        .ordered(4)
        .batch("pairs", Batch::of(2))
        .output_buffer(1)
        .spawn()
        .unwrap();
    assert_eq!(running.output().recv(), Ok(vec![0, 0]));
    running.abort();
    let error = running.wait().unwrap_err();
    assert!(matches!(error, PipelineError::Aborted { .. }), "{error:?}");
    assert_error_adds_up(&error);

    for ordered in [false, true] {
        let lists = Pipeline::from_iter([0]).flat_map("n", |_| 0_u64..);
        let fails = |n| if n < 5 { Ok(n) } else { Err("enough") };
        let result = match ordered {
            false => lists.stage("five", fails).run(drop),
            true => lists.stage("five", fails).ordered(8).run(drop),
        };
        let error = result.unwrap_err();
        assert!(matches!(error, PipelineError::Stopped { .. }), "{error:?}");
        assert_error_adds_up(&error);
    }
}

/// What a lazy list has made goes on before the list makes the next, with an order behind it and without.
///
/// R31
#[test]
fn a_lazy_list_keeps_nothing_back() {
    for ordered in [false, true] {
        let (sender, receiver) = channel::bounded::<u64>(1);
        let list = move |()| {
            let receiver = receiver.clone();
            std::iter::from_fn(move || receiver.recv().ok())
        };
        let lists = Pipeline::from_iter([()]).flat_map("receive", list);
        let running = match ordered {
            false => lists.map("same", |n| n).spawn(),
            true => lists.map("same", |n| n).ordered(4).spawn(),
        };
        let running = running.unwrap();
        for n in 0..20 {
            sender.send(n).unwrap();
            assert_eq!(running.output().recv(), Ok(n));
        }
        drop(sender);
        assert_adds_up(&running.wait().unwrap());
    }
}

/// A commit point in front of which lists are run is told of an item with the last that was made of it, also behind a batch.
///
/// R29
#[test]
fn a_commit_point_knows_the_last_of_a_lazy_list() {
    for batched in [false, true] {
        let (commits, committed) = channel::bounded(100);
        let done = move |items| commits.send(items).unwrap();
        let lists = Pipeline::from_iter(0..10_u64).flat_map("three", |n| (0..3).map(move |_| n));
        match batched {
            false => lists.commit_point(4, done).run(drop),
            true => lists.batch("two", Batch::of(2)).commit_point(4, done).run(drop),
        }
        .unwrap();
        let committed: Vec<_> = committed.try_iter().collect();
        assert!(committed.is_sorted() && committed.last() == Some(&10), "{committed:?}");
    }
}

/// A cap just in front of the output: what its toll lets nobody pay for once the run is aborted is counted, as all others are.
///
/// R31, R67
#[test]
fn a_cap_in_front_of_the_output_keeps_the_books() {
    for round in 0..300 {
        let context = Context::background();
        let mut taken = 0;
        let result = Pipeline::from_iter(0_u64..)
            .map("race", |n| n)
            .concurrency(4)
            .ordered(16)
            .max_in_flight(2)
            .context(&context)
            .run(|_| {
                taken += 1;
                if taken > round % 7 {
                    context.cancel();
                }
            });
        let error = result.unwrap_err();
        assert!(matches!(error, PipelineError::Cancelled { .. }), "{error:?}");
        assert_error_adds_up(&error);
        assert_eq!(error.report().unwrap().delivered(), taken);
    }
}

/// Lists that are numbered anew, in front of a window, when the run is aborted: nothing is put behind a number that was left out.
///
/// R31
#[test]
fn an_abort_between_the_items_of_a_list_leaves_no_gap() {
    for round in 1..300 {
        let context = Context::background();
        let mut taken = 0;
        let error = Pipeline::from_iter(0_u64..)
            .flat_map("many", |n| vec![n; 50])
            .map("same", |n| n)
            .concurrency(2)
            .ordered(4)
            .context(&context)
            .run(|_| {
                taken += 1;
                if taken == round {
                    context.cancel();
                }
            });
        let error = match error {
            Err(error) => error,
            Ok(report) => panic!("{report:?}"),
        };
        assert!(matches!(error, PipelineError::Cancelled { .. }), "{error:?}");
        assert_error_adds_up(&error);
    }
}

/// A stage in front of a cap, whose items must not overtake each other, is not given a second worker; one in front of an order is, and one
/// behind the cap.
///
/// R34, R35
#[test]
fn a_stage_in_front_of_a_cap_stays_in_order() {
    let running = Pipeline::from_iter(0_u64..)
        .map("free", |n| n)
        .ordered(8)
        .map("in order", |n| n)
        .map("too", |n| n)
        .max_in_flight(2)
        .map("behind", |n| n)
        .ordered(8)
        .spawn()
        .unwrap();
    let controller = running.controller();
    for stage in ["in order", "too"] {
        assert_eq!(controller.resize(stage, 1..=2), Err(BuildError::CapOutOfOrder));
        assert_eq!(controller.resize(stage, 4..=4), Err(BuildError::CapOutOfOrder));
        assert_eq!(controller.resize(stage, 1..=1), Ok(()));
    }
    for stage in ["free", "behind"] {
        assert_eq!(controller.resize(stage, 4..=4), Ok(()));
    }
    assert!(running.output().iter().take(1000).eq(0..1000));
    running.abort();
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// What finds the way behind a commit point closed is not committed.
///
/// R31
#[test]
fn what_waits_behind_a_commit_point_for_ever_is_not_committed() {
    let done = Arc::new(AtomicU64::new(0));
    let committed = Arc::clone(&done);
    let (go, gate) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0_u64..)
        .commit_point(4, move |items| committed.store(items, SeqCst))
        .map("still", move |n| {
            let _ = gate.recv();
            n
        })
        .ordered(1)
        .spawn()
        .unwrap();
    // It has item 1 in its hand: the window behind has room for item 0 alone.
    eventually("the source waits", || running.metrics().stages[0].blocked == 1);
    running.abort();
    drop(go);
    assert_error_adds_up(&running.wait().unwrap_err());
    assert_eq!(done.load(SeqCst), 1);
}

/// A panic where an item is weighed, or where a lazy list makes its next, stops the run as a failure would: it says where and at which item, and what came
/// before is delivered.
///
/// R36, R40
#[test]
fn a_panic_between_two_stages_stops_the_run() {
    fn stopped(result: Result<aqueduct::pipeline::Report, PipelineError>) -> (String, usize, u64) {
        let error = result.unwrap_err();
        assert_error_adds_up(&error);
        assert_eq!(error.report().unwrap().failed(), 1, "a failure, and not cancelled: {error:?}");
        let PipelineError::Stopped { error, .. } = error else { panic!("{error:?}") };
        assert!(
            matches!(error.cause(), Cause::Panicked(panicked) if panicked.message() == "on purpose")
        );
        (error.stage().to_owned(), error.stage_index(), error.item())
    }
    let weigh = |n: &u64| {
        assert!(*n != 5, "on purpose");
        1
    };
    // In the source's thread, and in a worker's.
    let mut output = Vec::new();
    let capped = Pipeline::from_iter(0_u64..).max_weight_in_flight(3, weigh);
    let result = capped.map("same", |n| n).concurrency(2).ordered(4).run(|n| output.push(n));
    assert_eq!(stopped(result), ("source".into(), 0, 5));
    assert!(output.into_iter().eq(0..5));

    let mut output = Vec::new();
    let stage = Pipeline::from_iter(0_u64..).map("race", |n| n).concurrency(3).ordered(8);
    let result = stage.max_weight_in_flight(3, weigh).run(|n| output.push(n));
    assert_eq!(stopped(result), ("race".into(), 1, 5));
    assert!(output.into_iter().eq(0..5));

    // At its first item, and at a later one; in order, and not.
    for (at, ordered) in [(0, false), (0, true), (2, false), (2, true)] {
        let lists = Pipeline::from_iter(0_u64..).flat_map("list", move |n| {
            (0..4_u64).map(move |nth| {
                assert!((n, nth) != (5, at), "on purpose");
                n
            })
        });
        let mut output = Vec::new();
        let result = match ordered {
            false => lists.run(|n| output.push(n)),
            true => lists.concurrency(2).ordered(4).run(|n| output.push(n)),
        };
        assert_eq!(stopped(result), ("list".into(), 1, 5));
        assert!(output.starts_with(&[0_u64, 1, 2, 3, 4].map(|n| [n; 4]).concat()));
    }
}

/// An item whose key cannot be told, since the function panics, fails in its stage, whose policy is asked.
///
/// R40, R42
#[test]
fn a_panic_over_a_key_is_a_failure_of_its_item() {
    let mut sum = 0;
    let report = Pipeline::from_iter(0_u64..100)
        .map("account", |n| n)
        .concurrency(3)
        .keyed(|n| {
            assert!(n % 10 != 5, "on purpose");
            n % 7
        })
        .on_error(Policy::Collect)
        .run(|_| sum += 1)
        .unwrap();
    assert_eq!((sum, report.delivered(), report.failed()), (90, 90, 10));
    assert!(report.errors().iter().all(|e| e.stage() == "account" && e.item() % 10 == 5));
    assert_adds_up(&report);
}
