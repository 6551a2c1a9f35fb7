//! The bounded queue preempted before each of its atomic accesses.
//!
//! The oracle of every combination: some sequential order explains all outcomes and what is left in the
//! queue ([`aqueduct_tests::history`]), where the only relaxation is a slot held by a party that is frozen;
//! the number of slots that a frozen party holds is one number for as long as it is frozen, so a push that
//! follows a pop of the same handler can never be refused. Once nobody is frozen the capacity is back in
//! full, and every item was dropped exactly once.

mod start;

use aqueduct_core::queue::{ArrayQueue, StaticQueue};
use aqueduct_tests::history::Event;
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op;

use crate::harness::{
    interrupted, longest_party, preempt, preempt_nested, preempt_twice, set_budget,
};
use start::{Scar, Start};

// --- operations --------------------------------------------------------------------------------------------

/// A kind of operation; its place in a sequence decides its values.
#[derive(Clone, Copy)]
enum Kind {
    Push,
    Pop,
    Force,
    PushMany(usize),
    PopMany(usize),
    Len,
    IsEmpty,
    IsFull,
}

use Kind::{Force, IsEmpty, IsFull, Len, Pop, PopMany, Push, PushMany};

/// All kinds of operations.
const ALL: [Kind; 8] = [Push, Pop, Force, PushMany(2), PopMany(2), Len, IsEmpty, IsFull];
/// Those that change the queue.
const CHANGES: [Kind; 5] = [Push, Pop, Force, PushMany(2), PopMany(2)];

/// The values of parties: A's begin at 100, B's at 200, C's at 300, of a second B at 400.
fn sequence(base: u64, kinds: &[Kind]) -> Vec<Op> {
    let value = |nth: usize| base + 10 * nth as u64;
    kinds
        .iter()
        .enumerate()
        .map(|(nth, kind)| match *kind {
            Push => Op::Push(value(nth)),
            Pop => Op::Pop,
            Force => Op::Force(value(nth)),
            PushMany(n) => Op::PushMany(value(nth), n),
            PopMany(max) => Op::PopMany(max),
            Len => Op::Len,
            IsEmpty => Op::IsEmpty,
            IsFull => Op::IsFull,
        })
        .collect()
}

/// All sequences of `kinds` of these lengths.
fn sequences(base: u64, kinds: &[Kind], lengths: std::ops::RangeInclusive<usize>) -> Vec<Vec<Op>> {
    let mut all = Vec::new();
    let mut longest: Vec<Vec<Kind>> = vec![vec![]];
    for length in 1..=*lengths.end() {
        longest = longest
            .iter()
            .flat_map(|start| kinds.iter().map(|&kind| [&start[..], &[kind]].concat()))
            .collect();
        if lengths.contains(&length) {
            all.extend(longest.iter().map(|kinds| sequence(base, kinds)));
        }
    }
    all
}

// --- the runs ----------------------------------------------------------------------------------------------

/// Laps that a queue has behind it at the start: none; so many that the next is where the counters
/// change their sign; that the next or the one after is where they wrap.
const LAPS: [usize; 4] = [0, usize::MAX / 2, usize::MAX - 1, usize::MAX];

type Queues = Start<'static, Box<dyn Fn() -> ArrayQueue<Item<'static>>>>;

/// Runs `each` on queues of these capacities with every number of items in them.
fn on_queues(
    what: &str,
    capacities: &[usize],
    laps: &[usize],
    mut each: impl FnMut(&Queues) -> u64,
) {
    let ledger = ledger();
    let mut combinations = 0;
    for &capacity in capacities {
        for &laps in laps {
            for fill in 0..=capacity {
                let name = format!("queue of {capacity}, {} laps on", laps as isize);
                let make = move || ArrayQueue::starting_at(capacity, laps);
                let make: Box<dyn Fn() -> _> = Box::new(make);
                combinations += each(&Start::new(&name, make, ledger, fill));
            }
        }
    }
    report(what, combinations);
}

fn ledger() -> &'static Ledger {
    Box::leak(Box::new(Ledger::new(100)))
}

fn report(what: &str, combinations: u64) {
    let alone = std::env::var_os("AQUEDUCT_INTERRUPT_ONLY").is_some();
    assert!(combinations > 0 || alone, "{what}: nothing was checked");
    println!(
        "interrupt: queue: {combinations} combinations: {what} (longest party: {} steps)",
        longest_party()
    );
}

/// All kinds of A, alone.
fn each_a() -> Vec<Vec<Op>> {
    let mut all = sequences(100, &ALL, 1..=1);
    all.push(sequence(100, &[PushMany(3)]));
    all.push(sequence(100, &[PopMany(3)]));
    all
}

#[test]
fn every_operation_by_every_pair() {
    on_queues("every operation by every one and pair", &[1, 2, 3], &LAPS, |start| {
        each_a().iter().map(|a| preempt(start, a, &sequences(200, &ALL, 1..=2))).sum()
    });
}

