//! Cancellation that reaches everything a piece of work has started: a tree of contexts with deadlines,
//! causes and values.
//!
//! A [`Context`] is passed down to whatever works on the same request. Cancel it, or let its deadline come,
//! and it and all contexts derived from it are *done*: sleeping calls that were given one of them return at
//! once, futures wake, callbacks run.
//!
//! | Go | here |
//! |---|---|
//! | `context.Background()` | [`Context::background`] |
//! | `context.WithCancel(ctx)`, `cancel()` | [`ctx.child()`](Context::child), [`cancel`](Context::cancel) |
//! | `WithTimeout`, `WithDeadline` | [`with_timeout`](Context::with_timeout), [`with_deadline`](Context::with_deadline) |
//! | `WithValue(ctx, key, v)`, `Value(key)` | [`with_value(v)`](Context::with_value), [`value::<V>()`](Context::value): the type is the key |
//! | `WithCancelCause`, `Cause` | [`cancel_with`](Context::cancel_with), [`cause`](Context::cause) |
//! | `<-ctx.Done()` | [`done().await`](Context::done), [`wait`](Context::wait) |
//! | `AfterFunc`, `WithoutCancel` | [`after_func`](Context::after_func), [`without_cancel`](Context::without_cancel) |
//! | (left to gRPC and its like) | [`write_headers`](Context::write_headers), [`from_headers`](Context::from_headers): to another process |
//!
//! Two things are better than there. There is no `cancel` function that must be called lest the parent
//! remember the child for ever: a context that is dropped is forgotten. And a deadline needs no timer
//! unless a future or a callback waits for it; [`err`](Context::err) looks at the clock, and a blocked
//! thread knows until when it sleeps.

mod decision;
mod headers;
mod node;
mod table;

pub use headers::HeaderError;

use crate::park::{Impatience, deadline_after, drive};
use node::{Follower, Node};
use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::{Duration, Instant};
use table::Place;

/// A handle to one node in a tree of cancellation. Cloning it is cheap, and the clone is the same node.
///
/// # Examples
///
/// ```
/// use aqueduct::context::{Context, ContextError};
/// use std::time::Duration;
///
/// let server = Context::background();
/// let request = server.with_timeout(Duration::from_secs(60));
/// let query = request.child();
///
/// request.cancel_with("the client hung up");
/// assert_eq!(query.err(), Some(ContextError::Canceled));
/// assert_eq!(query.cause().unwrap().to_string(), "the client hung up");
/// assert!(!server.is_done());
/// ```
///
/// # Progress
///
/// [`err`](Self::err), [`is_done`](Self::is_done), [`cause`](Self::cause) and [`value`](Self::value) take no lock and
/// call nobody; of a context whose deadline has passed, the first of them may find that it was cancelled with a cause above just
/// before, and wait for a thread that is about to note the same. Deriving and waiting lock one node at a time, for a few steps in
/// its table of followers; cancelling, for a walk over that. Wakers and callbacks run with nothing locked: they may use the same
/// context.
#[derive(Clone)]
pub struct Context {
    node: Arc<Node>,
}

/// Why a context is done. [`Context::cause`] may tell more.
///
/// # Examples
///
/// ```
/// use aqueduct::context::{Context, ContextError};
/// use std::time::Duration;
///
/// let context = Context::background();
/// let late = context.with_timeout(Duration::ZERO);
/// context.cancel();
/// assert_eq!(context.err(), Some(ContextError::Canceled));
/// assert_eq!(late.err(), Some(ContextError::DeadlineExceeded));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContextError {
    /// It was cancelled, or a context above it was.
    Canceled,
    /// Its deadline has passed.
    DeadlineExceeded,
}

/// What a context was cancelled with.
pub type Cause = Arc<dyn Error + Send + Sync>;

impl Context {
    /// A new root: no parent, no deadline, no values. It is done when somebody cancels it, and not before.
    pub fn background() -> Self {
        Self { node: Node::root(None) }
    }

    /// A context that is done when this one is, and can be cancelled alone.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let parent = Context::background();
    /// let (one, two) = (parent.child(), parent.child());
    /// one.cancel();
    /// assert!(one.is_done() && !two.is_done() && !parent.is_done());
    /// ```
    pub fn child(&self) -> Self {
        Self { node: Node::derive(&self.node, None, None) }
    }

