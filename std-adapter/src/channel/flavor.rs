//! The two kinds of channel: with room, and without.

use super::error::{TryRecvError, TrySendError};
use super::rendezvous::Rendezvous;
use super::select::Desk;
use aqueduct_core::channel::{self as core, Channel, ForceSendError};
use std::mem;

/// What the handles of both ends share.
pub(super) struct Shared<T> {
    pub(super) flavor: Flavor<T>,
    /// Where a selection with arms of many types leaves the value of this one.
    pub(super) desk: Desk<T>,
}

#[allow(clippy::large_enum_variant, reason = "one per channel; a box would cost each call a hop")]
pub(super) enum Flavor<T> {
    /// Room for one value or more.
    Ring(Channel<T>),
    /// No room: a send meets a receive.
    Rendezvous(Rendezvous<T>),
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let flavor = match capacity {
            0 => Flavor::Rendezvous(Rendezvous::new()),
            _ => Flavor::Ring(Channel::new(capacity)),
        };
        Self { flavor, desk: Desk::new() }
    }

    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.try_send(value).map_err(TrySendError::from),
            Flavor::Rendezvous(rendezvous) => rendezvous.try_send(value),
        }
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.try_recv().map_err(TryRecvError::from),
            Flavor::Rendezvous(rendezvous) => rendezvous.try_recv(),
        }
    }

    pub(super) fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.force_send(value),
            Flavor::Rendezvous(rendezvous) => match rendezvous.try_send(value) {
                Ok(()) => Ok(None),
                Err(TrySendError::Full(value)) => Ok(Some(value)),
                Err(TrySendError::Disconnected(value)) => Err(core::SendError(value).into()),
            },
        }
    }

    pub(super) fn close(&self) -> bool {
        match &self.flavor {
            Flavor::Ring(ring) => ring.close(),
            Flavor::Rendezvous(rendezvous) => rendezvous.close(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.flavor {
            Flavor::Ring(ring) => ring.is_closed(),
            Flavor::Rendezvous(rendezvous) => rendezvous.is_closed(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Ring(ring) => ring.len(),
            Flavor::Rendezvous(_) => 0,
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match &self.flavor {
            Flavor::Ring(ring) => ring.capacity(),
            Flavor::Rendezvous(_) => 0,
        }
    }

    /// Whether it pays to try a few times before standing in line: where there is no room, only those who stand in line
    /// can be met.
    pub(super) fn has_room(&self) -> bool {
        matches!(self.flavor, Flavor::Ring(_))
    }

    /// Drops what is in the channel, also when one of the drops panics.
    pub(super) fn discard(&self) {
        struct Rest<'a, T>(&'a Shared<T>);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                self.0.discard();
            }
        }

        while let Ok(value) = self.try_recv() {
            let rest = Rest(self);
            drop(value);
            mem::forget(rest);
        }
    }
}

impl<T> From<core::TrySendError<T>> for TrySendError<T> {
    #[inline]
    fn from(refused: core::TrySendError<T>) -> Self {
        match refused {
            core::TrySendError::Full(value) => Self::Full(value),
            core::TrySendError::Closed(value) => Self::Disconnected(value),
        }
    }
}

impl From<core::TryRecvError> for TryRecvError {
    #[inline]
    fn from(nothing: core::TryRecvError) -> Self {
        match nothing {
            core::TryRecvError::Empty => Self::Empty,
            core::TryRecvError::Closed => Self::Disconnected,
        }
    }
}
