//! Permits, weak handles, batches, and what async code does with a channel.

use crate::support::{Counter, poll};
use aqueduct::channel::{SendError, TryRecvError, bounded};
use aqueduct::park::block_on;
use aqueduct::{Context, thread};
use std::pin::pin;
use std::task::{self, Poll};
use std::time::Duration;

/// C34: A permit that is dropped gives its place to the next; a reservation that is dropped in line, its turn.
#[test]
fn permits_that_are_not_used_are_the_next_ones() {
    for capacity in [1, 3] {
        let (sender, receiver) = bounded(capacity);
        let (counter, waker) = Counter::new();
        let _kept: Vec<_> = (1..capacity).map(|_| sender.reserve().unwrap()).collect();
        let permit = sender.reserve().unwrap();
        let (mut reserve, mut send) = (sender.reserve_async(), sender.send_async(2));
        assert!(poll(&mut reserve, &waker).is_pending());
        assert!(poll(&mut send, &waker).is_pending());
        assert!(sender.try_reserve().unwrap_err().is_full());
        drop(permit);
        assert_eq!(counter.wakes(), 1);
        drop(reserve);
        assert_eq!(counter.wakes(), 2);
        assert_eq!(poll(&mut send, &waker), Poll::Ready(Ok(())));
        assert!(sender.reserve_timeout(Duration::ZERO).unwrap_err().is_timeout());
        assert!(sender.reserve_ctx(&Context::background().with_timeout(Duration::ZERO)).is_err());
        assert_eq!(receiver.recv(), Ok(2));
        let permit = block_on(sender.reserve_async()).unwrap();
        sender.close();
        assert_eq!(
            receiver.try_recv(),
            Err(TryRecvError::Disconnected),
            "an open place is no value"
        );
        assert_eq!(permit.send(3), Err(SendError(3)));
        assert!(sender.reserve().is_err());
        assert!(sender.reserve_timeout(Duration::MAX).unwrap_err().is_disconnected());
    }
}

/// C32: What a batch could not send comes back: one value in the error, the rest where it was.
#[test]
fn a_batch_that_meets_the_close_loses_nothing() {
    for capacity in [0, 1, 3] {
        let (sender, receiver) = bounded(capacity);
        let producer = thread::spawn(move || {
            let mut values = (0..100).collect::<Vec<_>>().into_iter();
            let refused = sender.send_many(&mut values).unwrap_err();
            (refused.into_inner(), values.collect::<Vec<_>>())
        });
        let mut got: Vec<i32> = receiver.iter().take(40).collect();
        receiver.close();
        got.extend(receiver.iter());
        let (refused, rest) = producer.unwrap().join().unwrap();
        got.push(refused);
        got.extend(rest);
        assert!(got.into_iter().eq(0..100), "capacity {capacity}");
    }
    let (sender, _receiver) = bounded(3);
    assert_eq!(sender.send_many(&mut [1, 2, 3].into_iter()), Ok(3));
}

/// Weak handles keep nothing open, and nothing alive.
#[test]
fn weak_handles_keep_nothing() {
    for capacity in [0, 1] {
        let (sender, receiver) = bounded::<u8>(capacity);
        let (weak_sender, weak_receiver) = (sender.downgrade(), receiver.downgrade().clone());
        assert_eq!(format!("{weak_sender:?}"), "WeakSender { handles: 1, .. }");
        let upgraded = weak_sender.upgrade().unwrap();
        assert!(upgraded.same_channel(&sender) && upgraded.sender_count() == 2);
        drop((sender, upgraded));
        assert!(weak_sender.upgrade().is_none() && receiver.is_closed());
        assert!(weak_receiver.upgrade().unwrap().same_channel(&receiver));
        drop(receiver);
        assert!(weak_receiver.upgrade().is_none());
    }
}

/// Async callers select with what their runtime has: the futures of a channel may be dropped in any state, and nothing is lost.
#[test]
fn futures_lose_nothing_in_the_selection_of_a_runtime() {
    use futures_util::future::{self, Either};
    const VALUES: usize = 2000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    for capacity in [0, 1, 4] {
        let (channels, receivers): (Vec<_>, Vec<_>) = (0..2).map(|_| bounded(capacity)).unzip();
        let (answers, answered) = bounded(capacity);
        let relay = runtime.spawn(async move {
            loop {
                // The one that loses is dropped, woken or not.
                let [one, two] = [0, 1].map(|nth| receivers[nth].recv_async());
                match future::select(one, two).await.factor_first().0 {
                    Ok(value) => answers.send_async(value).await.unwrap(),
                    Err(_) => break,
                }
            }
            // One of the two has ended; what is in the other follows.
            for receiver in receivers {
                while let Ok(value) = receiver.recv_async().await {
                    answers.send_async(value).await.unwrap();
                }
            }
        });
        let producers: Vec<_> = channels
            .into_iter()
            .enumerate()
            .map(|(nth, sender)| {
                runtime.spawn(async move {
                    for mut value in (nth..VALUES).step_by(2) {
                        // Given up, and tried again, unless it was taken at the last moment.
                        loop {
                            let send = sender.send_async(value);
                            let moment = pin!(tokio::task::yield_now());
                            match future::select(send, moment).await {
                                Either::Left((sent, _)) => break sent.unwrap(),
                                Either::Right(((), send)) => match send.into_value() {
                                    Some(back) => value = back,
                                    None => break,
                                },
                            }
                        }
                    }
                })
            })
            .collect();
        let mut got: Vec<_> = answered.iter().collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..VALUES), "capacity {capacity}");
        producers.into_iter().for_each(|it| runtime.block_on(it).unwrap());
        runtime.block_on(relay).unwrap();
    }
}

