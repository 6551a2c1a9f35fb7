//! Draws how a pool scales under a real mixed load, as an SVG: `cargo run --release --example pool_scaling > scaling.svg`.
//!
//! First jobs that wait (as for a disk or a network), in bursts; then jobs that compute; then nothing. Above: workers, and those of
//! them that are busy. In the middle: jobs that wait in the queue. Below: what 95 % of the jobs whose
//! results came in a slice of time had waited at most.

use aqueduct::pool::{JobHandle, LatencyTarget, Pool};
use std::fmt::Write;
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let pool = Pool::builder()
        .name("scaling")
        .max_workers(24)
        .queue_capacity(2_000)
        .scale_policy(LatencyTarget {
            p95: Duration::from_millis(20),
            cool_down: Duration::from_millis(300),
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
    sampler.join()?;
    drop(stop);
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
) -> Result<(), Box<dyn std::error::Error>> {
    for job in jobs {
        waited.send(job.join()?.queued_for)?;
    }
    Ok(())
}

/// Looks every 20 ms, until the load has ended and no worker is left; then draws.
fn sample(
    pool: &Pool,
    begin: Instant,
    waits: &mpsc::Receiver<Duration>,
    stopped: &mpsc::Receiver<()>,
) {
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
            break;
        }
        // The time between two samples, not a wait for anything.
        let _ = stopped.recv_timeout(Duration::from_millis(20));
    }
    println!("{}", draw(&samples));
    eprintln!("scale events:");
    for event in pool.metrics().scale_events {
        let at = event.at.as_secs_f64();
        eprintln!("  {at:>8.3} s  {:>2} -> {:>2}  {}", event.from, event.to, event.reason);
    }
}

/// The room that a curve has, in pixels.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 140.0;

fn draw(samples: &[Sample]) -> String {
    let end = samples.last().map_or(1.0, |sample| sample.at).max(0.001);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-70 -30 {} {}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect x=\"-70\" y=\"-30\" width=\"100%\" height=\"100%\" fill=\"white\"/>",
        WIDTH + 100.0,
        3.0 * (HEIGHT + 50.0) + 20.0,
    );
    let charts: [(&str, &[Curve]); 3] = [
        ("workers, and busy ones", &[("#888", |s| s.workers as f64), ("#06c", |s| s.busy as f64)]),
        ("jobs in the queue", &[("#c60", |s| s.queued as f64)]),
        ("p95 of the wait, ms", &[("#090", |s| s.p95_wait)]),
    ];
    for (row, (title, curves)) in charts.into_iter().enumerate() {
        let top = row as f64 * (HEIGHT + 50.0);
        let values = |of: fn(&Sample) -> f64| samples.iter().map(of).fold(1.0, f64::max);
        let highest = curves.iter().map(|(_, of)| values(*of)).fold(1.0, f64::max);
        let bottom = top + HEIGHT;
        let _ = write!(
            svg,
            "<text x=\"0\" y=\"{}\">{title}</text><path d=\"M0 {top}V{bottom}H{WIDTH}\" fill=\"none\" \
             stroke=\"black\"/><text x=\"-8\" y=\"{}\" text-anchor=\"end\">{highest:.0}</text>",
            top - 8.0,
            top + 10.0,
        );
        for (colour, of) in curves {
            let points: String = samples.iter().fold(String::new(), |mut points, sample| {
                let (x, y) = (sample.at / end * WIDTH, bottom - of(sample) / highest * HEIGHT);
                let _ = write!(points, "{x:.1},{y:.1} ");
                points
            });
            let _ = write!(
                svg,
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
            );
        }
    }
    let _ = write!(
        svg,
        "<text x=\"{WIDTH}\" y=\"{}\" text-anchor=\"end\">{end:.1} s</text></svg>",
        3.0 * HEIGHT + 120.0
    );
    svg
}

/// A colour, and what it shows.
type Curve = (&'static str, fn(&Sample) -> f64);
