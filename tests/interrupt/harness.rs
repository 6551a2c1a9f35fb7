//! The interrupt checker: runs an operation, stops it before each of its atomic accesses in turn, runs
//! others to completion there on the same thread, as an interrupt handler would, and lets it finish.
//!
//! # Words
//!
//! - A **subject** says how to make a fresh object, how to apply an operation to it, and what outcomes are
//!   allowed ([`Subject`]).
//! - **A** is the party that is preempted, **B** the handler that preempts it, **C** a handler that preempts
//!   B. Each is a short sequence of operations; whoever is preempted stays frozen until the handler returns.
//! - A **step** is one atomic access, or one turn of a spin loop; a handler runs *before* it. Steps are
//!   counted from 1.
//! - Each party has a **budget** of steps. Whoever needs more is waiting for a party that is frozen, which is
//!   the one thing that an interrupt handler must never do; the run fails.
//! - A **combination** is A, the steps at which it is preempted, and what runs there. It has a name, printed
//!   with each failure; `AQUEDUCT_INTERRUPT_ONLY=<name>` runs that combination alone.
//!
//! # Use
//!
//! Implement [`Subject`], then call [`preempt`] (one handler), [`preempt_twice`] (two handlers, one after
//! the other, at two steps of A) or [`preempt_nested`] (a handler within a handler). Each returns the number
//! of combinations it ran. The state is per thread, so tests may run in parallel.
//!
//! [`interrupted`] is the raw call under them, for subjects whose fresh objects need a past ("a push was
//! preempted here and finished later").

use std::cell::Cell;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Once;

/// Steps that a party may take before the run fails. The longest operation of a lock-free object takes some
/// dozens when everybody else is frozen.
pub(crate) const BUDGET: u32 = 2_000;

/// What is checked: an object, its operations, and the outcomes that they may have.
pub(crate) trait Subject {
    /// The object under test, with all that its check needs to see.
    type Object;
    /// One operation, as data. Its `Debug` form is its name in reports.
    type Op: Debug;
    /// What an operation returned.
    type Outcome: Debug;

    /// The name of this subject and of its start state, for reports.
    fn name(&self) -> String;

    /// A new object in the start state. Must do the same each time.
    fn fresh(&self) -> Self::Object;

    /// Applies one operation. It may panic inside the object, if it catches that panic itself.
    fn apply(&self, object: &Self::Object, op: &Self::Op) -> Self::Outcome;

    /// The oracle: may the calls in `run` have had these outcomes, and is `object` now in a state that
    /// they explain? Runs with the hook inert.
    fn check(&self, object: Self::Object, run: &Run<'_, Self>) -> Result<(), String>;
}

/// One operation as it happened.
#[derive(Debug)]
pub(crate) struct Call<'a, Op, Outcome> {
    /// Who: 0 is A, 1 is B, 2 is C.
    pub(crate) level: usize,
    /// Which activation of a handler this call belongs to: 0 is A, then numbered as they are scheduled.
    pub(crate) activation: usize,
    /// The operation.
    pub(crate) op: &'a Op,
    /// What it returned.
    pub(crate) outcome: Outcome,
    /// The moment when it began, on a clock that ticks at each beginning and each end.
    pub(crate) began: u32,
    /// The moment when it ended. A call encloses another if it was preempted by it.
    pub(crate) ended: u32,
}

/// All that happened in one combination.
pub(crate) struct Run<'a, S: Subject + ?Sized> {
    /// The calls, in the order in which they ended.
    pub(crate) calls: Vec<Call<'a, S::Op, S::Outcome>>,
}

/// Preempts `a` before each of its steps by each of `bs`.
pub(crate) fn preempt<S: Subject>(subject: &S, a: &[S::Op], bs: &[Vec<S::Op>]) -> u64 {
    let mut combinations = 0;
    for b in bs {
        if !wanted(subject, a, &[b]) {
            continue;
        }
        for step in 1.. {
            match run(subject, a, &[Handler { level: 0, step, ops: b }]) {
                Ran::All => combinations += 1,
                Ran::NotAll => break,
                Ran::Skipped => {}
            }
        }
    }
    combinations
}

