//! [`Semaphore`]: core's, with calls that hold a thread.

use super::error::{AcquireCtxError, AcquireTimeoutError};
use super::hold::{self, Manner};
use crate::Context;
use crate::core::semaphore::{self as core, AcquireError, Fair, Policy, TryAcquireError};
use crate::core::wait::Growable;
use crate::park::deadline_after;
use std::fmt;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A number of permits to share among threads and tasks.
///
/// It is [`core`'s semaphore](crate::core::semaphore::Semaphore) with room for any number of waiters, and derefs to it:
/// all that is there ([`acquire`](core::Semaphore::acquire), [`try_acquire`](core::Semaphore::try_acquire),
/// [`add_permits`](core::Semaphore::add_permits), [`resize`](core::Semaphore::resize),
/// [`close`](core::Semaphore::close) and the others) is here too. What stands below holds a thread, or an `Arc`.
///
/// Under [`Fair`], the default, permits are handed over first come, first served, and a request for many is not starved by
/// requests for one. [`Greedy`](super::Greedy) lets whoever comes have what is free, which is several times faster where
/// threads contend; see [`core`](crate::core::semaphore#fairness).
///
/// # Examples
///
/// Four transfers at a time, whatever the number of threads:
///
/// ```
/// use aqueduct::{sync::Semaphore, thread};
///
/// let transfers = Semaphore::new(4);
/// thread::scope(|scope| {
///     for _ in 0..16 {
///         scope.spawn(|| {
///             let _permit = transfers.acquire_blocking().expect("nobody closes it");
///             // transfer
///         })
///         .expect("a thread");
///     }
/// })?;
/// assert_eq!(transfers.available_permits(), 4);
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// # Fairness
///
/// Those who stand in line are served as [`core`](crate::core::semaphore#fairness) says. A future stands in line from its first poll
/// on. A call that holds its thread tries first and, if there is no permit for it, gives the CPU away up to three times, which is
/// mostly enough for a holder that runs; only then does it stand in line. So it may be overtaken during that moment, but by
/// nobody while somebody stands in line: under [`Fair`] those come first.
///
/// # Cancel safety
///
/// A wait that ends without a permit, by its limit, its context or the drop of its future, has taken none and gives none
/// back; what was on its way to it goes to the next.
///
/// # When to use something else
///
/// For one permit that protects a value, a [`Mutex`](super::Mutex).
pub struct Semaphore<P: Policy = Fair> {
    // Derefs, and does not delegate call by call: one algorithm, documented in one place. It is no bare alias, since
    // `new` could not be inferred for one, and has no room for calls of ours.
    inner: core::Semaphore<P, Growable>,
}

/// Permits in use; dropping it gives them back. See [`core`'s](core::SemaphorePermit) for `split`, `merge` and `forget`.
pub type SemaphorePermit<'a, P = Fair> = core::SemaphorePermit<'a, P, Growable>;

impl Semaphore {
    /// A fair semaphore with `permits` permits. With 0 it is a closed gate until
    /// [`add_permits`](core::Semaphore::add_permits).
    ///
    /// # Panics
    ///
    /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub const fn new(permits: usize) -> Self {
        Self::with_policy(permits, Fair)
    }

    /// As [`new`](Self::new), under the name that `tokio` has for statics.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    pub const fn const_new(permits: usize) -> Self {
        Self::new(permits)
    }
}

impl<P: Policy> Semaphore<P> {
    /// The most permits a semaphore can have.
    pub const MAX_PERMITS: usize = core::MAX_PERMITS;

