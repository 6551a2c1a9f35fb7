//! The guards of [`RwLock`]: core's, and that a thread has them.

use super::RwLock;
use crate::context::{Context, ContextError};
use crate::core::rwlock::{self as core, Policy, Upgrade, WriterPriority};
use crate::core::wait::Growable;
use crate::park::{Impatience, deadline_after, drive};
use crate::sync::order::{Held, Mode};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::time::{Duration, Instant};

/// Reads the value of a [`RwLock`]; dropping it leaves the lock.
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct RwLockReadGuard<'a, T: ?Sized, P: Policy = WriterPriority> {
    inside: core::RwLockReadGuard<'a, T, P, Growable>,
    held: Held,
}

/// Reads and writes the value of a [`RwLock`]; dropping it leaves the lock.
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct RwLockWriteGuard<'a, T: ?Sized, P: Policy = WriterPriority> {
    lock: &'a RwLock<T, P>,
    inside: core::RwLockWriteGuard<'a, T, P, Growable>,
    held: Held,
}

/// Reads the value of a [`RwLock`] beside other readers, and may become the writer; dropping it leaves the lock.
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized, P: Policy = WriterPriority> {
    lock: &'a RwLock<T, P>,
    inside: core::RwLockUpgradableReadGuard<'a, T, P, Growable>,
    held: Held,
}

/// Reads a part of the value of a [`RwLock`]; dropping it leaves the lock. Made by [`RwLockReadGuard::map`].
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized, P: Policy = WriterPriority> {
    inside: core::MappedRwLockReadGuard<'a, T, P, Growable>,
    held: Held,
}

/// Reads and writes a part of the value of a [`RwLock`]; dropping it leaves the lock. Made by [`RwLockWriteGuard::map`].
///
/// It cannot be downgraded, as [core's](core::MappedRwLockWriteGuard).
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized, P: Policy = WriterPriority> {
    inside: core::MappedRwLockWriteGuard<'a, T, P, Growable>,
    held: Held,
}

impl<'a, T: ?Sized, P: Policy> RwLockReadGuard<'a, T, P> {
    /// As the two below, which keep the lock: they may become what needs it.
    pub(super) fn new(
        _: &'a RwLock<T, P>,
        inside: core::RwLockReadGuard<'a, T, P, Growable>,
        held: Held,
    ) -> Self {
        Self { inside, held }
    }

    /// Narrows the guard to a part of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new((1, "one"));
    /// let name = RwLockReadGuard::map(lock.read_blocking(), |pair| &pair.1);
    /// assert_eq!(*name, "one");
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P> {
        let Self { inside, held } = guard;
        MappedRwLockReadGuard { inside: core::RwLockReadGuard::map(inside, part), held }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// There is none; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, P>, Self> {
        let Self { inside, held } = guard;
        match core::RwLockReadGuard::try_map(inside, part) {
            Ok(inside) => Ok(MappedRwLockReadGuard { inside, held }),
            Err(inside) => Err(Self { inside, held }),
        }
    }
}

impl<'a, T: ?Sized, P: Policy> RwLockWriteGuard<'a, T, P> {
    pub(super) fn new(
        lock: &'a RwLock<T, P>,
        inside: core::RwLockWriteGuard<'a, T, P, Growable>,
        held: Held,
    ) -> Self {
        Self { lock, inside, held }
    }

    /// Becomes a reader, without another writer in between. Readers that wait may come in.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let reader = RwLockWriteGuard::downgrade(lock.write_blocking());
    /// assert_eq!(*reader, *lock.try_read()?);
    /// # Ok::<(), aqueduct::sync::TryLockError>(())
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, P> {
        let Self { inside, mut held, .. } = guard;
        held.becomes(Mode::read::<P>());
        RwLockReadGuard { inside: core::RwLockWriteGuard::downgrade(inside), held }
    }

