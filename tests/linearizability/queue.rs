//! The bounded queue.

use crate::record::{Tally, hold, now_and_then_yield, record};
use crate::search::{self, Model, Recorded, explain};
use aqueduct_core::queue::ArrayQueue;
use aqueduct_tests::history::Event;
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op;
use aqueduct_tests::queue::BoundedQueue;
use aqueduct_tests::share;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// An operation and its events: a batch has one for each item, a forced push into a full queue two.
#[derive(Debug)]
struct Call {
    op: Op,
    events: Vec<Event>,
}

/// A plain bounded FIFO.
///
/// The one relaxation is that of `aqueduct_tests::history`: whoever is part-way may hold a slot (a batch, several),
/// which then is missing from the capacity; so a push may be refused, and a forced push displace, while there are as
/// many calls of others under way as there are free slots. Empty is exact.
struct Fifo {
    capacity: usize,
    left: VecDeque<u64>,
}

impl Model for Fifo {
    type State = VecDeque<u64>;
    type Call = Call;

    fn start(&self) -> VecDeque<u64> {
        VecDeque::new()
    }

    fn events(&self, call: &Call) -> usize {
        call.events.len()
    }

    fn step(
        &self,
        items: &VecDeque<u64>,
        event: search::Event<'_, Call>,
        next: &mut Vec<VecDeque<u64>>,
    ) {
        let may_be_full = items.len() + event.recorded.around >= self.capacity;
        let mut after = items.clone();
        let happens = match event.recorded.call.events[event.nth] {
            Event::Pushed(value) => {
                after.push_back(value);
                items.len() < self.capacity
            }
            Event::Refused => may_be_full,
            Event::Popped(value) => after.pop_front() == Some(value),
            Event::Empty => items.is_empty(),
            Event::Displaced(value) => may_be_full && after.pop_front() == Some(value),
            Event::Bounced => may_be_full && items.is_empty(),
            Event::Len(_) | Event::IsEmpty(_) | Event::IsFull(_) => unreachable!("not recorded"),
        };
        if happens {
            next.push(after);
        }
    }

    fn may_end(&self, items: &VecDeque<u64>) -> bool {
        *items == self.left
    }
}

/// One history of `calls` calls per party on the queue that `make` makes for a capacity.
fn history<Q: for<'a> Make<'a>>(
    make: &Q,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> (Fifo, Vec<Vec<Recorded<Call>>>) {
    let capacity = [1, 2, 3, 5][round as usize % 4];
    let ledger = Ledger::new(calls * 4 * 4);
    let queue = make.make(capacity);
    let chains = record(
        round,
        tally,
        |call: &Call| call.op.most_held(),
        |tape| {
            for _ in 0..calls {
                let value = tape.value();
                let op = match tape.random(10) {
                    0..=3 => Op::Push(value),
                    4..=6 => Op::Pop,
                    7 => Op::Force(value),
                    8 => Op::PushMany(value, 3),
                    _ => Op::PopMany(2),
                };
                tape.call(|| {
                    let events = op.apply(&queue, &ledger);
                    // Its last moment may be long ago when it ends.
                    now_and_then_yield();
                    Call { op, events }
                });
            }
        },
    );
    let left = queue.into_items().map(Item::into_value).collect();
    ledger.settle().unwrap();
    (Fifo { capacity, left }, chains)
}

/// Makes the queue that is held against the model.
trait Make<'a> {
    type Queue: BoundedQueue<Item<'a>> + Sync;
    fn make(&self, capacity: usize) -> Self::Queue;
}

struct Real;

impl<'a> Make<'a> for Real {
    type Queue = ArrayQueue<Item<'a>>;

    fn make(&self, capacity: usize) -> ArrayQueue<Item<'a>> {
        // The positions wrap soon.
        ArrayQueue::starting_at(capacity, usize::MAX - 20)
    }
}

#[test]
fn recorded_histories_of_queues_are_linearizable() {
    let tally = Tally::default();
    hold(share(1_500), |round| history(&Real, round, 40, &tally)).unwrap();
    hold(share(12), |round| history(&Real, round, 2_500, &tally)).unwrap();
    tally.tell("queue");
}

/// The queue with a bug.
struct Planted<T> {
    queue: ArrayQueue<T>,
    bug: Bug,
    turn: AtomicUsize,
    /// What `pop` takes for the length where the bug is a stale one.
    known: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Bug {
    /// Now and then two items are taken, and the younger handed out first.
    Swaps,
    /// `pop` looks at a length that was noted before the last push.
    StaleEmpty,
    /// Refuses now and then for no reason.
    StaleFull,
    /// A batch hands out its items youngest first.
    BatchBackwards,
}

impl<'a> Make<'a> for Bug {
    type Queue = Planted<Item<'a>>;

    fn make(&self, capacity: usize) -> Planted<Item<'a>> {
        let [turn, known] = [const { AtomicUsize::new(0) }; 2];
        Planted { queue: ArrayQueue::new(capacity), bug: *self, turn, known }
    }
}

impl<T> Planted<T> {
    fn is_its_turn(&self) -> bool {
        self.turn.fetch_add(1, SeqCst) % 5 == 4
    }
}

