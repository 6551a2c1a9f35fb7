//! The rows of a run, and their JSON: a plain array for scripts, and the array with the machine
//! beside it for a report.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// One candidate in one cell. Times are wall-clock nanoseconds per operation, over all threads
/// together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) family: String,
    pub(crate) workload: String,
    pub(crate) candidate: String,
    /// What one operation is.
    pub(crate) unit: String,
    /// Whether all threads were kept on one CPU.
    #[serde(default)]
    pub(crate) pinned: bool,
    /// The median of the repetitions; `min` and `max` are the extremes, `q1` and `q3` the quartiles.
    pub(crate) ns_per_op: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) q1: f64,
    pub(crate) q3: f64,
    pub(crate) reps: usize,
    /// Operations in each repetition; of a storm, the microseconds that it lasts.
    pub(crate) ops: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_ns_per_op: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) switches_per_1000: Option<f64>,
    /// How often the one that is measured got in while a storm lasted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) got_in: Option<f64>,
    /// The most of the storm that came in while it waited once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) overtaken: Option<f64>,
    /// The share of what was sent that has arrived, where candidates may drop some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delivered: Option<f64>,
}

impl Row {
    /// How far apart the quartiles are, in parts of the median: the noise that the run itself saw.
    pub(crate) fn noise(&self) -> f64 {
        (self.q3 - self.q1) / self.ns_per_op
    }

    /// Whether this run has not told it from `factor` times the other: the middle halves of their repetitions meet.
    pub(crate) fn is_about(&self, factor: f64, other: &Row) -> bool {
        self.q1 <= factor * other.q3 && factor * other.q1 <= self.q3
    }
}

/// The one who is quickest.
pub(crate) fn best<'a>(rows: impl Iterator<Item = &'a Row>) -> Option<&'a Row> {
    rows.min_by(|a, b| a.ns_per_op.total_cmp(&b.ns_per_op))
}

/// A whole run, as `results/last.json` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    /// The runs of peers that hung or failed their checks, and were made again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) failures: Vec<String>,
    pub(crate) rows: Vec<Row>,
}

impl Run {
    pub(crate) fn save(&self, file: &Path) -> Result<(), String> {
        write(file, &json(self))
    }

    pub(crate) fn load(file: &Path) -> Result<Self, String> {
        load(file)
    }
}

/// The array that scripts read.
pub(crate) fn save_rows(file: &Path, rows: &[Row]) -> Result<(), String> {
    write(file, &json(rows))
}

/// What [`save_rows`] has written.
pub(crate) fn load_rows(file: &Path) -> Result<Vec<Row>, String> {
    load(file)
}

fn load<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
}

/// Writes a file, and its directory if there is none yet.
pub(crate) fn write(file: &Path, text: &str) -> Result<(), String> {
    let write = || {
        if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent)?;
        }
        fs::write(file, text)
    };
    write().map_err(|e| format!("{}: {e}", file.display()))
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("rows have string keys only");
    text.push('\n');
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn run() -> Run {
        let row = |workload: &str, candidate: &str, ns| Row {
            family: "queue".into(),
            workload: workload.into(),
            candidate: candidate.into(),
            unit: "item".into(),
            ns_per_op: ns,
            min: ns * 0.9,
            max: ns * 1.1 + 1.0 / 3.0,
            q1: ns * 0.95,
            q3: ns * 1.05,
            pinned: false,
            reps: 7,
            ops: 1000,
            cpu_ns_per_op: (candidate == "aqueduct").then_some(ns * 2.0),
            switches_per_1000: None,
            got_in: None,
            overtaken: None,
            delivered: None,
        };
        let rows = vec![
            row("u64/cap64/pair", "aqueduct", 12.0),
            row("u64/cap64/pair", "slow", 48.0),
            row("u64/cap64/pair", "fast", 10.0),
            row("u64/cap64/4p4c", "slow", 30000.0),
            row("u64/cap64/4p4c", "fast", 0.1 + 0.2),
        ];
        let failures = vec!["queue u64/cap64/4p4c, slow: an item was lost".into()];
        Run { machine: Machine::here(&["slow", "fast"]), quick: false, failures, rows }
    }

    #[test]
    fn a_run_comes_back_from_json_as_it_was() {
        let run = run();
        let dir = std::env::temp_dir().join(format!("aqueduct-bench-{}", std::process::id()));
        let file = dir.join("deep").join("run.json");
        run.save(&file).unwrap();
        assert_eq!(Run::load(&file).unwrap(), run);
        save_rows(&file, &run.rows).unwrap();
        assert_eq!(load::<Vec<Row>>(&file).unwrap(), run.rows);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn the_array_has_the_fields_that_scripts_read() {
        let value: serde_json::Value = serde_json::from_str(&json(&run().rows)).unwrap();
        for row in value.as_array().unwrap() {
            for name in ["family", "workload", "candidate"] {
                assert!(row[name].is_string(), "{name}");
            }
            for name in ["ns_per_op", "min", "max", "reps"] {
                assert!(row[name].is_number(), "{name}");
            }
        }
    }

    #[test]
    fn what_overlaps_in_the_middle_half_is_not_told_apart() {
        let rows = run().rows;
        let (ours, slow, fast) = (&rows[0], &rows[1], &rows[2]);
        assert!((ours.noise() - 0.1).abs() < 1e-9);
        assert!(ours.is_about(1.0, ours) && !ours.is_about(1.0, slow) && !slow.is_about(1.0, ours));
        assert!(!ours.is_about(1.0, fast));
        assert!(ours.is_about(1.0, &Row { q3: 11.4, ..fast.clone() }));
        assert!(ours.is_about(1.2, fast) && slow.is_about(4.0, ours));
    }

    #[test]
    fn a_missing_run_is_an_error_that_names_the_file() {
        assert!(Run::load(Path::new("/no/such/file")).unwrap_err().contains("/no/such/file"));
    }
}
