//! Standing in line without taking anything: for whoever waits for several channels at once.

use super::future::{AnyChannel, Key, Permit};
use super::{TryRecvError, TrySendError};
use crate::wait::{self, Wait, WaitQueue};
use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A place in the line of one side.
struct Watch<'a, W: wait::Storage> {
    queue: &'a WaitQueue<W>,
    wait: Option<Wait<'a, W>>,
    /// A wake-up has come that no attempt has used: it is the next sleeper's if none follows.
    owes: bool,
}

impl<'a, W: wait::Storage> Watch<'a, W> {
    const fn new(queue: &'a WaitQueue<W>) -> Self {
        Self { queue, wait: None, owes: false }
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.owes {
            let wait = self.wait.get_or_insert_with(|| self.queue.wait());
            if Pin::new(wait).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.wait = None;
            self.owes = true;
        }
        Poll::Ready(())
    }

    /// An attempt uses up the wake-up, whatever comes of it. One that succeeds leaves the line, and a wake-up that is on
    /// its way to us goes to the next.
    fn attempt<R>(&mut self, result: R, has_succeeded: impl FnOnce(&R) -> bool) -> R {
        self.owes = false;
        if has_succeeded(&result) {
            self.wait = None;
        }
        result
    }

    /// A look that finds nothing uses up the wake-up, too.
    fn looked(&mut self, is_ready: bool) -> bool {
        self.owes &= is_ready;
        is_ready
    }

    fn leave(&mut self) {
        // Passes a wake-up on that we have not noticed yet.
        self.wait = None;
        if core::mem::take(&mut self.owes) {
            self.queue.notify(1);
        }
    }
}

impl<W: wait::Storage> Drop for Watch<'_, W> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A place in the line of those who receive, which takes nothing by itself. Made by
/// [`watch_recv`](super::StaticChannel::watch_recv).
///
/// For whoever waits for several channels at once, and in the end takes from one: [`poll_ready`](Self::poll_ready) stands in
/// line, [`try_recv`](Self::try_recv) looks. A wake-up that was followed by no look is passed on when the watch
/// [leaves](Self::leave) the line or is dropped, so that no value stays beside a sleeper.
///
/// # Examples
///
/// ```
/// use aqueduct_core::channel::StaticChannel;
/// use core::task::{Context, Poll, Waker};
///
/// let (one, two) = (StaticChannel::<u8, 1>::new(), StaticChannel::<u8, 1>::new());
/// let mut watches = [one.watch_recv(), two.watch_recv()];
/// let mut cx = Context::from_waker(Waker::noop());
/// for watch in &mut watches {
///     assert!(watch.poll_ready(&mut cx).is_pending());
///     assert!(watch.try_recv().is_err(), "after standing in line, look again");
/// }
/// two.try_send(7).unwrap();
/// assert!(watches[0].poll_ready(&mut cx).is_pending());
/// assert_eq!(watches[1].poll_ready(&mut cx), Poll::Ready(()));
/// assert_eq!(watches[1].try_recv(), Ok(7));
/// ```
///
/// # Progress
///
/// As [the channel](super#progress): nothing here waits, where the channel is lock-free.
#[must_use = "whoever does not keep it leaves the line"]
pub struct RecvWatch<'a, C: AnyChannel> {
    channel: &'a C,
    watch: Watch<'a, C::Waiters>,
}

impl<'a, C: AnyChannel> RecvWatch<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { channel, watch: Watch::new(channel.receivers(Key(()))) }
    }

    /// Stands in line, with this waker. `Pending`: registered, now look again, then sleep. `Ready`: something may have
    /// changed since, and this watch has left the line: look, and if there is nothing, ask again.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.poll_ready(cx)
    }

    /// Takes the oldest value out if there is one, and leaves the line with it.
    ///
    /// # Errors
    ///
    /// As [`StaticChannel::try_recv`](super::StaticChannel::try_recv).
    pub fn try_recv(&mut self) -> Result<C::Item, TryRecvError> {
        self.watch
            .attempt(self.channel.try_recv(), |result| !matches!(result, Err(TryRecvError::Empty)))
    }

    /// Looks whether [`try_recv`](Self::try_recv) might find something (or the end), and leaves it there: the wake-up that told us
    /// is still to be used, or passed on. It may say yes where a value is only on its way.
    pub fn is_ready(&mut self) -> bool {
        self.watch.looked(self.channel.may_recv())
    }

    /// Leaves the line; a wake-up that was not used goes to the next.
    pub fn leave(&mut self) {
        self.watch.leave();
    }
}

/// A place in the line of those who send, which takes no place by itself. Made by
/// [`watch_send`](super::StaticChannel::watch_send). The mirror image of [`RecvWatch`].
///
/// # Progress
///
/// As [the channel](super#progress): nothing here waits, where the channel is lock-free.
#[must_use = "whoever does not keep it leaves the line"]
pub struct SendWatch<'a, C: AnyChannel> {
    channel: &'a C,
    watch: Watch<'a, C::Waiters>,
}

impl<'a, C: AnyChannel> SendWatch<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { channel, watch: Watch::new(channel.senders(Key(()))) }
    }

    /// Stands in line, with this waker. `Pending`: registered, now look again, then sleep. `Ready`: something may have
    /// changed since, and this watch has left the line: look, and if there is no room, ask again.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watch.poll_ready(cx)
    }

    /// Reserves a place if there is room, and leaves the line with it.
    ///
    /// # Errors
    ///
    /// As [`StaticChannel::try_reserve`](super::StaticChannel::try_reserve).
    pub fn try_reserve(&mut self) -> Result<Permit<'a, C>, TrySendError<()>> {
        self.watch.attempt(Permit::try_new(self.channel), |result| {
            !matches!(result, Err(TrySendError::Full(())))
        })
    }

    /// Looks whether [`try_reserve`](Self::try_reserve) might find room (or the end), and leaves it there: the wake-up that told us is
    /// still to be used, or passed on.
    pub fn is_ready(&mut self) -> bool {
        self.watch.looked(self.channel.may_send())
    }

    /// Leaves the line; a wake-up that was not used goes to the next.
    pub fn leave(&mut self) {
        self.watch.leave();
    }
}

macro_rules! debug {
    ($($watch:ident),*) => {$(
        impl<C: AnyChannel> fmt::Debug for $watch<'_, C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($watch))
                    .field("is_registered", &self.watch.wait.is_some())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug!(RecvWatch, SendWatch);
