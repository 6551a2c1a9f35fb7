//! What nests: a source, and what is built around it, as one type that can be checked and launched.

use super::bridge::Bridge;
use super::cap::Cap;
use super::control::Control;
use super::desk::{Desk, Office, Staff};
use super::error::BuildError;
use super::order::Gate;
use super::parcel::Sink;
use super::trace;
use crate::foreign::discard;
use crate::lock;
use crate::sync::OwnedSemaphorePermit;
use crate::thread::{Builder, Panicked, Scope, ScopedJoinHandle, SpawnError};
use std::sync::{Arc, Mutex};

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

    /// The name of the last stage, or of the source.
    #[doc(hidden)]
    fn name(&self) -> Arc<str>;

    /// How many parties put items out at the end, at most, whether an ordered point follows or not.
    #[doc(hidden)]
    fn makers(&self, is_ordered: bool) -> usize;

    /// Whether they come out in the order of their numbers.
    #[doc(hidden)]
    fn is_in_order(&self) -> bool;

    /// How many items there will be, if that is known.
    #[doc(hidden)]
    fn total(&self) -> Option<u64>;

    /// Looks for what cannot run.
    #[doc(hidden)]
    fn check(&self, asked: Order<'_>) -> Result<(), BuildError>;

    /// The source, if the workers of the stage behind may share it; else all of it.
    #[doc(hidden)]
    fn into_shared<'scope>(self) -> Result<Bridge<Items<'scope, Self::Item>>, Self>
    where
        Self: 'scope,
    {
        Err(self)
    }

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

/// The source, ready to run on whatever thread is at hand; none, if the workers of a stage take from it themselves.
pub(super) type Pump<'scope> = Option<Box<dyn FnOnce() + Send + 'scope>>;

/// The items of a source that workers share.
pub(super) type Items<'scope, T> = Box<dyn Iterator<Item = T> + Send + 'scope>;

/// What an item owes: its share of the cap on what is in flight, given back when it, and all that was made of it, is
/// gone.
pub(super) type Fare = Option<Arc<Paid>>;

/// The share of one cap, and what was paid at those in front of it.
pub(super) struct Paid {
    pub(super) _permit: OwnedSemaphorePermit,
    pub(super) _before: Fare,
}

/// What the next of the parts downstream that cares asks of the order in which items come to it.
#[derive(Clone, Copy)]
pub enum Order<'a> {
    /// Nothing, or there is none that does.
    Any,
    /// An ordered point, whose window has so much room: the items may overtake each other in it.
    Restored(usize),
    /// A step of this name, which numbers anew what it makes, and behind it an order is asked for: they may not.
    Kept(&'a Arc<str>),
}

/// What the parts downstream ask of those upstream.
#[derive(Clone, Default)]
pub struct Below {
    /// An ordered point follows, or a step that has to tell one of every item: a number whose item falls out has to travel on as an empty parcel.
    pub(super) every_number: bool,
    /// The gate of the next ordered window, for whoever numbers the items or puts them in order again.
    pub(super) gate: Option<Gate>,
    /// How many items that window has room for.
    pub(super) window: usize,
    /// A commit point follows: somebody asks which is the last that was made of an item.
    pub(super) commits: bool,
    /// A step that remembers follows, with an ordered point behind it: see [`Order::Kept`].
    pub(super) in_order: bool,
}

/// A launch under way: where threads are started, and how to find their results.
pub struct Launch<'scope, 'env> {
    pub(super) scope: Scope<'scope, 'env>,
    pub(super) control: Arc<Control>,
    trace: trace::Run,
    /// The position of the last stage.
    last: usize,
    /// What stands behind the part that is opened next.
    caps: Vec<Cap>,
    /// An ordered point does.
    pub(super) has_one_way_out: bool,
    /// What is opened next takes from a bridge.
    pub(super) shares_source: bool,
    /// Why what is opened next may not have several workers, if so: it hands its items to a part that counts on their order, with no
    /// place between that restores it.
    pub(super) keeps_order: Option<BuildError>,
    crews: Vec<Arc<Crew<'scope, 'env>>>,
}

/// The workers of one stage. They may call others themselves.
pub(super) struct Crew<'scope, 'env> {
    pub(super) office: Arc<Office>,
    /// Its position; 0 is the source.
    index: usize,
    trace: trace::Run,
    scope: Scope<'scope, 'env>,
    workers: Mutex<Workers<'scope>>,
}

#[derive(Default)]
struct Workers<'scope> {
    handles: Vec<ScopedJoinHandle<'scope, ()>>,
    /// How many there have been: no two have the same name.
    named: usize,
    /// The first panic that took one of those away who have been joined.
    lost: Option<Panicked>,
}

/// What a stage did, all workers together; or the panic that took one of them away.
pub(super) struct Row {
    pub(super) office: Arc<Office>,
    pub(super) lost: Option<Panicked>,
}

impl<'scope, 'env> Launch<'scope, 'env> {
    /// The launch of a run whose last stage has this position.
    pub(super) fn new(
        scope: &Scope<'scope, 'env>,
        control: &Arc<Control>,
        trace: &trace::Run,
        last: usize,
    ) -> Self {
        let (scope, control, trace) = (scope.clone(), Arc::clone(control), trace.clone());
        Self {
            scope,
            control,
            trace,
            last,
            caps: Vec::new(),
            has_one_way_out: false,
            shares_source: false,
            keeps_order: None,
            crews: Vec::new(),
        }
    }

