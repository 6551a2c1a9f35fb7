//! Who is left: the handles of each side share one of these, and the last to go closes the channel.
//!
//! The count is the `Arc`'s own. A handle also points to the channel directly, so that sending and
//! receiving never touch the counts.

use super::clock::Clock;
use super::flavor::Shared;
use std::sync::{Arc, OnceLock, Weak};

/// Shared by all senders of a channel.
pub(super) struct SenderSide<T> {
    pub(super) channel: Arc<Shared<T>>,
    /// Set by [`pair`]: one of the two has to come first.
    receivers: OnceLock<Weak<ReceiverSide<T>>>,
}

/// Shared by all receivers of a channel.
pub(super) struct ReceiverSide<T> {
    pub(super) channel: Arc<Shared<T>>,
    senders: Weak<SenderSide<T>>,
    /// What sends, if it is no sender: stopped when the last receiver goes.
    _clock: Option<Clock>,
}

pub(super) fn pair<T>(channel: &Arc<Shared<T>>) -> (Arc<SenderSide<T>>, Arc<ReceiverSide<T>>) {
    let senders = Arc::new(SenderSide { channel: Arc::clone(channel), receivers: OnceLock::new() });
    let receivers = Arc::new(ReceiverSide {
        channel: Arc::clone(channel),
        senders: Arc::downgrade(&senders),
        _clock: None,
    });
    let _ = senders.receivers.set(Arc::downgrade(&receivers));
    (senders, receivers)
}

/// The one side of a channel whose sender is a clock.
pub(super) fn receivers_of_clock<T>(
    channel: &Arc<Shared<T>>,
    clock: Option<Clock>,
) -> Arc<ReceiverSide<T>> {
    Arc::new(ReceiverSide { channel: Arc::clone(channel), senders: Weak::new(), _clock: clock })
}

impl<T> SenderSide<T> {
    pub(super) fn receiver_count(&self) -> usize {
        self.receivers.get().map_or(0, Weak::strong_count)
    }
}

impl<T> ReceiverSide<T> {
    pub(super) fn senders(&self) -> Weak<SenderSide<T>> {
        Weak::clone(&self.senders)
    }

    pub(super) fn sender_count(&self) -> usize {
        self.senders.strong_count()
    }
}

impl<T> Drop for SenderSide<T> {
    fn drop(&mut self) {
        self.channel.close();
    }
}

impl<T> Drop for ReceiverSide<T> {
    fn drop(&mut self) {
        /// Also if closing wakes somebody whose waker panics.
        struct Discard<'a, T>(&'a Shared<T>);

        impl<T> Drop for Discard<'_, T> {
            fn drop(&mut self) {
                self.0.discard();
            }
        }

        // A value may hold what others wait for, such as the sender of an answer: it is not kept until the last
        // sender goes. A send that is half-way through does not slip past this: on a closed channel the queue says
        // "closed" only when all such sends have been told to take their value back.
        let _then = Discard(&self.channel);
        self.channel.close();
    }
}
