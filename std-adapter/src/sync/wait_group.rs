//! [`WaitGroup`]: the end of all that was begun.

use super::error::TimeoutError;
use super::monitor::Monitor;
use crate::context::{Context, ContextError};
use crate::park::deadline_after;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits until all that was begun has ended.
///
/// [`add`](Self::add) gives a token to whoever begins something; its drop says that it has ended, also when a panic drops it. So
/// there is no `done` that can be forgotten, called twice, or called once too often, as with Go's, and whoever waits need not
/// give up its own part first, as with crossbeam's. Cloning gives another handle of the same group; a handle is no
/// token.
///
/// # Examples
///
/// ```
/// use aqueduct::{sync::WaitGroup, thread};
///
/// let group = WaitGroup::new();
/// for part in 0..3 {
///     let token = group.add();
///     thread::spawn(move || {
///         let _token = token;
///         println!("part {part}");
///     })?;
/// }
/// group.wait();
/// assert_eq!(group.count(), 0);
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// It can be used again: a wait ends when the count is zero, or has been since the wait began.
///
/// # Memory ordering
///
/// What was done before a token was dropped is visible after the wait that its drop ended.
///
/// # When to use something else
///
/// Where there is a result, or a panic to be seen, keep the [`JoinHandle`](crate::thread::JoinHandle)s; a
/// [`scope`](crate::thread::scope) waits for its threads by itself.
#[derive(Clone)]
pub struct WaitGroup {
    members: Arc<Monitor<Members>>,
}

/// One member of a [`WaitGroup`] that has not ended; its drop ends it. Cloning it adds another.
#[must_use = "what the token stands for has ended when it is dropped"]
pub struct WaitGroupToken {
    members: Arc<Monitor<Members>>,
}

struct Members {
    count: usize,
    /// How often the count has come down to zero: tells those who wait that it was there, even if it is not any more.
    ends: u64,
}

impl WaitGroup {
    /// A group without members.
    pub fn new() -> Self {
        Self { members: Arc::new(Monitor::new(Members { count: 0, ends: 0 })) }
    }

    /// One more member, until the token is dropped.
    ///
    /// Add before you begin: a member that adds itself on a thread of its own may come after the wait.
    pub fn add(&self) -> WaitGroupToken {
        self.members.look(|members| members.count += 1);
        WaitGroupToken { members: Arc::clone(&self.members) }
    }

    /// How many have not ended.
    pub fn count(&self) -> usize {
        self.members.look(|members| members.count)
    }

    /// Sleeps until no member is left.
    pub fn wait(&self) {
        self.wait_until(None).expect("without a limit the wait ends when all have ended");
    }

    /// Sleeps until no member is left, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if one is.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{TimeoutError, WaitGroup};
    /// use std::time::Duration;
    ///
    /// let group = WaitGroup::new();
    /// let token = group.add();
    /// assert_eq!(group.wait_timeout(Duration::from_millis(1)), Err(TimeoutError));
    /// drop(token);
    /// assert_eq!(group.wait_timeout(Duration::ZERO), Ok(()));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TimeoutError> {
        self.wait_until(deadline_after(timeout))
    }

    /// Sleeps until no member is left, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if one is.
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), TimeoutError> {
        self.wait_until(Some(deadline))
    }

    /// Sleeps until no member is left, until `context` is done at most.
    ///
    /// # Errors
    ///
    /// The context is done.
    pub fn wait_ctx(&self, context: &Context) -> Result<(), ContextError> {
        let before = self.ends();
        self.members.wait_ctx(context, |members| members.have_ended(before))
    }

    /// Waits until no member is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing behind.
    pub async fn wait_async(&self) {
        let before = self.ends();
        self.members.until(|members: &mut Members| members.have_ended(before)).await;
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), TimeoutError> {
        let before = self.ends();
        self.members.wait(deadline, |members| members.have_ended(before)).ok_or(TimeoutError)
    }

    fn ends(&self) -> u64 {
        self.members.look(|members| members.ends)
    }
}

impl Members {
    /// Whether a wait ends that began after `before` ends.
    fn have_ended(&self, before: u64) -> Option<()> {
        (self.count == 0 || self.ends != before).then_some(())
    }
}

impl Default for WaitGroup {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for WaitGroupToken {
    fn clone(&self) -> Self {
        self.members.look(|members| members.count += 1);
        Self { members: Arc::clone(&self.members) }
    }
}

impl Drop for WaitGroupToken {
    fn drop(&mut self) {
        self.members.change(|members| {
            members.count -= 1;
            let last = members.count == 0;
            members.ends += u64::from(last);
            ((), last)
        });
    }
}

// A panic leaves the count as it is, or ends the member whose token it drops.
impl UnwindSafe for WaitGroup {}
impl RefUnwindSafe for WaitGroup {}
impl UnwindSafe for WaitGroupToken {}
impl RefUnwindSafe for WaitGroupToken {}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WaitGroupToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroupToken").finish_non_exhaustive()
    }
}
