//! What can be seen of a run from outside: its books, for whoever asks, and a picture of it when it is over.

use crate::args::Args;
use crate::hash::reason;
use crate::name::shown;
use crate::progress::tell;
#[cfg(feature = "prometheus")]
use aqueduct::pipeline::prometheus;
use aqueduct::pipeline::{Controller, PipelineMetrics};
use std::error::Error;
use std::fmt::Write as _;
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

/// The room that a curve has, in pixels; that of a bar is as wide.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 140.0;
const BAR: f64 = 22.0;

impl Picture<'_> {
    /// Draws it, if somebody wants it. The run is over.
    pub(crate) fn draw(self) -> Result<(), Box<dyn Error>> {
        drop(self.over);
        let Some((path, file)) = self.report else { return Ok(()) };
        // There is none of a run that never began, which has an error of its own.
        let Ok(record) = self.record.recv() else { return Ok(()) };
        let mut file = file;
        file.write_all(draw(&record).as_bytes())
            .map_err(|error| format!("{}: {}", shown(path), reason(&error)).into())
    }
}

/// A colour, and what it shows.
type Curve = (&'static str, fn(&Sample) -> f64);

fn draw(record: &Record) -> String {
    let end = record.samples.last().map_or(1.0, |sample| sample.at).max(0.001);
    let charts: [(&str, &[Curve]); 2] = [
        ("workers, and busy ones", &[("#888", |s| s.workers as f64), ("#06c", |s| s.busy as f64)]),
        ("files in the queue", &[("#c60", |s| s.queued as f64)]),
    ];
    let bars = charts.len() as f64 * (HEIGHT + 50.0) + 20.0;
    let height = bars + record.last.stages.len() as f64 * (BAR + 12.0) + 50.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-80 -30 {} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\"><rect x=\"-80\" y=\"-30\" width=\"100%\" height=\"100%\" fill=\"white\"/>",
        WIDTH + 110.0,
    );
    for (row, (title, curves)) in charts.into_iter().enumerate() {
        chart(&mut svg, row as f64 * (HEIGHT + 50.0), title, curves, &record.samples, end);
    }
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{}\">the time of the workers: <tspan fill=\"#06c\">busy</tspan>, starved, \
         <tspan fill=\"#c00\">blocked</tspan></text><text x=\"{WIDTH}\" y=\"{0}\" text-anchor=\"end\">{end:.1} s</text>",
        bars - 8.0,
    );
    for (row, stage) in record.last.stages.iter().enumerate() {
        let top = bars + row as f64 * (BAR + 12.0);
        let (y, so_far) = (top + BAR * 0.7, &stage.so_far);
        let _ =
            write!(svg, "<text x=\"-8\" y=\"{y}\" text-anchor=\"end\">{}</text>", so_far.name());
        let times = [so_far.busy(), so_far.starved(), so_far.blocked()].map(|t| t.as_secs_f64());
        let all = times.iter().sum::<f64>().max(1e-9);
        let mut left = 0.0;
        for (seconds, colour) in times.into_iter().zip(["#06c", "#ddd", "#c00"]) {
            let width = seconds / all * WIDTH;
            let _ = write!(
                svg,
                "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{colour}\">\
                 <title>{seconds:.3} s</title></rect>"
            );
            left += width;
        }
    }
    svg + "</svg>\n"
}

fn chart(svg: &mut String, top: f64, title: &str, curves: &[Curve], samples: &[Sample], end: f64) {
    let values = |of: fn(&Sample) -> f64| samples.iter().map(of).fold(1.0, f64::max);
    let highest = curves.iter().map(|(_, of)| values(*of)).fold(1.0, f64::max);
    let bottom = top + HEIGHT;
    let _ = write!(
        svg,
        "<text x=\"0\" y=\"{}\">{title}</text><path d=\"M0 {top}V{bottom}H{WIDTH}\" fill=\"none\" \
         stroke=\"black\"/><text x=\"-8\" y=\"{}\" text-anchor=\"end\">{highest:.0}</text>",
        top - 8.0,
        top + 10.0,
    );
    for (colour, of) in curves {
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\""
        );
        for sample in samples {
            let (x, y) = (sample.at / end * WIDTH, bottom - of(sample) / highest * HEIGHT);
            let _ = write!(svg, "{x:.1},{y:.1} ");
        }
        svg.push_str("\"/>");
    }
}
