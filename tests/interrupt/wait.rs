//! The queue of waiters preempted before each of its atomic accesses.
//!
//! The oracle of every combination is a sequential queue (`line.rs`) and a search for an order of effects that
//! explains each answer and what is left at the end. Its one relaxation is the one that the documentation
//! states: while somebody is frozen, what is notified may be handed out late. So a notification has two
//! effects: it is posted within its call, and it reaches its waiter at any time until nobody is frozen any
//! more. Then everybody who was reached must have been woken, nobody else may be reached, and all slots are free.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use aqueduct_core::wait::{Closed, Growable, Slots, Storage, Wait, WaitQueue};

mod line;

use line::explain;

use crate::harness::{Run, Subject, longest_party, preempt, preempt_nested, preempt_twice};

// --- operations --------------------------------------------------------------------------------------------

/// The waits: two bystanders, who stand in line at first where the start state says so, and one for each party.
const WAITS: usize = 5;
const A: usize = 2;
const B: usize = 3;
const C: usize = 4;

/// An operation; the number says on which wait.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    /// Makes the wait if it is gone, and polls it once.
    Poll(usize),
    Cancel(usize),
    One,
    Some(usize),
    All,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Notified,
    Closed,
    Pending,
    /// Pending, and it has woken itself.
    NoSlot,
    None,
    /// Not done: a frozen party is in the middle of using that wait.
    Busy,
}

impl From<Poll<Result<(), Closed>>> for Answer {
    fn from(polled: Poll<Result<(), Closed>>) -> Self {
        match polled {
            Poll::Ready(Ok(())) => Answer::Notified,
            Poll::Ready(Err(Closed)) => Answer::Closed,
            Poll::Pending => Answer::Pending,
        }
    }
}

/// Counts how often it is rung.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Notifies the queue that calls it, at an address that lives as long as the wait.
struct Relay<W: Storage + 'static>(&'static WaitQueue<W>);

impl<W: Storage> Wake for Relay<W> {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// A queue and its waits.
struct Object<W: Storage + 'static> {
    queue: *mut WaitQueue<W>,
    waits: [RefCell<Option<Wait<'static, W>>>; WAITS],
    /// For each wait the bell that its last poll brought.
    bells: [RefCell<Arc<Bell>>; WAITS],
}

impl<W: Storage> Object<W> {
    fn queue(&self) -> &'static WaitQueue<W> {
        // SAFETY: from `Box::into_raw`, freed by `Drop`, after the waits; nobody else keeps the reference.
        unsafe { &*self.queue }
    }

    fn poll(&self, wait: &mut Wait<'static, W>, bell: usize) -> Answer {
        let rung = Arc::new(Bell::default());
        *self.bells[bell].borrow_mut() = rung.clone();
        let waker = Waker::from(rung);
        match Pin::new(&mut *wait).poll(&mut Context::from_waker(&waker)).into() {
            Answer::Pending if !wait.is_registered() => Answer::NoSlot,
            answer => answer,
        }
    }
}

impl<W: Storage> Drop for Object<W> {
    fn drop(&mut self) {
        for wait in &self.waits {
            *wait.borrow_mut() = None;
        }
        // SAFETY: from `Box::into_raw`, and no wait is left.
        drop(unsafe { Box::from_raw(self.queue) });
    }
}

// --- start states ------------------------------------------------------------------------------------------

/// What is there at first.
#[derive(Clone, Copy, Debug)]
struct Start<F> {
    storage: F,
    /// How many bystanders stand in line.
    in_line: usize,
    /// The first bystander's waker notifies one more.
    relay: bool,
    /// A notification is remembered.
    token: bool,
    slots: usize,
}