/// Preempts `a` before each pair of its steps, first by each of `firsts`, then by each of `seconds`.
pub(crate) fn preempt_twice<S: Subject>(
    subject: &S,
    a: &[S::Op],
    firsts: &[Vec<S::Op>],
    seconds: &[Vec<S::Op>],
) -> u64 {
    let mut combinations = 0;
    for first in firsts {
        for second in seconds {
            if !wanted(subject, a, &[first, second]) {
                continue;
            }
            for step in 1.. {
                let mut ran_any = false;
                for later in step + 1.. {
                    let handlers = [
                        Handler { level: 0, step, ops: first },
                        Handler { level: 0, step: later, ops: second },
                    ];
                    match run(subject, a, &handlers) {
                        Ran::All => {
                            ran_any = true;
                            combinations += 1;
                        }
                        Ran::NotAll => break,
                        Ran::Skipped => ran_any = true,
                    }
                }
                if !ran_any {
                    break;
                }
            }
        }
    }
    combinations
}

/// Preempts `a` before each of its steps by each of `bs`, and that before each of its steps by each of `cs`.
pub(crate) fn preempt_nested<S: Subject>(
    subject: &S,
    a: &[S::Op],
    bs: &[Vec<S::Op>],
    cs: &[Vec<S::Op>],
) -> u64 {
    let mut combinations = 0;
    for b in bs {
        for c in cs {
            if !wanted(subject, a, &[b, c]) {
                continue;
            }
            for step in 1.. {
                let mut ran_any = false;
                for inner in 1.. {
                    let handlers = [
                        Handler { level: 0, step, ops: b },
                        Handler { level: 1, step: inner, ops: c },
                    ];
                    match run(subject, a, &handlers) {
                        Ran::All => {
                            ran_any = true;
                            combinations += 1;
                        }
                        Ran::NotAll => break,
                        Ran::Skipped => ran_any = true,
                    }
                }
                if !ran_any {
                    break;
                }
            }
        }
    }
    combinations
}

/// Runs `body` and, before its `step`-th step, `handler`. Tells whether `body` has that many steps.
pub(crate) fn interrupted<R>(
    step: u32,
    handler: &mut dyn FnMut(),
    body: impl FnOnce() -> R,
) -> (R, bool) {
    let handler = std::cell::RefCell::new(handler);
    let (result, fired) =
        with_handlers(&[Point { level: 0, step, run: &|| (handler.borrow_mut())() }], body);
    (result, fired == 1)
}

/// Lets each party take so many steps in this thread from now on, for handlers that are long on purpose.
pub(crate) fn set_budget(steps: u32) {
    MACHINE.with(|machine| machine.budget.set(steps));
}

