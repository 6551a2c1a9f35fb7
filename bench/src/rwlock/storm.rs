//! Storms: how long one party waits for the lock while four of the other kind never leave it alone.
//!
//! A storm ends when its time is over, whoever has got in by then: a clock tells the crowd to leave, and the
//! lock is free for the one who is measured. A lock may keep that one out to the end, by design; then its
//! only wait is as long as the storm, and the count of those that ended before says 0.
//!
//! A thread that never gets the CPU does not get in, either. What tells the two apart, on a busy machine too,
//! is how many of the crowd came in during one wait: a lock that keeps the one out lets them pass by the
//! thousand, and one that does not by no more than its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{Guarded, Lock, settle};
use crate::family::PERCENTILES;
use crate::measure::{Passage, Sample};
use crate::stats::quantile;
use crate::team::{Job, race};

const CROWD: usize = 4;

#[derive(Default)]
struct Weather {
    is_over: AtomicBool,
    /// How often one of the crowd has come in.
    entries: AtomicU64,
}

impl Weather {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    fn note_entry(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a thread brings back.
#[derive(Default)]
struct Notes {
    /// In nanoseconds, if it is the one that is measured.
    waits: Vec<f64>,
    /// How many of them ended while the storm lasted.
    got_in: u64,
    /// The most of the crowd that came in during one of them.
    overtaken: u64,
    written: u64,
}

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
    crowd: fn(&L, &Weather) -> u64,
    measured: fn(&L, &Weather) -> Notes,
) -> Sample {
    let lock = Arc::new(L::new(Guarded::default()));
    let weather = Arc::new(Weather::default());
    let mut jobs: Vec<Job<Notes>> = Vec::new();
    for _ in 0..CROWD {
        let (lock, weather) = (lock.clone(), weather.clone());
        jobs.push(Box::new(move || Notes { written: crowd(&lock, &weather), ..Notes::default() }));
    }
    let measuring = lock.clone();
    jobs.push(Box::new(move || {
        // A thread of its own, since the one that is measured may not get in until it has ended the storm.
        let clock = thread::spawn({
            let weather = weather.clone();
            let end = Instant::now() + Duration::from_micros(micros);
            move || {
                thread::sleep(end.saturating_duration_since(Instant::now()));
                weather.is_over.store(true, Ordering::Relaxed);
            }
        });
        let notes = measured(&measuring, &weather);
        clock.join().expect("it only sleeps");
        notes
    }));
    let (sample, notes) = race(micros, jobs);
    settle(&*lock, notes.iter().map(|notes| notes.written).sum());
    let passage = Passage {
        got_in: notes.iter().map(|notes| notes.got_in).sum(),
        overtaken: notes.iter().map(|notes| notes.overtaken).sum(),
    };
    let waits: Vec<f64> = notes.into_iter().flat_map(|notes| notes.waits).collect();
    let latency = Some(percentiles(&waits));
    Sample { latency, passage: Some(passage), cpu: None, switches: None, ..sample }
}

fn percentiles(waits: &[f64]) -> [f64; PERCENTILES.len()] {
    [0.50, 0.99].map(|share| quantile(waits, share))
}

/// The value must not change while a reader is in. Comes in once at the least, however late it is.
#[inline(never)]
fn read_and_stay<L: Lock>(lock: &L, weather: &Weather) -> u64 {
    loop {
        lock.read(|value| {
            weather.note_entry();
            let seen = value.look();
            thread::yield_now();
            assert_eq!(value.look(), seen, "a write under a reader's eyes");
        });
        if weather.is_over() {
            return 0;
        }
    }
}

/// Between the two halves of a write another's would show. Writes once at the least.
#[inline(never)]
fn write_and_stay<L: Lock>(lock: &L, weather: &Weather) -> u64 {
    let mut written = 0;
    loop {
        lock.write(|value| {
            weather.note_entry();
            let seen = value.look();
            value.first += 1;
            thread::yield_now();
            value.second += 1;
            assert_eq!(value.look(), seen + 1, "two writers at once");
        });
        written += 1;
        if weather.is_over() {
            return written;
        }
    }
}

#[inline(never)]
fn measure_writes<L: Lock>(lock: &L, weather: &Weather) -> Notes {
    let notes = measure(weather, || {
        let asked = Instant::now();
        lock.write(|value| {
            let waited = (asked.elapsed(), weather.entries());
            value.change();
            waited
        })
    });
    Notes { written: notes.waits.len() as u64, ..notes }
}

#[inline(never)]
fn measure_reads<L: Lock>(lock: &L, weather: &Weather) -> Notes {
    measure(weather, || {
        let asked = Instant::now();
        lock.read(|value| {
            let waited = (asked.elapsed(), weather.entries());
            value.look();
            waited
        })
    })
}

/// `once` says how long it waited, and how many had come in by then.
///
/// The wait in which the storm ends is the last. It belongs to the waits, however it would have gone on: it
/// lasted so long at the least.
fn measure(weather: &Weather, once: impl Fn() -> (Duration, u64)) -> Notes {
    let mut notes = Notes::default();
    loop {
        let before = weather.entries();
        let (waited, entries) = once();
        notes.waits.push(waited.as_nanos() as f64);
        notes.overtaken = notes.overtaken.max(entries - before);
        if weather.is_over() {
            return notes;
        }
        notes.got_in += 1;
        // Lets the crowd come in again.
        thread::yield_now();
    }
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

    /// Asks until the storm is over, in the wait that comes after so many; one of the crowd comes in during
    /// the first wait, two during the second, and so on.
    fn over_after(got_in: u64) -> Notes {
        let (weather, asked) = (Weather::default(), AtomicU64::new(0));
        measure(&weather, || {
            let nth = asked.fetch_add(1, Ordering::Relaxed);
            weather.is_over.store(nth == got_in, Ordering::Relaxed);
            (0..=nth).for_each(|_| weather.note_entry());
            (Duration::from_nanos(7), weather.entries())
        })
    }

    #[test]
    fn who_is_kept_out_to_the_end_has_one_wait_and_did_not_get_in() {
        let notes = over_after(0);
        assert_eq!((&notes.waits[..], notes.got_in, notes.overtaken), (&[7.0][..], 0, 1));
    }

    #[test]
    fn the_wait_in_which_the_storm_ends_is_no_getting_in() {
        let notes = over_after(3);
        assert_eq!((notes.waits.len(), notes.got_in, notes.overtaken), (4, 3, 4));
    }

    #[test]
    #[should_panic(expected = "a write is lost")]
    fn a_lost_write_fails_a_storm() {
        reader::<Planted<true>>(1000);
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
