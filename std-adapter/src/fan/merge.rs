//! Many sources, one consumer: in turn, by priority, or in order.

mod ordered;
mod source;
#[cfg(feature = "futures")]
mod stream;

pub use source::{InputId, Inputs, MergeEnded};
#[cfg(feature = "futures")]
pub use stream::MergeStream;

use super::members::{Members, View};
use crate::Context;
use crate::channel::{
    Receiver, RecvCtxError, RecvError, RecvFuture, RecvTimeoutError, TryRecvError,
};
use crate::park::{Impatience, Patience, deadline_after, drive};
use ordered::Ordered;
use source::{Input, Keeper};
use std::cmp;
use std::fmt;
use std::future::{Future, poll_fn};
use std::iter::FusedIterator;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Merges what comes from `inputs`: from those that have something in turn, one item each.
///
/// The merge ends when all inputs have ended; a merge of none, at once. See [`Merge`] for priorities, order, and inputs that come later.
///
/// # Examples
///
/// ```
/// use aqueduct::{channel, fan};
///
/// let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| channel::bounded(4)).unzip();
/// for (n, sender) in senders.iter().enumerate() {
///     sender.send(n).unwrap();
///     sender.send(n + 10).unwrap();
/// }
/// drop(senders);
/// let merged: Vec<_> = fan::merge(receivers).collect();
/// assert_eq!(merged, [0, 1, 2, 10, 11, 12]);
/// ```
pub fn merge<T>(inputs: impl IntoIterator<Item = Receiver<T>>) -> Merge<T> {
    let members = Arc::new(Members::new());
    let view = members.view();
    let merge = Merge {
        members,
        view,
        levels: Vec::new(),
        ordered: None,
        keeper: Weak::new(),
        until_any: false,
        is_ended: false,
    };
    inputs.into_iter().fold(merge, |merge, input| merge.with(0, input))
}

/// What several receivers receive, as one receives it. Made by [`merge`](super::merge()).
///
/// It is the receiving that merges: there is no thread, and nothing is read ahead (of an [order](Self::ordered_by), one item of
/// each input). Like a [`Receiver`], it blocks, gives up after a time or with a context, is awaited, is looped over, and is
/// a stream (feature `futures`). Unlike a receiver it has one owner, and so it is no arm of a selection; there, put the inputs.
///
/// # When it ends
///
/// When all inputs have ended and no [`Inputs`] are left, which could add one; or, [if asked to](Self::until_any), when the first input
/// has. It stays ended. When it is dropped, its inputs are: their sources, if nobody else receives, fail to send and can stop.
///
/// # Fairness
///
/// Inputs of the same priority take turns: between two items of an input that has some come at most as many items of others as there
/// are others. As long as an input of higher priority has something, the lower ones wait, without a bound.
///
/// # Ordering
///
/// The items of one input come in their order, in every mode.
///
/// # Cancel safety
///
/// Every call, and the future of [`recv_async`](Self::recv_async), may end at any time without losing an item.
pub struct Merge<T> {
    members: Arc<Members<Input<T>>>,
    view: View<Input<T>>,
    /// The inputs in `view`, highest priority first. Empty in ordered mode.
    levels: Vec<Level<T>>,
    ordered: Option<Ordered<T>>,
    /// Alive while inputs can be added.
    keeper: Weak<Keeper<T>>,
    until_any: bool,
    is_ended: bool,
}

/// Inputs that take turns.
struct Level<T> {
    priority: i32,
    /// By number.
    inputs: Vec<Arc<Input<T>>>,
    /// Whose turn it is: an index.
    turn: usize,
}

impl<T> Merge<T> {
    /// Adds an input with a priority: as long as it has something, those with lower ones wait. Those of [`merge`](super::merge()) have 0.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, fan};
    ///
    /// let (work, jobs) = channel::bounded(2);
    /// let (control, commands) = channel::bounded(2);
    /// work.send("job").unwrap();
    /// control.send("command").unwrap();
    /// let mut both = fan::merge([jobs]).with(1, commands);
    /// assert_eq!(both.recv(), Ok("command"));
    /// assert_eq!(both.recv(), Ok("job"));
    /// ```
    pub fn with(self, priority: i32, input: Receiver<T>) -> Self {
        // It is refused if the merge was closed meanwhile, and then it is as if it had come before that.
        let _ = source::add(&self.members, priority, input);
        self
    }

