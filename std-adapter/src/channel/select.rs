//! Waiting for several channels at once: [`select!`](crate::select) where the arms are known, [`Select`] where they are not.

mod arm;
mod desk;
mod macros;
mod run;

pub(super) use desk::Desk;

use super::error::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};
use super::{Receiver, Sender};
use crate::Context;
use arm::{Again, DoneArm, RecvArm, SendArm};
use run::Limit;
use std::fmt;
use std::time::{Duration, Instant};

/// What the macros are made of. Not for use.
#[doc(hidden)]
pub mod internal {
    pub use super::arm::{Arm, Chosen, DoneArm, RecvArm, SendArm};
    pub use super::run::Limit;

    /// Completes one of the arms; none if none went on in time.
    pub fn select(
        arms: &mut [(usize, &mut dyn Arm)],
        is_biased: bool,
        limit: Limit,
    ) -> Option<usize> {
        super::run::select(arms, is_biased, limit)
    }
}

/// A selection whose arms are added at run time.
///
/// `select` waits until an arm can go on, chooses it, and gives a [`SelectedOperation`], with which it is completed: nothing can come between.
/// `ready` waits until an arm may go on, and chooses nothing: the call that follows, a `try_` one, may find that somebody was
/// faster.
///
/// If several arms can go on, one of them is chosen at random; in a [biased](Self::new_biased) selection, the one that was added
/// first. The same selection can be made again and again.
///
/// # Progress
///
/// At a channel without room, an arm that meets the `send` arm of another selection waits until that has made its value, without
/// a limit, also in [`try_select`](Self::try_select) and the forms with one; as in crossbeam. Let such values be at hand.
///
/// # Examples
///
/// ```
/// use aqueduct::channel::{self, Select};
///
/// let channels: Vec<_> = (0..3).map(|_| channel::bounded(1)).collect();
/// channels[1].0.send("here").unwrap();
///
/// let mut select = Select::new();
/// for (_, receiver) in &channels {
///     select.recv(receiver);
/// }
/// let chosen = select.select();
/// let nth = chosen.index();
/// assert_eq!((nth, chosen.recv(&channels[nth].1)), (1, Ok("here")));
/// ```
pub struct Select<'a> {
    arms: Vec<(usize, Box<dyn Again<'a> + 'a>)>,
    next: usize,
    is_biased: bool,
}

impl<'a> Select<'a> {
    /// A selection without arms.
    pub fn new() -> Self {
        Self { arms: Vec::new(), next: 0, is_biased: false }
    }

    /// A selection without arms, of which the one that was added first will be chosen if several can go on.
    pub fn new_biased() -> Self {
        Self { is_biased: true, ..Self::new() }
    }

