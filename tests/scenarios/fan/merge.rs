//! Many sources, one consumer.

use super::filled;
use crate::support::{Counter, Drops, poll};
use aqueduct::channel::{self, RecvTimeoutError, TryRecvError};
use aqueduct::fan;
use aqueduct::park::block_on;
use aqueduct::{Context, thread};
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

/// R76: A merge of nothing ends at once, in every form.
#[test]
fn a_merge_of_nothing_ends_at_once() {
    assert!(fan::merge::<u8>([]).recv().is_err());
    assert_eq!(fan::merge::<u8>([]).try_recv(), Err(TryRecvError::Disconnected));
    let none = fan::merge::<u8>([]).recv_timeout(Duration::MAX);
    assert_eq!(none, Err(RecvTimeoutError::Disconnected));
    assert_eq!(fan::merge::<u8>([]).ordered_by(u8::cmp).count(), 0);
    assert!(fan::merge::<u8>([]).until_any().recv().is_err());
}

/// R74: The merge ends when all its sources have ended, and not before; what each had sent has come, in its order.
#[test]
fn a_merge_ends_when_all_sources_have() {
    for capacity in [0, 1, 7] {
        let mut sources = Vec::new();
        let inputs: Vec<_> = (0..4)
            .map(|from| {
                let (sender, receiver) = channel::bounded(capacity);
                let source = move || (0..from * 100).all(|n| sender.send((from, n)).is_ok());
                sources.push(thread::spawn(source).unwrap());
                receiver
            })
            .collect();
        let merged: Vec<_> = fan::merge(inputs).collect();
        assert!(sources.into_iter().all(|source| source.join().unwrap()));
        for from in 0..4 {
            assert!(
                merged.iter().filter(|item| item.0 == from).map(|item| item.1).eq(0..from * 100)
            );
        }
    }
}

/// R75: Whoever stops early stops the sources: none is left, asleep, with an item that nobody wants.
#[test]
fn dropping_a_merge_stops_its_sources() {
    for capacity in [0, 1, 7] {
        let drops = Drops::default();
        let mut sources = Vec::new();
        let inputs: Vec<_> = (0..3)
            .map(|_| {
                let (sender, receiver) = channel::bounded(capacity);
                let drops = drops.clone();
                let source = move || (1..).find(|_| sender.send(drops.item()).is_err()).unwrap();
                sources.push(thread::spawn(source).unwrap());
                receiver
            })
            .collect();
        let received = fan::merge(inputs).take(10).count();
        assert_eq!(received, 10);
        let made: usize = sources.into_iter().map(|source| source.join().unwrap()).sum();
        assert_eq!(drops.count(), made, "what was in is dropped");
    }
}

/// R45: It closes with inputs that are idle, that never end, and that are half-closed.
#[test]
fn a_merge_closes_whatever_its_inputs_do() {
    let (idle, never) = channel::bounded::<u8>(1);
    let half = filled([7]);
    half.close();
    let mut merged = fan::merge([never, half, filled([8])]);
    assert_eq!((merged.recv(), merged.recv()), (Ok(7), Ok(8)));
    assert_eq!(merged.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Timeout));
    let context = Context::background().with_timeout(Duration::from_millis(1));
    assert!(merged.recv_ctx(&context).is_err());
    drop(merged);
    assert!(idle.is_closed());
}

/// R46: Inputs come and go while the merge runs, also while it sleeps; the same in order.
#[test]
fn inputs_come_and_go_while_it_runs() {
    for in_order in [false, true] {
        let (early, first) = channel::bounded(4);
        let mut merged = fan::merge([first]);
        if in_order {
            merged = merged.ordered_by_key(|n: &i32| *n);
        }
        let inputs = merged.inputs();
        let (counter, waker) = Counter::new();
        let late = {
            let mut sleeps = pin!(merged.recv_async());
            assert!(poll(&mut sleeps, &waker).is_pending());
            let (late, second) = channel::bounded(4);
            let id = inputs.add(second).unwrap();
            assert!(counter.wakes() > 0, "it looks at the new one");
            assert!(poll(&mut sleeps, &waker).is_pending());
            late.send(2).unwrap();
            if in_order {
                assert!(poll(&mut sleeps, &waker).is_pending(), "the other has not shown any");
                early.send(1).unwrap();
                assert_eq!(poll(&mut sleeps, &waker), Poll::Ready(Ok(1)));
            } else {
                assert_eq!(poll(&mut sleeps, &waker), Poll::Ready(Ok(2)));
            }
            late.send(3).unwrap();
            let removed = inputs.remove(id).unwrap();
            assert!(inputs.remove(id).is_none());
            assert_eq!(removed.recv(), Ok(3), "it is still there");
            late
        };
        early.send(5).unwrap();
        if in_order {
            assert_eq!(merged.recv(), Ok(2), "it had been looked at");
        }
        assert_eq!(merged.recv(), Ok(5));
        drop(early);
        assert_eq!(merged.try_recv(), Err(TryRecvError::Empty), "one may come");
        assert!(inputs.is_empty());
        drop(inputs);
        assert!(merged.recv().is_err());
        assert!(late.is_closed(), "who took it has dropped it");
        let ended = merged.inputs().add(filled([1])).unwrap_err();
        assert_eq!(ended.into_inner().recv(), Ok(1));
    }
}

