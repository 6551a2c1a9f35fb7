//! A pipeline whose type does not tell its stages, for those whose stages are known only when the program runs.

use super::Pipeline;
use super::bridge::Bridge;
use super::desk::Desk;
use super::error::BuildError;
use super::flow::{Below, Flow, Items, Launch, Order, Pump};
use super::parcel::{Parcel, Sink};
use crate::thread::SpawnError;
use std::fmt;
use std::sync::Arc;

/// A source and its stages, of whatever types: made by [`Pipeline::boxed`].
pub struct Boxed<'a, T>(Box<dyn AnyFlow<'a, T> + 'a>);

impl<T> fmt::Debug for Boxed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Boxed").field(&self.0.name()).finish()
    }
}

impl<N: Flow> Pipeline<N> {
    /// The same pipeline, with a type that says no more than what comes out of it.
    ///
    /// The type of a pipeline lists its stages, which is why a stage costs no more than a call. So it cannot be kept in a field, or grow in a loop, by
    /// as many stages as a configuration file asks for. This one can; what that costs is a virtual call for each item that the last stage
    /// hands on.
    ///
    /// What concerns a stage, such as [`concurrency`](Pipeline::concurrency), comes before it; what concerns all of the run, also behind it.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let asked_for = ["double", "add one", "double"];
    /// let mut pipeline = Pipeline::from_iter(0..3_u32).boxed();
    /// for name in asked_for {
    ///     let step = match name {
    ///         "double" => |n: u32| n * 2,
    ///         _ => |n: u32| n + 1,
    ///     };
    ///     pipeline = pipeline.map(name, step).concurrency(2).ordered(8).boxed();
    /// }
    /// let mut out = Vec::new();
    /// let report = pipeline.run(|n| out.push(n))?;
    /// assert_eq!(out, [2, 6, 10]);
    /// assert_eq!(report.stages().len(), 1 + asked_for.len());
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    pub fn boxed<'a>(self) -> Pipeline<Boxed<'a, N::Item>>
    where
        N: 'a,
    {
        let Self { flow, settings } = self;
        Pipeline { flow: Boxed(Box::new(flow)), settings }
    }
}

/// [`Flow`], for a flow behind a pointer.
trait AnyFlow<'a, T>: Send {
    fn position(&self) -> usize;
    fn name(&self) -> Arc<str>;
    fn makers(&self, is_ordered: bool) -> usize;
    fn is_in_order(&self) -> bool;
    fn total(&self) -> Option<u64>;
    fn check(&self, asked: Order<'_>) -> Result<(), BuildError>;
    fn into_shared(self: Box<Self>) -> Result<Bridge<Items<'a, T>>, Boxed<'a, T>>;
    fn launch<'scope>(
        self: Box<Self>,
        launch: &mut Launch<'scope, '_>,
        sink: AnySinkBox<'scope, T>,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        'a: 'scope;
}

impl<'a, N: Flow + 'a> AnyFlow<'a, N::Item> for N {
    fn position(&self) -> usize {
        Flow::position(self)
    }

    fn name(&self) -> Arc<str> {
        Flow::name(self)
    }

    fn makers(&self, is_ordered: bool) -> usize {
        Flow::makers(self, is_ordered)
    }

    fn is_in_order(&self) -> bool {
        Flow::is_in_order(self)
    }

    fn total(&self) -> Option<u64> {
        Flow::total(self)
    }

    fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        Flow::check(self, asked)
    }

    fn into_shared(self: Box<Self>) -> Result<Bridge<Items<'a, N::Item>>, Boxed<'a, N::Item>> {
        Flow::into_shared(*self).map_err(|flow| Boxed(Box::new(flow)))
    }

    fn launch<'scope>(
        self: Box<Self>,
        launch: &mut Launch<'scope, '_>,
        sink: AnySinkBox<'scope, N::Item>,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        'a: 'scope,
    {
        Flow::launch(*self, launch, sink, below)
    }
}

impl<'a, T: Send + 'a> Flow for Boxed<'a, T> {
    type Item = T;

    fn position(&self) -> usize {
        self.0.position()
    }

    fn name(&self) -> Arc<str> {
        self.0.name()
    }

    fn makers(&self, is_ordered: bool) -> usize {
        self.0.makers(is_ordered)
    }

    fn is_in_order(&self) -> bool {
        self.0.is_in_order()
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }

    fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        self.0.check(asked)
    }

    fn into_shared<'scope>(self) -> Result<Bridge<Items<'scope, T>>, Self>
    where
        Self: 'scope,
    {
        self.0.into_shared()
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<T> + 'scope,
    {
        self.0.launch(launch, AnySinkBox(Box::new(sink)), below)
    }
}

/// What the last stage in a box hands its parcels to.
struct AnySinkBox<'scope, T>(Box<dyn AnySink<'scope, T> + 'scope>);

/// [`Sink`], for a sink behind a pointer.
trait AnySink<'scope, T>: Send {
    fn duplicate(&self) -> AnySinkBox<'scope, T>;
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk);
    fn has_room(&self) -> bool;
    fn finish(self: Box<Self>, desk: &Desk);
}

impl<'scope, T, S: Sink<T> + 'scope> AnySink<'scope, T> for S {
    fn duplicate(&self) -> AnySinkBox<'scope, T> {
        AnySinkBox(Box::new(self.clone()))
    }

    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        Sink::put(self, parcel, desk);
    }

    fn has_room(&self) -> bool {
        Sink::has_room(self)
    }

    fn finish(self: Box<Self>, desk: &Desk) {
        Sink::finish(*self, desk);
    }
}

impl<T> Clone for AnySinkBox<'_, T> {
    fn clone(&self) -> Self {
        self.0.duplicate()
    }
}

impl<T> Sink<T> for AnySinkBox<'_, T> {
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        self.0.put(parcel, desk);
    }

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    fn finish(self, desk: &Desk) {
        self.0.finish(desk);
    }
}
