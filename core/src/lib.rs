//! Lock-free, `no_std` concurrency primitives that may be used from an interrupt handler.
//!
//! | module | what it has |
//! |---|---|
//! | [`queue`] | bounded queues for many producers and consumers; [`queue::spsc`], rings for one of each |
//! | [`wait`] | queues of tasks that wait to be notified |
//! | [`semaphore`] | permits to share, weighted, fair or greedy |
//! | [`rwlock`] | many readers or one writer, by three policies |
//! | [`channel`] | a queue whose users can wait on either end |
//! | [`crew`] | who of a crew of workers looks for work, and whether one must be called |
//! | [`job`] | closures in a few words of a queue's slot, without an allocator |
//! | [`latch`] | a decision that is made once, and read with one load |
//! | [`block_on`](block_on()) | runs a future where there is no executor |
//!
//! **The contract.** Every operation that does not wait by its nature finishes in its own steps, wherever any other
//! context is frozen: a thread that lost its processor in the middle of an operation, or the code that an interrupt
//! handler has preempted. Each module says under *Progress* what that means for it. Two exceptions are said where they are: a corner of
//! [`Semaphore::resize`](semaphore::Semaphore::resize), and a channel whose [`Progress`](channel::Progress) is not lock-free.
//!
//! Nothing here knows a thread, a clock or a logger. Constructors of what needs no heap are `const`, but for that of a
//! closure in [`job`].
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `alloc` | what lives on the heap: `ArrayQueue`, `Channel`, `spsc::ring`, `Growable`, `InlineFn::boxed`; owned permits, where the target has compare-and-swap (else `alloc` has no `Arc`) |
//! | `defmt` | `defmt::Format` for errors, policies, permits and guards, and a summary of each object |
//! | `futures` | channels as `Stream` and `Sink` |
//! | `lock_api` | the raw traits of that crate, for `rwlock::RawRwLock` |
//! | `portable-atomic` | targets without compare-and-swap; the binary chooses the backend |
//!
//! # Targets without compare-and-swap
//!
//! `thumbv6m-none-eabi` (Cortex-M0, M0+, M1) and `riscv32i`, `riscv32imc` have atomic loads and stores and nothing more. There
//! the feature `portable-atomic` puts that crate under everything here, and **your binary** says how it stands in for what is
//! missing. This crate never does: the two ways exclude each other, and a library that picked one would break
//! whoever needs the other.
//!
//! | in the manifest of your binary | how it works | fits |
//! |---|---|---|
//! | `portable-atomic = { version = "1", features = ["critical-section"] }` | each read-modify-write in a critical section of the crate `critical-section`, whose implementation your HAL or `cortex-m` (feature `critical-section-single-core`) brings | any chip; the only way with two cores (RP2040), under an RTOS or in unprivileged mode |
//! | `portable-atomic = { version = "1", features = ["unsafe-assume-single-core"] }` | each read-modify-write with interrupts masked | one core, privileged mode, and no use from an NMI: wrong anywhere else, and nothing can check it. Smaller and faster |
//!
//! Either way interrupts are held off for a single read-modify-write, a dozen instructions or two, and never for an operation of this
//! crate: an interrupt handler still finishes wherever it came in. Without the feature such a target does not
//! build, and the error says what to do.
//!
//! # Targets of 16 bits
//!
//! `usize` has to have 32 bits or more. On AVR and MSP430 it has 16, too few for the numbers that tell one lap of a ring from another: there
//! this crate does not build, and says so.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(feature = "alloc")]
extern crate alloc;

// Where there are no atomics to stand on, `sync.rs` says what to do, and nothing else is compiled.
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
mod block_on;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod channel;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod crew;
#[cfg(all(feature = "defmt", any(target_has_atomic = "ptr", feature = "portable-atomic")))]
mod format;
pub mod job;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod latch;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod queue;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod rwlock;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod semaphore;
mod sync;
#[cfg(all(test, feature = "alloc", not(any(aqueduct_loom, aqueduct_interrupt))))]
mod testing;
#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub mod wait;

#[cfg(any(target_has_atomic = "ptr", feature = "portable-atomic"))]
pub use block_on::block_on;

#[cfg(aqueduct_interrupt)]
#[doc(hidden)]
pub use sync::interrupt;
