//! Counting semaphores: a number of permits, which tasks and interrupt handlers take and give back.
//!
//! [`Semaphore`] never waits by itself: [`try_acquire`](Semaphore::try_acquire) decides at once, and
//! [`acquire`](Semaphore::acquire) is a future. Permits are guards and come back when they are dropped.
//!
//! # Progress
//!
//! All but waiting is lock-free in the sense of [`queue`](crate::queue#progress): it finishes in its own steps
//! wherever any other context is frozen. While the one who serves the waiters is frozen, or one that is about
//! to wait, wake-ups are delayed, and under [`Fair`] `try_acquire` may be refused. The one exception is in a corner of
//! [`resize`](Semaphore::resize).
//!
//! # Fairness
//!
//! Under [`Fair`], the default, permits are handed over in the order in which tasks began to wait, and nobody passes
//! them: a request for many is not starved by requests for one. Under [`Greedy`] permits go to whoever tries
//! first, which saves a switch of context per release; waiters are woken one at a time and compete, and one
//! that has lost [`Greedy::PATIENCE`] times is handed its permits as under `Fair`.
//!
//! # Memory ordering
//!
//! What happened before a permit was given back happens before what follows its next acquisition.
//!
//! # Cancel safety
//!
//! A pending [`Acquire`] may be dropped at any time. It leaves the line, and what was handed to it already goes to
//! the next. Nothing is held while it waits: permits are handed over all at once.
//!
//! The queue under this, with its proofs, is that of [`wait`](crate::wait). What the semaphore adds:
#![doc = include_str!("semaphore/PROTOCOL.md")]

mod acquire;
mod permit;
mod state;

pub use acquire::Acquire;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use acquire::AcquireOwned;
#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use permit::OwnedSemaphorePermit;
pub use permit::SemaphorePermit;
pub use state::MAX_PERMITS;

use crate::sync::{Acquire as Acquiring, Relaxed, Release, const_unless_loom, spin_loop};
use crate::wait::{Post, Slots, Storage, Waiters};
use core::fmt;
use core::marker::PhantomData;
use state::{Permits, State, in_word};

/// First come, first served: permits are handed over, in order, and nobody passes those who wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fair;

/// Permits go to whoever tries first; waiters are woken one at a time and compete.
#[derive(Clone, Copy, Debug, Default)]
pub struct Greedy;

impl Greedy {
    /// How often a waiter is woken in vain before it is handed its permits.
    pub const PATIENCE: usize = 4;
}

/// Who gets a permit first: [`Fair`] or [`Greedy`]. Sealed.
pub trait Policy: Copy + Send + Sync + sealed::Policy {}

mod sealed {
    pub trait Policy {
        /// How often a waiter is woken in vain before it is handed its permits.
        const PATIENCE: usize;
    }
}

impl Policy for Fair {}
impl Policy for Greedy {}

impl sealed::Policy for Fair {
    const PATIENCE: usize = 0;
}

impl sealed::Policy for Greedy {
    const PATIENCE: usize = Greedy::PATIENCE;
}

/// A number of permits to share.
///
/// See the [module](self) for its progress, fairness and ordering. `W` says how many tasks can wait: see
/// [`wait::Slots`](Slots).
///
/// # Examples
///
/// At most two transfers at a time:
///
/// ```
/// use aqueduct_core::semaphore::{Semaphore, TryAcquireError};
///
/// static TRANSFERS: Semaphore = Semaphore::new(2);
///
/// let first = TRANSFERS.try_acquire()?;
/// let second = TRANSFERS.try_acquire()?;
/// assert_eq!(TRANSFERS.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// drop(first);
/// let third = aqueduct_core::block_on(TRANSFERS.acquire(), core::hint::spin_loop);
/// assert!(third.is_ok());
/// # Ok::<(), TryAcquireError>(())
/// ```
pub struct Semaphore<P: Policy = Fair, W: Storage = Slots<8>> {
    waiters: Waiters<Permits, W, 2>,
    policy: PhantomData<P>,
}

