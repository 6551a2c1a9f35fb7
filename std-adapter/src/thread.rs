//! Threads with names, whose panics are values and whose handles can be awaited.
//!
//! Thin over [`std::thread`], with three differences. A thread that the system refuses is an error, not a
//! panic. A panic comes back as [`Panicked`], which knows its message. And a handle is a [`Future`], so a
//! task can wait for a thread.

mod error;
mod outcome;
mod scoped;

pub use error::{Panicked, SpawnError};
pub use scoped::{Scope, ScopedJoinHandle, scope};

use crate::context::ContextError;
use crate::park;
use outcome::Outcome;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread as os;
use std::time::{Duration, Instant};

/// Starts a thread.
///
/// Dropping the handle lets the thread run on, unobserved. To give it a name or a stack size, use
/// [`Builder`]; to let it borrow, use [`scope`].
///
/// # Examples
///
/// ```
/// use aqueduct::thread;
///
/// let sum = thread::spawn(|| (1..=10).sum::<u32>())?;
/// assert_eq!(sum.join().unwrap(), 55);
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// # Errors
///
/// [`SpawnError`] when the system has no thread to give. The closure is dropped.
pub fn spawn<F, T>(f: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f)
}

/// Runs `f`; a panic in it becomes a value.
///
/// What `f` borrows mutably may be left half-changed by a panic; see [`std::panic::UnwindSafe`]. The panic
/// hook runs, and prints, as always. With `panic = "abort"` nothing is caught.
///
/// # Examples
///
/// ```
/// use aqueduct::thread;
///
/// assert_eq!(thread::catch(|| 7).unwrap(), 7);
/// let panicked = thread::catch(|| panic!("disk {} is gone", 3)).unwrap_err();
/// assert_eq!(panicked.message(), "disk 3 is gone");
/// ```
///
/// # Errors
///
/// [`Panicked`], with the payload, when `f` panics.
pub fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(Panicked::new)
}

/// How to start a thread: its name and the size of its stack.
///
/// # Examples
///
/// ```
/// use aqueduct::thread::{self, Builder};
///
/// let worker = Builder::new().name("reader-1").stack_size(64 * 1024).spawn(|| {
///     std::thread::current().name().map(String::from)
/// })?;
/// assert_eq!(worker.join().unwrap().as_deref(), Some("reader-1"));
/// # Ok::<(), thread::SpawnError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder starts nothing until `spawn` is called"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
}

impl Builder {
    /// A thread without a name, with the stack size that std chooses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the thread: in panic messages, in debuggers, in `/proc` (where Linux shows 15 bytes of it).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of the stack in bytes. The system may round it up.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts the thread. See [`spawn`].
    ///
    /// # Errors
    ///
    /// [`SpawnError`] when the system has no thread to give, or when the name contains a zero byte. The
    /// closure is dropped.
    pub fn spawn<F, T>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (ours, theirs) = Outcome::pair();
        let thread = self.into_std()?.spawn(move || theirs.fill(catch(f)))?;
        Ok(JoinHandle { thread, outcome: ours })
    }

    fn into_std(self) -> Result<os::Builder, SpawnError> {
        let mut builder = os::Builder::new();
        if let Some(name) = self.name {
            if name.contains('\0') {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "zero byte in its name");
                return Err(error.into());
            }
            builder = builder.name(name);
        }
        if let Some(bytes) = self.stack_size {
            builder = builder.stack_size(bytes);
        }
        Ok(builder)
    }
}

/// A thread started by [`spawn`]: its result, to be joined or awaited.
///
/// Dropping it lets the thread run on.
///
/// # Examples
///
/// ```
/// use aqueduct::{park, thread};
///
/// let joined = thread::spawn(|| 6 * 7)?;
/// assert_eq!(joined.join().unwrap(), 42);
///
/// let awaited = thread::spawn(|| 6 * 7)?;
/// assert_eq!(park::block_on(awaited).unwrap(), 42);
/// # Ok::<(), thread::SpawnError>(())
/// ```
///
/// # Cancel safety
///
/// As a future it may be polled, left and taken up again; the result is kept until it is taken. It is ready as
/// soon as the closure has returned; destructors of thread-local values may still be running then.
/// [`join`](Self::join) waits for those too.
///
/// # Panics
///
/// When it is polled again after it was ready.
#[must_use = "dropping a handle lets the thread run on, unobserved"]
pub struct JoinHandle<T> {
    thread: os::JoinHandle<()>,
    outcome: Arc<Outcome<T>>,
}

