//! Every item to every branch.

use crate::support::{Counter, Drops, poll};
use aqueduct::channel::{SendTimeoutError, TryRecvError, TrySendError};
use aqueduct::fan::{self, Branch, Lag};
use aqueduct::park::block_on;
use aqueduct::{Context, channel, select, thread};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Waker;
use std::time::Duration;

/// Room for so many: the two kinds of channel that a branch can be.
const KINDS: [usize; 2] = [1, 3];

fn contents<T>(branch: &Branch<T>) -> Vec<T> {
    branch.try_iter().collect()
}

/// R48: One idle reader: by its rule it holds up all, loses its oldest, misses the newest, or is disconnected; what is lost is counted.
#[test]
fn an_idle_reader_is_treated_by_its_rule() {
    let news = fan::broadcast();
    let oldest = news.add_branch(2, Lag::DropOldest);
    let newest = news.add_branch(2, Lag::DropNewest);
    let cut = news.add_branch(2, Lag::Disconnect);
    let fast = news.add_branch(9, Lag::Block);
    let taken: Vec<_> = (0..5).map(|n| news.send(n).unwrap()).collect();
    assert_eq!(taken, [4, 4, 2, 2, 2]);
    assert_eq!((contents(&oldest), oldest.missed()), (vec![3, 4], 3));
    assert_eq!((contents(&newest), newest.missed()), (vec![0, 1], 3));
    assert_eq!(contents(&cut), [0, 1]);
    assert_eq!((cut.try_recv(), cut.is_cut_off()), (Err(TryRecvError::Disconnected), true));
    assert_eq!(cut.missed(), 1, "it is gone when the second is sent");
    assert_eq!((contents(&fast), fast.missed()), ((0..5).collect(), 0));
    assert!(!oldest.is_cut_off() && !fast.is_cut_off());
    assert_eq!(news.branches(), 3);

    let slow = news.add_branch(1, Lag::Block);
    news.send(5).unwrap();
    assert_eq!(news.send_timeout(6, Duration::ZERO), Err(SendTimeoutError::Timeout(6)));
    for branch in [&oldest, &newest, &fast, &slow] {
        assert_eq!(contents(branch), [5], "what was given up nobody got");
    }
}

/// R49: Handles exist from the beginning, and what is asked in vain is a typed error with the item in it.
#[test]
fn handles_exist_from_construction() {
    let news = fan::broadcast();
    assert_eq!(news.try_send(1), Err(TrySendError::Disconnected(1)));
    assert_eq!(news.send(2).unwrap_err().into_inner(), 2);
    let branch = news.add_branch(1, Lag::Block);
    assert_eq!(branch.try_recv(), Err(TryRecvError::Empty));
    assert!(news.remove_branch(branch.id()) && !news.remove_branch(branch.id()));
    assert_eq!(branch.recv_timeout(Duration::MAX).ok(), None);
    assert!(news.close() && !news.close() && news.is_closed());
    let late = news.add_branch(1, Lag::Block);
    assert!(late.recv().is_err() && news.send(3).is_err());
    assert!(!news.remove_branch(late.id()));
}

/// R30, R50: Nothing is a sign for the end but the end.
#[test]
fn empty_items_are_items() {
    let news = fan::broadcast();
    let branch = news.add_branch(4, Lag::Block);
    for item in [None, Some(()), None] {
        news.send(item).unwrap();
    }
    drop(news);
    assert_eq!(branch.into_iter().collect::<Vec<_>>(), [None, Some(()), None]);
}

/// R32, R50: Senders that race with the end get the item back, or every branch has it.
#[test]
fn senders_that_race_with_the_end_get_the_item_back() {
    for _ in 0..50 {
        let drops = Drops::default();
        let news = fan::broadcast();
        let branches = [(); 2].map(|()| news.add_branch(3, Lag::Block));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (news, drops) = (news.clone(), drops.clone());
                thread::spawn(move || {
                    let mut sent = 0;
                    while news.send(Arc::new(drops.item())).is_ok() {
                        sent += 1;
                    }
                    sent
                })
                .unwrap()
            })
            .collect();
        for _ in 0..10 {
            branches.iter().for_each(|branch| drop(branch.recv().unwrap()));
        }
        assert!(news.close());
        let sent: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
        let received = branches.map(|branch| 10 + branch.into_iter().count());
        // A branch may be closed in the middle of the last delivery: it has that item or has ended.
        assert!(received.iter().all(|&received| received <= sent && sent <= received + 2));
        assert_eq!(drops.count(), sent + 2, "the two that came back, too");
    }
}

