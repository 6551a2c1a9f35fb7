//! `embassy_sync::channel::Channel`, one waiter on each side
//!
//! Interrupts: off, for the whole operation, its waker included
#![no_std]

use aqueduct_firmware_sizes::{CAPACITY, Element, measured, poll};
use core::pin::pin;
use cortex_m as _;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;

measured! {
    static CHANNEL: Channel<CriticalSectionRawMutex, Element, CAPACITY> = Channel::new();

    extern "C" fn op_try_send(value: Element) -> bool {
        CHANNEL.try_send(value).is_ok()
    }

    extern "C" fn op_try_recv() -> Element {
        CHANNEL.try_receive().unwrap_or(0)
    }

    extern "C" fn op_send(value: Element) -> bool {
        poll(pin!(CHANNEL.send(value))).is_ready()
    }

    extern "C" fn op_recv() -> bool {
        poll(pin!(CHANNEL.receive())).is_ready()
    }
}
