//! `WaitCell`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::wait::WaitCell;
use aqueduct_firmware_sizes::measured;
use core::task::Waker;

measured! {
    static CELL: WaitCell = WaitCell::new();

    extern "C" fn op_register() {
        CELL.register(Waker::noop());
    }

    extern "C" fn op_wake() {
        CELL.wake();
    }
}
