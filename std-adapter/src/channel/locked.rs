//! A channel under a lock: with room for a few values, or without room, where a send meets a receive.
//!
//! # Why a lock
//!
//! In the [ring](aqueduct_core::channel) a waiter holds nothing: it is woken, and competes. With room for one value that makes two
//! context switches for each. Here a sender waits *with its value*, and a blocked thread is *handed* one, so that three values pass
//! in a round trip: one from hand to hand, one through the room, and one from the line. A ring cannot do that, since a value in line
//! cannot be moved into it and withdrawn from it by somebody else.
//!
//! # The parties
//!
//! A mutex holds the room and two lines, those who send and those who receive. Whoever comes looks for a value, for a place or for a
//! counterpart in line; if there is none, it takes a place in its own line. So at no time does somebody who could be met stand in
//! each of both lines; and *where somebody stands in the line of the senders, no place is left*, which is why a
//! newcomer overtakes nobody. (A thread that receives may stand behind a task that is to be told. When the task has left the line, the
//! thread is first beside a value, and beside senders in line; a newcomer then first has it handed what is its due.)
//!
//! Whoever is met has been *claimed*, by exactly one counterpart. A party by itself is claimed by being taken out of the line;
//! the arms of a selection stand in several lines, and share a [`Token`] that can be taken once.
//!
//! # What passes
//!
//! - A send stands in line with its value. When there is a place, the value is *in*, and the send over: whoever made the place says so. The
//!   value stays with the sender until that looks, and can be taken back until it is received.
//! - A thread that receives stands in line with nothing: it is handed the oldest value, which lies in its place until it looks. So does an
//!   arm of a selection, and where there is no room everybody.
//! - A task that receives, where there is room, stands in line to be *told*: it takes what is there when it is polled, or stands in
//!   line again. It may never be polled, and would keep what was handed to it from everybody.
//! - A selection (or a reservation) that sends has no value yet: it makes one when it has been chosen. With room it is
//!   *granted* a place, which is missing until the value comes or the place is given back. Without, whoever meets it
//!   is *promised* a value, which comes into the place of the receiver. If the maker goes without making it, the
//!   promise is *broken*, and the receiver starts again.
//!
//! If all places are reserved, nothing is in, and yet senders stand in line: a receiver takes a value from the first who has one.
//!
//! # Who goes early
//!
//! A send that goes before its value was received takes it with it. A receive that goes with a value in its place passes it to
//! the next receiver, now or later ([`State::pass_on`]), since its sender has been told that it is received; one that was
//! told passes that on, if there still is something; one that goes while a value is promised leaves its place *abandoned*, and
//! whoever made the promise passes the value on.
//!
//! # The wake-up that would be lost
//!
//! Those who are told are not given anything, and others may be faster. What holds at all times: if somebody stands in line to be
//! told, no more values are in than have been told of to those who have not looked yet. A value that comes tells one; a value that
//! is taken only helps; one stands in line only where nothing is in; and who goes without a look tells the next. Where nothing is in and
//! all places are reserved, the values in line are as good as in: one tells of them that comes then, or the grant of the last place.
//!
//! # What happens under the lock
//!
//! Values and wakers are moved, and nothing else: they are cloned, made, woken and dropped outside of it ([`Errands`]).

mod blocking;
mod errands;
mod future;
mod line;
mod places;
mod right;
mod state;
mod token;

pub(super) use future::{Receiving, Reserving, Sending, Waiter};
pub(super) use line::Key;
pub(super) use right::Right;
pub(super) use state::Received;
pub(super) use token::Token;

use super::error::{SendError, TryRecvError, TrySendError};
use crate::foreign::call;
use crate::{lock, park};
use errands::Errands;
use right::Places;
use state::{Sought, State};
use std::mem;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// What is promised to a receiver that may yet be lost to a waker's panic. The promise is not to be kept to nobody then.
struct Promised<'a, T> {
    channel: &'a Locked<T>,
    key: Key,
}

impl<T> Drop for Promised<'_, T> {
    fn drop(&mut self) {
        call(|| self.channel.cancel_recv(self.key));
    }
}

/// Where senders and receivers meet.
pub(super) struct Locked<T> {
    state: Mutex<State<T>>,
    capacity: usize,
}

