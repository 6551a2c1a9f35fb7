//! What can be measured: families of cells. A **cell** is one workload; its **candidates** do the
//! same work and are compared with one another. A new family is a variant here and a module.

use clap::ValueEnum;

use crate::measure::Sample;
use crate::{channel, floor, queue};

/// The name of our own candidate, in every family.
pub(crate) const OURS: &str = "aqueduct";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Family {
    Queue,
    Channel,
    Floor,
}

impl Family {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) fn cells(self) -> Vec<Cell> {
        match self {
            Self::Queue => queue::cells(),
            Self::Channel => channel::cells(),
            Self::Floor => floor::cells(),
        }
    }
}

/// One workload and everybody who does it.
pub(crate) struct Cell {
    pub(crate) family: &'static str,
    pub(crate) workload: String,
    /// What one operation is, in a word or two: "item", "round trip".
    pub(crate) unit: &'static str,
    pub(crate) candidates: Vec<Candidate>,
}

/// Somebody who can do a cell's work. `run(ops)` does `ops` operations from a fresh start, checks
/// what came out, and panics if it is wrong. The call is the only indirect one: what it runs is
/// compiled for the candidate.
pub(crate) struct Candidate {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut(u64) -> Sample>,
}

impl Candidate {
    pub(crate) fn new(name: &'static str, run: impl FnMut(u64) -> Sample + 'static) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// `--only`: names of candidates choose candidates, anything else chooses workloads by a part of
/// their name; both together choose what both choose.
pub(crate) struct Filter {
    candidates: Vec<String>,
    workloads: Vec<String>,
}

impl Filter {
    /// Refuses a name that fits nothing, so that a misspelt one is not taken for an empty result.
    pub(crate) fn new(only: &[String], cells: &[Cell]) -> Result<Self, String> {
        let mut filter = Self { candidates: Vec::new(), workloads: Vec::new() };
        for name in only {
            if cells.iter().flat_map(|cell| &cell.candidates).any(|c| c.name == name) {
                filter.candidates.push(name.clone());
            } else if !name.is_empty() && cells.iter().any(|cell| cell.workload.contains(name)) {
                filter.workloads.push(name.clone());
            } else {
                return Err(format!("--only {name}: no such candidate or workload; see --list"));
            }
        }
        Ok(filter)
    }

    pub(crate) fn apply(&self, cells: &mut Vec<Cell>) {
        if !self.workloads.is_empty() {
            cells.retain(|cell| self.workloads.iter().any(|name| cell.workload.contains(name)));
        }
        if !self.candidates.is_empty() {
            for cell in &mut *cells {
                cell.candidates.retain(|c| self.candidates.iter().any(|name| c.name == name));
            }
        }
        cells.retain(|cell| !cell.candidates.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<Cell> {
        let candidates =
            || ["aqueduct", "other"].map(|name| Candidate::new(name, |_| Sample::default())).into();
        ["cap1/1p1c", "cap1/4p4c"]
            .map(|workload| Cell {
                family: "f",
                workload: workload.into(),
                unit: "item",
                candidates: candidates(),
            })
            .into()
    }

    #[test]
    fn only_chooses_candidates_and_workloads() {
        let chosen = |only: &[&str]| {
            let mut cells = cells();
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            Filter::new(&only, &cells).unwrap().apply(&mut cells);
            cells.iter().map(|cell| cell.candidates.len()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[]), [2, 2]);
        assert_eq!(chosen(&["other"]), [1, 1]);
        assert_eq!(chosen(&["4p4c"]), [2]);
        assert_eq!(chosen(&["1p1c", "aqueduct"]), [1]);
    }

    #[test]
    fn only_refuses_a_name_that_fits_nothing() {
        assert!(Filter::new(&["oter".into()], &cells()).is_err());
    }
}
