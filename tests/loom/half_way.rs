//! The channel whose parties may wait for each other: plain stores in place of compare-and-swaps, and what they rest on.
//!
//! A wake-up that is lost shows as a deadlock, a value that is read before it is written as a race, a place that is
//! lost as a channel that is full too early or never again empty.

use aqueduct_core::channel::{Channel, Permit, Progress, RecvError, TryRecvError, TrySendError};
use loom::thread;
use std::task::Poll;

use crate::Outcomes;
use crate::support::{block_on, look, model};

enum Yield {}

impl Progress for Yield {
    const LOCK_FREE: bool = false;

    fn give_way() {
        thread::yield_now();
    }
}

type Waiting = Channel<u32, Yield>;

fn fresh<const N: usize>() -> Waiting {
    Channel::with_progress(N)
}

fn full() -> Waiting {
    let channel = fresh::<1>();
    channel.try_send(1).unwrap();
    channel
}

fn spawn<R: 'static>(body: impl FnOnce() -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(body)
}

fn note(seen: &Outcomes, what: impl Into<String>) {
    seen.record(what.into());
}

/// All that is in; then twice around with as much as there is room for.
fn drain_and_go_around(channel: &Waiting) -> Vec<u32> {
    let left = std::iter::from_fn(|| channel.try_recv().ok()).collect();
    for _ in 0..2 {
        let values = 0..channel.capacity() as u32;
        for value in values.clone() {
            assert_eq!(channel.try_send(value), Ok(()), "a place was lost");
        }
        assert_eq!(channel.try_send(9), Err(TrySendError::Full(9)));
        for value in values {
            assert_eq!(channel.try_recv(), Ok(value));
        }
        assert_eq!(channel.try_recv(), Err(TryRecvError::Empty));
    }
    left
}

