//! `RwLock`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::rwlock::{RwLock, WriterPriority};
use aqueduct_core::wait::Slots;
use aqueduct_firmware_sizes::{Element, WAITERS, measured, poll};
use core::pin::pin;

measured! {
    static LOCK: RwLock<Element, WriterPriority, Slots<WAITERS>> =
        RwLock::with_policy(0, WriterPriority, Slots::new());

    extern "C" fn op_try_read() -> Element {
        LOCK.try_read().map_or(0, |guard| *guard)
    }

    extern "C" fn op_try_write(value: Element) -> bool {
        LOCK.try_write().map(|mut guard| *guard = value).is_some()
    }

    extern "C" fn op_write() -> bool {
        poll(pin!(LOCK.write())).is_ready()
    }
}
