//! List C, where it is about rings for two: C04 and C07 (leaks and panics), C06 and C19 (lengths, refusals), C11 and C27.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, MutexGuard};

use aqueduct_core::queue::spsc::{Consumer, Producer, StaticRing, ring};

use crate::support::Drops;

/// C04: a ring goes with values in it, wherever its head stands: each is dropped once.
#[test]
fn c04_what_is_left_in_a_ring_is_dropped_once() {
    for before in 0..6 {
        let drops = Drops::default();
        let (mut producer, mut consumer) = ring(3);
        for _ in 0..before {
            assert!(producer.push(drops.item()).is_ok());
            drop(consumer.pop());
        }
        producer.push_many(&mut std::iter::repeat_with(|| drops.item()));
        drop((producer, consumer));
        assert_eq!(drops.count(), before + 3);
    }
}

/// C06: capacities beyond counting are refused, and lengths do not overflow at the largest there is.
#[test]
fn c06_lengths_at_the_largest_capacity() {
    for impossible in [0, usize::MAX / 4 + 1, usize::MAX] {
        assert!(std::panic::catch_unwind(|| drop(ring::<()>(impossible))).is_err());
    }
    // Values of no size: the largest ring that can be made at all, inline. Its indices go round after twice that.
    const LARGEST: usize = 1 << 20;
    let mut ring = StaticRing::<(), LARGEST>::new();
    let (mut producer, mut consumer) = ring.split();
    for _lap in 0..3 {
        assert_eq!(producer.push_many(&mut std::iter::repeat(())), LARGEST);
        assert_eq!((producer.len(), consumer.len()), (LARGEST, LARGEST));
        assert!(producer.is_full());
        assert_eq!(consumer.pop_many(LARGEST - 1, |()| ()), LARGEST - 1);
        assert_eq!((producer.len(), consumer.pop(), consumer.pop()), (1, Some(()), None));
    }
}

/// C11: ends that are leaked, also in the middle of a batch that panics, leave a ring that works.
#[test]
fn c11_leaked_ends_leave_a_ring_that_works() {
    let drops = Drops::default();
    let mut ring = StaticRing::<_, 3>::new();
    for in_it in 1..=3 {
        let (mut producer, consumer) = ring.split();
        assert!(producer.push(drops.item()).is_ok());
        std::mem::forget((producer, consumer));
        let (producer, consumer) = ring.split();
        assert_eq!((producer.len(), consumer.is_abandoned()), (in_it, false));
    }
    drop(ring);
    assert_eq!(drops.count(), 3);
}

/// C19: a push on a full ring is refused at once, at every capacity, and one pop makes room for one.
#[test]
fn c19_a_full_ring_refuses_at_once() {
    for capacity in [1, 2, 3, 4, 7, 8, 255, 256, 257] {
        let (mut producer, mut consumer) = ring(capacity);
        for lap in 0..3 {
            assert_eq!(producer.push_many(&mut (0..)), capacity, "lap {lap}");
            assert_eq!(producer.push(7), Err(7));
            assert_eq!(producer.push_many(&mut [1, 2].into_iter()), 0);
            assert_eq!(consumer.pop(), Some(0));
            assert_eq!((producer.push(capacity), producer.push(7)), (Ok(()), Err(7)));
            for value in 1..=capacity {
                assert_eq!(consumer.pop(), Some(value));
            }
            assert_eq!((consumer.pop(), consumer.peek()), (None, None));
        }
    }
}

/// C24: lengths that are asked beside the other end's work are never out of range.
#[test]
fn c24_lengths_are_in_range_beside_the_other_end() {
    const VALUES: usize = 50_000;
    let (mut producer, mut consumer) = ring(3);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for value in 0..VALUES {
                while producer.push(value).is_err() {
                    assert!(producer.len() <= 3);
                    std::thread::yield_now();
                }
            }
        });
        scope.spawn(move || {
            for expected in 0..VALUES {
                let value = loop {
                    assert!(consumer.len() <= 3);
                    match consumer.pop() {
                        Some(value) => break value,
                        None => std::thread::yield_now(),
                    }
                };
                assert_eq!(value, expected);
            }
        });
    });
}

/// C27: the ends go to other threads if and only if the values may.
#[test]
fn c27_ends_are_send_when_values_are() {
    fn may_cross<T: Send + Sync>() {}
    may_cross::<Producer<'_, Cell<u8>>>();
    may_cross::<Consumer<'_, Arc<u8>>>();
    may_cross::<StaticRing<Cell<u8>, 2>>();
    assert_not_impl!(Producer<'static, Rc<u8>>: Send);
    assert_not_impl!(Consumer<'static, Rc<u8>>: Send);
    assert_not_impl!(StaticRing<Rc<u8>, 2>: Send);
    assert_not_impl!(StaticRing<Rc<u8>, 2>: Sync);
    assert_not_impl!(Consumer<'static, MutexGuard<'static, u8>>: Send);
}
