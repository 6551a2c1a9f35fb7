//! `spsc::StaticRing`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::queue::spsc::{Consumer, Producer, StaticRing};
use aqueduct_firmware_sizes::{CAPACITY, Element, Place, measured};

measured! {
    static RING: Place<StaticRing<Element, CAPACITY>> = Place::new();
    static PRODUCER: Place<Producer<'static, Element>> = Place::new();
    static CONSUMER: Place<Consumer<'static, Element>> = Place::new();

    extern "C" fn op_split() {
        RING.put(StaticRing::new());
        let (producer, consumer) = RING.get().split();
        PRODUCER.put(producer);
        CONSUMER.put(consumer);
    }

    extern "C" fn op_push(value: Element) -> bool {
        PRODUCER.get().push(value).is_ok()
    }

    extern "C" fn op_pop() -> Element {
        CONSUMER.get().pop().unwrap_or(0)
    }
}
