//! The ring for two against `VecDeque`, with every item's drop counted and its ends coming and going.

use aqueduct_tests::queue::Hint;
use aqueduct_tests::spsc::{Case, SpscOp};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = SpscOp> {
    let hint = prop_oneof![
        Just(Hint::Exact),
        Just(Hint::Unknown),
        Just(Hint::TooMany),
        Just(Hint::TooFew)
    ];
    prop_oneof![
        8 => Just(SpscOp::Push),
        2 => Just(SpscOp::PushBomb),
        8 => Just(SpscOp::Pop),
        3 => (0..6u8, hint).prop_map(|(items, hint)| SpscOp::PushMany { items, hint }),
        3 => (0..6u8).prop_map(SpscOp::PopMany),
        2 => (0..6u8).prop_map(SpscOp::PushManyPanics),
        2 => (0..6u8).prop_map(SpscOp::PopManyPanics),
        2 => Just(SpscOp::Peek),
        1 => Just(SpscOp::Clear),
        1 => Just(SpscOp::DropProducer),
        1 => Just(SpscOp::DropConsumer),
        2 => Just(SpscOp::Split),
        1 => Just(SpscOp::ForgetAndSplit),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (1..7usize, any::<bool>(), prop::collection::vec(op(), 0..60))
        .prop_map(|(capacity, on_heap, ops)| Case { capacity, on_heap, ops })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ring_for_two_does_what_its_model_does(case in case()) {
        case.run();
    }
}
