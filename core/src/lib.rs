//! Lock-free, `no_std` concurrency primitives that may be used from an interrupt handler.
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
pub mod wait;

pub use block_on::block_on;

#[cfg(aqueduct_interrupt)]
#[doc(hidden)]
pub use sync::interrupt;
