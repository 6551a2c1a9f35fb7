//! Waiting: [`WaitCell`] for one waiter, [`WaitQueue`] for many.
//!
//! Both wait by means of a [`Waker`]: a task brings its executor's, a thread one that unparks it, and an
//! interrupt handler only ever notifies. Neither holds what is waited *for*: check your own condition, wait,
//! check again.
//!
//! # Which one
//!
//! - One task at a time waits: [`WaitCell`], three words.
//! - Several may wait, in order of arrival: [`WaitQueue`].
//! - You wait for an item, a permit or a lock: those types have a queue inside already.
//!
//! The protocol, with its proofs:
#![doc = include_str!("wait/PROTOCOL.md")]

use core::fmt;
use core::future::Future;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

mod batch;
mod drain;
mod list;
mod notices;
mod queue;
mod slot;
mod slots;
mod state;
#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;

#[cfg(feature = "alloc")]
pub use slots::Growable;
pub use slots::{Slots, Storage};

/// The queue itself, for the primitives that are served by it.
pub(crate) use self::{
    queue::{Head, Place, Post, Primitive, Waiters},
    slot::Grant,
    state::{FREE_BIT, Word},
};

use crate::sync::const_unless_loom;
use notices::{ALL, CLOSED, Notices, ONE, State};

/// A queue of tasks that wait to be notified, served in order of arrival.
///
/// [`wait`](Self::wait) makes a future. [`notify_one`](Self::notify_one) completes the oldest, or is remembered if
/// nobody waits; [`notify`](Self::notify) completes up to so many and is not remembered;
/// [`notify_all`](Self::notify_all) completes every future made before it; [`close`](Self::close) ends them all,
/// those to come included, with an error.
///
/// The waiters' slots are inside the object: `Slots<8>`, or what the parameter says. Nothing is allocated but
/// by [`Growable`].
///
/// # Examples
///
/// An interrupt handler tells a task that a button was pressed:
///
/// ```
/// use aqueduct_core::wait::WaitQueue;
///
/// static PRESSED: WaitQueue = WaitQueue::new();
///
/// fn on_button_interrupt() {
///     PRESSED.notify_one();
/// }
///
/// async fn blink_on_press() {
///     while PRESSED.wait().await.is_ok() {
///         // toggle the light
///     }
/// }
/// # on_button_interrupt();
/// # let mut task = core::pin::pin!(blink_on_press());
/// # let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
/// # assert!(task.as_mut().poll(&mut cx).is_pending());
/// # PRESSED.close();
/// # assert!(task.as_mut().poll(&mut cx).is_ready());
/// ```
///
/// # Progress
///
/// Notifying, closing, cancelling and polling are lock-free, wherever any other party is frozen: all of them may
/// be called from an interrupt handler, also one that has interrupted the same call on the same queue. Whoever
/// notifies also wakes, so the wakers must be callable there. While a party that hands out notifications is frozen
/// part-way, others' notifications are counted, and handed out when it goes on: a wake-up can be delayed, never
/// lost.
///
/// # Fairness
///
/// First in, first out, by the first poll of each [`Wait`]; a later wait takes no notification while somebody
/// stands in line.
///
/// # Memory ordering
///
/// What a thread did before it notified or closed is visible to whoever was woken by that. `notify` has one more
/// promise, to a caller who skips it when nobody waits; see [there](Self::notify).
///
/// # When slots are full
///
/// A `Wait` that finds no slot wakes itself and stays `Pending`: it polls again and again until one is free or its
/// answer is there. That is correct but busy, out of order, and not reached by `notify(n)`; on an executor with
/// strict priorities it may keep the task from running that would free a slot. So have at least as many slots as
/// tasks that wait. [`self_wakes`](Self::self_wakes) counts.
///
/// # Panics
///
/// Never by itself. A panic in a waker passes through whoever called it, and is nobody else's harm: the queue stays
/// usable and the others are woken. (Of two wakers that panic in one call the second does so while the first panic
/// unwinds, which ends the program.)
pub struct WaitQueue<W: Storage = Slots<8>> {
    waiters: Waiters<Notices, W>,
}

impl WaitQueue {
    const_unless_loom! {
        /// A queue in which eight can wait.
        pub const fn new() -> Self {
            Self::with_storage(Slots::new())
        }
    }
}