    /// A child that is also done once `timeout` has passed.
    ///
    /// A timeout too long for the clock, such as [`Duration::MAX`], is no timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::context::{Context, ContextError};
    /// # use std::time::Duration;
    /// let context = Context::background().with_timeout(Duration::ZERO);
    /// assert_eq!(context.err(), Some(ContextError::DeadlineExceeded));
    /// ```
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { node: Node::derive(&self.node, deadline_after(timeout), None) }
    }

    /// A child that is also done when `deadline` has come. The earlier of its own deadline and this
    /// context's counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// # use std::time::{Duration, Instant};
    /// let soon = Instant::now() + Duration::from_secs(1);
    /// let parent = Context::background().with_deadline(soon);
    /// let child = parent.with_deadline(soon + Duration::from_secs(9));
    /// assert_eq!(child.deadline(), Some(soon));
    /// ```
    pub fn with_deadline(&self, deadline: Instant) -> Self {
        Self { node: Node::derive(&self.node, Some(deadline), None) }
    }

    /// A child that carries `value`, which it and its descendants find by its type.
    ///
    /// Meant for what accompanies a request across interfaces (an id, credentials, a trace), not for optional
    /// arguments. Wrap plain types in one of your own, so that two users of `String` do not meet.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// struct RequestId(u64);
    ///
    /// let context = Context::background().with_value(RequestId(7)).child();
    /// assert_eq!(context.value::<RequestId>().unwrap().0, 7);
    /// assert!(context.value::<String>().is_none());
    /// ```
    pub fn with_value<V: Any + Send + Sync>(&self, value: V) -> Self {
        Self { node: Node::derive(&self.node, None, Some(Box::new(value))) }
    }

    /// A context with the values of this one that is not done when this one is, and has no deadline: for what
    /// must still happen after a request has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let request = Context::background().with_value("a trace");
    /// let cleanup = request.without_cancel();
    /// request.cancel();
    /// assert!(!cleanup.is_done());
    /// assert_eq!(cleanup.value(), Some(&"a trace"));
    /// ```
    pub fn without_cancel(&self) -> Self {
        Self { node: Node::root(Some(&self.node)) }
    }

    /// Makes this context and all below it done, unless they are already.
    ///
    /// First the whole tree below is marked, then wakers and callbacks run, on this thread. Depth costs no
    /// stack.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let context = Context::background();
    /// let below = context.child().child();
    /// context.cancel();
    /// assert!(below.is_done());
    /// ```
    ///
    /// # Panics
    ///
    /// When a callback given to [`after_func`](Self::after_func) panics: with its payload, after all others have
    /// run.
    pub fn cancel(&self) {
        self.node.cancel(None);
    }

    /// As [`cancel`](Self::cancel), and says why: an error, or just a text.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let context = Context::background();
    /// let child = context.child();
    /// context.cancel_with(std::io::Error::other("disk full"));
    /// context.cancel_with("too late to matter");
    /// assert!(child.cause().unwrap().is::<std::io::Error>());
    /// ```
    ///
    /// # Panics
    ///
    /// As [`cancel`](Self::cancel).
    pub fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        self.node.cancel(Some(Cause::from(cause.into())));
    }

    /// A guard that cancels this context when it is dropped, so that no way out of a scope is forgotten.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let context = Context::background();
    /// {
    ///     let _guard = context.cancel_guard();
    /// }
    /// assert!(context.is_done());
    /// ```
    pub fn cancel_guard(&self) -> CancelGuard {
        CancelGuard { context: Some(self.clone()) }
    }

    /// Why this context is done; `None` while it is not. Once it has an answer, the answer never changes.
    ///
    /// A deadline that has passed counts from that instant, whether or not anybody waited for it.
    pub fn err(&self) -> Option<ContextError> {
        self.node.outcome().map(|outcome| outcome.error)
    }

    /// What this context, or the one above it that took it along, was cancelled with; the [`ContextError`] itself
    /// if nothing was said; `None` while it is not done.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let context = Context::background();
    /// assert!(context.cause().is_none());
    /// context.cancel();
    /// assert_eq!(context.cause().unwrap().to_string(), "context canceled");
    /// ```
    pub fn cause(&self) -> Option<Cause> {
        let outcome = self.node.outcome()?;
        Some(outcome.cause.clone().unwrap_or_else(|| Arc::new(outcome.error)))
    }

    /// When it will be done at the latest, if that is known: the earliest deadline here or above.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }

    /// The nearest value of type `V`, here or above. See [`with_value`](Self::with_value).
    pub fn value<V: Any + Send + Sync>(&self) -> Option<&V> {
        self.node.value()
    }

    /// Whether it is done: cancelled, or past its deadline. One load, whoever above was cancelled; and a look at the clock where
    /// there is a deadline.
    pub fn is_done(&self) -> bool {
        self.node.outcome().is_some()
    }

    /// A future that is ready when this context is done, with the reason. It owns what it needs, so it may
    /// outlive this handle.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError, park::block_on};
    /// use std::time::Duration;
    ///
    /// let context = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(block_on(context.done()), ContextError::DeadlineExceeded);
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves nothing behind, save the timer of a deadline that it was polled under: that goes when the context
    /// whose deadline it is is done, or gone.
    pub fn done(&self) -> Done {
        Done::new(self, false)
    }

    /// Sleeps until this context is done, and says why it is.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{context::ContextError, thread, Context};
    ///
    /// let context = Context::background();
    /// let guard = context.cancel_guard();
    /// let waiter = thread::spawn(move || context.wait())?;
    /// drop(guard);
    /// assert_eq!(waiter.join().unwrap(), ContextError::Canceled);
    /// # Ok::<(), thread::SpawnError>(())
    /// ```
    pub fn wait(&self) -> ContextError {
        self.wait_until(None).expect("without a limit the wait ends when the context does")
    }

    /// Sleeps until this context is done or `timeout` has passed; `None` if it is not done by then.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// # use std::time::Duration;
    /// assert_eq!(Context::background().wait_timeout(Duration::from_millis(1)), None);
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Option<ContextError> {
        self.wait_until(deadline_after(timeout))
    }

    /// Sleeps until this context is done or `deadline` has come; `None` if it is not done by then.
    pub fn wait_deadline(&self, deadline: Instant) -> Option<ContextError> {
        self.wait_until(Some(deadline))
    }

    /// Calls `f` once, when this context is done: on the thread that cancels, or on the timer thread at the deadline,
    /// or right here if it is done already. Let `f` be short, and let it not wait.
    ///
    /// The callback lives with the context: when the last handle (or descendant) is dropped, it is dropped
    /// uncalled. If `f` owns a handle of the same context, or of one below, the two keep each other until the context is
    /// done. If the system refuses a thread for timers, the deadline calls nobody, and a cancellation, here or above, does.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// use std::sync::mpsc;
    ///
    /// let (sender, receiver) = mpsc::channel();
    /// let context = Context::background();
    /// context.after_func(move || sender.send("closing the socket").unwrap());
    /// let other = context.after_func(|| unreachable!("stopped in time"));
    /// assert!(other.stop());
    ///
    /// context.cancel();
    /// assert_eq!(receiver.recv(), Ok("closing the socket"));
    /// ```
    ///
    /// # Panics
    ///
    /// When the context is done already and `f` panics.
    pub fn after_func(&self, f: impl FnOnce() + Send + 'static) -> StopHandle {
        let place = match self.node.follow(Follower::Call(Box::new(f))) {
            Ok(place) => {
                // If there is no thread to be had for timers, the callback runs when anything else ends the
                // context.
                let _ = self.node.watch_clock();
                Some(place)
            }
            Err(follower) => {
                follower.run();
                None
            }
        };
        StopHandle { context: self.clone(), place }
    }

    /// As [`done`](Self::done), for whoever polls again at the deadline by itself: it needs no timer.
    pub(crate) fn done_watched(&self) -> Done {
        Done::new(self, true)
    }

    /// Runs a future on this thread until it is ready, or until this context is done. A context that is done
    /// already wins over a future that is ready already.
    pub(crate) fn block_on<F>(&self, future: Pin<&mut F>) -> Result<F::Output, ContextError>
    where
        F: Future + ?Sized,
    {
        self.drive(future, Impatience::Spent)
    }

    /// The same for who has not been patient yet, and is so in line.
    pub(crate) fn block_on_patiently<F>(
        &self,
        future: Pin<&mut F>,
    ) -> Result<F::Output, ContextError>
    where
        F: Future + ?Sized,
    {
        self.drive(future, Impatience::GiveWay)
    }

    fn drive<F>(
        &self,
        mut future: Pin<&mut F>,
        impatience: Impatience,
    ) -> Result<F::Output, ContextError>
    where
        F: Future + ?Sized,
    {
        let mut done = Done::new(self, true);
        let either = pin!(poll_fn(|cx| {
            if let Poll::Ready(error) = Pin::new(&mut done).poll(cx) {
                return Poll::Ready(Err(error));
            }
            future.as_mut().poll(cx).map(Ok)
        }));
        match drive(either, self.deadline(), impatience) {
            Some(result) => result,
            None => Err(self.err().expect("its deadline has passed")),
        }
    }

    fn wait_until(&self, limit: Option<Instant>) -> Option<ContextError> {
        let until = match (limit, self.deadline()) {
            (Some(limit), Some(deadline)) => Some(limit.min(deadline)),
            (limit, deadline) => limit.or(deadline),
        };
        let done = Done::new(self, true);
        drive(pin!(done), until, Impatience::HandOver).or_else(|| self.err())
    }
}