impl<W: Storage + 'static, F: Fn() -> W> Subject for Start<F> {
    type Object = Object<W>;
    type Op = Op;
    type Outcome = Answer;

    fn name(&self) -> String {
        let Self { in_line, relay, token, slots, .. } = self;
        format!("wait: {slots} slots, {in_line} in line, relay {relay}, token {token}")
    }

    fn fresh(&self) -> Object<W> {
        let queue = Box::into_raw(Box::new(WaitQueue::with_storage((self.storage)())));
        let mut object = Object { queue, waits: Default::default(), bells: Default::default() };
        let queue = object.queue();
        object.waits = std::array::from_fn(|_| RefCell::new(Some(queue.wait())));
        if self.token {
            queue.notify_one();
        }
        for nth in 0..self.in_line {
            let mut wait = object.waits[nth].borrow_mut();
            let wait = wait.as_mut().expect("made just now");
            assert_eq!(object.poll(wait, nth), Answer::Pending);
            if self.relay && nth == 0 {
                let relay = Waker::from(Arc::new(Relay(queue)));
                assert!(Pin::new(wait).poll(&mut Context::from_waker(&relay)).is_pending());
            }
        }
        object
    }

    fn apply(&self, object: &Object<W>, op: &Op) -> Answer {
        let queue = object.queue();
        match *op {
            Op::Poll(nth) => {
                let Ok(mut wait) = object.waits[nth].try_borrow_mut() else { return Answer::Busy };
                return object.poll(wait.get_or_insert_with(|| queue.wait()), nth);
            }
            Op::Cancel(nth) => {
                let Ok(mut wait) = object.waits[nth].try_borrow_mut() else { return Answer::Busy };
                *wait = None;
            }
            Op::One => queue.notify_one(),
            Op::Some(n) => queue.notify(n),
            Op::All => queue.notify_all(),
            Op::Close => queue.close(),
        }
        Answer::None
    }

    fn check(&self, object: Object<W>, run: &Run<'_, Self>) -> Result<(), String> {
        let queue = object.queue();
        // What each wait that stands in line finds now, and whether it was told.
        let mut found = [None; WAITS];
        for (nth, found) in found.iter_mut().enumerate() {
            let mut wait = object.waits[nth].borrow_mut();
            let Some(wait) = wait.as_mut() else { continue };
            if !wait.is_registered() {
                continue;
            }
            let answer = Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).into();
            let rung = object.bells[nth].borrow().0.load(Relaxed) > 0 || (self.relay && nth == 0);
            if answer != Answer::Pending && !rung {
                return Err(format!("wait {nth} was reached, and nobody woke it"));
            }
            *found = Some(answer);
        }
        // No wait is left, so nothing is passed on. Is a token there?
        for wait in &object.waits {
            *wait.borrow_mut() = None;
        }
        if queue.has_waiters() {
            return Err("nobody stands in line, and it says that somebody does".to_owned());
        }
        let look = |wait: &mut Wait<'static, W>| -> Answer {
            Pin::new(wait).poll(&mut Context::from_waker(Waker::noop())).into()
        };
        let token = look(&mut queue.wait()) == Answer::Notified;
        if look(&mut queue.wait()) == Answer::Notified {
            return Err("two notifications are remembered".to_owned());
        }
        // All slots are free.
        let closed = queue.is_closed();
        if !closed && self.slots < 100 {
            let before = queue.self_wakes();
            let mut waits: Vec<_> = (0..self.slots).map(|_| queue.wait()).collect();
            waits.iter_mut().for_each(|wait| _ = look(wait));
            if queue.self_wakes() != before {
                return Err("a slot is lost".to_owned());
            }
            queue.notify_all();
            if waits.iter_mut().any(|wait| look(wait) != Answer::Notified) {
                return Err("the queue does not go on".to_owned());
            }
        }
        explain(self, run, &found, token)
    }
}

// --- the runs ----------------------------------------------------------------------------------------------

fn slots<const W: usize>(in_line: usize, token: bool) -> Start<fn() -> Slots<W>> {
    Start { storage: Slots::new, in_line, relay: false, token, slots: W }
}

/// What a party with a wait of its own may do.
fn operations(own: usize) -> Vec<Vec<Op>> {
    vec![
        vec![Op::Poll(own)],
        vec![Op::Poll(own), Op::Cancel(own)],
        vec![Op::Poll(0)],
        vec![Op::Cancel(0)],
        vec![Op::One],
        vec![Op::Some(1)],
        vec![Op::Some(2)],
        vec![Op::All],
        vec![Op::Close],
    ]
}