/// Runs `body` with no handler, but with an end: 100,000 steps and it fails. For what looks at an object that
/// may be broken.
pub(crate) fn uninterrupted<R>(body: impl FnOnce() -> R) -> R {
    MACHINE.with(|machine| {
        let (budget, longest) = (machine.budget.replace(100_000), machine.longest.get());
        let result = catch_unwind(AssertUnwindSafe(|| with_handlers(&[], body).0));
        machine.budget.set(budget);
        machine.longest.set(longest);
        result.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The most steps that any single party took so far in this thread, in runs that passed.
pub(crate) fn longest_party() -> u32 {
    MACHINE.with(|machine| machine.longest.get())
}

/// The hook. `aqueduct_core` calls it before every atomic access; a toy of the harness's own tests calls it
/// itself.
pub(crate) fn step() {
    MACHINE.with(Machine::step);
}

// --- one combination ---------------------------------------------------------------------------------------

struct Handler<'a, Op> {
    level: usize,
    step: u32,
    ops: &'a [Op],
}

enum Ran {
    /// Every handler ran, and the oracle agreed.
    All,
    /// Some party finished before the step at which it was to be preempted. The oracle agreed.
    NotAll,
    /// Another combination was asked for by name.
    Skipped,
}

/// No operation has this many steps: where a combination is asked for by name, the loops end here.
const NO_SUCH_STEP: u32 = 500;

fn run<S: Subject>(subject: &S, a: &[S::Op], handlers: &[Handler<'_, S::Op>]) -> Ran {
    let verbose = match only() {
        None => false,
        Some(_) if handlers.iter().any(|handler| handler.step > NO_SUCH_STEP) => {
            return Ran::NotAll;
        }
        Some(only) if *only != name(subject, a, handlers) => return Ran::Skipped,
        Some(_) => true,
    };

    let calls = std::cell::RefCell::new(Vec::new());
    let clock = Cell::new(0);
    let tick = || clock.replace(clock.get() + 1);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let object = subject.fresh();
        let party = |level: usize, activation: usize, ops: &'_ [S::Op]| {
            for (index, op) in ops.iter().enumerate() {
                let began = tick();
                let outcome = subject.apply(&object, op);
                let ended = tick();
                let done = Done { level, activation, index, outcome, began, ended };
                calls.borrow_mut().push(done);
            }
        };
        let bodies: Vec<_> = handlers
            .iter()
            .enumerate()
            .map(|(nth, handler)| move || party(handler.level + 1, nth + 1, handler.ops))
            .collect();
        let points: Vec<_> = handlers
            .iter()
            .zip(&bodies)
            .map(|(handler, body)| Point { level: handler.level, step: handler.step, run: body })
            .collect();
        let ((), fired) = with_handlers(&points, || party(0, 0, a));
        (object, fired)
    }));

    // Turn indices back into operations; what a panic left behind is reported as far as it went.
    let run = Run::<S> {
        calls: calls
            .into_inner()
            .into_iter()
            .map(|done| Call {
                level: done.level,
                activation: done.activation,
                op: match done.activation {
                    0 => &a[done.index],
                    nth => &handlers[nth - 1].ops[done.index],
                },
                outcome: done.outcome,
                began: done.began,
                ended: done.ended,
            })
            .collect(),
    };
    if verbose {
        for call in &run.calls {
            eprintln!("{}", describe(call));
        }
    }

    let verdict = match ran {
        Err(panic) => Err(panic),
        Ok((object, fired)) => {
            catch_unwind(AssertUnwindSafe(|| uninterrupted(|| subject.check(object, &run))))
                .map(|verdict| (verdict, fired))
        }
    };
    let (complaint, panic) = match verdict {
        Ok((Ok(()), fired)) if fired == handlers.len() => return Ran::All,
        Ok((Ok(()), _)) => return Ran::NotAll,
        Ok((Err(complaint), _)) => (complaint, None),
        Err(panic) => (text(&*panic), Some(panic)),
    };
    let calls: Vec<_> = run.calls.iter().map(describe).collect();
    let report = format!(
        "interrupt checker: {complaint}\n  combination: {}\n  calls, as they ended:\n{}",
        name(subject, a, handlers),
        calls.join("\n"),
    );
    match panic {
        // An assertion of the object itself: its own report is out already, keep its payload.
        Some(panic)
            if panic.downcast_ref::<String>().is_none()
                && panic.downcast_ref::<&str>().is_none() =>
        {
            eprintln!("{report}");
            resume_unwind(panic)
        }
        _ => panic!("{report}"),
    }
}

struct Done<Outcome> {
    level: usize,
    activation: usize,
    index: usize,
    outcome: Outcome,
    began: u32,
    ended: u32,
}

fn describe<Op: Debug, Outcome: Debug>(call: &Call<'_, Op, Outcome>) -> String {
    format!(
        "    {}{} {:?} -> {:?}   (moments {}..{})",
        "  ".repeat(call.level),
        ["A", "B", "C"][call.level],
        call.op,
        call.outcome,
        call.began,
        call.ended
    )
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (_, Some(text)) => (*text).to_owned(),
        _ => "a panic without a message".to_owned(),
    }
}

