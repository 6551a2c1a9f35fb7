//! The steps with a memory: a running value, batches, a pace, a quiet time.

use super::serial::Machine;
use std::time::{Duration, Instant};

/// Carries a value from item to item: [`scan`](super::Pipeline::scan).
pub struct Scan<A, F>(pub(super) A, pub(super) F);

impl<In, A, Out, F> Machine<In> for Scan<A, F>
where
    A: Send,
    Out: Send,
    F: FnMut(&mut A, In) -> Out + Send,
{
    type Out = Out;

    fn take(&mut self, item: In) -> Option<Out> {
        Some((self.1)(&mut self.0, item))
    }
}

/// When a batch is full: by count, by weight, by time.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::{Batch, Pipeline};
/// use std::time::Duration;
///
/// let mut batches = Vec::new();
/// let rows = Batch::of(3).within(Duration::from_secs(5));
/// Pipeline::from_iter(1..=7).batch("rows", rows).run(|batch| batches.push(batch))?;
/// assert_eq!(batches, [vec![1, 2, 3], vec![4, 5, 6], vec![7]]);
///
/// // By weight: a batch ends with the item that makes it so heavy.
/// let mut batches = Vec::new();
/// let texts = Pipeline::from_iter(["a", "bcd", "e", "fghi"]);
/// texts.batch_by("bytes", Batch::of(4), |text| text.len()).run(|batch| batches.push(batch))?;
/// assert_eq!(batches, [vec!["a", "bcd"], vec!["e", "fghi"]]);
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    limit: usize,
    within: Option<Duration>,
}

impl Batch {
    /// Full with so many items, or so much weight where items are weighed.
    pub fn of(limit: usize) -> Self {
        Self { limit, within: None }
    }

    /// Full, too, so long after its first item came.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }
}

/// See [`batch_by`](super::Pipeline::batch_by).
pub struct Batching<T, F> {
    batch: Batch,
    weigh: F,
    items: Vec<T>,
    weight: usize,
    until: Option<Instant>,
}

impl<T, F> Batching<T, F> {
    pub(super) fn new(batch: Batch, weigh: F) -> Self {
        Self { batch, weigh, items: Vec::new(), weight: 0, until: None }
    }
}

impl<T, F> Machine<T> for Batching<T, F>
where
    T: Send,
    F: FnMut(&T) -> usize + Send,
{
    type Out = Vec<T>;

    fn is_possible(&self) -> bool {
        self.batch.limit > 0
    }

    fn take(&mut self, item: T) -> Option<Vec<T>> {
        self.weight = self.weight.saturating_add((self.weigh)(&item));
        if self.items.is_empty() {
            let end = |time| Instant::now().checked_add(time);
            self.until = self.batch.within.and_then(end);
        }
        self.items.push(item);
        if self.weight >= self.batch.limit { self.late() } else { None }
    }

    fn deadline(&self) -> Option<Instant> {
        self.until
    }

    fn is_late(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    fn late(&mut self) -> Option<Vec<T>> {
        (self.weight, self.until) = (0, None);
        let items = std::mem::take(&mut self.items);
        (!items.is_empty()).then_some(items)
    }
}

/// Lets so many items pass in so much time, with no burst above that: [`rate_limit`](super::Pipeline::rate_limit).
///
/// The generic cell rate algorithm (ITU-T I.371): it knows the instant at which the next item is due, and how far ahead of
/// that items may come.
pub struct Pace {
    /// Between two items at the rate; none if it cannot be kept.
    apart: Option<Duration>,
    /// How far ahead.
    ahead: Duration,
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new(items: u32, per: Duration) -> Self {
        let apart = per.checked_div(items);
        let ahead = per.saturating_sub(apart.unwrap_or_default());
        Self { apart, ahead, due: None }
    }
}

impl<T: Send> Machine<T> for Pace {
    type Out = T;

    fn is_possible(&self) -> bool {
        self.apart.is_some()
    }

    fn take(&mut self, item: T) -> Option<T> {
        Some(item)
    }

    fn not_before(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let due = self.due.map_or(now, |due| due.max(now));
        self.due = self.apart.and_then(|apart| due.checked_add(apart));
        let then = due.checked_sub(self.ahead)?;
        (then > now).then_some(then)
    }
}

/// Lets an item pass when none has come after it for a time: [`debounce`](super::Pipeline::debounce).
pub struct Quiet<T> {
    time: Duration,
    last: Option<T>,
    until: Option<Instant>,
}

impl<T> Quiet<T> {
    pub(super) fn new(time: Duration) -> Self {
        Self { time, last: None, until: None }
    }
}

impl<T: Send> Machine<T> for Quiet<T> {
    type Out = T;

    fn take(&mut self, item: T) -> Option<T> {
        self.last = Some(item);
        self.until = Instant::now().checked_add(self.time);
        None
    }

    fn deadline(&self) -> Option<Instant> {
        self.until
    }

    fn late(&mut self) -> Option<T> {
        self.until = None;
        self.last.take()
    }
}
