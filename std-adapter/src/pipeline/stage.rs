//! One step of the way: a function, and the workers that call it.

use super::bridge::Supply;
use super::control::{AbortOnUnwind, Control};
use super::desk::{Count, Desk, Staff};
use super::edge::{Taken, can_hold, edge};
use super::error::{BuildError, Cause, StageError};
use super::flow::{Below, Crew, Fare, Flow, Launch, Order, Pump};
use super::keyed::{Key, Lanes, Unkeyed};
use super::parcel::{Parcel, Sink};
use super::policy::{ErrorPolicy, Policy};
use super::trace;
use super::work::Work;
use crate::foreign::{ask, discard};
use crate::lock;
use crate::park::deadline_after;
use crate::pool::{Load, ScalePolicy, Thresholds};
use crate::thread::{self, SpawnError};
use std::iter::repeat_n;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a worker above the fewest waits for an item before it goes.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A flow with one more stage at its end.
pub struct Stage<P, W, O, K = Unkeyed> {
    pub(super) upstream: P,
    pub(super) work: W,
    pub(super) policy: O,
    pub(super) key: K,
    pub(super) plan: Plan,
}

/// What a stage is to be like, apart from what it does.
pub struct Plan {
    pub(super) name: Arc<str>,
    pub(super) workers: RangeInclusive<usize>,
    pub(super) scaling: Arc<dyn ScalePolicy>,
    pub(super) buffer: usize,
}

impl Plan {
    pub(super) fn new(name: Arc<str>, buffer: usize) -> Self {
        Self { name, workers: 1..=1, scaling: Arc::new(Thresholds::default()), buffer }
    }

    pub(super) fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        let (min, max) = (*self.workers.start(), *self.workers.end());
        let stage = || self.name.to_string();
        if min == 0 {
            return Err(BuildError::ZeroConcurrency { stage: stage() });
        }
        if max < min {
            return Err(BuildError::Range { stage: stage(), min, max });
        }
        if !can_hold(self.buffer) {
            return Err(BuildError::Buffer { stage: stage(), items: self.buffer });
        }
        match asked {
            Order::Restored(window) if window < max => {
                Err(BuildError::WindowTooSmall { window, stage: stage(), concurrency: max })
            }
            Order::Kept(step) if max > 1 => {
                Err(BuildError::StepOutOfOrder { stage: step.to_string() })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn staff(&self) -> Staff {
        let (min, max) = (*self.workers.start(), *self.workers.end());
        Staff::of(min, max)
    }
}

/// A flow that ends in a stage, which the builder's next calls are about.
pub trait Staged: Sized {
    /// What the stage works on.
    type In;

    #[doc(hidden)]
    fn plan(&mut self) -> &mut Plan;
}

/// A flow that ends in a stage whose function may fail, or panic, without the run ending: of such a stage it can be said what an error means, and which
/// worker an item goes to.
///
/// The trait is sealed. A step that remembers ([`scan`](super::Pipeline::scan), [`batch`](super::Pipeline::batch),
/// [`rate_limit`](super::Pipeline::rate_limit), [`debounce`](super::Pipeline::debounce)) is none: it has one worker, and a panic of its function stops the
/// run. What would have no effect there does not compile:
///
/// ```compile_fail,E0599
/// use aqueduct::pipeline::{Pipeline, Policy};
///
/// let sums = Pipeline::from_iter(1..=4).scan("sum", 0, |sum, n| *sum + n).on_error(Policy::Skip);
/// ```
pub trait Judged: Staged {
    #[doc(hidden)]
    type Policy;
    #[doc(hidden)]
    type WithPolicy<Q>;
    #[doc(hidden)]
    type WithKey<F>;

    #[doc(hidden)]
    fn map_policy<Q>(self, f: impl FnOnce(Self::Policy) -> Q) -> Self::WithPolicy<Q>;

    #[doc(hidden)]
    fn with_key<F>(self, key: F) -> Self::WithKey<F>;
}

impl<P: Flow, W, O, K> Staged for Stage<P, W, O, K> {
    type In = P::Item;

    fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }
}

impl<P: Flow, W, O, K> Judged for Stage<P, W, O, K> {
    type Policy = O;
    type WithPolicy<Q> = Stage<P, W, Q, K>;
    type WithKey<F> = Stage<P, W, O, F>;

