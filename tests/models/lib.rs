//! Sequential models of the public types, shared by the interrupt checker, loom, the property tests, the
//! stress tests and fuzz/.
//!
//! - [`ledger`]: payloads that know whether each of them was dropped exactly once.
//! - [`history`]: is there a sequential order that explains what several parties saw of a queue?
//! - [`party`]: operations of one party among several, for histories.
//! - [`queue`]: operation lists applied to a queue and to a plain model side by side.

pub mod history;
pub mod ledger;
pub mod party;
pub mod queue;
