//! What sending and receiving can fail with. The names are crossbeam-channel's.
//!
//! Whatever was to be sent is in the error, to be taken back with `into_inner`.

use crate::context::ContextError;
use std::error::Error;
use std::fmt;

/// The channel is closed, or nobody is left to receive. The value comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

/// [`Sender::try_send`](super::Sender::try_send) did not send. The value comes back.
///
/// # Examples
///
/// ```
/// use aqueduct::channel::{self, TrySendError};
///
/// let (sender, receiver) = channel::bounded(1);
/// sender.try_send("first").unwrap();
/// let refused = sender.try_send("second").unwrap_err();
/// assert!(refused.is_full());
/// assert_eq!(refused.into_inner(), "second");
/// drop(receiver);
/// assert_eq!(sender.try_send("third"), Err(TrySendError::Disconnected("third")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room now.
    Full(T),
    /// The channel is closed, or nobody is left to receive.
    Disconnected(T),
}

/// A send with a time limit did not send. The value comes back.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (sender, receiver) = aqueduct::channel::bounded(1);
/// sender.send(1).unwrap();
/// assert!(sender.send_timeout(2, Duration::ZERO).unwrap_err().is_timeout());
/// drop(receiver);
/// assert!(sender.send_timeout(2, Duration::MAX).unwrap_err().is_disconnected());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendTimeoutError<T> {
    /// There was no room in time.
    Timeout(T),
    /// The channel is closed, or nobody is left to receive.
    Disconnected(T),
}

/// [`Sender::send_ctx`](super::Sender::send_ctx) did not send. The value comes back.
///
/// # Examples
///
/// ```
/// use aqueduct::{Context, channel};
///
/// let (sender, receiver) = channel::bounded(1);
/// drop(receiver);
/// let refused = sender.send_ctx(&Context::background(), "unsent").unwrap_err();
/// assert!(refused.is_disconnected());
/// assert_eq!(refused.into_inner(), "unsent");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SendCtxError<T> {
    /// The context was done first, and why.
    Done(T, ContextError),
    /// The channel is closed, or nobody is left to receive.
    Disconnected(T),
}

/// The channel is empty, and closed or without senders: nothing will ever come.
///
/// Without room there is one exception. A value that was handed to a receive whose future, or whose limit, ends before it has looked
/// goes to the next who receives, and that may be after others were told of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecvError;

/// [`Receiver::try_recv`](super::Receiver::try_recv) received nothing.
///
/// # Examples
///
/// ```
/// let (sender, receiver) = aqueduct::channel::bounded::<u8>(1);
/// assert!(receiver.try_recv().unwrap_err().is_empty());
/// drop(sender);
/// assert!(receiver.try_recv().unwrap_err().is_disconnected());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is nothing now.
    Empty,
    /// There is nothing, and nothing will ever come.
    Disconnected,
}

/// A receive with a time limit received nothing.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let (sender, receiver) = aqueduct::channel::bounded::<u8>(1);
/// assert!(receiver.recv_timeout(Duration::ZERO).unwrap_err().is_timeout());
/// drop(sender);
/// assert!(receiver.recv_timeout(Duration::MAX).unwrap_err().is_disconnected());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    /// Nothing came in time.
    Timeout,
    /// There is nothing, and nothing will ever come.
    Disconnected,
}

/// [`Receiver::recv_ctx`](super::Receiver::recv_ctx) received nothing.
///
/// # Examples
///
/// ```
/// use aqueduct::{Context, channel};
///
/// let (sender, receiver) = channel::bounded::<u8>(1);
/// drop(sender);
/// assert!(receiver.recv_ctx(&Context::background()).unwrap_err().is_disconnected());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvCtxError {
    /// The context was done first, and why.
    Done(ContextError),
    /// There is nothing, and nothing will ever come.
    Disconnected,
}

/// [`Select::try_select`](super::Select::try_select): no arm could go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrySelectError;

/// [`Select::select_timeout`](super::Select::select_timeout): no arm could go on in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelectTimeoutError;

/// [`Select::try_ready`](super::Select::try_ready): no arm was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryReadyError;

/// [`Select::ready_timeout`](super::Select::ready_timeout): no arm was ready in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyTimeoutError;

/// A failure with fewer ways to fail, as one with more.
macro_rules! widened {
    ($($send:ident)+; $($recv:ident)+) => {
        $(
            impl<T> From<SendError<T>> for $send<T> {
                fn from(error: SendError<T>) -> Self {
                    Self::Disconnected(error.0)
                }
            }
        )+
        $(
            impl From<RecvError> for $recv {
                fn from(RecvError: RecvError) -> Self {
                    Self::Disconnected
                }
            }
        )+
    };
}

