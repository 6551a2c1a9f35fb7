//! [`RwLock`]: core's, with calls that hold a thread.

mod guard;

pub use guard::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard,
};

use super::error::{TimeoutError, TryLockError};
use super::hold::{self, Manner};
use super::order::{Held, Mode, Order};
use crate::context::{Context, ContextError};
use crate::core::rwlock::{self as core, Policy, WriterPriority};
use crate::core::wait::Growable;
use crate::park::deadline_after;
use std::fmt;
use std::time::{Duration, Instant};

/// A value that many threads and tasks may read at once, or one may write.
///
/// [`read`](Self::read), [`write`](Self::write) and [`upgradable_read`](Self::upgradable_read) are awaited; `_blocking`,
/// `_timeout`, `_deadline` and `_ctx` hold the thread. All may be used on one lock. A guard may be kept across an `.await`,
/// and may be dropped in another thread than it was made in.
///
/// Who comes in first is what `P` says: [`WriterPriority`], [`ReaderPriority`](core::ReaderPriority) or
/// [`core::rwlock::Fair`](core::Fair), each with its bounds.
///
/// # Examples
///
/// ```
/// use aqueduct::{park::block_on, sync::RwLock, thread};
///
/// static ROUTES: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// let writer = thread::spawn(|| ROUTES.write_blocking().push("home"))?;
/// writer.join().unwrap();
/// assert_eq!(block_on(async { ROUTES.read().await.len() }), 1);
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// Read first, write only if needed, and nobody comes in between:
///
/// ```
/// use aqueduct::sync::{RwLock, RwLockUpgradableReadGuard};
///
/// fn insert(set: &RwLock<Vec<u32>>, item: u32) {
///     let reading = set.upgradable_read_blocking();
///     if !reading.contains(&item) {
///         RwLockUpgradableReadGuard::upgrade_blocking(reading).push(item);
///     }
/// }
/// # let set = RwLock::new(vec![1]);
/// # insert(&set, 1);
/// # insert(&set, 2);
/// # assert_eq!(set.into_inner(), [1, 2]);
/// ```
///
/// A guard does not outlive its lock. This does not compile:
///
/// ```compile_fail,E0597
/// let guard = {
///     let lock = aqueduct::sync::RwLock::new(1);
///     lock.read_blocking()
/// };
/// ```
///
/// # Fairness
///
/// A policy speaks of those who wait, and a call that holds its thread waits from its first failed try on, as a future does from
/// its first poll: under [`WriterPriority`] a writer that cannot get in keeps new readers out from that moment. The calls whose
/// place in line nobody's bounds count on, readers under [`WriterPriority`] and writers under
/// [`ReaderPriority`](core::ReaderPriority), give the CPU away up to three times first, and try again. In line, a
/// thread gives way some times more before it sleeps.
///
/// # Cancel safety
///
/// A wait that ends without the lock, by its limit, its context or the drop of its future, leaves the line; those whom it
/// held back come in, and what was handed to it goes to the next.
///
/// # Deadlocks
///
/// As [core says](core#deadlocks): whoever is inside must not ask again in a way that excludes the first. Under `WriterPriority`
/// and `Fair` that is also a reader that reads again, if a writer waits. The feature
/// [`deadlock-detection`](super#deadlocks) finds that.
///
/// # When to use something else
///
/// `std::sync::RwLock` where nobody awaits it, no wait needs a limit or a context, and it does not matter who comes first: it
/// is a few words, this is some 300 bytes. For the guards of the `lock_api` crate, owned ones among them, a
/// `lock_api::RwLock` over [`RawRwLock`](super::RawRwLock).
pub struct RwLock<T: ?Sized, P: Policy = WriterPriority> {
    order: Order,
    inner: core::RwLock<T, P, Growable>,
}

impl<T> RwLock<T> {
    /// A free lock around `value` under [`WriterPriority`].
    pub const fn new(value: T) -> Self {
        Self::with_policy(value, WriterPriority)
    }

    /// As [`new`](Self::new), under the name that `tokio` has for statics.
    pub const fn const_new(value: T) -> Self {
        Self::new(value)
    }
}

impl<T, P: Policy> RwLock<T, P> {
    /// A free lock around `value` under `policy`.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{core::rwlock::Fair, sync::RwLock};
    ///
    /// static TABLE: RwLock<[u8; 4], Fair> = RwLock::with_policy([0; 4], Fair);
    /// assert_eq!(TABLE.read_blocking()[0], 0);
    /// ```
    pub const fn with_policy(value: T, policy: P) -> Self {
        let inner = core::RwLock::with_policy(value, policy, Growable::new());
        Self { order: Order::new(), inner }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

/// The ways in, for one kind of guard.
macro_rules! ways_in {
    (
        $kind:literal, $while:literal, $mode:expr, $manner:expr, $guard:ident,
        $ask:ident, $try:ident, $blocking:ident, $timeout:ident, $deadline:ident, $ctx:ident, $until:ident
    ) => {
        impl<T: ?Sized, P: Policy> RwLock<T, P> {
            #[doc = concat!("Waits to ", $kind, ".")]
            ///
            /// # Cancel safety
            ///
            /// Dropped before it is ready, it leaves the line; what was handed to it goes to the next.
            pub async fn $ask(&self) -> $guard<'_, T, P> {
                $guard::new(self, self.inner.$ask().await, Held::untracked())
            }

            #[doc = concat!("Comes in to ", $kind, ", if that is possible at once.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("It is not: ", $while, ".")]
            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            pub fn $try(&self) -> Result<$guard<'_, T, P>, TryLockError> {
                let inside = self.inner.$try().ok_or(TryLockError)?;
                Ok($guard::new(self, inside, self.order.held($mode)))
            }

            #[doc = concat!("Comes in to ", $kind, "; sleeps while that is not possible.")]
            #[inline]
            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            pub fn $blocking(&self) -> $guard<'_, T, P> {
                self.order.will_wait($mode);
                let inside = hold::forever($manner, || self.inner.$try(), || self.inner.$ask());
                $guard::new(self, inside, self.order.held($mode))
            }

            #[doc = concat!("Comes in to ", $kind, "; sleeps while that is not possible, for `timeout` at most.")]
            ///
            /// # Errors
            ///
            /// [`TimeoutError`] if it was not possible in time.
            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            pub fn $timeout(&self, timeout: Duration) -> Result<$guard<'_, T, P>, TimeoutError> {
                self.$until(deadline_after(timeout))
            }

