//! What is preempted: queues in their start states, and the oracle of what may have come of it.

use aqueduct_tests::history::{Event, Frozen, Others, Step, explain};
use aqueduct_tests::ledger::{Item, Ledger};
use aqueduct_tests::party::Op;
use aqueduct_tests::queue::BoundedQueue;

use crate::harness::{Run, Subject, interrupted, uninterrupted};

/// What happened to a queue before the run: `scarred` was preempted at a step by others and then finished,
/// so that void tickets may lie between head and tail.
#[derive(Clone)]
pub(super) struct Scar {
    pub(super) op: Op,
    pub(super) step: u32,
    pub(super) others: Vec<Op>,
}

/// A queue of some type and capacity in some start state.
pub(super) struct Start<'a, F> {
    pub(super) name: String,
    pub(super) make: F,
    pub(super) ledger: &'a Ledger,
    /// How many items were pushed at first.
    pub(super) fill: u64,
    pub(super) scar: Option<Scar>,
    /// What is in the queue at the start of a run.
    pub(super) content: Vec<u64>,
    /// Whether a push may be refused at all.
    pub(super) may_refuse: bool,
}

impl<'a, Q, F> Start<'a, F>
where
    Q: BoundedQueue<Item<'a>>,
    F: Fn() -> Q,
{
    pub(super) fn new(name: &str, make: F, ledger: &'a Ledger, fill: usize) -> Self {
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
    pub(super) fn scarred(&self, scar: Scar) -> Option<Start<'a, &F>> {
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
