//! [`Permit`]: the right to send one value, at once.

use super::Sender;
use super::error::{SendError, TrySendError};
use super::flavor::{Flavor, Ring};
use super::locked::{Reserving, Right};
use aqueduct_core::channel as core;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The right to send one value, at once, for a value that is still to be made. Made by [`Sender::reserve`] and its other
/// forms; dropping it gives the right up.
///
/// In a channel with room it is a place: the value comes out as if it had been sent when the place was reserved, unless a
/// receiver came by that place meanwhile; then, as if it were sent when it is. It holds up nobody.
///
/// With room for one or two values it is a place as well, and the value comes out as one that is sent when it is. If all places are reserved,
/// a receiver takes a value from a sender that waits.
///
/// In a channel without room it is a receiver, who waits for this value and for nothing else. If it gives up waiting,
/// the value goes to whoever receives next; so `send` never waits.
///
/// # Examples
///
/// ```
/// use aqueduct::channel;
///
/// let (sender, receiver) = channel::bounded(1);
/// let permit = sender.reserve()?;
/// assert!(sender.try_reserve().is_err(), "the only place is taken");
/// permit.send("dear to make, and not made in vain")?;
/// assert!(receiver.recv().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a permit gives it up"]
pub struct Permit<'a, T> {
    kind: Kind<'a, T>,
}

enum Kind<'a, T> {
    Ring(core::Permit<'a, Ring<T>>),
    Locked(Right<'a, T>),
}

impl<'a, T> Permit<'a, T> {
    pub(super) fn of_ring(permit: core::Permit<'a, Ring<T>>) -> Self {
        Self { kind: Kind::Ring(permit) }
    }

    pub(super) fn of_locked(right: Right<'a, T>) -> Self {
        Self { kind: Kind::Locked(right) }
    }

    pub(super) fn try_new(sender: &'a Sender<T>) -> Result<Self, TrySendError<()>> {
        match &sender.channel.flavor {
            Flavor::Ring(ring) => Ok(Self::of_ring(ring.try_reserve()?)),
            Flavor::Locked(locked) => Ok(Self::of_locked(locked.try_reserve()?)),
        }
    }

    /// Sends `value`.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the channel was closed meanwhile. (Where a receiver has been claimed, or at a place of a
    /// channel with more room that no receiver has come by, it may still be sent.)
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        match self.kind {
            Kind::Ring(permit) => permit.send(value).map_err(|refused| SendError(refused.0)),
            Kind::Locked(right) => right.send(value),
        }
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// A future that has the right to send one value. Made by [`Sender::reserve_async`].
///
/// # Cancel safety
///
/// Dropping it leaves the line; a turn that it had been given goes to the next.
#[must_use = "futures do nothing unless polled"]
pub struct ReserveFuture<'a, T> {
    kind: Waiting<'a, T>,
}

enum Waiting<'a, T> {
    Ring(core::Reserve<'a, Ring<T>>),
    Locked(Reserving<'a, T>),
}

impl<'a, T> ReserveFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>) -> Self {
        let kind = match &sender.channel.flavor {
            Flavor::Ring(ring) => Waiting::Ring(ring.reserve()),
            Flavor::Locked(locked) => Waiting::Locked(Reserving::new(locked)),
        };
        Self { kind }
    }
}

impl<'a, T> Future for ReserveFuture<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.kind {
            Waiting::Ring(reserve) => Pin::new(reserve)
                .poll(cx)
                .map(|reserved| reserved.map(Permit::of_ring).map_err(|_| SendError(()))),
            Waiting::Locked(reserving) => {
                Pin::new(reserving).poll(cx).map(|reserved| reserved.map(Permit::of_locked))
            }
        }
    }
}

impl<T> fmt::Debug for ReserveFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReserveFuture").finish_non_exhaustive()
    }
}
