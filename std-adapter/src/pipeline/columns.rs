//! What is told of each stage, to whatever instruments: one list, so that none of them leaves something out.

use super::metrics::StageMetrics;
use std::time::Duration;

/// A column's label, and the number that stands in it.
pub(super) type Column<T> = (&'static str, fn(&StageMetrics) -> T);

/// What only grows.
pub(super) const COUNTERS: [(Column<u64>, &str); 3] = [
    (("received", |stage| stage.so_far.received()), "Items that came in."),
    (("added", |stage| stage.so_far.added()), "Items that were made beyond one for one."),
    (("retried", |stage| stage.so_far.retried()), "Attempts beyond the first of each item."),
];

/// Items that go no further than this stage, by what became of them.
pub(super) const ENDED: [Column<u64>; 6] = [
    ("filtered", |stage| stage.so_far.filtered()),
    ("skipped", |stage| stage.so_far.skipped()),
    ("collected", |stage| stage.so_far.counts().collected),
    ("dead_lettered", |stage| stage.so_far.dead_lettered()),
    ("stopped", |stage| stage.so_far.counts().stopped),
    ("cancelled", |stage| stage.so_far.cancelled()),
];

/// The time of all its workers, by what they did with it.
pub(super) const TIMES: [Column<Duration>; 3] = [
    ("starved", |stage| stage.so_far.starved()),
    ("busy", |stage| stage.so_far.busy()),
    ("blocked", |stage| stage.so_far.blocked()),
];

/// Its workers, by what they do.
pub(super) const WORKERS: [Column<u64>; 4] = [
    ("live", |stage| stage.workers as u64),
    ("starved", |stage| stage.starved as u64),
    ("blocked", |stage| stage.blocked as u64),
    ("peak", |stage| stage.so_far.concurrency() as u64),
];

/// What goes up and down, where there is such a thing.
pub(super) const GAUGES: [(Column<Option<u64>>, &str); 5] = [
    (
        ("out", |stage| Some(stage.so_far.out())),
        "Items handed on, less those that the end of the run took back.",
    ),
    (("queued", |stage| Some(stage.queued as u64)), "Items that wait in front of it."),
    (("buffer", |stage| Some(stage.buffer as u64)), "How many may."),
    (
        ("under_cap", |stage| stage.cap.map(|_| stage.under_cap as u64)),
        "Items, or weight, under way behind it, where that is capped.",
    ),
    (("cap", |stage| stage.cap.map(|cap| cap as u64)), "How much of that may be."),
];
