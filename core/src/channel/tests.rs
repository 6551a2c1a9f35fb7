extern crate std;

use super::*;
use core::future::Future;
use core::pin::Pin;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Wake;
use std::vec::Vec;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A task: a waker that counts, and a way to poll with it.
#[derive(Default)]
struct Task(Arc<Count>);

impl Task {
    fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(self.0.clone());
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn poll_ready(&self, poll: impl FnOnce(&mut Context<'_>) -> Poll<()>) -> Poll<()> {
        let waker = Waker::from(self.0.clone());
        poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.0.0.load(Ordering::Relaxed)
    }
}

/// C28
#[test]
fn two_sleeping_receivers_and_two_sends_wake_both() {
    let channel = StaticChannel::<u8, 4>::new();
    let (one, two) = (Task::default(), Task::default());
    let (mut first, mut second) = (channel.recv(), channel.recv());
    assert!(one.poll(&mut first).is_pending());
    assert!(two.poll(&mut second).is_pending());
    channel.try_send(1).unwrap();
    channel.try_send(2).unwrap();
    assert_eq!((one.wakes(), two.wakes()), (1, 1));
    assert_eq!(one.poll(&mut first), Poll::Ready(Ok(1)));
    assert_eq!(two.poll(&mut second), Poll::Ready(Ok(2)));
}

/// C31, C33, C34
#[test]
fn a_receiver_that_is_dropped_after_its_wake_up_passes_it_on() {
    let channel = StaticChannel::<u8, 4>::new();
    let (one, two) = (Task::default(), Task::default());
    let (mut first, mut second) = (channel.recv(), channel.recv());
    assert!(one.poll(&mut first).is_pending());
    assert!(two.poll(&mut second).is_pending());
    channel.try_send(1).unwrap();
    assert_eq!((one.wakes(), two.wakes()), (1, 0));
    drop(first);
    assert_eq!(two.wakes(), 1);
    assert_eq!(two.poll(&mut second), Poll::Ready(Ok(1)));
}

#[test]
fn a_sender_waits_for_room_and_is_woken_by_it() {
    let channel = StaticChannel::<u8, 1>::new();
    let task = Task::default();
    channel.try_send(1).unwrap();
    let mut send = channel.send(2);
    assert!(task.poll(&mut send).is_pending());
    assert_eq!(channel.try_recv(), Ok(1));
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.poll(&mut send), Poll::Ready(Ok(())));
    assert_eq!(channel.try_recv(), Ok(2));
}

#[test]
fn a_sender_that_gives_up_has_its_value_back() {
    let channel = StaticChannel::<u8, 1>::new();
    channel.try_send(1).unwrap();
    let mut send = channel.send(2);
    assert!(Task::default().poll(&mut send).is_pending());
    assert_eq!(send.into_value(), Some(2));
    assert_eq!((channel.try_recv(), channel.try_recv()), (Ok(1), Err(TryRecvError::Empty)));
}

#[test]
fn closing_wakes_everybody_and_loses_nothing() {
    let channel = StaticChannel::<u8, 1>::new();
    let (sender, receiver) = (Task::default(), Task::default());
    channel.try_send(1).unwrap();
    let mut send = channel.send(2);
    assert!(sender.poll(&mut send).is_pending());
    assert!(channel.close());
    assert!(!channel.close());
    assert_eq!(sender.wakes(), 1);
    assert_eq!(sender.poll(&mut send), Poll::Ready(Err(SendError(2))));
    assert_eq!(channel.try_send(3), Err(TrySendError::Closed(3)));
    assert_eq!(channel.force_send(3).unwrap_err().value, 3);
    assert!(matches!(receiver.poll(&mut channel.reserve()), Poll::Ready(Err(ReserveError))));
    assert_eq!(receiver.poll(&mut channel.recv()), Poll::Ready(Ok(1)));
    assert_eq!(receiver.poll(&mut channel.recv()), Poll::Ready(Err(RecvError)));
    assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));

    let channel = StaticChannel::<u8, 1>::new();
    let mut recv = channel.recv();
    assert!(receiver.poll(&mut recv).is_pending());
    channel.close();
    assert_eq!(receiver.wakes(), 1);
    assert_eq!(receiver.poll(&mut recv), Poll::Ready(Err(RecvError)));
}

