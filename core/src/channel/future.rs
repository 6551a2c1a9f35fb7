//! The futures of a channel: try, register, look again, sleep.

use super::{RecvError, ReserveError, SendError, TryRecvError, TrySendError};
use crate::wait::{self, Wait, WaitQueue};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// A channel of this crate, as the futures of this module see it: [`StaticChannel`](super::StaticChannel)
/// or [`Channel`](super::Channel). Not to be implemented elsewhere.
///
/// The lines in which those wait are the channel's own. This does not compile:
///
/// ```compile_fail,E0061
/// fn close<C: aqueduct_core::channel::AnyChannel>(channel: &C) {
///     channel.receivers().close();
/// }
/// ```
pub trait AnyChannel: Operations {}

/// What the futures do with a channel.
pub trait Operations {
    type Item;
    type Waiters: wait::Storage;

    fn try_send(&self, value: Self::Item) -> Result<(), TrySendError<Self::Item>>;
    fn try_recv(&self) -> Result<Self::Item, TryRecvError>;
    fn try_recv_many(&self, max: usize, f: impl FnMut(Self::Item)) -> usize;
    fn is_closed(&self) -> bool;
    /// Whether somebody who has registered need not sleep: not empty, or closed.
    fn may_recv(&self) -> bool;
    /// Whether somebody who has registered need not sleep: not full, or closed.
    fn may_send(&self) -> bool;

    /// Claims a place; the ticket goes to `send_reserved` or to `give_up` of this channel, once. That only a
    /// [`Permit`] does: it has the [`Key`].
    fn try_reserve(&self) -> Result<usize, TrySendError<()>>;
    fn send_reserved(&self, ticket: usize, value: Self::Item, key: Key) -> Result<(), Self::Item>;
    fn give_up(&self, ticket: usize, key: Key);

    /// Where senders wait. Nobody else may close it, nor notify without a cause.
    fn senders(&self, key: Key) -> &WaitQueue<Self::Waiters>;
    /// Where receivers wait; likewise.
    fn receivers(&self, key: Key) -> &WaitQueue<Self::Waiters>;
}

/// The right to use a ticket, or the lines of those who wait. What is generic over [`AnyChannel`] can call every function of
/// [`Operations`], though it cannot name the trait; but only the channel's own modules can make this.
pub struct Key(pub(super) ());

/// One sleeper: `attempt` decides, the wait queue tells when to try again.
struct Sleeper<'a, W: wait::Storage> {
    wait: Option<Wait<'a, W>>,
}

impl<'a, W: wait::Storage> Sleeper<'a, W> {
    const fn new() -> Self {
        Self { wait: None }
    }

    /// Tries until it succeeds or sleeps. Registering comes before the last look, so that whoever makes the
    /// attempt possible after that look finds somebody to wake.
    fn poll_until<R>(
        &mut self,
        queue: &'a WaitQueue<W>,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        // Whoever stands in line asks the line first: a wake-up that is followed by success has been used, and
        // passing it on would wake somebody for nothing.
        if self.wait.is_none()
            && let Some(result) = attempt()
        {
            return Poll::Ready(result);
        }
        loop {
            let wait = self.wait.get_or_insert_with(|| queue.wait());
            if Pin::new(wait).poll(cx).is_ready() {
                // Woken, or closed: there is something to find out.
                self.wait = None;
            }
            if let Some(result) = attempt() {
                // A wake-up that comes just now goes to the next sleeper.
                self.wait = None;
                return Poll::Ready(result);
            }
            if self.wait.is_some() {
                return Poll::Pending;
            }
        }
    }
}

/// A value on its way into a channel. Made by [`send`](super::StaticChannel::send).
#[must_use = "futures do nothing unless awaited"]
pub struct Send<'a, C: AnyChannel> {
    channel: &'a C,
    value: Option<C::Item>,
    sleeper: Sleeper<'a, C::Waiters>,
}

impl<'a, C: AnyChannel> Send<'a, C> {
    pub(super) fn new(channel: &'a C, value: C::Item) -> Self {
        Self { channel, value: Some(value), sleeper: Sleeper::new() }
    }

    /// The value, if it has not gone in: what a sender does that has waited long enough.
    pub fn into_value(self) -> Option<C::Item> {
        self.value
    }
}

// The value is moved, never pinned.
impl<C: AnyChannel> Unpin for Send<'_, C> {}

impl<C: AnyChannel> Future for Send<'_, C> {
    type Output = Result<(), SendError<C::Item>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { channel, value, sleeper } = &mut *self;
        sleeper.poll_until(channel.senders(Key(())), cx, || {
            let item = value.take().expect("polled after it was ready");
            match channel.try_send(item) {
                Ok(()) => Some(Ok(())),
                Err(TrySendError::Closed(item)) => Some(Err(SendError(item))),
                Err(TrySendError::Full(item)) => {
                    *value = Some(item);
                    None
                }
            }
        })
    }
}

/// A wait for a value. Made by [`recv`](super::StaticChannel::recv).
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a, C: AnyChannel> {
    channel: &'a C,
    sleeper: Sleeper<'a, C::Waiters>,
}

impl<'a, C: AnyChannel> Recv<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { channel, sleeper: Sleeper::new() }
    }
}

