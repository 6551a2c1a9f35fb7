//! What broke other bounded queues, one test per line of the list.
//!
//! Where the scenario is a race, the test here is the plain part of it, and the doc comment names the model
//! or the checker that covers the rest.

use std::cell::Cell;
use std::num::NonZeroU8;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use aqueduct_core::queue::{ArrayQueue, IntoIter, MAX_CAPACITY, StaticQueue};
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::queue::{Case, Hint, Inner, QueueOp, quiet_planned_panics};

/// C01: a full queue as a pool: who popped can push, with another party's pop half-way or not.
/// (Among threads: `stress/queue.rs`; frozen at every step: `interrupt/queue.rs`; orderings: loom.)
#[test]
fn whoever_popped_can_push() {
    static POOL: StaticQueue<usize, 3> = StaticQueue::new();
    for object in 0..3 {
        POOL.push(object).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let object = POOL.pop().unwrap();
                    POOL.push(object).unwrap();
                }
            });
        }
    });
    assert_eq!(POOL.len(), 3);
}

/// C02, C19: a push on a full queue is refused at once, at every capacity, powers of two above all, and in
/// every way of pushing.
#[test]
fn a_full_queue_refuses_at_once() {
    fn fill<Q>(queue: &mut Q, capacity: usize)
    where
        Q: aqueduct_tests::queue::BoundedQueue<usize>,
    {
        for lap in 0..3 {
            for value in 0..capacity {
                assert_eq!(queue.push(value), Ok(()), "capacity {capacity}, lap {lap}");
            }
            assert!(queue.is_full());
            assert_eq!(queue.push(7), Err(7));
            assert_eq!(queue.push_mut(7), Err(7));
            assert_eq!(queue.push_many(&mut [1, 2].into_iter()), 0);
            assert_eq!(queue.force_push(capacity), Some(0));
            for value in 1..=capacity {
                assert_eq!(queue.pop(), Some(value));
            }
            assert_eq!(
                (queue.pop(), queue.pop_mut(), queue.pop_many(3, &mut |_| ())),
                (None, None, 0)
            );
        }
    }
    for capacity in (1..=17).chain([63, 64, 65, 127, 128, 255, 256, 257, 65535, 65536]) {
        fill(&mut ArrayQueue::new(capacity), capacity);
    }
    fill(&mut StaticQueue::<_, 1>::new(), 1);
    fill(&mut StaticQueue::<_, 2>::new(), 2);
    fill(&mut StaticQueue::<_, 255>::new(), 255);
    fill(&mut StaticQueue::<_, 256>::new(), 256);
}

/// C03: the counters wrap, and cross the sign, while the queue is empty, full, and in between.
#[test]
fn counters_wrap_at_every_fill() {
    for capacity in 1..=5 {
        for fill in 0..=capacity {
            for laps in [usize::MAX, usize::MAX - 1, usize::MAX - 2, usize::MAX / 2] {
                let mut ops = vec![QueueOp::Push; fill];
                for _ in 0..4 * capacity {
                    // Around the fill level, once by each road.
                    if fill == capacity {
                        ops.extend([
                            QueueOp::ForcePush,
                            QueueOp::Push,
                            QueueOp::Pop,
                            QueueOp::Push,
                        ]);
                    } else {
                        ops.extend([
                            QueueOp::Push,
                            QueueOp::Pop,
                            QueueOp::PushMut,
                            QueueOp::PopMut,
                        ]);
                    }
                }
                Case { capacity, laps: Some(laps), ops, taken: Some(fill) }.run();
            }
        }
    }
}

/// C04, C25: a queue is dropped with items in it, wherever its head stands; each is dropped once, also
/// those after one whose drop panics.
#[test]
fn a_queue_that_is_dropped_drops_each_item_once() {
    for capacity in 1..=4 {
        for popped in 0..=capacity {
            for bomb in 0..capacity {
                let mut ops = vec![QueueOp::Push; popped];
                ops.extend(vec![QueueOp::Pop; popped]);
                ops.extend(
                    (0..capacity).map(
                        |nth| {
                            if nth == bomb { QueueOp::PushBomb } else { QueueOp::Push }
                        },
                    ),
                );
                for taken in [None, Some(0), Some(1), Some(bomb)] {
                    Case { capacity, laps: Some(0), ops: ops.clone(), taken }.run();
                    Case { capacity, laps: None, ops: ops.clone(), taken }.run();
                }
            }
        }
    }
}

