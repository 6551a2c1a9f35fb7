//! How much of a pipeline of random shape is under way at a time: never more than its buffers, workers, windows and caps add up to.

use aqueduct::Context;
use aqueduct::pipeline::{Backoff, Batch, Boxed, Pipeline, Policy, StageError};
use aqueduct_tests::share;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// What is under way now, and what was at most.
#[derive(Debug, Default)]
struct Gauge {
    items: AtomicUsize,
    most_items: AtomicUsize,
    weight: AtomicUsize,
    most_weight: AtomicUsize,
}

/// An item of the source. It is under way from when it is made until the last thing that was made of it is gone.
struct Item {
    number: usize,
    weight: usize,
    gauge: Arc<Gauge>,
}

type Step = Arc<Item>;

/// A pipeline of them, whatever its shape.
type Steps = Pipeline<Boxed<'static, Step>>;

impl Item {
    fn new(number: usize, weight: usize, gauge: &Arc<Gauge>) -> Step {
        let items = gauge.items.fetch_add(1, SeqCst) + 1;
        gauge.most_items.fetch_max(items, SeqCst);
        let weighs = gauge.weight.fetch_add(weight, SeqCst) + weight;
        gauge.most_weight.fetch_max(weighs, SeqCst);
        Arc::new(Self { number, weight, gauge: Arc::clone(gauge) })
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.gauge.weight.fetch_sub(self.weight, SeqCst);
        self.gauge.items.fetch_sub(1, SeqCst);
    }
}

impl Gauge {
    /// Waits until so many are under way. Then gives those who would let in more some time to do it: what is asserted does not depend
    /// on it, but what it is worth does.
    fn fill(&self, least: usize) {
        let start = Instant::now();
        while self.items.load(SeqCst) < least {
            assert!(start.elapsed() < Duration::from_secs(60), "{least} do not fit in: {self:?}");
            std::thread::yield_now();
        }
        (0..100).for_each(|_| std::thread::yield_now());
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Map,
    /// The same worker for the same key.
    Keyed,
    /// So many of one: of each remainder modulo 3. What is 0 modulo 5 fails at first.
    List([usize; 3]),
    /// So many are put together, and taken apart again by a stage behind.
    Batch(usize),
}

/// One stage of a random pipeline.
#[derive(Clone, Debug)]
struct Shape {
    kind: Kind,
    least: usize,
    more: usize,
    buffer: usize,
    /// An ordered point behind the stage, with this much more room than it needs.
    ordered: Option<usize>,
}

fn buffer() -> impl Strategy<Value = usize> {
    prop_oneof![3 => 1_usize..8, 1 => 30_usize..80]
}

fn shape() -> impl Strategy<Value = Shape> {
    let list = [0_usize..3, 1_usize..2, 0_usize..4];
    let kind = prop_oneof![
        3 => Just(Kind::Map),
        1 => Just(Kind::Keyed),
        2 => list.prop_map(Kind::List),
        1 => (1_usize..9).prop_map(Kind::Batch),
    ];
    let ordered = proptest::option::of(0_usize..12);
    (kind, 1_usize..4, 0_usize..3, buffer(), ordered).prop_map(
        |(kind, least, more, buffer, ordered)| {
            let more = if kind == Kind::Keyed { 0 } else { more };
            Shape { kind, least, more, buffer, ordered }
        },
    )
}

impl Shape {
    fn most(&self) -> usize {
        self.least + self.more
    }

    /// It has to have room for the workers of all stages between two ordered points.
    fn window(&self, shapes: &[Self]) -> Option<usize> {
        let widest = shapes.iter().map(Self::most).max().unwrap_or(1);
        self.ordered.map(|room| widest + room)
    }

