//! The ring for two, each end preempted anywhere by the other: in order, nothing lost, full and empty exact.

use super::harness::{self, Run, Subject};
use aqueduct_core::queue::spsc::{self, Consumer, Producer};
use std::cell::{Cell, RefCell};

#[derive(Clone, Copy, Debug)]
enum Op {
    Push,
    PushMany(usize),
    Pop,
    PopMany(usize),
    Peek,
    /// `len` and `is_abandoned`, asked by either end.
    AskProducer,
    AskConsumer,
    /// An end goes.
    DropProducer,
    DropConsumer,
}

#[derive(Debug)]
#[allow(dead_code, reason = "for reports, which print it")]
enum Outcome {
    Pushed(usize),
    Popped(usize),
    Len(usize),
    /// The end is gone, or in use by whoever is preempted.
    No,
}

struct Object {
    producer: RefCell<Option<Producer<'static, u32>>>,
    consumer: RefCell<Option<Consumer<'static, u32>>>,
    /// How many were accepted, and how many came out, by calls that have returned; and by calls begun.
    pushed: Cell<u32>,
    pushing: Cell<u32>,
    popped: Cell<u32>,
    popping: Cell<u32>,
    capacity: u32,
    fault: RefCell<Option<String>>,
}

impl Object {
    fn expect(&self, is_right: bool, what: impl FnOnce() -> String) {
        if !is_right {
            self.fault.borrow_mut().get_or_insert_with(what);
        }
    }

