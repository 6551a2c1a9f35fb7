//! A run in the background, and the handles on it.

use super::control::Control;
use super::error::{BuildError, PipelineError, StageError};
use super::metrics::{AtWork, Bottleneck, PipelineMetrics, at_work, name_all};
use super::report::Report;
use super::run::{Rows, conclude};
use super::trace;
use crate::Context;
use crate::channel::{Leftover, Receiver};
use crate::lock;
use crate::thread::{JoinHandle, Panicked};
use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The thread of a run's source, which joins the others.
pub(super) type Host = JoinHandle<Result<Rows, Panicked>>;

/// A pipeline at work in the background. Made by [`Pipeline::spawn`](super::Pipeline::spawn).
///
/// Dropping it aborts the run and waits for its threads: for each stage's function to return from the item it is at,
/// and for the source from making an item.
#[must_use = "dropping it aborts the run"]
pub struct Running<T> {
    /// None once nothing is to be received by it any more.
    pub(super) output: Option<Receiver<T>>,
    pub(super) errors: Receiver<StageError>,
    pub(super) control: Arc<Control>,
    /// None once it is joined.
    pub(super) host: Option<Host>,
    pub(super) total: Option<u64>,
    pub(super) trace: trace::Run,
}

impl<T> Running<T> {
    /// Where the items come out. It ends when the run does.
    ///
    /// Clones of it share the items; use them to receive on several threads, or on another one while this one [`wait`](Self::wait)s. Whoever
    /// [closes](Receiver::close) it aborts the run.
    pub fn output(&self) -> &Receiver<T> {
        self.output.as_ref().unwrap_or_else(|| unreachable!("only who takes the run takes it"))
    }

    /// Where the errors of failed items come out, as they happen. It ends when the run does.
    ///
    /// Nobody has to read it: the first [`keep_errors`](super::Pipeline::keep_errors) wait here, the others are counted. What
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

