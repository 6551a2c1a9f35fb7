//! `embassy_sync::rwlock::RwLock`, one waiter
//!
//! Interrupts: off, for the whole operation, its waker included
#![no_std]

use aqueduct_firmware_sizes::{Element, measured, poll};
use core::pin::pin;
use cortex_m as _;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::rwlock::RwLock;

measured! {
    static LOCK: RwLock<CriticalSectionRawMutex, Element> = RwLock::new(0);

    extern "C" fn op_try_read() -> Element {
        LOCK.try_read().map_or(0, |guard| *guard)
    }

    extern "C" fn op_try_write(value: Element) -> bool {
        LOCK.try_write().map(|mut guard| *guard = value).is_ok()
    }

    extern "C" fn op_write() -> bool {
        poll(pin!(LOCK.write())).is_ready()
    }
}
