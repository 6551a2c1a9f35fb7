//! What a pipeline is built of: its stages, one call for each.
#![expect(clippy::type_complexity, reason = "the type of a pipeline lists its stages")]

use super::cap::Capped;
use super::error::BoxError;
use super::flow::Flow;
use super::keyed::Unkeyed;
use super::machine::{Batch, Batching, Pace, Quiet, Scan};
use super::order::{OnCommit, Ordered};
use super::policy::Policy;
use super::serial::{Machine, Serial};
use super::stage::{Plan, Stage};
use super::unpack::{Sifted, Unpacked};
use super::work::{Map, Try, TryInit};
use super::{BUFFER, Pipeline};
use std::sync::Arc;
use std::time::Duration;

impl<N: Flow> Pipeline<N> {
    /// Adds a stage whose function can fail. What an error means is up to [`on_error`](Pipeline::on_error).
    ///
    /// The stage has one worker and a buffer of 64 items, until [`concurrency`](Pipeline::concurrency) and
    /// [`buffer`](Pipeline::buffer) say something else.
    pub fn stage<Out, E, F>(
        self,
        name: impl Into<Arc<str>>,
        function: F,
    ) -> Pipeline<Stage<N, Try<F>, Policy>>
    where
        Out: Send,
        E: Into<BoxError>,
        F: Fn(N::Item) -> Result<Out, E> + Send + Sync,
    {
        self.then(name.into(), Try(function))
    }

    /// Adds a stage whose function cannot fail. If it panics, the item has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let mut lengths = Vec::new();
    /// Pipeline::from_iter(["a", "bc"]).map("measure", str::len).run(|n| lengths.push(n))?;
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn map<Out, F>(
        self,
        name: impl Into<Arc<str>>,
        function: F,
    ) -> Pipeline<Stage<N, Map<F>, Policy>>
    where
        Out: Send,
        F: Fn(N::Item) -> Out + Send + Sync,
    {
        self.then(name.into(), Map(function))
    }

    /// Adds a stage whose workers each have something of their own: a buffer, a connection, a compiled pattern.
    ///
    /// `init` makes it on the worker's thread, when its first item comes and again after a panic. It need not be
    /// `Send`.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use std::io;
    ///
    /// let files = ["/dev/null"];
    /// Pipeline::from_iter(files)
    ///     .stage_init("count", || vec![0; 64 * 1024], |buffer, path| {
    ///         use std::io::Read;
    ///         std::fs::File::open(path)?.read(buffer)
    ///     })
    ///     .run(|bytes| println!("{bytes}"))?;
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn stage_init<State, Out, E, I, F>(
        self,
        name: impl Into<Arc<str>>,
        init: I,
        function: F,
    ) -> Pipeline<Stage<N, TryInit<I, F>, Policy>>
    where
        Out: Send,
        E: Into<BoxError>,
        I: Fn() -> State + Send + Sync,
        F: Fn(&mut State, N::Item) -> Result<Out, E> + Send + Sync,
    {
        self.then(name.into(), TryInit(init, function))
    }

    /// Keeps the items of which `keep` says true. Further calls, of [`concurrency`](Self::concurrency) say, are about it as about
    /// any stage; an item on which it panics has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let report = Pipeline::from_iter(0..10)
    ///     .filter("even", |n| n % 2 == 0)
    ///     .flat_map("twice", |n| [n, n])
    ///     .run(|n| println!("{n}"))?; // 0, 0, 2, 2, ..
    /// let [_, even, twice] = report.stages() else { unreachable!("a source and two stages") };
    /// assert_eq!((even.received(), even.filtered(), even.out()), (10, 5, 5));
    /// assert_eq!((twice.received(), twice.added(), twice.out()), (5, 5, 10));
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn filter<F>(
        self,
        name: impl Into<Arc<str>>,
        keep: F,
    ) -> Pipeline<Sifted<Stage<N, Map<impl Fn(N::Item) -> Option<N::Item> + Send + Sync>, Policy>>>
    where
        F: Fn(&N::Item) -> bool + Send + Sync,
    {
        self.filter_map(name, move |item| keep(&item).then_some(item))
    }

