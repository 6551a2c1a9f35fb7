//! List C, where it is about waiting: notifications that go astray, wakers that come back, slots that leak.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::Duration;

use aqueduct::park::{block_on, block_on_timeout};
use aqueduct_core::wait::{Closed, Growable, Slots, Storage, Wait, WaitCell, WaitQueue};

const OK: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));

/// A waker that counts.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// A waker that does something of its own.
struct Does<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn poll<W: Storage>(wait: &mut Wait<'_, W>, waker: &Waker) -> Poll<Result<(), Closed>> {
    Pin::new(wait).poll(&mut Context::from_waker(waker))
}

fn look<W: Storage>(wait: &mut Wait<'_, W>) -> Poll<Result<(), Closed>> {
    poll(wait, Waker::noop())
}

/// `N` waits that stand in line, in order.
fn line<W: Storage, const N: usize>(queue: &WaitQueue<W>) -> [Wait<'_, W>; N] {
    std::array::from_fn(|_| {
        let mut wait = queue.wait();
        assert_eq!(look(&mut wait), Poll::Pending);
        wait
    })
}

/// As many as can stand in line now.
fn free_slots<W: Storage>(queue: &WaitQueue<W>) -> usize {
    let mut waits = Vec::new();
    loop {
        let mut wait = queue.wait();
        assert_eq!(look(&mut wait), Poll::Pending);
        if !wait.is_registered() {
            return waits.len();
        }
        waits.push(wait);
    }
}

/// C28: two asleep, two notifications back to back, before either has run: both wake.
#[test]
fn c28_two_notifications_back_to_back_wake_two() {
    let queue = WaitQueue::new();
    for notify in [|queue: &WaitQueue| queue.notify_one(), |queue: &WaitQueue| queue.notify(1)] {
        let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
        let mut waits = [queue.wait(), queue.wait()];
        for (wait, bell) in waits.iter_mut().zip(&bells) {
            assert_eq!(poll(wait, &bell.clone().into()), Poll::Pending);
        }
        notify(&queue);
        notify(&queue);
        assert_eq!(bells.map(|bell| bell.rung()), [1, 1]);
        assert!(waits.iter_mut().all(|wait| look(wait) == OK));
    }
}

/// C29: one that was notified, and is neither polled nor dropped, does not hold up the others. (What it was
/// given is its own: a forgotten wait keeps it, which the documentation says.)
#[test]
fn c29_one_that_is_notified_and_forgotten_blocks_nobody() {
    let queue = WaitQueue::new();
    let [forgotten, mut b, mut c] = line(&queue);
    queue.notify_one();
    std::mem::forget(forgotten);
    queue.notify_one();
    queue.notify(1);
    assert_eq!([look(&mut b), look(&mut c)], [OK, OK]);
    assert_eq!(free_slots(&queue), 7, "it costs the one slot");
}

/// C30: a notification that races with the very first wait on a queue. No list is made lazily here, and the
/// early-out reads the word in which the first waiter stands: `tests/loom/wait.rs` has the race itself
/// (`a_cheap_notify_against_a_registration`); this is it with threads, on a new queue each time.
#[test]
fn c30_a_notification_races_with_the_first_wait() {
    for _ in 0..200 {
        let queue: WaitQueue<Growable> = WaitQueue::default();
        let published = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                published.swap(true, SeqCst);
                queue.notify(1);
            });
            block_on(async {
                let mut wait = queue.wait();
                std::future::poll_fn(|cx| {
                    let notified = Pin::new(&mut wait).poll(cx).is_ready();
                    if published.load(SeqCst) {
                        Poll::Ready(())
                    } else {
                        assert!(!notified);
                        Poll::Pending
                    }
                })
                .await;
            });
        });
    }
}

