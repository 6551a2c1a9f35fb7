//! Operation lists nobody thought of, against the sequential models. fuzz/ runs the same lists for longer.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod channel;
mod queue;
mod rwlock;
mod semaphore;
mod spsc;
mod wait;
