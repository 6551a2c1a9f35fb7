//! Draws how a pool scales under a real mixed load, as an SVG: `cargo run --release --example pool_scaling > scaling.svg`.
//!
//! First jobs that wait (as for a disk or a network), in bursts; then jobs that compute; then nothing. Above: workers, and those of
//! them that are busy. In the middle: jobs that wait in the queue. Below: what 95 % of the jobs whose
//! results came in a slice of time had waited at most.

mod chart;

use aqueduct::pool::{JobHandle, LatencyTarget, Pool};
use chart::{Chart, Panel};
use std::error::Error;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is seen at one moment.
struct Sample {
    at: f64,
    workers: usize,
    busy: usize,
    queued: usize,
    /// Milliseconds; 0 if no result has come since the last sample.
    p95_wait: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::builder()
        .name("scaling")
        .max_workers(24)
        .queue_capacity(2_000)
        .scale_policy(LatencyTarget {
            p95: Duration::from_millis(20),
            cool_down: Duration::from_secs(1),
        })
        .check_interval(Duration::from_millis(50))
        .keep_alive(Duration::from_millis(1_500))
        .build()?;
    let begin = Instant::now();
    let (waited, waits) = mpsc::channel();
    let (stop, stopped) = mpsc::channel();
    let watched = pool.clone();
    let sampler = aqueduct::thread::spawn(move || sample(&watched, begin, &waits, &stopped))?;

    // Eight bursts of requests that wait 40 ms each.
    for burst in 0..8 {
        let jobs = (0..60 + 20 * (burst % 4)).map(|_| submit(&pool, request));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        settle(jobs, &waited)?;
    }
    // As many jobs that compute as keep a processor or two busy for some seconds.
    for _ in 0..6 {
        let jobs = (0..120).map(|n| submit(&pool, move || compute(n)));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        settle(jobs, &waited)?;
    }
    // And nothing, until all have gone: the sampler says when.
    drop(waited);
    let samples = sampler.join()?;
    drop(stop);
    println!("{}", svg(&samples)?);
    eprintln!("scale events:");
    for event in pool.metrics().scale_events {
        let at = event.at.as_secs_f64();
        eprintln!("  {at:>8.3} s  {:>2} -> {:>2}  {}", event.from, event.to, event.reason);
    }
    Ok(())
}

fn submit(
    pool: &Pool,
    f: impl FnOnce() -> u64 + Send + 'static,
) -> Result<JobHandle<u64>, io::Error> {
    pool.submit(f).map_err(|error| io::Error::other(error.to_string()))
}

/// Something that takes its time elsewhere.
fn request() -> u64 {
    std::thread::sleep(Duration::from_millis(40));
    0
}

/// Something that takes a processor's: some 4 ms.
fn compute(seed: u64) -> u64 {
    (0..4_000_000_u64).fold(seed, |state, n| {
        std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n))
    })
}

/// Takes the results, in the order of the submissions, and tells how long each job had waited.
fn settle(
    jobs: Vec<JobHandle<u64>>,
    waited: &mpsc::Sender<Duration>,
) -> Result<(), Box<dyn Error>> {
    for job in jobs {
        waited.send(job.join()?.queued_for)?;
    }
    Ok(())
}

/// Looks every 20 ms, until the load has ended and no worker is left.
fn sample(
    pool: &Pool,
    begin: Instant,
    waits: &mpsc::Receiver<Duration>,
    stopped: &mpsc::Receiver<()>,
) -> Vec<Sample> {
    let mut samples = Vec::new();
    let mut load_ended = false;
    loop {
        let metrics = pool.metrics();
        let mut recent = Vec::new();
        loop {
            match waits.try_recv() {
                Ok(wait) => recent.push(wait),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => {
                    load_ended = true;
                    break;
                }
            }
        }
        recent.sort_unstable();
        let p95 = recent.get(recent.len() * 95 / 100).copied().unwrap_or_default();
        samples.push(Sample {
            at: begin.elapsed().as_secs_f64(),
            workers: metrics.workers,
            busy: metrics.workers - metrics.idle,
            queued: metrics.queued.iter().sum(),
            p95_wait: p95.as_secs_f64() * 1e3,
        });
        if load_ended && metrics.workers == 0 {
            return samples;
        }
        // The time between two samples, not a wait for anything.
        let _ = stopped.recv_timeout(Duration::from_millis(20));
    }
}

fn svg(samples: &[Sample]) -> Result<String, Box<dyn Error>> {
    let panels: [Panel<'_, Sample>; 3] = [
        ("workers", &[("busy", |s| s.busy as f64), ("all", |s| s.workers as f64)]),
        ("jobs in the queue", &[("jobs", |s| s.queued as f64)]),
        ("p95 of the wait", &[("ms", |s| s.p95_wait)]),
    ];
    Chart { samples, at: |s| s.at, panels: &panels, shares: None }.svg()
}