impl<T: Send> BoundedQueue<T> for Planted<T> {
    fn push(&self, item: T) -> Result<(), T> {
        self.known.store(self.queue.len(), SeqCst);
        if matches!(self.bug, Bug::StaleFull) && self.is_its_turn() {
            return Err(item);
        }
        self.queue.push(item)
    }
    fn pop(&self) -> Option<T> {
        match self.bug {
            Bug::StaleEmpty if self.known.load(SeqCst) == 0 => return None,
            Bug::Swaps if self.is_its_turn() => {
                let first = self.queue.pop()?;
                let Some(second) = self.queue.pop() else { return Some(first) };
                return self.queue.force_push(first).or(Some(second));
            }
            _ => {}
        }
        self.queue.pop()
    }
    fn force_push(&self, item: T) -> Option<T> {
        self.queue.force_push(item)
    }
    fn push_mut(&mut self, item: T) -> Result<(), T> {
        self.queue.push_mut(item)
    }
    fn pop_mut(&mut self) -> Option<T> {
        self.queue.pop_mut()
    }
    fn push_many(&self, items: &mut dyn Iterator<Item = T>) -> usize {
        self.queue.push_many(&mut &mut *items)
    }
    fn pop_many(&self, max: usize, sink: &mut dyn FnMut(T)) -> usize {
        let mut batch = Vec::new();
        let popped = self.queue.pop_many(max, |item| batch.push(item));
        if matches!(self.bug, Bug::BatchBackwards) {
            batch.reverse();
        }
        batch.into_iter().for_each(sink);
        popped
    }
    fn len(&self) -> usize {
        self.queue.len()
    }
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
    fn is_full(&self) -> bool {
        self.queue.is_full()
    }
    fn capacity(&self) -> usize {
        self.queue.capacity()
    }
    fn into_items(self) -> impl Iterator<Item = T> {
        self.queue.into_iter()
    }
}

fn is_found_out(bug: Bug) {
    let complaint = hold(200, |round| history(&bug, round, 40, &Tally::default())).unwrap_err();
    assert!(complaint.contains("no sequential order"), "{complaint}");
}

#[test]
fn a_queue_that_swaps_two_items_is_found_out() {
    is_found_out(Bug::Swaps);
}

#[test]
fn a_queue_that_is_empty_by_an_old_length_is_found_out() {
    is_found_out(Bug::StaleEmpty);
}

#[test]
fn a_queue_that_refuses_without_reason_is_found_out() {
    is_found_out(Bug::StaleFull);
}

#[test]
fn a_queue_whose_batches_come_backwards_is_found_out() {
    is_found_out(Bug::BatchBackwards);
}

/// A history written by hand: per party, what came of each call, when it began and when it ended.
fn by_hand(chains: &[&[(Event, u64, u64)]], left: &[u64]) -> Result<(), String> {
    let recorded = |(event, began, ended): &(Event, u64, u64)| Recorded {
        call: Call { op: Op::Pop, events: vec![event.clone()] },
        began: *began,
        ended: *ended,
        around: 0,
    };
    let chains: Vec<Vec<_>> =
        chains.iter().map(|chain| chain.iter().map(recorded).collect()).collect();
    explain(&Fifo { capacity: 2, left: left.iter().copied().collect() }, &chains)
}

#[test]
fn histories_written_by_hand_are_judged_as_in_the_textbook() {
    use Event::{Empty, Popped, Pushed, Refused};
    // In any order while they overlap, and in the order of time where they do not.
    by_hand(&[&[(Pushed(1), 0, 5)], &[(Popped(1), 2, 3)]], &[]).unwrap();
    by_hand(&[&[(Pushed(1), 0, 3)], &[(Empty, 1, 2)]], &[1]).unwrap();
    by_hand(&[&[(Pushed(1), 0, 1)], &[(Empty, 2, 3)]], &[1]).unwrap_err();
    by_hand(&[&[(Pushed(1), 2, 3)], &[(Popped(1), 0, 1)]], &[]).unwrap_err();
    // Two pushes that overlap, and what a third party sees of them.
    let pushes: [&[_]; 2] = [&[(Pushed(1), 0, 9)], &[(Pushed(2), 0, 9)]];
    by_hand(&[pushes[0], pushes[1], &[(Popped(2), 3, 4), (Popped(1), 5, 6)]], &[]).unwrap();
    by_hand(&[pushes[0], pushes[1], &[(Popped(2), 3, 4), (Popped(2), 5, 6)]], &[]).unwrap_err();
    // Two observers who do not agree in which order they came.
    let disagree: [&[_]; 2] = [&[(Popped(2), 3, 4), (Empty, 5, 6)], &[(Popped(1), 1, 2)]];
    by_hand(&[pushes[0], pushes[1], disagree[0], disagree[1]], &[]).unwrap();
    by_hand(
        &[&[(Pushed(1), 0, 1), (Pushed(2), 2, 3)], &[(Popped(2), 4, 9)], &[(Popped(1), 10, 11)]],
        &[],
    )
    .unwrap_err();
    // Full is full; and an item that is left, or is not, is part of the story.
    by_hand(&[&[(Pushed(1), 0, 1), (Pushed(2), 2, 3), (Refused, 4, 5)]], &[1, 2]).unwrap();
    by_hand(&[&[(Pushed(1), 0, 1), (Refused, 2, 3)]], &[1]).unwrap_err();
    by_hand(&[&[(Pushed(1), 0, 1)]], &[]).unwrap_err();
    by_hand(&[], &[]).unwrap();
}
