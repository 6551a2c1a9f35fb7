//! Family `channel`: bounded channels whose `send` and `recv` hold the calling thread until they are
//! through.
//!
//! An operation is one item sent and received; in `ping-pong` it is a round trip, there and back over
//! two channels. How to wait is the candidate's own affair, so the drivers never retry.

mod candidates;

use crate::check::{Id, Payload, Seen, settle, share};
use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::team::{Job, race};

/// What a candidate must be able to do.
pub(crate) trait Channel<T>: 'static {
    const NAME: &'static str;
    type Sender: Sender<T>;
    type Receiver: Receiver<T>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver);
}

pub(crate) trait Sender<T>: Clone + Send + 'static {
    /// Waits for room.
    ///
    /// # Panics
    ///
    /// If the receivers are gone.
    fn send(&self, item: T);

    /// Whether there was room.
    fn try_send(&self, item: T) -> bool;
}

pub(crate) trait Receiver<T>: Clone + Send + 'static {
    /// Waits for an item; none once the senders are gone and nothing is left.
    fn recv(&self) -> Option<T>;
}

pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for capacity in [1, 16, 512] {
        for (senders, receivers) in [(1, 1), (4, 1), (1, 4), (4, 4)] {
            cells.push(Cell {
                family: "channel",
                workload: format!("cap{capacity}/{senders}p{receivers}c"),
                unit: "item",
                candidates: candidates::all(Shape::Transfer { senders, receivers }, capacity),
            });
        }
        if capacity == 1 {
            cells.push(Cell {
                family: "channel",
                workload: "cap1/ping-pong".into(),
                unit: "round trip",
                candidates: candidates::all(Shape::PingPong, capacity),
            });
        }
    }
    cells
}

#[derive(Clone, Copy)]
enum Shape {
    Transfer { senders: usize, receivers: usize },
    PingPong,
}

fn candidate<C: Channel<u64>>(shape: Shape, capacity: usize) -> Candidate {
    Candidate::new(C::NAME, move |ops| match shape {
        Shape::Transfer { senders, receivers } => {
            transfer::<u64, C>(capacity, senders, receivers, ops)
        }
        Shape::PingPong => ping_pong::<u64, C>(capacity, ops),
    })
}

/// `senders` threads send `ops` items between them, `receivers` threads receive them; each has its
/// fixed share.
fn transfer<T, C>(capacity: usize, senders: usize, receivers: usize, ops: u64) -> Sample
where
    T: Payload,
    C: Channel<T>,
{
    let (sender, receiver) = proved::<T, C>(capacity);
    let sent = share(ops, senders);
    let mut jobs: Vec<Job<Option<Seen>>> = Vec::new();
    for (producer, &items) in sent.iter().enumerate() {
        let sender = sender.clone();
        jobs.push(Box::new(move || {
            send_all(&sender, producer, items);
            None
        }));
    }
    for items in share(ops, receivers) {
        let receiver = receiver.clone();
        jobs.push(Box::new(move || Some(receive_all(&receiver, senders, items))));
    }
    let (sample, results) = race(ops, jobs);
    settle(results.into_iter().flatten(), &sent);
    drop(sender);
    assert!(receiver.recv().is_none(), "an item is left over");
    sample
}

/// Two threads, each of which answers the other's item with its own.
fn ping_pong<T: Payload, C: Channel<T>>(capacity: usize, ops: u64) -> Sample {
    let (ping, pinged) = proved::<T, C>(capacity);
    let (pong, ponged) = proved::<T, C>(capacity);
    let jobs: Vec<Job<Seen>> = vec![
        Box::new(move || serve(&ping, &ponged, ops)),
        Box::new(move || answer(&pinged, &pong, ops)),
    ];
    let (sample, results) = race(ops, jobs);
    for seen in results {
        settle([seen], &[ops]);
    }
    sample
}

/// A channel that has been filled and emptied once: its capacity is the one asked for, and its
/// memory is there before the clock starts.
fn proved<T: Payload, C: Channel<T>>(capacity: usize) -> (C::Sender, C::Receiver) {
    let (sender, receiver) = C::bounded(capacity);
    let mut items = 0;
    while sender.try_send(T::make(Id::new(0, items as u64))) {
        items += 1;
        assert!(items <= capacity, "{} holds more than the {capacity} asked for", C::NAME);
    }
    assert_eq!(items, capacity, "{} is full too early", C::NAME);
    let seen = receive_all(&receiver, 1, items as u64);
    settle([seen], &[items as u64]);
    (sender, receiver)
}

#[inline(never)]
fn send_all<T: Payload>(sender: &impl Sender<T>, producer: usize, items: u64) {
    for seq in 0..items {
        sender.send(T::make(Id::new(producer, seq)));
    }
}

#[inline(never)]
fn receive_all<T: Payload>(receiver: &impl Receiver<T>, producers: usize, items: u64) -> Seen {
    let mut seen = Seen::nothing(producers);
    for _ in 0..items {
        seen.take(&receiver.recv().expect("closed before the last item"));
    }
    seen
}

#[inline(never)]
fn serve<T: Payload>(ping: &impl Sender<T>, ponged: &impl Receiver<T>, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for seq in 0..ops {
        ping.send(T::make(Id::new(0, seq)));
        seen.take(&ponged.recv().expect("closed before the last answer"));
    }
    seen
}

#[inline(never)]
fn answer<T: Payload>(pinged: &impl Receiver<T>, pong: &impl Sender<T>, ops: u64) -> Seen {
    let mut seen = Seen::nothing(1);
    for seq in 0..ops {
        seen.take(&pinged.recv().expect("closed before the last item"));
        pong.send(T::make(Id::new(0, seq)));
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// std's channel under a lock for the receivers; with `LATE`, an item that overtakes another
    /// now and then.
    struct Planted<const LATE: bool>;

    #[derive(Clone)]
    struct Shared<const LATE: bool>(
        std::sync::Arc<std::sync::Mutex<std::sync::mpsc::Receiver<u64>>>,
    );

    impl<const LATE: bool> Channel<u64> for Planted<LATE> {
        const NAME: &'static str = "planted";
        type Sender = std::sync::mpsc::SyncSender<u64>;
        type Receiver = Shared<LATE>;

        fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
            let (sender, receiver) = std::sync::mpsc::sync_channel(capacity);
            (sender, Shared(std::sync::Arc::new(receiver.into())))
        }
    }

    impl Sender<u64> for std::sync::mpsc::SyncSender<u64> {
        fn send(&self, item: u64) {
            self.send(item).expect("the receivers are there");
        }

        fn try_send(&self, item: u64) -> bool {
            self.try_send(item).is_ok()
        }
    }

    impl<const LATE: bool> Receiver<u64> for Shared<LATE> {
        fn recv(&self) -> Option<u64> {
            let item = self.0.lock().unwrap().recv().ok()?;
            Some(if LATE && item == 700 { 698 } else { item })
        }
    }

    #[test]
    fn a_channel_that_works_passes() {
        transfer::<u64, Planted<false>>(4, 3, 2, 2000);
        ping_pong::<u64, Planted<false>>(1, 2000);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_channel_that_repeats_an_earlier_item_fails() {
        transfer::<u64, Planted<true>>(4, 1, 1, 2000);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_wrong_answer_fails() {
        ping_pong::<u64, Planted<true>>(1, 2000);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(1000).ops, 1000);
            }
        }
    }
}