    /// The part that is opened next is the one in front of this cap.
    pub(super) fn cap_the_next(&mut self, cap: Cap) {
        self.caps.push(cap);
        self.keeps_order = Some(BuildError::CapOutOfOrder);
    }

    /// A stage's office and crew, without anybody yet.
    pub(super) fn open(
        &mut self,
        name: &Arc<str>,
        buffer: usize,
        staff: Staff,
        is_fixed: bool,
    ) -> Arc<Crew<'scope, 'env>> {
        let mut office = Office::new(name, buffer, staff, is_fixed);
        office.caps = std::mem::take(&mut self.caps);
        office.has_one_way_out = std::mem::take(&mut self.has_one_way_out);
        office.shares_source = std::mem::take(&mut self.shares_source);
        office.keeps_order.clone_from(&self.keeps_order);
        let office = Arc::new(office);
        self.control.open(&office);
        let (workers, trace) = (Mutex::default(), self.trace.clone());
        // From the last to the first, and each opens once.
        let index = self.last - self.crews.len();
        let crew = Arc::new(Crew { office, index, trace, scope: self.scope.clone(), workers });
        self.crews.push(Arc::clone(&crew));
        crew
    }

    /// Waits for all that were started. The rows are in the order of the stages.
    fn join_workers(self) -> Vec<Row> {
        // Launched from the last to the first, and joined from the first to the last.
        let rows = self.crews.into_iter().rev().map(|crew| crew.join()).collect();
        self.control.has_ended();
        rows
    }

    /// As [`join_workers`](Self::join_workers), and for the source, if it has a thread.
    pub(super) fn join(self, source: Option<ScopedJoinHandle<'scope, ()>>) -> Vec<Row> {
        let ended = source.map_or(Ok(()), ScopedJoinHandle::join);
        self.join_behind(ended)
    }

    /// As [`join_workers`](Self::join_workers), after a source that has ended so.
    pub(super) fn join_behind(self, ended: Result<(), Panicked>) -> Vec<Row> {
        let mut rows = self.join_workers();
        if let (Some(row), Err(panicked)) = (rows.first_mut(), ended) {
            row.lost = Some(panicked);
        }
        rows
    }
}

impl<'scope> Crew<'scope, '_> {
    /// Starts one worker more. It has a desk of its own, which is closed when it ends.
    pub(super) fn start<F>(&self, work: impl FnOnce(Arc<Desk>) -> F) -> Result<(), SpawnError>
    where
        F: FnOnce() + Send + 'scope,
    {
        let desk = self.office.desk();
        let leave = Leave { office: Arc::clone(&self.office), desk: Arc::clone(&desk) };
        let work = work(desk);
        let span = self.trace.stage(&self.office.name, self.index);
        self.join_those_who_left();
        let mut workers = lock(&self.workers);
        // A name of a stage may hold anything; that of a thread may not hold a zero byte.
        let name = format!("{}-{}", self.office.name.replace('\0', " "), workers.named);
        workers.named += 1;
        let handle = Builder::new().name(name).spawn_scoped(&self.scope, move || {
            let _leave = leave;
            span.within(work);
        })?;
        workers.handles.push(handle);
        Ok(())
    }

    /// A thread has its stack until it is joined: those who left go before others come, or a stage whose workers come and go would keep the
    /// stacks of all until the run ends.
    fn join_those_who_left(&self) {
        let left: Vec<_> =
            lock(&self.workers).handles.extract_if(.., |worker| worker.is_finished()).collect();
        left.into_iter().for_each(|worker| self.join_one(worker));
    }

    /// Waits for all, those included that come meanwhile.
    fn join(&self) -> Row {
        loop {
            // Not under the lock: the one we wait for may be calling another.
            let mut workers = lock(&self.workers);
            let Some(worker) = workers.handles.pop() else {
                return Row { office: Arc::clone(&self.office), lost: workers.lost.take() };
            };
            drop(workers);
            self.join_one(worker);
        }
    }

    fn join_one(&self, worker: ScopedJoinHandle<'_, ()>) {
        let Err(panicked) = worker.join() else { return };
        let mut workers = lock(&self.workers);
        if workers.lost.is_none() {
            workers.lost = Some(panicked);
        } else {
            drop(workers);
            discard(panicked);
        }
    }
}

/// What a worker leaves behind, also if it panics.
pub(super) struct Leave {
    pub(super) office: Arc<Office>,
    pub(super) desk: Arc<Desk>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.office.leave(&self.desk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, thread};

    #[test]
    fn workers_that_left_are_joined_when_others_come() {
        let (control, _errors) = Control::new(&Context::background(), None, 1);
        let control = Arc::new(control);
        let rows = thread::scope(|scope| {
            let mut launch = Launch::new(scope, &control, &trace::Run::started(), 1);
            let crew = launch.open(&"stage".into(), 1, Staff::fixed(1), false);
            for number in 0..20 {
                crew.start(|_| move || assert_ne!(number, 7, "on purpose")).unwrap();
                let workers = lock(&crew.workers);
                assert_eq!(workers.handles.len(), 1, "after {number} that left");
                while !workers.handles[0].is_finished() {
                    std::thread::yield_now();
                }
            }
            launch.join_workers()
        });
        let rows = rows.unwrap();
        let lost = rows[0].lost.as_ref().expect("the seventh panicked");
        assert!(lost.message().contains("on purpose"));
    }
}