    /// Merges inputs that are each sorted by `compare` into one flow that is; equal items in the order in which their inputs were added.
    /// Priorities count for nothing.
    ///
    /// An item comes when each input has shown one, or has ended: the slowest input sets the pace. An input that is not sorted, or
    /// that is added when later items have come, has its items come as early as they can. A panic of `compare` goes to whoever receives,
    /// and the next call goes on from there: no item is lost.
    pub fn ordered_by(
        mut self,
        compare: impl FnMut(&T, &T) -> cmp::Ordering + Send + 'static,
    ) -> Self {
        self.ordered = Some(Ordered::new(Box::new(compare)));
        self.arrange();
        self
    }

    /// As [`ordered_by`](Self::ordered_by), by a key.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, fan};
    ///
    /// let logs = [[1, 4, 5], [2, 3, 9]].map(|times| {
    ///     let (sender, receiver) = channel::bounded(3);
    ///     times.map(|time| sender.send((time, "line")).unwrap());
    ///     receiver
    /// });
    /// let merged = fan::merge(logs).ordered_by_key(|&(time, _)| time);
    /// assert_eq!(merged.map(|(time, _)| time).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 9]);
    /// ```
    pub fn ordered_by_key<K: Ord>(self, key: impl Fn(&T) -> K + Send + 'static) -> Self {
        self.ordered_by(move |one, other| key(one).cmp(&key(other)))
    }

    /// Ends the merge as soon as one input has ended; what the others have left is dropped with them.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, fan};
    ///
    /// let (one, left) = channel::bounded(2);
    /// let (other, right) = channel::bounded::<u8>(2);
    /// let mut merge = fan::merge([left, right]).until_any();
    /// one.send(1).unwrap();
    /// assert_eq!(merge.recv(), Ok(1));
    /// drop(one);
    /// assert!(merge.recv().is_err() && other.send(2).is_err());
    /// ```
    pub fn until_any(mut self) -> Self {
        self.until_any = true;
        self
    }

    /// Closes all inputs, which wakes everybody on both ends, when `context` is done; what is in them is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, channel, fan};
    ///
    /// let context = Context::background();
    /// let (sender, receiver) = channel::bounded(1);
    /// let mut merge = fan::merge([receiver]).close_on(&context);
    /// context.cancel();
    /// assert!(merge.recv().is_err() && sender.send(1).is_err());
    /// ```
    pub fn close_on(self, context: &Context) -> Self
    where
        T: Send + 'static,
    {
        self.members.close_on(context);
        self
    }

    /// A handle with which inputs are added and removed while the merge is in use, from any thread. As long as one is there, the merge
    /// does not end for want of inputs.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, fan, thread};
    ///
    /// let mut merge = fan::merge([]);
    /// let inputs = merge.inputs();
    /// let listener = thread::spawn(move || {
    ///     for n in 0..3 {
    ///         let (sender, receiver) = channel::bounded(1);
    ///         inputs.add(receiver).expect("the merge is there");
    ///         sender.send(n).unwrap();
    ///     }
    /// })?;
    /// assert_eq!(merge.by_ref().sum::<u32>(), 3);
    /// listener.join().unwrap();
    /// # Ok::<(), thread::SpawnError>(())
    /// ```
    pub fn inputs(&mut self) -> Inputs<T> {
        let keeper = self.keeper.upgrade().unwrap_or_else(|| {
            let keeper = Arc::new(Keeper(Arc::clone(&self.members)));
            self.keeper = Arc::downgrade(&keeper);
            keeper
        });
        Inputs::new(keeper)
    }

    /// Receives, and sleeps while no input has anything.
    ///
    /// # Errors
    ///
    /// [`RecvError`] when the merge has ended.
    pub fn recv(&mut self) -> Result<T, RecvError> {
        self.recv_until(None).map_err(|_| RecvError)
    }

