//! Preempts every operation of core at every instruction by a timer interrupt that uses the same object.
#![no_std]
#![no_main]

use aqueduct_core::queue::StaticQueue;
use aqueduct_firmware_rt::{self as rt, println};

static QUEUE: StaticQueue<u32, 3> = StaticQueue::new();

#[rt::entry]
fn main() -> ! {
    rt::on_preemption(
        || {
            let _ = QUEUE.pop();
        },
        || println!("stuck"),
    );
    for n in 1..400 {
        let _ = rt::preempted_after(n, || QUEUE.push(1));
    }
    println!("longest {}; per 1024: {} ticks", rt::longest(), rt::in_ticks(1024));
    rt::exit(true)
}
