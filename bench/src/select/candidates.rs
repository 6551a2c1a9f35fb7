//! Who takes part in family `select`. One adapter per candidate: the channels, and how to wait for any.

use std::time::Duration;

use super::{ARMS, AsyncSelect, Select, Shape, async_candidate, candidate};
use crate::family::{Candidate, OURS};

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    vec![
        candidate::<Aqueduct>(shape),
        candidate::<AqueductSet>(shape),
        async_candidate::<AqueductTasks>(shape),
        candidate::<CrossbeamChannel>(shape),
        candidate::<Flume>(shape),
        async_candidate::<Tokio>(shape),
    ]
}

/// One for each arm, by name.
fn arms<R>(receivers: Vec<R>) -> [R; ARMS] {
    receivers.try_into().unwrap_or_else(|_| unreachable!("one receiver for each arm"))
}

fn ours(capacity: usize) -> (Vec<aqueduct::channel::Sender<u64>>, Ours) {
    let (senders, receivers) = (0..ARMS).map(|_| aqueduct::channel::bounded(capacity)).unzip();
    (senders, arms(receivers))
}

type Ours = [aqueduct::channel::Receiver<u64>; ARMS];

/// The macro.
struct Aqueduct(Ours);

impl Select for Aqueduct {
    const NAME: &'static str = OURS;
    type Sender = aqueduct::channel::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = ours(capacity);
        (senders, Self(receivers))
    }

    #[inline]
    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    #[inline]
    fn recv(&mut self) -> u64 {
        let [a, b, c, d] = &self.0;
        let item = aqueduct::select! {
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
        aqueduct::select! {
            recv(a) -> item => item.ok(),
            recv(b) -> item => item.ok(),
            recv(c) -> item => item.ok(),
            recv(d) -> item => item.ok(),
            default => None,
        }
    }
}

/// A set of arms that is made at run time: anew for each selection, as flume's must be, since it borrows
/// the receivers.
struct AqueductSet(Ours);

impl AqueductSet {
    fn set(&self) -> aqueduct::channel::Select<'_> {
        let mut set = aqueduct::channel::Select::new();
        for receiver in &self.0 {
            set.recv(receiver);
        }
        set
    }
}

impl Select for AqueductSet {
    const NAME: &'static str = "aqueduct-set";
    type Sender = aqueduct::channel::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = ours(capacity);
        (senders, Self(receivers))
    }

    #[inline]
    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect("the receiver is there");
    }

    #[inline]
    fn recv(&mut self) -> u64 {
        let chosen = self.set().select();
        let arm = chosen.index();
        chosen.recv(&self.0[arm]).expect("the senders are there")
    }

    #[inline]
    fn try_recv(&mut self) -> Option<u64> {
        let chosen = self.set().try_select().ok()?;
        let arm = chosen.index();
        chosen.recv(&self.0[arm]).ok()
    }
}

/// Our channels' futures in tokio's macro, which is what a task does with them.
struct AqueductTasks(Ours);

impl AsyncSelect for AqueductTasks {
    const NAME: &'static str = "aqueduct-tasks";
    type Sender = aqueduct::channel::Sender<u64>;

    fn channels(capacity: usize) -> (Vec<Self::Sender>, Self) {
        let (senders, receivers) = ours(capacity);
        (senders, Self(receivers))
    }

    #[inline]
    async fn send(sender: &Self::Sender, item: u64) {
        sender.send_async(item).await.expect("the receiver is there");
    }

    #[inline]
    async fn recv(&mut self) -> u64 {
        let [a, b, c, d] = &self.0;
        let item = tokio::select! {
            item = a.recv_async() => item,
            item = b.recv_async() => item,
            item = c.recv_async() => item,
            item = d.recv_async() => item,
        };
        item.expect("the senders are there")
    }

    /// As tokio's below.
    #[inline]
    async fn try_recv(&mut self) -> Option<u64> {
        let [a, b, c, d] = &self.0;
        tokio::select! {
            biased;
            item = a.recv_async() => item.ok(),
            item = b.recv_async() => item.ok(),
            item = c.recv_async() => item.ok(),
            item = d.recv_async() => item.ok(),
            () = std::future::ready(()) => None,
        }
    }
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

pub(super) struct Tokio([tokio::sync::mpsc::Receiver<u64>; ARMS]);

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