    /// Receives what is there now. An input is asked as by its own [`try_recv`](Receiver::try_recv), which see for one without room.
    ///
    /// # Errors
    ///
    /// [`TryRecvError`]: nothing is there, or the merge has ended.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        self.try_recv_by(Receiver::try_recv)
    }

    /// As `try_recv`, before a wait: for an item that its sender is still to make there is the wait, which may end.
    fn try_recv_made(&mut self) -> Result<T, TryRecvError> {
        self.try_recv_by(Receiver::try_recv_made)
    }

    fn try_recv_by(&mut self, ask: Ask<T>) -> Result<T, TryRecvError> {
        loop {
            if self.is_ended {
                return Err(TryRecvError::Disconnected);
            }
            if self.view.is_stale() {
                self.view = self.members.view();
                self.arrange();
            }
            match self.look(ask) {
                Look::Item(item) => return Ok(item),
                Look::Nothing => return Err(TryRecvError::Empty),
                Look::Gone(_) if self.until_any => self.end(),
                Look::Gone(id) => drop(self.members.take(|input| input.id == id)),
                Look::NoInputs => {
                    let may_grow = self.keeper.strong_count() > 0 && !self.members.is_closed();
                    if may_grow {
                        return Err(TryRecvError::Empty);
                    }
                    // The last that was added may have come after the list, and before the handle went.
                    if self.members.view().list.is_empty() {
                        self.end();
                    }
                }
            }
        }
    }

    /// As [`recv`](Self::recv), for `timeout` at most. One too long for the clock is none.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_until(deadline_after(timeout))
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    pub fn recv_deadline(&mut self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_until(Some(deadline))
    }

    /// As [`recv`](Self::recv), until `context` is done at most.
    ///
    /// # Errors
    ///
    /// [`RecvCtxError`].
    pub fn recv_ctx(&mut self, context: &Context) -> Result<T, RecvCtxError> {
        match context.block_on(pin!(self.recv_async())) {
            Ok(received) => received.map_err(|RecvError| RecvCtxError::Disconnected),
            Err(error) => Err(RecvCtxError::Done(error)),
        }
    }

    /// As [`recv`](Self::recv), awaited.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, it has taken nothing.
    pub async fn recv_async(&mut self) -> Result<T, RecvError> {
        loop {
            match self.try_recv_made() {
                Ok(item) => return Ok(item),
                Err(TryRecvError::Disconnected) => return Err(RecvError),
                Err(TryRecvError::Empty) => {}
            }
            let waited = wait(self.wanted(), &self.view.changed).await;
            // Nobody else arranges us: the place is still there.
            if let Some((place, Ok(item))) = waited
                && let Some(item) = self.took(place, item)
            {
                return Ok(item);
            }
        }
    }

    /// As a stream that owns the merge.
    #[cfg(feature = "futures")]
    pub fn into_stream(self) -> MergeStream<T>
    where
        T: Send + 'static,
    {
        MergeStream::new(self)
    }

    fn recv_until(&mut self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let patience = Patience::until(deadline);
        loop {
            match self.try_recv_made() {
                Ok(item) => return Ok(item),
                Err(TryRecvError::Disconnected) => return Err(RecvTimeoutError::Disconnected),
                Err(TryRecvError::Empty) if patience.wait() => {}
                Err(TryRecvError::Empty) => break,
            }
        }
        match drive(pin!(self.recv_async()), deadline, Impatience::Spent) {
            Some(received) => received.map_err(|RecvError| RecvTimeoutError::Disconnected),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Looks at the inputs of the list, in turn.
    fn look(&mut self, ask: Ask<T>) -> Look<T> {
        if let Some(ordered) = &mut self.ordered {
            return ordered.look(&self.view.list, ask);
        }
        if self.levels.is_empty() {
            return Look::NoInputs;
        }
        if self.until_any {
            // Those of lower priority, too, which may not be asked for long.
            let lower = self.levels.iter().skip(1).flat_map(|level| &level.inputs);
            let mut ended =
                lower.filter(|input| input.receiver.is_closed() && input.receiver.is_empty());
            if let Some(input) = ended.next() {
                return Look::Gone(input.id);
            }
        }
        for level in &mut self.levels {
            let count = level.inputs.len();
            for place in (level.turn..count).chain(0..level.turn) {
                let input = &level.inputs[place];
                match ask(&input.receiver) {
                    Ok(item) => {
                        level.turn = (place + 1) % count;
                        return Look::Item(item);
                    }
                    Err(TryRecvError::Disconnected) => return Look::Gone(input.id),
                    Err(TryRecvError::Empty) => {}
                }
            }
        }
        Look::Nothing
    }

    /// Those at which a sleeper has to wait, in the order in which they are asked.
    fn wanted(&self) -> Vec<RecvFuture<'_, T>> {
        if let Some(ordered) = &self.ordered {
            return ordered.missing().map(|input| input.receiver.recv_async()).collect();
        }
        self.levels
            .iter()
            .flat_map(|level| {
                let (late, early) = level.inputs.split_at(level.turn);
                early.iter().chain(late)
            })
            .map(|input| input.receiver.recv_async())
            .collect()
    }

    /// An item has come from the input at this place among those wanted. None if others come before it.
    fn took(&mut self, mut place: usize, item: T) -> Option<T> {
        if let Some(ordered) = &mut self.ordered {
            ordered.took(place, item);
            return None;
        }
        for level in &mut self.levels {
            let count = level.inputs.len();
            if place < count {
                level.turn = (level.turn + place + 1) % count;
                break;
            }
            place -= count;
        }
        Some(item)
    }

    /// Puts the inputs of a new list where they belong. Whose turn it was keeps it.
    fn arrange(&mut self) {
        if let Some(ordered) = &mut self.ordered {
            ordered.arrange(&self.view.list);
            self.levels.clear();
            return;
        }
        let mut levels: Vec<Level<T>> = Vec::new();
        // By number, as in the list, so those within a level are, too.
        for input in self.view.list.iter().cloned() {
            match levels.binary_search_by_key(&cmp::Reverse(input.priority), |level| {
                cmp::Reverse(level.priority)
            }) {
                Ok(at) => levels[at].inputs.push(input),
                Err(at) => {
                    let level = Level { priority: input.priority, inputs: vec![input], turn: 0 };
                    levels.insert(at, level);
                }
            }
        }
        for level in &mut levels {
            let before = self.levels.iter().find(|before| before.priority == level.priority);
            let Some(next) = before.map(|before| before.inputs[before.turn].id) else { continue };
            let turn = level.inputs.iter().position(|input| input.id >= next);
            level.turn = turn.unwrap_or(0);
        }
        self.levels = levels;
    }

    fn end(&mut self) {
        self.is_ended = true;
        drop(self.members.clear());
        self.view = self.members.view();
        self.levels.clear();
        if let Some(ordered) = &mut self.ordered {
            ordered.clear();
        }
    }
}

