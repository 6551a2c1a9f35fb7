//! Guards: references into the lock, which leave it when they are dropped.
//!
//! Those of the whole value hold the lock itself. It has a cell inside, so they are invariant in `T` (a write guard
//! must be, and so must an upgradable one, which can become it), and they are Send and Sync where that is.
//! The mapped ones hold a pointer to a part of the value and say the same by hand.

use super::RwLock;
use super::future::Upgrade;
use super::policy::{Policy, WriterPriority};
use super::raw::RawRwLock;
use crate::wait::{Slots, Storage};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

/// A guard of the whole value: what the three have in common.
macro_rules! guard {
    ($(#[$doc:meta])* $name:ident, $unlock:ident) => {
        $(#[$doc])*
        #[must_use = "the lock is left at once if its guard is not kept"]
        pub struct $name<'a, T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>> {
            lock: &'a RwLock<T, P, W>,
        }

        impl<'a, T: ?Sized, P: Policy, W: Storage> $name<'a, T, P, W> {
            /// # Safety
            ///
            /// The caller is inside, as what the guard says, and leaves that to the guard.
            #[inline]
            pub(super) unsafe fn new(lock: &'a RwLock<T, P, W>) -> Self {
                Self { lock }
            }

            /// The lock, with the caller inside and no guard.
            pub(super) fn release(self) -> &'a RwLock<T, P, W> {
                ManuallyDrop::new(self).lock
            }
        }

        impl<T: ?Sized, P: Policy, W: Storage> Deref for $name<'_, T, P, W> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                // SAFETY: we are inside, so nobody writes but through this guard.
                unsafe { &*self.lock.data.get() }
            }
        }

        impl<T: ?Sized, P: Policy, W: Storage> Drop for $name<'_, T, P, W> {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: we are inside as what the guard says, and a guard is dropped once.
                unsafe { self.lock.raw.$unlock() };
            }
        }

        show!(['a, T: ?Sized, P: Policy, W: Storage] $name<'a, T, P, W>, T);
    };
}

/// Debug and Display as the value's.
macro_rules! show {
    ([$($generics:tt)*] $guard:ty, $value:ident) => {
        impl<$($generics)*> fmt::Debug for $guard
        where
            $value: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($generics)*> fmt::Display for $guard
        where
            $value: fmt::Display,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

guard! {
    /// Reads the value; dropping it leaves the lock.
    RwLockReadGuard, unlock_read
}

guard! {
    /// Reads and writes the value; dropping it leaves the lock.
    RwLockWriteGuard, unlock_write
}

guard! {
    /// Reads the value beside other readers, and may become the writer; dropping it leaves the lock.
    RwLockUpgradableReadGuard, unlock_upgradable
}

impl<'a, T: ?Sized, P: Policy, W: Storage> RwLockReadGuard<'a, T, P, W> {
    /// Narrows the guard to a part of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct_core::rwlock::{RwLock, RwLockReadGuard};
    ///
    /// let lock = RwLock::new((1, "one"));
    /// let name = RwLockReadGuard::map(lock.try_read().unwrap(), |pair| &pair.1);
    /// assert_eq!(*name, "one");
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P, W> {
        let value = NonNull::from(part(&guard));
        MappedRwLockReadGuard { raw: &guard.release().raw, value, borrow: PhantomData }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// There is none; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, P, W>, Self> {
        let Some(value) = part(&guard).map(NonNull::from) else { return Err(guard) };
        Ok(MappedRwLockReadGuard { raw: &guard.release().raw, value, borrow: PhantomData })
    }
}

impl<'a, T: ?Sized, P: Policy, W: Storage> RwLockWriteGuard<'a, T, P, W> {
    /// Becomes a reader, without another writer in between. Readers that wait may come in.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, P, W> {
        let lock = guard.release();
        let read_guard = RwLockReadGuard { lock };
        // SAFETY: the writer is inside, and its guard is gone; from here on the reader's is there.
        unsafe { lock.raw.downgrade() };
        read_guard
    }

    /// Becomes the upgradable reader. Readers that wait may come in.
    pub fn downgrade_to_upgradable(guard: Self) -> RwLockUpgradableReadGuard<'a, T, P, W> {
        let lock = guard.release();
        let read_guard = RwLockUpgradableReadGuard { lock };
        // SAFETY: the writer is inside, and its guard is gone; from here on the upgradable reader's is there.
        unsafe { lock.raw.downgrade_to_upgradable() };
        read_guard
    }

    /// Narrows the guard to a part of the value. What comes out cannot be downgraded: other readers would see the
    /// whole value, of which the part may be lent out as something else.
    pub fn map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P, W> {
        let value = NonNull::from(part(&mut guard));
        MappedRwLockWriteGuard { raw: &guard.release().raw, value, borrow: PhantomData }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// There is none; the guard comes back.
    pub fn try_map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedRwLockWriteGuard<'a, U, P, W>, Self> {
        let Some(value) = part(&mut guard).map(NonNull::from) else { return Err(guard) };
        Ok(MappedRwLockWriteGuard { raw: &guard.release().raw, value, borrow: PhantomData })
    }
}

