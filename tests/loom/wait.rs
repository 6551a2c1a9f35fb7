//! The queue of waiters: one model for each pair of parties that may miss each other, and for each roll-back.
//!
//! A lost wake-up shows as a deadlock: whoever waits parks his thread. The model itself only prepares, spawns,
//! joins, and looks at what is left. What was seen is kept outside loom, and each model ends by asserting that
//! every outcome for which it was made did occur in some execution.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use aqueduct_core::wait::{Closed, Growable, Slots, Storage, Wait, WaitQueue};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

use crate::{Outcomes, explore};

mod ends;

/// Explores `execution` on a new queue each time; fails unless each of `expected` was seen.
#[track_caller]
fn model<W: Storage + Default + 'static>(
    name: &str,
    expected: &[&str],
    execution: impl Fn(&'static WaitQueue<W>, &Outcomes) + Send + Sync + 'static,
) {
    let seen = Outcomes::default();
    explore(&format!("wait: {name}"), {
        let seen = seen.clone();
        move || {
            let queue = Box::into_raw(Box::new(WaitQueue::with_storage(W::default())));
            // SAFETY: the box is freed below, when the execution's threads are joined.
            execution(unsafe { &*queue }, &seen);
            // SAFETY: from `Box::into_raw`, and no thread is left that might use it.
            drop(unsafe { Box::from_raw(queue) });
        }
    });
    seen.must_include(expected);
}

fn note(seen: &Outcomes, what: &str) {
    seen.record(what.to_owned());
}

/// Wakes a thread of loom's.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn unparker() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Polls once.
fn poll<W: Storage>(wait: &mut Wait<'_, W>, waker: &Waker) -> Poll<Result<(), Closed>> {
    Pin::new(wait).poll(&mut Context::from_waker(waker))
}

/// Polls once with a waker that nobody listens to.
fn look<W: Storage>(wait: &mut Wait<'_, W>) -> Poll<Result<(), Closed>> {
    poll(wait, Waker::noop())
}

/// Waits to the end; notes whether that took any sleep.
fn block_on<W: Storage>(wait: &mut Wait<'_, W>, seen: &Outcomes) -> Result<(), Closed> {
    let waker = unparker();
    let mut slept = false;
    loop {
        if let Poll::Ready(answer) = poll(wait, &waker) {
            note(seen, if slept { "slept" } else { "at once" });
            return answer;
        }
        slept = true;
        thread::park();
    }
}

const OK: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));
const CLOSED: Poll<Result<(), Closed>> = Poll::Ready(Err(Closed));

/// A waker that tells in which thread it was called, once all are joined.
#[derive(Default)]
struct Bell(Mutex<Option<thread::ThreadId>>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = Some(thread::current().id());
    }
}

impl Bell {
    fn rung_by(&self) -> Option<thread::ThreadId> {
        *self.0.lock().unwrap()
    }
}

/// A wait that stands in line.
fn in_line<W: Storage>(queue: &'static WaitQueue<W>) -> (Wait<'static, W>, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let mut wait = queue.wait();
    assert_eq!(poll(&mut wait, &bell.clone().into()), Poll::Pending);
    (wait, bell)
}

/// Something that only whoever was notified of it may read; loom tells if that is not ordered.
struct Letter(UnsafeCell<u32>);

// SAFETY: loom checks every access.
unsafe impl Sync for Letter {}
// SAFETY: a number.
unsafe impl Send for Letter {}

impl Letter {
    fn new() -> Arc<Self> {
        Arc::new(Self(UnsafeCell::new(0)))
    }

    fn write(&self) {
        // SAFETY: loom checks that nobody reads at the same time.
        self.0.with_mut(|cell| unsafe { *cell = 7 });
    }

    fn read(&self) {
        // SAFETY: loom checks that nobody writes at the same time.
        assert_eq!(self.0.with(|cell| unsafe { *cell }), 7);
    }
}

/// At the end: nobody stands in line, nothing is left to take, and no slot was missing.
fn assert_at_rest<W: Storage>(queue: &WaitQueue<W>) {
    assert!(!queue.has_waiters());
    assert_ne!(look(&mut queue.wait()), OK, "a notification is left over");
    assert_eq!(queue.self_wakes(), 0, "a slot is missing");
}

#[test]
fn notify_one_against_a_registration() {
    model::<Slots<1>>("notify one against a registration", &["at once", "slept"], |queue, seen| {
        let letter = Letter::new();
        let notifier = thread::spawn({
            let letter = letter.clone();
            move || {
                letter.write();
                queue.notify_one();
            }
        });
        let waiter = thread::spawn({
            let seen = seen.clone();
            move || {
                assert_eq!(block_on(&mut queue.wait(), &seen), Ok(()));
                letter.read();
            }
        });
        notifier.join().unwrap();
        waiter.join().unwrap();
        assert_at_rest(queue);
    });
}

