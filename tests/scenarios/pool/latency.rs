//! A target for the time in the queue, against a model of a load, and in a pool whose jobs do not wait for ever.

use super::Gate;
use crate::support::eventually;
use aqueduct::pool::{
    Decision, Job, JobError, LatencyTarget, Limit, Load, Pool, Priority, ScalePolicy,
};
use std::collections::VecDeque;
use std::time::Duration;

/// Jobs that come at random and take their time, and a policy that is asked each second how many workers there should be. One tick is a
/// millisecond. The same each time: xorshift.
struct Model {
    policy: LatencyTarget,
    dice: u64,
    now: u64,
    /// When each worker will be free.
    workers: Vec<u64>,
    changed: u64,
    /// When those came that wait.
    queue: VecDeque<u64>,
    /// Jobs that wait for so long are not begun any more.
    queue_timeout: Option<u64>,
    begun: Vec<u64>,
    expired: Vec<u64>,
}

const CHECK: u64 = 1_000;
const MOST: usize = 64;

impl Model {
    fn new(p95: u64, queue_timeout: Option<u64>) -> Self {
        Self {
            policy: LatencyTarget::new(Duration::from_millis(p95)),
            dice: 0x9E37_79B9_7F4A_7C15,
            now: 0,
            workers: vec![0],
            changed: 0,
            queue: VecDeque::new(),
            queue_timeout,
            begun: Vec::new(),
            expired: Vec::new(),
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 33) % sides
    }

    /// So many seconds with so many jobs in each, which take 50 to 150 ms: the waits of those that were begun, those that were not begun in
    /// time, and how many workers there were at the checks.
    fn run(&mut self, seconds: u64, rate: u64) -> (Vec<u64>, usize, Vec<usize>) {
        let (mut waits, mut expired, mut workers) = (Vec::new(), 0, Vec::new());
        for _ in 0..seconds * 1_000 {
            self.tick(rate);
            if self.now.is_multiple_of(CHECK) {
                waits.extend(&self.begun);
                expired += self.expired.len();
                self.check();
                workers.push(self.workers.len());
            }
        }
        (waits, expired, workers)
    }

    fn tick(&mut self, rate: u64) {
        self.now += 1;
        if self.roll(1_000) < rate {
            self.queue.push_back(self.now);
        }
        let too_old = |came: &u64| self.queue_timeout.is_some_and(|limit| self.now - came >= limit);
        while self.queue.front().is_some_and(too_old) {
            self.expired.extend(self.queue.pop_front().map(|came| self.now - came));
        }
        for worker in 0..self.workers.len() {
            if self.workers[worker] <= self.now
                && let Some(came) = self.queue.pop_front()
            {
                self.begun.push(self.now - came);
                self.workers[worker] = self.now + 50 + self.roll(101);
            }
        }
    }

    fn check(&mut self) {
        let now = self.now;
        let (begun, expired) = (std::mem::take(&mut self.begun), std::mem::take(&mut self.expired));
        let load = Load::of(|load| {
            load.now = Duration::from_millis(now);
            load.window = Duration::from_millis(CHECK);
            load.queued = self.queue.len();
            load.workers = self.workers.len();
            load.idle = self.workers.iter().filter(|free| **free <= now).count();
            (load.min, load.max) = (1, MOST);
            load.unchanged_for = Duration::from_millis(now - self.changed);
            (load.begun, load.expired) = (begun.len() as u64, expired.len() as u64);
            let mut waits = [begun, expired].concat();
            waits.sort_unstable();
            load.p95_wait = p95(&waits).map(Duration::from_millis);
        });
        let before = self.workers.len();
        match self.policy.on_check(&load) {
            Decision::Hold => {}
            Decision::Grow(more) => self.workers.resize((before + more).min(MOST), now),
            Decision::Shrink(mut fewer) => self.workers.retain(|free| {
                let goes = *free <= now && fewer > 0;
                fewer -= usize::from(goes);
                !goes
            }),
        }
        if self.workers.len() != before {
            self.changed = now;
        }
    }
}

/// Of a sorted list.
fn p95(waits: &[u64]) -> Option<u64> {
    waits.get((waits.len() * 95).div_ceil(100).checked_sub(1)?).copied()
}

/// Under a load that comes at random, 95 % wait no longer than the target, from 40 s after it has begun, with about twice the workers that it
/// takes at the most: ten jobs a second are one worker's work.
#[test]
fn a_latency_target_is_kept() {
    for target in [20, 100, 500] {
        for rate in [20, 40, 100, 300, 400] {
            let mut model = Model::new(target, None);
            model.run(40, rate);
            let (mut waits, _, workers) = model.run(200, rate);
            waits.sort_unstable();
            let (kept, most) = (p95(&waits).unwrap(), *workers.iter().max().unwrap());
            println!("target {target} ms, {rate} jobs/s: {kept} ms with {most} workers");
            assert!(kept <= target, "{kept} ms of {target} at {rate}/s, {workers:?}");
            assert!(most <= rate as usize / 5 + 4, "{most} workers at {rate}/s");
        }
    }
}

/// Those that are not begun in time have waited too long, however short the time is that they are given.
#[test]
fn jobs_that_are_not_begun_in_time_bring_workers() {
    let mut model = Model::new(100, Some(20));
    model.run(40, 300);
    let (waits, expired, workers) = model.run(120, 300);
    println!("{expired} expired beside {}, {workers:?} workers", waits.len());
    assert!(expired * 20 <= expired + waits.len(), "{expired} of {}", waits.len());
}

/// In a pool, too: what comes while the only worker is busy expires long before the target.
#[test]
fn a_pool_with_a_latency_target_grows_when_jobs_expire() {
    let pool = Pool::builder()
        .max_workers(2)
        .check_interval(Duration::from_millis(1))
        .scale_policy(LatencyTarget::new(Duration::from_secs(3_600)))
        .build()
        .unwrap();
    let gate = Gate::default();
    let first = pool.submit(gate.job()).unwrap();
    gate.until_waiting(1);
    let limit = Duration::from_millis(1);
    let submit = || pool.submit_job(Job::new(|| ()).queue_timeout(limit)).unwrap();
    let outcome = submit().join();
    assert!(matches!(outcome, Err(JobError::TimedOut(Limit::Queue))), "{outcome:?}");
    let waits = pool.metrics().queue_wait(Priority::Normal).clone();
    assert!(waits.count() == 2 && waits.max() >= limit, "{waits:?}");
    eventually("another worker comes", || {
        drop(submit().join());
        pool.metrics().workers == 2
    });
    gate.open();
    first.join().unwrap();
}
