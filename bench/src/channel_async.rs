//! Family `channel_async`: the workloads of family `channel`, by tasks on tokio's runtime with two
//! workers, whose `send` and `recv` are awaited.
//!
//! A candidate of another runtime would be measured with that: Go takes part with its own scheduler.

mod candidates;

use std::collections::VecDeque;
use std::future::Future;

use crate::channel::{BATCH, Shape};
use crate::check::{Back, Id, Load, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::tasks::{Task, race_tasks};

/// What a candidate must be able to do.
pub(crate) trait AsyncChannel<T: Payload>: 'static {
    const NAME: &'static str;
    type Sender: AsyncSender<T>;
    type Receiver: AsyncReceiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver);
}

pub(crate) trait AsyncSender<T: Payload>: Clone + Send + Sync + 'static {
    /// Waits for room.
    ///
    /// # Panics
    ///
    /// If the receivers are gone.
    fn send(&self, item: T) -> impl Future<Output = ()> + Send;

    /// Whether there was room.
    fn try_send(&self, item: T) -> bool;

    /// Sends up to [`BATCH`] items of the load.
    #[inline]
    fn send_batch(
        &self,
        load: &mut Load<T>,
        _buffer: &mut VecDeque<T>,
    ) -> impl Future<Output = ()> + Send {
        async move {
            for item in load.take(BATCH) {
                self.send(item).await;
            }
        }
    }
}

pub(crate) trait AsyncReceiver<T: Send>: Send + Sized + 'static {
    /// Waits for an item; none once the senders are gone and nothing is left.
    fn recv(&mut self) -> impl Future<Output = Option<T>> + Send;

    /// Does not wait.
    fn try_recv(&mut self) -> Option<T>;

    /// Waits for one item, and takes up to `max` that are there; none at the end.
    #[inline]
    fn recv_batch(&mut self, max: usize, buffer: &mut Vec<T>) -> impl Future<Output = ()> + Send {
        async move {
            buffer.extend(self.recv().await);
            while !buffer.is_empty() && buffer.len() < max {
                match self.try_recv() {
                    Some(item) => buffer.push(item),
                    None => return,
                }
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
        Cell::new("channel_async", workload, shape.unit(), candidates::all(*shape, *capacity))
    };
    shapes.iter().map(cell).collect()
}

fn candidate<C: AsyncChannel<u64>>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(C::NAME, move |ops| match shape {
        Shape::Transfer { senders, receivers, batch } => {
            transfer::<u64, C>(capacity, senders, receivers, ops, batch)
        }
        Shape::PingPong => ping_pong::<u64, C>(capacity, ops),
    })
}

/// `senders` tasks send `ops` items between them, `receivers` tasks receive them; each has its fixed
/// share.
fn transfer<T: Payload, C: AsyncChannel<T>>(
    capacity: usize,
    senders: usize,
    receivers: usize,
    ops: u64,
    batch: bool,
) -> Sample {
    let (sender, receiver) = proved::<T, C>(capacity);
    let sent = share(ops, senders);
    let mut tasks: Vec<Task<Back<C::Receiver>>> = Vec::new();
    for (producer, &items) in sent.iter().enumerate() {
        let sender = sender.clone();
        tasks.push(Box::pin(async move {
            send_all(&sender, Load::new(producer, items), batch).await;
            None
        }));
    }
    for (items, mut receiver) in share(ops, receivers).into_iter().zip(receiver.several(receivers))
    {
        tasks.push(Box::pin(async move {
            let seen = receive_all(&mut receiver, senders, items, batch).await;
            Some((receiver, seen))
        }));
    }
    let (sample, results) = race_tasks(ops, tasks);
    drop(sender);
    let (receivers, seen): (Vec<_>, Vec<_>) = results.into_iter().flatten().unzip();
    settle(seen, &sent);
    for mut receiver in receivers {
        assert!(receiver.try_recv().is_none(), "an item is left over");
    }
    sample
}

/// Two tasks, each of which answers the other's item with its own.
fn ping_pong<T: Payload, C: AsyncChannel<T>>(capacity: usize, ops: u64) -> Sample {
    let (ping, mut pinged) = proved::<T, C>(capacity);
    let (pong, mut ponged) = proved::<T, C>(capacity);
    let tasks: Vec<Task<(C::Receiver, Seen)>> = vec![
        Box::pin(async move {
            let mut seen = Seen::nothing(1);
            for item in Load::new(0, ops) {
                ping.send(item).await;
                seen.take(&ponged.recv().await.expect("closed before the last answer"));
            }
            (ponged, seen)
        }),
        Box::pin(async move {
            let mut seen = Seen::nothing(1);
            for item in Load::new(0, ops) {
                seen.take(&pinged.recv().await.expect("closed before the last item"));
                pong.send(item).await;
            }
            (pinged, seen)
        }),
    ];
    let (sample, results) = race_tasks(ops, tasks);
    for (mut receiver, seen) in results {
        settle([seen], &[ops]);
        assert!(receiver.try_recv().is_none(), "an item is left over");
    }
    sample
}

