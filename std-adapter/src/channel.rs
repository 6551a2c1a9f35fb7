//! Bounded channels for threads and tasks, blocking and async on both ends.
//!
//! One kind of channel: any number of senders, any number of receivers, each value received once. Each end
//! can block its thread, give up after a time or with a [`Context`], be awaited, or be an arm of a
//! [selection](macro@select); the other end need not know which.
//!
//! [`bounded(0)`](bounded) has no room: a send returns when a receiver has the value. [`after`], [`at`], [`tick`] and [`never()`] are
//! receivers for selections. There is no unbounded channel: where producers may be faster than consumers, it is a leak.
//!
//! # Closing
//!
//! A channel is closed by [`close`](Sender::close) from either end, or when the last handle of a side is dropped. From then on sends
//! fail and give their value back, sleeping ones too, and receives get what is in, and then
//! `Disconnected`. When the last [`Receiver`] goes, what is still in is dropped at once.
//!
//! # When to use something else
//!
//! No thread may sleep, or there is no std: [`core::channel`](aqueduct_core::channel). Nobody ever waits:
//! [`core::queue`](aqueduct_core::queue). Every receiver is to see every value: [`fan::broadcast`](crate::fan::broadcast()).
//!
//! # Progress
//!
//! With room for three values and more, the calls that begin with `try_`, [`force_send`](Sender::force_send) and the drop of a future wait
//! for nobody to send or to receive, and take no lock; but **they are not lock-free**: one that comes just where another is between claiming
//! a place and putting its value there (or between claiming a value and taking it out) waits for those few instructions; for those of a
//! whole batch, where [`recv_many`](Receiver::recv_many) or [`send_from`](Sender::send_from) has claimed one. If
//! the other thread was taken off its CPU just there, that is until it runs again, and the call gives its CPU away meanwhile; threads under a real-time
//! policy whose priorities keep the other one from running would wait for ever. A [`Permit`], and an iterator that
//! [`send_many`](Sender::send_many) asks for its next value, hold up nobody; the values of a [`send_from`](Sender::send_from) are there already. [`close`](Sender::close) waits for no one. For channels that
//! are lock-free throughout: [`core::channel`](aqueduct_core::channel). The other calls try; then, for about as long as a sleep and a wake-up
//! take on this machine, give the CPU away and try again (on a machine with several CPUs, where more than two share the channel, after two
//! pauses of a tenth of a microsecond each); and then sleep until they are woken: an
//! idle program uses no CPU. A future never spins nor gives way, but for a party half-way through as above.
//!
//! With room for one or two, or without, a channel is another one: *it is not lock-free*. All calls, those that begin with `try_` too, take a lock
//! for a few steps, and under it call nothing of yours; a thread that loses its CPU just there holds up the others until it has it
//! back. In return whoever waits is served in line, without a second try, which takes a third of the context switches at a capacity of 1: a sender waits with its value, which
//! moves in as soon as there is a place, and a thread that receives is handed one.
//!
//! Without room, a [`try_recv`](Receiver::try_recv) that meets a sender who is still to make its value has chosen it, and waits until the
//! value is made or the sender goes: the `send` arm of a selection for as long as its value takes, a [reservation](Sender::reserve), which a sink and
//! [`send_many_async`](Sender::send_many_async) make, too, for as long as the [`Permit`] is kept. So does a selection that receives, also one with
//! a `default`, a `done` arm or a timeout. Receives with a limit or a context keep to it, and one that is awaited holds no thread. Two who only
//! ever try never meet: one of the two has to wait.
//!
//! # Ordering and fairness
//!
//! Values are received in the order in which they were sent. What happened before a send happens before what
//! follows its receive. Sleeping parties are woken in the order of their coming, and compete with those that
//! have just come. With room for one or two, senders are let in and blocked threads handed a value in that order instead, and a sender
//! that has just come overtakes nobody; tasks that receive are woken and compete, since one that is never polled again must not keep a value. Without room all are met in
//! that order, and nobody comes in between. A selection chooses among its arms that can go on, each with the same chance.
//!
//! # Cancel safety
//!
//! Every future, and every call with a limit, may end at any time: no value is lost or sent twice, and a wake-up that was meant for it
//! goes to the next. A send that ends early takes its value with it unless it has been received. Without room, a value may have been handed to a
//! receive that goes before it looks; its sender has been told that it is received, and whoever receives next gets it first.
//!
//! # Panics
//!
//! A waker that panics, which one of this crate never does, panics in the call that wakes it. What that call was for is done, and all others
//! that it was to wake are woken; but a value that it has received is dropped.

mod batch;
mod clock;
mod error;
mod flavor;
mod future;
mod iter;
mod locked;
mod permit;
mod receiver;
mod room;
mod select;
mod sender;
mod side;
#[cfg(feature = "futures")]
mod stream;
mod weak;

