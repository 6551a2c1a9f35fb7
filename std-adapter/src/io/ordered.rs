//! Writing in order what comes in any.

use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::mem;

/// Writes numbered blocks in the order of their numbers, whoever brings them, and in whatever order.
///
/// Whoever brings the block that is due writes it, and those after it that are there; the others leave theirs and go on. A block
/// whose number is further ahead than the window waits, so that a slow one lets no more than a window of others pile up; the one that
/// is due never waits, so this cannot deadlock as long as each number comes from somebody who is not waiting here; whoever cannot bring one says
/// so to the others, by [`fail`](Self::fail).
///
/// # Examples
///
/// ```
/// use aqueduct::{io::OrderedWriter, thread};
///
/// let text = OrderedWriter::new(Vec::new(), 8);
/// thread::scope(|scope| {
///     for nth in 0..3_u64 {
///         let text = &text;
///         scope.spawn(move || (nth..9).step_by(3).try_for_each(|n| text.put(n, n.to_string())))
///             .expect("a thread");
///     }
/// })?;
/// assert_eq!(text.finish()?, b"012345678");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OrderedWriter<W, B> {
    state: Mutex<State<W, B>>,
    moved: Condvar,
    window: u64,
}

struct State<W, B> {
    /// None while somebody writes.
    writer: Option<W>,
    /// The number that is due: all before it have been written, or are just being written.
    due: u64,
    early: BTreeMap<u64, B>,
    /// What writing has failed with.
    failed: Option<(ErrorKind, String)>,
}

impl<W: Write, B: AsRef<[u8]>> OrderedWriter<W, B> {
    /// Begins with the number 0. At most `window` blocks wait for one that is missing; at least one.
    pub fn new(writer: W, window: usize) -> Self {
        let early = BTreeMap::new();
        let state = State { writer: Some(writer), due: 0, early, failed: None };
        Self { state: Mutex::new(state), moved: Condvar::new(), window: window.max(1) as u64 }
    }

    /// Brings the block with this number; sleeps while it is too far ahead.
    ///
    /// # Errors
    ///
    /// What writing has failed with, in this call or in an earlier one, or somebody [has said](Self::fail); `InvalidInput` for a number that has come before.
    pub fn put(&self, number: u64, block: B) -> io::Result<()> {
        let mut state = self.state.lock_blocking();
        while state.failed.is_none() && number.saturating_sub(state.due) >= self.window {
            state = self.moved.wait(state);
        }
        // After a failure nothing more: what is written is what comes before it.
        state.check()?;
        if number < state.due || state.early.contains_key(&number) {
            let text = format!("block {number} has come before");
            return Err(io::Error::new(ErrorKind::InvalidInput, text));
        }
        state.early.insert(number, block);
        self.write(state)
    }

    /// Gives up: from now on each [`put`](Self::put), also one that sleeps, and [`finish`](Self::finish) fail with this, unless something has failed before. For
    /// whoever cannot bring a block that others wait for.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{io::OrderedWriter, thread};
    /// use std::io::{Error, ErrorKind};
    ///
    /// let text = OrderedWriter::new(Vec::new(), 1);
    /// let waits = thread::scope(|scope| {
    ///     let waits = scope.spawn(|| text.put(1, "b")).expect("a thread");
    ///     text.fail(Error::new(ErrorKind::NotFound, "block 0 cannot be read"));
    ///     waits.join().expect("it does not panic")
    /// })?;
    /// assert_eq!(waits.unwrap_err().kind(), ErrorKind::NotFound);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fail(&self, error: io::Error) {
        let mut state = self.state.lock_blocking();
        state.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
        drop(state);
        self.moved.notify_all();
    }

    /// Writes what is due. The writer is out of the lock meanwhile.
    fn write<'a>(&'a self, mut state: MutexGuard<'a, State<W, B>>) -> io::Result<()> {
        loop {
            // Somebody may have given up meanwhile.
            state.check()?;
            let due = state.due;
            if !state.early.contains_key(&due) {
                return Ok(());
            }
            // Whoever has the writer looks again when it brings it back.
            let Some(mut writer) = state.writer.take() else { return Ok(()) };
            let block = state.early.remove(&due).expect("it is there");
            state.due += 1;
            drop(state);
            self.moved.notify_all();
            let back = Back { to: self };
            let written = writer.write_all(block.as_ref());
            drop(block);
            // The lock is kept from here to the next look: nobody else writes, or fails, in between.
            state = back.give(writer);
            if let Err(error) = written {
                // Others may have been told of an earlier failure.
                state.failed.get_or_insert_with(|| (error.kind(), error.to_string()));
                drop(state);
                self.moved.notify_all();
                return Err(error);
            }
        }
    }

    /// The writer, flushed, when all have been brought.
    ///
    /// # Errors
    ///
    /// What writing has failed with, or somebody [has said](Self::fail); `UnexpectedEof` if blocks wait for one that never came.
    pub fn finish(self) -> io::Result<W> {
        let mut state = self.state.into_inner();
        state.check()?;
        if !state.early.is_empty() {
            let text = format!("block {} is missing", state.due);
            return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
        }
        let mut writer = state.writer.take().expect("nobody writes");
        writer.flush()?;
        Ok(writer)
    }
}

impl<W, B> State<W, B> {
    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

/// Lets nobody wait for a writer that has panicked.
struct Back<'a, W, B> {
    to: &'a OrderedWriter<W, B>,
}

impl<'a, W, B> Back<'a, W, B> {
    fn give(self, writer: W) -> MutexGuard<'a, State<W, B>> {
        let mut state = self.to.state.lock_blocking();
        state.writer = Some(writer);
        mem::forget(self);
        state
    }
}

impl<W, B> Drop for Back<'_, W, B> {
    fn drop(&mut self) {
        let panicked = (ErrorKind::Other, "the writer panicked".to_owned());
        self.to.state.lock_blocking().failed.get_or_insert(panicked);
        self.to.moved.notify_all();
    }
}

impl<W, B> fmt::Debug for OrderedWriter<W, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderedWriter").field("window", &self.window).finish_non_exhaustive()
    }
}
