//! Every operation preempted before each of its atomic accesses by every other, as an interrupt handler
//! would. See `ci/interrupt`.
#![cfg(aqueduct_interrupt)]

mod channel;
mod crew;
mod harness;
mod panics;
mod queue;
mod rwlock;
mod semaphore;
mod spsc;
mod tasks;
mod wait;
