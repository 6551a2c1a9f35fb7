//! Interleavings and memory orderings, explored by loom. See `ci/loom`.
//!
//! In each model the main closure only makes the objects, spawns and joins: loom explores far less when the
//! main thread takes part. A model that never met an outcome that it should meet has shown nothing, so each
//! names some, and fails if they were not seen over all executions.
//!
//! Each model goes as deep as its size allows: see [`explore`].
#![cfg(aqueduct_loom)]

mod channel;
mod crew;
mod half_way;
mod latch;
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

/// Runs `model` in every interleaving with at most 1 preemption, then with at most 2, and so on, until a further one
/// adds no execution, which then were all there are, or until the next round would be too long.
///
/// Too long is more than `LOOM_EXECUTIONS` executions, by the growth so far, or ten times as many if fewer than
/// [`USUAL`] preemptions have been tried. The counts do not depend on the machine, so each run goes equally far.
/// `LOOM_MAX_PREEMPTIONS` runs just that round instead.
pub(crate) fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    let started = Instant::now();
    let tell = |executions: u64, reach: &str| {
        let seconds = started.elapsed().as_secs_f64();
        println!("loom: {name}: {executions} executions, {reach}, {seconds:.1} s");
    };
    if let Some(bound) = asked("LOOM_MAX_PREEMPTIONS") {
        let executions = round(bound, &model);
        return tell(executions, &format!("at most {bound} preemptions"));
    }
    let budget = asked("LOOM_EXECUTIONS").unwrap_or(BUDGET);
    let mut executions = round(0, &model);
    for bound in 1.. {
        let before = executions;
        executions = round(bound, &model);
        if executions == before {
            // No execution has this many preemptions, so none has more.
            return tell(executions, "every one");
        }
        // From none to one is a leap; no later step has been seen to be longer than this.
        let growth = (executions / before).min(40);
        if executions * growth > if bound < USUAL { 10 * budget } else { budget } {
            return tell(executions, &format!("at most {bound} preemptions"));
        }
    }
}

/// So many executions each model may take in its last round, unless told otherwise.
const BUDGET: u64 = 30_000;

/// So many preemptions show most bugs; to come so far, a model may take longer.
const USUAL: usize = 3;

/// The number in a variable of the environment.
fn asked<N: std::str::FromStr>(variable: &str) -> Option<N> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// How many executions have at most `preemptions`; each of them runs.
fn round(preemptions: usize, model: &Arc<impl Fn() + Send + Sync + 'static>) -> u64 {
    let executions = Arc::new(AtomicU64::new(0));
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check({
        let (executions, model) = (Arc::clone(&executions), Arc::clone(model));
        move || {
            executions.fetch_add(1, Relaxed);
            model();
        }
    });
    executions.load(Relaxed)
}
