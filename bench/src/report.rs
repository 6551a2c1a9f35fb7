//! A run as Markdown tables.

use std::fmt::Write;

use crate::family::{OURS, PERCENTILES, is_ours};
use crate::go;
use crate::record::{self, Row, Run};
use crate::stats::{median, short};

/// The grids of a run, in its order: one for each family, free and pinned.
pub(crate) fn grids(run: &Run) -> Vec<Grid<'_>> {
    let mut seen = Vec::new();
    for row in &run.rows {
        if !seen.contains(&(&row.family, row.pinned)) {
            seen.push((&row.family, row.pinned));
        }
    }
    seen.into_iter().map(|(family, pinned)| Grid::of(run, family, pinned)).collect()
}

/// The rows of one family in one world: its workloads, its candidates, and who did what.
pub(crate) struct Grid<'a> {
    pub(crate) family: &'a str,
    pub(crate) pinned: bool,
    pub(crate) workloads: Vec<String>,
    pub(crate) candidates: Vec<String>,
    rows: Vec<&'a Row>,
}

impl<'a> Grid<'a> {
    pub(crate) fn of(run: &'a Run, family: &'a str, pinned: bool) -> Self {
        let belongs = |row: &&Row| row.family == family && row.pinned == pinned;
        Self::with(family, pinned, run.rows.iter().filter(belongs).collect())
    }

    fn with(family: &'a str, pinned: bool, rows: Vec<&'a Row>) -> Self {
        Self {
            family,
            pinned,
            workloads: distinct(rows.iter().map(|row| &row.workload)),
            candidates: distinct(rows.iter().map(|row| &row.candidate)),
            rows,
        }
    }

    /// For a heading and for a file: the family, and the world if it is not the free one.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.family, if self.pinned { "-pinned" } else { "" })
    }

    /// The name of the file with its picture.
    pub(crate) fn picture(&self) -> String {
        format!("{}.svg", self.name())
    }

    /// What a picture can compare: without the workloads in which less time is not better.
    pub(crate) fn races(&self) -> Option<Self> {
        let rows = self.rows.iter().copied().filter(|row| self.is_a_race(&row.workload));
        let races = Self::with(self.family, self.pinned, rows.collect());
        (!races.rows.is_empty()).then_some(races)
    }

    pub(crate) fn get(&self, workload: &str, candidate: &str) -> Option<&'a Row> {
        let mut rows = self.rows.iter().copied();
        rows.find(|row| row.workload == workload && row.candidate == candidate)
    }

    /// Whether less time is better: not where who drops more has less to do.
    fn is_a_race(&self, workload: &str) -> bool {
        let mut rows = self.rows.iter().filter(|row| row.workload == workload);
        rows.all(|row| row.delivered.is_none())
    }

    pub(crate) fn best(&self, workload: &str, among: impl Fn(&Row) -> bool) -> Option<&'a Row> {
        let rows = self.rows.iter().copied();
        record::best(rows.filter(|row| row.workload == workload && among(row)))
    }
}

/// The whole report. With `pictures`, each table comes after its family's, which lies beside it as [`Grid::picture`].
pub(crate) fn markdown(run: &Run, pictures: bool) -> String {
    let mut text = format!("# A run of aqueduct-bench\n\n{}.\n", run.machine);
    if run.quick {
        text +=
            "\n**A quick run:** it shows that everything works; its figures are mostly noise.\n";
    }
    if !run.failures.is_empty() {
        text += "\nRuns of peers that hung or failed their checks, thrown away and made again:\n\n";
        for failure in &run.failures {
            writeln!(text, "- {failure}").expect("a string takes it");
        }
    }
    if let Some(table) = summary(run) {
        text += "\n## Ours by the best Rust peer\n\nPer family: in how many workloads ours is not \
                 slower than the best peer (or not told apart from it by this run), the median of \
                 the ratios, and the worst.\n\n";
        text += &table;
    }
    for grid in grids(run) {
        let name = grid.name();
        write!(text, "\n## {name}\n\n").expect("a string takes it");
        if pictures && grid.races().is_some() {
            write!(text, "![{name}]({})\n\n", grid.picture()).expect("a string takes it");
        }
        if grid.pinned {
            text += "All threads on one CPU. ";
        }
        text += "Wall-clock nanoseconds per operation: the median, and half the spread between \
                 the quartiles, in percent of it.";
        if compares(&grid) {
            text += " Bold is the best of the row. The last column is ours by the best Rust peer's, \
                     lower is better; in brackets where this run has not told the two apart.";
        }
        text += "\n\n";
        times(&mut text, &grid);
        text += "\nCPU nanoseconds per operation, all threads; context switches per 1000 \
                 operations.\n\n";
        costs(&mut text, &grid);
        storms(&mut text, &grid);
        deliveries(&mut text, &grid);
    }
    text
}

