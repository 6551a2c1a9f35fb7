//! Where items come from: an iterator, a channel, or a function that sends.

use super::control::{AbortOnUnwind, Control};
use super::desk::{Count, Desk, Staff};
use super::error::{BoxError, BuildError, Cause, StageError};
use super::flow::{Below, Flow, Launch, Leave, Order, Pump};
use super::order::Gate;
use super::parcel::{Parcel, Sink};
use crate::channel::Receiver;
use crate::thread::{self, Panicked, SpawnError};
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
        exact_size(&self.0)
    }

    fn produce(self, emitter: &mut Emitter<'_, I::Item>) -> Result<(), BoxError> {
        let mut items = self.0;
        // Before `next`: an item that is made is an item that has to be sent.
        emitter.check()?;
        items.try_for_each(|item| Ok(emitter.send(item)?))
    }
}

/// How many items there will be, if it says so.
pub(super) fn exact_size(items: &impl Iterator) -> Option<u64> {
    match items.size_hint() {
        (least, Some(most)) if least == most => Some(most as u64),
        _ => None,
    }
}

impl<T: Send> Origin for FromReceiver<T> {
    type Item = T;

    const WORKS: bool = false;

    fn produce(self, emitter: &mut Emitter<'_, T>) -> Result<(), BoxError> {
        // Ends with the channel, or once no more is wanted: that wins over an item that is there.
        while let Ok(item) = self.0.recv_ctx(emitter.control.intake()) {
            let _ = emitter.send(item);
        }
        let ended = emitter.check();
        if ended.is_err() && self.0.receiver_count() == 1 {
            // Nobody else would ever receive what its senders were told is sent.
            self.0.close();
            while let Ok(item) = self.0.try_recv() {
                let _ = emitter.send(item);
            }
        }
        Ok(ended?)
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
        let register = Register::open(launch, below.gate, 1);
        Ok(Some(Box::new(move || pump(self.0, sink, register))))
    }
}

/// Makes all items, and sends them on their way.
fn pump<O, S>(origin: O, mut sink: S, mut register: Register)
where
    O: Origin,
    S: Sink<O::Item>,
{
    let (control, desk) = (Arc::clone(&register.control), Arc::clone(&register.desk));
    let _abort = AbortOnUnwind(&control);
    let mut send = |item| {
        if let Some(parcel) = register.admit(item, &desk) {
            sink.put(parcel, &desk);
        }
        if O::WORKS {
            register.expect();
        }
    };
    if O::WORKS {
        desk.is_at(0);
    }
    let mut emitter = Emitter { send: &mut send, control: &control };
    let outcome = thread::catch(|| origin.produce(&mut emitter));
    register.end(outcome);
    sink.finish(&desk);
}

/// The source's part in the accounts of a run: numbers what is made, and says how it ended.
pub(super) struct Register {
    seq: u64,
    gate: Option<Gate>,
    desk: Arc<Desk>,
    control: Arc<Control>,
    _leave: Leave,
}

impl Register {
    /// The source of this run, in front of all that was opened; with so many threads of its own, one or none.
    pub(super) fn open(launch: &mut Launch<'_, '_>, gate: Option<Gate>, threads: usize) -> Self {
        let control = Arc::clone(&launch.control);
        let crew = launch.open(&NAME.into(), 0, Staff::fixed(threads), true);
        let (office, desk) = (Arc::clone(&crew.office), crew.office.desk());
        let _leave = Leave { office, desk: Arc::clone(&desk) };
        Self { seq: 0, gate, desk, control, _leave }
    }

    /// Whether more items are wanted.
    pub(super) fn is_open(&self) -> bool {
        !self.control.intake().is_done()
    }

    /// How many items more it would let in without waiting for a window.
    pub(super) fn room(&self) -> usize {
        self.gate.as_ref().map_or(usize::MAX, Gate::seats)
    }

    /// One was made, and there was [room](Self::room) for it.
    pub(super) fn let_in(&mut self) {
        let Self { seq, gate, desk, .. } = self;
        *seq += 1;
        if let Some(gate) = gate {
            gate.use_one();
        }
        desk.is_between();
        desk.count(Count::Received);
        desk.count(Count::Put);
    }

    /// So many were let in, and nobody has begun them.
    pub(super) fn recall(&self, items: usize) {
        self.desk.add(Count::Recalled, items as u64);
    }

    /// The next item is being made: who asks what a run is stuck at is told of one that is not there yet.
    pub(super) fn expect(&self) {
        self.desk.is_at(self.seq);
    }

    /// An item was made. The parcel that it travels in, or it is cancelled; whoever has this desk waits while a window is full.
    pub(super) fn admit<T>(&mut self, item: T, waits: &Desk) -> Option<Parcel<T>> {
        let Self { seq, gate, desk, control, .. } = self;
        desk.is_between();
        desk.count(Count::Received);
        let parcel = Parcel::of_source(*seq, item);
        *seq += 1;
        // No number may follow one that was left out, so an abort is looked for in front of each.
        let admitted =
            !control.work().is_done() && gate.as_mut().is_none_or(|gate| gate.enter(waits));
        desk.count(if admitted { Count::Put } else { Count::Cancelled });
        admitted.then_some(parcel)
    }

    /// No more are made.
    pub(super) fn end(&self, outcome: Result<Result<(), BoxError>, Panicked>) {
        let Self { seq, desk, control, .. } = self;
        desk.is_between();
        control.end_source();
        let cause = match outcome {
            Ok(Ok(())) => return control.exhaust(),
            Ok(Err(error)) if error.is::<Stopped>() => return,
            Ok(Err(error)) => Cause::Failed(error),
            Err(panicked) => Cause::Panicked(panicked),
        };
        // The item that was to come next.
        desk.count(Count::Received);
        desk.count(Count::Stopped);
        let kept = control
            .stop(StageError::new(&NAME.into(), 0, *seq, cause))
            .is_none_or(|error| control.keep(error));
        desk.add(Count::Unkept, u64::from(!kept));
    }
}
