//! `defmt::Format` for what a chip may want to log: errors, policies, permits and guards, and a summary of each
//! object. Futures have none: what there is to know about one is known to whoever polls it.
//!
//! One table, since it is one idea: a type, and for each of its cases the text, which stays on the host, and the
//! numbers, which are all that is in flash and on the wire. As with `Debug`, an error can be logged whether its value
//! can or not, and a guard shows what it guards.

use crate::channel::{
    AnyChannel, ForceSendError, LockFree, Permit, RecvError, ReserveError, SendError,
    StaticChannel, TryRecvError, TrySendError,
};
use crate::crew::{Crew, Notice, Numbers};
use crate::job::InlineFn;
use crate::latch::Latch;
use crate::queue::{StaticQueue, spsc};
use crate::rwlock::{
    self, MappedRwLockReadGuard, MappedRwLockWriteGuard, RawRwLock, ReaderPriority, Relax, RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Spin, WriterPriority,
};
use crate::semaphore::{
    self, AcquireError, Greedy, OverRelease, Semaphore, SemaphorePermit, TooManyPermits,
    TryAcquireError,
};
use crate::wait::{Closed, Slots, Storage, Wait, WaitCell, WaitQueue};
use defmt::{Format, Formatter};

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
use crate::semaphore::OwnedSemaphorePermit;
#[cfg(feature = "alloc")]
use crate::{
    channel::{Channel, Progress},
    queue::ArrayQueue,
    wait::Growable,
};

macro_rules! formats {
    ($([$($generics:tt)*] $type:ty { $($case:pat => $text:literal $(, $number:expr)*;)+ })*) => {$(
        impl<$($generics)*> Format for $type {
            fn format(&self, f: Formatter<'_>) {
                match self {
                    $($case => defmt::write!(f, $text $(, $number)*),)+
                }
            }
        }
    )*};
}

