//! What nests: a source, and what is built around it, as one type that can be checked and launched.

use super::control::Control;
use super::edge::Sink;
use super::error::BuildError;
use super::order::Gate;
use super::report::Counts;
use crate::thread::{Builder, Panicked, Scope, ScopedJoinHandle, SpawnError};
use std::sync::Arc;

/// A chain of a source and stages: what a [`Pipeline`](super::Pipeline) is made of.
///
/// The trait is sealed. It has a name so that a function can return a pipeline:
///
/// ```
/// use aqueduct::pipeline::{Flow, Pipeline};
///
/// fn squares(count: u64) -> Pipeline<impl Flow<Item = u64>> {
///     Pipeline::from_iter(0..count).map("square", |n| n * n)
/// }
///
/// let mut sum = 0;
/// squares(4).run(|square| sum += square)?;
/// assert_eq!(sum, 14);
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
pub trait Flow: Sized + Send {
    /// What comes out at the end.
    type Item: Send;

    /// The position of the last stage; 0 is the source.
    #[doc(hidden)]
    fn position(&self) -> usize;

    /// Looks for what cannot run. `window` is that of the next ordered point, if there is one.
    #[doc(hidden)]
    fn check(&self, window: Option<usize>) -> Result<(), BuildError>;

    /// Starts the workers, from the last stage to the first, and returns what is left to run: the source.
    ///
    /// On an error the workers that were started already see the end of their input, and end.
    #[doc(hidden)]
    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<Self::Item> + 'scope;
}

/// The source, ready to run on whatever thread is at hand.
pub(super) type Pump<'scope> = Box<dyn FnOnce() -> Counts + Send + 'scope>;

/// What the parts downstream ask of those upstream.
#[derive(Clone, Default)]
pub struct Below {
    /// An ordered point follows: a number whose item falls out has to travel on as an empty parcel.
    pub(super) every_number: bool,
    /// The gate of the next ordered window, for whoever numbers the items or puts them in order again.
    pub(super) gate: Option<Gate>,
}

/// A launch under way: where threads are started, and how to find their results.
pub struct Launch<'scope, 'env> {
    scope: Scope<'scope, 'env>,
    pub(super) control: Arc<Control>,
    crews: Vec<Crew<'scope>>,
}

/// The workers of one stage.
struct Crew<'scope> {
    name: Arc<str>,
    workers: Vec<ScopedJoinHandle<'scope, Counts>>,
}

/// What a stage did, all workers together; or the panic that took one of them away.
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) concurrency: usize,
    pub(super) counts: Counts,
    pub(super) lost: Option<Panicked>,
}

impl<'scope, 'env> Launch<'scope, 'env> {
    pub(super) fn new(scope: &Scope<'scope, 'env>, control: &Arc<Control>) -> Self {
        Self { scope: scope.clone(), control: Arc::clone(control), crews: Vec::new() }
    }

    /// Starts one thread per item of `workers`, named after the stage.
    pub(super) fn crew<F>(
        &mut self,
        name: &Arc<str>,
        workers: impl Iterator<Item = F>,
    ) -> Result<(), SpawnError>
    where
        F: FnOnce() -> Counts + Send + 'scope,
    {
        self.crews.push(Crew { name: Arc::clone(name), workers: Vec::new() });
        for (number, worker) in workers.enumerate() {
            // A name of a stage may hold anything; that of a thread may not hold a zero byte.
            let name = format!("{}-{number}", name.replace('\0', " "));
            let handle = Builder::new().name(name).spawn_scoped(&self.scope, worker)?;
            if let Some(crew) = self.crews.last_mut() {
                crew.workers.push(handle);
            }
        }
        Ok(())
    }

    /// Waits for all that were started. The rows are in the order of the stages.
    pub(super) fn join(self) -> Vec<Row> {
        // Launched from the last to the first, and joined from the first to the last.
        self.crews.into_iter().rev().map(Crew::join).collect()
    }
}

impl Crew<'_> {
    fn join(self) -> Row {
        let mut row = Row {
            name: self.name,
            concurrency: self.workers.len(),
            counts: Counts::default(),
            lost: None,
        };
        for worker in self.workers {
            match worker.join() {
                Ok(counts) => row.counts += counts,
                Err(panicked) => row.lost = row.lost.or(Some(panicked)),
            }
        }
        row
    }
}