impl<W: Storage> WaitQueue<W> {
    const_unless_loom! {
        /// A queue with its slots in `storage`.
        ///
        /// # Examples
        ///
        /// ```
        /// use aqueduct_core::wait::{Slots, WaitQueue};
        ///
        /// static DONE: WaitQueue<Slots<2>> = WaitQueue::with_storage(Slots::new());
        /// assert!(!DONE.is_closed());
        /// ```
        pub const fn with_storage(storage: W) -> Self {
            Self { waiters: Waiters::new(Notices::new(), storage) }
        }
    }

    /// A future that completes when it is notified, or with an error when the queue is closed.
    ///
    /// From now on a [`notify_all`](Self::notify_all) reaches it; it stands in line for the others from its first
    /// poll on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct_core::wait::{Closed, WaitQueue};
    /// # use std::{future::Future, pin::pin, task::{Context, Poll, Waker}};
    /// let queue = WaitQueue::new();
    /// let mut wait = pin!(queue.wait());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
    /// queue.notify_one();
    /// assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(Ok(())));
    /// ```
    pub fn wait(&self) -> Wait<'_, W> {
        Wait { queue: self, epoch: self.waiters.primitive().epoch(), place: None, answer: None }
    }

    /// Completes the oldest wait. If nobody waits, the next wait completes at once.
    ///
    /// At most one notification is remembered; while another call is frozen part-way, several may be counted, and complete those who come meanwhile. A wait that is dropped after this chose it and before it was
    /// polled passes the notification on. Has no effect on a closed queue.
    pub fn notify_one(&self) {
        self.waiters.post(|word| State::of(word).notify_one());
    }

    /// Completes up to `n` waits that stand in line, oldest first. Nothing is remembered.
    ///
    /// At least `n` are completed if so many wait; while another call is frozen part-way, those who come meanwhile
    /// may be completed too. A wait that is dropped after this chose it and before it was polled passes the
    /// notification on, if somebody waits. Has no effect on a closed queue.
    ///
    /// # Memory ordering
    ///
    /// When nobody waits this is **one load**, so that a producer can afford it after each item. It cannot be
    /// missed all the same, if both sides keep to this:
    ///
    /// - the notifier publishes with a `SeqCst` read-modify-write, then calls `notify`;
    /// - the waiter polls its [`Wait`] and, when that is `Pending`, looks with `SeqCst` loads whether the thing
    ///   was published; only if not does it sleep.
    ///
    /// The four accesses (publish, `notify`'s load; the registration, the look) are all `SeqCst`, so in their single
    /// total order either the waiter sees what was published or the notifier sees the waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct_core::wait::WaitQueue;
    /// # use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    /// # use std::{future::{Future, poll_fn}, pin::Pin, task::{Context, Poll, Waker}};
    /// static ITEMS: AtomicUsize = AtomicUsize::new(0);
    /// static ARRIVED: WaitQueue = WaitQueue::new();
    ///
    /// fn produce() {
    ///     ITEMS.fetch_add(1, SeqCst);
    ///     ARRIVED.notify(1);
    /// }
    ///
    /// async fn consume() {
    ///     let mut wait = ARRIVED.wait();
    ///     poll_fn(|cx| loop {
    ///         let notified = Pin::new(&mut wait).poll(cx).is_ready();
    ///         let take = |items: usize| items.checked_sub(1);
    ///         if ITEMS.fetch_update(SeqCst, SeqCst, take).is_ok() {
    ///             return Poll::Ready(());
    ///         }
    ///         if !notified {
    ///             return Poll::Pending;
    ///         }
    ///         wait = ARRIVED.wait();
    ///     }).await
    /// }
    /// # let mut task = Box::pin(consume());
    /// # let mut cx = Context::from_waker(Waker::noop());
    /// # assert!(task.as_mut().poll(&mut cx).is_pending());
    /// # produce();
    /// # assert!(task.as_mut().poll(&mut cx).is_ready());
    /// ```
    pub fn notify(&self, n: usize) {
        if self.waiters.is_awaited() {
            self.waiters.post(|word| State::of(word).notify(n));
        }
    }

    /// As `notify`, where what a registrant must see is the caller's last read-modify-write, and not what came after it.
    #[inline]
    pub(crate) fn notify_in_order(&self, n: usize) {
        if self.waiters.is_awaited_in_order() {
            self.waiters.post(|word| State::of(word).notify(n));
        }
    }

    /// Completes every wait that was made before this call, polled or not. Nothing is remembered.
    ///
    /// A wait that is dropped instead of completed has nothing to pass on.
    ///
    /// On a target with 32-bit words the count of these calls wraps: a wait that sleeps through exactly 2^32 of them,
    /// none of which gets to hand out anything in between, takes none of them for its own.
    pub fn notify_all(&self) {
        self.waiters.primitive().next_epoch();
        self.waiters.post(|word| State::of(word).notify_all());
    }

    /// Closes the queue: everybody who waits gets [`Closed`], and so does everybody who waits later.
    ///
    /// What was notified before is still delivered: to those it was meant for and, if they are dropped or if
    /// [`notify_one`](Self::notify_one) found nobody, to one later wait. Closing twice is closing once.
    pub fn close(&self) {
        self.waiters.post(|word| State::of(word).close());
    }

    fn give_back(&self, grant: Grant) {
        self.waiters.post(|word| State::of(word).give_back(grant));
    }

    /// Was the queue closed?
    pub fn is_closed(&self) -> bool {
        self.waiters.primitive().state().is_closed()
    }

    /// Does anybody stand in line? The load with which [`notify`](Self::notify) begins, and the same promise.
    ///
    /// May say yes for a moment after the last one has gone.
    pub fn has_waiters(&self) -> bool {
        self.waiters.is_awaited()
    }

    /// How often a wait found no free slot and woke itself instead; see [When slots are full](#when-slots-are-full).
    pub fn self_wakes(&self) -> usize {
        self.waiters.self_wakes()
    }
}

