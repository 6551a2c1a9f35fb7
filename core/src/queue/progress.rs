//! The choice between a ring that never waits and a faster one that may.

/// What an operation on a channel does that meets another one in the middle: between claiming a place and showing its
/// value there, or between claiming a value and giving its place back.
///
/// [`LockFree`], the default, goes on without the other one. An implementation with `LOCK_FREE = false` makes the
/// channel faster (a value takes a quarter to two fifths less time), and **not lock-free**: an operation that needs the very place or value waits until the other
/// one has finished, and calls [`give_way`](Self::give_way) again and again meanwhile. That is a few instructions of the other party,
/// none of them the user's code (but see below); but if its thread is taken off the CPU just there, it is as long as
/// the scheduler pleases. So such a channel is **not for interrupt handlers**, nor for threads whose priorities can keep the
/// other one from the CPU for ever.
///
/// What takes its time waits for nobody and holds nobody up, with either choice: a place that was
/// [reserved](crate::channel::Channel::reserve), and the places of an iterator that is still making values, can be taken away
/// by whoever comes by. What is called with values or places claimed, the closure of
/// [`try_recv_many`](crate::channel::Channel::try_recv_many) and the iterator of
/// [`try_send_at_once`](crate::channel::Channel::try_send_at_once), must neither wait nor use the channel where `LOCK_FREE` is false; nor must
/// the drops of the values that such a closure has not been given when it panics.
///
/// # Examples
///
/// ```
/// use aqueduct_core::channel::{Channel, Progress};
///
/// /// For threads: the party that we wait for may need this very CPU.
/// enum Yield {}
///
/// impl Progress for Yield {
///     const LOCK_FREE: bool = false;
///
///     fn give_way() {
///         std::thread::yield_now();
///     }
/// }
///
/// let channel = Channel::<_, Yield>::with_progress(2);
/// channel.try_send("one")?;
/// assert_eq!(channel.try_recv(), Ok("one"));
/// # Ok::<(), aqueduct_core::channel::TrySendError<&str>>(())
/// ```
pub trait Progress {
    /// Whether every operation finishes in its own steps, wherever the others are frozen.
    const LOCK_FREE: bool;

    /// Lets others run, after a first moment of spinning has not helped. Called only where `LOCK_FREE` is false.
    ///
    /// It must not panic, nor use the channel. It is called in the middle of an operation, which a panic would end there: a place or a
    /// value that it has claimed by then would stay claimed, and whoever comes to need it would wait for ever.
    fn give_way();
}

/// Every operation finishes in its own steps, wherever the others are frozen: the [`Progress`] of all queues and of all channels,
/// unless they are asked to be faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct LockFree;

impl Progress for LockFree {
    const LOCK_FREE: bool = true;

    fn give_way() {}
}
