//! What is to be seen of a run, where parts of it do others' work, or are not where one would look: lists behind one another, several caps, buffers in front of an
//! ordered point, items that are left out.

use super::{assert_adds_up, assert_error_adds_up};
use crate::support::eventually;
use aqueduct::channel;
use aqueduct::pipeline::{Cause, Controller, Pipeline, PipelineError, Policy};
use std::sync::{Arc, Barrier, Mutex, OnceLock};
use std::time::Duration;

/// A list without an end counts while it goes on.
#[test]
fn what_a_list_has_made_is_counted_before_its_end() {
    let running =
        Pipeline::from_iter([0]).flat_map("list", |_| 0_u64..).output_buffer(4).spawn().unwrap();
    assert_eq!(running.output().iter().take(100).count(), 100);
    let metrics = running.metrics();
    let out = metrics.stages[1].so_far.out();
    assert!((100..=106).contains(&out), "{out}, and 100 were received");
    assert!(metrics.in_flight() <= 106, "{}", metrics.in_flight());
    running.abort();
    assert_error_adds_up(&running.wait().unwrap_err());
}

/// Whoever runs a list that is stuck is named with the item that the list was made of, and not with one of its own.
#[test]
fn who_takes_anothers_list_apart_is_seen_at_its_item() {
    let (send, receive) = channel::bounded(2);
    let (go, wait) = channel::bounded::<()>(1);
    let (begun, has_begun) = channel::bounded(1);
    let controller = Arc::new(OnceLock::new());
    let first_waits = Arc::clone(&controller);
    let running = Pipeline::from_receiver(receive)
        .flat_map("list", move |n: u64| {
            if n == 0 {
                // Until the second list has been left at the ordered point, for whoever brings the first.
                let controller: &Controller = first_waits.wait();
                eventually("the other is done", || {
                    let list = &controller.metrics().stages[1];
                    (list.so_far.received(), list.starved) == (2, 1)
                });
            }
            let stuck = (n == 1).then(|| (begun.clone(), wait.clone()));
            std::iter::once_with(move || {
                if let Some((begun, wait)) = stuck {
                    begun.send(()).unwrap();
                    let _ = wait.recv();
                }
                n
            })
        })
        .concurrency(2)
        .ordered(4)
        .spawn()
        .unwrap();
    let go = go;
    assert!(controller.set(running.controller()).is_ok());
    (0..2).for_each(|n| send.send(n).unwrap());
    has_begun.recv().unwrap();
    drop(send);
    let stuck = running.wait_timeout(Duration::ZERO).unwrap_err();
    drop(go);
    let [at_work] = &stuck.at_work[..] else { panic!("{stuck:?}") };
    assert_eq!((&*at_work.stage, at_work.item), ("list", 1));
    assert_adds_up(&stuck.running.wait().unwrap());
}

/// Of several caps the one is shown that is nearest to its bound.
#[test]
fn of_two_caps_the_fuller_one_is_seen() {
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0..100)
        .max_in_flight(1_000)
        .max_weight_in_flight(10, |_| 5)
        .map("still", move |n| wait.recv().map_or(n, |()| n))
        .spawn()
        .unwrap();
    let go = go;
    eventually("the cap that holds the source is seen", || {
        let source = &running.metrics().stages[0];
        (source.cap, source.under_cap, source.blocked) == (Some(10), 10, 1)
    });
    drop(go);
    assert_eq!(running.output().iter().count(), 100);
    assert_adds_up(&running.wait().unwrap());
}

/// What a filter has left out does not count as under way, though its place in the order waits for its turn.
#[test]
fn what_is_left_out_is_under_no_cap() {
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0..50)
        .max_in_flight(2)
        .map("first", move |n| if n == 0 { wait.recv().map_or(n, |()| n) } else { n })
        .concurrency(2)
        .filter("none but the first", |n| *n == 0)
        .ordered(64)
        .spawn()
        .unwrap();
    let go = go;
    eventually("all others are through", || running.metrics().stages[2].so_far.filtered() == 49);
    drop(go);
    assert_eq!(running.output().iter().collect::<Vec<_>>(), [0]);
    assert_adds_up(&running.wait().unwrap());
}

/// A stage behind lists that are put in order has the whole of its buffer, though several workers make the lists.
#[test]
fn a_buffer_behind_ordered_lists_is_used() {
    const BUFFER: usize = 64;
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0..1_000)
        .flat_map("list", |n| [n])
        .concurrency(4)
        .map("still", move |n| wait.recv().map_or(n, |()| n))
        .buffer(BUFFER)
        .ordered(512)
        .output_buffer(1_000)
        .spawn()
        .unwrap();
    let go = go;
    eventually("the buffer is full", || {
        (BUFFER * 3 / 4..=BUFFER).contains(&running.metrics().stages[2].queued)
    });
    drop(go);
    assert_eq!(running.output().iter().count(), 1_000);
    assert_adds_up(&running.wait().unwrap());
}

/// "As many workers as there may be" is a range like any other.
#[test]
fn a_range_without_an_end_is_one() {
    let report = Pipeline::from_iter(0..100)
        .map("work", |n| n)
        .concurrency_auto(1..=usize::MAX)
        .map("next", |n| n)
        .run(drop)
        .unwrap();
    assert_eq!(report.delivered(), 100);
    assert_adds_up(&report);
}

/// A worker that was asleep when its stage was changed calls the others for what comes then.
#[test]
fn a_stage_that_was_changed_in_its_sleep_has_heard_of_it() {
    const WORKERS: usize = 4;
    let (send, receive) = channel::bounded(WORKERS);
    let together = Barrier::new(WORKERS);
    let running = Pipeline::from_receiver(receive)
        .map("together", move |n: u64| {
            together.wait();
            n
        })
        .spawn()
        .unwrap();
    eventually("it waits for items", || running.metrics().stages[1].starved == 1);
    running.controller().resize("together", WORKERS..=WORKERS).unwrap();
    (0..WORKERS as u64).for_each(|n| send.send(n).unwrap());
    drop(send);
    assert_eq!(running.output().iter().count(), WORKERS);
    assert_adds_up(&running.wait().unwrap());
}

/// A function for dead letters that panics has none: that ends the run, with both the item and the reason named.
#[test]
fn dead_letters_that_do_not_arrive_end_the_run() {
    let buried = Mutex::new(Vec::new());
    let error = Pipeline::from_iter(0..10)
        .stage("odd", |n| if n % 2 == 1 { Err("odd") } else { Ok(n) })
        .on_error(Policy::DeadLetter)
        .dead_letters(|n, _error| {
            assert!(n < 5, "no place for {n}");
            buried.lock().unwrap().push(n);
        })
        .run(drop)
        .unwrap_err();
    let PipelineError::Stopped { error: failed, report } = &error else { panic!("{error:?}") };
    let Cause::Panicked(panicked) = failed.cause() else { panic!("{failed:?}") };
    assert_eq!((failed.stage(), failed.item()), ("odd", 5));
    assert_eq!(panicked.message(), "no place for 5");
    assert_eq!(report.stages()[1].dead_lettered(), 2);
    assert_eq!(buried.lock().unwrap().as_slice(), [1, 3]);
    assert_error_adds_up(&error);
}
