//! The rows of a run, and their JSON: a plain array for scripts, and the array with the machine
//! beside it for a report.

use std::fs;
use std::path::Path;

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
    /// The median of the repetitions; `min` and `max` are the extremes.
    pub(crate) ns_per_op: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) reps: usize,
    /// Operations in each repetition.
    pub(crate) ops: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cpu_ns_per_op: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) switches_per_1000: Option<f64>,
}

/// A whole run, as `results/last.json` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
}

impl Run {
    pub(crate) fn save(&self, file: &Path) -> Result<(), String> {
        write(file, &json(self))
    }

    pub(crate) fn load(file: &Path) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))
    }
}

/// The array that scripts read.
pub(crate) fn save_rows(file: &Path, rows: &[Row]) -> Result<(), String> {
    write(file, &json(rows))
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
            reps: 7,
            ops: 1000,
            cpu_ns_per_op: (candidate == "aqueduct").then_some(ns * 2.0),
            switches_per_1000: None,
        };
        let rows = vec![
            row("u64/cap64/pair", "aqueduct", 12.0),
            row("u64/cap64/pair", "slow", 48.0),
            row("u64/cap64/pair", "fast", 10.0),
            row("u64/cap64/4p4c", "slow", 30000.0),
            row("u64/cap64/4p4c", "fast", 0.1 + 0.2),
        ];
        Run { machine: Machine::here(&["slow", "fast"]), quick: false, rows }
    }

    #[test]
    fn a_run_comes_back_from_json_as_it_was() {
        let run = run();
        let dir = std::env::temp_dir().join(format!("aqueduct-bench-{}", std::process::id()));
        let file = dir.join("deep").join("run.json");
        run.save(&file).unwrap();
        assert_eq!(Run::load(&file).unwrap(), run);
        save_rows(&file, &run.rows).unwrap();
        let rows: Vec<Row> = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(rows, run.rows);
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
    fn a_missing_run_is_an_error_that_names_the_file() {
        assert!(Run::load(Path::new("/no/such/file")).unwrap_err().contains("/no/such/file"));
    }
}
