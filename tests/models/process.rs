//! What tests ask about the process that they run in.

use std::time::{Duration, Instant};

/// Set in a process that runs tests to see what they leave behind; see `scenarios/without_leaks.rs`.
pub const LOOKS_FOR_LEAKS: &str = "AQUEDUCT_TEST_LEAKS";

/// A time that no load explains: whoever waits so long waits for ever.
pub const FOR_EVER: Duration = Duration::from_secs(60);

/// Waits for what must come true without anybody's help.
///
/// # Panics
///
/// After [a time that no load explains](FOR_EVER).
pub fn eventually(what: &str, mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < FOR_EVER, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many threads this process has; `None` where that cannot be told.
pub fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}
