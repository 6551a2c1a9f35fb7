//! `heapless::mpmc`
//!
//! Interrupts: never off; what preempts an operation is refused, or spins ([deprecated by its authors](https://github.com/rust-embedded/heapless/issues/583) for that)
#![no_std]

use aqueduct_firmware_sizes::{CAPACITY, Element, measured};
use heapless::mpmc::Queue;

measured! {
    #[expect(deprecated, reason = "what firmware uses today is what we are compared with")]
    static QUEUE: Queue<Element, CAPACITY> = Queue::new();

    extern "C" fn op_push(value: Element) -> bool {
        QUEUE.enqueue(value).is_ok()
    }

    extern "C" fn op_pop() -> Element {
        QUEUE.dequeue().unwrap_or(0)
    }
}
