//! Channels: nothing lost, nobody left asleep, every value dropped once.

mod batches;
mod buffers;
mod clock;
mod crossbeam;
mod handles;
mod idle;
mod little_room;
mod promises;
mod rendezvous;

use crate::support::{Counter, Drops, Sleepers, poll};
use aqueduct::channel::{
    self, RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, bounded,
};
use aqueduct::park::block_on;
use aqueduct::{Context, thread};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Barrier};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// A little room, and more: a channel under a lock, where values are handed over, and a ring, where those who wait compete.
const CAPACITIES: [usize; 3] = [1, 2, 3];

/// R02, R03: Eight threads close at once, senders and receivers alike: one of them did it, none of them
/// hangs.
#[test]
fn close_is_idempotent_and_may_race_with_itself() {
    for capacity in CAPACITIES {
        for _ in 0..50 {
            let (sender, receiver) = bounded::<u8>(capacity);
            let barrier = Barrier::new(8);
            let closed = thread::scope(|scope| {
                let at_senders = [(); 4].map(|()| {
                    scope.spawn(|| {
                        barrier.wait();
                        sender.close()
                    })
                });
                let at_receivers = [(); 4].map(|()| {
                    scope.spawn(|| {
                        barrier.wait();
                        receiver.close()
                    })
                });
                let closers = at_senders.into_iter().chain(at_receivers);
                closers.map(|closer| closer.unwrap().join().unwrap()).collect::<Vec<_>>()
            })
            .unwrap();
            assert_eq!(closed.iter().filter(|first| **first).count(), 1);
            assert!(sender.is_closed() && receiver.is_closed());
        }
    }
}

/// R02: Close while receivers sleep, while senders sleep, and when whoever waited has gone already.
#[test]
fn close_wakes_whoever_sleeps() {
    for capacity in CAPACITIES {
        for _ in 0..10 {
            let (sender, receiver) = bounded::<u8>(capacity);
            let sleepers = Sleepers::default();
            let waiting = [(); 2].map(|()| {
                let receiver = receiver.clone();
                thread::spawn(sleepers.call(move || receiver.recv())).unwrap()
            });
            sleepers.until_asleep(2);
            sender.close();
            for waiting in waiting {
                assert_eq!(waiting.join().unwrap(), Err(RecvError));
            }

            let (sender, receiver) = bounded(capacity);
            let sleepers = Sleepers::default();
            (0..capacity).for_each(|_| sender.send(1).unwrap());
            let waiting = [2, 3].map(|value| {
                let sender = sender.clone();
                thread::spawn(sleepers.call(move || (value, sender.send(value)))).unwrap()
            });
            sleepers.until_asleep(2);
            receiver.close();
            for (value, refused) in waiting.map(|waiting| waiting.join().unwrap()) {
                assert_eq!(refused.unwrap_err().into_inner(), value);
            }
            assert_eq!(receiver.iter().collect::<Vec<_>>(), vec![1; capacity]);
        }
        let (sender, receiver) = bounded(capacity);
        assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
        (0..capacity).for_each(|_| sender.send(1).unwrap());
        let too_late = sender.send_timeout(2, Duration::ZERO);
        assert!(matches!(too_late, Err(SendTimeoutError::Timeout(2))));
        assert!(sender.close() && sender.send(3).is_err());
    }
}

/// R20, R32, R68: Producers race with close: each value was either received, or came back to its producer.
#[test]
fn a_send_that_races_with_close_is_received_or_comes_back() {
    const PRODUCERS: usize = 3;
    for round in 0..200 {
        let (sender, receiver) = bounded(1 + round % 4);
        let barrier = Barrier::new(PRODUCERS + 1);
        let (mut got, mut expected) = (Vec::new(), Vec::new());
        thread::scope(|scope| {
            let producers = [0, 1, 2].map(|producer| {
                let (sender, barrier) = (&sender, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for value in (producer * 1000).. {
                        if let Err(refused) = sender.send(value) {
                            assert_eq!(refused.into_inner(), value, "the very value comes back");
                            return (producer * 1000)..value;
                        }
                    }
                    unreachable!("the channel is closed long before");
                })
            });
            barrier.wait();
            got.extend(receiver.iter().take(20));
            receiver.close();
            got.extend(receiver.iter());
            for producer in producers {
                expected.extend(producer.unwrap().join().unwrap());
            }
        })
        .unwrap();
        got.sort_unstable();
        expected.sort_unstable();
        assert_eq!(got, expected);
    }
}

