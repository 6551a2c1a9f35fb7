//! Contexts: one decision, reached by everybody below, and nothing left behind.

use crate::support::{Counter, Drops, alone, eventually, poll, resident};
use aqueduct::context::{Context, ContextError};
use aqueduct::park::block_on;
use aqueduct::{channel, thread, timer};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// R82: Cancellation races with a deadline that passes, in many threads: whatever the outcome, all see the
/// same, and it stays.
#[test]
fn cancel_and_deadline_race_to_one_outcome_that_stays() {
    for round in 0..200 {
        let context = Context::background().with_timeout(Duration::from_micros(round));
        let child = context.child();
        let barrier = Barrier::new(3);
        let seen = thread::scope(|scope| {
            let canceller = scope.spawn(|| {
                barrier.wait();
                context.cancel_with("by hand");
                (context.err().unwrap(), child.err().unwrap())
            });
            let looker = scope.spawn(|| {
                barrier.wait();
                (child.wait(), context.wait())
            });
            let waiter = scope.spawn(|| {
                barrier.wait();
                block_on(async { (child.done().await, context.done().await) })
            });
            [canceller, looker, waiter].map(|handle| handle.unwrap().join().unwrap())
        })
        .unwrap();
        let last = (context.err().unwrap(), child.err().unwrap());
        assert_eq!(last.0, last.1, "the deadline is the parent's: they agree");
        assert!(seen.iter().all(|seen| [seen.0, seen.1] == [last.0; 2]), "{seen:?}, then {last:?}");
        assert_eq!(context.cause().unwrap().to_string(), child.cause().unwrap().to_string());
        context.cancel();
        assert_eq!(context.err(), Some(last.0));
    }
}

/// R82: Two cancel at once, the same context or one above the other: when either returns, all that is below is done.
#[test]
fn whoever_cancels_leaves_nothing_below_undone() {
    for round in 0..40 {
        let root = Context::background();
        let middle = root.child();
        let leaves: Vec<_> = (0..2_000).map(|_| middle.child()).collect();
        let cancellers = [&middle, if round % 2 == 0 { &root } else { &middle }];
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            let undone = cancellers.map(|context| {
                scope.spawn(|| {
                    barrier.wait();
                    context.cancel();
                    leaves.iter().rev().filter(|leaf| !leaf.is_done()).count()
                })
            });
            assert_eq!(undone.map(|undone| undone.unwrap().join().unwrap()), [0; 2]);
        })
        .unwrap();
    }
}

/// R82: A deadline that has passed is the outcome even if nobody looked before the cancellation came.
#[test]
fn a_deadline_that_has_passed_wins_over_a_later_cancel() {
    let parent = Context::background();
    let late = parent.with_deadline(Instant::now());
    let below = late.child();
    parent.cancel();
    assert_eq!(parent.err(), Some(ContextError::Canceled));
    assert_eq!(late.err(), Some(ContextError::DeadlineExceeded));
    assert_eq!(below.err(), Some(ContextError::DeadlineExceeded));
}

/// R83: The child's deadline is the earlier of its own and its parent's, whichever way round.
#[test]
fn a_child_has_the_earlier_deadline() {
    let now = Instant::now();
    let (early, late) = (now + HOUR, now + 2 * HOUR);
    let root = Context::background();
    assert_eq!(root.with_deadline(early).with_deadline(late).deadline(), Some(early));
    assert_eq!(root.with_deadline(late).with_deadline(early).deadline(), Some(early));
    assert_eq!(root.with_deadline(early).child().with_value(1).deadline(), Some(early));
    assert_eq!(root.with_deadline(early).without_cancel().deadline(), None);
    assert_eq!(root.with_timeout(Duration::MAX).deadline(), None);
}

