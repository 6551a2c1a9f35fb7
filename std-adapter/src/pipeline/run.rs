//! From a description to threads and back: a run on the calling thread, or in the background.

use super::control::Control;
use super::edge::{Deliver, Exit, can_hold, edge};
use super::error::{BoxError, BuildError, PipelineError, StageError};
use super::flow::{Below, Flow, Launch, Row};
use super::report::Report;
use super::{Pipeline, Settings, source};
use crate::Context;
use crate::channel::Receiver;
use crate::thread::{self, JoinHandle, Panicked, SpawnError};
use aqueduct_core::queue::MAX_CAPACITY;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What came of a run's threads: a row for the source and for each stage.
type Rows = Result<Vec<Row>, SpawnError>;

impl<N: Flow> Pipeline<N> {
    /// Runs to the end, and calls `take` on this thread with each item that comes out.
    ///
    /// All threads have ended when this returns. The stages and `take` may borrow from around the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let words = ["to", "be", "or", "not"];
    /// let mut lengths = Vec::new();
    /// let report = Pipeline::from_iter(&words)
    ///     .map("measure", |word| word.len())
    ///     .concurrency(2)
    ///     .ordered(16)
    ///     .run(|length| lengths.push(length))?;
    /// assert_eq!(lengths, [2, 2, 2, 3]);
    /// assert_eq!(report.delivered(), 4);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When `take` panics, with its payload; the run is aborted, and its threads are joined first.
    ///
    /// # Errors
    ///
    /// [`PipelineError`], when the pipeline cannot run as it was built, or did not deliver everything.
    pub fn run<F>(self, mut take: F) -> Result<Report, PipelineError>
    where
        F: FnMut(N::Item),
    {
        self.try_run(|item| {
            take(item);
            Ok::<_, BoxError>(())
        })
    }

    /// As [`run`](Self::run), with a `take` that can fail. Its first error aborts the run.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::{Pipeline, PipelineError};
    /// use std::io::Write;
    ///
    /// let mut out = [0_u8; 6];
    /// let mut room = &mut out[..];
    /// let result = Pipeline::from_iter(1..).try_run(|n| writeln!(room, "{n}"));
    /// assert!(matches!(result, Err(PipelineError::Output { .. })));
    /// assert_eq!(&out, b"1\n2\n3\n");
    /// ```
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and [`PipelineError::Output`] with the error of `take`.
    pub fn try_run<F, E>(self, mut take: F) -> Result<Report, PipelineError>
    where
        F: FnMut(N::Item) -> Result<(), E>,
        E: Into<BoxError>,
    {
        let since = Instant::now();
        let Self { flow, settings } = self;
        let (control, errors) = settings.check(&flow)?;
        let mut report = Report::default();
        let rows = thread::scope(|scope| -> Rows {
            let mut launch = Launch::new(scope, &control);
            let (entrance, mut exit) = edge(settings.output_buffer, &control);
            let pump = flow.launch(&mut launch, Deliver(entrance), Below::default())?;
            launch.crew(&source::NAME.into(), std::iter::once(pump))?;
            let consumed = thread::catch(|| {
                while let Some(item) = exit.take() {
                    if control.work().is_done() {
                        report.undelivered += 1;
                        continue;
                    }
                    report.delivered += 1;
                    if let Err(error) = take(item) {
                        control.refuse(error.into());
                    }
                }
            });
            if let Err(panicked) = consumed {
                // The threads end before the panic goes on.
                control.abort();
                drop(exit);
                launch.join();
                panicked.resume();
            }
            Ok(launch.join())
        });
        conclude(rows, report, &control, &errors, since)
    }

    /// Runs in the background.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let running = Pipeline::from_iter(1_u64..)
    ///     .map("square", |n| n * n)
    ///     .ordered(8)
    ///     .spawn()?;
    /// let first: Vec<u64> = running.output().iter().take(3).collect();
    /// assert_eq!(first, [1, 4, 9]);
    /// // There are endlessly many more: this ends the run, and waits for its threads.
    /// drop(running);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PipelineError::Build`] when the pipeline cannot run as it was built, and [`PipelineError::Spawn`] when the
    /// system has no thread for it. A thread refused later, to a stage, is reported by [`Running::wait`].
    pub fn spawn(self) -> Result<Running<N::Item>, PipelineError>
    where
        N: 'static,
    {
        let since = Instant::now();
        let Self { flow, settings } = self;
        let (control, errors) = settings.check(&flow)?;
        let (entrance, exit) = edge(settings.output_buffer, &control);
        let output = Exit::into_receiver(exit);
        let closer = output.clone();
        // Whoever waits for output is woken by an abort at once, not only when the last worker has seen it.
        let _ = control.work().after_func(move || {
            closer.close();
        });
        let run = Arc::clone(&control);
        let host = thread::Builder::new().name(source::NAME).spawn(move || {
            let rows = thread::scope(|scope| -> Rows {
                let mut launch = Launch::new(scope, &run);
                let pump = flow.launch(&mut launch, Deliver(entrance), Below::default())?;
                let counts = pump();
                let mut rows = launch.join();
                let name = source::NAME.into();
                rows.insert(0, Row { name, concurrency: 1, counts, lost: None });
                Ok(rows)
            });
            run.end_of_errors();
            rows
        })?;
        Ok(Running { output, errors, control, host: Some(host), since })
    }
}

