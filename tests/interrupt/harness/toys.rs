//! The harness held against toys with known faults.

use super::*;
use std::cell::RefCell;

/// A one-place box: `state` is its only atomic, 0 empty, 1 busy, 2 full. Every access is a step.
struct Toy {
    state: Cell<u8>,
    value: Cell<u32>,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A taker that meets a busy box waits until it is not busy.
    Waits,
    /// `put` says "full" by a state which it read before, and overwrites without a second look.
    LostUpdate,
    /// A handler that is itself preempted waits, one that is not does not.
    WaitsWhenNested,
}

impl Toy {
    fn load(&self) -> u8 {
        step();
        self.state.get()
    }

    fn swap_if(&self, current: u8, new: u8) -> bool {
        step();
        let won = self.state.get() == current;
        if won {
            self.state.set(new);
        }
        won
    }

    fn put(&self, value: u32) -> bool {
        if self.fault == Fault::LostUpdate {
            if self.load() == 2 {
                return false;
            }
            step();
            self.value.set(value);
            step();
            self.state.set(2);
            return true;
        }
        if !self.swap_if(0, 1) {
            return false;
        }
        self.value.set(value);
        step();
        self.state.set(2);
        true
    }

    fn take(&self) -> Option<u32> {
        while self.fault == Fault::Waits && self.load() == 1 {}
        while self.fault == Fault::WaitsWhenNested
            && MACHINE.with(|machine| machine.level.get()) == 2
            && self.load() == 1
        {}
        if self.swap_if(2, 3) {
            let value = self.value.get();
            step();
            self.state.set(0);
            return Some(value);
        }
        None
    }
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Put(u32),
    Take,
    Panic,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Put(bool),
    Took(Option<u32>),
}

struct Toys(Fault);

impl Subject for Toys {
    type Object = Toy;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        "toy".to_owned()
    }

    fn fresh(&self) -> Toy {
        Toy { state: Cell::new(0), value: Cell::new(0), fault: self.0 }
    }

    fn apply(&self, toy: &Toy, op: &Op) -> Outcome {
        match *op {
            Op::Put(value) => Outcome::Put(toy.put(value)),
            Op::Take => Outcome::Took(toy.take()),
            Op::Panic => panic!("the toy broke"),
        }
    }

    /// What was put and not taken is there, and nothing is taken that was not put.
    fn check(&self, toy: Toy, run: &Run<'_, Self>) -> Result<(), String> {
        let put = run.calls.iter().filter(|call| call.outcome == Outcome::Put(true)).count();
        let took =
            run.calls.iter().filter(|call| matches!(call.outcome, Outcome::Took(Some(_)))).count();
        let left = usize::from(toy.take().is_some());
        if put == took + left {
            Ok(())
        } else {
            Err(format!("{put} put, {took} taken, {left} left"))
        }
    }
}

/// The report of the run, which must fail.
fn failure(run: impl FnOnce() -> u64) -> String {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(combinations) => panic!("the fault was not seen in {combinations} combinations"),
        Err(panic) => text(&*panic),
    }
}

const PUT: [Op; 1] = [Op::Put(1)];

#[test]
fn a_sound_toy_passes_and_every_step_is_visited() {
    // put: two steps; take on an empty box: one.
    let toys = Toys(Fault::None);
    assert_eq!(preempt(&toys, &PUT, &[vec![Op::Take], vec![Op::Put(2), Op::Take]]), 4);
    assert_eq!(preempt(&toys, &[Op::Take], &[vec![Op::Put(2)]]), 1);
    // put then take is four steps: two, and two more.
    assert_eq!(preempt(&toys, &[Op::Put(1), Op::Take], &[vec![]]), 4);
    // pairs of steps of four: six, for each of four ordered pairs of handlers
    let both = [vec![Op::Take], vec![Op::Put(2)]];
    let pairs = preempt_twice(&toys, &[Op::Put(1), Op::Take], &both, &both);
    assert!(pairs > 0);
    assert_eq!(preempt_twice(&toys, &[Op::Put(1), Op::Take], &[vec![]], &[vec![]]), 6);
    // put preempted at 2 steps; there, an empty box (2 steps of put) and a busy one (1 step).
    assert_eq!(preempt_nested(&toys, &PUT, &[vec![Op::Put(2)]], &[vec![]]), 3);
    assert!(longest_party() >= 2);
}

#[test]
fn a_toy_that_waits_for_a_frozen_party_exceeds_its_budget() {
    let report = failure(|| preempt(&Toys(Fault::Waits), &PUT, &[vec![Op::Take]]));
    assert!(report.contains("B took more than 2000 steps"), "{report}");
    assert!(report.contains("combination: toy / [Put(1)] @2 [Take]"), "{report}");
}

#[test]
fn a_toy_that_waits_only_in_a_nested_handler_is_caught_by_nesting() {
    let toys = Toys(Fault::WaitsWhenNested);
    assert_eq!(preempt(&toys, &PUT, &[vec![Op::Take]]), 2);
    let report = failure(|| preempt_nested(&toys, &[Op::Take], &[PUT.to_vec()], &[vec![Op::Take]]));
    assert!(report.contains("C took more than 2000 steps"), "{report}");
    assert!(report.contains("[Take] @1 [Put(1)] @@2 [Take]"), "{report}");
}

#[test]
fn a_toy_that_loses_an_update_is_reported_with_step_and_results() {
    let report = failure(|| preempt(&Toys(Fault::LostUpdate), &PUT, &[vec![Op::Put(2)]]));
    assert!(report.contains("2 put, 0 taken, 1 left"), "{report}");
    assert!(report.contains("toy / [Put(1)] @2 [Put(2)]"), "{report}");
    assert!(report.contains("B Put(2) -> Put(true)"), "{report}");
}

#[test]
fn a_panic_inside_a_handler_is_reported_and_leaves_the_hook_inert() {
    let report = failure(|| preempt(&Toys(Fault::None), &PUT, &[vec![Op::Panic]]));
    assert!(report.contains("the toy broke"), "{report}");
    assert!(report.contains("toy / [Put(1)] @1 [Panic]"), "{report}");
    step();
    assert_eq!(preempt(&Toys(Fault::None), &PUT, &[vec![Op::Take]]), 2);
}

#[test]
fn a_past_can_be_made_with_the_raw_call() {
    let toy = Toys(Fault::None).fresh();
    let seen = RefCell::new(Vec::new());
    let ((), fired) =
        interrupted(2, &mut || seen.borrow_mut().push(toy.take()), || assert!(toy.put(7)));
    assert!(fired);
    assert_eq!(*seen.borrow(), [None]);
    assert_eq!(toy.take(), Some(7));
    let ((), fired) = interrupted(3, &mut || unreachable!(), || assert!(toy.put(7)));
    assert!(!fired);
}
