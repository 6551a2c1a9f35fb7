//! Storms: how long one party waits for the lock while four of the other kind never leave it alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Guarded, Lock, settle};
use crate::family::PERCENTILES;
use crate::measure::Sample;
use crate::stats::quantile;
use crate::team::{Job, race};

const CROWD: usize = 4;

/// What a thread brings back: its waits in nanoseconds, if it is the one that is measured, and how
/// often it has written.
type Notes = (Vec<f64>, u64);

/// A writer among readers, for so many microseconds.
pub(super) fn writer<L: Lock>(micros: u64) -> Sample {
    storm::<L>(micros, read_and_stay, measure_writes)
}

/// A reader among writers, for so many microseconds.
pub(super) fn reader<L: Lock>(micros: u64) -> Sample {
    storm::<L>(micros, write_and_stay, measure_reads)
}

fn storm<L: Lock>(
    micros: u64,
    crowd: fn(&L, &AtomicBool) -> u64,
    measured: fn(&L, Instant) -> Notes,
) -> Sample {
    let lock = Arc::new(L::new(Guarded::default()));
    let over = Arc::new(AtomicBool::new(false));
    let mut jobs: Vec<Job<Notes>> = Vec::new();
    for _ in 0..CROWD {
        let (lock, over) = (lock.clone(), over.clone());
        jobs.push(Box::new(move || (Vec::new(), crowd(&lock, &over))));
    }
    let measuring = lock.clone();
    jobs.push(Box::new(move || {
        let end = Instant::now() + Duration::from_micros(micros);
        // Ends the storm, since the one that is measured may never get in.
        let clock = thread::spawn(move || {
            thread::sleep(end.saturating_duration_since(Instant::now()));
            over.store(true, Ordering::Relaxed);
        });
        let notes = measured(&measuring, end);
        clock.join().expect("it only sleeps");
        notes
    }));
    let (sample, notes) = race(micros, jobs);
    settle(&*lock, notes.iter().map(|(_, written)| written).sum());
    let waits: Vec<f64> = notes.into_iter().flat_map(|(waits, _)| waits).collect();
    Sample { latency: Some(percentiles(&waits)), cpu: None, switches: None, ..sample }
}

fn percentiles(waits: &[f64]) -> [f64; PERCENTILES.len()] {
    [0.50, 0.99].map(|share| quantile(waits, share))
}

/// The value must not change while a reader is in.
#[inline(never)]
fn read_and_stay<L: Lock>(lock: &L, over: &AtomicBool) -> u64 {
    while !over.load(Ordering::Relaxed) {
        lock.read(|value| {
            let seen = value.look();
            thread::yield_now();
            assert_eq!(value.look(), seen, "a write under a reader's eyes");
        });
    }
    0
}

/// Between the two halves of a write another's would show.
#[inline(never)]
fn write_and_stay<L: Lock>(lock: &L, over: &AtomicBool) -> u64 {
    let mut written = 0;
    while !over.load(Ordering::Relaxed) {
        lock.write(|value| {
            let seen = value.look();
            value.first += 1;
            thread::yield_now();
            value.second += 1;
            assert_eq!(value.look(), seen + 1, "two writers at once");
        });
        written += 1;
    }
    written
}

#[inline(never)]
fn measure_writes<L: Lock>(lock: &L, end: Instant) -> Notes {
    let waits = measure(end, || {
        let asked = Instant::now();
        lock.write(|value| {
            let waited = asked.elapsed();
            value.change();
            waited
        })
    });
    let written = waits.len() as u64;
    (waits, written)
}

#[inline(never)]
fn measure_reads<L: Lock>(lock: &L, end: Instant) -> Notes {
    let waits = measure(end, || {
        let asked = Instant::now();
        lock.read(|value| {
            let waited = asked.elapsed();
            value.look();
            waited
        })
    });
    (waits, 0)
}

fn measure(end: Instant, once: impl Fn() -> Duration) -> Vec<f64> {
    let mut waits = Vec::new();
    while waits.is_empty() || Instant::now() < end {
        waits.push(once().as_nanos() as f64);
        // Lets the crowd come in again.
        thread::yield_now();
    }
    waits
}

#[cfg(test)]
mod tests {
    use super::super::tests::Planted;
    use super::*;

    #[test]
    fn a_lock_that_works_passes_and_has_two_figures() {
        for storm in [writer::<Planted<false>>, reader::<Planted<false>>] {
            let [p50, p99] = storm(2000).latency.expect("that is what it measures");
            assert!(0.0 < p50 && p50 <= p99, "{p50} {p99}");
        }
    }

    #[test]
    #[should_panic(expected = "a write is lost")]
    fn a_lost_write_fails_a_storm() {
        reader::<Planted<true>>(50_000);
    }

    /// Lets everybody in: each gets its own copy to write to, and reads what changes meanwhile.
    struct Open(std::sync::Mutex<Guarded>);

    impl Lock for Open {
        const NAME: &'static str = "open";

        fn new(value: Guarded) -> Self {
            Self(value.into())
        }

        fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
            f(&self.0.lock().unwrap())
        }

        fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
            let value = &mut *self.0.lock().unwrap();
            // As if another had come in half-way.
            value.first += 1;
            f(value)
        }
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn two_writers_at_once_fail_a_storm() {
        reader::<Open>(1000);
    }
}
