//! The bounded queue preempted before each of its atomic accesses.
//!
//! The oracle of every combination: some sequential order explains all outcomes and what is left in the
//! queue ([`aqueduct_tests::history`]), where the only relaxation is a slot held by a party that is frozen;
//! the number of slots that a frozen party holds is one number for as long as it is frozen, so a push that
//! follows a pop of the same handler can never be refused. Once nobody is frozen the capacity is back in
//! full, and every item was dropped exactly once.

use aqueduct_core::queue::{ArrayQueue, StaticQueue};
use aqueduct_tests::history::{Event, Frozen, Others, Step, explain};
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op;
use aqueduct_tests::queue::BoundedQueue;

use crate::harness::{
    Run, Subject, interrupted, longest_party, preempt, preempt_nested, preempt_twice, set_budget,
    uninterrupted,
};

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

// --- start states ------------------------------------------------------------------------------------------

/// What happened to a queue before the run: `scarred` was preempted at a step by others and then finished,
/// so that void tickets may lie between head and tail.
#[derive(Clone)]
struct Scar {
    op: Op,
    step: u32,
    others: Vec<Op>,
}

/// A queue of some type and capacity in some start state.
struct Start<'a, F> {
    name: String,
    make: F,
    ledger: &'a Ledger,
    /// How many items were pushed at first.
    fill: u64,
    scar: Option<Scar>,
    /// What is in the queue at the start of a run.
    content: Vec<u64>,
    /// Whether a push may be refused at all.
    may_refuse: bool,
}

impl<'a, Q, F> Start<'a, F>
where
    Q: BoundedQueue<Item<'a>>,
    F: Fn() -> Q,
{
    fn new(name: &str, make: F, ledger: &'a Ledger, fill: usize) -> Self {
        Self {
            name: format!("{name}, {fill} in it"),
            make,
            ledger,
            fill: fill as u64,
            scar: None,
            content: (1..=fill as u64).collect(),
            may_refuse: true,
        }
    }

    /// The same with a past; `None` if the operation has no such step.
    fn scarred(&self, scar: Scar) -> Option<Start<'a, &F>> {
        let mut start = Start {
            name: format!("{}, after {:?} @{} {:?}", self.name, scar.op, scar.step, scar.others),
            make: &self.make,
            ledger: self.ledger,
            fill: self.fill,
            scar: Some(scar),
            content: Vec::new(),
            may_refuse: true,
        };
        let (queue, fired) = start.make_scarred();
        start.content =
            uninterrupted(|| std::iter::from_fn(|| queue.pop()).map(Item::into_value).collect());
        fired.then_some(start)
    }

    fn make_scarred(&self) -> (Q, bool) {
        self.ledger.reset();
        let queue = (self.make)();
        for value in 1..=self.fill {
            assert!(queue.push(self.ledger.item(value)).is_ok());
        }
        let Some(scar) = &self.scar else { return (queue, true) };
        let mut others = || {
            for op in &scar.others {
                op.apply(&queue, self.ledger);
            }
        };
        let (_, fired) = interrupted(scar.step, &mut others, || scar.op.apply(&queue, self.ledger));
        (queue, fired)
    }
}

impl<'a, Q, F> Subject for Start<'a, F>
where
    Q: BoundedQueue<Item<'a>>,
    F: Fn() -> Q,
{
    type Object = Q;
    type Op = Op;
    type Outcome = Vec<Event>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn fresh(&self) -> Q {
        self.make_scarred().0
    }

    fn apply(&self, queue: &Q, op: &Op) -> Vec<Event> {
        op.apply(queue, self.ledger)
    }

    fn check(&self, queue: Q, run: &Run<'_, Self>) -> Result<(), String> {
        let refused = |call: &&crate::harness::Call<'_, Op, Vec<Event>>| {
            call.outcome.contains(&Event::Refused)
        };
        if !self.may_refuse && run.calls.iter().any(|call| refused(&call)) {
            return Err("a push was refused after a pop of its own party".to_owned());
        }

        // Nobody is part-way now: lengths are exact, the capacity is there in full.
        let capacity = queue.capacity();
        let len = queue.len();
        if queue.is_empty() != (len == 0) || queue.is_full() != (len == capacity) {
            return Err(format!("len {len}, but is_empty or is_full says otherwise"));
        }
        const FILLER: u64 = 1000;
        for filler in 0..(capacity - len) as u64 {
            if queue.push(self.ledger.item(FILLER + filler)).is_err() {
                return Err(format!(
                    "capacity lost: after the run len is {len}, and {filler} more were accepted"
                ));
            }
        }
        if queue.push(self.ledger.item(0)).is_ok() {
            return Err(format!("with len {len} more than {} were accepted", capacity - len));
        }
        let mut left: Vec<u64> = std::iter::from_fn(|| queue.pop()).map(Item::into_value).collect();
        let fillers = left.split_off(len.min(left.len()));
        if !fillers.iter().copied().eq((FILLER..).take(capacity - len)) {
            return Err(format!("len was {len}, but popping gave {left:?} and then {fillers:?}"));
        }
        if !queue.is_empty() {
            return Err("popped until empty, but is_empty says no".to_owned());
        }

        // One more lap, and some items to be dropped with the queue.
        for value in 0..capacity as u64 {
            if queue.push(self.ledger.item(value)).is_err() {
                return Err(format!("capacity lost in the next lap: {value} accepted"));
            }
        }
        if queue.pop().map(Item::into_value) != Some(0) {
            return Err("the next lap does not begin with its first item".to_owned());
        }
        drop(queue);
        self.ledger.settle()?;

        self.explained(capacity, run, &left)
    }
}

