//! What a program's own instruments see of a pipeline: Prometheus's page, the `metrics` facade, and spans.

use aqueduct::channel;
use aqueduct::pipeline::{
    Backoff, Pipeline, PipelineMetrics, Policy, Running, StageError, prometheus,
};
use metrics_util::debugging::DebugValue;
use observed::{Seen, Spans, parse, told};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

mod observed;

/// A run that is over, and its books, with something in each column; two of its stages have the same name.
///
/// 20 items; of them 10 pass the filter, 0 to 9 less the odd ones; 0 is tried again and passes, 2 is skipped, 4 is collected, 6 goes to the dead letters.
fn ended() -> (Running<u64>, PipelineMetrics) {
    let running = Pipeline::from_iter(0..20_u64)
        .max_weight_in_flight(64, |_| 2)
        .filter("same", |n| n % 2 == 0)
        .stage_init(
            "same",
            || false,
            |tried, n| {
                let first = !std::mem::replace(tried, true);
                if n == 0 && first || [2, 4, 6].contains(&n) { Err(n.to_string()) } else { Ok(n) }
            },
        )
        .on_error_keeping(|error: &StageError| match error.item() {
            0 => Policy::Retry(Backoff::new(2, Duration::ZERO, Duration::ZERO)),
            2 => Policy::Skip,
            4 => Policy::Collect,
            _ => Policy::DeadLetter,
        })
        .dead_letters(|_, _| {})
        .flat_map("twice", |n| [n, n])
        .buffer(7)
        .spawn()
        .unwrap();
    assert_eq!(running.output().iter().count(), 14);
    let books = running.metrics();
    (running, books)
}

/// As [`ended`], in the middle: the first of endlessly many items is held in its stage, the others wait behind it, as many as the cap lets in.
///
/// Dropping the sender lets it end.
fn held() -> (Running<u64>, channel::Sender<()>) {
    let (go, wait) = channel::bounded::<()>(1);
    let running = Pipeline::from_iter(0_u64..)
        .max_weight_in_flight(6, |_| 2)
        .map("held", move |n| {
            let _ = wait.recv();
            n
        })
        .spawn()
        .unwrap();
    while running.metrics().stages[0].blocked == 0 {
        std::thread::yield_now();
    }
    (running, go)
}

/// Each sample that the books ask for, by family, stage and label, without what a family is called beyond its name in one of the two ways.
fn expected(books: &PipelineMetrics) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut put = |name: String, value: f64| assert_eq!(samples.insert(name, value), None);
    put("elapsed_seconds".into(), books.elapsed.as_secs_f64());
    put("in_flight".into(), books.in_flight() as f64);
    if let Some(total) = books.total {
        put("expected".into(), total as f64);
    }
    for (index, stage) in books.stages.iter().enumerate() {
        let so_far = &stage.so_far;
        let at = format!("stage={} index={index}", so_far.name());
        put(format!("received {at}"), so_far.received() as f64);
        put(format!("added {at}"), so_far.added() as f64);
        put(format!("retried {at}"), so_far.retried() as f64);
        put(format!("out {at}"), so_far.out() as f64);
        let known = [
            ("filtered", so_far.filtered()),
            ("skipped", so_far.skipped()),
            ("dead_lettered", so_far.dead_lettered()),
            ("cancelled", so_far.cancelled()),
            // The other failures, of which the runs of these tests have only one kind.
            ("collected", so_far.failed() - so_far.skipped() - so_far.dead_lettered()),
            ("stopped", 0),
        ];
        for (outcome, items) in known {
            put(format!("ended {at} outcome={outcome}"), items as f64);
        }
        for (state, time) in
            [("starved", so_far.starved()), ("busy", so_far.busy()), ("blocked", so_far.blocked())]
        {
            put(format!("seconds {at} state={state}"), time.as_secs_f64());
        }
        for (state, workers) in [
            ("live", stage.workers),
            ("starved", stage.starved),
            ("blocked", stage.blocked),
            ("peak", so_far.concurrency()),
        ] {
            put(format!("workers {at} state={state}"), workers as f64);
        }
        put(format!("queued {at}"), stage.queued as f64);
        put(format!("buffer {at}"), stage.buffer as f64);
        if let Some(cap) = stage.cap {
            put(format!("cap {at}"), cap as f64);
            put(format!("under_cap {at}"), stage.under_cap as f64);
        }
    }
    samples
}

