//! Permits as guards: they come back when they are dropped.

use super::{Fair, Policy, Semaphore};
use crate::wait::{Slots, Storage};
use core::fmt;

macro_rules! permit {
    ([$($generics:tt)*] $permit:ty, $name:literal, $semaphore:ty, $clone:expr) => {
        impl<$($generics)*> $permit {
            pub(super) fn new(semaphore: $semaphore, permits: usize) -> Self {
                Self { semaphore, permits }
            }

            /// How many permits it stands for.
            pub fn num_permits(&self) -> usize {
                self.permits
            }

            /// Keeps the permits in use without a guard, until [`Semaphore::release`] gives them back.
            pub fn forget(mut self) {
                self.permits = 0;
            }

            /// Splits off a guard for `n` of the permits; `None` if there are fewer.
            pub fn split(&mut self, n: usize) -> Option<Self> {
                self.permits = self.permits.checked_sub(n)?;
                Some(Self::new($clone(&self.semaphore), n))
            }

            /// Takes the permits of `other` over.
            ///
            /// # Errors
            ///
            /// `other` is of another semaphore; it comes back.
            pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
                if !core::ptr::eq(&*self.semaphore, &*other.semaphore) {
                    return Err(other);
                }
                self.permits += core::mem::take(&mut other.permits);
                Ok(())
            }
        }

        impl<$($generics)*> Drop for $permit {
            #[inline]
            fn drop(&mut self) {
                if self.permits > 0 {
                    self.semaphore.put(self.permits);
                }
            }
        }

        impl<$($generics)*> fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct($name).field("permits", &self.permits).finish_non_exhaustive()
            }
        }
    };
}

/// Permits in use; dropping it gives them back.
///
/// `mem::forget` of it is [`forget`](Self::forget).
///
/// It does not outlive its semaphore. This does not compile:
///
/// ```compile_fail,E0597
/// let permit = {
///     let semaphore = aqueduct_core::semaphore::Semaphore::new(1);
///     semaphore.try_acquire().unwrap()
/// };
/// ```
#[must_use = "permits are given back at once if their guard is not kept"]
pub struct SemaphorePermit<'a, P: Policy = Fair, W: Storage = Slots<8>> {
    semaphore: &'a Semaphore<P, W>,
    permits: usize,
}

permit!(['a, P: Policy, W: Storage] SemaphorePermit<'a, P, W>, "SemaphorePermit", &'a Semaphore<P, W>, |semaphore: &&'a _| *semaphore);

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use owned::OwnedSemaphorePermit;

// Without compare-and-swap there is no `Arc` in alloc.
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod owned {
    use super::*;
    use crate::semaphore::{AcquireOwned, TryAcquireError};
    use alloc::sync::Arc;

    /// Permits in use, whose guard keeps the semaphore alive; dropping it gives them back.
    #[must_use = "permits are given back at once if their guard is not kept"]
    pub struct OwnedSemaphorePermit<P: Policy = Fair, W: Storage = Slots<8>> {
        pub(super) semaphore: Arc<Semaphore<P, W>>,
        pub(super) permits: usize,
    }

    impl<P: Policy, W: Storage> OwnedSemaphorePermit<P, W> {
        /// The semaphore whose permits these are.
        pub fn semaphore(&self) -> &Arc<Semaphore<P, W>> {
            &self.semaphore
        }
    }

    impl<P: Policy, W: Storage> Semaphore<P, W> {
        /// As [`try_acquire`](Self::try_acquire), with a guard that keeps the semaphore alive.
        ///
        /// # Errors
        ///
        /// As [`try_acquire`](Self::try_acquire).
        pub fn try_acquire_owned(
            self: Arc<Self>,
        ) -> Result<OwnedSemaphorePermit<P, W>, TryAcquireError> {
            self.try_acquire_many_owned(1)
        }

        /// As [`try_acquire_many`](Self::try_acquire_many), with a guard that keeps the semaphore alive.
        ///
        /// # Errors
        ///
        /// As [`try_acquire_many`](Self::try_acquire_many).
        pub fn try_acquire_many_owned(
            self: Arc<Self>,
            n: usize,
        ) -> Result<OwnedSemaphorePermit<P, W>, TryAcquireError> {
            self.take(n).map(|()| OwnedSemaphorePermit::new(self, n))
        }

        /// As [`acquire`](Self::acquire), with a guard that keeps the semaphore alive.
        ///
        /// # Errors
        ///
        /// As [`acquire`](Self::acquire).
        pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned<P, W> {
            self.acquire_many_owned(1)
        }

        /// As [`acquire_many`](Self::acquire_many), with a guard that keeps the semaphore alive.
        ///
        /// # Errors
        ///
        /// As [`acquire_many`](Self::acquire_many).
        pub fn acquire_many_owned(self: Arc<Self>, n: usize) -> AcquireOwned<P, W> {
            AcquireOwned::new(self, n)
        }
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
permit!([P: Policy, W: Storage] OwnedSemaphorePermit<P, W>, "OwnedSemaphorePermit", alloc::sync::Arc<Semaphore<P, W>>, alloc::sync::Arc::clone);
