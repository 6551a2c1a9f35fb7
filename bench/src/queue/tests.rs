//! Planted faults, and every candidate once.

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
    for batch in [false, true] {
        pair::<u64, Planted<NONE>>(8, 2000, batch);
        for (producers, consumers) in [(1, 1), (2, 2), (3, 1), (1, 3)] {
            let sample = transfer::<u64, Planted<NONE>>(8, producers, consumers, 2001, batch);
            assert_eq!(sample.ops, 2001);
        }
    }
}

#[test]
#[should_panic(expected = "a thread of this run panicked")]
fn a_queue_that_swaps_items_fails() {
    transfer::<u64, Planted<SWAPS>>(8, 1, 1, 5000, false);
}

#[test]
#[should_panic(expected = "a thread of this run panicked")]
fn a_queue_that_swaps_items_of_a_batch_fails() {
    transfer::<u64, Planted<SWAPS>>(8, 1, 1, 5000, true);
}

#[test]
#[should_panic(expected = "a thread of this run panicked")]
fn a_queue_that_doubles_an_item_fails() {
    transfer::<u64, Planted<DOUBLES>>(8, 1, 1, 5000, false);
}

#[test]
#[should_panic]
fn a_queue_that_alters_an_item_fails() {
    transfer::<u64, Planted<ALTERS>>(8, 2, 2, 5000, false);
}

#[test]
#[should_panic(expected = "full too early")]
fn a_queue_with_another_capacity_fails() {
    pair::<u64, Planted<TOO_SMALL>>(8, 1, false);
}

#[test]
fn every_candidate_does_every_workload() {
    for cell in &mut cells() {
        for candidate in &mut cell.candidates {
            assert_eq!((candidate.run)(3000).ops, 3000);
        }
    }
}
