//! Steps that see the items one after the other and remember: running sums, batches, paces, quiet times.

use super::control::{AbortOnUnwind, Control};
use super::desk::{Count, Desk, Staff};
use super::edge::{Exit, Taken, edge};
use super::error::{BuildError, Cause, StageError};
use super::flow::{Below, Fare, Flow, Launch, Order, Pump};
use super::order::Gate;
use super::parcel::{Parcel, Sink};
use super::stage::{Plan, Staged};
use super::trace;
use crate::thread::{self, SpawnError};
use std::sync::Arc;
use std::time::Instant;

/// A flow with a step at its end that has one worker, and a memory.
pub struct Serial<P, M> {
    pub(super) upstream: P,
    pub(super) machine: M,
    pub(super) plan: Plan,
}

/// What such a step does. It makes at most one item at a time.
pub trait Machine<In>: Send {
    /// What it makes.
    type Out: Send;

    /// What it makes of several items is the last of them, and not something made of all.
    const PASSES_THE_LAST: bool = false;

    /// Whether it can work as it was set up.
    fn is_possible(&self) -> bool {
        true
    }

    /// Takes an item.
    fn take(&mut self, item: In) -> Option<Self::Out>;

    /// Until when it waits for the next item.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether that is over, though the next item may be at hand.
    fn is_late(&self) -> bool {
        false
    }

    /// No item came until then, or none will come any more; or it is late.
    fn late(&mut self) -> Option<Self::Out> {
        None
    }

    /// When what it made may go on.
    fn due(&mut self) -> Due {
        Due::Now
    }

    /// It has gone on.
    fn passed(&mut self) {}
}

/// When something may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once.
    Now,
    /// Not before.
    At(Instant),
    /// Not while the clock runs.
    Never,
}

impl<P: Flow, M: Machine<P::Item>> Staged for Serial<P, M> {
    type In = P::Item;

    fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }
}

impl<P: Flow, M: Machine<P::Item>> Flow for Serial<P, M> {
    type Item = M::Out;

    fn position(&self) -> usize {
        self.upstream.position() + 1
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.plan.name)
    }

    fn makers(&self, _: bool) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        // Of what it makes, which it numbers itself.
        true
    }

    fn total(&self) -> Option<u64> {
        self.upstream.total()
    }

    fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        let stage = || self.plan.name.to_string();
        if !self.machine.is_possible() {
            return Err(BuildError::Zero { stage: stage() });
        }
        self.plan.check(Order::Any)?;
        // It numbers what it makes in the order in which items come: where that order is asked for, it has to be the source's.
        self.upstream.check(match asked {
            Order::Any => Order::Any,
            Order::Restored(_) | Order::Kept(_) => Order::Kept(&self.plan.name),
        })
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<M::Out> + 'scope,
    {
        let Self { upstream, machine, plan } = self;
        let crew = launch.open(&plan.name, plan.buffer, Staff::fixed(1), true);
        let (entrance, exit) = edge(&launch.control, &crew.office, 1, upstream.makers(false), 1);
        let in_order = below.every_number || below.in_order;
        let out_of_order = || BuildError::StepOutOfOrder { stage: plan.name.to_string() };
        launch.keeps_order = in_order.then(out_of_order);
        let control = Arc::clone(&launch.control);
        let index = upstream.position() + 1;
        let commits = below.commits;
        crew.start(|desk| {
            let (next, gate, name) = (0, below.gate, plan.name);
            let out = Out { sink, gate, next, inside: 0, item: 0, done: 0, desk };
            move || Operator { machine, exit, out, name, index, control }.run()
        })?;
        // Whoever commits wants to hear also of what is left out in front of here.
        let above = Below { every_number: commits, commits, in_order, ..Below::default() };
        upstream.launch(launch, entrance, above)
    }
}

/// The thread of the step.
struct Operator<In, M, S> {
    machine: M,
    exit: Exit<In>,
    out: Out<S>,
    name: Arc<str>,
    index: usize,
    control: Arc<Control>,
}

/// Where what the machine makes goes, and what it is made of.
struct Out<S> {
    sink: S,
    gate: Option<Gate>,
    next: u64,
    /// Items that the machine has taken, and made nothing of yet.
    inside: u64,
    /// The position of the first of them; of the last, where that is what goes on.
    item: u64,
    /// How many items of the source are done with all that came so far.
    done: u64,
    desk: Arc<Desk>,
}