fn reserve<C: AnyChannel>(mut reserve: Reserve<'_, C>) -> Permit<'_, C> {
    match Task::default().poll(&mut reserve) {
        Poll::Ready(permit) => permit.unwrap(),
        Poll::Pending => panic!("there is room"),
    }
}

#[test]
fn a_permit_is_a_place_in_line() {
    let channel = StaticChannel::<u8, 3>::new();
    let permit = reserve(channel.reserve());
    channel.try_send(2).unwrap();
    assert_eq!(channel.len(), 2);
    permit.send(1).unwrap();
    assert_eq!((channel.try_recv(), channel.try_recv()), (Ok(1), Ok(2)));
}

#[test]
fn a_permit_holds_nobody_up_and_still_has_its_place_later() {
    let channel = StaticChannel::<u8, 2>::new();
    let permit = reserve(channel.reserve());
    for value in 2..9 {
        channel.try_send(value).unwrap();
        assert_eq!(channel.try_send(0), Err(TrySendError::Full(0)), "one place is reserved");
        assert_eq!(channel.try_recv(), Ok(value));
    }
    channel.try_send(9).unwrap();
    permit.send(1).unwrap();
    assert_eq!((channel.try_recv(), channel.try_recv()), (Ok(9), Ok(1)));
}

#[test]
fn a_dropped_permit_makes_room_for_a_sleeper() {
    let channel = StaticChannel::<u8, 1>::new();
    let task = Task::default();
    let permit = reserve(channel.reserve());
    let mut send = channel.send(1);
    assert!(task.poll(&mut send).is_pending());
    drop(permit);
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.poll(&mut send), Poll::Ready(Ok(())));
    assert_eq!(channel.try_recv(), Ok(1));
}

/// C11
#[test]
fn a_forgotten_permit_costs_its_place_and_nothing_else() {
    let channel = StaticChannel::<Arc<()>, 2>::new();
    let value = Arc::new(());
    core::mem::forget(reserve(channel.reserve()));
    for _ in 0..5 {
        channel.try_send(value.clone()).unwrap();
        assert!(channel.try_send(value.clone()).is_err());
        channel.try_recv().unwrap();
    }
    channel.try_send(value.clone()).unwrap();
    drop(channel);
    assert_eq!(Arc::strong_count(&value), 1);
}

/// Else each would be a void ticket, of which the slot of a value that stays counts only so many, and then the channel would call
/// itself full.
#[test]
fn places_that_are_given_up_in_reverse_order_leave_no_trace() {
    fn check<P: Progress>(channel: &Channel<u32, P>) {
        channel.try_send(0).unwrap();
        for _ in 0..200_000 {
            drop(channel.try_reserve().expect("two places are free"));
        }
        for _ in 0..1_000 {
            let [first, second] = [(); 2].map(|()| channel.try_reserve().unwrap());
            drop(second);
            drop(first);
            // It claims a place before it asks for a value.
            assert_eq!(channel.try_send_many(&mut core::iter::from_fn(|| None)), Ok(0));
        }
        assert_eq!((channel.len(), channel.parts.ring.count_voids()), (1, 0));
        assert_eq!(channel.try_send_many(&mut (1..9)), Ok(2));
        assert_eq!([(); 4].map(|()| channel.try_recv().ok()), [Some(0), Some(1), Some(2), None]);
    }
    check(&Channel::new(3));
    check(&Channel::<_, Spin>::with_progress(3));
    check(&near_the_wrap::<LockFree>(3));
    check(&near_the_wrap::<Spin>(3));
}

/// One that is not the last leaves a void ticket, which the next receives pass.
#[test]
fn a_place_that_is_given_up_before_a_later_one_is_passed() {
    fn check<P: Progress>(channel: &Channel<u32, P>) {
        for round in 0..100 {
            let [first, second] = [(); 2].map(|()| channel.try_reserve().unwrap());
            drop(first);
            second.send(round).unwrap();
            drop(channel.try_reserve().unwrap());
            assert_eq!(channel.try_send(round + 1), Ok(()));
            assert_eq!(
                [(); 3].map(|()| channel.try_recv().ok()),
                [Some(round), Some(round + 1), None]
            );
        }
    }
    check(&Channel::new(3));
    check(&Channel::<_, Spin>::with_progress(3));
    check(&near_the_wrap::<LockFree>(3));
    check(&near_the_wrap::<Spin>(3));
}

