//! The books of runs as a page for Prometheus: text, made where and when it is asked for. Nothing listens and nothing runs here; a program
//! hands the page out by whatever server it has, behind that of its [pools](crate::pool::prometheus) if it likes: the families differ.
//!
//! The format is that of [Prometheus's text exposition, version 0.0.4][format]; answer with [`CONTENT_TYPE`].
//!
//! [format]: https://prometheus.io/docs/instrumenting/exposition_formats/

use super::columns::{COUNTERS, Column, ENDED, GAUGES, TIMES, WORKERS};
use super::metrics::{PipelineMetrics, StageMetrics};
use crate::exposition::{self, Exposition, Labels};
use std::fmt::{self, Display};

/// What a server says that the [page] is.
pub const CONTENT_TYPE: &str = exposition::CONTENT_TYPE;

/// The books of some runs, each under the name of its pipeline, as one page.
///
/// Those of a stage have the labels `stage` and `index`, its position, besides; the source has the index 0.
///
/// | family | kind | labels besides `pipeline` |
/// |---|---|---|
/// | `aqueduct_pipeline_elapsed_seconds`, `aqueduct_pipeline_in_flight` | gauge | |
/// | `aqueduct_pipeline_expected` | gauge: how many items the source will make, if it says so | |
/// | `aqueduct_pipeline_received_total`, `aqueduct_pipeline_added_total`, `aqueduct_pipeline_retried_total` | counter | those of a stage |
/// | `aqueduct_pipeline_ended_total` | counter | and `outcome`: filtered, skipped, collected, dead_lettered, stopped, cancelled |
/// | `aqueduct_pipeline_seconds_total` | counter, of all workers together | and `state`: starved, busy, blocked |
/// | `aqueduct_pipeline_workers` | gauge | and `state`: live, starved, blocked, peak |
/// | `aqueduct_pipeline_out` | gauge: an abort takes back what nobody has taken | those of a stage |
/// | `aqueduct_pipeline_queued`, `aqueduct_pipeline_buffer` | gauge | those of a stage |
/// | `aqueduct_pipeline_under_cap`, `aqueduct_pipeline_cap` | gauge | those of a stage behind which something is capped |
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::{Pipeline, prometheus};
///
/// let running = Pipeline::from_iter(0..100).map("work", |n| n + 1).spawn()?;
/// assert_eq!(running.output().iter().count(), 100);
/// let page = prometheus::page([("numbers", &running.metrics())]);
/// let line = "aqueduct_pipeline_received_total{pipeline=\"numbers\",stage=\"work\",index=\"1\"} 100\n";
/// assert!(page.contains(line));
/// # running.wait()?;
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
pub fn page<'a>(runs: impl IntoIterator<Item = (&'a str, &'a PipelineMetrics)>) -> String {
    let runs: Vec<_> = runs.into_iter().collect();
    let mut page = Page { out: Exposition::new("aqueduct_pipeline"), runs: &runs };
    page.write().expect("a string has room");
    page.out.finish()
}

/// All samples of a family stand together, so that each family goes through all runs.
struct Page<'a> {
    out: Exposition,
    runs: &'a [(&'a str, &'a PipelineMetrics)],
}

impl Page<'_> {
    fn write(&mut self) -> fmt::Result {
        self.runs("elapsed_seconds", "Since the run began.", |run| {
            Some(run.elapsed.as_secs_f64())
        })?;
        self.runs("in_flight", "Items begun and not at an end.", |run| Some(run.in_flight()))?;
        self.runs("expected", "Items that the source will make.", |run| run.total)?;
        for ((name, value), help) in COUNTERS {
            let family = format!("{name}_total");
            self.out.head(&family, "counter", help)?;
            self.stages(&family, |stage| Some(value(stage)))?;
        }
        let help = "Items that go no further than this stage.";
        self.out.head("ended_total", "counter", help)?;
        self.columns("ended_total", "outcome", &ENDED, |items| items)?;
        self.out.head("seconds_total", "counter", "Time of all workers, by what they did.")?;
        self.columns("seconds_total", "state", &TIMES, |time| time.as_secs_f64())?;
        self.out.head("workers", "gauge", "Workers, by what they do.")?;
        self.columns("workers", "state", &WORKERS, |workers| workers)?;
        for ((family, value), help) in GAUGES {
            self.out.head(family, "gauge", help)?;
            self.stages(family, value)?;
        }
        Ok(())
    }

    fn runs<V: Display>(
        &mut self,
        family: &str,
        help: &str,
        value: fn(&PipelineMetrics) -> Option<V>,
    ) -> fmt::Result {
        self.out.head(family, "gauge", help)?;
        for (name, run) in self.runs {
            if let Some(value) = value(run) {
                self.out.sample(family, &Labels::new("pipeline", name), value)?;
            }
        }
        Ok(())
    }

    fn stages(
        &mut self,
        family: &str,
        value: impl Fn(&StageMetrics) -> Option<u64>,
    ) -> fmt::Result {
        self.each_stage(|out, labels, stage| match value(stage) {
            Some(value) => out.sample(family, labels, value),
            None => Ok(()),
        })
    }

    fn columns<T, V: Display>(
        &mut self,
        family: &str,
        label: &str,
        columns: &[Column<T>],
        show: fn(T) -> V,
    ) -> fmt::Result {
        self.each_stage(|out, labels, stage| {
            columns.iter().try_for_each(|(which, value)| {
                out.sample(family, &labels.and(label, which), show(value(stage)))
            })
        })
    }

    /// With the labels of the stage: two may have the same name, and no two samples the same labels.
    fn each_stage(
        &mut self,
        mut write: impl FnMut(&mut Exposition, &Labels, &StageMetrics) -> fmt::Result,
    ) -> fmt::Result {
        for (name, run) in self.runs {
            for (index, stage) in run.stages.iter().enumerate() {
                let labels = Labels::new("pipeline", name);
                let labels = labels.and("stage", stage.so_far.name()).and("index", index);
                write(&mut self.out, &labels, stage)?;
            }
        }
        Ok(())
    }
}
