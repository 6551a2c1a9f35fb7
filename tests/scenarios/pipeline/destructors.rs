//! Destructors that panic: of states, copies, errors, lists and keys.

use super::{assert_adds_up, assert_error_adds_up};
use aqueduct::pipeline::{Cause, Pipeline, PipelineError, Policy, StageError, Stopped};
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// It panics when it is dropped, if it is armed.
#[derive(Debug)]
struct Bomb {
    armed: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.armed, "bang");
    }
}

/// The copy is armed, and what it was made of is not.
impl Clone for Bomb {
    fn clone(&self) -> Self {
        Self { armed: true }
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl Error for Bomb {}

/// A state that is thrown away after a panic panics in its turn: the item has failed, and nothing else has happened.
///
/// R40
#[test]
fn a_state_that_is_made_anew_costs_no_worker() {
    let first = AtomicBool::new(true);
    let report = Pipeline::from_iter(0..6)
        .stage_init(
            "armed",
            || Bomb { armed: first.swap(false, SeqCst) },
            |_, n: u32| {
                assert_ne!(n, 2, "on purpose");
                Ok::<_, Stopped>(n)
            },
        )
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    assert_eq!((report.delivered(), report.failed()), (5, 1));
    assert_adds_up(&report);
}

/// A state that panics when its worker has done its last item ends the run with an error, which has cost no item.
///
/// R40
#[test]
fn a_state_that_panics_at_the_end_costs_no_item() {
    let error = Pipeline::from_iter(0..100)
        .stage_init("armed", || Bomb { armed: true }, |_, n: u32| Ok::<_, Stopped>(n))
        .concurrency(2)
        .map("same", |n| n)
        .run(drop)
        .unwrap_err();
    assert_error_adds_up(&error);
    assert_eq!(error.report().unwrap().delivered(), 100);
    let PipelineError::Worker { stage, panicked, .. } = error else { panic!("{error:?}") };
    assert_eq!((&*stage, panicked.message()), ("armed", "bang"));
}

/// Copies for another attempt, and errors that nobody keeps, panic when they are dropped: that is nobody's concern.
///
/// R40
#[test]
fn copies_and_errors_that_nobody_wants_cost_nothing() {
    for policy in [Policy::Skip, Policy::Collect] {
        let report = Pipeline::from_iter(0..100)
            .map("pack", |n| (n, Bomb { armed: false }))
            .stage("open", |(n, _bomb)| if n % 2 == 0 { Ok(n) } else { Err(Bomb { armed: true }) })
            .on_error_keeping(policy)
            .concurrency(2)
            .keep_errors(1)
            .run(drop)
            .unwrap();
        assert_eq!((report.delivered(), report.failed()), (50, 50));
        assert_adds_up(&report);
        // The one that was kept is its owner's.
        report.into_errors().into_iter().for_each(std::mem::forget);
    }
}

/// The iterator of a list panics when it is dropped: that stops the run at its item, as any panic of the list does.
///
/// R40
#[test]
fn a_list_that_panics_at_its_end_stops_at_its_item() {
    struct List {
        left: u32,
        _bomb: Bomb,
    }
    impl Iterator for List {
        type Item = u32;
        fn next(&mut self) -> Option<u32> {
            self.left = self.left.checked_sub(1)?;
            Some(self.left)
        }
    }
    for left in [0, 2] {
        let error = Pipeline::from_iter(0..100)
            .flat_map("lists", |n| List { left, _bomb: Bomb { armed: n == 3 } })
            .ordered(4)
            .run(drop)
            .unwrap_err();
        assert_error_adds_up(&error);
        let PipelineError::Stopped { error, report } = error else { panic!("{error:?}") };
        assert_eq!((error.stage(), error.item()), ("lists", 3));
        assert!(matches!(error.cause(), Cause::Panicked(panicked) if panicked.message() == "bang"));
        // What that one made may have been taken by then.
        let delivered = report.delivered();
        assert!((3 * left..=4 * left).contains(&(delivered as u32)), "{delivered}");
    }
}

/// A key that cannot be shown, and panics when it is dropped, is nobody's concern.
///
/// R40
#[test]
fn a_key_that_is_hard_to_handle_costs_no_worker() {
    struct Key(u32);
    impl Drop for Key {
        fn drop(&mut self) {
            panic!("on purpose, while a key is dropped")
        }
    }
    impl std::hash::Hash for Key {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    impl fmt::Debug for Key {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("on purpose, while a key is shown")
        }
    }
    let report = Pipeline::from_iter(0..100)
        .stage("odd", |n: u32| if n % 2 == 1 { Ok(n) } else { Err("even") })
        .concurrency(2)
        .keyed(|n| Key(n % 5))
        .on_error(Policy::Collect)
        .run(drop)
        .unwrap();
    assert_eq!((report.delivered(), report.failed()), (50, 50));
    assert_eq!(report.errors().iter().find_map(StageError::key), None);
    assert_adds_up(&report);
}
