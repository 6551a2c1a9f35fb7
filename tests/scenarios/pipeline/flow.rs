//! What goes through: every item, whatever its value; in order where that is promised; under the bounds.

use super::assert_adds_up;
use crate::support::eventually;
use aqueduct::channel::{self, TryRecvError};
use aqueduct::pipeline::{
    BuildError, Pipeline, PipelineError, PipelineMetrics, Policy, StageError, Stopped,
};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    let watch = |bound: u64, free: u64, output: &channel::Receiver<i32>| {
        // The bound is reached with nobody reading, but for what may be free before a waiting maker is called; it is never
        // passed.
        eventually("everything is full", || made.load(SeqCst) >= bound - free);
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
    // In front of `a` one place, and in front of `b` two may be free.
    watch(1 + 3 + 2 + 5 + 1 + 7, 1 + 2, running.output());
    assert_eq!(running.wait().unwrap().delivered(), 3000);
    // In the source's hand, anywhere in the window, at the output.
    let running = source().map("a", |n| n).concurrency(2).buffer(30).ordered(9);
    let running = running.output_buffer(2).spawn().unwrap();
    watch(1 + 9 + 2, 0, running.output());
    assert_eq!(running.wait().unwrap().delivered(), 3000);
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

/// Stages, policies, sources and consumers may borrow from around the run.
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

/// An item by itself goes all the way: nothing is kept back from those who have nothing to do, and who sleeps is woken for it.
///
/// R01
#[test]
fn an_item_by_itself_is_not_kept_back() {
    let (sender, receiver) = channel::bounded(4);
    let running = Pipeline::from_receiver(receiver).map("a", |n: u64| n).map("b", |n| n);
    let running = running.map("c", |n| n).spawn().unwrap();
    let waited = |metrics: &PipelineMetrics| -> Vec<Duration> {
        metrics.stages[1..].iter().map(|stage| stage.so_far.starved()).collect()
    };
    for n in 0..20 {
        // They give way for a while before they sleep, for less time than this.
        let before = waited(&running.metrics());
        eventually("all have nothing to do", || {
            let now = waited(&running.metrics());
            now.iter().zip(&before).all(|(now, before)| *now - *before > Duration::from_millis(1))
        });
        sender.send(n).unwrap();
        assert_eq!(running.output().recv(), Ok(n));
    }
    drop(sender);
    assert_adds_up(&running.wait().unwrap());
}
