//! [`Mutex`]: core's lock, of which only the writer's side is used.

use super::error::{TimeoutError, TryLockError};
use super::hold::{self, Manner};
use super::order::{Held, Mode, Order};
use crate::context::{Context, ContextError};
use crate::core::rwlock::{self as core, Exclusive, WriterPriority};
use crate::core::wait::Growable;
use crate::park::deadline_after;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// There are no readers to keep out, and among themselves writers compete.
const MANNER: Manner = Manner::Lingers;

type Inner<T> = core::RwLock<Exclusive<T>, WriterPriority, Growable>;
type Inside<'a, T> = core::MappedRwLockWriteGuard<'a, T, WriterPriority, Growable>;

/// A value that one thread or task at a time can reach.
///
/// [`lock`](Self::lock) is awaited; [`lock_blocking`](Self::lock_blocking) and its like hold the thread. Both may be used on one
/// mutex. A guard may be kept across an `.await`, and may be dropped in another thread than it was made in.
///
/// # Examples
///
/// ```
/// use aqueduct::{park::block_on, sync::Mutex, thread};
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
///
/// let adder = thread::spawn(|| *TOTAL.lock_blocking() += 1)?;
/// block_on(async { *TOTAL.lock().await += 1 });
/// adder.join().unwrap();
/// assert_eq!(*TOTAL.lock_blocking(), 2);
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// A guard does not outlive its mutex, and a value that must stay in its thread cannot be shared. Neither of these
/// compiles:
///
/// ```compile_fail,E0597
/// let guard = {
///     let mutex = aqueduct::sync::Mutex::new(1);
///     mutex.lock_blocking()
/// };
/// ```
///
/// ```compile_fail,E0277
/// let mutex = aqueduct::sync::Mutex::new(std::rc::Rc::new(1));
/// std::thread::scope(|scope| scope.spawn(|| drop(mutex.lock_blocking())).join());
/// ```
///
/// # Fairness
///
/// Whoever is woken competes with newcomers, which saves a switch of threads per hand-over; one that has lost
/// [`PATIENCE`](WriterPriority::PATIENCE) times is handed the mutex. So nobody starves, and the order is not that of
/// arrival.
///
/// # Poisoning
///
/// There is none: a guard dropped by a panic unlocks.
///
/// # When to use something else
///
/// `std::sync::Mutex` or `parking_lot::Mutex` where nobody awaits it, no wait needs a limit or a context, and it is never held for
/// long: they are a word or two, this is some 300 bytes.
pub struct Mutex<T: ?Sized> {
    order: Order,
    inner: Inner<T>,
}

impl<T> Mutex<T> {
    /// A free mutex around `value`.
    pub const fn new(value: T) -> Self {
        let inner =
            core::RwLock::with_policy(Exclusive::new(value), WriterPriority, Growable::new());
        Self { order: Order::new(), inner }
    }

    /// As [`new`](Self::new), under the name that `tokio` has for statics.
    pub const fn const_new(value: T) -> Self {
        Self::new(value)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.inner.into_inner().into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until nobody is inside.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it leaves the line; what was handed to it goes to the next.
    pub async fn lock(&self) -> MutexGuard<'_, T> {
        self.guard(self.inner.write().await, Held::untracked())
    }

