//! The sweep: every operation of main, stopped at every instruction, by everything the handler can do.

use aqueduct_firmware_rt::{self as rt, Word, println};

/// How often each object is preempted at least.
pub(crate) const PREEMPTIONS: u32 = 100_000;

/// Of those, how many in a hundred must have struck inside an operation; the rest strike just before or behind it.
const INSIDE_IN_100: u32 = 50;

/// One object, what main does with it, and what the handler does meanwhile.
pub(crate) trait Object {
    const NAME: &'static str;
    /// The states in which main's operation finds it.
    const STATES: u32;
    /// What main does, by name.
    const OPERATIONS: &'static [&'static str];
    /// What the handler does, by name.
    const INTERRUPTIONS: &'static [&'static str];
    /// How many instructions the longest of those may take, wherever it strikes.
    const LIMIT: u32;

    /// Brings the object into `state`, does the operation with that number [`inside`], and panics where the books do not
    /// balance afterwards. Leaves the object as it found it.
    fn run(state: u32, operation: usize);

    /// The handler's part. Panics where the object behaves as it must not, whatever main was about to do.
    fn interrupt(interruption: usize);
}

/// What a sweep has seen.
#[derive(Default)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) preemptions: u32,
    pub(crate) inside: u32,
    pub(crate) longest: u32,
    pub(crate) limit: u32,
    pub(crate) held_off: u32,
}

/// What is going on. Main's, but for `STRUCK` and `STRUCK_INSIDE`, which are the handler's while the timer runs.
static STATE: Word = Word::new(0);
static OPERATION: Word = Word::new(0);
static INTERRUPTION: Word = Word::new(0);
static TICKS: Word = Word::new(0);
static IS_INSIDE: Word = Word::new(0);
static STRUCK: Word = Word::new(0);
static STRUCK_INSIDE: Word = Word::new(0);

/// Runs `operation` with the timer wound up: the handler comes once, if the operation lasts.
#[inline(always)]
pub(crate) fn inside<R>(operation: impl FnOnce() -> R) -> R {
    rt::preempted_after(TICKS.get(), || {
        IS_INSIDE.set(1);
        let result = operation();
        IS_INSIDE.set(0);
        result
    })
}

/// What runs in the interrupt.
pub(crate) fn handler<O: Object>() {
    STRUCK.set(1);
    STRUCK_INSIDE.add(IS_INSIDE.get());
    O::interrupt(INTERRUPTION.get() as usize);
}

/// Says where things stand.
pub(crate) fn report<O: Object>() {
    println!(
        "in {} in state {}: `{}`, interrupted after {} ticks by `{}`{}",
        O::NAME,
        STATE.get(),
        O::OPERATIONS[OPERATION.get() as usize],
        TICKS.get(),
        O::INTERRUPTIONS[INTERRUPTION.get() as usize],
        if rt::is_stuck() { ": the handler does not come to an end" } else { "" },
    );
}

/// How many combinations of a state, an operation and an interruption there are.
pub(crate) fn combinations<O: Object>() -> u32 {
    O::STATES * (O::OPERATIONS.len() * O::INTERRUPTIONS.len()) as u32
}

/// Runs one combination with the timer at `ticks`. False if it would have struck behind the operation's end.
pub(crate) fn run_once<O: Object>(combination: u32, ticks: u32) -> bool {
    let (operations, interruptions) = (O::OPERATIONS.len() as u32, O::INTERRUPTIONS.len() as u32);
    INTERRUPTION.set(combination % interruptions);
    OPERATION.set(combination / interruptions % operations);
    STATE.set(combination / interruptions / operations);
    TICKS.set(ticks);
    STRUCK.set(0);
    O::run(STATE.get(), OPERATION.get() as usize);
    STRUCK.get() != 0
}

/// How many preemptions struck inside an operation since this was asked last.
pub(crate) fn take_inside() -> u32 {
    let inside = STRUCK_INSIDE.get();
    STRUCK_INSIDE.set(0);
    inside
}

/// Sweeps the timer through every combination, tick by tick until it strikes behind the operation's end; again and again,
/// for the objects move on, until there are enough.
pub(crate) fn sweep<O: Object>() -> Row {
    rt::on_preemption(handler::<O>, report::<O>);
    take_inside();
    let mut preemptions = 0;
    while preemptions < PREEMPTIONS {
        for combination in 0..combinations::<O>() {
            preemptions +=
                (1..).take_while(|&ticks| run_once::<O>(combination, ticks)).count() as u32;
        }
    }
    let row = Row {
        name: O::NAME,
        preemptions,
        inside: take_inside(),
        longest: rt::longest(),
        limit: O::LIMIT,
        held_off: rt::held_off(),
    };
    println!("{row}");
    row
}

impl Row {
    /// Whether there is anything wrong with it that its object has not noticed.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        if self.inside < self.preemptions / 100 * INSIDE_IN_100 {
            Some("too few struck inside an operation")
        } else if self.longest > self.limit {
            Some("the handler's longest run is beyond its limit")
        } else {
            None
        }
    }
}

/// In the two last columns, instructions: of the handler's longest run and its limit, and for which the timer was held off.
pub(crate) const HEAD: &str =
    "object                     preemptions    inside     longest run  held off";

impl core::fmt::Display for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { name, preemptions, inside, longest, limit, held_off } = self;
        write!(
            f,
            "{name:26} {preemptions:>11} {inside:>9} {longest:>9} of {limit:>4} {held_off:>9}"
        )
    }
}
