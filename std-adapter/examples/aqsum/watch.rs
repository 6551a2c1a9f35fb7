//! What can be seen of a run from outside: its books, for whoever asks, and a picture of it when it is over.

use crate::args::Args;
use crate::chart::{Bar, Chart, Panel};
use crate::hash::reason;
use crate::name::shown;
use crate::progress::tell;
#[cfg(feature = "prometheus")]
use aqueduct::pipeline::prometheus;
use aqueduct::pipeline::{Controller, PipelineMetrics, StageMetrics};
use std::error::Error;
use std::fs::File;
#[cfg(feature = "prometheus")]
use std::io::Read;
use std::io::{self, Write};
#[cfg(feature = "prometheus")]
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// What the command line asks for, opened: what cannot be opened is told before anything is read.
pub(crate) struct Watch {
    report: Option<(PathBuf, File)>,
    #[cfg(feature = "prometheus")]
    listener: Option<TcpListener>,
}

impl Watch {
    pub(crate) fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let report = match &args.report {
            None => None,
            Some(path) => match File::create(path) {
                Ok(file) => Some((path.clone(), file)),
                Err(error) => return Err(format!("{}: {}", shown(path), reason(&error)).into()),
            },
        };
        #[cfg(feature = "prometheus")]
        let listener = match &args.metrics {
            None => None,
            Some(address) => {
                let listener = TcpListener::bind(address)
                    .map_err(|error| format!("{address}: {}", reason(&error)))?;
                tell(format_args!("metrics at http://{}/metrics", listener.local_addr()?));
                Some(listener)
            }
        };
        Ok(Self {
            report,
            #[cfg(feature = "prometheus")]
            listener,
        })
    }

    /// What is to be done with a run that begins; and its picture, which can be drawn when it is over.
    pub(crate) fn begin(
        &self,
    ) -> io::Result<(impl FnOnce(Controller) + Send + 'static, Picture<'_>)> {
        #[cfg(feature = "prometheus")]
        let listener = self.listener.as_ref().map(TcpListener::try_clone).transpose()?;
        let (over, until) = mpsc::channel();
        let (sender, record) = mpsc::channel();
        let wanted = self.report.is_some();
        let begin = move |run: Controller| {
            #[cfg(feature = "prometheus")]
            if let Some(listener) = listener {
                let run = run.clone();
                in_background(move || serve(&listener, &run));
            }
            if wanted {
                // If nobody takes it, nobody wants it any more.
                in_background(move || drop(sender.send(Record::of(&run, &until))));
            }
        };
        Ok((begin, Picture { report: self.report.as_ref(), over, record }))
    }
}

/// Whoever is refused a thread hears of it; the run goes on.
fn in_background(work: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().spawn(work) {
        tell(reason(&error));
    }
}

/// Answers one after the other, until the program ends.
#[cfg(feature = "prometheus")]
fn serve(listener: &TcpListener, run: &Controller) {
    for asked in listener.incoming() {
        match asked {
            // Whoever asks may go before the answer.
            Ok(asked) => drop(answer(asked, run)),
            // There is no file descriptor for it, and whoever asks is still there: the workers close some.
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(feature = "prometheus")]
fn answer(mut asked: TcpStream, run: &Controller) -> io::Result<()> {
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));
    asked.set_read_timeout(PATIENCE)?;
    asked.set_write_timeout(PATIENCE)?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 8192 {
        let mut part = [0; 512];
        match asked.read(&mut part)? {
            0 => break,
            read => request.extend_from_slice(&part[..read]),
        }
    }
    let (status, page) =
        match request.strip_prefix(b"GET ").and_then(|r| r.split(|&b| b == b' ').next()) {
            Some(b"/metrics" | b"/") => ("200 OK", prometheus::page([("aqsum", &run.metrics())])),
            _ => ("404 Not Found", "there is only /metrics\n".into()),
        };
    write!(
        asked,
        "HTTP/1.1 {status}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        prometheus::CONTENT_TYPE,
        page.len()
    )
}

/// How the last stage was at a moment.
#[derive(Clone, Copy)]
struct Sample {
    at: f64,
    workers: usize,
    busy: usize,
    queued: usize,
}

/// A run from its begin to its end.
struct Record {
    samples: Vec<Sample>,
    last: PipelineMetrics,
}

impl Record {
    /// Looks again and again, seldom enough that a run of a week needs no more memory than one of a minute.
    fn of(run: &Controller, over: &Receiver<()>) -> Self {
        const MOST: usize = 2048;
        let mut period = Duration::from_millis(20);
        let mut samples = Vec::new();
        loop {
            samples.push(Sample::of(&run.metrics()));
            if samples.len() == MOST {
                samples = samples.into_iter().step_by(2).collect();
                period *= 2;
            }
            // The time between two looks, not a wait for anything.
            if over.recv_timeout(period) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
        let last = run.metrics();
        samples.push(Sample::of(&last));
        Self { samples, last }
    }
}

impl Sample {
    fn of(metrics: &PipelineMetrics) -> Self {
        let at = metrics.elapsed.as_secs_f64();
        let Some(stage) = metrics.stages.last() else {
            return Self { at, workers: 0, busy: 0, queued: 0 };
        };
        let busy = stage.workers.saturating_sub(stage.starved + stage.blocked);
        Self { at, workers: stage.workers, busy, queued: stage.queued }
    }
}

/// The picture of a run that has begun.
pub(crate) struct Picture<'a> {
    report: Option<&'a (PathBuf, File)>,
    over: Sender<()>,
    record: Receiver<Record>,
}

impl Picture<'_> {
    /// Draws it, if somebody wants it. The run is over.
    pub(crate) fn draw(self) -> Result<(), Box<dyn Error>> {
        drop(self.over);
        let Some((path, file)) = self.report else { return Ok(()) };
        // There is none of a run that never began, which has an error of its own.
        let Ok(record) = self.record.recv() else { return Ok(()) };
        let mut file = file;
        file.write_all(svg(&record)?.as_bytes())
            .map_err(|error| format!("{}: {}", shown(path), reason(&error)).into())
    }
}

fn svg(record: &Record) -> Result<String, Box<dyn Error>> {
    let panels: [Panel<'_, Sample>; 2] = [
        ("workers", &[("busy", |s| s.busy as f64), ("all", |s| s.workers as f64)]),
        ("files in the queue", &[("files", |s| s.queued as f64)]),
    ];
    let bar = |stage: &StageMetrics| {
        let times = [
            ("busy", stage.so_far.busy()),
            ("starved", stage.so_far.starved()),
            ("blocked", stage.so_far.blocked()),
        ];
        (stage.so_far.name().to_owned(), times.map(|(what, time)| (what, time.as_secs_f64())))
    };
    let bars: Vec<Bar> = record.last.stages.iter().map(bar).collect();
    let shares = Some(("the time of the workers", &bars[..]));
    Chart { samples: &record.samples, at: |s| s.at, panels: &panels, shares }.svg()
}
