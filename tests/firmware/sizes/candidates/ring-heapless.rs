//! `heapless::spsc`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_firmware_sizes::{CAPACITY, Element, Place, measured};
use heapless::spsc::{Consumer, Producer, Queue};

measured! {
    static RING: Place<Queue<Element, { CAPACITY + 1 }>> = Place::empty();
    static PRODUCER: Place<Producer<'static, Element>> = Place::empty();
    static CONSUMER: Place<Consumer<'static, Element>> = Place::empty();

    extern "C" fn op_split() {
        RING.put(Queue::new());
        let (producer, consumer) = RING.get().split();
        PRODUCER.put(producer);
        CONSUMER.put(consumer);
    }

    extern "C" fn op_push(value: Element) -> bool {
        PRODUCER.get().enqueue(value).is_ok()
    }

    extern "C" fn op_pop() -> Element {
        CONSUMER.get().dequeue().unwrap_or(0)
    }
}
