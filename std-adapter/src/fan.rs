//! Fan-out and fan-in: one flow of items to many, many to one, changed while they run.
//!
//! | | an item goes to | made by |
//! |---|---|---|
//! | share | one branch, whichever is free | [`share`](share()) |
//! | broadcast | every branch, with a rule for those that lag | [`broadcast`](broadcast()) |
//! | route | one branch, by its key, a predicate, or in turn | [`route`](route()) |
//! | merge | one consumer, from many sources: in turn, by priority, or in order | [`merge`](merge()) |
//! | scatter and gather | a question to many, until there are enough answers | [`scatter`](scatter()) |
//!
//! Sharing and broadcasting are different things: of 5 items, five branches that share get one each, five branches of a broadcast five each.
//!
//! Branches are plain [receivers](crate::channel::Receiver), so what waits on a channel waits on them: threads, tasks, selections,
//! iterators, streams. There are no helper threads: whoever sends into a broadcast, or receives from a merge, does what there is to do.
//!
//! The protocol:
#![doc = include_str!("fan/PROTOCOL.md")]

mod branch;
mod broadcast;
mod members;
mod merge;
mod route;
mod scatter;
mod share;

pub use branch::{Branch, BranchId};
pub use broadcast::{Broadcast, Lag, broadcast};
#[cfg(feature = "futures")]
pub use merge::MergeStream;
pub use merge::{InputId, Inputs, Merge, MergeEnded, merge};
pub use route::{RouteError, Router, Rule, Unrouted, route};
pub use scatter::{GatherEnd, Gathered, Scatter, Unanswered, scatter};
pub use share::share;
