//! How a run is told to end, and who is still admitted then.

use super::desk::{Count, Desk, Office};
use super::edge::Bell;
use super::error::{BoxError, Cause, StageError};
use super::metrics::{AtWork, PipelineMetrics, at_work};
use crate::channel::{self, Receiver, Sender};
use crate::context::{self, StopHandle};
use crate::core::wait::Growable;
use crate::foreign::discard;
use crate::park::{Impatience, drive};
use crate::thread::Panicked;
use crate::{Context, lock};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What all parties of one run share: whether to go on, where the run was cut, and the errors it kept.
///
/// Two contexts, one below the other, carry the two ways of ending. A stop or a drain cancels `intake`: the
/// source makes no more items, and those on their way arrive, up to the cut. An abort cancels `work`, and with
/// it `intake`: nobody waits for anything any more.
pub(super) struct Control {
    work: Context,
    intake: Context,
    /// What the context that drains the run is to call.
    _drain: Option<Undo>,
    ending: Mutex<Ending>,
    errors: Sender<StageError>,
    /// Rung when the run is cut, for those who hold an item back for a while. An abort closes it, as all bells.
    cuts: Arc<Bell>,
    board: Arc<Board>,
    pub(super) began: Instant,
}

/// What the callback of an abort has to reach. It has to be `'static`, and a run may borrow, so nothing here does.
#[derive(Default)]
pub(super) struct Board {
    bells: Mutex<Vec<Arc<Bell>>>,
    /// From the source to the last stage, once all are launched.
    offices: Mutex<Vec<Arc<Office>>>,
    /// Of whoever takes the output, if that is a thread of the run.
    output: Mutex<Option<Arc<Office>>>,
    /// Who was at work when the run was aborted.
    caught: Mutex<Vec<AtWork>>,
}

/// Why the run ends before its source does. The locks are held for an assignment.
#[derive(Default)]
pub(super) struct Ending {
    /// The failure that called for a stop: the first in the order of the source.
    pub(super) cut: Option<StageError>,
    /// The error of the function that takes the output.
    pub(super) refusal: Option<BoxError>,
    /// Aborted by hand, and not by the context.
    pub(super) aborted: bool,
    /// The source came to its end by itself.
    pub(super) exhausted: bool,
    /// The source made its last item while nothing was aborted: it came to its end, was drained or stopped.
    pub(super) was_let_end: bool,
    /// How it was when the last thread had ended: whether it was aborted, and why it was cancelled.
    pub(super) at_the_end: Option<(bool, Option<context::Cause>)>,
}

impl Control {
    /// The control of a new run under `parent`, and where it leaves the first `keep` errors.
    pub(super) fn new(
        parent: &Context,
        drain: Option<&Context>,
        keep: usize,
    ) -> (Self, Receiver<StageError>) {
        let work = parent.child();
        let intake = work.child();
        let (errors, kept) = channel::bounded(keep);
        let board = Arc::new(Board::default());
        let caller = Arc::clone(&board);
        let _ = work.after_func(move || caller.abort());
        let drain = drain.map(|drain| {
            let intake = intake.clone();
            drain.after_func(move || intake.cancel())
        });
        let (ending, began) = (Mutex::default(), Instant::now());
        let cuts = board.bell(&work);
        (
            Self {
                work,
                intake,
                _drain: drain.map(|handle| Undo(Some(handle))),
                ending,
                errors,
                cuts,
                board,
                began,
            },
            kept,
        )
    }

    /// A place to sleep in that an abort closes.
    pub(super) fn bell(&self) -> Arc<Bell> {
        self.board.bell(&self.work)
    }

    /// Puts the office of the next part upstream in front of the others.
    pub(super) fn open(&self, office: &Arc<Office>) {
        lock(&self.board.offices).insert(0, Arc::clone(office));
    }

    /// Whoever takes the output has this office: it is asked what it is at, and is none of the stages.
    pub(super) fn open_output(&self, office: &Arc<Office>) {
        *lock(&self.board.output) = Some(Arc::clone(office));
    }

    pub(super) fn offices(&self) -> Vec<Arc<Office>> {
        lock(&self.board.offices).clone()
    }

    pub(super) fn metrics(&self, total: Option<u64>) -> PipelineMetrics {
        PipelineMetrics::new(&self.offices(), self.began.elapsed(), total)
    }

    /// Done once the run is aborted. Every wait inside a run ends with it.
    pub(super) fn work(&self) -> &Context {
        &self.work
    }

    /// Done once the source is to make no more items.
    pub(super) fn intake(&self) -> &Context {
        &self.intake
    }

    /// Whether an item of this position in the source is still to be worked on and delivered.
    ///
    /// While the run goes on, this is a look at one flag.
    #[inline]
    pub(super) fn admits(&self, item: u64) -> bool {
        !self.intake.is_done() || self.is_in_front_of_the_cut(item)
    }

