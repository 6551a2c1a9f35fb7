//! What is said of the last stage: how many work on it, what waits in front of it, what its failures mean, and what is fused with it.
#![expect(clippy::type_complexity, reason = "the type of a pipeline lists its stages")]

use super::Pipeline;
use super::error::BoxError;
use super::flow::Flow;
use super::keyed::ByKey;
use super::policy::{Backoff, Burying, ErrorPolicy, Keeping, Policy};
use super::stage::{Judged, Stage, Staged};
use super::work::{Fused, Map, Try};
use crate::pool::ScalePolicy;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::{fmt, hash};

/// What concerns the last stage.
impl<N: Staged> Pipeline<N> {
    /// How many threads the stage works on; 1 if nothing is said. A stage that remembers has one, whatever is said.
    ///
    /// # Errors
    ///
    /// 0 is a [`BuildError`](super::BuildError) when the pipeline is run.
    pub fn concurrency(self, workers: usize) -> Self {
        self.concurrency_auto(workers..=workers)
    }

    /// How many threads the stage works on: the fewest to begin with; more, as [`scale_policy`](Self::scale_policy) says, while items
    /// wait and nobody is free; and again fewer when some have had nothing to do for a second, down to one that is free, or to the fewest.
    ///
    /// [`Controller::resize`](super::Controller::resize) changes it while the run goes on.
    ///
    /// # Errors
    ///
    /// A range that is empty, or begins with 0, is a [`BuildError`](super::BuildError) when the pipeline is run.
    pub fn concurrency_auto(mut self, workers: RangeInclusive<usize>) -> Self {
        self.flow.plan().workers = workers;
        self
    }

    /// Who decides whether another worker comes, of those that [`concurrency_auto`](Self::concurrency_auto) allows; the pool's
    /// [`Thresholds`](crate::pool::Thresholds) if nothing is said.
    ///
    /// A stage asks [`on_submit`](ScalePolicy::on_submit), and nothing else: each time a worker has taken an item and nobody is free, also
    /// if none waits, with `now` (since the run began), `queued`, `workers`, `min` and `max` of the [`Load`](crate::pool::Load); the rest of it is zero, or
    /// `None`. When workers go again does not depend on the policy, and [`on_check`](ScalePolicy::on_check) is never asked: a stage has no clock of its own,
    /// and does not measure how long an item waits. So of `Thresholds` only `up` and `on_submit` have a meaning here, and a
    /// [`LatencyTarget`](crate::pool::LatencyTarget), which grows at checks, adds nobody. A policy that panics has said no.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use aqueduct::pool::Thresholds;
    ///
    /// // Another worker for each 4 items that wait, and not sooner.
    /// let patient = Thresholds { up: 4.0, on_submit: false, ..Thresholds::default() };
    /// let report = Pipeline::from_iter(0..1000)
    ///     .map("work", |n| n + 1)
    ///     .concurrency_auto(1..=4)
    ///     .scale_policy(patient)
    ///     .run(drop)?;
    /// assert!(report.stages()[1].concurrency() <= 4);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn scale_policy<S: ScalePolicy>(mut self, policy: S) -> Self {
        self.flow.plan().scaling = Arc::new(policy);
        self
    }

    /// How many items may wait in front of the stage; 64 if nothing is said. Never more; and whoever found it full is called
    /// once half of it is free, so that it comes for several at a time. Its memory is taken when the run begins. Between two stages of one worker each it is
    /// a [ring](aqueduct_core::queue::spsc) with one end for either; elsewhere a [channel](aqueduct_core::channel).
    ///
    /// # Panics
    ///
    /// The run does, or the program ends as it does for any memory that there is not, where there is no memory for so many items.
    ///
    /// # Errors
    ///
    /// 0, and more than a channel can have, is a [`BuildError`](super::BuildError) when the pipeline is run.
    pub fn buffer(mut self, items: usize) -> Self {
        self.flow.plan().buffer = items;
        self
    }
}

/// What concerns the last stage, if it has a policy: see [`Judged`].
impl<N: Judged> Pipeline<N> {
    /// What to do about items that fail in this stage; [`Policy::Stop`] if nothing is said.
    ///
    /// See [`ErrorPolicy`] for a policy that looks at the error.
    pub fn on_error<Q: ErrorPolicy<N::In>>(self, policy: Q) -> Pipeline<N::WithPolicy<Q>> {
        self.with(|flow| flow.map_policy(|_| policy))
    }

    /// As [`on_error`](Self::on_error), for a policy that may say [`Policy::Retry`]: a copy of each item is kept while it is worked
    /// on.
    pub fn on_error_keeping<Q>(self, policy: Q) -> Pipeline<N::WithPolicy<Keeping<Q>>>
    where
        N::In: Clone,
        Q: ErrorPolicy<N::In>,
    {
        self.with(|flow| flow.map_policy(|_| Keeping(policy)))
    }