    /// How many items are in front of the stage and in its workers' hands, at most. A keyed stage has a part of its buffer in front of each of
    /// its workers, and room for one there in any case.
    fn places(&self) -> usize {
        match self.kind {
            Kind::Keyed => self.least * (self.buffer / self.least).max(1) + self.least,
            _ => self.buffer + self.most(),
        }
    }
}

/// A batch in front of an ordered point wants its items in order: behind workers that overtake each other it is given an ordered point in front.
fn in_order_where_it_has_to_be(mut shapes: Vec<Shape>) -> Vec<Shape> {
    let mut in_order = true;
    for at in 0..shapes.len() {
        let asked = shapes[at..].iter().any(|shape| shape.ordered.is_some());
        if asked && matches!(shapes[at].kind, Kind::Batch(_)) && !in_order {
            // Not the first: the source is in order.
            shapes[at - 1].ordered = Some(0);
            in_order = true;
        }
        in_order = shapes[at].ordered.is_some() || in_order && shapes[at].most() == 1;
    }
    shapes
}

/// What is done to a pipeline as a whole.
#[derive(Clone, Debug)]
struct Whole {
    /// A cap in weight, and how heavy the heaviest item is.
    cap: Option<usize>,
    heaviest: usize,
    output_buffer: usize,
    items: usize,
    /// In the background, and not on the thread that takes the output.
    spawned: bool,
}

impl Whole {
    fn cap(&self) -> usize {
        self.cap.unwrap_or(usize::MAX)
    }

    /// What an item weighs. One that is heavier than the cap counts as much as that.
    fn weight(&self, number: usize) -> usize {
        (number * 7 % self.heaviest + 1).min(self.cap())
    }
}

fn whole() -> impl Strategy<Value = Whole> {
    (proptest::option::of(1_usize..20), 1_usize..9, buffer(), 0_usize..120, any::<bool>()).prop_map(
        |(cap, heaviest, output_buffer, items, spawned)| Whole {
            cap,
            heaviest,
            output_buffer,
            items,
            spawned,
        },
    )
}

/// Stages with no step between them that numbers the items anew; `window` is that of the ordered point at their end.
struct Part {
    window: Option<usize>,
    places: usize,
    /// How many items of the source one of theirs was made of.
    times: usize,
}

impl Part {
    fn new(window: Option<usize>) -> Self {
        Self { window, places: 0, times: 1 }
    }

    fn most(&self) -> usize {
        match self.window {
            Some(window) if self.places > 0 => window * self.times,
            _ => self.places,
        }
    }
}

/// How many items of the source can be under way, as the documentation of [`aqueduct::pipeline`] says.
fn bound(shapes: &[Shape], output_buffer: usize) -> usize {
    // In the hands of the source and of the consumer.
    let mut sum = 1 + output_buffer + 1;
    let mut part = Part::new(None);
    for shape in shapes.iter().rev() {
        if let Some(window) = shape.window(shapes) {
            sum += part.most();
            part = Part::new(Some(window));
        }
        if matches!(shape.kind, Kind::List(_) | Kind::Batch(_)) && part.window.is_some() {
            // The lists are in order before the items are numbered: in a window that is as large.
            sum += part.most();
            part = Part::new(part.window);
        }
        match shape.kind {
            Kind::Map | Kind::Keyed | Kind::List(_) => part.places += shape.places(),
            Kind::Batch(several) => {
                part.places += several * shape.places();
                part.times = several;
                sum += part.most() + shape.buffer + several;
                part = Part::new(None);
            }
        }
    }
    sum + part.most()
}

/// What surely gets in while nobody takes the output, where no stage makes several of one, or one of several. Whoever waits for room is
/// let in when half of it is free.
fn least(shapes: &[Shape], whole: &Whole) -> usize {
    if shapes.iter().any(|shape| shape.kind != Kind::Map) {
        return 1;
    }
    let mut sum = whole.output_buffer / 4;
    let (mut window, mut part) = (usize::MAX, 0);
    for shape in shapes.iter().rev() {
        if let Some(next) = shape.window(shapes) {
            sum += part.min(window);
            (window, part) = (next, 0);
        }
        part += shape.buffer / 4 + shape.least;
    }
    (sum + part.min(window)).min(whole.cap().div_ceil(whole.heaviest)).max(1)
}

/// What the stages of one run share.
struct Shared<'a> {
    shapes: &'a [Shape],
    whole: &'a Whole,
    gauge: &'a Gauge,
}

