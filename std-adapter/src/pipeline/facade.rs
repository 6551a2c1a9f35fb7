//! The books of a run, handed to the `metrics` facade: whatever recorder the program has installed.

use super::columns::{COUNTERS, ENDED, GAUGES, TIMES, WORKERS};
use super::metrics::PipelineMetrics;
use metrics::{Label, counter, gauge};

impl PipelineMetrics {
    /// Tells the recorder of the crate [`metrics`] what stands here, under the name of the pipeline.
    ///
    /// Counters are set to what they are, gauges as well, so that it may be called as often as one likes: by
    /// [`on_progress`](super::Pipeline::on_progress), before each scrape, or by a timer of the program's own. A run itself tells nobody, and items do not become
    /// dearer. A counter never goes back, so give runs that are to be told apart a name each.
    ///
    /// What is told of a stage has the labels `stage` and `index`, its position, besides; the source has the index 0.
    ///
    /// | name | kind | labels besides `pipeline` |
    /// |---|---|---|
    /// | `aqueduct_pipeline_elapsed_seconds`, `aqueduct_pipeline_in_flight` | gauge | |
    /// | `aqueduct_pipeline_expected` | gauge: how many items the source will make, if it says so | |
    /// | `aqueduct_pipeline_received`, `aqueduct_pipeline_added`, `aqueduct_pipeline_retried` | counter | those of a stage |
    /// | `aqueduct_pipeline_ended` | counter | and `outcome`: filtered, skipped, collected, dead_lettered, stopped, cancelled |
    /// | `aqueduct_pipeline_seconds` | gauge, of all workers together | and `state`: starved, busy, blocked |
    /// | `aqueduct_pipeline_workers` | gauge | and `state`: live, starved, blocked, peak |
    /// | `aqueduct_pipeline_out` | gauge: an abort takes back what nobody has taken | those of a stage |
    /// | `aqueduct_pipeline_queued`, `aqueduct_pipeline_buffer` | gauge | those of a stage |
    /// | `aqueduct_pipeline_under_cap`, `aqueduct_pipeline_cap` | gauge | those of a stage behind which something is capped |
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let report = Pipeline::from_iter(0..1000)
    ///     .map("work", |n| n + 1)
    ///     .on_progress(100, |metrics| metrics.publish("numbers")) // to nobody, where no recorder is installed
    ///     .run(drop)?;
    /// # assert_eq!(report.delivered(), 1000);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn publish(&self, pipeline: &str) {
        let run = vec![Label::new("pipeline", pipeline.to_owned())];
        gauge!("aqueduct_pipeline_elapsed_seconds", run.clone()).set(self.elapsed.as_secs_f64());
        gauge!("aqueduct_pipeline_in_flight", run.clone()).set(self.in_flight() as f64);
        if let Some(total) = self.total {
            gauge!("aqueduct_pipeline_expected", run.clone()).set(total as f64);
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let mut labels = run.clone();
            labels.push(Label::new("stage", stage.so_far.shared_name()));
            labels.push(Label::new("index", index.to_string()));
            let and = |label, value| {
                let mut labels = labels.clone();
                labels.push(Label::from_static_parts(label, value));
                labels
            };
            for ((name, value), _) in COUNTERS {
                counter!(format!("aqueduct_pipeline_{name}"), labels.clone())
                    .absolute(value(stage));
            }
            for (outcome, value) in ENDED {
                let labels = and("outcome", outcome);
                counter!("aqueduct_pipeline_ended", labels).absolute(value(stage));
            }
            for (state, value) in TIMES {
                let seconds = value(stage).as_secs_f64();
                gauge!("aqueduct_pipeline_seconds", and("state", state)).set(seconds);
            }
            for (state, value) in WORKERS {
                gauge!("aqueduct_pipeline_workers", and("state", state)).set(value(stage) as f64);
            }
            for ((name, value), _) in GAUGES {
                if let Some(value) = value(stage) {
                    gauge!(format!("aqueduct_pipeline_{name}"), labels.clone()).set(value as f64);
                }
            }
        }
    }
}