impl<T: ?Sized, P: Policy, W: Storage> DerefMut for RwLockWriteGuard<'_, T, P, W> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: we are the writer, so nobody else is inside.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<'a, T: ?Sized, P: Policy, W: Storage> RwLockUpgradableReadGuard<'a, T, P, W> {
    /// Waits until no other reader is inside, and is the writer then. From the first poll on nobody comes in.
    ///
    /// The future owns the guard: dropped, it leaves the lock; [`Upgrade::cancel`] gives the guard back.
    pub fn upgrade(guard: Self) -> Upgrade<'a, T, P, W> {
        Upgrade::new(guard)
    }

    /// Becomes the writer, if no other reader is inside.
    ///
    /// # Errors
    ///
    /// One is; the guard comes back.
    pub fn try_upgrade(guard: Self) -> Result<RwLockWriteGuard<'a, T, P, W>, Self> {
        // SAFETY: the upgradable reader is inside.
        if !unsafe { guard.lock.raw.try_upgrade() } {
            return Err(guard);
        }
        Ok(RwLockWriteGuard { lock: guard.release() })
    }

    /// Becomes a plain reader. Another upgradable reader may come in.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T, P, W> {
        let lock = guard.release();
        let read_guard = RwLockReadGuard { lock };
        // SAFETY: the upgradable reader is inside, and its guard is gone; from here on the reader's is there.
        unsafe { lock.raw.downgrade_upgradable() };
        read_guard
    }

    pub(super) fn lock(&self) -> &'a RwLock<T, P, W> {
        self.lock
    }
}

/// Reads a part of the value; dropping it leaves the lock. Made by [`RwLockReadGuard::map`].
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct MappedRwLockReadGuard<'a, T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>> {
    raw: &'a RawRwLock<P, W>,
    value: NonNull<T>,
    borrow: PhantomData<&'a T>,
}

// SAFETY: it is a shared reference, and may leave the lock in any thread.
unsafe impl<T: ?Sized + Sync, P: Policy, W: Storage> Send for MappedRwLockReadGuard<'_, T, P, W> {}
// SAFETY: a shared reference to it gives a shared reference to the value.
unsafe impl<T: ?Sized + Sync, P: Policy, W: Storage> Sync for MappedRwLockReadGuard<'_, T, P, W> {}

impl<'a, T: ?Sized, P: Policy, W: Storage> MappedRwLockReadGuard<'a, T, P, W> {
    /// Narrows the guard further.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> &U,
    ) -> MappedRwLockReadGuard<'a, U, P, W> {
        let value = NonNull::from(part(&guard));
        MappedRwLockReadGuard { raw: ManuallyDrop::new(guard).raw, value, borrow: PhantomData }
    }

    /// Narrows the guard further, if there is that part.
    ///
    /// # Errors
    ///
    /// There is not; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&T) -> Option<&U>,
    ) -> Result<MappedRwLockReadGuard<'a, U, P, W>, Self> {
        let Some(value) = part(&guard).map(NonNull::from) else { return Err(guard) };
        Ok(MappedRwLockReadGuard { raw: ManuallyDrop::new(guard).raw, value, borrow: PhantomData })
    }
}

impl<T: ?Sized, P: Policy, W: Storage> Deref for MappedRwLockReadGuard<'_, T, P, W> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a reader is inside, and the pointer came from a reference to a part of the value.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, P: Policy, W: Storage> Drop for MappedRwLockReadGuard<'_, T, P, W> {
    fn drop(&mut self) {
        // SAFETY: a reader is inside, and a guard is dropped once.
        unsafe { self.raw.unlock_read() };
    }
}

show!(['a, T: ?Sized, P: Policy, W: Storage] MappedRwLockReadGuard<'a, T, P, W>, T);

/// Reads and writes a part of the value; dropping it leaves the lock. Made by [`RwLockWriteGuard::map`].
///
/// It cannot be downgraded: the readers who would come in see the whole value, and the part may have been lent out
/// under a type that only a writer may use (parking_lot's issue 198).
#[must_use = "the lock is left at once if its guard is not kept"]
pub struct MappedRwLockWriteGuard<'a, T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>>
{
    raw: &'a RawRwLock<P, W>,
    value: NonNull<T>,
    borrow: PhantomData<&'a mut T>,
}

// SAFETY: it is an exclusive reference, and may leave the lock in any thread.
unsafe impl<T: ?Sized + Send, P: Policy, W: Storage> Send for MappedRwLockWriteGuard<'_, T, P, W> {}
// SAFETY: a shared reference to it gives a shared reference to the value.
unsafe impl<T: ?Sized + Sync, P: Policy, W: Storage> Sync for MappedRwLockWriteGuard<'_, T, P, W> {}

impl<'a, T: ?Sized, P: Policy, W: Storage> MappedRwLockWriteGuard<'a, T, P, W> {
    /// Narrows the guard further.
    pub fn map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedRwLockWriteGuard<'a, U, P, W> {
        let value = NonNull::from(part(&mut guard));
        MappedRwLockWriteGuard { raw: ManuallyDrop::new(guard).raw, value, borrow: PhantomData }
    }

    /// Narrows the guard further, if there is that part.
    ///
    /// # Errors
    ///
    /// There is not; the guard comes back.
    pub fn try_map<U: ?Sized>(
        mut guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedRwLockWriteGuard<'a, U, P, W>, Self> {
        let Some(value) = part(&mut guard).map(NonNull::from) else { return Err(guard) };
        Ok(MappedRwLockWriteGuard { raw: ManuallyDrop::new(guard).raw, value, borrow: PhantomData })
    }
}

impl<T: ?Sized, P: Policy, W: Storage> Deref for MappedRwLockWriteGuard<'_, T, P, W> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the writer is inside, and the pointer came from a reference to a part of the value.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, P: Policy, W: Storage> DerefMut for MappedRwLockWriteGuard<'_, T, P, W> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the writer is inside, and the pointer came from an exclusive reference to a part of the value.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized, P: Policy, W: Storage> Drop for MappedRwLockWriteGuard<'_, T, P, W> {
    fn drop(&mut self) {
        // SAFETY: the writer is inside, and a guard is dropped once.
        unsafe { self.raw.unlock_write() };
    }
}

show!(['a, T: ?Sized, P: Policy, W: Storage] MappedRwLockWriteGuard<'a, T, P, W>, T);
