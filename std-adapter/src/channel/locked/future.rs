//! The futures of a channel under a lock.

use super::line::Key;
use super::places::{Caller, Fate, NeedsWaker};
use super::right::Right;
use super::state::{Grant, Received};
use super::{Locked, errands::Errands, state::State};
use crate::channel::error::{RecvError, SendError};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Who waits: it decides what comes first.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::channel) enum Waiter {
    /// A task, whose future may be dropped or left unpolled for ever: what it waits for stays in the channel.
    Task,
    /// A thread, which looks as soon as it is woken: it may be handed a value. It has tried already.
    Thread,
}

impl<T> Locked<T> {
    /// Does `act` under the lock; if that needs a clone of the waker, makes one outside and does it again.
    fn poll<R>(
        &self,
        cx: &Context<'_>,
        is_first: bool,
        mut act: impl FnMut(&mut State<T>, &mut Caller<'_>, &mut Errands) -> Result<R, NeedsWaker>,
    ) -> R {
        let mut caller = Caller { waker: cx.waker(), clone: None };
        let mut needs_waker = is_first;
        loop {
            if needs_waker {
                caller.clone = Some(cx.waker().clone());
            }
            match self.locked(|state, errands| act(state, &mut caller, errands)) {
                Ok(result) => return result,
                Err(NeedsWaker) => needs_waker = true,
            }
        }
    }
}

/// A value that looks for a place, or for a receiver.
pub(in crate::channel) struct Sending<'a, T> {
    channel: &'a Locked<T>,
    /// Here until it stands in line.
    value: Option<T>,
    key: Option<Key>,
    waiter: Waiter,
}

impl<'a, T> Sending<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Locked<T>, value: T, waiter: Waiter) -> Self {
        Self { channel, value: Some(value), key: None, waiter }
    }

    /// One that will stand in line without having been polled.
    pub(super) fn to_stand(channel: &'a Locked<T>) -> Self {
        Self { channel, value: None, key: None, waiter: Waiter::Thread }
    }

    pub(super) fn stand_at(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// Leaves the line; the value, if nobody has received it.
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
        let Self { channel, value, key, waiter } = &mut *self;
        if let Some(at) = *key {
            let polled = channel
                .poll(cx, false, |state, caller, errands| state.poll_send(at, caller, errands));
            if polled.is_ready() {
                *key = None;
            }
            return polled;
        }
        let will_wait = *waiter == Waiter::Thread;
        channel.poll(cx, will_wait, |state, caller, errands| {
            state.send_or_stand(value, key, caller, errands)
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
    channel: &'a Locked<T>,
    key: Option<Key>,
    /// Whether it is handed a value, or told that there is one.
    is_handed: bool,
}

impl<'a, T> Receiving<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Locked<T>, waiter: Waiter) -> Self {
        let is_handed = waiter == Waiter::Thread || channel.capacity() == 0;
        Self { channel, key: None, is_handed }
    }

    pub(super) fn stand_at(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// A wait for what was promised to `key`, and for nothing else.
    pub(super) fn promised(
        channel: &'a Locked<T>,
        key: Key,
    ) -> impl Future<Output = Option<T>> + use<'a, T> {
        let mut receiving = Self { channel, key: Some(key), is_handed: true };
        std::future::poll_fn(move |cx| match receiving.poll_place(cx) {
            Some(Fate::Waits) => Poll::Pending,
            Some(Fate::Has(value)) => Poll::Ready(Some(value)),
            Some(Fate::Closed | Fate::Again) | None => Poll::Ready(None),
        })
    }

    /// How it fares in its place; none if it has none.
    fn poll_place(&mut self, cx: &mut Context<'_>) -> Option<Fate<T>> {
        let key = self.key?;
        let fate = self
            .channel
            .poll(cx, false, |state, caller, errands| state.poll_handed(key, caller, errands));
        if !matches!(fate, Fate::Waits) {
            self.key = None;
        }
        Some(fate)
    }

    /// Gives up waiting; the value, if one has been handed over that no poll has seen.
    pub(in crate::channel) fn give_up(&mut self) -> Option<T> {
        let key = self.key.take_if(|_| self.is_handed)?;
        match self.channel.locked(|state, errands| state.withdraw_recv(key, errands))? {
            Received::Value(value) => Some(value),
            Received::Promised(key) => {
                // It need not wait for that.
                self.channel.cancel_recv(key);
                None
            }
        }
    }
}

impl<T> Future for Receiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.is_handed {
            let Self { channel, key, .. } = &mut *self;
            return channel.poll(cx, false, |state, caller, errands| {
                state.receive_or_be_told(key, caller, errands)
            });
        }
        match self.poll_place(cx) {
            Some(Fate::Waits) => return Poll::Pending,
            Some(Fate::Has(value)) => return Poll::Ready(Ok(value)),
            Some(Fate::Closed) => return Poll::Ready(Err(RecvError)),
            Some(Fate::Again) | None => {}
        }
        let Self { channel, key, .. } = &mut *self;
        channel
            .poll(cx, true, |state, caller, errands| state.receive_or_stand(key, caller, errands))
    }
}

impl<T> Drop for Receiving<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.channel.cancel_recv(key);
        }
    }
}

/// A wait for a place, or for a receiver, without a value.
pub(in crate::channel) struct Reserving<'a, T> {
    channel: &'a Locked<T>,
    key: Option<Key>,
}

impl<'a, T> Reserving<'a, T> {
    pub(in crate::channel) fn new(channel: &'a Locked<T>) -> Self {
        Self { channel, key: None }
    }
}

impl<'a, T> Future for Reserving<'a, T> {
    type Output = Result<Right<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { channel, key } = &mut *self;
        let channel: &'a Locked<T> = channel;
        let granted: Poll<Result<Grant, _>> = match *key {
            Some(at) => channel
                .poll(cx, false, |state, caller, errands| state.poll_reserve(at, caller, errands)),
            None => {
                return channel
                    .poll(cx, false, |state, caller, errands| {
                        state.reserve_or_stand(key, caller, errands)
                    })
                    .map(|granted| granted.map(|grant| Right::new(channel, grant)));
            }
        };
        if granted.is_ready() {
            *key = None;
        }
        granted.map(|granted| granted.map(|grant| Right::new(channel, grant)))
    }
}

impl<T> Drop for Reserving<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            // A receiver whom it would have had to serve starts again; a place is the next one's.
            drop(self.channel.withdraw_send(key));
        }
    }
}
