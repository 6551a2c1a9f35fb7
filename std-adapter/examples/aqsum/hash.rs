//! Reading and hashing one file.

use crate::name::shown;
use aqueduct::Context;
use sha2::{Digest as _, Sha256};
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub(crate) type Digest = [u8; 32];

/// How much is read at a time, in bytes. Large enough that system calls do not count, small enough for the L2 cache.
const BLOCK: usize = 128 * 1024;

/// What each worker keeps from file to file.
pub(crate) struct Hasher {
    buffer: Box<[u8]>,
    /// Done when nobody wants to know the sum any more.
    context: Context,
}

impl Hasher {
    pub(crate) fn new(context: &Context) -> Self {
        Self { buffer: vec![0; BLOCK].into(), context: context.clone() }
    }

    /// The sum of a file, and its length in bytes.
    pub(crate) fn file(&mut self, path: &Path) -> Result<(Digest, u64), Unreadable> {
        File::open(path)
            .and_then(|file| self.bytes(file))
            .map_err(|error| Unreadable::new(path, error))
    }

    /// The sum of all that can be read from `input`, and its length in bytes.
    pub(crate) fn bytes(&mut self, mut input: impl Read) -> io::Result<(Digest, u64)> {
        let mut sum = Sha256::new();
        let mut length = 0;
        loop {
            match input.read(&mut self.buffer) {
                Ok(0) => return Ok((sum.finalize().into(), length)),
                Ok(read) => {
                    sum.update(&self.buffer[..read]);
                    length += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.context.is_done() {
                return Err(io::Error::new(io::ErrorKind::Interrupted, "Interrupted"));
            }
        }
    }
}

/// A file that could not be opened, or not be read to its end.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    error: io::Error,
}

impl Unreadable {
    pub(crate) fn new(path: &Path, error: io::Error) -> Self {
        Self { path: path.to_owned(), error }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), reason(&self.error))
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// What the system said, without the number that std appends.
pub(crate) fn reason(error: &io::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.find(" (os error ") {
        text.truncate(at);
    }
    text
}
