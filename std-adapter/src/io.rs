//! Blocks of bytes: from a [`Read`](std::io::Read) into pipelines and parallel maps, and out of them into a [`Write`](std::io::Write), in order.
//!
//! [`blocks`](blocks()) is an iterator, so a [pipeline](crate::pipeline) takes it as a source and
//! [`par_map_ordered`](crate::iter::ParallelIterator::par_map_ordered) in one line. What comes out of those in order needs no more than
//! a loop; for what comes in any order, from any thread, there is [`OrderedWriter`].

mod blocks;
mod ordered;

pub use blocks::{Block, Blocks, blocks};
pub use ordered::OrderedWriter;