    /// Hands on what the function makes, and leaves out items of which it makes nothing.
    pub fn filter_map<Out, F>(
        self,
        name: impl Into<Arc<str>>,
        function: F,
    ) -> Pipeline<Sifted<Stage<N, Map<F>, Policy>>>
    where
        Out: Send,
        F: Fn(N::Item) -> Option<Out> + Send + Sync,
    {
        self.map(name, function).with(Sifted)
    }

    /// Hands on, one by one, all that the function makes of an item.
    ///
    /// What it makes of one item counts as one until it is handed on: a list is in memory as a whole, an iterator that is lazy is run
    /// while there is room. Such a one may have no end: it is run no longer than the run goes on; but if it sleeps, it cannot be woken. If it panics, the run
    /// stops at the item that it was made of, whatever the policy, which is asked about the function alone.
    ///
    /// If something made of an item fails in a stage behind, and that [stops](Policy::Stop) the run, it stops at the item: what else was made of it may come
    /// out or not. Whoever wants all in front of a failure makes items of it in the source.
    ///
    /// If an ordered point follows, what is made keeps the order of the items that it was made of. If a [`commit_point`](Self::commit_point) does, an
    /// iterator is asked for its next before what it has made goes on: only so it is known which is the last.
    pub fn flat_map<Out, F>(
        self,
        name: impl Into<Arc<str>>,
        function: F,
    ) -> Pipeline<Unpacked<Stage<N, Map<F>, Policy>>>
    where
        Out: IntoIterator<Item: Send> + Send,
        F: Fn(N::Item) -> Out + Send + Sync,
    {
        self.map(name, function).with(Unpacked)
    }

    /// Looks at each item, and hands it on.
    pub fn inspect<F>(
        self,
        name: impl Into<Arc<str>>,
        look: F,
    ) -> Pipeline<Stage<N, Map<impl Fn(N::Item) -> N::Item + Send + Sync>, Policy>>
    where
        F: Fn(&N::Item) + Send + Sync,
    {
        self.map(name, move |item| {
            look(&item);
            item
        })
    }

    /// Carries a value from item to item, on one thread: running sums, deltas, numbers. If the function panics, the run stops.
    ///
    /// The items come in the order in which they reach it; put an [`ordered`](Self::ordered) in front where that counts. It has to be there if the
    /// stages in front overtake each other and one follows: see [`ordered`](Self::ordered).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let mut sums = Vec::new();
    /// Pipeline::from_iter(1..=4)
    ///     .scan("sum", 0, |sum, n| {
    ///         *sum += n;
    ///         *sum
    ///     })
    ///     .run(|sum| sums.push(sum))?;
    /// assert_eq!(sums, [1, 3, 6, 10]);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A place between workers that overtake each other and an [ordered point](Self::ordered) is a [`BuildError`](super::BuildError) when the pipeline is
    /// run.
    pub fn scan<A, Out, F>(
        self,
        name: impl Into<Arc<str>>,
        init: A,
        function: F,
    ) -> Pipeline<Serial<N, Scan<A, F>>>
    where
        A: Send,
        Out: Send,
        F: FnMut(&mut A, N::Item) -> Out + Send,
    {
        self.serial(name.into(), Scan(init, function))
    }

    /// Puts items together in lists: see [`Batch`]. In errors a list is called by its first item.
    ///
    /// # Errors
    ///
    /// A batch of 0 items is a [`BuildError`](super::BuildError) when the pipeline is run; so is one behind workers that overtake each other, and in front
    /// of an [ordered point](Self::ordered).
    pub fn batch(
        self,
        name: impl Into<Arc<str>>,
        batch: Batch,
    ) -> Pipeline<Serial<N, Batching<N::Item, fn(&N::Item) -> usize>>> {
        self.serial(name.into(), Batching::new(batch, |_| 1))
    }

