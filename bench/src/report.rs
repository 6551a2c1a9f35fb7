//! A run as Markdown tables.

use std::fmt::Write;

use crate::family::OURS;
use crate::record::{Row, Run};
use crate::stats::short;

/// The families of a run, in its order.
pub(crate) fn families(run: &Run) -> Vec<String> {
    distinct(run.rows.iter().map(|row| &row.family))
}

/// The rows of one family as a grid: its workloads, its candidates, and who did what.
pub(crate) struct Grid<'a> {
    pub(crate) workloads: Vec<String>,
    pub(crate) candidates: Vec<String>,
    rows: Vec<&'a Row>,
}

impl<'a> Grid<'a> {
    pub(crate) fn of(run: &'a Run, family: &str) -> Self {
        let rows: Vec<&Row> = run.rows.iter().filter(|row| row.family == family).collect();
        Self {
            workloads: distinct(rows.iter().map(|row| &row.workload)),
            candidates: distinct(rows.iter().map(|row| &row.candidate)),
            rows,
        }
    }

    pub(crate) fn get(&self, workload: &str, candidate: &str) -> Option<&'a Row> {
        let mut rows = self.rows.iter().copied();
        rows.find(|row| row.workload == workload && row.candidate == candidate)
    }

    pub(crate) fn best(&self, workload: &str, among: impl Fn(&Row) -> bool) -> Option<&'a Row> {
        let rows = self.rows.iter().copied();
        rows.filter(|row| row.workload == workload && among(row))
            .min_by(|a, b| a.ns_per_op.total_cmp(&b.ns_per_op))
    }
}

/// The whole report.
pub(crate) fn markdown(run: &Run) -> String {
    let mut text = format!("# A run of aqueduct-bench\n\n{}.\n", run.machine);
    if run.quick {
        text +=
            "\n**A quick run:** it shows that everything works; its figures are mostly noise.\n";
    }
    for family in families(run) {
        let grid = Grid::of(run, &family);
        write!(text, "\n## {family}\n\n").expect("a string takes it");
        text += "Wall-clock nanoseconds per operation: median (least to greatest).";
        if compares(&grid) {
            text += " Bold is the best of the row; the last column is ours by the best peer's, \
                     lower is better.";
        }
        text += "\n\n";
        times(&mut text, &grid);
        text += "\nCPU nanoseconds per operation, all threads; context switches per 1000 \
                 operations.\n\n";
        costs(&mut text, &grid);
    }
    text
}

/// Whether there is a peer to compare ours with.
fn compares(grid: &Grid<'_>) -> bool {
    grid.candidates.len() > 1 && grid.candidates.iter().any(|name| name == OURS)
}

fn times(text: &mut String, grid: &Grid<'_>) {
    let mut header = vec!["workload".to_string(), "operation".into()];
    header.extend(grid.candidates.iter().cloned());
    if compares(grid) {
        header.push("ours / best peer".into());
    }
    let body = grid.workloads.iter().map(|workload| {
        let best = grid.best(workload, |_| true);
        let mut line = vec![workload.clone(), best.map_or_else(String::new, |b| b.unit.clone())];
        for candidate in &grid.candidates {
            line.push(grid.get(workload, candidate).map_or_else(nothing, |row| {
                let middle = short(row.ns_per_op);
                let is_best = best.is_some_and(|best| best.candidate == row.candidate);
                let bold = if is_best && grid.candidates.len() > 1 { "**" } else { "" };
                format!("{bold}{middle}{bold} ({} to {})", short(row.min), short(row.max))
            }));
        }
        if compares(grid) {
            line.push(ratio(grid, workload).map_or_else(nothing, |ratio| format!("{ratio:.2}")));
        }
        line
    });
    table(text, &header, body);
}

fn ratio(grid: &Grid<'_>, workload: &str) -> Option<f64> {
    let peer = grid.best(workload, |row| row.candidate != OURS)?;
    Some(grid.get(workload, OURS)?.ns_per_op / peer.ns_per_op)
}

fn costs(text: &mut String, grid: &Grid<'_>) {
    let mut header = vec!["workload".to_string()];
    header.extend(grid.candidates.iter().cloned());
    let body = grid.workloads.iter().map(|workload| {
        let cost = |candidate| {
            let row = grid.get(workload, candidate)?;
            Some(format!("{}; {}", short(row.cpu_ns_per_op?), short(row.switches_per_1000?)))
        };
        let mut line = vec![workload.clone()];
        line.extend(grid.candidates.iter().map(|name| cost(name).unwrap_or_else(nothing)));
        line
    });
    table(text, &header, body);
}

fn nothing() -> String {
    "–".into()
}

fn table(text: &mut String, header: &[String], body: impl Iterator<Item = Vec<String>>) {
    let rule = header.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "--:" });
    let rule: Vec<String> = rule.map(Into::into).collect();
    for line in [header.to_vec(), rule].into_iter().chain(body) {
        writeln!(text, "| {} |", line.join(" | ")).expect("a string takes it");
    }
}

fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::run;

    #[test]
    fn the_ratio_is_ours_by_the_best_peers() {
        let run = run();
        let grid = Grid::of(&run, "queue");
        assert_eq!(ratio(&grid, "u64/cap64/pair"), Some(1.2));
        assert_eq!(ratio(&grid, "u64/cap64/4p4c"), None, "ours was not there");
    }

    #[test]
    fn the_tables_show_every_cell_and_mark_the_best() {
        let text = markdown(&run());
        let wanted = "| u64/cap64/pair | item | 12.0 (10.8 to 13.5) | 48.0 (43.2 to 53.1) | \
                      **10.0** (9.00 to 11.3) | 1.20 |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("| u64/cap64/4p4c | item | – | 30,000 (27,000 to 33,000) |"));
        assert!(text.contains("commit "), "the machine line is part of it");
    }
}
