//! Who takes part in `pipeline`.

use super::{BUFFER, Shape, Sum, WORKERS, candidate};
use crate::family::{Candidate, OURS};
use aqueduct::pipeline::{Flow, Pipeline};
use pariter::IteratorExt;
use rayon::iter::{IntoParallelIterator, ParallelBridge, ParallelIterator};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    let mut all = vec![
        candidate(OURS, shape, move |ops| aqueduct(shape, ops)),
        candidate("aqueduct-bridge", shape, move |ops| bridged(shape, ops)),
        candidate("crossbeam-channel", shape, move |ops| by_hand::<Crossbeam>(shape, ops)),
        candidate("crossfire", shape, move |ops| by_hand::<Crossfire>(shape, ops)),
        candidate("kanal", shape, move |ops| by_hand::<Kanal>(shape, ops)),
    ];
    if !shape.ordered {
        all.push(candidate("crossfire-bridge", shape, move |ops| bridge::<Crossfire>(shape, ops)));
    }
    if shape.ordered {
        all.push(candidate("pariter", shape, move |ops| pariter(shape, ops)));
    }
    if shape.fused && !shape.ordered {
        let pool =
            || rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build().expect("threads");
        let (bridge, range) = (pool(), pool());
        all.push(candidate("rayon-par-bridge", shape, move |ops| {
            bridge.install(|| sum_up(shape, (0..ops).par_bridge()))
        }));
        all.push(candidate("rayon-range", shape, move |ops| {
            range.install(|| sum_up(shape, (0..ops).into_par_iter()))
        }));
    }
    all
}

fn aqueduct(shape: Shape, ops: u64) -> Sum {
    let source = Pipeline::from_iter(0..ops);
    if shape.fused {
        let fused = source
            .map("first", move |n| shape.step(n))
            .fuse_map("second", move |n| shape.step(n))
            .fuse_map("third", move |n| shape.step(n))
            .concurrency(WORKERS)
            .buffer(BUFFER);
        return consume(shape, fused);
    }
    let staged = source
        .map("first", move |n| shape.step(n))
        .concurrency(WORKERS)
        .buffer(BUFFER)
        .map("second", move |n| shape.step(n))
        .concurrency(WORKERS)
        .buffer(BUFFER)
        .map("third", move |n| shape.step(n))
        .concurrency(WORKERS)
        .buffer(BUFFER);
    consume(shape, staged)
}

/// How many cheap items a worker takes from a source that it shares.
const GRAIN: usize = 32;

/// The same steps, without a thread that makes items and one that takes them: the first workers share the source, and the last ones add up.
fn bridged(shape: Shape, ops: u64) -> Sum {
    let source = Pipeline::bridge(0..ops).grain(if shape.heavy { 1 } else { GRAIN });
    if shape.fused {
        let fused = source
            .map("first", move |n| shape.step(n))
            .fuse_map("second", move |n| shape.step(n))
            .fuse_map("third", move |n| shape.step(n))
            .concurrency(WORKERS);
        return reduce(shape, fused);
    }
    let staged = source
        .map("first", move |n| shape.step(n))
        .concurrency(WORKERS)
        .map("second", move |n| shape.step(n))
        .concurrency(WORKERS)
        .buffer(BUFFER)
        .map("third", move |n| shape.step(n))
        .concurrency(WORKERS)
        .buffer(BUFFER);
    reduce(shape, staged)
}

fn reduce(shape: Shape, pipeline: Pipeline<impl Flow<Item = u64>>) -> Sum {
    let take = |mut sum: Sum, value| {
        sum.take(value);
        sum
    };
    let done = if shape.ordered {
        pipeline.ordered(3 * (BUFFER + WORKERS)).reduce(|| Sum::new(shape), take, Sum::and)
    } else {
        pipeline.reduce(|| Sum::new(shape), take, Sum::and)
    };
    done.expect("nothing fails").0
}

fn consume(shape: Shape, pipeline: Pipeline<impl Flow<Item = u64>>) -> Sum {
    let mut sum = Sum::new(shape);
    let pipeline = pipeline.output_buffer(BUFFER);
    let done = if shape.ordered {
        // What the buffers and workers can hold.
        pipeline.ordered(3 * (BUFFER + WORKERS)).run(|value| sum.take(value))
    } else {
        pipeline.run(|value| sum.take(value))
    };
    done.expect("nothing fails");
    sum
}

/// A bounded channel whose calls hold the thread.
pub(super) trait Channel<T> {
    type Sender: Clone + Send;
    type Receiver: Clone + Send;

    fn bounded() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, item: T);
    /// False if there is no room.
    fn try_send(sender: &Self::Sender, item: T) -> bool;
    fn recv(receiver: &Self::Receiver) -> Option<T>;
}

/// A number and its value.
pub(super) type Numbered = (u64, u64);

/// Items carry their number only where somebody looks at it.
fn by_hand<C: Channel<u64> + Channel<Numbered>>(shape: Shape, ops: u64) -> Sum {
    let step: fn(Shape, u64) -> u64 =
        if shape.fused { |shape, n| shape.steps(n) } else { |shape, n| shape.step(n) };
    let mut sum = Sum::new(shape);
    if !shape.ordered {
        stages::<C, u64>(shape, 0..ops, &move |n| step(shape, n), |value| sum.take(value));
        return sum;
    }
    let mut early = BTreeMap::new();
    let mut next = 0;
    let number = (0..ops).map(|n| (n, n));
    stages::<C, Numbered>(
        shape,
        number,
        &move |(n, value)| (n, step(shape, value)),
        |(n, value)| {
            if n != next {
                early.insert(n, value);
                return;
            }
            sum.take(value);
            next += 1;
            while let Some(value) = early.remove(&next) {
                sum.take(value);
                next += 1;
            }
        },
    );
    sum
}

