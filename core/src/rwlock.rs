//! Read-write locks: one value, many readers or one writer.
//!
//! [`RwLock`] holds the value and gives out guards. [`try_read`](RwLock::try_read) and its like decide at once and may be
//! called from anywhere, an interrupt handler included; [`read`](RwLock::read), [`write`](RwLock::write) and
//! [`upgradable_read`](RwLock::upgradable_read) are futures. [`RawRwLock`] is the lock without a value, for those
//! who build their own guards, those of the `lock_api` crate among them (feature `lock_api`).
//!
//! | policy | who comes in first | who may starve |
//! |---|---|---|
//! | [`WriterPriority`], the default | a writer that waits keeps new readers out | readers, under a storm of writers |
//! | [`ReaderPriority`] | readers, whoever waits | writers, while readers overlap |
//! | [`Fair`] | readers and writers take turns | nobody |
//!
//! An *upgradable* reader shares the lock with readers, and may become the writer without anybody getting in between.
//! Only one can be inside at a time, or two of them could wait for each other for ever.
//!
//! # Progress
//!
//! All but waiting is lock-free in the sense of [`queue`](crate::queue#progress): trying, leaving, downgrading, polling
//! and cancelling finish in their own steps wherever any other context is frozen. A lock that is held stays held, of
//! course: an interrupt handler that finds the code which it has interrupted inside gets `None`, and must not block.
//! While the one who serves the waiters is frozen, or one that is about to wait, wake-ups are delayed, and a `try_` may be
//! refused though nobody is inside.
//!
//! Under the policies that let the woken compete, a wake-up is no promise of the lock; being handed it after
//! [`PATIENCE`](WriterPriority::PATIENCE) losses is.
//!
//! # Fairness
//!
//! Within one kind, in order of arrival; a waiter that was woken in vain begins at the end again, but only so often. Between
//! readers and writers the policy decides: each says its bounds under `Bounds`. Upgradable readers count as readers where
//! it is about writers that wait, and one of them waits for another.
//!
//! # Memory ordering
//!
//! What a writer did is visible to whoever comes in later, and what readers did happens before what the next writer does. A
//! downgrade publishes like leaving, an upgrade looks like coming in.
//!
//! # Cancel safety
//!
//! A pending future may be dropped at any time: it leaves the line, those whom it held back come in, and what was handed
//! to it already goes to the next. `mem::forget` of one that waits keeps its slot and what it was given for ever: a lock
//! that was handed to it stays locked, and under the competing policies no further writer is woken.
//!
//! `mem::forget` of a guard leaves the lock locked; nothing worse.
//!
//! # Deadlocks
//!
//! As with every read-write lock: a task that is inside and waits to come in again, in a way that excludes the first, waits
//! for itself. That is a writer that asks for anything, a reader that asks to write (an upgradable reader upgrades
//! instead), and, where those who wait can keep readers out, any reader that asks to read, upgradable or not: what each
//! policy says of it stands there. `try_` calls refuse instead.
//!
//! There is no poisoning: a guard dropped by a panic unlocks.
//!
//! # The protocol
#![doc = include_str!("rwlock/PROTOCOL.md")]

#[cfg(all(feature = "lock_api", not(aqueduct_loom)))]
mod blocking;
mod exclusive;
mod future;
mod guard;
mod policy;
mod raw;
mod state;

pub use exclusive::Exclusive;
pub use future::{Read, UpgradableRead, Upgrade, Write};
pub use guard::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard,
};
pub use policy::{Fair, Policy, ReaderPriority, WriterPriority};
pub use raw::{RawAcquire, RawRwLock, RawUpgrade};
pub use state::MAX_READERS;

use crate::sync::{UnsafePayload, const_unless_loom, spin_loop};
use crate::wait::{Slots, Storage};
use core::fmt;
use core::future::Future;
use core::pin::Pin;

