//! Family `context`: trees of cancellation.
//!
//! | workload | one operation |
//! |---|---|
//! | `is-done/depth8` | one question to the last of a chain of 8 contexts, none of which is done |
//! | `child` | a child of a living context made and dropped |
//! | `cancel1000` | one cancellation of a context with 1000 children; making the tree is not counted |

mod candidates;

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::team::{Job, race};

/// What a candidate must be able to do.
pub(crate) trait Context: Send + 'static {
    const NAME: &'static str;

    fn root() -> Self;
    fn child(&self) -> Self;
    fn cancel(&self);
    fn is_done(&self) -> bool;
}

const DEPTH: usize = 8;
const CHILDREN: usize = 1000;

pub(crate) fn cells() -> Vec<Cell> {
    [
        ("is-done/depth8", "question", Shape::IsDone),
        ("child", "child made and dropped", Shape::Child),
        ("cancel1000", "cancellation", Shape::Cancel),
    ]
    .into_iter()
    .map(|(name, unit, shape)| {
        let mut candidates = candidates::all(shape);
        candidates.extend(go::candidate("context", name.into()));
        Cell::new("context", name.into(), unit, candidates)
    })
    .collect()
}

#[derive(Clone, Copy)]
enum Shape {
    IsDone,
    Child,
    Cancel,
}

fn candidate<C: Context>(shape: Shape) -> Candidate {
    Candidate::new(C::NAME, move |ops| match shape {
        Shape::IsDone => alone::<C>(ops, is_done),
        Shape::Child => alone::<C>(ops, make_and_drop),
        Shape::Cancel => cancel::<C>(ops),
    })
}

fn alone<C: Context>(ops: u64, work: fn(&C, u64)) -> Sample {
    let chain = chain::<C>();
    let job: Job<Vec<C>> = Box::new(move || {
        work(&chain[DEPTH - 1], ops);
        chain
    });
    let (sample, chains) = race(ops, vec![job]);
    for chain in chains {
        let [first, .., last] = &chain[..] else { unreachable!("it has a depth") };
        assert!(!last.is_done(), "{} is done, and nobody has cancelled it", C::NAME);
        first.cancel();
        assert!(last.is_done(), "a cancellation of {} does not reach the end", C::NAME);
    }
    sample
}

fn chain<C: Context>() -> Vec<C> {
    let mut chain = vec![C::root()];
    while chain.len() < DEPTH {
        chain.push(chain[chain.len() - 1].child());
    }
    chain
}

#[inline(never)]
fn is_done<C: Context>(context: &C, ops: u64) {
    for _ in 0..ops {
        assert!(!black_box(context).is_done(), "nobody has cancelled it");
    }
}

#[inline(never)]
fn make_and_drop<C: Context>(context: &C, ops: u64) {
    for _ in 0..ops {
        drop(black_box(context.child()));
    }
}

/// Adds up the time inside the cancellations only.
fn cancel<C: Context>(ops: u64) -> Sample {
    let job: Job<Duration> = Box::new(move || (0..ops).map(|_| cancel_once::<C>()).sum());
    let (sample, inside) = race(ops, vec![job]);
    // CPU time and switches are mostly those of making trees.
    Sample { wall: inside.iter().sum(), cpu: None, switches: None, ..sample }
}

fn cancel_once<C: Context>() -> Duration {
    let root = C::root();
    let children: Vec<C> = (0..CHILDREN).map(|_| root.child()).collect();
    assert!(!children.iter().any(C::is_done), "a child is done too early");
    let start = Instant::now();
    root.cancel();
    let took = start.elapsed();
    assert!(children.iter().all(C::is_done), "a cancellation does not reach a child");
    took
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// All contexts of a tree are one flag; with `DEAF`, the 900th child has its own.
    struct Planted<const DEAF: bool>(Arc<AtomicBool>, Arc<AtomicUsize>);

    impl<const DEAF: bool> Context for Planted<DEAF> {
        const NAME: &'static str = "planted";

        fn root() -> Self {
            Self(Arc::default(), Arc::default())
        }

        fn child(&self) -> Self {
            let nth = self.1.fetch_add(1, Ordering::Relaxed);
            let flag = if DEAF && nth == 900 { Arc::default() } else { self.0.clone() };
            Self(flag, self.1.clone())
        }

        fn cancel(&self) {
            self.0.store(true, Ordering::Relaxed);
        }

        fn is_done(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    /// Cancellation stays where it is.
    struct Alone(AtomicBool);

    impl Context for Alone {
        const NAME: &'static str = "alone";

        fn root() -> Self {
            Self(AtomicBool::new(false))
        }

        fn child(&self) -> Self {
            Self::root()
        }

        fn cancel(&self) {
            self.0.store(true, Ordering::Relaxed);
        }

        fn is_done(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_context_that_works_passes() {
        alone::<Planted<false>>(100, is_done);
        alone::<Planted<false>>(100, make_and_drop);
        cancel::<Planted<false>>(3);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_child_that_is_not_reached_fails() {
        cancel::<Planted<true>>(1);
    }

    #[test]
    #[should_panic(expected = "does not reach the end")]
    fn a_chain_that_is_not_reached_fails() {
        alone::<Alone>(100, is_done);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(100).ops, 100, "{}", candidate.name);
            }
        }
    }
}