/// A thread for the source and for each worker; the caller's takes what comes out.
fn stages<C: Channel<T>, T>(
    shape: Shape,
    source: impl Iterator<Item = T> + Send,
    step: &(impl Fn(T) -> T + Sync),
    mut take: impl FnMut(T),
) {
    thread::scope(|scope| {
        let (first, mut from) = C::bounded();
        scope.spawn(move || source.for_each(|item| C::send(&first, item)));
        for _ in 0..if shape.fused { 1 } else { 3 } {
            let (to, next) = C::bounded();
            for _ in 0..WORKERS {
                let (from, to) = (from.clone(), to.clone());
                scope.spawn(move || {
                    while let Some(item) = C::recv(&from) {
                        C::send(&to, step(item));
                    }
                });
            }
            from = next;
        }
        while let Some(item) = C::recv(&from) {
            take(item);
        }
    });
}

/// Without threads for the source and for what comes out.
fn bridge<C: Channel<u64>>(shape: Shape, ops: u64) -> Sum {
    let source = Mutex::new(0..ops);
    let next = || source.lock().expect("a range does not panic").next();
    let next = &next;
    thread::scope(|scope| {
        let mut last = Vec::new();
        if shape.fused {
            for _ in 0..WORKERS {
                last.push(scope.spawn(move || sum_of(shape, || Some(shape.steps(next()?)))));
            }
        } else {
            // Dropped here, so that the workers' own ends are the last.
            let (first, second) = (C::bounded(), C::bounded());
            for _ in 0..WORKERS {
                let to = first.0.clone();
                scope.spawn(move || {
                    while let Some(n) = next() {
                        C::send(&to, shape.step(n));
                    }
                });
                let (from, to) = (first.1.clone(), second.0.clone());
                scope.spawn(move || {
                    while let Some(n) = C::recv(&from) {
                        C::send(&to, shape.step(n));
                    }
                });
                let from = second.1.clone();
                last.push(scope.spawn(move || sum_of(shape, || Some(shape.step(C::recv(&from)?)))));
            }
        }
        let sums = last.into_iter().map(|worker| worker.join().expect("it does not panic"));
        sums.fold(Sum::new(shape), Sum::and)
    })
}

fn sum_of(shape: Shape, mut next: impl FnMut() -> Option<u64>) -> Sum {
    let mut sum = Sum::new(shape);
    while let Some(value) = next() {
        sum.take(value);
    }
    sum
}

pub(super) struct Crossbeam;

impl<T: Send> Channel<T> for Crossbeam {
    type Sender = crossbeam_channel::Sender<T>;
    type Receiver = crossbeam_channel::Receiver<T>;

    fn bounded() -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(BUFFER)
    }

    fn send(sender: &Self::Sender, item: T) {
        assert!(sender.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(sender: &Self::Sender, item: T) -> bool {
        sender.try_send(item).is_ok()
    }

    fn recv(receiver: &Self::Receiver) -> Option<T> {
        receiver.recv().ok()
    }
}

pub(super) struct Crossfire;

impl<T: Send + Unpin + 'static> Channel<T> for Crossfire {
    type Sender = crossfire::MTx<crossfire::mpmc::Array<T>>;
    type Receiver = crossfire::MRx<crossfire::mpmc::Array<T>>;

    fn bounded() -> (Self::Sender, Self::Receiver) {
        crossfire::mpmc::bounded_blocking(BUFFER)
    }

    fn send(sender: &Self::Sender, item: T) {
        assert!((**sender).send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(sender: &Self::Sender, item: T) -> bool {
        (**sender).try_send(item).is_ok()
    }

    fn recv(receiver: &Self::Receiver) -> Option<T> {
        (**receiver).recv().ok()
    }
}

pub(super) struct Kanal;

impl<T: Send> Channel<T> for Kanal {
    type Sender = kanal::Sender<T>;
    type Receiver = kanal::Receiver<T>;

    fn bounded() -> (Self::Sender, Self::Receiver) {
        kanal::bounded(BUFFER)
    }

    fn send(sender: &Self::Sender, item: T) {
        assert!(sender.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(sender: &Self::Sender, item: T) -> bool {
        sender.try_send(item).expect("the receivers are there")
    }

    fn recv(receiver: &Self::Receiver) -> Option<T> {
        receiver.recv().ok()
    }
}

/// It keeps the order always, and has a queue of its own size.
fn pariter(shape: Shape, ops: u64) -> Sum {
    let mut sum = Sum::new(shape);
    if shape.fused {
        (0..ops)
            .parallel_map_custom(|o| o.threads(WORKERS), move |n| shape.steps(n))
            .for_each(|value| sum.take(value));
    } else {
        (0..ops)
            .parallel_map_custom(|o| o.threads(WORKERS), move |n| shape.step(n))
            .parallel_map_custom(|o| o.threads(WORKERS), move |n| shape.step(n))
            .parallel_map_custom(|o| o.threads(WORKERS), move |n| shape.step(n))
            .for_each(|value| sum.take(value));
    }
    sum
}

fn sum_up(shape: Shape, items: impl ParallelIterator<Item = u64>) -> Sum {
    let sum = items.map(|n| shape.steps(n)).reduce(|| 0, u64::wrapping_add);
    let mut all = Sum::new(shape);
    all.take(sum);
    all
}