    /// A semaphore with `permits` permits, shared by `policy`.
    ///
    /// # Panics
    ///
    /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Greedy, Semaphore};
    ///
    /// static BUFFERS: Semaphore<Greedy> = Semaphore::with_policy(64, Greedy);
    /// assert_eq!(BUFFERS.available_permits(), 64);
    /// ```
    pub const fn with_policy(permits: usize, policy: P) -> Self {
        Self { inner: core::Semaphore::with_policy(permits, policy, Growable::new()) }
    }

    /// Takes one permit; sleeps while there is none for it.
    ///
    /// # Errors
    ///
    /// Closed, also while it sleeps.
    #[inline]
    pub fn acquire_blocking(&self) -> Result<SemaphorePermit<'_, P>, AcquireError> {
        self.acquire_many_blocking(1)
    }

    /// Takes `n` permits, all at once; sleeps while there are not so many for it. For 0 it never sleeps.
    ///
    /// # Errors
    ///
    /// Closed, also while it sleeps; or `n` is more than a semaphore can ever have. (More than this one has now may be
    /// there one day, so that is waited for.)
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(3);
    /// let both = semaphore.acquire_many_blocking(2)?;
    /// assert_eq!(semaphore.available_permits(), 1);
    /// drop(both);
    /// assert_eq!(semaphore.acquire_many_blocking(usize::MAX).unwrap_err(), AcquireError::TooMany);
    /// # Ok::<(), AcquireError>(())
    /// ```
    #[inline]
    pub fn acquire_many_blocking(&self, n: usize) -> Result<SemaphorePermit<'_, P>, AcquireError> {
        if let Ok(permit) = self.inner.try_acquire_many(n) {
            return Ok(permit);
        }
        let line_up = || self.inner.acquire_many(n);
        hold::forever(Manner::Lingers, || self.attempt(n), line_up)
    }

    /// Takes `n` permits, all at once; sleeps while there are not so many for it, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`AcquireTimeoutError`]; no permit was taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::Semaphore;
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(1);
    /// let late = semaphore.acquire_timeout(2, Duration::from_millis(1)).unwrap_err();
    /// assert!(late.is_timeout());
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    pub fn acquire_timeout(
        &self,
        n: usize,
        timeout: Duration,
    ) -> Result<SemaphorePermit<'_, P>, AcquireTimeoutError> {
        self.acquire_until(n, deadline_after(timeout))
    }

    /// Takes `n` permits, all at once; sleeps while there are not so many for it, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`AcquireTimeoutError`]; no permit was taken.
    pub fn acquire_deadline(
        &self,
        n: usize,
        deadline: Instant,
    ) -> Result<SemaphorePermit<'_, P>, AcquireTimeoutError> {
        self.acquire_until(n, Some(deadline))
    }

    /// Takes `n` permits, all at once; sleeps while there are not so many for it, until `context` is done at most. The
    /// order of the arguments is that of Go's `Weighted.Acquire`.
    ///
    /// # Errors
    ///
    /// [`AcquireCtxError`]; no permit was taken.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError, sync::Semaphore};
    ///
    /// let (context, semaphore) = (Context::background(), Semaphore::new(1));
    /// let permit = semaphore.acquire_ctx(&context, 1)?;
    /// context.cancel();
    /// let refused = semaphore.acquire_ctx(&context, 1).unwrap_err();
    /// assert_eq!(refused.context_error(), Some(ContextError::Canceled));
    /// # drop(permit);
    /// # Ok::<(), aqueduct::sync::AcquireCtxError>(())
    /// ```
    pub fn acquire_ctx(
        &self,
        context: &Context,
        n: usize,
    ) -> Result<SemaphorePermit<'_, P>, AcquireCtxError> {
        let line_up = || self.inner.acquire_many(n);
        let acquired = hold::while_wanted(Manner::Lingers, context, || self.attempt(n), line_up)?;
        Ok(acquired?)
    }

    /// Waits for one permit, whose guard keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// Closed.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire`](core::Semaphore::acquire).
    pub async fn acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit<P>, AcquireError> {
        self.acquire_many_owned(1).await
    }

    /// Waits for `n` permits, which come all at once, and whose guard keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// Closed, or too many.
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_many`](core::Semaphore::acquire_many).
    ///
    /// # Examples
    ///
    /// A permit that goes along to another thread:
    ///
    /// ```
    /// use aqueduct::{park::block_on, sync::Semaphore, thread};
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// let permit = block_on(semaphore.clone().acquire_many_owned(2))?;
    /// thread::spawn(move || drop(permit))?.join()?;
    /// assert_eq!(semaphore.available_permits(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn acquire_many_owned(
        self: Arc<Self>,
        n: usize,
    ) -> Result<OwnedSemaphorePermit<P>, AcquireError> {
        self.inner.acquire_many(n).await?.forget();
        Ok(OwnedSemaphorePermit { semaphore: self, permits: n })
    }

    /// Takes one permit if that can be done at once; its guard keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](core::Semaphore::try_acquire).
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit<P>, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// Takes `n` permits if that can be done at once; their guard keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire_many`](core::Semaphore::try_acquire_many).
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: usize,
    ) -> Result<OwnedSemaphorePermit<P>, TryAcquireError> {
        self.inner.try_acquire_many(n)?.forget();
        Ok(OwnedSemaphorePermit { semaphore: self, permits: n })
    }

    /// One try of a call that holds its thread: `None` is worth another. (If too many are asked for, the future says so.)
    fn attempt(&self, n: usize) -> Option<Result<SemaphorePermit<'_, P>, AcquireError>> {
        match self.inner.try_acquire_many(n) {
            Ok(permit) => Some(Ok(permit)),
            Err(TryAcquireError::Closed) => Some(Err(AcquireError::Closed)),
            Err(TryAcquireError::NoPermits) => None,
        }
    }

    fn acquire_until(
        &self,
        n: usize,
        deadline: Option<Instant>,
    ) -> Result<SemaphorePermit<'_, P>, AcquireTimeoutError> {
        let line_up = || self.inner.acquire_many(n);
        let acquired = hold::until(Manner::Lingers, deadline, || self.attempt(n), line_up);
        Ok(acquired.ok_or(AcquireTimeoutError::Timeout)??)
    }
}

