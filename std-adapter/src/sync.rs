//! Locks for threads and tasks, thin over [`core`](crate::core).
//!
//! The semaphore and the read-write lock of core are for both already: a task awaits them, a thread waits for the same
//! futures with [`park::block_on`]. What stands here is what needs threads.
//!
//! # Examples
//!
//! One semaphore, a thread and a task:
//!
//! ```
//! use aqueduct::core::semaphore::Semaphore;
//! use aqueduct::park;
//!
//! static PERMITS: Semaphore = Semaphore::new(1);
//!
//! let permit = park::block_on(PERMITS.acquire())?;
//! let task = async { PERMITS.acquire().await.map(|permit| permit.num_permits()) };
//! drop(permit);
//! assert_eq!(park::block_on(task), Ok(1));
//! # Ok::<(), aqueduct::core::semaphore::AcquireError>(())
//! ```

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