/// `queue of 2, 1 in it / [Pop] @7 [Push]`, and for nested interrupts `[Pop] @7 [Push] @@3 [Pop]`.
fn name<S: Subject>(subject: &S, a: &[S::Op], handlers: &[Handler<'_, S::Op>]) -> String {
    let mut name = format!("{} / {a:?}", subject.name());
    for handler in handlers {
        let at = "@".repeat(handler.level + 1);
        name.push_str(&format!(" {at}{} {:?}", handler.step, handler.ops));
    }
    name
}

/// May the combination asked for by name, if any, be one of these?
fn wanted<S: Subject>(subject: &S, a: &[S::Op], handlers: &[&Vec<S::Op>]) -> bool {
    only().is_none_or(|only| {
        only.starts_with(&format!("{} / {a:?} @", subject.name()))
            && handlers.iter().all(|ops| only.contains(&format!(" {ops:?}")))
    })
}

fn only() -> Option<&'static String> {
    static ONLY: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    ONLY.get_or_init(|| std::env::var("AQUEDUCT_INTERRUPT_ONLY").ok()).as_ref()
}

// --- the machine: what the hook does -----------------------------------------------------------------------

/// Where a handler runs: before step `step` of the party at `level`.
#[derive(Clone, Copy)]
struct Point<'a> {
    level: usize,
    step: u32,
    run: &'a dyn Fn(),
}

const LEVELS: usize = 3;
const POINTS: usize = 3;
const IDLE: usize = usize::MAX;

struct Machine {
    /// Who runs now: 0 is A, 1 is B, 2 is C; or `IDLE`, when the hook does nothing.
    level: Cell<usize>,
    steps: [Cell<u32>; LEVELS],
    points: Cell<[Option<Point<'static>>; POINTS]>,
    fired: Cell<usize>,
    longest: Cell<u32>,
    budget: Cell<u32>,
}

thread_local! {
    static MACHINE: Machine = const {
        Machine {
            level: Cell::new(IDLE),
            steps: [const { Cell::new(0) }; LEVELS],
            points: Cell::new([None; POINTS]),
            fired: Cell::new(0),
            longest: Cell::new(0),
            budget: Cell::new(BUDGET),
        }
    };
}

impl Machine {
    fn step(&self) {
        let level = self.level.get();
        if level == IDLE {
            return;
        }
        let step = self.steps[level].get() + 1;
        self.steps[level].set(step);
        if step > self.budget.get() {
            self.level.set(IDLE);
            panic!(
                "{} took more than {} steps: it waits for a party that is frozen",
                ["A", "B", "C"][level],
                self.budget.get()
            );
        }
        let due = self.points.get();
        let Some(point) =
            due.iter().flatten().find(|point| point.level == level && point.step == step)
        else {
            return;
        };
        self.fired.set(self.fired.get() + 1);
        self.level.set(level + 1);
        self.steps[level + 1].set(0);
        // A handler that panics has failed the run; what unwinds past here must not be preempted again.
        let idle_on_panic = IdleOnDrop(self);
        (point.run)();
        std::mem::forget(idle_on_panic);
        self.longest.set(self.longest.get().max(self.steps[level + 1].get()));
        self.level.set(level);
    }
}

struct IdleOnDrop<'a>(&'a Machine);

impl Drop for IdleOnDrop<'_> {
    fn drop(&mut self) {
        self.0.level.set(IDLE);
        self.0.points.set([None; POINTS]);
    }
}

/// Runs `body` as A with these handlers; returns how many of them ran.
fn with_handlers<R>(points: &[Point<'_>], body: impl FnOnce() -> R) -> (R, usize) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| aqueduct_core::interrupt::install(step));

    MACHINE.with(|machine| {
        assert_eq!(machine.level.get(), IDLE, "the checker is not re-entrant");
        let mut own = [None; POINTS];
        for (own, point) in own.iter_mut().zip(points) {
            // SAFETY: only the lifetime changes, and no copy of the reference outlives this call: `points` is
            // cleared below, on return and on unwinding alike, before the borrow ends; the hook copies it
            // out only while it runs, which is within `body`.
            let run = unsafe { std::mem::transmute::<&dyn Fn(), &'static dyn Fn()>(point.run) };
            *own = Some(Point { level: point.level, step: point.step, run });
        }
        machine.points.set(own);
        machine.fired.set(0);
        machine.steps[0].set(0);
        machine.level.set(0);
        let idle = IdleOnDrop(machine);
        let result = body();
        drop(idle);
        machine.longest.set(machine.longest.get().max(machine.steps[0].get()));
        (result, machine.fired.get())
    })
}

mod toys;
