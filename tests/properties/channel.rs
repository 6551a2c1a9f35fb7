//! The channel against a list of values and two lines of sleepers, with every item's drop counted.

use aqueduct_tests::channel::{Case, ChannelOp, Party};
use proptest::prelude::*;

fn party() -> impl Strategy<Value = Party> {
    prop_oneof![
        4 => Just(Party::Send),
        1 => Just(Party::SendBomb),
        3 => Just(Party::Reserve),
        4 => Just(Party::Recv),
        2 => (0..4u8).prop_map(Party::RecvMany),
    ]
}

fn op() -> impl Strategy<Value = ChannelOp> {
    prop_oneof![
        4 => Just(ChannelOp::TrySend),
        1 => Just(ChannelOp::TrySendBomb),
        2 => Just(ChannelOp::ForceSend),
        5 => Just(ChannelOp::TryRecv),
        2 => (0..4u8).prop_map(ChannelOp::TryRecvMany),
        1 => (0..4u8).prop_map(ChannelOp::TryRecvManyPanics),
        12 => (0..6u8, party()).prop_map(|(place, what)| ChannelOp::Poll(place, what)),
        4 => (0..6u8).prop_map(ChannelOp::Cancel),
        1 => (0..6u8).prop_map(ChannelOp::IntoValue),
        4 => (0..5u8).prop_map(ChannelOp::SendPermit),
        2 => (0..5u8).prop_map(ChannelOp::DropPermit),
        1 => (0..5u8).prop_map(ChannelOp::ForgetPermit),
        1 => Just(ChannelOp::Close),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (1..6usize, any::<bool>(), prop::collection::vec(op(), 0..60))
        .prop_map(|(capacity, on_heap, ops)| Case { capacity, on_heap, ops })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_channel_does_what_its_model_does(case in case()) {
        case.run();
    }
}
