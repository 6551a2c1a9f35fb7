//! `Semaphore`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::semaphore::{Fair, Semaphore};
use aqueduct_core::wait::Slots;
use aqueduct_firmware_sizes::{WAITERS, measured, poll};
use core::pin::pin;

measured! {
    static SEMAPHORE: Semaphore<Fair, Slots<WAITERS>> = Semaphore::with_policy(3, Fair, Slots::new());

    extern "C" fn op_try_acquire() -> bool {
        SEMAPHORE.try_acquire().map(|permit| permit.forget()).is_ok()
    }

    extern "C" fn op_release() {
        let _ = SEMAPHORE.release(1);
    }

    extern "C" fn op_acquire() -> bool {
        poll(pin!(SEMAPHORE.acquire())).is_ready()
    }
}
