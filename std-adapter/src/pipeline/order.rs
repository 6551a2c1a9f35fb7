//! Putting items in order again, in a window of fixed size.

use super::control::Control;
use super::edge::{NotTaken, Parcel, Sink, SinkTally, can_hold};
use super::error::BuildError;
use super::flow::{Below, Flow, Launch, Pump};
use crate::channel::{self, Receiver, Sender, TrySendError};
use crate::lock;
use crate::thread::SpawnError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A flow whose items leave in the order in which its source made them.
pub struct Ordered<P> {
    pub(super) upstream: P,
    pub(super) window: usize,
}

impl<P: Flow> Flow for Ordered<P> {
    type Item = P::Item;

    fn position(&self) -> usize {
        self.upstream.position()
    }

    fn check(&self, _: Option<usize>) -> Result<(), BuildError> {
        if !can_hold(self.window) {
            return Err(BuildError::Window { items: self.window });
        }
        self.upstream.check(Some(self.window))
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
        let (gate, seats) = gate(self.window, &launch.control);
        let reorder = Reorder {
            window: Arc::new(Window {
                line: Mutex::new(Line {
                    next: 0,
                    places: (0..self.window).map(|_| None).collect(),
                    serving: false,
                }),
                seats,
            }),
            sink,
            below,
            control: Arc::clone(&launch.control),
            batch: Vec::new(),
            waited_at_gate: Duration::ZERO,
            recalled: 0,
        };
        let above = Below { every_number: true, gate: Some(gate) };
        self.upstream.launch(launch, reorder, above)
    }
}

/// The way into a window: as many may be inside as it has seats.
///
/// A bounded channel of nothing is a semaphore. A seat is taken by sending, and given back by receiving.
#[derive(Clone)]
pub(super) struct Gate {
    taken: Sender<()>,
    control: Arc<Control>,
}

fn gate(seats: usize, control: &Arc<Control>) -> (Gate, Receiver<()>) {
    let (taken, seats) = channel::bounded(seats);
    (Gate { taken, control: Arc::clone(control) }, seats)
}

impl Gate {
    /// Takes a seat; waits while there is none. Returns how long it waited.
    ///
    /// Only whoever has the items in order may call this, one item after the other. So those inside are always the
    /// oldest, and the oldest of all is inside.
    pub(super) fn enter(&self) -> Result<Duration, NotTaken> {
        match self.taken.try_send(()) {
            Ok(()) => Ok(Duration::ZERO),
            Err(TrySendError::Disconnected(())) => Err(NotTaken),
            Err(TrySendError::Full(())) => {
                let since = Instant::now();
                let entered = self.taken.send_ctx(self.control.work(), ());
                entered.map(|()| since.elapsed()).map_err(|_| NotTaken)
            }
        }
    }
}

/// What the workers in front of an ordered point share.
struct Window<T> {
    line: Mutex<Line<T>>,
    /// Where seats are given back.
    seats: Receiver<()>,
}

struct Line<T> {
    /// The number whose turn it is.
    next: u64,
    /// Parcel `n` waits at `n` modulo the length. The gate sees to it that the place is free.
    places: Box<[Option<Parcel<T>>]>,
    /// One of the workers is handing on what has its turn. The others only leave their parcels.
    serving: bool,
}

impl<T> Line<T> {
    fn place(&mut self, seq: u64) -> &mut Option<Parcel<T>> {
        // The remainder is smaller than the length, which is a `usize`.
        &mut self.places[(seq % self.places.len() as u64) as usize]
    }

    /// Moves all that have their turn to `batch`.
    fn take_turns(&mut self, batch: &mut Vec<Parcel<T>>) {
        while let Some(parcel) = self.place(self.next).take() {
            self.next += 1;
            batch.push(parcel);
        }
    }
}

/// The sink that puts parcels in order.
///
/// There is no thread behind it. Whoever leaves the parcel whose turn it is serves the line, until the next one is
/// missing; whoever comes meanwhile leaves a parcel and goes back to work. So nobody waits for the server but the
/// server itself, when there is no room downstream.
struct Reorder<T, S> {
    window: Arc<Window<T>>,
    sink: S,
    below: Below,
    control: Arc<Control>,
    /// Empty between calls; kept for its memory.
    batch: Vec<Parcel<T>>,
    waited_at_gate: Duration,
    recalled: u64,
}

impl<T, S: Clone> Clone for Reorder<T, S> {
    fn clone(&self) -> Self {
        Self {
            window: Arc::clone(&self.window),
            sink: self.sink.clone(),
            below: self.below.clone(),
            control: Arc::clone(&self.control),
            batch: Vec::new(),
            waited_at_gate: Duration::ZERO,
            recalled: 0,
        }
    }
}

impl<T: Send, S: Sink<T>> Reorder<T, S> {
    /// Hands on one parcel whose turn it is. Whoever takes it looks whether it is still admitted.
    fn serve(&mut self, parcel: Parcel<T>) {
        let loaded = parcel.load.is_some();
        if (loaded || self.below.every_number) && self.forward(parcel).is_err() {
            self.recalled += u64::from(loaded);
        }
        // Only now: the window bounds all that is between the gate and what follows the window.
        let seat = self.window.seats.try_recv();
        debug_assert!(seat.is_ok(), "a parcel leaves a window that it never entered");
    }

    fn forward(&mut self, parcel: Parcel<T>) -> Result<(), NotTaken> {
        if let Some(gate) = &self.below.gate {
            // No number may follow one that was left out, so an abort is looked for in front of each.
            if self.control.work().is_done() {
                return Err(NotTaken);
            }
            self.waited_at_gate += gate.enter()?;
        }
        self.sink.put(parcel)
    }
}

impl<T: Send, S: Sink<T>> Sink<T> for Reorder<T, S> {
    fn put(&mut self, parcel: Parcel<T>) -> Result<(), NotTaken> {
        let mut line = lock(&self.window.line);
        let seq = parcel.seq;
        let before = line.place(seq).replace(parcel);
        debug_assert!(before.is_none(), "two parcels in one place of the window");
        if line.serving || line.next != seq {
            return Ok(());
        }
        line.serving = true;
        let mut batch = std::mem::take(&mut self.batch);
        loop {
            line.take_turns(&mut batch);
            if batch.is_empty() {
                line.serving = false;
                break;
            }
            drop(line);
            for parcel in batch.drain(..) {
                self.serve(parcel);
            }
            line = lock(&self.window.line);
        }
        drop(line);
        self.batch = batch;
        Ok(())
    }

    fn finish(self) -> SinkTally {
        let tally = self.sink.finish();
        // The last one to leave counts what an abort left behind.
        let left = Arc::into_inner(self.window).map_or(0, |window| {
            let line = window.line.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            line.places.iter().flatten().filter(|parcel| parcel.load.is_some()).count() as u64
        });
        SinkTally {
            blocked: tally.blocked + self.waited_at_gate,
            recalled: tally.recalled + self.recalled + left,
        }
    }
}
