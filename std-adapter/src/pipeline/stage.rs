//! One step of the way: a function, and the workers that call it.

use super::control::{AbortOnUnwind, Control};
use super::edge::{Exit, Parcel, Sink, can_hold, edge};
use super::error::{BoxError, BuildError, Cause, StageError};
use super::flow::{Below, Flow, Launch, Pump};
use super::policy::{ErrorPolicy, Policy};
use super::report::Counts;
use crate::thread::{self, SpawnError};
use std::sync::Arc;
use std::time::Instant;

/// A flow with one more stage at its end.
pub struct Stage<P, W, O> {
    pub(super) upstream: P,
    pub(super) work: W,
    pub(super) policy: O,
    pub(super) name: Arc<str>,
    pub(super) concurrency: usize,
    pub(super) buffer: usize,
}

/// What a stage does to an item.
pub trait Work<In>: Send + Sync {
    /// What a worker keeps from item to item.
    type State;
    /// What an item becomes.
    type Out: Send;

    /// The state of a new worker, or of one whose last state went down with a panic.
    fn start(&self) -> Self::State;

    /// Does the work on one item.
    fn perform(&self, state: &mut Self::State, item: In) -> Result<Self::Out, BoxError>;
}

/// The work of [`map`](super::Pipeline::map): it cannot fail.
pub struct Map<F>(pub(super) F);

/// The work of [`stage`](super::Pipeline::stage): it can fail.
pub struct Try<F>(pub(super) F);

/// The work of [`stage_init`](super::Pipeline::stage_init): it can fail, and each worker has a state.
pub struct TryInit<I, F>(pub(super) I, pub(super) F);

impl<In, Out, F> Work<In> for Map<F>
where
    Out: Send,
    F: Fn(In) -> Out + Send + Sync,
{
    type State = ();
    type Out = Out;

    fn start(&self) {}

    fn perform(&self, (): &mut (), item: In) -> Result<Out, BoxError> {
        Ok((self.0)(item))
    }
}

impl<In, Out, E, F> Work<In> for Try<F>
where
    Out: Send,
    E: Into<BoxError>,
    F: Fn(In) -> Result<Out, E> + Send + Sync,
{
    type State = ();
    type Out = Out;

    fn start(&self) {}

    fn perform(&self, (): &mut (), item: In) -> Result<Out, BoxError> {
        (self.0)(item).map_err(Into::into)
    }
}

impl<In, State, Out, E, I, F> Work<In> for TryInit<I, F>
where
    Out: Send,
    E: Into<BoxError>,
    I: Fn() -> State + Send + Sync,
    F: Fn(&mut State, In) -> Result<Out, E> + Send + Sync,
{
    type State = State;
    type Out = Out;

    fn start(&self) -> State {
        (self.0)()
    }

    fn perform(&self, state: &mut State, item: In) -> Result<Out, BoxError> {
        (self.1)(state, item).map_err(Into::into)
    }
}

impl<P, W, O> Flow for Stage<P, W, O>
where
    P: Flow,
    W: Work<P::Item>,
    O: ErrorPolicy,
{
    type Item = W::Out;

    fn position(&self) -> usize {
        self.upstream.position() + 1
    }

    fn check(&self, window: Option<usize>) -> Result<(), BuildError> {
        let Self { name, concurrency, .. } = self;
        if *concurrency == 0 {
            return Err(BuildError::ZeroConcurrency { stage: name.to_string() });
        }
        if !can_hold(self.buffer) {
            return Err(BuildError::Buffer { stage: name.to_string(), items: self.buffer });
        }
        match window {
            Some(window) if window < *concurrency => Err(BuildError::WindowTooSmall {
                window,
                stage: name.to_string(),
                concurrency: *concurrency,
            }),
            _ => self.upstream.check(window),
        }
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
        let (entrance, exit) = edge(self.buffer, &launch.control);
        let desk = Arc::new(Desk {
            work: self.work,
            policy: self.policy,
            name: Arc::clone(&self.name),
            index: self.upstream.position() + 1,
            every_number: below.every_number,
            control: Arc::clone(&launch.control),
        });
        launch.crew(
            &self.name,
            (0..self.concurrency).map(|_| {
                let worker = Worker {
                    desk: Arc::clone(&desk),
                    exit: exit.clone(),
                    sink: sink.clone(),
                    counts: Counts::default(),
                };
                || worker.run()
            }),
        )?;
        // Only the workers may hold these ends, or the end of input would never pass.
        drop((exit, sink));
        self.upstream.launch(launch, entrance, below)
    }
}

