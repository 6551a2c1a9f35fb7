//! What real threads saw of an object, held against a sequential model: is there one order of all calls, each at some
//! moment between its beginning and its end, in which a plain object would have answered the same?
//!
//! - [`search`] looks for that order, in any [`Model`](search::Model).
//! - [`record`] runs threads that start together, and notes when each call began and ended.
//! - One file per object: its model, its histories, and objects with a bug, which must be found out.
//!
//! loom and the interrupt checker see every schedule of a few steps; here a few schedules of thousands of calls are
//! seen, with the processor's own reordering and the scheduler's own whims.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod channel;
mod ends;
mod queue;
mod record;
mod rwlock;
mod search;
mod semaphore;
