//! Family `floor`: what the machine's own steps cost here. No queue or channel can be faster than the
//! steps that it is made of, so these rows say how much of a figure is whose.
//!
//! There is one candidate, the machine. Its workloads:
//!
//! | workload | one operation |
//! |---|---|
//! | `cas`, `fetch-add` | one such step on a word that nobody else touches |
//! | `fence` | a relaxed store and a SeqCst fence |
//! | `futex-wake` | a FUTEX_WAKE call for a word on which nobody sleeps |
//! | `wake-sleeper` | `Thread::unpark` of a sleeping thread: what the waker pays, nothing else |
//! | `park-unpark` | one hand-over between two threads of which one always sleeps |
//! | `yield` | `sched_yield` with nobody to yield to |
//! | `yield-to` | one hand-over between two threads on the same CPU that yield to one another |
//! | `line-transfer` | one hand-over between two threads on two CPUs that spin on one word |
//! | `pair-loop` | the loop of the queue family's `pair` around a queue that costs next to nothing |

use std::cell::Cell as StdCell;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::family::{Candidate, Cell};
use crate::measure::Sample;
use crate::queue::{self, Queue};
use crate::sys;
use crate::team::{Job, race};

pub(crate) fn cells() -> Vec<Cell> {
    let cpus = sys::allowed_cpus();
    let mut cells = vec![
        cell("cas", "step", |ops| alone(ops, cas)),
        cell("fetch-add", "step", |ops| alone(ops, fetch_add)),
        cell("fence", "step", |ops| alone(ops, store_and_fence)),
        cell("futex-wake", "call", |ops| alone(ops, futex_wake)),
        cell("wake-sleeper", "call", wake_sleeper),
        cell("park-unpark", "hand-over", |ops| hand_over(ops, None, thread::park, Thread::unpark)),
        cell("yield", "call", |ops| alone(ops, yield_now)),
    ];
    let here = cpus[0];
    cells.push(cell("yield-to", "hand-over", move |ops| {
        hand_over(ops, Some([here, here]), thread::yield_now, |_| ())
    }));
    if let &[first, second, ..] = &*cpus {
        cells.push(cell("line-transfer", "hand-over", move |ops| {
            hand_over(ops, Some([first, second]), spin_loop, |_| ())
        }));
    }
    cells.push(cell("pair-loop", "item", |ops| queue::pair::<u64, OneSlot>(1, ops, false)));
    cells
}

fn cell(workload: &str, unit: &'static str, run: impl FnMut(u64) -> Sample + 'static) -> Cell {
    let candidates = vec![Candidate::new("machine", run)];
    Cell::new("floor", workload.into(), unit, candidates)
}

/// One thread does `ops` steps and returns how many it has counted.
fn alone(ops: u64, steps: fn(u64) -> u64) -> Sample {
    let (sample, counted) = race(ops, vec![Box::new(move || steps(ops)) as Job<u64>]);
    assert_eq!(counted, [ops]);
    sample
}

#[inline(never)]
fn cas(ops: u64) -> u64 {
    let word = AtomicU64::new(0);
    let word = black_box(&word);
    for n in 0..ops {
        let swapped = word.compare_exchange(n, n + 1, Ordering::SeqCst, Ordering::Relaxed);
        assert_eq!(swapped, Ok(n));
    }
    word.load(Ordering::Relaxed)
}

#[inline(never)]
fn fetch_add(ops: u64) -> u64 {
    let word = AtomicU64::new(0);
    let word = black_box(&word);
    for _ in 0..ops {
        word.fetch_add(1, Ordering::SeqCst);
    }
    word.load(Ordering::Relaxed)
}

