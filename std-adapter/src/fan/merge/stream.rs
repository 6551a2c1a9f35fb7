//! A merge as a `Stream`.

use super::Merge;
use crate::lock;
use futures_core::{FusedStream, Stream};
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// What a merge receives, as a stream, which ends when the merge does. Made by [`Merge::into_stream`].
///
/// It is a future in a box that receives one item after the other, and stops for a moment at each.
///
/// # Cancel safety
///
/// May be dropped at any time: no item that is still in an input is lost by a poll.
/// # Panics
///
/// When it is polled again after a poll that panicked, as a waker may, or the function that [orders](super::Merge::ordered_by) items: with
/// that, its merge has gone.
#[must_use = "streams do nothing unless polled"]
pub struct MergeStream<T> {
    /// Locked by nobody: it makes `Sync` what is only touched by its owner.
    future: Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The item at which the future stopped.
    item: Arc<Mutex<Option<T>>>,
    is_ended: bool,
}

impl<T: Send + 'static> MergeStream<T> {
    pub(super) fn new(mut merge: Merge<T>) -> Self {
        let item = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&item);
        let future = Mutex::new(Box::pin(async move {
            while let Ok(item) = merge.recv_async().await {
                *lock(&shown) = Some(item);
                let mut has_stopped = false;
                poll_fn(|_| match std::mem::replace(&mut has_stopped, true) {
                    false => Poll::Pending,
                    true => Poll::Ready(()),
                })
                .await;
            }
        }) as Pin<Box<dyn Future<Output = ()> + Send>>);
        Self { future, item, is_ended: false }
    }
}

impl<T> Stream for MergeStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let future = self.future.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = future.as_mut().poll(cx);
        if let Some(item) = lock(&self.item).take() {
            return Poll::Ready(Some(item));
        }
        ready!(polled);
        self.is_ended = true;
        Poll::Ready(None)
    }
}

impl<T> FusedStream for MergeStream<T> {
    fn is_terminated(&self) -> bool {
        self.is_ended
    }
}

impl<T> fmt::Debug for MergeStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MergeStream").field("is_ended", &self.is_ended).finish_non_exhaustive()
    }
}