/// C09, C10, C36, R24: Sends race with the drop of the last receiver: every value is dropped once, and when
/// all sends have returned none is left in the channel, though a sender is.
#[test]
fn a_send_that_races_with_the_last_receiver_leaves_nothing_behind() {
    for round in 0..300 {
        let drops = Drops::default();
        let (sender, receiver) = bounded(1 + round % 3);
        let barrier = Barrier::new(3);
        let made = thread::scope(|scope| {
            let producers = [(); 2].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    let mut made = 1;
                    while sender.send(drops.item()).is_ok() {
                        made += 1;
                    }
                    made
                })
            });
            barrier.wait();
            for _ in 0..round % 5 {
                drop(receiver.recv());
            }
            drop(receiver);
            producers.map(|producer| producer.unwrap().join().unwrap())
        })
        .unwrap();
        assert_eq!(drops.count(), made.iter().sum::<usize>());
        assert_eq!((sender.len(), sender.receiver_count()), (0, 0));
    }
}

/// C25: The drop of a value panics while the last receiver empties the channel: the others are dropped all
/// the same.
#[test]
fn a_drop_that_panics_does_not_keep_the_rest() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let drops = Drops::default();
    let (sender, receiver) = bounded(4);
    for bomb in [None, Some(Bomb), None, None] {
        sender.send((drops.item(), bomb)).ok().unwrap();
    }
    assert!(thread::catch(|| drop(receiver)).is_err());
    assert_eq!(drops.count(), 4);
    assert!(sender.is_closed());
}

/// R30, R64: Values that look like "nothing" are values.
#[test]
fn empty_values_are_not_the_end() {
    let (sender, receiver) = bounded(3);
    for value in [None, Some(()), None] {
        sender.send(value).unwrap();
    }
    drop(sender);
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [None, Some(()), None]);
    assert_eq!(
        receiver.try_recv(),
        Err(TryRecvError::Disconnected),
        "and no phantom after the end"
    );
}

/// R65, R75, R78: A consumer that stops early stops the producer, however full the channel is.
#[test]
fn a_dropped_receiver_stops_a_blocked_producer() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let producer = thread::spawn(move || (0..).take_while(|&n| sender.send(n).is_ok()).count());
        assert_eq!(receiver.recv(), Ok(0));
        drop(receiver);
        assert!(producer.unwrap().join().unwrap() < 3 + capacity);
    }
}

/// C13: The longest durations do not overflow, and the shortest do not wait.
#[test]
fn the_longest_and_the_shortest_timeouts() {
    let (sender, receiver) = bounded(1);
    assert_eq!(sender.send_timeout(1, Duration::MAX), Ok(()));
    assert_eq!(sender.send_timeout(2, Duration::ZERO), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(sender.send_deadline(3, Instant::now()), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    assert!(receiver.recv_ctx(&Context::background().with_timeout(Duration::ZERO)).is_err());

    let waiting = thread::spawn(move || receiver.recv_timeout(Duration::MAX)).unwrap();
    sender.send_timeout(4, Duration::MAX).unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(4), "and it waits");
}

/// A value that timed out comes back, and was not sent.
#[test]
fn a_late_value_is_in_one_place_only() {
    let (sender, receiver) = bounded(1);
    sender.send(1).unwrap();
    let late = sender.send_timeout(2, Duration::from_millis(2));
    assert_eq!(late, Err(SendTimeoutError::Timeout(2)));
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1]);
    assert_eq!(sender.try_send(3), Ok(()), "nor does its place in the line stay");
}

/// C28: Two receivers sleep, two values come back to back: both receivers are woken.
#[test]
fn two_values_wake_two_receivers() {
    for capacity in [2, 3] {
        let (sender, receiver) = bounded(capacity);
        let ((one, one_waker), (two, two_waker)) = (Counter::new(), Counter::new());
        let (mut first, mut second) = (receiver.recv_async(), receiver.recv_async());
        assert!(poll(&mut first, &one_waker).is_pending());
        assert!(poll(&mut second, &two_waker).is_pending());
        sender.send('a').unwrap();
        sender.send('b').unwrap();
        assert_eq!((one.wakes(), two.wakes()), (1, 1));
        assert_eq!(poll(&mut second, &two_waker), Poll::Ready(Ok('a')));
        assert_eq!(poll(&mut first, &one_waker), Poll::Ready(Ok('b')));
    }
}

