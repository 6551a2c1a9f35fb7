//! A stream and a sink that own their handle.
//!
//! Each is the borrowing one together with the handle that it borrows. Only a future may hold both without unsafe code: so it
//! is a future that never ends, polled once for each call. The call lies in a drawer, and there its answer is found.

use crate::channel::{Receiver, SendError, Sender};
use crate::lock;
use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;

/// The values of a channel as a stream that owns its [`Receiver`]: for a task, or a field, that outlives the place where the
/// channel was made. Made by [`Receiver::into_stream`].
///
/// It ends when the channel is closed and empty. It is [`RecvStream`](super::RecvStream) in a box; dropping it drops its handle.
///
/// # Cancel safety
///
/// As [`RecvStream`](super::RecvStream): may be dropped at any time.
#[must_use = "streams do nothing unless polled"]
pub struct OwnedRecvStream<T> {
    kept: Kept<(), Poll<Option<T>>>,
    is_ended: bool,
}

impl<T: Send + 'static> OwnedRecvStream<T> {
    pub(in crate::channel) fn new(receiver: Receiver<T>) -> Self {
        let kept = Kept::new(|drawer| async move {
            let mut stream = receiver.stream();
            drawer.answer(|(), cx| Pin::new(&mut stream).poll_next(cx)).await
        });
        Self { kept, is_ended: false }
    }
}

impl<T> Stream for OwnedRecvStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let next = self.kept.ask((), cx);
        self.is_ended |= matches!(next, Poll::Ready(None));
        next
    }
}

impl<T> FusedStream for OwnedRecvStream<T> {
    fn is_terminated(&self) -> bool {
        self.is_ended
    }
}

/// A channel as a sink that owns its [`Sender`]. Made by [`Sender::into_sink`].
///
/// It is [`SendSink`](super::SendSink) in a box. Closing it, or dropping it, drops its handle: if that was the last, the channel is
/// closed.
pub struct OwnedSendSink<T> {
    /// None when it is closed.
    kept: Option<Kept<Call<T>, Sent<T>>>,
}

enum Call<T> {
    Ready,
    Send(T),
}

type Sent<T> = Poll<Result<(), SendError<Option<T>>>>;

impl<T: Send + 'static> OwnedSendSink<T> {
    pub(in crate::channel) fn new(sender: Sender<T>) -> Self {
        let kept = Kept::new(|drawer| async move {
            let mut sink = sender.sink();
            let answer = |call, cx: &mut Context<'_>| match call {
                Call::Ready => Pin::new(&mut sink).poll_ready(cx),
                Call::Send(value) => Poll::Ready(Pin::new(&mut sink).start_send(value)),
            };
            drawer.answer(answer).await
        });
        Self { kept: Some(kept) }
    }
}

impl<T> Sink<T> for OwnedSendSink<T> {
    /// The channel, or the sink, is closed; a value that was to be sent comes back.
    type Error = SendError<Option<T>>;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.kept {
            Some(kept) => kept.ask(Call::Ready, cx),
            None => Poll::Ready(Err(SendError(None))),
        }
    }

    /// # Panics
    ///
    /// If `poll_ready` has not said that it is.
    fn start_send(mut self: Pin<&mut Self>, value: T) -> Result<(), Self::Error> {
        let Some(kept) = &mut self.kept else { return Err(SendError(Some(value))) };
        match kept.ask(Call::Send(value), &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(sent) => sent,
            Poll::Pending => unreachable!("a permit never waits"),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // What was sent is in.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.kept = None;
        Poll::Ready(Ok(()))
    }
}

/// A handle, and what borrows from it.
struct Kept<Q, A> {
    /// Locked by nobody: it makes `Sync` what is only touched by its owner.
    future: Mutex<Pin<Box<dyn Future<Output = Infallible> + Send>>>,
    drawer: Arc<Drawer<Q, A>>,
}

struct Drawer<Q, A> {
    question: Mutex<Option<Q>>,
    /// A panic, where a waker or a value had one: in here it would end the future, and with it the handle.
    answer: Mutex<Option<thread::Result<A>>>,
}

impl<Q, A> Kept<Q, A> {
    fn new<F>(keep: impl FnOnce(Arc<Drawer<Q, A>>) -> F) -> Self
    where
        F: Future<Output = Infallible> + Send + 'static,
    {
        let drawer = Arc::new(Drawer { question: Mutex::new(None), answer: Mutex::new(None) });
        Self { future: Mutex::new(Box::pin(keep(Arc::clone(&drawer)))), drawer }
    }

    fn ask(&mut self, question: Q, cx: &mut Context<'_>) -> A {
        *lock(&self.drawer.question) = Some(question);
        let future = self.future.get_mut().unwrap_or_else(PoisonError::into_inner);
        match future.as_mut().poll(cx) {
            Poll::Ready(never) => match never {},
            Poll::Pending => {}
        }
        let answer = lock(&self.drawer.answer).take().expect("each call is answered");
        answer.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl<Q, A> Drawer<Q, A> {
    /// Answers one call each time it is polled.
    async fn answer(&self, mut answer: impl FnMut(Q, &mut Context<'_>) -> A) -> Infallible {
        poll_fn(|cx| {
            let question = lock(&self.question).take();
            if let Some(question) = question {
                // What is borrowed is as good after a panic as before: it says so itself, of its wakers.
                let call = AssertUnwindSafe(|| answer(question, cx));
                let answered = panic::catch_unwind(call);
                *lock(&self.answer) = Some(answered);
            }
            Poll::Pending
        })
        .await
    }
}

impl<T> fmt::Debug for OwnedRecvStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedRecvStream").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for OwnedSendSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_closed = self.kept.is_none();
        f.debug_struct("OwnedSendSink").field("is_closed", &is_closed).finish_non_exhaustive()
    }
}
