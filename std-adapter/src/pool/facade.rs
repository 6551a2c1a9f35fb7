//! The books of a pool, handed to the `metrics` facade: whatever recorder the program has installed.

use super::{Histogram, PoolMetrics, Priority};
use metrics::{counter, gauge};

impl PoolMetrics {
    /// Tells the recorder of the crate [`metrics`] what stands here, under the name of the pool.
    ///
    /// Counters are set to what they are, gauges as well, so that it may be called as often as one likes: before each scrape, say, or by
    /// a timer of the program's own. A pool itself tells nobody, and jobs do not become dearer.
    ///
    /// | name | kind | labels besides `pool` |
    /// |---|---|---|
    /// | `aqueduct_pool_submitted` | counter | |
    /// | `aqueduct_pool_jobs` | counter | `outcome`: completed, failed, panicked, timed_out, cancelled, rejected |
    /// | `aqueduct_pool_scalings`, `aqueduct_pool_spawn_failures` | counter | |
    /// | `aqueduct_pool_in_flight` | gauge | |
    /// | `aqueduct_pool_queued` | gauge | `priority` |
    /// | `aqueduct_pool_workers` | gauge | `state`: live, idle, overdue, blocking, peak |
    /// | `aqueduct_pool_queue_wait_seconds`, `aqueduct_pool_run_seconds` | gauge | `priority`, `quantile`: 0.5, 0.95, 0.99; since the pool was built |
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::Pool;
    ///
    /// let pool = Pool::builder().max_workers(2).build()?;
    /// pool.submit(|| ())?.join()?;
    /// pool.metrics().publish("images"); // to nobody, where no recorder is installed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn publish(&self, pool: &str) {
        let pool = pool.to_owned();
        counter!("aqueduct_pool_submitted", "pool" => pool.clone()).absolute(self.submitted);
        for (outcome, count) in [
            ("completed", self.completed),
            ("failed", self.failed),
            ("panicked", self.panicked),
            ("timed_out", self.timed_out),
            ("cancelled", self.cancelled),
            ("rejected", self.rejected),
        ] {
            let jobs = counter!("aqueduct_pool_jobs", "pool" => pool.clone(), "outcome" => outcome);
            jobs.absolute(count);
        }
        counter!("aqueduct_pool_scalings", "pool" => pool.clone()).absolute(self.scalings);
        counter!("aqueduct_pool_spawn_failures", "pool" => pool.clone())
            .absolute(self.spawn_failures);
        gauge!("aqueduct_pool_in_flight", "pool" => pool.clone()).set(self.in_flight as f64);
        for (state, count) in [
            ("live", self.workers),
            ("idle", self.idle),
            ("overdue", self.overdue),
            ("blocking", self.blocking),
            ("peak", self.peak_workers),
        ] {
            gauge!("aqueduct_pool_workers", "pool" => pool.clone(), "state" => state)
                .set(count as f64);
        }
        for priority in Priority::ALL {
            let queued = self.queued[priority.level()];
            let level = priority.label();
            gauge!("aqueduct_pool_queued", "pool" => pool.clone(), "priority" => level)
                .set(queued as f64);
            let waits = self.queue_wait(priority);
            quantiles("aqueduct_pool_queue_wait_seconds", &pool, level, waits);
            quantiles("aqueduct_pool_run_seconds", &pool, level, self.run_time(priority));
        }
    }
}

fn quantiles(name: &'static str, pool: &str, priority: &'static str, times: &Histogram) {
    for (label, q) in [("0.5", 0.5), ("0.95", 0.95), ("0.99", 0.99)] {
        if let Some(time) = times.quantile(q) {
            let pool = pool.to_owned();
            gauge!(name, "pool" => pool, "priority" => priority, "quantile" => label)
                .set(time.as_secs_f64());
        }
    }
}
