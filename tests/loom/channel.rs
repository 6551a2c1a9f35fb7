//! The channel: registering to sleep against what ends the sleep, from both sides, and closing against everything.
//!
//! A wake-up that is lost shows as a deadlock, a value that is lost as a difference at the end.

use aqueduct_core::channel::{RecvError, SendError, StaticChannel, TryRecvError, TrySendError};
use aqueduct_core::wait::Slots;
use loom::thread;
use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use crate::Outcomes;
use crate::support::{Bell, block_on, look, model};

type Channel = StaticChannel<u32, 1, Slots<2>>;

fn fresh() -> Channel {
    Channel::with_storage(Slots::new(), Slots::new())
}

fn full() -> Channel {
    let channel = fresh();
    channel.try_send(1).unwrap();
    channel
}

fn spawn<R: 'static>(body: impl FnOnce() -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(body)
}

fn note(seen: &Outcomes, what: &str) {
    seen.record(what.to_owned());
}

/// `sleep`: push:publish and notify:sleep against kick:post and pop:behind.
#[test]
fn a_receiver_goes_to_sleep_while_a_value_is_sent() {
    let expected = ["receiver slept", "receiver did not sleep"];
    model("channel: sleep against send", &expected, fresh, |channel, seen| {
        let seen = seen.clone();
        let receiver = spawn(move || block_on(channel.recv(), &seen, "receiver"));
        let sender = spawn(move || channel.try_send(7).unwrap());
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
}

/// `sleep`, mirrored: pop:let_go and notify:sleep against kick:post and push:enter.
#[test]
fn a_sender_goes_to_sleep_while_room_is_made() {
    let expected = ["sender slept", "sender did not sleep"];
    model("channel: sleep against receive", &expected, full, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        let receiver = spawn(move || channel.try_recv());
        assert_eq!(receiver.join().unwrap(), Ok(1));
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(channel.try_recv(), Ok(7));
    });
}

type Two = StaticChannel<u32, 2, Slots<2>>;

fn drain(channel: &Two) -> Vec<u32> {
    std::iter::from_fn(|| channel.try_recv().ok()).collect()
}

/// pop:let_go in `settle`, and notify:sleep, against kick:post and push:full: a permit whose place was taken away has two for a
/// moment. A sender that goes to sleep then is told of the one that is let go.
#[test]
fn a_sender_goes_to_sleep_while_a_permit_has_two_places() {
    let expected = ["sender slept", "sender did not sleep"];
    let fresh = || Two::with_storage(Slots::new(), Slots::new());
    model("channel: sleep against a late permit", &expected, fresh, |channel, seen| {
        let Poll::Ready(Ok(permit)) = look(&mut channel.reserve()) else {
            panic!("there is room");
        };
        channel.try_send(1).unwrap();
        assert_eq!(channel.try_recv(), Ok(1), "past the place that is reserved");
        let filler = spawn(move || permit.send(7).unwrap());
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(2), &seen, "sender").unwrap());
        filler.join().unwrap();
        sender.join().unwrap();
        let mut left = drain(channel);
        left.sort_unstable();
        assert_eq!(left, [2, 7]);
    });
}

/// As with the permit: whoever displaces the oldest has its place, and perhaps another one for the new value.
#[test]
fn a_sender_goes_to_sleep_while_the_oldest_is_displaced() {
    let expected = ["sender slept", "sender did not sleep", "displaced", "room"];
    let both = || {
        let channel = Two::with_storage(Slots::new(), Slots::new());
        channel.try_send(1).unwrap();
        channel.try_send(2).unwrap();
        channel
    };
    model("channel: sleep against displace", &expected, both, |channel, seen| {
        let displacer = spawn(move || channel.force_send(3).unwrap());
        let seen_by_sender = seen.clone();
        let sender = spawn(move || {
            let received = [(); 2].map(|()| channel.try_recv().ok());
            block_on(channel.send(4), &seen_by_sender, "sender").unwrap();
            received
        });
        let displaced = displacer.join().unwrap();
        note(seen, if displaced.is_some() { "displaced" } else { "room" });
        let received = sender.join().unwrap();
        let mut all: Vec<_> = received.into_iter().flatten().chain(displaced).collect();
        all.extend(drain(channel));
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
    });
}

/// Two sleepers on the two sides of a channel with one place.
#[test]
fn sender_and_receiver_take_turns_on_one_place() {
    let expected = ["sender slept", "receiver slept"];
    model("channel: two values through one place", &expected, fresh, |channel, seen| {
        let (ours, theirs) = (seen.clone(), seen.clone());
        let sender = spawn(move || {
            for value in [1, 2] {
                block_on(channel.send(value), &ours, "sender").unwrap();
            }
        });
        let receiver =
            spawn(move || [(); 2].map(|()| block_on(channel.recv(), &theirs, "receiver")));
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), [Ok(1), Ok(2)]);
    });
}

