//! Interleavings and memory orderings, explored by loom. See `ci/loom`.
//!
//! In each model the main closure only makes the objects, spawns and joins: loom explores far less when the
//! main thread takes part. A model that never met an outcome that it should meet has shown nothing, so each
//! names some, and fails if they were not seen over all executions.
//!
//! `LOOM_MAX_PREEMPTIONS` is the number of preemptions per execution (3 if unset); small models take more,
//! those whose executions explode fewer.
#![cfg(aqueduct_loom)]

mod channel;
mod queue;
mod rwlock;
mod semaphore;
mod spsc;
mod support;
mod wait;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What was seen over all executions of a model. A plain lock: loom does not see it.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<BTreeSet<String>>>);

impl Outcomes {
    pub(crate) fn record(&self, outcome: String) {
        self.0.lock().unwrap().insert(outcome);
    }

    /// Fails unless each of `expected` was seen.
    pub(crate) fn must_include(&self, expected: &[&str]) {
        let seen = self.0.lock().unwrap();
        let missing: Vec<_> = expected.iter().filter(|it| !seen.contains(**it)).collect();
        assert!(missing.is_empty(), "never seen: {missing:#?}, but only {seen:#?}");
    }
}

/// Runs `model` in every interleaving with at most `LOOM_MAX_PREEMPTIONS` preemptions, and `extra` more.
pub(crate) fn explore(name: &str, extra: isize, model: impl Fn() + Send + Sync + 'static) {
    let asked = std::env::var("LOOM_MAX_PREEMPTIONS").ok().and_then(|bound| bound.parse().ok());
    let bound = asked.unwrap_or(3_usize).saturating_add_signed(extra);

    let executions = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&executions);
    let started = Instant::now();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
    println!(
        "loom: {name}: {} executions, at most {bound} preemptions, {:.1} s",
        executions.load(Relaxed),
        started.elapsed().as_secs_f64()
    );
}
