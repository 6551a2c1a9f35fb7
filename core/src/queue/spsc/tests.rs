extern crate std;

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::vec::Vec;

#[test]
fn every_capacity_goes_round_and_round() {
    for capacity in 1..6 {
        let (mut producer, mut consumer) = ring(capacity);
        let mut next = 0..;
        let mut expected = 0..;
        for step in 0..50 {
            let count = producer.push_many(&mut next.by_ref().take(step % (capacity + 1)));
            assert_eq!(count, step % (capacity + 1));
            assert_eq!((producer.len(), consumer.len()), (count, count));
            assert_eq!(producer.is_full(), count == capacity);
            for _ in 0..count {
                let value = expected.next();
                assert_eq!(consumer.peek().copied(), value);
                assert_eq!(consumer.pop(), value);
            }
            assert_eq!(consumer.peek(), None);
            assert!(consumer.is_empty());
        }
    }
}

#[test]
fn full_gives_the_value_back_and_one_pop_makes_room() {
    let (mut producer, mut consumer) = ring(2);
    assert_eq!([producer.push(1), producer.push(2), producer.push(3)], [Ok(()), Ok(()), Err(3)]);
    assert_eq!(consumer.pop(), Some(1));
    assert_eq!([producer.push(4), producer.push(5)], [Ok(()), Err(5)]);
    let mut rest = Vec::new();
    assert_eq!(consumer.pop_many(9, |value| rest.push(value)), 2);
    assert_eq!(rest, [2, 4]);
}

#[test]
fn what_is_left_is_dropped_once_with_the_second_end() {
    let value = Rc::new(());
    for first in ["producer", "consumer"] {
        let (mut producer, mut consumer) = ring(4);
        for _ in 0..3 {
            producer.push(value.clone()).unwrap();
        }
        consumer.pop().unwrap();
        match first {
            "producer" => {
                drop(producer);
                assert!(consumer.is_abandoned());
                assert_eq!(Rc::strong_count(&value), 3);
                drop(consumer);
            }
            _ => {
                drop(consumer);
                assert!(producer.is_abandoned());
                assert_eq!(Rc::strong_count(&value), 3);
                drop(producer);
            }
        }
        assert_eq!(Rc::strong_count(&value), 1);
    }
}

#[test]
fn a_static_ring_keeps_its_values_between_two_pairs_of_ends() {
    let value = Rc::new(());
    let mut ring = StaticRing::<_, 3>::new();
    for _ in 0..2 {
        let (mut producer, _) = ring.split();
        producer.push(value.clone()).unwrap();
    }
    assert_eq!(ring.split().1.len(), 2);
    drop(ring);
    assert_eq!(Rc::strong_count(&value), 1);
}

#[test]
fn an_iterator_or_a_closure_that_panics_loses_nothing() {
    let (mut producer, mut consumer) = ring(4);
    let mut items = (0..3).map(|n| if n < 2 { n } else { panic!("the third") });
    assert!(catch_unwind(AssertUnwindSafe(|| producer.push_many(&mut items))).is_err());
    assert_eq!(consumer.len(), 2);
    assert!(catch_unwind(AssertUnwindSafe(|| consumer.pop_many(2, |_| panic!()))).is_err());
    assert_eq!((consumer.pop(), consumer.pop()), (Some(1), None));
}

#[test]
fn a_drop_that_panics_does_not_keep_the_rest_from_being_dropped() {
    struct Bomb {
        armed: bool,
        _count: Rc<()>,
    }
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.armed, "armed");
        }
    }
    let count = Rc::new(());
    let (mut producer, consumer) = ring(4);
    for armed in [false, true, false] {
        assert!(producer.push(Bomb { armed, _count: count.clone() }).is_ok());
    }
    drop(producer);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(consumer))).is_err());
    assert_eq!(Rc::strong_count(&count), 1);
}

#[test]
fn two_threads_see_every_value_in_order() {
    let (mut producer, mut consumer) = ring(3);
    std::thread::scope(|s| {
        s.spawn(move || {
            for n in 0..20_000 {
                while producer.push(n).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < 20_000 {
            let before = expected;
            consumer.pop_many(2, |value| {
                assert_eq!(value, expected);
                expected += 1;
            });
            if expected == before {
                std::thread::yield_now();
            }
        }
    });
}
