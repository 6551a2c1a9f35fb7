//! What a program's own instruments see of a pool: Prometheus's page, the `metrics` facade, and spans.

use aqueduct::pool::{Histogram, Job, JobError, Pool, PoolMetrics, Priority, prometheus};
use metrics_util::debugging::DebugValue;
use observed::{Spans, parse, told};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

mod observed;

/// Books with something in each of their columns but few.
fn books() -> PoolMetrics {
    let pool = Pool::builder().max_workers(2).build().unwrap();
    for _ in 0..3 {
        pool.submit(|| ()).unwrap().join().unwrap();
    }
    pool.submit(|| panic!("on purpose")).unwrap().join().unwrap_err();
    let failing = Job::fallible(|_| Err::<(), _>("on purpose")).priority(Priority::High);
    pool.submit_job(failing).unwrap().join().unwrap_err();
    pool.metrics()
}

#[test]
fn the_page_says_what_the_books_say() {
    let books = books();
    let page = prometheus::page([("a", &books), ("b \"\\\n", &books)]);
    let samples = parse(&page);
    for pool in ["a", "b \\\"\\\\\\n"] {
        let jobs = |outcome| {
            samples[&format!("aqueduct_pool_jobs_total{{pool=\"{pool}\",outcome=\"{outcome}\"}}")]
        };
        assert_eq!((jobs("completed"), jobs("panicked"), jobs("failed")), (3.0, 1.0, 1.0));
        let labels = format!("{{pool=\"{pool}\",priority=\"normal\"}}");
        assert_eq!(samples[&format!("aqueduct_pool_run_seconds_count{labels}")], 4.0);
        let sum = books.run_time(Priority::Normal).sum().as_secs_f64();
        assert_eq!(samples[&format!("aqueduct_pool_run_seconds_sum{labels}")], sum);
        assert!(sum > 0.0);
    }
    assert!(!page.contains("priority=\"low\",le"), "priorities that nobody used have no histogram");
}

#[test]
fn buckets_of_the_page_grow_to_the_count() {
    let books = books();
    let page = prometheus::page([("a", &books)]);
    let buckets: Vec<f64> = page
        .lines()
        .filter(|line| {
            line.starts_with(
                "aqueduct_pool_queue_wait_seconds_bucket{pool=\"a\",priority=\"normal\"",
            )
        })
        .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
        .collect();
    assert!(buckets.is_sorted() && buckets.len() == 25, "{buckets:?}");
    let waits: &Histogram = books.queue_wait(Priority::Normal);
    assert_eq!(*buckets.last().unwrap(), waits.count() as f64);
}

#[test]
fn the_facade_is_told_what_the_books_say_however_often() {
    let books = books();
    let told = told(|| {
        books.publish("a");
        books.publish("a");
    });
    let counter = |name: &str| match told[name] {
        DebugValue::Counter(count) => count,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(counter("aqueduct_pool_submitted pool=a"), 5);
    assert_eq!(counter("aqueduct_pool_jobs pool=a outcome=completed"), 3);
    assert_eq!(counter("aqueduct_pool_jobs pool=a outcome=failed"), 1);
    let p95 = books.queue_wait(Priority::High).quantile(0.95).unwrap().as_secs_f64();
    let name = "aqueduct_pool_queue_wait_seconds pool=a priority=high quantile=0.95";
    assert_eq!(told[name], DebugValue::Gauge(p95.into()));
    assert!(!told.keys().any(|name| name.contains("priority=low quantile")));
}

#[test]
fn a_job_runs_in_a_span_whose_parent_is_where_it_was_submitted() {
    // The other tests of this file do not look at spans.
    let spans = Spans::of_all_threads();
    let pool = Pool::builder().max_workers(1).build().unwrap();
    let request = tracing::info_span!("request");
    let (named, light) = request.in_scope(|| {
        let job =
            Job::new(|| tracing::info_span!("inside").id().unwrap().into_u64()).name("thumbnail");
        let named = pool.submit_job(job).unwrap();
        let (sender, light) = std::sync::mpsc::channel();
        pool.execute(move || sender.send(tracing::Span::current().id()).unwrap()).unwrap();
        (named, light)
    });
    let inside = named.join().unwrap().value;
    let light = light.recv().unwrap().expect("a span is entered").into_u64();
    let borrowed = pool.scope(|scope| scope.submit(|| tracing::Span::current().id()).join());
    assert!(borrowed.unwrap().value.is_some());
    assert!(pool.shutdown().is_complete());
    let all = spans.seen();
    let of = |id| all.iter().find(|seen| seen.id == id).unwrap();
    let job = of(of(inside).parent.expect("made in the job's span"));
    assert_eq!(job.name, "job");
    assert_eq!(job.parent, Some(request.id().unwrap().into_u64()));
    assert_eq!(job.fields["name"], "\"thumbnail\"");
    assert_eq!(job.fields["priority"], "\"normal\"");
    assert_eq!(job.fields["outcome"], "\"completed\"");
    assert_eq!(of(light).parent, job.parent, "a light job has a span, too");
}

/// Where it panics.
#[derive(Clone, Copy, PartialEq)]
enum Grumpy {
    AtTheOutcome,
    AtTheEnd,
}

impl Subscriber for Grumpy {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        assert!(*self != Self::AtTheOutcome, "on purpose");
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {
        assert!(*self != Self::AtTheEnd, "on purpose");
    }
}

/// It costs nobody an outcome, and no line its next job.
#[test]
fn a_subscriber_that_panics_is_outlived() {
    for grumpy in [Grumpy::AtTheOutcome, Grumpy::AtTheEnd] {
        let pool = Pool::builder().max_workers(1).build().unwrap();
        let jobs = tracing::subscriber::with_default(grumpy, || {
            [1, 2].map(|n| pool.submit_job(Job::new(move || n).key("k")).unwrap())
        });
        for (job, n) in jobs.into_iter().zip([1, 2]) {
            match grumpy {
                Grumpy::AtTheOutcome => assert_eq!(job.join().unwrap().value, n),
                Grumpy::AtTheEnd => assert!(matches!(job.join(), Err(JobError::Panicked(_)))),
            }
        }
        assert!(pool.shutdown().is_complete());
    }
}
