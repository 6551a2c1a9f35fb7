//! Operation lists on semaphores of both policies, with two slots and with any number, against a number and
//! lists of those who wait. A byte decides one thing.
#![no_main]

use aqueduct_tests::semaphore::{Case, Count, SemaphoreOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the kind of semaphore, 1 the number of permits; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [kind, permits, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        greedy: kind & 1 != 0,
        growable: kind & 2 != 0,
        permits: count(*permits),
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<SemaphoreOp> {
    let kind = bytes.next()?;
    let mut next = || bytes.next().unwrap_or(0);
    Some(match kind % 20 {
        0..=1 => SemaphoreOp::TryAcquire(count(next())),
        2 => SemaphoreOp::TryAcquireOwned(count(next())),
        3..=5 => SemaphoreOp::Poll(next(), count(next())),
        6 => SemaphoreOp::PollOwned(next(), count(next())),
        7 => SemaphoreOp::PollPanics(next(), count(next())),
        8..=9 => SemaphoreOp::Cancel(next()),
        10..=11 => SemaphoreOp::Drop(next()),
        12 => SemaphoreOp::Forget(next()),
        13 => SemaphoreOp::Split(next(), next() % 8),
        14 => SemaphoreOp::Merge(next(), next()),
        15 => SemaphoreOp::Release(count(next())),
        16 => SemaphoreOp::Add(count(next())),
        17 => SemaphoreOp::ForgetPermits(count(next())),
        18 => SemaphoreOp::Resize(count(next())),
        _ => SemaphoreOp::Close,
    })
}

fn count(byte: u8) -> Count {
    match byte {
        0..=249 => Count::Few(byte % 8),
        250..=253 => Count::Most(byte - 250),
        _ => Count::TooMany { far: byte == 255 },
    }
}