/// How a call that blocks spends its time until it looks again: a parameter of [`RawRwLock`].
///
/// # Examples
///
/// On a Cortex-M, where an interrupt ends the wait:
///
/// ```
/// struct Wfe;
///
/// impl aqueduct_core::rwlock::Relax for Wfe {
///     fn relax() {
///         # #[cfg(any())]
///         cortex_m::asm::wfe();
///     }
/// }
/// ```
pub trait Relax {
    /// Lets some time pass.
    fn relax();

    /// Runs a future of the lock to its end. Whoever has something better than to look again and again, such as a
    /// thread that can sleep, says so here.
    fn block_on<F: Future>(future: F) -> F::Output {
        crate::block_on(future, Self::relax)
    }
}

/// A [`Relax`] that knows the time, for calls that block no longer than they are told.
///
/// What counts is whether the future was ready: if it was and `None` comes back all the same, the call has come in.
///
/// `aqueduct::sync::Park` is one, for threads.
pub trait RelaxUntil: Relax {
    /// A span of time.
    type Duration;
    /// A point in time.
    type Instant;

    /// Runs a future of the lock until it is ready, or `timeout` has passed. Polls it at least once.
    fn block_on_for<F: Future>(future: Pin<&mut F>, timeout: Self::Duration) -> Option<F::Output>;

    /// Runs a future of the lock until it is ready, or `deadline` has come. Polls it at least once.
    fn block_on_until<F: Future>(future: Pin<&mut F>, deadline: Self::Instant)
    -> Option<F::Output>;
}

/// Spins, with a hint to the processor that it does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spin;

impl Relax for Spin {
    fn relax() {
        spin_loop();
    }
}

/// A value that many may read at once, or one may write.
///
/// See the [module](self) for progress, fairness, ordering and cancellation. `P` says who comes in first, `W` how many
/// tasks can wait: see [`wait::Slots`](Slots).
///
/// # Examples
///
/// A table that tasks read, and one of them changes:
///
/// ```
/// use aqueduct_core::{block_on, rwlock::RwLock};
/// use core::hint::spin_loop;
///
/// static GAINS: RwLock<[u32; 2]> = RwLock::new([1, 1]);
///
/// async fn calibrate(factor: u32) {
///     for gain in GAINS.write().await.iter_mut() {
///         *gain *= factor;
///     }
/// }
///
/// block_on(calibrate(3), spin_loop);
/// let gains = GAINS.try_read().expect("nobody writes");
/// assert_eq!(*gains, [3, 3]);
/// assert!(GAINS.try_write().is_none());
/// ```
///
/// Read first, write only if needed, and nobody comes in between:
///
/// ```
/// use aqueduct_core::rwlock::{RwLock, RwLockUpgradableReadGuard};
///
/// async fn insert(set: &RwLock<Vec<u32>>, item: u32) {
///     let reading = set.upgradable_read().await;
///     if !reading.contains(&item) {
///         RwLockUpgradableReadGuard::upgrade(reading).await.push(item);
///     }
/// }
/// # let set = RwLock::new(vec![1]);
/// # aqueduct_core::block_on(insert(&set, 1), core::hint::spin_loop);
/// # aqueduct_core::block_on(insert(&set, 2), core::hint::spin_loop);
/// # assert_eq!(set.into_inner(), [1, 2]);
/// ```
///
/// A guard does not outlive its lock, and what it lends does not outlive the guard. Neither of these compiles:
///
/// ```compile_fail,E0597
/// let guard = {
///     let lock = aqueduct_core::rwlock::RwLock::new(1);
///     lock.try_read().unwrap()
/// };
/// ```
///
/// ```compile_fail,E0505
/// let lock = aqueduct_core::rwlock::RwLock::new(1);
/// let mut guard = lock.try_write().unwrap();
/// let value = &mut *guard;
/// drop(guard);
/// *value += 1;
/// ```
pub struct RwLock<T: ?Sized, P: Policy = WriterPriority, W: Storage = Slots<8>> {
    raw: RawRwLock<P, W>,
    data: UnsafePayload<T>,
}

