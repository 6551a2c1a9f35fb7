//! Operation lists on a queue of waiters, with two slots and with any number, against lists of them. A byte
//! decides one thing.
#![no_main]

use aqueduct_tests::wait::{Case, WaitOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the kind of slots, 1 the number of places; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [kind, places, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        growable: kind % 2 == 0,
        places: usize::from(places % 24) + 1,
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<WaitOp> {
    let kind = bytes.next()?;
    let mut next = || bytes.next().unwrap_or(0);
    Some(match kind % 16 {
        0 => WaitOp::Make(next()),
        1..=5 => WaitOp::Poll(next()),
        6 => WaitOp::PollPanics(next()),
        7..=9 => WaitOp::Cancel(next()),
        10..=11 => WaitOp::NotifyOne,
        12 => WaitOp::Notify(next() % 8),
        13 => WaitOp::NotifyMany,
        14 => WaitOp::NotifyAll,
        _ => WaitOp::Close,
    })
}