/// The last handle that goes wakes a merge that waits for inputs.
#[test]
fn the_last_handle_ends_a_merge_without_inputs() {
    let mut merged = fan::merge::<u8>([]);
    let inputs = merged.inputs();
    let (counter, waker) = Counter::new();
    {
        let mut sleeps = pin!(merged.recv_async());
        assert!(poll(&mut sleeps, &waker).is_pending());
        let other = inputs.clone();
        drop(inputs);
        assert!(poll(&mut sleeps, &waker).is_pending(), "one is left");
        drop(other);
        assert!(counter.wakes() > 0);
        assert!(matches!(poll(&mut sleeps, &waker), Poll::Ready(Err(_))));
    }
    for _ in 0..200 {
        let mut merged = fan::merge([]);
        let inputs = merged.inputs();
        let other = inputs.clone();
        let adds = thread::spawn(move || inputs.add(filled([1])).unwrap()).unwrap();
        let goes = thread::spawn(move || drop(other)).unwrap();
        assert_eq!(merged.by_ref().count(), 1);
        adds.join().unwrap();
        goes.join().unwrap();
    }
}

/// In turn: whoever has something waits for one item of each other at most.
#[test]
fn inputs_take_turns() {
    let mut merged = fan::merge([filled(0..3), filled(10..13), filled(20..23)]);
    let inputs = merged.inputs();
    let first: Vec<_> = merged.by_ref().take(4).collect();
    assert_eq!(first, [0, 10, 20, 1]);
    // A change of the list does not begin with the first again.
    inputs.add(filled(30..33)).unwrap();
    drop(inputs);
    assert_eq!(merged.collect::<Vec<_>>(), [11, 21, 30, 2, 12, 22, 31, 32]);
}

