//! Senders who are still to make their value, and stand in line for the right to send it: who meets them, who waits for them, and who
//! does not.

use crate::support::{Counter, FOR_EVER, poll};
use aqueduct::channel::{RecvCtxError, RecvTimeoutError, SendError, bounded};
use aqueduct::context::ContextError;
use aqueduct::park::{block_on, block_on_timeout};
use aqueduct::{Context, fan, select, thread};
use aqueduct_tests::bell::Bell;
use futures_util::future::join;
use futures_util::{StreamExt, stream};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

/// Cancels a context when it is woken.
struct Cancels(Context);

impl Wake for Cancels {
    fn wake(self: Arc<Self>) {
        self.0.cancel();
    }
}

/// A receiver that is lost to a panic, of the waker that it wakes, is promised nothing any more: the sender waits for the next one.
#[test]
fn a_promise_is_not_kept_to_a_receiver_that_is_lost() {
    let (sender, receiver) = bounded(0);
    let mut reserve = sender.reserve_async();
    assert!(poll(&mut reserve, &Bell::default().waker_that_panics()).is_pending());
    assert!(thread::catch(|| receiver.try_recv()).is_err());
    thread::scope(|scope| {
        let next = scope.spawn(|| receiver.recv_timeout(FOR_EVER)).unwrap();
        let sent = block_on(reserve).unwrap().send(7);
        if let Err(SendError(value)) = sent {
            sender.send(value).unwrap();
        }
        assert_eq!(next.join().unwrap(), Ok(7));
    })
    .unwrap();
}

/// A receive that took the thread while it waits for the sender, a task of the same thread, would never end.
#[test]
fn tasks_of_one_thread_meet_without_room() {
    let (sender, receiver) = bounded(0);
    let mut buffer = Vec::new();
    let receive = async {
        while buffer.len() < 5 {
            assert!(receiver.recv_many_async(&mut buffer, 3).await > 0);
        }
    };
    let (sent, ()) = block_on(join(sender.send_many_async(&mut (0..5)), receive));
    assert_eq!((sent, buffer), (Ok(5), vec![0, 1, 2, 3, 4]));

    for is_ordered in [false, true] {
        let (sender, receiver) = bounded(0);
        let merge = fan::merge([receiver]);
        let merge = if is_ordered { merge.ordered_by(u8::cmp) } else { merge };
        let values = stream::iter([1, 2, 3]).map(Ok);
        let forward = values.forward(sender.into_sink());
        let (sent, got) = block_on(join(forward, merge.into_stream().collect::<Vec<_>>()));
        assert_eq!((sent, got), (Ok(()), vec![1, 2, 3]));
    }
}

/// C32: Whoever has the right to send takes its time, here until the receive is over.
#[test]
fn a_receive_with_a_limit_waits_no_longer_for_a_promised_value() {
    let (_, waker) = Counter::new();
    let (sender, receiver) = bounded(0);
    let mut merge = fan::merge([receiver]);
    let mut reserve = sender.reserve_async();
    assert!(poll(&mut reserve, &waker).is_pending());
    let late = merge.recv_timeout(Duration::from_millis(1));
    assert_eq!(late, Err(RecvTimeoutError::Timeout));
    let Poll::Ready(Ok(permit)) = poll(&mut reserve, &waker) else {
        panic!("it was met before it was left")
    };
    permit.send(7).unwrap();
    assert_eq!(merge.recv(), Ok(7), "to the next, since a receiver had been promised");

    // What meets the reservation ends the context, so the receive is over before the value is made.
    let (sender, receiver) = bounded(0);
    let mut merge = fan::merge([receiver.clone()]);
    for merges in [false, true] {
        let context = Context::background();
        let mut reserve = sender.reserve_async();
        let cancels = Waker::from(Arc::new(Cancels(context.clone())));
        assert!(poll(&mut reserve, &cancels).is_pending());
        let received = match merges {
            false => receiver.recv_ctx(&context),
            true => merge.recv_ctx(&context),
        };
        assert_eq!(received, Err(RecvCtxError::Done(ContextError::Canceled)));
        let Poll::Ready(Ok(permit)) = poll(&mut reserve, &waker) else {
            panic!("it was met before it was left")
        };
        permit.send(7).unwrap();
        assert_eq!(receiver.recv(), Ok(7), "to the next, since a receiver had been promised");
    }
}

