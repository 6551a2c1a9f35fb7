//! The right to send, at once, a value that is still to be made.

use super::Locked;
use super::state::Grant;
use crate::channel::error::SendError;
use std::mem;

/// A place that is reserved; or, without room, a receiver that waits for a value. Dropping it gives it up.
pub(in crate::channel) struct Right<'a, T> {
    channel: &'a Locked<T>,
    grant: Grant,
}

impl<'a, T> Right<'a, T> {
    pub(super) fn new(channel: &'a Locked<T>, grant: Grant) -> Self {
        Self { channel, grant }
    }

    pub(in crate::channel) fn send(self, value: T) -> Result<(), SendError<T>> {
        let Self { channel, grant } = self;
        mem::forget(self);
        let sent = channel.locked(|state, errands| match grant {
            Grant::Place => state.send_reserved(value, errands),
            Grant::Receiver(key) => state.keep_promise(key, value, errands),
        });
        sent.map_err(SendError)
    }
}

impl<T> Drop for Right<'_, T> {
    fn drop(&mut self) {
        self.channel.locked(|state, errands| match self.grant {
            Grant::Place => state.give_back(1, errands),
            Grant::Receiver(key) => state.break_promise(key, errands),
        });
    }
}

/// Places that are reserved for a batch; those that are left are given back when it is dropped, also by a panic in the iterator.
pub(super) struct Places<'a, T> {
    channel: &'a Locked<T>,
    left: usize,
}

impl<'a, T> Places<'a, T> {
    /// Up to so many; none if there is not one.
    pub(super) fn reserve(channel: &'a Locked<T>, most: usize) -> Option<Self> {
        let left = channel.locked(|state, errands| state.reserve_some(most, errands));
        (left > 0).then_some(Self { channel, left })
    }

    /// Sends from `values`, each when it is made, until the places are used or `values` has ended: how many it sent, and whether there may
    /// be more. What was refused comes back.
    pub(super) fn fill(mut self, values: &mut impl Iterator<Item = T>) -> Result<(usize, bool), T> {
        let mut sent = 0;
        while self.left > 0 {
            // Nothing is locked: it may use this channel.
            let Some(value) = values.next() else { return Ok((sent, false)) };
            self.left -= 1;
            self.channel.locked(|state, errands| state.send_reserved(value, errands))?;
            sent += 1;
        }
        Ok((sent, true))
    }
}

impl<T> Drop for Places<'_, T> {
    fn drop(&mut self) {
        if self.left > 0 {
            self.channel.locked(|state, errands| state.give_back(self.left, errands));
        }
    }
}
