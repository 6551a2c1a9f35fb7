//! How the raw lock of core holds a thread: it sleeps.

use crate::core::rwlock::{Relax, RelaxUntil};
use crate::park::{Impatience, deadline_after, drive};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

/// A thread that sleeps until it is woken: how the blocking calls of [`RawRwLock`] wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Park;

impl Relax for Park {
    fn relax() {
        std::thread::yield_now();
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let ready = drive(pin!(future), None, Impatience::GiveWay);
        ready.expect("without a deadline there is no way out but ready")
    }
}

impl RelaxUntil for Park {
    type Duration = Duration;
    type Instant = Instant;

    fn block_on_for<F: Future>(future: Pin<&mut F>, timeout: Duration) -> Option<F::Output> {
        drive(future, deadline_after(timeout), Impatience::GiveWay)
    }

    fn block_on_until<F: Future>(future: Pin<&mut F>, deadline: Instant) -> Option<F::Output> {
        drive(future, Some(deadline), Impatience::GiveWay)
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