    /// What the run does at the moment.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let running = Pipeline::from_iter(0..100).map("work", |n| n + 1).buffer(8).spawn()?;
    /// for stage in &running.metrics().stages {
    ///     println!("{} of {} wait for {}", stage.queued, stage.buffer, stage.so_far.name());
    /// }
    /// assert_eq!(running.metrics().total, Some(100));
    /// drop(running);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn metrics(&self) -> PipelineMetrics {
        self.control.metrics(self.total)
    }

    /// The stage that all others wait for: see [`PipelineMetrics::bottleneck`].
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        self.metrics().bottleneck()
    }

    /// A handle for others to end the run with, such as a signal handler.
    pub fn controller(&self) -> Controller {
        Controller::of(&self.control, self.total)
    }

    /// Waits until all threads have ended.
    ///
    /// If there are clones of the [output](Self::output), it is theirs: receive on other threads, since a full output keeps the run from ending;
    /// what is in it at the end can still be received, and counts as delivered. When the last clone goes before the end, the run is
    /// aborted. If there are none, what comes out is dropped, and counted as undelivered. To have it, receive it first.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{pipeline::Pipeline, thread};
    ///
    /// let running = Pipeline::from_iter(1..=100).map("square", |n| n * n).spawn()?;
    /// let output = running.output().clone();
    /// let consumer = thread::spawn(move || output.iter().sum::<u32>())?;
    /// assert_eq!(running.wait()?.delivered(), 100);
    /// assert_eq!(consumer.join()?, 338_350);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Pipeline::run`](super::Pipeline::run). Of a run that was drained the report is returned as a success;
    /// [`is_complete`](Report::is_complete) tells.
    pub fn wait(mut self) -> Result<Report, PipelineError> {
        self.conclude()
    }

    /// As [`wait`](Self::wait), for so long at most: [`drain`](Self::drain) or [`abort`](Self::abort) first, and this says who is
    /// stuck.
    ///
    /// The output is not received meanwhile. A full one keeps the run from ending: receive it on another thread, from a clone, or
    /// abort. When the run has ended in time, what is in the output is dealt with as by `wait`.
    ///
    /// # Errors
    ///
    /// [`Stuck`] when the time is over, with the run, and who is at work on what. [`Running::detach`] leaves them to themselves.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pipeline::Pipeline};
    /// use std::time::Duration;
    ///
    /// let (finish, forever) = channel::bounded::<()>(1);
    /// let (begun, has_begun) = channel::bounded(1);
    /// let running = Pipeline::from_iter(["a"])
    ///     .map("hang", move |_| {
    ///         let _ = begun.send(());
    ///         forever.recv().is_ok()
    ///     })
    ///     .spawn()?;
    /// has_begun.recv()?;
    /// running.abort();
    /// let stuck = running.wait_timeout(Duration::from_millis(1)).unwrap_err();
    /// // The source may be about to end, and be named besides.
    /// assert!(stuck.to_string().ends_with("stage `hang` at item 0"));
    /// finish.send(())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait_timeout(
        self,
        timeout: Duration,
    ) -> Result<Result<Report, PipelineError>, Stuck<T>> {
        self.wait_for(|host| host.join_timeout(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_deadline(
        self,
        deadline: Instant,
    ) -> Result<Result<Report, PipelineError>, Stuck<T>> {
        self.wait_for(|host| host.join_deadline(deadline))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `context` is done at most. It is the wait that this ends, and not the run; for that,
    /// give the context to the [pipeline](super::Pipeline::context).
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    pub fn wait_ctx(self, context: &Context) -> Result<Result<Report, PipelineError>, Stuck<T>> {
        self.wait_for(|host| host.join_ctx(context).ok())
    }

    fn wait_for(
        mut self,
        join: impl FnOnce(&mut Host) -> Option<Result<Result<Rows, Panicked>, Panicked>>,
    ) -> Result<Result<Report, PipelineError>, Stuck<T>> {
        let Some(host) = &mut self.host else { unreachable!("only `wait` and `drop` take it") };
        match join(host) {
            Some(joined) => {
                self.host = None;
                Ok(self.sum_up(joined.unwrap_or_else(Err)))
            }
            None => {
                let at_work = at_work(&self.control.offices());
                Err(Stuck { running: self, at_work })
            }
        }
    }

    /// Aborts the run and leaves its threads to themselves: they end when the functions they are in return.
    pub fn detach(mut self) {
        self.control.abort();
        drop(self.host.take());
    }

    fn conclude(&mut self) -> Result<Report, PipelineError> {
        // Received until the end, or a full output would keep the run from ending.
        let (undelivered, left) = self.give_up_output();
        let Some(host) = self.host.take() else { unreachable!("only `wait` and `drop` take it") };
        let joined = host.join().unwrap_or_else(Err);
        self.report(joined, undelivered + left.count())
    }

    fn sum_up(&mut self, rows: Result<Rows, Panicked>) -> Result<Report, PipelineError> {
        let (undelivered, left) = self.give_up_output();
        self.report(rows, undelivered + left.count())
    }

    /// Leaves the output to those who have clones of it. If there are none: receives until the end, and says how many there were.
    fn give_up_output(&mut self) -> (u64, Leftover<T>) {
        let Some(output) = self.output.take() else {
            unreachable!("only who takes the run takes it")
        };
        let alone = output.receiver_count() == 1;
        let undelivered = if alone { output.iter().count() as u64 } else { 0 };
        (undelivered, output.leftover())
    }

    fn report(
        &self,
        rows: Result<Rows, Panicked>,
        undelivered: u64,
    ) -> Result<Report, PipelineError> {
        let mut report = Report { undelivered, ..Report::default() };
        if let Ok(Ok(rows)) = &rows {
            let out = rows.last().map_or(0, |row| row.office.counts().handed_on());
            report.delivered = out.saturating_sub(undelivered);
        }
        let result = conclude(rows, report, &self.control, &self.errors);
        self.trace.over(&result);
        result
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
        f.debug_struct("Running")
            .field("elapsed", &self.control.began.elapsed())
            .finish_non_exhaustive()
    }
}

/// Watches, resizes and ends a run from elsewhere. Made by [`Running::controller`] and [`Pipeline::on_start`](super::Pipeline::on_start).
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
    total: Option<u64>,
}

impl Controller {
    pub(super) fn of(control: &Arc<Control>, total: Option<u64>) -> Self {
        Self { control: Arc::clone(control), total }
    }

    /// As [`Running::drain`].
    pub fn drain(&self) {
        self.control.drain();
    }

    /// As [`Running::abort`].
    pub fn abort(&self) {
        self.control.abort();
    }
}

impl Controller {
    /// As [`Running::metrics`].
    pub fn metrics(&self) -> PipelineMetrics {
        self.control.metrics(self.total)
    }

    /// Changes how many workers a stage has, while it runs. Of several stages of this name it is the first: give a stage that is to be resized
    /// a name of its own.
    ///
    /// Workers come when one of the stage's own next looks for items, and go when they next do; one that is at work, or asleep
    /// for want of items, is not disturbed. Below an ordered point, keep within its window: workers above that find no
    /// item.
    ///
    /// # Errors
    ///
    /// [`BuildError`] for 0 workers, for a range that is empty, for a stage that is not there, for one that is
    /// [keyed](super::Pipeline::keyed) or a step that remembers, for more than one number for a stage that [shares](super::Pipeline::bridge) its source, and for several workers in front of a [cap](super::Pipeline::max_in_flight), or of a step that must see its items in
    /// order ([`StepOutOfOrder`](BuildError::StepOutOfOrder)), with no ordered point between.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let running = Pipeline::from_iter(0_u64..).map("work", |n| n).spawn()?;
    /// running.controller().resize("work", 2..=4)?;
    /// assert!(running.controller().resize("wrok", 2..=4).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resize(&self, stage: &str, workers: RangeInclusive<usize>) -> Result<(), BuildError> {
        let (min, max) = (*workers.start(), *workers.end());
        let stage = stage.to_owned();
        if min == 0 {
            return Err(BuildError::ZeroConcurrency { stage });
        }
        if max < min {
            return Err(BuildError::Range { stage, min, max });
        }
        let offices = self.control.offices();
        let Some(office) = offices.iter().skip(1).find(|office| *office.name == *stage) else {
            return Err(BuildError::NoSuchStage { stage });
        };
        if office.is_fixed || (office.shares_source && min < max) {
            return Err(BuildError::FixedConcurrency { stage });
        }
        if max > 1
            && let Some(error) = &office.keeps_order
        {
            return Err(error.clone());
        }
        let mut staff = lock(&office.staff);
        (staff.min, staff.max) = (min, max);
        office.scales.store(true);
        Ok(())
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller").finish_non_exhaustive()
    }
}

/// A run that did not end in time. Made by [`Running::wait_timeout`].
pub struct Stuck<T> {
    /// The run. Dropping it waits for it; see [`Running::detach`].
    pub running: Running<T>,
    /// Who is at work, and on what.
    pub at_work: Vec<AtWork>,
}

impl<T> fmt::Debug for Stuck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stuck").field("at_work", &self.at_work).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Stuck<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pipeline does not end")?;
        name_all(&self.at_work, f)
    }
}

impl<T> Error for Stuck<T> {}
