//! Who takes part in family `channel`: ours first, then the peers by name, and Go where it is
//! installed.

use std::collections::VecDeque;

use super::{BATCH, Channel, Receiver, Sender, Shape, candidate};
use crate::check::{Load, Payload};
use crate::family::{Candidate, OURS};
use crate::go;

pub(super) fn all(shape: Shape, capacity: usize) -> Vec<Candidate> {
    let mut all = vec![
        candidate::<Aqueduct>(shape, capacity),
        candidate::<AsyncChannel>(shape, capacity),
        candidate::<CrossbeamChannel>(shape, capacity),
        candidate::<Crossfire>(shape, capacity),
        candidate::<Flume>(shape, capacity),
        candidate::<Kanal>(shape, capacity),
    ];
    if shape.has_one_receiver() {
        all.push(candidate::<Std>(shape, capacity));
        all.push(candidate::<Thingbuf>(shape, capacity));
        all.push(candidate::<Tokio>(shape, capacity));
    }
    all.extend(go::candidate("channel", format!("cap{capacity}/{}", shape.name())));
    all
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

    #[inline]
    fn send_batch(&self, load: &mut Load<T>, buffer: &mut VecDeque<T>) {
        buffer.extend(load.take(BATCH));
        assert!(self.send_from(buffer).is_ok(), "the receivers are gone");
    }
}

impl<T: Payload> Receiver<T> for aqueduct::channel::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (*self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    #[inline]
    fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) {
        self.recv_many(buffer, max);
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

/// An async channel, over concurrent-queue; its calls for threads.
struct AsyncChannel;

impl<T: Payload> Channel<T> for AsyncChannel {
    const NAME: &'static str = "async-channel";
    type Sender = async_channel::Sender<T>;
    type Receiver = async_channel::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(capacity)
    }
}

impl<T: Payload> Sender<T> for async_channel::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send_blocking(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for async_channel::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        self.recv_blocking().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
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
    fn recv(&mut self) -> Option<T> {
        (*self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

/// Its channel for many on both sides, like the others, though it has faster ones for a single sender
/// or receiver.
struct Crossfire;

impl<T: Payload> Channel<T> for Crossfire {
    const NAME: &'static str = "crossfire";
    type Sender = crossfire::MTx<crossfire::mpmc::Array<T>>;
    type Receiver = crossfire::MRx<crossfire::mpmc::Array<T>>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        crossfire::mpmc::bounded_blocking(capacity)
    }
}

impl<T: Payload> Sender<T> for crossfire::MTx<crossfire::mpmc::Array<T>> {
    #[inline]
    fn send(&self, item: T) {
        assert!((**self).send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        (**self).try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for crossfire::MRx<crossfire::mpmc::Array<T>> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (**self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (**self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

struct Flume;

impl<T: Payload> Channel<T> for Flume {
    const NAME: &'static str = "flume";
    type Sender = flume::Sender<T>;
    type Receiver = flume::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }
}

impl<T: Payload> Sender<T> for flume::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for flume::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (*self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

/// It says "there was no room" with `Ok(false)`, "there is nothing" with `Ok(None)`.
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

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).expect("the receivers are there")
    }
}

impl<T: Payload> Receiver<T> for kanal::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (*self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok().flatten()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

struct Std;

impl<T: Payload> Channel<T> for Std {
    const NAME: &'static str = "std";
    type Sender = std::sync::mpsc::SyncSender<T>;
    type Receiver = std::sync::mpsc::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        std::sync::mpsc::sync_channel(capacity)
    }
}

impl<T: Payload> Sender<T> for std::sync::mpsc::SyncSender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for std::sync::mpsc::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (*self).recv().ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        assert_eq!(n, 1, "it cannot be shared");
        vec![self]
    }
}

/// Its blocking flavour.
struct Thingbuf;

impl<T: Payload + Default> Channel<T> for Thingbuf {
    const NAME: &'static str = "thingbuf";
    type Sender = thingbuf::mpsc::blocking::Sender<T>;
    type Receiver = thingbuf::mpsc::blocking::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        thingbuf::mpsc::blocking::channel(capacity)
    }
}

impl<T: Payload + Default> Sender<T> for thingbuf::mpsc::blocking::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload + Default> Receiver<T> for thingbuf::mpsc::blocking::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        (*self).recv()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        assert_eq!(n, 1, "it cannot be shared");
        vec![self]
    }
}

/// An async channel; its calls for threads.
struct Tokio;

impl<T: Payload> Channel<T> for Tokio {
    const NAME: &'static str = "tokio";
    type Sender = tokio::sync::mpsc::Sender<T>;
    type Receiver = tokio::sync::mpsc::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(capacity)
    }
}

impl<T: Payload> Sender<T> for tokio::sync::mpsc::Sender<T> {
    #[inline]
    fn send(&self, item: T) {
        assert!(self.blocking_send(item).is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> Receiver<T> for tokio::sync::mpsc::Receiver<T> {
    #[inline]
    fn recv(&mut self) -> Option<T> {
        self.blocking_recv()
    }

    fn try_recv(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline]
    fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) {
        self.blocking_recv_many(buffer, max);
    }

    fn several(self, n: usize) -> Vec<Self> {
        assert_eq!(n, 1, "it cannot be shared");
        vec![self]
    }
}
