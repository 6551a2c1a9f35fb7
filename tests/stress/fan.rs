//! Fans of random shape against what each item is owed.

use aqueduct::channel::{self, TryRecvError};
use aqueduct::fan::{self, Lag, RouteError, Rule, Unrouted};
use aqueduct::iter::ParallelIterator;
use aqueduct::{park, thread};
use aqueduct_tests::share;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Who sent it, and which of theirs it is.
type Item = (usize, usize);

fn lag() -> impl Strategy<Value = Lag> {
    prop_oneof![
        Just(Lag::Block),
        Just(Lag::DropOldest),
        Just(Lag::DropNewest),
        Just(Lag::Disconnect)
    ]
}

/// Whether `part` is `whole` with some left out.
fn is_part<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}

fn is_in_order_of_each_sender(items: &[Item]) -> bool {
    let mut next = BTreeMap::new();
    items.iter().all(|&(sender, n)| {
        let next = next.entry(sender).or_insert(0);
        let follows = n >= *next;
        *next = n + 1;
        follows
    })
}

/// R48: What each branch gets and misses is what was sent while it was there, in the order that all agree on.
fn check_broadcast(senders: &[usize], branches: &[(usize, Lag, Option<usize>)]) {
    let news = fan::broadcast();
    // One that gets all, so that nobody sends in vain.
    let witness = news.add_branch(3, Lag::Block);
    let branches = branches
        .iter()
        .map(|&(capacity, lag, leaves)| (news.add_branch(capacity, lag), lag, leaves));
    let branches: Vec<_> = branches.collect();
    thread::scope(|scope| {
        for (sender, &items) in senders.iter().enumerate() {
            let news = news.clone();
            let send = move || (0..items).for_each(|n| assert!(news.send((sender, n)).is_ok()));
            scope.spawn(send).unwrap();
        }
        drop(news);
        let readers: Vec<_> = branches
            .into_iter()
            .map(|(branch, lag, leaves)| {
                let read = move || {
                    let items: Vec<Item> = match leaves {
                        None => branch.iter().collect(),
                        Some(leaves) => branch.iter().take(leaves).collect(),
                    };
                    let (missed, cut) = (branch.missed() as usize, branch.is_cut_off());
                    (items, lag, leaves, missed, cut)
                };
                scope.spawn(read).unwrap()
            })
            .collect();
        let all: Vec<Item> = witness.iter().collect();
        assert_eq!((all.len(), witness.missed()), (senders.iter().sum(), 0));
        assert!(is_in_order_of_each_sender(&all));
        for reader in readers {
            let (items, lag, leaves, missed, cut) = reader.join().unwrap();
            // One that left looked at the two one after the other, while others still sent.
            assert!(!cut || lag == Lag::Disconnect);
            assert!(lag != Lag::Disconnect || missed == 0 || cut);
            assert!(leaves.is_some() || !cut || missed == 1);
            match lag {
                Lag::Block => assert!(all.starts_with(&items) && missed == 0),
                Lag::Disconnect => assert!(all.starts_with(&items) && missed <= 1),
                Lag::DropOldest | Lag::DropNewest => assert!(is_part(&items, &all)),
            }
            if leaves.is_none() && !cut {
                assert_eq!(items.len() + missed, all.len(), "{lag:?}");
            }
        }
    })
    .unwrap();
}

#[derive(Clone, Copy, Debug)]
enum By {
    Key,
    Turns,
    First,
}

/// What a branch wants: numbers with this remainder, or all, or what nobody else wants.
#[derive(Clone, Copy, Debug)]
enum Wants {
    All,
    Remainder(usize),
    Rest,
}

impl Wants {
    /// Whether it asks for this number by itself.
    fn takes(self, n: usize) -> bool {
        match self {
            Self::All => true,
            Self::Remainder(rest) => n % 3 == rest,
            Self::Rest => false,
        }
    }
}

