//! What the queue does, call by call, in one thread.

extern crate std;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Wake;
use std::vec::Vec;

use super::*;

/// A task that counts how often it is woken.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Task {
    fn new() -> (Arc<Self>, Waker) {
        let task = Arc::new(Self::default());
        (task.clone(), Waker::from(task))
    }

    fn wakes(&self) -> usize {
        self.0.load(Relaxed)
    }
}

fn poll<W: Storage>(wait: &mut Wait<'_, W>, waker: &Waker) -> Poll<Result<(), Closed>> {
    Pin::new(wait).poll(&mut Context::from_waker(waker))
}

/// Polls with a waker that nobody listens to.
fn look<W: Storage>(wait: &mut Wait<'_, W>) -> Poll<Result<(), Closed>> {
    poll(wait, Waker::noop())
}

/// `N` waits that stand in line, in order.
fn line<W: Storage, const N: usize>(queue: &WaitQueue<W>) -> [Wait<'_, W>; N] {
    core::array::from_fn(|_| {
        let mut wait = queue.wait();
        assert_eq!(look(&mut wait), Poll::Pending);
        wait
    })
}

const OK: Poll<Result<(), Closed>> = Poll::Ready(Ok(()));
const CLOSED: Poll<Result<(), Closed>> = Poll::Ready(Err(Closed));

#[test]
fn the_oldest_is_notified_first() {
    let queue = WaitQueue::new();
    let [mut a, mut b, mut c] = line(&queue);
    queue.notify_one();
    assert_eq!([look(&mut b), look(&mut c), look(&mut a)], [Poll::Pending, Poll::Pending, OK]);
    queue.notify(1);
    assert_eq!([look(&mut c), look(&mut b)], [Poll::Pending, OK]);
    assert!(queue.has_waiters());
    queue.notify_one();
    assert_eq!(look(&mut c), OK);
    assert!(!queue.has_waiters());
}

#[test]
fn one_notification_is_remembered_and_no_more() {
    let queue = WaitQueue::new();
    queue.notify(3);
    let [mut a] = line(&queue);
    drop(line::<_, 1>(&queue));
    queue.notify_one();
    assert_eq!(look(&mut a), OK);
    queue.notify_one();
    queue.notify_one();
    assert_eq!(look(&mut queue.wait()), OK);
    assert_eq!(look(&mut queue.wait()), Poll::Pending);
}

#[test]
fn notify_reaches_so_many_and_remembers_nothing() {
    let queue = WaitQueue::new();
    let [mut a, mut b, mut c] = line(&queue);
    queue.notify(2);
    assert_eq!([look(&mut a), look(&mut b), look(&mut c)], [OK, OK, Poll::Pending]);
    queue.notify(usize::MAX);
    assert_eq!(look(&mut c), OK);
    let [mut d] = line(&queue);
    queue.notify(0);
    assert_eq!(look(&mut d), Poll::Pending);
}

#[test]
fn notify_all_reaches_exactly_those_made_before() {
    let queue = WaitQueue::new();
    let mut unpolled = queue.wait();
    let [mut a, mut b] = line(&queue);
    queue.notify_all();
    let mut late = queue.wait();
    assert_eq!([look(&mut a), look(&mut unpolled), look(&mut b)], [OK, OK, OK]);
    assert_eq!(look(&mut late), Poll::Pending);
}

#[test]
fn closing_ends_waits_but_not_what_was_notified() {
    let queue = WaitQueue::new();
    let [mut a, mut b] = line(&queue);
    queue.notify_one();
    queue.close();
    queue.close();
    assert!(queue.is_closed());
    assert_eq!([look(&mut a), look(&mut b)], [OK, CLOSED]);
    // Once answered, always the same.
    assert_eq!([look(&mut a), look(&mut b)], [OK, CLOSED]);
    assert_eq!(look(&mut queue.wait()), CLOSED);
    queue.notify_one();
    assert_eq!(look(&mut queue.wait()), CLOSED);
}

#[test]
fn a_remembered_notification_survives_closing() {
    let queue = WaitQueue::new();
    queue.notify_one();
    queue.close();
    assert_eq!(look(&mut queue.wait()), OK);
    assert_eq!(look(&mut queue.wait()), CLOSED);

    let queue = WaitQueue::new();
    let [a] = line(&queue);
    queue.notify_one();
    queue.close();
    drop(a);
    assert_eq!(look(&mut queue.wait()), OK);
    assert_eq!(look(&mut queue.wait()), CLOSED);
}

#[test]
fn a_wait_dropped_after_it_was_notified_passes_it_on() {
    let queue = WaitQueue::new();
    // to the next, ..
    let [a, mut b] = line(&queue);
    queue.notify_one();
    drop(a);
    assert_eq!(look(&mut b), OK);
    let [a, mut b] = line(&queue);
    queue.notify(1);
    drop(a);
    assert_eq!(look(&mut b), OK);
    // .. and if nobody waits, a `notify_one` is remembered, ..
    let [a] = line(&queue);
    queue.notify_one();
    drop(a);
    assert_eq!(look(&mut queue.wait()), OK);
    // .. what came of `notify(n)`, `notify_all` and `close` is not.
    let [a] = line(&queue);
    queue.notify(1);
    drop(a);
    let [a] = line(&queue);
    queue.notify_all();
    drop(a);
    let [a] = line(&queue);
    drop(a);
    assert_eq!(look(&mut queue.wait()), Poll::Pending);
}