    /// Tries items that fail again, with waits in between.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::{Backoff, Pipeline};
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::time::Duration;
    ///
    /// let calls = AtomicU32::new(0);
    /// let report = Pipeline::from_iter(["a"])
    ///     .stage("flaky", |item| match calls.fetch_add(1, Ordering::Relaxed) {
    ///         0 => Err("try again"),
    ///         _ => Ok(item),
    ///     })
    ///     .retry(Backoff::new(3, Duration::from_micros(10), Duration::from_millis(1)))
    ///     .run(drop)?;
    /// assert_eq!((report.delivered(), report.stages()[1].retried()), (1, 1));
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn retry(self, backoff: Backoff) -> Pipeline<N::WithPolicy<Keeping<Policy>>>
    where
        N::In: Clone,
    {
        self.on_error_keeping(Policy::Retry(backoff))
    }

    /// Where items go that fail for good, with their errors, when the policy says [`Policy::DeadLetter`]. The function is
    /// called on the worker, and if it panics the run stops, since nobody knows what became of the two; if it has a queue, let it be one that is never full, or that overwrites. Say the policy first:
    /// [`on_error`](Self::on_error) takes the place of whatever was said before, of this as well.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::{Pipeline, Policy};
    /// use std::sync::Mutex;
    ///
    /// let dead = Mutex::new(Vec::new());
    /// let report = Pipeline::from_iter(["1", "two"])
    ///     .stage("parse", |text: &str| text.parse::<u32>())
    ///     .on_error(Policy::DeadLetter)
    ///     .dead_letters(|text, _error| dead.lock().expect("nobody panics").push(text))
    ///     .run(drop)?;
    /// assert_eq!((report.delivered(), report.stages()[1].dead_lettered()), (1, 1));
    /// assert_eq!(dead.into_inner().expect("nobody panics"), ["two"]);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn dead_letters<D>(self, bury: D) -> Pipeline<N::WithPolicy<Burying<N::Policy, D>>>
    where
        N::In: Clone,
        D: Fn(N::In, super::StageError) + Send + Sync,
    {
        self.with(|flow| flow.map_policy(|policy| Burying(policy, bury)))
    }

    /// Gives items of one key to one worker, in the order in which they come; and errors the item's key.
    ///
    /// Keys are spread over the workers by a hash, and each worker has its share of the buffer. The number of workers is fixed. The order in
    /// which items of one key come is that of the source if nothing in front overtakes. An item on which `key` panics has failed.
    ///
    /// # Errors
    ///
    /// [`concurrency_auto`](Self::concurrency_auto) beside it is a [`BuildError`](super::BuildError) when the pipeline is run.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let mut last = [0; 3];
    /// Pipeline::from_iter(1..100)
    ///     .map("account", |n| n)
    ///     .concurrency(4)
    ///     .keyed(|n| n % 3)
    ///     .run(|n| {
    ///         let before = std::mem::replace(&mut last[n % 3], n);
    ///         assert!(before < n, "those of one account in order");
    ///     })?;
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn keyed<T, F>(self, key: F) -> Pipeline<N::WithKey<ByKey<F, T>>>
    where
        F: Fn(&N::In) -> T + Clone + Send + Sync,
        T: hash::Hash + fmt::Debug,
    {
        self.with(|flow| flow.with_key(ByKey::new(key)))
    }
}

/// What can be done to a stage whose function is known.
impl<P: Flow, W, O, K> Pipeline<Stage<P, W, O, K>> {
    /// Adds a step to the stage itself: its workers do both, one after the other, with no queue in between.
    ///
    /// That pays where a step costs less than handing an item on, some hundred nanoseconds. In reports and errors the two are one stage, with
    /// both names.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let report = Pipeline::from_iter(["1", "2"])
    ///     .map("trim", str::trim)
    ///     .fuse("parse", str::parse::<u32>)
    ///     .run(drop)?;
    /// assert_eq!(report.stages()[1].name(), "trim + parse");
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn fuse<In, Out, E, F>(
        self,
        name: &str,
        function: F,
    ) -> Pipeline<Stage<P, Fused<W, Try<F>>, O, K>>
    where
        W: super::work::Work<P::Item, Out = In>,
        Out: Send,
        E: Into<BoxError>,
        F: Fn(In) -> Result<Out, E> + Send + Sync,
    {
        self.fused(name, Try(function))
    }

    /// As [`fuse`](Self::fuse), with a step that cannot fail.
    pub fn fuse_map<In, Out, F>(
        self,
        name: &str,
        function: F,
    ) -> Pipeline<Stage<P, Fused<W, Map<F>>, O, K>>
    where
        W: super::work::Work<P::Item, Out = In>,
        Out: Send,
        F: Fn(In) -> Out + Send + Sync,
    {
        self.fused(name, Map(function))
    }

    fn fused<B>(self, name: &str, then: B) -> Pipeline<Stage<P, Fused<W, B>, O, K>> {
        self.with(|Stage { upstream, work, policy, key, mut plan }| {
            plan.name = format!("{} + {name}", plan.name).into();
            Stage { upstream, work: Fused(work, then), policy, key, plan }
        })
    }
}