/// The wake-up of a receiver that is dropped goes to the other one.
#[test]
fn a_woken_receiver_is_cancelled_while_another_sleeps() {
    let expected = ["woken by the canceller", "woken by the sender"];
    model("channel: cancel after the wake-up", &expected, fresh, |channel, seen| {
        let (mut early, mut late) = (channel.recv(), channel.recv());
        let bell = Bell::default();
        assert!(look(&mut early).is_pending());
        assert!(bell.poll(&mut late).is_pending());
        let sender = spawn(move || {
            channel.try_send(7).unwrap();
            thread::current().id()
        });
        let canceller = spawn(move || drop(early));
        let sender = sender.join().unwrap();
        canceller.join().unwrap();
        let woken_by = bell.rung_by().expect("the wake-up went to nobody");
        note(
            seen,
            if woken_by == sender { "woken by the sender" } else { "woken by the canceller" },
        );
        assert_eq!(look(&mut late), Poll::Ready(Ok(7)));
    });
}

/// The wake-up of a watch that is dropped goes to the next, whether the watch has noticed it or not.
#[test]
fn a_woken_watch_is_dropped_while_another_sleeps() {
    let expected = ["noticed", "not noticed", "woken by the watch", "woken by the sender"];
    model("channel: a dropped watch", &expected, fresh, |channel, seen| {
        let (mut watch, mut late) = (channel.watch_recv(), channel.recv());
        let bell = Bell::default();
        assert!(watch.poll_ready(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(bell.poll(&mut late).is_pending());
        let sender = spawn(move || {
            channel.try_send(7).unwrap();
            thread::current().id()
        });
        let ours = seen.clone();
        let watcher = spawn(move || {
            let noticed = watch.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready();
            note(&ours, if noticed { "noticed" } else { "not noticed" });
        });
        let sender = sender.join().unwrap();
        watcher.join().unwrap();
        let woken_by = bell.rung_by().expect("the wake-up went to nobody");
        note(seen, if woken_by == sender { "woken by the sender" } else { "woken by the watch" });
        assert_eq!(look(&mut late), Poll::Ready(Ok(7)));
    });
}

/// `sleep`, for who stands in line and takes by a look of its own: the look comes after the line.
#[test]
fn a_watch_goes_to_sleep_while_a_value_is_sent() {
    let expected = ["watch slept", "watch did not sleep"];
    model("channel: a watch against send", &expected, fresh, |channel, seen| {
        let seen = seen.clone();
        let watcher = spawn(move || {
            let mut watch = channel.watch_recv();
            let take = poll_fn(|cx| {
                loop {
                    let is_registered = watch.poll_ready(cx).is_pending();
                    match watch.try_recv() {
                        Err(TryRecvError::Empty) if is_registered => return Poll::Pending,
                        Err(TryRecvError::Empty) => {}
                        taken => return Poll::Ready(taken),
                    }
                }
            });
            block_on(take, &seen, "watch")
        });
        let sender = spawn(move || channel.try_send(7).unwrap());
        sender.join().unwrap();
        assert_eq!(watcher.join().unwrap(), Ok(7));
    });
}

/// The same for room.
#[test]
fn a_watch_goes_to_sleep_while_room_is_made() {
    let expected = ["watch slept", "watch did not sleep"];
    model("channel: a watch against receive", &expected, full, |channel, seen| {
        let seen = seen.clone();
        let watcher = spawn(move || {
            let mut watch = channel.watch_send();
            let reserve = poll_fn(|cx| {
                loop {
                    let is_registered = watch.poll_ready(cx).is_pending();
                    match watch.try_reserve() {
                        Err(TrySendError::Full(())) if is_registered => return Poll::Pending,
                        Err(TrySendError::Full(())) => {}
                        reserved => return Poll::Ready(reserved.unwrap()),
                    }
                }
            });
            block_on(reserve, &seen, "watch").send(7)
        });
        let receiver = spawn(move || channel.try_recv());
        assert_eq!(receiver.join().unwrap(), Ok(1));
        assert_eq!(watcher.join().unwrap(), Ok(()));
        assert_eq!(channel.try_recv(), Ok(7));
    });
}

/// close:mark against push:claim: a value is received, or comes back.
#[test]
fn a_send_races_with_close_and_with_the_last_receive() {
    let expected = ["sent", "back", "received"];
    model("channel: send against close", &expected, fresh, |channel, seen| {
        let (ours, theirs) = (seen.clone(), seen.clone());
        let sender = spawn(move || match channel.try_send(7) {
            Ok(()) => {
                note(&ours, "sent");
                true
            }
            Err(TrySendError::Closed(7)) => {
                note(&ours, "back");
                false
            }
            Err(other) => panic!("{other}"),
        });
        let receiver = spawn(move || {
            channel.close();
            // Once it has said "closed", nothing may come.
            let mut received = false;
            loop {
                match channel.try_recv() {
                    Ok(value) => {
                        assert_eq!(value, 7);
                        note(&theirs, "received");
                        received = true;
                    }
                    Err(TryRecvError::Closed) => return received,
                    Err(TryRecvError::Empty) => panic!("closed channels are not just empty"),
                }
            }
        });
        let (sent, received) = (sender.join().unwrap(), receiver.join().unwrap());
        assert_eq!(sent, received);
        assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));
    });
}