    #[cold]
    fn is_in_front_of_the_cut(&self, item: u64) -> bool {
        !self.work.is_done() && lock(&self.ending).cut.as_ref().is_none_or(|cut| item < cut.item())
    }

    /// Holds an item back until then, for ever if no time is named; no longer than it is [admitted](Self::admits).
    pub(super) fn hold(&self, item: u64, until: Option<Instant>) {
        loop {
            // Made before the look: a cut from now on rings it.
            let mut wait = self.cuts.wait();
            if !self.admits(item) {
                return;
            }
            match drive(Pin::new(&mut wait), until, Impatience::HandOver) {
                Some(Ok(())) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// Ends the run as a serial loop would at this error. Of several, the first in the source's order counts.
    ///
    /// Returns the error that gave way, if there was one.
    pub(super) fn stop(&self, error: StageError) -> Option<StageError> {
        let gives_way = {
            let cut = &mut lock(&self.ending).cut;
            match cut {
                Some(first) if first.item() <= error.item() => Some(error),
                _ => cut.replace(error),
            }
        };
        self.intake.cancel();
        self.cuts.notify_all();
        gives_way
    }

    /// As [`stop`](Self::stop), where a panic hit code that no policy is asked about; the error that gives way is kept, and the failure counted.
    pub(super) fn stop_at(&self, place: &Spot, item: u64, panicked: Panicked, desk: &Desk) {
        let error = StageError::new(&place.name, place.index, item, Cause::Panicked(panicked));
        let kept = self.stop(error).is_none_or(|error| self.keep(error));
        desk.count(Count::Fallen);
        desk.add(Count::Unkept, u64::from(!kept));
    }

    /// Keeps an error for whoever reads them; `false` if there is no place left for it.
    pub(super) fn keep(&self, error: StageError) -> bool {
        self.errors.try_send(error).map_err(discard).is_ok()
    }

    /// Lets nothing new in; what is on its way arrives.
    pub(super) fn drain(&self) {
        self.intake.cancel();
    }

    /// Ends every wait, and cancels what is not delivered yet.
    pub(super) fn abort(&self) {
        lock(&self.ending).aborted = true;
        self.work.cancel();
    }

    /// As [`abort`](Self::abort), because the function that takes the output failed.
    pub(super) fn refuse(&self, cause: BoxError) {
        lock(&self.ending).refusal = Some(cause);
        self.work.cancel();
    }

    /// As [`abort`](Self::abort), because the output is closed and there is more; nothing if it was the end of the run that closed it.
    pub(super) fn lose_output(&self) {
        if !self.work.is_done() {
            self.abort();
        }
    }

    /// The source makes no more items.
    pub(super) fn end_source(&self) {
        let was_let_end = !self.work.is_done();
        lock(&self.ending).was_let_end = was_let_end;
    }

    /// The source has come to its end by itself.
    pub(super) fn exhaust(&self) {
        lock(&self.ending).exhausted = true;
    }

    /// All threads have ended: whoever cancels from now on stops nothing.
    pub(super) fn has_ended(&self) {
        let cause = self.work.cause();
        let mut ending = lock(&self.ending);
        ending.at_the_end = Some((ending.aborted, cause));
    }

    /// Once all threads are done: whoever reads errors has read the last.
    pub(super) fn end_of_errors(&self) {
        self.errors.close();
    }

    /// Why the run ended, if not by itself.
    pub(super) fn conclude(&self) -> Ending {
        std::mem::take(&mut lock(&self.ending))
    }

    /// Who was at work when the run was aborted.
    pub(super) fn caught(&self) -> Vec<AtWork> {
        std::mem::take(&mut lock(&self.board.caught))
    }
}

impl Board {
    fn bell(&self, work: &Context) -> Arc<Bell> {
        let bell = Arc::new(Bell::with_storage(Growable::new()));
        lock(&self.bells).push(Arc::clone(&bell));
        if work.is_done() {
            // The callback may have gone round before.
            bell.close();
        }
        bell
    }

    fn abort(&self) {
        let mut offices = lock(&self.offices).clone();
        offices.extend(lock(&self.output).clone());
        *lock(&self.caught) = at_work(&offices);
        for bell in &*lock(&self.bells) {
            bell.close();
        }
    }
}

/// The stage, or the source, behind which something was done to an item.
#[derive(Clone)]
pub(super) struct Spot {
    pub(super) name: Arc<str>,
    pub(super) index: usize,
}

/// Takes a callback back when it is dropped.
struct Undo(Option<StopHandle>);

impl Drop for Undo {
    fn drop(&mut self) {
        let _ = self.0.take().map(StopHandle::stop);
    }
}

/// Aborts the run when it is dropped by a panic: the threads of a scope must end before the panic can go on.
pub(super) struct AbortOnUnwind<'a>(pub(super) &'a Control);

impl Drop for AbortOnUnwind<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.abort();
        }
    }
}
