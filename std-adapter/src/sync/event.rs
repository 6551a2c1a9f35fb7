//! [`Event`]: a flag to wait for.

use super::error::TimeoutError;
use super::monitor::Monitor;
use crate::context::{Context, ContextError};
use crate::core::semaphore::{Fair, Semaphore};
use crate::core::wait::Slots;
use crate::park::deadline_after;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A flag that threads and tasks can wait for; it stays set until it is reset.
///
/// [`set`](Self::set) lets everybody go on who waits, also if a [`reset`](Self::reset) follows before they have looked; whoever
/// comes later goes on at once, until the reset. (Windows calls this a manual-reset event, Python `threading.Event`.)
///
/// # Examples
///
/// ```
/// use aqueduct::{sync::Event, thread};
///
/// static READY: Event = Event::new();
///
/// let server = thread::spawn(|| READY.set())?;
/// READY.wait();
/// assert!(READY.is_set());
/// # server.join().unwrap();
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// # Memory ordering
///
/// What was done before `set` is visible to whoever saw the flag set, by waiting or by asking.
///
/// # When to use something else
///
/// To end work, a [`Context`], which goes down to all that the work has started. To hand over a value, a
/// [`channel`](crate::channel). To wake one of those who wait, a [`Semaphore`](super::Semaphore) with no permit, and
/// `add_permits(1)`.
pub struct Event {
    /// How often it was set: tells those who wait that it was, even if it has been reset since.
    sets: Monitor<u64>,
    /// The flag: one permit, changed with `sets` locked and never taken. Looking costs one load.
    flag: Semaphore<Fair, Slots<1>>,
}

impl Event {
    /// An event that is not set.
    pub const fn new() -> Self {
        Self { sets: Monitor::new(0), flag: Semaphore::with_policy(0, Fair, Slots::new()) }
    }

    /// Sets the flag, and lets everybody go on who waits. True if it was not set before.
    pub fn set(&self) -> bool {
        self.sets.change(|sets| {
            let first = !self.is_set();
            if first {
                *sets += 1;
                self.flag.add_permits(1).expect("there is none");
            }
            (first, first)
        })
    }

    /// Takes the flag back: whoever comes from now on waits. True if it was set.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::sync::Event;
    /// let event = Event::new();
    /// assert!(event.set() && !event.set());
    /// assert!(event.reset() && !event.reset());
    /// ```
    pub fn reset(&self) -> bool {
        self.sets.look(|_| self.flag.forget_permits(1) == 1)
    }

    /// Whether the flag is set. One load.
    pub fn is_set(&self) -> bool {
        self.flag.available_permits() > 0
    }

    /// Sleeps until the flag is set.
    pub fn wait(&self) {
        self.wait_until(None).expect("without a limit the wait ends when it is set");
    }

    /// Sleeps until the flag is set, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if it was not.
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TimeoutError> {
        self.wait_until(deadline_after(timeout))
    }

    /// Sleeps until the flag is set, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if it was not.
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), TimeoutError> {
        self.wait_until(Some(deadline))
    }

    /// Sleeps until the flag is set, until `context` is done at most.
    ///
    /// # Errors
    ///
    /// The context is done.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError, sync::Event};
    /// use std::time::Duration;
    ///
    /// let context = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(Event::new().wait_ctx(&context), Err(ContextError::DeadlineExceeded));
    /// ```
    pub fn wait_ctx(&self, context: &Context) -> Result<(), ContextError> {
        let before = self.sets.look(|sets| *sets);
        self.sets.wait_ctx(context, |sets| self.is_over(before, *sets))
    }

    /// Waits until the flag is set.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing behind.
    pub async fn wait_async(&self) {
        if !self.is_set() {
            let before = self.sets.look(|sets| *sets);
            self.sets.until(|sets: &mut u64| self.is_over(before, *sets)).await;
        }
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), TimeoutError> {
        if self.is_set() {
            return Ok(());
        }
        let before = self.sets.look(|sets| *sets);
        self.sets.wait(deadline, |sets| self.is_over(before, *sets)).ok_or(TimeoutError)
    }

    /// Whether a wait ends that began after `before` sets.
    fn is_over(&self, before: u64, sets: u64) -> Option<()> {
        (sets != before || self.is_set()).then_some(())
    }
}

impl Default for Event {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

// A panic leaves it set or not, and nothing in between.
impl UnwindSafe for Event {}
impl RefUnwindSafe for Event {}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}
