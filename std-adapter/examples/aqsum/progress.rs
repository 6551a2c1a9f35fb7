//! What a person sees while it runs.

use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

/// A line on the terminal that counts files and bytes. A clone is the same line.
///
/// It is there only if standard error is a terminal and standard output is not: with sums running over the same
/// screen, they are progress enough.
#[derive(Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new() -> Self {
        if !io::stderr().is_terminal() || io::stdout().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        let style = "{spinner} {human_pos} files, {msg} [{elapsed}, {per_sec}]";
        bar.set_style(
            ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// One more file; `bytes` is the total so far.
    pub(crate) fn file(&self, bytes: u64) {
        if !self.0.is_hidden() {
            self.0.set_message(indicatif::BinaryBytes(bytes).to_string());
            self.0.inc(1);
        }
    }

    /// Prints a message on standard error, above the line.
    pub(crate) fn complain(&self, message: impl Display) {
        self.0.suspend(|| tell(message));
    }

    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Prints a message on standard error. If nobody is there to read it, what it is about goes on all the same.
pub(crate) fn tell(message: impl Display) {
    let _ = writeln!(io::stderr(), "aqsum: {message}");
}