#[test]
fn the_last_waker_given_is_the_one_woken() {
    let queue = WaitQueue::new();
    let ((first, first_waker), (second, second_waker)) = (Task::new(), Task::new());
    let mut wait = queue.wait();
    assert_eq!(poll(&mut wait, &first_waker), Poll::Pending);
    assert_eq!(poll(&mut wait, &second_waker), Poll::Pending);
    assert_eq!(Arc::strong_count(&first), 2, "the replaced waker is dropped");
    queue.notify_one();
    assert_eq!((first.wakes(), second.wakes()), (0, 1));
    assert_eq!(Arc::strong_count(&second), 2, "the called waker is dropped");
    assert_eq!(look(&mut wait), OK);
}

#[test]
fn a_waker_is_dropped_with_its_wait() {
    let queue = WaitQueue::new();
    let (task, waker) = Task::new();
    let mut wait = queue.wait();
    assert_eq!(poll(&mut wait, &waker), Poll::Pending);
    assert_eq!(Arc::strong_count(&task), 3);
    drop(wait);
    assert_eq!(Arc::strong_count(&task), 2);
    assert!(!queue.has_waiters());
}

#[test]
fn without_a_slot_a_wait_wakes_itself_until_there_is_one() {
    let queue: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());
    let [mut a] = line(&queue);
    let (task, waker) = Task::new();
    let mut b = queue.wait();
    for turn in 1..=3 {
        assert_eq!(poll(&mut b, &waker), Poll::Pending);
        assert_eq!((task.wakes(), queue.self_wakes()), (turn, turn));
    }
    queue.notify_one();
    assert_eq!(look(&mut a), OK);
    assert_eq!(poll(&mut b, &waker), Poll::Pending);
    assert_eq!(task.wakes(), 3, "it has a slot now");
    queue.notify_one();
    assert_eq!((task.wakes(), poll(&mut b, &waker)), (4, OK));
    let [_a] = line(&queue);
    let mut c = queue.wait();
    assert_eq!(look(&mut c), Poll::Pending);
    queue.notify_all();
    assert_eq!(look(&mut c), OK);
}

#[cfg(feature = "alloc")]
#[test]
fn on_the_heap_there_is_always_a_slot() {
    let queue = WaitQueue::with_storage(Growable::new());
    let (task, waker) = Task::new();
    let mut waits: Vec<_> = (0..1000).map(|_| queue.wait()).collect();
    for wait in &mut waits {
        assert_eq!(poll(wait, &waker), Poll::Pending);
    }
    assert_eq!(queue.self_wakes(), 0);
    queue.notify(400);
    assert_eq!(task.wakes(), 400);
    assert!(waits.drain(..400).all(|mut wait| look(&mut wait) == OK));
    queue.notify_all();
    assert_eq!(task.wakes(), 1000, "a batch is smaller than that: whoever drains goes on");
    assert!(waits.iter_mut().all(|wait| look(wait) == OK));
    drop(waits);
    assert_eq!(Arc::strong_count(&task), 2);
}

/// A waker that does something of its own.
struct Does<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Does<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker_that(does: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Does(does)))
}

#[test]
fn a_waker_may_call_the_queue() {
    static QUEUE: WaitQueue = WaitQueue::new();
    let waker = waker_that(|| {
        QUEUE.notify_one();
        let _ = look(&mut QUEUE.wait());
    });
    let [mut a, mut b, mut c] = [QUEUE.wait(), QUEUE.wait(), QUEUE.wait()];
    for wait in [&mut a, &mut b, &mut c] {
        assert_eq!(poll(wait, &waker), Poll::Pending);
    }
    QUEUE.notify_one();
    assert_eq!([look(&mut a), look(&mut b), look(&mut c)], [OK, OK, OK]);
    // The last waker found nobody, so its notification was remembered; the wait in it took that.
    assert_eq!(look(&mut QUEUE.wait()), Poll::Pending);
}

#[test]
fn a_waker_that_panics_is_nobody_elses_harm() {
    let queue = WaitQueue::with_storage(Slots::<40>::new());
    let (task, waker) = Task::new();
    let mut waits: Vec<_> = (0..40).map(|_| queue.wait()).collect();
    for (nth, wait) in waits.iter_mut().enumerate() {
        let waker = if nth == 3 { waker_that(|| panic!("as planned")) } else { waker.clone() };
        assert_eq!(poll(wait, &waker), Poll::Pending);
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| queue.notify_all()));
    assert!(panicked.is_err(), "the panic is the caller's");
    assert_eq!(task.wakes(), 39);
    assert!(waits.iter_mut().all(|wait| look(wait) == OK));
    let [mut next] = line(&queue);
    queue.notify_one();
    assert_eq!(look(&mut next), OK);
}

