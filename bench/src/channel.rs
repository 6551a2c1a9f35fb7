//! Family `channel`: bounded channels whose `send` and `recv` hold the calling thread until they are
//! through.
//!
//! An operation is one item sent and received; in `ping-pong` it is a round trip, there and back over
//! two channels. How to wait is the candidate's own affair, so the drivers never retry. In the
//! workloads `batch16/..` a receiver takes up to 16 items at once, and a sender sends so many, by
//! candidates that can; the others one by one. Channels with a single receiver take part where there
//! is one.

mod candidates;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::check::{Back, Id, Load, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::team::{Job, race};

/// How many items a batch has.
pub(crate) const BATCH: usize = 16;

/// What a candidate must be able to do.
pub(crate) trait Channel<T: Payload>: 'static {
    const NAME: &'static str;
    type Sender: Sender<T>;
    type Receiver: Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver);
}

pub(crate) trait Sender<T: Payload>: Clone + Send + 'static {
    /// Waits for room.
    ///
    /// # Panics
    ///
    /// If the receivers are gone.
    fn send(&self, item: T);

    /// Whether there was room.
    fn try_send(&self, item: T) -> bool;

    /// Sends up to [`BATCH`] items of the load.
    #[inline]
    fn send_batch(&self, load: &mut Load<T>, _buffer: &mut VecDeque<T>) {
        load.take(BATCH).for_each(|item| self.send(item));
    }
}

pub(crate) trait Receiver<T>: Send + Sized + 'static {
    /// Waits for an item; none once the senders are gone and nothing is left.
    fn recv(&mut self) -> Option<T>;

    /// Does not wait.
    fn try_recv(&mut self) -> Option<T>;

    /// Waits for one item, and takes up to `max` that are there; none at the end.
    #[inline]
    fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) {
        buffer.extend(self.recv());
        while !buffer.is_empty() && buffer.len() < max {
            match self.try_recv() {
                Some(item) => buffer.push(item),
                None => return,
            }
        }
    }

    /// So many that share what comes.
    fn several(self, n: usize) -> Vec<Self>;
}

pub(crate) fn cells() -> Vec<Cell> {
    let shapes = Shape::all();
    let cell = |(capacity, shape): &(usize, Shape)| {
        let workload = format!("cap{capacity}/{}", shape.name());
        Cell::new("channel", workload, shape.unit(), candidates::all(*shape, *capacity))
    };
    shapes.iter().map(cell).collect()
}

#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Transfer { senders: usize, receivers: usize, batch: bool },
    PingPong,
}

impl Shape {
    /// All workloads, each with its capacity.
    pub(crate) fn all() -> Vec<(usize, Self)> {
        let mut all = Vec::new();
        let mut transfers = |capacity, batch| {
            for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
                all.push((capacity, Self::Transfer { senders, receivers, batch }));
            }
        };
        for capacity in [1, 16, 512] {
            transfers(capacity, false);
        }
        transfers(512, true);
        all.push((1, Self::PingPong));
        all
    }

    pub(crate) fn name(self) -> String {
        match self {
            Self::Transfer { senders, receivers, batch } => {
                let batch = if batch { format!("batch{BATCH}/") } else { String::new() };
                format!("{batch}{senders}p{receivers}c")
            }
            Self::PingPong => "ping-pong".into(),
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Transfer { .. } => "item",
            Self::PingPong => "round trip",
        }
    }

    /// Whether a channel with a single receiver can do it.
    pub(crate) fn has_one_receiver(self) -> bool {
        matches!(self, Self::Transfer { receivers: 1, .. } | Self::PingPong)
    }
}

fn candidate<C: Channel<u64>>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(C::NAME, move |ops| match shape {
        Shape::Transfer { senders, receivers, batch } => {
            transfer::<u64, C>(capacity, senders, receivers, ops, batch)
        }
        Shape::PingPong => ping_pong::<u64, C>(capacity, ops),
    })
}

