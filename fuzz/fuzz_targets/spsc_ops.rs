//! Operation lists on the ring for two, inline and on the heap, against `VecDeque`, with every item's drop
//! counted and its ends coming and going. A byte decides one thing.
#![no_main]

use aqueduct_tests::queue::Hint;
use aqueduct_tests::spsc::{Case, SpscOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the capacity, and where the ring lies; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [kind, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        capacity: usize::from(kind / 2 % 6) + 1,
        on_heap: kind % 2 == 0,
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<SpscOp> {
    let kind = bytes.next()?;
    let mut small = || bytes.next().unwrap_or(0) % 8;
    Some(match kind % 16 {
        0..=2 => SpscOp::Push,
        3 => SpscOp::PushBomb,
        4..=5 => SpscOp::Pop,
        6 => SpscOp::Peek,
        7 => SpscOp::Clear,
        8 => SpscOp::PushMany { items: small(), hint: hint(small()) },
        9 => SpscOp::PopMany(small()),
        10 => SpscOp::PushManyPanics(small()),
        11 => SpscOp::PopManyPanics(small()),
        12 => SpscOp::DropProducer,
        13 => SpscOp::DropConsumer,
        14 => SpscOp::Split,
        _ => SpscOp::ForgetAndSplit,
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
