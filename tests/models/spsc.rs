//! Operation lists applied to a ring for two and to a plain model side by side.

use std::collections::VecDeque;

use aqueduct_core::queue::spsc::{Consumer, Producer, StaticRing, ring};

use crate::bell::unless_told;
use crate::ledger::{Item, Ledger};
use crate::queue::{Hint, Hinted, quiet_planned_panics};

/// One operation of a list. Values are numbered in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpscOp {
    /// `push`
    Push,
    /// `push` of an item whose drop panics.
    PushBomb,
    /// `pop`
    Pop,
    /// `push_many` of so many items from an iterator whose `size_hint` says what `hint` says.
    PushMany {
        /// How many items it yields.
        items: u8,
        /// What it says about that.
        hint: Hint,
    },
    /// `pop_many` with this maximum.
    PopMany(u8),
    /// `push_many` from an endless iterator that panics in the call after so many items.
    PushManyPanics(u8),
    /// `pop_many` of everything into a closure that panics when it is given the item after so many.
    PopManyPanics(u8),
    /// `peek`
    Peek,
    /// `clear`
    Clear,
    /// The producer goes.
    DropProducer,
    /// The consumer goes.
    DropConsumer,
    /// Both ends go, and a static ring is split again; a ring on the heap is freed, and another made.
    Split,
    /// As `Split`, but the ends of a static ring are forgotten instead of dropped.
    ForgetAndSplit,
}

/// A ring, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The capacity; for the static ring, the next of 1, 2, 3, 5 that is not below it.
    pub capacity: usize,
    /// Whether the ring is on the heap.
    pub on_heap: bool,
    /// What is done.
    pub ops: Vec<SpscOp>,
}

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the ring and its model differ, or an item is not dropped exactly once.
    pub fn run(&self) {
        quiet_planned_panics();
        let ledger = &Ledger::new(16 * (self.ops.len() + 1));
        match (self.on_heap, self.capacity) {
            (true, capacity) => self.on_heap(capacity, ledger),
            (false, ..=1) => self.inline::<1>(ledger),
            (false, 2) => self.inline::<2>(ledger),
            (false, 3) => self.inline::<3>(ledger),
            (false, _) => self.inline::<5>(ledger),
        }
        ledger.settle().unwrap();
    }

    fn inline<'l, const N: usize>(&self, ledger: &'l Ledger) {
        let mut ring = StaticRing::<Item<'l>, N>::new();
        let mut kept = Kept { model: VecDeque::new(), made: 0, ledger };
        let mut ops = self.ops.iter().copied();
        while kept.between_splits(ring.split(), &mut ops) {
            ledger.judge(kept.model.len()).unwrap();
        }
        ledger.judge(kept.model.len()).unwrap();
        unless_told(|| drop(ring));
    }

    fn on_heap<'l>(&self, capacity: usize, ledger: &'l Ledger) {
        let mut kept = Kept { model: VecDeque::new(), made: 0, ledger };
        // The ends of a heap ring are never forgotten: that leaks the ring, which is their right.
        let dropped = |op| if op == SpscOp::ForgetAndSplit { SpscOp::Split } else { op };
        let mut ops = self.ops.iter().copied().map(dropped);
        while kept.between_splits(ring::<Item<'l>>(capacity), &mut ops) {
            kept.model.clear();
            ledger.judge(0).unwrap();
        }
    }
}

/// What outlives the ends.
struct Kept<'l> {
    model: VecDeque<u64>,
    made: u64,
    ledger: &'l Ledger,
}

/// The ends that are still there, side by side with the model.
struct Ends<'k, 'r, 'l> {
    producer: Option<Producer<'r, Item<'l>>>,
    consumer: Option<Consumer<'r, Item<'l>>>,
    kept: &'k mut Kept<'l>,
}

impl<'l> Kept<'l> {
    /// Applies operations up to the next split; false if there is none.
    fn between_splits(
        &mut self,
        (producer, consumer): (Producer<'_, Item<'l>>, Consumer<'_, Item<'l>>),
        ops: &mut impl Iterator<Item = SpscOp>,
    ) -> bool {
        let mut ends = Ends { producer: Some(producer), consumer: Some(consumer), kept: self };
        ends.look();
        let mut split = false;
        for op in ops {
            split = match op {
                SpscOp::Split => true,
                SpscOp::ForgetAndSplit => {
                    std::mem::forget((ends.producer.take(), ends.consumer.take()));
                    true
                }
                op => {
                    ends.apply(op);
                    ends.look();
                    false
                }
            };
            if split {
                break;
            }
        }
        let Ends { producer, consumer, .. } = ends;
        // As in `apply`.
        unless_told(|| drop((producer, consumer)));
        split
    }

