//! What broke others, one test per line of the list. See `CONTRIBUTING.md`.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod channel;
mod condvar;
mod context;
mod fan;
mod io;
mod iter;
mod lock_api_style;
mod pipeline;
mod pool;
#[macro_use]
mod queue;
mod rwlock;
mod select;
mod semaphore;
mod spsc;
mod static_channel;
mod support;
mod sync;
mod thread;
mod wait;
mod without_leaks;