    /// As [`batch`](Self::batch), with the limit in whatever `weigh` says of each item: bytes, rows, cost. What weighs nothing counts as 1, or there
    /// might be no end of it. A batch is handed on with the item that reaches the limit, and is heavier than that by what this one weighs too much.
    ///
    /// # Errors
    ///
    /// As [`batch`](Self::batch).
    pub fn batch_by<F>(
        self,
        name: impl Into<Arc<str>>,
        batch: Batch,
        weigh: F,
    ) -> Pipeline<Serial<N, Batching<N::Item, F>>>
    where
        F: FnMut(&N::Item) -> usize + Send,
    {
        self.serial(name.into(), Batching::new(batch, weigh))
    }

    /// Lets at most so many items pass in any so much time, the first so many at once.
    ///
    /// It remembers when each of them passed, 16 bytes an item. With a time that the clock does not reach, such as [`Duration::MAX`], no more
    /// than the first so many pass, and the others wait until the run is stopped or aborted. In reports an item that waits for its turn is worked on:
    /// its wait is [busy](super::StageReport::busy).
    ///
    /// # Errors
    ///
    /// 0 items is a [`BuildError`](super::BuildError) when the pipeline is run; so is a place between workers that overtake each other and an
    /// [ordered point](Self::ordered).
    pub fn rate_limit(
        self,
        name: impl Into<Arc<str>>,
        items: u32,
        per: Duration,
    ) -> Pipeline<Serial<N, Pace>> {
        self.serial(name.into(), Pace::new(items, per))
    }

    /// Lets an item pass when no other has come for so long after it; the ones before it count as
    /// [`filtered`](super::StageReport::filtered). At the end of input the last one passes at once.
    ///
    /// The time is between the moments in which the step takes them: while one that passes waits for room, those that come behind it wait in the buffer, and
    /// have come together when it goes on.
    ///
    /// # Errors
    ///
    /// A place between workers that overtake each other and an [ordered point](Self::ordered) is a [`BuildError`](super::BuildError) when the pipeline is
    /// run.
    pub fn debounce(
        self,
        name: impl Into<Arc<str>>,
        quiet: Duration,
    ) -> Pipeline<Serial<N, Quiet<N::Item>>> {
        self.serial(name.into(), Quiet::new(quiet))
    }

    fn serial<M: Machine<N::Item>>(self, name: Arc<str>, machine: M) -> Pipeline<Serial<N, M>> {
        let plan = Plan::new(name, BUFFER);
        self.with(|upstream| Serial { upstream, machine, plan })
    }

    fn then<W>(self, name: Arc<str>, work: W) -> Pipeline<Stage<N, W, Policy>> {
        let (policy, key, plan) = (Policy::default(), Unkeyed, Plan::new(name, BUFFER));
        self.with(|upstream| Stage { upstream, work, policy, key, plan })
    }