/// A task sends what it reserved, a thread receives, through a stream and a sink.
#[test]
fn streams_and_sinks() {
    use futures_util::{SinkExt, StreamExt, stream};
    for capacity in [0, 1, 3] {
        let (sender, receiver) = bounded(capacity);
        let producer = thread::spawn(move || {
            let mut sink = sender.sink();
            block_on(sink.send_all(&mut stream::iter(0..100).map(Ok))).unwrap();
            assert!(format!("{sink:?}").starts_with("SendSink"));
            block_on(sink.close()).unwrap();
            assert!(!sender.is_closed(), "the sink is closed, not the channel");
        });
        let got = block_on(receiver.stream().collect::<Vec<_>>());
        assert!(got.into_iter().eq(0..100));
        producer.unwrap().join().unwrap();
        let mut ended = receiver.stream();
        assert_eq!(block_on(ended.next()), None);
        assert!(futures_util::stream::FusedStream::is_terminated(&ended));
    }
    let (sender, receiver) = bounded(1);
    drop(receiver);
    let mut sink = sender.sink();
    assert_eq!(block_on(sink.feed(7)), Err(SendError(None)));
}

/// A stream and a sink with their handles inside: the end of one is the end of its handle.
#[test]
fn streams_and_sinks_that_own_their_handles() {
    use futures_util::{FutureExt, SinkExt, StreamExt, stream};
    for capacity in [0, 1, 3] {
        let (sender, receiver) = bounded(capacity);
        let others = receiver.downgrade();
        let mut sink = sender.into_sink();
        let producer = thread::spawn(move || {
            block_on(sink.send_all(&mut stream::iter(0..100).map(Ok))).unwrap();
            block_on(sink.close()).unwrap();
            assert_eq!(block_on(sink.feed(7)), Err(SendError(None)), "its handle is gone");
        });
        let mut values = receiver.into_stream();
        let got = block_on(values.by_ref().collect::<Vec<_>>());
        assert!(got.into_iter().eq(0..100));
        assert!(futures_util::stream::FusedStream::is_terminated(&values));
        producer.unwrap().join().unwrap();
        assert!(others.upgrade().is_some());
        drop(values);
        assert!(others.upgrade().is_none());
    }
    let (sender, receiver) = bounded(1);
    let (mut sink, mut values) = (sender.clone().into_sink(), receiver.into_stream());
    assert_eq!(values.next().now_or_never(), None);
    block_on(sink.feed(1)).unwrap();
    assert_eq!(sink.feed(2).now_or_never(), None, "full, and what was asked for is given up");
    assert_eq!(block_on(values.next()), Some(1));
    block_on(sink.feed(3)).unwrap();
    drop(values);
    assert_eq!(block_on(sink.feed(4)), Err(SendError(None)));
    assert!(sender.is_closed());
}

/// C34: A sink that is closed leaves the line, and passes on a turn that it had been given: nobody waits for it, and no place is
/// missing.
#[test]
fn a_sink_that_is_closed_leaves_the_line() {
    use futures_util::SinkExt;

    for capacity in [1, 3] {
        for has_its_turn in [false, true] {
            let (sender, receiver) = bounded(capacity);
            for _ in 0..capacity {
                sender.try_send(0).unwrap();
            }
            let ((first, waker), (next, next_waker)) = (Counter::new(), Counter::new());
            let mut cx = task::Context::from_waker(&waker);
            let (mut sink, mut send) = (sender.sink(), sender.send_async(1));
            assert!(sink.poll_ready_unpin(&mut cx).is_pending());
            assert!(poll(&mut send, &next_waker).is_pending());
            if has_its_turn {
                assert_eq!(receiver.try_recv(), Ok(0));
                assert_eq!((first.wakes(), next.wakes()), (1, 0));
            }
            assert_eq!(sink.poll_close_unpin(&mut cx), Poll::Ready(Ok(())));
            if !has_its_turn {
                assert_eq!(receiver.try_recv(), Ok(0));
            }
            assert_eq!(next.wakes(), 1, "capacity {capacity}");
            assert_eq!(poll(&mut send, &next_waker), Poll::Ready(Ok(())));
            assert_eq!(receiver.try_iter().count(), capacity);
            for _ in 0..capacity {
                sender.try_send(2).expect("all places are free");
            }
        }
    }
}

/// A waker that panics when it is dropped panics in whoever polls, and does no harm to a stream that owns its handle.
#[test]
fn an_owned_stream_outlives_the_panic_of_a_waker() {
    use futures_util::StreamExt;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    struct PanicsAtTheEnd;

    impl Wake for PanicsAtTheEnd {
        fn wake(self: Arc<Self>) {
            std::mem::forget(self);
        }
    }

    impl Drop for PanicsAtTheEnd {
        fn drop(&mut self) {
            panic!("the last of this waker");
        }
    }

    let (sender, receiver) = bounded(1);
    let mut values = receiver.into_stream();
    let (counter, waker) = Counter::new();
    let poll_with = |values: &mut _, waker: Waker| poll(&mut StreamExt::next(values), &waker);
    let fragile = Waker::from(Arc::new(PanicsAtTheEnd));
    assert!(poll(&mut values.next(), &fragile).is_pending());
    // The stream holds the last one now, and drops it for the next waker.
    drop(fragile);
    let replaced = catch_unwind(AssertUnwindSafe(|| poll_with(&mut values, waker.clone())));
    assert!(replaced.is_err());
    assert!(poll_with(&mut values, waker.clone()).is_pending());
    sender.send(7).unwrap();
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll_with(&mut values, waker), Poll::Ready(Some(7)));
}