/// C29: A receiver that was woken and is never polled again holds up one value at most, and that one goes to
/// whoever asks.
#[test]
fn a_forgotten_receiver_does_not_block_the_others() {
    for capacity in [2, 3] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let (mut forgotten, mut other) = (receiver.recv_async(), receiver.recv_async());
        assert!(poll(&mut forgotten, &waker).is_pending());
        assert!(poll(&mut other, &waker).is_pending());
        sender.send('a').unwrap();
        assert_eq!(counter.wakes(), 1);
        std::mem::forget(forgotten);
        sender.send('b').unwrap();
        assert_eq!(counter.wakes(), 2);
        assert_eq!(poll(&mut other, &waker), Poll::Ready(Ok('a')));
        assert_eq!(receiver.recv(), Ok('b'));
    }
}

/// C31, C32: A receive that was woken, and is dropped instead of polled, passes the wake-up on; the value
/// stays.
#[test]
fn a_receive_dropped_after_its_wake_up_passes_it_on() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        let ((woken, woken_waker), (next, next_waker)) = (Counter::new(), Counter::new());
        let (mut dropped, mut other) = (receiver.recv_async(), receiver.recv_async());
        assert!(poll(&mut dropped, &woken_waker).is_pending());
        assert!(poll(&mut other, &next_waker).is_pending());
        sender.send('a').unwrap();
        assert_eq!((woken.wakes(), next.wakes()), (1, 0));
        drop(dropped);
        assert_eq!(next.wakes(), 1);
        assert_eq!(poll(&mut other, &next_waker), Poll::Ready(Ok('a')));
    }
}

/// C33: A receive that registered, was woken, and found its value when it tried again has left the line: it takes nobody
/// else's wake-up with it.
#[test]
fn a_receive_that_succeeds_by_trying_again_takes_no_wake_up_along() {
    for capacity in [2, 3] {
        let (sender, receiver) = bounded(capacity);
        let (_, first_waker) = Counter::new();
        let (second, second_waker) = Counter::new();
        let (mut early, mut late) = (receiver.recv_async(), receiver.recv_async());
        assert!(poll(&mut early, &first_waker).is_pending());
        assert!(poll(&mut late, &second_waker).is_pending());
        sender.send('a').unwrap();
        // `early` holds the wake-up for 'a'; it takes 'a' by trying. 'b' must wake `late`.
        assert_eq!(poll(&mut early, &first_waker), Poll::Ready(Ok('a')));
        sender.send('b').unwrap();
        assert_eq!(second.wakes(), 1);
        assert_eq!(poll(&mut late, &second_waker), Poll::Ready(Ok('b')));
    }
}

/// C34: A send that stands in line and is dropped, before or after its wake-up, leaves the room to the next
/// in line.
#[test]
fn a_send_dropped_in_line_leaves_its_turn_to_the_next() {
    for capacity in CAPACITIES {
        let drops = Drops::default();
        let (sender, receiver) = bounded(capacity);
        for _ in 0..capacity {
            sender.send(drops.item()).ok().unwrap();
        }
        let (counter, waker) = Counter::new();
        let [mut before, mut after, mut last] = [(); 3].map(|()| sender.send_async(drops.item()));
        for send in [&mut before, &mut after, &mut last] {
            assert!(poll(send, &waker).is_pending());
        }
        drop(before);
        assert_eq!(drops.count(), 1, "its value goes with it");
        drop(receiver.recv());
        assert_eq!(counter.wakes(), 1);
        drop(after);
        assert_eq!(counter.wakes(), 2, "woken in its place");
        assert!(matches!(poll(&mut last, &waker), Poll::Ready(Ok(()))));
        drop((last, receiver));
        assert_eq!(drops.count(), 3 + capacity);
    }
}

/// C34: The last sender goes while a receiver sleeps, having left a dropped send in line: the receiver is
/// told.
#[test]
fn a_sleeping_receiver_is_told_when_the_last_sender_goes() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded::<u8>(capacity);
        let (counter, waker) = Counter::new();
        let mut receive = receiver.recv_async();
        assert!(poll(&mut receive, &waker).is_pending());
        let clone = sender.clone();
        drop(sender);
        assert_eq!(counter.wakes(), 0);
        drop(clone);
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll(&mut receive, &waker), Poll::Ready(Err(RecvError)));
    }
}