/// Each item goes to exactly one branch that wants it, or comes back; also while branches are removed.
fn check_route(by: By, senders: &[usize], branches: &[(usize, Wants, Option<usize>)]) {
    let router = fan::route(match by {
        By::Key => Rule::by_key(|&(_, n): &Item| n % 5),
        By::Turns => Rule::round_robin(),
        By::First => Rule::first(),
    });
    let is_stable = branches.iter().all(|(_, _, removed)| removed.is_none());
    // What those want who stay.
    let stay: Vec<Wants> =
        branches.iter().filter(|branch| branch.2.is_none()).map(|branch| branch.1).collect();
    let is_wanted = |n: usize| stay.iter().any(|wants| wants.takes(n));
    let has_rest = stay.iter().any(|wants| matches!(wants, Wants::Rest));
    let mut removals = Vec::new();
    let branches = branches.iter().map(|&(capacity, wants, removed)| {
        let branch = match wants {
            Wants::All => router.add_branch(capacity),
            Wants::Remainder(rest) => router.add_branch_if(capacity, move |&(_, n)| n % 3 == rest),
            Wants::Rest => router.add_rest(capacity),
        };
        removals.extend(removed.map(|after| (after, branch.id())));
        (branch, wants)
    });
    let branches: Vec<_> = branches.collect();
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let senders: Vec<_> = senders
            .iter()
            .enumerate()
            .map(|(sender, &items)| {
                let router = router.clone();
                // The first sender removes branches, while others may sleep at them.
                let removals = if sender == 0 { removals.clone() } else { Vec::new() };
                let send = move || {
                    let mut refused: Vec<RouteError<Item>> = Vec::new();
                    for n in 0..items {
                        refused.extend(router.send((sender, n)).err());
                        for &(after, id) in &removals {
                            assert!(after != n || router.remove_branch(id));
                        }
                    }
                    refused
                };
                scope.spawn(send).unwrap()
            })
            .collect();
        let readers: Vec<_> = branches
            .into_iter()
            .map(|(branch, wants)| {
                scope.spawn(move || (branch.iter().collect::<Vec<Item>>(), wants)).unwrap()
            })
            .collect();
        drop(router);
        let mut homes = BTreeMap::new();
        for (nth, reader) in readers.into_iter().enumerate() {
            let (items, wants) = reader.join().unwrap();
            assert!(is_in_order_of_each_sender(&items), "{items:?}");
            for item in items {
                assert!(seen.insert(item), "twice: {item:?}");
                match wants {
                    Wants::Remainder(rest) => assert_eq!(item.1 % 3, rest),
                    Wants::Rest => assert!(!is_wanted(item.1), "somebody wants {item:?}"),
                    Wants::All => {}
                }
                let is_keyed = matches!(by, By::Key) && !matches!(wants, Wants::Rest);
                // Those who want the same compete by key alone.
                if is_keyed && is_stable {
                    let key = (item.1 % 5, item.1 % 3);
                    assert_eq!(*homes.entry(key).or_insert(nth), nth, "a key stays");
                }
            }
        }
        for sender in senders {
            for refused in sender.join().unwrap() {
                assert!(matches!(refused.reason, Unrouted::NoMatch | Unrouted::NoBranch));
                assert!(!has_rest && !is_wanted(refused.item.1), "{:?}", refused.item);
                assert!(seen.insert(refused.item), "back, and there: {:?}", refused.item);
            }
        }
    })
    .unwrap();
    assert_eq!(seen.len(), senders.iter().sum::<usize>());
}

#[derive(Clone, Copy, Debug)]
enum Mode {
    Turns,
    Ordered,
    UntilAny,
}