/// `sleep`: push:claim and notify:sleep against kick:post and pop:behind, and push:show after both.
#[test]
fn a_receiver_goes_to_sleep_while_a_value_is_shown() {
    let expected = ["receiver slept", "receiver did not sleep"];
    model("half-way: sleep against send", &expected, fresh::<1>, |channel, seen| {
        let seen = seen.clone();
        let receiver = spawn(move || block_on(channel.recv(), &seen, "receiver"));
        let sender = spawn(move || channel.try_send(7).unwrap());
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
}

/// `sleep`, mirrored: pop:claim and notify:sleep against kick:post and push:behind, and pop:give after both.
#[test]
fn a_sender_goes_to_sleep_while_a_place_is_given_back() {
    let expected = ["sender slept", "sender did not sleep"];
    model("half-way: sleep against receive", &expected, full, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        let receiver = spawn(move || channel.try_recv());
        assert_eq!(receiver.join().unwrap(), Ok(1));
        assert_eq!(sender.join().unwrap(), Ok(()));
        assert_eq!(channel.try_recv(), Ok(7));
    });
}

/// Who finds an earlier place claimed and not shown waits, and calls nothing empty behind which something is complete.
#[test]
fn a_value_behind_one_that_is_half_way_in_is_not_called_nothing() {
    let expected = ["1 2", "2 1", "empty"];
    model("half-way: a value behind another", &expected, fresh::<2>, |channel, seen| {
        let seen = seen.clone();
        let late = spawn(move || channel.try_send(1).unwrap());
        let party = spawn(move || {
            channel.try_send(2).unwrap();
            // One value at the least is in.
            let first = channel.try_recv().expect("what was sent is there");
            note(
                &seen,
                channel.try_recv().map_or("empty".into(), |then| format!("{first} {then}")),
            );
        });
        late.join().unwrap();
        party.join().unwrap();
        drain_and_go_around(channel);
    });
}

/// Two pushes and two pops around a place, each pair with claims that compete.
#[test]
fn two_senders_and_a_receiver_share_one_place() {
    let expected = ["1 2", "2 1"];
    model("half-way: two senders, one place", &expected, fresh::<1>, |channel, seen| {
        let senders = [1, 2].map(|value| {
            let seen = seen.clone();
            spawn(move || block_on(channel.send(value), &seen, "sender").unwrap())
        });
        let seen = seen.clone();
        let receiver = spawn(move || {
            let got = [(); 2].map(|()| block_on(channel.recv(), &seen, "receiver").unwrap());
            note(&seen, format!("{} {}", got[0], got[1]));
        });
        for sender in senders {
            sender.join().unwrap();
        }
        receiver.join().unwrap();
    });
}

/// A place that is kept holds up nobody: it is taken away, or filled.
#[test]
fn a_reserved_place_is_filled_while_others_pass() {
    let expected = ["1 2", "2 1"];
    model("half-way: a permit and a send", &expected, fresh::<2>, |channel, seen| {
        let seen = seen.clone();
        let permit = spawn(move || {
            let Poll::Ready(permit) = look(&mut channel.reserve()) else {
                panic!("there is room for two");
            };
            permit.unwrap().send(1).unwrap();
        });
        let sender = spawn(move || channel.try_send(2).unwrap());
        let receiver = spawn(move || {
            let got = [(); 2].map(|()| block_on(channel.recv(), &seen, "receiver").unwrap());
            note(&seen, format!("{} {}", got[0], got[1]));
        });
        permit.join().unwrap();
        sender.join().unwrap();
        receiver.join().unwrap();
        drain_and_go_around(channel);
    });
}

fn reserve(channel: &'static Waiting) -> Option<Permit<'static, Waiting>> {
    match look(&mut channel.reserve()) {
        Poll::Ready(permit) => permit.ok(),
        Poll::Pending => None,
    }
}

/// back:unkeep and back:claim against push:aim and push:claim: a place that is given back is claimed by one party, or by none, and
/// nobody helps the tail past it.
#[test]
fn the_last_place_is_given_back_while_others_send() {
    let expected = ["sent", "full", "given back"];
    model("half-way: a place given back", &expected, fresh::<1>, |channel, seen| {
        let giver = spawn(move || reserve(channel).is_some());
        let sender = spawn(move || channel.try_send(7).is_ok());
        let is_sent = sender.join().unwrap();
        note(seen, if is_sent { "sent" } else { "full" });
        if giver.join().unwrap() {
            note(seen, "given back");
        }
        assert_eq!(drain_and_go_around(channel).len(), usize::from(is_sent));
    });
}

/// Two places are given back in either order, while a receiver comes by: nothing is void for good.
#[test]
fn places_are_given_back_while_others_send_and_receive() {
    let expected = ["7", "none"];
    model("half-way: places given back", &expected, fresh::<2>, |channel, seen| {
        let giver = spawn(move || drop(reserve(channel)));
        let permit = reserve(channel);
        let is_sent = channel.try_send(7).is_ok();
        let received = channel.try_recv().ok();
        drop(permit);
        giver.join().unwrap();
        note(seen, received.map_or("none".into(), |value| value.to_string()));
        let left = drain_and_go_around(channel);
        assert_eq!(received.into_iter().chain(left).count(), usize::from(is_sent));
    });
}

/// back:claim against kick:post and push:full: a sender that goes to sleep beside a reserved place hears that it is given up.
#[test]
fn a_sender_goes_to_sleep_while_a_permit_is_dropped() {
    let expected = ["sender slept", "sender did not sleep"];
    model("half-way: sleep against a dropped permit", &expected, fresh::<1>, |channel, seen| {
        let permit = reserve(channel).expect("there is room");
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        drop(permit);
        sender.join().unwrap().unwrap();
        assert_eq!(drain_and_go_around(channel), [7]);
    });
}

/// push:publish against kick:post and pop:empty: a receiver that goes to sleep beside a kept head hears that it is filled.
#[test]
fn a_receiver_goes_to_sleep_while_a_permit_is_used() {
    let expected = ["receiver slept", "receiver did not sleep"];
    model("half-way: sleep against a permit", &expected, fresh::<1>, |channel, seen| {
        let permit = reserve(channel).expect("there is room");
        let seen = seen.clone();
        let receiver = spawn(move || block_on(channel.recv(), &seen, "receiver"));
        permit.send(7).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
        assert_eq!(drain_and_go_around(channel), []);
    });
}

/// close:mark and void:mark against push:publish: the value of a place that is reserved goes in before the end, or comes back.
#[test]
fn a_permit_is_used_while_the_channel_is_closed() {
    let expected = ["sent", "back"];
    model("half-way: a permit against close", &expected, fresh::<1>, |channel, seen| {
        let permit = reserve(channel).expect("there is room");
        let sender = spawn(move || permit.send(7).is_ok());
        channel.close();
        let received = std::iter::from_fn(|| match channel.try_recv() {
            Err(TryRecvError::Empty) => {
                thread::yield_now();
                Some(None)
            }
            received => received.ok().map(Some),
        });
        let received = received.flatten().count();
        let is_sent = sender.join().unwrap();
        note(seen, if is_sent { "sent" } else { "back" });
        assert_eq!(received, usize::from(is_sent), "the end came after all that was sent");
    });
}

/// passed:head, and push:behind: whoever sees that there is room for one alone has it, though the receiver is half-way out.
#[test]
fn room_that_was_seen_is_there() {
    let expected = ["room", "full"];
    let both = || {
        let channel = fresh::<2>();
        assert_eq!(channel.try_send_at_once(&mut [1, 2].into_iter()), Ok(2));
        channel
    };
    model("half-way: room that was seen", &expected, both, |channel, seen| {
        let receiver = spawn(move || channel.try_recv().unwrap());
        let has_room = channel.len() < channel.capacity();
        note(seen, if has_room { "room" } else { "full" });
        if has_room {
            assert_eq!(channel.try_send(3), Ok(()));
        }
        assert_eq!(receiver.join().unwrap(), 1);
        assert_eq!(drain_and_go_around(channel).len(), 1 + usize::from(has_room));
    });
}

/// passed:mark and passed:head against pop:claim and passed:look: a place passed over is given to its next ticket but one,
/// and not by a plain store to its next.
#[test]
fn a_place_is_passed_over_while_it_is_given_back() {
    let expected = ["over", "waited"];
    let out_of_order = || {
        let channel = fresh::<3>();
        let Poll::Ready(permit) = look(&mut channel.reserve()) else {
            panic!("there is room");
        };
        let permit = permit.unwrap();
        channel.try_send(1).unwrap();
        channel.try_send(2).unwrap();
        // The place of the permit is passed, on both sides, and then given up: free, but behind one that is not.
        assert_eq!(channel.try_recv(), Ok(1));
        channel.try_send(3).unwrap();
        drop(permit);
        channel
    };
    model("half-way: passed over", &expected, out_of_order, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || {
            channel.try_send(4).unwrap();
            // Before the receiver has come, only over the place in between.
            note(&seen, if channel.len() == 3 { "over" } else { "waited" });
        });
        let receiver = spawn(move || channel.try_recv());
        sender.join().unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(2));
        assert_eq!(drain_and_go_around(channel), [3, 4]);
    });
}