/// What the workers of one stage share.
struct Desk<W, O> {
    work: W,
    policy: O,
    name: Arc<str>,
    index: usize,
    /// See [`Below::every_number`].
    every_number: bool,
    control: Arc<Control>,
}

/// One thread of a stage. It takes, works and hands on until its input ends.
///
/// Even an aborted worker runs to the end of its input, which is then closed: it counts what it finds there.
struct Worker<In, W, O, S> {
    desk: Arc<Desk<W, O>>,
    exit: Exit<Parcel<In>>,
    sink: S,
    counts: Counts,
}

impl<In, W, O, S> Worker<In, W, O, S>
where
    W: Work<In>,
    O: ErrorPolicy,
    S: Sink<W::Out>,
{
    fn run(mut self) -> Counts {
        let since = Instant::now();
        let desk = Arc::clone(&self.desk);
        // Should anything of this panic outside of `catch`, the others must not wait for what never comes.
        let _abort = AbortOnUnwind(&desk.control);
        let mut state = None;
        while let Some(Parcel { seq, load }) = self.exit.take() {
            match load {
                Some(item) => self.handle(&mut state, seq, item),
                None => self.leave_out(seq),
            }
        }
        drop(state);
        let tally = self.sink.finish();
        Counts {
            recalled: tally.recalled,
            blocked: tally.blocked,
            starved: self.exit.starved(),
            alive: since.elapsed(),
            ..self.counts
        }
    }

    fn handle(&mut self, state: &mut Option<W::State>, seq: u64, item: In) {
        self.counts.received += 1;
        let desk = &*self.desk;
        let outcome = thread::catch(|| {
            desk.control.admits(seq).then(|| {
                let state = state.get_or_insert_with(|| desk.work.start());
                desk.work.perform(state, item)
            })
        });
        let cause = match outcome {
            Ok(Some(Ok(made))) => return self.hand_on(seq, made),
            Ok(Some(Err(error))) => Cause::Failed(error),
            Ok(None) => {
                self.counts.cancelled += 1;
                return self.leave_out(seq);
            }
            Err(panicked) => {
                // The panic may have left it half-changed.
                *state = None;
                Cause::Panicked(panicked)
            }
        };
        self.counts.failed += 1;
        let error = StageError::new(&desk.name, desk.index, seq, cause);
        let kept = match thread::catch(|| desk.policy.decide(&error)).unwrap_or(Policy::Stop) {
            Policy::Collect => desk.control.keep(error),
            Policy::Stop => desk.control.stop(error).is_none_or(|error| desk.control.keep(error)),
        };
        self.counts.unkept += u64::from(!kept);
        // After the stop: whoever sees the gap sees the cut.
        self.leave_out(seq);
    }

    fn hand_on(&mut self, seq: u64, made: W::Out) {
        match self.sink.put(Parcel { seq, load: Some(made) }) {
            Ok(()) => self.counts.out += 1,
            Err(_) => self.counts.cancelled += 1,
        }
    }

    /// Tells an ordered point downstream not to wait for this number.
    fn leave_out(&mut self, seq: u64) {
        if self.desk.every_number {
            // An error means an abort, and then nobody waits for numbers.
            let _ = self.sink.put(Parcel { seq, load: None });
        }
    }
}
