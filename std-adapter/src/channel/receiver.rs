//! [`Receiver`]: every way to take a value out.

use super::error::{RecvCtxError, RecvError, RecvTimeoutError, TryRecvError};
use super::flavor::{Flavor, Leftover, Shared};
use super::future::RecvFuture;
use super::iter::{Iter, TryIter};
use super::locked::Waiter;
use super::side::ReceiverSide;
#[cfg(feature = "futures")]
use super::stream::{OwnedRecvStream, RecvStream};
use super::weak::WeakReceiver;
use crate::context::Context;
use crate::park::{Impatience, Patience, deadline_after, drive};
use aqueduct_core::channel as core;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The receiving end of a channel. Clones receive from the same channel; each value goes to one of them.
///
/// Dropping the last one closes the channel, and drops what is in it. See [`bounded`](super::bounded).
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
    pub(super) channel: Arc<Shared<T>>,
    /// Counts the receivers, and closes and empties the channel after the last.
    pub(super) side: Arc<ReceiverSide<T>>,
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
        self.channel.try_recv()
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
        let patiently = |nothing| match nothing {
            TryRecvError::Empty => self.try_patiently(context.deadline()),
            closed => Err(closed),
        };
        match self.try_recv_made().or_else(patiently) {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvCtxError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let mut receiving = RecvFuture::new(self, Waiter::Thread);
        match context.block_on(Pin::new(&mut receiving)) {
            Ok(received) => received.map_err(|RecvError| RecvCtxError::Disconnected),
            Err(error) => receiving.give_up().ok_or(RecvCtxError::Done(error)),
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
        RecvFuture::new(self, Waiter::Task)
    }

    /// Receives up to `max` values into `buffer`, and sleeps while there is not even one. Says how many came: 0 if nothing
    /// will ever come, or if `max` is 0.
    ///
    /// It does not wait for `max` to be there, and it takes what is there together, which is cheaper than one by one. Without room in the
    /// channel it waits for one value at the most that its sender is still to make.
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
        let ring = match &self.channel.flavor {
            Flavor::Ring(ring) => ring,
            Flavor::Locked(locked) => {
                let before = buffer.len();
                if locked.try_recv_many(buffer, max) == 0 && max > 0 {
                    // After the end there is nothing to try for, either.
                    buffer.extend(self.recv());
                    locked.try_recv_many(buffer, max - 1);
                }
                return buffer.len() - before;
            }
        };
        if buffer.capacity() - buffer.len() < max.min(ring.capacity()) {
            // Senders may wait for the values that are claimed together: not for an allocator, too.
            buffer.reserve(max.min(ring.len()));
        }
        let received = ring.try_recv_many(max, |value| buffer.push(value));
        if received > 0 || max == 0 {
            return received;
        }
        let received = self.patience(None).keep_trying(|| {
            let is_closed = ring.is_closed();
            let received = ring.try_recv_many(max, |value| buffer.push(value));
            (received > 0 || is_closed).then_some(received)
        });
        if let Some(received) = received {
            return received;
        }
        // Closed, or time to sleep: the future knows which.
        let mut receiving = ring.recv_many(max, |value| buffer.push(value));
        match drive(Pin::new(&mut receiving), None, Impatience::Spent) {
            Some(Ok(received)) => received,
            Some(Err(core::RecvError)) | None => 0,
        }
    }

    /// As [`recv_many`](Self::recv_many), for tasks.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, park::block_on};
    ///
    /// let (sender, receiver) = channel::bounded(8);
    /// sender.send_many(&mut (0..5)).unwrap();
    /// let mut buffer = Vec::new();
    /// assert_eq!(block_on(receiver.recv_many_async(&mut buffer, 3)), 3);
    /// assert_eq!(buffer, [0, 1, 2]);
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As [`recv_async`](Self::recv_async): as long as it has not come to its end, it has put nothing into `buffer`.
    pub async fn recv_many_async(&self, buffer: &mut Vec<T>, max: usize) -> usize {
        let before = buffer.len();
        match &self.channel.flavor {
            Flavor::Ring(ring) => {
                // After the end, nothing has come.
                let _ = ring.recv_many(max, |value| buffer.push(value)).await;
            }
            Flavor::Locked(locked) if max > 0 => {
                buffer.extend(self.recv_async().await);
                locked.try_recv_many(buffer, max - 1);
            }
            Flavor::Locked(_) => {}
        }
        buffer.len() - before
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

    /// The values that are received from now on, as a stream that ends when nothing will ever come.
    #[cfg(feature = "futures")]
    pub fn stream(&self) -> RecvStream<'_, T> {
        RecvStream::new(self)
    }

    /// As [`stream`](Self::stream), with this handle inside.
    ///
    /// # Examples
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// let (sender, receiver) = aqueduct::channel::bounded(2);
    /// let doubled = receiver.into_stream().map(|value| 2 * value);
    /// sender.send(21).unwrap();
    /// drop(sender);
    /// assert_eq!(aqueduct::park::block_on(doubled.collect::<Vec<_>>()), [42]);
    /// ```
    #[cfg(feature = "futures")]
    pub fn into_stream(self) -> OwnedRecvStream<T>
    where
        T: Send + 'static,
    {
        OwnedRecvStream::new(self)
    }

    /// A handle that does not keep the channel open.
    pub fn downgrade(&self) -> WeakReceiver<T> {
        WeakReceiver { side: Arc::downgrade(&self.side) }
    }

    /// How many [`Receiver`]s there are, this one included.
    pub fn receiver_count(&self) -> usize {
        Arc::strong_count(&self.side)
    }

    /// How many [`Sender`](super::Sender)s there are. A [clock](super::after()) is none.
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

    /// Calls `hook` when receivers close the channel, or the last of them goes, with senders there: once at the least. For the one who makes the channel, and
    /// only once.
    pub(crate) fn at_loss(&self, hook: impl Fn() + Send + Sync + 'static)
    where
        T: Send + 'static,
    {
        let senders = self.side.senders();
        self.channel.at_close(Box::new(move || {
            // Closed by its end, there is none.
            if senders.strong_count() > 0 {
                hook();
            }
        }));
    }

    /// What nobody will have received when all receivers are gone.
    pub(crate) fn leftover(&self) -> Leftover<T> {
        Leftover { channel: Arc::clone(&self.channel), receivers: Arc::downgrade(&self.side) }
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Receiver<T>) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }

    /// As [`try_recv`](Self::try_recv), but where that has to wait for a value which its sender is still to make, there is nothing: for
    /// those who wait in a way that can end.
    pub(crate) fn try_recv_made(&self) -> Result<T, TryRecvError> {
        match &self.channel.flavor {
            Flavor::Ring(ring) => ring.try_recv().map_err(TryRecvError::from),
            Flavor::Locked(locked) => locked.try_recv_made(),
        }
    }

    #[inline]
    fn recv_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        if let Flavor::Locked(locked) = &self.channel.flavor {
            return locked.recv_until(deadline);
        }
        match self.try_recv() {
            Ok(value) => Ok(value),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => self.wait_until(deadline),
        }
    }

    #[cold]
    fn wait_until(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        match self.try_patiently(deadline) {
            Ok(value) => return Ok(value),
            Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) => {}
        }
        let mut receiving = RecvFuture::new(self, Waiter::Thread);
        match drive(Pin::new(&mut receiving), deadline, self.channel.impatience()) {
            Some(received) => received.map_err(|RecvError| RecvTimeoutError::Disconnected),
            // What is there by now comes before the limit: a task that was told of it may be one that nobody polls.
            None => {
                drop(receiving);
                self.try_recv().map_err(|_| RecvTimeoutError::Timeout)
            }
        }
    }

    fn patience(&self, deadline: Option<Instant>) -> Patience {
        Patience::for_hand_over(self.sender_count() + self.receiver_count(), deadline)
    }

    /// Tries again, after a moment, until it is time to sleep; under a lock the line is the place to be patient in.
    fn try_patiently(&self, deadline: Option<Instant>) -> Result<T, TryRecvError> {
        let Flavor::Ring(ring) = &self.channel.flavor else { return Err(TryRecvError::Empty) };
        let attempt = || match ring.try_recv() {
            Err(core::TryRecvError::Empty) => None,
            result => Some(result),
        };
        let result = self.patience(deadline).keep_trying(attempt);
        result.unwrap_or(Err(core::TryRecvError::Empty)).map_err(TryRecvError::from)
    }
}