impl<W: Storage + Default> Default for WaitQueue<W> {
    fn default() -> Self {
        Self::with_storage(W::default())
    }
}

impl<W: Storage> fmt::Debug for WaitQueue<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.waiters.primitive().state();
        f.debug_struct("WaitQueue")
            .field("awaited", &state.word().is_awaited())
            .field("token", &state.has_token())
            .field("closed", &state.is_closed())
            .field("self_wakes", &self.self_wakes())
            .finish_non_exhaustive()
    }
}

/// The future of [`WaitQueue::wait`].
///
/// Need not be pinned to stay in place: it is `Unpin`, and holds the number of its slot, no pointer.
///
/// # Progress
///
/// A poll finishes in its own steps. It registers at the first `Pending`; from then on the notifier of
/// [`WaitQueue::notify`] sees it. Polled again, with whatever waker, it keeps its place and wakes the last waker
/// given. After it has completed it gives the same answer again.
///
/// # Cancel safety
///
/// Dropping it leaves the line. If it was notified and not polled since, a `notify_one` or one of a `notify(n)`
/// passes on to the next; so no notification is lost, and none has to be awaited to the end.
///
/// [`mem::forget`](core::mem::forget) of a `Wait` that stands in line keeps its slot used for ever, and whatever it is
/// notified of.
#[must_use = "futures do nothing unless polled"]
pub struct Wait<'q, W: Storage = Slots<8>> {
    queue: &'q WaitQueue<W>,
    epoch: usize,
    place: Place,
    answer: Option<Result<(), Closed>>,
}

impl<W: Storage> Wait<'_, W> {
    /// Does it have a slot in the queue? Not before its first poll, nor after it has completed; and not if no
    /// slot was free, when it has woken its task to poll again.
    pub fn is_registered(&self) -> bool {
        self.place.is_some()
    }

    fn poll_grant(&mut self, waker: &Waker) -> Option<Grant> {
        let waiters = &self.queue.waiters;
        if self.place.is_none()
            && let Some(grant) = waiters.primitive().try_take(self.epoch)
        {
            if grant == ONE && waiters.primitive().has_passed(self.epoch) {
                self.queue.give_back(grant);
                return Some(ALL);
            }
            return Some(grant);
        }
        if let Poll::Ready(grant) = waiters.poll(&mut self.place, waker, 0, self.epoch) {
            return Some(grant);
        }
        // A `notify_all` that came after our first look, but before somebody pushed whose wait is younger than it
        // and who now stands before us: the drainer, who asks for the head only, would not find us.
        if waiters.primitive().has_passed(self.epoch) {
            return Some(waiters.cancel(&mut self.place).unwrap_or(ALL));
        }
        None
    }

    fn answer(&mut self, grant: Grant) -> Result<(), Closed> {
        let answer = if grant == CLOSED { Err(Closed) } else { Ok(()) };
        self.answer = Some(answer);
        answer
    }
}