/// `senders` threads send `ops` items between them, `receivers` threads receive them; each has its
/// fixed share.
fn transfer<T, C>(
    capacity: usize,
    senders: usize,
    receivers: usize,
    ops: u64,
    batch: bool,
) -> Sample
where
    T: Payload,
    C: Channel<T>,
{
    let (sender, receiver) = proved::<T, C>(capacity);
    let sent = share(ops, senders);
    let mut jobs: Vec<Job<Back<C::Receiver>>> = Vec::new();
    for (producer, &items) in sent.iter().enumerate() {
        let sender = sender.clone();
        jobs.push(Box::new(move || {
            let load = Load::new(producer, items);
            if batch {
                send_batches(&sender, load)
            } else {
                send_all(&sender, load)
            }
            None
        }));
    }
    for (items, mut receiver) in share(ops, receivers).into_iter().zip(receiver.several(receivers))
    {
        jobs.push(Box::new(move || {
            let seen = if batch {
                receive_batches(&mut receiver, senders, items)
            } else {
                receive_all(&mut receiver, senders, items)
            };
            Some((receiver, seen))
        }));
    }
    let (sample, results) = race(ops, jobs);
    drop(sender);
    let (receivers, seen): (Vec<_>, Vec<_>) = results.into_iter().flatten().unzip();
    settle(seen, &sent);
    for mut receiver in receivers {
        assert!(receiver.recv().is_none(), "an item is left over");
    }
    sample
}

/// Two threads, each of which answers the other's item with its own.
fn ping_pong<T: Payload, C: Channel<T>>(capacity: usize, ops: u64) -> Sample {
    let (ping, mut pinged) = proved::<T, C>(capacity);
    let (pong, mut ponged) = proved::<T, C>(capacity);
    let jobs: Vec<Job<(C::Receiver, Seen)>> = vec![
        Box::new(move || {
            let seen = serve(&ping, &mut ponged, ops);
            (ponged, seen)
        }),
        Box::new(move || {
            let seen = answer(&mut pinged, &pong, ops);
            (pinged, seen)
        }),
    ];
    let (sample, results) = race(ops, jobs);
    for (mut receiver, seen) in results {
        settle([seen], &[ops]);
        assert!(receiver.try_recv().is_none(), "an item is left over");
    }
    sample
}

/// A channel that has been filled and emptied once: its capacity is the one asked for, and its
/// memory is there before the clock starts.
fn proved<T: Payload, C: Channel<T>>(capacity: usize) -> (C::Sender, C::Receiver) {
    let (sender, mut receiver) = C::bounded(capacity);
    let mut items = 0;
    while sender.try_send(T::make(Id::new(0, items as u64))) {
        items += 1;
        assert!(items <= capacity, "{} holds more than the {capacity} asked for", C::NAME);
    }
    assert_eq!(items, capacity, "{} is full too early", C::NAME);
    let seen = receive_all(&mut receiver, 1, items as u64);
    settle([seen], &[items as u64]);
    assert!(receiver.try_recv().is_none(), "{} has an item that nobody sent", C::NAME);
    (sender, receiver)
}

#[inline(never)]
fn send_all<T: Payload>(sender: &impl Sender<T>, load: Load<T>) {
    for item in load {
        sender.send(item);
    }
}

#[inline(never)]
fn send_batches<T: Payload>(sender: &impl Sender<T>, mut load: Load<T>) {
    let mut buffer = VecDeque::with_capacity(BATCH);
    while !load.is_done() {
        sender.send_batch(&mut load, &mut buffer);
    }
}

#[inline(never)]
fn receive_all<T: Payload>(receiver: &mut impl Receiver<T>, producers: usize, items: u64) -> Seen {
    let mut seen = Seen::nothing(producers);
    for _ in 0..items {
        seen.take(&receiver.recv().expect("closed before the last item"));
    }
    seen
}

#[inline(never)]
fn receive_batches<T: Payload>(
    receiver: &mut impl Receiver<T>,
    producers: usize,
    items: u64,
) -> Seen {
    let mut seen = Seen::nothing(producers);
    let mut left = items;
    let mut buffer = Vec::with_capacity(BATCH);
    while left > 0 {
        receiver.recv_batch(left.min(BATCH as u64) as usize, &mut buffer);
        assert!(!buffer.is_empty(), "closed before the last item");
        left -= buffer.len() as u64;
        buffer.drain(..).for_each(|item| seen.take(&item));
    }
    seen
}

#[inline(never)]
fn serve<T: Payload>(ping: &impl Sender<T>, ponged: &mut impl Receiver<T>, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for item in Load::new(0, ops) {
        ping.send(item);
        seen.take(&ponged.recv().expect("closed before the last answer"));
    }
    seen
}

#[inline(never)]
fn answer<T: Payload>(pinged: &mut impl Receiver<T>, pong: &impl Sender<T>, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for item in Load::new(0, ops) {
        seen.take(&pinged.recv().expect("closed before the last item"));
        pong.send(item);
    }
    seen
}