/// R81, R83: A timer exists only while somebody waits who must be told, and is freed by cancel, by drop and
/// by stop.
#[test]
fn cancelled_and_dropped_deadlines_free_their_timers() {
    alone("context::cancelled_and_dropped_deadlines_free_their_timers", || {
        let root = Context::background();
        let context = root.with_timeout(HOUR);
        let child = context.with_timeout(2 * HOUR);
        assert_eq!(timer::pending(), 0, "everybody can look at the clock");

        let _stop = child.after_func(|| ());
        let mut done = child.done();
        assert!(poll(&mut done, &Counter::new().1).is_pending());
        assert_eq!(timer::pending(), 1, "one for the owner of the deadline, whoever waits");
        context.cancel();
        assert_eq!(timer::pending(), 0, "freed by cancel");

        let context = root.with_timeout(HOUR);
        let mut done = context.done();
        assert!(poll(&mut done, &Counter::new().1).is_pending());
        assert_eq!(timer::pending(), 1);
        drop((done, context));
        assert_eq!(timer::pending(), 0, "freed by drop");

        for _ in 0..1000 {
            let context = root.with_timeout(HOUR);
            let mut done = context.done();
            assert!(poll(&mut done, &Counter::new().1).is_pending());
        }
        assert_eq!(timer::pending(), 0, "a timeout in a loop leaves nothing");

        // A thread that sleeps knows until when.
        let context = root.with_timeout(Duration::from_millis(2));
        let (_sender, receiver) = channel::bounded::<()>(1);
        assert!(receiver.recv_ctx(&context).is_err());
        assert_eq!(context.wait(), ContextError::DeadlineExceeded);
        assert_eq!(timer::pending(), 0);
    });
}

/// Cancellation goes down with its cause, to children, grandchildren and those with deadlines; not up, not
/// sideways, and not past `without_cancel`.
#[test]
fn a_cancel_reaches_everything_below_with_its_cause() {
    let root = Context::background();
    let (cancelled, other) = (root.child(), root.child());
    let below = cancelled.with_timeout(HOUR).with_value("value").child();
    let cleanup = below.without_cancel();
    cancelled.cancel_with("disk full");
    assert_eq!(below.err(), Some(ContextError::Canceled));
    assert_eq!(below.cause().unwrap().to_string(), "disk full");
    assert_eq!(below.child().cause().unwrap().to_string(), "disk full", "also to those born later");
    assert_eq!(below.value(), Some(&"value"));
    assert!([root, other, cleanup].iter().all(|context| context.err().is_none()));
}

/// A deadline reaches callbacks and futures of those below, who have no deadline of their own.
#[test]
fn a_deadline_is_told_to_all_below() {
    let parent = Context::background().with_timeout(Duration::from_millis(5));
    let child = parent.child().child();
    let (sender, receiver) = mpsc::channel();
    let _stop = child.after_func(move || sender.send(()).unwrap());
    assert_eq!(block_on(child.done()), ContextError::DeadlineExceeded);
    receiver.recv().unwrap();
    assert_eq!(parent.err(), Some(ContextError::DeadlineExceeded));
}

/// Somebody looks at the clock before the timer does: the callbacks still run, once, and not in the looker.
#[test]
fn a_look_at_the_clock_does_not_steal_the_callbacks() {
    thread_local!(static LOOKS: Cell<bool> = const { Cell::new(false) });
    for _ in 0..20 {
        let context = Context::background().with_timeout(Duration::from_millis(2));
        let (sender, receiver) = mpsc::channel();
        // A deadline that has passed by now is for this call to tell: not every look comes from a looker.
        let _stop = context.after_func(move || sender.send(LOOKS.get()).unwrap());
        LOOKS.set(true);
        while !context.is_done() {
            std::hint::spin_loop();
        }
        LOOKS.set(false);
        assert!(!receiver.recv().unwrap(), "stolen");
        assert!(receiver.recv().is_err(), "once");
    }
}

/// A cancel wakes a thread that sleeps in any call that was given the context, or a context below.
#[test]
fn a_cancel_wakes_every_kind_of_sleeper() {
    for _ in 0..50 {
        let context = Context::background();
        let barrier = Barrier::new(6);
        let (sender, receiver) = channel::bounded(1);
        let (empty_sender, empty) = channel::bounded::<u8>(1);
        sender.send(1).unwrap();
        thread::scope(|scope| {
            let sleepers = [
                scope.spawn(|| {
                    barrier.wait();
                    assert!(sender.send_ctx(&context, 2).unwrap_err().into_inner() == 2);
                }),
                scope.spawn(|| {
                    barrier.wait();
                    assert!(empty.recv_ctx(&context.child().with_timeout(HOUR)).is_err());
                }),
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(context.child().wait(), ContextError::Canceled);
                }),
                scope.spawn(|| {
                    barrier.wait();
                    assert!(context.wait_timeout(Duration::MAX).is_some());
                }),
                scope.spawn(|| {
                    barrier.wait();
                    assert_eq!(block_on(context.child().done()), ContextError::Canceled);
                }),
            ];
            barrier.wait();
            context.cancel();
            for sleeper in sleepers {
                sleeper.unwrap().join().unwrap();
            }
        })
        .unwrap();
        drop((receiver, empty_sender));
    }
}

