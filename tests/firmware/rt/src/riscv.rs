//! RISC-V, as QEMU's `virt` has it: the timer above the software interrupt, the serial port and the test device.

use core::fmt;
use core::ptr::{read_volatile, with_exposed_provenance_mut, write_volatile};

use riscv::interrupt::Interrupt;
use riscv_rt::core_interrupt;

pub use riscv_rt::entry;

/// Registers of the machine, each 32 bits.
const EXIT: usize = 0x0010_0000;
const SOFTWARE: usize = 0x0200_0000;
const COMPARE: usize = 0x0200_4000;
const TIME: usize = 0x0200_bff8;
const SERIAL: usize = 0x1000_0000;

#[inline(always)]
fn write(register: usize, value: u32) {
    // SAFETY: the constants above are registers of the machine, which touch no memory, and this file's alone.
    unsafe { write_volatile(with_exposed_provenance_mut(register), value) };
}

#[inline(always)]
fn read(register: usize) -> u32 {
    // SAFETY: as in `write`.
    unsafe { read_volatile(with_exposed_provenance_mut(register)) }
}

/// Lets the timer's interrupt and the lower one come.
pub(crate) fn set_up() {
    // SAFETY: both interrupts have handlers below, and nobody has asked for quiet.
    unsafe { riscv::register::mie::set_mtimer() };
    // SAFETY: as above.
    unsafe { riscv::register::mie::set_msoft() };
    // SAFETY: as above.
    unsafe { riscv::interrupt::enable() };
}

/// How many ticks winding up takes at most.
const WINDING: u64 = 16;

/// Lets the timer strike after `ticks`, from when it is wound up.
#[inline(always)]
pub(crate) fn wind_up(ticks: u32) {
    let time = now().wrapping_add(WINDING + u64::from(ticks));
    // Never an earlier time than the one meant, half-way.
    write(COMPARE + 4, u32::MAX);
    write(COMPARE, time as u32);
    write(COMPARE + 4, (time >> 32) as u32);
}

#[inline(always)]
pub(crate) fn stop() {
    write(COMPARE + 4, u32::MAX);
}

#[inline(always)]
fn now() -> u64 {
    loop {
        let (high, low) = (read(TIME + 4), read(TIME));
        if read(TIME + 4) == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// The time in ticks.
pub(crate) fn ticks() -> u32 {
    read(TIME)
}

/// Sets the lower interrupt off.
pub(crate) fn set_off() {
    write(SOFTWARE, 1);
}

/// Runs 1024 instructions.
#[inline(never)]
pub(crate) fn kilo() {
    // SAFETY: does nothing.
    unsafe {
        core::arch::asm!(".rept 1024", "nop", ".endr", options(nomem, nostack, preserves_flags))
    };
}

#[core_interrupt(Interrupt::MachineTimer)]
fn timer() {
    crate::struck(ticks().wrapping_sub(read(COMPARE)));
}

#[core_interrupt(Interrupt::MachineSoft)]
fn software() {
    write(SOFTWARE, 0);
    // SAFETY: the timer may come between, which returns only where the watchdog has not struck.
    unsafe { riscv::interrupt::nested(crate::work) };
}

// SAFETY: the name is the runtime's for what is called on an exception; no other symbol has it.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(frame: &riscv_rt::TrapFrame) -> ! {
    crate::println!(
        "exception {:?} at {:#x}: {frame:#x?}",
        riscv::register::mcause::read().cause(),
        riscv::register::mepc::read()
    );
    exit(false)
}

/// Ends the program, and the emulator with it.
pub fn exit(is_well: bool) -> ! {
    write(EXIT, if is_well { 0x5555 } else { 1 << 16 | 0x3333 });
    loop {
        riscv::asm::nop();
    }
}

/// Begins anew.
pub fn restart() -> ! {
    write(EXIT, 0x7777);
    loop {
        riscv::asm::nop();
    }
}

pub(crate) struct Output;

impl fmt::Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // SAFETY: the port's transmit register, a byte wide, which touches no memory.
            unsafe { write_volatile(with_exposed_provenance_mut(SERIAL), byte) };
        }
        Ok(())
    }
}