/// What a page says of one pipeline, named as [`expected`] does.
fn of_page(samples: &BTreeMap<String, f64>, pipeline: &str) -> BTreeMap<String, f64> {
    let label = format!("{{pipeline=\"{pipeline}\"");
    let ours = samples.iter().filter(|(name, _)| name.contains(&label));
    ours.map(|(name, value)| {
        let name = name.strip_prefix("aqueduct_pipeline_").unwrap().replace("_total{", "{");
        let name = name.replace(&label, "").replace("\",", " ").replace(['"', '}'], "");
        (name.replace(',', " "), *value)
    })
    .collect()
}

#[test]
fn the_page_says_what_the_books_say_of_a_run_that_is_over_and_of_one_that_is_held() {
    let (over, books) = ended();
    let (running, go) = held();
    let now = running.metrics();
    let page = prometheus::page([("over", &books), ("b \"\\\n", &now)]);
    let samples = parse(&page);
    assert_eq!(of_page(&samples, "over"), expected(&books));
    assert_eq!(of_page(&samples, "b \\\"\\\\\\n"), expected(&now));
    let ended = |outcome: &str| {
        let labels = format!("pipeline=\"over\",stage=\"same\",index=\"2\",outcome=\"{outcome}\"");
        samples[&format!("aqueduct_pipeline_ended_total{{{labels}}}")]
    };
    assert_eq!((ended("skipped"), ended("collected"), ended("dead_lettered")), (1.0, 1.0, 1.0));
    let same = |index, family: &str| {
        let labels = format!("pipeline=\"over\",stage=\"same\",index=\"{index}\"");
        samples[&format!("aqueduct_pipeline_{family}{{{labels}}}")]
    };
    assert_eq!((same(1, "received_total"), same(1, "out"), same(2, "out")), (20.0, 10.0, 7.0));
    assert_eq!((same(2, "retried_total"), books.in_flight(), books.total), (1.0, 0, Some(20)));
    let source = |family: &str| {
        let labels = "pipeline=\"b \\\"\\\\\\n\",stage=\"source\",index=\"0\"";
        samples[&format!("aqueduct_pipeline_{family}{{{labels}}}")]
    };
    // Three of two each, and the one in the hand of the source.
    assert_eq!((source("cap"), source("under_cap"), now.in_flight()), (6.0, 6.0, 4));
    assert!(now.stages[0].so_far.blocked() > Duration::ZERO, "counted while it goes on");
    running.abort();
    drop(go);
    running.wait().unwrap_err();
    over.wait().unwrap();
}

#[test]
fn the_facade_is_told_what_the_books_say_however_often() {
    let (over, books) = ended();
    let (running, go) = held();
    let now = running.metrics();
    let told = told(|| {
        books.publish("over");
        now.publish("now");
        books.publish("over");
    });
    for (name, books) in [("over", &books), ("now", &now)] {
        let label = format!(" pipeline={name}");
        let ours = told.iter().filter(|(name, _)| name.contains(&label)).map(|(name, value)| {
            let name = name.strip_prefix("aqueduct_pipeline_").unwrap().replace(&label, "");
            let is_counter = matches!(value, DebugValue::Counter(_));
            let counts = ["received", "added", "retried", "ended"];
            assert_eq!(is_counter, counts.iter().any(|count| name.starts_with(count)), "{name}");
            match value {
                DebugValue::Counter(count) => (name, *count as f64),
                DebugValue::Gauge(value) => (name, value.into_inner()),
                DebugValue::Histogram(_) => panic!("{name}"),
            }
        });
        assert_eq!(ours.collect::<BTreeMap<_, _>>(), expected(books));
    }
    running.abort();
    drop(go);
    running.wait().unwrap_err();
    over.wait().unwrap();
}

