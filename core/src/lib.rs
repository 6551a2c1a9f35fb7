//! Lock-free, `no_std` concurrency primitives that may be used from an interrupt handler.
//!
//! | module | what it has |
//! |---|---|
//! | [`queue`] | bounded queues for many producers and consumers; [`queue::spsc`], rings for one of each |
//! | [`wait`] | queues of tasks that wait to be notified |
//! | [`semaphore`] | permits to share, weighted, fair or greedy |
//! | [`rwlock`] | many readers or one writer, by three policies |
//! | [`channel`] | a queue whose users can wait on either end |
//! | [`block_on`](block_on()) | runs a future where there is no executor |
//!
//! **The contract.** Every operation that does not wait by its nature finishes in its own steps, wherever any other
//! context is frozen: a thread that lost its processor in the middle of an operation, or the code that an interrupt
//! handler has preempted. Each module says under *Progress* what that means for it.
//!
//! Nothing here knows a thread, a clock or a logger. Constructors of what needs no heap are `const`.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `alloc` | what lives on the heap: `ArrayQueue`, `Channel`, `spsc::ring`, `Growable`, owned permits |
//! | `futures` | channels as `Stream` and `Sink` |
//! | `lock_api` | the raw traits of that crate, for `rwlock::RawRwLock` |
//! | `portable-atomic` | targets without compare-and-swap; the binary chooses the backend |
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod block_on;
pub mod channel;
pub mod queue;
pub mod rwlock;
pub mod semaphore;
mod sync;
#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod testing;
pub mod wait;

pub use block_on::block_on;

#[cfg(aqueduct_interrupt)]
#[doc(hidden)]
pub use sync::interrupt;
