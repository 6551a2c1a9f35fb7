//! Locks, permits and rendezvous for threads and tasks together, thin over [`core`](crate::core).
//!
//! | | waits for | holds a thread | is awaited |
//! |---|---|---|---|
//! | [`Semaphore`] | permits | [`acquire_blocking`](Semaphore::acquire_blocking) | `acquire().await` |
//! | [`RwLock`] | no writer, or nobody, inside | [`read_blocking`](RwLock::read_blocking), [`write_blocking`](RwLock::write_blocking) | [`read`](RwLock::read), [`write`](RwLock::write) |
//! | [`Mutex`] | nobody inside | [`lock_blocking`](Mutex::lock_blocking) | [`lock`](Mutex::lock) |
//! | [`Condvar`] | a change of what a mutex protects | [`wait`](Condvar::wait) | [`wait_async`](Condvar::wait_async) |
//! | [`WaitGroup`] | the end of all that was begun | [`wait`](WaitGroup::wait) | [`wait_async`](WaitGroup::wait_async) |
//! | [`Barrier`] | everybody's arrival | [`wait`](Barrier::wait) | [`wait_async`](Barrier::wait_async) |
//! | [`Event`] | a flag | [`wait`](Event::wait) | [`wait_async`](Event::wait_async) |
//!
//! The names of the first three are those of `tokio::sync`, so the bare verb is a future there and `_blocking` holds the
//! thread; the others have no other meaning than to wait, so there the bare verb holds the thread and `_async` does not. Each
//! call that holds a thread has three more forms: `_timeout`, `_deadline`, and `_ctx`, which a
//! [`Context`](crate::Context) ends wherever it sleeps ([`Condvar::wait_while`] has `wait_timeout_while` alone). A limit too long for the clock, such as `Duration::MAX`, is none; one that
//! has passed already still tries once; a context that is done already wins over what could be had.
//!
//! Who comes first is a parameter: [`Greedy`] or [`core::semaphore::Fair`](crate::core::semaphore::Fair) for a semaphore,
//! [`WriterPriority`], [`ReaderPriority`] or [`core::rwlock::Fair`](crate::core::rwlock::Fair) for a lock.
//!
//! Any number of threads and tasks can wait: slots come from the heap, and are kept for the next. A lock or semaphore is
//! some 300 bytes of its own; those of core, with a fixed number of slots, are smaller.
//!
//! There is no poisoning. A guard that is dropped by a panic unlocks, as in `tokio` and `parking_lot`: what the panic left
//! half-done is then visible to the next, so let a value's own methods keep it whole.
//!
//! # Deadlocks
//!
//! Two threads that take the same two locks in different order will wait for each other one day. The feature
//! `deadlock-detection` watches, in debug builds, in which order threads take [`Mutex`]es and [`RwLock`]s with calls that hold
//! the thread, and panics, naming the lines, as soon as two orders do not go together: when they *could* deadlock, not when
//! they do. See `sync::deadlock`. Without the feature, or without debug assertions, it costs nothing, not a byte.
//!
//! # Examples
//!
//! One semaphore, a thread and a task:
//!
//! ```
//! use aqueduct::park::block_on;
//! use aqueduct::sync::Semaphore;
//!
//! static PERMITS: Semaphore = Semaphore::new(1);
//!
//! let permit = PERMITS.acquire_blocking()?;
//! let task = async { PERMITS.acquire().await.map(|permit| permit.num_permits()) };
//! drop(permit);
//! assert_eq!(block_on(task), Ok(1));
//! # Ok::<(), aqueduct::sync::AcquireError>(())
//! ```

mod barrier;
mod condvar;
#[cfg(feature = "deadlock-detection")]
pub mod deadlock;
mod error;
mod event;
mod hold;
mod monitor;
mod mutex;
mod order;
mod park;
mod rwlock;
mod semaphore;
mod wait_group;

pub use crate::core::rwlock::{ReaderPriority, WriterPriority};
pub use crate::core::semaphore::{AcquireError, Greedy, TryAcquireError};
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use error::{AcquireCtxError, AcquireTimeoutError, TimeoutError, TryLockError};
pub use event::Event;
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard};
pub use park::{Park, RawRwLock};
pub use rwlock::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard,
};
pub use semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
pub use wait_group::{WaitGroup, WaitGroupToken};
