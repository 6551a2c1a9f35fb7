//! The bounded queue against `VecDeque`, with every item's drop counted.

use aqueduct_tests::queue::{Case, Hint, Inner, QueueOp};
use proptest::prelude::*;

fn inner() -> impl Strategy<Value = Inner> {
    prop_oneof![
        Just(Inner::Push),
        Just(Inner::Pop),
        Just(Inner::ForcePush),
        Just(Inner::PushMany),
        Just(Inner::PopMany),
        Just(Inner::Look),
    ]
}

fn op() -> impl Strategy<Value = QueueOp> {
    let hint = prop_oneof![
        Just(Hint::Exact),
        Just(Hint::Unknown),
        Just(Hint::TooMany),
        Just(Hint::TooFew)
    ];
    prop_oneof![
        6 => Just(QueueOp::Push),
        1 => Just(QueueOp::PushBomb),
        6 => Just(QueueOp::Pop),
        2 => Just(QueueOp::ForcePush),
        1 => Just(QueueOp::PushMut),
        1 => Just(QueueOp::PopMut),
        2 => (0..6u8, hint).prop_map(|(items, hint)| QueueOp::PushMany { items, hint }),
        2 => (0..6u8).prop_map(QueueOp::PopMany),
        1 => (0..6u8).prop_map(QueueOp::PushManyPanics),
        1 => (0..6u8).prop_map(QueueOp::PopManyPanics),
        2 => (0..5u8, inner()).prop_map(|(items, inner)| QueueOp::PushManyReenters(items, inner)),
        2 => (0..5u8, inner()).prop_map(|(max, inner)| QueueOp::PopManyReenters(max, inner)),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let laps = prop_oneof![
        2 => Just(None),
        1 => Just(Some(0)),
        1 => Just(Some(usize::MAX / 2)),
        4 => (0..4usize).prop_map(|before| Some(usize::MAX - before)),
    ];
    let taken = prop_oneof![Just(None), (0..8usize).prop_map(Some)];
    (1..9usize, laps, prop::collection::vec(op(), 0..80), taken)
        .prop_map(|(capacity, laps, ops, taken)| Case { capacity, laps, ops, taken })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_queue_does_what_its_model_does(case in case()) {
        case.run();
    }
}
