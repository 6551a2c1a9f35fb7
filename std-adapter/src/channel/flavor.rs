//! The two kinds of channel: a ring, and one under a lock for little room and none.

use super::error::{TryRecvError, TrySendError};
use super::locked::Locked;
use super::select::Desk;
use super::side::ReceiverSide;
use crate::lock;
use crate::park::Impatience;
use aqueduct_core::channel::{self as core, Channel, ForceSendError, Progress};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::{mem, thread};

/// The greatest capacity of a channel under a lock. With more room the ring makes so few context switches that its shorter path
/// wins: measured in 2026 on two CPUs and on one, the lock is ahead at 1 and 2, behind at 8, and in between it depends.
const LOCKED_UP_TO: usize = 2;

/// What the handles of both ends share.
pub(super) struct Shared<T> {
    pub(super) flavor: Flavor<T>,
    /// Where a selection with arms of many types leaves the value of this one.
    pub(super) desk: Desk<T>,
    /// How many values were in when the last receiver went. Held while each is taken out, and not while it is dropped.
    discarded: Mutex<usize>,
    /// Whom to tell that it is closed, each time that somebody closes it.
    at_close: OnceLock<Hook>,
}

pub(super) type Hook = Box<dyn Fn() + Send + Sync>;

#[allow(clippy::large_enum_variant, reason = "one per channel; a box would cost each call a hop")]
pub(super) enum Flavor<T> {
    /// Much room: where a value is in, and where is a place, is seldom in question, and nobody waits for a lock.
    Ring(Ring<T>),
    /// Little room, or none: senders wait with their values, and receivers are handed one.
    Locked(Locked<T>),
}

/// Faster than the lock-free one, for threads and tasks.
pub(crate) type Ring<T> = Channel<T, Yield>;

/// Who meets a party half-way through gives the CPU away: that party may have lost this very one.
pub(crate) enum Yield {}

impl Progress for Yield {
    const LOCK_FREE: bool = false;

    fn give_way() {
        thread::yield_now();
    }
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let flavor = match capacity {
            ..=LOCKED_UP_TO => Flavor::Locked(Locked::new(capacity)),
            _ => Flavor::Ring(Channel::with_progress(capacity)),
        };
        Self { flavor, desk: Desk::new(), discarded: Mutex::new(0), at_close: OnceLock::new() }
    }

    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.try_send(value).map_err(TrySendError::from),
            Flavor::Locked(locked) => locked.try_send(value),
        }
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.try_recv().map_err(TryRecvError::from),
            Flavor::Locked(locked) => locked.try_recv(),
        }
    }

    pub(super) fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>> {
        match &self.flavor {
            Flavor::Ring(ring) => ring.force_send(value),
            Flavor::Locked(locked) => locked
                .force_send(value)
                .map_err(|closed| core::SendError(closed.into_inner()).into()),
        }
    }

    /// From now on `hook` is told of each close, that by the last handle of a side included. There is one for ever.
    pub(super) fn at_close(&self, hook: Hook) {
        let set = self.at_close.set(hook);
        debug_assert!(set.is_ok(), "somebody is told already");
    }

    pub(super) fn close(&self) -> bool {
        /// Also if closing wakes somebody whose waker panics.
        struct Tell<'a>(Option<&'a Hook>);

        impl Drop for Tell<'_> {
            fn drop(&mut self) {
                if let Some(hook) = self.0 {
                    hook();
                }
            }
        }

        let _then = Tell(self.at_close.get());
        match &self.flavor {
            Flavor::Ring(ring) => ring.close(),
            Flavor::Locked(locked) => locked.close(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match &self.flavor {
            Flavor::Ring(ring) => ring.is_closed(),
            Flavor::Locked(locked) => locked.is_closed(),
        }
    }

    pub(super) fn len(&self) -> usize {
        match &self.flavor {
            Flavor::Ring(ring) => ring.len(),
            Flavor::Locked(locked) => locked.len(),
        }
    }

    pub(super) fn capacity(&self) -> usize {
        match &self.flavor {
            Flavor::Ring(ring) => ring.capacity(),
            Flavor::Locked(locked) => locked.capacity(),
        }
    }

    /// Whether there is no place left.
    pub(super) fn is_full(&self) -> bool {
        match &self.flavor {
            Flavor::Ring(ring) => ring.len() == ring.capacity(),
            Flavor::Locked(locked) => locked.is_full(),
        }
    }

    /// How a thread waits in line. At the ring it has tried patiently before; under a lock the line is the place to be patient in, since
    /// only those who stand there are served.
    pub(super) fn impatience(&self) -> Impatience {
        match &self.flavor {
            Flavor::Ring(_) => Impatience::Spent,
            Flavor::Locked(_) => Impatience::Meeting,
        }
    }

    /// Drops what is in the channel, also when one of the drops panics.
    pub(super) fn discard(&self) {
        struct Rest<'a, T>(&'a Shared<T>);

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                self.0.discard();
            }
        }

        while let Some(value) = self.take_discarded() {
            let rest = Rest(self);
            drop(value);
            mem::forget(rest);
        }
    }

    /// Takes one out and counts it, in one step.
    fn take_discarded(&self) -> Option<T> {
        let mut discarded = lock(&self.discarded);
        let value = self.try_recv().ok()?;
        *discarded += 1;
        Some(value)
    }
}

/// What is left in a channel when all its receivers are gone. It keeps nothing open.
pub(crate) struct Leftover<T> {
    pub(super) channel: Arc<Shared<T>>,
    pub(super) receivers: Weak<ReceiverSide<T>>,
}

impl<T> Leftover<T> {
    /// How many values were sent and will never be received: none while somebody might. For when nobody sends any more.
    pub(crate) fn count(&self) -> u64 {
        if self.receivers.strong_count() > 0 {
            return 0;
        }
        // Whoever dropped the last receiver may be at this just now.
        self.channel.discard();
        *lock(&self.channel.discarded) as u64
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
