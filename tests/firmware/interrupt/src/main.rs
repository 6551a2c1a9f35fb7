//! Preempts every operation of core at every instruction by a timer interrupt whose handler uses the same object.
//!
//! Ends well only if every handler came to its end, no value, permit or notification was lost or doubled, and each
//! handler's longest run stayed below its limit.
#![no_std]
#![no_main]
#![cfg_attr(feature = "peers", expect(dead_code, reason = "the peers do not need all the books"))]

mod harness;

mod bounded;
mod channel;
mod queue;
mod rwlock;
mod semaphore;
mod spsc;
mod wait;

mod bell;
mod ledger;
mod turn;

#[cfg(feature = "peers")]
mod peers;

use aqueduct_core::rwlock::{Fair, ReaderPriority, WriterPriority};
use aqueduct_firmware_rt as rt;
use harness::{HEAD, Row, sweep};

use crate::bounded::Preempted;

#[rt::entry]
fn main() -> ! {
    #[cfg(feature = "peers")]
    let is_well = peers::survey();
    #[cfg(not(feature = "peers"))]
    let is_well = test();
    rt::println!("{}", if is_well { "passed" } else { "FAILED" });
    rt::exit(is_well)
}

fn test() -> bool {
    rt::println!("{HEAD}");
    let rows: &[Row] = &[
        sweep::<Preempted<queue::Three>>(),
        sweep::<Preempted<queue::One>>(),
        sweep::<spsc::Ring>(),
        sweep::<semaphore::Permits>(),
        sweep::<rwlock::Of<WriterPriority>>(),
        sweep::<rwlock::Of<ReaderPriority>>(),
        sweep::<rwlock::Of<Fair>>(),
        sweep::<wait::Queue>(),
        sweep::<Preempted<queue::Channel>>(),
        sweep::<channel::Futures>(),
    ];
    let mut is_well = true;
    for row in rows {
        if let Some(fault) = row.fault() {
            rt::println!("{}: {fault}", row.name);
            is_well = false;
        }
    }
    is_well
}