/// Everything that moves a place, across the wrap of the tickets, against a plain queue.
#[test]
fn the_tickets_wrap() {
    fn check<P: Progress>(capacity: usize) {
        let channel = near_the_wrap::<P>(capacity);
        let (mut model, mut permits) = (VecDeque::new(), Vec::new());
        let mut random = 1_u32;
        for value in 0..2_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let has_room = model.len() + permits.len() < capacity;
            match random >> 29 {
                0 => {
                    assert_eq!(channel.try_send(value).is_ok(), has_room);
                    model.extend(has_room.then_some(value));
                }
                1 => {
                    let (first, last) = (2 * value, 2 * value + 1);
                    let sent = channel.try_send_many(&mut (first..=last)).unwrap();
                    assert_eq!(sent, (capacity - model.len() - permits.len()).min(2));
                    model.extend((first..=last).take(sent));
                }
                2 => {
                    let permit = channel.try_reserve();
                    assert_eq!(permit.is_ok(), has_room);
                    permits.extend(permit);
                }
                3 if !permits.is_empty() => {
                    let at = random as usize % permits.len();
                    drop(permits.swap_remove(at));
                }
                // With a permit about, the order is the permits' affair.
                4 if permits.is_empty() => {
                    let displaced = (!has_room).then(|| model.pop_front().unwrap());
                    assert_eq!(channel.force_send(value), Ok(displaced));
                    model.push_back(value);
                }
                _ => assert_eq!(channel.try_recv().ok(), model.pop_front()),
            }
            assert!(!permits.is_empty() || channel.len() == model.len());
        }
    }
    for capacity in 1..=4 {
        check::<LockFree>(capacity);
        check::<Spin>(capacity);
    }
}

/// The tickets wrap a lap on from here.
fn near_the_wrap<P: Progress>(capacity: usize) -> Channel<u32, P> {
    let mut channel = Channel::with_progress(capacity);
    channel.parts.ring.start_at(usize::MAX);
    channel
}

/// For parties of one thread, who never meet half-way.
enum Spin {}

impl Progress for Spin {
    const LOCK_FREE: bool = false;

    fn give_way() {
        unreachable!("nobody else is there");
    }
}

#[test]
fn a_permit_on_a_closed_channel_gives_the_value_back() {
    let channel = StaticChannel::<u8, 1>::new();
    let permit = reserve(channel.reserve());
    channel.close();
    assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(permit.send(1), Err(SendError(1)));
}

#[test]
fn many_at_once_wake_as_many_as_they_make_room_for() {
    let channel = StaticChannel::<u8, 2>::new();
    let (one, two) = (Task::default(), Task::default());
    let mut received = Vec::new();
    assert!(one.poll(&mut channel.recv_many(5, |_| ())).is_pending());
    channel.try_send(1).unwrap();
    channel.try_send(2).unwrap();
    let (mut third, mut fourth) = (channel.send(3), channel.send(4));
    assert!(one.poll(&mut third).is_pending());
    assert!(two.poll(&mut fourth).is_pending());
    let got = one.poll(&mut channel.recv_many(5, |value| received.push(value)));
    assert_eq!(got, Poll::Ready(Ok(2)));
    assert_eq!(received, [1, 2]);
    assert_eq!((one.wakes(), two.wakes()), (1, 1));
    assert_eq!(channel.force_send(7), Ok(None));
    assert_eq!(channel.force_send(8), Ok(None));
    assert_eq!(channel.force_send(9), Ok(Some(7)));
    channel.close();
    let none = one.poll(&mut channel.recv_many(0, |_| ()));
    assert_eq!(none, Poll::Ready(Ok(0)));
    assert_eq!(channel.try_recv_many(9, |value| received.push(value)), 2);
    assert_eq!(one.poll(&mut channel.recv_many(5, |_| ())), Poll::Ready(Err(RecvError)));
    assert_eq!(received, [1, 2, 8, 9]);
}

/// The sender slept beside the room once.
#[test]
fn many_at_once_wake_senders_also_when_the_closure_panics() {
    let channel = StaticChannel::<u8, 2>::new();
    let task = Task::default();
    channel.try_send(1).unwrap();
    channel.try_send(2).unwrap();
    let mut send = channel.send(3);
    assert!(task.poll(&mut send).is_pending());
    let receive = || channel.try_recv_many(1, |_| panic!("as planned"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(receive)).is_err());
    assert_eq!(task.wakes(), 1);
    assert_eq!(task.poll(&mut send), Poll::Ready(Ok(())));
}

