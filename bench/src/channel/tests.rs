//! Planted faults, and every candidate once.

use super::*;

/// std's channel under a lock for the receivers; with `LATE`, an item that overtakes another
/// now and then.
struct Planted<const LATE: bool>;

/// The last of 2000 items comes a second time, when all are through.
struct Doubling;

#[derive(Clone)]
struct Shared<const LATE: bool>(std::sync::Arc<std::sync::Mutex<std::sync::mpsc::Receiver<u64>>>);

struct Twice(Shared<false>, Option<u64>);

impl Channel<u64> for Doubling {
    const NAME: &'static str = "doubling";
    type Sender = std::sync::mpsc::SyncSender<u64>;
    type Receiver = Twice;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = Planted::<false>::bounded(capacity);
        (sender, Twice(receiver, None))
    }
}

impl Receiver<u64> for Twice {
    fn recv(&mut self) -> Option<u64> {
        let item = self.0.recv()?;
        self.1 = Some(item).filter(|&item| item == 1999);
        Some(item)
    }

    fn try_recv(&mut self) -> Option<u64> {
        self.1.take().or_else(|| self.0.try_recv())
    }

    fn several(self, _: usize) -> Vec<Self> {
        vec![self]
    }
}

impl<const LATE: bool> Channel<u64> for Planted<LATE> {
    const NAME: &'static str = "planted";
    type Sender = std::sync::mpsc::SyncSender<u64>;
    type Receiver = Shared<LATE>;

    fn bounded(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(capacity);
        (sender, Shared(std::sync::Arc::new(receiver.into())))
    }
}

impl<const LATE: bool> Receiver<u64> for Shared<LATE> {
    fn recv(&mut self) -> Option<u64> {
        let item = self.0.lock().unwrap().recv().ok()?;
        Some(if LATE && item == 700 { 698 } else { item })
    }

    fn try_recv(&mut self) -> Option<u64> {
        self.0.lock().unwrap().try_recv().ok()
    }

    fn several(self, n: usize) -> Vec<Self> {
        vec![self; n]
    }
}

#[test]
fn a_channel_that_works_passes() {
    for batch in [false, true] {
        transfer::<u64, Planted<false>>(4, 3, 2, 2000, batch);
    }
    ping_pong::<u64, Planted<false>>(1, 2000);
}

#[test]
#[should_panic(expected = "a thread of this run panicked")]
fn a_channel_that_repeats_an_earlier_item_fails() {
    transfer::<u64, Planted<true>>(4, 1, 1, 2000, false);
}

#[test]
#[should_panic(expected = "a thread of this run panicked")]
fn a_wrong_answer_fails() {
    ping_pong::<u64, Planted<true>>(1, 2000);
}

#[test]
#[should_panic(expected = "an item is left over")]
fn an_answer_that_comes_twice_fails() {
    ping_pong::<u64, Doubling>(1, 2000);
}

#[test]
fn every_candidate_does_every_workload() {
    for cell in &mut cells() {
        for candidate in &mut cell.candidates {
            assert_eq!((candidate.run)(1000).ops, 1000);
        }
    }
}
