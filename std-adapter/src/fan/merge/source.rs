//! The inputs of a merge, and the handle by which they come and go.

use crate::channel::Receiver;
use crate::fan::members::{Member, Members};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Which input of its [`Merge`](super::Merge) it is. None is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputId(u64);

pub(super) struct Input<T> {
    pub(super) id: InputId,
    pub(super) priority: i32,
    pub(super) receiver: Receiver<T>,
}

impl<T> Member for Input<T> {
    fn close(&self) {
        self.receiver.close();
    }
}

pub(super) fn add<T>(
    members: &Members<Input<T>>,
    priority: i32,
    receiver: Receiver<T>,
) -> Result<InputId, MergeEnded<T>> {
    let added = members.add(|number| Input { id: InputId(number), priority, receiver });
    added.map(InputId).map_err(|(_, input)| MergeEnded(input.receiver))
}

/// While it is there, the merge does not end for want of inputs.
pub(super) struct Keeper<T>(pub(super) Arc<Members<Input<T>>>);

impl<T> Drop for Keeper<T> {
    fn drop(&mut self) {
        // The merge may wait for inputs that will never come.
        self.0.touch();
    }
}

/// Adds inputs to a merge, and removes them, while it is in use. Made by [`Merge::inputs`](super::Merge::inputs).
///
/// Clones do the same. As long as one is there, the merge does not end for want of inputs.
pub struct Inputs<T> {
    keeper: Arc<Keeper<T>>,
}

impl<T> Inputs<T> {
    pub(super) fn new(keeper: Arc<Keeper<T>>) -> Self {
        Self { keeper }
    }

    /// Adds an input, with priority 0. A merge that sleeps wakes for it.
    ///
    /// # Errors
    ///
    /// [`MergeEnded`], with the receiver.
    pub fn add(&self, input: Receiver<T>) -> Result<InputId, MergeEnded<T>> {
        self.add_with(0, input)
    }

    /// Adds an input with a priority. See [`Merge::with`](super::Merge::with).
    ///
    /// # Errors
    ///
    /// [`MergeEnded`], with the receiver.
    pub fn add_with(&self, priority: i32, input: Receiver<T>) -> Result<InputId, MergeEnded<T>> {
        add(&self.keeper.0, priority, input)
    }

    /// Takes an input out, with what is in it, and hands it back; `None` if it has ended, or was taken out before.
    ///
    /// Until the merge looks again it keeps the channel open. To stop the source at once,
    /// [close](Receiver::close) what comes back. An item of it that an [ordered](super::Merge::ordered_by) merge has looked at already
    /// still comes in its turn.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, fan};
    ///
    /// let (sender, receiver) = channel::bounded(2);
    /// let mut merge = fan::merge([]);
    /// let inputs = merge.inputs();
    /// let id = inputs.add(receiver).unwrap();
    /// sender.send(1).unwrap();
    /// assert_eq!(merge.recv(), Ok(1));
    /// sender.send(2).unwrap();
    /// assert_eq!(inputs.remove(id).unwrap().recv(), Ok(2));
    /// drop(inputs);
    /// assert!(merge.recv().is_err());
    /// ```
    pub fn remove(&self, id: InputId) -> Option<Receiver<T>> {
        let gone = self.keeper.0.take(|input| input.id == id);
        gone.first().map(|input| input.receiver.clone())
    }

    /// How many inputs there are. One that has ended counts until the merge finds that out.
    pub fn len(&self) -> usize {
        self.keeper.0.view().list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for Inputs<T> {
    fn clone(&self) -> Self {
        Self { keeper: Arc::clone(&self.keeper) }
    }
}

impl<T> fmt::Debug for Inputs<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// An input could not be added: the merge has ended, or was dropped. The receiver comes back.
pub struct MergeEnded<T>(pub Receiver<T>);

impl<T> MergeEnded<T> {
    /// The receiver that was not added.
    pub fn into_inner(self) -> Receiver<T> {
        self.0
    }
}

impl<T> fmt::Debug for MergeEnded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MergeEnded").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for MergeEnded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the merge has ended")
    }
}

impl<T> Error for MergeEnded<T> {}
