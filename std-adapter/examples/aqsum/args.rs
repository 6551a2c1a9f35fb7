//! The command line.

use aqueduct::pipeline::Policy;
use clap::{Parser, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::thread;

/// SHA-256 sums of trees, on all cores, in the output format and order of coreutils.
///
/// Prints for each PATH in turn what `find PATH -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum` prints.
/// Symbolic links are not followed.
#[derive(Debug, Parser)]
#[command(name = "aqsum", version)]
pub(crate) struct Args {
    /// How many files are read at a time
    #[arg(long, short, value_name = "N|auto", default_value = "auto")]
    pub(crate) jobs: Jobs,

    /// Read sums from FILE (`-` is standard input) and check them, as `sha256sum --check` does
    #[arg(long, short, value_name = "FILE", conflicts_with = "paths")]
    pub(crate) check: Option<PathBuf>,

    /// What to do about a file that cannot be read, or does not match
    #[arg(
        long,
        value_name = "collect|stop",
        default_value = "collect",
        hide_possible_values = true
    )]
    pub(crate) on_error: OnError,

    /// Print on standard error how many items and how much time each stage took
    #[arg(long)]
    pub(crate) stats: bool,

    /// Draw the run when it is over: files in the queue and workers over time, and what each stage waited for
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) report: Option<PathBuf>,

    /// Answer there, while it runs, with its books for Prometheus
    #[cfg(feature = "prometheus")]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) metrics: Option<String>,

    /// Files, or directories with all that is below them
    #[arg(value_name = "PATH", required_unless_present = "check")]
    pub(crate) paths: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// Name it, and go on with the others
    Collect,
    /// End there
    Stop,
}

impl From<OnError> for Policy {
    fn from(on_error: OnError) -> Self {
        match on_error {
            OnError::Collect => Self::Skip,
            OnError::Stop => Self::Stop,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Jobs(NonZeroUsize);

impl Jobs {
    pub(crate) fn get(self) -> usize {
        self.0.get()
    }
}

impl FromStr for Jobs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)));
        }
        match text.parse() {
            Ok(jobs) if jobs <= Self::MOST => Ok(Self(jobs)),
            _ => Err("not a number from 1 to 1024, and not `auto`"),
        }
    }
}

impl Jobs {
    /// More threads than this are a slip of the finger.
    const MOST: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
}