// SAFETY: the lock owns the value, and is sent with it.
unsafe impl<T: ?Sized + Send, P: Policy, W: Storage> Send for RwLock<T, P, W> {}
// SAFETY: readers in several threads share the value, so T is Sync; a writer in any thread may take it out or drop it,
// so T is Send; and the raw lock keeps writers alone.
unsafe impl<T: ?Sized + Send + Sync, P: Policy, W: Storage> Sync for RwLock<T, P, W> {}

impl<T> RwLock<T> {
    const_unless_loom! {
        /// A free lock around `value` under [`WriterPriority`], for which eight tasks can wait.
        pub const fn new(value: T) -> Self {
            Self::with_policy(value, WriterPriority, Slots::new())
        }
    }
}

impl<T, P: Policy, W: Storage> RwLock<T, P, W> {
    const_unless_loom! {
        /// A free lock around `value` under `policy`, whose waiters stand in `storage`.
        ///
        /// # Examples
        ///
        /// ```
        /// use aqueduct_core::{rwlock::{Fair, RwLock}, wait::Slots};
        ///
        /// static ROUTES: RwLock<[u8; 4], Fair, Slots<2>> = RwLock::with_policy([0; 4], Fair, Slots::new());
        /// assert!(ROUTES.try_read().is_some());
        /// ```
        pub const fn with_policy(value: T, policy: P, storage: W) -> Self {
            Self { raw: RawRwLock::with_policy(policy, storage), data: UnsafePayload::new(value) }
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized, P: Policy, W: Storage> RwLock<T, P, W> {
    /// Waits to read.
    pub fn read(&self) -> Read<'_, T, P, W> {
        Read::new(self)
    }

    /// Waits to write.
    pub fn write(&self) -> Write<'_, T, P, W> {
        Write::new(self)
    }

    /// Waits to read and perhaps to write later.
    pub fn upgradable_read(&self) -> UpgradableRead<'_, T, P, W> {
        UpgradableRead::new(self)
    }

    /// Reads, if that is possible at once.
    ///
    /// `None` while somebody writes, or (but under [`ReaderPriority`]) a writer waits, or anybody who was woken in vain too often, or
    /// [`MAX_READERS`] read.
    #[inline]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T, P, W>> {
        // SAFETY: a reader is inside, and its guard takes it out.
        self.raw.try_read().then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Writes, if that is possible at once.
    ///
    /// `None` while anybody is inside; under [`Fair`] also while anybody waits; under the others while anybody waits who was woken in
    /// vain too often, and under [`ReaderPriority`] while a reader does.
    #[inline]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T, P, W>> {
        // SAFETY: the writer is inside, and its guard takes it out.
        self.raw.try_write().then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Reads and perhaps writes later, if that is possible at once.
    ///
    /// `None` while somebody writes or reads upgradably, or those wait who go first.
    #[inline]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T, P, W>> {
        // SAFETY: the upgradable reader is inside, and its guard takes it out.
        self.raw.try_upgradable_read().then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// The value: `&mut self` proves that nobody is inside.
    ///
    /// (Or that a guard was forgotten; that does not matter here.)
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }

    /// How often a waiter found no slot and woke itself instead: `W` is too small if this grows.
    pub fn self_wakes(&self) -> usize {
        self.raw.self_wakes()
    }
}

impl<T: Default, P: Policy + Default, W: Storage + Default> Default for RwLock<T, P, W> {
    fn default() -> Self {
        Self::with_policy(T::default(), P::default(), W::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug, P: Policy, W: Storage> fmt::Debug for RwLock<T, P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RwLock");
        match self.try_read() {
            Some(value) => f.field("data", &&*value),
            None => f.field("data", &format_args!("<locked>")),
        };
        f.finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;
