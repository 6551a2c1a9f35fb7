//! Steps that see the items one after the other and remember: running sums, batches, paces, quiet times.

use super::control::{AbortOnUnwind, Control};
use super::desk::{Count, Desk};
use super::edge::{Exit, Taken, edge};
use super::error::{BuildError, Cause, StageError};
use super::flow::{Below, Fare, Flow, Launch, Pump};
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

    fn makers(&self) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        // Of what it makes, which it numbers itself.
        true
    }

    fn total(&self) -> Option<u64> {
        None
    }

    fn check(&self, _: Option<usize>) -> Result<(), BuildError> {
        let stage = || self.plan.name.to_string();
        if !self.machine.is_possible() {
            return Err(BuildError::Zero { stage: stage() });
        }
        self.plan.check(None)?;
        self.upstream.check(None)
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
        let crew = launch.open(&plan.name, plan.buffer, plan.staff(), true);
        let (entrance, exit) = edge(&launch.control, &crew.office, 1, upstream.makers(), 1);
        launch.keeps_order = false;
        let control = Arc::clone(&launch.control);
        let index = upstream.position() + 1;
        crew.start(|desk| {
            let (next, gate, name) = (0, below.gate, plan.name);
            let out = Out { sink, gate, next, inside: 0, item: 0, closes: true, desk };
            move || Operator { machine, exit, out, name, index, control }.run()
        })?;
        let above = Below { commits: below.commits, ..Below::default() };
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
    /// The position of the first of them.
    item: u64,
    /// Whether the last of them was the last that was made of its item.
    closes: bool,
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
                Taken::Item(Parcel { item, closes, load: Some(load), fare, .. }) => {
                    desk.is_at(item);
                    self.step(item, closes, fare, load);
                    desk.is_between();
                }
                Taken::Item(_) => {}
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

    fn step(&mut self, item: u64, closes: bool, fare: Fare, load: In) {
        self.out.desk.count(Count::Received);
        if !self.control.admits(item) {
            return self.out.desk.count(Count::Cancelled);
        }
        let span = trace::Item::begun(item);
        match span.within(|| thread::catch(|| self.machine.take(load))) {
            Ok(made) => {
                span.close("taken");
                self.out.take(item, closes);
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
    fn take(&mut self, item: u64, closes: bool) {
        self.item = if self.inside == 0 { item } else { self.item.min(item) };
        self.closes = closes;
        self.inside += 1;
    }

    /// Hands on what was made of all that is inside.
    fn put<T>(&mut self, made: T, fare: Fare, control: &Control)
    where
        S: Sink<T>,
    {
        let several = std::mem::take(&mut self.inside);
        self.desk.add(Count::Filtered, several.saturating_sub(1));
        // Put, less what was filtered: one of them goes on for all.
        self.desk.add(Count::Put, several);
        let (seq, item, closes) = (self.next, self.item, self.closes);
        let parcel = Parcel { seq, item, closes, load: Some(made), fare };
        self.next += 1;
        let aborted = self.gate.is_some() && control.work().is_done();
        if aborted || self.gate.as_mut().is_some_and(|gate| !gate.enter(&self.desk)) {
            return self.desk.count(Count::Recalled);
        }
        self.sink.put(parcel, &self.desk);
    }
}
