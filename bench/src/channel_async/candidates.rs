//! Who takes part in family `channel_async`: ours first, then the peers by name, and Go where it is
//! installed: goroutines are its tasks.

use std::collections::VecDeque;

use super::{AsyncChannel, AsyncReceiver, AsyncSender, candidate};
use crate::channel::{BATCH, Shape};
use crate::check::{Load, Payload};
use crate::family::{Candidate, OURS};
use crate::go;

pub(super) fn all(shape: Shape, capacity: usize) -> Vec<Candidate> {
    let mut all = vec![
        candidate::<Aqueduct>(shape, capacity),
        candidate::<Peer>(shape, capacity),
        candidate::<Crossfire>(shape, capacity),
        candidate::<Kanal>(shape, capacity),
    ];
    if shape.has_one_receiver() {
        all.push(candidate::<Flume>(shape, capacity));
        all.push(candidate::<Thingbuf>(shape, capacity));
        all.push(candidate::<Tokio>(shape, capacity));
    }
    all.extend(go::candidate("channel", format!("cap{capacity}/{}", shape.name())));
    all
}

struct Aqueduct;

impl<T: Payload> AsyncChannel<T> for Aqueduct {
    const NAME: &'static str = OURS;
    type Sender = aqueduct::channel::Sender<T>;
    type Receiver = aqueduct::channel::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        aqueduct::channel::bounded(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for aqueduct::channel::Sender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send_async(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }

    #[inline]
    async fn send_batch(&self, load: &mut Load<T>, buffer: &mut VecDeque<T>) {
        buffer.extend(load.take(BATCH));
        assert!(self.send_from_async(buffer).await.is_ok(), "the receivers are gone");
    }
}

impl<T: Payload> AsyncReceiver<T> for aqueduct::channel::Receiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        self.recv_async().await.ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    #[inline]
    async fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) {
        self.recv_many_async(buffer, max).await;
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

/// async-channel, over concurrent-queue.
struct Peer;

impl<T: Payload> AsyncChannel<T> for Peer {
    const NAME: &'static str = "async-channel";
    type Sender = async_channel::Sender<T>;
    type Receiver = async_channel::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for async_channel::Sender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> AsyncReceiver<T> for async_channel::Receiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        (*self).recv().await.ok()
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

impl<T: Payload> AsyncChannel<T> for Crossfire {
    const NAME: &'static str = "crossfire";
    type Sender = crossfire::MAsyncTx<crossfire::mpmc::Array<T>>;
    type Receiver = crossfire::MAsyncRx<crossfire::mpmc::Array<T>>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        crossfire::mpmc::bounded_async(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for crossfire::MAsyncTx<crossfire::mpmc::Array<T>> {
    #[inline]
    async fn send(&self, item: T) {
        assert!((**self).send(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        (**self).try_send(item).is_ok()
    }
}

impl<T: Payload> AsyncReceiver<T> for crossfire::MAsyncRx<crossfire::mpmc::Array<T>> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        (**self).recv().await.ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (**self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

/// Only with one receiver: with several it now and then hangs. A future that is polled after its waker
/// was called leaves a second registration behind (its issue 182), and when the task is through, that
/// one swallows the wake-up that another receiver needs.
struct Flume;

impl<T: Payload> AsyncChannel<T> for Flume {
    const NAME: &'static str = "flume";
    type Sender = flume::Sender<T>;
    type Receiver = flume::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for flume::Sender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send_async(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload> AsyncReceiver<T> for flume::Receiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        self.recv_async().await.ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

struct Kanal;

impl<T: Payload> AsyncChannel<T> for Kanal {
    const NAME: &'static str = "kanal";
    type Sender = kanal::AsyncSender<T>;
    type Receiver = kanal::AsyncReceiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded_async(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for kanal::AsyncSender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).expect("the receivers are there")
    }
}

impl<T: Payload> AsyncReceiver<T> for kanal::AsyncReceiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        (*self).recv().await.ok()
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok().flatten()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

struct Thingbuf;

impl<T: Payload + Default> AsyncChannel<T> for Thingbuf {
    const NAME: &'static str = "thingbuf";
    type Sender = thingbuf::mpsc::Sender<T>;
    type Receiver = thingbuf::mpsc::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        thingbuf::mpsc::channel(capacity)
    }
}

impl<T: Payload + Default> AsyncSender<T> for thingbuf::mpsc::Sender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }
}

impl<T: Payload + Default> AsyncReceiver<T> for thingbuf::mpsc::Receiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        (*self).recv().await
    }

    fn try_recv(&mut self) -> Option<T> {
        (*self).try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        assert_eq!(n, 1, "it cannot be shared");
        vec![self]
    }
}

struct Tokio;

impl<T: Payload> AsyncChannel<T> for Tokio {
    const NAME: &'static str = "tokio";
    type Sender = tokio::sync::mpsc::Sender<T>;
    type Receiver = tokio::sync::mpsc::Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        tokio::sync::mpsc::channel(capacity)
    }
}

impl<T: Payload> AsyncSender<T> for tokio::sync::mpsc::Sender<T> {
    #[inline]
    async fn send(&self, item: T) {
        assert!(self.send(item).await.is_ok(), "the receivers are gone");
    }

    fn try_send(&self, item: T) -> bool {
        self.try_send(item).is_ok()
    }

    #[inline]
    async fn send_batch(&self, load: &mut Load<T>, _: &mut VecDeque<T>) {
        let items = load.size_hint().0.min(BATCH).min(self.max_capacity());
        let permits = self.reserve_many(items).await.expect("the receivers are there");
        // The permits first: the end of the batch must not take an item out of the load.
        permits.zip(load).for_each(|(permit, item)| permit.send(item));
    }
}

impl<T: Payload> AsyncReceiver<T> for tokio::sync::mpsc::Receiver<T> {
    #[inline]
    async fn recv(&mut self) -> Option<T> {
        self.recv().await
    }

    fn try_recv(&mut self) -> Option<T> {
        self.try_recv().ok()
    }

    #[inline]
    async fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) {
        self.recv_many(buffer, max).await;
    }

    fn several(self, n: usize) -> Vec<Self> {
        assert_eq!(n, 1, "it cannot be shared");
        vec![self]
    }
}
