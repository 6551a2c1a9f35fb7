//! Who takes part in family `semaphore`: ours under both policies, then the peers by name. A library
//! without semaphores takes part with the one of the textbooks, a counter under its lock and a
//! condition variable.

use std::sync::{Condvar, Mutex};

use aqueduct::sync::{Greedy, Semaphore as Ours};
use aqueduct_core::semaphore::{Fair, Policy};

use super::{AsyncSemaphore, Semaphore, Shape, async_candidate, candidate};
use crate::family::{Candidate, OURS};

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    let all = [
        async_candidate::<Aqueduct<Fair>>(shape),
        async_candidate::<Aqueduct<Greedy>>(shape),
        async_candidate::<AsyncLock>(shape),
        candidate::<ParkingLot>(shape),
        candidate::<Std>(shape),
        async_candidate::<Tokio>(shape),
    ];
    all.into_iter().flatten().collect()
}

/// What std programs use.
struct Aqueduct<P: Policy>(Ours<P>);

macro_rules! ours {
    ($policy:ident, $name:expr) => {
        impl Semaphore for Aqueduct<$policy> {
            const NAME: &'static str = $name;
            const WEIGHTED: bool = true;

            fn new(permits: usize) -> Self {
                Self(Ours::with_policy(permits, $policy))
            }

            #[inline]
            fn acquire(&self, n: usize) -> impl Sized + '_ {
                self.0.acquire_many_blocking(n).expect("nobody closes it")
            }

            #[inline]
            fn try_acquire(&self, n: usize) -> Option<impl Sized + '_> {
                self.0.try_acquire_many(n).ok()
            }
        }

        impl AsyncSemaphore for Aqueduct<$policy> {
            #[inline]
            async fn acquire_async(&self, n: usize) -> impl Send + '_ {
                self.0.acquire_many(n).await.expect("nobody closes it")
            }
        }
    };
}

ours!(Fair, OURS);
ours!(Greedy, "aqueduct-greedy");

/// One permit at a time only.
struct AsyncLock(async_lock::Semaphore);

impl Semaphore for AsyncLock {
    const NAME: &'static str = "async-lock";
    const WEIGHTED: bool = false;

    fn new(permits: usize) -> Self {
        Self(async_lock::Semaphore::new(permits))
    }

    #[inline]
    fn acquire(&self, _: usize) -> impl Sized + '_ {
        self.0.acquire_blocking()
    }

    #[inline]
    fn try_acquire(&self, _: usize) -> Option<impl Sized + '_> {
        self.0.try_acquire()
    }
}

impl AsyncSemaphore for AsyncLock {
    #[inline]
    async fn acquire_async(&self, _: usize) -> impl Send + '_ {
        self.0.acquire().await
    }
}

/// What the textbook's semaphore has under its lock.
struct Counter {
    free: usize,
    /// Whether somebody has asked for several at once: then all must look when one comes back, since
    /// the one who is woken may not be who could go on.
    weighted: bool,
}

impl Counter {
    fn new(free: usize) -> Self {
        Self { free, weighted: false }
    }

    fn lacks(&mut self, n: usize) -> bool {
        self.weighted |= n > 1;
        self.free < n
    }

    fn take(&mut self, n: usize) -> Option<()> {
        self.free = self.free.checked_sub(n)?;
        Some(())
    }

    /// Whether to wake everybody.
    fn give_back(&mut self, n: usize) -> bool {
        self.free += n;
        self.weighted
    }
}

/// The textbook's.
struct ParkingLot {
    counter: parking_lot::Mutex<Counter>,
    more: parking_lot::Condvar,
}

struct ParkingLotPermit<'a>(&'a ParkingLot, usize);

impl Semaphore for ParkingLot {
    const NAME: &'static str = "parking_lot";
    const WEIGHTED: bool = true;

    fn new(permits: usize) -> Self {
        Self {
            counter: parking_lot::Mutex::new(Counter::new(permits)),
            more: parking_lot::Condvar::new(),
        }
    }

    #[inline]
    fn acquire(&self, n: usize) -> impl Sized + '_ {
        let mut counter = self.counter.lock();
        self.more.wait_while(&mut counter, |counter| counter.lacks(n));
        counter.take(n).expect("waited for");
        ParkingLotPermit(self, n)
    }

    #[inline]
    fn try_acquire(&self, n: usize) -> Option<impl Sized + '_> {
        self.counter.lock().take(n)?;
        Some(ParkingLotPermit(self, n))
    }
}

impl Drop for ParkingLotPermit<'_> {
    #[inline]
    fn drop(&mut self) {
        let all = self.0.counter.lock().give_back(self.1);
        if all {
            self.0.more.notify_all();
        } else {
            self.0.more.notify_one();
        }
    }
}

/// The textbook's.
struct Std {
    counter: Mutex<Counter>,
    more: Condvar,
}

struct StdPermit<'a>(&'a Std, usize);

impl Semaphore for Std {
    const NAME: &'static str = "std";
    const WEIGHTED: bool = true;

    fn new(permits: usize) -> Self {
        Self { counter: Mutex::new(Counter::new(permits)), more: Condvar::new() }
    }

    #[inline]
    fn acquire(&self, n: usize) -> impl Sized + '_ {
        let counter = self.counter.lock().expect("nobody panics");
        let waited = self.more.wait_while(counter, |counter| counter.lacks(n));
        waited.expect("nobody panics").take(n).expect("waited for");
        StdPermit(self, n)
    }

    #[inline]
    fn try_acquire(&self, n: usize) -> Option<impl Sized + '_> {
        self.counter.lock().expect("nobody panics").take(n)?;
        Some(StdPermit(self, n))
    }
}

impl Drop for StdPermit<'_> {
    #[inline]
    fn drop(&mut self) {
        let all = self.0.counter.lock().expect("nobody panics").give_back(self.1);
        if all {
            self.0.more.notify_all();
        } else {
            self.0.more.notify_one();
        }
    }
}

/// For threads through futures-lite's `block_on`, since it has no call of its own for them.
struct Tokio(tokio::sync::Semaphore);

impl Semaphore for Tokio {
    const NAME: &'static str = "tokio";
    const WEIGHTED: bool = true;

    fn new(permits: usize) -> Self {
        Self(tokio::sync::Semaphore::new(permits))
    }

    #[inline]
    fn acquire(&self, n: usize) -> impl Sized + '_ {
        let n = u32::try_from(n).expect("a few");
        futures_lite::future::block_on(self.0.acquire_many(n)).expect("nobody closes it")
    }

    #[inline]
    fn try_acquire(&self, n: usize) -> Option<impl Sized + '_> {
        self.0.try_acquire_many(u32::try_from(n).expect("a few")).ok()
    }
}

impl AsyncSemaphore for Tokio {
    #[inline]
    async fn acquire_async(&self, n: usize) -> impl Send + '_ {
        let n = u32::try_from(n).expect("a few");
        self.0.acquire_many(n).await.expect("nobody closes it")
    }
}
