//! `embassy_sync::semaphore::FairSemaphore`
//!
//! Interrupts: off, for the whole operation, wakers included
#![no_std]

use aqueduct_firmware_sizes::{WAITERS, measured, poll};
use core::pin::pin;
use cortex_m as _;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::semaphore::{FairSemaphore, Semaphore};

measured! {
    static SEMAPHORE: FairSemaphore<CriticalSectionRawMutex, WAITERS> = FairSemaphore::new(3);

    extern "C" fn op_try_acquire() -> bool {
        SEMAPHORE.try_acquire(1).map(|permit| permit.disarm()).is_some()
    }

    extern "C" fn op_release() {
        SEMAPHORE.release(1);
    }

    extern "C" fn op_acquire() -> bool {
        poll(pin!(SEMAPHORE.acquire(1))).is_ready()
    }
}