#[test]
fn every_operation_by_every_triple() {
    on_queues("every operation by every triple of changes", &[1, 2, 3], &LAPS[..2], |start| {
        each_a().iter().map(|a| preempt(start, a, &sequences(200, &CHANGES, 3..=3))).sum()
    });
}

/// The frozen party's slot comes round several times.
#[test]
fn every_operation_by_long_runs_of_push_and_pop() {
    on_queues("every operation by push and pop up to 7 long", &[1, 2, 3], &LAPS[2..3], |start| {
        each_a().iter().map(|a| preempt(start, a, &sequences(200, &[Push, Pop], 4..=7))).sum()
    });
}

#[test]
fn every_pair_of_operations_by_every_pair() {
    on_queues("every pair of changes by every pair", &[1, 2, 3], &LAPS[..1], |start| {
        sequences(100, &CHANGES, 2..=2)
            .iter()
            .map(|a| preempt(start, a, &sequences(200, &CHANGES, 1..=2)))
            .sum()
    });
}

#[test]
fn every_operation_twice() {
    on_queues("every change, by two handlers at two steps", &[1, 2, 3], &LAPS[..1], |start| {
        let firsts = sequences(200, &[Push, Pop, Force], 1..=2);
        let seconds = sequences(400, &[Push, Pop, Force], 1..=2);
        sequences(100, &CHANGES, 1..=1)
            .iter()
            .map(|a| preempt_twice(start, a, &firsts, &seconds))
            .sum()
    });
}

#[test]
fn nested_handlers() {
    on_queues(
        "every change, by every handler, by every handler",
        &[1, 2, 3],
        &LAPS[..1],
        |start| by_nested_handlers(start, &CHANGES),
    );
}

fn by_nested_handlers(start: &Queues, innermost: &[Kind]) -> u64 {
    let bs = sequences(200, &CHANGES, 1..=1);
    let cs = sequences(300, innermost, 1..=1);
    sequences(100, &CHANGES, 1..=1).iter().map(|a| preempt_nested(start, a, &bs, &cs)).sum()
}

#[test]
fn nested_handlers_that_push_and_pop() {
    on_queues("push and pop, nested, up to 3 long", &[1, 2, 3], &LAPS[2..3], |start| {
        let bs = sequences(200, &[Push, Pop], 1..=3);
        let cs = sequences(300, &[Push, Pop], 1..=3);
        sequences(100, &[Push, Pop, Force], 1..=1)
            .iter()
            .map(|a| preempt_nested(start, a, &bs, &cs))
            .sum()
    });
}

/// A push is frozen after it has voided the ticket at the tail, and before the tail has passed that: whoever
/// pops everything comes to that ticket, too, and must bring the tail along. Otherwise the queue, empty,
/// counts as full until the next push.
#[test]
fn the_head_never_passes_the_tail() {
    on_queues("pops up to a tail that stands on a void ticket", &[1, 2, 3], &LAPS[2..3], |start| {
        let bs = sequences(200, &[Push, Pop], 1..=3);
        let cs: Vec<_> = (1..=3)
            .map(|pops| sequence(300, &[&[Pop].repeat(pops)[..], &[IsFull]].concat()))
            .collect();
        [Pop, Push].iter().map(|&a| preempt_nested(start, &sequence(100, &[a]), &bs, &cs)).sum()
    });
}

/// Each operation on queues where another was preempted earlier, at each of its steps.
#[test]
fn every_operation_where_others_were_preempted_before() {
    on_queues("every change, after another was preempted", &[1, 2, 3], &LAPS[2..3], |start| {
        where_others_were_preempted_before(start, &CHANGES)
    });
}

fn where_others_were_preempted_before(start: &Queues, handlers: &[Kind]) -> u64 {
    let mut others = sequences(20, &[Push, Pop], 1..=4);
    others.extend(sequences(20, &[Force, Pop, PushMany(2)], 1..=2));
    let bs = sequences(200, handlers, 1..=1);
    let mut combinations = 0;
    for kind in CHANGES {
        let op = sequence(10, &[kind])[0];
        for others in &others {
            for step in 1.. {
                let others = others.clone();
                let Some(scarred) = start.scarred(Scar { op, step, others }) else { break };
                for a in sequences(100, &CHANGES, 1..=1) {
                    combinations += preempt(&scarred, &a, &bs);
                }
            }
        }
    }
    combinations
}

/// `len`, `is_empty` and `is_full` at the same places.
#[test]
fn lengths_in_nested_handlers_and_where_others_were_preempted_before() {
    on_queues("lengths in nested handlers", &[1, 2, 3], &LAPS[..1], |start| {
        by_nested_handlers(start, &[Len, IsEmpty, IsFull])
    });
    on_queues("lengths, after another was preempted", &[1, 2, 3], &LAPS[2..3], |start| {
        where_others_were_preempted_before(start, &[Len, IsEmpty, IsFull])
    });
}

