//! Bounded channels: a queue whose users can wait until there is a value, or room for one.
//!
//! A channel is a [`queue`], a wait queue for senders, one for receivers (see [`wait`]), and the
//! rule of closing; nothing else. [`StaticChannel`] lies inline and is made at compile time; [`Channel`]
//! (feature `alloc`) lies on the heap. Any number of parties may send and receive.
//!
//! What does not wait, such as [`try_send`](StaticChannel::try_send), may be called from an interrupt
//! handler; what waits is a future, for an executor or for [`block_on`](crate::block_on()).
//!
//! # Closing
//!
//! Either side may [`close`](StaticChannel::close). From then on nothing goes in: senders, those that wait
//! included, get their value back. What is in can still be received; then receivers are told. Nothing is
//! lost in between: a value whose `send` returned `Ok` is received, or dropped with the channel.
//!
//! # Progress
//!
//! All but waiting is lock-free as in [`queue`](crate::queue#progress): it finishes in its own steps wherever
//! any other context is frozen. Sending and receiving look for sleepers with one load, and touch their
//! queue only if there is one.
//!
//! A [`Channel`] made [`with_progress`](Channel::with_progress) can be faster, and then is **not** lock-free: see [`Progress`].
//!
//! # Fairness
//!
//! Sleepers are woken in the order in which they went to sleep, one for each value (or place), and then
//! compete with those that never slept: a value goes to whoever comes first. A sleeper that finds
//! nothing goes to sleep again, at the end of the line.
//!
//! # Memory ordering
//!
//! What happened before a value was sent happens before what follows its receive. Besides, what is sent and what is received has claimed its
//! place with a `SeqCst` read-modify-write; and a `try_send` that finds no room, and a `try_recv` that finds nothing, have looked for claims with `SeqCst`
//! loads. So who wants to wait somewhere else, in a [`WaitQueue`] of its own, has what that [asks for](WaitQueue::notify): send, then notify; stand in
//! line there, then try once more.
//!
//! # Cancel safety
//!
//! Every future of this module may be dropped at any time: no value is lost, and a wake-up that was meant
//! for it goes to the next sleeper. A [`Send`] that is dropped drops its value, unless that was taken out
//! with [`Send::into_value`]; [`reserve`](StaticChannel::reserve) waits without a value.
//!
//! # Panics
//!
//! A waker that panics does so in the call that wakes it. What that call was for is done, and all others that it was to wake are woken; but a
//! value that it has received is dropped.

mod batch;
mod done;
mod error;
mod future;
#[cfg(feature = "futures")]
mod stream;
mod watch;

pub use error::{ForceSendError, RecvError, ReserveError, SendError, TryRecvError, TrySendError};
pub use future::{AnyChannel, Permit, Recv, RecvMany, Reserve, Send};
#[cfg(feature = "futures")]
pub use stream::{RecvStream, SendSink};
pub use watch::{RecvWatch, SendWatch};

pub use crate::queue::progress::{LockFree, Progress};

use self::done::Done;
use crate::queue::{self, Inline, Ring};
use crate::sync::const_unless_loom;
use crate::wait::{self, Slots, WaitQueue};
use core::fmt;

/// A bounded channel of up to `N` values, inline and made at compile time.
///
/// `W` says how many parties can sleep on each side: see [`wait::Slots`].
///
/// # Examples
///
/// An interrupt handler hands samples to a task:
///
/// ```
/// use aqueduct_core::channel::{StaticChannel, TrySendError};
///
/// static SAMPLES: StaticChannel<u16, 4> = StaticChannel::new();
///
/// fn on_interrupt(sample: u16) {
///     if let Err(TrySendError::Full(sample)) = SAMPLES.try_send(sample) {
///         // The task is late; say so, and drop the sample knowingly.
///         drop(sample);
///     }
/// }
///
/// async fn task() -> u16 {
///     SAMPLES.recv().await.unwrap()
/// }
///
/// on_interrupt(3);
/// assert_eq!(aqueduct_core::block_on(task(), core::hint::spin_loop), 3);
/// ```
pub struct StaticChannel<T, const N: usize, W: wait::Storage = Slots<8>> {
    parts: Parts<Inline<T, N>, W>,
}

impl<T, const N: usize> StaticChannel<T, N> {
    const_unless_loom! {
        /// An empty, open channel with room for 8 sleepers on each side.
        ///
        /// # Panics
        ///
        /// At compile time, if `N` is 0 or above [`queue::MAX_CAPACITY`].
        pub const fn new() -> Self {
            Self::with_storage(Slots::new(), Slots::new())
        }
    }
}