/// All of these, and each followed by each.
fn pairs(operations: &[Vec<Op>]) -> Vec<Vec<Op>> {
    let mut all = operations.to_vec();
    for first in operations {
        all.extend(operations.iter().map(|second| [&first[..], second].concat()));
    }
    all
}

/// What is preempted: also polls again, and polls after a grant.
fn preempted() -> Vec<Vec<Op>> {
    let mut all = operations(A);
    all.push(vec![Op::Poll(A), Op::Poll(A)]);
    all.push(vec![Op::Poll(A), Op::One, Op::Poll(A)]);
    all.push(vec![Op::Poll(A), Op::All, Op::Cancel(A)]);
    all.push(vec![Op::Poll(A), Op::Cancel(A), Op::Poll(A)]);
    all
}

fn report(what: &str, combinations: u64) {
    let alone = std::env::var_os("AQUEDUCT_INTERRUPT_ONLY").is_some();
    assert!(combinations > 0 || alone, "{what}: nothing was checked");
    println!(
        "interrupt: wait: {combinations} combinations: {what} (longest party: {} steps)",
        longest_party()
    );
}

/// Every start state with enough slots.
fn on_each_start(each: impl Fn(&Start<fn() -> Slots<6>>) -> u64) -> u64 {
    let starts = [(0, false), (0, true), (1, false), (2, false)];
    starts.iter().map(|&(in_line, token)| each(&slots::<6>(in_line, token))).sum()
}

#[test]
fn every_operation_by_every_one_and_pair() {
    let handlers = pairs(&operations(B));
    let ran = on_each_start(|start| preempted().iter().map(|a| preempt(start, a, &handlers)).sum());
    report("every operation by every one and pair", ran);
}

#[test]
fn every_operation_by_two_handlers() {
    let ran = on_each_start(|start| {
        let (firsts, seconds) = (operations(B), operations(C));
        operations(A).iter().map(|a| preempt_twice(start, a, &firsts, &seconds)).sum()
    });
    report("every operation, by two handlers at two steps", ran);
}

#[test]
fn nested_handlers() {
    let ran = on_each_start(|start| {
        let (bs, cs) = (operations(B), operations(C));
        operations(A).iter().map(|a| preempt_nested(start, a, &bs, &cs)).sum()
    });
    report("every operation, by every handler, by every handler", ran);
}

/// The first in line notifies the queue from inside its waker.
#[test]
fn wakers_that_come_back() {
    // What does not touch the relay itself.
    let apart = |own| {
        let mut all = operations(own);
        all.retain(|ops| ops.iter().all(|op| !matches!(op, Op::Poll(0) | Op::Cancel(0))));
        all.push(vec![Op::Poll(1)]);
        all.push(vec![Op::Cancel(1)]);
        all
    };
    let start = Start { relay: true, ..slots::<6>(2, false) };
    let mut ran = apart(A).iter().map(|a| preempt(&start, a, &pairs(&apart(B)))).sum::<u64>();
    ran += apart(A).iter().map(|a| preempt_nested(&start, a, &apart(B), &apart(C))).sum::<u64>();
    report("wakers that call the queue", ran);
}

/// With fewer slots than waits: those without one wake themselves, and nothing else changes.
#[test]
fn too_few_slots() {
    let handlers = pairs(&operations(B));
    let mut ran = 0;
    for a in preempted() {
        ran += preempt(&slots::<1>(0, false), &a, &handlers);
        ran += preempt(&slots::<1>(1, false), &a, &handlers);
        ran += preempt(&slots::<2>(1, false), &a, &handlers);
        ran += preempt(&slots::<2>(2, false), &a, &handlers);
    }
    report("too few slots", ran);
}

/// Chunks are added in the middle: the first has one slot in this build.
#[test]
fn slots_on_the_heap() {
    let handlers = pairs(&operations(B));
    let mut ran = 0;
    for in_line in 0..=2 {
        let start = Start { storage: Growable::new, in_line, relay: false, token: false, slots: 6 };
        for a in preempted() {
            ran += preempt(&start, &a, &handlers);
        }
    }
    report("slots on the heap", ran);
}