impl<C: AnyChannel> Future for Recv<'_, C> {
    type Output = Result<C::Item, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { channel, sleeper } = &mut *self;
        sleeper.poll_until(channel.receivers(Key(())), cx, || match channel.try_recv() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Closed) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => None,
        })
    }
}

/// A wait for several values. Made by [`recv_many`](super::StaticChannel::recv_many).
#[must_use = "futures do nothing unless awaited"]
pub struct RecvMany<'a, C: AnyChannel, F> {
    channel: &'a C,
    sleeper: Sleeper<'a, C::Waiters>,
    max: usize,
    f: F,
}

impl<'a, C: AnyChannel, F> RecvMany<'a, C, F> {
    pub(super) fn new(channel: &'a C, max: usize, f: F) -> Self {
        Self { channel, sleeper: Sleeper::new(), max, f }
    }
}

// The closure is called through `&mut`, never pinned.
impl<C: AnyChannel, F> Unpin for RecvMany<'_, C, F> {}

impl<C: AnyChannel, F: FnMut(C::Item)> Future for RecvMany<'_, C, F> {
    type Output = Result<usize, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { channel, sleeper, max, f } = &mut *self;
        if *max == 0 {
            return Poll::Ready(Ok(0));
        }
        sleeper.poll_until(channel.receivers(Key(())), cx, || {
            // Asked first: nothing comes in after the channel was closed.
            let is_closed = channel.is_closed();
            match channel.try_recv_many(*max, &mut *f) {
                0 if is_closed => Some(Err(RecvError)),
                0 => None,
                received => Some(Ok(received)),
            }
        })
    }
}

/// A wait for room. Made by [`reserve`](super::StaticChannel::reserve).
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve<'a, C: AnyChannel> {
    channel: &'a C,
    sleeper: Sleeper<'a, C::Waiters>,
}

impl<'a, C: AnyChannel> Reserve<'a, C> {
    pub(super) fn new(channel: &'a C) -> Self {
        Self { channel, sleeper: Sleeper::new() }
    }

    /// Leaves the line; a wake-up that was meant for it goes to the next.
    #[cfg(feature = "futures")]
    pub(super) fn leave(&mut self) {
        self.sleeper.wait = None;
    }
}

impl<'a, C: AnyChannel> Future for Reserve<'a, C> {
    type Output = Result<Permit<'a, C>, ReserveError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { channel, sleeper } = &mut *self;
        let channel = *channel;
        sleeper.poll_until(channel.senders(Key(())), cx, || match Permit::try_new(channel) {
            Ok(permit) => Some(Ok(permit)),
            Err(TrySendError::Closed(())) => Some(Err(ReserveError)),
            Err(TrySendError::Full(())) => None,
        })
    }
}

/// A place in a channel, kept for one value; dropping it gives the place up.
///
/// The place is also one in line: the value comes out as if it had been sent when the place was reserved,
/// unless a receiver came by that place meanwhile; then, as if it were sent when it is. A permit holds up
/// nobody.
///
/// A place that is given up leaves no trace, if none was claimed since. Otherwise it costs each later one a step until a receiver has passed it;
/// and where that happens again and again beside a value that nobody receives, the channel in the end calls itself full until the next
/// receive: on 64-bit targets after a hundred thousand times at the least, on 32-bit ones after a dozen.
///
/// `mem::forget` of a permit loses the place, and nothing else.
///
/// It does not outlive its channel. This does not compile:
///
/// ```compile_fail,E0597
/// use aqueduct_core::{block_on, channel::StaticChannel};
///
/// let permit = {
///     let channel = StaticChannel::<u8, 1>::new();
///     block_on(channel.reserve(), core::hint::spin_loop).unwrap()
/// };
/// ```
#[must_use = "the place is given up at once if its permit is not kept"]
pub struct Permit<'a, C: AnyChannel> {
    channel: &'a C,
    ticket: usize,
}

impl<'a, C: AnyChannel> Permit<'a, C> {
    pub(super) fn try_new(channel: &'a C) -> Result<Self, TrySendError<()>> {
        Ok(Self { channel, ticket: channel.try_reserve()? })
    }

    /// Puts `value` into the place.
    ///
    /// # Errors
    ///
    /// The channel was closed meanwhile, and a receiver was told so or came by the place; `value` comes back.
    pub fn send(self, value: C::Item) -> Result<(), SendError<C::Item>> {
        let Self { channel, ticket } = self;
        core::mem::forget(self);
        channel.send_reserved(ticket, value, Key(())).map_err(SendError)
    }
}

impl<C: AnyChannel> Drop for Permit<'_, C> {
    fn drop(&mut self) {
        self.channel.give_up(self.ticket, Key(()));
    }
}

impl<C: AnyChannel> fmt::Debug for Permit<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

macro_rules! debug {
    ($($future:ident $(<$F:ident>)?),*) => {$(
        impl<C: AnyChannel $(, $F)?> fmt::Debug for $future<'_, C $(, $F)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let is_registered = self.sleeper.wait.is_some();
                f.debug_struct(stringify!($future)).field("is_registered", &is_registered).finish_non_exhaustive()
            }
        }
    )*};
}

debug!(Send, Recv, RecvMany<F>, Reserve);
