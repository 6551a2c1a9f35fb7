//! Operation lists on both channels of core, against a list of values and two lines of sleepers, with every
//! item's drop counted. A byte decides one thing.
#![no_main]

use aqueduct_tests::channel::{Case, ChannelOp, Party};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(case) = decode(bytes) {
        case.run();
    }
});

/// Byte 0 is the capacity, and where the channel lies; then operations.
fn decode(bytes: &[u8]) -> Option<Case> {
    let [kind, ops @ ..] = bytes else { return None };
    let mut ops = ops.iter().copied().take(200);
    Some(Case {
        capacity: usize::from(kind / 2 % 6) + 1,
        on_heap: kind % 2 == 0,
        ops: std::iter::from_fn(|| op(&mut ops)).collect(),
    })
}

fn op(bytes: &mut impl Iterator<Item = u8>) -> Option<ChannelOp> {
    let kind = bytes.next()?;
    let mut next = || bytes.next().unwrap_or(0);
    Some(match kind % 24 {
        0..=2 => ChannelOp::TrySend,
        3 => ChannelOp::TrySendBomb,
        4 => ChannelOp::ForceSend,
        5..=7 => ChannelOp::TryRecv,
        8 => ChannelOp::TryRecvMany(next() % 8),
        9 => ChannelOp::TryRecvManyPanics(next() % 8),
        10..=15 => ChannelOp::Poll(next(), party(next())),
        16..=17 => ChannelOp::Cancel(next()),
        18 => ChannelOp::IntoValue(next()),
        19..=20 => ChannelOp::SendPermit(next()),
        21 => ChannelOp::DropPermit(next()),
        22 => ChannelOp::ForgetPermit(next()),
        _ => ChannelOp::Close,
    })
}

fn party(byte: u8) -> Party {
    match byte % 12 {
        0..=2 => Party::Send,
        3 => Party::SendBomb,
        4..=6 => Party::Reserve,
        7..=9 => Party::Recv,
        _ => Party::RecvMany(byte / 12 % 4),
    }
}