/// C30: waiting again while another wait of the same task is registered.
#[test]
fn c30_waiting_again_while_registered() {
    let queue = WaitQueue::new();
    let [mut wait] = line(&queue);
    for _ in 0..20 {
        wait = queue.wait();
        assert_eq!(look(&mut wait), Poll::Pending);
    }
    queue.notify(1);
    assert_eq!(look(&mut wait), OK);
    assert_eq!(free_slots(&queue), 8);
}

/// C31: `select!` drops a wait that was notified already: the next one is woken.
#[test]
fn c31_a_notified_wait_that_is_dropped_wakes_the_next() {
    let queue = WaitQueue::new();
    let [loser] = line(&queue);
    let bell = Arc::new(Bell::default());
    let mut next = queue.wait();
    assert_eq!(poll(&mut next, &bell.clone().into()), Poll::Pending);
    queue.notify_one();
    assert_eq!(bell.rung(), 0);
    drop(loser);
    assert_eq!((bell.rung(), look(&mut next)), (1, OK));
}

/// C31: one future polled over and over keeps one slot, and its place in the order.
#[test]
fn c31_polling_one_wait_repeatedly_grows_nothing() {
    let queue = WaitQueue::new();
    let [mut a, mut b] = line(&queue);
    for _ in 0..1000 {
        assert_eq!(look(&mut a), Poll::Pending);
    }
    queue.notify_one();
    assert_eq!([look(&mut b), look(&mut a)], [Poll::Pending, OK]);
    drop((a, b));
    assert_eq!(free_slots(&queue), 8);
}

/// C33: a waiter registers, tries again, succeeds, and goes; the notification that found its stale waker in
/// between was meant for another, and reaches him.
#[test]
fn c33_who_succeeds_after_registering_passes_the_notification_on() {
    let queue = WaitQueue::new();
    for notify in [|queue: &WaitQueue| queue.notify_one(), |queue: &WaitQueue| queue.notify(1)] {
        let [succeeds_otherwise, mut sleeps] = line(&queue);
        notify(&queue);
        drop(succeeds_otherwise);
        assert_eq!(look(&mut sleeps), OK);
    }
}

/// C34: one in the queue is dropped in front of others, who are then served (weights: semaphore's tests).
#[test]
fn c34_a_cancelled_head_is_passed_over() {
    let queue = WaitQueue::new();
    let [head, mut b] = line(&queue);
    drop(head);
    queue.notify_one();
    assert_eq!(look(&mut b), OK);
}

/// C39: a task that polls twice with the same waker has one slot and is woken once.
#[test]
fn c39_the_same_waker_twice_is_one_slot_and_one_wake() {
    let queue: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut wait = queue.wait();
    assert_eq!(poll(&mut wait, &waker), Poll::Pending);
    assert_eq!(poll(&mut wait, &waker), Poll::Pending);
    assert_eq!((bell.rung(), queue.self_wakes()), (0, 0));
    queue.notify_one();
    assert_eq!((bell.rung(), look(&mut wait)), (1, OK));
}

/// C39: two waiters and room for one. Nobody is evicted, so there is no ping-pong: the one with the slot sleeps,
/// the other polls itself until it has the slot.
#[test]
fn c39_two_waiters_for_one_slot_do_not_evict_each_other() {
    let queue: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());
    let bells = [Arc::new(Bell::default()), Arc::new(Bell::default())];
    let mut waits = [queue.wait(), queue.wait()];
    for turn in 0..10 {
        for (wait, bell) in waits.iter_mut().zip(&bells) {
            assert_eq!(poll(wait, &bell.clone().into()), Poll::Pending);
        }
        assert_eq!([bells[0].rung(), bells[1].rung()], [0, turn + 1]);
    }
    let [first, mut second] = waits;
    drop(first);
    assert_eq!(look(&mut second), Poll::Pending);
    assert!(second.is_registered());
}

