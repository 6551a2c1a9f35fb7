//! The queue between two neighbours: a bounded channel that an abort can wake, with a clock on its slow paths.

use super::control::Control;
use crate::channel::{self, Receiver, Sender, TryRecvError, TrySendError};
use aqueduct_core::queue::MAX_CAPACITY;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A numbered item on its way, or the place of one that will not come.
///
/// The number is the item's position in the source. Where an ordered point further down counts on every number,
/// an item that fails or is cancelled travels on as an empty parcel; elsewhere empty parcels are not sent.
pub struct Parcel<T> {
    pub(super) seq: u64,
    pub(super) load: Option<T>,
}

/// What a stage, or the source, hands its parcels to.
///
/// A stage's workers each have a clone. The end of input is the drop of the last one.
pub trait Sink<T>: Clone + Send {
    /// Hands one parcel on; waits while there is no room for it.
    ///
    /// # Errors
    ///
    /// When the run was aborted, or stopped in front of this parcel: its load was dropped.
    fn put(&mut self, parcel: Parcel<T>) -> Result<(), NotTaken>;

    /// Ends the use of this clone, and tells what only it knows.
    fn finish(self) -> SinkTally;
}

/// The load of a parcel was not handed on. Whoever gets this counts it as cancelled.
#[derive(Debug)]
pub struct NotTaken;

/// What one clone of a sink has seen.
#[derive(Debug, Default)]
pub struct SinkTally {
    /// The time that the clone's owner waited for room.
    pub(super) blocked: Duration,
    /// How many loads were taken by [`Sink::put`] and could not be passed on after all.
    pub(super) recalled: u64,
}

/// Whether a channel can have this capacity.
pub(super) fn can_hold(capacity: usize) -> bool {
    (1..=MAX_CAPACITY).contains(&capacity)
}

/// An edge on which `capacity` messages may wait.
pub(super) fn edge<M>(capacity: usize, control: &Arc<Control>) -> (Entrance<M>, Exit<M>) {
    let (sender, receiver) = channel::bounded(capacity);
    (
        Entrance { sender, control: Arc::clone(control), blocked: Duration::ZERO },
        Exit { receiver, control: Arc::clone(control), starved: Duration::ZERO },
    )
}

/// The end of an edge where messages go in.
pub(super) struct Entrance<M> {
    sender: Sender<M>,
    control: Arc<Control>,
    /// The time this end spent waiting for room.
    blocked: Duration,
}

impl<M> Entrance<M> {
    /// Sends, waiting for room. The clock is read only if there is none.
    pub(super) fn put(&mut self, message: M) -> Result<(), NotTaken> {
        match self.sender.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(NotTaken),
            Err(TrySendError::Full(message)) => {
                let since = Instant::now();
                let sent = self.sender.send_ctx(self.control.work(), message);
                self.blocked += since.elapsed();
                sent.map_err(|_| NotTaken)
            }
        }
    }

    pub(super) fn tally(self) -> SinkTally {
        SinkTally { blocked: self.blocked, recalled: 0 }
    }
}

impl<M> Clone for Entrance<M> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            control: Arc::clone(&self.control),
            blocked: Duration::ZERO,
        }
    }
}

impl<T: Send> Sink<T> for Entrance<Parcel<T>> {
    fn put(&mut self, parcel: Parcel<T>) -> Result<(), NotTaken> {
        Entrance::put(self, parcel)
    }

    fn finish(self) -> SinkTally {
        self.tally()
    }
}

/// The end of an edge where messages come out. All clones share the messages.
pub(super) struct Exit<M> {
    receiver: Receiver<M>,
    control: Arc<Control>,
    /// The time this end spent waiting for messages.
    starved: Duration,
}

impl<M> Exit<M> {
    /// The next message; `None` at the end of input. The clock is read only if nothing is there yet.
    ///
    /// An abort closes the edge, and what was on it still comes out: somebody has to count it.
    pub(super) fn take(&mut self) -> Option<M> {
        match self.receiver.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        let since = Instant::now();
        let received = self.receiver.recv_ctx(self.control.work()).ok();
        self.starved += since.elapsed();
        received.or_else(|| {
            // Either the end of input, and then this changes nothing, or an abort: nobody may put
            // more on the edge after the last of its readers has looked.
            self.receiver.close();
            self.receiver.recv().ok()
        })
    }

    pub(super) fn starved(&self) -> Duration {
        self.starved
    }

    pub(super) fn into_receiver(self) -> Receiver<M> {
        self.receiver
    }
}

impl<M> Clone for Exit<M> {
    fn clone(&self) -> Self {
        Self {
            receiver: self.receiver.clone(),
            control: Arc::clone(&self.control),
            starved: Duration::ZERO,
        }
    }
}

/// The end of the road: loads leave their parcels, and empty parcels are dropped.
pub(super) struct Deliver<T>(pub(super) Entrance<T>);

impl<T> Clone for Deliver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send> Sink<T> for Deliver<T> {
    fn put(&mut self, parcel: Parcel<T>) -> Result<(), NotTaken> {
        match parcel.load {
            None => Ok(()),
            Some(load) if self.0.control.admits(parcel.seq) => self.0.put(load),
            Some(_) => Err(NotTaken),
        }
    }

    fn finish(self) -> SinkTally {
        self.0.tally()
    }
}
