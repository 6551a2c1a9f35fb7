//! Iterators whose work is done by several threads.

use crate::pool::Gate;
use crate::support::{Drops, alone, eventually, threads};
use aqueduct::iter::ParallelIterator;
use aqueduct::thread;
use std::sync::{Arc, Barrier, Mutex, mpsc};

/// Several work at the same time, and the results come in order all the same.
#[test]
fn several_threads_work_in_order() {
    let two = Barrier::new(2);
    let squares = thread::scope(|scope| {
        let square = |n: &u64| {
            two.wait();
            n * n
        };
        let numbers: Vec<u64> = (0..100).collect();
        // The numbers live shorter than the scope: they are moved in.
        let numbers = numbers.into_iter();
        numbers.par_map_ordered_in(scope, 2, move |n| square(&n)).collect::<Vec<_>>()
    });
    assert!(squares.unwrap().into_iter().eq((0..100).map(|n| n * n)));
}

/// What is slow holds up its own result only, where order is not asked for.
#[test]
fn without_order_results_come_as_they_are_made() {
    let gate = Gate::default();
    let slow = gate.clone();
    let mut results = (0..10).par_map(2, move |n| {
        if n == 0 {
            slow.pass();
        }
        n
    });
    let mut first: Vec<_> = results.by_ref().take(7).collect();
    first.sort_unstable();
    assert!(!first.contains(&0), "{first:?}");
    gate.open();
    assert_eq!(results.count(), 3);
}

/// R78: Dropped early, it stops: what nobody has begun with is dropped, what is being worked on is waited for, no thread is left.
#[test]
fn dropped_early_it_stops_and_joins() {
    alone("iter::dropped_early_it_stops_and_joins", || {
        let before = threads();
        for in_order in [true, false] {
            let drops = Drops::default();
            let made = drops.clone();
            let mut count = 0;
            let items = std::iter::from_fn(|| {
                count += 1;
                Some(made.item())
            });
            let received = if in_order {
                items.par_map_ordered(3, drop).take(10).count()
            } else {
                items.par_map(3, drop).take(10).count()
            };
            assert_eq!((received, drops.count()), (10, count), "all are dropped by now");
            assert!(count <= 10 + 3 * 4, "{count}");
            // The system takes a moment to forget a thread that was joined.
            eventually("no thread is left", || threads() == before);
        }
    });
}

