//! The bounded queue under loom: orderings of its pairs, and the roll-backs of void tickets.
//!
//! Each model runs a few parties on one queue. Every execution is checked: some sequential order that
//! keeps each party's own order explains what all of them saw and what is left, no item is lost, leaked
//! or dropped twice, and the queue takes its full capacity afterwards. The pairs and labels that the
//! models are named after are those of `core/src/queue/PROTOCOL.md`.

use std::sync::Arc;

use aqueduct_core::queue::ArrayQueue;
use aqueduct_tests::history::{Event, Others, Step, explain};
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op::{self, Force, Len, Pop, PopMany, Push, PushMany};

use crate::{Outcomes, explore};

struct Model {
    name: &'static str,
    capacity: usize,
    /// How many laps the queue has behind it.
    laps: usize,
    /// Items 1, 2, .. that are in it at first.
    fill: u64,
    parties: &'static [&'static [Op]],
    /// What must be seen at least once: each party's events, parties separated by `|`. `+1` pushed, `x`
    /// refused, `-1` popped, `.` empty, `^1` displaced, `=1` a length.
    expected: &'static [&'static str],
    /// A push after a pop of the same party is never refused.
    circulates: bool,
    end: End,
}

/// How the queue ends after the parties.
#[derive(Clone, Copy)]
enum End {
    /// Popped until empty, filled to its capacity, dropped full.
    Pop,
    /// By its iterator, which takes the shortcuts of an only owner.
    Iterate,
    /// Dropped as it is.
    Drop,
}

impl Model {
    const fn new(name: &'static str, capacity: usize) -> Self {
        Self {
            name,
            capacity,
            laps: 0,
            fill: 0,
            parties: &[],
            expected: &[],
            circulates: false,
            end: End::Pop,
        }
    }

    fn run(self) {
        let seen = Outcomes::default();
        let record = seen.clone();
        // One ledger for all executions: they run one after the other.
        let ledger: &'static Ledger = Box::leak(Box::new(Ledger::new(64)));
        let (name, expected) = (self.name, self.expected);
        explore(name, move || record.record(self.execute(ledger)));
        seen.must_include(expected);
    }

