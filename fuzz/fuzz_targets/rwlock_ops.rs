//! Operation lists on read-write locks of each policy, with two slots and with any number: who is inside excludes
//! whom, and nobody sleeps beside a lock that is free. A byte decides one thing.
#![no_main]

use aqueduct_tests::rwlock::{Case, Kind, Rule, RwLockOp};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the kind of lock; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [kind, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        rule: match kind / 2 % 3 {
            0 => Rule::WriterPriority,
            1 => Rule::ReaderPriority,
            _ => Rule::Fair,
        },
        growable: kind % 2 == 0,
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<RwLockOp> {
    let op = bytes.next()?;
    let mut next = || bytes.next().unwrap_or(0);
    Some(match op % 16 {
        0..=1 => RwLockOp::Try(kind(next())),
        2..=6 => RwLockOp::Poll(next(), kind(next())),
        7..=8 => RwLockOp::Cancel(next()),
        9..=10 => RwLockOp::Drop(next()),
        11 => RwLockOp::Downgrade(next()),
        12 => RwLockOp::DowngradeToUpgradable(next()),
        13 => RwLockOp::TryUpgrade(next()),
        14 => RwLockOp::Upgrade(next(), next()),
        _ => RwLockOp::CancelUpgrade(next()),
    })
}

fn kind(byte: u8) -> Kind {
    match byte % 3 {
        0 => Kind::Read,
        1 => Kind::Write,
        _ => Kind::Upgradable,
    }
}
