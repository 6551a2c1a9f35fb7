//! What the test programs need of a chip: a start, a place to print, an exit, and an interrupt that strikes at a
//! chosen instruction.
//!
//! | | Cortex-M | RISC-V |
//! |---|---|---|
//! | start, vectors, linker script | `cortex-m-rt` | `riscv-rt` |
//! | print, exit | semihosting | the serial port and the test device of QEMU's `virt` |
//! | the one-shot timer, and the watchdog | SysTick | `mtimecmp` |
//! | what the timer's handler sets off | PendSV | the software interrupt |
//!
//! **One timer is two.** Its handler, which preempts everything, only sets off the lower one of two interrupts and winds
//! the timer up again, as a watchdog; the lower interrupt is the one that does the work, [`on_preemption`]. If the timer
//! strikes a second time the work has not ended, and the program fails.
//!
//! Where time passes by instructions (QEMU's `-icount shift=7`) a timer swept tick by tick strikes at each instruction of
//! what it preempts: a tick is shorter than an instruction on all machines.
#![no_std]

use core::fmt;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicPtr, AtomicU32, compiler_fence};

#[cfg_attr(target_arch = "arm", path = "cortex_m.rs")]
#[cfg_attr(target_arch = "riscv32", path = "riscv.rs")]
mod chip;

pub use chip::{entry, exit, restart};

/// How many instructions the lower interrupt may run: far more than any operation has, far less than for ever.
pub const PATIENCE: u32 = 100_000;

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => { $crate::print(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Prints; a line that is too long for one write arrives in pieces.
pub fn print(text: fmt::Arguments<'_>) {
    // The machine's only way out is gone if this fails, and nobody could be told.
    let _ = fmt::Write::write_fmt(&mut chip::Output, text);
}

/// A number that the main program and its interrupt handlers share. Plain loads and stores: whoever uses it says in
/// turn whose it is.
#[derive(Default)]
pub struct Word(AtomicU32);

impl Word {
    /// One that begins as `value`.
    pub const fn new(value: u32) -> Self {
        Self(AtomicU32::new(value))
    }

    /// What it is.
    pub fn get(&self) -> u32 {
        // alone - Relaxed: one processor, which sees its own stores in order.
        self.0.load(Relaxed)
    }

    /// Makes it `value`.
    pub fn set(&self, value: u32) {
        // alone - Relaxed: as in `get`.
        self.0.store(value, Relaxed);
    }

    /// Adds `more`; not in one step.
    pub fn add(&self, more: u32) {
        self.set(self.get().wrapping_add(more));
    }

    /// Raises it to `value` if that is more; not in one step.
    pub fn raise(&self, value: u32) {
        self.set(self.get().max(value));
    }
}

/// What the two interrupts call.
struct Hook(AtomicPtr<()>);

impl Hook {
    const fn new() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    fn set(&self, call: fn()) {
        // alone - Relaxed: the timer is off.
        self.0.store(call as *mut (), Relaxed);
    }

    fn call(&self) {
        // alone - Relaxed: one processor.
        let call = self.0.load(Relaxed);
        if !call.is_null() {
            // SAFETY: the only store, in `set`, is of a `fn()`.
            let call = unsafe { core::mem::transmute::<*mut (), fn()>(call) };
            call();
        }
    }
}

static WORK: Hook = Hook::new();
static REPORT: Hook = Hook::new();
static IS_STUCK: Word = Word::new(0);
static IS_WORKING: Word = Word::new(0);
static LONGEST: Word = Word::new(0);
/// How many ticks after its time the timer's handler came, at least and at most.
static EARLIEST: Word = Word::new(u32::MAX);
static LATEST: Word = Word::new(0);
static TICKS_PER_KILO: Word = Word::new(0);

/// How many instructions the timer is measured by.
const KILO: u32 = 1024;

/// Says what runs in the lower interrupt from now on, and what prints where things stand when that does not end, or when
/// anything panics; the program then ends as failed.
///
/// The first call measures the timer by instructions.
pub fn on_preemption(work: fn(), report: fn()) {
    chip::stop();
    WORK.set(work);
    REPORT.set(report);
    LONGEST.set(0);
    EARLIEST.set(u32::MAX);
    LATEST.set(0);
    if TICKS_PER_KILO.get() == 0 {
        chip::set_up();
        // Long enough for that, and less than what any timer counts to.
        chip::wind_up(1 << 20);
        let start = chip::ticks();
        chip::kilo();
        let end = chip::ticks();
        chip::stop();
        TICKS_PER_KILO.set(end.wrapping_sub(start));
        assert!(
            end.wrapping_sub(start) >= KILO,
            "the timer is too slow to strike at every instruction"
        );
    }
}

/// Runs `operation`, preempted once after `ticks` of the timer, counted from some instructions before it. What has not
/// struck at the operation's end will not.
#[inline(always)]
pub fn preempted_after<R>(ticks: u32, operation: impl FnOnce() -> R) -> R {
    // alone - SeqCst: for the compiler: what the handler is to know is in memory before it can come.
    compiler_fence(SeqCst);
    chip::wind_up(ticks);
    // alone - SeqCst: for the compiler, which must not move any of the operation out of between.
    compiler_fence(SeqCst);
    let result = operation();
    // alone - SeqCst: as above.
    compiler_fence(SeqCst);
    chip::stop();
    result
}

/// How many instructions the longest work took since [`on_preemption`], with a few for taking the time.
pub fn longest() -> u32 {
    in_instructions(LONGEST.get())
}

/// For how many instructions the timer was held off at most since [`on_preemption`]: because interrupts were masked.
pub fn held_off() -> u32 {
    in_instructions(LATEST.get().saturating_sub(EARLIEST.get()))
}

/// How many instructions pass while the timer counts `ticks`, rounded up.
pub fn in_instructions(ticks: u32) -> u32 {
    (u64::from(ticks) * u64::from(KILO)).div_ceil(u64::from(TICKS_PER_KILO.get())) as u32
}

/// How many ticks the timer counts in `instructions`, rounded up.
pub fn in_ticks(instructions: u32) -> u32 {
    (u64::from(instructions) * u64::from(TICKS_PER_KILO.get())).div_ceil(u64::from(KILO)) as u32
}

/// The timer has struck, `late` ticks ago: does not return where the work has been going on since it struck last.
fn struck(late: u32) {
    if IS_WORKING.get() != 0 {
        IS_STUCK.set(1);
        REPORT.call();
        exit(false);
    }
    EARLIEST.set(EARLIEST.get().min(late));
    LATEST.raise(late);
    chip::wind_up(in_ticks(PATIENCE));
    chip::set_off();
}

/// Whether the watchdog has struck: for a report.
pub fn is_stuck() -> bool {
    IS_STUCK.get() != 0
}

/// What the lower interrupt does.
fn work() {
    IS_WORKING.set(1);
    let start = chip::ticks();
    WORK.call();
    LONGEST.raise(chip::ticks().wrapping_sub(start));
    IS_WORKING.set(0);
    chip::stop();
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    chip::stop();
    REPORT.call();
    println!("{info}");
    exit(false)
}
