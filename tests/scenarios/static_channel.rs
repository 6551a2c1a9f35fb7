//! List C, where it is about core's own channel. (Those of the adapter's are in `channel.rs`.)

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use aqueduct_core::channel::{Permit, SendError, StaticChannel, TryRecvError};

use crate::support::{Counter, poll};

type Channel<T, const N: usize> = StaticChannel<T, N>;

fn reserve<T, const N: usize>(channel: &Channel<T, N>) -> Permit<'_, Channel<T, N>> {
    match poll(&mut channel.reserve(), Waker::noop()) {
        Poll::Ready(permit) => permit.unwrap(),
        Poll::Pending => panic!("there is room"),
    }
}

/// C16: the channel is closed while a permit is alive and a sender sleeps behind it: the sender is told, and has its
/// value back; the permit's value goes in, or comes back if a receiver was told before.
#[test]
fn c16_close_while_a_permit_is_alive_and_a_sender_sleeps() {
    for received_first in [false, true] {
        let channel = Channel::<u8, 1>::new();
        let permit = reserve(&channel);
        let (counter, waker) = Counter::new();
        let mut send = channel.send(2);
        assert!(poll(&mut send, &waker).is_pending());
        channel.close();
        assert_eq!(counter.wakes(), 1);
        assert_eq!(poll(&mut send, &waker), Poll::Ready(Err(SendError(2))));
        if received_first {
            assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));
            assert_eq!(permit.send(1), Err(SendError(1)));
        } else {
            assert_eq!(permit.send(1), Ok(()));
            assert_eq!(channel.try_recv(), Ok(1));
        }
        assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));
    }
}

/// C20: a place that is reserved and given up, at every distance from the head, leaves no hole.
#[test]
fn c20_a_reserved_place_that_is_given_up_leaves_no_hole() {
    for given_up in 0..3 {
        let channel = Channel::<u8, 3>::new();
        for lap in 0..4 {
            let mut permits: Vec<_> = (0..3).map(|_| reserve(&channel)).collect();
            drop(permits.remove(given_up));
            for (value, permit) in permits.into_iter().enumerate() {
                assert_eq!(permit.send(value as u8), Ok(()), "lap {lap}");
            }
            assert_eq!([channel.try_recv(), channel.try_recv()], [Ok(0), Ok(1)]);
            assert_eq!(channel.try_recv(), Err(TryRecvError::Empty));
        }
    }
}

/// C37: whatever makes room wakes those who wait for room: a receive, a batch, a permit that is given up. And those who
/// wait for a place stand in the line of senders, not of receivers.
#[test]
fn c37_whatever_makes_room_wakes_a_sender() {
    type Room = fn(&Channel<u8, 2>, Permit<'_, Channel<u8, 2>>);
    let ways: [Room; 3] = [
        |channel, permit| {
            permit.send(1).unwrap();
            channel.try_recv().unwrap();
        },
        |channel, _keeps_it| assert_eq!(channel.try_recv_many(9, |_| ()), 1),
        |_, permit| drop(permit),
    ];
    for room in ways {
        let channel = Channel::new();
        let permit = reserve(&channel);
        channel.try_send(2).unwrap();
        let (counter, waker) = Counter::new();
        let mut waiting = channel.reserve();
        assert!(poll(&mut waiting, &waker).is_pending());
        room(&channel, permit);
        assert!(counter.wakes() > 0);
        assert!(poll(&mut waiting, &waker).is_ready());
    }
}

/// C27: a channel passes between threads if and only if its values may.
#[test]
fn c27_channels_are_send_and_sync_when_values_are_send() {
    fn may_cross<T: Send + Sync>() {}
    may_cross::<Channel<std::cell::Cell<u8>, 2>>();
    may_cross::<aqueduct_core::channel::Channel<std::cell::Cell<u8>>>();
    assert_not_impl!(StaticChannel<Rc<u8>, 2>: Send);
    assert_not_impl!(StaticChannel<Rc<u8>, 2>: Sync);
    assert_not_impl!(aqueduct_core::channel::Channel<Rc<u8>>: Send);
    assert_not_impl!(aqueduct_core::channel::Channel<Rc<u8>>: Sync);
    assert_not_impl!(aqueduct_core::channel::Send<'static, StaticChannel<Rc<u8>, 2>>: Send);
    assert_not_impl!(aqueduct_core::channel::Permit<'static, StaticChannel<Rc<u8>, 2>>: Send);
    assert_not_impl!(aqueduct_core::channel::Recv<'static, StaticChannel<Rc<u8>, 2>>: Send);
}

/// C34: A sink that is closed leaves the line, and passes on a turn that it had been given.
#[test]
fn a_sink_that_is_closed_leaves_the_line() {
    use futures_util::SinkExt;

    for has_its_turn in [false, true] {
        let channel = StaticChannel::<u8, 1>::new();
        channel.try_send(0).unwrap();
        let ((first, waker), (next, next_waker)) = (Counter::new(), Counter::new());
        let mut cx = Context::from_waker(&waker);
        let (mut sink, mut send) = (channel.sink(), channel.send(1));
        assert!(sink.poll_ready_unpin(&mut cx).is_pending());
        assert!(poll(&mut send, &next_waker).is_pending());
        if has_its_turn {
            assert_eq!(channel.try_recv(), Ok(0));
            assert_eq!((first.wakes(), next.wakes()), (1, 0));
        }
        assert_eq!(sink.poll_close_unpin(&mut cx), Poll::Ready(Ok(())));
        if !has_its_turn {
            assert_eq!(channel.try_recv(), Ok(0));
        }
        assert_eq!(next.wakes(), 1);
        assert_eq!(poll(&mut send, &next_waker), Poll::Ready(Ok(())));
        assert_eq!(channel.try_recv(), Ok(1));
    }
}