impl Semaphore {
    const_unless_loom! {
        /// A fair semaphore with `permits` permits, for which eight tasks can wait. With 0 it is a closed gate
        /// until [`add_permits`](Self::add_permits).
        ///
        /// # Panics
        ///
        /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
        pub const fn new(permits: usize) -> Self {
            Self::with_policy(permits, Fair, Slots::new())
        }
    }
}

impl<P: Policy, W: Storage> Semaphore<P, W> {
    /// The most permits a semaphore can have: 2^22 - 1 on 32-bit targets, 2^54 - 1 on 64-bit ones.
    pub const MAX_PERMITS: usize = MAX_PERMITS;

    const_unless_loom! {
        /// A semaphore with `permits` permits, shared by `_policy`, whose waiters stand in `storage`.
        ///
        /// # Panics
        ///
        /// If `permits` is above [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// # Examples
        ///
        /// ```
        /// use aqueduct_core::{semaphore::{Greedy, Semaphore}, wait::Slots};
        ///
        /// static BUS: Semaphore<Greedy, Slots<2>> = Semaphore::with_policy(1, Greedy, Slots::new());
        /// assert_eq!(BUS.available_permits(), 1);
        /// ```
        pub const fn with_policy(permits: usize, _policy: P, storage: W) -> Self {
            Self { waiters: Waiters::new(Permits::new(permits), storage), policy: PhantomData }
        }
    }