/// C05 (a party frozen while the counters go round by a power of two) is
/// `others_go_round_by_powers_of_two_while_one_is_frozen` in `interrupt/queue.rs`.
///
/// C06: a capacity that the counters cannot tell apart from another is refused in the constructor, and
/// lengths are right with items of no size.
#[test]
fn impossible_capacities_are_refused_and_items_of_no_size_are_counted() {
    for capacity in [0, MAX_CAPACITY + 1, usize::MAX / 2, usize::MAX / 2 + 1, usize::MAX] {
        assert!(
            catch_unwind(|| ArrayQueue::<()>::new(capacity)).is_err(),
            "capacity {capacity} was taken"
        );
    }
    let queue = ArrayQueue::new(100_000);
    assert_eq!(queue.push_many(&mut std::iter::repeat_n((), 200_000)), 100_000);
    assert!(queue.is_full());
    assert_eq!(queue.pop_many(99_999, |()| ()), 99_999);
    let rest = queue.into_iter();
    assert_eq!((rest.len(), rest.count()), (1, 1));
}

/// C07: an iterator that was partly consumed is dropped, and an item's drop panics in there.
#[test]
fn a_partly_consumed_iterator_drops_the_rest_once() {
    quiet_planned_panics();
    for taken in 0..4 {
        let ledger = Ledger::new(8);
        let queue = StaticQueue::<_, 4>::new();
        queue.push(ledger.item(0)).unwrap();
        drop(queue.pop());
        for value in 0..3 {
            queue.push(ledger.item(value)).unwrap();
        }
        queue.push(ledger.bomb(3)).unwrap();
        let mut items = queue.into_iter();
        assert!(items.by_ref().take(taken).map(Item::into_value).eq(0..taken as u64));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(items)));
        assert!(dropped.is_err(), "the last one's drop panics, as it was told");
        ledger.settle().unwrap();
    }
}

/// C08: items with forbidden bit patterns: what is not an item must never be taken for one.
#[test]
fn items_with_forbidden_bit_patterns() {
    fn through<T: Clone + PartialEq + std::fmt::Debug>(items: &[T]) {
        let queue = ArrayQueue::starting_at(2, usize::MAX);
        let inline = StaticQueue::<T, 3>::new();
        for item in items.iter().cycle().take(20) {
            queue.push(item.clone()).unwrap();
            assert_eq!(queue.pop().as_ref(), Some(item));
            inline.force_push(item.clone());
        }
        assert_eq!(inline.into_iter().count(), 3);
        queue.push(items[0].clone()).unwrap();
    }
    through(&[&1, &2]);
    through(&[NonZeroU8::MIN, NonZeroU8::MAX]);
    through(&[true, false]);
    through(&["a", ""]);
    through(&[String::from("long enough for the heap"), String::new()]);
    through(&[Some(Box::new(1)), None]);
    through(&[std::cmp::Ordering::Less, std::cmp::Ordering::Greater]);
}

/// C11: an iterator of a batch that is leaked with the batch in its midst cannot be: `push_many` and
/// `pop_many` own what they claimed, and give it up when they return or unwind. C20: nor does a push that
/// failed after it had claimed a place leave a hole that consumers stumble on.
#[test]
fn a_batch_that_ends_early_leaves_no_hole() {
    for capacity in 1..=4 {
        for hint in [Hint::Unknown, Hint::TooMany, Hint::TooFew] {
            let ended = QueueOp::PushMany { items: 1, hint };
            let ops = vec![
                ended,
                QueueOp::Push,
                QueueOp::PushManyPanics(0),
                QueueOp::PushManyPanics(1),
                QueueOp::Pop,
                ended,
                QueueOp::Pop,
                QueueOp::Pop,
                QueueOp::Pop,
                QueueOp::PushMany { items: 4, hint: Hint::Exact },
                QueueOp::PopMany(4),
                QueueOp::Pop,
            ];
            let ops = ops.repeat(3);
            Case { capacity, laps: Some(usize::MAX), ops, taken: None }.run();
        }
    }
}

/// C14: a queue of many large items is made, and one goes in and out, without spare copies on the stack.
#[test]
fn items_of_a_mebibyte() {
    const SIZE: usize = 1 << 20;
    type Large = [u8; SIZE];
    fn make() {
        let queue = ArrayQueue::<Large>::new(64);
        assert_eq!(queue.capacity(), 64);
        // Dropping it moves items out one by one: that may need room for one.
        std::mem::forget(queue);
    }
    fn push() {
        let queue = ArrayQueue::<Large>::new(2);
        assert!(queue.push([7; SIZE]).is_ok());
        std::mem::forget(queue);
    }
    fn on_a_stack_of(kibibytes: usize, run: fn()) {
        let thread = std::thread::Builder::new().stack_size(kibibytes << 10).spawn(run);
        thread.unwrap().join().unwrap();
    }
    on_a_stack_of(256, make);
    // The item and one more; a build without optimisation copies it at each call.
    on_a_stack_of(if cfg!(debug_assertions) { 32 << 10 } else { 3 << 10 }, push);
}

