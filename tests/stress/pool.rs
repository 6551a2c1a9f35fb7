//! Pools under everything at once: random jobs, limits, cancels, resizes and shutdowns; the books must add up.

mod soak;

use aqueduct::pool::{Full, Job, JobError, JobHandle, Pool, PoolMetrics, Priority};
use aqueduct_tests::share;
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// What a job does.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Quick,
    Panics,
    Fails,
    /// Runs until it is asked to stop, at its limit at the latest, and fails.
    Late,
    NeverBegun,
    Nested,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    kind: Kind,
    priority: usize,
    key: Option<u8>,
    cancel: bool,
    forget: bool,
    full: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let kind = prop_oneof![
        8 => Just(Kind::Quick),
        1 => Just(Kind::Panics),
        1 => Just(Kind::Fails),
        1 => Just(Kind::Late),
        1 => Just(Kind::NeverBegun),
        2 => Just(Kind::Nested),
    ];
    let key = proptest::option::weighted(0.2, 0_u8..3);
    (kind, 0_usize..4, key, any::<bool>(), any::<bool>(), 0_usize..6).prop_map(
        |(kind, priority, key, cancel, forget, full)| Plan {
            kind,
            priority,
            key,
            cancel: cancel && forget,
            forget,
            full,
        },
    )
}

/// How the pool ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Drain,
    Abort,
    Timeout,
    Drop,
}

const FULL: [Full; 6] = [
    Full::Block,
    Full::Reject,
    Full::CallerRuns,
    Full::DropOldest,
    Full::DropNewest,
    Full::BlockTimeout(Duration::from_micros(50)),
];

/// What functions of jobs have come to, by their own count, to hold against the books.
#[derive(Debug, Default)]
struct Came {
    /// Calls that submitted a job to the pool.
    submitted: AtomicUsize,
    /// Calls of which it is not known whether they came to the pool.
    perhaps: AtomicUsize,
    completed: AtomicUsize,
    failed: AtomicUsize,
    panicked: AtomicUsize,
}

impl Came {
    fn is_submitted(&self) {
        self.submitted.fetch_add(1, SeqCst);
    }

    fn completes(&self) {
        self.completed.fetch_add(1, SeqCst);
    }

    fn fails(&self) -> Result<(), &'static str> {
        self.failed.fetch_add(1, SeqCst);
        Err("on purpose")
    }

    fn panics(&self) -> ! {
        self.panicked.fetch_add(1, SeqCst);
        panic!("on purpose")
    }

    /// When all is over: every function that came to its end is down as that, once, and nothing else is.
    fn agrees_with(&self, m: &PoolMetrics) {
        let count = |counter: &AtomicUsize| counter.load(SeqCst) as u64;
        assert_eq!(m.completed, count(&self.completed), "{m:?}");
        assert_eq!(m.panicked, count(&self.panicked), "{m:?}");
        // One that fails too late has timed out; one that does so since it was asked to stop was cancelled.
        let failed = count(&self.failed);
        let may_fail = m.failed..=m.failed + m.timed_out + m.cancelled;
        assert!(may_fail.contains(&failed), "{failed} have failed: {m:?}");
        let submitted = count(&self.submitted);
        let may_be_submitted = submitted..=submitted + count(&self.perhaps);
        assert!(may_be_submitted.contains(&m.submitted), "{submitted} were submitted: {m:?}");
        assert_eq!((m.submitted, m.in_flight), (over(m), 0), "{m:?}");
    }
}

fn over(m: &PoolMetrics) -> u64 {
    m.completed + m.failed + m.panicked + m.timed_out + m.cancelled + m.rejected
}

