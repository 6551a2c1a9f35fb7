//! Operations of one party among several, with their outcomes as the events of a history.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::history::Event;
use crate::ledger::{Item, Ledger};
use crate::queue::{BoundedQueue, Hinted, quiet_planned_panics};

/// An operation; the numbers are the values that it pushes, or how many it asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `push`
    Push(u64),
    /// `pop`
    Pop,
    /// `force_push`
    Force(u64),
    /// `push_many`: the first value, and how many.
    PushMany(u64, usize),
    /// `pop_many`: how many at most.
    PopMany(usize),
    /// `push_many`: the first value, and after how many the iterator panics, which promised two more.
    PushManyPanics(u64, usize),
    /// `pop_many` of at most so many, with a closure that panics at the first.
    PopManyPanics(usize),
    /// `len`
    Len,
    /// `is_empty`
    IsEmpty,
    /// `is_full`
    IsFull,
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Op::Push(value) => write!(f, "push({value})"),
            Op::Pop => write!(f, "pop"),
            Op::Force(value) => write!(f, "force_push({value})"),
            Op::PushMany(first, n) => write!(f, "push_many({first}..{})", first + n as u64),
            Op::PopMany(max) => write!(f, "pop_many({max})"),
            Op::PushManyPanics(first, n) => {
                write!(f, "push_many({first}..{}, then panics)", first + n as u64)
            }
            Op::PopManyPanics(max) => write!(f, "pop_many({max}, panics)"),
            Op::Len => write!(f, "len"),
            Op::IsEmpty => write!(f, "is_empty"),
            Op::IsFull => write!(f, "is_full"),
        }
    }
}

impl Op {
    /// The most slots that the operation may hold while it is part-way.
    pub fn most_held(self) -> usize {
        match self {
            Op::Push(_) | Op::Pop => 1,
            // The slot of the item that it displaced, and the one to which it moves.
            Op::Force(_) => 2,
            // As above, if the place of its last value was taken away.
            Op::PushMany(_, n) => n + 1,
            Op::PopMany(n) | Op::PopManyPanics(n) => n,
            Op::PushManyPanics(_, n) => n + 2,
            Op::Len | Op::IsEmpty | Op::IsFull => 0,
        }
    }

    /// Does it, and tells what came of it.
    ///
    /// # Panics
    ///
    /// If the queue gives another item back, or counts wrongly.
    pub fn apply<'a>(self, queue: &impl BoundedQueue<Item<'a>>, ledger: &'a Ledger) -> Vec<Event> {
        match self {
            Op::Push(value) => match queue.push(ledger.item(value)) {
                Ok(()) => vec![Event::Pushed(value)],
                Err(item) => {
                    assert_eq!(item.into_value(), value, "push gave another item back");
                    vec![Event::Refused]
                }
            },
            Op::Pop => vec![match queue.pop() {
                Some(item) => Event::Popped(item.into_value()),
                None => Event::Empty,
            }],
            Op::Force(value) => {
                let displaced = queue.force_push(ledger.item(value)).map(Item::into_value);
                Event::forced(value, displaced)
            }
            Op::PushMany(first, n) => {
                let mut events = Vec::with_capacity(n);
                let pushed = queue.push_many(&mut (first..first + n as u64).map(|value| {
                    events.push(Event::Pushed(value));
                    ledger.item(value)
                }));
                assert_eq!(
                    pushed,
                    events.len(),
                    "push_many asked for an item that it did not take"
                );
                if pushed < n {
                    events.push(Event::Refused);
                }
                events
            }
            Op::PopMany(max) => {
                let mut events = Vec::with_capacity(max);
                let popped =
                    queue.pop_many(max, &mut |item| events.push(Event::Popped(item.into_value())));
                assert_eq!(popped, events.len(), "pop_many said another number than it gave");
                if popped < max {
                    events.push(Event::Empty);
                }
                events
            }
            Op::PushManyPanics(first, n) => {
                quiet_planned_panics();
                let mut events = Vec::with_capacity(n);
                let mut items = Hinted {
                    hint: (n + 2, None),
                    next: || {
                        let value = first + events.len() as u64;
                        assert!(events.len() < n, "the iterator panics, as it was told");
                        events.push(Event::Pushed(value));
                        Some(ledger.item(value))
                    },
                };
                let pushed = catch_unwind(AssertUnwindSafe(|| queue.push_many(&mut items)));
                if let Ok(pushed) = pushed {
                    assert_eq!(pushed, events.len(), "push_many asked for what it did not take");
                    events.push(Event::Refused);
                }
                events
            }
            Op::PopManyPanics(max) => {
                quiet_planned_panics();
                let mut events = Vec::with_capacity(max);
                let popped = catch_unwind(AssertUnwindSafe(|| {
                    queue.pop_many(max, &mut |item: Item<'a>| {
                        events.push(Event::Popped(item.into_value()));
                        ledger.discarded();
                        panic!("the closure panics, as it was told");
                    })
                }));
                match popped {
                    Ok(popped) => {
                        assert_eq!(popped, 0, "pop_many said another number than it gave");
                        events.push(Event::Empty);
                    }
                    // Those that were claimed with it are dropped: popped, too.
                    Err(_) => events.extend(ledger.discarded().into_iter().map(Event::Popped)),
                }
                events
            }
            Op::Len => vec![Event::Len(queue.len())],
            Op::IsEmpty => vec![Event::IsEmpty(queue.is_empty())],
            Op::IsFull => vec![Event::IsFull(queue.is_full())],
        }
    }
}