/// C34: A batch has its first value already: it asks nobody to make one more, and keeps their turn.
#[test]
fn a_batch_waits_for_one_promised_value_at_the_most() {
    let (_, waker) = Counter::new();
    let (sender, receiver) = bounded(0);
    let (mut first, mut second) = (sender.send_async(1), sender.send_async(2));
    let mut reserve = sender.reserve_async();
    let mut last = sender.send_async(3);
    assert!(poll(&mut first, &waker).is_pending() && poll(&mut second, &waker).is_pending());
    assert!(poll(&mut reserve, &waker).is_pending() && poll(&mut last, &waker).is_pending());
    let mut buffer = Vec::new();
    assert_eq!(receiver.recv_many(&mut buffer, 9), 2);
    assert!(poll(&mut reserve, &waker).is_pending(), "nobody has met it");
    drop(reserve);
    assert_eq!(receiver.recv_many(&mut buffer, 9), 1);
    assert_eq!(buffer, [1, 2, 3]);
}

/// A place that is granted when nothing is in makes what stands in line behind it receivable: whoever sleeps hears of it.
#[test]
fn a_receiver_does_not_sleep_beside_a_value_behind_a_reservation() {
    for is_late in [false, true] {
        let (sender, receiver) = bounded(1);
        let ((told, waker), (counter, next_waker)) = (Counter::new(), Counter::new());
        let (mut first, mut second) = (receiver.recv_async(), receiver.recv_async());
        assert!(
            poll(&mut first, &waker).is_pending() && poll(&mut second, &next_waker).is_pending()
        );
        sender.try_send(0).unwrap();
        assert_eq!((told.wakes(), counter.wakes()), (1, 0));
        let (mut reserve, mut send) = (sender.reserve_async(), sender.send_async(1));
        assert!(poll(&mut reserve, &waker).is_pending() && poll(&mut send, &waker).is_pending());
        assert_eq!(poll(&mut first, &waker), Poll::Ready(Ok(0)));
        let Poll::Ready(Ok(permit)) = poll(&mut reserve, &waker) else { panic!("it is its turn") };
        if is_late {
            assert_eq!(receiver.try_recv(), Ok(1), "one who has just come may have it");
        } else {
            assert_eq!(counter.wakes(), 1);
            assert_eq!(poll(&mut second, &next_waker), Poll::Ready(Ok(1)));
        }
        assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));
        permit.send(2).unwrap();
        assert_eq!(receiver.try_recv(), Ok(2));
    }
}

/// It has been chosen for one channel, and is in the way at no other: whoever is to make the value may wait there.
#[test]
fn a_selection_that_waits_for_a_promised_value_keeps_no_wake_up() {
    let woken = Context::background();
    let waker = Waker::from(Arc::new(Cancels(woken.clone())));
    let (out, results) = bounded(0);
    let (input, jobs) = bounded(8);
    let selector = aqueduct::thread::spawn({
        let jobs = jobs.clone();
        move || {
            select! {
                recv(results) -> result => result,
                recv(jobs) -> job => job,
            }
        }
    });
    // Once it stands at both.
    let permit = loop {
        match out.try_reserve() {
            Ok(permit) => break permit,
            Err(_) => std::thread::yield_now(),
        }
    };
    let mut job = jobs.recv_async();
    assert!(poll(&mut job, &waker).is_pending());
    input.send(6).unwrap();
    let is_woken = block_on_timeout(pin!(woken.done()), FOR_EVER).is_some();
    assert!(is_woken, "the selection was told of the job, and will not take it");
    assert_eq!(poll(&mut job, &waker), Poll::Ready(Ok(6)));
    permit.send(42).unwrap();
    assert_eq!(selector.unwrap().join().unwrap(), Ok(42));
}

/// The promise is broken: the selection begins again, and then sees what else there is.
#[test]
fn a_selection_whose_promise_is_broken_chooses_again() {
    let (out, results) = bounded::<u8>(0);
    let (input, jobs) = bounded(8);
    let selector = aqueduct::thread::spawn(move || {
        select! {
            recv(results) -> result => result,
            recv(jobs) -> job => job,
        }
    });
    for _ in 0..3 {
        // Once it stands at both, again and again.
        while out.try_reserve().is_err() {
            std::thread::yield_now();
        }
    }
    input.send(6).unwrap();
    assert_eq!(selector.unwrap().join().unwrap(), Ok(6));
}

/// A task promises a value, breaks the promise, and stands in line again, each time before anybody else looks.
#[test]
fn promises_that_are_broken_for_ever_hold_up_nobody() {
    let (sender, receiver) = bounded::<u8>(0);
    let end = Context::background();
    let over = end.clone();
    let breaks = aqueduct::thread::spawn(move || {
        block_on(async {
            while !over.is_done() {
                let mut reserve = sender.reserve_async();
                drop(futures_util::future::select(&mut reserve, pin!(over.done())).await);
            }
        });
    });
    for _ in 0..50 {
        assert!(receiver.try_recv().is_err());
        select! {
            recv(receiver) -> value => panic!("{value:?}"),
            default => {}
        }
        let set = select! {
            recv(receiver) -> value => value.is_ok(),
            default(Duration::from_millis(1)) => false,
        };
        assert!(!set);
    }
    end.cancel();
    breaks.unwrap().join().unwrap();
}