/// The promise of `notify`: publish, then one load; register, then look.
#[test]
fn a_cheap_notify_against_a_registration() {
    model::<Slots<1>>(
        "a cheap notify against a registration",
        &["looked, and saw", "slept"],
        |queue, seen| {
            let published = Arc::new(AtomicUsize::new(0));
            let notifier = thread::spawn({
                let published = published.clone();
                move || {
                    published.fetch_add(1, SeqCst);
                    queue.notify(1);
                }
            });
            let waiter = thread::spawn({
                let seen = seen.clone();
                move || {
                    let waker = unparker();
                    let mut wait = queue.wait();
                    let mut slept = false;
                    loop {
                        let notified = poll(&mut wait, &waker).is_ready();
                        if published.load(SeqCst) == 1 {
                            break note(&seen, if slept { "slept" } else { "looked, and saw" });
                        }
                        assert!(!notified, "notified of nothing");
                        slept = true;
                        thread::park();
                    }
                }
            });
            notifier.join().unwrap();
            waiter.join().unwrap();
            assert_at_rest(queue);
        },
    );
}

/// Cancelled between wake and poll, and cancelled at the head of the line: the next one gets it, either way.
#[test]
fn notify_one_against_a_cancellation_of_the_head() {
    model::<Slots<2>>(
        "notify one against a cancellation of the head",
        &["by the notifier", "passed on"],
        |queue, seen| {
            let letter = Letter::new();
            let (head, _) = in_line(queue);
            let (mut next, bell) = in_line(queue);
            let notifier = thread::spawn({
                let letter = letter.clone();
                move || {
                    letter.write();
                    queue.notify_one();
                }
            });
            let canceller = thread::spawn(move || drop(head));
            let passer = canceller.thread().id();
            notifier.join().unwrap();
            canceller.join().unwrap();
            let by = bell.rung_by().expect("the notification is lost");
            note(seen, if by == passer { "passed on" } else { "by the notifier" });
            assert_eq!(look(&mut next), OK);
            letter.read();
            assert_at_rest(queue);
        },
    );
}

/// As above with `notify(1)`, where the next one is only just coming.
#[test]
fn notify_against_a_cancellation_and_a_registration() {
    model::<Slots<2>>(
        "notify against a cancellation and a registration",
        &["looked, and saw", "slept"],
        |queue, seen| {
            let (head, _) = in_line(queue);
            let published = Arc::new(AtomicUsize::new(0));
            let canceller = thread::spawn({
                let published = published.clone();
                move || {
                    published.fetch_add(1, SeqCst);
                    queue.notify(1);
                    drop(head);
                }
            });
            let waiter = thread::spawn({
                let seen = seen.clone();
                move || {
                    let waker = unparker();
                    let mut wait = queue.wait();
                    let mut slept = false;
                    loop {
                        let _ = poll(&mut wait, &waker);
                        if published.load(SeqCst) == 1 {
                            break note(&seen, if slept { "slept" } else { "looked, and saw" });
                        }
                        slept = true;
                        thread::park();
                    }
                }
            });
            canceller.join().unwrap();
            waiter.join().unwrap();
            assert_at_rest(queue);
        },
    );
}

/// Both go at once: the slots come back, and the one behind is served.
#[test]
fn two_cancellations_and_a_notification() {
    model::<Slots<3>>("two cancellations and a notification", &["served"], |queue, seen| {
        let (a, _) = in_line(queue);
        let (b, _) = in_line(queue);
        let (mut c, bell) = in_line(queue);
        let parties = [
            thread::spawn(move || drop(b)),
            thread::spawn(move || {
                drop(a);
                queue.notify_one();
            }),
        ];
        for party in parties {
            party.join().unwrap();
        }
        assert!(bell.rung_by().is_some());
        assert_eq!(look(&mut c), OK);
        note(seen, "served");
        let (waits, _bells): (Vec<_>, Vec<_>) = (0..3).map(|_| in_line(queue)).unzip();
        drop(waits);
        assert_at_rest(queue);
    });
}

#[test]
fn two_notifiers_at_once() {
    model::<Slots<2>>(
        "two notifiers at once",
        &["each woke one", "one woke both"],
        |queue, seen| {
            let (mut a, a_bell) = in_line(queue);
            let (mut b, b_bell) = in_line(queue);
            let notifiers =
                [thread::spawn(|| queue.notify_one()), thread::spawn(|| queue.notify(1))];
            for notifier in notifiers {
                notifier.join().unwrap();
            }
            let (a_by, b_by) = (a_bell.rung_by().unwrap(), b_bell.rung_by().unwrap());
            note(seen, if a_by == b_by { "one woke both" } else { "each woke one" });
            assert_eq!([look(&mut a), look(&mut b)], [OK, OK]);
            assert_at_rest(queue);
        },
    );
}