    /// Takes one permit if that can be done at once.
    ///
    /// # Errors
    ///
    /// Closed; or none is free, or (under [`Fair`]) somebody waits for it.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_, P, W>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Takes `n` permits if that can be done at once; 0 can, unless the semaphore is closed.
    ///
    /// # Errors
    ///
    /// Closed; or fewer than `n` are free, or (under [`Fair`]) somebody waits for them.
    #[inline]
    pub fn try_acquire_many(&self, n: usize) -> Result<SemaphorePermit<'_, P, W>, TryAcquireError> {
        self.take(n).map(|()| SemaphorePermit::new(self, n))
    }

    /// Waits for one permit.
    ///
    /// # Errors
    ///
    /// Closed.
    pub fn acquire(&self) -> Acquire<'_, P, W> {
        self.acquire_many(1)
    }

    /// Waits for `n` permits, which come all at once; for 0 it never waits.
    ///
    /// A request for more than there are waits, for there may be more one day; one for more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS) is an error at once.
    ///
    /// # Errors
    ///
    /// Closed, or too many.
    pub fn acquire_many(&self, n: usize) -> Acquire<'_, P, W> {
        Acquire::new(self, n)
    }

    /// How many permits can be taken now.
    ///
    /// While somebody serves those who wait it may be less for a moment: what is about to be handed to a waiter that goes
    /// in that moment is put back.
    pub fn available_permits(&self) -> usize {
        self.state().available()
    }

    /// Adds `n` permits, for good.
    ///
    /// # Errors
    ///
    /// There would be more than [`MAX_PERMITS`](Self::MAX_PERMITS); nothing was added.
    pub fn add_permits(&self, n: usize) -> Result<(), TooManyPermits> {
        self.retarget(|target| target.checked_add(n).filter(|&sum| sum <= MAX_PERMITS))
            .map(|_| ())
            .ok_or(TooManyPermits)
    }

    /// Removes up to `n` permits of those that are free now, for good; says how many.
    ///
    /// Those in use stay. To owe the rest, [`resize`](Self::resize). If a `resize` comes in the middle of this call, what it has found
    /// free by then is taken off what the resize says; that may be more than was free after it.
    pub fn forget_permits(&self, n: usize) -> usize {
        let permits = self.waiters.primitive();
        let found = permits.update(|seen| match seen.available().min(n) {
            0 => None,
            fewer => Some(State(seen.0 - in_word(fewer))),
        });
        let Some(before) = found else { return 0 };
        let found = before.available().min(n);
        // permits:count - Relaxed: a guess for the compare-and-swap.
        let mut target = permits.target.load(Relaxed);
        let taken = loop {
            let taken = found.min(target);
            // permits:fewer - Release: as in `shrink`.
            match permits.target.compare_exchange_weak(target, target - taken, Release, Relaxed) {
                Ok(_) => break taken,
                Err(now) => target = now,
            }
        };
        // permits:lower - Release: as in `shrink`.
        permits.total.fetch_sub(taken, Release);
        if taken < found {
            // A resize has taken the others off already.
            self.put(found - taken);
        }
        taken
    }

    /// Makes it `total` permits, those in use included.
    ///
    /// If more than that are in use, the rest is owed: releases pay it off before anybody gets a permit again.
    ///
    /// There are never more than some call has said there may be. So what is to go counts as in use from the beginning of a call
    /// that makes it fewer; if another call changes the number first, it is free again for a moment, and then the call looks anew.
    ///
    /// # Progress
    ///
    /// Lock-free as all here, with one exception: while calls that have begun, and not ended, are to take off more than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS) together, one of them may wait until another is done.
    ///
    /// # Errors
    ///
    /// `total` is above [`MAX_PERMITS`](Self::MAX_PERMITS); nothing was changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct_core::semaphore::Semaphore;
    /// let semaphore = Semaphore::new(3);
    /// let [one, two] = [semaphore.try_acquire()?, semaphore.try_acquire()?];
    /// semaphore.resize(1).unwrap();
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(one); // pays the debt
    /// assert_eq!(semaphore.available_permits(), 0);
    /// drop(two);
    /// assert_eq!(semaphore.available_permits(), 1);
    /// # Ok::<(), aqueduct_core::semaphore::TryAcquireError>(())
    /// ```
    pub fn resize(&self, total: usize) -> Result<(), TooManyPermits> {
        self.retarget(|_| (total <= MAX_PERMITS).then_some(total)).map(|_| ()).ok_or(TooManyPermits)
    }

    /// Gives back `n` permits whose guards were forgotten with [`SemaphorePermit::forget`].
    ///
    /// # Errors
    ///
    /// Fewer than `n` are in use; nothing was given back. While permits are being [removed](Self::forget_permits), or are being
    /// [made fewer](Self::resize), those count as in use.
    pub fn release(&self, n: usize) -> Result<(), OverRelease> {
        let permits = self.waiters.primitive();
        loop {
            // permits:weigh - Acquire: reads permits:put of an `add_permits` that is in here, so that `total`,
            // read next, has it too: it is never less than there are.
            let seen = State(permits.word.load(Acquiring));
            // permits:lower - Acquire: whoever sees it lowered sees the word as low, at the latest at the second look.
            let total = permits.total.load(Acquiring);
            // More than `total` while it shrinks, or after: what is owed is in use.
            let in_use = total as isize - seen.balance();
            if n > in_use.max(0) as usize {
                // permits:weigh - Acquire: the same again, so that the two belong together.
                if permits.word.load(Acquiring) == seen.0 {
                    return Err(OverRelease);
                }
                continue;
            }
            let next = seen.0.wrapping_add(in_word(n));
            // permits:put - Release: as in `put`.
            if permits.word.compare_exchange(seen.0, next, Release, Relaxed).is_ok() {
                if seen.needs_kick() {
                    self.waiters.kick();
                }
                return Ok(());
            }
        }
    }

    /// Lets nobody have a permit any more: those who wait, and those who try later, get an error. Permits in use
    /// may still be given back. True for the first call.
    pub fn close(&self) -> bool {
        let mut first = false;
        self.waiters.post(|word| {
            first = !State(word.0).is_closed();
            Post::Kick(State(word.0).closed().word())
        });
        first
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.state().is_closed()
    }

    /// How often a waiter found no slot and woke itself instead: `W` is too small if this grows.
    pub fn self_wakes(&self) -> usize {
        self.waiters.self_wakes()
    }

    fn state(&self) -> State {
        // permits:read - Acquire: reads permits:put, so whoever sees a permit sees what its last holder did.
        State(self.waiters.primitive().word.load(Acquiring))
    }

    /// Takes `n` permits at once, or says why not.
    #[inline]
    fn take(&self, n: usize) -> Result<(), TryAcquireError> {
        let mut why = TryAcquireError::NoPermits;
        let taken = self.waiters.primitive().update(|seen| {
            if seen.is_closed() {
                why = TryAcquireError::Closed;
                return None;
            }
            let is_free = n == 0 || !seen.is_reserved() && n <= seen.available();
            is_free.then(|| State(seen.0 - in_word(n)))
        });
        taken.map(|_| ()).ok_or(why)
    }

    /// Gives back what a guard stands for.
    #[inline]
    fn put(&self, n: usize) {
        // permits:put - Release: permits:take reads it, so what we did with the permit is visible to the next.
        let before = self.waiters.primitive().word.fetch_add(in_word(n), Release);
        if State(before).needs_kick() {
            self.waiters.kick();
        }
    }

    /// Moves the number of permits to what `change` says.
    fn retarget(&self, change: impl Fn(usize) -> Option<usize>) -> Option<()> {
        let permits = self.waiters.primitive();
        loop {
            // permits:count - Relaxed: a guess for the compare-and-swap; each caller adds or takes its own difference.
            let before = permits.target.load(Relaxed);
            let after = change(before)?;
            if after < before {
                if self.shrink(before, before - after) {
                    return Some(());
                }
                continue;
            }
            // permits:more - Acquire, Relaxed if it fails: reads permits:fewer, so what went is off the word before we add to
            // it. With a weaker one, our addition could come first in the word, and what was to go could be taken.
            if permits.target.compare_exchange(before, after, Acquiring, Relaxed).is_ok() {
                // permits:count - Relaxed: a sum; raised before the word, so that it is never less than there are.
                permits.total.fetch_add(after - before, Relaxed);
                self.put(after - before);
                return Some(());
            }
        }
    }

    /// Makes the number of permits `less` than `target`, if that is what it is.
    fn shrink(&self, target: usize, less: usize) -> bool {
        let permits = self.waiters.primitive();
        // Off the word first: were the number lowered first, somebody could raise it again, and add permits beside those
        // that are still to go.
        let taken = permits.update(|seen| {
            // One call never comes so low; several at a time, one of which can be right, could.
            let has_room = seen.balance() - less as isize >= -(MAX_PERMITS as isize);
            has_room.then(|| State(seen.0.wrapping_sub(in_word(less))))
        });
        if taken.is_none() {
            spin_loop();
            return false;
        }
        // permits:fewer - Release: permits:more reads it, and then the word is as low.
        if permits.target.compare_exchange(target, target - less, Release, Relaxed).is_err() {
            // Somebody else was first, and what he has made of it is what there should be.
            self.put(less);
            return false;
        }
        // permits:lower - Release: permits:lower reads it, and then the word is as low.
        permits.total.fetch_sub(less, Release);
        true
    }
}

impl<P: Policy, W: Storage> fmt::Debug for Semaphore<P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("permits", &self.state().balance())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// Why [`acquire`](Semaphore::acquire) did not get a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireError {
    /// The semaphore is closed.
    Closed,
    /// More than [`MAX_PERMITS`] were asked for.
    TooMany,
}

/// Why [`try_acquire`](Semaphore::try_acquire) did not get a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// The semaphore is closed.
    Closed,
    /// There are not enough permits, or others wait for them.
    NoPermits,
}

/// There would be more permits than [`MAX_PERMITS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPermits;

/// More permits were given back than are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease;

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::TooMany => "no semaphore has so many permits",
        })
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the semaphore is closed",
            Self::NoPermits => "not enough permits are free",
        })
    }
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no semaphore has so many permits")
    }
}

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fewer permits are in use")
    }
}

impl core::error::Error for AcquireError {}
impl core::error::Error for TryAcquireError {}
impl core::error::Error for TooManyPermits {}
impl core::error::Error for OverRelease {}

#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;
