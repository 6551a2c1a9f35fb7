//! Who takes part in family `select`. One adapter per candidate: the channels, and how to wait for any.

use std::time::Duration;

use super::{ARMS, AsyncSelect, Select, Shape, async_candidate, candidate};
use crate::family::Candidate;

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    vec![
        candidate::<CrossbeamChannel>(shape),
        candidate::<Flume>(shape),
        async_candidate::<Tokio>(shape),
    ]
}

/// One for each arm, by name.
fn arms<R>(receivers: Vec<R>) -> [R; ARMS] {
    receivers.try_into().unwrap_or_else(|_| unreachable!("one receiver for each arm"))
}

struct CrossbeamChannel([crossbeam_channel::Receiver<u64>; ARMS]);

impl Select for CrossbeamChannel {
    const NAME: &'static str = "crossbeam-channel";
    type Sender = crossbeam_channel::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = (0..ARMS).map(|_| crossbeam_channel::bounded(capacity)).unzip();
        (senders, Self(arms(receivers)))
    }

    #[inline]
    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    #[inline]
    fn recv(&mut self) -> u64 {
        let [a, b, c, d] = &self.0;
        let item = crossbeam_channel::select! {
            recv(a) -> item => item,
            recv(b) -> item => item,
            recv(c) -> item => item,
            recv(d) -> item => item,
        };
        item.expect("the senders are there")
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u64> {
        let [a, b, c, d] = &self.0;
        crossbeam_channel::select! {
            recv(a) -> item => item.ok(),
            recv(b) -> item => item.ok(),
            recv(c) -> item => item.ok(),
            recv(d) -> item => item.ok(),
            default => None,
        }
    }
}

/// Has no call that does not wait; one that waits for no time comes next.
struct Flume([flume::Receiver<u64>; ARMS]);

impl Flume {
    fn selector(&self) -> flume::Selector<'_, Option<u64>> {
        let [a, b, c, d] = &self.0;
        flume::Selector::new()
            .recv(a, Result::ok)
            .recv(b, Result::ok)
            .recv(c, Result::ok)
            .recv(d, Result::ok)
    }
}

impl Select for Flume {
    const NAME: &'static str = "flume";
    type Sender = flume::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = (0..ARMS).map(|_| flume::bounded(capacity)).unzip();
        (senders, Self(arms(receivers)))
    }

    #[inline]
    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    #[inline]
    fn recv(&mut self) -> u64 {
        self.selector().wait().expect("the senders are there")
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u64> {
        self.selector().wait_timeout(Duration::ZERO).ok().flatten()
    }
}

struct Tokio([tokio::sync::mpsc::Receiver<u64>; ARMS]);

impl AsyncSelect for Tokio {
    const NAME: &'static str = "tokio";
    type Sender = tokio::sync::mpsc::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = (0..ARMS).map(|_| tokio::sync::mpsc::channel(capacity)).unzip();
        (senders, Self(arms(receivers)))
    }

    #[inline]
    async fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).await.expect("the receiver is there");
    }

    #[inline]
    async fn recv(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let item = tokio::select! {
            item = a.recv() => item,
            item = b.recv() => item,
            item = c.recv() => item,
            item = d.recv() => item,
        };
        item.expect("the senders are there")
    }

    /// The default is an arm that is always ready, and asked last.
    #[inline]
    async fn try_recv(&mut self) -> Option<u64> {
        let [a, b, c, d] = &mut self.0;
        tokio::select! {
            biased;
            item = a.recv() => item,
            item = b.recv() => item,
            item = c.recv() => item,
            item = d.recv() => item,
            () = std::future::ready(()) => None,
        }
    }
}
