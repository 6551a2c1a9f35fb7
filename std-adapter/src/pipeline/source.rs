//! Where items come from: an iterator, a channel, or a function that sends.

use super::control::{AbortOnUnwind, Control};
use super::edge::{NotTaken, Parcel, Sink};
use super::error::{BoxError, BuildError, Cause, StageError};
use super::flow::{Below, Flow, Launch, Pump};
use super::report::Counts;
use crate::channel::Receiver;
use crate::thread::{self, SpawnError};
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name under which the source appears in reports and errors.
pub(super) const NAME: &str = "source";

/// A flow that is only a source.
pub(super) struct Source<O>(pub(super) O);

/// What can make items.
pub(super) trait Origin: Send {
    /// The items.
    type Item: Send;

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

    fn produce(self, emitter: &mut Emitter<'_, I::Item>) -> Result<(), BoxError> {
        let mut items = self.0;
        loop {
            // Before `next`: an item that is made is an item that has to be sent.
            emitter.check()?;
            let Some(item) = items.next() else { return Ok(()) };
            emitter.send(item)?;
        }
    }
}

impl<T: Send> Origin for FromReceiver<T> {
    type Item = T;

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

    fn check(&self, _: Option<usize>) -> Result<(), BuildError> {
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
        Ok(Box::new(move || pump(self.0, sink, &below, &control)))
    }
}

/// Numbers what the origin makes, and sends it on its way.
fn pump<O, S>(origin: O, mut sink: S, below: &Below, control: &Control) -> Counts
where
    O: Origin,
    S: Sink<O::Item>,
{
    let since = Instant::now();
    let _abort = AbortOnUnwind(control);
    let mut counts = Counts::default();
    let mut waited_at_gate = Duration::ZERO;
    let mut seq = 0;
    let mut send = |item| {
        counts.received += 1;
        let parcel = Parcel { seq, load: Some(item) };
        seq += 1;
        // No number may follow one that was left out, so an abort is looked for in front of each.
        let entered = match &below.gate {
            _ if control.work().is_done() => Err(NotTaken),
            None => Ok(Duration::ZERO),
            Some(gate) => gate.enter(),
        };
        match entered.and_then(|waited| {
            waited_at_gate += waited;
            sink.put(parcel)
        }) {
            Ok(()) => counts.out += 1,
            Err(NotTaken) => counts.cancelled += 1,
        }
    };
    let outcome = thread::catch(|| origin.produce(&mut Emitter { send: &mut send, control }));
    let cause = match outcome {
        Ok(Ok(())) => {
            counts.exhausted = true;
            None
        }
        Ok(Err(error)) if error.is::<Stopped>() => None,
        Ok(Err(error)) => Some(Cause::Failed(error)),
        Err(panicked) => Some(Cause::Panicked(panicked)),
    };
    if let Some(cause) = cause {
        // The item that was to come next.
        counts.received += 1;
        counts.failed += 1;
        let kept = control
            .stop(StageError::new(&NAME.into(), 0, seq, cause))
            .is_none_or(|error| control.keep(error));
        counts.unkept += u64::from(!kept);
    }
    let tally = sink.finish();
    Counts {
        recalled: tally.recalled,
        blocked: tally.blocked + waited_at_gate,
        alive: since.elapsed(),
        ..counts
    }
}
