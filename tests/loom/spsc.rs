//! The ring for two: the pairs of its indices, the copies that the ends keep of them, and who frees it.

use aqueduct_core::queue::spsc;
use loom::thread;

use crate::{Outcomes, explore};

/// `spsc:push` / `spsc:values` and `spsc:pop` / `spsc:room`: three values through one place, and through two, so that
/// each index goes round and each copy is old.
fn through(capacity: usize, expected: &[&str]) {
    let seen = Outcomes::default();
    let record = seen.clone();
    explore(&format!("spsc: three values through {capacity}"), move || {
        // Boxes: loom sees who reads and who frees them.
        let (mut producer, mut consumer) = spsc::ring::<Box<u32>>(capacity);
        let sender = thread::spawn(move || {
            let mut refused = 0;
            for value in 0..3 {
                let mut value = Box::new(value);
                while let Err(back) = producer.push(value) {
                    refused += 1;
                    if refused > 1 {
                        return refused;
                    }
                    value = back;
                    thread::yield_now();
                }
            }
            refused
        });
        let receiver = thread::spawn(move || {
            let mut received = 0;
            for _ in 0..4 {
                match consumer.pop() {
                    Some(value) => {
                        assert_eq!(*value, received);
                        received += 1;
                    }
                    None => thread::yield_now(),
                }
            }
            received
        });
        let (refused, received) = (sender.join().unwrap(), receiver.join().unwrap());
        record.record(format!("{refused} refused, {received} received"));
    });
    seen.must_include(expected);
}

#[test]
fn values_go_round_one_place() {
    through(1, &["2 refused, 1 received", "1 refused, 2 received"]);
}

#[test]
fn values_go_round_two_places() {
    through(2, &["0 refused, 3 received", "2 refused, 2 received"]);
}

/// A batch becomes visible at once, and its places come back at once.
#[test]
fn batches_meet() {
    let seen = Outcomes::default();
    let record = seen.clone();
    explore("spsc: batches", move || {
        let (mut producer, mut consumer) = spsc::ring::<u32>(2);
        let sender = thread::spawn(move || {
            let first = producer.push_many(&mut [1, 2].into_iter());
            (first, producer.push_many(&mut [3, 4].into_iter()))
        });
        let receiver = thread::spawn(move || {
            let mut received = Vec::new();
            for _ in 0..2 {
                consumer.pop_many(2, |value| received.push(value));
            }
            received
        });
        let ((first, second), received) = (sender.join().unwrap(), receiver.join().unwrap());
        assert_eq!(first, 2);
        assert!(received.iter().copied().eq(1..=received.len() as u32), "{received:?}");
        record.record(format!("{second} more, {} received", received.len()));
    });
    seen.must_include(&["0 more, 0 received", "0 more, 2 received", "2 more, 4 received"]);
}

/// `spsc:gone`: the second end to go frees the ring and what is in it, after the first is done with it; and
/// whoever is left learns that it is alone, and then misses nothing.
#[test]
fn both_ends_go() {
    let seen = Outcomes::default();
    let record = seen.clone();
    explore("spsc: both ends go", move || {
        let (mut producer, mut consumer) = spsc::ring::<Box<u32>>(2);
        let sender = thread::spawn(move || {
            producer.push(Box::new(1)).unwrap();
            producer.push(Box::new(2)).unwrap();
        });
        let receiver = thread::spawn(move || {
            let alone = consumer.is_abandoned();
            let received = consumer.pop().map(|value| *value);
            if alone {
                assert_eq!(received, Some(1), "what was pushed before the producer went is there");
            }
            (alone, received.is_some())
        });
        sender.join().unwrap();
        let (alone, received) = receiver.join().unwrap();
        record.record(format!("alone {alone}, received {received}"));
    });
    seen.must_include(&[
        "alone true, received true",
        "alone false, received true",
        "alone false, received false",
    ]);
}