impl<T> JoinHandle<T> {
    /// Waits until the thread has ended, and returns what its closure returned.
    ///
    /// # Errors
    ///
    /// [`Panicked`] when the closure panicked.
    ///
    /// # Panics
    ///
    /// When the result was already taken by polling the handle.
    pub fn join(self) -> Result<T, Panicked> {
        // The closure catches its own panic, so an error here is one from a destructor of its result.
        self.thread.join().map_err(Panicked::new)?;
        self.outcome.take()
    }

    /// Waits until the closure has returned, for `timeout` at most. `None` if it has not; the handle is as before.
    ///
    /// As awaiting it, this takes the result, and does not wait for destructors of thread-local values.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{sync::Event, thread};
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let go = Arc::new(Event::new());
    /// let mut worker = thread::spawn({ let go = go.clone(); move || go.wait() })?;
    /// assert!(worker.join_timeout(Duration::from_millis(1)).is_none());
    /// go.set();
    /// assert!(worker.join_timeout(Duration::MAX).unwrap().is_ok());
    /// # Ok::<(), thread::SpawnError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When the result was already taken.
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<T, Panicked>> {
        park::block_on_timeout(Pin::new(self), timeout)
    }

    /// Waits until the closure has returned, until `deadline` at most. Otherwise as [`join_timeout`](Self::join_timeout).
    ///
    /// # Panics
    ///
    /// When the result was already taken.
    pub fn join_deadline(&mut self, deadline: Instant) -> Option<Result<T, Panicked>> {
        park::block_on_deadline(Pin::new(self), deadline)
    }

    /// Waits until the closure has returned, until `context` is done at most. Otherwise as
    /// [`join_timeout`](Self::join_timeout).
    ///
    /// # Errors
    ///
    /// The context is done; the handle is as before.
    ///
    /// # Panics
    ///
    /// When the result was already taken.
    pub fn join_ctx(
        &mut self,
        context: &crate::Context,
    ) -> Result<Result<T, Panicked>, ContextError> {
        context.block_on(Pin::new(self))
    }

    /// Whether the thread has ended, so that [`join`](Self::join) would not wait.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// The thread: its name and id.
    pub fn thread(&self) -> &os::Thread {
        self.thread.thread()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.poll(context)
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").field("thread", self.thread()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::park::block_on;
    use std::error::Error;
    use std::sync::mpsc;
    use std::task::Waker;

    #[test]
    fn a_handle_can_be_joined_and_awaited() {
        assert_eq!(spawn(|| 7).unwrap().join().unwrap(), 7);
        assert_eq!(block_on(spawn(|| 7).unwrap()).unwrap(), 7);
    }

    #[test]
    fn awaiting_waits_for_a_thread_that_is_still_running() {
        let (go, wait) = mpsc::channel::<()>();
        let mut handle = spawn(move || wait.recv().is_err()).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut handle).poll(&mut context).is_pending());
        assert!(!handle.is_finished());
        drop(go);
        assert!(block_on(handle).unwrap());
    }

    #[test]
    fn a_panic_is_a_value_with_its_message() {
        let panicked = spawn(|| panic!("shelf {}", 3)).unwrap().join().unwrap_err();
        assert_eq!(panicked.message(), "shelf 3");
        let panicked = block_on(spawn(|| std::panic::panic_any(7_u8)).unwrap()).unwrap_err();
        assert_eq!(panicked.into_payload().downcast_ref(), Some(&7_u8));
    }

    #[test]
    fn a_scope_reports_the_panic_that_nobody_joined() {
        let unjoined = scope(|scope| drop(scope.spawn(|| panic!("unseen")))).unwrap_err();
        assert_eq!(unjoined.message(), "unseen");
        let joined = scope(|scope| scope.spawn(|| panic!("seen")).unwrap().join().unwrap_err());
        assert_eq!(joined.unwrap().message(), "seen");
    }

    /// The handle goes after the thread has ended: the panic is found in the handle's drop.
    #[test]
    fn a_scope_reports_the_panic_of_a_handle_dropped_late() {
        let unseen = scope(|scope| {
            let handle = scope.spawn(|| panic!("late")).unwrap();
            while !handle.is_finished() {
                os::yield_now();
            }
        });
        assert_eq!(unseen.unwrap_err().message(), "late");
    }

    #[test]
    fn what_the_system_refuses_is_an_error() {
        let refused = Builder::new().stack_size(usize::MAX / 2).spawn(|| ()).unwrap_err();
        assert!(refused.source().is_some());
        let refused = Builder::new().name("a\0b").spawn(|| ()).unwrap_err();
        assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::InvalidInput);
    }
}