/// C35: A batch receive on a closed channel appends to what the buffer has, and ends; it asks for nothing if
/// it may take nothing.
#[test]
fn a_batch_receive_appends_and_ends() {
    let (sender, receiver) = bounded(4);
    let mut buffer = vec![0];
    assert_eq!(receiver.recv_many(&mut buffer, 0), 0, "nothing to wait for");
    for value in 1..=3 {
        sender.send(value).unwrap();
    }
    sender.close();
    assert_eq!(receiver.recv_many(&mut buffer, 2), 2);
    assert_eq!(receiver.recv_many(&mut buffer, usize::MAX), 1);
    assert_eq!(receiver.recv_many(&mut buffer, usize::MAX), 0);
    assert_eq!(buffer, [0, 1, 2, 3]);

    let (sender, receiver) = bounded(2);
    let waiting = thread::spawn(move || {
        let mut buffer = Vec::new();
        (receiver.recv_many(&mut buffer, 8), buffer)
    });
    sender.send(7).unwrap();
    assert_eq!(waiting.unwrap().join().unwrap(), (1, vec![7]));
}

/// C35: A receive that is dropped drops its waker, though the senders are never dropped.
#[test]
fn a_dropped_receive_drops_its_waker() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded::<u8>(capacity);
        let (counter, waker) = Counter::new();
        let mut receive = receiver.recv_async();
        assert!(poll(&mut receive, &waker).is_pending());
        std::mem::forget(sender);
        drop((receive, waker));
        assert_eq!(Arc::strong_count(&counter), 1);
        drop(receiver);
    }
}

/// C32, C41: A waker, and the drop of a value, that use the channel they belong to.
#[test]
fn wakers_and_destructors_may_use_the_channel() {
    struct Reenters(channel::Sender<u8>, channel::Receiver<u8>);
    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            let _ = self.0.try_send(2);
            assert!(self.1.try_recv().is_ok());
            self.0.close();
        }
    }
    for capacity in [2, 3] {
        let (sender, receiver) = bounded(capacity);
        let waker = Waker::from(Arc::new(Reenters(sender.clone(), receiver.clone())));
        let mut receive = receiver.recv_async();
        assert!(poll(&mut receive, &waker).is_pending());
        sender.send(1).unwrap();
        assert!(sender.is_closed());
    }

    struct SendsWhenDropped(Option<channel::Sender<Self>>);
    impl Drop for SendsWhenDropped {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                let refused = sender.try_send(Self(None)).unwrap_err();
                assert!(refused.is_disconnected());
            }
        }
    }
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        sender.try_send(SendsWhenDropped(Some(sender.clone()))).unwrap();
        drop(receiver);
        assert_eq!(
            sender.sender_count(),
            1,
            "the value, and the sender in it, went with the receiver"
        );
    }
}

/// C41: A waker that panics while the channel is closed, or its last receiver dropped: all others, on both ends, are woken all the
/// same, and what is in is dropped.
#[test]
fn a_waker_that_panics_does_not_keep_the_end_from_the_others() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let bomb = Waker::from(Arc::new(Bomb));
    for capacity in CAPACITIES {
        // With all places reserved both ends wait.
        let (sender, receiver) = bounded::<u8>(capacity);
        let _permits: Vec<_> = (0..capacity).map(|_| sender.reserve().unwrap()).collect();
        let (counter, waker) = Counter::new();
        let mut receives = [(); 3].map(|()| receiver.recv_async());
        let mut reserves = [(); 2].map(|()| sender.reserve_async());
        for (nth, receive) in receives.iter_mut().enumerate() {
            assert!(poll(receive, if nth == 1 { &bomb } else { &waker }).is_pending());
        }
        assert!(reserves.iter_mut().all(|reserve| poll(reserve, &waker).is_pending()));
        assert!(thread::catch(|| sender.close()).is_err());
        assert_eq!(counter.wakes(), 4, "capacity {capacity}");

        let drops = Drops::default();
        let (sender, receiver) = bounded(capacity);
        for _ in 0..capacity {
            sender.try_send(drops.item()).ok().unwrap();
        }
        let mut reserve = sender.reserve_async();
        assert!(poll(&mut reserve, &bomb).is_pending());
        assert!(thread::catch(|| drop(receiver)).is_err());
        assert_eq!((drops.count(), sender.len()), (capacity, 0));
    }
}

