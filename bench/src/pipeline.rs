//! Family `pipeline`: three steps of two threads each between a source and a consumer, buffers of 64 items.
//!
//! An operation is one item, from the source to the consumer. `cheap` steps are a multiplication, and a full run has a million items; `heavy` ones are
//! some 2 us of arithmetic, for a hundred thousand. Under `ordered` the consumer gets the items in the order of the source. Under `fused` one
//! stage of two threads does all three steps, which is also all that rayon can do. Who works item by item over bounded channels
//! is written by hand here, once for all channels: a thread per worker, and for the order a map at the consumer. Threads are started
//! and joined inside the measurement, as a program would. In `aqueduct-bridge`, and in `crossfire-bridge` by hand, nobody has a thread but the steps'
//! workers: those of the first take from the source themselves, in ours 32 cheap items at a time, and those of the last add up. What is not a chain is told in `fan`.

mod candidates;
mod fan;

use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::sys;
use std::hint::black_box;
use std::time::Instant;

/// Items that may wait in front of a step.
pub(crate) const BUFFER: usize = 64;

/// Threads of a step.
pub(crate) const WORKERS: usize = 2;

pub(crate) fn cells() -> Vec<Cell> {
    let cell = |shape: Shape| {
        let mut candidates = candidates::all(shape);
        candidates.extend(go::candidate("pipeline", shape.name()));
        let ops = Some(if shape.heavy { 100_000 } else { 1_000_000 });
        Cell { ops, ..Cell::new("pipeline", shape.name(), "item", candidates) }
    };
    Shape::all().into_iter().map(cell).chain(fan::cells()).collect()
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) heavy: bool,
    pub(crate) ordered: bool,
    pub(crate) fused: bool,
}

impl Shape {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for heavy in [false, true] {
            for fused in [false, true] {
                for ordered in [false, true] {
                    all.push(Self { heavy, ordered, fused });
                }
            }
        }
        all
    }

    fn name(self) -> String {
        let weight = if self.heavy { "heavy" } else { "cheap" };
        let stages = if self.fused { "fused" } else { "3x2" };
        let order = if self.ordered { "ordered" } else { "unordered" };
        format!("{weight}/{stages}/{order}")
    }

    /// One step.
    #[inline(always)]
    pub(crate) fn step(self, value: u64) -> u64 {
        // A dependent chain, so that the compiler can neither shorten nor widen it.
        let rounds = if self.heavy { 2_000 } else { 1 };
        let mut value = value;
        for _ in 0..rounds {
            value = black_box(value).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        }
        value
    }

    /// All three.
    #[inline(always)]
    pub(crate) fn steps(self, value: u64) -> u64 {
        self.step(self.step(self.step(value)))
    }
}

/// What the consumer makes of the items: it depends on each of them and, if that counts, on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    sum: u64,
    ordered: bool,
}

impl Sum {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { sum: 0, ordered: shape.ordered }
    }

    #[inline]
    pub(crate) fn take(&mut self, value: u64) {
        if self.ordered {
            self.sum = self.sum.rotate_left(5);
        }
        self.sum = self.sum.wrapping_add(value);
    }

    /// Those of another, where the order does not count.
    pub(crate) fn and(self, other: Self) -> Self {
        assert!(!self.ordered, "in order they are summed up by one");
        Self { sum: self.sum.wrapping_add(other.sum), ..self }
    }
}

/// A candidate: `run(ops)` puts the numbers below `ops` through, and sums up.
fn candidate(name: &'static str, shape: Shape, run: impl Fn(u64) -> Sum + 'static) -> Candidate {
    // One that has been checked for so many items need not be checked again.
    let mut checked = (0, Sum::default());
    Candidate::new(name, move |ops| {
        if checked.0 != ops {
            let mut expected = Sum::new(shape);
            (0..ops).for_each(|n| expected.take(shape.steps(n)));
            checked = (ops, expected);
        }
        let (sum, sample) = measure(ops, || run(ops));
        assert_eq!(sum, checked.1, "{name} lost, doubled or displaced an item");
        sample
    })
}

/// What a run of so many operations comes to, and what it takes.
fn measure<R>(ops: u64, run: impl FnOnce() -> R) -> (R, Sample) {
    let (cpu, switches) = (sys::cpu_time(), sys::switches());
    let start = Instant::now();
    let result = run();
    let wall = start.elapsed();
    let (cpu, switches) = (sys::cpu_time() - cpu, sys::switches() - switches);
    (result, Sample::of(ops, wall, cpu, switches))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_candidates_do_the_same_work() {
        for mut cell in cells() {
            for candidate in &mut cell.candidates {
                (candidate.run)(500);
            }
        }
    }

    #[test]
    #[should_panic(expected = "lost, doubled or displaced")]
    fn an_item_in_the_wrong_place_is_found() {
        let shape = Shape { heavy: false, ordered: true, fused: false };
        let mut swapped = candidate("swapped", shape, move |_| {
            let mut sum = Sum::new(shape);
            [0, 2, 1].into_iter().for_each(|n| sum.take(shape.steps(n)));
            sum
        });
        (swapped.run)(3);
    }
}