    fn map_policy<Q>(self, f: impl FnOnce(O) -> Q) -> Stage<P, W, Q, K> {
        let Self { upstream, work, policy, key, plan } = self;
        Stage { upstream, work, policy: f(policy), key, plan }
    }

    fn with_key<F>(self, key: F) -> Stage<P, W, O, F> {
        let Self { upstream, work, policy, plan, .. } = self;
        Stage { upstream, work, policy, key, plan }
    }
}

impl<P, W, O, K> Flow for Stage<P, W, O, K>
where
    P: Flow,
    W: Work<P::Item>,
    O: ErrorPolicy<P::Item>,
    K: Key<P::Item>,
{
    type Item = W::Out;

    fn position(&self) -> usize {
        self.upstream.position() + 1
    }

    fn name(&self) -> Arc<str> {
        Arc::clone(&self.plan.name)
    }

    fn makers(&self, _: bool) -> usize {
        *self.plan.workers.end()
    }

    fn is_in_order(&self) -> bool {
        *self.plan.workers.end() == 1 && self.upstream.is_in_order()
    }

    fn total(&self) -> Option<u64> {
        self.upstream.total()
    }

    fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
        self.plan.check(asked)?;
        if K::KEYED && self.plan.workers.start() != self.plan.workers.end() {
            return Err(BuildError::FixedConcurrency { stage: self.plan.name.to_string() });
        }
        self.upstream.check(asked)
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<Self::Item> + 'scope,
    {
        let Self { upstream, work, policy, key, plan } = self;
        let (staff, index) = (plan.staff(), upstream.position() + 1);
        // By how much waits in front of it a stage finds its number of workers; and a key has a worker of its own.
        let can_take = !K::KEYED && staff.min == staff.max;
        let upstream = if can_take { upstream.into_shared() } else { Err(upstream) };
        launch.shares_source = upstream.is_ok();
        let buffer = if launch.shares_source { 0 } else { plan.buffer };
        let crew = launch.open(&plan.name, buffer, staff, K::KEYED);
        let stage = Arc::new(Shared {
            work,
            policy,
            key: key.clone(),
            name: plan.name,
            scaling: plan.scaling,
            index,
            every_number: below.every_number,
            control: Arc::clone(&launch.control),
        });
        let hire = |supply, sink| {
            let (shared, crew) = (Arc::clone(&stage), Arc::clone(&crew));
            Hire { shared, crew, supply, sink }.start()
        };
        let upstream = match upstream {
            Ok(bridge) => {
                let source = bridge.open(launch, below.gate, &crew.office);
                source.let_in(|| {
                    repeat_n(sink, staff.min)
                        .try_for_each(|sink| hire(Supply::Source(source.clone()), sink))
                })?;
                return Ok(None);
            }
            Err(upstream) => upstream,
        };
        // Each key has one lane for ever; without keys there is one lane for all.
        let lanes = if K::KEYED { staff.min } else { 1 };
        let makers = upstream.makers(below.gate.is_some());
        let takers = staff.max / lanes;
        let (entrances, exits): (Vec<_>, Vec<_>) =
            (0..lanes).map(|_| edge(&launch.control, &crew.office, lanes, makers, takers)).unzip();
        // Only the workers may hold these ends, or the end of input would never pass. The last one gets the first of them itself: who is the only one is
        // not to share it.
        let exits = exits.into_iter().flat_map(|exit| repeat_n(exit, staff.min / lanes));
        for (exit, sink) in exits.zip(repeat_n(sink, staff.min)) {
            hire(Supply::Edge(exit), sink)?;
        }
        drop(crew);
        upstream.launch(launch, Lanes::new(entrances, key), below)
    }
}

/// What the workers of one stage share.
struct Shared<W, O, K> {
    work: W,
    policy: O,
    key: K,
    name: Arc<str>,
    scaling: Arc<dyn ScalePolicy>,
    index: usize,
    /// See [`Below::every_number`].
    every_number: bool,
    control: Arc<Control>,
}

/// What it takes to start a worker; a worker has what it takes to start another.
struct Hire<'scope, 'env, In, W, O, K, S> {
    shared: Arc<Shared<W, O, K>>,
    crew: Arc<Crew<'scope, 'env>>,
    supply: Supply<'scope, In>,
    sink: S,
}

impl<'scope, In, W, O, K, S> Hire<'scope, '_, In, W, O, K, S>
where
    In: Send + 'scope,
    W: Work<In> + 'scope,
    O: ErrorPolicy<In> + 'scope,
    K: Key<In> + 'scope,
    S: Sink<W::Out> + 'scope,
{
    fn start(self) -> Result<(), SpawnError> {
        let crew = Arc::clone(&self.crew);
        crew.start(|desk| move || Worker { hire: self, desk }.run())
    }

    /// Whether this one is to go. It has been counted out then.
    fn is_one_too_many(&self) -> bool {
        let mut staff = lock(&self.crew.office.staff);
        let too_many = staff.workers > staff.max;
        staff.workers -= usize::from(too_many);
        too_many
    }

    /// Calls another worker, if nobody is left to take what comes next, and the policy wants one.
    ///
    /// It is asked in front of each item, and not when one waits too long: whoever takes an item may be busy for an hour, and nobody else here
    /// could call.
    fn call_another(&self) {
        let staff = lock(&self.crew.office.staff);
        let (workers, min, max) = (staff.workers, staff.min, staff.max);
        drop(staff);
        let (queued, idle) = self.supply.load();
        let too_few = workers < min;
        if workers >= max || (idle > 0 && !too_few) {
            return;
        }
        let load = Load::of(|load| {
            (load.now, load.queued) = (self.shared.control.began.elapsed(), queued);
            (load.workers, load.min, load.max) = (workers, min, max);
        });
        // With nothing locked: it may look at the run. One that panics has said no: this worker has an item in its hands.
        let wants_more = || ask(|| self.shared.scaling.on_submit(&load)).unwrap_or(false);
        if !too_few && !wants_more() {
            return;
        }
        let mut staff = lock(&self.crew.office.staff);
        if staff.workers != workers || staff.workers >= staff.max {
            // Another was as quick, or the stage was changed: with the next item it is asked again.
            return;
        }
        staff.workers += 1;
        staff.peak = staff.peak.max(staff.workers);
        drop(staff);
        let another = Hire {
            shared: Arc::clone(&self.shared),
            crew: Arc::clone(&self.crew),
            supply: self.supply.clone(),
            sink: self.sink.clone(),
        };
        if another.start().is_err() {
            // We go on as we are, and ask again with the next item.
            lock(&self.crew.office.staff).workers -= 1;
        }
    }
}

/// A parcel without its load.
struct Place {
    seq: u64,
    item: u64,
    done: u64,
    fare: Fare,
}

/// One thread of a stage. It takes, works and hands on until its input ends.
///
/// Even an aborted worker runs to the end of its input, which is then closed: it counts what it finds there.
struct Worker<'scope, 'env, In, W, O, K, S> {
    hire: Hire<'scope, 'env, In, W, O, K, S>,
    desk: Arc<Desk>,
}

impl<'scope, In, W, O, K, S> Worker<'scope, '_, In, W, O, K, S>
where
    In: Send + 'scope,
    W: Work<In> + 'scope,
    O: ErrorPolicy<In> + 'scope,
    K: Key<In> + 'scope,
    S: Sink<W::Out> + 'scope,
{
    fn run(mut self) {
        let shared = Arc::clone(&self.hire.shared);
        // Should anything of this panic outside of `catch`, the others must not wait for what never comes.
        let abort = AbortOnUnwind(&shared.control);
        let mut state = None;
        while let Some(Parcel { seq, item, done, load, fare }) = self.take() {
            self.desk.is_at(item);
            match load {
                Some(load) => {
                    let place = Place { seq, item, done, fare };
                    self.handle(&mut state, place, load);
                }
                None => self.leave_out(seq, item, done),
            }
            self.desk.is_between();
        }
        let dropped = thread::catch(|| drop(state));
        self.hire.sink.finish(&self.desk);
        if let Err(panicked) = dropped {
            // The run hears of it at its end: all that was to be done here is done, and the others go on.
            drop(abort);
            panicked.resume();
        }
    }

    /// The next parcel; `None` at the end, or if there are workers enough without this one.
    fn take(&mut self) -> Option<Parcel<In>> {
        let mut is_spare = false;
        loop {
            let office = &self.hire.crew.office;
            let scales = office.scales.load();
            let mut deadline = None;
            if scales && !is_spare && self.hire.supply.hand_is_empty() {
                if self.hire.is_one_too_many() {
                    return None;
                }
                let staff = *lock(&office.staff);
                let goes = staff.workers > staff.min;
                deadline = goes.then(|| Instant::now().checked_add(KEEP_ALIVE)).flatten();
            }
            let taken = self.hire.supply.take_until(deadline, &self.desk);
            if is_spare {
                lock(&self.hire.crew.office.staff).spare = false;
            }
            match taken {
                Taken::Item(parcel) => {
                    // It may have been changed while this one slept.
                    if self.hire.crew.office.scales.load() {
                        self.hire.call_another();
                    }
                    return Some(parcel);
                }
                Taken::End => return None,
                Taken::Late => {
                    let mut staff = lock(&self.hire.crew.office.staff);
                    if staff.workers <= staff.min {
                        continue;
                    }
                    // The others may all be busy for an hour: then this one stays. Of several whose time is over together one does.
                    if staff.spare || self.hire.supply.load().1 > 0 {
                        staff.workers -= 1;
                        return None;
                    }
                    (staff.spare, is_spare) = (true, true);
                }
            }
        }
    }

    fn handle(&mut self, state: &mut Option<W::State>, place: Place, load: In) {
        self.desk.count(Count::Received);
        let shared = &*self.hire.shared;
        let control = &shared.control;
        let Place { seq, item, done, fare } = place;
        let mut key = None;
        let span = trace::Item::begun(item);
        let mut next = Some(load);
        let mut attempt = 0;
        while let Some(load) = next.take() {
            attempt += 1;
            let mut copy = None;
            let outcome = thread::catch(|| {
                control.admits(item).then(|| {
                    copy = shared.policy.copy(&load);
                    key.get_or_insert_with(|| shared.key.of(&load));
                    span.within(|| {
                        let state = state.get_or_insert_with(|| shared.work.start());
                        shared.work.perform(state, load)
                    })
                })
            });
            let cause = match outcome {
                Ok(Some(Ok(made))) => {
                    // The copy is under way as the item is, and no longer.
                    discard((copy, key));
                    self.desk.count(Count::Put);
                    span.close("out");
                    let parcel = Parcel { seq, item, done, load: Some(made), fare };
                    return self.hire.sink.put(parcel, &self.desk);
                }
                Ok(Some(Err(error))) => Cause::Failed(error),
                Ok(None) => {
                    self.desk.count(Count::Cancelled);
                    span.over("cancelled");
                    break;
                }
                Err(panicked) => {
                    // The panic may have left it half-changed.
                    discard(state.take());
                    Cause::Panicked(panicked)
                }
            };
            let shown = key.as_ref().and_then(|key| ask(|| shared.key.show(key))).flatten();
            let error = StageError::new(&shared.name, shared.index, item, cause).at(attempt, shown);
            next = self.judge(error, copy, &span);
        }
        discard(key);
        // After the stop: whoever sees the gap sees the cut.
        self.leave_out(seq, item, done);
    }

    /// Does what the policy says about an error; the item to try again, if it says so.
    fn judge(&self, error: StageError, copy: Option<In>, span: &trace::Item) -> Option<In> {
        let shared = &*self.hire.shared;
        let control = &shared.control;
        let decide = || ask(|| shared.policy.decide(&error));
        let mut policy = span.within(decide).unwrap_or(Policy::Stop);
        let mut copy = copy;
        if let Policy::Retry(backoff) = policy {
            let (place, attempt) = (error.item(), error.attempt());
            if let Some(item) = copy.take_if(|_| backoff.allows(attempt)) {
                discard(error);
                self.desk.count(Count::Retried);
                span.tried_again(attempt + 1);
                // If the run was stopped in front of it, or aborted, meanwhile, it is found not admitted.
                control.hold(place, deadline_after(backoff.wait_after(attempt)));
                return Some(item);
            }
            // What is left to do when all attempts are used up is not for an item that had one.
            policy = match backoff.allows(attempt) {
                true => Policy::Stop,
                false => backoff.last_resort(),
            };
        }
        if policy == Policy::DeadLetter {
            self.bury(error, copy, span);
        } else {
            discard(copy);
            self.settle(policy, error, span);
        }
        None
    }

    fn bury(&self, error: StageError, copy: Option<In>, span: &trace::Item) {
        let buried = match copy {
            Some(item) => {
                let shared = &*self.hire.shared;
                let (at, attempt) = (error.item(), error.attempt());
                let key = error.key().map(String::from);
                let bury = || thread::catch(|| shared.policy.bury(item, error));
                span.within(bury).unwrap_or_else(|panicked| {
                    // Nobody knows whether it has them: that is a failure of its own.
                    let cause = Cause::Panicked(panicked);
                    Err(StageError::new(&shared.name, shared.index, at, cause).at(attempt, key))
                })
            }
            None => Err(error),
        };
        match buried {
            Ok(()) => {
                self.desk.count(Count::Buried);
                span.over("dead_lettered");
            }
            Err(error) => self.settle(Policy::Stop, error, span),
        }
    }

    /// Counts a failure that is final.
    fn settle(&self, policy: Policy, error: StageError, span: &trace::Item) {
        let control = &self.hire.shared.control;
        let kept = match policy {
            Policy::Skip => {
                self.desk.count(Count::Skipped);
                span.over("skipped");
                discard(error);
                true
            }
            Policy::Collect => {
                self.desk.count(Count::Collected);
                span.over("collected");
                control.keep(error)
            }
            Policy::Stop | Policy::Retry(_) | Policy::DeadLetter => {
                self.desk.count(Count::Stopped);
                span.over("stopped");
                control.stop(error).is_none_or(|error| control.keep(error))
            }
        };
        self.desk.add(Count::Unkept, u64::from(!kept));
    }

    /// Tells an ordered point downstream not to wait for this number.
    fn leave_out(&mut self, seq: u64, item: u64, done: u64) {
        if self.hire.shared.every_number {
            let empty = Parcel { seq, item, done, load: None, fare: None };
            self.hire.sink.put(empty, &self.desk);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::channel;
    use crate::lock;
    use crate::pipeline::Pipeline;
    use std::sync::Arc;

    /// The spare ones' time comes, and one stays, while another is busy; when that has done its item, one is enough.
    #[test]
    fn who_is_busy_has_a_spare_beside() {
        let (let_go, gate) = channel::bounded::<()>(1);
        let running = Pipeline::source(|out| {
            out.send(0)?;
            out.send(1)?;
            out.context().wait();
            Ok(())
        })
        .map("work", move |n| {
            if n == 0 {
                let _ = gate.recv();
            }
        })
        .concurrency_auto(1..=3)
        .spawn()
        .unwrap();
        // Dropped before the run: if this fails, it must not wait for a worker that waits for it.
        let let_go = let_go;
        let office = Arc::clone(&running.control.offices()[1]);
        let staff_when = |is_so: fn(usize, bool) -> bool| loop {
            let staff = *lock(&office.staff);
            if staff.peak == 3 && is_so(staff.workers, staff.spare) {
                return staff;
            }
            std::thread::yield_now();
        };
        let staff = staff_when(|workers, spare| spare || workers == 1);
        assert!(staff.workers > 1, "nobody is free, and nobody could be called");
        assert_eq!(staff_when(|workers, _| workers < 3).workers, 2);
        drop(let_go);
        staff_when(|workers, _| workers == 1);
    }
}