impl<In, M, S> Operator<In, M, S>
where
    In: Send,
    M: Machine<In>,
    S: Sink<M::Out>,
{
    fn run(mut self) {
        let control = Arc::clone(&self.control);
        let _abort = AbortOnUnwind(&control);
        loop {
            let desk = Arc::clone(&self.out.desk);
            if self.machine.is_late() {
                let made = self.machine.late();
                self.hand_on(made, None);
            }
            match self.exit.take_until(self.machine.deadline(), &desk) {
                Taken::Item(Parcel { item, done, load: Some(load), fare, .. }) => {
                    desk.is_at(item);
                    self.step(item, done, fare, load);
                    desk.is_between();
                }
                Taken::Item(Parcel { item, done, load: None, .. }) => {
                    self.out.leave_out::<M::Out>(item, done, &control);
                }
                Taken::Late => {
                    let made = self.machine.late();
                    self.hand_on(made, None);
                }
                Taken::End => break,
            }
        }
        if !control.work().is_done() {
            let made = self.machine.late();
            self.hand_on(made, None);
        }
        let Out { sink, inside, desk, .. } = self.out;
        desk.add(Count::Cancelled, inside);
        sink.finish(&desk);
    }

    fn step(&mut self, item: u64, done: u64, fare: Fare, load: In) {
        self.out.desk.count(Count::Received);
        if !self.control.admits(item) {
            return self.out.desk.count(Count::Cancelled);
        }
        let span = trace::Item::begun(item);
        match span.within(|| thread::catch(|| self.machine.take(load))) {
            Ok(made) => {
                span.close("taken");
                self.out.take(item, done, M::PASSES_THE_LAST);
                // What a step remembers is bounded by itself. Under a cap besides, a batch could wait for items that
                // are not let in before it is gone.
                let fare = fare.filter(|_| self.out.inside == 1);
                self.hand_on(made, fare);
            }
            Err(panicked) => {
                self.out.desk.count(Count::Stopped);
                span.over("stopped");
                let cause = Cause::Panicked(panicked);
                let error = StageError::new(&self.name, self.index, item, cause);
                let kept = self.control.stop(error).is_none_or(|error| self.control.keep(error));
                self.out.desk.add(Count::Unkept, u64::from(!kept));
            }
        }
    }

    fn hand_on(&mut self, made: Option<M::Out>, fare: Fare) {
        let Some(made) = made else { return };
        match self.machine.due() {
            Due::Now => {}
            Due::At(then) => self.control.hold(self.out.item, Some(then)),
            Due::Never => self.control.hold(self.out.item, None),
        }
        self.out.put(made, fare, &self.control);
        // Not before: from when it went on, others count, however long that took.
        self.machine.passed();
    }
}

impl<S> Out<S> {
    fn take(&mut self, item: u64, done: u64, passes_the_last: bool) {
        let is_named = self.inside == 0 || passes_the_last;
        self.item = if is_named { item } else { self.item.min(item) };
        self.done = self.done.max(done);
        self.inside += 1;
    }

    /// An item was left out on its way here. Those behind hear of it with what is inside, or else at once.
    fn leave_out<T>(&mut self, item: u64, done: u64, control: &Control)
    where
        S: Sink<T>,
    {
        if !control.admits(item) {
            return;
        }
        self.done = self.done.max(done);
        if self.inside == 0 {
            self.send(item, None, None, control);
        }
    }

    /// Hands on what was made of all that is inside.
    fn put<T>(&mut self, made: T, fare: Fare, control: &Control)
    where
        S: Sink<T>,
    {
        let several = std::mem::take(&mut self.inside);
        // One of them goes on for all.
        self.desk.add(Count::Absorbed, several.saturating_sub(1));
        self.desk.count(Count::Put);
        self.send(self.item, Some(made), fare, control);
    }

    fn send<T>(&mut self, item: u64, load: Option<T>, fare: Fare, control: &Control)
    where
        S: Sink<T>,
    {
        let parcel = Parcel { seq: self.next, item, done: self.done, load, fare };
        self.next += 1;
        let aborted = self.gate.is_some() && control.work().is_done();
        if aborted || self.gate.as_mut().is_some_and(|gate| !gate.enter(&self.desk)) {
            return self.desk.add(Count::Recalled, u64::from(parcel.load.is_some()));
        }
        self.sink.put(parcel, &self.desk);
    }
}
