//! Typed pipelines: a source, stages with workers of their own, and bounded queues between them.
//!
//! A pipeline is a value that is built step by step and then run. Each stage runs on as many threads as it is given;
//! in front of each is a queue whose length is a promise, so a slow stage slows down those in front of it, and
//! memory stays where it was configured. The output comes as it is made, or in the order of the source.
//!
//! ```
//! use aqueduct::pipeline::{Pipeline, Policy};
//!
//! let report = Pipeline::from_iter(["3", "1", "x", "2"])
//!     .stage("parse", |text: &str| text.parse::<u64>())
//!     .concurrency(2)
//!     .on_error(Policy::Collect)
//!     .map("square", |n| n * n)
//!     .ordered(8)
//!     .run(|square| println!("{square}"))?; // 9, 1, 4
//! assert_eq!(report.delivered(), 3);
//! assert_eq!(report.errors()[0].item(), 2);
//! # Ok::<(), aqueduct::pipeline::PipelineError>(())
//! ```
//!
//! # What is promised
//!
//! - **Bounds.** No more items are under way than the buffers and workers add up to: for each stage its
//!   [`buffer`](Pipeline::buffer) and [`concurrency`](Pipeline::concurrency), the
//!   [`output_buffer`](Pipeline::output_buffer), one in the hand of the source and one in that of the consumer (where workers share a
//!   [bridge](Pipeline::bridge), a [grain](Pipeline::grain) for each instead of buffer and source);
//!   no more than the [`window`](Pipeline::ordered) in front of each ordered point; and together no more than a
//!   [cap](Pipeline::max_in_flight) says, to which the output's buffer and the consumer's hand come when the run is [spawned](Pipeline::spawn). A [keyed](Pipeline::keyed) stage has room for one item in front of each of its workers
//!   whatever its buffer is; a [batch](Pipeline::batch) has besides what it collects, and is as many items as are in it.
//! - **Order.** Behind [`ordered`](Pipeline::ordered), that of the source, and what would make it another is refused; under [`keyed`](Pipeline::keyed), that of each key; without either, none.
//! - **Accounts.** Each item is delivered, filtered, failed or cancelled, and the [`Report`] adds up.
//! - **Nothing kept back.** An item waits for a worker where all workers of its stage find it, from when it is made, and there is room for it, until it is begun; but for a
//!   [grain](Pipeline::grain), where one is asked for.
//! - **Failures.** An error or a panic is a [`StageError`] with the stage, the item and the cause; a [`Policy`] decides
//!   what it means. A stage keeps all its workers. Errors that nobody reads stall nobody.
//! - **Ends.** The end of input passes stage by stage, when the last worker of a stage has done its last item. When
//!   `run`, `wait` or a drop returns, all threads are joined.
//! - **Stops.** After a failure under [`Policy::Stop`] what came before the failed item is still delivered, and
//!   behind `ordered` nothing that comes after it: what a serial loop would have done. An abort, a context that is
//!   cancelled, and a run that is dropped end every wait at once; so does the next item for an
//!   [output](Running::output) that is closed, or that all who receive have dropped.
//!
//! # What instruments see
//!
//! [`Running::metrics`] is a snapshot of a run, and [`on_progress`](Pipeline::on_progress) is given one. The feature `prometheus` writes it as a page
//! (`pipeline::prometheus`), the feature `metrics` hands it to the recorder of that facade (`PipelineMetrics::publish`); either happens when it is
//! asked for.
//!
//! With the feature `tracing` there are spans, target `aqueduct::pipeline`: a `run` at level debug, a child of the span in which the run was
//! started, with its outcome; below it a `stage` at level debug for each thread of a stage, with the stage's name and index; and below that an `item` at
//! level trace, entered while the stage's function, or its error policy, has to do with that item, with the item's position in the source, the attempt if it
//! is not the first, and the outcome. So an event of a stage's function says which stage, and, if somebody wants to pay a span for each item, which item it is about.
//! What a lazy [`flat_map`](Pipeline::flat_map) does later belongs to its stage, and the function that takes the output to the run. Threads have the program's
//! subscriber: one that is set for a single thread does not see stages.
//!
//! # When to use something else
//!
//! For data in memory and no stage that waits, rayon's parallel iterators cost less per item, since they divide what they know the length of. A pipeline is
//! for sources that stream, stages that block, and outputs that have to come in order or under a bound. Where the steps are quick, those that cost most are the
//! queues: [`fuse`](Pipeline::fuse) takes one away between two stages, [`bridge`](Pipeline::bridge) the one behind the source, and
//! [`reduce`](Pipeline::reduce) the one in front of the output.
//!
//! How the end of input, the window and a stop work is told in `pipeline/PROTOCOL.md`.