/// C13, C39: whoever finds no slot polls itself until it has one; a limit ends that, too.
#[test]
fn c39_a_wait_without_a_slot_ends_at_its_limit() {
    let queue: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());
    let mut holder = queue.wait();
    assert_eq!(look(&mut holder), Poll::Pending);
    let without = pin!(queue.wait());
    assert_eq!(block_on_timeout(without, Duration::from_millis(2)), None);
    assert!(queue.self_wakes() > 0);
    drop(holder);
}

/// C13: A wake-up that is there already comes before a deadline that has passed, once.
#[test]
fn a_future_that_wakes_itself_ends_at_the_deadline() {
    for timeout in [Duration::ZERO, Duration::from_millis(2)] {
        let mut polls = 0;
        let restless = poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(block_on_timeout(pin!(restless), timeout), None);
        assert!(polls >= 2 && (polls == 2 || !timeout.is_zero()), "{polls}");
    }
    let mut polls = 0;
    let woken_in_time = poll_fn(|context| {
        polls += 1;
        context.waker().wake_by_ref();
        if polls == 2 { Poll::Ready(7) } else { Poll::Pending }
    });
    assert_eq!(block_on_timeout(pin!(woken_in_time), Duration::ZERO), Some(7));
}

/// C41: clone, wake and drop of a waker use the queue that holds it.
#[test]
fn c41_a_waker_uses_the_queue_from_every_one_of_its_functions() {
    static QUEUE: WaitQueue<Slots<16>> = WaitQueue::with_storage(Slots::new());
    static CALLS: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
    fn use_the_queue(function: usize) {
        // Not without end: what this does wakes and drops, too.
        if CALLS[function].fetch_add(1, SeqCst) < 50 {
            QUEUE.notify(1);
            let mut wait = QUEUE.wait();
            assert_ne!(look(&mut wait), Poll::Ready(Err(Closed)));
        }
    }
    const NOTHING: *const () = std::ptr::null();
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            use_the_queue(0);
            RawWaker::new(NOTHING, &TABLE)
        },
        |_| use_the_queue(1),
        |_| use_the_queue(1),
        |_| use_the_queue(2),
    );
    // SAFETY: no function of the table touches the pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(NOTHING, &TABLE)) };
    let mut waits: Vec<_> = (0..3).map(|_| QUEUE.wait()).collect();
    for wait in &mut waits {
        assert_eq!(poll(wait, &waker), Poll::Pending);
        // Again, so that the first one is dropped; it may be notified by then.
        let _ = poll(wait, &waker);
    }
    QUEUE.notify_all();
    drop(waits);
    assert!(CALLS.iter().all(|calls| calls.load(SeqCst) > 0));
    assert!(!QUEUE.has_waiters());
    assert_eq!(free_slots(&QUEUE), 16);
}

/// C41: a waker whose `clone` panics leaves the queue usable, and a notification in between is not lost.
#[test]
fn c41_a_clone_that_panics_leaves_the_queue_usable() {
    static TABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            QUEUE.notify_one();
            panic!("as planned")
        },
        |_| (),
        |_| (),
        |_| (),
    );
    static QUEUE: WaitQueue = WaitQueue::new();
    // SAFETY: no function of the table touches the pointer.
    let waker = unsafe { Waker::from_raw(RawWaker::new(std::ptr::null(), &TABLE)) };
    let mut wait = QUEUE.wait();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait, &waker))).is_err());
    assert_eq!(look(&mut wait), OK, "the notification that raced with it");
    let [mut wait] = line(&QUEUE);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait, &waker))).is_err());
    assert_eq!(look(&mut wait), OK);
    assert_eq!(free_slots(&QUEUE), 8);
}

