//! What summing and checking have in common: one run of a pipeline, its output, its signals and its end.

use crate::args::Args;
use crate::hash::{Hasher, Unreadable, reason};
use crate::progress::{Progress, tell};
use crate::watch::Watch;
use aqueduct::Context;
use aqueduct::pipeline::{Cause, Flow, Pipeline, PipelineError, Report, StageError};
use std::error::Error;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

/// How many results may wait for one in front of them: while a large file is read, the small ones behind it go on.
pub(crate) const WINDOW: usize = 1024;

/// How many names may wait for a worker.
pub(crate) const AHEAD: usize = 128;

/// How many bytes of output are written at a time, at the most.
const OUT: usize = 256 * 1024;

/// How old a line may be when the next one comes, unwritten.
const STALE: Duration = Duration::from_millis(200);

pub(crate) type Out = BufWriter<StdoutLock<'static>>;

/// How a run ended.
pub(crate) enum Ending {
    Success,
    Failed,
    Interrupted,
    BrokenPipe,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Success => 0,
            Ending::Failed => 1,
            Ending::Interrupted => 130,
            Ending::BrokenPipe => 141,
        })
    }
}

/// One run.
pub(crate) struct Session {
    pub(crate) progress: Progress,
    /// Cancelled when no more names are to be looked for.
    finish: Context,
    /// Cancelled when everything is to be dropped.
    context: Context,
    stats: bool,
    watch: Watch,
    pub(crate) jobs: usize,
}

/// What is to be done after a result has been written.
pub(crate) enum Next {
    GoOn,
    /// Without the results that are under way.
    End,
}

impl Session {
    pub(crate) fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let watch = Watch::new(args)?;
        let (progress, finish, context) =
            (Progress::new(), Context::background(), Context::background());
        Ok(Self { progress, finish, context, stats: args.stats, watch, jobs: args.jobs.get() })
    }

    pub(crate) fn window(&self) -> usize {
        WINDOW.max(self.jobs)
    }

    /// The state of a worker.
    pub(crate) fn hasher(&self) -> Hasher {
        Hasher::new(&self.context)
    }

    /// Whether everything is to be dropped, so that nobody wants to read about it.
    pub(crate) fn is_aborted(&self) -> bool {
        self.context.is_done()
    }

    /// Runs a pipeline and writes its results to standard output. How it ended; and the report, if nothing cut it short
    /// but a first Ctrl-C.
    pub(crate) fn run<N: Flow>(
        &self,
        pipeline: Pipeline<N>,
        mut write: impl FnMut(&mut Out, N::Item) -> io::Result<Next>,
    ) -> Result<(Ending, Option<Report>), Box<dyn Error>> {
        self.end_on_signal()?;
        let mut out = BufWriter::with_capacity(OUT, io::stdout().lock());
        let somebody_watches = io::stdout().is_terminal();
        let pipeline = pipeline.context(&self.context).drain_on(&self.finish).output_buffer(AHEAD);
        let (watch, picture) = self.watch.begin()?;
        let pipeline = pipeline.on_start(watch);
        let (mut unwritten, mut flushed) = (None, Instant::now());
        let result = pipeline.try_run(|item| {
            let next = write(&mut out, item).and_then(|next| {
                // In blocks where files are quick; where they are slow, no line waits for more than the next one.
                if somebody_watches || flushed.elapsed() >= STALE {
                    out.flush()?;
                    flushed = Instant::now();
                }
                Ok(next)
            });
            match next {
                Ok(Next::GoOn) => Ok(()),
                Ok(Next::End) => Err("no more is wanted"),
                Err(error) => {
                    unwritten = Some(error);
                    Err("it cannot be written")
                }
            }
        });
        let unwritten = unwritten.or_else(|| out.flush().err());
        self.progress.end();
        if self.stats
            && let Some(report) = result.as_ref().map_or_else(PipelineError::report, Some)
        {
            print_stats(report);
        }
        let drawn = picture.draw();
        if let Some(error) = unwritten {
            // The rest would fail in the same way, and again when the buffer is dropped.
            let _ = out.into_parts();
            return match error.kind() {
                io::ErrorKind::BrokenPipe => Ok((Ending::BrokenPipe, None)),
                _ => Err(format!("write error: {}", reason(&error)).into()),
            };
        }
        // What became of the files is told all the same.
        let is_drawn = drawn.map_err(|error| self.progress.complain(error)).is_ok();
        match result {
            Ok(report) if report.is_complete() => {
                Ok((if is_drawn { Ending::Success } else { Ending::Failed }, Some(report)))
            }
            // A drain: nobody but the signal asks for one.
            Ok(report) => Ok((Ending::Interrupted, Some(report))),
            Err(PipelineError::Cancelled { .. }) => Ok((Ending::Interrupted, None)),
            Err(PipelineError::Output { .. }) => Ok((Ending::Failed, None)),
            Err(PipelineError::Stopped { error, .. }) => {
                self.progress.complain(error.cause());
                Ok((Ending::Failed, None))
            }
            Err(error) => Err(chain(&error).into()),
        }
    }

    /// Ctrl-C once: no more names are looked for. Twice: nothing is finished. Three times, should a file system hang: away.
    fn end_on_signal(&self) -> Result<(), ctrlc::Error> {
        let (finish, context) = (self.finish.clone(), self.context.clone());
        let progress = self.progress.clone();
        // By a thread of its own: whoever prints may wait for a reader, and the next Ctrl-C must not.
        let complain = move |message: &'static str| {
            let progress = progress.clone();
            // Where there is no thread for it, nothing is said.
            let _ = thread::Builder::new().spawn(move || progress.complain(message));
        };
        let mut times = 0;
        ctrlc::set_handler(move || {
            times += 1;
            match times {
                1 => {
                    finish.cancel();
                    complain("finishing what is in flight; once more to drop it");
                }
                2 => {
                    context.cancel();
                    complain("dropping what is in flight");
                }
                _ => process::exit(130),
            }
        })
    }
}

/// What is to be said about an error of a stage: the name of the file is in the cause already.
pub(crate) fn complaint(error: &StageError) -> String {
    match error.cause() {
        cause if cause.downcast_ref::<Unreadable>().is_some() => cause.to_string(),
        Cause::Panicked(_) | Cause::Failed(_) | _ => error.to_string(),
    }
}

fn print_stats(report: &Report) {
    for stage in report.stages() {
        tell(stage);
    }
    let (delivered, undelivered) = (report.delivered(), report.undelivered());
    tell(format_args!(
        "output: {delivered} written, {undelivered} dropped; {:.3?} in all",
        report.elapsed()
    ));
}

/// An error with all that is behind it, on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