mod boxed;
mod bridge;
mod build;
mod cap;
#[cfg(any(feature = "metrics", feature = "prometheus"))]
mod columns;
mod control;
mod depth;
mod desk;
mod edge;
mod error;
#[cfg(feature = "metrics")]
mod facade;
mod flow;
mod keyed;
mod machine;
mod metrics;
mod order;
mod pair;
mod parcel;
mod policy;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod reduce;
mod report;
mod run;
mod running;
mod serial;
mod source;
mod stage;
mod trace;
mod tune;
mod unpack;
mod work;

#[cfg(doc)]
#[doc = include_str!("pipeline/PROTOCOL.md")]
mod protocol {}

pub use boxed::Boxed;
pub use bridge::Bridge;
pub use error::{BoxError, BuildError, Cause, PipelineError, StageError};
pub use flow::Flow;
pub use machine::Batch;
pub use metrics::{AtWork, Bottleneck, PipelineMetrics, StageMetrics};
pub use policy::{Backoff, ErrorPolicy, Policy};
pub use report::{Report, StageReport};
pub use running::{Controller, Running, Stuck};
pub use source::{Emitter, Stopped};
pub use stage::{Judged, Staged};

use crate::Context;
use crate::channel::Receiver;
use control::Control;
use source::{FromFn, FromIter, FromReceiver, Source};
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// How many items may wait in front of a stage, or of the output, if nothing else is said.
const BUFFER: usize = 64;

/// How many errors are kept if nothing else is said.
const KEEP_ERRORS: usize = 1024;

/// A pipeline under construction: it begins with [`from_iter`](Pipeline::from_iter), and does nothing until it is
/// [`run`](Pipeline::run) or [`spawn`](Pipeline::spawn)ed.
///
/// See the [module](self) for an example. A pipeline runs once, and has all its stages by then; anything else does not
/// compile:
///
/// ```compile_fail,E0382
/// # use aqueduct::pipeline::Pipeline;
/// let pipeline = Pipeline::from_iter(0..3);
/// pipeline.run(drop)?;
/// pipeline.map("too late", |n| n + 1).run(drop)?;
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
#[must_use = "a pipeline does nothing until it is run or spawned"]
pub struct Pipeline<N = ()> {
    flow: N,
    settings: Settings,
}

/// What concerns the whole run.
struct Settings {
    context: Option<Context>,
    drain: Option<Context>,
    output_buffer: usize,
    keep_errors: usize,
    progress: Option<Arc<Mutex<Progress>>>,
    start: Option<Start>,
}

/// Who is given the run's controller. Never locked: so a pipeline can be shared, as it could without.
struct Start(Mutex<Box<dyn FnOnce(Controller) + Send>>);

impl Start {
    fn tell(self, controller: Controller) {
        let take = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        take(controller);
    }
}

/// Who is told how far a run has come.
struct Progress {
    every: u64,
    delivered: u64,
    tell: Box<dyn FnMut(&PipelineMetrics) + Send>,
}

impl Progress {
    /// One item more.
    fn delivered(&mut self, control: &Control, total: Option<u64>) {
        self.delivered += 1;
        if self.delivered.is_multiple_of(self.every) {
            (self.tell)(&control.metrics(total));
        }
    }
}

impl Pipeline {
    /// Takes the items of an iterator. It is advanced on a thread of its own; under [`reduce`](Self::reduce), on the one that called that.
    ///
    /// An iterator that sleeps cannot be woken: a run that is to end waits for it. Where that matters, use
    /// [`source`](Self::source) or [`from_receiver`](Self::from_receiver).
    #[expect(clippy::should_implement_trait, reason = "what it makes is not `Self`")]
    pub fn from_iter<I>(items: I) -> Pipeline<impl Flow<Item = I::Item>>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
    {
        Pipeline::new(Source(FromIter(items.into_iter())))
    }

