//! The semaphore against a number and lists of those who wait, under both policies.

use aqueduct_tests::semaphore::{Case, Count, SemaphoreOp};
use proptest::prelude::*;

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        20 => (0..5u8).prop_map(Count::Few),
        1 => (0..4u8).prop_map(Count::Most),
        1 => any::<bool>().prop_map(|far| Count::TooMany { far }),
    ]
}

fn op() -> impl Strategy<Value = SemaphoreOp> {
    prop_oneof![
        4 => count().prop_map(SemaphoreOp::TryAcquire),
        2 => count().prop_map(SemaphoreOp::TryAcquireOwned),
        8 => (0..5u8, count()).prop_map(|(place, n)| SemaphoreOp::Poll(place, n)),
        3 => (0..5u8, count()).prop_map(|(place, n)| SemaphoreOp::PollOwned(place, n)),
        2 => (0..5u8, count()).prop_map(|(place, n)| SemaphoreOp::PollPanics(place, n)),
        4 => (0..5u8).prop_map(SemaphoreOp::Cancel),
        8 => (0..8u8).prop_map(SemaphoreOp::Drop),
        1 => (0..8u8).prop_map(SemaphoreOp::Forget),
        2 => (0..8u8, 0..4u8).prop_map(|(nth, n)| SemaphoreOp::Split(nth, n)),
        2 => (0..8u8, 0..8u8).prop_map(|(nth, other)| SemaphoreOp::Merge(nth, other)),
        2 => count().prop_map(SemaphoreOp::Release),
        1 => count().prop_map(SemaphoreOp::Add),
        1 => count().prop_map(SemaphoreOp::ForgetPermits),
        2 => count().prop_map(SemaphoreOp::Resize),
        1 => Just(SemaphoreOp::Close),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let permits =
        prop_oneof![9 => (0..6u8).prop_map(Count::Few), 1 => (0..3u8).prop_map(Count::Most)];
    (permits, any::<bool>(), any::<bool>(), prop::collection::vec(op(), 0..60))
        .prop_map(|(permits, greedy, growable, ops)| Case { permits, greedy, growable, ops })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn permits_go_where_the_model_says(case in case()) {
        case.run();
    }
}
