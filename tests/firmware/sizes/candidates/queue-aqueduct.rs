//! `StaticQueue`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::queue::StaticQueue;
use aqueduct_firmware_sizes::{CAPACITY, Element, measured};

measured! {
    static QUEUE: StaticQueue<Element, CAPACITY> = StaticQueue::new();

    extern "C" fn op_push(value: Element) -> bool {
        QUEUE.push(value).is_ok()
    }

    extern "C" fn op_pop() -> Element {
        QUEUE.pop().unwrap_or(0)
    }
}
