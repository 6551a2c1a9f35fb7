//! Channels with room for a value or two: a sender waits with its value, which moves in when there is a place, and a thread that
//! receives is handed one.

use crate::support::{Counter, Drops, Sleepers, eventually, poll};
use aqueduct::channel::{
    Receiver, RecvError, RecvTimeoutError, Select, SendError, Sender, TryRecvError, TrySendError,
    bounded,
};
use aqueduct::{select, thread};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// C37: Whoever makes a place lets in the first in line, and says so, at once: its send is over, though nobody receives any more.
#[test]
fn a_value_in_line_moves_in_and_its_send_is_over() {
    for capacity in [1, 2] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        for value in 0..capacity {
            sender.try_send(value).unwrap();
        }
        let mut sends = [10, 11].map(|value| sender.send_async(value));
        assert!(sends.iter_mut().all(|send| poll(send, &waker).is_pending()));
        let blocked = thread::spawn({
            let sender = sender.clone();
            move || sender.send(12)
        });
        assert_eq!(receiver.recv(), Ok(0));
        assert_eq!((counter.wakes(), sender.len()), (1, capacity));
        assert_eq!(sender.try_send(99), Err(TrySendError::Full(99)), "nobody is overtaken");
        let [first, second] = &mut sends;
        assert_eq!(poll(first, &waker), Poll::Ready(Ok(())));
        assert!(poll(second, &waker).is_pending());
        // As many as it takes for the blocked one, wherever it stands.
        let mut got: Vec<_> = (0..2).map(|_| receiver.recv().unwrap()).collect();
        assert_eq!(blocked.unwrap().join().unwrap(), Ok(()));
        assert!(sender.is_full());
        assert_eq!(poll(second, &waker), Poll::Ready(Ok(())));
        got.extend(receiver.try_iter());
        assert!(got.into_iter().eq((1..capacity).chain(10..13)), "in the order of their coming");
    }
}

/// C34: A value that has moved in belongs to its sender until it is received; if that takes it back, the next moves in.
#[test]
fn a_value_that_moved_in_can_be_taken_back_until_it_is_received() {
    let drops = Drops::default();
    let (sender, receiver) = bounded(1);
    let (counter, waker) = Counter::new();
    sender.try_send(drops.item()).ok().unwrap();
    let [mut taken_back, mut dropped, mut received] =
        [(); 3].map(|()| sender.send_async(drops.item()));
    for send in [&mut taken_back, &mut dropped, &mut received] {
        assert!(poll(send, &waker).is_pending());
    }
    drop(receiver.recv());
    assert_eq!((counter.wakes(), drops.count()), (1, 1));
    assert!(taken_back.into_value().is_some());
    assert_eq!((counter.wakes(), drops.count()), (2, 2));
    drop(dropped);
    assert_eq!((counter.wakes(), drops.count()), (3, 3));
    drop(receiver.recv());
    assert!(received.into_value().is_none(), "it has been received");
    assert_eq!(drops.count(), 4);
    assert!(receiver.is_empty() && sender.try_reserve().is_ok());
}

/// C34: A place that is reserved comes back whichever way it is not used: nobody holds it for ever.
#[test]
fn a_reserved_place_comes_back() {
    for capacity in [1, 2, 3] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let is_whole = || {
            let places: Vec<_> = std::iter::from_fn(|| sender.try_reserve().ok()).collect();
            assert_eq!(places.len(), capacity);
        };
        is_whole();
        is_whole();
        // Granted in line, and not looked at.
        let permits: Vec<_> = (0..capacity).map(|_| sender.reserve().unwrap()).collect();
        assert!(sender.try_reserve().unwrap_err().is_full() && sender.is_full());
        let mut reserve = sender.reserve_async();
        assert!(poll(&mut reserve, &waker).is_pending());
        drop(permits);
        assert_eq!(counter.wakes(), 1);
        drop(reserve);
        is_whole();
        // Chosen in a selection, and not sent.
        let mut select = Select::new();
        select.send(&sender);
        drop(select.select());
        is_whole();
        // Chosen in line.
        let permits: Vec<_> = (0..capacity).map(|_| sender.reserve().unwrap()).collect();
        thread::scope(|scope| {
            let selects = scope.spawn(|| {
                let mut select = Select::new();
                select.send(&sender);
                drop(select.select());
            });
            drop(permits);
            selects.unwrap().join().unwrap();
        })
        .unwrap();
        is_whole();
        // Kept for a batch whose iterator panics.
        let mut values = [1, 2, 3].into_iter().inspect(|_| panic!("on purpose"));
        assert!(thread::catch(|| sender.send_many(&mut values)).is_err());
        is_whole();
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    }
}

