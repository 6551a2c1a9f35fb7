//! The types of aqueduct-core.

use crate::{generic, has, others, plain, send_sync};
use aqueduct_core::crew::{Crew, Notice, Numbers};
use aqueduct_core::job::InlineFn;
use aqueduct_core::latch::Latch;
use aqueduct_core::queue::{self, ArrayQueue, StaticQueue, spsc};
use aqueduct_core::rwlock::{
    self, Exclusive, MappedRwLockReadGuard, MappedRwLockWriteGuard, RawAcquire, RawRwLock,
    RawUpgrade, Read, ReaderPriority, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard,
    RwLockWriteGuard, Spin, UpgradableRead, Upgrade, Write, WriterPriority,
};
use aqueduct_core::semaphore::{
    self, Acquire, AcquireError, AcquireOwned, Greedy, OverRelease, OwnedSemaphorePermit,
    Semaphore, SemaphorePermit, TooManyPermits, TryAcquireError,
};
use aqueduct_core::wait::{Closed, Growable, Slots, Wait, WaitCell, WaitQueue};
use aqueduct_core::{channel, channel::Channel, channel::StaticChannel};
use aqueduct_tests::channel::Waiting;
use std::marker::PhantomPinned;

#[test]
fn queues() {
    // Values move through a queue, so that `Send` is all it takes to share one.
    generic! {
        T => ArrayQueue<T>, ["SS" "SS" "--" "--"], "UWR";
        T => StaticQueue<T, 2>, ["SS" "SS" "--" "--"], "UWR";
        T => queue::IntoIter<ArrayQueue<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => queue::IntoIter<StaticQueue<T, 2>>, ["SS" "SS" "--" "--"], "UWR";
        T => spsc::StaticRing<T, 2>, ["SS" "SS" "--" "--"], "UWR";
        T => spsc::Producer<'static, T>, ["SS" "SS" "--" "--"], "UWR";
        // `peek` lends a value, but to whoever has the consumer for himself.
        T => spsc::Consumer<'static, T>, ["SS" "SS" "--" "--"], "UWR";
    }
}

#[test]
fn waiting() {
    plain! {
        Crew, "SS", "UWR";
        Latch, "SS", "UWR";
        Notice, "SS", "UWR";
        Numbers, "SS", "UWR";
        // What it holds is Send, and is never looked at through a reference.
        InlineFn<2>, "SS", "UWR";
        WaitCell, "SS", "UWR";
        WaitQueue, "SS", "UWR";
        WaitQueue<Growable>, "SS", "UWR";
        Wait<'static>, "SS", "UWR";
        Wait<'static, Growable>, "SS", "UWR";
        Slots<2>, "SS", "UWR";
        Growable, "SS", "UWR";
        Closed, "SS", "UWR";
    }
}

#[test]
fn semaphores() {
    plain! {
        Semaphore, "SS", "UWR";
        Semaphore<Greedy, Slots<2>>, "SS", "UWR";
        Semaphore<semaphore::Fair, Growable>, "SS", "UWR";
        SemaphorePermit<'static>, "SS", "UWR";
        OwnedSemaphorePermit, "SS", "UWR";
        Acquire<'static>, "SS", "UWR";
        AcquireOwned, "SS", "UWR";
        semaphore::Fair, "SS", "UWR";
        Greedy, "SS", "UWR";
        AcquireError, "SS", "UWR";
        TryAcquireError, "SS", "UWR";
        TooManyPermits, "SS", "UWR";
        OverRelease, "SS", "UWR";
    }
}

#[test]
fn locks() {
    // Whoever reads shares the value with other threads; whoever writes may take it out. A guard holds a reference to the
    // whole lock.
    generic! {
        T => RwLock<T>, ["SS" "S-" "--" "--"], "UW-";
        T => RwLock<T, ReaderPriority, Growable>, ["SS" "S-" "--" "--"], "UW-";
        T => RwLockReadGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => RwLockUpgradableReadGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => RwLockWriteGuard<'static, T>, ["SS" "--" "--" "--"], "U--";
        // They have forgotten of what lock they are: a reference, and how to leave.
        T => MappedRwLockReadGuard<'static, T>, ["SS" "--" "SS" "--"], "UWR";
        T => MappedRwLockWriteGuard<'static, T>, ["SS" "S-" "-S" "--"], "U-R";
        // A shared reference to it gives nothing.
        T => Exclusive<T>, ["SS" "SS" "-S" "-S"], "UWR";
        T => Read<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => Write<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => UpgradableRead<'static, T>, ["SS" "--" "--" "--"], "U--";
        T => Upgrade<'static, T>, ["SS" "--" "--" "--"], "U--";
    }
    plain! {
        RawRwLock, "SS", "UWR";
        RawAcquire<'static>, "SS", "UWR";
        RawUpgrade<'static>, "SS", "UWR";
        WriterPriority, "SS", "UWR";
        ReaderPriority, "SS", "UWR";
        rwlock::Fair, "SS", "UWR";
        Spin, "SS", "UWR";
    }
}

type Fetch = fn(u8);

#[test]
fn channels() {
    generic! {
        T => Channel<T>, ["SS" "SS" "--" "--"], "UWR";
        T => Channel<T, Waiting>, ["SS" "SS" "--" "--"], "UWR";
        T => StaticChannel<T, 2>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::Send<'static, Channel<T>>, ["SS" "S-" "--" "--"], "UWR";
        T => channel::Recv<'static, Channel<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::RecvMany<'static, Channel<T>, Fetch>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::Reserve<'static, Channel<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::RecvWatch<'static, Channel<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::SendWatch<'static, Channel<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::Permit<'static, Channel<T>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::Send<'static, StaticChannel<T, 2>>, ["SS" "S-" "--" "--"], "UWR";
        T => channel::Permit<'static, StaticChannel<T, 2>>, ["SS" "SS" "--" "--"], "UWR";
        T => channel::TrySendError<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => channel::SendError<T>, ["SS" "S-" "-S" "--"], "UWR";
        T => channel::ForceSendError<T>, ["SS" "S-" "-S" "--"], "UWR";
    }
    plain! {
        channel::LockFree, "SS", "UWR";
        channel::TryRecvError, "SS", "UWR";
        channel::RecvError, "SS", "UWR";
        channel::ReserveError, "SS", "UWR";
    }
}

/// A closure that may not be sent makes its future one that may not.
#[test]
fn what_a_future_carries_counts() {
    generic! {
        T => channel::RecvMany<'static, Channel<u8>, T>, ["SS" "S-" "-S" "--"], "UWR";
    }
}

/// Futures hold an index, and values are moved, never pinned: nobody has to pin what cannot be moved.
#[test]
fn futures_are_unpin_whatever_they_carry() {
    assert!(!has!(PhantomPinned: Unpin));
    assert!(has!(channel::Send<'static, Channel<PhantomPinned>>: Unpin));
    assert!(has!(channel::Send<'static, StaticChannel<PhantomPinned, 1>>: Unpin));
    assert!(has!(channel::Recv<'static, StaticChannel<PhantomPinned, 1>>: Unpin));
    assert!(has!(channel::RecvMany<'static, Channel<u8>, PhantomPinned>: Unpin));
    assert!(has!(channel::Reserve<'static, StaticChannel<PhantomPinned, 1>>: Unpin));
    assert!(has!(ArrayQueue<PhantomPinned>: Unpin));
}