/// A channel that has been filled and emptied once: its capacity is the one asked for, and its
/// memory is there before the clock starts.
fn proved<T: Payload, C: AsyncChannel<T>>(capacity: usize) -> (C::Sender, C::Receiver) {
    let (sender, mut receiver) = C::bounded(capacity);
    let mut items = 0;
    while sender.try_send(T::make(Id::new(0, items as u64))) {
        items += 1;
        assert!(items <= capacity, "{} holds more than the {capacity} asked for", C::NAME);
    }
    assert_eq!(items, capacity, "{} is full too early", C::NAME);
    let mut seen = Seen::nothing(1);
    while let Some(item) = receiver.try_recv() {
        seen.take(&item);
    }
    settle([seen], &[items as u64]);
    (sender, receiver)
}

async fn send_all<T: Payload>(sender: &impl AsyncSender<T>, mut load: Load<T>, batch: bool) {
    if batch {
        let mut buffer = VecDeque::with_capacity(BATCH);
        while !load.is_done() {
            sender.send_batch(&mut load, &mut buffer).await;
        }
    } else {
        for item in load {
            sender.send(item).await;
        }
    }
}

async fn receive_all<T: Payload>(
    receiver: &mut impl AsyncReceiver<T>,
    producers: usize,
    items: u64,
    batch: bool,
) -> Seen {
    let mut seen = Seen::nothing(producers);
    let mut left = items;
    let mut buffer = Vec::with_capacity(BATCH);
    while left > 0 {
        if batch {
            receiver.recv_batch(left.min(BATCH as u64) as usize, &mut buffer).await;
            assert!(!buffer.is_empty(), "closed before the last item");
            left -= buffer.len() as u64;
            buffer.drain(..).for_each(|item| seen.take(&item));
        } else {
            seen.take(&receiver.recv().await.expect("closed before the last item"));
            left -= 1;
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// tokio's channel; with `LATE`, an item that comes a second time in place of another.
    struct Planted<const LATE: bool>;

    /// tokio's channel, in which the last of 2000 items comes a second time, when all are through.
    struct Doubling;

    struct Twice(tokio::sync::mpsc::Receiver<u64>, Option<u64>);

    impl AsyncChannel<u64> for Doubling {
        const NAME: &'static str = "doubling";
        type Sender = tokio::sync::mpsc::Sender<u64>;
        type Receiver = Twice;

        fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
            let (sender, receiver) = tokio::sync::mpsc::channel(capacity);
            (sender, Twice(receiver, None))
        }
    }

    impl AsyncReceiver<u64> for Twice {
        async fn recv(&mut self) -> Option<u64> {
            let item = self.0.recv().await?;
            self.1 = Some(item).filter(|&item| item == 1999);
            Some(item)
        }

        fn try_recv(&mut self) -> Option<u64> {
            self.1.take().or_else(|| self.0.try_recv().ok())
        }

        fn several(self, _: usize) -> Vec<Self> {
            vec![self]
        }
    }

    #[test]
    #[should_panic(expected = "an item is left over")]
    fn an_answer_that_comes_twice_fails() {
        ping_pong::<u64, Doubling>(1, 2000);
    }

    struct Late<const LATE: bool>(tokio::sync::mpsc::Receiver<u64>);

    impl<const LATE: bool> AsyncChannel<u64> for Planted<LATE> {
        const NAME: &'static str = "planted";
        type Sender = tokio::sync::mpsc::Sender<u64>;
        type Receiver = Late<LATE>;

        fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
            let (sender, receiver) = tokio::sync::mpsc::channel(capacity);
            (sender, Late(receiver))
        }
    }

    impl<const LATE: bool> AsyncReceiver<u64> for Late<LATE> {
        async fn recv(&mut self) -> Option<u64> {
            let item = self.0.recv().await?;
            Some(if LATE && item == 700 { 698 } else { item })
        }

        fn try_recv(&mut self) -> Option<u64> {
            self.0.try_recv().ok()
        }

        fn several(self, _: usize) -> Vec<Self> {
            vec![self]
        }
    }

    #[test]
    fn a_channel_that_works_passes() {
        for batch in [false, true] {
            transfer::<u64, Planted<false>>(4, 3, 1, 2000, batch);
        }
        ping_pong::<u64, Planted<false>>(1, 2000);
    }

    #[test]
    #[should_panic(expected = "a task of this run panicked")]
    fn a_channel_that_repeats_an_earlier_item_fails() {
        transfer::<u64, Planted<true>>(4, 1, 1, 2000, false);
    }

    #[test]
    #[should_panic(expected = "a task of this run panicked")]
    fn a_wrong_answer_fails() {
        ping_pong::<u64, Planted<true>>(1, 2000);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(1000).ops, 1000, "{}", candidate.name);
            }
        }
    }
}
