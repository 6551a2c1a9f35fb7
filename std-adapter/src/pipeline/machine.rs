//! The steps with a memory: a running value, batches, a pace, a quiet time.

use super::serial::{Due, Machine};
use std::collections::VecDeque;
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
/// let rows = Batch::of(3).within(Duration::from_secs(3600));
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
        // What weighs nothing takes room all the same: else there might be no end of it.
        self.weight = self.weight.saturating_add((self.weigh)(&item).max(1));
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

/// Lets so many items pass in any so much time: [`rate_limit`](super::Pipeline::rate_limit).
///
/// It remembers when the last so many passed, as far as that is less than the time ago. An algorithm with one instant for all (a leaky
/// bucket, or the generic cell rate algorithm of ITU-T I.371) lets almost twice as many pass in the first stretch: those that may come at
/// once, and those whose turn comes meanwhile.
pub struct Pace {
    items: usize,
    per: Duration,
    passed: VecDeque<Instant>,
}

impl Pace {
    pub(super) fn new(items: u32, per: Duration) -> Self {
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        Self { items, per, passed: VecDeque::new() }
    }

    fn due_at(&mut self, now: Instant) -> Due {
        let is_over = |passed: &Instant| now.duration_since(*passed) >= self.per;
        while self.passed.front().is_some_and(is_over) {
            self.passed.pop_front();
        }
        match self.passed.front() {
            Some(first) if self.passed.len() >= self.items => {
                first.checked_add(self.per).map_or(Due::Never, Due::At)
            }
            _ => Due::Now,
        }
    }
}

impl<T: Send> Machine<T> for Pace {
    type Out = T;

    fn is_possible(&self) -> bool {
        self.items > 0
    }

    fn take(&mut self, item: T) -> Option<T> {
        Some(item)
    }

    fn due(&mut self) -> Due {
        self.due_at(Instant::now())
    }

    fn passed(&mut self) {
        self.passed.push_back(Instant::now());
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

    const PASSES_THE_LAST: bool = true;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_remembers_who_passed_in_its_time() {
        let (began, per) = (Instant::now(), Duration::from_secs(10));
        let after = |seconds| began + Duration::from_secs(seconds);
        let mut pace = Pace::new(3, per);
        for at in [0, 4, 5] {
            assert_eq!(pace.due_at(after(at)), Due::Now);
            pace.passed.push_back(after(at));
        }
        assert_eq!(pace.due_at(after(5)), Due::At(after(10)));
        assert_eq!(pace.due_at(after(10)), Due::Now);
        pace.passed.push_back(after(10));
        assert_eq!(pace.due_at(after(10)), Due::At(after(14)));
        assert_eq!(pace.due_at(after(15)), Due::Now);
        assert_eq!(pace.passed, [after(10)], "no more is kept than it takes");
    }

    #[test]
    fn a_time_beyond_the_clock_is_never_over() {
        let mut pace = Pace::new(1, Duration::MAX);
        assert_eq!(Machine::<()>::due(&mut pace), Due::Now);
        Machine::<()>::passed(&mut pace);
        assert_eq!(Machine::<()>::due(&mut pace), Due::Never);
    }

    #[test]
    fn no_time_is_no_limit() {
        let mut pace = Pace::new(1, Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(Machine::<()>::due(&mut pace), Due::Now);
            Machine::<()>::passed(&mut pace);
        }
    }
}