/// Registered before the cancel, registered after it, stopped, dropped: a callback runs once or never.
#[test]
fn a_callback_runs_once_or_never() {
    let runs = Arc::new(AtomicUsize::new(0));
    let count = |runs: &Arc<AtomicUsize>| {
        let runs = Arc::clone(runs);
        move || {
            runs.fetch_add(1, SeqCst);
        }
    };
    let context = Context::background();
    drop(context.after_func(count(&runs)));
    assert!(context.after_func(count(&runs)).stop());
    let kept = context.after_func(count(&runs));
    context.cancel();
    context.cancel();
    assert_eq!(runs.load(SeqCst), 2);
    assert!(!kept.stop());
    assert!(!context.after_func(count(&runs)).stop());
    assert_eq!(runs.load(SeqCst), 3);

    drop(Context::background().after_func(count(&runs)));
    assert_eq!(Arc::strong_count(&runs), 1, "what a callback holds goes with the context");
    assert_eq!(runs.load(SeqCst), 3);
}

/// C41: A callback that stops another, cancels its own context, waits for a child: nothing is locked while
/// it runs.
#[test]
fn a_callback_may_use_the_context_it_belongs_to() {
    let context = Context::background();
    let inner = context.clone();
    context.after_func(move || {
        inner.cancel();
        assert_eq!(inner.child().wait(), ContextError::Canceled);
        assert!(!inner.after_func(|| ()).stop());
    });
    context.cancel();
}

/// A callback that panics does not keep the others from running, and the panic goes to whoever cancelled.
#[test]
fn a_panic_in_a_callback_reaches_the_canceller_after_the_others_ran() {
    let context = Context::background();
    let (counter, waker) = Counter::new();
    context.after_func(|| panic!("on purpose"));
    let mut done = context.done();
    assert!(poll(&mut done, &waker).is_pending());
    let panicked = thread::catch(|| context.cancel()).unwrap_err();
    assert_eq!(panicked.message(), "on purpose");
    assert_eq!(counter.wakes(), 1);
    assert_eq!(poll(&mut done, &waker), Poll::Ready(ContextError::Canceled));
}

/// Nor does one whose payload panics when it is dropped; the first panic is the one that the canceller has.
#[test]
fn a_payload_that_panics_keeps_no_callback_from_running() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a payload's destructor, on purpose");
        }
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let context = Context::background();
    let callback = |payload: Option<Bomb>| {
        let ran = Arc::clone(&ran);
        move || {
            ran.fetch_add(1, SeqCst);
            match payload {
                Some(bomb) => panic_any(bomb),
                None => panic!("the first"),
            }
        }
    };
    let child = context.child();
    context.after_func(callback(None));
    context.after_func(callback(Some(Bomb)));
    child.after_func(callback(Some(Bomb)));
    child.after_func(callback(None));
    let panicked = thread::catch(|| context.cancel()).unwrap_err();
    assert_eq!(panicked.message(), "the first");
    assert_eq!(ran.load(SeqCst), 4);
}

/// A callback lets go of the last handle of a context below, whose value panics when it is dropped. That is the cancel's
/// to do, after everybody was told, and what the canceller has is the panic of a callback.
#[test]
fn a_value_that_panics_when_dropped_does_not_leave_a_cancel() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a value's destructor, on purpose");
        }
    }
    let ran = Arc::new(AtomicUsize::new(0));
    for below_panics in [false, true] {
        let context = Context::background();
        let below = context.with_value(Bomb);
        let counter = Arc::clone(&ran);
        below.after_func(move || {
            counter.fetch_add(1, SeqCst);
            assert!(!below_panics, "in a callback");
        });
        context.after_func(move || drop(below));
        let panicked = thread::catch(|| context.cancel()).err();
        let message = panicked.as_ref().map(|panicked| panicked.message());
        assert_eq!(message, below_panics.then_some("in a callback"));
    }
    assert_eq!(ran.load(SeqCst), 2);
}