/// void:mark and settle:own against push:claim: a permit whose ticket was taken away, and a sender that passes over its
/// place, each find another; and if the permit has two for a moment, so that the sender goes to sleep, it is told of the one
/// that is let go.
#[test]
fn a_place_that_was_taken_away_is_passed_over_while_it_is_filled() {
    let expected = ["2 7", "7 2", "sender slept", "sender did not sleep"];
    model("half-way: a place taken away", &expected, fresh::<2>, |channel, seen| {
        let permit = reserve(channel).expect("there is room");
        channel.try_send(1).unwrap();
        assert_eq!(channel.try_recv(), Ok(1), "past the place that is reserved");
        let filler = spawn(move || permit.send(7).unwrap());
        let sender = spawn({
            let seen = seen.clone();
            move || block_on(channel.send(2), &seen, "sender").unwrap()
        });
        filler.join().unwrap();
        sender.join().unwrap();
        let left = drain_and_go_around(channel);
        note(seen, format!("{} {}", left[0], left[1]));
        assert_eq!(left.len(), 2);
    });
}

/// The displacing send has a place of its own, for which others wait.
#[test]
fn the_oldest_is_displaced_while_others_send_and_receive() {
    let expected = ["displaced", "room"];
    model("half-way: displace", &expected, full, |channel, seen| {
        let seen = seen.clone();
        let displacer = spawn(move || channel.force_send(2).unwrap());
        let receiver = spawn(move || channel.try_recv());
        let displaced = displacer.join().unwrap();
        note(&seen, if displaced.is_some() { "displaced" } else { "room" });
        let received = receiver.join().unwrap();
        let mut all: Vec<_> = displaced.into_iter().chain(received.ok()).collect();
        all.extend(drain_and_go_around(channel));
        all.sort_unstable();
        assert_eq!(all, [1, 2]);
    });
}

/// settle:own against settle:own: each of the two has the other's way to pass.
#[test]
fn two_displace_at_once() {
    let expected = ["3 took 1", "4 took 1"];
    let both = || {
        let channel = fresh::<2>();
        assert_eq!(channel.try_send_at_once(&mut [1, 2].into_iter()), Ok(2));
        channel
    };
    model("half-way: two displace", &expected, both, |channel, seen| {
        let displacers = [3, 4].map(|value| spawn(move || channel.force_send(value).unwrap()));
        let out = displacers.map(|thread| thread.join().unwrap());
        note(seen, if out[0] == Some(1) { "3 took 1" } else { "4 took 1" });
        let mut out: Vec<_> = out.into_iter().flatten().collect();
        out.extend(drain_and_go_around(channel));
        out.sort_unstable();
        assert_eq!(out, [1, 2, 3, 4]);
    });
}

