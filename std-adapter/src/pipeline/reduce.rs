//! The end of a run where the workers of the last stage make a value themselves, each of its share.

use super::control::Control;
use super::desk::Desk;
use super::error::PipelineError;
use super::flow::{Below, Flow, Launch};
use super::parcel::{Parcel, Sink};
use super::report::Report;
use super::run::{Rows, conclude};
use super::running::Controller;
use super::{Pipeline, Progress, source, trace};
use crate::foreign::discard;
use crate::lock;
use crate::thread::{self, Panicked};
use std::sync::{Arc, Mutex, PoisonError};

impl<N: Flow> Pipeline<N> {
    /// Runs to the end, and makes one value of all items, as [`fold`](Self::fold); but on the workers of the last stage. Each begins with `init()`, or with what one has left that is gone, and
    /// adds to it what it has made, and in the end `merge` makes one of their values, in no order, on this thread.
    ///
    /// It saves the queue in front of the output, and what each item costs there. Behind an [ordered](Self::ordered) point all items go into one value, in
    /// their order, though by several workers in turn; there is nothing to merge then. This thread runs the source meanwhile, after
    /// [`on_start`](Self::on_start), if that is not shared by workers, too: see [`bridge`](Pipeline::bridge).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use std::collections::BTreeMap;
    ///
    /// let words = ["to", "be", "or", "not", "to", "be"];
    /// let (counts, _) = Pipeline::bridge(words)
    ///     .map("lengthen", |word| word.repeat(2))
    ///     .concurrency(2)
    ///     .reduce(
    ///         BTreeMap::new,
    ///         |mut counts, word| {
    ///             *counts.entry(word).or_insert(0) += 1;
    ///             counts
    ///         },
    ///         |mut some, others| {
    ///             others.into_iter().for_each(|(word, count)| *some.entry(word).or_insert(0) += count);
    ///             some
    ///         },
    ///     )?;
    /// assert_eq!((counts["toto"], counts["notnot"]), (2, 1));
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When one of the functions panics, with its payload; the run is aborted, and its threads are joined first.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run); what was made until then is dropped.
    pub fn reduce<A, I, F, M>(
        self,
        init: I,
        fold: F,
        merge: M,
    ) -> Result<(A, Report), PipelineError>
    where
        A: Send,
        I: Fn() -> A + Send + Sync,
        F: Fn(A, N::Item) -> A + Send + Sync,
        M: FnMut(A, A) -> A,
    {
        let Self { flow, settings } = self;
        let (control, errors) = settings.check(&flow)?;
        let (total, last) = (flow.total(), flow.position());
        let trace = trace::Run::started();
        let parts = Arc::new(Parts {
            init,
            fold,
            control: Arc::clone(&control),
            progress: settings.progress,
            total,
            made: Mutex::default(),
        });
        let start = settings.start;
        let rows = thread::scope(|scope| -> Rows {
            let mut launch = Launch::new(scope, &control, &trace, last);
            let sink = Reduce { parts: Arc::clone(&parts), share: Share::default() };
            let pump = flow.launch(&mut launch, sink, Below::default())?;
            let started = trace.within(|| {
                thread::catch(|| {
                    start.map_or((), |start| start.tell(Controller::of(&control, total)))
                })
            });
            if started.is_err() {
                control.abort();
            }
            let pumped = pump
                .map_or(Ok(()), |pump| trace.stage(source::NAME, 0).within(|| thread::catch(pump)));
            let rows = launch.join_behind(pumped);
            if let Err(panicked) = started {
                panicked.resume();
            }
            Ok(rows)
        });
        let parts = Arc::into_inner(parts).expect("the workers have ended");
        let Made { values, delivered, undelivered, panicked } =
            parts.made.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(panicked) = panicked {
            panicked.resume();
        }
        let report = Report { delivered, undelivered, ..Report::default() };
        let result = conclude(rows, report, &control, &errors);
        trace.over(&result);
        let report = result?;
        let value = values.into_iter().reduce(merge).unwrap_or_else(parts.init);
        Ok((value, report))
    }
}

/// What the workers share.
struct Parts<A, I, F> {
    init: I,
    fold: F,
    control: Arc<Control>,
    progress: Option<Arc<Mutex<Progress>>>,
    total: Option<u64>,
    made: Mutex<Made<A>>,
}

/// What those have left who are gone.
struct Made<A> {
    /// As many at most as there were workers at one time.
    values: Vec<A>,
    delivered: u64,
    undelivered: u64,
    /// The last of them.
    panicked: Option<Panicked>,
}

impl<A> Default for Made<A> {
    fn default() -> Self {
        Self { values: Vec::new(), delivered: 0, undelivered: 0, panicked: None }
    }
}

/// The end of the road of one worker.
struct Reduce<A, I, F> {
    parts: Arc<Parts<A, I, F>>,
    share: Share<A>,
}

/// What one of them has made.
struct Share<A> {
    value: Option<A>,
    delivered: u64,
    undelivered: u64,
}

impl<A> Default for Share<A> {
    fn default() -> Self {
        Self { value: None, delivered: 0, undelivered: 0 }
    }
}

impl<A, I, F> Clone for Reduce<A, I, F> {
    fn clone(&self) -> Self {
        Self { parts: Arc::clone(&self.parts), share: Share::default() }
    }
}

impl<T, A, I, F> Sink<T> for Reduce<A, I, F>
where
    A: Send,
    I: Fn() -> A + Send + Sync,
    F: Fn(A, T) -> A + Send + Sync,
{
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let Some(load) = parcel.load else { return };
        let Self { parts, share } = self;
        if !parts.control.admits(parcel.item) {
            share.undelivered += 1;
            return discard(load);
        }
        // Behind an ordered point it may be another one than the worker was at.
        let own = desk.item();
        desk.is_at(parcel.item);
        share.delivered += 1;
        let value = share.value.take();
        let added = thread::catch(|| {
            // What one has left who is gone is gone on with.
            let value = value.or_else(|| lock(&parts.made).values.pop());
            let value = (parts.fold)(value.unwrap_or_else(&parts.init), load);
            if let Some(progress) = &parts.progress {
                lock(progress).delivered(&parts.control, parts.total);
            }
            value
        });
        own.map_or_else(|| desk.is_between(), |own| desk.is_at(own));
        match added {
            Ok(value) => share.value = Some(value),
            Err(panicked) => {
                parts.control.abort();
                let before = lock(&parts.made).panicked.replace(panicked);
                let _ = before.map(discard);
            }
        }
    }

    fn finish(self, _: &Desk) {}
}

impl<A, I, F> Drop for Reduce<A, I, F> {
    fn drop(&mut self) {
        let Share { value, delivered, undelivered } = std::mem::take(&mut self.share);
        let mut made = lock(&self.parts.made);
        made.values.extend(value);
        made.delivered += delivered;
        made.undelivered += undelivered;
    }
}
