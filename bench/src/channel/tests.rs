//! Planted faults, and every candidate once.

use super::*;

/// std's channel under a lock for the receivers; with `LATE`, an item that overtakes another
/// now and then.
struct Planted<const LATE: bool>;

#[derive(Clone)]
struct Shared<const LATE: bool>(std::sync::Arc<std::sync::Mutex<std::sync::mpsc::Receiver<u64>>>);

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
fn every_candidate_does_every_workload() {
    for cell in &mut cells() {
        for candidate in &mut cell.candidates {
            assert_eq!((candidate.run)(1000).ops, 1000);
        }
    }
}
