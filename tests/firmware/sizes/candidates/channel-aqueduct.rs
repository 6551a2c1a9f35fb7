//! `StaticChannel`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::channel::StaticChannel;
use aqueduct_core::wait::Slots;
use aqueduct_firmware_sizes::{CAPACITY, Element, WAITERS, measured, poll};
use core::pin::pin;

type Channel = StaticChannel<Element, CAPACITY, Slots<WAITERS>>;

measured! {
    static CHANNEL: Channel = Channel::with_storage(Slots::new(), Slots::new());

    extern "C" fn op_try_send(value: Element) -> bool {
        CHANNEL.try_send(value).is_ok()
    }

    extern "C" fn op_try_recv() -> Element {
        CHANNEL.try_recv().unwrap_or(0)
    }

    extern "C" fn op_send(value: Element) -> bool {
        poll(pin!(CHANNEL.send(value))).is_ready()
    }

    extern "C" fn op_recv() -> bool {
        poll(pin!(CHANNEL.recv())).is_ready()
    }
}
