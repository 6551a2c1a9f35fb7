//! The futures of a rendezvous, and a promise on its way.

use super::Rendezvous;
use super::line::Key;
use super::state::{Fate, Received};
use crate::channel::error::{RecvError, SendError, TryRecvError, TrySendError};
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A value that looks for a receiver.
pub(in crate::channel) struct Sending<'a, T> {
    channel: &'a Rendezvous<T>,
    /// Here until it stands in line.
    value: Option<T>,
    key: Option<Key>,
}

impl<'a, T> Sending<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Rendezvous<T>, value: T) -> Self {
        Self { channel, value: Some(value), key: None }
    }

    /// Leaves the line; the value, if nobody has taken it.
    pub(in crate::channel) fn take_back(&mut self) -> Option<T> {
        match self.key.take() {
            Some(key) => self.channel.locked(|state, errands| state.withdraw_value(key, errands)),
            None => self.value.take(),
        }
    }
}

// The value is moved, never pinned.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let Self { channel, value, key } = &mut *self;
        if let Some(at) = *key {
            let polled = channel.locked(|state, errands| state.poll_send(at, waker, errands));
            let Some(result) = polled else { return Poll::Pending };
            *key = None;
            return Poll::Ready(result.map_err(SendError));
        }
        let item = value.take().expect("polled after it was ready");
        let mut waker = Some(waker);
        channel.locked(|state, errands| match state.send(item, errands) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(TrySendError::Disconnected(item)) => Poll::Ready(Err(SendError(item))),
            Err(TrySendError::Full(item)) => {
                *key = Some(state.wait_to_send(item, waker.take(), errands));
                Poll::Pending
            }
        })
    }
}

impl<T> Drop for Sending<'_, T> {
    fn drop(&mut self) {
        drop(self.take_back());
    }
}

/// A wait for a value.
pub(in crate::channel) struct Receiving<'a, T> {
    channel: &'a Rendezvous<T>,
    key: Option<Key>,
}

impl<'a, T> Receiving<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Rendezvous<T>) -> Self {
        Self { channel, key: None }
    }

    /// A wait for what was promised to `key`, and for nothing else.
    pub(super) fn promised(
        channel: &'a Rendezvous<T>,
        key: Key,
    ) -> impl Future<Output = Option<T>> + use<'a, T> {
        let mut receiving = Self { channel, key: Some(key) };
        std::future::poll_fn(move |cx| match receiving.poll_place(cx) {
            Some(Fate::Waits) => Poll::Pending,
            Some(Fate::Has(value)) => Poll::Ready(Some(value)),
            Some(Fate::Closed | Fate::Again) | None => Poll::Ready(None),
        })
    }

    /// How it fares in its place; none if it has none.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Option<Fate<T>> {
        let key = self.key?;
        let waker = cx.waker().clone();
        let fate = self.channel.locked(|state, errands| state.poll_recv(key, waker, errands));
        if !matches!(fate, Fate::Waits) {
            self.key = None;
        }
        Some(fate)
    }

    /// The value, if one has been handed over that no poll has seen.
    pub(in crate::channel) fn take_handed(&mut self) -> Option<T> {
        let value = self.key.and_then(|key| self.channel.locked(|state, _| state.take_handed(key)));
        if value.is_some() {
            self.key = None;
        }
        value
    }
}

impl<T> Future for Receiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.poll_place(cx) {
            Some(Fate::Waits) => return Poll::Pending,
            Some(Fate::Has(value)) => return Poll::Ready(Ok(value)),
            Some(Fate::Closed) => return Poll::Ready(Err(RecvError)),
            Some(Fate::Again) | None => {}
        }
        let mut waker = Some(cx.waker().clone());
        let Self { channel, key } = &mut *self;
        channel.locked(|state, errands| match state.receive(Some(&mut waker), errands) {
            Ok(Received::Value(value)) => Poll::Ready(Ok(value)),
            Err(TryRecvError::Disconnected) => Poll::Ready(Err(RecvError)),
            Ok(Received::Promised(at)) => {
                *key = Some(at);
                Poll::Pending
            }
            Err(TryRecvError::Empty) => {
                *key = Some(state.wait_to_recv(waker.take(), errands));
                Poll::Pending
            }
        })
    }
}

impl<T> Drop for Receiving<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.channel.cancel_recv(key);
        }
    }
}

/// A wait for a receiver, without a value.
pub(in crate::channel) struct Reserving<'a, T> {
    channel: &'a Rendezvous<T>,
    key: Option<Key>,
}

impl<'a, T> Reserving<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Rendezvous<T>) -> Self {
        Self { channel, key: None }
    }
}

impl<'a, T> Future for Reserving<'a, T> {
    type Output = Result<Promise<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let waker = cx.waker().clone();
        let Self { channel, key } = &mut *self;
        let channel: &'a Rendezvous<T> = channel;
        if let Some(at) = *key {
            let polled = channel.locked(|state, errands| state.poll_reserve(at, waker, errands));
            let Some(result) = polled else { return Poll::Pending };
            *key = None;
            let asked = result.map(|receiver| Promise::new(channel, receiver));
            return Poll::Ready(asked.map_err(SendError));
        }
        let mut waker = Some(waker);
        channel.locked(|state, errands| match state.promise(errands) {
            Ok(receiver) => Poll::Ready(Ok(Promise::new(channel, receiver))),
            Err(TrySendError::Disconnected(())) => Poll::Ready(Err(SendError(()))),
            Err(TrySendError::Full(())) => {
                *key = Some(state.wait_to_reserve(waker.take(), errands));
                Poll::Pending
            }
        })
    }
}

impl<T> Drop for Reserving<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // Whom it would have had to serve starts again.
            drop(self.channel.withdraw_send(key));
        }
    }
}

/// A receiver that has been claimed, and waits for a value; dropping it breaks the promise.
pub(in crate::channel) struct Promise<'a, T> {
    channel: &'a Rendezvous<T>,
    receiver: Key,
}

impl<'a, T> Promise<'a, T> {
    pub(super) fn new(channel: &'a Rendezvous<T>, receiver: Key) -> Self {
        Self { channel, receiver }
    }

    pub(in crate::channel) fn keep(self, value: T) -> Result<(), SendError<T>> {
        let Self { channel, receiver } = self;
        mem::forget(self);
        let kept = channel.locked(|state, errands| state.keep_promise(receiver, value, errands));
        kept.map_err(SendError)
    }
}

impl<T> Drop for Promise<'_, T> {
    fn drop(&mut self) {
        self.channel.locked(|state, errands| state.break_promise(self.receiver, errands));
    }
}
