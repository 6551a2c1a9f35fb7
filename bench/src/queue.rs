//! Family `queue`: bounded queues that anybody may push to and pop from, and that never wait.
//!
//! An operation is one item through the queue: a push and a pop. Whoever finds the queue full or
//! empty backs off, spinning briefly and then yielding the CPU, the same for all candidates. In the
//! workloads `batch16/..` up to 16 items go in and out at once, by candidates that can; the others
//! push and pop one by one.

mod candidates;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crossbeam_utils::Backoff;

use crate::check::{Id, Load, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::team::{Job, race};

/// How many items a batch has.
const BATCH: usize = 16;

/// What a candidate must be able to do.
pub(crate) trait Queue<T: Payload>: Send + 'static {
    const NAME: &'static str;

    fn with_capacity(capacity: usize) -> Self;

    /// Gives the item back if the queue is full.
    fn push(&self, item: T) -> Result<(), T>;

    fn pop(&self) -> Option<T>;

    /// Pushes up to [`BATCH`] items of the load, as far as there is room; how many.
    #[inline]
    fn push_batch(&self, load: &mut Load<T>) -> usize {
        for pushed in 0..BATCH {
            let Some(item) = load.next() else { return pushed };
            if self.push(item).is_err() {
                load.refused();
                return pushed;
            }
        }
        BATCH
    }

    /// Pops up to `max` items; how many.
    #[inline]
    fn pop_batch(&self, max: usize, mut take: impl FnMut(T)) -> usize {
        for popped in 0..max {
            let Some(item) = self.pop() else { return popped };
            take(item);
        }
        max
    }
}

pub(crate) fn cells() -> Vec<Cell> {
    [cells_of::<u64>(), cells_of::<[u8; 64]>()].into_iter().flatten().collect()
}

fn cells_of<T: Payload>() -> Vec<Cell> {
    let mut cells = Vec::new();
    for capacity in [64, 1024] {
        for shape in Shape::all() {
            let workload = format!("{}/cap{capacity}/{}", T::NAME, shape.name());
            let candidates = candidates::all::<T>(shape, capacity);
            cells.push(Cell::new("queue", workload, "item", candidates));
        }
    }
    cells
}

#[derive(Clone, Copy)]
struct Shape {
    /// So many producers and as many consumers; 0: one thread pushes an item and pops it again.
    threads: usize,
    /// Several items at once.
    batch: bool,
}

impl Shape {
    fn all() -> impl Iterator<Item = Self> {
        [false, true]
            .into_iter()
            .flat_map(|batch| [0, 1, 2, 4].map(|threads| Self { threads, batch }))
    }

    fn name(self) -> String {
        let batch = if self.batch { format!("batch{BATCH}/") } else { String::new() };
        match self.threads {
            0 => format!("{batch}pair"),
            n => format!("{batch}{n}p{n}c"),
        }
    }
}

fn candidate<T: Payload, Q: Queue<T> + Sync>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(Q::NAME, move |ops| match shape.threads {
        0 => pair::<T, Q>(capacity, ops, shape.batch),
        n => transfer::<T, Q>(capacity, n, n, ops, shape.batch),
    })
}

/// One thread, `ops` times: push an item, pop it. Or in batches.
pub(crate) fn pair<T: Payload, Q: Queue<T>>(capacity: usize, ops: u64, batch: bool) -> Sample {
    let queue = proved::<T, Q>(capacity);
    let job: Job<(Q, Seen)> = Box::new(move || {
        let seen =
            if batch { push_and_pop_batches(&queue, ops) } else { push_and_pop(&queue, ops) };
        (queue, seen)
    });
    let (sample, results) = race(ops, vec![job]);
    for (queue, seen) in results {
        settle([seen], &[ops]);
        assert!(queue.pop().is_none(), "an item is left over");
    }
    sample
}