/// A permit keeps a place from others, and nothing else: values pass it from hand to hand, whoever came first.
#[test]
fn while_all_places_are_reserved_values_pass_from_hand_to_hand() {
    let (sender, receiver) = bounded(1);
    let (counter, waker) = Counter::new();
    let permit = sender.reserve().unwrap();
    let mut send = sender.send_async(1);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));

    let (told, told_waker) = Counter::new();
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &told_waker).is_pending());
    let mut send = sender.send_async(2);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(told.wakes(), 1);
    // Who was told and goes tells the next.
    let mut other = receiver.recv_async();
    let (next, next_waker) = Counter::new();
    let waiting = [poll(&mut other, &next_waker), poll(&mut receive, &told_waker)];
    assert_eq!(waiting, [Poll::Ready(Ok(2)), Poll::Pending]);
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));
    assert_eq!(next.wakes(), 0);
    permit.send(3).unwrap();
    assert_eq!(poll(&mut receive, &told_waker), Poll::Ready(Ok(3)));
}

/// A thread in line is handed the oldest value, though another has been told of it and has not come; a close comes after what is in.
#[test]
fn a_value_that_somebody_was_told_of_is_not_kept_for_him() {
    let (sender, receiver) = bounded(2);
    let (counter, waker) = Counter::new();
    let mut told = receiver.recv_async();
    assert!(poll(&mut told, &waker).is_pending());
    sender.try_send(1).unwrap();
    assert_eq!(counter.wakes(), 1);
    assert_eq!(receiver.recv_timeout(Duration::MAX), Ok(1));
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    assert!(poll(&mut told, &waker).is_pending());
    sender.try_send(2).unwrap();
    assert_eq!(counter.wakes(), 2);
    sender.close();
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(poll(&mut told, &waker), Poll::Ready(Err(RecvError)));
}

/// A forced send displaces the oldest value that is in, and nobody who stands in line; where all places are reserved, there is none.
#[test]
fn a_forced_send_displaces_the_oldest_and_nobody_in_line() {
    let (sender, receiver) = bounded(2);
    let (_, waker) = Counter::new();
    for value in [1, 2] {
        sender.try_send(value).unwrap();
    }
    let mut send = sender.send_async(3);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(sender.force_send(4), Ok(Some(1)));
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(2));
    assert_eq!(sender.force_send(5), Ok(Some(4)));
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));
    assert!(receiver.try_iter().eq([3, 5]));
    let _permits = [sender.reserve().unwrap(), sender.reserve().unwrap()];
    assert_eq!(sender.force_send(6), Ok(Some(6)));
    receiver.close();
    assert_eq!(sender.force_send(7).unwrap_err().value, 7);
}

/// C32, C41: An iterator that uses the channel that its values go into.
#[test]
fn the_iterator_of_a_batch_may_use_the_channel() {
    for capacity in [1, 2, 3] {
        let (sender, receiver) = bounded(capacity);
        let mut got = Vec::new();
        let mut values = (0..20).inspect(|_| {
            let _ = (sender.len(), sender.try_send(100));
            got.extend(receiver.try_iter());
        });
        assert_eq!(sender.send_many(&mut values), Ok(20));
        got.extend(receiver.try_iter());
        got.retain(|value| *value != 100);
        assert!(got.into_iter().eq(0..20), "capacity {capacity}");
    }
}

