//! Cortex-M: SysTick above PendSV, and semihosting.

use core::fmt;

use cortex_m::peripheral::{SCB, SYST, scb::SystemHandler};
use cortex_m_rt::exception;
use cortex_m_semihosting::{debug, hio};
use volatile_register::RW;

pub use cortex_m_rt::entry;

const ENABLED: u32 = 1;
const INTERRUPTS: u32 = 1 << 1;
const PROCESSOR_CLOCK: u32 = 1 << 2;

fn write(register: &RW<u32>, value: u32) {
    // SAFETY: the registers of SysTick, to which alone this is applied, are this file's alone and touch no memory.
    unsafe { register.write(value) };
}

fn timer() -> &'static cortex_m::peripheral::syst::RegisterBlock {
    // SAFETY: every Cortex-M that we run on has a SysTick at this address; its registers are cells.
    unsafe { &*SYST::PTR }
}

/// PendSV below everything, SysTick above it.
pub(crate) fn set_up() {
    // SAFETY: nobody else in a program on this crate takes the peripherals of the processor.
    let mut processor = unsafe { cortex_m::Peripherals::steal() };
    // SAFETY: no critical section is built on priorities.
    unsafe { processor.SCB.set_priority(SystemHandler::PendSV, 0xff) };
    // SAFETY: as above.
    unsafe { processor.SCB.set_priority(SystemHandler::SysTick, 0) };
}

/// As far as the timer counts.
const LAP: u32 = 0x00ff_ffff;

/// How many ticks winding up takes at most, once it counts.
const WINDING: u32 = 8;

/// Lets the timer strike after `ticks`, from when it is wound up. It counts down; from then on it counts a whole lap.
#[inline(always)]
pub(crate) fn wind_up(ticks: u32) {
    write(&timer().csr, PROCESSOR_CLOCK);
    write(&timer().rvr, WINDING + ticks);
    write(&timer().cvr, 0);
    write(&timer().csr, ENABLED | INTERRUPTS | PROCESSOR_CLOCK);
    write(&timer().rvr, LAP);
}

#[inline(always)]
pub(crate) fn stop() {
    write(&timer().csr, PROCESSOR_CLOCK);
    SCB::clear_pendst();
}

/// The time in ticks, while the timer is wound up.
pub(crate) fn ticks() -> u32 {
    LAP - timer().cvr.read()
}

/// Sets the lower interrupt off.
pub(crate) fn set_off() {
    SCB::set_pendsv();
}

/// Runs 1024 instructions.
#[inline(never)]
pub(crate) fn kilo() {
    // SAFETY: does nothing.
    unsafe {
        core::arch::asm!(".rept 1024", "nop", ".endr", options(nomem, nostack, preserves_flags))
    };
}

#[exception]
fn SysTick() {
    // It struck at 0, and counts down from the top since.
    crate::struck((ticks() + 1) & LAP);
}

#[exception]
fn PendSV() {
    crate::work();
}

// SAFETY: it does not return to what has failed.
#[exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::println!("hard fault: {frame:#?}");
    exit(false)
}

/// Ends the program, and the emulator with it.
pub fn exit(is_well: bool) -> ! {
    debug::exit(if is_well { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::nop();
    }
}

/// Begins anew. What lies in `.uninit` stays.
pub fn restart() -> ! {
    SCB::sys_reset()
}

pub(crate) struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut host = hio::hstdout().map_err(|()| fmt::Error)?;
        host.write_all(text.as_bytes()).map_err(|()| fmt::Error)
    }
}
