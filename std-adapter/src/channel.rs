//! Bounded channels for threads and tasks, blocking and async on both ends.
//!
//! One kind of channel: any number of senders, any number of receivers, each value received once. Each end
//! can block its thread, give up after a time or with a [`Context`], or be awaited; the other end need not
//! know which.
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
//! [`core::queue`](aqueduct_core::queue). Every receiver is to see every value: a broadcast, which this is not.
//!
//! # Progress
//!
//! The calls that begin with `try_`, [`force_send`](Sender::force_send), [`close`](Sender::close) and the drop of a handle or a
//! future never wait for another party. The others try, spin for some microseconds (not on a machine
//! with one CPU), and then sleep until they are woken: an idle program uses no CPU.
//!
//! # Ordering and fairness
//!
//! Values are received in the order in which they were sent. What happened before a send happens before what
//! follows its receive. Sleeping parties are woken in the order of their coming, and compete with those that
//! have just come.

mod error;
mod future;
mod iter;
mod side;

pub use aqueduct_core::channel::ForceSendError;
pub use error::{
    RecvCtxError, RecvError, RecvTimeoutError, SendCtxError, SendError, SendTimeoutError,
    TryRecvError, TrySendError,
};
pub use future::{RecvFuture, SendFuture};
pub use iter::{IntoIter, Iter, TryIter};

use crate::context::Context;
use crate::park::{Impatience, Patience, deadline_after, drive};
use aqueduct_core::channel::{self as core, Channel};
use side::{ReceiverSide, SenderSide};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A channel that holds up to `capacity` values.
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
/// # Panics
///
/// If `capacity` is 0: a rendezvous, in which a send returns when a receiver has the value, is not there
/// yet. If the capacity is above [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY).
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(capacity));
    let (sender_side, receiver_side) = side::pair(&channel);
    let sender = Sender { channel: Arc::clone(&channel), side: sender_side };
    (sender, Receiver { channel, side: receiver_side })
}

/// The sending end of a channel. Clones send into the same channel.
///
/// Dropping the last one closes the channel. See [`bounded`].
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, thread};
///
/// let (sender, receiver) = channel::bounded(1);
/// thread::scope(|scope| {
///     for name in ["one", "two"] {
///         let sender = sender.clone();
///         scope.spawn(move || sender.send(name).unwrap()).expect("a thread");
///     }
///     drop(sender);
///     assert_eq!(receiver.iter().count(), 2);
/// })?;
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// It may cross threads if the values may. This does not compile:
///
/// ```compile_fail,E0277
/// let (sender, _receiver) = aqueduct::channel::bounded(1);
/// std::thread::spawn(move || sender.send(std::rc::Rc::new(1)));
/// ```
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
    /// Counts the senders, and closes the channel after the last.
    side: Arc<SenderSide<T>>,
}

/// The receiving end of a channel. Clones receive from the same channel; each value goes to one of them.
///
/// Dropping the last one closes the channel, and drops what is in it. See [`bounded`].
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, thread};
///
/// let (sender, receiver) = channel::bounded(1);
/// let workers = [receiver.clone(), receiver].map(|jobs| thread::spawn(move || jobs.iter().count()));
/// for job in 0..10 {
///     sender.send(job).unwrap();
/// }
/// drop(sender);
/// let done = workers.map(|worker| worker.expect("a thread").join().unwrap());
/// assert_eq!(done[0] + done[1], 10);
/// ```
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// Counts the receivers, and closes and empties the channel after the last.
    side: Arc<ReceiverSide<T>>,
}

