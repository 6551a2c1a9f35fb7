//! Batches out of a buffer: what is not sent stays in it.

use crate::support::{Counter, poll};
use aqueduct::channel::{SendError, bounded};
use aqueduct::park::block_on;
use aqueduct::thread;
use std::collections::VecDeque;
use std::pin::pin;
use std::task::Poll;

/// Without room, under a lock, and a ring.
const CAPACITIES: [usize; 5] = [0, 1, 2, 3, 5];

/// C32: Whoever goes in the middle leaves in the buffer what has not been sent, and is woken for nothing.
#[test]
fn a_buffer_keeps_what_was_not_sent() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let mut values = VecDeque::from_iter(0..7);
        assert!(poll(&mut pin!(sender.send_from_async(&mut values)), &waker).is_pending());
        assert!(values.iter().copied().eq(capacity..7), "capacity {capacity}: {values:?}");
        assert!(receiver.try_iter().eq(0..capacity));
        assert_eq!(counter.wakes(), 0, "who has gone is not woken");
    }
}

/// C32: A buffer that meets the close keeps the rest, where it sleeps and where it begins; an empty one has nothing to be refused.
#[test]
fn a_buffer_that_meets_the_close_loses_nothing() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let mut values = VecDeque::from_iter(0..7);
        {
            let mut sending = pin!(sender.send_from_async(&mut values));
            assert!(poll(&mut sending, &waker).is_pending());
            receiver.close();
            assert_eq!(counter.wakes(), 1);
            assert_eq!(poll(&mut sending, &waker), Poll::Ready(Err(SendError(()))));
        }
        assert_eq!(sender.send_from(&mut values), Err(SendError(())));
        assert_eq!(block_on(sender.send_from_async(&mut values)), Err(SendError(())));
        assert!(values.iter().copied().eq(capacity..7), "capacity {capacity}: {values:?}");
        assert!(receiver.try_iter().eq(0..capacity));
        assert_eq!(sender.send_from(&mut VecDeque::new()), Ok(()));
    }
}

/// Buffers of several senders, to several receivers: each sender's values come in its order, all of them. In the middle somebody closes:
/// what has come and what is left is everything.
#[test]
fn buffers_arrive_whole_and_in_order_up_to_the_close() {
    const EACH: usize = 2_000;
    for (capacity, ends_at) in CAPACITIES.into_iter().flat_map(|room| [(room, 700), (room, EACH)]) {
        let (sender, receiver) = bounded(capacity);
        let senders = [0, 1].map(|who| {
            let sender = sender.clone();
            let send = move || {
                let mut rest = VecDeque::from_iter((0..EACH).map(|n| (who, n)));
                let mut batch = VecDeque::new();
                while !rest.is_empty() && batch.is_empty() {
                    batch.extend(rest.drain(..rest.len().min(17)));
                    let _ = sender.send_from(&mut batch);
                }
                batch.append(&mut rest);
                batch
            };
            thread::spawn(send).unwrap()
        });
        drop(sender);
        let receivers = [(); 2].map(|()| {
            let receiver = receiver.clone();
            let receive = move || {
                let mut got = Vec::new();
                while receiver.recv_many(&mut got, 16) > 0 {
                    if got.len() >= ends_at {
                        receiver.close();
                    }
                }
                got
            };
            thread::spawn(receive).unwrap()
        });
        let left = senders.map(|sender| sender.join().unwrap());
        let got = receivers.map(|receiver| receiver.join().unwrap());
        for (who, left) in left.iter().enumerate() {
            let mut came = Vec::new();
            for got in &got {
                let mine: Vec<_> =
                    got.iter().filter(|(from, _)| *from == who).map(|(_, n)| *n).collect();
                assert!(mine.is_sorted(), "capacity {capacity}: out of order");
                came.extend(mine);
            }
            came.sort_unstable();
            let rest = left.iter().map(|(_, n)| *n);
            assert!(came.into_iter().chain(rest).eq(0..EACH), "capacity {capacity}, sender {who}");
        }
    }
}
