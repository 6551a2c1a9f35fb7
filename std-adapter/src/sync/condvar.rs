//! [`Condvar`]: a change of what a mutex protects.

use super::mutex::{Mutex, MutexGuard};
use crate::context::{Context, ContextError};
use crate::core::wait::{Growable, Wait, WaitQueue};
use crate::park::{Impatience, deadline_after, drive};
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

/// A condition variable: waits for others to change what a [`Mutex`] protects.
///
/// A wait gives its guard up, and has one again when it returns. Change the value with the mutex locked, then notify, and
/// wait in a loop, as [`wait_while`](Self::wait_while) does: another may have been faster, and a wait may end though
/// nobody meant it.
///
/// # Examples
///
/// ```
/// use aqueduct::{sync::{Condvar, Mutex}, thread};
///
/// static JOBS: Mutex<Vec<u32>> = Mutex::new(Vec::new());
/// static ADDED: Condvar = Condvar::new();
///
/// let worker = thread::spawn(|| {
///     let mut jobs = ADDED.wait_while(JOBS.lock_blocking(), |jobs| jobs.is_empty());
///     jobs.pop()
/// })?;
/// JOBS.lock_blocking().push(7);
/// ADDED.notify_one();
/// assert_eq!(worker.join().unwrap(), Some(7));
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// # No lost and no stolen wake-ups
///
/// A wait stands in line before it unlocks, so a notification by whoever locks next reaches it. A notification of one goes to the
/// one that has waited longest; if that one gives up just then, by its limit, its context or the drop of its future, it passes
/// the notification on to the next. Notifications are not stored: one that finds nobody in line is forgotten.
///
/// A limit ends the wait in line, not the wait for the mutex that follows.
///
/// # When to use something else
///
/// [`Event`](super::Event), [`Semaphore`](super::Semaphore), [`WaitGroup`](super::WaitGroup) and
/// [channels](crate::channel) have the condition built in.
pub struct Condvar {
    line: WaitQueue<Growable>,
}

/// Whether a wait of a [`Condvar`] came to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult {
    timed_out: bool,
}

impl WaitTimeoutResult {
    /// Whether the limit came before a notification.
    pub fn timed_out(&self) -> bool {
        self.timed_out
    }
}

impl Condvar {
    /// A condition variable that nobody waits for.
    pub const fn new() -> Self {
        Self { line: WaitQueue::with_storage(Growable::new()) }
    }

    /// Ends the wait that has lasted longest, if there is one.
    pub fn notify_one(&self) {
        // `notify_one` of the queue would be stored if nobody waits. This one's look whether somebody does is a plain load, and
        // enough: whoever waits has registered before it unlocked, and whoever notifies has locked since.
        self.line.notify(1);
    }

    /// Ends all waits.
    pub fn notify_all(&self) {
        self.line.notify_all();
    }

