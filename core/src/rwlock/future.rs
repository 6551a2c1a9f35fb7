//! The futures of a lock around a value: those of the raw lock, with guards at their end.

use super::RwLock;
use super::guard::{RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
use super::policy::{Policy, WriterPriority};
use super::raw::{RawAcquire, RawUpgrade};
use crate::wait::{Slots, Storage};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

macro_rules! request {
    ($(#[$doc:meta])* $name:ident, $raw:ident, $guard:ident) => {
        $(#[$doc])*
        ///
        /// It is `Unpin`, and stands in line from its first poll on.
        ///
        /// # Cancel safety
        ///
        /// Dropped before it is `Ready`, it leaves the line; those whom it held back come in, and what was handed to it
        /// goes to the next.
        #[must_use = "futures do nothing unless awaited"]
        pub struct $name<'a, T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>> {
            lock: &'a RwLock<T, P, W>,
            request: RawAcquire<'a, P, W>,
        }

        impl<'a, T: ?Sized, P: Policy, W: Storage> $name<'a, T, P, W> {
            pub(super) fn new(lock: &'a RwLock<T, P, W>) -> Self {
                Self { lock, request: lock.raw.$raw() }
            }
        }

        impl<'a, T: ?Sized, P: Policy, W: Storage> Future for $name<'a, T, P, W> {
            type Output = $guard<'a, T, P, W>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                ready!(Pin::new(&mut self.request).poll(cx));
                // SAFETY: the request has let us in, and the guard takes us out.
                Poll::Ready(unsafe { $guard::new(self.lock) })
            }
        }

        impl<T: ?Sized, P: Policy, W: Storage> fmt::Debug for $name<'_, T, P, W> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("request", &self.request)
                    .finish_non_exhaustive()
            }
        }
    };
}

request! {
    /// A request to read. Made by [`read`](RwLock::read).
    Read, read, RwLockReadGuard
}

request! {
    /// A request to write. Made by [`write`](RwLock::write).
    Write, write, RwLockWriteGuard
}

request! {
    /// A request to read upgradably. Made by [`upgradable_read`](RwLock::upgradable_read).
    UpgradableRead, upgradable_read, RwLockUpgradableReadGuard
}

/// An upgradable reader that waits to become the writer. Made by [`upgrade`](RwLockUpgradableReadGuard::upgrade).
///
/// From its first poll on nobody comes in: it waits for the readers inside, and for nobody else.
///
/// # Cancel safety
///
/// Dropped before it is `Ready`, it unlocks: it owns the guard that it was made of. To have that back,
/// [`cancel`](Self::cancel).
///
/// # Panics
///
/// When it is polled after it was `Ready`.
#[must_use = "futures do nothing unless awaited"]
pub struct Upgrade<'a, T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>> {
    // Before the guard: dropped first, it makes us the upgradable reader again.
    upgrade: RawUpgrade<'a, P, W>,
    guard: Option<RwLockUpgradableReadGuard<'a, T, P, W>>,
}

impl<'a, T: ?Sized, P: Policy, W: Storage> Upgrade<'a, T, P, W> {
    pub(super) fn new(guard: RwLockUpgradableReadGuard<'a, T, P, W>) -> Self {
        let lock = guard.lock();
        // SAFETY: the upgradable reader is inside, and its guard is not used while the upgrade lives.
        let upgrade = unsafe { lock.raw.upgrade() };
        Self { upgrade, guard: Some(guard) }
    }

    /// Gives up, and gives the guard back: the upgradable reader was inside all the time. `None` after it was `Ready`.
    ///
    /// Those who were kept out meanwhile may come in.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct_core::rwlock::{RwLock, RwLockUpgradableReadGuard};
    /// # use std::{future::Future, pin::Pin, task::{Context, Waker}};
    /// let lock = RwLock::new(1);
    /// let reader = lock.try_read();
    /// let mut upgrade = RwLockUpgradableReadGuard::upgrade(lock.try_upgradable_read().unwrap());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(Pin::new(&mut upgrade).poll(&mut cx).is_pending());
    /// assert!(lock.try_read().is_none(), "the upgrade keeps new readers out");
    /// let guard = upgrade.cancel().unwrap();
    /// assert!(lock.try_read().is_some());
    /// assert_eq!(*guard, 1);
    /// ```
    pub fn cancel(self) -> Option<RwLockUpgradableReadGuard<'a, T, P, W>> {
        let Self { upgrade, guard } = self;
        drop(upgrade);
        guard
    }
}

impl<'a, T: ?Sized, P: Policy, W: Storage> Future for Upgrade<'a, T, P, W> {
    type Output = RwLockWriteGuard<'a, T, P, W>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(self.guard.is_some(), "polled after it was ready");
        ready!(Pin::new(&mut self.upgrade).poll(cx));
        let guard = self.guard.take().expect("there was one a moment ago");
        // SAFETY: the upgrade has made the upgradable reader, whose guard is gone, the writer.
        Poll::Ready(unsafe { RwLockWriteGuard::new(guard.release()) })
    }
}

impl<T: ?Sized, P: Policy, W: Storage> fmt::Debug for Upgrade<'_, T, P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("upgrade", &self.upgrade).finish_non_exhaustive()
    }
}