/// The drop waits for what is being worked on: here for a thread that goes on when it sees that the rest has been taken back.
#[test]
fn a_drop_waits_for_what_is_being_worked_on() {
    struct Last(mpsc::Sender<()>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (all_drawn, when_drawn) = mpsc::channel();
    let (begun, when_begun) = mpsc::channel();
    let (last, when_dropped) = mpsc::channel();
    let waits = Mutex::new((when_drawn, when_dropped));
    let done = Arc::new(Mutex::new(false));
    let ended = Arc::clone(&done);
    let items = (0..2).map(|n| (n, None)).chain(std::iter::once_with(move || {
        all_drawn.send(()).unwrap();
        (2, Some(Last(last)))
    }));
    let mut results = items.par_map(1, move |(n, _last): (u32, Option<Last>)| {
        let waits = waits.lock().unwrap();
        match n {
            0 => waits.0.recv().unwrap(),
            1 => {
                begun.send(()).unwrap();
                waits.1.recv().unwrap();
                *ended.lock().unwrap() = true;
            }
            _ => unreachable!("it is taken back before it is begun"),
        }
    });
    assert!(results.next().is_some());
    when_begun.recv().unwrap();
    drop(results);
    assert!(*done.lock().unwrap());
}

/// R17: A panic goes on where its result is asked for, with its message; what comes before it comes.
#[test]
fn a_panic_comes_in_its_place() {
    let f = |n| if n == 5 { panic!("five") } else { n };
    let mut results = (0..100).par_map_ordered(3, f);
    assert!(results.by_ref().take(5).eq(0..5));
    let panicked = thread::catch(|| results.next()).unwrap_err();
    assert_eq!(panicked.message(), "five");
    assert!(results.next().is_none());

    let results = (0..100).par_map(3, f);
    assert_eq!(thread::catch(|| results.count()).unwrap_err().message(), "five");
}

/// Nothing is drawn before it is asked for, no more than the window then, and all in all each once. Without threads it is a map.
#[test]
fn no_more_is_drawn_than_the_window() {
    for window in [1, 2, 9] {
        for threads in [0, 1, 4] {
            let drawn = Arc::new(());
            let source = std::iter::repeat_with(|| Arc::clone(&drawn));
            let mut results = source.par_map_ordered(threads, |item| item).window(window);
            assert_eq!(Arc::strong_count(&drawn), 1);
            for _ in 0..20 {
                // With the one that is returned, which is dropped at once.
                assert!(results.next().is_some());
                assert!(Arc::strong_count(&drawn) <= 1 + window, "of the window {window}");
            }
        }
    }
    let mut none = std::iter::empty::<u8>().par_map(3, |n| n);
    assert_eq!((none.size_hint(), none.next(), none.next()), ((0, Some(0)), None, None));
}

/// A window without a limit, or as many threads as there are numbers: what is set aside for them has one.
#[test]
fn a_window_without_a_limit_has_one() {
    for window in [1 << 40, usize::MAX] {
        assert_eq!((0..100).par_map(2, |n| n).window(window).sum::<u32>(), 4_950);
        let squares = (0..100).par_map_ordered(2, |n| n * n).window(window);
        assert!(squares.eq((0..100).map(|n| n * n)));
    }
    // Without an item no thread is started.
    assert!((0..0).par_map(usize::MAX, |n: u32| n).next().is_none());
    let limit = |debug: String| debug.split_once("window: ").unwrap().1.to_owned();
    let most = limit(format!("{:?}", (0..1).par_map(1, |n| n).window(usize::MAX)));
    assert_eq!(limit(format!("{:?}", (0..1).par_map(usize::MAX, |n| n))), most);
}

/// It panics when it is dropped, and says before that it goes.
struct Bomb(Option<mpsc::Sender<()>>);

impl Drop for Bomb {
    fn drop(&mut self) {
        if let Some(gone) = self.0.take() {
            // Nobody may be left who listens.
            let _ = gone.send(());
            panic!("in a destructor, on purpose");
        }
    }
}

/// Whatever is left when it is dropped may panic as it goes: the iterator, an item that nobody has begun with, a result that nobody
/// has asked for. The thread is joined all the same.
#[test]
fn a_destructor_that_panics_keeps_no_drop_from_joining() {
    let ends = ["iterator", "item", "result"].map(|bomb| {
        let (gone, when_gone) = mpsc::channel();
        let (begun, when_begun) = mpsc::channel();
        let (all_drawn, when_drawn) = mpsc::channel();
        let waits = Mutex::new((when_drawn, when_gone));
        let done = Arc::new(Mutex::new(false));
        let ended = Arc::clone(&done);
        let of = move |kind: &str| Bomb((kind == bomb).then(|| gone.clone()));
        let (in_items, result) = (of("iterator"), Mutex::new(Some(of("result"))));
        let items = (0..4).map(move |n| {
            let _in_items = &in_items;
            if n == 2 {
                all_drawn.send(()).unwrap();
            }
            (n, if n == 2 { of("item") } else { Bomb(None) })
        });
        let mut results = items.par_map(1, move |(n, _item)| {
            let waits = waits.lock().unwrap();
            if n == 0 {
                waits.0.recv().unwrap();
                return None;
            }
            begun.send(()).unwrap();
            if bomb != "result" {
                waits.1.recv().unwrap();
            }
            *ended.lock().unwrap() = true;
            result.lock().unwrap().take()
        });
        results = results.window(3);
        assert!(results.next().is_some());
        when_begun.recv().unwrap();
        let passed_through = thread::catch(|| drop(results)).is_err();
        (bomb, passed_through, *done.lock().unwrap())
    });
    assert_eq!(ends, ["iterator", "item", "result"].map(|bomb| (bomb, false, true)));
}

/// R17: The panic that comes is the function's, also if a result that had come early panics when it goes.
#[test]
fn the_functions_panic_comes_before_that_of_a_destructor() {
    let (others, when_others) = mpsc::channel();
    let when_others = Mutex::new(when_others);
    let mut results = (0..3).par_map_ordered(2, move |n| match n {
        0 => {
            when_others.lock().unwrap().recv().unwrap();
            panic!("the function's");
        }
        1 => Bomb(Some(others.clone())),
        _ => {
            // The one before has been handed over.
            others.send(()).unwrap();
            Bomb(None)
        }
    });
    let panicked = thread::catch(|| results.next().is_some());
    assert_eq!(panicked.unwrap_err().message(), "the function's");
    assert!(results.next().is_none());
}

/// A result that has come early, and is not asked for any more, may panic when it goes with the iterator.
#[test]
fn results_that_have_come_early_may_panic_in_the_drop() {
    let (others, when_others) = mpsc::channel();
    let when_others = Mutex::new(when_others);
    let mut results = (0..4).par_map_ordered(2, move |n| match n {
        0 => {
            when_others.lock().unwrap().recv().unwrap();
            Bomb(None)
        }
        1 | 2 => Bomb(Some(others.clone())),
        _ => {
            others.send(()).unwrap();
            Bomb(None)
        }
    });
    assert!(results.next().is_some());
    assert!(thread::catch(|| drop(results)).is_ok());
}