            #[doc = concat!("Comes in to ", $kind, "; sleeps while that is not possible, until `deadline` at most.")]
            ///
            /// # Errors
            ///
            /// [`TimeoutError`] if it was not possible in time.
            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            pub fn $deadline(&self, deadline: Instant) -> Result<$guard<'_, T, P>, TimeoutError> {
                self.$until(Some(deadline))
            }

            #[doc = concat!("Comes in to ", $kind, "; sleeps while that is not possible, until `context` is done at most.")]
            ///
            /// # Errors
            ///
            /// The context is done.
            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            pub fn $ctx(&self, context: &Context) -> Result<$guard<'_, T, P>, ContextError> {
                let (attempt, line_up) = (|| self.inner.$try(), || self.inner.$ask());
                let inside = hold::while_wanted($manner, context, attempt, line_up)?;
                Ok($guard::new(self, inside, self.order.held($mode)))
            }

            #[cfg_attr(feature = "deadlock-detection", track_caller)]
            fn $until(&self, deadline: Option<Instant>) -> Result<$guard<'_, T, P>, TimeoutError> {
                let (attempt, line_up) = (|| self.inner.$try(), || self.inner.$ask());
                let inside = hold::until($manner, deadline, attempt, line_up);
                Ok($guard::new(self, inside.ok_or(TimeoutError)?, self.order.held($mode)))
            }
        }
    };
}

ways_in!(
    "read",
    "somebody writes, or (but under `ReaderPriority`) a writer waits",
    Mode::read::<P>(),
    Manner::of_readers::<P>(),
    RwLockReadGuard,
    read,
    try_read,
    read_blocking,
    read_timeout,
    read_deadline,
    read_ctx,
    read_until
);
ways_in!(
    "write",
    "somebody is inside, or those wait who go first",
    Mode::Write,
    Manner::of_writers::<P>(),
    RwLockWriteGuard,
    write,
    try_write,
    write_blocking,
    write_timeout,
    write_deadline,
    write_ctx,
    write_until
);
ways_in!(
    "read and perhaps to write later",
    "somebody writes or reads upgradably, or those wait who go first",
    Mode::Upgradable,
    Manner::of_readers::<P>(),
    RwLockUpgradableReadGuard,
    upgradable_read,
    try_upgradable_read,
    upgradable_read_blocking,
    upgradable_read_timeout,
    upgradable_read_deadline,
    upgradable_read_ctx,
    upgradable_read_until
);

impl<T: ?Sized, P: Policy> RwLock<T, P> {
    /// The value: `&mut self` proves that nobody is inside.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }
}

impl<T: Default, P: Policy + Default> Default for RwLock<T, P> {
    fn default() -> Self {
        Self::with_policy(T::default(), P::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug, P: Policy> fmt::Debug for RwLock<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::super::hold::tests::WATCHED_BY;
    use super::*;
    use crate::core::rwlock::{Fair, ReaderPriority};
    use std::sync::mpsc;
    use std::thread;

    /// How those come to stand in line who find a writer inside: to read, to write, to read upgradably.
    fn manners<P: Policy + Default>() -> [Manner; 3] {
        let lock = &RwLock::with_policy((), P::default());
        let calls: [fn(&RwLock<(), P>); 3] = [
            |lock| drop(lock.read_blocking()),
            |lock| drop(lock.write_blocking()),
            |lock| drop(lock.upgradable_read_blocking()),
        ];
        calls.map(|call| {
            let inside = lock.inner.try_write().expect("nobody is inside");
            let (sender, receiver) = mpsc::channel();
            thread::scope(|scope| {
                scope.spawn(move || {
                    WATCHED_BY.set(Some(sender));
                    call(lock);
                });
                let manner = receiver.recv().expect("it cannot get in");
                drop(inside);
                manner
            })
        })
    }

    /// Whoever a policy makes a promise about stands in line after one failed try; so a writer that waits keeps readers out at
    /// once.
    #[test]
    fn who_is_promised_something_stands_in_line_at_once() {
        use Manner::{AtOnce, Lingers};
        assert_eq!(manners::<WriterPriority>(), [Lingers, AtOnce, Lingers]);
        assert_eq!(manners::<ReaderPriority>(), [AtOnce, Lingers, AtOnce]);
        assert_eq!(manners::<Fair>(), [AtOnce; 3]);
    }
}
