//! Minutes of everything at once, for `ci/soak`.

use super::{Came, FULL, Kind, Plan, over, submit};
use aqueduct::park;
use aqueduct::pool::{
    JobError, JobHandle, LatencyTarget, Outcome, Pool, PoolMetrics, Refusal, ScopedJob,
};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
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

    fn is_one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
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
        let forget = self.is_one_in(2);
        Plan {
            kind,
            priority: self.roll(4),
            key: self.is_one_in(5).then(|| self.roll(3) as u8),
            cancel: forget && self.is_one_in(4),
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

fn build(dice: &mut Dice) -> Pool {
    let mut pool = Pool::builder()
        .min_workers(dice.roll(2))
        .max_workers(1 + dice.roll(6))
        .queue_capacity([0, 1, 4, 64, 1024][dice.roll(5)])
        .keep_alive(Duration::from_micros(100))
        .check_interval(Duration::from_millis(1))
        .cool_down(Duration::ZERO)
        .on_full(FULL[dice.roll(FULL.len())]);
    if dice.is_one_in(3) {
        let p95 = Duration::from_micros(1 << dice.roll(12));
        pool = pool.scale_policy(LatencyTarget { p95, cool_down: Duration::ZERO });
    }
    let Ok(pool) = pool.build() else { unreachable!("these settings are possible") };
    pool
}

/// One pool, from its beginning to its end.
fn life(dice: &mut Dice, watched: &Watched) -> PoolMetrics {
    let pool = build(dice);
    *watched.lock().unwrap() = Some(pool.clone());
    let came = Arc::new(Came::default());
    let early_end = dice.is_one_in(3);
    let ends_itself = dice.is_one_in(4);
    thread::scope(|scope| {
        for party in 0..3 {
            let mut dice = Dice(dice.0 ^ dice.roll(1 << 30) as u64 | 1);
            let (pool, came) = (&pool, &came);
            scope.spawn(move || {
                let mut kept = Vec::new();
                let end = (ends_itself && party == 0).then(|| dice.roll(1_000));
                for round in 0..1_000 {
                    if Some(round) == end {
                        submit_end(&mut dice, pool, came);
                    }
                    match dice.roll(160) {
                        0 => in_a_scope(&mut dice, pool, came),
                        1 => in_a_group(&mut dice, pool, came),
                        2..5 => awaited(&mut dice, pool, came),
                        5..40 => submit_light(&mut dice, pool, came),
                        _ => {
                            let plan = dice.plan();
                            let Some(job) = submit(pool, plan, came) else { continue };
                            if plan.cancel {
                                job.cancel();
                            }
                            if !plan.forget {
                                kept.push(job);
                            }
                            if kept.len() > 50 {
                                join(&mut kept);
                            }
                        }
                    }
                }
                join(&mut kept);
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
    assert_eq!((m.workers, m.overdue, m.blocking), (0, 0, 0), "{m:?}");
    came.agrees_with(&m);
    // A timer that has just ended a job may not have let go of its function yet.
    let patience = Instant::now() + Duration::from_secs(10);
    while Arc::strong_count(&came) > 1 {
        assert!(Instant::now() < patience, "functions of jobs are kept: {m:?}");
        thread::yield_now();
    }
    *watched.lock().unwrap() = None;
    m
}

/// What is to be expected of an outcome.
fn look<R>(outcome: Outcome<R>) {
    if let Err(JobError::Panicked(panic)) = outcome {
        assert_eq!(panic.message(), "on purpose");
    }
}

fn join(kept: &mut Vec<JobHandle<()>>) {
    kept.drain(..).for_each(|job| look(job.join()));
}

/// A job that completes, or panics, one time in twenty.
fn quick(dice: &mut Dice, came: &Arc<Came>) -> impl FnOnce() + Send + 'static {
    let (its, panics) = (Arc::clone(came), dice.is_one_in(20));
    move || if panics { its.panics() } else { its.completes() }
}

/// A job without a handle, or a future that waits once.
fn submit_light(dice: &mut Dice, pool: &Pool, came: &Arc<Came>) {
    let run = quick(dice, came);
    came.is_submitted();
    if !dice.is_one_in(8) {
        return drop(pool.execute(run));
    }
    let (mut has_waited, mut run) = (false, Some(run));
    let future = poll_fn(move |context| {
        if !std::mem::replace(&mut has_waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        run.take().expect("it is ready once")();
        Poll::Ready(())
    });
    drop(pool.spawn_future(future));
}

/// A job that shuts its pool down.
fn submit_end(dice: &mut Dice, pool: &Pool, came: &Arc<Came>) {
    let (inner, its, how) = (pool.clone(), Arc::clone(came), dice.roll(3));
    came.is_submitted();
    let job = pool.submit(move || {
        let report = match how {
            0 => inner.shutdown(),
            1 => inner.shutdown_now(),
            _ => inner.shutdown_timeout(Duration::from_micros(100)),
        };
        its.completes();
        report
    });
    if let Ok(job) = job {
        let _ = job.join();
    }
}

/// A job that is awaited, or left after it was polled once.
fn awaited(dice: &mut Dice, pool: &Pool, came: &Arc<Came>) {
    came.is_submitted();
    let mut job = pin!(pool.run(quick(dice, came)));
    if !dice.is_one_in(3) {
        look(park::block_on(job));
    } else if let Poll::Ready(outcome) = job.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    {
        look(outcome);
    }
}

/// Jobs with a limit of their number, and one of the ways to their outcomes.
fn in_a_group(dice: &mut Dice, pool: &Pool, came: &Arc<Came>) {
    let mut group = pool.group(1 + dice.roll(4));
    if dice.is_one_in(3) {
        group = group.fail_fast();
    }
    for _ in 0..dice.roll(12) {
        match group.submit(quick(dice, came)) {
            // It ended before, or while it was submitted.
            Err(error) if error.reason == Refusal::Cancelled => {
                came.perhaps.fetch_add(1, SeqCst);
            }
            _ => came.is_submitted(),
        }
    }
    match dice.roll(4) {
        0 => group.join_all().into_iter().for_each(look),
        1 => group.completed().for_each(|(_, outcome)| look(outcome)),
        2 => drop(group.first_success()),
        _ => group.cancel(),
    }
}

/// Jobs that borrow; one may join the one before, or be left to the end of the scope, and the scope may panic.
fn in_a_scope(dice: &mut Dice, pool: &Pool, came: &Arc<Came>) {
    let panics = dice.is_one_in(8);
    let left = aqueduct::thread::catch(|| {
        pool.scope(|scope| {
            let mut before = None::<ScopedJob<'_, ()>>;
            for _ in 0..dice.roll(6) {
                let run = quick(dice, came);
                let joins = if dice.is_one_in(2) { before.take() } else { None };
                came.is_submitted();
                let job = scope.submit(move || {
                    if let Some(before) = joins {
                        look(before.join());
                    }
                    run();
                });
                match dice.roll(3) {
                    0 => look(job.join()),
                    1 => before = Some(job),
                    _ => {}
                }
            }
            assert!(!panics, "on purpose");
        })
    });
    assert_eq!(left.is_err(), panics);
}

/// The pool that is at it, to be asked when it hangs.
type Watched = Arc<Mutex<Option<Pool>>>;

/// Waits for a beat again and again, and barks if there is none for so long; ends when there are none any more.
fn watch(beats: &Receiver<()>, limit: Duration, bark: impl FnOnce()) {
    loop {
        match beats.recv_timeout(limit) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => return bark(),
        }
    }
}

#[test]
fn the_watchdog_barks_at_who_hangs_and_at_nobody_else() {
    let (beat, beats) = mpsc::channel();
    beat.send(()).unwrap();
    let mut barked = false;
    watch(&beats, Duration::from_millis(1), || barked = true);
    assert!(barked);
    beat.send(()).unwrap();
    drop(beat);
    watch(&beats, Duration::MAX, || panic!("all is over"));
}

/// A job takes much less, and so does a pool.
const HANGS: Duration = Duration::from_secs(120);

/// What the memory of the process may grow by after the first pools, in bytes. Allocators do not give all back.
const GROWTH: usize = 8 << 20;

/// Pools whose memory is not looked at: threads, timers and the allocator come to their size.
const WARM_UP: u64 = 50;

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
    let (beat, beats) = mpsc::channel();
    let watched = Watched::default();
    let watchdog = thread::spawn({
        let watched = Arc::clone(&watched);
        move || {
            watch(&beats, HANGS, || {
                eprintln!("soak: FAILED, nothing has happened for {HANGS:?}");
                // Whoever hangs may hold a lock; then this is all that is told.
                eprintln!(
                    "soak: {:?}",
                    watched.lock().map(|pool| pool.as_ref().map(Pool::metrics))
                );
                std::process::exit(101);
            });
        }
    });
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ seed.to_bits());
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let before = threads();
    let (mut pools, mut sum, mut warm) = (0_u64, [0_u64; 7], None);
    while Instant::now() < end {
        let m = life(&mut dice, &watched);
        beat.send(()).expect("the watchdog lives");
        let ends = [m.completed, m.failed, m.panicked, m.timed_out, m.cancelled, m.rejected];
        sum.iter_mut().zip([m.submitted].iter().chain(&ends)).for_each(|(sum, n)| *sum += n);
        pools += 1;
        if pools == WARM_UP {
            warm = resident();
        }
    }
    // The timers' thread stays for a moment.
    let patience = Instant::now() + Duration::from_secs(10);
    while threads() > before && Instant::now() < patience {
        thread::yield_now();
    }
    assert_eq!(threads(), before, "threads are back to the baseline");
    assert_eq!(aqueduct::timer::pending(), 0, "no timer is left");
    drop(beat);
    watchdog.join().unwrap();
    let grown = warm.zip(resident()).map(|(warm, now)| now.saturating_sub(warm));
    let [submitted, completed, failed, panicked, timed_out, cancelled, rejected] = sum;
    println!(
        "soak: {pools} pools, {submitted} jobs = {completed} completed + {failed} failed + {panicked} panicked \
         + {timed_out} timed out + {cancelled} cancelled + {rejected} rejected; \
         threads {before:?}, memory since the first {WARM_UP} pools: {grown:?} bytes more"
    );
    assert!(grown.is_none_or(|bytes| bytes < GROWTH), "memory is back to the baseline");
    assert!(minutes < 1.0 || pools > WARM_UP, "only {pools} pools: nothing is known about memory");
}
