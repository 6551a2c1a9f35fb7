//! The futures of [`Sender::send_async`] and [`Receiver::recv_async`].

use super::error::{RecvError, SendError};
use super::{Receiver, Sender};
use aqueduct_core::channel::{self as core, Channel};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// A future that sends when there is room. Made by [`Sender::send_async`].
///
/// # Cancel safety
///
/// Dropping it sends nothing: the value is dropped with it, and a turn that it had been given goes to the next.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[must_use = "futures do nothing unless polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    send: core::Send<'a, Channel<T>>,
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self { sender, send: sender.channel.send(value) }
    }

    /// Gives up sending, and takes the value back; `None` if it has been ready, and so has already given the value
    /// away.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = aqueduct::channel::bounded(1);
    /// assert_eq!(sender.send_async("never mind").into_value(), Some("never mind"));
    /// ```
    pub fn into_value(self) -> Option<T> {
        self.send.into_value()
    }

    /// As [`into_value`](Self::into_value), for a future that is known to be pending.
    pub(super) fn take_back(self) -> T {
        self.into_value().expect("a pending send has its value")
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let sent = ready!(Pin::new(&mut self.send).poll(context));
        Poll::Ready(sent.map_err(|core::SendError(value)| SendError(value)))
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture").field("sender", self.sender).finish_non_exhaustive()
    }
}

/// A future that receives when there is something. Made by [`Receiver::recv_async`].
///
/// # Cancel safety
///
/// Dropping it takes nothing out, and a wake-up that it had been given goes to the next.
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    recv: core::Recv<'a, Channel<T>>,
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, recv: receiver.channel.recv() }
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let received = ready!(Pin::new(&mut self.recv).poll(context));
        Poll::Ready(received.map_err(|core::RecvError| RecvError))
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture").field("receiver", self.receiver).finish_non_exhaustive()
    }
}