impl<T, const N: usize, W: wait::Storage> StaticChannel<T, N, W> {
    const_unless_loom! {
        /// As `new`, with other storages for those who wait to send and to receive:
        /// `StaticChannel::<T, N, Slots<2>>::with_storage(Slots::new(), Slots::new())`.
        ///
        /// # Panics
        ///
        /// At compile time, if `N` is 0 or above [`queue::MAX_CAPACITY`].
        pub const fn with_storage(senders: W, receivers: W) -> Self {
            Self { parts: Parts::new(Ring::new(Inline::new()), senders, receivers) }
        }
    }
}

impl<T, const N: usize> Default for StaticChannel<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A bounded channel on the heap, its capacity chosen at run time, with room for any number of sleepers.
///
/// `P` says whether it is lock-free (the default), or faster: see [`Progress`].
///
/// # Examples
///
/// ```
/// use aqueduct_core::channel::{Channel, RecvError, SendError};
/// use core::hint::spin_loop;
///
/// let channel = Channel::new(1);
/// aqueduct_core::block_on(channel.send("in time"), spin_loop)?;
/// channel.close();
/// assert_eq!(aqueduct_core::block_on(channel.send("late"), spin_loop), Err(SendError("late")));
/// assert_eq!(aqueduct_core::block_on(channel.recv(), spin_loop), Ok("in time"));
/// assert_eq!(aqueduct_core::block_on(channel.recv(), spin_loop), Err(RecvError));
/// # Ok::<(), SendError<&str>>(())
/// ```
#[cfg(feature = "alloc")]
pub struct Channel<T, P: Progress = LockFree> {
    parts: Parts<queue::Heap<T>, wait::Growable, P>,
}

#[cfg(feature = "alloc")]
impl<T> Channel<T> {
    /// An empty, open channel of up to `capacity` values.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or above [`queue::MAX_CAPACITY`].
    pub fn new(capacity: usize) -> Self {
        Self::with_progress(capacity)
    }
}

#[cfg(feature = "alloc")]
impl<T, P: Progress> Channel<T, P> {
    /// As `new`, for another choice of [`Progress`], by the type:
    /// `Channel::<_, Yield>::with_progress(8)`. There is an example there.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or above [`queue::MAX_CAPACITY`].
    pub fn with_progress(capacity: usize) -> Self {
        let ring = Ring::new(queue::Heap::new(capacity));
        Self { parts: Parts::new(ring, wait::Growable::new(), wait::Growable::new()) }
    }
}

/// The queue and those who wait for it.
struct Parts<S: queue::Storage, W: wait::Storage, P: Progress = LockFree> {
    ring: Ring<S, P>,
    senders: WaitQueue<W>,
    receivers: WaitQueue<W>,
}

impl<S: queue::Storage, W: wait::Storage, P: Progress> Parts<S, W, P> {
    const_unless_loom! {
        const fn new(ring: Ring<S, P>, senders: W, receivers: W) -> Self {
            Self {
                ring,
                senders: WaitQueue::with_storage(senders),
                receivers: WaitQueue::with_storage(receivers),
            }
        }
    }

    fn try_send(&self, value: S::Item) -> Result<(), TrySendError<S::Item>> {
        self.ring.push(value)?;
        Self::announce(&self.receivers);
        Ok(())
    }

    fn try_recv(&self) -> Result<S::Item, TryRecvError> {
        let value = self.ring.pop()?;
        Self::announce(&self.senders);
        Ok(value)
    }

    /// Wakes one of those who sleep, if any. Where the last step was a plain store, a sleeper goes by the claim.
    #[inline]
    fn announce(sleepers: &WaitQueue<W>) {
        if P::LOCK_FREE { sleepers.notify(1) } else { sleepers.notify_in_order(1) }
    }

    fn force_send(&self, value: S::Item) -> Result<Option<S::Item>, ForceSendError<S::Item>> {
        // A second place that it had for a moment: a sender may be asleep who found no room for it.
        let mut given_up = Done::new(&self.senders, false);
        match self.ring.force_push(value, &mut given_up.times) {
            Ok(displaced) => {
                self.receivers.notify(1);
                Ok(displaced)
            }
            Err(closed) => Err(ForceSendError { value: closed.value, displaced: closed.displaced }),
        }
    }

    fn send_reserved(&self, ticket: usize, value: S::Item) -> Result<(), S::Item> {
        // As in `force_send`.
        let mut given_up = Done::new(&self.senders, false);
        self.ring.push_reserved(ticket, value, &mut given_up.times)?;
        self.receivers.notify(1);
        Ok(())
    }

    /// The queue first, so that whoever is woken finds it closed.
    fn close(&self) -> bool {
        /// Closes a line also if a waker in the other one panics.
        struct Last<'c, W: wait::Storage>(&'c WaitQueue<W>);

        impl<W: wait::Storage> Drop for Last<'_, W> {
            fn drop(&mut self) {
                self.0.close();
            }
        }

        let first = self.ring.close();
        let _senders = Last(&self.senders);
        self.receivers.close();
        first
    }
}

