//! Putting items in order again, in a window of fixed size.

use super::control::Control;
use super::desk::{Count, Desk, Wait};
use super::edge::{Bell, can_hold};
use super::error::BuildError;
use super::flow::{Below, Flow, Launch, Order, Pump};
use super::parcel::{Parcel, Sink};
use crate::lock;
use crate::park::{Impatience, drive};
use crate::thread::SpawnError;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
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
    /// Whether it does.
    const LISTENS: bool;

    /// Nothing of the first so many items of the source will come here any more.
    #[doc(hidden)]
    fn done(&self, items: u64);
}

impl Commit for () {
    const LISTENS: bool = false;

    fn done(&self, _: u64) {}
}

/// A function that wants to: [`commit_point`](super::Pipeline::commit_point).
pub struct OnCommit<F>(pub(super) F);

impl<F: Fn(u64) + Send + Sync> Commit for OnCommit<F> {
    const LISTENS: bool = true;

    fn done(&self, items: u64) {
        self.0(items);
    }
}

impl<P: Flow, C: Commit> Flow for Ordered<P, C> {
    type Item = P::Item;

    fn position(&self) -> usize {
        self.upstream.position()
    }

    fn name(&self) -> Arc<str> {
        self.upstream.name()
    }

    fn makers(&self, _: bool) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn total(&self) -> Option<u64> {
        self.upstream.total()
    }

    fn check(&self, _: Order<'_>) -> Result<(), BuildError> {
        if !can_hold(self.window) {
            return Err(BuildError::Window { items: self.window });
        }
        self.upstream.check(Order::Restored(self.window))
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
        launch.keeps_order = None;
        launch.has_one_way_out = true;
        self.upstream.launch(launch, reorder, above)
    }
}

/// The way into a window: as many may be inside as it has seats.
pub(super) struct Gate {
    seats: Arc<Seats>,
    /// Seats that were taken and are not used yet.
    mine: usize,
    /// Somebody found no seat, and none will be found by those behind.
    is_shut: bool,
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
        Self { seats: Arc::clone(&self.seats), mine: 0, is_shut: self.is_shut }
    }
}

impl Gate {
    /// How many seats were taken and are not used yet.
    pub(super) fn seats(&self) -> usize {
        self.mine
    }

    /// Uses one of them.
    pub(super) fn use_one(&mut self) {
        self.mine -= 1;
    }

    /// Takes a seat; waits while there is none. False after an abort, and from then on, though seats may be given back: no number may follow one
    /// that was left out.
    ///
    /// Only whoever has the items in order may call this, one item after the other. So those inside are always the
    /// oldest, and the oldest of all is inside. Being the only one, it takes all that are free at once.
    pub(super) fn enter(&mut self, desk: &Desk) -> bool {
        while self.mine == 0 && !self.is_shut {
            let mut free = lock(&self.seats.free);
            self.mine = std::mem::take(&mut free.seats);
            free.awaited = self.mine == 0;
            if !free.awaited {
                break;
            }
            let mut wait = self.seats.bell.wait();
            drop(free);
            let waited = desk
                .during(Wait::Blocked, || drive(Pin::new(&mut wait), None, Impatience::GiveWay));
            self.is_shut = matches!(waited, Some(Err(_)));
        }
        if self.is_shut {
            return false;
        }
        self.use_one();
        true
    }
}

impl Seats {
    fn give_back(&self, seats: usize) {
        if seats == 0 {
            return;
        }
        let mut free = lock(&self.free);
        free.seats += seats;
        let call = std::mem::take(&mut free.awaited);
        drop(free);
        if call {
            self.bell.notify_one();
        }
    }
}

/// What the workers in front of an ordered point share.
struct Window<T, S, C> {
    /// Parcel `n` is left at `n` modulo the length. The gate sees to it that the place is free.
    places: Box<[Place<T>]>,
    /// Parcels that were left since the last look for those whose turn it is. Whoever makes it 1 looks, and goes on looking until it is 0
    /// again; the others only leave their parcels.
    left: CachePadded<AtomicCell<usize>>,
    /// Locked by whoever looks, and by nobody else.
    counter: Mutex<Counter<T, S, C>>,
    /// Where seats are given back.
    seats: Arc<Seats>,
}

/// A lock for each place: those who leave parcels do not meet.
type Place<T> = Mutex<Option<Parcel<T>>>;

fn place<T>(places: &[Place<T>], seq: u64) -> &Place<T> {
    // The remainder is smaller than the length, which is a `usize`.
    &places[(seq % places.len() as u64) as usize]
}