    fn value(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

impl Ends<'_, '_, '_> {
    fn apply(&mut self, op: SpscOp) {
        match op {
            // The second end of a ring on the heap drops what is in it, which may be told to panic.
            SpscOp::DropProducer => drop(unless_told(|| self.producer = None)),
            SpscOp::DropConsumer => drop(unless_told(|| self.consumer = None)),
            SpscOp::Push
            | SpscOp::PushBomb
            | SpscOp::PushMany { .. }
            | SpscOp::PushManyPanics(_) => self.produce(op),
            _ => self.consume(op),
        }
    }

    fn produce(&mut self, op: SpscOp) {
        let Some(producer) = &mut self.producer else { return };
        let kept = &mut *self.kept;
        let room = producer.capacity() - kept.model.len();
        match op {
            SpscOp::PushMany { items, hint } => {
                let items = usize::from(items);
                let (first, mut yielded) = (kept.made, 0);
                let mut source = Hinted {
                    hint: match hint {
                        Hint::Exact => (items, Some(items)),
                        Hint::Unknown => (0, None),
                        Hint::TooMany => (items + 1, Some(items + 1)),
                        Hint::TooFew => (0, Some(0)),
                    },
                    next: || {
                        (yielded < items).then(|| {
                            yielded += 1;
                            kept.ledger.item(first + yielded as u64)
                        })
                    },
                };
                let pushed = producer.push_many(&mut source);
                assert_eq!(yielded, pushed, "push_many: how many it asked the iterator for");
                // One that says "nothing" when the room last seen is used up is not asked again.
                let fewest = if hint == Hint::TooFew { 0 } else { items.min(room) };
                assert!(
                    (fewest..=items.min(room)).contains(&pushed),
                    "push_many: {pushed} went in"
                );
                kept.made += pushed as u64;
                kept.model.extend((first + 1..).take(pushed));
            }
            SpscOp::PushManyPanics(after) => {
                let after = usize::from(after);
                let (first, mut yielded) = (kept.made, 0);
                let mut source = std::iter::from_fn(|| {
                    assert!(yielded < after, "the iterator panics, as it was told");
                    yielded += 1;
                    Some(kept.ledger.item(first + yielded as u64))
                });
                let pushed = unless_told(|| producer.push_many(&mut source));
                assert_eq!(pushed.is_none(), after < room, "push_many: whether it met the panic");
                assert_eq!(yielded, after.min(room), "push_many: how many it asked for");
                kept.made += yielded as u64;
                kept.model.extend((first + 1..).take(yielded));
            }
            op => {
                let value = kept.value();
                let bomb = op == SpscOp::PushBomb;
                let item = if bomb { kept.ledger.bomb(value) } else { kept.ledger.item(value) };
                let refused = producer.push(item).err().map(Item::into_value);
                assert_eq!(refused, (room == 0).then_some(value), "push");
                if room > 0 {
                    kept.model.push_back(value);
                }
            }
        }
    }

    fn consume(&mut self, op: SpscOp) {
        let Some(consumer) = &mut self.consumer else { return };
        let model = &mut self.kept.model;
        match op {
            SpscOp::Pop => {
                assert_eq!(consumer.pop().map(Item::into_value), model.pop_front(), "pop");
            }
            SpscOp::Peek => {
                assert_eq!(consumer.peek().map(Item::value), model.front().copied(), "peek");
            }
            SpscOp::PopMany(max) => {
                let max = usize::from(max);
                let mut got = Vec::new();
                let popped = consumer.pop_many(max, |item| got.push(item.into_value()));
                assert_eq!(popped, got.len(), "pop_many: how many it says");
                let expected = model.len().min(max);
                assert!(got.into_iter().eq(model.drain(..expected)), "pop_many");
            }
            SpscOp::PopManyPanics(after) => {
                let after = usize::from(after);
                let mut got = Vec::new();
                let popped = unless_told(|| {
                    consumer.pop_many(usize::MAX, |item| {
                        got.push(item.value());
                        assert!(got.len() <= after, "the closure panics, as it was told");
                        item.into_value();
                    })
                });
                assert_eq!(
                    popped.is_none(),
                    after < model.len(),
                    "pop_many: did it meet the panic"
                );
                let expected = model.len().min(after + 1);
                // Those that it was not given stay in.
                assert!(got.into_iter().eq(model.drain(..expected)), "pop_many");
            }
            SpscOp::Clear => {
                unless_told(|| consumer.clear());
                model.clear();
            }
            op => unreachable!("{op:?} is no operation of the consumer"),
        }
    }

    fn look(&self) {
        let len = self.kept.model.len();
        macro_rules! look {
            ($end:expr, $other:expr) => {
                if let Some(end) = $end {
                    let full = len == end.capacity();
                    assert_eq!((end.len(), end.is_empty(), end.is_full()), (len, len == 0, full));
                    assert_eq!(end.is_abandoned(), $other.is_none(), "is_abandoned");
                }
            };
        }
        look!(&self.producer, self.consumer);
        look!(&self.consumer, self.producer);
        if self.producer.is_some() || self.consumer.is_some() {
            self.kept.ledger.judge(len).unwrap();
        }
    }
}
