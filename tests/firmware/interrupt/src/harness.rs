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

fn handler<O: Object>() {
    STRUCK.set(1);
    STRUCK_INSIDE.add(IS_INSIDE.get());
    O::interrupt(INTERRUPTION.get() as usize);
}

fn report<O: Object>() {
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

/// Sweeps the timer through every operation, tick by tick until it strikes behind the operation's end, for each state and
/// each interruption; again and again, for the objects move on, until there are enough.
pub(crate) fn sweep<O: Object>() -> Row {
    rt::on_preemption(handler::<O>, report::<O>);
    STRUCK_INSIDE.set(0);
    let mut preemptions = 0;
    while preemptions < PREEMPTIONS {
        for state in 0..O::STATES {
            STATE.set(state);
            for operation in 0..O::OPERATIONS.len() {
                OPERATION.set(operation as u32);
                for interruption in 0..O::INTERRUPTIONS.len() {
                    INTERRUPTION.set(interruption as u32);
                    preemptions += sweep_through::<O>(state, operation);
                }
            }
        }
    }
    let row = Row {
        name: O::NAME,
        preemptions,
        inside: STRUCK_INSIDE.get(),
        longest: rt::longest(),
        limit: O::LIMIT,
        held_off: rt::held_off(),
    };
    println!("{row}");
    row
}

fn sweep_through<O: Object>(state: u32, operation: usize) -> u32 {
    let mut ticks = 0;
    loop {
        ticks += 1;
        TICKS.set(ticks);
        STRUCK.set(0);
        O::run(state, operation);
        if STRUCK.get() == 0 {
            return ticks - 1;
        }
    }
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
