//! What a stage does to an item: the functions that users give, each with its way to fail.

use super::error::BoxError;

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

/// Two pieces of work on one worker, one after the other: [`fuse`](super::Pipeline::fuse).
pub struct Fused<A, B>(pub(super) A, pub(super) B);

impl<In, A, B> Work<In> for Fused<A, B>
where
    A: Work<In>,
    B: Work<A::Out>,
{
    type State = (A::State, B::State);
    type Out = B::Out;

    fn start(&self) -> Self::State {
        (self.0.start(), self.1.start())
    }

    fn perform(&self, (first, second): &mut Self::State, item: In) -> Result<B::Out, BoxError> {
        self.1.perform(second, self.0.perform(first, item)?)
    }
}