    fn push(
        &self,
        most: u32,
        push: impl FnOnce(&mut Producer<'static, u32>, u32) -> u32,
    ) -> Outcome {
        let Ok(mut producer) = self.producer.try_borrow_mut() else { return Outcome::No };
        let Some(producer) = producer.as_mut() else { return Outcome::No };
        let first = self.pushed.get();
        // Whoever pops meanwhile may only make more room.
        let room = self.capacity - (first - self.popped.get());
        self.pushing.set(first + most);
        let count = push(producer, first);
        self.pushed.set(first + count);
        self.pushing.set(first + count);
        self.expect(count >= most.min(room), || {
            format!("{count} of {most} went into room for {room}")
        });
        Outcome::Pushed(count as usize)
    }

    fn pop(
        &self,
        most: u32,
        pop: impl FnOnce(&mut Consumer<'static, u32>, &mut dyn FnMut(u32)),
    ) -> Outcome {
        let Ok(mut consumer) = self.consumer.try_borrow_mut() else { return Outcome::No };
        let Some(consumer) = consumer.as_mut() else { return Outcome::No };
        let first = self.popped.get();
        let there = self.pushed.get() - first;
        self.popping.set(first + most);
        let mut next = first;
        pop(consumer, &mut |value| {
            self.expect(value == next, || format!("{value} came out instead of {next}"));
            next += 1;
        });
        let count = next - first;
        self.popped.set(next);
        self.popping.set(next);
        self.expect(count >= most.min(there), || format!("{count} of {most} came out of {there}"));
        Outcome::Popped(count as usize)
    }

    /// A length may be that of any moment of the call.
    fn ask(&self, len: impl FnOnce() -> usize) -> Outcome {
        let (pushed, popped) = (self.pushed.get(), self.popped.get());
        let len = len();
        let least = pushed.saturating_sub(self.popping.get());
        let most = (self.pushing.get() - popped).min(self.capacity);
        let is_right = (least as usize..=most as usize).contains(&len);
        self.expect(is_right, || format!("a length of {len}, not {least} to {most}"));
        Outcome::Len(len)
    }
}

struct Rings {
    capacity: u32,
    /// How many values have gone through, so that the indices stand here or there.
    passed: u32,
    filled: u32,
}

impl Subject for Rings {
    type Object = Object;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        format!("ring of {}, {} through, {} in", self.capacity, self.passed, self.filled)
    }

    fn fresh(&self) -> Object {
        let (producer, consumer) = spsc::ring(self.capacity as usize);
        let object = Object {
            producer: RefCell::new(Some(producer)),
            consumer: RefCell::new(Some(consumer)),
            pushed: Cell::new(0),
            pushing: Cell::new(0),
            popped: Cell::new(0),
            popping: Cell::new(0),
            capacity: self.capacity,
            fault: RefCell::default(),
        };
        for _ in 0..self.passed {
            self.apply(&object, &Op::Push);
            self.apply(&object, &Op::Pop);
        }
        for _ in 0..self.filled {
            self.apply(&object, &Op::Push);
        }
        object
    }

    fn apply(&self, object: &Object, op: &Op) -> Outcome {
        match *op {
            Op::Push => object.push(1, |producer, first| u32::from(producer.push(first).is_ok())),
            Op::PushMany(most) => object.push(most as u32, |producer, first| {
                producer.push_many(&mut (first..).take(most)) as u32
            }),
            Op::Pop => object.pop(1, |consumer, out| consumer.pop().into_iter().for_each(out)),
            Op::PopMany(most) => object.pop(most as u32, |consumer, out| {
                consumer.pop_many(most, out);
            }),
            Op::Peek => {
                let Ok(mut consumer) = object.consumer.try_borrow_mut() else { return Outcome::No };
                let Some(consumer) = consumer.as_mut() else { return Outcome::No };
                let (next, there) =
                    (object.popped.get(), object.pushed.get() > object.popped.get());
                let seen = consumer.peek().copied();
                object
                    .expect(seen.is_none_or(|seen| seen == next), || format!("{seen:?} in front"));
                object.expect(seen.is_some() || !there, || "nothing in front".into());
                Outcome::Popped(usize::from(seen.is_some()))
            }
            Op::AskProducer => {
                let Ok(producer) = object.producer.try_borrow() else { return Outcome::No };
                let Some(producer) = producer.as_ref() else { return Outcome::No };
                let gone = object.consumer.try_borrow().is_ok_and(|consumer| consumer.is_none());
                object.expect(!gone || producer.is_abandoned(), || "the consumer is gone".into());
                object.ask(|| producer.len())
            }
            Op::AskConsumer => {
                let Ok(consumer) = object.consumer.try_borrow() else { return Outcome::No };
                let Some(consumer) = consumer.as_ref() else { return Outcome::No };
                let gone = object.producer.try_borrow().is_ok_and(|producer| producer.is_none());
                object.expect(!gone || consumer.is_abandoned(), || "the producer is gone".into());
                object.ask(|| consumer.len())
            }
            Op::DropProducer => {
                let Ok(mut producer) = object.producer.try_borrow_mut() else { return Outcome::No };
                drop(producer.take());
                Outcome::Pushed(0)
            }
            Op::DropConsumer => {
                let Ok(mut consumer) = object.consumer.try_borrow_mut() else { return Outcome::No };
                drop(consumer.take());
                Outcome::Popped(0)
            }
        }
    }

    fn check(&self, object: Object, _: &Run<'_, Self>) -> Result<(), String> {
        if object.consumer.borrow().is_some() {
            self.apply(&object, &Op::PopMany(self.capacity as usize));
            let left = object.pushed.get() - object.popped.get();
            object.expect(left == 0, || format!("{left} are lost"));
            if object.producer.borrow().is_some() {
                self.apply(&object, &Op::PushMany(self.capacity as usize + 1));
                let room = object.pushed.get() - object.popped.get();
                object.expect(room == self.capacity, || format!("room for {room} only"));
            }
        }
        object.fault.into_inner().map_or(Ok(()), Err)
    }
}

#[test]
fn each_end_of_the_ring_preempted_by_the_other() {
    use Op::*;
    let at_producer = [Push, PushMany(2), AskProducer, DropProducer];
    let at_consumer = [Pop, PopMany(2), Peek, AskConsumer, DropConsumer];
    let sequences = |ops: &[Op]| -> Vec<Vec<Op>> {
        let pairs = ops.iter().flat_map(|&one| ops.iter().map(move |&two| vec![one, two]));
        ops.iter().map(|&one| vec![one]).chain(pairs).collect()
    };
    let (producers, consumers) = (sequences(&at_producer), sequences(&at_consumer));
    let mut combinations = 0;
    for capacity in 1..=3 {
        for passed in 0..2 * capacity {
            for filled in 0..=capacity {
                let subject = Rings { capacity, passed, filled };
                for a in &producers {
                    combinations += harness::preempt(&subject, a, &consumers);
                }
                for a in &consumers {
                    combinations += harness::preempt(&subject, a, &producers);
                }
            }
        }
    }
    println!("interrupt: spsc: {combinations} combinations");
}
