//! `aqsum`: SHA-256 sums of trees, on all cores, in the output format and order of coreutils.
//!
//! ```text
//! aqsum [--jobs N|auto] [--on-error collect|stop] [--stats] [--report FILE.svg] [--metrics HOST:PORT] PATH...   > SUMS
//! aqsum [--jobs N|auto] [--on-error collect|stop] [--stats] [--report FILE.svg] [--metrics HOST:PORT] --check SUMS
//! ```
//!
//! The first form prints, for each PATH in turn, what
//! `find PATH -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum` prints, byte by byte. The second prints what
//! `sha256sum --check SUMS` prints. Both are one pipeline: a source (a walk, a list), a stage that reads and hashes, and
//! an output in the order of the source. Memory does not depend on the size of the files, nor on their number but for the
//! names in the directories on the way down: each worker has one buffer, and at most [`session::WINDOW`] results wait for an earlier one.
//!
//! What cannot be read is named on standard error, and the rest is still hashed; with `--on-error stop` the first
//! failure ends the run, after all lines in front of it. A list that itself cannot be read to its end has failed, whatever was in it so far.
//!
//! | exit status | |
//! |---|---|
//! | 0 | every file was read, and with `--check` matched |
//! | 1 | some were not; or the output, the report or a part of the list could not be written or read, or nobody may listen at HOST:PORT |
//! | 2 | the command line was wrong |
//! | 130 | interrupted by Ctrl-C: once, and what was found so far is finished (up to a hundred names wait for a worker); twice, and it is dropped |
//! | 141 | the reader of the output went away, as when SIGPIPE kills a program |
//!
//! In each case what was printed is complete lines.

mod args;
#[path = "../chart/mod.rs"]
mod chart;
mod check;
mod hash;
mod name;
mod progress;
mod session;
mod sums;
mod walk;
mod watch;

use args::Args;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = Args::parse();
    let ending = match &args.check {
        Some(list) => check::run(&args, list),
        None => sums::run(&args),
    };
    ending
        .unwrap_or_else(|error| {
            progress::tell(error);
            session::Ending::Failed
        })
        .into()
}
