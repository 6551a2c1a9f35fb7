//! Channels, locks, contexts, threads, pools and pipelines for std programs, on the lock-free core of aqueduct.
//!
//! | module | what it has |
//! |---|---|
//! | [`channel`] | bounded channels for threads and tasks, selections over them, timers as receivers |
//! | [`context`] | trees of cancellation and deadlines: [`Context`] |
//! | [`sync`] | semaphores, read-write locks, mutexes, condition variables, wait groups, barriers, events |
//! | [`pool`] | a pool of workers that follows the load, with limits, priorities, groups and books |
//! | [`pipeline`] | stages of work that run beside each other, in order or not, in bounded memory |
//! | [`fan`] | one to many and many to one: share, broadcast, route, merge, scatter and gather |
//! | [`iter`] | one step of work for each item of an iterator, by several threads |
//! | [`io`] | files in blocks, for pipelines |
//! | [`thread`], [`timer`], [`park`] | threads that can be awaited, calls at a time, and how a thread waits for a future |
//! | [`core`] | what all this stands on, `no_std`: the crate `aqueduct-core` |
//!
//! # Example
//!
//! ```
//! use aqueduct::Context;
//! use aqueduct::channel::bounded;
//! use std::time::Duration;
//!
//! let context = Context::background().with_timeout(Duration::from_secs(60));
//! let (sender, receiver) = bounded(4);
//! let producer = std::thread::spawn(move || {
//!     for n in 1..=10 {
//!         sender.send(n).expect("somebody receives"); // waits while four are inside
//!     }
//! });
//! let mut sum = 0;
//! while let Ok(n) = receiver.recv_ctx(&context) {
//!     sum += n; // ends when the sender is gone, or the context is done
//! }
//! producer.join().expect("it did not panic");
//! assert_eq!(sum, 55);
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `prometheus` (on by default) | [`pool::prometheus`], [`pipeline::prometheus`]: books as text |
//! | `futures` | `Receiver::stream`, `Sender::sink`, `Merge::into_stream` |
//! | `lock_api` | that crate's raw traits for [`sync::RawRwLock`] |
//! | `deadlock-detection` | `sync::deadlock`: in debug builds, orders of taking locks that do not go together |
//! | `metrics`, `tracing` | `publish`, to the recorder of the one; spans for jobs, runs, stages and items, in the other |
//!
//! It needs Rust 1.88, and no runtime: what can be awaited is, by any executor.
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
/// Foreign code (a waker, a callback, a destructor) runs while none is held, but for those that the protocols of pools and pipelines
/// name, whose data say what a panic leaves; and our own code does not panic between two states. So poison would tell nothing about the data.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
