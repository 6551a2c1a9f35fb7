//! Selections of both directions, beside everything else that uses the same channels: exactly one arm happens, so what was sent
//! was received, once.

use aqueduct::channel::{Receiver, Select, Sender, bounded};
use aqueduct::park::block_on_timeout;
use aqueduct::{Context, select, thread};
use aqueduct_tests::share;
use std::pin::pin;
use std::time::Duration;

const MOMENT: Duration = Duration::from_micros(20);

type Channel = (Sender<usize>, Receiver<usize>);

/// What a party sent and received.
#[derive(Default)]
struct Seen {
    sent: Vec<usize>,
    received: Vec<usize>,
}

/// One turn at two channels: sends `value` into one of them, or receives from one of them, or neither.
type Turn = fn(&[Channel; 2], usize, &mut Seen);

const TURNS: [Turn; 7] = [
    // All four ways, whichever comes first.
    |[one, two], value, seen| {
        select! {
            send(one.0, value) -> sent => { sent.unwrap(); seen.sent.push(value) }
            send(two.0, value) -> sent => { sent.unwrap(); seen.sent.push(value) }
            recv(one.1) -> got => seen.received.push(got.unwrap()),
            recv(two.1) -> got => seen.received.push(got.unwrap()),
        }
    },
    // Across, so that a pair of selections meets in two places at once.
    |[one, two], value, seen| {
        select! {
            send(one.0, value) -> sent => { sent.unwrap(); seen.sent.push(value) }
            recv(two.1) -> got => seen.received.push(got.unwrap()),
            default(MOMENT) => {}
        }
    },
    |[one, two], value, seen| {
        select! {
            recv(one.1) -> got => seen.received.push(got.unwrap()),
            send(two.0, value) -> sent => { sent.unwrap(); seen.sent.push(value) }
            default => {}
        }
    },
    // At run time, and with a context that ends in the middle of everything.
    |[one, two], value, seen| {
        let context = Context::background().with_timeout(MOMENT);
        let mut select = Select::new();
        let (send, recv) = (select.send(&one.0), select.recv(&two.1));
        select.done(&context);
        let chosen = select.select();
        if chosen.index() == send {
            chosen.send(&one.0, value).unwrap();
            seen.sent.push(value);
        } else if chosen.index() == recv {
            seen.received.push(chosen.recv(&two.1).unwrap());
        }
    },
    // Looks first.
    |[one, two], value, seen| {
        let mut select = Select::new();
        let (send, recv) = (select.send(&two.0), select.recv(&one.1));
        match select.ready_timeout(MOMENT) {
            Ok(index) if index == send => seen.sent.extend(two.0.try_send(value).map(|()| value)),
            Ok(index) if index == recv => seen.received.extend(one.1.try_recv()),
            _ => {}
        }
    },
    // Not a selection: one that waits and gives up.
    |[one, two], value, seen| {
        if value % 2 == 0 {
            seen.sent.extend(one.0.send_timeout(value, MOMENT).map(|()| value));
        } else {
            seen.received.extend(two.1.recv_timeout(MOMENT));
        }
    },
    // Futures that are dropped, woken or not.
    |[one, two], value, seen| {
        let mut send = pin!(two.0.send_async(value));
        if let Some(sent) = block_on_timeout(send.as_mut(), MOMENT) {
            sent.unwrap();
            seen.sent.push(value);
        } else if std::mem::replace(&mut *send, two.0.send_async(0)).into_value().is_none() {
            seen.sent.push(value);
        }
        if let Some(got) = block_on_timeout(pin!(one.1.recv_async()), MOMENT) {
            seen.received.push(got.unwrap());
        }
    },
];

/// With help, whoever waits for a counterpart has one until the last of them is done.
fn every_turn_beside_every_other(capacities: [usize; 2], turns: &[Turn], help: bool) {
    let rounds = share(800);
    let channels = capacities.map(bounded::<usize>);
    let seen = thread::scope(|scope| {
        let parties: Vec<_> = turns
            .iter()
            .enumerate()
            .map(|(party, turn)| {
                let channels = &channels;
                let turns = move || {
                    let mut seen = Seen::default();
                    for round in 0..rounds {
                        turn(channels, round * turns.len() + party, &mut seen);
                    }
                    seen
                };
                scope.spawn(turns).expect("a thread")
            })
            .collect();
        let mut rest = Seen::default();
        while help && parties.iter().any(|party| !party.is_finished()) {
            select! {
                recv(channels[0].1) -> got => rest.received.push(got.unwrap()),
                recv(channels[1].1) -> got => rest.received.push(got.unwrap()),
                default(MOMENT) => {}
            }
        }
        let mut all: Vec<_> = parties.into_iter().map(|party| party.join().unwrap()).collect();
        for (_, receiver) in &channels {
            rest.received.extend(receiver.try_iter());
        }
        all.push(rest);
        all
    })
    .unwrap();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for party in seen {
        sent.extend(party.sent);
        received.extend(party.received);
    }
    sent.sort_unstable();
    received.sort_unstable();
    assert!(!sent.is_empty());
    assert_eq!(sent, received, "capacities {capacities:?}");
}

#[test]
fn selections_beside_everything_else() {
    for capacities in [[0, 0], [0, 1], [1, 1], [2, 0], [3, 3], [1, 3]] {
        every_turn_beside_every_other(capacities, &TURNS, true);
    }
}

/// Nobody but selections that wait without a limit: a wake-up that is not passed on, or a token that is claimed twice, is not made
/// good by anybody who tries. With room somebody can always go on; without, it takes two, who meet in each round.
#[test]
fn selections_alone() {
    every_turn_beside_every_other([1, 1], &[TURNS[0]; 4], false);
    every_turn_beside_every_other([2, 1], &[TURNS[0]; 3], false);
    every_turn_beside_every_other([3, 3], &[TURNS[0]; 4], false);
    every_turn_beside_every_other([1, 3], &[TURNS[0]; 4], false);
    every_turn_beside_every_other([0, 0], &[TURNS[0]; 2], false);
    every_turn_beside_every_other([0, 0], &[TURNS[0]; 4], true);
    every_turn_beside_every_other([0, 1], &[TURNS[0]; 4], false);
}

/// Many selections on few channels, producers that only send: each value goes to one selection.
#[test]
fn receivers_that_select_share_the_values() {
    let values = share(10_000);
    for capacity in [0, 1, 3] {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| bounded(capacity)).unzip();
        let mut got = thread::scope(|scope| {
            for (nth, sender) in senders.into_iter().enumerate() {
                let produce =
                    move || (nth..values).step_by(3).for_each(|value| sender.send(value).unwrap());
                scope.spawn(produce).expect("a thread");
            }
            let consume = || {
                let mut got = Vec::new();
                let mut select = Select::new();
                for receiver in &receivers {
                    select.recv(receiver);
                }
                let mut open = receivers.len();
                while open > 0 {
                    let chosen = select.select();
                    let index = chosen.index();
                    match chosen.recv(&receivers[index]) {
                        Ok(value) => got.push(value),
                        Err(_) => {
                            select.remove(index);
                            open -= 1;
                        }
                    }
                }
                got
            };
            let consumers: Vec<_> = (0..3).map(|_| scope.spawn(consume).unwrap()).collect();
            consumers.into_iter().flat_map(|it| it.join().unwrap()).collect::<Vec<_>>()
        })
        .unwrap();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..values), "capacity {capacity}");
    }
}
