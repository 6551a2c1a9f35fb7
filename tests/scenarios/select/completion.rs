//! What becomes of the values of a selection that is completed wrongly.

use crate::support::Drops;
use aqueduct::channel::{Select, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// An arm that is completed by the wrong call, or with another channel: a panic, and the values are dropped, once.
#[test]
fn the_wrong_completion_panics_and_keeps_no_value() {
    for capacity in [1, 3] {
        let (sender, receiver) = bounded(capacity);
        let (other, _other) = bounded(capacity);
        let drops = Drops::default();
        let panics = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
        // It has received; what it has goes with it.
        for wrong in [&sender, &other] {
            sender.send(drops.item()).unwrap();
            let mut select = Select::new();
            select.recv(&receiver);
            let before = drops.count();
            assert!(panics(&mut || drop(select.select().send(wrong, drops.item()))));
            assert_eq!(drops.count(), before + 2, "capacity {capacity}");
        }
        // Its place is free again.
        let mut select = Select::new();
        select.send(&sender);
        assert!(panics(&mut || drop(select.select().recv(&receiver))));
        drop(select);
        let before = drops.count();
        for _ in 0..capacity {
            sender.try_send(drops.item()).ok().unwrap();
        }
        drop((sender, receiver));
        assert_eq!(drops.count(), before + capacity);
    }
}
