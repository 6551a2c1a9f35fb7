//! A channel without room: a send meets a receive, and who goes early loses nothing.

use crate::support::{Counter, Drops, eventually, poll};
use aqueduct::channel::{
    self, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    bounded,
};
use aqueduct::park::block_on;
use aqueduct::{Context, select, thread};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

/// It never has room, and never holds anything, as crossbeam-channel has it.
#[test]
fn it_is_full_and_empty() {
    let (sender, receiver) = bounded::<u8>(0);
    assert_eq!((sender.capacity(), sender.len()), (Some(0), 0));
    assert!(sender.is_full() && sender.is_empty() && receiver.is_full() && receiver.is_empty());
    assert_eq!(format!("{receiver:?}"), "Receiver { len: 0, capacity: 0, closed: false, .. }");
}

/// C31: A send returns when a receiver has the value, and not before.
#[test]
fn a_send_returns_when_a_receiver_has_the_value() {
    let (sender, receiver) = bounded(0);
    let (counter, waker) = Counter::new();
    let mut send = sender.send_async("a");
    assert!(poll(&mut send, &waker).is_pending());
    assert!(poll(&mut send, &waker).is_pending(), "nobody has come");
    assert_eq!(receiver.try_recv(), Ok("a"));
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));

    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    let mut send = sender.send_async("b");
    assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())), "somebody waits for it");
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok("b")));
}

/// Without a counterpart, nothing that does not wait goes on.
#[test]
fn what_does_not_wait_needs_a_counterpart() {
    let (sender, receiver) = bounded(0);
    assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(sender.force_send(2), Ok(Some(2)), "nothing is there to be displaced");
    assert!(sender.try_reserve().unwrap_err().is_full());
    let (_, waker) = Counter::new();
    let [mut one, mut two, mut three] = [(); 3].map(|()| receiver.recv_async());
    for receive in [&mut one, &mut two, &mut three] {
        assert!(poll(receive, &waker).is_pending());
    }
    assert_eq!(sender.try_send(1), Ok(()));
    assert_eq!(sender.force_send(2), Ok(None));
    sender.try_reserve().unwrap().send(3).unwrap();
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    for (receive, value) in [(&mut one, 1), (&mut two, 2), (&mut three, 3)] {
        assert_eq!(poll(receive, &waker), Poll::Ready(Ok(value)), "first come, first served");
    }
}

