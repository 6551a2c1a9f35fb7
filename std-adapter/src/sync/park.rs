//! How the raw lock of core holds a thread: it sleeps.

use crate::core::rwlock::{Relax, RelaxUntil};
use crate::park;
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

/// A thread that sleeps until it is woken: how the blocking calls of [`RawRwLock`] wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Park;

impl Relax for Park {
    fn relax() {
        std::thread::yield_now();
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        park::block_on(future)
    }
}

impl RelaxUntil for Park {
    type Duration = Duration;
    type Instant = Instant;

    fn block_on_for<F: Future>(future: Pin<&mut F>, timeout: Duration) -> Option<F::Output> {
        park::block_on_timeout(future, timeout)
    }

    fn block_on_until<F: Future>(future: Pin<&mut F>, deadline: Instant) -> Option<F::Output> {
        park::block_on_deadline(future, deadline)
    }
}

/// A raw read-write lock whose blocking calls put the thread to sleep, for any number of threads and tasks.
///
/// With the feature `lock_api` it implements that crate's raw traits, the timed and the recursive ones included, so that
/// `lock_api::RwLock<RawRwLock, T>` is a lock with all of their guards, and `try_write_for` and its like. A wait that comes
/// to its limit leaves the line; a writer's lets the readers in that it held back.
///
/// # Examples
///
#[cfg_attr(feature = "lock_api", doc = "```")]
#[cfg_attr(not(feature = "lock_api"), doc = "```ignore")]
/// use aqueduct::core::rwlock::Fair;
/// use aqueduct::sync::RawRwLock;
/// use std::time::Duration;
///
/// let lock = lock_api::RwLock::<RawRwLock<Fair>, _>::new(1);
/// let reader = lock.read();
/// assert!(lock.try_write_for(Duration::ZERO).is_none());
/// drop(reader);
/// *lock.write() += 1;
/// assert_eq!(lock.into_inner(), 2);
/// ```
pub type RawRwLock<P = crate::core::rwlock::WriterPriority> =
    crate::core::rwlock::RawRwLock<P, crate::core::wait::Growable, Park>;