#[test]
fn a_waker_whose_clone_panics_leaves_the_place_as_it_was() {
    use core::task::{RawWaker, RawWakerVTable};
    static BROKEN: RawWakerVTable =
        RawWakerVTable::new(|_| panic!("as planned"), |_| (), |_| (), |_| ());
    // SAFETY: no function of the table touches the pointer.
    let broken = unsafe { Waker::from_raw(RawWaker::new(core::ptr::null(), &BROKEN)) };
    let poll_panics = |wait: &mut Wait<'_>| {
        assert!(catch_unwind(AssertUnwindSafe(|| poll(wait, &broken))).is_err());
    };

    let queue = WaitQueue::new();
    let mut wait = queue.wait();
    poll_panics(&mut wait);
    assert!(!queue.has_waiters());
    let (task, waker) = Task::new();
    assert_eq!(poll(&mut wait, &waker), Poll::Pending);
    poll_panics(&mut wait);
    queue.notify_one();
    assert_eq!((task.wakes(), look(&mut wait)), (1, OK));
}

#[test]
fn a_waker_whose_drop_panics_takes_no_notification_with_it() {
    use core::mem::ManuallyDrop;
    use core::task::{RawWaker, RawWakerVTable};
    static BROKEN: RawWakerVTable = RawWakerVTable::new(
        |data| RawWaker::new(data, &BROKEN),
        |_| (),
        |_| (),
        |_| panic!("as planned"),
    );
    // SAFETY: no function of the table touches the pointer.
    let broken = unsafe { Waker::from_raw(RawWaker::new(core::ptr::null(), &BROKEN)) };
    let broken = ManuallyDrop::new(broken);
    let queue = WaitQueue::new();
    let [mut wait] = line(&queue);
    queue.notify_one();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut wait, &broken))).is_err());
    assert_eq!(look(&mut wait), OK, "it was told, and has not heard of it yet");
}

/// Registering delivers what was pending for others; if one of those wakers panics, the place is kept.
#[test]
fn a_panic_in_the_middle_of_a_registration_leaves_a_place_to_poll_or_to_drop() {
    for polled_again in [true, false] {
        let queue = &WaitQueue::new();
        let mut a = queue.wait();
        assert_eq!(poll(&mut a, &waker_that(|| panic!("as planned"))), Poll::Pending);
        let mut b = queue.wait();
        // A notification that nobody was there to deliver: post it without draining.
        queue.waiters.primitive().ungrant(0, ONE);
        let registered = catch_unwind(AssertUnwindSafe(|| look(&mut b)));
        assert!(registered.is_err());
        assert_eq!(look(&mut a), OK);
        if polled_again {
            assert_eq!(look(&mut b), Poll::Pending);
            queue.notify_one();
            assert_eq!(look(&mut b), OK);
        } else {
            drop(b);
        }
        assert!(!queue.has_waiters());
        assert_eq!(free_slots(queue), 8);
    }
}

/// As many as can stand in line now.
fn free_slots(queue: &WaitQueue) -> usize {
    let before = queue.self_wakes();
    let mut waits = Vec::new();
    while queue.self_wakes() == before {
        let mut wait = queue.wait();
        assert_eq!(look(&mut wait), Poll::Pending);
        waits.push(wait);
    }
    waits.len() - 1
}

use queue::Primitive;

#[test]
fn slots_come_back_from_every_end_of_a_wait() {
    let queue = WaitQueue::new();
    for round in 0..100 {
        let [mut a, b, c, mut d] = line(&queue);
        match round % 4 {
            0 => queue.notify_one(),
            1 => queue.notify(2),
            2 => queue.notify_all(),
            _ => {}
        }
        let _ = look(&mut a);
        drop(c);
        let _ = look(&mut d);
        drop(b);
    }
    while look(&mut queue.wait()) == OK {}
    assert_eq!(free_slots(&queue), 8);
}

#[test]
fn types_go_where_they_should() {
    fn everywhere<T: Send + Sync + Unpin>() {}
    everywhere::<WaitQueue>();
    everywhere::<Wait<'_>>();
    everywhere::<WaitCell>();
    everywhere::<WaitQueue<Slots<3>>>();
    #[cfg(feature = "alloc")]
    everywhere::<Wait<'_, Growable>>();
}

#[test]
fn a_cell_wakes_whom_it_holds() {
    let cell = WaitCell::new();
    let (task, waker) = Task::new();
    cell.wake();
    cell.register(&waker);
    cell.wake();
    cell.wake();
    assert_eq!(task.wakes(), 1);
    cell.register(&waker);
    assert!(cell.take().is_some_and(|taken| taken.will_wake(&waker)));
    cell.wake();
    assert_eq!(task.wakes(), 1);
}
