//! The hook of `deadlock-detection`, which is the process's: so this is a process of its own.
#![cfg(debug_assertions)]

use aqueduct::sync::{Mutex, deadlock};
use std::sync::Mutex as StdMutex;

static SEEN: StdMutex<Vec<deadlock::Cycle>> = StdMutex::new(Vec::new());

/// The hook is called once for two orders, and the program goes on. The hook before is dropped with nothing locked: it may set
/// one itself.
#[test]
fn a_hook_is_told_instead_of_a_panic() {
    struct SetsAnother;
    impl Drop for SetsAnother {
        fn drop(&mut self) {
            deadlock::set_hook(|cycle| unreachable!("{cycle}"));
        }
    }
    let captured = SetsAnother;
    deadlock::set_hook(move |cycle| unreachable!("{cycle}, with {}", size_of_val(&captured)));
    deadlock::set_hook(|cycle| unreachable!("{cycle}"));
    deadlock::set_hook(|cycle| SEEN.lock().unwrap().push(cycle.clone()));
    let (a, b) = (Mutex::new(1), Mutex::new(1));
    let both = |one: &Mutex<u8>, two: &Mutex<u8>| {
        let _one = one.lock_blocking();
        let _two = two.lock_blocking();
    };
    both(&a, &b);
    assert!(SEEN.lock().unwrap().is_empty());
    for _ in 0..3 {
        both(&b, &a);
    }
    let seen = SEEN.lock().unwrap();
    let [cycle] = &seen[..] else { panic!("{seen:?}") };
    let [now, before] = cycle.steps() else { panic!("{cycle}") };
    // The closure is the same for both orders; so are the lines.
    assert_eq!((now.held_at(), now.asked_at()), (before.held_at(), before.asked_at()));
    assert!(now.held_at().file().ends_with("deadlock_hook.rs"));
    assert_eq!(now.thread(), before.thread());
}
