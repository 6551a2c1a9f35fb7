//! Who takes part in family `channel`: ours first, then the peers by name.

use super::{Channel, Receiver, Sender, Shape, candidate};
use crate::check::Payload;
use crate::family::{Candidate, OURS};

pub(super) fn all(shape: Shape, capacity: usize) -> Vec<Candidate> {
    vec![
        candidate::<Aqueduct>(shape, capacity),
        candidate::<CrossbeamChannel>(shape, capacity),
        candidate::<Kanal>(shape, capacity),
    ]
}

struct Aqueduct;

impl<T: Payload> Channel<T> for Aqueduct {
    const NAME: &'static str = OURS;
    type Sender = aqueduct::channel::Sender<T>;
    type Receiver = aqueduct::channel::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        aqueduct::channel::bounded(capacity)
    }
}

impl<T: Payload> Sender<T> for aqueduct::channel::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for aqueduct::channel::Receiver<T> {
    #[inline]
    fn recv(&self) -> Option<T> {
        self.recv().ok()
    }
}

struct CrossbeamChannel;

impl<T: Payload> Channel<T> for CrossbeamChannel {
    const NAME: &'static str = "crossbeam-channel";
    type Sender = crossbeam_channel::Sender<T>;
    type Receiver = crossbeam_channel::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(capacity)
    }
}

impl<T: Payload> Sender<T> for crossbeam_channel::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for crossbeam_channel::Receiver<T> {
    #[inline]
    fn recv(&self) -> Option<T> {
        self.recv().ok()
    }
}

struct Kanal;

impl<T: Payload> Channel<T> for Kanal {
    const NAME: &'static str = "kanal";
    type Sender = kanal::Sender<T>;
    type Receiver = kanal::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded(capacity)
    }
}

impl<T: Payload> Sender<T> for kanal::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    /// Kanal says "there was no room" with `Ok(false)`.
    fn try_send(&self, item: T) -> bool {
        self.try_send(item).expect("the receivers are there")
    }
}

impl<T: Payload> Receiver<T> for kanal::Receiver<T> {
    #[inline]
    fn recv(&self) -> Option<T> {
        self.recv().ok()
    }
}
