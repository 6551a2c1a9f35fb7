//! What a program's own instruments see of a pool: Prometheus's page, the `metrics` facade, and spans.

use aqueduct::pool::{Histogram, Job, Pool, PoolMetrics, Priority, prometheus};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tracing::span::{Attributes, Id, Record};
use tracing::{Subscriber, field};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

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

/// Sample name with labels -> value; checks the form of each line, and that a family's samples stand together after its type.
fn parse(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let (mut family, mut seen) = (String::new(), Vec::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(!seen.contains(&name.to_owned()), "{name} comes twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            seen.push(name.to_owned());
            family = name.to_owned();
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(sample.starts_with(&family) && sample.ends_with('}'), "{line}");
            let before = samples.insert(sample.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{sample} comes twice");
        }
    }
    assert!(page.ends_with('\n'));
    samples
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
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let books = books();
    metrics::with_local_recorder(&recorder, || {
        books.publish("a");
        books.publish("a");
    });
    let told: HashMap<String, DebugValue> = snapshotter
        .snapshot()
        .into_vec()
        .into_iter()
        .map(|(key, _, _, value)| {
            let labels =
                key.key().labels().map(|label| format!(" {}={}", label.key(), label.value()));
            (key.key().name().to_owned() + &labels.collect::<String>(), value)
        })
        .collect();
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

/// What became of each span: its parent, its fields, and in which spans others were made.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<Seen>>>);

#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    parent: Option<u64>,
    name: &'static str,
    fields: BTreeMap<&'static str, String>,
}

struct Fields<'a>(&'a mut BTreeMap<&'static str, String>);

impl field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &field::Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let parent = context.span(id).unwrap().parent().map(|parent| parent.id().into_u64());
        let name = attributes.metadata().name();
        let mut seen = Seen { id: id.into_u64(), parent, name, ..Seen::default() };
        attributes.record(&mut Fields(&mut seen.fields));
        self.0.lock().unwrap().push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut all = self.0.lock().unwrap();
        let seen = all.iter_mut().find(|seen| seen.id == id.into_u64()).unwrap();
        values.record(&mut Fields(&mut seen.fields));
    }
}

#[test]
fn a_job_runs_in_a_span_whose_parent_is_where_it_was_submitted() {
    let spans = Spans::default();
    // For all threads: jobs run on those of the pool. The other tests of this file do not look at spans.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(spans.clone()))
        .expect("nobody else sets one");
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
    let all = spans.0.lock().unwrap().clone();
    let of = |id| all.iter().find(|seen| seen.id == id).unwrap();
    let job = of(of(inside).parent.expect("made in the job's span"));
    assert_eq!(job.name, "job");
    assert_eq!(job.parent, Some(request.id().unwrap().into_u64()));
    assert_eq!(job.fields["name"], "\"thumbnail\"");
    assert_eq!(job.fields["priority"], "\"normal\"");
    assert_eq!(job.fields["outcome"], "\"completed\"");
    assert_eq!(of(light).parent, job.parent, "a light job has a span, too");
}
