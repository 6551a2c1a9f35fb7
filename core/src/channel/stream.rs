//! A channel as a `Stream` and as a `Sink`.

use super::future::{AnyChannel, Permit, Recv, Reserve};
use super::{RecvError, ReserveError, SendError};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;

/// The values of a channel as a stream. Made by [`stream`](super::StaticChannel::stream).
///
/// Several streams of one channel share its values.
///
/// # Cancel safety
///
/// May be dropped at any time: no value is lost, and a wake-up that was meant for it goes to the next receiver.
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<'a, C: AnyChannel> {
    recv: Recv<'a, C>,
    is_ended: bool,
}

impl<'a, C: AnyChannel> RecvStream<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { recv: Recv::new(channel), is_ended: false }
    }
}

impl<C: AnyChannel> Stream for RecvStream<'_, C> {
    type Item = C::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<C::Item>> {
        // A `Recv` that is ready waits for the next value when it is polled again.
        match ready!(Pin::new(&mut self.recv).poll(cx)) {
            Ok(value) => Poll::Ready(Some(value)),
            Err(RecvError) => {
                self.is_ended = true;
                Poll::Ready(None)
            }
        }
    }
}

impl<C: AnyChannel> FusedStream for RecvStream<'_, C> {
    fn is_terminated(&self) -> bool {
        self.is_ended
    }
}

/// A channel as a sink. Made by [`sink`](super::StaticChannel::sink).
///
/// `poll_ready` keeps a place for the value, as [`reserve`](super::StaticChannel::reserve) does; dropping the sink,
/// or closing it, gives the place up, or the turn in line. Closing the sink does not close the channel.
#[must_use = "sinks do nothing unless polled"]
pub struct SendSink<'a, C: AnyChannel> {
    reserve: Reserve<'a, C>,
    permit: Option<Permit<'a, C>>,
}

impl<'a, C: AnyChannel> SendSink<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { reserve: Reserve::new(channel), permit: None }
    }
}

impl<C: AnyChannel> Sink<C::Item> for SendSink<'_, C> {
    /// The channel is closed; a value that was to be sent comes back.
    type Error = SendError<Option<C::Item>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.permit.is_none() {
            match ready!(Pin::new(&mut self.reserve).poll(cx)) {
                Ok(permit) => self.permit = Some(permit),
                Err(ReserveError) => return Poll::Ready(Err(SendError(None))),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// # Panics
    ///
    /// If `poll_ready` has not said that it is.
    fn start_send(mut self: Pin<&mut Self>, value: C::Item) -> Result<(), Self::Error> {
        let permit = self.permit.take().expect("start_send without poll_ready");
        permit.send(value).map_err(|SendError(value)| SendError(Some(value)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // What was sent is in.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.permit = None;
        self.reserve.leave();
        Poll::Ready(Ok(()))
    }
}

impl<C: AnyChannel> fmt::Debug for RecvStream<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvStream").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

impl<C: AnyChannel> fmt::Debug for SendSink<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendSink")
            .field("has_place", &self.permit.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests {
    use super::*;
    use crate::channel::StaticChannel;
    use core::pin::pin;
    use core::task::Waker;

    #[test]
    fn values_go_through_a_sink_and_a_stream() {
        let channel = StaticChannel::<u8, 2>::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sink = pin!(channel.sink());
        let mut stream = pin!(channel.stream());
        assert!(stream.as_mut().poll_next(&mut cx).is_pending());
        for value in [1, 2] {
            assert!(matches!(sink.as_mut().poll_ready(&mut cx), Poll::Ready(Ok(()))));
            assert!(matches!(sink.as_mut().poll_ready(&mut cx), Poll::Ready(Ok(()))), "one place");
            sink.as_mut().start_send(value).unwrap();
            assert!(matches!(sink.as_mut().poll_flush(&mut cx), Poll::Ready(Ok(()))));
        }
        assert!(sink.as_mut().poll_ready(&mut cx).is_pending());
        assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(Some(1)));
        assert!(matches!(sink.as_mut().poll_ready(&mut cx), Poll::Ready(Ok(()))));
        assert!(matches!(sink.as_mut().poll_close(&mut cx), Poll::Ready(Ok(()))));
        assert_eq!(channel.len(), 1, "the place was given up");
        channel.close();
        assert!(matches!(sink.as_mut().poll_ready(&mut cx), Poll::Ready(Err(SendError(None)))));
        assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(Some(2)));
        assert!(!stream.is_terminated());
        assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(None));
        assert!(stream.is_terminated());
    }

    #[test]
    fn a_value_that_meets_the_close_comes_back() {
        let channel = StaticChannel::<u8, 1>::new();
        let mut cx = Context::from_waker(Waker::noop());
        let mut sink = pin!(channel.sink());
        assert!(sink.as_mut().poll_ready(&mut cx).is_ready());
        channel.close();
        assert!(channel.try_recv().is_err());
        assert_eq!(sink.as_mut().start_send(7), Err(SendError(Some(7))));
    }
}