#[test]
fn a_sleeping_receiver_learns_of_the_close() {
    let expected = ["receiver slept", "receiver did not sleep"];
    model("channel: receive against close", &expected, fresh, |channel, seen| {
        let seen = seen.clone();
        let receiver = spawn(move || block_on(channel.recv(), &seen, "receiver"));
        let closer = spawn(move || channel.close());
        assert!(closer.join().unwrap());
        assert_eq!(receiver.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn a_sleeping_sender_learns_of_the_close_and_has_its_value_back() {
    let expected = ["sender slept", "sender did not sleep"];
    model("channel: send against close, full", &expected, full, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        let closer = spawn(move || channel.close());
        assert!(closer.join().unwrap());
        assert_eq!(sender.join().unwrap(), Err(SendError(7)));
        assert_eq!(channel.try_recv(), Ok(1));
    });
}

/// A place that is kept is filled while a receiver looks: voided or received, and never lost.
#[test]
fn a_reserved_place_is_filled_while_others_pass() {
    let expected = ["receiver slept", "receiver did not sleep"];
    let fresh = || StaticChannel::<u32, 2, Slots<2>>::with_storage(Slots::new(), Slots::new());
    model("channel: a permit and a send", &expected, fresh, |channel, seen| {
        let seen = seen.clone();
        let permit = spawn(move || {
            let Poll::Ready(permit) = look(&mut channel.reserve()) else {
                panic!("there is room for two");
            };
            permit.unwrap().send(1).unwrap();
        });
        let sender = spawn(move || channel.try_send(2).unwrap());
        let receiver = spawn(move || [(); 2].map(|()| block_on(channel.recv(), &seen, "receiver")));
        permit.join().unwrap();
        sender.join().unwrap();
        let mut received = receiver.join().unwrap().map(Result::unwrap);
        received.sort_unstable();
        assert_eq!(received, [1, 2]);
    });
}

/// Giving a place up wakes a sender that sleeps for it.
#[test]
fn a_dropped_permit_races_with_a_sender_that_goes_to_sleep() {
    let expected = ["sender slept", "sender did not sleep"];
    model("channel: a dropped permit", &expected, fresh, |channel, seen| {
        let Poll::Ready(permit) = look(&mut channel.reserve()) else {
            panic!("there is room");
        };
        let permit = permit.unwrap();
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        let dropper = spawn(move || drop(permit));
        dropper.join().unwrap();
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(channel.try_recv(), Ok(7));
    });
}

/// back:claim against push:aim, push:claim and void:mark: places are given back beside a send and a receive, and none is lost.
#[test]
fn places_are_given_back_while_others_send_and_receive() {
    type Two = StaticChannel<u32, 2, Slots<2>>;
    let expected = ["7", "none", "given back"];
    let fresh = || Two::with_storage(Slots::new(), Slots::new());
    model("channel: places given back", &expected, fresh, |channel: &'static Two, seen| {
        let reserve = || match look(&mut channel.reserve()) {
            Poll::Ready(permit) => permit.ok(),
            Poll::Pending => None,
        };
        let giver = spawn(move || reserve().is_some());
        let party = spawn(move || {
            let permit = reserve();
            let is_sent = channel.try_send(7).is_ok();
            drop(permit);
            is_sent
        });
        let received = channel.try_recv().ok();
        note(seen, if received.is_some() { "7" } else { "none" });
        if giver.join().unwrap() {
            note(seen, "given back");
        }
        let is_sent = party.join().unwrap();
        assert_eq!(received.or_else(|| channel.try_recv().ok()), is_sent.then_some(7));
        for _ in 0..3 {
            assert_eq!(
                [1, 2].map(|value| channel.try_send(value)),
                [Ok(()); 2],
                "a place was lost"
            );
            assert_eq!(channel.try_send(3), Err(TrySendError::Full(3)));
            assert_eq!([(); 2].map(|()| channel.try_recv()), [Ok(1), Ok(2)]);
            assert_eq!(channel.try_recv(), Err(TryRecvError::Empty));
        }
    });
}