/// Where the line is served.
struct Counter<T, S, C> {
    /// The number whose turn it is.
    next: u64,
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
    /// Hands on all that have their turn; whether there was one.
    fn serve(&mut self, places: &[Place<T>], seats: &Seats, desk: &Desk) -> bool {
        while let Some(parcel) = lock(place(places, self.next)).take() {
            self.next += 1;
            self.batch.push(parcel);
        }
        if self.batch.is_empty() {
            return false;
        }
        let mut batch = std::mem::take(&mut self.batch);
        let (mut done, mut free) = (None, 0);
        for parcel in batch.drain(..) {
            let (item, up_to) = (parcel.item, parcel.done);
            let loaded = parcel.load.is_some();
            if loaded || self.below.every_number {
                if !self.sink.has_room() || self.below.gate.is_some() {
                    // Those who wait for seats need not wait for this.
                    seats.give_back(std::mem::take(&mut free));
                }
                // No number may follow one that was left out, so an abort is looked for in front of each.
                let aborted = self.below.gate.is_some() && self.control.work().is_done();
                if !aborted && self.below.gate.as_mut().is_none_or(|gate| gate.enter(desk)) {
                    // Whoever takes it looks whether it is still admitted.
                    self.sink.put(parcel, desk);
                } else {
                    desk.add(Count::Recalled, u64::from(loaded));
                }
            }
            // Not before it has gone on: it may have found the way closed.
            if self.control.admits(item) {
                done = Some(up_to);
            }
            // Only now: the window bounds all that is between the gate and what follows the window.
            free += 1;
        }
        seats.give_back(free);
        self.batch = batch;
        if let Some(items) = done.filter(|items| *items > self.done) {
            self.done = items;
            self.commit.done(items);
        }
        true
    }
}

/// The sink that puts parcels in order.
///
/// There is no thread behind it. Whoever leaves a parcel while nobody serves does, until the next one is
/// missing; whoever comes meanwhile leaves a parcel and goes back to work. So nobody waits for the server but the
/// server itself, when there is no room downstream.
pub(super) struct Reorder<T, S, C>(Arc<Window<T, S, C>>);

impl<T, S, C> Clone for Reorder<T, S, C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, S, C: Commit> Reorder<T, S, C> {
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
        let gate = Gate { seats: Arc::clone(&seats), mine: 0, is_shut: false };
        let commits = below.commits || C::LISTENS;
        let above =
            Below { every_number: true, gate: Some(gate), window, commits, in_order: false };
        let places = (0..window).map(|_| Mutex::new(None)).collect();
        let left = CachePadded::new(AtomicCell::new(0));
        let control = Arc::clone(control);
        let counter = Mutex::new(Counter {
            next: 0,
            sink,
            below,
            control,
            commit,
            done: 0,
            batch: Vec::new(),
        });
        (Self(Arc::new(Window { places, left, counter, seats })), above)
    }
}

impl<T: Send, S: Sink<T>, C: Commit> Sink<T> for Reorder<T, S, C> {
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let Window { places, left, counter, seats } = &*self.0;
        let before = lock(place(places, parcel.seq)).replace(parcel);
        debug_assert!(before.is_none(), "two parcels in one place of the window");
        // Left before it is counted, and counted before it is looked for.
        if left.fetch_add(1) > 0 {
            return;
        }
        let mut seen = 1;
        // If it is not free, whoever served before is just about to go.
        let mut counter = lock(counter);
        loop {
            while counter.serve(places, seats, desk) {}
            let there = left.fetch_sub(seen);
            if there == seen {
                return;
            }
            seen = there - seen;
        }
    }

    fn finish(self, desk: &Desk) {
        // The last one to leave counts what an abort left behind.
        let Some(window) = Arc::into_inner(self.0) else { return };
        let places = window.places.into_iter();
        let left = places
            .filter_map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner))
            .filter(|parcel| parcel.load.is_some())
            .count();
        desk.add(Count::Recalled, left as u64);
        window.counter.into_inner().unwrap_or_else(PoisonError::into_inner).sink.finish(desk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_refused_somebody_refuses_all_who_come_behind() {
        let seats = Arc::new(Seats {
            free: Mutex::new(Free { seats: 1, awaited: false }),
            bell: Arc::new(Bell::with_storage(crate::core::wait::Growable::new())),
        });
        let mut gate = Gate { seats: Arc::clone(&seats), mine: 0, is_shut: false };
        let desk = Desk::new();
        assert!(gate.enter(&desk));
        seats.bell.close();
        assert!(!gate.enter(&desk));
        // Whoever had the seat is served late.
        seats.give_back(1);
        assert!(!gate.enter(&desk));
    }
}
