//! Channels, locks, contexts, threads, pools and pipelines for std programs, on the lock-free core of aqueduct.
#![forbid(unsafe_code)]

pub use aqueduct_core as core;
pub use context::Context;

pub mod channel;
pub mod context;
#[cfg(feature = "prometheus")]
mod exposition;
pub mod fan;
mod foreign;
pub mod io;
pub mod iter;
pub mod park;
pub mod pipeline;
pub mod pool;
pub mod sync;
pub mod thread;
pub mod timer;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex of ours, poisoned or not.
///
/// No mutex of this crate is held while foreign code (a waker, a callback, a destructor) runs, and our own
/// code does not panic between two states, so poison would tell nothing about the data.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
