//! A receiver as a `Stream`, and a sender as a `Sink`.

mod owned;

pub use owned::{OwnedRecvStream, OwnedSendSink};

use super::{Permit, Receiver, RecvError, RecvFuture, ReserveFuture, SendError, Sender};
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The values of a channel as a stream, which ends when the channel is closed and empty. Made by [`Receiver::stream`].
///
/// Several streams of one channel share its values.
///
/// # Cancel safety
///
/// May be dropped at any time: no value is lost, and a wake-up that was meant for it goes to the next receiver.
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<'a, T> {
    recv: RecvFuture<'a, T>,
    is_ended: bool,
}

impl<'a, T> RecvStream<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { recv: receiver.recv_async(), is_ended: false }
    }
}

impl<T> Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // A receive that is ready waits for the next value when it is polled again.
        match ready!(Pin::new(&mut self.recv).poll(cx)) {
            Ok(value) => Poll::Ready(Some(value)),
            Err(RecvError) => {
                self.is_ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl<T> FusedStream for RecvStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.is_ended
    }
}

/// A channel as a sink. Made by [`Sender::sink`].
///
/// `poll_ready` gets a [`Permit`], `start_send` uses it; dropping the sink, or closing it, gives it up, and the turn in line. Closing the
/// sink does not close the channel.
pub struct SendSink<'a, T> {
    sender: &'a Sender<T>,
    reserve: ReserveFuture<'a, T>,
    permit: Option<Permit<'a, T>>,
}

impl<'a, T> SendSink<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>) -> Self {
        Self { sender, reserve: sender.reserve_async(), permit: None }
    }
}

impl<T> Sink<T> for SendSink<'_, T> {
    /// The channel is closed; a value that was to be sent comes back.
    type Error = SendError<Option<T>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.permit.is_none() {
            let reserved = ready!(Pin::new(&mut self.reserve).poll(cx));
            self.permit = Some(reserved.map_err(|_| SendError(None))?);
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If `poll_ready` has not said that it is.
    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Self::Error> {
        let permit = self.permit.take().expect("start_send without poll_ready");
        permit.send(value).map_err(|SendError(value)| SendError(Some(value)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // What was sent is in.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.permit = None;
        // It may stand in line, or have been granted a place that it has not looked at.
        self.reserve = self.sender.reserve_async();
        Poll::Ready(Ok(()))
    }
}

impl<T> fmt::Debug for RecvStream<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SendSink<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink").field("sender", self.sender).finish_non_exhaustive()
    }
}