/// The stages, one after the other.
fn staged(mut pipeline: Steps, shapes: &[Shape]) -> Steps {
    for (number, shape) in shapes.iter().enumerate() {
        let name = format!("stage {number}");
        let (workers, buffer) = (shape.least..=shape.most(), shape.buffer);
        let stage = match shape.kind {
            Kind::Map => {
                let stage = pipeline.map(name, |step| step);
                stage.concurrency_auto(workers).buffer(buffer).boxed()
            }
            Kind::Keyed => {
                let stage = pipeline.map(name, |step| step).keyed(|step: &Step| step.number % 5);
                stage.concurrency_auto(workers).buffer(buffer).boxed()
            }
            Kind::List(makes) => {
                let again = |error: &StageError| match error.attempt() {
                    1 => Policy::Retry(Backoff::new(2, Duration::ZERO, Duration::ZERO)),
                    _ => Policy::Skip,
                };
                let tries = AtomicUsize::new(0);
                let list = move |step: Step| {
                    let fails = step.number.is_multiple_of(5) && tries.fetch_add(1, SeqCst) % 3 < 2;
                    assert!(!fails, "on purpose");
                    vec![Arc::clone(&step); makes[step.number % 3]]
                };
                let stage = pipeline.flat_map(name, list).on_error_keeping(again);
                stage.concurrency_auto(workers).buffer(buffer).boxed()
            }
            Kind::Batch(several) => {
                let batches = pipeline.batch("batch", Batch::of(several)).buffer(buffer);
                let stage = batches.flat_map(name, |steps: Vec<Step>| steps);
                stage.concurrency_auto(workers).buffer(buffer).boxed()
            }
        };
        pipeline = match shape.window(shapes) {
            None => stage,
            Some(window) => stage.ordered(window).boxed(),
        };
    }
    pipeline
}

/// Runs it: the output is taken when it can hold no more, and then until enough has come.
fn finish(pipeline: Steps, shared: &Shared<'_>) {
    let enough = Context::background();
    let mut taken = 0;
    let pipeline = pipeline.output_buffer(shared.whole.output_buffer).drain_on(&enough);
    let take = |step: Step| {
        if taken == 0 {
            shared.gauge.fill(least(shared.shapes, shared.whole));
        }
        taken += 1;
        if taken >= shared.whole.items {
            enough.cancel();
        }
        drop(step);
    };
    let report = if shared.whole.spawned {
        let running = pipeline.spawn().expect("it can be built");
        running.output().iter().for_each(take);
        running.wait()
    } else {
        pipeline.run(take)
    };
    let report = report.expect("nothing stops it");
    assert_eq!(report.cancelled() + report.undelivered(), 0, "a drain delivers all");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(300) as u32, ..ProptestConfig::default() })]

    /// R35, R79: from an endless source, into an output that is not taken until it is full.
    #[test]
    fn no_more_is_under_way_than_the_bounds_add_up_to(
        shapes in vec(shape(), 0..4).prop_map(in_order_where_it_has_to_be),
        whole in whole(),
    ) {
        let gauge = Arc::new(Gauge::default());
        let (of_all, made) = (whole.clone(), Arc::clone(&gauge));
        let items = (0..).map(move |number| Item::new(number, of_all.weight(number), &made));
        let source = Pipeline::from_iter(items)
            .max_weight_in_flight(whole.cap(), |step: &Step| step.weight);
        let shared = Shared { shapes: &shapes, whole: &whole, gauge: &gauge };
        finish(staged(source.boxed(), &shapes), &shared);

        let most = gauge.most_items.load(SeqCst);
        let bound = bound(&shapes, whole.output_buffer);
        prop_assert!(most <= bound, "{most} under way, bound {bound}");
        // A batch takes items out of the cap.
        if let Some(cap) = whole.cap && !shapes.iter().any(|s| matches!(s.kind, Kind::Batch(_))) {
            let most = gauge.most_weight.load(SeqCst);
            // What the source has in its hand; and in the background what has reached the output, and what the consumer has.
            let beside = if whole.spawned { 1 + whole.output_buffer + 1 } else { 1 };
            let beside = beside * whole.heaviest.min(cap);
            prop_assert!(most <= cap + beside, "{most} under way, cap {cap} and {beside}");
        }
        prop_assert_eq!(gauge.items.load(SeqCst), 0, "something is left");
    }
}

/// Which stage (the first of the two, or the other), to how many at the least, and how many more at the most.
type Resize = (bool, usize, usize);

fn resizes() -> impl Strategy<Value = Vec<Resize>> {
    vec((any::<bool>(), 1_usize..7, 0_usize..3), 0..12)
}