    /// Takes the items of an iterator, which the workers of the first stage advance themselves, one at a time: there is no thread for the source, and no
    /// queue between the two. Rayon calls that a [bridge](https://docs.rs/rayon/latest/rayon/iter/trait.ParallelBridge.html), oneTBB a serial input filter.
    ///
    /// It is the better choice where the next item is made quickly, and another where it is waited for: while all workers are busy, nobody reads
    /// ahead, and one that waits for an item cannot be woken, nor can those who wait behind it: a run that is to end waits for it. Of an iterator's end nobody knows
    /// before one has asked for more than there is. Where something else than a stage comes first, or one whose workers have [keys](Self::keyed), or a number that is found
    /// [by itself](Self::concurrency_auto), it is as [`from_iter`](Self::from_iter).
    ///
    /// What the iterator takes is time of the stage in [metrics](PipelineMetrics), and its [buffer](Self::buffer) is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let (sum, _) = Pipeline::bridge(1..=1_000_u64)
    ///     .map("square", |n| n * n)
    ///     .concurrency(2)
    ///     .reduce(|| 0, |sum, n| sum + n, |a, b| a + b)?;
    /// assert_eq!(sum, 333_833_500);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn bridge<I>(items: I) -> Pipeline<Bridge<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
    {
        Pipeline::new(Bridge::new(items.into_iter()))
    }

    /// Takes the items of a channel, until it ends. Other receivers of the channel may take their share.
    ///
    /// A run that is drained, stopped or aborted before that takes no more, and leaves what is in the channel to its other receivers. If there are none,
    /// it closes the channel and takes what is in it, since its senders were told that it is sent: in a drain it is delivered, else counted
    /// as cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{channel, pipeline::Pipeline, thread};
    ///
    /// let (sender, receiver) = channel::bounded(4);
    /// let producer = thread::spawn(move || (1..=3).try_for_each(|n| sender.send(n)))?;
    /// let mut sum = 0;
    /// Pipeline::from_receiver(receiver).run(|n| sum += n)?;
    /// assert_eq!(sum, 6);
    /// # producer.join()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Between a stream and a sink, in whatever runtime (feature `futures`): the channels are the bounds, so the stream is not asked for more than the
    /// sink takes. The stages have threads of their own, and hold none of the runtime's.
    ///
    /// ```
    /// # #[cfg(feature = "futures")] {
    /// use aqueduct::{channel, park, pipeline::Pipeline};
    /// use futures_util::{StreamExt, future, stream};
    ///
    /// let incoming = stream::iter(1..=100_u64);
    /// let (outgoing, squares) = channel::bounded(100);
    ///
    /// let (sender, receiver) = channel::bounded(16);
    /// let running = Pipeline::from_receiver(receiver)
    ///     .map("square", |n| n * n)
    ///     .concurrency(2)
    ///     .ordered(16)
    ///     .spawn()?;
    /// // Its end closes the channel, and so ends the pipeline.
    /// let feed = incoming.map(Ok).forward(sender.into_sink());
    /// let collect = running.output().stream().map(Ok).forward(outgoing.into_sink());
    /// let (fed, collected) = park::block_on(future::join(feed, collect));
    /// fed?;
    /// collected?;
    /// assert_eq!(running.wait()?.delivered(), 100);
    /// assert!(squares.iter().eq((1..=100).map(|n| n * n)));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_receiver<T: Send>(receiver: Receiver<T>) -> Pipeline<impl Flow<Item = T>> {
        Pipeline::new(Source(FromReceiver(receiver)))
    }

    /// Takes what a function sends. The function runs on a thread of its own (under [`reduce`](Self::reduce), on the one that called that), and may fail.
    ///
    /// Its error, or panic, stops the run as a failed item would under [`Policy::Stop`]: all items sent before are
    /// delivered.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use std::io::BufRead;
    ///
    /// let file = "one\ntwo\n".as_bytes();
    /// let mut lines = Vec::new();
    /// Pipeline::source(|out| {
    ///     for line in file.lines() {
    ///         out.send(line?)?;
    ///     }
    ///     Ok(())
    /// })
    /// .run(|line: String| lines.push(line))?;
    /// assert_eq!(lines, ["one", "two"]);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn source<T, F>(function: F) -> Pipeline<impl Flow<Item = T>>
    where
        T: Send,
        F: FnOnce(&mut Emitter<'_, T>) -> Result<(), BoxError> + Send,
    {
        Pipeline::new(Source(FromFn(function, PhantomData)))
    }
}

impl<N: Flow> Pipeline<N> {
    fn new(flow: N) -> Self {
        let settings = Settings {
            context: None,
            drain: None,
            output_buffer: BUFFER,
            keep_errors: KEEP_ERRORS,
            progress: None,
            start: None,
        };
        Self { flow, settings }
    }

