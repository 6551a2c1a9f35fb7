//! `heapless::Deque` in a critical section
//!
//! Interrupts: off, for the whole operation
#![no_std]

use core::cell::RefCell;

use aqueduct_firmware_sizes::{CAPACITY, Element, measured};
use cortex_m as _;
use critical_section::Mutex;
use heapless::Deque;

measured! {
    static QUEUE: Mutex<RefCell<Deque<Element, CAPACITY>>> = Mutex::new(RefCell::new(Deque::new()));

    extern "C" fn op_push(value: Element) -> bool {
        critical_section::with(|cs| QUEUE.borrow_ref_mut(cs).push_back(value).is_ok())
    }

    extern "C" fn op_pop() -> Element {
        critical_section::with(|cs| QUEUE.borrow_ref_mut(cs).pop_front()).unwrap_or(0)
    }
}
