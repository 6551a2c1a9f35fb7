//! Threads that borrow.

use super::outcome::Outcome;
use super::{Builder, Panicked, SpawnError, catch};
use crate::context::ContextError;
use crate::foreign::discard;
use crate::{lock, park};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread as os;
use std::time::{Duration, Instant};

/// Runs `f`, lets it start threads that borrow from around the call, and returns when all of them have ended.
///
/// # Examples
///
/// ```
/// use aqueduct::thread;
///
/// let words = ["a", "bc", "def"];
/// let total = thread::scope(|scope| {
///     let lengths = words.each_ref().map(|word| scope.spawn(|| word.len()));
///     lengths.into_iter().map(|length| length.unwrap().join().unwrap()).sum::<usize>()
/// })?;
/// assert_eq!(total, 6);
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// # Errors
///
/// The first panic of a thread whose handle was dropped instead of joined: no panic goes unseen. A panic that
/// [`join`](ScopedJoinHandle::join) returned is the caller's to judge, and does not fail the scope. What such a thread
/// returns is dropped in it, or with the handle, and a panic of that counts as the thread's.
///
/// # Panics
///
/// When `f` itself panics, with its payload, after all threads have ended.
pub fn scope<'env, F, R>(f: F) -> Result<R, Panicked>
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
{
    let unseen = Arc::new(Unseen::default());
    let result = catch(|| os::scope(|inner| f(&Scope { inner, unseen: Arc::clone(&unseen) })));
    match (result, unseen.take()) {
        (Ok(result), None) => Ok(result),
        (Ok(_), Some(panicked)) => Err(panicked),
        (Err(ours), theirs) => {
            discard(theirs);
            ours.resume()
        }
    }
}

/// The first panic that no handle is left to report.
#[derive(Default)]
struct Unseen(Mutex<Option<Panicked>>);

impl Unseen {
    fn report(&self, panicked: Panicked) {
        let mut first = lock(&self.0);
        if first.is_none() {
            *first = Some(panicked);
        } else {
            drop(first);
            // What was thrown may panic in its turn when it is dropped.
            discard(panicked);
        }
    }

    fn take(&self) -> Option<Panicked> {
        lock(&self.0).take()
    }
}

/// Where [`scope`]'s threads are started.
///
/// A thread that starts others takes a clone of it along.
///
/// # Examples
///
/// ```
/// use aqueduct::thread;
///
/// thread::scope(|scope| {
///     let inner = scope.clone();
///     scope.spawn(move || inner.spawn(|| println!("a thread of a thread")).map(drop)).map(drop)
/// })
/// .expect("no thread panicked")?;
/// # Ok::<(), thread::SpawnError>(())
/// ```
#[derive(Clone)]
pub struct Scope<'scope, 'env: 'scope> {
    inner: &'scope os::Scope<'scope, 'env>,
    unseen: Arc<Unseen>,
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a thread that may borrow from around [`scope`].
    ///
    /// # Errors
    ///
    /// As [`Builder::spawn`].
    pub fn spawn<F, T>(&self, f: F) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        Builder::new().spawn_scoped(self, f)
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// A thread started in a [`scope`]: its result, to be joined or awaited.
///
/// Dropping it is fine: the scope waits for the thread, and reports its panic if it panics.
///
/// # Cancel safety
///
/// As [`JoinHandle`](super::JoinHandle).
///
/// # Panics
///
/// As [`JoinHandle`](super::JoinHandle).
pub struct ScopedJoinHandle<'scope, T> {
    /// Always there until `join` takes it.
    thread: Option<os::ScopedJoinHandle<'scope, ()>>,
    /// Always there until `join` or `drop` takes it.
    outcome: Option<Arc<Outcome<T>>>,
    unseen: Arc<Unseen>,
}

impl<T> ScopedJoinHandle<'_, T> {
    /// Waits until the thread has ended, and returns what its closure returned.
    ///
    /// # Errors
    ///
    /// [`Panicked`] when the closure panicked.
    ///
    /// # Panics
    ///
    /// When the result was already taken by polling the handle.
    pub fn join(mut self) -> Result<T, Panicked> {
        let thread = self.thread.take().expect("join is called once");
        let outcome = self.outcome.take().expect("join is called once");
        thread.join().map_err(Panicked::new)?;
        outcome.take()
    }

    /// As [`JoinHandle::join_timeout`](super::JoinHandle::join_timeout).
    ///
    /// # Panics
    ///
    /// When the result was already taken.
    pub fn join_timeout(&mut self, timeout: Duration) -> Option<Result<T, Panicked>> {
        park::block_on_timeout(Pin::new(self), timeout)
    }

    /// As [`JoinHandle::join_deadline`](super::JoinHandle::join_deadline).
    ///
    /// # Panics
    ///
    /// When the result was already taken.
    pub fn join_deadline(&mut self, deadline: Instant) -> Option<Result<T, Panicked>> {
        park::block_on_deadline(Pin::new(self), deadline)
    }

    /// As [`JoinHandle::join_ctx`](super::JoinHandle::join_ctx).
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
        self.thread.as_ref().is_some_and(os::ScopedJoinHandle::is_finished)
    }
}

impl<T> Future for ScopedJoinHandle<'_, T> {
    type Output = Result<T, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.outcome.as_ref().expect("only drop takes it").poll(context)
    }
}

impl<T> Drop for ScopedJoinHandle<'_, T> {
    fn drop(&mut self) {
        if let Some(panicked) = self.outcome.take().and_then(Outcome::leave) {
            self.unseen.report(panicked);
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

impl Builder {
    /// Starts a thread that may borrow from around [`scope`].
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::thread::{self, Builder};
    ///
    /// let mut count = 0;
    /// thread::scope(|scope| {
    ///     Builder::new().name("counter").spawn_scoped(scope, || count += 1).map(drop)
    /// })
    /// .expect("the thread did not panic")?;
    /// assert_eq!(count, 1);
    /// # Ok::<(), thread::SpawnError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`spawn`](Self::spawn).
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &Scope<'scope, '_>,
        f: F,
    ) -> Result<ScopedJoinHandle<'scope, T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (ours, theirs) = Outcome::pair();
        let unseen = Arc::clone(&scope.unseen);
        let thread = self.into_std()?.spawn_scoped(scope.inner, move || {
            theirs.fill(catch(f));
            if let Some(panicked) = theirs.leave() {
                unseen.report(panicked);
            }
        })?;
        Ok(ScopedJoinHandle {
            thread: Some(thread),
            outcome: Some(ours),
            unseen: Arc::clone(&scope.unseen),
        })
    }
}