#[test]
fn another_waker_against_a_notification() {
    model::<Slots<1>>(
        "another waker against a notification",
        &["at once", "slept", "the first rang", "the first is silent"],
        |queue, seen| {
            let (mut wait, first) = in_line(queue);
            let letter = Letter::new();
            let waiter = thread::spawn({
                let (seen, letter) = (seen.clone(), letter.clone());
                move || {
                    assert_eq!(block_on(&mut wait, &seen), Ok(()));
                    letter.read();
                }
            });
            let notifier = thread::spawn(move || {
                letter.write();
                queue.notify_one();
            });
            waiter.join().unwrap();
            notifier.join().unwrap();
            let rang = first.rung_by().is_some();
            note(seen, if rang { "the first rang" } else { "the first is silent" });
            assert_at_rest(queue);
        },
    );
}

/// A poll, and a drop after it, against the hand-over: consumed under the drainer's hands, or passed on.
#[test]
fn poll_and_drop_against_a_notification() {
    model::<Slots<1>>(
        "poll and drop against a notification",
        &["consumed", "kept"],
        |queue, seen| {
            let (mut wait, _) = in_line(queue);
            let waiter = thread::spawn({
                let seen = seen.clone();
                move || {
                    let consumed = look(&mut wait) == OK;
                    note(&seen, if consumed { "consumed" } else { "kept" });
                    drop(wait);
                    consumed
                }
            });
            let notifier = thread::spawn(|| queue.notify_one());
            let consumed = waiter.join().unwrap();
            notifier.join().unwrap();
            assert!(!queue.has_waiters());
            assert_eq!(look(&mut queue.wait()) == OK, !consumed, "one notification, one receiver");
            // The slot came back.
            let _ = in_line(queue);
            assert_eq!(queue.self_wakes(), 0);
        },
    );
}

#[test]
fn without_a_slot_against_a_cancellation() {
    model::<Slots<1>>(
        "without a slot against a cancellation",
        &["found a slot", "woke itself"],
        |queue, seen| {
            let (holder, _) = in_line(queue);
            let canceller = thread::spawn(move || drop(holder));
            let bell = Arc::new(Bell::default());
            let waiter = thread::spawn({
                let bell = bell.clone();
                move || {
                    let mut wait = queue.wait();
                    assert_eq!(poll(&mut wait, &bell.into()), Poll::Pending);
                    wait
                }
            });
            canceller.join().unwrap();
            let mut wait = waiter.join().unwrap();
            let woke = queue.self_wakes() == 1;
            assert_eq!(bell.rung_by().is_some(), woke);
            note(seen, if woke { "woke itself" } else { "found a slot" });
            // Now there is one, and it has its place in it.
            assert_eq!(look(&mut wait), Poll::Pending);
            queue.notify(1);
            assert_eq!(look(&mut wait), OK);
        },
    );
}

/// A waker that notifies the queue which calls it, while another drains.
#[test]
fn a_waker_that_comes_back() {
    struct Again(&'static WaitQueue<Slots<2>>);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.notify_one();
        }
    }
    model::<Slots<2>>("a waker that comes back", &["at once", "slept"], |queue, seen| {
        let mut relay = queue.wait();
        assert_eq!(poll(&mut relay, &Arc::new(Again(queue)).into()), Poll::Pending);
        let notifier = thread::spawn(|| queue.notify(1));
        let waiter = thread::spawn({
            let seen = seen.clone();
            move || assert_eq!(block_on(&mut queue.wait(), &seen), Ok(()))
        });
        notifier.join().unwrap();
        waiter.join().unwrap();
        assert_eq!(look(&mut relay), OK);
        assert_at_rest(queue);
    });
}

/// A waker that panics in a full batch (two, in this build), while somebody else notifies.
#[test]
fn a_waker_that_panics() {
    struct Broken;
    impl Wake for Broken {
        fn wake(self: Arc<Self>) {
            // Without the message on stderr, which a plain panic would print in each execution.
            std::panic::resume_unwind(Box::new("as planned"));
        }
    }
    model::<Slots<3>>("a waker that panics", &["the panic passed through"], |queue, seen| {
        let mut broken = queue.wait();
        assert_eq!(poll(&mut broken, &Arc::new(Broken).into()), Poll::Pending);
        let (mut b, b_bell) = in_line(queue);
        let (mut c, c_bell) = in_line(queue);
        let notifiers = [
            thread::spawn(|| catch_unwind(AssertUnwindSafe(|| queue.notify(2))).is_err()),
            thread::spawn(|| catch_unwind(AssertUnwindSafe(|| queue.notify(1))).is_err()),
        ];
        let panics = notifiers.map(|notifier| notifier.join().unwrap());
        assert_eq!(panics.into_iter().filter(|panic| *panic).count(), 1);
        note(seen, "the panic passed through");
        assert!(b_bell.rung_by().is_some() && c_bell.rung_by().is_some());
        assert_eq!([look(&mut broken), look(&mut b), look(&mut c)], [OK, OK, OK]);
        assert_at_rest(queue);
    });
}