/// Runs a pipeline whose functions make spans of their own, named after where they stand.
fn run_with_spans() {
    let made = |name: &'static str, item: u64| {
        tracing::info_span!("inside", at = name, of = item);
    };
    let report = Pipeline::from_iter((0..4_u64).inspect(move |n| made("source", *n)))
        .stage("first", move |n| {
            made("first", n);
            Ok::<_, std::fmt::Error>(n)
        })
        .concurrency(2)
        .ordered(8)
        .scan("second", 0, move |_, n| {
            made("second", n);
            n
        })
        .stage("third", move |n| {
            made("third", n);
            if n == 1 { Err("on purpose") } else { Ok(n) }
        })
        .on_error(move |error: &StageError| {
            made("policy", error.item());
            Policy::Skip
        })
        .run(|n| made("output", n))
        .unwrap();
    assert_eq!(report.delivered(), 3);
}

#[test]
fn a_run_has_a_span_where_it_was_started_and_below_it_its_stages_and_their_items() {
    // The other tests of this file do not look at spans.
    let spans = Spans::of_all_threads();
    let request = tracing::info_span!("request");
    request.in_scope(run_with_spans);
    let background = tracing::info_span!("background");
    let running = background.in_scope(|| {
        let retry = Backoff::new(2, Duration::ZERO, Duration::ZERO);
        let tried = Mutex::new(false);
        Pipeline::from_iter([7_u64])
            .stage("again", move |n| {
                let first = !std::mem::replace(&mut *tried.lock().unwrap(), true);
                if first { Err("on purpose") } else { Ok(n) }
            })
            .retry(retry)
            .spawn()
    });
    let running = running.unwrap();
    assert_eq!(running.output().iter().count(), 1);
    running.wait().unwrap();

    let all = spans.seen();
    let of = |id: Option<u64>| all.iter().find(|seen| Some(seen.id) == id).unwrap();
    let run_below = |span: &tracing::Span| {
        let id = span.id().map(|id| id.into_u64());
        all.iter().find(|seen| seen.name == "run" && seen.parent == id).expect("a run")
    };
    let run = run_below(&request);
    assert_eq!(run.fields["outcome"], "\"completed\"");
    let inside = |at: &str| -> Vec<&Seen> {
        let at = format!("{at:?}");
        all.iter().filter(|seen| seen.name == "inside" && seen.fields["at"] == at).collect()
    };
    for (at, index) in [("first", "1"), ("second", "2"), ("third", "3")] {
        assert_eq!(inside(at).len(), 4);
        for seen in inside(at) {
            let item = of(seen.parent);
            assert_eq!((item.name, &item.fields["item"]), ("item", &seen.fields["of"]));
            let outcome = match at {
                "second" => "taken",
                "third" if seen.fields["of"] == "1" => "skipped",
                _ => "out",
            };
            assert_eq!(item.fields["outcome"], format!("{outcome:?}"), "{at}");
            let stage = of(item.parent);
            assert_eq!((stage.name, &*stage.fields["index"]), ("stage", index));
            assert_eq!(stage.fields["name"], format!("{at:?}"));
            assert_eq!(stage.parent, Some(run.id));
        }
    }
    let [policy] = inside("policy")[..] else { panic!("one item failed") };
    assert_eq!((of(policy.parent).name, &*of(policy.parent).fields["item"]), ("item", "1"));
    for seen in inside("source") {
        let stage = of(seen.parent);
        assert_eq!((stage.name, &*stage.fields["name"]), ("stage", "\"source\""));
        assert_eq!(stage.parent, Some(run.id));
    }
    assert!(inside("output").iter().all(|seen| seen.parent == Some(run.id)));
    assert_eq!((inside("source").len(), inside("output").len()), (4, 3));

    let run = run_below(&background);
    assert_eq!(run.fields["outcome"], "\"completed\"");
    let is_stage = |id| all.iter().any(|seen| Some(seen.id) == id && seen.parent == Some(run.id));
    let tried = all.iter().find(|seen| seen.name == "item" && is_stage(seen.parent));
    let tried = tried.expect("one item, in one stage");
    assert_eq!((&*tried.fields["attempt"], &*tried.fields["item"]), ("2", "0"));
}
