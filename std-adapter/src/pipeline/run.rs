//! From a description to threads and back: a run on the calling thread, or in the background.

use super::control::Control;
use super::desk::{Count, Desk, Office, Staff, Wait};
use super::edge::{can_hold, edge};
use super::error::{BoxError, BuildError, PipelineError, StageError};
use super::flow::{Below, Flow, Launch, Order, Row};
use super::metrics::OUTPUT;
use super::parcel::{Parcel, Sink};
use super::report::Report;
use super::running::{Controller, Running};
use super::{Pipeline, Progress, Settings, source, trace};
use crate::channel::{self, Receiver, Sender, TrySendError};
use crate::thread::{self, Builder, Panicked, SpawnError};
use crate::{Context, lock};
use aqueduct_core::queue::MAX_CAPACITY;
use std::sync::{Arc, Mutex};

/// What came of a run's threads: a row for the source and for each stage.
pub(super) type Rows = Result<Vec<Row>, SpawnError>;

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
        let Self { flow, settings } = self;
        let (control, errors) = settings.check(&flow)?;
        let (total, last) = (flow.total(), flow.position());
        let trace = trace::Run::started();
        let mut report = Report::default();
        let rows = thread::scope(|scope| -> Rows {
            let mut launch = Launch::new(scope, &control, &trace, last);
            let (name, room) = (OUTPUT.into(), settings.output_buffer);
            let office = Arc::new(Office::new(&name, room, Staff::fixed(1), true));
            control.open_output(&office);
            let (entrance, mut exit) = edge(&control, &office, 1, flow.makers(false), 1);
            let pump = flow.launch(&mut launch, entrance, Below::default())?;
            let span = trace.stage(source::NAME, 0);
            let source = pump.map(|pump| {
                Builder::new().name(source::NAME).spawn_scoped(scope, move || span.within(pump))
            });
            let source = source.transpose()?;
            let desk = office.desk();
            let (progress, start) = (settings.progress, settings.start);
            let consume = || {
                if let Some(start) = start {
                    start.tell(Controller::of(&control, total));
                }
                // An item is under way, as far as a cap goes, until it is delivered.
                while let Some(Parcel { item, load, fare: _fare, .. }) = exit.take(&desk) {
                    let Some(load) = load else { continue };
                    if !control.admits(item) {
                        report.undelivered += 1;
                        continue;
                    }
                    report.delivered += 1;
                    desk.is_at(item);
                    if let Err(error) = take(load) {
                        control.refuse(error.into());
                    }
                    if let Some(progress) = &progress {
                        lock(progress).delivered(&control, total);
                    }
                    desk.is_between();
                }
            };
            let consumed = trace.within(|| thread::catch(consume));
            if let Err(panicked) = consumed {
                // The threads end before the panic goes on.
                control.abort();
                drop(exit);
                launch.join(source);
                panicked.resume();
            }
            Ok(launch.join(source))
        });
        let result = conclude(rows, report, &control, &errors);
        trace.over(&result);
        result
    }

    /// Runs to the end, and makes one value of all items.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let (sum, report) =
    ///     Pipeline::from_iter(1..=10).map("square", |n| n * n).fold(0, |sum, n| sum + n)?;
    /// assert_eq!((sum, report.delivered()), (385, 10));
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); what was made until then is dropped.
    pub fn fold<A, F>(self, init: A, mut f: F) -> Result<(A, Report), PipelineError>
    where
        F: FnMut(A, N::Item) -> A,
    {
        let mut value = Some(init);
        let report = self.run(|item| value = value.take().map(|so_far| f(so_far, item)))?;
        let Some(value) = value else { unreachable!("a panic of `f` would have gone on") };
        Ok((value, report))
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
        let Self { flow, settings } = self;
        let (control, errors) = settings.check(&flow)?;
        let (total, last) = (flow.total(), flow.position());
        let trace = trace::Run::started();
        let (sender, output) = channel::bounded(settings.output_buffer);
        let closer = sender.downgrade();
        // Whoever waits for output is woken by an abort at once, not only when the last worker has seen it.
        let _ = control.work().after_func(move || {
            let _ = closer.upgrade().map(|sender| sender.close());
        });
        // And where nobody can receive it any more, the run is of no use, also if it never comes to an item that finds that out.
        let lost = Arc::downgrade(&control);
        output.at_loss(move || {
            let _ = lost.upgrade().map(|run| run.lose_output());
        });
        let (run, of_stages) = (Arc::clone(&control), trace.clone());
        // What is asked of the run, from now on, is asked of all its stages.
        let (ready, launched) = channel::bounded::<()>(1);
        let host = Builder::new().name(source::NAME).spawn(move || {
            let rows = thread::scope(|scope| -> Rows {
                let mut launch = Launch::new(scope, &run, &of_stages, last);
                let progress = settings.progress;
                let control = Arc::clone(&run);
                let deliver = Deliver { sender, control, progress, total, is_shut: false };
                let pump = flow.launch(&mut launch, deliver, Below::default())?;
                let _ = ready.send(());
                let pumped = pump.map_or(Ok(()), |pump| {
                    of_stages.stage(source::NAME, 0).within(|| thread::catch(pump))
                });
                Ok(launch.join_behind(pumped))
            });
            run.end_of_errors();
            rows
        })?;
        let is_launched = launched.recv().is_ok();
        let (output, host) = (Some(output), Some(host));
        let running = Running { output, errors, control, host, total, trace };
        if is_launched && let Some(start) = settings.start {
            start.tell(running.controller());
        }
        Ok(running)
    }
}