/// R79: It streams: with an endless source and a slow branch there is never more in memory than the branches have room for.
#[test]
fn a_broadcast_streams_in_bounded_memory() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let live = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let news = fan::broadcast();
    let slow = news.add_branch(4, Lag::Block);
    let lossy = news.add_branch(4, Lag::DropOldest);
    let source = thread::spawn({
        let (live, most) = (Arc::clone(&live), Arc::clone(&most));
        move || {
            (0..10_000).all(|_| {
                most.fetch_max(live.fetch_add(1, SeqCst) + 1, SeqCst);
                news.send(Arc::new(Counted(Arc::clone(&live)))).is_ok()
            })
        }
    });
    assert_eq!(slow.iter().count(), 10_000);
    assert!(source.unwrap().join().unwrap());
    assert_eq!(lossy.len() as u64 + lossy.missed(), 10_000);
    drop((slow, lossy));
    assert_eq!(live.load(SeqCst), 0);
    // Four in each branch, one in the sender's hands, one in the reader's, and one that is just being dropped.
    assert!(most.load(SeqCst) <= 4 + 4 + 3, "{most:?}");
}

/// How a branch ends.
#[derive(Debug)]
enum Goes {
    Removed,
    /// By its receiver, and what is in stays in.
    Closed,
    Dropped,
}

/// R46 of branches: they come and go while a send sleeps at one that lags. However that one ends, the send goes on.
#[test]
fn branches_come_and_go_while_a_send_sleeps() {
    for room in KINDS {
        let news = fan::broadcast();
        let mut laggard = Some(news.add_branch(room, Lag::Block));
        (0..room).for_each(|n| assert_eq!(news.send(n), Ok(1)));
        for goes in [Goes::Removed, Goes::Closed, Goes::Dropped] {
            let (counter, waker) = Counter::new();
            let mut send = pin!(news.send_async(99));
            assert!(poll(&mut send, &waker).is_pending());
            let late = news.add_branch(1, Lag::Block);
            assert!(poll(&mut send, &waker).is_pending());
            assert_eq!(news.try_send(3), Err(TrySendError::Full(3)), "it is not its turn");
            let gone = laggard.as_ref().unwrap();
            match goes {
                Goes::Removed => assert!(news.remove_branch(gone.id())),
                Goes::Closed => assert!(gone.close()),
                Goes::Dropped => drop(laggard.take()),
            }
            assert!(counter.wakes() > 0, "room for {room}, {goes:?}");
            assert_eq!(block_on(send), Ok(1));
            assert_eq!(contents(&late), [99]);
            if let Some(gone) = laggard {
                assert_eq!(contents(&gone), (0..room).collect::<Vec<_>>(), "it gets what is in");
            }
            laggard = Some(news.add_branch(room, Lag::Block));
            assert!(news.remove_branch(late.id()));
            (0..room).for_each(|n| assert_eq!(news.send(n), Ok(1)));
        }
    }
}

/// A send is woken by the room that it sleeps for, and takes none of it before all branches have some: dropped wherever it sleeps, at its
/// turn, at the first branch or at the second, it leaves nothing behind.
#[test]
fn a_send_that_is_dropped_where_it_sleeps_leaves_all_room_free() {
    for rooms in KINDS.into_iter().flat_map(|one| KINDS.map(|other| [one, other])) {
        for sleeps_at in 0..3 {
            let news = fan::broadcast();
            let branches = rooms.map(|room| news.add_branch(room, Lag::Block));
            // So that both are full at once.
            let most = rooms[0].max(rooms[1]);
            for n in 0..most {
                if n >= rooms[0] {
                    branches[0].recv().unwrap();
                }
                if n >= rooms[1] {
                    branches[1].recv().unwrap();
                }
                assert_eq!(news.try_send(n), Ok(2));
            }
            let (counter, waker) = Counter::new();
            let mut first = Box::pin(news.send_async(98));
            assert!(poll(&mut first, &waker).is_pending());
            let mut second = Box::pin(news.send_async(99));
            assert!(poll(&mut second, Waker::noop()).is_pending());
            if sleeps_at == 0 {
                drop(second);
                drop(first);
            } else {
                drop(second);
                if sleeps_at == 2 {
                    branches[0].recv().unwrap();
                    assert_eq!(counter.wakes(), 1, "by the room in the first, {rooms:?}");
                    assert!(poll(&mut first, &waker).is_pending(), "the second has none");
                    assert_eq!(branches[0].len(), rooms[0] - 1, "it holds none of it");
                }
                drop(first);
            }
            for branch in &branches {
                assert!(contents(branch).iter().all(|&n| n < most), "{rooms:?}");
            }
            let least = rooms[0].min(rooms[1]);
            (0..least).for_each(|n| assert_eq!(news.try_send(n), Ok(2), "{rooms:?} {sleeps_at}"));
            assert_eq!(news.try_send(99), Err(TrySendError::Full(99)));
            assert_eq!(
                branches.map(|branch| contents(&branch)),
                [(); 2].map(|()| (0..least).collect::<Vec<_>>())
            );
        }
    }
}

