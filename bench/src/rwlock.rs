//! Family `rwlock`: read-write locks, by threads.
//!
//! An operation is one acquisition, a look at or a change of what the lock guards, and the release.
//!
//! | workload | |
//! |---|---|
//! | `uncontended/read`, `uncontended/write` | one thread |
//! | `2r`, `4r` | so many threads that only read |
//! | `90-10`, `50-50` | 4 threads, of whose operations so many in a hundred read and write |
//! | `storm/writer` | how long a writer waits while 4 readers come and go, each giving up the CPU once while it holds, so that their stays overlap |
//! | `storm/reader` | how long a reader waits among 4 writers who do the same |
//!
//! A storm lasts a fixed time and has two figures, the median of the waits and what 99 of 100 stay
//! below. Who never gets in is measured by the time until the storm was over.
//!
//! What is guarded are two words, a cache line apart, that every writer moves together: a reader that
//! finds them different has read a torn value, and their value at the end must be the number of writes.

mod candidates;
mod storm;

use std::hint::black_box;
use std::sync::Arc;

use crate::check::share;
use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::team::{Job, race};

/// What a candidate must be able to do.
pub(crate) trait Lock: Send + Sync + 'static {
    const NAME: &'static str;

    fn new(value: Guarded) -> Self;

    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R;

    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R;
}

/// What the lock guards.
#[derive(Default)]
#[repr(C, align(64))]
pub(crate) struct Guarded {
    first: u64,
    _apart: [u64; 7],
    second: u64,
}

impl Guarded {
    #[inline]
    fn change(&mut self) {
        self.first += 1;
        self.second += 1;
    }

    /// # Panics
    ///
    /// If a writer is in the middle of it.
    #[inline]
    fn look(&self) -> u64 {
        let (first, second) = (black_box(self).first, black_box(self).second);
        assert_eq!(first, second, "a torn read");
        first
    }
}

pub(crate) fn cells() -> Vec<Cell> {
    let mix = |threads, reads| Shape::Mix { threads, reads };
    [
        ("uncontended/read", mix(1, 100)),
        ("uncontended/write", mix(1, 0)),
        ("2r", mix(2, 100)),
        ("4r", mix(4, 100)),
        ("90-10", mix(4, 90)),
        ("50-50", mix(4, 50)),
        ("storm/writer", Shape::WriterInStorm),
        ("storm/reader", Shape::ReaderInStorm),
    ]
    .into_iter()
    .map(|(name, shape)| {
        let mut candidates = candidates::all(shape);
        if let Shape::Mix { .. } = shape {
            candidates.extend(go::candidate("rwlock", name.into()));
            return Cell::new("rwlock", name.into(), "lock and unlock", candidates);
        }
        Cell { latency: true, ..Cell::new("rwlock", name.into(), "wait", candidates) }
    })
    .collect()
}

#[derive(Clone, Copy)]
enum Shape {
    Mix {
        threads: usize,
        /// Of a hundred operations.
        reads: u64,
    },
    WriterInStorm,
    ReaderInStorm,
}

fn candidate<L: Lock>(shape: Shape) -> Candidate {
    Candidate::new(L::NAME, move |ops| match shape {
        Shape::Mix { threads, reads } => mix::<L>(threads, reads, ops),
        Shape::WriterInStorm => storm::writer::<L>(ops),
        Shape::ReaderInStorm => storm::reader::<L>(ops),
    })
}

fn mix<L: Lock>(threads: usize, reads: u64, ops: u64) -> Sample {
    let lock = Arc::new(L::new(Guarded::default()));
    let jobs = share(ops, threads)
        .into_iter()
        .enumerate()
        .map(|(me, ops)| -> Job<u64> {
            let lock = lock.clone();
            match reads {
                100 => Box::new(move || read_all(&*lock, ops)),
                0 => Box::new(move || write_all(&*lock, ops)),
                _ => Box::new(move || read_and_write(&*lock, me as u64, reads, ops)),
            }
        })
        .collect();
    let (sample, written) = race(ops, jobs);
    settle(&*lock, written.into_iter().sum());
    sample
}

/// # Panics
///
/// If a write is lost.
fn settle(lock: &impl Lock, written: u64) {
    assert_eq!(lock.read(Guarded::look), written, "a write is lost");
}

#[inline(never)]
fn read_all(lock: &impl Lock, ops: u64) -> u64 {
    for _ in 0..ops {
        lock.read(Guarded::look);
    }
    0
}

#[inline(never)]
fn write_all(lock: &impl Lock, ops: u64) -> u64 {
    for _ in 0..ops {
        lock.write(Guarded::change);
    }
    ops
}

/// The same pseudo-random sequence for every candidate; returns how many were writes.
#[inline(never)]
fn read_and_write(lock: &impl Lock, me: u64, reads: u64, ops: u64) -> u64 {
    let mut random = 0x9E37_79B9_7F4A_7C15 ^ (me + 1);
    let (mut written, mut last) = (0, 0);
    for _ in 0..ops {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        if random % 100 < reads {
            let seen = lock.read(Guarded::look);
            assert!(seen >= last, "a reader sees an older value than before");
            last = seen;
        } else {
            lock.write(Guarded::change);
            written += 1;
        }
    }
    written
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::RwLock;

    use super::*;

    /// std's lock; with `LOSES`, a writer works on a copy.
    pub(crate) struct Planted<const LOSES: bool>(RwLock<Guarded>);

    impl<const LOSES: bool> Lock for Planted<LOSES> {
        const NAME: &'static str = "planted";

        fn new(value: Guarded) -> Self {
            Self(value.into())
        }

        fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
            f(&self.0.read().unwrap())
        }

        fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
            let mut value = self.0.write().unwrap();
            if LOSES {
                return f(&mut Guarded::default());
            }
            f(&mut value)
        }
    }

    #[test]
    fn a_lock_that_works_passes() {
        for (threads, reads) in [(1, 100), (1, 0), (2, 100), (4, 50)] {
            mix::<Planted<false>>(threads, reads, 2001);
        }
    }

    #[test]
    #[should_panic(expected = "a write is lost")]
    fn a_lock_that_loses_writes_fails() {
        mix::<Planted<true>>(4, 50, 2000);
    }

    #[test]
    #[should_panic(expected = "a torn read")]
    fn a_torn_read_is_noticed() {
        let mut value = Guarded::default();
        value.change();
        value.first += 1;
        value.look();
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                let sample = (candidate.run)(1000);
                assert_eq!((sample.ops, sample.latency.is_some()), (1000, cell.latency));
            }
        }
    }
}