/// Each item of each input once, in its order; sorted, if they are to be; whoever leaves early stops the sources.
fn check_merge(mode: Mode, inputs: &[(usize, usize, i32, bool)], leaves: Option<usize>) {
    let mut merged = fan::merge([]);
    let handle = merged.inputs();
    merged = match mode {
        Mode::Turns => merged,
        Mode::Ordered => merged.ordered_by_key(|&(_, n): &Item| n),
        Mode::UntilAny => merged.until_any(),
    };
    let comes_late = inputs.iter().any(|input| input.3);
    let total: usize = inputs.iter().map(|input| input.1).sum();
    let least = inputs.iter().map(|input| input.1).min().unwrap_or(0);
    thread::scope(|scope| {
        let mut late = Vec::new();
        for (source, &(capacity, items, priority, is_late)) in inputs.iter().enumerate() {
            let (sender, receiver) = channel::bounded(capacity);
            scope
                .spawn(move || {
                    let _ = (0..items).all(|n| sender.send((source, n)).is_ok());
                })
                .unwrap();
            if is_late {
                late.push((priority, receiver));
            } else {
                handle.add_with(priority, receiver).unwrap();
            }
        }
        scope
            .spawn(move || {
                for (priority, receiver) in late {
                    // It may have ended.
                    let _ = handle.add_with(priority, receiver);
                }
            })
            .unwrap();
        let mut items = Vec::new();
        let wanted = leaves.unwrap_or(usize::MAX);
        while items.len() < wanted {
            // By turns, all ways to receive.
            let item = match items.len() % 4 {
                0 => merged.recv().ok(),
                1 => park::block_on(merged.recv_async()).ok(),
                2 => match merged.try_recv() {
                    Err(TryRecvError::Empty) => merged.recv_timeout(Duration::MAX).ok(),
                    item => item.ok(),
                },
                _ => merged.recv_ctx(&aqueduct::Context::background()).ok(),
            };
            match item {
                Some(item) => items.push(item),
                None => break,
            }
        }
        drop(merged);
        assert!(items.iter().collect::<BTreeSet<_>>().len() == items.len(), "each once");
        let mut next = BTreeMap::new();
        for &(source, n) in &items {
            assert_eq!(n, *next.entry(source).and_modify(|n| *n += 1).or_insert(0));
        }
        match mode {
            Mode::Turns => assert_eq!(items.len(), total.min(wanted)),
            Mode::Ordered => {
                assert_eq!(items.len(), total.min(wanted));
                assert!(comes_late || items.is_sorted_by_key(|item| item.1), "{items:?}");
            }
            Mode::UntilAny => assert!(inputs.is_empty() || items.len() >= least.min(wanted)),
        }
    })
    .unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: share(150) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broadcast_owes_each_branch_each_item(
        senders in vec(0_usize..60, 1..4),
        branches in vec((1_usize..5, lag(), proptest::option::of(0_usize..40)), 0..5),
    ) {
        check_broadcast(&senders, &branches);
    }

    #[test]
    fn a_router_owes_each_item_one_branch(
        by in prop_oneof![Just(By::Key), Just(By::Turns), Just(By::First)],
        senders in vec(0_usize..60, 1..4),
        branches in vec((
            1_usize..5,
            prop_oneof![
                3 => Just(Wants::All),
                3 => (0_usize..3).prop_map(Wants::Remainder),
                1 => Just(Wants::Rest),
            ],
            proptest::option::weighted(0.3, 0_usize..30),
        ), 0..5),
    ) {
        check_route(by, &senders, &branches);
    }

    #[test]
    fn a_merge_owes_each_item_once(
        mode in prop_oneof![Just(Mode::Turns), Just(Mode::Ordered), Just(Mode::UntilAny)],
        inputs in vec((0_usize..4, 0_usize..60, -1_i32..2, any::<bool>()), 0..6),
        leaves in proptest::option::of(0_usize..80),
    ) {
        check_merge(mode, &inputs, leaves);
    }

    /// R37: a parallel map is the map: results, order, panics, and no more in flight than the window.
    #[test]
    fn a_parallel_map_is_the_map(
        threads in 0_usize..5,
        window in 1_usize..12,
        items in 0_usize..80,
        panics in proptest::option::of(0_usize..80),
        leaves in proptest::option::of(0_usize..80),
    ) {
        let drawn = Arc::new(AtomicUsize::new(0));
        let source = (0..items).inspect(|_| _ = drawn.fetch_add(1, SeqCst));
        let f = move |n| if Some(n) == panics { panic!("on purpose") } else { n * 7 };
        let mut mapped = source.par_map_ordered(threads, f).window(window);
        let wanted = leaves.unwrap_or(usize::MAX);
        let mut output = Vec::new();
        let ended = thread::catch(|| {
            for value in mapped.by_ref().take(wanted) {
                output.push(value);
                assert!(drawn.load(SeqCst) <= output.len() - 1 + window);
            }
        });
        let expected = items.min(wanted).min(panics.unwrap_or(usize::MAX));
        prop_assert!(output.iter().copied().eq((0..expected).map(|n| n * 7)));
        let is_panic_reached = panics.is_some_and(|n| n < items.min(wanted));
        prop_assert_eq!(ended.is_err(), is_panic_reached);
        if is_panic_reached {
            prop_assert_eq!(mapped.next(), None);
        }
    }
}