    /// Puts the items back in the order of the source, here.
    ///
    /// At most `window` items are between the source (or the last ordered point) and the place behind this one. An item
    /// that takes long holds up those behind it, and when the window is full, the source. It cannot deadlock: items
    /// enter the window in order, so the one that all others wait for is always inside. Give it room for several
    /// times the workers in front of it; an empty place costs a few words.
    ///
    /// A step that remembers ([`batch`](Self::batch), [`scan`](Self::scan), [`rate_limit`](Self::rate_limit), [`debounce`](Self::debounce)) takes items as
    /// they come, and what it makes is in that order. So one in front of this, with several workers in front of it, wants an ordered point of its own
    /// between:
    ///
    /// ```
    /// use aqueduct::pipeline::{Batch, Pipeline};
    ///
    /// let mut sums = Vec::new();
    /// Pipeline::from_iter(0..6)
    ///     .map("fetch", |n| n * 10)
    ///     .concurrency(4)
    ///     .ordered(16)
    ///     .batch("pairs", Batch::of(2))
    ///     .map("sum", |pair: Vec<u32>| pair.iter().sum::<u32>())
    ///     .concurrency(2)
    ///     .ordered(16)
    ///     .run(|sum| sums.push(sum))?;
    /// assert_eq!(sums, [10, 50, 90]);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// A window of 0, or of more than a channel can have, one smaller than the [`concurrency`](Pipeline::concurrency) of a stage in front of it, and a step that remembers behind
    /// workers that overtake each other, are a [`BuildError`](super::BuildError) when the pipeline is run.
    pub fn ordered(self, window: usize) -> Pipeline<Ordered<N>> {
        self.with(|upstream| Ordered { upstream, window, commit: () })
    }

    /// As [`ordered`](Self::ordered), and tells how far the output has come: after `done(n)`, nothing that was made of the first `n` items of
    /// the source will pass here any more. They have passed, or were left out, or went to dead letters; an item that stops the run
    /// is not among them, nor one that was on its way here when the run was aborted. The items of a batch are done when it passes.
    ///
    /// The calls come one at a time, each with a larger `n`, on whichever worker is at hand. Behind a stage that stores things it is the place
    /// to write down where to begin next time.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    /// use std::sync::Mutex;
    ///
    /// let offset = Mutex::new(0);
    /// Pipeline::from_iter(0..100)
    ///     .map("store", drop)
    ///     .concurrency(4)
    ///     .commit_point(16, |done| *offset.lock().expect("nobody panics") = done)
    ///     .run(drop)?;
    /// assert_eq!(*offset.lock().expect("nobody panics"), 100);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`ordered`](Self::ordered).
    pub fn commit_point<F>(self, window: usize, done: F) -> Pipeline<Ordered<N, OnCommit<F>>>
    where
        F: Fn(u64) + Send + Sync,
    {
        self.with(|upstream| Ordered { upstream, window, commit: OnCommit(done) })
    }

    /// Lets at most so many items be under way from here to the output, whatever the buffers would allow.
    ///
    /// Items enter in order, so the one that all others wait for is always inside: neither this nor a window can lock up. An item counts
    /// until it is left out, or until the function that takes the output has returned; with [`spawn`](Self::spawn), until it is in the output: what
    /// waits there comes on top, up to the [`output_buffer`](Self::output_buffer). And no longer than until a [batch](Self::batch), or another
    /// step that remembers, has taken it up: for what is behind that, put another cap there.
    ///
    /// # Errors
    ///
    /// 0 items, and a place behind workers that overtake each other, are a [`BuildError`](super::BuildError) when the
    /// pipeline is run.
    pub fn max_in_flight(
        self,
        items: usize,
    ) -> Pipeline<Capped<N, impl Fn(&N::Item) -> usize + Send + Sync>> {
        self.max_weight_in_flight(items, |_| 1)
    }

    /// As [`max_in_flight`](Self::max_in_flight), with the bound in whatever `weigh` says of each item: bytes, say. What is heavier than all
    /// that is allowed goes alone; what weighs nothing counts as 1. If `weigh` panics, the run stops at that item.
    ///
    /// # Errors
    ///
    /// As [`max_in_flight`](Self::max_in_flight).
    pub fn max_weight_in_flight<F>(self, weight: usize, weigh: F) -> Pipeline<Capped<N, F>>
    where
        F: Fn(&N::Item) -> usize + Send + Sync,
    {
        self.with(|upstream| Capped { upstream, most: weight, weigh })
    }
}

impl<N> Pipeline<N> {
    pub(super) fn with<M>(self, build: impl FnOnce(N) -> M) -> Pipeline<M> {
        Pipeline { flow: build(self.flow), settings: self.settings }
    }
}