    fn execute(&self, ledger: &'static Ledger) -> String {
        ledger.reset();
        let queue = Arc::new(ArrayQueue::<Item<'static>>::starting_at(self.capacity, self.laps));
        for value in 1..=self.fill {
            assert!(queue.push(ledger.item(value)).is_ok());
        }

        let threads: Vec<_> = self
            .parties
            .iter()
            .map(|&ops| {
                let queue = Arc::clone(&queue);
                loom::thread::spawn(move || {
                    let apply = |op: &Op| op.apply(&*queue, ledger);
                    ops.iter().map(apply).collect::<Vec<_>>()
                })
            })
            .collect();
        let outcomes: Vec<Vec<Vec<Event>>> =
            threads.into_iter().map(|thread| thread.join().unwrap()).collect();

        let outcome = describe(&outcomes);
        // All parties are joined: the order of their last uses before this one is not loom's to check.
        let queue = Arc::into_inner(queue).expect("all parties are gone");
        let len = queue.len();
        ledger.judge(len).unwrap();
        let left: Option<Vec<u64>> = match self.end {
            End::Pop => {
                let left = std::iter::from_fn(|| queue.pop()).map(Item::into_value).collect();
                for _ in 0..self.capacity {
                    assert!(queue.push(ledger.item(0)).is_ok(), "{}: capacity lost", self.name);
                }
                assert!(queue.push(ledger.item(0)).is_err(), "{}: over capacity", self.name);
                drop(queue);
                Some(left)
            }
            End::Iterate => Some(queue.into_iter().map(Item::into_value).collect()),
            End::Drop => {
                drop(queue);
                None
            }
        };
        ledger.settle().unwrap();
        if let Some(left) = &left {
            assert_eq!(left.len(), len, "{}: len and what was left", self.name);
        }

        let start: Vec<u64> = (1..=self.fill).collect();
        let chains = self.chains(&outcomes);
        if let Err(complaint) = explain(self.capacity, &start, &chains, left.as_deref()) {
            panic!("{}: {outcome}, left {left:?}: {complaint}", self.name);
        }
        assert!(!self.circulates || !outcome.contains('x'), "refused after own pop: {outcome}");
        outcome
    }

    /// Only each party's own order is known: under a weak memory there is no common clock.
    fn chains(&self, outcomes: &[Vec<Vec<Event>>]) -> Vec<Vec<Step>> {
        let held = |ops: &[Op]| ops.iter().map(|op| op.most_held()).max().unwrap_or(0);
        let all: usize = self.parties.iter().map(|ops| held(ops)).sum();
        outcomes
            .iter()
            .zip(self.parties)
            .map(|(calls, ops)| {
                let others = Others::HoldUpTo(all - held(ops));
                let step =
                    |event: &Event| Step { event: event.clone(), began: 0, ended: 0, others };
                calls.iter().flatten().map(step).collect()
            })
            .collect()
    }
}

fn describe(outcomes: &[Vec<Vec<Event>>]) -> String {
    let event = |event: &Event| match event {
        Event::Pushed(value) => format!("+{value}"),
        Event::Refused => "x".to_owned(),
        Event::Popped(value) => format!("-{value}"),
        Event::Empty => ".".to_owned(),
        Event::Displaced(value) => format!("^{value}"),
        Event::Bounced => "b".to_owned(),
        Event::Len(len) => format!("={len}"),
        Event::IsEmpty(_) | Event::IsFull(_) => "?".to_owned(),
    };
    let party =
        |calls: &Vec<Vec<Event>>| calls.iter().flatten().map(event).collect::<Vec<_>>().join(" ");
    outcomes.iter().map(party).collect::<Vec<_>>().join(" | ")
}

// --- push:publish / pop:enter, push:claim / push:aim, pop:claim / pop:aim ------------------------------------

#[test]
fn two_producers_and_a_consumer_on_one_slot() {
    Model {
        parties: &[&[Push(10)], &[Push(20)], &[Pop, Pop]],
        expected: &[
            "+10 | x | -10 .",
            "x | +20 | -20 .",
            "+10 | +20 | -10 -20",
            "+10 | +20 | -20 -10",
            "+10 | +20 | . -10",
            "+10 | x | . .",
        ],
        ..Model::new("2 producers, 1 consumer, capacity 1", 1)
    }
    .run();
}

#[test]
fn two_producers_and_a_consumer_on_two_slots() {
    Model {
        parties: &[&[Push(10)], &[Push(20)], &[Pop, Pop]],
        expected: &["+10 | +20 | -10 -20", "+10 | +20 | -20 -10", "+10 | +20 | . ."],
        ..Model::new("2 producers, 1 consumer, capacity 2", 2)
    }
    .run();
}

#[test]
fn a_producer_and_two_consumers_on_one_slot() {
    Model {
        parties: &[&[Push(10), Push(20)], &[Pop], &[Pop]],
        expected: &[
            "+10 +20 | -10 | -20",
            "+10 +20 | -20 | -10",
            "+10 x | -10 | .",
            "+10 x | . | .",
        ],
        ..Model::new("1 producer, 2 consumers, capacity 1", 1)
    }
    .run();
}

#[test]
fn a_producer_and_two_consumers_on_two_slots() {
    Model {
        parties: &[&[Push(10), Push(20)], &[Pop], &[Pop]],
        expected: &["+10 +20 | -10 | -20", "+10 +20 | -20 | -10", "+10 +20 | . | ."],
        ..Model::new("1 producer, 2 consumers, capacity 2", 2)
    }
    .run();
}

#[test]
fn two_producers_and_two_consumers_on_one_slot() {
    Model {
        parties: &[&[Push(10)], &[Push(20)], &[Pop], &[Pop]],
        expected: &["+10 | +20 | -10 | -20", "+10 | x | -10 | .", "x | +20 | . | -20"],
        ..Model::new("2 producers, 2 consumers, capacity 1", 1)
    }
    .run();
}

#[test]
fn two_producers_and_two_consumers_on_two_slots() {
    Model {
        parties: &[&[Push(10)], &[Push(20)], &[Pop], &[Pop]],
        expected: &["+10 | +20 | -10 | -20", "+10 | +20 | -20 | -10", "+10 | +20 | . | ."],
        ..Model::new("2 producers, 2 consumers, capacity 2", 2)
    }
    .run();
}

// --- pop:let_go / push:enter: a slot used again ---------------------------------------------------------------

#[test]
fn a_slot_is_used_again() {
    Model {
        parties: &[&[Push(10), Push(20)], &[Pop, Pop]],
        expected: &["+10 +20 | -10 -20", "+10 +20 | -10 .", "+10 x | -10 .", "+10 x | . -10"],
        ..Model::new("a slot used again", 1)
    }
    .run();
}

#[test]
fn counters_wrap_while_full_and_while_empty() {
    for laps in [usize::MAX - 1, usize::MAX, usize::MAX / 2] {
        Model {
            laps,
            fill: 1,
            parties: &[&[Push(10), Push(20), Push(30)], &[Pop, Pop, Pop]],
            expected: &[
                "+10 +20 +30 | -1 -10 -20",
                "+10 x x | -1 -10 .",
                "+10 +20 +30 | -1 -10 -20",
            ],
            end: End::Iterate,
            ..Model::new("counters wrap", 2)
        }
        .run();
    }
}

// --- void:mark by a consumer / push:publish fails, takes back, lets go ----------------------------------------

/// C18: whoever has pushed finds the queue not empty, though a push before it stands half-way.
#[test]
fn a_consumer_voids_an_unpublished_ticket() {
    Model {
        parties: &[&[Push(10)], &[Push(20), Pop]],
        // The ticket of 10 was void: 20 overtakes, and 10 gets a later place.
        expected: &["+10 | +20 -20", "+10 | +20 -10"],
        ..Model::new("a consumer voids an unpublished ticket", 2)
    }
    .run();
}

/// C18, with a second pair: no Empty after an own push while nobody else pops.
#[test]
fn own_pop_after_own_push_finds_something() {
    Model {
        parties: &[&[Push(10), Pop], &[Push(20), Pop]],
        expected: &["+10 -10 | +20 -20", "+10 -20 | +20 -10"],
        ..Model::new("pop after own push, twice", 2)
    }
    .run();
}

#[test]
fn a_voided_push_on_a_full_queue_is_refused_or_finds_another_place() {
    Model {
        fill: 1,
        parties: &[&[Push(10)], &[Push(20), Pop, Pop, Push(30)]],
        expected: &["+10 | +20 -1 -20 +30", "+10 | x -1 . +30", "+10 | x -1 -10 +30"],
        ..Model::new("a voided push meets others", 2)
    }
    .run();
}

// --- void:mark by a producer / pop:let_go fails, lets go for a later lap --------------------------------------

/// C01: both pop, then push; the producer that meets the slot of a pop half-way passes over it.
#[test]
fn own_push_after_own_pop_is_accepted() {
    for capacity in [1, 2] {
        Model {
            fill: 2.min(capacity as u64),
            parties: &[&[Pop, Push(10)], &[Pop, Push(20)]],
            // On one slot the party that finds nothing pushes nevertheless, and may be refused.
            circulates: capacity == 2,
            expected: if capacity == 2 {
                &["-1 +10 | -2 +20", "-2 +10 | -1 +20"]
            } else {
                &["-1 +10 | -10 +20", "-1 x | . +20", "-1 +10 | . x"]
            },
            ..Model::new("push after own pop", capacity)
        }
        .run();
    }
}

#[test]
fn a_producer_passes_over_a_slot_that_is_popped_half_way() {
    Model {
        fill: 2,
        parties: &[&[Pop], &[Pop, Push(10), Push(20), Pop]],
        expected: &["-1 | -2 +10 +20 -10", "-2 | -1 +10 +20 -10", "-1 | -2 +10 x -10"],
        ..Model::new("a producer passes over a popped slot", 2)
    }
    .run();
}

#[test]
fn a_queue_with_void_tickets_is_dropped() {
    Model {
        fill: 2,
        parties: &[&[Pop], &[Pop, Push(10), Push(20)], &[Push(30)]],
        expected: &["-1 | -2 +10 +20 | x", "-2 | -1 +10 x | +30"],
        end: End::Drop,
        ..Model::new("dropped with void tickets in it", 2)
    }
    .run();
}

// --- displace:aim, settle:own ---------------------------------------------------------------------------------

#[test]
fn a_forced_push_meets_a_pop() {
    for capacity in [1, 2] {
        Model {
            fill: capacity as u64,
            parties: &[&[Force(10)], &[Pop, Pop]],
            expected: if capacity == 1 {
                &["^1 +10 | . -10", "^1 +10 | -10 .", "+10 | -1 -10", "+10 | -1 ."]
            } else {
                &["^1 +10 | -2 -10", "+10 | -1 -2"]
            },
            ..Model::new("a forced push meets a pop", capacity)
        }
        .run();
    }
}

#[test]
fn a_forced_push_meets_a_forced_push() {
    for capacity in [1, 2] {
        Model {
            fill: capacity as u64,
            parties: &[&[Force(10)], &[Force(20)]],
            expected: if capacity == 1 {
                &["^1 +10 | ^10 +20", "^20 +10 | ^1 +20", "^1 +10 | b"]
            } else {
                &["^1 +10 | ^2 +20", "^2 +10 | ^1 +20"]
            },
            end: End::Iterate,
            ..Model::new("two forced pushes", capacity)
        }
        .run();
    }
}

#[test]
fn a_forced_push_meets_a_push_and_a_pop() {
    Model {
        fill: 2,
        parties: &[&[Force(10)], &[Push(20)], &[Pop]],
        expected: &["^1 +10 | x | -2", "+10 | x | -1", "^2 +10 | +20 | -1"],
        ..Model::new("a forced push, a push and a pop", 2)
    }
    .run();
}

// --- batches: several tickets for one claim -------------------------------------------------------------------

#[test]
fn a_batch_of_pushes_meets_a_batch_of_pops() {
    Model {
        parties: &[&[PushMany(10, 2)], &[PopMany(2)]],
        expected: &["+10 +11 | -10 -11", "+10 +11 | -10 .", "+10 +11 | ."],
        ..Model::new("a batch meets a batch", 2)
    }
    .run();
}

#[test]
fn a_batch_of_pushes_is_voided_in_the_middle() {
    Model {
        parties: &[&[PushMany(10, 2)], &[Push(20), Pop]],
        expected: &["+10 +11 | +20 -20", "+10 +11 | +20 -10"],
        ..Model::new("a batch voided in the middle", 3)
    }
    .run();
}

#[test]
fn a_batch_of_pops_is_passed_over() {
    Model {
        fill: 2,
        parties: &[&[PopMany(2)], &[Push(10), Push(20), Pop]],
        expected: &["-1 -2 | +10 +20 -10", "-1 -2 | x +20 -20"],
        ..Model::new("a batch of pops passed over", 2)
    }
    .run();
}

#[test]
fn two_batches_of_pushes() {
    Model {
        parties: &[&[PushMany(10, 2)], &[PushMany(20, 2)], &[Pop]],
        expected: &["+10 +11 | x | -10", "+10 +11 | x | .", "+10 x | +20 +21 | -20"],
        end: End::Drop,
        ..Model::new("two batches of pushes and a pop", 2)
    }
    .run();
}

// --- len:tail, len:head ----------------------------------------------------------------------------------------

#[test]
fn a_length_is_asked_while_others_push_and_pop() {
    Model {
        fill: 1,
        parties: &[&[Push(10)], &[Pop], &[Len]],
        expected: &["+10 | -1 | =0", "+10 | -1 | =1", "+10 | -1 | =2"],
        ..Model::new("a length beside a push and a pop", 2)
    }
    .run();
}
