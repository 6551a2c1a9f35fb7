//! The books of pools as a page for Prometheus: text, made where and when it is asked for. Nothing listens and nothing runs here; a program
//! hands the page out by whatever server it has.
//!
//! The format is that of [Prometheus's text exposition, version 0.0.4][format]; answer with [`CONTENT_TYPE`].
//!
//! [format]: https://prometheus.io/docs/instrumenting/exposition_formats/

use super::{Histogram, PoolMetrics, Priority};
use crate::exposition::{self, Exposition, Labels};
use std::fmt;
use std::time::Duration;

/// What a server says that the [page] is.
pub const CONTENT_TYPE: &str = exposition::CONTENT_TYPE;

/// The books of some pools, each under a name, as one page.
///
/// | family | kind | labels besides `pool` |
/// |---|---|---|
/// | `aqueduct_pool_submitted_total` | counter | |
/// | `aqueduct_pool_jobs_total` | counter | `outcome`: completed, failed, panicked, timed_out, cancelled, rejected |
/// | `aqueduct_pool_in_flight` | gauge | |
/// | `aqueduct_pool_queued` | gauge | `priority` |
/// | `aqueduct_pool_workers` | gauge | `state`: live, idle, overdue, blocking, peak |
/// | `aqueduct_pool_scalings_total`, `aqueduct_pool_spawn_failures_total` | counter | |
/// | `aqueduct_pool_queue_wait_seconds`, `aqueduct_pool_run_seconds` | histogram | `priority`, of those that were used |
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Pool, prometheus};
///
/// let pool = Pool::builder().max_workers(2).build()?;
/// pool.submit(|| ())?.join()?;
/// let page = prometheus::page([("images", &pool.metrics())]);
/// assert!(page.contains("aqueduct_pool_jobs_total{pool=\"images\",outcome=\"completed\"} 1\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn page<'a>(pools: impl IntoIterator<Item = (&'a str, &'a PoolMetrics)>) -> String {
    let pools: Vec<_> = pools.into_iter().collect();
    let mut page = Page { out: Exposition::new("aqueduct_pool"), pools: &pools };
    page.write().expect("a string has room");
    page.out.finish()
}

/// All samples of a family stand together, so that each family goes through all pools.
struct Page<'a> {
    out: Exposition,
    pools: &'a [(&'a str, &'a PoolMetrics)],
}

type Number = fn(&PoolMetrics) -> u64;

impl Page<'_> {
    fn write(&mut self) -> fmt::Result {
        self.plain("submitted_total", "counter", "Calls that submitted a job.", |m| m.submitted)?;
        let outcomes: [(&str, Number); 6] = [
            ("completed", |m| m.completed),
            ("failed", |m| m.failed),
            ("panicked", |m| m.panicked),
            ("timed_out", |m| m.timed_out),
            ("cancelled", |m| m.cancelled),
            ("rejected", |m| m.rejected),
        ];
        self.family("jobs_total", "counter", "Jobs that are over.", "outcome", &outcomes)?;
        self.plain("in_flight", "gauge", "Jobs that wait or run.", |m| m.in_flight)?;
        self.out.head("queued", "gauge", "Entries in the queues.")?;
        for (pool, metrics) in self.pools {
            for priority in Priority::ALL {
                let labels = Labels::new("pool", pool).and("priority", priority.label());
                self.out.sample("queued", &labels, metrics.queued[priority.level()])?;
            }
        }
        let workers: [(&str, Number); 5] = [
            ("live", |m| m.workers as u64),
            ("idle", |m| m.idle as u64),
            ("overdue", |m| m.overdue as u64),
            ("blocking", |m| m.blocking as u64),
            ("peak", |m| m.peak_workers as u64),
        ];
        self.family("workers", "gauge", "Workers, by what they do.", "state", &workers)?;
        let help = "Changes of the number of workers.";
        self.plain("scalings_total", "counter", help, |m| m.scalings)?;
        let help = "Threads that the system refused.";
        self.plain("spawn_failures_total", "counter", help, |m| m.spawn_failures)?;
        let help = "How long jobs waited to be begun.";
        self.histograms("queue_wait_seconds", help, PoolMetrics::queue_wait)?;
        self.histograms("run_seconds", "How long functions ran.", PoolMetrics::run_time)
    }

    fn plain(&mut self, family: &str, kind: &str, help: &str, value: Number) -> fmt::Result {
        self.out.head(family, kind, help)?;
        for (pool, metrics) in self.pools {
            self.out.sample(family, &Labels::new("pool", pool), value(metrics))?;
        }
        Ok(())
    }

    fn family(
        &mut self,
        family: &str,
        kind: &str,
        help: &str,
        label: &str,
        values: &[(&str, Number)],
    ) -> fmt::Result {
        self.out.head(family, kind, help)?;
        for (pool, metrics) in self.pools {
            for (which, value) in values {
                let labels = Labels::new("pool", pool).and(label, which);
                self.out.sample(family, &labels, value(metrics))?;
            }
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        family: &str,
        help: &str,
        pick: fn(&PoolMetrics, Priority) -> &Histogram,
    ) -> fmt::Result {
        self.out.head(family, "histogram", help)?;
        for (pool, metrics) in self.pools {
            for priority in Priority::ALL {
                let histogram = pick(metrics, priority);
                if histogram.count() > 0 {
                    let labels = Labels::new("pool", pool).and("priority", priority.label());
                    self.histogram(family, &labels, histogram)?;
                }
            }
        }
        Ok(())
    }

    /// The same bounds each time, or rates could not be formed: powers of ten, and what lies at two and five between them.
    fn histogram(&mut self, family: &str, labels: &Labels, histogram: &Histogram) -> fmt::Result {
        let bucket = format!("{family}_bucket");
        for bound in bounds() {
            let within = histogram.buckets().take_while(|(upper, _)| *upper <= bound);
            let within: u64 = within.map(|(_, count)| count).sum();
            self.out.sample(&bucket, &labels.and("le", bound.as_secs_f64()), within)?;
        }
        let (count, sum) = (histogram.count(), histogram.sum().as_secs_f64());
        self.out.sample(&bucket, &labels.and("le", "+Inf"), count)?;
        self.out.sample(&format!("{family}_sum"), labels, sum)?;
        self.out.sample(&format!("{family}_count"), labels, count)
    }
}

/// From 1 us to 50 s.
fn bounds() -> impl Iterator<Item = Duration> {
    let powers = (0..8).map(|power| Duration::from_micros(10_u64.pow(power)));
    powers.flat_map(|power| [1, 2, 5].map(|times| power * times))
}
