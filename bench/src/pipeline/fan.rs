//! `broadcast4`, `broadcast4/lossy` and `merge4`: one to four, and four to one.
//!
//! In `broadcast4` each of four branches gets every item, in order, and the sender waits for the slowest; an operation is one item at all four. Under
//! `lossy` it waits for nobody: what a branch has no room for it misses, and what it got and missed has to add up. Who delivers
//! least has least to do there, so the time is not compared; the share that arrived stands beside it. In `merge4` four
//! senders have a channel of their own each, and one receiver gets what all send, each sender's items in their order.
//!
//! What they promise besides is not the same. Ours in `merge4` takes turns (between two items of a sender that has some comes at most one of each
//! other), needs no thread, and an input can come later; crossbeam's selection takes one of those that are ready, by chance. By hand a
//! thread for each input forwards what comes into one channel, first come, first served. Ours in `broadcast4` gives an item to all branches or to
//! none; by hand it goes to one after the other. Under `lossy` `aqueduct-drop-oldest` and tokio lose the oldest, `aqueduct` and whoever uses `try_send` the newest.

use super::candidates::{Channel, Crossbeam, Crossfire, Kanal};
use super::{BUFFER, Shape, Sum, measure};
use crate::family::{Candidate, Cell, OURS};
use crate::go;
use crate::measure::Sample;
use aqueduct::channel;
use aqueduct::fan::{self, Lag};
use std::thread;
use tokio::sync::broadcast;

/// Branches of a broadcast, and inputs of a merge.
const BRANCHES: usize = 4;

pub(super) fn cells() -> Vec<Cell> {
    let cell = |name: &str, mut candidates: Vec<Candidate>| {
        candidates.extend(go::candidate("pipeline", name.into()));
        Cell::new("pipeline", name.into(), "item", candidates)
    };
    vec![
        cell(
            "broadcast4",
            vec![
                to_all(OURS, broadcast),
                to_all("crossbeam-channel", broadcast_by_hand::<Crossbeam>),
                to_all("crossfire", broadcast_by_hand::<Crossfire>),
                to_all("kanal", broadcast_by_hand::<Kanal>),
            ],
        ),
        cell(
            "broadcast4/lossy",
            vec![
                to_those_with_room(OURS, |ops| broadcast_lossy(ops, Lag::DropNewest)),
                to_those_with_room("aqueduct-drop-oldest", |ops| {
                    broadcast_lossy(ops, Lag::DropOldest)
                }),
                to_those_with_room("crossbeam-channel", lossy_by_hand::<Crossbeam>),
                to_those_with_room("crossfire", lossy_by_hand::<Crossfire>),
                to_those_with_room("kanal", lossy_by_hand::<Kanal>),
                to_those_with_room("tokio", broadcast_tokio),
            ],
        ),
        cell(
            "merge4",
            vec![
                from_all(OURS, merge),
                from_all("crossbeam-channel", merge_by_hand::<Crossbeam>),
                from_all("crossbeam-select", merge_select),
                from_all("crossfire", merge_by_hand::<Crossfire>),
                from_all("kanal", merge_by_hand::<Kanal>),
            ],
        ),
    ]
}

/// What one branch got, in the order in which it came, and how many items it missed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Got {
    sum: Sum,
    items: u64,
    missed: u64,
    /// One came that is not behind the one before it.
    displaced: bool,
    last: Option<u64>,
}

impl Got {
    fn new() -> Self {
        Self {
            sum: Sum::new(Shape { heavy: false, ordered: true, fused: false }),
            ..Self::default()
        }
    }

    #[inline]
    fn take(&mut self, item: u64) {
        self.sum.take(item);
        self.items += 1;
        self.displaced |= self.last.replace(item).is_some_and(|last| last >= item);
    }
}

fn to_all(name: &'static str, run: fn(u64) -> [Got; BRANCHES]) -> Candidate {
    Candidate::new(name, move |ops| {
        let (all, sample) = measure(ops, || run(ops));
        let mut expected = Got::new();
        (0..ops).for_each(|item| expected.take(item));
        assert_eq!(all, [expected; BRANCHES], "{name} lost, doubled or displaced an item");
        sample
    })
}