/// A future that moves from task to task wakes the last one; dropped, it leaves no waker behind.
#[test]
fn a_done_future_wakes_the_task_that_polled_last() {
    let context = Context::background();
    let ((first, first_waker), (second, second_waker)) = (Counter::new(), Counter::new());
    let mut done = context.done();
    assert!(poll(&mut done, &first_waker).is_pending());
    assert!(poll(&mut done, &first_waker).is_pending());
    assert!(poll(&mut done, &second_waker).is_pending());
    drop(first_waker);
    assert_eq!(Arc::strong_count(&first), 1);
    context.cancel();
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    drop(done);

    let context = Context::background();
    let mut done = context.done();
    assert!(poll(&mut done, &second_waker).is_pending());
    drop((done, second_waker));
    assert_eq!(Arc::strong_count(&second), 1);
}

/// R81: A million children, some cancelled, some waited for, some with deadlines: the parent remembers none
/// of them.
#[test]
fn a_million_short_lived_children_leave_memory_flat() {
    alone("context::a_million_short_lived_children_leave_memory_flat", || {
        let root = Context::background().with_timeout(HOUR);
        let live_for_a_moment = |times: usize| {
            for turn in 0..times {
                let child = root.with_timeout(HOUR / 2).child();
                match turn % 4 {
                    0 => child.cancel(),
                    1 => drop(child.after_func(|| ())),
                    2 => assert!(poll(&mut child.done(), &Counter::new().1).is_pending()),
                    _ => {}
                }
            }
        };
        live_for_a_moment(10_000);
        let before = resident();
        live_for_a_moment(1_000_000);
        assert_eq!(timer::pending(), 0);
        if let (Some(before), Some(after)) = (before, resident()) {
            // One word kept per child would be 8 MB.
            assert!(after < before + 2_000_000, "{before} bytes before, {after} after");
        }
        root.cancel();
    });
}

/// 100,000 contexts in a chain, and 100,000 side by side, on a small stack: cancelled, and dropped from either end.
#[test]
fn depth_costs_no_stack() {
    const DEPTH: usize = 100_000;
    let chain = |root: &Context| {
        let mut contexts = vec![root.child()];
        for depth in 1..DEPTH {
            let above = &contexts[depth - 1];
            contexts.push(if depth % 3 == 0 { above.with_value(depth) } else { above.child() });
        }
        contexts
    };
    let test = move || {
        let root = Context::background();
        let contexts = chain(&root);
        root.cancel();
        assert!(contexts.iter().all(Context::is_done));
        assert_eq!(contexts[DEPTH - 1].value::<usize>(), Some(&(DEPTH - 1)));
        drop(contexts);

        // Only the deepest is left; with it goes the whole chain.
        let drops = Drops::default();
        let root = Context::background().with_value(drops.item());
        let deepest = chain(&root).pop().unwrap();
        drop(root);
        assert_eq!(drops.count(), 0);
        drop(deepest);
        assert_eq!(drops.count(), 1);

        let root = Context::background();
        let wide = (0..DEPTH).map(|_| root.child()).collect::<Vec<_>>();
        root.cancel();
        assert!(wide.iter().all(Context::is_done));
    };
    thread::Builder::new().stack_size(64 * 1024).spawn(test).unwrap().join().unwrap();
}

/// Children are born, and go, while their parent is cancelled: each that is left is done.
#[test]
fn children_born_during_a_cancel_are_done() {
    for _ in 0..200 {
        let root = Context::background();
        let barrier = Barrier::new(3);
        thread::scope(|scope| {
            let breeders = [(); 2].map(|()| {
                scope.spawn(|| {
                    barrier.wait();
                    let mut children = vec![root.child()];
                    while !children[children.len() - 1].is_done() {
                        drop(root.child());
                        children.push(children[children.len() / 2].child());
                    }
                    children
                })
            });
            barrier.wait();
            root.cancel();
            for breeder in breeders {
                for child in breeder.unwrap().join().unwrap() {
                    // The one who cancels has returned: everything has been told.
                    assert!(child.is_done());
                }
            }
        })
        .unwrap();
    }
}

/// The timer thread and the last handle race for the end of a context.
#[test]
fn a_deadline_may_come_while_the_last_handle_goes() {
    let told = Arc::new(AtomicUsize::new(0));
    for _ in 0..200 {
        let context = Context::background().with_timeout(Duration::from_micros(200));
        let told = Arc::clone(&told);
        let _stop = context.after_func(move || {
            told.fetch_add(1, SeqCst);
        });
        std::hint::black_box(&context);
    }
    eventually("every callback ran or was dropped", || Arc::strong_count(&told) == 1);
}