    /// Becomes the upgradable reader. Readers that wait may come in.
    pub fn downgrade_to_upgradable(guard: Self) -> RwLockUpgradableReadGuard<'a, T, P> {
        let Self { lock, inside, mut held } = guard;
        held.becomes(Mode::Upgradable);
        let inside = core::RwLockWriteGuard::downgrade_to_upgradable(inside);
        RwLockUpgradableReadGuard { lock, inside, held }
    }

    /// Narrows the guard to a part of the value. What comes out cannot be downgraded.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P> {
        let Self { inside, held, .. } = guard;
        MappedRwLockWriteGuard { inside: core::RwLockWriteGuard::map(inside, part), held }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// There is none; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedRwLockWriteGuard<'a, U, P>, Self> {
        let Self { lock, inside, held } = guard;
        match core::RwLockWriteGuard::try_map(inside, part) {
            Ok(inside) => Ok(MappedRwLockWriteGuard { inside, held }),
            Err(inside) => Err(Self { lock, inside, held }),
        }
    }
}

impl<'a, T: ?Sized, P: Policy> RwLockUpgradableReadGuard<'a, T, P> {
    pub(super) fn new(
        lock: &'a RwLock<T, P>,
        inside: core::RwLockUpgradableReadGuard<'a, T, P, Growable>,
        held: Held,
    ) -> Self {
        Self { lock, inside, held }
    }

    /// Waits until no other reader is inside, and is the writer then. From the first poll on nobody comes in.
    ///
    /// # Cancel safety
    ///
    /// It owns the guard: dropped before it is ready, it leaves the lock.
    pub async fn upgrade(guard: Self) -> RwLockWriteGuard<'a, T, P> {
        let Self { lock, inside, mut held } = guard;
        let inside = core::RwLockUpgradableReadGuard::upgrade(inside).await;
        held.becomes(Mode::Write);
        RwLockWriteGuard { lock, inside, held }
    }

    /// Becomes the writer, if no other reader is inside.
    ///
    /// # Errors
    ///
    /// One is; the guard comes back.
    pub fn try_upgrade(guard: Self) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        let Self { lock, inside, mut held } = guard;
        match core::RwLockUpgradableReadGuard::try_upgrade(inside) {
            Ok(inside) => {
                held.becomes(Mode::Write);
                Ok(RwLockWriteGuard { lock, inside, held })
            }
            Err(inside) => Err(Self { lock, inside, held }),
        }
    }

    /// Sleeps until no other reader is inside, and is the writer then. Meanwhile nobody comes in.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn upgrade_blocking(mut guard: Self) -> RwLockWriteGuard<'a, T, P> {
        // It waits for the readers inside, not for itself.
        let is_tracked = std::mem::replace(&mut guard.held, Held::untracked()).is_tracked();
        if is_tracked {
            guard.lock.order.will_wait(Mode::Write);
        }
        let Self { lock, inside, mut held } = guard;
        let mut upgrade = core::RwLockUpgradableReadGuard::upgrade(inside);
        let inside = drive(Pin::new(&mut upgrade), None, Impatience::GiveWay)
            .expect("without a deadline there is no way out but ready");
        if is_tracked {
            held = lock.order.held(Mode::Write);
        }
        RwLockWriteGuard { lock, inside, held }
    }

    /// As [`upgrade_blocking`](Self::upgrade_blocking), for `timeout` at most.
    ///
    /// # Errors
    ///
    /// Another reader was inside all the time. The guard comes back; whoever was kept out meanwhile may come in.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{RwLock, RwLockUpgradableReadGuard};
    /// use std::time::Duration;
    ///
    /// let lock = RwLock::new(1);
    /// let (reader, upgradable) = (lock.read_blocking(), lock.try_upgradable_read()?);
    /// let late = RwLockUpgradableReadGuard::upgrade_timeout(upgradable, Duration::from_millis(1));
    /// let upgradable = late.unwrap_err();
    /// drop(reader);
    /// *RwLockUpgradableReadGuard::upgrade_blocking(upgradable) += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// # Ok::<(), aqueduct::sync::TryLockError>(())
    /// ```
    pub fn upgrade_timeout(
        guard: Self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        guard.upgrade_until(deadline_after(timeout))
    }

    /// As [`upgrade_blocking`](Self::upgrade_blocking), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`upgrade_timeout`](Self::upgrade_timeout).
    pub fn upgrade_deadline(
        guard: Self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        guard.upgrade_until(Some(deadline))
    }

    /// As [`upgrade_blocking`](Self::upgrade_blocking), until `context` is done at most.
    ///
    /// # Errors
    ///
    /// The context is done. The guard comes back; whoever was kept out meanwhile may come in.
    pub fn upgrade_ctx(
        guard: Self,
        context: &Context,
    ) -> Result<RwLockWriteGuard<'a, T, P>, (Self, ContextError)> {
        if let Some(error) = context.err() {
            return Err((guard, error));
        }
        let mut why = ContextError::Canceled;
        let upgraded = guard.upgrade_by(|upgrade| {
            context.block_on(Pin::new(upgrade)).map_err(|error| why = error).ok()
        });
        upgraded.map_err(|guard| (guard, why))
    }

    /// Becomes a plain reader. Another upgradable reader may come in.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, P> {
        let Self { inside, mut held, .. } = guard;
        held.becomes(Mode::read::<P>());
        RwLockReadGuard { inside: core::RwLockUpgradableReadGuard::downgrade(inside), held }
    }

    fn upgrade_until(self, deadline: Option<Instant>) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        self.upgrade_by(|upgrade| drive(Pin::new(upgrade), deadline, Impatience::GiveWay))
    }

    /// Upgrades with a wait that may give up.
    fn upgrade_by(
        self,
        wait: impl FnOnce(
            &mut Upgrade<'a, T, P, Growable>,
        ) -> Option<core::RwLockWriteGuard<'a, T, P, Growable>>,
    ) -> Result<RwLockWriteGuard<'a, T, P>, Self> {
        let Self { lock, inside, mut held } = self;
        let mut upgrade = core::RwLockUpgradableReadGuard::upgrade(inside);
        match wait(&mut upgrade) {
            Some(inside) => {
                held.becomes(Mode::Write);
                Ok(RwLockWriteGuard { lock, inside, held })
            }
            None => {
                let inside = upgrade.cancel().expect("it was not ready");
                Err(Self { lock, inside, held })
            }
        }
    }
}

