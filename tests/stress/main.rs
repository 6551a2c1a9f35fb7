//! Real threads, real tasks, real clocks. See `CONTRIBUTING.md`.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod channel;
mod context;
mod fan;
mod pipeline;
mod pipeline_books;
mod pipeline_bounds;
mod pipeline_steps;
mod pool;
mod queue;
mod runtimes;
mod rwlock;
mod select;
mod sync;
mod tokio_style;
mod wait;
#[path = "../scenarios/without_leaks.rs"]
mod without_leaks;