    /// Locks, if nobody is inside.
    ///
    /// # Errors
    ///
    /// Somebody is, or one goes first that has waited too often in vain.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let inside = self.inner.try_write().ok_or(TryLockError)?;
        Ok(self.guard(inside, self.order.held(Mode::Write)))
    }

    /// Locks; sleeps while somebody is inside.
    ///
    /// A thread that holds the mutex already waits for itself, for ever; see the feature
    /// [`deadlock-detection`](super#deadlocks).
    #[inline]
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn lock_blocking(&self) -> MutexGuard<'_, T> {
        self.order.will_wait(Mode::Write);
        let inside = hold::forever(MANNER, || self.inner.try_write(), || self.inner.write());
        self.guard(inside, self.order.held(Mode::Write))
    }

    /// Locks; sleeps while somebody is inside, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if somebody was all the time.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Mutex, TimeoutError};
    /// use std::time::Duration;
    ///
    /// let mutex = Mutex::new(1);
    /// let guard = mutex.lock_timeout(Duration::ZERO)?;
    /// assert_eq!(mutex.lock_timeout(Duration::from_millis(1)).unwrap_err(), TimeoutError);
    /// # drop(guard);
    /// # Ok::<(), TimeoutError>(())
    /// ```
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<MutexGuard<'_, T>, TimeoutError> {
        self.lock_until(deadline_after(timeout))
    }

    /// Locks; sleeps while somebody is inside, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if somebody was all the time.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn lock_deadline(&self, deadline: Instant) -> Result<MutexGuard<'_, T>, TimeoutError> {
        self.lock_until(Some(deadline))
    }

    /// Locks; sleeps while somebody is inside, until `context` is done at most.
    ///
    /// # Errors
    ///
    /// The context is done.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError, sync::Mutex};
    ///
    /// let (context, mutex) = (Context::background(), Mutex::new(1));
    /// *mutex.lock_ctx(&context)? += 1;
    /// context.cancel();
    /// assert_eq!(mutex.lock_ctx(&context).unwrap_err(), ContextError::Canceled);
    /// # Ok::<(), ContextError>(())
    /// ```
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn lock_ctx(&self, context: &Context) -> Result<MutexGuard<'_, T>, ContextError> {
        let (attempt, line_up) = (|| self.inner.try_write(), || self.inner.write());
        let inside = hold::while_wanted(MANNER, context, attempt, line_up)?;
        Ok(self.guard(inside, self.order.held(Mode::Write)))
    }

    /// Locks for a thread whose locks are not watched.
    pub(super) fn lock_untracked(&self) -> MutexGuard<'_, T> {
        let inside = hold::forever(MANNER, || self.inner.try_write(), || self.inner.write());
        self.guard(inside, Held::untracked())
    }

    /// The value: `&mut self` proves that nobody is inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().get_mut()
    }

    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    fn lock_until(&self, deadline: Option<Instant>) -> Result<MutexGuard<'_, T>, TimeoutError> {
        let (attempt, line_up) = (|| self.inner.try_write(), || self.inner.write());
        let inside = hold::until(MANNER, deadline, attempt, line_up);
        Ok(self.guard(inside.ok_or(TimeoutError)?, self.order.held(Mode::Write)))
    }

    fn guard<'a>(
        &'a self,
        inside: core::RwLockWriteGuard<'a, Exclusive<T>, WriterPriority, Growable>,
        held: Held,
    ) -> MutexGuard<'a, T> {
        let inside = core::RwLockWriteGuard::map(inside, Exclusive::get_mut);
        MutexGuard { mutex: self, inside, held }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Mutex");
        match self.inner.try_write() {
            Some(inside) => {
                f.field("data", &&*core::RwLockWriteGuard::map(inside, Exclusive::get_mut))
            }
            None => f.field("data", &format_args!("<locked>")),
        };
        f.finish_non_exhaustive()
    }
}

/// The value of a [`Mutex`]; dropping it unlocks.
#[must_use = "the mutex is unlocked at once if its guard is not kept"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    inside: Inside<'a, T>,
    held: Held,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Narrows the guard to a part of the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Mutex, MutexGuard};
    ///
    /// let pair = Mutex::new((1, "one"));
    /// *MutexGuard::map(pair.lock_blocking(), |pair| &mut pair.0) += 1;
    /// assert_eq!(pair.into_inner().0, 2);
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        let Self { inside, held, .. } = guard;
        MappedMutexGuard { inside: core::MappedRwLockWriteGuard::map(inside, part), held }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// There is none; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { mutex, inside, held } = guard;
        match core::MappedRwLockWriteGuard::try_map(inside, part) {
            Ok(inside) => Ok(MappedMutexGuard { inside, held }),
            Err(inside) => Err(Self { mutex, inside, held }),
        }
    }

    /// The mutex that is locked.
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.mutex
    }

    /// Whether the one who locked it is watched for the order of its locks.
    pub(super) fn is_tracked(&self) -> bool {
        self.held.is_tracked()
    }
}

/// A part of the value of a [`Mutex`]; dropping it unlocks. Made by [`MutexGuard::map`].
#[must_use = "the mutex is unlocked at once if its guard is not kept"]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    inside: Inside<'a, T>,
    held: Held,
}

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    /// Narrows the guard further.
    pub fn map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        let Self { inside, held } = guard;
        MappedMutexGuard { inside: core::MappedRwLockWriteGuard::map(inside, part), held }
    }

    /// Narrows the guard further, if there is that part.
    ///
    /// # Errors
    ///
    /// There is not; the guard comes back.
    pub fn try_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U>, Self> {
        let Self { inside, held } = guard;
        match core::MappedRwLockWriteGuard::try_map(inside, part) {
            Ok(inside) => Ok(MappedMutexGuard { inside, held }),
            Err(inside) => Err(Self { inside, held }),
        }
    }
}

macro_rules! lends {
    ($guard:ident) => {
        impl<T: ?Sized> Deref for $guard<'_, T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.inside
            }
        }

        impl<T: ?Sized> DerefMut for $guard<'_, T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.inside
            }
        }

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display> fmt::Display for $guard<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

lends!(MutexGuard);
lends!(MappedMutexGuard);