impl<'a, Q, F> Start<'a, F>
where
    Q: BoundedQueue<Item<'a>>,
    F: Fn() -> Q,
{
    /// Tries each number of slots that each frozen party may hold, and of items that it may have shown.
    fn explained(&self, capacity: usize, run: &Run<'_, Self>, left: &[u64]) -> Result<(), String> {
        // Where in its chain the steps of each call lie.
        let mut lengths = [0; 3];
        let places: Vec<(usize, usize)> = run
            .calls
            .iter()
            .map(|call| {
                let from = lengths[call.level];
                lengths[call.level] += call.outcome.len();
                (from, lengths[call.level])
            })
            .collect();
        // The call that each activation of a handler preempted.
        let activations = run.calls.iter().map(|call| call.activation).max().unwrap_or(0);
        let victims: Vec<Option<usize>> = (0..=activations)
            .map(|activation| {
                let first = run.calls.iter().find(|call| call.activation == activation)?;
                run.calls.iter().position(|call| {
                    call.level + 1 == first.level
                        && call.began < first.began
                        && first.ended < call.ended
                })
            })
            .collect();
        let choices: Vec<Vec<Option<Frozen>>> = victims
            .iter()
            .map(|victim| {
                let Some(victim) = *victim else { return vec![None] };
                let (call, (from, to)) = (&run.calls[victim], places[victim]);
                let most = call.op.most_held().min(capacity);
                let choice =
                    |holds, shown| Some(Frozen { chain: call.level, unshown: (shown, to), holds });
                match call.op {
                    // Each slot that it holds is for an item that is not shown yet.
                    Op::Push(_) | Op::PushMany(..) => (from..=to)
                        .flat_map(|shown| {
                            (0..=most.min(to - shown)).map(move |holds| choice(holds, shown))
                        })
                        .collect(),
                    Op::Pop | Op::PopMany(_) | Op::PopManyPanics(_) => {
                        (0..=most).map(|holds| choice(holds, to)).collect()
                    }
                    _ => (from..=to)
                        .flat_map(|shown| (0..=most).map(move |holds| choice(holds, shown)))
                        .collect(),
                }
            })
            .collect();

        let mut choice = vec![0; choices.len()];
        loop {
            let frozen = |activation: usize| choices[activation][choice[activation]];
            let mut chains = [const { Vec::new() }; 3];
            for call in &run.calls {
                // A handler's victim, and, if that is a handler, too, the victim of it.
                let victim = victims[call.activation].map_or(0, |call| run.calls[call].activation);
                let others = Others::Frozen([frozen(call.activation), frozen(victim)]);
                chains[call.level].extend(call.outcome.iter().cloned().map(|event| Step {
                    event,
                    began: call.began.into(),
                    ended: call.ended.into(),
                    others,
                }));
            }
            let verdict = explain(capacity, &self.content, &chains, Some(left));
            if verdict.is_ok() {
                return verdict;
            }
            let Some(next) = (0..choice.len()).find(|&it| choice[it] + 1 < choices[it].len())
            else {
                return verdict.map_err(|complaint| {
                    format!(
                        "{complaint}; the queue held {:?} at first, {left:?} at last",
                        self.content
                    )
                });
            };
            choice[next] += 1;
            choice[..next].fill(0);
        }
    }
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
