//! Batches: what they leave where it was, whom they wake, and when.

use crate::support::{Counter, poll};
use aqueduct::channel::{SendError, bounded};
use aqueduct::park::block_on;
use aqueduct::thread;
use aqueduct_core::channel::StaticChannel;
use std::pin::pin;
use std::sync::Barrier;
use std::task::Poll;

/// C32: A batch that is dropped in the middle has taken out of its iterator what it has sent, and no more.
#[test]
fn a_batch_that_is_dropped_leaves_the_rest_where_it_was() {
    for (capacity, in_room) in [(0, 0), (1, 1), (2, 2), (3, 3)] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let mut values = 0..5;
        {
            let mut sending = pin!(sender.send_many_async(&mut values));
            assert!(poll(&mut sending, &waker).is_pending());
        }
        assert_eq!(values, in_room..5, "capacity {capacity}");
        assert!(receiver.try_iter().eq(0..in_room));
        assert_eq!(counter.wakes(), 0, "who has gone is not woken");
    }
}

/// C32: A batch that meets the close gives one value back, and the rest is where it was; also where it sleeps.
#[test]
fn an_awaited_batch_that_meets_the_close_loses_nothing() {
    for (capacity, in_room) in [(0, 0), (2, 2), (3, 3)] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let mut values = 0..5;
        {
            let mut sending = pin!(sender.send_many_async(&mut values));
            assert!(poll(&mut sending, &waker).is_pending());
            receiver.close();
            assert_eq!(counter.wakes(), 1);
            assert_eq!(poll(&mut sending, &waker), Poll::Ready(Err(SendError(in_room))));
        }
        assert_eq!(values, in_room + 1..5);
        assert!(receiver.try_iter().eq(0..in_room));
        let mut none = 0..0;
        assert_eq!(block_on(sender.send_many_async(&mut none)), Ok(0), "nothing was refused");
    }
}

/// Awaited batches on both ends, in a channel that is too small for them and in one without room.
#[test]
fn awaited_batches_arrive_whole_and_in_order() {
    for capacity in [0, 1, 3, 64] {
        let (sender, receiver) = bounded(capacity);
        let producer = thread::spawn(move || {
            let batches = (0..100).step_by(10);
            batches
                .map(|from| block_on(sender.send_many_async(&mut (from..from + 10))).unwrap())
                .sum::<usize>()
        });
        let mut got: Vec<i32> = Vec::new();
        while block_on(receiver.recv_many_async(&mut got, 7)) > 0 {}
        assert!(got.into_iter().eq(0..100), "capacity {capacity}");
        assert_eq!(producer.unwrap().join().unwrap(), 100);
        assert_eq!(block_on(receiver.recv_many_async(&mut Vec::new(), 0)), 0);
    }
}

/// An iterator may wait for the receiver: each value is announced before the next is asked for, even where the places
/// for both were claimed together.
#[test]
fn a_value_of_a_batch_is_announced_before_the_next_is_made() {
    for capacity in [1, 2, 4] {
        let (sender, receiver) = bounded(capacity);
        let received = Barrier::new(2);
        thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut values = (0..50).inspect(|value| {
                    if *value > 0 {
                        received.wait();
                    }
                });
                sender.send_many(&mut values)
            });
            for value in 0..50 {
                assert_eq!(receiver.recv(), Ok(value));
                if value < 49 {
                    received.wait();
                }
            }
            assert_eq!(sending.unwrap().join().unwrap(), Ok(50));
        })
        .unwrap();
    }
}

/// The same, seen step by step: a receiver goes to sleep after the places of the batch were claimed.
#[test]
fn a_receiver_that_goes_to_sleep_in_the_middle_of_a_batch_is_woken_by_its_next_value() {
    static CHANNEL: StaticChannel<u8, 4> = StaticChannel::new();
    let (counter, waker) = Counter::new();
    let mut receiving = CHANNEL.recv();
    let mut values = (0..3).inspect(|value| match value {
        0 => assert!(poll(&mut receiving, &waker).is_pending(), "nothing is in yet"),
        _ => assert_eq!(counter.wakes(), 1, "before value {value} is made"),
    });
    assert_eq!(CHANNEL.try_send_many(&mut values), Ok(3));
    assert_eq!(poll(&mut receiving, &waker), Poll::Ready(Ok(0)));
}

/// A batch whose iterator ends early gives up places that it had claimed; who went to sleep for want of them is woken.
#[test]
fn places_that_a_batch_gives_up_wake_a_sender() {
    /// Says two, has none, and does something when it is asked.
    struct Promises<F>(Option<F>);

    impl<F: FnOnce()> Iterator for Promises<F> {
        type Item = u8;

        fn next(&mut self) -> Option<u8> {
            if let Some(asked) = self.0.take() {
                asked();
            }
            None
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (2, Some(2))
        }
    }

    static CHANNEL: StaticChannel<u8, 2> = StaticChannel::new();
    let (counter, waker) = Counter::new();
    let mut sending = CHANNEL.send(7);
    let asleep = || assert!(poll(&mut sending, &waker).is_pending(), "both places are claimed");
    assert_eq!(CHANNEL.try_send_many(&mut Promises(Some(asleep))), Ok(0));
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll(&mut sending, &waker), Poll::Ready(Ok(())));
    assert_eq!(CHANNEL.try_recv(), Ok(7));
}

/// The batches of the core's channel, awaited: refused, dropped in the middle, and through.
#[test]
fn a_batch_of_the_core() {
    let channel = StaticChannel::<u8, 2>::new();
    let (_, waker) = Counter::new();
    let mut values = 0..5;
    {
        let mut sending = pin!(channel.send_many(&mut values));
        assert!(poll(&mut sending, &waker).is_pending());
        assert_eq!(channel.try_recv(), Ok(0));
        assert!(poll(&mut sending, &waker).is_pending());
    }
    assert_eq!(values, 3..5);
    assert_eq!(channel.try_recv_many(9, |_| ()), 2);
    assert_eq!(block_on(channel.send_many(&mut values)), Ok(2));
    channel.close();
    let mut more = 5..7;
    assert_eq!(block_on(channel.send_many(&mut more)).unwrap_err().0, 5);
    assert_eq!(more, 6..7);
}