impl<W: Storage> Future for Wait<'_, W> {
    type Output = Result<(), Closed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.answer {
            return Poll::Ready(answer);
        }
        match self.poll_grant(cx.waker()) {
            Some(grant) => Poll::Ready(self.answer(grant)),
            None => Poll::Pending,
        }
    }
}

impl<W: Storage> Drop for Wait<'_, W> {
    fn drop(&mut self) {
        if let Some(grant) = self.queue.waiters.cancel(&mut self.place) {
            self.queue.give_back(grant);
        }
    }
}

impl<W: Storage> fmt::Debug for Wait<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("registered", &self.is_registered())
            .field("answer", &self.answer)
            .finish_non_exhaustive()
    }
}

/// The queue was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the wait queue was closed")
    }
}

impl core::error::Error for Closed {}

/// A place for one waiter.
///
/// The waiter registers its waker, *then* looks whether what it waits for is there; the other side makes it be
/// there, *then* wakes. Registering again replaces the waker; so two tasks that wait on one cell steal it from each
/// other: use a [`WaitQueue`] for more than one.
///
/// This is the [`atomic-waker`](https://docs.rs/atomic-waker) crate's cell under this crate's names. (It stands on
/// `core`'s or portable-atomic's atomics; the model checkers of this project do not see into it.)
///
/// # Examples
///
/// ```
/// use aqueduct_core::wait::WaitCell;
/// use core::future::poll_fn;
/// use core::sync::atomic::{AtomicBool, Ordering};
/// use core::task::Poll;
///
/// static READY: AtomicBool = AtomicBool::new(false);
/// static WAITER: WaitCell = WaitCell::new();
///
/// fn on_interrupt() {
///     READY.store(true, Ordering::Release);
///     WAITER.wake();
/// }
///
/// async fn ready() {
///     poll_fn(|cx| {
///         WAITER.register(cx.waker());
///         if READY.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
///     })
///     .await
/// }
/// # let mut task = Box::pin(ready());
/// # let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
/// # assert!(task.as_mut().poll(&mut cx).is_pending());
/// # on_interrupt();
/// # assert!(task.as_mut().poll(&mut cx).is_ready());
/// ```
///
/// # Progress
///
/// Both calls finish in their own steps and may be made from an interrupt handler. If `wake` comes while `register`
/// is in the middle, `register` wakes the new waker itself.
///
/// # Memory ordering
///
/// What was done before `wake` is visible after a `register` that follows it: at the latest to the look after the one
/// that was woken.
///
/// # Panics
///
/// If a waker does: in `wake` that is nobody else's harm; in its `clone`, or in the `drop` of the one before it, the cell
/// is of no use any more: nobody who registers later is woken.
#[derive(Default)]
pub struct WaitCell(atomic_waker::AtomicWaker);

// What a panic leaves is a cell that is free or out of use, never a waker that is half there.
impl UnwindSafe for WaitCell {}
impl RefUnwindSafe for WaitCell {}

impl WaitCell {
    /// A cell without a waiter.
    pub const fn new() -> Self {
        Self(atomic_waker::AtomicWaker::new())
    }

    /// Makes `waker` the one that the next [`wake`](Self::wake) calls, instead of the one before.
    ///
    /// Look at your condition after this, not before. Cheap if `waker` is registered already.
    pub fn register(&self, waker: &Waker) {
        self.0.register(waker);
    }

    /// Wakes the waiter, if there is one, and forgets it.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Takes the waker out without calling it, to call or drop it elsewhere.
    pub fn take(&self) -> Option<Waker> {
        self.0.take()
    }
}

impl fmt::Debug for WaitCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitCell").finish_non_exhaustive()
    }
}
