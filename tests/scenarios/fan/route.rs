//! Each item to one branch.

use crate::support::poll;
use aqueduct::context::{Context, ContextError};
use aqueduct::fan::{self, RouteError, Rule, Unrouted};
use aqueduct::park::block_on;
use aqueduct::thread;
use std::collections::BTreeMap;
use std::pin::pin;
use std::task::Waker;
use std::time::Duration;

fn refused<T>(item: T, reason: Unrouted) -> Result<(), RouteError<T>> {
    Err(RouteError { item, reason })
}

/// R49: An item that finds no branch comes back with the reason; or goes to the dead letters.
#[test]
fn an_item_without_a_branch_comes_back() {
    let router = fan::route(Rule::first());
    assert_eq!(router.send(1), refused(1, Unrouted::NoBranch));
    let even = router.add_branch_if(1, |n| n % 2 == 0);
    assert_eq!(router.send(3), refused(3, Unrouted::NoMatch));
    assert_eq!(router.send(2), Ok(()));
    assert_eq!(router.try_send(4), refused(4, Unrouted::Full));
    assert_eq!(router.send_timeout(4, Duration::ZERO), refused(4, Unrouted::Timeout));
    let context = Context::background();
    context.cancel();
    let done = Unrouted::Done(ContextError::Canceled);
    assert_eq!(router.send_ctx(&context, 4), refused(4, done));
    let dead = router.add_rest(1);
    assert_eq!(router.send(3), Ok(()));
    assert_eq!((dead.recv(), even.recv(), even.len()), (Ok(3), Ok(2), 0));
    drop(even);
    assert_eq!(router.send(6), Ok(()), "nobody else wants it now");
    assert_eq!((dead.recv(), router.branches()), (Ok(6), 1));
    router.close();
    assert_eq!(router.send(1), refused(1, Unrouted::Closed));
    assert!(dead.recv().is_err() && router.add_branch(1).recv().is_err());
}

/// A key stays with its branch; only those of a branch that goes move, and to a new one only such as it takes over.
#[test]
fn keys_stay_where_they_are() {
    const KEYS: u32 = 1_000;
    let router = fan::route(Rule::by_key(|n: &u32| *n));
    let mut branches = Vec::from([(); 4].map(|()| router.add_branch(KEYS as usize)));
    let deal = |branches: &[fan::Branch<u32>]| {
        (0..KEYS).for_each(|key| router.send(key).unwrap());
        let items = branches
            .iter()
            .flat_map(|branch| branch.try_iter().map(|key| (key, branch.id())).collect::<Vec<_>>());
        items.collect::<BTreeMap<_, _>>()
    };
    let before = deal(&branches);
    assert_eq!((before.len(), deal(&branches)), (KEYS as usize, before.clone()));
    for branch in &branches {
        let keys = before.values().filter(|id| **id == branch.id()).count();
        // 250 are to be expected, with a standard deviation of 14.
        assert!((150..350).contains(&keys), "{keys}");
    }
    branches.push(router.add_branch(KEYS as usize));
    let (new, with_new) = (branches[4].id(), deal(&branches));
    let moved: Vec<_> = (0..KEYS).filter(|key| before[key] != with_new[key]).collect();
    assert!((100..300).contains(&moved.len()) && moved.iter().all(|key| with_new[key] == new));
    let gone = branches.remove(1).id();
    let without = deal(&branches);
    for key in 0..KEYS {
        assert!(with_new[&key] == gone || with_new[&key] == without[&key], "{key}");
    }
}

/// In turn: each gets as many as any other, though several send, and though sends are given up.
#[test]
fn turns_are_fair() {
    let router = fan::route(Rule::round_robin());
    let branches = [(); 3].map(|()| router.add_branch(1_000));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..500).for_each(|n| router.send(n).unwrap())).unwrap();
        }
    })
    .unwrap();
    assert!(branches.iter().all(|branch| branch.len() == 500));

    let router = fan::route(Rule::round_robin());
    let (one, other) = (router.add_branch(1), router.add_branch(9));
    router.send(0).unwrap();
    router.send(1).unwrap();
    for n in 2..9 {
        assert_eq!(router.try_send(n).unwrap_err().reason, Unrouted::Full, "it waits for its turn");
    }
    assert_eq!((one.recv(), router.try_send(2)), (Ok(0), Ok(())));
    router.send(3).unwrap();
    assert!(one.try_iter().eq([2]) && other.try_iter().eq([1, 3]));
}

/// R46 of routes: a send that sleeps at a branch that is removed, or goes, chooses again; one that is dropped gave nothing.
#[test]
fn a_send_that_sleeps_chooses_again() {
    let router = fan::route(Rule::first());
    let (first, second) = (router.add_branch(1), router.add_branch(2));
    router.send(0).unwrap();
    {
        let mut dropped = Box::pin(router.send_async(1));
        assert!(poll(&mut dropped, Waker::noop()).is_pending());
    }
    let mut one = pin!(router.send_async(2));
    let mut other = pin!(router.send_async(3));
    assert!(poll(&mut one, Waker::noop()).is_pending());
    assert!(poll(&mut other, Waker::noop()).is_pending());
    assert!(router.remove_branch(first.id()));
    assert_eq!((block_on(one), block_on(other)), (Ok(()), Ok(())));
    assert!(first.try_iter().eq([0]) && second.try_iter().eq([2, 3]));
}

/// In turn: a send that is given up when others have had their turns takes none of them back.
#[test]
fn a_send_that_is_given_up_late_moves_no_turn() {
    let router = fan::route(Rule::round_robin());
    let (one, other) = (router.add_branch(1), router.add_branch(9));
    (0..2).for_each(|n| router.send(n).unwrap());
    let mut given_up = Box::pin(router.send_async(99));
    assert!(poll(&mut given_up, Waker::noop()).is_pending());
    let third = router.add_branch(9);
    (2..4).for_each(|n| router.send(n).unwrap());
    let mut late = pin!(router.send_async(4));
    assert!(poll(&mut late, Waker::noop()).is_pending());
    drop(given_up);
    assert_eq!(one.recv(), Ok(0));
    assert_eq!(block_on(late), Ok(()));
    assert_eq!(one.recv(), Ok(4));
    (5..8).for_each(|n| router.send(n).unwrap());
    assert!(other.try_iter().eq([1, 2, 5]) && third.try_iter().eq([3, 6]));
    assert_eq!(one.recv(), Ok(7));

    // Two that are given up one after the other, the later one first, leave the turn where it was.
    let router = fan::route(Rule::round_robin());
    let (one, other) = (router.add_branch(1), router.add_branch(1));
    (0..2).for_each(|n| router.send(n).unwrap());
    let mut sends = [2, 3].map(|n| Box::pin(router.send_async(n)));
    assert!(sends.iter_mut().all(|send| poll(send, Waker::noop()).is_pending()));
    sends.into_iter().rev().for_each(drop);
    assert_eq!((one.recv(), router.try_send(4), one.recv()), (Ok(0), Ok(()), Ok(4)));
    assert_eq!(other.recv(), Ok(1));
}