/// What [`Context::write_headers`] writes, as a broker would carry it.
fn headers(context: &Context) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    context.write_headers(|name, value| {
        assert!(headers.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice");
    });
    headers
}

fn from_headers(parent: &Context, headers: &BTreeMap<String, String>) -> Context {
    Context::from_headers(parent, |name| headers.get(name).map(String::as_str)).unwrap()
}

/// R84: What was known of a deadline in one process is known in the other: what is left of it, which is the earlier of the two
/// sides'.
#[test]
fn a_deadline_crosses_as_what_is_left_of_it() {
    let here = Context::background();
    assert!(headers(&here).is_empty());
    assert_eq!(from_headers(&here, &BTreeMap::new()).deadline(), None);

    let before = Instant::now();
    let sent = headers(&here.with_timeout(HOUR));
    let there = from_headers(&Context::background(), &sent);
    let left = there.deadline().unwrap();
    assert!(left <= Instant::now() + HOUR);
    assert!(left > before + HOUR - Duration::from_micros(1), "less than a microsecond is lost");
    // And on, over any number of processes: never later.
    let further = from_headers(&Context::background(), &headers(&there));
    assert!(further.deadline().unwrap() <= Instant::now() + HOUR);

    let strict = Context::background().with_deadline(before + HOUR / 2);
    assert_eq!(from_headers(&strict, &sent).deadline(), strict.deadline());
    strict.cancel();
    assert!(from_headers(&strict, &sent).is_done(), "a child of the one there");

    // Too long for the clock is no deadline; longer than the clock of this machine goes is none either.
    assert!(headers(&here.with_timeout(Duration::MAX)).is_empty());
    let for_ever = BTreeMap::from([("aqueduct-timeout".into(), u64::MAX.to_string())]);
    assert!(!from_headers(&here, &for_ever).is_done());
    for long in [Duration::from_millis(u64::MAX), Duration::from_secs(i64::MAX as u64 / 2)] {
        let there = from_headers(&here, &headers(&here.with_timeout(long)));
        assert!(!there.is_done());
        assert!(from_headers(&here, &headers(&there)).err().is_none(), "and on");
    }
}

/// R84: The end and its cause cross, whatever the text is; a trace is the user's own header beside them.
#[test]
fn an_end_and_its_cause_cross() {
    for cause in ["the client hung up", "100 % naïve\r\nInjected: header\0", "", " : "] {
        let context = Context::background().with_timeout(HOUR);
        context.cancel_with(cause);
        let sent = headers(&context);
        assert!(sent.values().all(|value| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        let there = from_headers(&Context::background(), &sent);
        assert_eq!(there.err(), Some(ContextError::Canceled));
        assert_eq!(there.cause().unwrap().to_string(), cause);
        assert_eq!(headers(&there)["aqueduct-cause"], sent["aqueduct-cause"], "and on");
    }

    let context = Context::background();
    context.cancel();
    assert_eq!(headers(&context).len(), 1, "a cause that is the error itself is left out");
    let there = from_headers(&Context::background(), &headers(&context));
    assert_eq!(there.cause().unwrap().to_string(), context.cause().unwrap().to_string());

    let late = Context::background().with_timeout(Duration::ZERO);
    let there = from_headers(&Context::background(), &headers(&late));
    assert_eq!(there.err(), Some(ContextError::DeadlineExceeded));
}

/// What nobody would have written is an error that names it, and not a context without the deadline.
#[test]
fn malformed_headers_are_refused() {
    for (name, value) in [
        ("aqueduct-timeout", "-1"),
        ("aqueduct-timeout", ""),
        ("aqueduct-timeout", "5s"),
        ("aqueduct-timeout", "99999999999999999999"),
        ("aqueduct-error", "Canceled"),
        ("aqueduct-error", ""),
        ("aqueduct-cause", "%"),
        ("aqueduct-cause", "%FF"),
        ("aqueduct-cause", "naïve"),
    ] {
        let read = |asked: &str| (asked == name).then_some(value);
        let error = Context::from_headers(&Context::background(), read).unwrap_err();
        assert_eq!((error.name(), error.value()), (name, value));
        assert!(error.to_string().contains(name));
    }
}
