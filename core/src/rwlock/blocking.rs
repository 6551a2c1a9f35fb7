//! The raw traits of the `lock_api` crate, for its guards: mapped, owned, whatever it has.
//!
//! Its blocking calls stand in line like a future, so the policy holds for them too, and let time pass by
//! [`Relax`]; those with a limit, by [`RelaxUntil`], leave the line like a future that is dropped. They must not be called from an interrupt handler: who holds the lock may be the code that it interrupted.
//!
//! A waker that panics while such a guard is dropped, unlocked or downgraded ends the program, and so does a panic in a wait
//! without a limit, but for an upgrade: `lock_api` does not expect its raw calls to unwind. From a wait with a limit, and from
//! an upgrade, a panic comes out as it is, and what the wait got is given back.

use super::policy::{Fair, Policy, ReaderPriority, WriterPriority};
use super::state::Kind::{self, Read, Upgradable, Write};
use super::{RawAcquire, RawRwLock, RawUpgrade, Relax, RelaxUntil};
#[cfg(feature = "alloc")]
use crate::wait::Growable;
use crate::wait::{Slots, Storage};
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

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
            without_unwinding(|| R::block_on(self.read()));
        }
    }

    fn try_lock_shared(&self) -> bool {
        self.try_read()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_shared(&self) {
        // SAFETY: the caller's promise is the same.
        without_unwinding(|| unsafe { self.unlock_read() });
    }

    #[inline]
    fn lock_exclusive(&self) {
        if !self.try_write() {
            without_unwinding(|| R::block_on(self.write()));
        }
    }

    fn try_lock_exclusive(&self) -> bool {
        self.try_write()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: the caller's promise is the same.
        without_unwinding(|| unsafe { self.unlock_write() });
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
        without_unwinding(|| unsafe { RawRwLock::downgrade(self) });
    }
}

// SAFETY: it comes in beside whatever readers are inside, so it never waits where one is.
unsafe impl<P: Policy + Start, W: Storage + Start, R: Relax> lock_api::RawRwLockRecursive
    for RawRwLock<P, W, R>
{
    fn lock_shared_recursive(&self) {
        if !self.try_read_recursive() {
            without_unwinding(|| R::block_on(self.read()));
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
            without_unwinding(|| R::block_on(self.upgradable_read()));
        }
    }

    fn try_lock_upgradable(&self) -> bool {
        self.try_upgradable_read()
    }

    // SAFETY: as the trait asks.
    unsafe fn unlock_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        without_unwinding(|| unsafe { RawRwLock::unlock_upgradable(self) });
    }

    // SAFETY: as the trait asks.
    unsafe fn upgrade(&self) {
        // SAFETY: the caller's promise is the same, and it waits here as long as the request lives.
        let is_in = unsafe { self.ask_to_upgrade() }.by(|asked| R::block_on(asked));
        assert!(is_in, "a future has an output when it is ready, and not before");
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
        without_unwinding(|| unsafe { RawRwLock::downgrade_upgradable(self) });
    }

    // SAFETY: as the trait asks.
    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: the caller's promise is the same.
        without_unwinding(|| unsafe { RawRwLock::downgrade_to_upgradable(self) });
    }
}

// SAFETY: as RawRwLock; a wait that comes to its limit leaves the line, and gives back what it was granted.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockTimed
    for RawRwLock<P, W, R>
{
    type Duration = R::Duration;
    type Instant = R::Instant;

    fn try_lock_shared_for(&self, timeout: R::Duration) -> bool {
        self.ask(Read).by(|asked| R::block_on_for(asked, timeout))
    }

    fn try_lock_shared_until(&self, deadline: R::Instant) -> bool {
        self.ask(Read).by(|asked| R::block_on_until(asked, deadline))
    }

    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> bool {
        self.ask(Write).by(|asked| R::block_on_for(asked, timeout))
    }

    fn try_lock_exclusive_until(&self, deadline: R::Instant) -> bool {
        self.ask(Write).by(|asked| R::block_on_until(asked, deadline))
    }
}

// SAFETY: as RawRwLockRecursive and RawRwLockTimed.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockRecursiveTimed
    for RawRwLock<P, W, R>
{
    fn try_lock_shared_recursive_for(&self, timeout: R::Duration) -> bool {
        self.try_read_recursive() || self.ask(Read).by(|asked| R::block_on_for(asked, timeout))
    }

    fn try_lock_shared_recursive_until(&self, deadline: R::Instant) -> bool {
        self.try_read_recursive() || self.ask(Read).by(|asked| R::block_on_until(asked, deadline))
    }
}