/// How each family stands, in a line.
fn summary(run: &Run) -> Option<String> {
    let lines: Vec<Vec<String>> = grids(run).iter().filter_map(standing).collect();
    let header = ["family", "workloads", "not slower", "median", "worst", "in"].map(Into::into);
    let mut text = String::new();
    table(&mut text, &header, lines.iter().cloned());
    (!lines.is_empty()).then_some(text)
}

fn standing(grid: &Grid<'_>) -> Option<Vec<String>> {
    let workloads = grid.workloads.iter();
    let all: Vec<(Comparison, &String)> =
        workloads.filter_map(|workload| Some((comparison(grid, workload)?, workload))).collect();
    let (worst, at) = all.iter().max_by(|(a, _), (b, _)| a.ratio.total_cmp(&b.ratio))?;
    let ratios: Vec<f64> = all.iter().map(|(comparison, _)| comparison.ratio).collect();
    let held = all.iter().filter(|(c, _)| c.ratio <= 1.0 || c.within_noise).count();
    Some(vec![
        grid.name(),
        all.len().to_string(),
        held.to_string(),
        format!("{:.2}", median(&ratios)),
        format!("{:.2}", worst.ratio),
        at.to_string(),
    ])
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
                let is_won = is_best && grid.candidates.len() > 1 && grid.is_a_race(workload);
                let bold = if is_won { "**" } else { "" };
                format!("{bold}{middle}{bold} ±{:.0}%", row.noise() * 50.0)
            }));
        }
        if compares(grid) {
            line.push(comparison(grid, workload).map_or_else(nothing, |c| {
                if c.within_noise { format!("[{:.2}]", c.ratio) } else { format!("{:.2}", c.ratio) }
            }));
        }
        line
    });
    table(text, &header, body);
}

/// Whether it is neither ours nor in another language.
pub(crate) fn is_rust_peer(candidate: &str) -> bool {
    !is_ours(candidate) && candidate != go::NAME
}

/// Ours beside the best Rust peer.
struct Comparison {
    ratio: f64,
    /// The middle halves of the repetitions meet.
    within_noise: bool,
}