/// C13: The longest durations do not overflow, and the shortest do not wait.
#[test]
fn the_longest_and_the_shortest_timeouts() {
    let (sender, receiver) = bounded(0);
    let context = Context::background().with_timeout(Duration::ZERO);
    assert_eq!(sender.send_timeout(1, Duration::ZERO), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(sender.send_deadline(1, Instant::now()), Err(SendTimeoutError::Timeout(1)));
    assert_eq!(sender.send_ctx(&context, 1).unwrap_err().into_inner(), 1);
    assert_eq!(receiver.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    assert_eq!(receiver.recv_deadline(Instant::now()), Err(RecvTimeoutError::Timeout));
    assert!(receiver.recv_ctx(&context).is_err());
    assert!(sender.reserve_timeout(Duration::ZERO).unwrap_err().is_timeout());
    assert!(sender.reserve_deadline(Instant::now()).unwrap_err().is_timeout());
    assert!(sender.reserve_ctx(&context).is_err());
    let waiting = thread::spawn(move || receiver.recv_timeout(Duration::MAX)).unwrap();
    assert_eq!(sender.send_timeout(4, Duration::MAX), Ok(()));
    assert_eq!(waiting.join().unwrap(), Ok(4));
}

/// C31, C32: A value that was handed to a receive that is dropped instead of polled goes to the next, before anything that
/// comes later.
#[test]
fn a_value_handed_to_a_dropped_receive_goes_to_the_next() {
    let (sender, receiver) = bounded(0);
    let ((_, waker), (next, next_waker)) = (Counter::new(), Counter::new());
    let [mut dropped, mut other] = [(); 2].map(|()| receiver.recv_async());
    assert!(poll(&mut dropped, &waker).is_pending());
    assert!(poll(&mut other, &next_waker).is_pending());
    sender.try_send(1).unwrap();
    assert_eq!(next.wakes(), 0);
    drop(dropped);
    assert_eq!(next.wakes(), 1);
    assert_eq!(poll(&mut other, &next_waker), Poll::Ready(Ok(1)));

    // With nobody in line, for whoever comes: in the order in which they were handed over.
    let receives = [(); 3].map(|()| {
        let mut receive = receiver.recv_async();
        assert!(poll(&mut receive, &waker).is_pending());
        receive
    });
    for value in [2, 3, 4] {
        sender.try_send(value).unwrap();
    }
    let [first, second, third] = receives;
    drop((second, third, first));
    let mut late = sender.send_async(5);
    assert!(poll(&mut late, &waker).is_pending(), "what was received already comes first");
    sender.close();
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [2, 3, 4], "a close does not lose it");
    assert_eq!(poll(&mut late, &waker), Poll::Ready(Err(SendError(5))));
}

/// C32: A receive that timed out at the very moment in which it was handed a value has received it: the sender was told so. Here
/// the moment is made by hand: a selection that ends.
#[test]
fn a_late_value_is_in_one_place_only() {
    let (sender, receiver) = bounded(0);
    let (_, waker) = Counter::new();
    let mut send = sender.send_async(1);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(send.into_value(), Some(1), "given up before anybody came");
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    let mut send = sender.send_async(2);
    assert!(poll(&mut send, &waker).is_pending());
    assert_eq!(receiver.recv(), Ok(2));
    assert_eq!(send.into_value(), None, "taken, though no poll has seen it");
}

/// C34: A send in line that is dropped takes its value with it, and the next is met.
#[test]
fn a_send_dropped_in_line_leaves_its_turn_to_the_next() {
    let drops = Drops::default();
    let (sender, receiver) = bounded(0);
    let (_, waker) = Counter::new();
    let [mut dropped, mut forgotten, mut last] = [(); 3].map(|()| sender.send_async(drops.item()));
    for send in [&mut dropped, &mut forgotten, &mut last] {
        assert!(poll(send, &waker).is_pending());
    }
    drop(dropped);
    assert_eq!(drops.count(), 1);
    // C29: What was forgotten in line is a value in line.
    std::mem::forget(forgotten);
    drop(receiver.recv());
    drop(receiver.recv());
    assert_eq!(drops.count(), 3);
    assert!(matches!(poll(&mut last, &waker), Poll::Ready(Ok(()))));
    assert!(receiver.try_recv().is_err());
}

/// C34, R32: Close while both sides have slept: senders have their values back, receivers are told.
#[test]
fn a_close_tells_everybody() {
    let (sender, receiver) = bounded(0);
    let (counter, waker) = Counter::new();
    let [mut one, mut two] = ['a', 'b'].map(|value| sender.send_async(value));
    let mut reserve = sender.reserve_async();
    assert!(poll(&mut one, &waker).is_pending() && poll(&mut two, &waker).is_pending());
    assert!(poll(&mut reserve, &waker).is_pending());
    assert!(receiver.close());
    assert_eq!(counter.wakes(), 3);
    assert_eq!(receiver.recv(), Err(RecvError), "what had not been met has not been sent");
    assert_eq!(poll(&mut one, &waker), Poll::Ready(Err(SendError('a'))));
    assert_eq!(two.into_value(), Some('b'));
    assert!(matches!(poll(&mut reserve, &waker), Poll::Ready(Err(SendError(())))));
    assert_eq!(sender.send('c'), Err(SendError('c')));
    assert!(sender.force_send('d').is_err() && !sender.close());

    let (sender, receiver) = bounded::<u8>(0);
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    drop(sender);
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Err(RecvError)));
}

/// A permit is a receiver, who waits for what comes. If he goes, the value is the next one's; if it never comes, he gets
/// another.
#[test]
fn a_permit_is_a_receiver_who_waits() {
    let (sender, receiver) = bounded(0);
    let (counter, waker) = Counter::new();
    let mut reserve = sender.reserve_async();
    assert!(poll(&mut reserve, &waker).is_pending());
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending(), "the value is still to be made");
    let Poll::Ready(Ok(permit)) = poll(&mut reserve, &waker) else { panic!("a receiver is there") };
    let woken = counter.wakes();
    permit.send(1).unwrap();
    assert_eq!(counter.wakes(), woken + 1);
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok(1)));

    // He goes.
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    let permit = sender.try_reserve().unwrap();
    drop(receive);
    permit.send(2).unwrap();
    assert_eq!(receiver.try_recv(), Ok(2));

    // He goes, and it is closed: the value comes back.
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    let permit = sender.try_reserve().unwrap();
    drop(receive);
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    let kept = sender.try_reserve().unwrap();
    sender.close();
    assert_eq!(permit.send(3), Err(SendError(3)));
    assert!(poll(&mut receive, &waker).is_pending(), "they met before the close");
    assert_eq!(kept.send(4), Ok(()));
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok(4)));

    // The value is never made.
    let (sender, receiver) = bounded(0);
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    let permit = sender.try_reserve().unwrap();
    let mut send = sender.send_async(5);
    assert!(poll(&mut send, &waker).is_pending(), "he waits for another");
    let woken = counter.wakes();
    drop(permit);
    assert_eq!(counter.wakes(), woken + 1);
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok(5)));
    // A reservation that is dropped after a receiver has asked for it.
    let mut reserve = sender.reserve_async();
    assert!(poll(&mut reserve, &waker).is_pending());
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    drop(reserve);
    assert!(poll(&mut receive, &waker).is_pending(), "starts again");
    assert_eq!(sender.try_send(6), Ok(()));
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok(6)));
}