widened! {
    TrySendError SendTimeoutError SendCtxError;
    TryRecvError RecvTimeoutError RecvCtxError
}

impl<T> SendError<T> {
    /// The value that was not sent.
    ///
    /// # Examples
    ///
    /// ```
    /// let (sender, receiver) = aqueduct::channel::bounded(1);
    /// drop(receiver);
    /// assert_eq!(sender.send("hello").unwrap_err().into_inner(), "hello");
    /// ```
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Disconnected(value) => value,
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether nobody can receive any more.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(value) | Self::Disconnected(value) => value,
        }
    }

    /// Whether there was no room in time.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether nobody can receive any more.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> SendCtxError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Done(value, _) | Self::Disconnected(value) => value,
        }
    }

    /// Whether nobody can receive any more.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl TryRecvError {
    /// Whether there was nothing, but something may come.
    pub fn is_empty(&self) -> bool {
        *self == Self::Empty
    }

    /// Whether nothing will ever come.
    pub fn is_disconnected(&self) -> bool {
        *self == Self::Disconnected
    }
}

impl RecvTimeoutError {
    /// Whether nothing came in time.
    pub fn is_timeout(&self) -> bool {
        *self == Self::Timeout
    }

    /// Whether nothing will ever come.
    pub fn is_disconnected(&self) -> bool {
        *self == Self::Disconnected
    }
}

impl RecvCtxError {
    /// Whether nothing will ever come.
    pub fn is_disconnected(&self) -> bool {
        *self == Self::Disconnected
    }
}

/// What an error says.
macro_rules! display {
    ($([$($T:ident)?] $error:ident { $($variant:pat => $text:literal,)+ })+) => {
        $(
            impl$(<$T>)? fmt::Display for $error$(<$T>)? {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(match self {
                        $($variant => $text,)+
                    })
                }
            }

            impl$(<$T>)? Error for $error$(<$T>)? {}
        )+
    };
}

display! {
    [T] SendError {
        Self(_) => "sending on a closed channel",
    }
    [T] TrySendError {
        Self::Full(_) => "sending on a full channel",
        Self::Disconnected(_) => "sending on a closed channel",
    }
    [T] SendTimeoutError {
        Self::Timeout(_) => "timed out waiting for room in a channel",
        Self::Disconnected(_) => "sending on a closed channel",
    }
    [T] SendCtxError {
        Self::Done(_, ContextError::Canceled) => "canceled while waiting for room in a channel",
        Self::Done(_, ContextError::DeadlineExceeded) => "deadline exceeded while waiting for room in a channel",
        Self::Disconnected(_) => "sending on a closed channel",
    }
    [] RecvError {
        Self => "receiving on a channel that is closed and empty",
    }
    [] TryRecvError {
        Self::Empty => "receiving on an empty channel",
        Self::Disconnected => "receiving on a channel that is closed and empty",
    }
    [] RecvTimeoutError {
        Self::Timeout => "timed out waiting for a value in a channel",
        Self::Disconnected => "receiving on a channel that is closed and empty",
    }
    [] TrySelectError {
        Self => "no arm of the selection could go on",
    }
    [] SelectTimeoutError {
        Self => "timed out waiting for an arm of the selection to go on",
    }
    [] TryReadyError {
        Self => "no arm of the selection was ready",
    }
    [] ReadyTimeoutError {
        Self => "timed out waiting for an arm of the selection to be ready",
    }
    [] RecvCtxError {
        Self::Done(ContextError::Canceled) => "canceled while waiting for a value in a channel",
        Self::Done(ContextError::DeadlineExceeded) => "deadline exceeded while waiting for a value in a channel",
        Self::Disconnected => "receiving on a channel that is closed and empty",
    }
}

/// `Debug` for an error that carries a value: leaves the value out, which need not be `Debug`.
macro_rules! debug {
    ($($error:ident { $($variant:pat => $text:literal,)+ })+) => {
        $(
            impl<T> fmt::Debug for $error<T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(match self {
                        $($variant => $text,)+
                    })
                }
            }
        )+
    };
}

debug! {
    SendError {
        Self(_) => "SendError(..)",
    }
    TrySendError {
        Self::Full(_) => "Full(..)",
        Self::Disconnected(_) => "Disconnected(..)",
    }
    SendTimeoutError {
        Self::Timeout(_) => "Timeout(..)",
        Self::Disconnected(_) => "Disconnected(..)",
    }
    SendCtxError {
        Self::Done(_, ContextError::Canceled) => "Done(.., Canceled)",
        Self::Done(_, ContextError::DeadlineExceeded) => "Done(.., DeadlineExceeded)",
        Self::Disconnected(_) => "Disconnected(..)",
    }
}