impl Settings {
    /// Looks for what cannot run; if there is nothing, the control of the run and where it leaves errors.
    pub(super) fn check(
        &self,
        flow: &impl Flow,
    ) -> Result<(Arc<Control>, Receiver<StageError>), BuildError> {
        flow.check(Order::Any)?;
        if !can_hold(self.output_buffer) {
            return Err(BuildError::Buffer { stage: "output".into(), items: self.output_buffer });
        }
        let root = Context::background();
        let context = self.context.as_ref().unwrap_or(&root);
        let keep = self.keep_errors.clamp(1, MAX_CAPACITY);
        let (control, errors) = Control::new(context, self.drain.as_ref(), keep);
        Ok((Arc::new(control), errors))
    }
}

/// Adds up what the threads did, and decides how the run ended.
pub(super) fn conclude(
    rows: Result<Rows, Panicked>,
    mut report: Report,
    control: &Control,
    errors: &Receiver<StageError>,
) -> Result<Report, PipelineError> {
    // All threads are joined by hand, so no panic is left for the scope to report.
    let rows = rows.unwrap_or_else(|panicked| panicked.resume())?;
    let mut ending = control.conclude();
    let mut lost = None;
    for row in rows {
        report.push(&row.office);
        lost = lost.or(row.lost.map(|panicked| (row.office.name.to_string(), panicked)));
    }
    report.exhausted = ending.exhausted;
    report.errors.extend(errors.try_iter());
    report.elapsed = control.began.elapsed();
    // A cancellation changes nothing that came when all was done and delivered, were the threads still about to end.
    let is_too_late = ending.was_let_end && report.cancelled() == 0 && report.undelivered == 0;
    let (aborted, cause) = match ending.at_the_end.take() {
        _ if is_too_late => (false, None),
        Some(end) if report.undelivered == 0 => end,
        _ => (ending.aborted, control.work().cause()),
    };
    let is_cut = ending.cut.is_some();
    let is_over = lost.is_some() || ending.refusal.is_some() || aborted || cause.is_some();
    if is_over {
        // What is returned says something else, so the failure that stopped the run is told beside the others.
        report.errors.extend(ending.cut.take());
    }
    let report = report;
    if let Some((stage, panicked)) = lost {
        return Err(PipelineError::Worker { stage, panicked, report: Box::new(report) });
    }
    if let Some(cause) = ending.refusal {
        return Err(PipelineError::Output { cause, report: Box::new(report) });
    }
    // Nor does one that came while the last threads ended.
    if report.is_complete() && !is_cut {
        return Ok(report);
    }
    if aborted {
        return Err(PipelineError::Aborted { report: Box::new(report) });
    }
    if let Some(cause) = cause {
        let at_work = control.caught();
        return Err(PipelineError::Cancelled { cause, at_work, report: Box::new(report) });
    }
    match ending.cut {
        Some(error) => Err(PipelineError::Stopped { error, report: Box::new(report) }),
        None => Ok(report),
    }
}

/// The end of the road of a run in the background: loads leave their parcels, for whoever receives them.
struct Deliver<T> {
    sender: Sender<T>,
    control: Arc<Control>,
    progress: Option<Arc<Mutex<Progress>>>,
    total: Option<u64>,
    /// Something found the way closed: what comes behind it is not let through, or there would be a gap.
    is_shut: bool,
}

impl<T> Clone for Deliver<T> {
    fn clone(&self) -> Self {
        let (sender, control) = (self.sender.clone(), Arc::clone(&self.control));
        let (progress, total) = (self.progress.clone(), self.total);
        Self { sender, control, progress, total, is_shut: self.is_shut }
    }
}

impl<T: Send> Sink<T> for Deliver<T> {
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let Some(load) = parcel.load else { return };
        if self.is_shut || !self.control.admits(parcel.item) {
            return desk.count(Count::Recalled);
        }
        let sent = match self.sender.try_send(load) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(load)) => desk
                .during(Wait::Blocked, || self.sender.send_ctx(self.control.work(), load).is_ok()),
        };
        self.is_shut = !sent;
        if !sent {
            self.control.lose_output();
            return desk.count(Count::Recalled);
        }
        if let Some(progress) = &self.progress {
            lock(progress).delivered(&self.control, self.total);
        }
    }

    fn finish(self, _: &Desk) {}
}