formats! {
    [T, const N: usize] StaticQueue<T, N> {
        queue => "StaticQueue {{ len: {=usize}, capacity: {=usize} }}", queue.len(), queue.capacity();
    }
    [T, const N: usize] spsc::StaticRing<T, N> { ring => "StaticRing {{ capacity: {=usize} }}", ring.capacity(); }
    [T] spsc::Producer<'_, T> { end => "Producer {{ len: {=usize}, capacity: {=usize} }}", end.len(), end.capacity(); }
    [T] spsc::Consumer<'_, T> { end => "Consumer {{ len: {=usize}, capacity: {=usize} }}", end.len(), end.capacity(); }

    [W: Storage] WaitQueue<W> {
        queue => "WaitQueue {{ awaited: {=bool}, closed: {=bool}, self_wakes: {=usize} }}",
            queue.has_waiters(), queue.is_closed(), queue.self_wakes();
    }
    [W: Storage] Wait<'_, W> { wait => "Wait {{ registered: {=bool} }}", wait.is_registered(); }
    [] WaitCell { _ => "WaitCell"; }
    [const W: usize] Slots<W> { _ => "Slots<{=usize}>", W; }
    [] Closed { _ => "Closed"; }

    [] Latch { latch => "Latch {{ decision: {=usize} }}", latch.get().map_or(0, |it| it.get()); }
    [] Crew { crew => "Crew {{ searchers: {=usize} }}", crew.searchers(); }
    [const WORDS: usize] InlineFn<WORDS> { _ => "InlineFn<{=usize}>", WORDS; }
    [] Numbers { numbers => "Numbers {{ given: {=usize} }}", numbers.given(); }
    [] Notice { notice => "Notice {{ number: {=usize} }}", notice.seen(); }

    [P: semaphore::Policy, W: Storage] Semaphore<P, W> {
        semaphore => "Semaphore {{ available: {=usize}, closed: {=bool} }}",
            semaphore.available_permits(), semaphore.is_closed();
    }
    [P: semaphore::Policy, W: Storage] SemaphorePermit<'_, P, W> {
        permit => "SemaphorePermit {{ permits: {=usize} }}", permit.num_permits();
    }
    [] semaphore::Fair { _ => "Fair"; }
    [] Greedy { _ => "Greedy"; }
    [] AcquireError { Self::Closed => "Closed"; Self::TooMany => "TooMany"; }
    [] TryAcquireError { Self::Closed => "Closed"; Self::NoPermits => "NoPermits"; }
    [] TooManyPermits { _ => "TooManyPermits"; }
    [] OverRelease { _ => "OverRelease"; }

    [P: rwlock::Policy, W: Storage, R: Relax] RawRwLock<P, W, R> {
        lock => "RawRwLock {{ locked: {=bool}, written: {=bool} }}", lock.is_locked(), lock.is_locked_exclusive();
    }
    [T: ?Sized + Format, P: rwlock::Policy, W: Storage] RwLockReadGuard<'_, T, P, W> { guard => "{}", **guard; }
    [T: ?Sized + Format, P: rwlock::Policy, W: Storage] RwLockUpgradableReadGuard<'_, T, P, W> { guard => "{}", **guard; }
    [T: ?Sized + Format, P: rwlock::Policy, W: Storage] RwLockWriteGuard<'_, T, P, W> { guard => "{}", **guard; }
    [T: ?Sized + Format, P: rwlock::Policy, W: Storage] MappedRwLockReadGuard<'_, T, P, W> { guard => "{}", **guard; }
    [T: ?Sized + Format, P: rwlock::Policy, W: Storage] MappedRwLockWriteGuard<'_, T, P, W> { guard => "{}", **guard; }
    [] WriterPriority { _ => "WriterPriority"; }
    [] ReaderPriority { _ => "ReaderPriority"; }
    [] rwlock::Fair { _ => "Fair"; }
    [] Spin { _ => "Spin"; }

    [T, const N: usize, W: Storage] StaticChannel<T, N, W> {
        channel => "StaticChannel {{ len: {=usize}, capacity: {=usize}, closed: {=bool} }}",
            channel.len(), channel.capacity(), channel.is_closed();
    }
    [] LockFree { _ => "LockFree"; }
    [C: AnyChannel] Permit<'_, C> { _ => "Permit"; }
    [T] TrySendError<T> { Self::Full(_) => "Full(..)"; Self::Closed(_) => "Closed(..)"; }
    [T] SendError<T> { _ => "SendError(..)"; }
    [T] ForceSendError<T> { _ => "ForceSendError {{ .. }}"; }
    [] TryRecvError { Self::Empty => "Empty"; Self::Closed => "Closed"; }
    [] RecvError { _ => "RecvError"; }
    [] ReserveError { _ => "ReserveError"; }
}

#[cfg(feature = "alloc")]
formats! {
    [T] ArrayQueue<T> {
        queue => "ArrayQueue {{ len: {=usize}, capacity: {=usize} }}", queue.len(), queue.capacity();
    }
    [] Growable { _ => "Growable"; }
    [T, P: Progress] Channel<T, P> {
        channel => "Channel {{ len: {=usize}, capacity: {=usize}, closed: {=bool} }}",
            channel.len(), channel.capacity(), channel.is_closed();
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
formats! {
    [P: semaphore::Policy, W: Storage] OwnedSemaphorePermit<P, W> {
        permit => "OwnedSemaphorePermit {{ permits: {=usize} }}", permit.num_permits();
    }
}

impl<T: ?Sized + Format, P: rwlock::Policy, W: Storage> Format for RwLock<T, P, W> {
    fn format(&self, f: Formatter<'_>) {
        match self.try_read() {
            Some(guard) => defmt::write!(f, "RwLock {{ data: {} }}", *guard),
            None => defmt::write!(f, "RwLock {{ <locked> }}"),
        }
    }
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests;
