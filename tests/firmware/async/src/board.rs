//! The timers of the LM3S6965: two that play the sensors, one that plays the bus.

use core::ptr::{with_exposed_provenance_mut, write_volatile};

use cortex_m::interrupt::InterruptNumber;
use cortex_m::peripheral::NVIC;

/// The number of an interrupt of the LM3S6965.
#[derive(Clone, Copy)]
pub struct Irq(pub u16);

// SAFETY: always the same number, and what is asked for below and in the programs is one of the chip's.
unsafe impl InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

/// A general-purpose timer of the chip, as one of 32 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    Fast,
    Slow,
    Bus,
}

/// Registers, from a timer's base.
const CONFIGURATION: usize = 0x00;
const MODE: usize = 0x04;
const CONTROL: usize = 0x0c;
const INTERRUPT_MASK: usize = 0x18;
const INTERRUPT_CLEAR: usize = 0x24;
const LOAD: usize = 0x28;

const ONCE: u32 = 1;
const PERIODIC: u32 = 2;

impl Timer {
    const ALL: [Self; 3] = [Self::Fast, Self::Slow, Self::Bus];

    /// Whose interrupt it is.
    pub(crate) fn of(interrupt: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|timer| i32::from(interrupt) == i32::from(timer.irq().0))
    }

    const fn irq(self) -> Irq {
        Irq(19 + 2 * self as u16)
    }

    /// 0 is the highest.
    const fn priority(self) -> u8 {
        match self {
            Self::Fast => 0x20,
            Self::Bus => 0x40,
            Self::Slow => 0x80,
        }
    }

    fn write(self, register: usize, value: u32) {
        let address = 0x4003_0000 + 0x1000 * self as usize + register;
        // SAFETY: a register of one of the chip's timers, all of which are this file's alone; it touches no memory.
        unsafe { write_volatile(with_exposed_provenance_mut(address), value) };
    }

    fn begin(self, mode: u32, ticks: u32) {
        self.write(CONTROL, 0);
        self.write(CONFIGURATION, 0);
        self.write(MODE, mode);
        self.write(LOAD, ticks);
        self.write(INTERRUPT_MASK, 1);
        self.write(CONTROL, 1);
    }

    /// Interrupts every so many ticks.
    pub(crate) fn start(self, ticks: u32) {
        self.begin(PERIODIC, ticks);
    }

    /// Interrupts once, after so many ticks.
    pub(crate) fn start_once(self, ticks: u32) {
        self.begin(ONCE, ticks);
    }

    pub(crate) fn acknowledge(self) {
        self.write(INTERRUPT_CLEAR, 1);
    }

    pub(crate) fn stop(self) {
        self.write(CONTROL, 0);
        self.acknowledge();
    }
}

/// Sets the priority of an interrupt, 0 the highest, before it is let in.
pub fn set_priority(irq: Irq, priority: u8) {
    // SAFETY: each register of priorities is written before its interrupt is let in, and no critical section is built on
    // priorities.
    let mut processor = unsafe { cortex_m::Peripherals::steal() };
    // SAFETY: as above.
    unsafe { processor.NVIC.set_priority(irq, priority) };
}

/// Lets the timers' interrupts in.
pub(crate) fn set_up() {
    for timer in Timer::ALL {
        set_priority(timer.irq(), timer.priority());
        // SAFETY: its handler is ready: `interrupt`.
        unsafe { NVIC::unmask(timer.irq()) };
    }
}