/// C36: A close with a place reserved: what is in comes out, the end follows at once, and what comes late goes back.
#[test]
fn a_close_does_not_wait_for_reserved_places() {
    let (sender, receiver) = bounded(2);
    let (counter, waker) = Counter::new();
    let permit = sender.reserve().unwrap();
    sender.try_send(1).unwrap();
    let (mut send, mut reserve) = (sender.send_async(2), sender.reserve_async());
    assert!(poll(&mut send, &waker).is_pending() && poll(&mut reserve, &waker).is_pending());
    sender.close();
    assert_eq!(counter.wakes(), 2);
    assert_eq!(receiver.recv(), Ok(1));
    assert_eq!(receiver.recv(), Err(RecvError));
    assert_eq!(permit.send(3), Err(SendError(3)));
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Err(SendError(2))));
    assert!(matches!(poll(&mut reserve, &waker), Poll::Ready(Err(SendError(())))));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
}

/// Both ends select, at one channel: each value passes once, and each place is used once.
#[test]
fn selections_on_both_ends() {
    for capacity in [1, 2, 3] {
        let (sender, receiver) = bounded(capacity);
        let sum = thread::scope(|scope| {
            let senders = [(); 2].map(|()| {
                scope.spawn(|| {
                    for value in 0..200 {
                        select! { send(sender, value) -> sent => sent.unwrap() }
                    }
                })
            });
            let receivers = [(); 2].map(|()| {
                scope.spawn(|| {
                    (0..200).map(|_| select! { recv(receiver) -> value => value.unwrap() }).sum()
                })
            });
            for it in senders {
                it.unwrap().join().unwrap();
            }
            receivers.map(|it| it.unwrap().join().unwrap()).iter().sum::<u32>()
        })
        .unwrap();
        assert_eq!(sum, 2 * (0..200).sum::<u32>(), "capacity {capacity}");
        assert!(receiver.is_empty() && !sender.is_full());
    }
}

/// C32, C41: The waker of a sender, whose value moves in, that uses the channel: nothing of ours is locked then.
#[test]
fn the_waker_of_a_sender_may_use_the_channel() {
    struct Reenters(Sender<u8>, Receiver<u8>);
    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            assert_eq!(self.0.try_send(9), Err(TrySendError::Full(9)));
            assert_eq!(self.1.try_recv(), Ok(2));
            self.0.close();
        }
    }
    let (sender, receiver) = bounded(1);
    let waker = Waker::from(Arc::new(Reenters(sender.clone(), receiver.clone())));
    sender.try_send(1).unwrap();
    let mut send = sender.send_async(2);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(receiver.try_recv(), Ok(1));
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())), "it was sent before the close");
    assert!(sender.is_closed() && sender.is_empty());
}

/// Though a task was told of it that nobody polls.
#[test]
fn what_is_there_when_the_time_is_up_is_received() {
    for capacity in [1, 8] {
        let (_, waker) = Counter::new();
        let (sender, receiver) = bounded(capacity);
        let mut told = receiver.recv_async();
        assert!(poll(&mut told, &waker).is_pending());
        let end = Instant::now() + Duration::from_secs(1);
        thread::scope(|scope| {
            let sleepers = Sleepers::default();
            let late = scope.spawn(sleepers.call(|| receiver.recv_deadline(end))).unwrap();
            // It comes to stand behind the task, and hears of nothing.
            eventually("it sleeps, or is late", || sleepers.are_asleep(1) || Instant::now() >= end);
            sender.send(7).unwrap();
            let in_time = Instant::now() < end;
            let received = late.join().unwrap();
            assert!(received == Ok(7) || !in_time, "{received:?}");
        })
        .unwrap();
    }
}
