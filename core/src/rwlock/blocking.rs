//! The raw traits of the `lock_api` crate, for its guards: mapped, owned, whatever it has.
//!
//! Its blocking calls stand in line like a future, so the policy holds for them too, and let time pass by
//! [`Relax`]; those with a limit, by [`RelaxUntil`], leave the line like a future that is dropped. They must not be called from an interrupt handler: who holds the lock may be the code that it interrupted.

use super::policy::{Fair, Policy, ReaderPriority, WriterPriority};
use super::{RawRwLock, Relax, RelaxUntil};
#[cfg(feature = "alloc")]
use crate::wait::Growable;
use crate::wait::{Slots, Storage};
use core::pin::pin;

/// What a lock starts from, as constants: `lock_api` wants one.
pub trait Start {
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "each use is a new one, as it should be"
    )]
    const START: Self;
}

impl Start for WriterPriority {
    const START: Self = Self;
}

impl Start for ReaderPriority {
    const START: Self = Self;
}

impl Start for Fair {
    const START: Self = Self;
}

impl<const W: usize> Start for Slots<W> {
    const START: Self = Self::new();
}

#[cfg(feature = "alloc")]
impl Start for Growable {
    const START: Self = Self::new();
}

// SAFETY: a writer comes in only where nobody is inside, and a reader only where no writer is; see PROTOCOL.md.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLock
    for RawRwLock<P, W, R>
{
    #[allow(
        clippy::declare_interior_mutable_const,
        reason = "each use is a new one, as it should be"
    )]
    const INIT: Self = Self::with_policy(P::START, W::START);

    /// Whoever leaves, leaves for everybody: in what thread is all the same.
    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock_shared(&self) {
        if !self.try_read() {
            R::block_on(self.read());
        }
    }

    fn try_lock_shared(&self) -> bool {
        self.try_read()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.unlock_read() };
    }

    #[inline]
    fn lock_exclusive(&self) {
        if !self.try_write() {
            R::block_on(self.write());
        }
    }

    fn try_lock_exclusive(&self) -> bool {
        self.try_write()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { self.unlock_write() };
    }

    fn is_locked(&self) -> bool {
        RawRwLock::is_locked(self)
    }

    fn is_locked_exclusive(&self) -> bool {
        RawRwLock::is_locked_exclusive(self)
    }
}

// SAFETY: the writer becomes a reader in one step, so no other writer is inside in between.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLockDowngrade
    for RawRwLock<P, W, R>
{
    // SAFETY: as the trait asks.
    unsafe fn downgrade(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { RawRwLock::downgrade(self) };
    }
}

// SAFETY: it comes in beside whatever readers are inside, so it never waits where one is.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLockRecursive
    for RawRwLock<P, W, R>
{
    fn lock_shared_recursive(&self) {
        if !self.try_read_recursive() {
            R::block_on(self.read());
        }
    }

    fn try_lock_shared_recursive(&self) -> bool {
        self.try_read_recursive()
    }
}

// SAFETY: one upgradable reader is inside at a time, and it becomes the writer in one step, when no reader is inside.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLockUpgrade
    for RawRwLock<P, W, R>
{
    fn lock_upgradable(&self) {
        if !self.try_upgradable_read() {
            R::block_on(self.upgradable_read());
        }
    }

    fn try_lock_upgradable(&self) -> bool {
        self.try_upgradable_read()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { RawRwLock::unlock_upgradable(self) };
    }

    // SAFETY: as the trait asks.
    unsafe fn upgrade(&self) {
        // SAFETY: the caller's promise is the same, and it waits here as long as the future lives.
        R::block_on(unsafe { RawRwLock::upgrade(self) });
    }

    // SAFETY: as the trait asks.
    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: the caller's promise is the same.
        unsafe { RawRwLock::try_upgrade(self) }
    }
}

// SAFETY: each is one step, and nobody else is the writer in between.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLockUpgradeDowngrade
    for RawRwLock<P, W, R>
{
    // SAFETY: as the trait asks.
    unsafe fn downgrade_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { RawRwLock::downgrade_upgradable(self) };
    }

    // SAFETY: as the trait asks.
    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        unsafe { RawRwLock::downgrade_to_upgradable(self) };
    }
}

// SAFETY: as RawRwLock; a wait that comes to its limit leaves the line, and gives back what it was granted.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockTimed
    for RawRwLock<P, W, R>
{
    type Duration = R::Duration;
    type Instant = R::Instant;

    fn try_lock_shared_for(&self, timeout: R::Duration) -> bool {
        R::block_on_for(pin!(self.read()), timeout).is_some()
    }

    fn try_lock_shared_until(&self, deadline: R::Instant) -> bool {
        R::block_on_until(pin!(self.read()), deadline).is_some()
    }

    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> bool {
        R::block_on_for(pin!(self.write()), timeout).is_some()
    }

    fn try_lock_exclusive_until(&self, deadline: R::Instant) -> bool {
        R::block_on_until(pin!(self.write()), deadline).is_some()
    }
}

// SAFETY: as RawRwLockRecursive and RawRwLockTimed.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockRecursiveTimed
    for RawRwLock<P, W, R>
{
    fn try_lock_shared_recursive_for(&self, timeout: R::Duration) -> bool {
        self.try_read_recursive() || R::block_on_for(pin!(self.read()), timeout).is_some()
    }

    fn try_lock_shared_recursive_until(&self, deadline: R::Instant) -> bool {
        self.try_read_recursive() || R::block_on_until(pin!(self.read()), deadline).is_some()
    }
}

// SAFETY: as RawRwLockUpgrade and RawRwLockTimed.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockUpgradeTimed
    for RawRwLock<P, W, R>
{
    fn try_lock_upgradable_for(&self, timeout: R::Duration) -> bool {
        R::block_on_for(pin!(self.upgradable_read()), timeout).is_some()
    }

    fn try_lock_upgradable_until(&self, deadline: R::Instant) -> bool {
        R::block_on_until(pin!(self.upgradable_read()), deadline).is_some()
    }

    // SAFETY: as the trait asks.
    unsafe fn try_upgrade_for(&self, timeout: R::Duration) -> bool {
        // SAFETY: the caller's promise is the same; dropped too early, it leaves the upgradable reader as it was.
        R::block_on_for(pin!(unsafe { RawRwLock::upgrade(self) }), timeout).is_some()
    }

    // SAFETY: as the trait asks.
    unsafe fn try_upgrade_until(&self, deadline: R::Instant) -> bool {
        // SAFETY: as in `try_upgrade_for`.
        R::block_on_until(pin!(unsafe { RawRwLock::upgrade(self) }), deadline).is_some()
    }
}