pub use crate::{select, select_biased};
pub use aqueduct_core::channel::ForceSendError;
pub use clock::{after, at, never, tick};
pub use error::{
    ReadyTimeoutError, RecvCtxError, RecvError, RecvTimeoutError, SelectTimeoutError, SendCtxError,
    SendError, SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError,
};
pub use future::{RecvFuture, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};
pub use permit::{Permit, ReserveFuture};
pub use receiver::Receiver;
#[doc(hidden)]
pub use select::internal;
pub use select::{Select, SelectedOperation};
pub use sender::Sender;
#[cfg(feature = "futures")]
pub use stream::{OwnedRecvStream, OwnedSendSink, RecvStream, SendSink};
pub use weak::{WeakReceiver, WeakSender};

#[cfg(doc)]
use crate::Context;
use flavor::Shared;
pub(crate) use flavor::{Leftover, Ring};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

/// A channel that holds up to `capacity` values; with a capacity of 0 none, and a send returns when a receiver has the value.
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, thread};
///
/// let (sender, receiver) = channel::bounded(2);
/// let producer = thread::spawn(move || {
///     for number in 1..=10 {
///         sender.send(number).expect("the receiver waits for the end");
///     }
/// })?;
/// assert_eq!(receiver.iter().sum::<u32>(), 55);
/// producer.join().unwrap();
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// A rendezvous:
///
/// ```
/// use aqueduct::{channel::{self, TrySendError}, thread};
///
/// let (sender, receiver) = channel::bounded(0);
/// assert_eq!(sender.try_send(1), Err(TrySendError::Full(1)), "nobody is there to take it");
/// let consumer = thread::spawn(move || receiver.recv())?;
/// sender.send(2).unwrap();
/// assert_eq!(consumer.join().unwrap(), Ok(2));
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// # Panics
///
/// If the capacity is above [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY).
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Shared::new(capacity));
    let (sender_side, receiver_side) = side::pair(&channel);
    let sender = Sender { channel: Arc::clone(&channel), side: sender_side };
    (sender, Receiver { channel, side: receiver_side })
}

/// What both ends can do.
macro_rules! either_end {
    ($end:ident) => {
        impl<T> $end<T> {
            /// Closes the channel: sends fail from now on, sleeping ones too, and receives get what is in, and then
            /// `Disconnected`. True if this call closed it, false if it was closed already.
            ///
            /// # Examples
            ///
            /// ```
            /// let (sender, receiver) = aqueduct::channel::bounded(2);
            /// sender.send(1).unwrap();
            /// assert!(receiver.close() && !sender.close());
            /// assert_eq!(sender.send(2).unwrap_err().into_inner(), 2);
            /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1]);
            /// ```
            pub fn close(&self) -> bool {
                self.channel.close()
            }

            /// Whether the channel is closed, by [`close`](Self::close) or because a side has gone.
            ///
            /// # Examples
            ///
            /// ```
            /// let (sender, receiver) = aqueduct::channel::bounded::<u8>(1);
            /// drop(receiver);
            /// assert!(sender.is_closed());
            /// ```
            pub fn is_closed(&self) -> bool {
                self.channel.is_closed()
            }

            /// How many values are in. Of use for a display; by the time you look it may have changed.
            ///
            /// With room for three values and more, [reserved](Sender::reserve) places count too, those included that a selection or
            /// a batch is about to fill: there may be nothing to receive where this is not 0. (One that a receiver has passed may be left out, though
            /// it takes room.)
            ///
            /// # Examples
            ///
            /// ```
            /// let (sender, _receiver) = aqueduct::channel::bounded(2);
            /// sender.send('a').unwrap();
            /// assert_eq!(sender.len(), 1);
            /// assert!(!sender.is_empty() && !sender.is_full());
            /// ```
            pub fn len(&self) -> usize {
                self.channel.len()
            }

            /// Whether [`len`](Self::len) is 0; without room, always.
            pub fn is_empty(&self) -> bool {
                self.channel.len() == 0
            }

            /// Whether all places are taken, [reserved](Sender::reserve) ones included; without room, always. With room for three values and more: whether
            /// [`len`](Self::len) is the capacity.
            pub fn is_full(&self) -> bool {
                self.channel.is_full()
            }

            /// How many values it can hold: what [`bounded`] was asked for.
            ///
            /// It is `Some`, always, because crossbeam-channel's is.
            ///
            /// # Examples
            ///
            /// ```
            /// let (_sender, receiver) = aqueduct::channel::bounded::<u8>(3);
            /// assert_eq!(receiver.capacity(), Some(3));
            /// ```
            pub fn capacity(&self) -> Option<usize> {
                Some(self.channel.capacity())
            }
        }

        impl<T> Clone for $end<T> {
            fn clone(&self) -> Self {
                Self { channel: Arc::clone(&self.channel), side: Arc::clone(&self.side) }
            }
        }

        // Nothing in a channel is half-done when a panic passes: whoever catches it may go on with the handle.
        impl<T> UnwindSafe for $end<T> {}
        impl<T> RefUnwindSafe for $end<T> {}

        impl<T> fmt::Debug for $end<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($end))
                    .field("len", &self.len())
                    .field("capacity", &self.channel.capacity())
                    .field("closed", &self.is_closed())
                    .finish_non_exhaustive()
            }
        }
    };
}

either_end!(Sender);
either_end!(Receiver);
