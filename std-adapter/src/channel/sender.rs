//! [`Sender`]: every way to put a value in.

use super::error::{SendCtxError, SendError, SendTimeoutError, TrySendError};
use super::future::SendFuture;
use super::side::SenderSide;
use crate::context::Context;
use crate::park::{Impatience, Patience, deadline_after, drive};
use aqueduct_core::channel::{self as core, Channel, ForceSendError};
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
    pub(super) channel: Arc<Channel<T>>,
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