impl Default for Context {
    /// As [`background`](Self::background).
    fn default() -> Self {
        Self::background()
    }
}

// A panic, in a callback say, leaves the tree whole: what is decided stays decided, and is told to all.
impl UnwindSafe for Context {}
impl RefUnwindSafe for Context {}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("err", &self.err())
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Canceled => "context canceled",
            Self::DeadlineExceeded => "context deadline exceeded",
        })
    }
}

impl Error for ContextError {}

/// Cancels a context when dropped. Made by [`Context::cancel_guard`].
#[derive(Debug)]
#[must_use = "dropping the guard cancels the context"]
pub struct CancelGuard {
    /// None once disarmed.
    context: Option<Context>,
}

impl CancelGuard {
    /// Gives up the guard without cancelling.
    ///
    /// # Examples
    ///
    /// ```
    /// # use aqueduct::Context;
    /// let context = Context::background();
    /// context.cancel_guard().disarm();
    /// assert!(!context.is_done());
    /// ```
    pub fn disarm(mut self) {
        self.context = None;
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        if let Some(context) = &self.context {
            context.cancel();
        }
    }
}

/// Takes back a callback. Made by [`Context::after_func`]. Dropping it leaves the callback in place.
#[derive(Debug)]
pub struct StopHandle {
    context: Context,
    /// None if the callback ran at once.
    place: Option<Place>,
}