/// C35: A batch takes one and what else there is; a receive that is dropped drops its waker.
#[test]
fn batches_and_wakers() {
    let (sender, receiver) = bounded(0);
    let (counter, waker) = Counter::new();
    let mut sends = [1, 2, 3].map(|value| sender.send_async(value));
    assert!(sends.iter_mut().all(|send| poll(send, &waker).is_pending()));
    let mut buffer = vec![0];
    assert_eq!(receiver.recv_many(&mut buffer, 0), 0);
    assert_eq!(receiver.recv_many(&mut buffer, 2), 2);
    assert_eq!(receiver.recv_many(&mut buffer, usize::MAX), 1);
    sender.close();
    assert_eq!(receiver.recv_many(&mut buffer, usize::MAX), 0);
    assert_eq!(buffer, [0, 1, 2, 3]);

    let (sender, receiver) = bounded::<u8>(0);
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    std::mem::forget(sender);
    drop((receive, sends, waker));
    assert_eq!(Arc::strong_count(&counter), 1);
}

/// C32, C41: Wakers, and destructors of values, that use the channel they belong to: nothing of ours is locked then.
#[test]
fn wakers_and_destructors_may_use_the_channel() {
    struct Reenters(channel::Sender<u8>, channel::Receiver<u8>);
    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            let _ = (self.0.try_send(2), self.1.try_recv());
            self.0.close();
        }
    }
    let (sender, receiver) = bounded(0);
    let waker = Waker::from(Arc::new(Reenters(sender.clone(), receiver.clone())));
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, &waker).is_pending());
    sender.try_send(1).unwrap();
    assert!(sender.is_closed());
    assert_eq!(poll(&mut receive, &waker), Poll::Ready(Ok(1)));

    struct SendsWhenDropped(Option<channel::Sender<Self>>);
    impl Drop for SendsWhenDropped {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                assert!(sender.try_send(Self(None)).is_err());
            }
        }
    }
    let (sender, receiver) = bounded(0);
    let mut send = sender.send_async(SendsWhenDropped(Some(sender.clone())));
    assert!(poll(&mut send, Waker::noop()).is_pending());
    drop(send);
    // Handed over, and dropped with the last receiver.
    let mut receive = receiver.recv_async();
    assert!(poll(&mut receive, Waker::noop()).is_pending());
    sender.try_send(SendsWhenDropped(Some(sender.clone()))).ok().unwrap();
    drop(receive);
    drop(receiver);
    assert_eq!(sender.sender_count(), 1);
}

/// C41: A waker that panics: its receiver has the value, and the channel goes on.
#[test]
fn a_waker_that_panics_does_not_keep_the_rest() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let (sender, receiver) = bounded(0);
    let (counter, waker) = Counter::new();
    let [mut one, mut two] = [(); 2].map(|()| receiver.recv_async());
    assert!(poll(&mut one, &Waker::from(Arc::new(Bomb))).is_pending());
    assert!(poll(&mut two, &waker).is_pending());
    assert!(thread::catch(|| sender.try_send(1)).is_err());
    assert_eq!(poll(&mut one, &waker), Poll::Ready(Ok(1)));
    assert!(poll(&mut one, &Waker::from(Arc::new(Bomb))).is_pending());
    assert!(thread::catch(|| sender.close()).is_err());
    assert_eq!(counter.wakes(), 1, "the other is woken all the same");
    assert_eq!(poll(&mut two, &waker), Poll::Ready(Err(RecvError)));
}