impl<T> Sender<T> {
    /// Sends, and sleeps while there is no room.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(1);
    /// sender.send(7)?;
    /// assert_eq!(receiver.recv(), Ok(7));
    /// # Ok::<(), aqueduct::channel::SendError<i32>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the channel is closed, also while this sleeps.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_until(value, None).map_err(|refused| SendError(refused.into_inner()))
    }

    /// Sends if there is room now.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, TrySendError};
    ///
    /// let (sender, _receiver) = channel::bounded(1);
    /// assert_eq!(sender.try_send(1), Ok(()));
    /// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    /// ```
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.channel.try_send(value).map_err(|refused| match refused {
            core::TrySendError::Full(value) => TrySendError::Full(value),
            core::TrySendError::Closed(value) => TrySendError::Disconnected(value),
        })
    }

    /// Sends, and sleeps while there is no room, for `timeout` at most. One too long for the clock, such as
    /// [`Duration::MAX`], is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, SendTimeoutError};
    /// use std::time::Duration;
    ///
    /// let (sender, _receiver) = channel::bounded(1);
    /// sender.send('a').unwrap();
    /// let late = sender.send_timeout('b', Duration::from_millis(1));
    /// assert_eq!(late, Err(SendTimeoutError::Timeout('b')));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_until(value, deadline_after(timeout))
    }

    /// Sends, and sleeps while there is no room, until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, SendTimeoutError};
    /// use std::time::Instant;
    ///
    /// let (sender, _receiver) = channel::bounded(1);
    /// assert_eq!(sender.send_deadline('a', Instant::now()), Ok(()));
    /// let late = sender.send_deadline('b', Instant::now());
    /// assert_eq!(late, Err(SendTimeoutError::Timeout('b')));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_until(value, Some(deadline))
    }

    /// Sends, and sleeps while there is no room, until `context` is done at most. A context that is done already
    /// wins over room that is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel::{self, SendCtxError}, context::{Context, ContextError}};
    ///
    /// let context = Context::background();
    /// let (sender, _receiver) = channel::bounded(1);
    /// assert_eq!(sender.send_ctx(&context, 'a'), Ok(()));
    /// context.cancel();
    /// let refused = sender.send_ctx(&context, 'b');
    /// assert_eq!(refused, Err(SendCtxError::Done('b', ContextError::Canceled)));
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendCtxError`], with the value.
    pub fn send_ctx(&self, context: &Context, value: T) -> Result<(), SendCtxError<T>> {
        if let Some(error) = context.err() {
            return Err(SendCtxError::Done(value, error));
        }
        let value = match self.try_patiently(value, context.deadline()) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => {
                return Err(SendCtxError::Disconnected(value));
            }
            Err(TrySendError::Full(value)) => value,
        };
        let mut sending = self.send_async(value);
        match context.block_on(Pin::new(&mut sending)) {
            Ok(sent) => sent.map_err(|closed| SendCtxError::Disconnected(closed.0)),
            Err(error) => Err(SendCtxError::Done(sending.take_back(), error)),
        }
    }

    /// A future that sends when there is room.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, park::block_on};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// block_on(async {
    ///     sender.send_async("ping").await.unwrap();
    ///     assert_eq!(receiver.recv_async().await, Ok("ping"));
    /// });
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it sends nothing: the value is dropped with it, and a turn that it had been given goes to the next.
    /// [`SendFuture::into_value`] takes the value back instead.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the channel is closed, also while this waits.
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture::new(self, value)
    }

    /// Sends at once; if there is no room, in place of the oldest value, which comes back.
    ///
    /// If every place belongs to a send or a receive that is half-way through, there is no oldest value to displace, and
    /// `value` itself comes back.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(1);
    /// assert_eq!(sender.force_send("old news"), Ok(None));
    /// assert_eq!(sender.force_send("news"), Ok(Some("old news")));
    /// assert_eq!(receiver.recv(), Ok("news"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`ForceSendError`], with the value, if the channel is closed; and with the value that it was to replace, if
    /// that had been taken out by then.
    pub fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>> {
        self.channel.force_send(value)
    }

    /// How many [`Receiver`]s there are.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded::<u8>(1);
    /// let _other = receiver.clone();
    /// assert_eq!(sender.receiver_count(), 2);
    /// ```
    pub fn receiver_count(&self) -> usize {
        self.side.receiver_count()
    }

    /// How many [`Sender`]s there are, this one included.
    pub fn sender_count(&self) -> usize {
        Arc::strong_count(&self.side)
    }

    /// Whether both send into the same channel.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = aqueduct::channel::bounded::<u8>(1);
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    pub fn same_channel(&self, other: &Sender<T>) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    fn send_until(&self, value: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let value = match self.try_patiently(value, deadline) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => {
                return Err(SendTimeoutError::Disconnected(value));
            }
            Err(TrySendError::Full(value)) => value,
        };
        let mut sending = self.send_async(value);
        match drive(Pin::new(&mut sending), deadline, Impatience::Spun) {
            Some(sent) => sent.map_err(|closed| SendTimeoutError::Disconnected(closed.0)),
            None => Err(SendTimeoutError::Timeout(sending.take_back())),
        }
    }

    /// Tries until it is time to sleep.
    fn try_patiently(
        &self,
        mut value: T,
        deadline: Option<Instant>,
    ) -> Result<(), TrySendError<T>> {
        let patience = Patience::until(deadline);
        loop {
            match self.try_send(value) {
                Err(TrySendError::Full(back)) if patience.wait() => value = back,
                result => return result,
            }
        }
    }
}

