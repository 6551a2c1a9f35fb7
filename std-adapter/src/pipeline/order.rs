//! Putting items in order again, in a window of fixed size.

use super::control::Control;
use super::desk::{Count, Desk, Wait};
use super::edge::{Bell, Parcel, Sink, can_hold};
use super::error::BuildError;
use super::flow::{Below, Flow, Launch, Pump};
use crate::lock;
use crate::park::{Impatience, drive};
use crate::thread::SpawnError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// A flow whose items leave in the order in which its source made them.
pub struct Ordered<P, C = ()> {
    pub(super) upstream: P,
    pub(super) window: usize,
    pub(super) commit: C,
}

/// Who wants to know how far an ordered point has come.
pub trait Commit: Send + Sync {
    /// Nothing of the first so many items of the source will come here any more.
    #[doc(hidden)]
    fn done(&self, items: u64);
}

impl Commit for () {
    fn done(&self, _: u64) {}
}

/// A function that wants to: [`commit_point`](super::Pipeline::commit_point).
pub struct OnCommit<F>(pub(super) F);

impl<F: Fn(u64) + Send + Sync> Commit for OnCommit<F> {
    fn done(&self, items: u64) {
        self.0(items);
    }
}

impl<P: Flow, C: Commit> Flow for Ordered<P, C> {
    type Item = P::Item;

    fn position(&self) -> usize {
        self.upstream.position()
    }

    fn makers(&self) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn total(&self) -> Option<u64> {
        self.upstream.total()
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
        let (reorder, above) = Reorder::new(self.window, sink, below, self.commit, &launch.control);
        self.upstream.launch(launch, reorder, above)
    }
}

/// The way into a window: as many may be inside as it has seats.
pub(super) struct Gate {
    seats: Arc<Seats>,
    /// Seats that were taken and are not used yet.
    mine: usize,
}

/// The seats that are free.
struct Seats {
    free: Mutex<Free>,
    bell: Arc<Bell>,
}

struct Free {
    seats: usize,
    awaited: bool,
}

impl Clone for Gate {
    fn clone(&self) -> Self {
        Self { seats: Arc::clone(&self.seats), mine: 0 }
    }
}

impl Gate {
    /// Takes a seat; waits while there is none. False after an abort.
    ///
    /// Only whoever has the items in order may call this, one item after the other. So those inside are always the
    /// oldest, and the oldest of all is inside. Being the only one, it takes all that are free at once.
    pub(super) fn enter(&mut self, desk: &Desk) -> bool {
        while self.mine == 0 {
            let mut free = lock(&self.seats.free);
            self.mine = std::mem::take(&mut free.seats);
            free.awaited = self.mine == 0;
            if !free.awaited {
                break;
            }
            let mut wait = self.seats.bell.wait();
            drop(free);
            let waited =
                desk.during(Wait::Blocked, || drive(Pin::new(&mut wait), None, Impatience::Spin));
            if matches!(waited, Some(Err(_))) {
                return false;
            }
        }
        self.mine -= 1;
        true
    }
}

impl Seats {
    fn give_back(&self) {
        let mut free = lock(&self.free);
        free.seats += 1;
        let call = std::mem::take(&mut free.awaited);
        drop(free);
        if call {
            self.bell.notify_one();
        }
    }
}

/// What the workers in front of an ordered point share.
struct Window<T, S, C> {
    line: Mutex<Line<T>>,
    /// Locked by whoever serves the line, and by nobody else.
    counter: Mutex<Counter<T, S, C>>,
    /// Where seats are given back.
    seats: Arc<Seats>,
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

/// Where the line is served.
struct Counter<T, S, C> {
    /// The one way downstream for all workers: so what they serve in order stays in order.
    sink: S,
    below: Below,
    control: Arc<Control>,
    commit: C,
    /// What was committed last.
    done: u64,
    /// Empty between turns; kept for its memory.
    batch: Vec<Parcel<T>>,
}

impl<T: Send, S: Sink<T>, C: Commit> Counter<T, S, C> {
    fn serve(&mut self, seats: &Seats, desk: &Desk) {
        let mut batch = std::mem::take(&mut self.batch);
        let mut done = None;
        for parcel in batch.drain(..) {
            if self.control.admits(parcel.item) {
                done = Some(parcel.item + u64::from(parcel.closes));
            }
            let loaded = parcel.load.is_some();
            if loaded || self.below.every_number {
                // No number may follow one that was left out, so an abort is looked for in front of each.
                let aborted = self.below.gate.is_some() && self.control.work().is_done();
                if !aborted && self.below.gate.as_mut().is_none_or(|gate| gate.enter(desk)) {
                    // Whoever takes it looks whether it is still admitted.
                    self.sink.put(parcel, desk);
                } else {
                    desk.add(Count::Recalled, u64::from(loaded));
                }
            }
            // Only now: the window bounds all that is between the gate and what follows the window.
            seats.give_back();
        }
        self.batch = batch;
        if let Some(items) = done.filter(|items| *items > self.done) {
            self.done = items;
            self.commit.done(items);
        }
    }
}

/// The sink that puts parcels in order.
///
/// There is no thread behind it. Whoever leaves the parcel whose turn it is serves the line, until the next one is
/// missing; whoever comes meanwhile leaves a parcel and goes back to work. So nobody waits for the server but the
/// server itself, when there is no room downstream.
pub(super) struct Reorder<T, S, C>(Arc<Window<T, S, C>>);

impl<T, S, C> Clone for Reorder<T, S, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, S, C> Reorder<T, S, C> {
    /// An ordered point in front of `sink`, and what it asks of those upstream.
    pub(super) fn new(
        window: usize,
        sink: S,
        below: Below,
        commit: C,
        control: &Arc<Control>,
    ) -> (Self, Below) {
        let free = Mutex::new(Free { seats: window, awaited: false });
        let seats = Arc::new(Seats { free, bell: control.bell() });
        let gate = Gate { seats: Arc::clone(&seats), mine: 0 };
        let above = Below { every_number: true, gate: Some(gate), window };
        let places = (0..window).map(|_| None).collect();
        let line = Mutex::new(Line { next: 0, places, serving: false });
        let control = Arc::clone(control);
        let counter =
            Mutex::new(Counter { sink, below, control, commit, done: 0, batch: Vec::new() });
        (Self(Arc::new(Window { line, counter, seats })), above)
    }
}

impl<T: Send, S: Sink<T>, C: Commit> Sink<T> for Reorder<T, S, C> {
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let Window { line, counter, seats } = &*self.0;
        let mut places = lock(line);
        let seq = parcel.seq;
        let before = places.place(seq).replace(parcel);
        debug_assert!(before.is_none(), "two parcels in one place of the window");
        if places.serving || places.next != seq {
            return;
        }
        places.serving = true;
        // It is free: who served before has left it before saying so.
        let mut counter = lock(counter);
        loop {
            places.take_turns(&mut counter.batch);
            if counter.batch.is_empty() {
                drop(counter);
                places.serving = false;
                return;
            }
            drop(places);
            counter.serve(seats, desk);
            places = lock(line);
        }
    }

    fn finish(self, desk: &Desk) {
        // The last one to leave counts what an abort left behind.
        let Some(window) = Arc::into_inner(self.0) else { return };
        let line = window.line.into_inner().unwrap_or_else(PoisonError::into_inner);
        let left = line.places.iter().flatten().filter(|parcel| parcel.load.is_some()).count();
        desk.add(Count::Recalled, left as u64);
        window.counter.into_inner().unwrap_or_else(PoisonError::into_inner).sink.finish(desk);
    }
}
