//! Family `queue`: bounded queues that anybody may push to and pop from, and that never wait.
//!
//! An operation is one item through the queue: a push and a pop. Whoever finds the queue full or
//! empty backs off, spinning briefly and then yielding the CPU, the same for all candidates.

mod candidates;

use std::sync::Arc;

use crossbeam_utils::Backoff;

use crate::check::{Id, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::team::{Job, race};

/// What a candidate must be able to do.
pub(crate) trait Queue<T>: Send + 'static {
    const NAME: &'static str;

    fn with_capacity(capacity: usize) -> Self;

    /// Gives the item back if the queue is full.
    fn push(&self, item: T) -> Result<(), T>;

    fn pop(&self) -> Option<T>;
}

pub(crate) fn cells() -> Vec<Cell> {
    [cells_of::<u64>(), cells_of::<[u8; 64]>()].into_iter().flatten().collect()
}

fn cells_of<T: Payload>() -> Vec<Cell> {
    let mut cells = Vec::new();
    for capacity in [64, 1024] {
        for shape in [Shape::Pair, Shape::Threads(1), Shape::Threads(2), Shape::Threads(4)] {
            cells.push(Cell {
                family: "queue",
                workload: format!("{}/cap{capacity}/{}", T::NAME, shape.name()),
                unit: "item",
                candidates: candidates::all::<T>(shape, capacity),
            });
        }
    }
    cells
}

#[derive(Clone, Copy)]
enum Shape {
    /// One thread pushes an item and pops it again.
    Pair,
    /// So many producers and as many consumers.
    Threads(usize),
}

impl Shape {
    fn name(self) -> String {
        match self {
            Self::Pair => "pair".into(),
            Self::Threads(n) => format!("{n}p{n}c"),
        }
    }
}

fn candidate<T: Payload, Q: Queue<T> + Sync>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(Q::NAME, move |ops| match shape {
        Shape::Pair => pair::<T, Q>(capacity, ops),
        Shape::Threads(n) => transfer::<T, Q>(capacity, n, n, ops),
    })
}

/// One thread, `ops` times: push an item, pop it.
pub(crate) fn pair<T: Payload, Q: Queue<T>>(capacity: usize, ops: u64) -> Sample {
    let queue = proved::<T, Q>(capacity);
    let job: Job<(Q, Seen)> = Box::new(move || {
        let seen = push_and_pop(&queue, ops);
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
fn transfer<T, Q>(capacity: usize, producers: usize, consumers: usize, ops: u64) -> Sample
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
            produce(&*queue, producer, items);
            None
        }));
    }
    for items in share(ops, consumers) {
        let queue = queue.clone();
        jobs.push(Box::new(move || Some(consume(&*queue, producers, items))));
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// A queue under a lock with one of a few faults planted, from the 500th item on, which the
    /// proof of the capacity does not reach.
    struct Planted<const FAULT: u8>(Mutex<(VecDeque<u64>, u64)>, usize);

    const NONE: u8 = 0;
    const SWAPS: u8 = 1;
    const DOUBLES: u8 = 2;
    const ALTERS: u8 = 3;
    const TOO_SMALL: u8 = 4;

    impl<const FAULT: u8> Queue<u64> for Planted<FAULT> {
        const NAME: &'static str = "planted";

        fn with_capacity(capacity: usize) -> Self {
            let capacity = if FAULT == TOO_SMALL { capacity - 1 } else { capacity };
            Self(Mutex::default(), capacity)
        }

        fn push(&self, item: u64) -> Result<(), u64> {
            let (items, _) = &mut *self.0.lock().unwrap();
            if items.len() >= self.1 {
                return Err(item);
            }
            items.push_back(item);
            Ok(())
        }

        fn pop(&self) -> Option<u64> {
            let (items, popped) = &mut *self.0.lock().unwrap();
            let mut item = items.pop_front()?;
            *popped += 1;
            if *popped >= 500 {
                match FAULT {
                    SWAPS if !items.is_empty() => {
                        items.push_front(item);
                        item = items.remove(1)?;
                    }
                    DOUBLES if items.len() == 3 => items.push_front(item),
                    ALTERS if *popped == 500 => item += 1,
                    _ => {}
                }
            }
            Some(item)
        }
    }

    #[test]
    fn a_queue_that_works_passes() {
        pair::<u64, Planted<NONE>>(8, 2000);
        for (producers, consumers) in [(1, 1), (2, 2), (3, 1), (1, 3)] {
            let sample = transfer::<u64, Planted<NONE>>(8, producers, consumers, 2001);
            assert_eq!(sample.ops, 2001);
        }
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_queue_that_swaps_items_fails() {
        transfer::<u64, Planted<SWAPS>>(8, 1, 1, 5000);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_queue_that_doubles_an_item_fails() {
        transfer::<u64, Planted<DOUBLES>>(8, 1, 1, 5000);
    }

    #[test]
    #[should_panic]
    fn a_queue_that_alters_an_item_fails() {
        transfer::<u64, Planted<ALTERS>>(8, 2, 2, 5000);
    }

    #[test]
    #[should_panic(expected = "full too early")]
    fn a_queue_with_another_capacity_fails() {
        pair::<u64, Planted<TOO_SMALL>>(8, 1);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(3000).ops, 3000);
            }
        }
    }
}