impl<T> Locked<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { state: Mutex::new(State::new(capacity)), capacity }
    }

    /// Does `act` under the lock, and then what it left to be done outside.
    fn locked<R>(&self, act: impl FnOnce(&mut State<T>, &mut Errands) -> R) -> R {
        let mut errands = Errands::default();
        let result = act(&mut lock(&self.state), &mut errands);
        errands.run();
        result
    }

    /// Sends if there is a place, or a thread that waits for a value.
    // Inlined beside the ring it would make every `try_send` save registers and stack for it.
    #[inline(never)]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.locked(|state, errands| state.send(value, errands))
    }

    /// Takes the oldest value, or without room that of a sender that waits. Without room it waits for a selection that has been chosen
    /// by this, and makes its value now.
    #[inline(never)]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match self.try_meet()? {
            Received::Value(value) => Ok(value),
            // If it is broken, the next one may be, and so on: it comes to what is there.
            Received::Promised(key) => {
                self.wait_for_promised(key).map_or_else(|| self.try_recv_made(), Ok)
            }
        }
    }

    /// As `try_recv`, without the wait: the value may be promised only.
    pub(super) fn try_meet(&self) -> Result<Received<T>, TryRecvError> {
        let mut errands = Errands::default();
        let met = lock(&self.state).receive(None, &mut errands);
        let promised = match &met {
            Ok(Received::Promised(key)) => Some(Promised { channel: self, key: *key }),
            Ok(Received::Value(_)) | Err(_) => None,
        };
        errands.run();
        mem::forget(promised);
        met
    }

    /// As `try_recv`, if the value is made: it asks nobody to make one, and so never waits.
    pub(super) fn try_recv_made(&self) -> Result<T, TryRecvError> {
        self.locked(State::receive_made)
    }

    /// Takes up to `max` values that are made by now; how many came.
    pub(super) fn try_recv_many(&self, buffer: &mut Vec<T>, max: usize) -> usize {
        let before = buffer.len();
        loop {
            // As much as the room holds at a time, so that the lock is not held for long, and that nothing is allocated under it.
            let most = (max - (buffer.len() - before)).min(self.capacity.max(1));
            buffer.reserve(most);
            let received = self.locked(|state, errands| {
                let from = buffer.len();
                while buffer.len() - from < most
                    && let Ok(value) = state.receive_made(errands)
                {
                    buffer.push(value);
                }
                buffer.len() - from
            });
            if received < most || most == 0 {
                return buffer.len() - before;
            }
        }
    }

    /// Sends from `values` while there are places: how many. A value is taken out only for a place. What was refused comes back.
    pub(super) fn try_send_many(
        &self,
        values: &mut impl Iterator<Item = T>,
    ) -> Result<usize, SendError<T>> {
        let mut sent = 0;
        while let Some(places) = Places::reserve(self, values.size_hint().0.max(1)) {
            let (filled, is_more) = places.fill(values).map_err(SendError)?;
            sent += filled;
            if !is_more {
                break;
            }
        }
        Ok(sent)
    }

    /// Sends at once, in place of the oldest value if need be.
    pub(super) fn force_send(&self, value: T) -> Result<Option<T>, TrySendError<T>> {
        self.locked(|state, errands| state.force_send(value, errands))
    }

    /// Takes a place, or without room claims a receiver that waits, for a value that is still to be made.
    pub(super) fn try_reserve(&self) -> Result<Right<'_, T>, TrySendError<()>> {
        let grant = self.locked(State::reserve)?;
        Ok(Right::new(self, grant))
    }

    /// What was promised to the receiver at `key`; none if the promise is broken.
    pub(super) fn wait_for_promised(&self, key: Key) -> Option<T> {
        park::block_on(Receiving::promised(self, key))
    }

    pub(super) fn close(&self) -> bool {
        self.locked(State::close)
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).room.len()
    }

    pub(super) fn is_full(&self) -> bool {
        lock(&self.state).is_full()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    // ------------------------------------------------- what a selection needs

    /// Whether a send would go on at once: there is a place, a receiver waits, or it is closed.
    pub(super) fn is_send_ready(&self) -> bool {
        lock(&self.state).is_send_ready()
    }

    /// Whether a receive would go on at once: there is a value, a sender waits, or it is closed.
    pub(super) fn is_recv_ready(&self) -> bool {
        lock(&self.state).is_recv_ready(None)
    }

    /// Puts an arm that sends in line; none if it would go on at once.
    pub(super) fn stand_to_send(
        &self,
        token: &Arc<Token>,
        arm: usize,
        waker: &Waker,
    ) -> Option<Key> {
        let waker = waker.clone();
        self.locked(|state, errands| state.stand_to_send(token, arm, waker, errands))
    }

    /// Puts an arm that receives in line; none if it would go on at once.
    pub(super) fn stand_to_recv(
        &self,
        token: &Arc<Token>,
        arm: usize,
        waker: &Waker,
    ) -> Option<Key> {
        let waker = waker.clone();
        self.locked(|state, errands| state.stand_to_recv(token, arm, waker, errands))
    }

    /// Takes an arm that sends out of line; what it may send with, if it was chosen.
    pub(super) fn withdraw_send(&self, key: Key) -> Option<Right<'_, T>> {
        let grant = self.locked(|state, errands| state.withdraw_send(key, errands));
        grant.map(|grant| Right::new(self, grant))
    }

    /// Takes an arm that receives out of line; what it was given, or is promised, if it was chosen.
    pub(super) fn withdraw_recv(&self, key: Key) -> Option<Received<T>> {
        self.locked(|state, errands| state.withdraw_recv(key, errands))
    }

    /// An arm that receives goes without a look; what it was given goes to the next receiver.
    pub(super) fn cancel_recv(&self, key: Key) {
        self.locked(|state, errands| state.cancel_recv(key, errands));
    }

    /// Has `waker` woken, once, when somebody comes whom a party of this kind could meet, or it is closed. To be taken back
    /// with [`unwatch`](Self::unwatch).
    pub(super) fn watch(&self, sought: Sought, waker: &Waker) -> u64 {
        let waker = waker.clone();
        lock(&self.state).watch(sought, waker)
    }

    pub(super) fn unwatch(&self, id: u64) {
        let waker = lock(&self.state).unwatch(id);
        drop(waker);
    }

    /// Who a selection that takes part in nothing waits for.
    pub(super) const SENDER: Sought = Sought::Sender;
    pub(super) const RECEIVER: Sought = Sought::Receiver;
}