    /// How many items may wait at the output; 64 if nothing is said.
    ///
    /// # Errors
    ///
    /// 0, and more than a channel can have, is a [`BuildError`] when the pipeline is run.
    pub fn output_buffer(mut self, items: usize) -> Self {
        self.settings.output_buffer = items;
        self
    }

    /// How many errors of failed items are kept until somebody reads them; 1024 if nothing is said, and at least one.
    ///
    /// When there is no place left, further errors are counted and dropped: failures cost no more memory than
    /// this, and never wait for a reader. To see them all, look at them in [`on_error`](Pipeline::on_error).
    pub fn keep_errors(mut self, errors: usize) -> Self {
        self.settings.keep_errors = errors;
        self
    }

    /// Ends the run when this context is done: every thread that waits for an item, or for room, wakes at once.
    ///
    /// The run then returns [`PipelineError::Cancelled`]. A stage that is at work on an item is waited for; give the
    /// context to its function too if it takes long.
    pub fn context(mut self, context: &Context) -> Self {
        self.settings.context = Some(context.clone());
        self
    }

    /// Lets nothing new in once this context is done: what is on its way is finished and delivered, and the run returns its report.
    ///
    /// It is what [`Running::drain`] does, for a run on the calling thread.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, pipeline::Pipeline};
    ///
    /// let enough = Context::background();
    /// let report = Pipeline::from_iter(0_u64..).drain_on(&enough).run(|n| {
    ///     if n == 10 {
    ///         enough.cancel();
    ///     }
    /// })?;
    /// assert!(report.delivered() > 10 && report.cancelled() == 0);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn drain_on(mut self, context: &Context) -> Self {
        self.settings.drain = Some(context.clone());
        self
    }

    /// Calls `tell` after every so many delivered items (at least one), on the thread that delivered the last of them: the one that called
    /// [`run`](Self::run), or a worker of a run in the background, or under [`reduce`](Self::reduce). Nobody is told of fewer: not of the last 10 of 100 where it is every 30. The end is
    /// for whoever gets the [`Report`].
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let report = Pipeline::from_iter(0..1000)
    ///     .map("work", |n| n + 1)
    ///     .on_progress(250, |metrics| {
    ///         let done = metrics.stages.last().map_or(0, |stage| stage.so_far.out());
    ///         println!("{done} of {:?}", metrics.total);
    ///     })
    ///     .run(drop)?;
    /// # assert_eq!(report.delivered(), 1000);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When `tell` panics, `run` does, with its payload, as if the function that takes the output had; a run in the background loses the worker, is aborted, and
    /// ends with [`PipelineError::Worker`], in whose report the items are missing that were in front of that worker.
    pub fn on_progress<F>(mut self, every: u64, tell: F) -> Self
    where
        F: FnMut(&PipelineMetrics) + Send + 'static,
    {
        let tell = Box::new(tell);
        let progress = Progress { every: every.max(1), delivered: 0, tell };
        self.settings.progress = Some(Arc::new(Mutex::new(progress)));
        self
    }
}

impl<N> Pipeline<N> {
    /// Calls `take` with a handle on the run, on the thread that begins it, when all its stages are there: so that it can be watched,
    /// resized and ended from elsewhere also while [`run`](Self::run) keeps this thread. A run that cannot begin does not call it.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use std::sync::mpsc;
    ///
    /// let (sender, controllers) = mpsc::channel();
    /// let mut limit = 1000;
    /// let report = Pipeline::from_iter(1_u64..)
    ///     .map("square", |n| n * n)
    ///     .on_start(move |controller| drop(sender.send(controller)))
    ///     .run(|square| {
    ///         if square > limit {
    ///             limit = u64::MAX;
    ///             controllers.try_recv().expect("it has begun").drain();
    ///         }
    ///     })?;
    /// assert!(report.delivered() >= 32 && !report.is_complete());
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// When `take` panics, as [`run`](Self::run) does when its own closure panics.
    pub fn on_start<F>(mut self, take: F) -> Self
    where
        F: FnOnce(Controller) + Send + 'static,
    {
        self.settings.start = Some(Start(Mutex::new(Box::new(take))));
        self
    }
}

impl<N> fmt::Debug for Pipeline<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("output_buffer", &self.settings.output_buffer)
            .field("keep_errors", &self.settings.keep_errors)
            .finish_non_exhaustive()
    }
}