fn to_those_with_room(name: &'static str, run: fn(u64) -> [Got; BRANCHES]) -> Candidate {
    Candidate::new(name, move |ops| {
        let (all, sample) = measure(ops, || run(ops));
        for got in all {
            let adds_up = got.items + got.missed == ops && !got.displaced;
            assert!(adds_up, "{name} lost, doubled or displaced an item, of {ops}: {got:?}");
            assert!(got.items > 0, "{name} delivers nothing to a branch, of {ops}");
        }
        let arrived: u64 = all.iter().map(|got| got.items).sum();
        let delivered = Some(arrived as f64 / (ops * BRANCHES as u64) as f64);
        Sample { delivered, ..sample }
    })
}

/// Of a merge: its sender, and which of that one's it is.
type Item = (u64, u64);

/// How many items each input has brought.
type Brought = [u64; BRANCHES];

fn from_all(name: &'static str, run: fn(u64) -> Brought) -> Candidate {
    Candidate::new(name, move |ops| {
        let (brought, sample) = measure(ops, || run(ops));
        assert_eq!(brought, shares(ops), "{name} lost, doubled or displaced an item");
        sample
    })
}

/// How many items each sender sends.
fn shares(ops: u64) -> Brought {
    let parts = BRANCHES as u64;
    std::array::from_fn(|at| ops / parts + u64::from((at as u64) < ops % parts))
}

/// Counts an item that is its sender's next; no other.
#[inline]
fn tick_off(brought: &mut Brought, (sender, number): Item) {
    let at = &mut brought[sender as usize];
    assert_eq!(*at, number, "lost, doubled or displaced");
    *at += 1;
}

/// Runs a thread for each branch, and `send` beside them.
fn branches<R: Send>(
    receivers: impl IntoIterator<Item = R>,
    send: impl FnOnce(),
    drain: impl Fn(R, &mut Got) + Sync,
) -> [Got; BRANCHES] {
    thread::scope(|scope| {
        let drain = &drain;
        let start = |receiver| {
            scope.spawn(move || {
                let mut got = Got::new();
                drain(receiver, &mut got);
                got
            })
        };
        let threads: Vec<_> = receivers.into_iter().map(start).collect();
        send();
        let all: Vec<Got> = threads.into_iter().map(|t| t.join().expect("it checks")).collect();
        all.try_into().expect("one for each branch")
    })
}

fn broadcast(ops: u64) -> [Got; BRANCHES] {
    let all = fan::broadcast();
    let receivers = [(); BRANCHES].map(|()| all.add_branch(BUFFER, Lag::Block));
    let send = move || {
        (0..ops).for_each(|n| {
            all.send(n).expect("the branches are there");
        })
    };
    branches(receivers, send, |branch, got| branch.into_iter().for_each(|n| got.take(n)))
}

fn broadcast_by_hand<C: Channel<u64>>(ops: u64) -> [Got; BRANCHES] {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..BRANCHES).map(|_| C::bounded()).unzip();
    let send = move || (0..ops).for_each(|n| senders.iter().for_each(|to| C::send(to, n)));
    branches(receivers, send, |receiver, got| {
        while let Some(n) = C::recv(&receiver) {
            got.take(n);
        }
    })
}

fn broadcast_lossy(ops: u64, lag: Lag) -> [Got; BRANCHES] {
    let all = fan::broadcast();
    let receivers = [(); BRANCHES].map(|()| all.add_branch(BUFFER, lag));
    let send = move || {
        (0..ops).for_each(|n| {
            all.send(n).expect("the branches are there");
        })
    };
    branches(receivers, send, |branch, got| {
        branch.iter().for_each(|n| got.take(n));
        got.missed = branch.missed();
    })
}

fn lossy_by_hand<C: Channel<u64>>(ops: u64) -> [Got; BRANCHES] {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..BRANCHES).map(|_| C::bounded()).unzip();
    let mut missed = [0; BRANCHES];
    let count = &mut missed;
    let send = move || {
        for n in 0..ops {
            for (to, missed) in senders.iter().zip(&mut *count) {
                *missed += u64::from(!C::try_send(to, n));
            }
        }
    };
    let mut all = branches(receivers, send, |receiver, got| {
        while let Some(n) = C::recv(&receiver) {
            got.take(n);
        }
    });
    all.iter_mut().zip(missed).for_each(|(got, missed)| got.missed = missed);
    all
}