/// Two stages that are resized, one after the other: each time their buffers get full again, and never more than full.
fn come_and_go(buffers: [usize; 3], resizes: &[Resize]) -> TestCaseResult {
    let gauge = Arc::new(Gauge::default());
    let made = Arc::clone(&gauge);
    let running = Pipeline::from_iter((0..).map(move |number| Item::new(number, 1, &made)))
        .map("a", |step| step)
        .buffer(buffers[0])
        .map("b", |step| step)
        .buffer(buffers[1])
        .output_buffer(buffers[2])
        .spawn()
        .expect("it can be built");
    let controller = running.controller();
    let most = |of_a: bool| {
        let workers =
            resizes.iter().filter(|resize| resize.0 == of_a).map(|resize| resize.1 + resize.2);
        workers.max().unwrap_or(1)
    };
    let bound = 1 + buffers.iter().sum::<usize>() + most(true) + most(false) + 1;
    let mut received = 0;
    for (of_a, min, more) in resizes {
        let stage = if *of_a { "a" } else { "b" };
        controller.resize(stage, *min..=min + more).expect("it can be resized");
        // It gets full again with the workers that it has now.
        for _ in 0..4 * (min + more) {
            drop(running.output().recv().expect("there are endlessly many"));
            received += 1;
        }
        // Whoever waits for room is called once half of it is free.
        gauge.fill(buffers.iter().sum::<usize>() / 2);
    }
    running.drain();
    received += running.output().iter().count() as u64;
    let report = running.wait().expect("it was drained");
    prop_assert_eq!(report.stages()[0].received(), received, "{:#?}", report);
    let most = gauge.most_items.load(SeqCst);
    prop_assert!(most <= bound, "{most} under way, bound {bound}");
    prop_assert_eq!(gauge.items.load(SeqCst), 0, "something is left");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(100) as u32, ..ProptestConfig::default() })]

    /// R35: so it is while workers come and go: they bring no room with them but for what they are at.
    #[test]
    fn workers_that_come_and_go_bring_no_room_with_them(
        buffers in [buffer(), buffer(), buffer()],
        resizes in resizes(),
    ) {
        come_and_go(buffers, &resizes)?;
    }
}

/// Makers that wait for room come when the line is empty, though a hand has more than half of the places.
#[test]
fn a_hand_that_was_full_keeps_no_maker_out() {
    for _ in 0..share(30) {
        come_and_go([6, 43, 1], &[(true, 2, 0), (true, 5, 2), (true, 3, 0)]).unwrap();
    }
}

/// Workers that share the source, and take so many at a time; perhaps an ordered point behind them; and a stage.
fn bridged(
    workers: usize,
    grain: usize,
    window: Option<usize>,
    buffers: [usize; 2],
) -> TestCaseResult {
    let gauge = Arc::new(Gauge::default());
    let made = Arc::clone(&gauge);
    let items = (0..).map(move |number| Item::new(number, 1, &made));
    let first = Pipeline::bridge(items).grain(grain).map("first", |step| step).concurrency(workers);
    let window = window.map(|room| workers + room);
    // As many as were taken and not handed on; with a window, those in it, and one that a worker has made and waits with.
    let taken = window.map_or(workers * grain, |window| window + 1);
    let bound = taken + buffers.iter().sum::<usize>() + 2 + 1;
    let enough = Context::background();
    let mut left = 200_usize;
    let take = |step: Step| {
        if left == 200 {
            gauge.fill(buffers.iter().sum::<usize>() / 4 + 1);
        }
        left = left.saturating_sub(1);
        if left == 0 {
            enough.cancel();
        }
        drop(step);
    };
    let first = match window {
        None => first.boxed(),
        Some(window) => first.ordered(window).boxed(),
    };
    let second = first.map("second", |step| step).concurrency(2).buffer(buffers[0]);
    let report = second.output_buffer(buffers[1]).drain_on(&enough).run(take);
    prop_assert_eq!(report.expect("nothing stops it").cancelled(), 0, "a drain delivers all");
    let most = gauge.most_items.load(SeqCst);
    prop_assert!(most <= bound, "{most} under way, bound {bound}");
    prop_assert_eq!(gauge.items.load(SeqCst), 0, "something is left");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(100) as u32, ..ProptestConfig::default() })]

    /// R35: a worker takes no more than its grain, and nobody reads ahead.
    #[test]
    fn workers_that_share_a_source_take_what_they_are_allowed(
        workers in 1_usize..4,
        grain in 1_usize..20,
        window in proptest::option::of(0_usize..12),
        buffers in [buffer(), buffer()],
    ) {
        bridged(workers, grain, window, buffers)?;
    }
}