    /// Unlocks, sleeps until it is notified, and locks again.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_until(guard, None).0
    }

    /// Waits as long as `condition` holds, which may change the value.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        self.wait_while_until(guard, None, condition).0
    }

    /// As [`wait`](Self::wait), for `timeout` at most.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.wait_until(guard, deadline_after(timeout))
    }

    /// As [`wait`](Self::wait), until `deadline` at most.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait_deadline<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Instant,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.wait_until(guard, Some(deadline))
    }

    /// Waits as long as `condition` holds, for `timeout` at most. It has timed out only if the condition still holds.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let (ready, changed) = (Mutex::new(false), Condvar::new());
    /// let brief = Duration::from_millis(1);
    /// let (_, result) = changed.wait_timeout_while(ready.lock_blocking(), brief, |ready| !*ready);
    /// assert!(result.timed_out());
    /// let (_, result) = changed.wait_timeout_while(ready.lock_blocking(), brief, |ready| *ready);
    /// assert!(!result.timed_out());
    /// ```
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait_timeout_while<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        self.wait_while_until(guard, deadline_after(timeout), condition)
    }

    /// As [`wait`](Self::wait), until `context` is done at most; says which of the two it was.
    ///
    /// # Errors
    ///
    /// Beside the guard: the context is done. If it is so already, nothing is unlocked.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError, sync::{Condvar, Mutex}};
    /// use std::time::Duration;
    ///
    /// let (ready, changed) = (Mutex::new(false), Condvar::new());
    /// let context = Context::background().with_timeout(Duration::from_millis(1));
    /// let mut guard = ready.lock_blocking();
    /// let mut result = Ok(());
    /// while !*guard && result.is_ok() {
    ///     (guard, result) = changed.wait_ctx(guard, &context);
    /// }
    /// assert_eq!(result, Err(ContextError::DeadlineExceeded));
    /// ```
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    pub fn wait_ctx<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        context: &Context,
    ) -> (MutexGuard<'a, T>, Result<(), ContextError>) {
        if let Some(error) = context.err() {
            return (guard, Err(error));
        }
        let mut waiting = Waiting::new(self, guard);
        let result = context.block_on(pin!(poll_fn(|cx| waiting.poll(cx))));
        (waiting.relock(), result)
    }

    /// Unlocks, waits until it is notified, and locks again.
    ///
    /// # Cancel safety
    ///
    /// Dropping it passes on what it was notified of, also if it was about to lock again. The guard is gone.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Condvar, Mutex};
    ///
    /// async fn next(jobs: &Mutex<Vec<u32>>, added: &Condvar) -> u32 {
    ///     let mut guard = jobs.lock().await;
    ///     loop {
    ///         match guard.pop() {
    ///             Some(job) => return job,
    ///             None => guard = added.wait_async(guard).await,
    ///         }
    ///     }
    /// }
    /// # assert_eq!(aqueduct::park::block_on(next(&Mutex::new(vec![1]), &Condvar::new())), 1);
    /// ```
    pub async fn wait_async<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mut waiting = Waiting::new(self, guard);
        poll_fn(|cx| waiting.poll(cx)).await;
        let guard = waiting.mutex.lock().await;
        waiting.has_ended();
        guard
    }

    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mut waiting = Waiting::new(self, guard);
        let notified = drive(pin!(poll_fn(|cx| waiting.poll(cx))), deadline, Impatience::HandOver);
        (waiting.relock(), WaitTimeoutResult { timed_out: notified.is_none() })
    }

    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    fn wait_while_until<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mut timed_out = false;
        while condition(&mut guard) {
            if timed_out {
                return (guard, WaitTimeoutResult { timed_out });
            }
            let result;
            (guard, result) = self.wait_until(guard, deadline);
            // Notified again and again, nobody would come to his limit.
            timed_out = result.timed_out || deadline.is_some_and(|at| Instant::now() >= at);
        }
        (guard, WaitTimeoutResult { timed_out: false })
    }
}

/// One wait: in line, then unlocked, then perhaps notified.
///
/// Dropped in line, the queue's own [`Wait`] passes on what it was notified of. Dropped after the notification and before
/// the mutex is locked again, this does.
struct Waiting<'c, 'a, T: ?Sized> {
    condvar: &'c Condvar,
    mutex: &'a Mutex<T>,
    /// Until it stands in line.
    guard: Option<MutexGuard<'a, T>>,
    wait: Wait<'c, Growable>,
    notified: bool,
    is_tracked: bool,
}

impl<'c, 'a, T: ?Sized> Waiting<'c, 'a, T> {
    fn new(condvar: &'c Condvar, guard: MutexGuard<'a, T>) -> Self {
        let (mutex, is_tracked) = (MutexGuard::mutex(&guard), guard.is_tracked());
        let wait = condvar.line.wait();
        Self { condvar, mutex, guard: Some(guard), wait, notified: false, is_tracked }
    }

    fn poll(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut self.wait).poll(cx);
        // It stands in line: now others may change the value, and will find it there.
        self.guard = None;
        self.notified = polled.is_ready();
        polled.map(drop)
    }

    /// Leaves the line, and locks again. A thread that waits for the mutex gets it, so nothing is passed on from here on.
    #[cfg_attr(feature = "deadlock-detection", track_caller)]
    fn relock(mut self) -> MutexGuard<'a, T> {
        let (mutex, is_tracked) = (self.mutex, self.is_tracked);
        self.has_ended();
        // Before the mutex is locked, so that whoever holds it need not wait for us to pass a notification on.
        drop(self);
        if is_tracked { mutex.lock_blocking() } else { mutex.lock_untracked() }
    }

    fn has_ended(&mut self) {
        self.notified = false;
    }
}

impl<T: ?Sized> Drop for Waiting<'_, '_, T> {
    fn drop(&mut self) {
        if self.notified {
            self.condvar.notify_one();
        }
    }
}

impl Default for Condvar {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

// A panic of one that waits passes on what it was notified of.
impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar")
            .field("is_awaited", &self.line.has_waiters())
            .finish_non_exhaustive()
    }
}