/// By priority: the higher first, in turn among equals.
#[test]
fn the_higher_priority_comes_first() {
    let merged = fan::merge([filled([1, 2])])
        .with(-1, filled([7]))
        .with(9, filled(['a', 'b'].map(u32::from)))
        .with(0, filled([3, 4]));
    let expected = ['a', 'b'].map(u32::from).into_iter().chain([1, 3, 2, 4, 7]);
    assert_eq!(merged.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}

/// In order: k sorted inputs come as one; equal ones in the order of their inputs.
#[test]
fn sorted_inputs_come_as_one() {
    let inputs = (0..9).map(|from| filled((0..50).map(move |n| ((n * from) / 3, from, n))));
    let merged: Vec<_> = fan::merge(inputs).ordered_by_key(|item| item.0).collect();
    assert_eq!(merged.len(), 450);
    assert!(merged.is_sorted(), "by key, then by input, then as they came");
}

/// A merge until any input ends drops what the others have.
#[test]
fn until_any_ends_at_the_first_end() {
    for in_order in [false, true] {
        let (sender, receiver) = channel::bounded(4);
        sender.send(5).unwrap();
        let mut merged = fan::merge([filled([1]), receiver]).until_any();
        if in_order {
            merged = merged.ordered_by(i32::cmp);
        }
        assert_eq!(merged.recv(), Ok(1));
        if !in_order {
            assert_eq!(merged.recv(), Ok(5));
        }
        assert!(merged.recv().is_err() && merged.next().is_none());
        assert!(sender.is_closed());
    }
}

/// A receive that is dropped takes nothing, where there is room and where there is none.
#[test]
fn a_receive_that_is_dropped_takes_nothing() {
    for capacity in [0, 1] {
        let (sender, receiver) = channel::bounded(capacity);
        let (other, second) = channel::bounded(capacity);
        let mut merged = fan::merge([receiver, second]);
        let mut received = Vec::new();
        for n in 0..100 {
            {
                let mut sleeps = pin!(merged.recv_async());
                assert!(poll(&mut sleeps, Waker::noop()).is_pending());
                // They may be handed over now.
                sender.try_send(2 * n).unwrap();
                other.try_send(2 * n + 1).unwrap();
            }
            received.extend([merged.recv().unwrap(), merged.recv().unwrap()]);
        }
        received.sort_unstable();
        assert!(received.into_iter().eq(0..200));
    }
}

/// A merge as a stream.
#[test]
fn a_merge_is_a_stream() {
    use futures_util::StreamExt;
    let (sender, receiver) = channel::bounded(1);
    let mut stream = fan::merge([filled([1]), receiver]).into_stream();
    let source = thread::spawn(move || (2..100).for_each(|n| sender.send(n).unwrap())).unwrap();
    let mut items = block_on(stream.by_ref().collect::<Vec<_>>());
    items.sort_unstable();
    assert!(items.into_iter().eq(1..100));
    assert_eq!(block_on(stream.next()), None);
    source.join().unwrap();
}

/// In order: an input that is empty hides no other that has ended, so that the merge sleeps, and `until_any` ends.
#[test]
fn an_ordered_merge_sees_an_end_beside_an_empty_input() {
    for (room, before, behind) in
        [0, 1, 3].into_iter().flat_map(|room| [(room, 2, 0), (room, 1, 1)])
    {
        let (sender, receiver) = channel::bounded(room);
        let between = [receiver.clone()].into_iter().chain((0..behind).map(|_| filled([])));
        let inputs: Vec<_> = (0..before).map(|_| filled([])).chain(between).collect();

        let mut any = fan::merge([filled([]), receiver]).ordered_by(u8::cmp).until_any();
        assert_eq!(any.try_recv(), Err(TryRecvError::Disconnected), "with room for {room}");
        drop(any);

        let mut merged = fan::merge(inputs).ordered_by(u8::cmp);
        let handle = merged.inputs();
        assert_eq!((merged.try_recv(), handle.len()), (Err(TryRecvError::Empty), 1));
        drop(handle);
        let none = merged.recv_timeout(Duration::ZERO);
        assert_eq!(none, Err(RecvTimeoutError::Timeout));
        let (counter, waker) = Counter::new();
        let mut sleeps = pin!(merged.recv_async());
        assert!(poll(&mut sleeps, &waker).is_pending());
        sender.try_send(7).unwrap();
        assert!(counter.wakes() > 0);
        assert_eq!(poll(&mut sleeps, &waker), Poll::Ready(Ok(7)));
    }
}

/// In order: whichever comparison panics, each item still comes, once and in its turn.
#[test]
fn a_comparison_that_panics_loses_nothing() {
    for panics_at in 0.. {
        let (open, last) = channel::bounded(1);
        open.send(9).unwrap();
        let inputs = [filled([1, 5, 6]), filled([2, 4]), filled([3, 7, 8]), last];
        let mut compared = 0;
        let mut merged = fan::merge(inputs).ordered_by(move |one: &u8, other| {
            compared += 1;
            assert!(compared != panics_at + 1, "on purpose");
            one.cmp(other)
        });
        let mut panics = 0;
        let mut items = Vec::new();
        loop {
            match thread::catch(|| merged.try_recv()) {
                Ok(Ok(item)) => items.push(item),
                Ok(Err(end)) => break assert_eq!(end, TryRecvError::Empty),
                Err(_) => panics += 1,
            }
        }
        assert!(items.into_iter().eq(1..=9), "the comparison {panics_at}");
        if panics == 0 {
            return assert!(panics_at > 9, "there are more comparisons than items");
        }
    }
}

/// Though it is not its turn for as long as the others have something.
#[test]
fn any_end_is_seen_at_once_whatever_its_priority() {
    let (sender, low) = channel::bounded::<u8>(1);
    let (_high_sender, high) = channel::bounded(3);
    (0..3).for_each(|n| _high_sender.send(n).unwrap());
    let mut merge = fan::merge([low]).with(1, high).until_any();
    assert_eq!(merge.recv(), Ok(0));
    drop(sender);
    assert!(merge.recv().is_err());
}
