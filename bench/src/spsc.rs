//! Family `spsc`: rings for one producer and one consumer, that never wait.
//!
//! The workloads are those of family `queue` with one thread on each side: an operation is one item
//! through the ring, and whoever finds it full or empty backs off, the same for all candidates.

mod candidates;

use crossbeam_utils::Backoff;

use crate::check::{Back, Id, Load, Payload, Seen, settle};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::team::{Job, race};

/// How many items a batch has.
const BATCH: usize = 16;

/// What a candidate must be able to do.
pub(crate) trait Ring<T: Payload>: 'static {
    const NAME: &'static str;
    type Producer: Producer<T>;
    type Consumer: Consumer<T>;

    fn with_capacity(capacity: usize) -> (Self::Producer, Self::Consumer);
}

pub(crate) trait Producer<T: Payload>: Send + 'static {
    /// Gives the item back if the ring is full.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// Pushes up to [`BATCH`] items of the load, as far as there is room; how many.
    #[inline]
    fn push_batch(&mut self, load: &mut Load<T>) -> usize {
        for pushed in 0..BATCH {
            let Some(item) = load.next() else { return pushed };
            if self.push(item).is_err() {
                load.refused();
                return pushed;
            }
        }
        BATCH
    }
}

pub(crate) trait Consumer<T>: Send + 'static {
    fn pop(&mut self) -> Option<T>;

    /// Pops up to `max` items; how many.
    #[inline]
    fn pop_batch(&mut self, max: usize, mut take: impl FnMut(T)) -> usize {
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
        for (name, shape) in [
            ("pair", Shape::Pair),
            ("1p1c", Shape::Transfer),
            ("batch16/pair", Shape::BatchPair),
            ("batch16/1p1c", Shape::BatchTransfer),
        ] {
            let workload = format!("{}/cap{capacity}/{name}", T::NAME);
            let candidates = candidates::all::<T>(shape, capacity);
            cells.push(Cell::new("spsc", workload, "item", candidates));
        }
    }
    cells
}

#[derive(Clone, Copy)]
enum Shape {
    Pair,
    Transfer,
    BatchPair,
    BatchTransfer,
}

fn candidate<T: Payload, R: Ring<T>>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(R::NAME, move |ops| match shape {
        Shape::Pair => pair::<T, R>(capacity, ops, push_and_pop),
        Shape::Transfer => transfer::<T, R>(capacity, ops, produce, consume),
        Shape::BatchPair => pair::<T, R>(capacity, ops, push_and_pop_batches),
        Shape::BatchTransfer => transfer::<T, R>(capacity, ops, produce_batches, consume_batches),
    })
}

/// One thread does both sides in turn.
fn pair<T: Payload, R: Ring<T>>(
    capacity: usize,
    ops: u64,
    work: fn(&mut R::Producer, &mut R::Consumer, u64) -> Seen,
) -> Sample {
    let (mut producer, mut consumer) = proved::<T, R>(capacity);
    let job: Job<(R::Consumer, Seen)> = Box::new(move || {
        let seen = work(&mut producer, &mut consumer, ops);
        (consumer, seen)
    });
    let (sample, results) = race(ops, vec![job]);
    for (mut consumer, seen) in results {
        settle([seen], &[ops]);
        assert!(consumer.pop().is_none(), "an item is left over");
    }
    sample
}

/// One thread pushes `ops` items, another pops them.
fn transfer<T: Payload, R: Ring<T>>(
    capacity: usize,
    ops: u64,
    produce: fn(&mut R::Producer, u64),
    consume: fn(&mut R::Consumer, u64) -> Seen,
) -> Sample {
    let (mut producer, mut consumer) = proved::<T, R>(capacity);
    let jobs: Vec<Job<Back<R::Consumer>>> = vec![
        Box::new(move || {
            produce(&mut producer, ops);
            None
        }),
        Box::new(move || {
            let seen = consume(&mut consumer, ops);
            Some((consumer, seen))
        }),
    ];
    let (sample, results) = race(ops, jobs);
    for (mut consumer, seen) in results.into_iter().flatten() {
        settle([seen], &[ops]);
        assert!(consumer.pop().is_none(), "an item is left over");
    }
    sample
}

/// A ring that has been filled and emptied once: its capacity is the one asked for, and its memory
/// is there before the clock starts.
fn proved<T: Payload, R: Ring<T>>(capacity: usize) -> (R::Producer, R::Consumer) {
    let (mut producer, mut consumer) = R::with_capacity(capacity);
    let mut items = 0;
    while producer.push(T::make(Id::new(0, items as u64))).is_ok() {
        items += 1;
        assert!(items <= capacity, "{} holds more than the {capacity} asked for", R::NAME);
    }
    assert_eq!(items, capacity, "{} is full too early", R::NAME);
    let mut seen = Seen::nothing(1);
    while let Some(item) = consumer.pop() {
        seen.take(&item);
    }
    settle([seen], &[items as u64]);
    (producer, consumer)
}

