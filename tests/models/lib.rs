//! Sequential models of the public types, shared by the interrupt checker, loom, the property tests, the
//! stress tests and fuzz/.
//!
//! - [`ledger`]: payloads that know whether each of them was dropped exactly once.
//! - [`history`]: is there a sequential order that explains what several parties saw of a queue?
//! - [`party`]: operations of one party among several, for histories.
//! - [`bell`]: wakers that count.
//! - [`process`]: the threads of the process, and how to wait for what comes by itself.
//!
//! Operation lists, applied to an object and to a plain model side by side:
//!
//! - [`queue`]: the queue for many.
//! - [`spsc`]: the ring for two.
//! - [`wait`]: those who wait to be notified.
//! - [`semaphore`]: permits, and those who wait for them.
//! - [`rwlock`]: who is inside, and that nobody sleeps beside a lock that is free.
//! - [`channel`]: a queue with those who wait on both sides.

pub mod bell;
#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
pub mod channel;
pub mod history;
pub mod ledger;
pub mod party;
pub mod process;
pub mod queue;
#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
pub mod rwlock;
#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
pub mod semaphore;
#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
pub mod spsc;
#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
pub mod wait;

/// As many of `rounds` as should be run: one in `AQUEDUCT_STRESS_SHARE`, at least one; without that variable, all.
///
/// # Panics
///
/// If the variable is no number.
pub fn share(rounds: usize) -> usize {
    let share = std::env::var("AQUEDUCT_STRESS_SHARE")
        .map_or(1, |share| share.parse().expect("AQUEDUCT_STRESS_SHARE is a number above 0"));
    rounds.div_ceil(share)
}
