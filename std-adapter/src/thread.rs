//! Threads with names, whose panics are values and whose handles can be awaited.
//!
//! Thin over [`std::thread`], with three differences. A thread that the system refuses is an error, not a
//! panic. A panic comes back as [`Panicked`], which knows its message. And a handle is a [`Future`], so a
//! task can wait for a thread.

use crate::lock;
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread as os;

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
/// [`join`](ScopedJoinHandle::join) returned is the caller's to judge, and does not fail the scope.
///
/// # Panics
///
/// When `f` itself panics, with its payload, after all threads have ended.
pub fn scope<'env, F, R>(f: F) -> Result<R, Panicked>
where
    F: for<'scope> FnOnce(&Scope<'scope, 'env>) -> R,
{
    let unseen = Arc::new(Mutex::new(None));
    let result = os::scope(|inner| f(&Scope { inner, unseen: Arc::clone(&unseen) }));
    match lock(&unseen).take() {
        None => Ok(result),
        Some(panicked) => Err(panicked),
    }
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
            // If the handle is gone already, the outcome is ours alone, and so is the panic in it.
            if let Some(Err(panicked)) = Arc::into_inner(theirs).and_then(Outcome::into_inner) {
                lock(&unseen).get_or_insert(panicked);
            }
        })?;
        Ok(ScopedJoinHandle {
            thread: Some(thread),
            outcome: Some(ours),
            unseen: Arc::clone(&scope.unseen),
        })
    }

    fn into_std(self) -> Result<os::Builder, SpawnError> {
        let mut builder = os::Builder::new();
        if let Some(name) = self.name {
            if name.contains('\0') {
                let error = io::Error::new(io::ErrorKind::InvalidInput, "zero byte in its name");
                return Err(SpawnError(error));
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
    /// The first panic that no handle is left to report.
    unseen: Arc<Mutex<Option<Panicked>>>,
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
/// As [`JoinHandle`].
///
/// # Panics
///
/// As [`JoinHandle`].
pub struct ScopedJoinHandle<'scope, T> {
    /// Always there until `join` takes it.
    thread: Option<os::ScopedJoinHandle<'scope, ()>>,
    /// Always there until `join` or `drop` takes it.
    outcome: Option<Arc<Outcome<T>>>,
    unseen: Arc<Mutex<Option<Panicked>>>,
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
        // Whoever lets go last, the handle or the thread, has the outcome for itself. Nobody will read it.
        let outcome = self.outcome.take().and_then(Arc::into_inner);
        if let Some(Err(panicked)) = outcome.and_then(Outcome::into_inner) {
            lock(&self.unseen).get_or_insert(panicked);
        }
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// A panic, caught: its message, and the payload it was thrown with.
///
/// # Examples
///
/// ```
/// use aqueduct::thread;
///
/// let panicked = thread::spawn(|| panic!("no such shelf"))?.join().unwrap_err();
/// assert_eq!(panicked.to_string(), "panicked: no such shelf");
/// assert_eq!(panicked.into_payload().downcast_ref(), Some(&"no such shelf"));
/// # Ok::<(), thread::SpawnError>(())
/// ```
pub struct Panicked {
    message: String,
    /// Payloads are `Send` only; a mutex that nobody locks makes the error `Sync`, as errors ought to be.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl Panicked {
    /// From what [`catch_unwind`] caught.
    pub fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
            (Some(text), _) => String::from(*text),
            (_, Some(text)) => text.clone(),
            _ => String::from("(a payload that is not text)"),
        };
        Self { message, payload: Mutex::new(payload) }
    }

    /// What was said to `panic!`; a placeholder if the payload is not text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload, as [`catch_unwind`] gives it.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Lets the panic go on in this thread, without another message from the panic hook.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::thread;
    ///
    /// let worker = thread::spawn(|| panic!("let it pass"))?;
    /// let again = thread::catch(|| worker.join().unwrap_or_else(|panicked| panicked.resume()));
    /// assert_eq!(again.unwrap_err().message(), "let it pass");
    /// # Ok::<(), thread::SpawnError>(())
    /// ```
    pub fn resume(self) -> ! {
        resume_unwind(self.into_payload())
    }
}

impl fmt::Debug for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panicked").field("message", &self.message).finish_non_exhaustive()
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl Error for Panicked {}

/// The system refused to start a thread.
///
/// There are too many, or there is no memory for its stack. [`source`](Error::source) is what it said.
///
/// # Examples
///
/// ```
/// use aqueduct::thread::Builder;
///
/// let refused = Builder::new().stack_size(isize::MAX as usize).spawn(|| ()).unwrap_err();
/// assert_eq!(refused.to_string(), "could not start a thread");
/// let _why = std::io::Error::from(refused);
/// ```
#[derive(Debug)]
pub struct SpawnError(io::Error);

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not start a thread")
    }
}

impl Error for SpawnError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl From<io::Error> for SpawnError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl From<SpawnError> for io::Error {
    fn from(error: SpawnError) -> Self {
        error.0
    }
}

/// Where a thread leaves its result, and where its handle finds it.
struct Outcome<T>(Mutex<State<T>>);

enum State<T> {
    Running(Option<Waker>),
    Ended(Result<T, Panicked>),
    Taken,
}

impl<T> Outcome<T> {
    fn pair() -> (Arc<Self>, Arc<Self>) {
        let ours = Arc::new(Self(Mutex::new(State::Running(None))));
        (Arc::clone(&ours), ours)
    }

    fn fill(&self, result: Result<T, Panicked>) {
        let before = mem::replace(&mut *lock(&self.0), State::Ended(result));
        if let State::Running(Some(waker)) = before {
            waker.wake();
        }
    }

    fn take(&self) -> Result<T, Panicked> {
        match mem::replace(&mut *lock(&self.0), State::Taken) {
            State::Ended(result) => result,
            State::Taken => panic!("the result of this thread was already taken"),
            State::Running(_) => unreachable!("a thread that has ended left its outcome"),
        }
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
        // Cloned and dropped outside the lock: a waker is foreign code.
        let mut waker = Some(context.waker().clone());
        {
            let mut state = lock(&self.0);
            if let State::Running(registered) = &mut *state {
                mem::swap(registered, &mut waker);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take())
    }

    fn into_inner(self) -> Option<Result<T, Panicked>> {
        match self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            State::Ended(result) => Some(result),
            State::Running(_) | State::Taken => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::park::block_on;
    use std::sync::mpsc;

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
