//! Operation lists on both queues, at several capacities and counters, against `VecDeque`, with every
//! item's drop counted. A byte decides one thing, so that a change of a byte changes one operation.
#![no_main]

use aqueduct_tests::queue::{Case, Hint, Inner, QueueOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the capacity, 1 the kind of queue and its counters, 2 how it ends; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [capacity, laps, taken, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        capacity: usize::from(capacity % 9) + 1,
        laps: match laps % 6 {
            0 => None,
            1 => Some(0),
            2 => Some(usize::MAX / 2),
            before => Some(usize::MAX - usize::from(before - 3)),
        },
        taken: taken.checked_sub(1).map(usize::from),
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<QueueOp> {
    let kind = bytes.next()?;
    let mut small = || bytes.next().unwrap_or(0) % 8;
    Some(match kind % 16 {
        0..=2 => QueueOp::Push,
        3 => QueueOp::PushBomb,
        4..=6 => QueueOp::Pop,
        7 => QueueOp::ForcePush,
        8 => QueueOp::PushMut,
        9 => QueueOp::PopMut,
        10 => QueueOp::PushMany { items: small(), hint: hint(small()) },
        11 => QueueOp::PopMany(small()),
        12 => QueueOp::PushManyPanics(small()),
        13 => QueueOp::PopManyPanics(small()),
        14 => QueueOp::PushManyReenters(small(), inner(small())),
        _ => QueueOp::PopManyReenters(small(), inner(small())),
    })
}

fn hint(byte: u8) -> Hint {
    match byte % 4 {
        0 => Hint::Exact,
        1 => Hint::Unknown,
        2 => Hint::TooMany,
        _ => Hint::TooFew,
    }
}

fn inner(byte: u8) -> Inner {
    match byte % 6 {
        0 => Inner::Push,
        1 => Inner::Pop,
        2 => Inner::ForcePush,
        3 => Inner::PushMany,
        4 => Inner::PopMany,
        _ => Inner::Look,
    }
}
