//! What travels through a pipeline, and what it is handed to.

use super::desk::Desk;
use super::flow::Fare;

/// A numbered item on its way, or the place of one that will not come.
///
/// Where an ordered point further down counts on every number, an item that fails or is cancelled travels on as an empty
/// parcel; elsewhere empty parcels are not sent.
pub struct Parcel<T> {
    /// Its number since the source, or since the last place where items were numbered anew.
    pub(super) seq: u64,
    /// The position in the source of what it was made of.
    pub(super) item: u64,
    /// How many items of the source are done, from the first on, once this and all in front of it are: as many as are in front of `item`, if
    /// more that was made of that one follows; else those up to the last that this was made of.
    pub(super) done: u64,
    pub(super) load: Option<T>,
    pub(super) fare: Fare,
}

impl<T> Parcel<T> {
    /// An item that the source has made, of this number.
    pub(super) fn of_source(seq: u64, item: T) -> Self {
        Self { seq, item: seq, done: seq + 1, load: Some(item), fare: None }
    }
}

/// What a stage, or the source, hands its parcels to.
///
/// Each party has one of its own. The end of input is the drop of the last.
pub trait Sink<T>: Clone + Send {
    /// Hands one parcel on; waits while there is no room for it. What nobody will take is counted as recalled.
    #[doc(hidden)]
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk);

    /// Whether the next [`put`](Self::put) will not wait, for all that is known: if nobody else puts something meanwhile.
    #[doc(hidden)]
    fn has_room(&self) -> bool {
        false
    }

    /// Ends the use of this one, and counts what only it knows.
    #[doc(hidden)]
    fn finish(self, desk: &Desk);
}