impl StopHandle {
    /// Takes the callback back. True if that kept it from running; false if it has been started. It does not wait
    /// for a callback that is running.
    pub fn stop(self) -> bool {
        // The callback is dropped here, with nothing locked.
        self.place.and_then(|place| self.context.node.unfollow(place)).is_some()
    }
}

/// A future that is ready when a context is done. Made by [`Context::done`].
///
/// # Cancel safety
///
/// Dropping it leaves nothing behind, save the timer of a deadline that it was polled under: that goes when the context
/// whose deadline it is is done, or gone.
#[must_use = "futures do nothing unless polled"]
pub struct Done {
    context: Context,
    /// Where in the node's table our waker is, once polled; and which it is.
    place: Option<(Place, Waker)>,
    /// Whoever polls wakes by itself at the deadline, so it needs no timer.
    watched: bool,
}

impl Done {
    fn new(context: &Context, watched: bool) -> Self {
        Self { context: context.clone(), place: None, watched }
    }

    fn leave(&mut self) {
        if let Some((place, _)) = self.place.take() {
            self.context.node.unfollow(place);
        }
    }
}

impl Future for Done {
    type Output = ContextError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<ContextError> {
        if let Some(error) = self.context.err() {
            self.leave();
            return Poll::Ready(error);
        }
        if !self.place.as_ref().is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            self.leave();
            match self.context.node.follow(Follower::Wake(cx.waker().clone())) {
                Ok(place) => self.place = Some((place, cx.waker().clone())),
                Err(_) => {
                    let error = self.context.err();
                    return Poll::Ready(error.expect("only a node that is done refuses followers"));
                }
            }
        }
        if !self.watched && self.context.node.watch_clock().is_err() {
            // No thread to be had for timers: poll again until there is one, or until it is time.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Done").field("context", &self.context).finish_non_exhaustive()
    }
}
