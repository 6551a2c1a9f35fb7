//! Aqueduct's numbers beside every peer's: one process run, candidates interleaved, every run
//! checking its own work. `README.md` is the experiment report; this file is the command line.
//!
//! From the outside in: [`family`] lists what can be measured, [`queue`], [`channel`], [`rwlock`] and
//! so on each bring their cells, [`measure`] runs a cell's candidates in turn, [`team`] (or [`tasks`],
//! or [`go`]) runs one candidate once, [`watch`] sees that it ends, [`check`] decides whether it did its work, [`record`] keeps the
//! rows, [`report`] and [`plot`] show them, [`aims`] holds them against what we want to reach. [`instructions`] counts instead of measuring.

mod aims;
mod channel;
mod channel_async;
mod check;
mod context;
mod family;
mod floor;
mod go;
mod instructions;
mod machine;
mod measure;
mod pipeline;
mod plot;
mod pool;
mod queue;
mod record;
mod report;
mod rwlock;
mod select;
mod semaphore;
mod spsc;
mod stats;
mod sys;
mod tasks;
mod team;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{self, ExitCode, Stdio};

use clap::{Parser, Subcommand, ValueEnum};

use family::{Cell, Family, Filter};
use machine::Machine;
use measure::Plan;
use record::Run;
use report::Grid;

#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to measure; nothing named means everything
    #[arg(value_name = "FAMILY")]
    families: Vec<Family>,
    /// 3 repetitions of about 5 ms instead of 7 of about 30 ms: shows that it works, not how fast
    #[arg(long)]
    quick: bool,
    /// Also write the rows to FILE, as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these candidates, or the workloads whose name contains one of these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Keep all threads on one CPU, as on a machine that is loaded
    #[arg(long)]
    pin: bool,
    /// Both worlds: free, and then pinned in a process of its own
    #[arg(long, conflicts_with_all = ["pin", "list"])]
    both: bool,
    /// Print family, workload and candidate of everything that would be measured, and stop
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Tables (Markdown, also on standard output) and SVG plots from the last run
    Report {
        /// Where report.md, run.json and one SVG per family go
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// What we want to reach, and in which of these runs it was (Markdown on standard output)
    Aims {
        /// What `--json` has written, a file for each run
        #[arg(value_name = "RUN.json", required = true)]
        runs: Vec<PathBuf>,
    },
    /// Instructions per operation of our uncontended paths, held against the recorded ones
    Instructions(instructions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Report { out }) => write_report(&out.unwrap_or_else(results)),
        Some(Command::Aims { runs }) => aims::print(&runs),
        Some(Command::Instructions(args)) => instructions::run(&args),
        None => run(&cli),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("aqueduct-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<(), String> {
    if cli.pin {
        // Before anything asks how many CPUs there are, and remembers it.
        sys::pin(sys::allowed_cpus()[0]);
    }
    let families = if cli.families.is_empty() { Family::all() } else { cli.families.clone() };
    let mut cells: Vec<Cell> = families.into_iter().flat_map(Family::cells).collect();
    Filter::new(&cli.only, &cells)?.apply(&mut cells);
    if cells.is_empty() {
        return Err("nothing to measure: --only leaves no candidate of these families".into());
    }
    if cli.list {
        for cell in &cells {
            for candidate in &cell.candidates {
                for workload in cell.workloads() {
                    println!("{}\t{workload}\t{}", cell.family, candidate.name);
                }
            }
        }
        return Ok(());
    }

    let plan = if cli.quick { Plan::QUICK } else { Plan::FULL };
    let peers: Vec<&str> = cells.iter().flat_map(|c| &c.candidates).map(|c| c.name).collect();
    let machine = Machine::here(&peers);
    eprintln!("{machine}");
    if go::VERSION.is_none() {
        eprintln!("go is not installed: it takes no part");
    }
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (at, cell) in cells.iter_mut().enumerate() {
        eprint!("{:>4}: {} {} ", at + 1, cell.family, cell.workload);
        let measured = measure::measure(cell, plan);
        for row in &measured.rows {
            let figure = row.workload.strip_prefix(&cell.workload).unwrap_or_default();
            eprint!("  {}{figure} {}", row.candidate, stats::short(row.ns_per_op));
        }
        eprintln!();
        rows.extend(measured.rows);
        failures.extend(measured.failures);
    }
    rows.iter_mut().for_each(|row| row.pinned = cli.pin);
    if cli.both {
        let pinned = pinned(cli)?;
        rows.extend(pinned.rows);
        failures.extend(pinned.failures);
    }
    let run = Run { machine, quick: cli.quick, failures, rows };
    run.save(&last())?;
    if let Some(file) = &cli.json {
        record::save_rows(file, &run.rows)?;
    }
    print!("{}", report::markdown(&run, false));
    Ok(())
}

/// The same once more, on one CPU, by a process of its own: this one's libraries have already looked
/// at how many CPUs there are.
fn pinned(cli: &Cli) -> Result<Run, String> {
    let mut again = process::Command::new(std::env::current_exe().map_err(|e| e.to_string())?);
    again.args(
        cli.families.iter().filter_map(|f| Some(f.to_possible_value()?.get_name().to_owned())),
    );
    again.args(cli.quick.then_some("--quick")).arg("--pin");
    if !cli.only.is_empty() {
        again.arg("--only").arg(cli.only.join(","));
    }
    let done = again.stdout(Stdio::null()).status().map_err(|e| e.to_string())?;
    if !done.success() {
        return Err(format!("the pinned run has failed: {done}"));
    }
    Run::load(&last())
}

fn write_report(out: &Path) -> Result<(), String> {
    let run = Run::load(&last())
        .map_err(|error| format!("no last run to report on ({error}); measure something first"))?;
    print!("{}", report::markdown(&run, false));
    run.save(&out.join("run.json"))?;
    record::write(&out.join("report.md"), &report::markdown(&run, true))?;
    for grid in report::grids(&run).iter().filter_map(Grid::races) {
        plot::family(&run, &grid, &out.join(grid.picture()))?;
    }
    eprintln!("written to {}", out.display());
    Ok(())
}

/// The last run.
fn last() -> PathBuf {
    results().join("last.json")
}

/// Where the last run is kept: a script that only tries things out says where else, so that it replaces nobody's.
fn results() -> PathBuf {
    std::env::var_os("AQUEDUCT_BENCH_RESULTS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("results"), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_the_one_that_scripts_rely_on() {
        let parse = |words: &str| Cli::try_parse_from(words.split(' '));
        let cli = parse("bench queue channel --quick --json f --only a,b --list").unwrap();
        assert_eq!(cli.families, [Family::Queue, Family::Channel]);
        assert_eq!(cli.only, ["a", "b"]);
        assert!(cli.quick && cli.list && cli.json.is_some());
        assert!(parse("bench").unwrap().families.is_empty());
        let Some(Command::Report { out }) = parse("bench report --out d").unwrap().command else {
            panic!("report is a command");
        };
        assert_eq!(out.unwrap(), Path::new("d"));
        assert!(parse("bench --pin").unwrap().pin && parse("bench --both").unwrap().both);
        assert!(parse("bench --both --pin").is_err());
        assert!(parse("bench report").is_ok());
        assert!(parse("bench aims a.json b.json").is_ok() && parse("bench aims").is_err());
        assert!(parse("bench no-such-family").is_err());
    }
}
