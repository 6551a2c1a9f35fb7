//! `spsc::StaticRing`
//!
//! Interrupts: never off
#![no_std]

use aqueduct_core::queue::spsc::{Consumer, Producer, StaticRing};
use aqueduct_firmware_sizes::{CAPACITY, Element, Place, measured};

measured! {
    static RING: Place<StaticRing<Element, CAPACITY>> = Place::empty();
    static PRODUCER: Place<Producer<'static, Element>> = Place::empty();
    static CONSUMER: Place<Consumer<'static, Element>> = Place::empty();

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
