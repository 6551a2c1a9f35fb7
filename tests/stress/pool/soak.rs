//! Minutes of everything at once, for `ci/soak`.

use super::{FULL, Kind, Plan, submit};
use aqueduct::pool::{JobError, Pool, PoolMetrics};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};

/// A sequence that is the same each time: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % sides
    }

    fn plan(&mut self) -> Plan {
        let kind = match self.roll(40) {
            0 => Kind::Panics,
            1 | 2 => Kind::Fails,
            3 => Kind::Late,
            4 => Kind::NeverBegun,
            5..9 => Kind::Nested,
            _ => Kind::Quick,
        };
        let forget = self.roll(2) == 0;
        Plan {
            kind,
            priority: self.roll(4),
            key: (self.roll(5) == 0).then(|| self.roll(3) as u8),
            cancel: forget && self.roll(4) == 0,
            forget,
            full: self.roll(6),
        }
    }
}

fn threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

fn over(m: &PoolMetrics) -> u64 {
    m.completed + m.failed + m.panicked + m.timed_out + m.cancelled + m.rejected
}

/// What the submitters saw, to hold against the books.
#[derive(Default)]
struct Seen {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    outcomes: AtomicUsize,
    runs: Arc<AtomicUsize>,
}

/// One pool, from its beginning to its end.
fn life(dice: &mut Dice) -> PoolMetrics {
    let pool = Pool::builder()
        .min_workers(dice.roll(2))
        .max_workers(1 + dice.roll(6))
        .queue_capacity([0, 1, 4, 64, 1024][dice.roll(5)])
        .keep_alive(Duration::from_micros(100))
        .check_interval(Duration::from_millis(1))
        .cool_down(Duration::ZERO)
        .on_full(FULL[dice.roll(FULL.len())]);
    let Ok(pool) = pool.build() else { unreachable!("these settings are possible") };
    let seen = Seen::default();
    let early_end = dice.roll(3) == 0;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (mut dice, pool, seen) =
                (Dice(dice.0 ^ dice.roll(1 << 30) as u64 | 1), &pool, &seen);
            scope.spawn(move || {
                let mut kept = Vec::new();
                for _ in 0..1_000 {
                    if dice.roll(4) == 0 {
                        let accepted = submit_light(&mut dice, pool, seen);
                        let count = if accepted { &seen.accepted } else { &seen.refused };
                        count.fetch_add(1, SeqCst);
                        continue;
                    }
                    let plan = dice.plan();
                    let Some(job) = submit(pool, plan, &seen.runs) else {
                        seen.refused.fetch_add(1, SeqCst);
                        continue;
                    };
                    seen.accepted.fetch_add(1, SeqCst);
                    if plan.cancel {
                        job.cancel();
                    }
                    if !plan.forget {
                        kept.push(job);
                    }
                    if kept.len() > 50 {
                        join(&mut kept, seen);
                    }
                }
                join(&mut kept, seen);
            });
        }
        for _ in 0..20 {
            let min = dice.roll(3);
            pool.resize(min, min + 1 + dice.roll(5)).unwrap();
            let m = pool.metrics();
            assert_eq!(m.submitted, over(&m) + m.in_flight);
        }
        if early_end {
            pool.shutdown_timeout(Duration::from_micros(dice.roll(2_000) as u64));
        }
    });
    match dice.roll(4) {
        0 => pool.wait_idle(),
        1 => drop(pool.shutdown_now().to_string()),
        2 => drop(pool.shutdown_timeout(Duration::from_millis(1)).to_string()),
        _ => {}
    }
    assert!(pool.shutdown().is_complete());
    let m = pool.metrics();
    assert_eq!((m.in_flight, m.workers, m.overdue, m.blocking), (0, 0, 0, 0), "{m:?}");
    assert_eq!(m.submitted, over(&m), "{m:?}");
    // Nested jobs are submitted by jobs, the others by us.
    let ours = seen.accepted.load(SeqCst) + seen.refused.load(SeqCst);
    assert!(m.submitted as usize >= ours && ours == 3_000, "{m:?}");
    assert!(seen.outcomes.load(SeqCst) <= seen.accepted.load(SeqCst));
    m
}

/// A job without a handle, or a future that waits once; says whether it was accepted.
fn submit_light(dice: &mut Dice, pool: &Pool, seen: &Seen) -> bool {
    let (runs, panics) = (Arc::clone(&seen.runs), dice.roll(20) == 0);
    let run = move || {
        runs.fetch_add(1, SeqCst);
        assert!(!panics, "on purpose");
    };
    if dice.roll(8) > 0 {
        return pool.execute(run).is_ok();
    }
    let mut has_waited = false;
    let future = poll_fn(move |context| {
        if !std::mem::replace(&mut has_waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        run();
        Poll::Ready(())
    });
    pool.spawn_future(future).map(drop).is_ok()
}

fn join(kept: &mut Vec<aqueduct::pool::JobHandle<()>>, seen: &Seen) {
    for job in kept.drain(..) {
        if let Err(JobError::Panicked(panic)) = job.join() {
            assert_eq!(panic.message(), "on purpose");
        }
        seen.outcomes.fetch_add(1, SeqCst);
    }
}

/// `ci/soak`.
#[test]
#[ignore = "takes minutes: ci/soak"]
fn soak() {
    let number = |name, default| {
        std::env::var(name).map_or(default, |text: String| text.parse().expect("a number"))
    };
    let (minutes, seed): (f64, f64) = (number("SOAK_MINUTES", 1.0), number("SOAK_SEED", 1.0));
    // Panics are part of it, and need not be told.
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("on purpose") {
            eprintln!("{info}");
        }
    }));
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed.to_bits());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let before = threads();
    let (mut pools, mut sum, mut warm) = (0_u64, [0_u64; 7], None);
    while Instant::now() < end {
        let m = life(&mut dice);
        let ends = [m.completed, m.failed, m.panicked, m.timed_out, m.cancelled, m.rejected];
        sum.iter_mut().zip([m.submitted].iter().chain(&ends)).for_each(|(sum, n)| *sum += n);
        pools += 1;
        if pools == 50 {
            warm = resident();
        }
    }
    // The timers' thread stays for a moment.
    let patience = Instant::now() + Duration::from_secs(10);
    while threads() > before && Instant::now() < patience {
        std::thread::yield_now();
    }
    assert_eq!(threads(), before, "threads are back to the baseline");
    assert_eq!(aqueduct::timer::pending(), 0, "no timer is left");
    let grown = warm.zip(resident()).map(|(warm, now)| now.saturating_sub(warm) >> 20);
    let [submitted, completed, failed, panicked, timed_out, cancelled, rejected] = sum;
    println!(
        "soak: {pools} pools, {submitted} jobs = {completed} completed + {failed} failed + {panicked} panicked \
         + {timed_out} timed out + {cancelled} cancelled + {rejected} rejected; \
         threads {before:?}, memory since the 50th pool: {grown:?} MiB more"
    );
    assert!(grown.is_none_or(|mebibytes| mebibytes < 64), "memory is back to the baseline");
}