/// C09, C10, R24: Sends race with the drop of the last receiver: every value is dropped once, none is left.
#[test]
fn a_send_that_races_with_the_last_receiver_leaves_nothing_behind() {
    for round in 0..200 {
        let drops = Drops::default();
        let (sender, receiver) = bounded(0);
        let made = thread::scope(|scope| {
            let producers = [(); 2].map(|()| {
                scope.spawn(|| {
                    let mut made = 1;
                    while sender.send(drops.item()).is_ok() {
                        made += 1;
                    }
                    made
                })
            });
            for _ in 0..round % 5 {
                drop(receiver.recv());
            }
            // A receive that gives up, with or without a value in its place.
            let mut early = receiver.recv_async();
            let _ = poll(&mut early, Waker::noop());
            drop(early);
            drop(receiver);
            producers.map(|producer| producer.unwrap().join().unwrap())
        })
        .unwrap();
        assert_eq!(drops.count(), made.iter().sum::<usize>());
    }
}

/// Threads, tasks, selections and contexts on both ends of one channel.
#[test]
fn threads_tasks_and_selections_meet() {
    let (sender, receiver) = bounded(0);
    let context = Context::background();
    type Way = fn(&channel::Receiver<u32>, &Context) -> Option<u32>;
    let ways: [Way; 4] = [
        |receiver, _| receiver.recv().ok(),
        |receiver, context| receiver.recv_ctx(context).ok(),
        |receiver, _| block_on(receiver.recv_async()).ok(),
        |receiver, context| {
            select! {
                recv(receiver) -> value => value.ok(),
                done(context) => None,
            }
        },
    ];
    let receivers = ways.map(|way| {
        let (receiver, context) = (receiver.clone(), context.clone());
        thread::spawn(move || std::iter::from_fn(|| way(&receiver, &context)).sum::<u32>()).unwrap()
    });
    for value in 0..400 {
        match value % 4 {
            0 => sender.send(1).unwrap(),
            1 => sender.send_ctx(&context, 1).unwrap(),
            2 => block_on(sender.send_async(1)).unwrap(),
            _ => select! { send(sender, 1) -> sent => sent.unwrap() },
        }
    }
    sender.close();
    let received = receivers.map(|receiver| receiver.join().unwrap());
    assert_eq!(received.iter().sum::<u32>(), 400);
}

/// A `try_recv` that meets a selection waits until that one has made its value, and only for that.
#[test]
fn a_try_that_meets_a_selection_gets_its_value() {
    let (sender, receiver) = bounded(0);
    let selects = thread::spawn(move || {
        select! { send(sender, 7) -> sent => sent }
    });
    let mut got = None;
    eventually("the selection stands in line", || {
        got = receiver.try_recv().ok();
        got.is_some()
    });
    assert_eq!(got, Some(7));
    assert_eq!(selects.unwrap().join().unwrap(), Ok(()));
}

/// 10,000 futures wait on each side of each kind of channel: each is served once, in order, and a cancelled one costs nobody anything.
#[test]
fn ten_thousand_wait_on_one_channel() {
    const MANY: usize = 10_000;
    for capacity in [0, 1, 3] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let mut receives: Vec<_> = (0..MANY).map(|_| Some(receiver.recv_async())).collect();
        for receive in receives.iter_mut().flatten() {
            assert!(poll(receive, &waker).is_pending());
        }
        for nth in (0..MANY).step_by(2) {
            receives[nth] = None;
        }
        for (nth, receive) in receives.into_iter().flatten().enumerate() {
            sender.try_send(nth).unwrap();
            assert_eq!(counter.wakes(), nth + 1);
            assert_eq!(poll(&mut { receive }, &waker), Poll::Ready(Ok(nth)));
        }
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));

        for filler in 0..capacity {
            sender.try_send(filler).unwrap();
        }
        let mut sends: Vec<_> = (capacity..MANY).map(|nth| sender.send_async(nth)).collect();
        for send in &mut sends {
            assert!(poll(send, &waker).is_pending());
        }
        for nth in 0..MANY {
            assert_eq!(receiver.try_recv(), Ok(nth));
            if let Some(send) = sends.get_mut(nth) {
                assert_eq!(poll(send, &waker), Poll::Ready(Ok(())));
            }
        }
    }
}

/// A value that was handed over and not looked at may come after the end; a loop that has seen the end stays there.
#[test]
fn a_loop_that_has_ended_does_not_begin_again() {
    let (_, waker) = Counter::new();
    let (sender, receiver) = bounded(0);
    let mut receiving = Box::pin(receiver.recv_async());
    assert!(poll(&mut receiving, &waker).is_pending());
    sender.try_send(1).unwrap();
    drop(sender);
    let (mut iter, mut owned) = (receiver.iter(), receiver.clone().into_iter());
    assert_eq!((iter.next(), owned.next()), (None, None));
    drop(receiving);
    assert_eq!((iter.next(), owned.next()), (None, None));
    assert_eq!(receiver.recv(), Ok(1), "it is not lost");
}