/// None where there is nobody to compare with, or nothing that the time alone could say.
fn comparison(grid: &Grid<'_>, workload: &str) -> Option<Comparison> {
    if !grid.is_a_race(workload) {
        return None;
    }
    let peer = grid.best(workload, |row| is_rust_peer(&row.candidate))?;
    let ours = grid.get(workload, OURS)?;
    Some(Comparison {
        ratio: ours.ns_per_op / peer.ns_per_op,
        within_noise: ours.is_about(1.0, peer),
    })
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

/// What was seen of each storm: a long wait does not say whether the lock kept the one out, or the scheduler.
fn storms(text: &mut String, grid: &Grid<'_>) {
    let [first, ..] = PERCENTILES;
    // The percentiles of a storm have a row each, and the same counts.
    let is_first = |row: &&&Row| row.workload.ends_with(first);
    let line = |row: &&Row| {
        let storm = row.workload.strip_suffix(first)?.trim_end_matches('/');
        let (got_in, overtaken) = (row.got_in?, row.overtaken?);
        let words = match (got_in, overtaken) {
            (0.0, STARVED..) => "starved: kept out to the end, the wait is the length of the storm",
            (0.0, _) => "the storm was over first, but few overtook: not starved",
            _ => "",
        };
        let counts = [got_in, overtaken].map(|n| format!("{n:.0}"));
        let [got_in, overtaken] = counts;
        Some(vec![storm.into(), row.candidate.clone(), got_in, overtaken, words.into()])
    };
    let mut lines = grid.rows.iter().filter(is_first).filter_map(line).peekable();
    if lines.peek().is_some() {
        *text += "\nThe one among the storm: how often it got in before the storm was over, and how many of \
                  the storm came in during the one wait in which most did; medians of the repetitions.\n\n";
        let header = ["storm", "candidate", "got in", "overtaken", ""].map(Into::into);
        table(text, &header, lines);
    }
}

/// What arrived where candidates may drop: the time of an item sent says little without it.
fn deliveries(text: &mut String, grid: &Grid<'_>) {
    let line = |row: &&Row| {
        let share = row.delivered?;
        let each = short(row.ns_per_op / share);
        Some(vec![
            row.workload.clone(),
            row.candidate.clone(),
            format!("{:.1}", share * 100.0),
            each,
        ])
    };
    let mut lines = grid.rows.iter().filter_map(line).peekable();
    if lines.peek().is_some() {
        *text += "\nWho lags may drop items here, and who delivers least has least to do: no best, and no ratio. How many \
                  in a hundred arrived (median of the repetitions), and nanoseconds by one that did.\n\n";
        let header = ["workload", "candidate", "arrived", "ns per arrival"].map(Into::into);
        table(text, &header, lines);
    }
}

/// So many came in during one wait: well beyond what our bounds, and the tries before one stands in line, let pass.
const STARVED: f64 = 100.0;

fn nothing() -> String {
    "–".into()
}

pub(crate) fn table(text: &mut String, header: &[String], body: impl Iterator<Item = Vec<String>>) {
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
    fn the_ratio_is_ours_by_the_best_rust_peers() {
        let run = run();
        let grid = Grid::of(&run, "queue", false);
        let compared = comparison(&grid, "u64/cap64/pair").expect("both are there");
        assert_eq!((compared.ratio, compared.within_noise), (1.2, false));
        assert!(comparison(&grid, "u64/cap64/4p4c").is_none(), "ours was not there");
    }

    #[test]
    fn neither_go_nor_our_other_policies_are_peers() {
        let mut run = run();
        for (row, name) in run.rows.iter_mut().zip(["aqueduct", "go", "aqueduct-fair"]) {
            row.candidate = name.into();
        }
        let grid = Grid::of(&run, "queue", false);
        assert!(comparison(&grid, "u64/cap64/pair").is_none());
    }

    #[test]
    fn the_tables_show_every_cell_and_mark_the_best() {
        let text = markdown(&run(), false);
        let wanted = "| u64/cap64/pair | item | 12.0 ±5% | 48.0 ±5% | **10.0** ±5% | 1.20 |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("| u64/cap64/4p4c | item | – | 30,000 ±5% |"));
        assert!(text.contains("| queue | 1 | 0 | 1.20 | 1.20 | u64/cap64/pair |"), "{text}");
        assert!(text.contains("\n- queue u64/cap64/4p4c, slow: an item was lost\n"), "{text}");
        assert!(text.contains("commit "), "the machine line is part of it");
    }

    #[test]
    fn who_is_kept_out_of_a_storm_is_told_from_who_had_no_cpu() {
        let mut run = run();
        for (row, (got_in, overtaken)) in
            run.rows.iter_mut().zip([(0.0, 5000.0), (0.0, 2.0), (12.0, 5000.0)])
        {
            (row.workload, row.candidate) = ("storm/reader/p50".into(), format!("c{overtaken}"));
            (row.got_in, row.overtaken) = (Some(got_in), Some(overtaken));
        }
        let text = markdown(&run, false);
        assert!(text.contains("| storm/reader | c5000 | 0 | 5000 | starved: "), "{text}");
        assert!(text.contains("| storm/reader | c2 | 0 | 2 | the storm was over first"), "{text}");
        assert_eq!(text.matches("starved: ").count(), 1, "{text}");
    }

    #[test]
    fn who_drops_items_is_neither_the_best_nor_a_peer() {
        let mut run = run();
        run.rows[..3].iter_mut().for_each(|row| row.delivered = Some(0.05));
        assert!(comparison(&Grid::of(&run, "queue", false), "u64/cap64/pair").is_none());
        let text = markdown(&run, false);
        let wanted = "| u64/cap64/pair | item | 12.0 ±5% | 48.0 ±5% | 10.0 ±5% | – |";
        assert!(text.contains(wanted), "{text}");
        assert!(text.contains("| u64/cap64/pair | fast | 5.0 | 200 |"), "{text}");
    }

    #[test]
    fn a_report_beside_its_pictures_shows_them() {
        let mut run = run();
        let picture = "## queue\n\n![queue](queue.svg)\n";
        assert!(markdown(&run, true).contains(picture));
        assert!(!markdown(&run, false).contains("queue.svg"));
        // Where all drop items there is nothing to draw.
        run.rows.iter_mut().for_each(|row| row.delivered = Some(0.5));
        assert!(!markdown(&run, true).contains("queue.svg"));
    }

    #[test]
    fn the_two_worlds_have_tables_of_their_own() {
        let mut run = run();
        let pinned = run.rows.clone().into_iter().map(|row| Row { pinned: true, ..row });
        run.rows.extend(pinned);
        let names: Vec<_> = grids(&run).iter().map(Grid::name).collect();
        assert_eq!(names, ["queue", "queue-pinned"]);
    }
}