/// Senders that do not wait, or not long, race with receivers who are in the middle of taking an item, one or several: all branches have
/// what was sent, and nobody has what came back.
#[test]
fn a_send_that_races_with_a_receive_gives_to_all_or_nobody() {
    const ITEMS: usize = 3_000;
    for room in 1..5 {
        let news = fan::broadcast();
        let branches = [(); 2].map(|()| news.add_branch(room, Lag::Block));
        let readers = branches.map(|branch| {
            let read = move || {
                let mut items = Vec::new();
                while let Ok(item) = branch.recv() {
                    items.push(item);
                    // A new one each time, which takes its memory in the middle of the receive.
                    let mut batch = Vec::new();
                    if branch.recv_many(&mut batch, 3) == 0 {
                        break;
                    }
                    items.append(&mut batch);
                }
                items
            };
            thread::spawn(read).unwrap()
        });
        let mut sent = Vec::new();
        for n in 0..ITEMS {
            let is_sent = match n % 4 {
                0 => news.try_send(n).is_ok(),
                1 => news.send_timeout(n, Duration::ZERO).is_ok(),
                2 => poll(&mut pin!(news.send_async(n)), Waker::noop()).is_ready(),
                _ => news.send(n).is_ok(),
            };
            sent.extend(is_sent.then_some(n));
        }
        drop(news);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), sent);
        }
        assert!(sent.len() >= ITEMS / 4);
    }
}

/// A send that is dropped or cancelled has given the item to nobody, and the next has its turn.
#[test]
fn a_send_that_is_cancelled_gave_to_nobody() {
    let news = fan::broadcast();
    let (full, free) = (news.add_branch(1, Lag::Block), news.add_branch(3, Lag::Block));
    news.send(1).unwrap();
    {
        let mut first = pin!(news.send_async(2));
        let mut second = Box::pin(news.send_async(3));
        assert!(poll(&mut first, Waker::noop()).is_pending());
        assert!(poll(&mut second, Waker::noop()).is_pending());
        drop(second);
        let context = Context::background();
        context.cancel();
        assert_eq!(news.send_ctx(&context, 4).unwrap_err().into_inner(), 4);
    }
    assert_eq!(contents(&free), [1]);
    assert_eq!(contents(&full), [1]);
    assert_eq!(news.send(5), Ok(2));
    assert_eq!((contents(&full), contents(&free)), (vec![5], vec![5]));
}

/// All branches get the same order, whoever sends.
#[test]
fn branches_agree_on_the_order() {
    let news = fan::broadcast();
    let branches = [(); 3].map(|()| news.add_branch(2, Lag::Block));
    let senders: Vec<_> = (0..3)
        .map(|from| {
            let news = news.clone();
            thread::spawn(move || (0..500).for_each(|n| assert!(news.send((from, n)).is_ok())))
                .unwrap()
        })
        .collect();
    drop(news);
    let readers = branches
        .map(|branch| thread::spawn(move || branch.into_iter().collect::<Vec<_>>()).unwrap());
    let [one, two, three] = readers.map(|reader| reader.join().unwrap());
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(one.len(), 1_500);
    assert!(one == two && two == three);
    for from in 0..3 {
        assert!(one.iter().filter(|(sender, _)| *sender == from).map(|&(_, n)| n).eq(0..500));
    }
}

/// A branch is a receiver: an arm of a selection, awaited, a stream.
#[test]
fn a_branch_is_a_receiver() {
    use futures_util::StreamExt;
    let news = fan::broadcast();
    let branch = news.add_branch(4, Lag::Block);
    let (_never, other) = channel::bounded::<u8>(1);
    (0..4).for_each(|n| assert_eq!(news.send(n), Ok(1)));
    let first = select! {
        recv(&*branch) -> item => item,
        recv(other) -> _ => unreachable!("nobody sends"),
    };
    assert_eq!(first, Ok(0));
    assert_eq!(block_on(branch.recv_async()), Ok(1));
    drop(news);
    assert_eq!(block_on(branch.stream().collect::<Vec<_>>()), [2, 3]);
}

/// What a branch loses may send, in its drop, into the same broadcast.
#[test]
fn what_is_lost_is_dropped_after_the_turn() {
    #[derive(Clone)]
    struct Comes(Option<fan::Broadcast<Comes>>);
    impl Drop for Comes {
        fn drop(&mut self) {
            if let Some(news) = self.0.take() {
                let _ = news.send(Comes(None));
            }
        }
    }
    let news = fan::broadcast();
    let branch = news.add_branch(1, Lag::DropOldest);
    news.send(Comes(Some(news.clone()))).unwrap();
    news.send(Comes(None)).unwrap();
    assert_eq!((branch.missed(), branch.len()), (2, 1));
}