fn broadcast_tokio(ops: u64) -> [Got; BRANCHES] {
    let (all, _) = broadcast::channel(BUFFER);
    let receivers = [(); BRANCHES].map(|()| all.subscribe());
    let send = move || {
        (0..ops).for_each(|n| {
            all.send(n).expect("the branches are there");
        })
    };
    branches(receivers, send, |mut receiver, got| {
        loop {
            match receiver.blocking_recv() {
                Ok(n) => got.take(n),
                Err(broadcast::error::RecvError::Lagged(missed)) => got.missed += missed,
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    })
}

fn merge(ops: u64) -> Brought {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..BRANCHES).map(|_| channel::bounded::<Item>(BUFFER)).unzip();
    thread::scope(|scope| {
        for ((at, sender), share) in (0..).zip(senders).zip(shares(ops)) {
            scope
                .spawn(move || (0..share).for_each(|n| sender.send((at, n)).expect("it receives")));
        }
        let mut brought = Brought::default();
        fan::merge(receivers).for_each(|item| tick_off(&mut brought, item));
        brought
    })
}

fn merge_by_hand<C: Channel<Item>>(ops: u64) -> Brought {
    let (to, merged) = C::bounded();
    thread::scope(|scope| {
        for (at, share) in (0..).zip(shares(ops)) {
            let (sender, input) = C::bounded();
            let to = to.clone();
            scope.spawn(move || (0..share).for_each(|n| C::send(&sender, (at, n))));
            scope.spawn(move || {
                while let Some(item) = C::recv(&input) {
                    C::send(&to, item);
                }
            });
        }
        drop(to);
        let mut brought = Brought::default();
        while let Some(item) = C::recv(&merged) {
            tick_off(&mut brought, item);
        }
        brought
    })
}

fn merge_select(ops: u64) -> Brought {
    thread::scope(|scope| {
        let mut receivers = Vec::new();
        for (at, share) in (0..).zip(shares(ops)) {
            let (sender, input) = crossbeam_channel::bounded::<Item>(BUFFER);
            receivers.push(input);
            scope
                .spawn(move || (0..share).for_each(|n| sender.send((at, n)).expect("it receives")));
        }
        let mut brought = Brought::default();
        let mut select = crossbeam_channel::Select::new();
        receivers.iter().for_each(|input| {
            select.recv(input);
        });
        let mut open = receivers.len();
        while open > 0 {
            let ready = select.select();
            let at = ready.index();
            match ready.recv(&receivers[at]) {
                Ok(item) => tick_off(&mut brought, item),
                Err(_) => {
                    select.remove(at);
                    open -= 1;
                }
            }
        }
        brought
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "lost, doubled or displaced")]
    fn a_branch_that_misses_an_item_is_found() {
        let mut forgetful = to_all("forgetful", |ops| {
            let mut all = broadcast(ops);
            all[2] = Got::new();
            (1..ops).for_each(|item| all[2].take(item));
            all
        });
        (forgetful.run)(10);
    }

    #[test]
    #[should_panic(expected = "lost, doubled or displaced")]
    fn a_miss_that_is_not_counted_is_found() {
        let mut silent = to_those_with_room("silent", |ops| {
            let mut all = broadcast_lossy(ops, Lag::DropOldest);
            all[0].missed += 1;
            all
        });
        (silent.run)(10);
    }

    #[test]
    #[should_panic(expected = "delivers nothing")]
    fn a_branch_that_misses_everything_is_found() {
        let mut deaf = to_those_with_room("deaf", |ops| {
            let mut all = broadcast_lossy(ops, Lag::DropOldest);
            all[3] = Got { missed: ops, ..Got::new() };
            all
        });
        (deaf.run)(10);
    }

    #[test]
    fn the_share_that_arrived_is_told() {
        let quarter = |ops| [Got { items: ops / 4, missed: ops - ops / 4, ..Got::new() }; BRANCHES];
        let mut lossy = to_those_with_room("lossy", quarter);
        assert_eq!((lossy.run)(1000).delivered, Some(0.25));
    }

    #[test]
    #[should_panic(expected = "lost, doubled or displaced")]
    fn an_item_that_is_merged_twice_is_found() {
        let mut brought = Brought::default();
        tick_off(&mut brought, (1, 0));
        tick_off(&mut brought, (1, 0));
    }
}