macro_rules! channel_of {
    ([$($generics:tt)*] $channel:ty, $waiters:ty) => {
        impl<$($generics)*> $channel {
            /// Puts `value` in if there is room.
            ///
            /// # Errors
            ///
            /// Full, or closed; `value` comes back.
            #[inline]
            pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
                self.parts.try_send(value)
            }

            /// Waits for room and puts `value` in.
            ///
            /// # Errors
            ///
            /// Closed; `value` comes back.
            pub fn send(&self, value: T) -> Send<'_, Self> {
                Send::new(self, value)
            }

            /// Waits for room and keeps it, for a value that is still to be made.
            ///
            /// # Errors
            ///
            /// Closed.
            pub fn reserve(&self) -> Reserve<'_, Self> {
                Reserve::new(self)
            }

            /// Keeps a place if there is room, for a value that is still to be made.
            ///
            /// # Errors
            ///
            /// Full, or closed.
            pub fn try_reserve(&self) -> Result<Permit<'_, Self>, TrySendError<()>> {
                Permit::try_new(self)
            }

            /// A place in the line of those who send, for whoever waits for several channels at once.
            pub fn watch_send(&self) -> SendWatch<'_, Self> {
                SendWatch::new(self)
            }

            /// A place in the line of those who receive, for whoever waits for several channels at once.
            pub fn watch_recv(&self) -> RecvWatch<'_, Self> {
                RecvWatch::new(self)
            }

            /// Puts `values` in while there is room, several at a time; says how many went in.
            ///
            /// A value is taken out of `values` only when there is a place for it. Fewer than there are mean that the
            /// channel is full, or closed; or, rarely, that many places were given back unused of late, and the iterator does not know its length:
            /// [`try_send`](Self::try_send) finds a place then.
            ///
            /// # Examples
            ///
            /// ```
            /// use aqueduct_core::channel::StaticChannel;
            ///
            /// let channel = StaticChannel::<u8, 2>::new();
            /// let mut values = 1..=3;
            /// assert_eq!(channel.try_send_many(&mut values), Ok(2));
            /// assert_eq!(values, 3..=3, "what found no place is where it was");
            /// ```
            ///
            /// # Errors
            ///
            /// The channel was closed while a value was on its way in; it comes back, and those before it went in.
            ///
            /// # Panics
            ///
            /// If `values` does. What came before that went in.
            pub fn try_send_many(
                &self,
                values: &mut impl Iterator<Item = T>,
            ) -> Result<usize, SendError<T>> {
                self.parts.try_send_many(values)
            }

            /// As [`try_send_many`](Self::try_send_many), for values that are at hand, such as those of a buffer.
            ///
            /// Where parties may wait for each other, see [`Progress`], a value costs half as much: whoever needs its place before it
            /// is in waits, for all those in front of it. So `values` must neither wait nor use the channel there.
            ///
            /// # Errors
            ///
            /// As [`try_send_many`](Self::try_send_many).
            ///
            /// # Panics
            ///
            /// If `values` does. What came before that went in.
            pub fn try_send_at_once(
                &self,
                values: &mut impl ExactSizeIterator<Item = T>,
            ) -> Result<usize, SendError<T>> {
                self.parts.try_send_at_once(values)
            }

            /// Puts all of `values` in, as many at a time as there is room for, and waits for room in between; says how
            /// many there were.
            ///
            /// # Cancel safety
            ///
            /// A value is taken out of `values` only when there is a place for it. So if the future is dropped, what has
            /// not gone in is still there; and an iterator that does not know its length is asked for its end only when there is a place, for
            /// which the call waits. Let it be fused: after the end it may be asked once more.
            ///
            /// # Errors
            ///
            /// Closed; the first value that did not go in comes back, and those after it are still in `values`.
            ///
            /// # Panics
            ///
            /// If `values` does. What came before that went in.
            pub async fn send_many(
                &self,
                values: &mut impl Iterator<Item = T>,
            ) -> Result<usize, SendError<T>> {
                let mut sent = 0;
                loop {
                    sent += self.try_send_many(values)?;
                    // Full, or closed, or at the end, which not every iterator knows before it is asked.
                    if values.size_hint() == (0, Some(0)) {
                        return Ok(sent);
                    }
                    let reserved = self.reserve().await;
                    let Some(value) = values.next() else { return Ok(sent) };
                    match reserved {
                        Ok(permit) => permit.send(value)?,
                        Err(ReserveError) => return Err(SendError(value)),
                    }
                    sent += 1;
                }
            }

            /// Puts `value` in; if the channel is full, in place of the oldest value, which comes back.
            ///
            /// If every place is reserved, or belongs to an operation that is half-way through, there is no oldest value
            /// to displace, and `value` itself comes back.
            ///
            /// # Errors
            ///
            /// Closed; `value` comes back, and what it would have displaced, if that was out already.
            pub fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>> {
                self.parts.force_send(value)
            }

            /// Takes the oldest value out if there is one.
            ///
            /// # Errors
            ///
            /// Empty; or closed and empty, so that nothing will come.
            #[inline]
            pub fn try_recv(&self) -> Result<T, TryRecvError> {
                self.parts.try_recv()
            }

            /// Waits for a value and takes it out.
            ///
            /// # Errors
            ///
            /// Closed and empty.
            pub fn recv(&self) -> Recv<'_, Self> {
                Recv::new(self)
            }

            /// Takes up to `max` values out, as many as there are, and hands them to `f`, oldest first;
            /// says how many.
            ///
            /// # Panics
            ///
            /// If `f` does. The values that were claimed and not handed over are dropped.
            pub fn try_recv_many(&self, max: usize, f: impl FnMut(T)) -> usize {
                self.parts.try_recv_many(max, f)
            }

            /// Waits for a value, then hands up to `max` of those that are there to `f`, oldest first; says
            /// how many.
            ///
            /// # Errors
            ///
            /// Closed and empty.
            ///
            /// # Panics
            ///
            /// If `f` does, in the poll that calls it. The values that were claimed and not handed over are dropped.
            pub fn recv_many<F: FnMut(T)>(&self, max: usize, f: F) -> RecvMany<'_, Self, F> {
                RecvMany::new(self, max, f)
            }

            /// The values that are received from now on, as a stream that ends when the channel is closed and
            /// empty.
            #[cfg(feature = "futures")]
            pub fn stream(&self) -> RecvStream<'_, Self> {
                RecvStream::new(self)
            }

            /// A sink whose values are sent.
            #[cfg(feature = "futures")]
            pub fn sink(&self) -> SendSink<'_, Self> {
                SendSink::new(self)
            }

            /// Closes the channel; true for the first call. See [closing](self#closing).
            pub fn close(&self) -> bool {
                self.parts.close()
            }

            /// Whether the channel was closed. Values may still be in.
            pub fn is_closed(&self) -> bool {
                self.parts.ring.is_closed()
            }

            /// How many values are in, those being put in and places reserved counted. (A reserved place that a
            /// receiver has passed may be left out, though it takes room.)
            ///
            /// While there are places that were given up and that no receiver has passed, it takes a step for each of them.
            pub fn len(&self) -> usize {
                self.parts.ring.len()
            }

            /// Whether [`len`](Self::len) is 0.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Whether [`len`](Self::len) is the [`capacity`](Self::capacity).
            pub fn is_full(&self) -> bool {
                self.len() == self.capacity()
            }

            /// How many values it can hold.
            pub fn capacity(&self) -> usize {
                self.parts.ring.capacity()
            }
        }

        impl<$($generics)*> AnyChannel for $channel {}

        impl<$($generics)*> future::Operations for $channel {
            type Item = T;
            type Waiters = $waiters;

            fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
                self.parts.try_send(value)
            }

            fn try_recv(&self) -> Result<T, TryRecvError> {
                self.parts.try_recv()
            }

            fn try_recv_many(&self, max: usize, f: impl FnMut(T)) -> usize {
                self.parts.try_recv_many(max, f)
            }

            fn is_closed(&self) -> bool {
                self.parts.ring.is_closed()
            }

            fn may_recv(&self) -> bool {
                self.parts.ring.has_value() || self.is_closed()
            }

            fn may_send(&self) -> bool {
                self.parts.ring.has_room() || self.is_closed()
            }

            fn try_reserve(&self) -> Result<usize, TrySendError<()>> {
                self.parts.ring.reserve().map_err(TrySendError::from)
            }

            fn send_reserved(&self, ticket: usize, value: T, _: future::Key) -> Result<(), T> {
                self.parts.send_reserved(ticket, value)
            }

            fn give_up(&self, ticket: usize, _: future::Key) {
                self.parts.ring.give_up(ticket);
                self.parts.senders.notify(1);
            }

            fn senders(&self, _: future::Key) -> &WaitQueue<$waiters> {
                &self.parts.senders
            }

            fn receivers(&self, _: future::Key) -> &WaitQueue<$waiters> {
                &self.parts.receivers
            }
        }

        impl<$($generics)*> fmt::Debug for $channel {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($channel))
                    .field("len", &self.len())
                    .field("capacity", &self.capacity())
                    .field("is_closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    };
}

channel_of!([T, const N: usize, W: wait::Storage] StaticChannel<T, N, W>, W);
#[cfg(feature = "alloc")]
channel_of!([T, P: Progress] Channel<T, P>, wait::Growable);

#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;
