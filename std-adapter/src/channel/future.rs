//! The futures of [`Sender::send_async`] and [`Receiver::recv_async`].

use super::error::{RecvError, SendError};
use super::flavor::{Flavor, Ring};
use super::locked::{Receiving, Sending, Waiter};
use super::{Receiver, Sender};
use aqueduct_core::channel as core;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that sends when there is room. Made by [`Sender::send_async`].
///
/// # Cancel safety
///
/// Dropping it sends nothing, unless a receiver has taken the value already: the value is dropped with it, and a turn that it had been
/// given goes to the next.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[must_use = "futures do nothing unless polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    send: Send<'a, T>,
}

enum Send<'a, T> {
    Ring(core::Send<'a, Ring<T>>),
    Locked(Sending<'a, T>),
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, value: T, waiter: Waiter) -> Self {
        let send = match &sender.channel.flavor {
            Flavor::Ring(ring) => Send::Ring(ring.send(value)),
            Flavor::Locked(locked) => Send::Locked(Sending::new(locked, value, waiter)),
        };
        Self { sender, send }
    }

    /// Gives up sending, and takes the value back; `None` if it has given the value away: it has been ready, or a
    /// receiver has taken the value and the next poll would have said so.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, _receiver) = aqueduct::channel::bounded(1);
    /// assert_eq!(sender.send_async("never mind").into_value(), Some("never mind"));
    /// ```
    pub fn into_value(self) -> Option<T> {
        match self.send {
            Send::Ring(send) => send.into_value(),
            Send::Locked(mut sending) => sending.take_back(),
        }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.send {
            Send::Ring(send) => Pin::new(send)
                .poll(context)
                .map(|sent| sent.map_err(|core::SendError(value)| SendError(value))),
            Send::Locked(sending) => Pin::new(sending).poll(context),
        }
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
/// Dropping it takes nothing out, and a wake-up that it had been given goes to the next; without room in the channel, a value
/// that had been handed to it goes to whoever receives next.
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    recv: Recv<'a, T>,
}

enum Recv<'a, T> {
    Ring(core::Recv<'a, Ring<T>>),
    Locked(Receiving<'a, T>),
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>, waiter: Waiter) -> Self {
        let recv = match &receiver.channel.flavor {
            Flavor::Ring(ring) => Recv::Ring(ring.recv()),
            Flavor::Locked(locked) => Recv::Locked(Receiving::new(locked, waiter)),
        };
        Self { receiver, recv }
    }

    /// Gives up waiting; a value that was handed over and that no poll has seen: its sender believes that it was received.
    pub(super) fn give_up(mut self) -> Option<T> {
        match &mut self.recv {
            Recv::Ring(_) => None,
            Recv::Locked(receiving) => receiving.give_up(),
        }
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.recv {
            Recv::Ring(recv) => Pin::new(recv)
                .poll(context)
                .map(|received| received.map_err(|core::RecvError| RecvError)),
            Recv::Locked(receiving) => Pin::new(receiving).poll(context),
        }
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture").field("receiver", self.receiver).finish_non_exhaustive()
    }
}