/// A request holds the sender of its answer. The server goes with the request unread: whoever waits for the
/// answer is told, though the requester's sender lives on.
#[test]
fn whoever_waits_for_an_answer_is_told_when_the_server_goes() {
    let (requests, server) = bounded(4);
    let (answer, waiting) = bounded::<u8>(1);
    requests.send(answer).unwrap();
    let client = thread::spawn(move || waiting.recv());
    drop(server);
    assert_eq!(client.unwrap().join().unwrap(), Err(RecvError));
    assert!(requests.is_closed());
}

/// A send from a destructor while a panic unwinds.
#[test]
fn a_send_during_unwinding_works() {
    struct Reports(channel::Sender<&'static str>);
    impl Drop for Reports {
        fn drop(&mut self) {
            self.0.send("unwound").unwrap();
        }
    }
    let (sender, receiver) = bounded(1);
    let worker = thread::spawn(move || {
        let _reports = Reports(sender);
        panic!("on purpose");
    });
    assert_eq!(receiver.recv(), Ok("unwound"));
    assert!(worker.unwrap().join().is_err());
}

/// Threads on one end and tasks on the other, both ways.
#[test]
fn a_blocked_thread_and_a_pending_task_wake_each_other() {
    for capacity in CAPACITIES {
        let (to_task, from_thread) = bounded(capacity);
        let (to_thread, from_task) = bounded(capacity);
        let task = thread::spawn(move || {
            block_on(async {
                while let Ok(value) = from_thread.recv_async().await {
                    to_thread.send_async(value + 1).await.unwrap();
                }
            })
        });
        for value in 0..500 {
            to_task.send(value).unwrap();
            assert_eq!(from_task.recv(), Ok(value + 1));
        }
        drop(to_task);
        assert_eq!(from_task.recv(), Err(RecvError));
        task.unwrap().join().unwrap();
    }
}

/// C24: `len` never leaves `0..=capacity`, whoever is half-way through.
#[test]
fn the_length_stays_within_the_capacity() {
    for capacity in CAPACITIES {
        let (sender, receiver) = bounded(capacity);
        thread::scope(|scope| {
            let looker = receiver.clone();
            let producer = scope.spawn(move || (0..1_000).for_each(|n| sender.send(n).unwrap()));
            let consumer = scope.spawn(move || receiver.iter().count());
            while !looker.is_closed() {
                assert!(looker.len() <= capacity);
                std::thread::yield_now();
            }
            drop(looker);
            producer.unwrap().join().unwrap();
            consumer.unwrap().join().unwrap();
        })
        .unwrap();
    }
}

/// Handles are counted, told apart, and say nothing about their values.
#[test]
fn handles_are_counted() {
    struct NotDebug;
    let (sender, receiver) = bounded::<NotDebug>(2);
    let (other, _other) = bounded::<NotDebug>(2);
    let senders = [sender.clone(), sender.clone()];
    assert_eq!((receiver.sender_count(), sender.sender_count()), (3, 3));
    assert_eq!((receiver.receiver_count(), sender.receiver_count()), (1, 1));
    assert!(senders[0].same_channel(&senders[1]) && !sender.same_channel(&other));
    drop(senders);
    assert_eq!((receiver.sender_count(), receiver.is_closed()), (1, false));
    assert!(matches!(sender.try_send(NotDebug), Ok(())));
    assert_eq!(format!("{sender:?}"), "Sender { len: 1, capacity: 2, closed: false, .. }");
    drop(receiver);
    assert!(matches!(sender.try_send(NotDebug), Err(TrySendError::Disconnected(NotDebug))));
    assert_eq!((sender.receiver_count(), sender.len()), (0, 0));
}

/// C27: What may cross threads, or a caught panic, does so.
#[test]
fn what_may_cross_threads_and_panics() {
    fn may_cross<T: Send + Sync + Unpin>() {}
    fn may_move<T: Send>(_: &T) {}
    fn may_be_caught<T: UnwindSafe + RefUnwindSafe>() {}
    may_be_caught::<channel::Sender<std::cell::Cell<u8>>>();
    may_be_caught::<channel::Receiver<std::cell::Cell<u8>>>();
    may_be_caught::<Context>();
    may_cross::<channel::Sender<std::cell::Cell<u8>>>();
    may_cross::<channel::Receiver<std::cell::Cell<u8>>>();
    may_cross::<Context>();
    may_cross::<aqueduct::context::Done>();
    may_cross::<thread::Panicked>();
    let (sender, receiver) = bounded(1);
    may_move(&sender.send_async(std::cell::Cell::new(1)));
    may_move(&receiver.recv_async());
}