impl Settings {
    /// Looks for what cannot run; if there is nothing, the control of the run and where it leaves errors.
    fn check(&self, flow: &impl Flow) -> Result<(Arc<Control>, Receiver<StageError>), BuildError> {
        flow.check(None)?;
        if !can_hold(self.output_buffer) {
            return Err(BuildError::Buffer { stage: "output".into(), items: self.output_buffer });
        }
        let root = Context::background();
        let context = self.context.as_ref().unwrap_or(&root);
        let keep = self.keep_errors.clamp(1, MAX_CAPACITY);
        let (control, errors) = Control::new(context, keep);
        Ok((Arc::new(control), errors))
    }
}

/// Adds up what the threads did, and decides how the run ended.
fn conclude(
    rows: Result<Rows, Panicked>,
    mut report: Report,
    control: &Control,
    errors: &Receiver<StageError>,
    since: Instant,
) -> Result<Report, PipelineError> {
    // All threads are joined by hand, so no panic is left for the scope to report.
    let rows = rows.unwrap_or_else(|panicked| panicked.resume())?;
    let ending = control.conclude();
    let mut lost = None;
    for row in rows {
        report.push(&row);
        report.exhausted |= row.counts.exhausted;
        lost = lost.or(row.lost.map(|panicked| (row.name.to_string(), panicked)));
    }
    report.errors.extend(errors.try_iter());
    report.elapsed = since.elapsed();
    let report = report;
    if let Some((stage, panicked)) = lost {
        return Err(PipelineError::Worker { stage, panicked, report: Box::new(report) });
    }
    if let Some(cause) = ending.refusal {
        return Err(PipelineError::Output { cause, report: Box::new(report) });
    }
    // A cancellation that came when all was done changes nothing.
    if report.is_complete() && ending.cut.is_none() {
        return Ok(report);
    }
    if ending.aborted {
        return Err(PipelineError::Aborted { report: Box::new(report) });
    }
    if let Some(cause) = control.work().cause() {
        return Err(PipelineError::Cancelled { cause, report: Box::new(report) });
    }
    match ending.cut {
        Some(error) => Err(PipelineError::Stopped { error, report: Box::new(report) }),
        None => Ok(report),
    }
}

/// A pipeline at work in the background. Made by [`Pipeline::spawn`].
///
/// Dropping it aborts the run and waits for its threads: for each stage's function to return from the item it is at,
/// and for the source from making an item.
#[must_use = "dropping it aborts the run"]
pub struct Running<T> {
    output: Receiver<T>,
    errors: Receiver<StageError>,
    control: Arc<Control>,
    /// None once it is joined.
    host: Option<JoinHandle<Result<Rows, Panicked>>>,
    since: Instant,
}

impl<T> Running<T> {
    /// Where the items come out. It ends when the run does.
    ///
    /// Clones of it share the items; use them to receive on several threads.
    pub fn output(&self) -> &Receiver<T> {
        &self.output
    }

    /// Where the errors of failed items come out, as they happen. It ends when the run does.
    ///
    /// Nobody has to read it: the first [`keep_errors`](Pipeline::keep_errors) wait here, the others are counted. What
    /// nobody has read by then, [`wait`](Self::wait) puts into the [`Report`]; each error has one reader.
    pub fn errors(&self) -> &Receiver<StageError> {
        &self.errors
    }

    /// Lets nothing new in. What is on its way is finished and delivered.
    ///
    /// A source that is busy making an item is waited for; the item is delivered.
    pub fn drain(&self) {
        self.control.drain();
    }

    /// Ends the run at once. What is not delivered yet is cancelled; the report counts it.
    pub fn abort(&self) {
        self.control.abort();
    }

    /// A handle for others to end the run with, such as a signal handler.
    pub fn controller(&self) -> Controller {
        Controller { control: Arc::clone(&self.control) }
    }

    /// Waits until all threads have ended.
    ///
    /// Nobody can receive the output meanwhile, unless there are clones of it; what comes out is dropped, and counted
    /// as undelivered. To have it, receive it first.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`]. Of a run that was drained the report is returned as a success;
    /// [`is_complete`](Report::is_complete) tells.
    pub fn wait(mut self) -> Result<Report, PipelineError> {
        let mut report =
            Report { undelivered: self.output.iter().count() as u64, ..Report::default() };
        let Some(host) = self.host.take() else { unreachable!("only `wait` and `drop` take it") };
        let rows = host.join().unwrap_or_else(Err);
        if let Ok(Ok(rows)) = &rows {
            let out = rows.last().map_or(0, |row| row.counts.handed_on());
            report.delivered = out.saturating_sub(report.undelivered);
        }
        conclude(rows, report, &self.control, &self.errors, self.since)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if let Some(host) = self.host.take() {
            self.control.abort();
            // Its panics were meant for whoever waits, and nobody does.
            let _ = host.join();
        }
    }
}

impl<T> fmt::Debug for Running<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("since", &self.since).finish_non_exhaustive()
    }
}

/// Ends a run from elsewhere. Made by [`Running::controller`].
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::Pipeline;
///
/// let running = Pipeline::from_iter(1_u64..).map("next", |n| n + 1).spawn()?;
/// let controller = running.controller();
/// let mut received = 0;
/// for number in running.output().iter() {
///     received += 1;
///     if number == 10 {
///         controller.drain();
///     }
/// }
/// let report = running.wait()?;
/// assert_eq!((report.delivered(), report.cancelled()), (received, 0));
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
#[derive(Clone)]
pub struct Controller {
    control: Arc<Control>,
}

impl Controller {
    /// As [`Running::drain`].
    pub fn drain(&self) {
        self.control.drain();
    }

    /// As [`Running::abort`].
    pub fn abort(&self) {
        self.control.abort();
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}