/// How an input is asked for what is there.
type Ask<T> = fn(&Receiver<T>) -> Result<T, TryRecvError>;

/// What a look at all inputs has shown.
enum Look<T> {
    Item(T),
    Nothing,
    /// This one has ended.
    Gone(InputId),
    NoInputs,
}

/// Waits until one of the receives is ready, and says which and with what; or until the list has changed.
async fn wait<T>(
    mut receives: Vec<RecvFuture<'_, T>>,
    changed: &Context,
) -> Option<(usize, Result<T, RecvError>)> {
    let mut changed = changed.done();
    poll_fn(|cx| {
        if Pin::new(&mut changed).poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        for (place, receive) in receives.iter_mut().enumerate() {
            if let Poll::Ready(received) = Pin::new(receive).poll(cx) {
                return Poll::Ready(Some((place, received)));
            }
        }
        Poll::Pending
    })
    .await
}

impl<T> Iterator for Merge<T> {
    type Item = T;

    /// As [`recv`](Self::recv): sleeps, and ends when the merge does.
    fn next(&mut self) -> Option<T> {
        self.recv().ok()
    }
}

impl<T> FusedIterator for Merge<T> {}

impl<T> Drop for Merge<T> {
    fn drop(&mut self) {
        drop(self.members.clear());
    }
}

impl<T> fmt::Debug for Merge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merge")
            .field("inputs", &self.members.view().list.len())
            .field("ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}
