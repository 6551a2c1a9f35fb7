//! embassy-executor, twice: the filter at the priority of an interrupt, the heartbeat in thread mode below it. They share the
//! bus, and wake each other across the priorities.
#![no_std]
#![no_main]

use aqueduct_core::wait::{Slots, WaitQueue};
use aqueduct_firmware_async::{Irq, filter, heartbeat, interrupt, report, set_priority, start};
use cortex_m_rt::{entry, exception};
use embassy_executor::{Executor, InterruptExecutor};
use static_cell::StaticCell;

/// An interrupt that nothing on the board sets off: that of a timer which is not used.
const TASKS: Irq = Irq(35);

static ABOVE: InterruptExecutor = InterruptExecutor::new();
static BELOW: StaticCell<Executor> = StaticCell::new();
static FILTERED: WaitQueue<Slots<1>> = WaitQueue::with_storage(Slots::new());

#[embassy_executor::task]
async fn above() {
    filter().await;
    FILTERED.notify_one();
}

#[embassy_executor::task]
async fn below() {
    heartbeat().await;
    FILTERED.wait().await.expect("never closed");
    report("executor");
}

#[entry]
fn main() -> ! {
    set_priority(TASKS, 0xc0);
    ABOVE.start(TASKS).spawn(above().expect("it runs once"));
    start();
    BELOW.init(Executor::new()).run(|spawner| spawner.spawn(below().expect("it runs once")))
}

// SAFETY: it touches what handlers may touch.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    if i32::from(number) == i32::from(TASKS.0) {
        // SAFETY: this is the interrupt that it was started with, and only then comes in.
        unsafe { ABOVE.on_interrupt() };
    } else {
        assert!(interrupt(number), "interrupt {number} has no handler");
    }
}