/// `producers` threads push `ops` items between them, `consumers` threads pop them; each has its
/// fixed share.
fn transfer<T, Q>(
    capacity: usize,
    producers: usize,
    consumers: usize,
    ops: u64,
    batch: bool,
) -> Sample
where
    T: Payload,
    Q: Queue<T> + Sync,
{
    let queue = Arc::new(proved::<T, Q>(capacity));
    let sent = share(ops, producers);
    let mut jobs: Vec<Job<Option<Seen>>> = Vec::new();
    for (producer, &items) in sent.iter().enumerate() {
        let queue = queue.clone();
        jobs.push(Box::new(move || {
            if batch {
                produce_batches(&*queue, producer, items);
            } else {
                produce(&*queue, producer, items);
            }
            None
        }));
    }
    for items in share(ops, consumers) {
        let queue = queue.clone();
        jobs.push(Box::new(move || {
            Some(if batch {
                consume_batches(&*queue, producers, items)
            } else {
                consume(&*queue, producers, items)
            })
        }));
    }
    let (sample, results) = race(ops, jobs);
    settle(results.into_iter().flatten(), &sent);
    assert!(queue.pop().is_none(), "an item is left over");
    sample
}

/// A queue that has been filled and emptied once: its capacity is the one asked for, and its memory
/// is there before the clock starts.
fn proved<T: Payload, Q: Queue<T>>(capacity: usize) -> Q {
    let queue = Q::with_capacity(capacity);
    let mut items = 0;
    while queue.push(T::make(Id::new(0, items as u64))).is_ok() {
        items += 1;
        assert!(items <= capacity, "{} holds more than the {capacity} asked for", Q::NAME);
    }
    assert_eq!(items, capacity, "{} is full too early", Q::NAME);
    let mut seen = Seen::nothing(1);
    while let Some(item) = queue.pop() {
        seen.take(&item);
    }
    settle([seen], &[items as u64]);
    queue
}

#[inline(never)]
fn push_and_pop<T: Payload, Q: Queue<T>>(queue: &Q, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for seq in 0..ops {
        assert!(queue.push(T::make(Id::new(0, seq))).is_ok(), "an empty queue is full");
        seen.take(&queue.pop().expect("a queue with an item is empty"));
    }
    seen
}

#[inline(never)]
fn produce<T: Payload, Q: Queue<T>>(queue: &Q, producer: usize, items: u64) {
    for seq in 0..items {
        let mut item = T::make(Id::new(producer, seq));
        let backoff = Backoff::new();
        while let Err(refused) = queue.push(item) {
            item = refused;
            backoff.snooze();
        }
    }
}

#[inline(never)]
fn consume<T: Payload, Q: Queue<T>>(queue: &Q, producers: usize, items: u64) -> Seen {
    let mut seen = Seen::nothing(producers);
    for _ in 0..items {
        let backoff = Backoff::new();
        let item = loop {
            match queue.pop() {
                Some(item) => break item,
                None => backoff.snooze(),
            }
        };
        seen.take(&item);
    }
    seen
}

#[inline(never)]
fn push_and_pop_batches<T: Payload, Q: Queue<T>>(queue: &Q, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    let mut load = Load::new(0, ops);
    while !load.is_done() {
        let pushed = queue.push_batch(&mut load);
        assert!(pushed > 0, "an empty queue is full");
        let popped = queue.pop_batch(pushed, |item| seen.take(&item));
        assert_eq!(popped, pushed, "a queue with items is empty");
    }
    seen
}

#[inline(never)]
fn produce_batches<T: Payload, Q: Queue<T>>(queue: &Q, producer: usize, items: u64) {
    let mut load = Load::new(producer, items);
    let backoff = Backoff::new();
    while !load.is_done() {
        match queue.push_batch(&mut load) {
            0 => backoff.snooze(),
            _ => backoff.reset(),
        }
    }
}

#[inline(never)]
fn consume_batches<T: Payload, Q: Queue<T>>(queue: &Q, producers: usize, items: u64) -> Seen {
    let mut seen = Seen::nothing(producers);
    let mut left = items;
    let backoff = Backoff::new();
    while left > 0 {
        let max = left.min(BATCH as u64) as usize;
        match queue.pop_batch(max, |item| seen.take(&item)) {
            0 => backoff.snooze(),
            popped => {
                left -= popped as u64;
                backoff.reset();
            }
        }
    }
    seen
}