#[inline(never)]
fn store_and_fence(ops: u64) -> u64 {
    let word = AtomicU64::new(0);
    let word = black_box(&word);
    for n in 0..ops {
        word.store(n + 1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
    word.load(Ordering::Relaxed)
}

#[inline(never)]
fn futex_wake(ops: u64) -> u64 {
    let word = AtomicU32::new(0);
    (0..ops).map(|_| 1 - sys::futex_wake(&word)).sum()
}

#[inline(never)]
fn yield_now(ops: u64) -> u64 {
    (0..ops).map(|_| thread::yield_now()).count() as u64
}

/// Two threads that pass the turn `ops` times between them, `ops` rounded up to even. `wait` is what
/// one does while it is not its turn, `tell` what it does to the other after passing.
fn hand_over(ops: u64, cpus: Option<[usize; 2]>, wait: fn(), tell: fn(&Thread)) -> Sample {
    let rounds = ops.div_ceil(2);
    let turn = Arc::new(AtomicU64::new(0));
    let threads: Arc<[OnceLock<Thread>; 2]> = Arc::default();
    let met = Arc::new(Barrier::new(2));
    let jobs = [0_usize, 1]
        .into_iter()
        .map(|me| -> Job<()> {
            let (turn, threads, met) = (turn.clone(), threads.clone(), met.clone());
            Box::new(move || {
                if let Some(cpus) = cpus {
                    sys::pin(cpus[me]);
                }
                threads[me].set(thread::current()).expect("set once");
                met.wait();
                for round in 0..rounds {
                    let mine = 2 * round + me as u64;
                    await_turn(&turn, mine, wait);
                    turn.store(mine + 1, Ordering::Release);
                    tell(threads[1 - me].get().expect("both have met"));
                }
            })
        })
        .collect();
    let (sample, _) = race(2 * rounds, jobs);
    assert_eq!(turn.load(Ordering::Relaxed), 2 * rounds);
    sample
}

/// Waits in the given way; after long, as when something else has the other's CPU, lets go of ours
/// too.
fn await_turn(turn: &AtomicU64, mine: u64, wait: fn()) {
    for waited in 1_u32.. {
        if turn.load(Ordering::Acquire) == mine {
            return;
        }
        wait();
        if waited.is_multiple_of(10_000) {
            thread::yield_now();
        }
    }
}

/// Adds up the time inside the `unpark` calls only; each comes long enough after the other thread's
/// last sign of life for that to be asleep.
fn wake_sleeper(ops: u64) -> Sample {
    const SETTLE: Duration = Duration::from_micros(50);
    let going_to_sleep = Arc::new(AtomicU64::new(0));
    let woken = Arc::new(AtomicU64::new(0));
    let sleeper: Arc<OnceLock<Thread>> = Arc::default();
    let (nap, wake, me) = (going_to_sleep.clone(), woken.clone(), sleeper.clone());
    let jobs: Vec<Job<Duration>> = vec![
        Box::new(move || {
            me.set(thread::current()).expect("set once");
            for n in 1..=ops {
                nap.store(n, Ordering::Release);
                while wake.load(Ordering::Acquire) < n {
                    thread::park();
                }
            }
            Duration::ZERO
        }),
        Box::new(move || {
            let mut inside = Duration::ZERO;
            for n in 1..=ops {
                while going_to_sleep.load(Ordering::Acquire) < n {
                    thread::yield_now();
                }
                let seen = Instant::now();
                while seen.elapsed() < SETTLE {
                    thread::yield_now();
                }
                woken.store(n, Ordering::Release);
                let thread = sleeper.get().expect("it has said that it goes to sleep");
                let start = Instant::now();
                thread.unpark();
                inside += start.elapsed();
            }
            inside
        }),
    ];
    let (sample, inside) = race(ops, jobs);
    // CPU time and switches are those of the waiting in between.
    Sample { wall: inside.iter().sum(), cpu: None, switches: None, ..sample }
}

/// Room for one item of one thread.
struct OneSlot(StdCell<Option<u64>>);

impl Queue<u64> for OneSlot {
    const NAME: &'static str = "one-slot";

    fn with_capacity(_: usize) -> Self {
        Self(StdCell::new(None))
    }

    #[inline]
    fn push(&self, item: u64) -> Result<(), u64> {
        if self.0.get().is_some() {
            return Err(item);
        }
        // Keeps the compiler from seeing that it gets back what it put in.
        self.0.set(Some(black_box(item)));
        Ok(())
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_is_measured() {
        for cell in &mut cells() {
            let sample = (cell.candidates[0].run)(501);
            assert!(sample.ops >= 501 && sample.wall > Duration::ZERO, "{}", cell.workload);
        }
    }
}
