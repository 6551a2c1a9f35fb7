//! Reading in blocks, into buffers that come back.

use crate::core::queue::ArrayQueue;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::iter::FusedIterator;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// How many buffers wait for their next use, unless [said otherwise](Blocks::keep).
const KEPT: usize = 64;

/// Reads `reader` in blocks of `size` bytes; the last may be shorter, and none is empty.
///
/// # Examples
///
/// ```
/// use aqueduct::{io, iter::ParallelIterator};
///
/// let data: Vec<u8> = (0..=255).cycle().take(100_000).collect();
/// let sums = io::blocks(&data[..], 4096)
///     .map(|block| block.expect("a slice does not fail"))
///     .par_map_ordered(2, |block| block.iter().map(|&byte| u64::from(byte)).sum::<u64>());
/// assert_eq!(sums.sum::<u64>(), data.iter().map(|&byte| u64::from(byte)).sum());
/// ```
///
/// # Panics
///
/// If `size` is 0.
pub fn blocks<R: Read>(reader: R, size: usize) -> Blocks<R> {
    assert!(size > 0, "a block has a size");
    Blocks { source: Some(reader), size, error: None, home: Arc::new(ArrayQueue::new(KEPT)) }
}

/// The blocks of a reader, as an iterator. Made by [`blocks`].
///
/// A read that was interrupted is made again. Another error comes after the block of what was read before it, and then the iterator
/// has ended.
pub struct Blocks<R> {
    /// None at its end.
    source: Option<R>,
    size: usize,
    /// To come next.
    error: Option<io::Error>,
    home: Arc<ArrayQueue<Vec<u8>>>,
}

impl<R> Blocks<R> {
    /// Keeps up to `buffers` buffers for their next use: one at least. As many as blocks are in use at a time is best.
    pub fn keep(mut self, buffers: usize) -> Self {
        self.home = Arc::new(ArrayQueue::new(buffers.max(1)));
        self
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<io::Result<Block>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        // Not there while it reads: after a panic in between, what it had read would be missing.
        let mut source = self.source.take()?;
        let bytes = self.home.pop().unwrap_or_else(|| vec![0; self.size]);
        let mut block = Block { bytes, len: 0, home: Arc::clone(&self.home) };
        let end = loop {
            if block.len == self.size {
                self.source = Some(source);
                return Some(Ok(block));
            }
            match source.read(&mut block.bytes[block.len..]) {
                Ok(0) => break None,
                Ok(read) => block.len += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Some(error),
            }
        };
        if block.len == 0 {
            return end.map(Err);
        }
        self.error = end;
        Some(Ok(block))
    }
}

impl<R: Read> FusedIterator for Blocks<R> {}

/// A block of bytes; it dereferences to them. Made by [`Blocks`], which gets the buffer back when it is dropped, in whatever thread.
///
/// # Examples
///
/// ```
/// let mut blocks = aqueduct::io::blocks(&b"hello"[..], 4);
/// assert_eq!(*blocks.next().unwrap()?, *b"hell");
/// assert_eq!(blocks.next().unwrap()?.into_vec(), b"o");
/// assert!(blocks.next().is_none());
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Block {
    /// As long as a whole block.
    bytes: Vec<u8>,
    len: usize,
    home: Arc<ArrayQueue<Vec<u8>>>,
}

impl Block {
    /// The bytes as a vector; the buffer does not come back.
    pub fn into_vec(mut self) -> Vec<u8> {
        let mut bytes = mem::take(&mut self.bytes);
        bytes.truncate(self.len);
        bytes
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            // If there are enough of them it is freed.
            let _ = self.home.push(mem::take(&mut self.bytes));
        }
    }
}

impl Deref for Block {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Block {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<R> fmt::Debug for Blocks<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("size", &self.size)
            .field("kept", &self.home.len())
            .field("ended", &(self.source.is_none() && self.error.is_none()))
            .finish_non_exhaustive()
    }
}