/// C15: a closure that has an item in its hands while others push: the pushes are refused or accepted, they
/// never loop; and whatever an iterator or a closure does with its own queue.
#[test]
fn batches_whose_iterator_or_closure_uses_the_queue() {
    let inners =
        [Inner::Push, Inner::Pop, Inner::ForcePush, Inner::PushMany, Inner::PopMany, Inner::Look];
    for capacity in 1..=4 {
        for fill in 0..=capacity {
            for inner in inners {
                for items in 1..=4 {
                    let mut ops = vec![QueueOp::Push; fill];
                    ops.push(QueueOp::PushManyReenters(items, inner));
                    ops.extend(vec![QueueOp::Push; fill]);
                    ops.push(QueueOp::PopManyReenters(items, inner));
                    Case { capacity, laps: Some(usize::MAX), ops, taken: None }.run();
                }
            }
        }
    }
}

/// C18 (no Empty after an own push) and C21 (a push that froze after it had found the queue full hinders
/// nobody) are in `loom/queue.rs`, `stress/queue.rs` and `interrupt/queue.rs`.
///
/// C22: the capacity is what was asked for, even or odd.
#[test]
fn the_capacity_is_what_was_asked_for() {
    for capacity in 1..200 {
        let queue = ArrayQueue::new(capacity);
        assert_eq!(queue.capacity(), capacity);
        let pushed = (0..2 * capacity).take_while(|&value| queue.push(value).is_ok()).count();
        assert_eq!(pushed, capacity);
    }
}

/// C24: lengths asked beside pushes and pops are never out of range, and an only user's are exact.
#[test]
fn lengths_are_in_range_beside_pushes_and_pops() {
    let queue = ArrayQueue::starting_at(3, usize::MAX);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(SeqCst) || looks < 1000 {
                assert!(queue.len() <= 3);
                looks += 1;
            }
        });
        for round in 0..50_000 {
            assert_eq!(queue.len(), round % 4);
            if round % 4 == 3 {
                assert!(queue.is_full());
                assert_eq!(queue.pop_many(3, |_| ()), 3);
                assert!(queue.is_empty());
            } else {
                queue.push(round).unwrap();
            }
        }
        done.store(true, SeqCst);
        looker.join().unwrap();
    });
}

macro_rules! assert_not_impl {
    ($type:ty: $trait:path) => {
        const _: fn() = || {
            // Two candidates for `some_item`, and the type is ambiguous, if the trait is implemented.
            trait AmbiguousIfImplemented<A> {
                fn some_item() {}
            }
            impl<T: ?Sized> AmbiguousIfImplemented<()> for T {}
            struct Implemented;
            impl<T: ?Sized + $trait> AmbiguousIfImplemented<Implemented> for T {}
            let _ = <$type as AmbiguousIfImplemented<_>>::some_item;
        };
    };
}

const fn assert_send<T: Send>() {}
const fn assert_sync<T: Sync>() {}

/// C27: a queue passes between threads if and only if its items may. What must not compile does not.
#[test]
fn queues_are_send_and_sync_when_items_are_send() {
    assert_send::<ArrayQueue<Cell<u8>>>();
    assert_sync::<ArrayQueue<Cell<u8>>>();
    assert_send::<StaticQueue<Cell<u8>, 4>>();
    assert_sync::<StaticQueue<Cell<u8>, 4>>();
    assert_send::<IntoIter<ArrayQueue<Cell<u8>>>>();
    assert_not_impl!(ArrayQueue<Rc<u8>>: Send);
    assert_not_impl!(ArrayQueue<Rc<u8>>: Sync);
    assert_not_impl!(StaticQueue<Rc<u8>, 4>: Send);
    assert_not_impl!(StaticQueue<Rc<u8>, 4>: Sync);
    assert_not_impl!(ArrayQueue<&Cell<u8>>: Send);
    assert_not_impl!(ArrayQueue<&Cell<u8>>: Sync);
    assert_not_impl!(StaticQueue<MutexGuard<'static, u8>, 4>: Send);
    assert_not_impl!(StaticQueue<MutexGuard<'static, u8>, 4>: Sync);
    assert_not_impl!(IntoIter<ArrayQueue<Rc<u8>>>: Send);
    assert_not_impl!(IntoIter<StaticQueue<Rc<u8>, 4>>: Send);
}
