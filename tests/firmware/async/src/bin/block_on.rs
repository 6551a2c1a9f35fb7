//! No executor: both tasks are one future, polled in `main` whenever an interrupt has ended the processor's sleep.
#![no_std]
#![no_main]

use aqueduct_core::block_on;
use aqueduct_firmware_async::{filter, heartbeat, interrupt, join, report, start};
use cortex_m::asm::wfe;
use cortex_m_rt::{entry, exception};

#[entry]
fn main() -> ! {
    start();
    // An interrupt between the poll and `wfe` is an event, too, so that `wfe` does not sleep through it.
    block_on(join(filter(), heartbeat()), wfe);
    report("block_on")
}

// SAFETY: it touches what handlers may touch.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    assert!(interrupt(number), "interrupt {number} has no handler");
}
