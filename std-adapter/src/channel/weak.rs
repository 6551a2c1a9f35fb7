//! Handles that do not keep their side alive.

use super::side::{ReceiverSide, SenderSide};
use super::{Receiver, Sender};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::{Arc, Weak};

/// A [`Sender`] that does not keep the channel open. Made by [`Sender::downgrade`].
///
/// # Examples
///
/// ```
/// let (sender, receiver) = aqueduct::channel::bounded(1);
/// let weak = sender.downgrade();
/// weak.upgrade().expect("a sender is there").send(1).unwrap();
/// drop(sender);
/// assert!(weak.upgrade().is_none());
/// assert_eq!(receiver.iter().count(), 1, "and the channel is closed");
/// ```
pub struct WeakSender<T> {
    pub(super) side: Weak<SenderSide<T>>,
}

/// A [`Receiver`] that does not keep the channel open. Made by [`Receiver::downgrade`].
///
/// # Examples
///
/// ```
/// let (sender, receiver) = aqueduct::channel::bounded(1);
/// let weak = receiver.downgrade();
/// sender.send(1).unwrap();
/// assert_eq!(weak.upgrade().expect("a receiver is there").recv(), Ok(1));
/// drop(receiver);
/// assert!(weak.upgrade().is_none() && sender.is_closed());
/// ```
pub struct WeakReceiver<T> {
    pub(super) side: Weak<ReceiverSide<T>>,
}

macro_rules! weak {
    ($weak:ident, $strong:ident) => {
        impl<T> $weak<T> {
            /// A handle that counts, if there is still one of its side.
            pub fn upgrade(&self) -> Option<$strong<T>> {
                let side = self.side.upgrade()?;
                Some($strong { channel: Arc::clone(&side.channel), side })
            }
        }

        impl<T> Clone for $weak<T> {
            fn clone(&self) -> Self {
                Self { side: Weak::clone(&self.side) }
            }
        }

        // As of the strong ones.
        impl<T> UnwindSafe for $weak<T> {}
        impl<T> RefUnwindSafe for $weak<T> {}

        impl<T> fmt::Debug for $weak<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($weak))
                    .field("handles", &self.side.strong_count())
                    .finish_non_exhaustive()
            }
        }
    };
}

weak!(WeakSender, Sender);
weak!(WeakReceiver, Receiver);
