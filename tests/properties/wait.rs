//! Those who wait to be notified, against lists of them: who completes, who is woken, who has a slot.

use aqueduct_tests::wait::{Case, WaitOp};
use proptest::prelude::*;

fn op() -> impl Strategy<Value = WaitOp> {
    prop_oneof![
        2 => (0..20u8).prop_map(WaitOp::Make),
        12 => (0..20u8).prop_map(WaitOp::Poll),
        2 => (0..20u8).prop_map(WaitOp::PollPanics),
        6 => (0..20u8).prop_map(WaitOp::Cancel),
        4 => Just(WaitOp::NotifyOne),
        4 => (0..5u8).prop_map(WaitOp::Notify),
        1 => Just(WaitOp::NotifyMany),
        2 => Just(WaitOp::NotifyAll),
        1 => Just(WaitOp::Close),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let kind = prop_oneof![
        (Just(false), 1..5usize),
        (Just(true), 1..6usize),
        // More than one round of wakers.
        (Just(true), Just(20usize)),
    ];
    (kind, prop::collection::vec(op(), 0..60)).prop_map(|((growable, places), ops)| Case {
        places,
        growable,
        ops,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn those_who_wait_are_served_as_the_model_serves_them(case in case()) {
        case.run();
    }
}