impl<T> Receiver<T> {
    /// Receives, and sleeps while there is nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, RecvError};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// sender.send(7).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.recv(), Ok(7));
    /// assert_eq!(receiver.recv(), Err(RecvError));
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`] if there is nothing and nothing will ever come, also while this sleeps.
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None).map_err(|_| RecvError)
    }

    /// Receives if there is something now.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, TryRecvError};
    ///
    /// let (sender, receiver) = channel::bounded::<u8>(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    ///
    /// # Errors
    ///
    /// [`TryRecvError`].
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.channel.try_recv().map_err(|refused| match refused {
            core::TryRecvError::Empty => TryRecvError::Empty,
            core::TryRecvError::Closed => TryRecvError::Disconnected,
        })
    }

    /// Receives, and sleeps while there is nothing, for `timeout` at most. One too long for the clock, such as
    /// [`Duration::MAX`], is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, RecvTimeoutError};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = channel::bounded::<u8>(1);
    /// let late = receiver.recv_timeout(Duration::from_millis(1));
    /// assert_eq!(late, Err(RecvTimeoutError::Timeout));
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(deadline_after(timeout))
    }

    /// Receives, and sleeps while there is nothing, until `deadline` at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, RecvTimeoutError};
    /// use std::time::Instant;
    ///
    /// let (_sender, receiver) = channel::bounded::<u8>(1);
    /// let late = receiver.recv_deadline(Instant::now());
    /// assert_eq!(late, Err(RecvTimeoutError::Timeout));
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    /// Receives, and sleeps while there is nothing, until `context` is done at most. A context that is done already
    /// wins over a value that is there.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel::{self, RecvCtxError}, context::{Context, ContextError}};
    /// use std::time::Duration;
    ///
    /// let (_sender, receiver) = channel::bounded::<u8>(1);
    /// let context = Context::background().with_timeout(Duration::from_millis(1));
    /// let late = receiver.recv_ctx(&context);
    /// assert_eq!(late, Err(RecvCtxError::Done(ContextError::DeadlineExceeded)));
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvCtxError`].
    pub fn recv_ctx(&self, context: &Context) -> Result<T, RecvCtxError> {
        if let Some(error) = context.err() {
            return Err(RecvCtxError::Done(error));
        }
        match self.try_patiently(context.deadline()) {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvCtxError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        match context.block_on(Pin::new(&mut self.recv_async())) {
            Ok(received) => received.map_err(|RecvError| RecvCtxError::Disconnected),
            Err(error) => Err(RecvCtxError::Done(error)),
        }
    }

    /// A future that receives when there is something.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, park::block_on};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// sender.send("from a thread to a task").unwrap();
    /// assert!(block_on(receiver.recv_async()).is_ok());
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it takes nothing out, and a wake-up that it had been given goes to the next.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if there is nothing and nothing will ever come, also while this waits.
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture::new(self)
    }

    /// Receives up to `max` values into `buffer`, and sleeps while there is not even one. Says how many came: 0 if nothing
    /// will ever come, or if `max` is 0.
    ///
    /// It does not wait for `max` to be there, and it takes what is there together, which is cheaper than one by one.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(4);
    /// for word in ["a", "b", "c"] {
    ///     sender.send(word).unwrap();
    /// }
    /// drop(sender);
    /// let mut words = vec!["words:"];
    /// assert_eq!(receiver.recv_many(&mut words, 2), 2);
    /// assert_eq!(receiver.recv_many(&mut words, 2), 1);
    /// assert_eq!(receiver.recv_many(&mut words, 2), 0);
    /// assert_eq!(words, ["words:", "a", "b", "c"]);
    /// ```
    pub fn recv_many(&self, buffer: &mut Vec<T>, max: usize) -> usize {
        let patience = Patience::until(None);
        loop {
            let received = self.channel.try_recv_many(max, |value| buffer.push(value));
            if received > 0 || max == 0 {
                return received;
            }
            if self.is_closed() || !patience.wait() {
                break;
            }
        }
        // Closed, or time to sleep: the future knows which.
        let mut receiving = self.channel.recv_many(max, |value| buffer.push(value));
        match drive(Pin::new(&mut receiving), None, Impatience::Spun) {
            Some(Ok(received)) => received,
            Some(Err(core::RecvError)) | None => 0,
        }
    }

    /// Receives until nothing will ever come; sleeps in between.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(2);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// drop(sender);
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn iter(&self) -> Iter<'_, T> {
        Iter::new(self)
    }

    /// Receives what is there now, without sleeping.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(2);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter::new(self)
    }

    /// How many [`Receiver`]s there are, this one included.
    pub fn receiver_count(&self) -> usize {
        Arc::strong_count(&self.side)
    }

    /// How many [`Sender`]s there are.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded::<u8>(1);
    /// let _other = sender.clone();
    /// assert_eq!(receiver.sender_count(), 2);
    /// ```
    pub fn sender_count(&self) -> usize {
        self.side.sender_count()
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        match self.try_patiently(deadline) {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        match drive(Pin::new(&mut self.recv_async()), deadline, Impatience::Spun) {
            Some(received) => received.map_err(|RecvError| RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Tries until it is time to sleep.
    fn try_patiently(&self, deadline: Option<Instant>) -> Result<T, TryRecvError> {
        let patience = Patience::until(deadline);
        loop {
            match self.try_recv() {
                Err(TryRecvError::Empty) if patience.wait() => {}
                result => return result,
            }
        }
    }
}

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

            /// Whether nothing is in.
            pub fn is_empty(&self) -> bool {
                self.channel.is_empty()
            }

            /// Whether there is no room.
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