/// passed:mark against push:publish: the skip of a kept place is in the word that its permit fills, or takes a later ticket from.
#[test]
fn a_reserved_place_is_passed_over_while_it_is_filled() {
    let expected = ["7", "2"];
    model("half-way: over a reserved place", &expected, fresh::<3>, |channel, seen| {
        let [permit, between, last] = [(); 3].map(|()| reserve(channel).expect("there is room"));
        // The tail comes round to the first, and the place behind that is free.
        drop(between);
        let filler = spawn(move || permit.send(7).unwrap());
        let party = spawn(move || {
            channel.try_send(2).unwrap();
            channel.try_recv().ok()
        });
        filler.join().unwrap();
        let received = party.join().unwrap();
        note(seen, received.map_or("none".into(), |value| value.to_string()));
        drop(last);
        let mut all = Vec::from_iter(received);
        all.extend(drain_and_go_around(channel));
        all.sort_unstable();
        assert_eq!(all, [2, 7]);
    });
}

/// One claim for several, and a plain store for each.
#[test]
fn batches_meet() {
    let expected = ["2", "1", "0"];
    model("half-way: batches", &expected, fresh::<2>, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || channel.try_send_many(&mut [1, 2].into_iter()).unwrap());
        let receiver = spawn(move || {
            let mut got = Vec::new();
            channel.try_recv_many(2, |value| got.push(value));
            got
        });
        assert_eq!(sender.join().unwrap(), 2);
        let mut got = receiver.join().unwrap();
        note(&seen, got.len().to_string());
        got.extend(drain_and_go_around(channel));
        assert_eq!(got, [1, 2]);
    });
}

/// One claim for values that are at hand, and a plain store for each; a sleeper goes by the claim.
#[test]
fn a_batch_at_hand_meets_a_receiver() {
    let expected = ["receiver slept", "receiver did not sleep"];
    model("half-way: a batch at hand", &expected, fresh::<2>, |channel, seen| {
        let seen = seen.clone();
        let receiver =
            spawn(move || [(); 2].map(|()| block_on(channel.recv(), &seen, "receiver").unwrap()));
        assert_eq!(channel.try_send_at_once(&mut [1, 2].into_iter()), Ok(2));
        assert_eq!(receiver.join().unwrap(), [1, 2]);
        drain_and_go_around(channel);
    });
}

/// The places of values that are not at hand after all are given up, and their sender's rivals hear of it.
#[test]
fn a_batch_that_is_shorter_than_it_said_gives_its_places_up() {
    let expected = ["sender slept", "sender did not sleep"];
    model("half-way: a short batch", &expected, fresh::<2>, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender").unwrap());
        let sent = channel.try_send_at_once(&mut Short(Some(1))).unwrap();
        sender.join().unwrap();
        let mut left = drain_and_go_around(channel);
        left.sort_unstable();
        assert_eq!((sent, left), (1, vec![1, 7]));
    });
}

/// Says that it has two values, and has one.
struct Short(Option<u32>);

impl Iterator for Short {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.take()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let more = usize::from(self.0.is_some());
        (2 * more, Some(2 * more))
    }
}

impl ExactSizeIterator for Short {}

/// Several values leave with one claim, and a plain store for each place; a sleeper goes by the claim.
#[test]
fn a_sender_goes_to_sleep_while_places_are_given_back_together() {
    let expected = ["sender slept", "sender did not sleep"];
    let both = || {
        let channel = fresh::<2>();
        assert_eq!(channel.try_send_at_once(&mut [1, 2].into_iter()), Ok(2));
        channel
    };
    model("half-way: sleep against a batch", &expected, both, |channel, seen| {
        let seen = seen.clone();
        let sender = spawn(move || block_on(channel.send(7), &seen, "sender"));
        let mut got = Vec::new();
        channel.try_recv_many(2, |value| got.push(value));
        sender.join().unwrap().unwrap();
        got.extend(drain_and_go_around(channel));
        assert_eq!(got, [1, 2, 7]);
    });
}

/// A value whose place was claimed before the close is received, for who meets it half-way waits for it.
#[test]
fn a_send_races_with_close_and_with_the_last_receive() {
    let expected = ["sent", "back"];
    model("half-way: send against close", &expected, fresh::<1>, |channel, seen| {
        let sender = spawn(move || channel.try_send(7).is_ok());
        let seen_by_receiver = seen.clone();
        let receiver = spawn(move || {
            channel.close();
            let received = block_on(channel.recv(), &seen_by_receiver, "receiver");
            if received.is_ok() {
                assert_eq!(channel.try_recv(), Err(TryRecvError::Closed));
            }
            received
        });
        let sent = sender.join().unwrap();
        note(seen, if sent { "sent" } else { "back" });
        assert_eq!(receiver.join().unwrap(), if sent { Ok(7) } else { Err(RecvError) });
    });
}