impl<'a, T: ?Sized, P: Policy> MappedRwLockReadGuard<'a, T, P> {
    /// Narrows the guard further.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P> {
        let Self { inside, held } = guard;
        MappedRwLockReadGuard { inside: core::MappedRwLockReadGuard::map(inside, part), held }
    }
}

impl<'a, T: ?Sized, P: Policy> MappedRwLockWriteGuard<'a, T, P> {
    /// Narrows the guard further.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P> {
        let Self { inside, held } = guard;
        MappedRwLockWriteGuard { inside: core::MappedRwLockWriteGuard::map(inside, part), held }
    }
}

macro_rules! lends {
    ($($guard:ident)+) => {$(
        impl<T: ?Sized, P: Policy> Deref for $guard<'_, T, P> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.inside
            }
        }

        impl<T: ?Sized + fmt::Debug, P: Policy> fmt::Debug for $guard<'_, T, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display, P: Policy> fmt::Display for $guard<'_, T, P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )+};
}

macro_rules! lends_mut {
    ($($guard:ident)+) => {$(
        impl<T: ?Sized, P: Policy> DerefMut for $guard<'_, T, P> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.inside
            }
        }
    )+};
}

lends!(RwLockReadGuard RwLockWriteGuard RwLockUpgradableReadGuard);
lends!(MappedRwLockReadGuard MappedRwLockWriteGuard);
lends_mut!(RwLockWriteGuard MappedRwLockWriteGuard);
