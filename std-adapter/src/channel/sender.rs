//! [`Sender`]: every way to put a value in.

use super::error::{SendCtxError, SendError, SendTimeoutError, TrySendError};
use super::flavor::{Flavor, Shared};
use super::future::SendFuture;
use super::locked::Waiter;
use super::permit::{Permit, ReserveFuture};
use super::side::SenderSide;
#[cfg(feature = "futures")]
use super::stream::{OwnedSendSink, SendSink};
use super::weak::WeakSender;
use crate::context::Context;
use crate::park::{Patience, deadline_after, drive};
use aqueduct_core::channel::{self as core, ForceSendError};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The sending end of a channel. Clones send into the same channel.
///
/// Dropping the last one closes the channel. See [`bounded`](super::bounded).
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
    pub(super) channel: Arc<Shared<T>>,
    /// Counts the senders, and closes the channel after the last.
    pub(super) side: Arc<SenderSide<T>>,
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
        self.channel.try_send(value)
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
        let patiently = |refused: TrySendError<T>| match refused {
            TrySendError::Full(value) => self.try_patiently(value, context.deadline()),
            closed => Err(closed),
        };
        let value = match self.try_send(value).or_else(patiently) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => {
                return Err(SendCtxError::Disconnected(value));
            }
            Err(TrySendError::Full(value)) => value,
        };
        let mut sending = SendFuture::new(self, value, Waiter::Thread);
        match context.block_on(Pin::new(&mut sending)) {
            Ok(sent) => sent.map_err(|closed| SendCtxError::Disconnected(closed.0)),
            Err(error) => match sending.into_value() {
                Some(value) => Err(SendCtxError::Done(value, error)),
                // Taken at the last moment.
                None => Ok(()),
            },
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
    /// Dropping it sends nothing, unless a receiver has taken the value already: the value is dropped with it, and a turn that it had been
    /// given goes to the next. [`SendFuture::into_value`] takes the value back instead.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the channel is closed, also while this waits.
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture::new(self, value, Waiter::Task)
    }

    /// Sends at once; if there is no room, in place of the oldest value, which comes back.
    ///
    /// If every place is [reserved](Self::reserve), there is no oldest value to displace, and `value` itself comes back; so it does in
    /// a channel without room in which no receiver waits.
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

    /// Waits until a value can be sent at once, and keeps the right to do so.
    ///
    /// For a value that is dear to make, or that must not be held while one waits. In a channel without room this waits for a
    /// receiver, and claims it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(1);
    /// sender.reserve()?.send(7)?;
    /// assert_eq!(receiver.recv(), Ok(7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SendError`] if the channel is closed, also while this sleeps.
    pub fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        self.reserve_until(None).map_err(|_| SendError(()))
    }

    /// As [`reserve`](Self::reserve), if it can be had now.
    ///
    /// # Errors
    ///
    /// [`TrySendError`].
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        Permit::try_new(self)
    }

    /// As [`reserve`](Self::reserve), and waits for `timeout` at most. One too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`].
    pub fn reserve_timeout(
        &self,
        timeout: Duration,
    ) -> Result<Permit<'_, T>, SendTimeoutError<()>> {
        self.reserve_until(deadline_after(timeout))
    }

    /// As [`reserve`](Self::reserve), and waits until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`].
    pub fn reserve_deadline(
        &self,
        deadline: Instant,
    ) -> Result<Permit<'_, T>, SendTimeoutError<()>> {
        self.reserve_until(Some(deadline))
    }

    /// As [`reserve`](Self::reserve), and waits until `context` is done at most. A context that is done already wins.
    ///
    /// # Errors
    ///
    /// [`SendCtxError`].
    pub fn reserve_ctx(&self, context: &Context) -> Result<Permit<'_, T>, SendCtxError<()>> {
        if let Some(error) = context.err() {
            return Err(SendCtxError::Done((), error));
        }
        match self.reserve_patiently(context.deadline()) {
            Ok(permit) => return Ok(permit),
            Err(TrySendError::Disconnected(())) => return Err(SendCtxError::Disconnected(())),
            Err(TrySendError::Full(())) => {}
        }
        match context.block_on(Pin::new(&mut self.reserve_async())) {
            Ok(reserved) => reserved.map_err(SendCtxError::from),
            Err(error) => Err(SendCtxError::Done((), error)),
        }
    }

    /// A future that has the right to send one value, at once.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves the line; a turn that it had been given goes to the next.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the channel is closed, also while this waits.
    pub fn reserve_async(&self) -> ReserveFuture<'_, T> {
        ReserveFuture::new(self)
    }

    /// A sink whose values are sent.
    #[cfg(feature = "futures")]
    pub fn sink(&self) -> SendSink<'_, T> {
        SendSink::new(self)
    }

    /// As [`sink`](Self::sink), with this handle inside: closing the sink drops it.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    ///
    /// let (sender, receiver) = aqueduct::channel::bounded(2);
    /// let values = stream::iter([1, 2]).map(Ok);
    /// aqueduct::park::block_on(values.forward(sender.into_sink())).unwrap();
    /// assert_eq!(receiver.iter().collect::<Vec<_>>(), [1, 2]);
    /// ```
    #[cfg(feature = "futures")]
    pub fn into_sink(self) -> OwnedSendSink<T>
    where
        T: Send + 'static,
    {
        OwnedSendSink::new(self)
    }

    /// A handle that does not keep the channel open.
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender { side: Arc::downgrade(&self.side) }
    }

    /// How many [`Receiver`](super::Receiver)s there are.
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

    #[inline]
    fn send_until(&self, value: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        if let Flavor::Locked(locked) = &self.channel.flavor {
            return locked.send_until(value, deadline);
        }
        match self.try_send(value) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendTimeoutError::Disconnected(value)),
            Err(TrySendError::Full(value)) => self.wait_until(value, deadline),
        }
    }

    #[cold]
    fn wait_until(&self, value: T, deadline: Option<Instant>) -> Result<(), SendTimeoutError<T>> {
        let value = match self.try_patiently(value, deadline) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Disconnected(value)) => {
                return Err(SendTimeoutError::Disconnected(value));
            }
            Err(TrySendError::Full(value)) => value,
        };
        let mut sending = SendFuture::new(self, value, Waiter::Thread);
        match drive(Pin::new(&mut sending), deadline, self.channel.impatience()) {
            Some(sent) => sent.map_err(|closed| SendTimeoutError::Disconnected(closed.0)),
            None => match sending.into_value() {
                // What is free by now comes before the limit.
                Some(value) => self.try_send(value).map_err(|refused| match refused {
                    TrySendError::Full(value) => SendTimeoutError::Timeout(value),
                    TrySendError::Disconnected(value) => SendTimeoutError::Disconnected(value),
                }),
                // Taken at the last moment.
                None => Ok(()),
            },
        }
    }

    fn reserve_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Permit<'_, T>, SendTimeoutError<()>> {
        match self.reserve_patiently(deadline) {
            Ok(permit) => return Ok(permit),
            Err(TrySendError::Disconnected(())) => return Err(SendTimeoutError::Disconnected(())),
            Err(TrySendError::Full(())) => {}
        }
        let mut reserving = self.reserve_async();
        match drive(Pin::new(&mut reserving), deadline, self.channel.impatience()) {
            Some(reserved) => reserved.map_err(SendTimeoutError::from),
            None => {
                drop(reserving);
                self.try_reserve().map_err(|_| SendTimeoutError::Timeout(()))
            }
        }
    }

    fn patience(&self, deadline: Option<Instant>) -> Patience {
        Patience::for_hand_over(self.sender_count() + self.receiver_count(), deadline)
    }

    /// As [`try_patiently`](Self::try_patiently), for a place.
    fn reserve_patiently(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Permit<'_, T>, TrySendError<()>> {
        let attempt = || match self.try_reserve() {
            Err(TrySendError::Full(())) => None,
            result => Some(result),
        };
        let Flavor::Ring(_) = &self.channel.flavor else { return self.try_reserve() };
        let again = || self.patience(deadline).keep_trying(attempt);
        attempt().or_else(again).unwrap_or(Err(TrySendError::Full(())))
    }

    /// Tries again, after a moment, until it is time to sleep; under a lock the line is the place to be patient in.
    fn try_patiently(&self, value: T, deadline: Option<Instant>) -> Result<(), TrySendError<T>> {
        let Flavor::Ring(ring) = &self.channel.flavor else {
            return Err(TrySendError::Full(value));
        };
        let mut unsent = Some(value);
        let attempt = || match ring.try_send(unsent.take()?) {
            Err(core::TrySendError::Full(value)) => {
                unsent = Some(value);
                None
            }
            result => Some(result.map_err(TrySendError::from)),
        };
        let result = self.patience(deadline).keep_trying(attempt);
        match (result, unsent) {
            (Some(result), _) => result,
            (None, Some(value)) => Err(TrySendError::Full(value)),
            (None, None) => unreachable!("a value that was not sent is here"),
        }
    }
}
