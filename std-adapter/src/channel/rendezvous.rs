//! A channel without room: a send meets a receive.
//!
//! # The parties
//!
//! A mutex holds two lines, those who send and those who receive. Whoever comes looks for a counterpart in line; if there
//! is none, it takes a place in its own line. So at no time does somebody who could be met stand in each of both lines.
//!
//! Whoever is met has been *claimed*, by exactly one counterpart. A party by itself is claimed by being taken out of the line;
//! the arms of a selection stand in several lines, and share a [`Token`] that can be taken once.
//!
//! # What passes
//!
//! - A send stands in line with its value: a receiver takes it, and that is all.
//! - A receive stands in line with nothing: a sender hands it a value, which lies in its place until it looks.
//! - A selection (or a reservation) that sends has no value yet: it makes one when it has been chosen. Who meets it
//!   is *promised* a value, which comes into the place of the receiver. If the maker goes without making it, the
//!   promise is *broken*, and the receiver starts again.
//!
//! # Who goes early
//!
//! A send that goes before it was met takes its value with it. A receive that goes with a value in its place passes it to
//! the next receiver, now or later ([`State::returned`]), since its sender has been told that it is received; a receive that
//! goes while a value is promised leaves its place *abandoned*, and whoever made the promise passes the value on.
//!
//! # What happens under the lock
//!
//! Values and wakers are moved, and nothing else: they are cloned, made, woken and dropped outside of it ([`Errands`]).

mod future;
mod line;
mod state;
mod token;

pub(super) use future::{Promise, Receiving, Reserving, Sending};
pub(super) use line::Key;
pub(super) use state::Received;
pub(super) use token::Token;

use super::error::{TryRecvError, TrySendError};
use crate::{lock, park};
use state::{Errands, Sought, State};
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// Where senders and receivers meet.
pub(super) struct Rendezvous<T> {
    state: Mutex<State<T>>,
}

impl<T> Rendezvous<T> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::new()) }
    }

    /// Does `act` under the lock, and then what it left to be done outside.
    fn locked<R>(&self, act: impl FnOnce(&mut State<T>, &mut Errands) -> R) -> R {
        let mut errands = Errands::default();
        let result = act(&mut lock(&self.state), &mut errands);
        errands.run();
        result
    }

    /// Hands `value` to a receiver that waits.
    // Inlined beside the ring it would make every `try_send` save registers and stack for it.
    #[inline(never)]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.locked(|state, errands| state.send(value, errands))
    }

    /// Takes a value from a sender that waits. Waits only for a selection that has been chosen by this, and makes its value
    /// now.
    #[inline(never)]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        loop {
            match self.locked(|state, errands| state.receive(None, errands))? {
                Received::Value(value) => return Ok(value),
                Received::Promised(key) => {
                    if let Some(value) = self.wait_for_promised(key) {
                        return Ok(value);
                    }
                }
            }
        }
    }

    /// Claims a receiver that waits, for a value that is still to be made.
    pub(super) fn try_reserve(&self) -> Result<Promise<'_, T>, TrySendError<()>> {
        let key = self.locked(State::promise)?;
        Ok(Promise::new(self, key))
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

    // ------------------------------------------------- what a selection needs

    /// Whether a send would go on at once: a receiver waits, or it is closed.
    pub(super) fn is_send_ready(&self) -> bool {
        lock(&self.state).is_send_ready(None)
    }

    /// Whether a receive would go on at once: a sender waits, or it is closed.
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

    /// Takes an arm that sends out of line; the promise that it has to keep, if it was chosen.
    pub(super) fn withdraw_send(&self, key: Key) -> Option<Promise<'_, T>> {
        let asked = self.locked(|state, errands| state.withdraw_send(key, errands));
        asked.map(|receiver| Promise::new(self, receiver))
    }

    /// Takes an arm that receives out of line; what it was given, if it was chosen. Waits for a value that was promised.
    pub(super) fn withdraw_recv(&self, key: Key) -> Option<T> {
        match self.locked(|state, errands| state.withdraw_recv(key, errands))? {
            Received::Value(value) => Some(value),
            Received::Promised(key) => self.wait_for_promised(key),
        }
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
