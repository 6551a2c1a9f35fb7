//! What can be measured: families of cells. A **cell** is one workload; its **candidates** do the
//! same work and are compared with one another. A new family is a variant here and a module.

use clap::ValueEnum;

use crate::measure::Sample;
use crate::{
    channel, channel_async, context, floor, pipeline, pool, queue, rwlock, select, semaphore, spsc,
};

/// The name of our own candidate, in every family.
pub(crate) const OURS: &str = "aqueduct";

/// Whether a candidate is one of ours: [`OURS`], which stands for us in every comparison, or another
/// policy of it, such as `aqueduct-fair`.
pub(crate) fn is_ours(candidate: &str) -> bool {
    candidate.strip_prefix(OURS).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Family {
    Queue,
    Spsc,
    Channel,
    ChannelAsync,
    Select,
    Semaphore,
    Rwlock,
    Pool,
    Context,
    Pipeline,
    Floor,
}

impl Family {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) fn cells(self) -> Vec<Cell> {
        match self {
            Self::Queue => queue::cells(),
            Self::Spsc => spsc::cells(),
            Self::Channel => channel::cells(),
            Self::ChannelAsync => channel_async::cells(),
            Self::Select => select::cells(),
            Self::Semaphore => semaphore::cells(),
            Self::Rwlock => rwlock::cells(),
            Self::Pool => pool::cells(),
            Self::Context => context::cells(),
            Self::Pipeline => pipeline::cells(),
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
    /// What is measured is how long single operations took, not how many there were: the cell has a
    /// row for each of [`PERCENTILES`].
    pub(crate) latency: bool,
    /// How many operations a run has, where that is part of the workload; else as many as fill the time.
    pub(crate) ops: Option<u64>,
    pub(crate) candidates: Vec<Candidate>,
}

/// The rows of a cell that measures latency, as suffixes of its name.
pub(crate) const PERCENTILES: [&str; 2] = ["p50", "p99"];

impl Cell {
    pub(crate) fn new(
        family: &'static str,
        workload: String,
        unit: &'static str,
        candidates: Vec<Candidate>,
    ) -> Self {
        Self { family, workload, unit, latency: false, ops: None, candidates }
    }

    /// The workloads of its rows.
    pub(crate) fn workloads(&self) -> Vec<String> {
        if self.latency {
            PERCENTILES.map(|p| format!("{}/{p}", self.workload)).into()
        } else {
            vec![self.workload.clone()]
        }
    }
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
            .map(|workload| Cell::new("f", workload.into(), "item", candidates()))
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
    fn ours_are_those_of_our_name() {
        assert!(["aqueduct", "aqueduct-fair"].into_iter().all(is_ours));
        assert!(!["aqueducts", "tokio"].into_iter().any(is_ours));
    }

    #[test]
    fn only_refuses_a_name_that_fits_nothing() {
        assert!(Filter::new(&["oter".into()], &cells()).is_err());
    }
}
