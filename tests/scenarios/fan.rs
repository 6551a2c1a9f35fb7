//! Fan-out and fan-in: what broke others.

mod broadcast;
mod merge;
mod route;
mod scatter;

use crate::support::{Sleepers, alone, threads};
use aqueduct::channel::{self, Receiver};
use aqueduct::fan::{self, Lag, Rule};
use aqueduct::{Context, thread};
use std::collections::BTreeMap;

/// A channel with these items, and nobody who sends more.
pub(crate) fn filled<T>(items: impl IntoIterator<Item = T>) -> Receiver<T> {
    let items: Vec<T> = items.into_iter().collect();
    let (sender, receiver) = channel::bounded(items.len().max(1));
    items.into_iter().for_each(|item| sender.send(item).expect("there is room"));
    receiver
}

/// R44: What is broadcast to n branches and merged again comes n times, each item; in the order of each branch.
#[test]
fn a_broadcast_merged_again_delivers_n_times_each() {
    const ITEMS: u64 = 1_000;
    for branches in [1, 3, 8] {
        let source = fan::broadcast();
        let fanned: Vec<_> = (0..branches).map(|_| source.add_branch(4, Lag::Block)).collect();
        let sender = thread::spawn(move || (0..ITEMS).all(|n| source.send(n) == Ok(branches)));
        let merged = fan::merge(fanned.into_iter().map(fan::Branch::into_receiver));
        let mut counts = BTreeMap::new();
        merged.for_each(|n| *counts.entry(n).or_insert(0) += 1);
        assert!(sender.unwrap().join().unwrap());
        assert_eq!(counts, (0..ITEMS).map(|n| (n, branches)).collect());
    }
}

/// R47: A cancelled context wakes whoever sleeps at any end of a fan, and nobody hangs.
#[test]
fn a_cancel_wakes_everybody() {
    let context = Context::background();
    let news = fan::broadcast().close_on(&context);
    let (idle, read) = (news.add_branch(1, Lag::Block), news.add_branch(1, Lag::Block));
    let router = fan::route(Rule::round_robin()).close_on(&context);
    let routed = router.add_branch(1);
    let empty = router.add_branch_if(1, |_| false);
    let (quiet, input) = channel::bounded::<u8>(1);
    let mut merged = fan::merge([input]).close_on(&context);
    let inputs = merged.inputs();
    let (source, input) = channel::bounded(1);
    let unread = fan::merge([input]).close_on(&context);

    thread::scope(|scope| {
        let sleepers = Sleepers::default();
        let mut handles = Vec::new();
        let mut spawn =
            |f: Box<dyn FnOnce() + Send>| handles.push(scope.spawn(sleepers.call(f)).unwrap());
        let sender = news.clone();
        spawn(Box::new(move || while sender.send(1).is_ok() {}));
        spawn(Box::new(move || while news.send(2).is_ok() {}));
        spawn(Box::new(move || while read.recv().is_ok() {}));
        spawn(Box::new(move || while router.send(3).is_ok() {}));
        spawn(Box::new(move || assert!(empty.recv().is_err())));
        spawn(Box::new(move || while merged.recv().is_ok() {}));
        spawn(Box::new(move || while source.send(4).is_ok() {}));
        // Whatever was sent has come as far as it can.
        routed.recv().unwrap();
        sleepers.until_asleep(7);
        context.cancel();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
    })
    .unwrap();
    assert_eq!(idle.iter().count(), 1, "what was in is still there");
    drop((inputs, quiet, unread));
}

/// R51, R77: Sharing gives each item to one, a broadcast to each, a router to the one that is due or wanted: named, different things.
#[test]
fn sharing_broadcasting_and_routing_are_different_things() {
    let shared = fan::share(filled(0..6), 2);
    let first: Vec<_> = shared[0].try_iter().take(2).collect();
    let rest: Vec<_> = shared[1].try_iter().collect();
    assert_eq!((first, rest), (vec![0, 1], vec![2, 3, 4, 5]));

    let news = fan::broadcast();
    let branches = [(); 2].map(|()| news.add_branch(6, Lag::Block));
    (0..6).for_each(|n| assert_eq!(news.send(n), Ok(2)));
    branches.iter().for_each(|branch| assert!(branch.try_iter().eq(0..6)));

    let turns = fan::route(Rule::round_robin());
    let branches = [(); 2].map(|()| turns.add_branch(6));
    (0..6).for_each(|n| turns.send(n).unwrap());
    assert!(branches[0].try_iter().eq([0, 2, 4]) && branches[1].try_iter().eq([1, 3, 5]));

    let wanted = fan::route(Rule::first());
    let threes = wanted.add_branch_if(6, |n| n % 3 == 0);
    let others = wanted.add_rest(6);
    (0..6).for_each(|n| wanted.send(n).unwrap());
    assert!(threes.try_iter().eq([0, 3]) && others.try_iter().eq([1, 2, 4, 5]));

    let keyed = fan::route(Rule::by_key(|n: &i32| n % 2));
    let branches = [(); 3].map(|()| keyed.add_branch(6));
    (0..6).for_each(|n| keyed.send(n).unwrap());
    for items in branches.map(|branch| branch.try_iter().collect::<Vec<_>>()) {
        let keys: Vec<_> = [0, 1].map(|key| items.iter().filter(|n| *n % 2 == key).count()).into();
        assert!(keys.iter().all(|count| [0, 3].contains(count)), "a key is with one: {items:?}");
    }
}

/// R78: Whoever drops what is downstream stops what is upstream, through a share, a broadcast, a router and a merge.
#[test]
fn a_drop_downstream_stops_the_source() {
    let (sender, receiver) = channel::bounded::<u8>(1);
    drop(fan::share(receiver.clone(), 3));
    assert!(!sender.is_closed(), "one is left");
    drop(fan::share(receiver, 0));
    assert!(sender.is_closed());

    let news = fan::broadcast();
    let (one, other) = (news.add_branch(1, Lag::Block), news.add_branch(1, Lag::DropNewest));
    news.send(1).unwrap();
    let endless = thread::spawn(move || (2_u64..).find(|&n| news.send(n).is_err())).unwrap();
    drop((one, other));
    assert!(endless.join().unwrap().is_some());

    let router = fan::route(Rule::by_key(|n: &u64| *n));
    let branches = [(); 3].map(|()| router.add_branch(1));
    let endless = thread::spawn(move || (0_u64..).find(|&n| router.send(n).is_err())).unwrap();
    // Whichever the first key belongs to.
    let mut any = fan::merge(branches.map(fan::Branch::into_receiver));
    assert!(any.recv().is_ok());
    drop(any);
    assert!(endless.join().unwrap().is_some());

    let (sender, receiver) = channel::bounded(1);
    let endless = thread::spawn(move || (0_u64..).find(|&n| sender.send(n).is_err())).unwrap();
    let mut merged = fan::merge([receiver]);
    assert_eq!(merged.recv(), Ok(0));
    drop(merged);
    assert!(endless.join().unwrap().is_some());
}

/// R38: Fans have no threads.
#[test]
fn a_fan_has_no_thread() {
    alone("fan::a_fan_has_no_thread", || {
        let before = threads();
        let context = Context::background();
        let news = fan::broadcast().close_on(&context);
        let mut merged = fan::merge([news.add_branch(2, Lag::Block).into_receiver()]);
        news.send(1).unwrap();
        assert_eq!(merged.recv(), Ok(1));
        assert_eq!(threads(), before);
    });
}