/// The other storage, in place.
#[test]
fn static_queues() {
    fn on<const N: usize>() -> u64 {
        let ledger = ledger();
        (0..=N)
            .map(|fill| {
                let name = format!("static queue of {N}");
                let start = Start::new(&name, StaticQueue::<Item<'_>, N>::new, ledger, fill);
                each_a()
                    .iter()
                    .map(|a| preempt(&start, a, &sequences(200, &ALL, 1..=2)))
                    .sum::<u64>()
            })
            .sum()
    }
    report("every operation on static queues", on::<1>() + on::<2>() + on::<3>() + on::<4>());
}

/// C01: a party that pops and then pushes is never refused, wherever it is frozen and whatever others that
/// do the same have done meanwhile.
///
/// On three items, with A frozen after it claimed the second: B pushes (ticket 3), pops, and pushes again,
/// which voids the ticket of A's slot. A's pop ends, and A's push must be accepted: three items are in
/// the queue and in hands, and three slots there are.
#[test]
fn own_push_after_own_pop_is_accepted_wherever_others_are_frozen() {
    on_queues("own push after own pop", &[1, 2, 3], &LAPS, |start| {
        if start.content.is_empty() {
            return 0;
        }
        let start = Start {
            name: format!("{}, no push may be refused", start.name),
            make: &start.make,
            ledger: start.ledger,
            fill: start.fill,
            scar: None,
            content: start.content.clone(),
            may_refuse: false,
        };
        let both = [Pop, Push];
        let rounds = |base| -> Vec<Vec<Op>> {
            (1..=4).map(|rounds| sequence(base, &both.repeat(rounds))).collect()
        };
        // Between them they have no more in hand than there was: while one is frozen with an item in
        // hand, another must find one to pop, or it has nothing to push.
        if start.content.len() < 2 {
            return 0;
        }
        let mut combinations = 0;
        for a in rounds(100).iter().take(2) {
            combinations += preempt(&start, a, &rounds(200));
            if start.content.len() >= 3 {
                combinations += preempt_nested(&start, a, &rounds(200), &rounds(300)[..2]);
            }
        }
        combinations
    });
}

/// The iterator of a `push_many`, or the closure of a `pop_many`, panics, and others come in between at
/// every step: no item is lost or dropped twice, and every slot comes back.
#[test]
fn batches_that_panic() {
    on_queues("batches that panic", &[1, 2, 3], &LAPS[2..3], |start| {
        let bs = sequences(200, &CHANGES, 1..=2);
        let panicking = [
            Op::PushManyPanics(100, 0),
            Op::PushManyPanics(100, 1),
            Op::PushManyPanics(100, 2),
            Op::PopManyPanics(1),
            Op::PopManyPanics(2),
            Op::PopManyPanics(3),
        ];
        let mut combinations = 0;
        for op in panicking {
            combinations += preempt(start, &[op], &bs);
            let one = sequences(200, &CHANGES, 1..=1);
            combinations += one.iter().map(|a| preempt(start, a, &[vec![op]])).sum::<u64>();
        }
        combinations
    });
}

/// C05: a pop, or a push, is frozen before each of its steps while others move exactly 2^8 and 2^16 items,
/// and the counters go round as many laps. Nothing comes out twice, and nothing is lost.
#[test]
fn others_go_round_by_powers_of_two_while_one_is_frozen() {
    set_budget(u32::MAX);
    let mut combinations = 0;
    for capacity in [1, 2, 3, 4] {
        for items in [1 << 8, 1 << 16, (1 << 8) * capacity, (1 << 16) * capacity] {
            for op in [Op::Push(1), Op::Pop] {
                for step in 1.. {
                    match frozen_while_others_go_round(capacity, items, op, step) {
                        true => combinations += 1,
                        false => break,
                    }
                }
            }
        }
    }
    report("counters go round while one is frozen", combinations);
}

fn frozen_while_others_go_round(capacity: usize, items: usize, op: Op, step: u32) -> bool {
    // Each item carries how often it may come out: once.
    let ledger = Ledger::new(capacity + items + 2);
    let queue = ArrayQueue::new(capacity);
    let (mut pushed, mut came_out) = (0, 0);
    for value in 0..capacity as u64 {
        assert!(queue.push(ledger.item(value)).is_ok());
        pushed += 1;
    }
    let mut others = || {
        for _ in 0..items {
            came_out += usize::from(queue.pop().is_some());
            pushed += usize::from(queue.push(ledger.item(0)).is_ok());
        }
    };
    let (events, fired) = interrupted(step, &mut others, || op.apply(&queue, &ledger));
    pushed += events.iter().filter(|event| matches!(event, Event::Pushed(_))).count();
    came_out += events.iter().filter(|event| matches!(event, Event::Popped(_))).count();
    assert_eq!(queue.len(), pushed - came_out);
    came_out += std::iter::from_fn(|| queue.pop()).count();
    assert_eq!(pushed, came_out);
    ledger.settle().unwrap();
    fired
}