#[inline(never)]
fn push_and_pop<T: Payload>(
    producer: &mut impl Producer<T>,
    consumer: &mut impl Consumer<T>,
    ops: u64,
) -> Seen {
    let mut seen = Seen::nothing(1);
    for item in Load::<T>::new(0, ops) {
        assert!(producer.push(item).is_ok(), "an empty ring is full");
        seen.take(&consumer.pop().expect("a ring with an item is empty"));
    }
    seen
}

#[inline(never)]
fn push_and_pop_batches<T: Payload>(
    producer: &mut impl Producer<T>,
    consumer: &mut impl Consumer<T>,
    ops: u64,
) -> Seen {
    let mut seen = Seen::nothing(1);
    let mut load = Load::new(0, ops);
    while !load.is_done() {
        let pushed = producer.push_batch(&mut load);
        assert!(pushed > 0, "an empty ring is full");
        let popped = consumer.pop_batch(pushed, |item| seen.take(&item));
        assert_eq!(popped, pushed, "a ring with items is empty");
    }
    seen
}

#[inline(never)]
fn produce<T: Payload>(producer: &mut impl Producer<T>, items: u64) {
    for mut item in Load::<T>::new(0, items) {
        let backoff = Backoff::new();
        while let Err(refused) = producer.push(item) {
            item = refused;
            backoff.snooze();
        }
    }
}

#[inline(never)]
fn consume<T: Payload>(consumer: &mut impl Consumer<T>, items: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for _ in 0..items {
        let backoff = Backoff::new();
        let item = loop {
            match consumer.pop() {
                Some(item) => break item,
                None => backoff.snooze(),
            }
        };
        seen.take(&item);
    }
    seen
}

#[inline(never)]
fn produce_batches<T: Payload>(producer: &mut impl Producer<T>, items: u64) {
    let mut load = Load::new(0, items);
    let backoff = Backoff::new();
    while !load.is_done() {
        match producer.push_batch(&mut load) {
            0 => backoff.snooze(),
            _ => backoff.reset(),
        }
    }
}

#[inline(never)]
fn consume_batches<T: Payload>(consumer: &mut impl Consumer<T>, items: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    let mut left = items;
    let backoff = Backoff::new();
    while left > 0 {
        let max = left.min(BATCH as u64) as usize;
        match consumer.pop_batch(max, |item| seen.take(&item)) {
            0 => backoff.snooze(),
            popped => {
                left -= popped as u64;
                backoff.reset();
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// std's channel; with `LOSES`, item 700 never arrives, and the next one twice.
    struct Planted<const LOSES: bool>;

    struct Out(mpsc::Receiver<u64>);

    struct In<const LOSES: bool>(mpsc::SyncSender<u64>);

    impl<const LOSES: bool> Ring<u64> for Planted<LOSES> {
        const NAME: &'static str = "planted";
        type Producer = In<LOSES>;
        type Consumer = Out;

        fn with_capacity(capacity: usize) -> (Self::Producer, Self::Consumer) {
            let (sender, receiver) = mpsc::sync_channel(capacity);
            (In(sender), Out(receiver))
        }
    }

    impl<const LOSES: bool> Producer<u64> for In<LOSES> {
        fn push(&mut self, item: u64) -> Result<(), u64> {
            let sent = if LOSES && item == 700 { 701 } else { item };
            self.0.try_send(sent).map_err(|_| item)
        }
    }

    impl Consumer<u64> for Out {
        fn pop(&mut self) -> Option<u64> {
            self.0.try_recv().ok()
        }
    }

    #[test]
    fn a_ring_that_works_passes() {
        for work in [push_and_pop, push_and_pop_batches] {
            pair::<u64, Planted<false>>(32, 2001, work);
        }
        transfer::<u64, Planted<false>>(8, 2001, produce, consume);
        transfer::<u64, Planted<false>>(8, 2001, produce_batches, consume_batches);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_ring_that_sends_an_item_twice_in_place_of_another_fails() {
        pair::<u64, Planted<true>>(8, 2000, push_and_pop);
    }

    #[test]
    #[should_panic]
    fn a_ring_that_does_so_between_threads_fails() {
        transfer::<u64, Planted<true>>(8, 2000, produce_batches, consume_batches);
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
