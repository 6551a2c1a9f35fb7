//! What an operation did, as those who wait for it count: values that are in, places that are free.

use crate::wait::{self, WaitQueue};

/// Wakes, at its end, as many as wait for what was done; also if the caller's code panics in between.
pub(super) struct Done<'c, W: wait::Storage> {
    sleepers: &'c WaitQueue<W>,
    pub(super) times: usize,
    /// By plain stores, after a claim that sleepers go by.
    in_order: bool,
}

impl<'c, W: wait::Storage> Done<'c, W> {
    pub(super) fn new(sleepers: &'c WaitQueue<W>, in_order: bool) -> Self {
        Self { sleepers, times: 0, in_order }
    }
}

impl<W: wait::Storage> Drop for Done<'_, W> {
    fn drop(&mut self) {
        match (self.times, self.in_order) {
            (0, _) => {}
            (times, true) => self.sleepers.notify_in_order(times),
            (times, false) => self.sleepers.notify(times),
        }
    }
}
