//! Where items come from: an iterator, a channel, or a function that sends.

use super::control::{AbortOnUnwind, Control};
use super::desk::{Count, Desk, Staff};
use super::error::{BoxError, BuildError, Cause, StageError};
use super::flow::{Below, Flow, Launch, Leave, Order, Pump};
use super::order::Gate;
use super::parcel::{Parcel, Sink};
use crate::channel::Receiver;
use crate::thread::{self, SpawnError};
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// The name under which the source appears in reports and errors.
pub(super) const NAME: &str = "source";

/// A flow that is only a source.
pub(super) struct Source<O>(pub(super) O);

/// What can make items.
pub(super) trait Origin: Send {
    /// The items.
    type Item: Send;

    /// Whether it has something to do itself for an item, and does not only wait for one.
    const WORKS: bool = true;

    /// How many there will be, if that is known.
    fn total(&self) -> Option<u64> {
        None
    }

    /// Makes them all, or as many as are wanted.
    fn produce(self, emitter: &mut Emitter<'_, Self::Item>) -> Result<(), BoxError>;
}

/// The origin of [`from_iter`](super::Pipeline::from_iter).
pub(super) struct FromIter<I>(pub(super) I);

/// The origin of [`from_receiver`](super::Pipeline::from_receiver).
pub(super) struct FromReceiver<T>(pub(super) Receiver<T>);

/// The origin of [`source`](super::Pipeline::source).
pub(super) struct FromFn<T, F>(pub(super) F, pub(super) PhantomData<fn() -> T>);

impl<I> Origin for FromIter<I>
where
    I: Iterator + Send,
    I::Item: Send,
{
    type Item = I::Item;

    fn total(&self) -> Option<u64> {
        match self.0.size_hint() {
            (least, Some(most)) if least == most => Some(most as u64),
            _ => None,
        }
    }

    fn produce(self, emitter: &mut Emitter<'_, I::Item>) -> Result<(), BoxError> {
        let mut items = self.0;
        // Before `next`: an item that is made is an item that has to be sent.
        emitter.check()?;
        items.try_for_each(|item| Ok(emitter.send(item)?))
    }
}

impl<T: Send> Origin for FromReceiver<T> {
    type Item = T;

    const WORKS: bool = false;

    fn produce(self, emitter: &mut Emitter<'_, T>) -> Result<(), BoxError> {
        loop {
            emitter.check()?;
            match self.0.recv_ctx(emitter.control.intake()) {
                Ok(item) => emitter.send(item)?,
                // Cancelled, or the channel has ended.
                Err(_) => return Ok(emitter.check()?),
            }
        }
    }
}

impl<T, F> Origin for FromFn<T, F>
where
    T: Send,
    F: FnOnce(&mut Emitter<'_, T>) -> Result<(), BoxError> + Send,
{
    type Item = T;

    fn produce(self, emitter: &mut Emitter<'_, T>) -> Result<(), BoxError> {
        (self.0)(emitter)
    }
}

/// What the function of [`Pipeline::source`](super::Pipeline::source) sends its items to.
pub struct Emitter<'a, T> {
    send: &'a mut dyn FnMut(T),
    control: &'a Control,
}

impl<T> Emitter<'_, T> {
    /// Sends an item into the pipeline; waits while there is no room.
    ///
    /// The item is accounted for in any case: during a drain it is still delivered, after a stop or an abort it is
    /// counted as cancelled.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when no more items are wanted after this one.
    pub fn send(&mut self, item: T) -> Result<(), Stopped> {
        (self.send)(item);
        self.check()
    }

    /// Looks whether more items are wanted, for a source that takes long to make one.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when they are not.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.control.intake().is_done() { Err(Stopped) } else { Ok(()) }
    }

    /// A context that is done when no more items are wanted, for a source that sleeps between them.
    pub fn context(&self) -> &crate::Context {
        self.control.intake()
    }
}

impl<T> fmt::Debug for Emitter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter").finish_non_exhaustive()
    }
}

/// No more items are wanted: the run is being drained, stopped or aborted.
///
/// A source returns it, with `?`, like any other error; it is not counted as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pipeline takes no more items")
    }
}

impl Error for Stopped {}

impl<O: Origin> Flow for Source<O> {
    type Item = O::Item;

    fn position(&self) -> usize {
        0
    }

    fn name(&self) -> Arc<str> {
        NAME.into()
    }

    fn makers(&self, _: bool) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }

    fn check(&self, _: Order<'_>) -> Result<(), BuildError> {
        Ok(())
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
        let control = Arc::clone(&launch.control);
        let crew = launch.open(&NAME.into(), 0, Staff::fixed(1), true);
        let office = Arc::clone(&crew.office);
        Ok(Box::new(move || {
            let desk = office.desk();
            let _leave = Leave { office, desk: Arc::clone(&desk) };
            pump(self.0, sink, below.gate, &desk, &control);
        }))
    }
}

/// Numbers what the origin makes, and sends it on its way.
fn pump<O, S>(origin: O, mut sink: S, mut gate: Option<Gate>, desk: &Desk, control: &Control)
where
    O: Origin,
    S: Sink<O::Item>,
{
    let _abort = AbortOnUnwind(control);
    let mut seq = 0;
    // Who asks what a run is stuck at is told of an item that is not there yet.
    let makes = |seq| {
        if O::WORKS {
            desk.is_at(seq);
        }
    };
    let mut send = |item| {
        desk.is_between();
        desk.count(Count::Received);
        let parcel = Parcel { seq, item: seq, done: seq + 1, load: Some(item), fare: None };
        seq += 1;
        // No number may follow one that was left out, so an abort is looked for in front of each.
        let admitted = !control.work().is_done();
        if admitted && gate.as_mut().is_none_or(|gate| gate.enter(desk)) {
            desk.count(Count::Put);
            sink.put(parcel, desk);
        } else {
            desk.count(Count::Cancelled);
        }
        makes(seq);
    };
    makes(0);
    let outcome = thread::catch(|| origin.produce(&mut Emitter { send: &mut send, control }));
    desk.is_between();
    control.end_source();
    let cause = match outcome {
        Ok(Ok(())) => {
            control.exhaust();
            None
        }
        Ok(Err(error)) if error.is::<Stopped>() => None,
        Ok(Err(error)) => Some(Cause::Failed(error)),
        Err(panicked) => Some(Cause::Panicked(panicked)),
    };
    if let Some(cause) = cause {
        // The item that was to come next.
        desk.count(Count::Received);
        desk.count(Count::Stopped);
        let kept = control
            .stop(StageError::new(&NAME.into(), 0, seq, cause))
            .is_none_or(|error| control.keep(error));
        desk.add(Count::Unkept, u64::from(!kept));
    }
    sink.finish(desk);
}
