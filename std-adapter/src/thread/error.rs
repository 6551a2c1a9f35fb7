//! What can go wrong with a thread: it panics, or there is none to be had.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

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
    /// From what [`catch_unwind`](std::panic::catch_unwind) caught.
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

    /// The payload, as [`catch_unwind`](std::panic::catch_unwind) gives it.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(PoisonError::into_inner)
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