    /// Adds an arm that sends; its index.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(Box::new(SendArm::new(sender)))
    }

    /// Adds an arm that receives; its index.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(Box::new(RecvArm::new(receiver)))
    }

    /// Adds an arm that goes on when `context` is done; its index. There is nothing to complete: look at
    /// [`index`](SelectedOperation::index), and drop the [`SelectedOperation`].
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, channel::{self, Select}};
    ///
    /// let context = Context::background();
    /// let (_sender, receiver) = channel::bounded::<u8>(1);
    /// let mut select = Select::new();
    /// let (value, done) = (select.recv(&receiver), select.done(&context));
    /// assert!(select.try_select().is_err());
    /// context.cancel();
    /// assert_eq!(select.select().index(), done);
    /// # let _ = value;
    /// ```
    pub fn done(&mut self, context: &'a Context) -> usize {
        self.add(Box::new(DoneArm::new(context)))
    }

    fn add(&mut self, arm: Box<dyn Again<'a> + 'a>) -> usize {
        let index = self.next;
        self.next += 1;
        self.arms.push((index, arm));
        index
    }

    /// Takes an arm out. The indices of the others stay, and its own is not used again.
    ///
    /// # Panics
    ///
    /// If there is no arm with this index.
    pub fn remove(&mut self, index: usize) {
        let position = self.arms.iter().position(|(other, _)| *other == index);
        self.arms.remove(position.expect("no arm with this index"));
    }

    /// Chooses an arm that can go on now.
    ///
    /// # Errors
    ///
    /// [`TrySelectError`] if there is none.
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        self.choose(Limit::Now).ok_or(TrySelectError)
    }

    /// Waits for an arm that can go on, and chooses it.
    ///
    /// # Panics
    ///
    /// If there are no arms.
    pub fn select(&mut self) -> SelectedOperation<'a> {
        assert!(!self.arms.is_empty(), "a selection without arms would wait for ever");
        self.choose(Limit::None).expect("without a limit an arm goes on")
    }

    /// Waits for an arm that can go on, for `timeout` at most, and chooses it. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if none went on in time.
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.choose(Limit::After(timeout)).ok_or(SelectTimeoutError)
    }

    /// Waits for an arm that can go on, until `deadline` at most, and chooses it.
    ///
    /// # Errors
    ///
    /// [`SelectTimeoutError`] if none went on in time.
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.choose(Limit::At(deadline)).ok_or(SelectTimeoutError)
    }

    fn choose(&mut self, limit: Limit) -> Option<SelectedOperation<'a>> {
        let index = run::select(&mut self.arms, self.is_biased, limit)?;
        let (_, arm) = self
            .arms
            .iter_mut()
            .find(|(other, _)| *other == index)
            .expect("it is one of the arms that was chosen");
        let fresh = arm.fresh();
        Some(SelectedOperation { index, arm: std::mem::replace(arm, fresh) })
    }

    /// Looks for an arm that may go on now.
    ///
    /// # Errors
    ///
    /// [`TryReadyError`] if there is none.
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.find(Limit::Now).ok_or(TryReadyError)
    }

    /// Waits for an arm that may go on. It may say so of one that cannot: if a value is only on its way, or two selections wait
    /// for each other.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::channel::{self, Select};
    ///
    /// let (sender, receiver) = channel::bounded(1);
    /// sender.send(7).unwrap();
    /// let mut select = Select::new();
    /// select.recv(&receiver);
    /// while select.ready() == 0 {
    ///     if let Ok(value) = receiver.try_recv() {
    ///         assert_eq!(value, 7);
    ///         break;
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// If there are no arms.
    pub fn ready(&mut self) -> usize {
        assert!(!self.arms.is_empty(), "a selection without arms would wait for ever");
        self.find(Limit::None).expect("without a limit an arm is ready")
    }

    /// Waits for an arm that may go on, for `timeout` at most. A timeout too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] if there was none in time.
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.find(Limit::After(timeout)).ok_or(ReadyTimeoutError)
    }

    /// Waits for an arm that may go on, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`ReadyTimeoutError`] if there was none in time.
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.find(Limit::At(deadline)).ok_or(ReadyTimeoutError)
    }

    fn find(&mut self, limit: Limit) -> Option<usize> {
        run::ready(&mut self.arms, self.is_biased, limit)
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        let arms = self.arms.iter().map(|(index, arm)| (*index, arm.fresh())).collect();
        Self { arms, next: self.next, is_biased: self.is_biased }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("arms", &self.arms.len()).finish_non_exhaustive()
    }
}

/// An arm that was chosen, to be completed at once. Made by [`Select::select`] and its other forms.
///
/// Dropped without that, an arm that was to send gives its place up. One that was to receive has received: its value is
/// dropped with it.
#[must_use = "the arm is to be completed"]
pub struct SelectedOperation<'a> {
    index: usize,
    arm: Box<dyn Again<'a> + 'a>,
}

impl SelectedOperation<'_> {
    /// Which arm it is: what [`Select::recv`], [`Select::send`] or [`Select::done`] had returned.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Sends. It does not wait.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the value, if the channel is closed.
    ///
    /// # Panics
    ///
    /// If the arm that was chosen does not send into the channel of `sender`.
    pub fn send<T>(mut self, sender: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        self.check(arm::address(&sender.channel));
        // Before the value is out of our hands: nobody else would look for it on the desk.
        assert!(self.arm.sends(), "the arm that was selected does not send");
        let desk = &sender.channel.desk;
        let key = desk.put(value);
        if self.arm.dispatch(key) { Ok(()) } else { Err(SendError(desk.take(key))) }
    }

    /// Receives. It does not wait.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is closed and empty.
    ///
    /// # Panics
    ///
    /// If the arm that was chosen does not receive from the channel of `receiver`.
    pub fn recv<T>(mut self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        self.check(arm::address(&receiver.channel));
        match self.arm.deliver() {
            Some(key) => Ok(receiver.channel.desk.take(key)),
            None => Err(RecvError),
        }
    }

    fn check(&self, address: usize) {
        assert!(self.arm.address() == address, "the arm that was selected is of another channel");
    }
}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectedOperation").field("index", &self.index).finish_non_exhaustive()
    }
}
