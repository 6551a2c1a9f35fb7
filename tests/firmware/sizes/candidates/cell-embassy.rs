//! `embassy_sync::waitqueue::AtomicWaker`
//!
//! Interrupts: off, for the whole operation, its waker included
#![no_std]

use aqueduct_firmware_sizes::measured;
use core::task::Waker;
use cortex_m as _;
use embassy_sync::waitqueue::AtomicWaker;

measured! {
    static CELL: AtomicWaker = AtomicWaker::new();

    extern "C" fn op_register() {
        CELL.register(Waker::noop());
    }

    extern "C" fn op_wake() {
        CELL.wake();
    }
}