/// C41: a waker that panics when it is called harms neither the queue nor the others in line.
#[test]
fn c41_a_wake_that_panics_reaches_the_others() {
    let queue: WaitQueue<Growable> = WaitQueue::default();
    let panics = Waker::from(Arc::new(Does(|| panic!("as planned"))));
    let bell = Arc::new(Bell::default());
    let mut waits: Vec<_> = (0..100).map(|_| queue.wait()).collect();
    for (nth, wait) in waits.iter_mut().enumerate() {
        let waker = if nth == 20 { panics.clone() } else { bell.clone().into() };
        assert_eq!(poll(wait, &waker), Poll::Pending);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| queue.notify_all())).is_err());
    assert_eq!(bell.rung(), 99);
    assert!(waits.iter_mut().all(|wait| look(wait) == OK));
}

/// C42: `notify_all`, then `notify_one`: an earlier wait, polled or not, is served by the first, and leaves
/// the second to those who come later.
#[test]
fn c42_an_earlier_wait_does_not_eat_the_permit() {
    for polled in [false, true] {
        let queue = WaitQueue::new();
        let mut earlier = queue.wait();
        if polled {
            assert_eq!(look(&mut earlier), Poll::Pending);
        }
        queue.notify_all();
        queue.notify_one();
        assert_eq!(look(&mut earlier), OK);
        assert_eq!(look(&mut queue.wait()), OK, "the permit is still there");
        assert_eq!(look(&mut queue.wait()), Poll::Pending);
    }
    let queue = WaitQueue::new();
    let dropped_unpolled = queue.wait();
    queue.notify_all();
    queue.notify_one();
    drop(dropped_unpolled);
    assert_eq!(look(&mut queue.wait()), OK);
}

/// C42: a cell that is woken while a waker is being registered wakes that one.
#[test]
fn c42_a_cell_woken_during_registration_wakes_the_new_waker() {
    for _ in 0..200 {
        let (cell, ready) = (WaitCell::new(), AtomicBool::new(false));
        thread::scope(|scope| {
            scope.spawn(|| {
                ready.store(true, SeqCst);
                cell.wake();
            });
            block_on(std::future::poll_fn(|cx| {
                cell.register(cx.waker());
                if ready.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
            }));
        });
    }
}

/// C43: a spurious poll is `Pending`, never "closed".
#[test]
fn c43_a_spurious_poll_is_pending() {
    let queue = WaitQueue::new();
    let [mut wait] = line(&queue);
    assert_eq!([look(&mut wait), look(&mut wait)], [Poll::Pending; 2]);
    queue.close();
    assert_eq!(look(&mut wait), Poll::Ready(Err(Closed)));
}

/// C53: two waits of one task, the first one notified and not polled: the second resolves when the first is dropped.
#[test]
fn c53_two_waits_of_one_task() {
    let queue = WaitQueue::new();
    let [first, mut second] = line(&queue);
    queue.notify_one();
    assert_eq!(look(&mut second), Poll::Pending);
    drop(first);
    assert_eq!(look(&mut second), OK);
}

/// C53b: a registered future is moved, and dropped; what is notified then touches the queue's slots alone.
#[test]
fn c53b_a_registered_future_may_move_and_go() {
    let queue = WaitQueue::new();
    let [wait] = line(&queue);
    let mut boxed = Box::new(wait);
    assert_eq!(look(&mut boxed), Poll::Pending);
    let [mut moved] = [*boxed];
    queue.notify_one();
    assert_eq!(look(&mut moved), OK);
    let [gone] = line(&queue);
    drop(Box::new(gone));
    queue.notify(1);
    queue.notify_one();
    assert_eq!(look(&mut queue.wait()), OK);
}

/// C54: polled and dropped in a loop: slots do not run out.
#[test]
fn c54_poll_and_drop_in_a_loop_leaves_no_slot_used() {
    let queue: WaitQueue<Slots<1>> = WaitQueue::default();
    let growable: WaitQueue<Growable> = WaitQueue::default();
    for _ in 0..10_000 {
        drop(line::<_, 1>(&queue));
        drop(line::<_, 8>(&growable));
    }
    assert_eq!(queue.self_wakes(), 0);
    assert_eq!(free_slots(&queue), 1);
    assert!(!growable.has_waiters());
}