fn submit(pool: &Pool, plan: Plan, came: &Arc<Came>) -> Option<JobHandle<()>> {
    let (inner, its) = (pool.clone(), Arc::clone(came));
    let job = Job::fallible(move |job| {
        match plan.kind {
            Kind::Quick | Kind::NeverBegun => {}
            Kind::Panics => its.panics(),
            Kind::Fails => return its.fails(),
            Kind::Late => {
                job.context().wait();
                return its.fails();
            }
            Kind::Nested => {
                // One that nobody waits for, and one that is joined.
                let (light, joined) = (Arc::clone(&its), Arc::clone(&its));
                its.is_submitted();
                let _ = inner.execute(move || light.completes());
                its.is_submitted();
                if let Ok(job) = inner.submit(move || joined.completes()) {
                    let _ = job.join();
                }
            }
        }
        its.completes();
        Ok(())
    });
    let mut job = job.priority(Priority::ALL[plan.priority]).on_full(FULL[plan.full]);
    match plan.kind {
        Kind::Late => job = job.timeout(Duration::from_micros(200)),
        Kind::NeverBegun => job = job.queue_timeout(Duration::from_micros(20)),
        _ => {}
    }
    if let Some(key) = plan.key {
        job = job.key(key);
    }
    came.is_submitted();
    pool.submit_job(job).ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(share(60) as u32))]

    #[test]
    fn the_books_add_up_whatever_happens(
        plans in proptest::collection::vec(plan(), 1..300),
        (min, more, capacity) in (0_usize..2, 1_usize..4, 0_usize..20),
        resizes in proptest::collection::vec((0_usize..3, 0_usize..4), 0..20),
        end in prop_oneof![Just(End::Drain), Just(End::Abort), Just(End::Timeout), Just(End::Drop)],
        while_busy in any::<bool>(),
    ) {
        let pool = Pool::builder()
            .min_workers(min)
            .max_workers(min + more)
            .queue_capacity(capacity)
            .keep_alive(Duration::from_micros(100))
            .check_interval(Duration::from_micros(500))
            .cool_down(Duration::ZERO)
            .build()
            .unwrap();
        let came = Arc::new(Came::default());
        std::thread::scope(|scope| {
            for half in plans.chunks(plans.len().div_ceil(2)) {
                let (pool, came) = (pool.clone(), Arc::clone(&came));
                scope.spawn(move || {
                    let mut kept = Vec::new();
                    for plan in half {
                        let Some(job) = submit(&pool, *plan, &came) else { continue };
                        if plan.cancel {
                            job.cancel();
                        }
                        if !plan.forget {
                            kept.push(job);
                        }
                    }
                    for job in kept {
                        // Each has an outcome, or this hangs.
                        if let Err(JobError::Panicked(panic)) = job.join() {
                            assert_eq!(panic.message(), "on purpose");
                        }
                    }
                });
            }
            let pool = &pool;
            scope.spawn(move || {
                for (min, more) in resizes {
                    pool.resize(min, min + more + 1).unwrap();
                    let m = pool.metrics();
                    assert_eq!(m.submitted, over(&m) + m.in_flight);
                }
                if while_busy {
                    pool.shutdown_now();
                }
            });
        });
        match end {
            End::Drain => assert!(pool.shutdown().is_complete()),
            End::Abort => drop(pool.shutdown_now()),
            End::Timeout => drop(pool.shutdown_timeout(Duration::from_micros(300))),
            End::Drop => pool.wait_idle(),
        }
        prop_assert!(pool.shutdown().is_complete());
        let m = pool.metrics();
        prop_assert_eq!((m.in_flight, m.workers, m.overdue, m.blocking), (0, 0, 0, 0));
        prop_assert!(m.queued.iter().all(|queued| *queued == 0));
        came.agrees_with(&m);
    }
}

/// The oldest job is out, the newest not yet in, and the pool closes: neither is lost.
#[test]
fn who_is_displaced_while_the_pool_closes_has_an_outcome() {
    for round in 0..share(300) {
        let pool = Pool::builder().max_workers(1).queue_capacity(1).build().unwrap();
        let submitted = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let job = || Job::new(|| ()).on_full(Full::DropOldest);
                    while pool.submit_job(job()).is_ok() {
                        submitted.fetch_add(1, SeqCst);
                    }
                });
            }
            while submitted.load(SeqCst) < round % 64 {
                std::thread::yield_now();
            }
            pool.shutdown();
        });
        let m = pool.metrics();
        assert_eq!(m.in_flight, 0, "round {round}: {m:?}");
    }
}