impl<P: Policy> Deref for Semaphore<P> {
    type Target = core::Semaphore<P, Growable>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

// Permits are a number, and a panic never leaves it half-changed.
impl<P: Policy> UnwindSafe for Semaphore<P> {}
impl<P: Policy> RefUnwindSafe for Semaphore<P> {}

impl<P: Policy> fmt::Debug for Semaphore<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Permits in use, whose guard keeps the semaphore alive; dropping it gives them back.
///
/// `mem::forget` of it keeps the semaphore alive for ever; [`forget`](Self::forget) does not.
#[must_use = "permits are given back at once if their guard is not kept"]
pub struct OwnedSemaphorePermit<P: Policy = Fair> {
    semaphore: Arc<Semaphore<P>>,
    permits: usize,
}

impl<P: Policy> OwnedSemaphorePermit<P> {
    /// How many permits it stands for.
    pub fn num_permits(&self) -> usize {
        self.permits
    }

    /// The semaphore whose permits these are.
    pub fn semaphore(&self) -> &Arc<Semaphore<P>> {
        &self.semaphore
    }

    /// Keeps the permits in use without a guard, until [`release`](core::Semaphore::release) gives them back.
    pub fn forget(mut self) {
        self.permits = 0;
    }

    /// Splits off a guard for `n` of the permits; `None` if there are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(Semaphore::new(3));
    /// let mut all = semaphore.clone().try_acquire_many_owned(3)?;
    /// let one = all.split(1).expect("there are three");
    /// assert!(all.split(3).is_none());
    /// drop(all);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// # drop(one);
    /// # Ok::<(), aqueduct::sync::TryAcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.permits = self.permits.checked_sub(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), permits: n })
    }

    /// Takes the permits of `other` over.
    ///
    /// # Errors
    ///
    /// `other` is of another semaphore; it comes back.
    pub fn merge(&mut self, mut other: Self) -> Result<(), Self> {
        if !Arc::ptr_eq(&self.semaphore, &other.semaphore) {
            return Err(other);
        }
        self.permits += std::mem::take(&mut other.permits);
        Ok(())
    }
}

impl<P: Policy> Drop for OwnedSemaphorePermit<P> {
    fn drop(&mut self) {
        let released = self.semaphore.inner.release(self.permits);
        debug_assert!(released.is_ok(), "more was given back by hand than had been forgotten");
    }
}

impl<P: Policy> fmt::Debug for OwnedSemaphorePermit<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedSemaphorePermit")
            .field("permits", &self.permits)
            .finish_non_exhaustive()
    }
}
