//! The read-write lock under each policy: who is inside excludes whom, and nobody sleeps beside a free lock.

use aqueduct_tests::rwlock::{Case, Kind, Rule, RwLockOp};
use proptest::prelude::*;

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Read), 3 => Just(Kind::Write), 2 => Just(Kind::Upgradable)]
}

fn op() -> impl Strategy<Value = RwLockOp> {
    prop_oneof![
        4 => kind().prop_map(RwLockOp::Try),
        12 => (0..5u8, kind()).prop_map(|(place, kind)| RwLockOp::Poll(place, kind)),
        4 => (0..5u8).prop_map(RwLockOp::Cancel),
        9 => (0..5u8).prop_map(RwLockOp::Drop),
        2 => (0..5u8).prop_map(RwLockOp::Downgrade),
        1 => (0..5u8).prop_map(RwLockOp::DowngradeToUpgradable),
        2 => (0..5u8).prop_map(RwLockOp::TryUpgrade),
        3 => (0..5u8, 0..5u8).prop_map(|(nth, place)| RwLockOp::Upgrade(nth, place)),
        1 => (0..5u8).prop_map(RwLockOp::CancelUpgrade),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    let rule =
        prop_oneof![Just(Rule::WriterPriority), Just(Rule::ReaderPriority), Just(Rule::Fair)];
    (rule, any::<bool>(), prop::collection::vec(op(), 0..60))
        .prop_map(|(rule, growable, ops)| Case { rule, growable, ops })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_lock_excludes_and_nobody_sleeps_beside_it(case in case()) {
        case.run();
    }
}