// SAFETY: as RawRwLockUpgrade and RawRwLockTimed.
unsafe impl<P: Policy + Start, W: Storage + Start, R: RelaxUntil> lock_api::RawRwLockUpgradeTimed
    for RawRwLock<P, W, R>
{
    fn try_lock_upgradable_for(&self, timeout: R::Duration) -> bool {
        self.ask(Upgradable).by(|asked| R::block_on_for(asked, timeout))
    }

    fn try_lock_upgradable_until(&self, deadline: R::Instant) -> bool {
        self.ask(Upgradable).by(|asked| R::block_on_until(asked, deadline))
    }

    // SAFETY: as the trait asks.
    unsafe fn try_upgrade_for(&self, timeout: R::Duration) -> bool {
        // SAFETY: the caller's promise is the same; dropped too early, it leaves the upgradable reader as it was.
        unsafe { self.ask_to_upgrade() }.by(|asked| R::block_on_for(asked, timeout))
    }

    // SAFETY: as the trait asks.
    unsafe fn try_upgrade_until(&self, deadline: R::Instant) -> bool {
        // SAFETY: as in `try_upgrade_for`.
        unsafe { self.ask_to_upgrade() }.by(|asked| R::block_on_until(asked, deadline))
    }
}

impl<P: Policy, W: Storage, R: Relax> RawRwLock<P, W, R> {
    fn ask(&self, kind: Kind) -> Asked<RawAcquire<'_, P, W, R>, impl Fn()> {
        let request = match kind {
            Read => self.read(),
            Write => self.write(),
            Upgradable => self.upgradable_read(),
        };
        Asked { request, is_in: false, undo: move || self.leave(kind) }
    }

    /// # Safety
    ///
    /// As for [`upgrade`](RawRwLock::upgrade); the caller is the writer if what this returns says that it has come in, and the
    /// upgradable reader if it says that it has not, or panics.
    unsafe fn ask_to_upgrade(&self) -> Asked<RawUpgrade<'_, P, W, R>, impl Fn()> {
        // SAFETY: the caller's promise is the same.
        let request = unsafe { self.upgrade() };
        let undo = || {
            // SAFETY: the upgrade was ready, so it is the writer whom the caller has not heard of.
            unsafe { self.downgrade_to_upgradable() };
        };
        Asked { request, is_in: false, undo }
    }
}

/// Runs `call`, and ends the program if it panics.
///
/// It changes the word, and then wakes others or lets somebody wait: both is anybody's safe code, which may panic. The guards of
/// `lock_api` count on a call that comes back: unwinding drops the one that is being downgraded as what it was before, and the one
/// that is `unlocked` for a while once more, though the word has nobody of that kind any more, and would be wrong for ever. Nor can
/// the change be taken back, for others may have come in by it.
#[inline(always)]
fn without_unwinding<T>(call: impl FnOnce() -> T) -> T {
    /// Dropped by unwinding only, and a panic then is the end.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a waker, or a `Relax`, panicked in the middle of a call of lock_api");
        }
    }

    let bomb = Bomb;
    let result = call();
    core::mem::forget(bomb);
    result
}

/// A request in the hands of a [`Relax`], which is anybody's safe code. That may poll it to its end and say that it did
/// not, or panic, or poll it once more; what the guards of `lock_api` do with the word must not hang on that. So it is
/// this which notes whether the request has come in.
struct Asked<F, U: Fn()> {
    request: F,
    /// It has come in, and nobody was told.
    is_in: bool,
    /// Gives back what it got.
    undo: U,
}

// Neither is pinned.
impl<F: Unpin, U: Fn()> Unpin for Asked<F, U> {}

impl<F: Future<Output = ()> + Unpin, U: Fn()> Asked<F, U> {
    /// Waits by `wait`; says whether it has come in, whatever that says.
    fn by<T>(mut self, wait: impl FnOnce(Pin<&mut Self>) -> T) -> bool {
        wait(Pin::new(&mut self));
        core::mem::take(&mut self.is_in)
    }
}

impl<F: Future<Output = ()> + Unpin, U: Fn()> Future for Asked<F, U> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_in {
            ready!(Pin::new(&mut self.request).poll(cx));
            self.is_in = true;
        }
        Poll::Ready(())
    }
}

impl<F, U: Fn()> Drop for Asked<F, U> {
    fn drop(&mut self) {
        if self.is_in {
            (self.undo)();
        }
    }
}