/// A selection that was woken for one channel, and took from another, passes the wake-up on.
#[test]
fn a_watch_that_was_woken_and_does_not_look_passes_it_on() {
    let channel = StaticChannel::<u8, 2>::new();
    let (one, two) = (Task::default(), Task::default());
    let (mut watch, mut next) = (channel.watch_recv(), channel.recv());
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_pending());
    assert!(two.poll(&mut next).is_pending());
    channel.try_send(1).unwrap();
    assert_eq!((one.wakes(), two.wakes()), (1, 0));
    // Noticed, not used.
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_ready());
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_ready(), "until it has looked");
    watch.leave();
    assert_eq!(two.wakes(), 1);
    assert_eq!(two.poll(&mut next), Poll::Ready(Ok(1)));

    // Not even noticed.
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_pending());
    assert!(two.poll(&mut next).is_pending());
    channel.try_send(2).unwrap();
    drop(watch);
    assert_eq!(two.wakes(), 2);
}

#[test]
fn a_watch_that_looks_has_used_its_wake_up() {
    let channel = StaticChannel::<u8, 1>::new();
    let (one, two) = (Task::default(), Task::default());
    let mut watch = channel.watch_recv();
    assert_eq!(watch.try_recv(), Err(TryRecvError::Empty));
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_pending());
    channel.try_send(1).unwrap();
    assert_eq!(channel.try_recv(), Ok(1), "somebody was faster");
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_ready());
    assert_eq!(watch.try_recv(), Err(TryRecvError::Empty));
    let mut next = channel.recv();
    assert!(two.poll(&mut next).is_pending());
    drop(watch);
    assert_eq!(
        two.wakes(),
        0,
        "nobody is woken for nothing, or a line of watches would wake each other for ever"
    );
    channel.close();
}

#[test]
fn a_watch_for_room_reserves_and_is_told_of_the_close() {
    let channel = StaticChannel::<u8, 1>::new();
    let (one, two) = (Task::default(), Task::default());
    channel.try_send(1).unwrap();
    let (mut watch, mut next) = (channel.watch_send(), channel.send(3));
    assert!(matches!(watch.try_reserve(), Err(TrySendError::Full(()))));
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_pending());
    assert!(two.poll(&mut next).is_pending());
    assert_eq!(channel.try_recv(), Ok(1));
    assert_eq!((one.wakes(), two.wakes()), (1, 0));
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_ready());
    let permit = watch.try_reserve().unwrap();
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_pending());
    permit.send(2).unwrap();
    channel.close();
    assert!(one.poll_ready(|cx| watch.poll_ready(cx)).is_ready());
    assert!(matches!(watch.try_reserve(), Err(TrySendError::Closed(()))));
    assert_eq!(channel.try_recv(), Ok(2));
    assert_eq!(two.poll(&mut next), Poll::Ready(Err(SendError(3))));
}

/// Who looks before taking is not told of a value, or of room, that is reserved.
#[test]
fn watches_tell_reserved_places_from_values_and_from_room() {
    fn check<P: Progress>(channel: &Channel<u32, P>) {
        let (mut values, mut room) = (channel.watch_recv(), channel.watch_send());
        let mut is = |value, place| {
            assert_eq!((values.is_ready(), room.is_ready()), (value, place), "{channel:?}");
            assert_eq!(room.try_reserve().is_ok(), place);
            assert_eq!(values.try_recv().is_ok(), value);
        };
        is(false, true);
        let permit = channel.try_reserve().unwrap();
        is(false, true);
        channel.try_send(1).unwrap();
        is(true, false);
        // The receive has passed the place that is reserved.
        is(false, true);
        channel.try_send(2).unwrap();
        is(true, false);
        drop(permit);
        is(false, true);
        channel.close();
        assert!(channel.watch_recv().is_ready() && channel.watch_send().is_ready());
    }
    check(&Channel::new(2));
    check(&Channel::<_, Spin>::with_progress(2));
    check(&near_the_wrap::<LockFree>(2));
    check(&near_the_wrap::<Spin>(2));
}

/// A wake-up that has led to a value is used: it does not wake the next for nothing.
#[test]
fn a_receiver_that_was_woken_and_served_wakes_nobody() {
    let channel = StaticChannel::<u8, 1>::new();
    let (one, two) = (Task::default(), Task::default());
    let (mut first, mut second) = (channel.recv(), channel.recv());
    assert!(one.poll(&mut first).is_pending());
    assert!(two.poll(&mut second).is_pending());
    channel.try_send(1).unwrap();
    assert_eq!(one.poll(&mut first), Poll::Ready(Ok(1)));
    drop(first);
    assert_eq!((one.wakes(), two.wakes()), (1, 0));
}
