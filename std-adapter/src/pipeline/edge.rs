//! The queue between two neighbours: bounded in items, and never a place where one is kept back.

use super::control::Control;
use super::depth::Tally;
use super::desk::{Count, Desk, Office, Wait};
use super::pair::{Inlet, Outlet, Pair};
use super::parcel::{Parcel, Sink};
use crate::channel::Ring;
use crate::core::wait::{Growable, WaitQueue};
use crate::foreign::discard;
use crate::park::{Impatience, Patience, drive};
use aqueduct_core::channel::{TryRecvError, TrySendError};
use aqueduct_core::queue::MAX_CAPACITY;
use crossbeam_utils::CachePadded;
use crossbeam_utils::atomic::AtomicCell;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// How often a party gives the CPU away before it sleeps. In unit tests hardly ever, so that it sleeps all the time.
const TURNS: u32 = if cfg!(test) { 1 } else { 28 };

/// Whether a buffer can have this size.
pub(super) fn can_hold(capacity: usize) -> bool {
    (1..=MAX_CAPACITY).contains(&capacity)
}

/// Where a party sleeps. An abort closes it, for good.
///
/// It is not that of the line, which cannot be reached from the callback of an abort: it may hold items that borrow.
pub(super) type Bell = WaitQueue<Growable>;

/// The queue, and those who wait at it.
struct Edge<T> {
    line: Line<T>,
    /// Rung for those who wait for items.
    items: Arc<Bell>,
    /// Rung for those who wait for room.
    room: Arc<Bell>,
    /// How many there are, and how many takers have nothing to do. On lines of their own: they are written when somebody comes, goes or waits.
    parties: CachePadded<Parties>,
    office: Arc<Office>,
}

struct Parties {
    makers: AtomicCell<usize>,
    takers: AtomicCell<usize>,
    idle: AtomicCell<usize>,
}

#[allow(clippy::large_enum_variant, reason = "one per edge; a box would cost each item a hop")]
enum Line<T> {
    /// Of one maker and one taker.
    Pair(Pair<T>),
    /// Of all others.
    Shared(Ring<Parcel<T>>),
}

/// An edge in front of a stage, one of so many that share its buffer, between so many makers and takers.
pub(super) fn edge<T>(
    control: &Control,
    office: &Arc<Office>,
    lanes: usize,
    makers: usize,
    takers: usize,
) -> (Entrance<T>, Exit<T>) {
    let buffer = (office.buffer / lanes).max(1);
    let (line, inlet, outlet) = if makers == 1 && takers == 1 {
        let (pair, inlet, outlet) = Pair::new(buffer);
        (Line::Pair(pair), Some(inlet), Some(outlet))
    } else {
        (Line::Shared(Ring::with_progress(buffer)), None, None)
    };
    let parties = Parties {
        makers: AtomicCell::new(1),
        takers: AtomicCell::new(1),
        idle: AtomicCell::new(0),
    };
    let edge = Arc::new(Edge {
        line,
        items: control.bell(),
        room: control.bell(),
        parties: CachePadded::new(parties),
        office: Arc::clone(office),
    });
    office.depth.add_places(buffer);
    let tally = office.depth.open_entrance();
    let entrance = Entrance { edge: Arc::clone(&edge), own: RefCell::new(inlet), tally };
    let tally = office.depth.open_exit();
    (entrance, Exit { edge, own: RefCell::new(outlet), tally })
}

/// The end of an edge where items go in.
pub(super) struct Entrance<T> {
    edge: Arc<Edge<T>>,
    /// The end of the ring, where there is one for each side, and nobody else has it.
    own: RefCell<Option<Inlet<T>>>,
    tally: Tally,
}

impl<T: Send> Sink<T> for Entrance<T> {
    #[inline]
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        match self.try_put(parcel) {
            Ok(()) => {}
            Err(TrySendError::Full(parcel)) => self.wait_and_put(parcel, desk),
            Err(TrySendError::Closed(parcel)) => recall(&parcel, desk),
        }
    }

    fn has_room(&self) -> bool {
        match &self.edge.line {
            Line::Pair(_) => self.own.borrow().as_ref().is_some_and(|inlet| !inlet.is_full()),
            Line::Shared(ring) => !ring.is_full(),
        }
    }

    fn finish(self, _: &Desk) {}
}

impl<T> Entrance<T> {
    #[inline]
    fn try_put(&mut self, parcel: Parcel<T>) -> Result<(), TrySendError<Parcel<T>>> {
        let edge = &*self.edge;
        match &edge.line {
            Line::Pair(pair) => pair.put(self.own.get_mut().as_mut(), parcel, &edge.items)?,
            Line::Shared(ring) => {
                ring.try_send(parcel)?;
                edge.items.notify(1);
            }
        }
        self.tally.count();
        Ok(())
    }

    #[cold]
    fn wait_and_put(&mut self, mut parcel: Parcel<T>, desk: &Desk) {
        let patience = Patience::giving_way(TURNS, None);
        while patience.wait() {
            match self.try_put(parcel) {
                Ok(()) => return,
                Err(TrySendError::Full(back)) => parcel = back,
                Err(TrySendError::Closed(back)) => return recall(&back, desk),
            }
        }
        let edge = Arc::clone(&self.edge);
        let mut held = Some(parcel);
        let mut look = || {
            if let Line::Pair(pair) = &edge.line {
                pair.await_room();
            }
            let tried = self.try_put(held.take()?);
            let waits = matches!(tried, Err(TrySendError::Full(_)));
            held = tried.err().map(TrySendError::into_inner);
            (!waits).then_some(())
        };
        while let Slept::Rung = desk.during(Wait::Blocked, || sleep(&edge.room, None, &mut look)) {}
        held.iter().for_each(|parcel| recall(parcel, desk));
    }
}

fn recall<T>(parcel: &Parcel<T>, desk: &Desk) {
    desk.add(Count::Recalled, u64::from(parcel.load.is_some()));
}

/// Another maker.
impl<T> Clone for Entrance<T> {
    fn clone(&self) -> Self {
        self.edge.parties.makers.fetch_add(1);
        if let Line::Pair(pair) = &self.edge.line {
            pair.share_inlet(&mut self.own.borrow_mut());
        }
        let tally = self.edge.office.depth.open_entrance();
        Self { edge: Arc::clone(&self.edge), own: RefCell::new(None), tally }
    }
}

impl<T> Drop for Entrance<T> {
    fn drop(&mut self) {
        let edge = &*self.edge;
        edge.office.depth.close_entrance(&self.tally);
        if edge.parties.makers.fetch_sub(1) == 1 {
            if let Line::Shared(ring) = &edge.line {
                ring.close();
            }
            edge.items.notify_all();
        }
    }
}

/// The end of an edge where items come out. All of an edge's share the items.
pub(super) struct Exit<T> {
    edge: Arc<Edge<T>>,
    /// The end of the ring, where there is one for each side, and nobody else has it.
    own: RefCell<Option<Outlet<T>>>,
    tally: Tally,
}

/// What [`Exit::take_until`] came to.
pub(super) enum Taken<T> {
    Item(Parcel<T>),
    /// The time is over.
    Late,
    /// There will be no more.
    End,
}

impl<T> Exit<T> {
    /// The next item; `None` at the end of input.
    ///
    /// After an abort, what is there still comes out: somebody has to count it.
    pub(super) fn take(&mut self, desk: &Desk) -> Option<Parcel<T>> {
        match self.take_until(None, desk) {
            Taken::Item(item) => Some(item),
            Taken::Late | Taken::End => None,
        }
    }

    /// The next item, if it comes by then.
    #[inline]
    pub(super) fn take_until(&mut self, deadline: Option<Instant>, desk: &Desk) -> Taken<T> {
        let taken = match self.try_take() {
            Err(TryRecvError::Empty) => self.wait_and_take(deadline, desk),
            taken => taken,
        };
        match taken {
            Ok(parcel) => Taken::Item(parcel),
            Err(TryRecvError::Closed) => Taken::End,
            Err(TryRecvError::Empty) => Taken::Late,
        }
    }

    #[inline]
    fn try_take(&mut self) -> Result<Parcel<T>, TryRecvError> {
        let edge = &*self.edge;
        let parcel = match &edge.line {
            Line::Pair(pair) => {
                let mut take = || pair.take(self.own.get_mut().as_mut(), &edge.room);
                match take() {
                    Some(parcel) => parcel,
                    None if edge.parties.makers.load() > 0 && !pair.is_closed() => {
                        return Err(TryRecvError::Empty);
                    }
                    // What was put between the look and the end.
                    None => take().ok_or(TryRecvError::Closed)?,
                }
            }
            Line::Shared(ring) => {
                let parcel = ring.try_recv()?;
                if edge.room.has_waiters() {
                    let places = ring.capacity();
                    // Those who never sleep may keep the line full: from time to time somebody else has a try.
                    if ring.len() <= places / 2 || self.tally.read().is_multiple_of(places) {
                        edge.room.notify(1);
                    }
                }
                parcel
            }
        };
        self.tally.count();
        Ok(parcel)
    }

    /// Still empty is late.
    #[cold]
    fn wait_and_take(
        &mut self,
        deadline: Option<Instant>,
        desk: &Desk,
    ) -> Result<Parcel<T>, TryRecvError> {
        let edge = Arc::clone(&self.edge);
        edge.parties.idle.fetch_add(1);
        let patience = Patience::giving_way(TURNS, deadline);
        let mut taken = Err(TryRecvError::Empty);
        while matches!(taken, Err(TryRecvError::Empty)) && patience.wait() {
            taken = self.try_take();
        }
        let mut is_late = false;
        while matches!(taken, Err(TryRecvError::Empty)) && !is_late {
            let mut look = || {
                if let Line::Pair(pair) = &edge.line {
                    pair.await_items();
                }
                let taken = self.try_take();
                (!matches!(taken, Err(TryRecvError::Empty))).then_some(taken)
            };
            let slept = desk.during(Wait::Starved, || sleep(&edge.items, deadline, &mut look));
            is_late = matches!(slept, Slept::Late);
            taken = match slept {
                Slept::Found(taken) => taken,
                Slept::Rung | Slept::Late => self.try_take(),
                Slept::Closed => self.close(),
            };
        }
        edge.parties.idle.fetch_sub(1);
        taken
    }

    /// Nobody is to put anything from now on: what comes is recalled by whoever puts it. What is left.
    fn close(&mut self) -> Result<Parcel<T>, TryRecvError> {
        let rest = match &self.edge.line {
            Line::Pair(pair) => pair.close(self.own.get_mut()),
            Line::Shared(ring) => {
                ring.close();
                ring.try_recv()
            }
        };
        rest.inspect(|_| self.tally.count())
    }

    /// How many items wait, and how many of those who take them are free to.
    pub(super) fn load(&self) -> (usize, usize) {
        let items = match &self.edge.line {
            Line::Pair(pair) => pair.len(self.own.borrow().as_ref()),
            Line::Shared(ring) => ring.len(),
        };
        (items, self.edge.parties.idle.load())
    }
}

/// Another taker.
impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        self.edge.parties.takers.fetch_add(1);
        if let Line::Pair(pair) = &self.edge.line {
            pair.share_outlet(&mut self.own.borrow_mut());
        }
        let tally = self.edge.office.depth.open_exit();
        Self { edge: Arc::clone(&self.edge), own: RefCell::new(None), tally }
    }
}

impl<T> Drop for Exit<T> {
    fn drop(&mut self) {
        if self.edge.parties.takers.fetch_sub(1) == 1 {
            // There is something left only if a panic took the takers away.
            while let Ok(parcel) = self.close() {
                discard(parcel);
            }
            self.edge.room.notify_all();
        }
        self.edge.office.depth.close_exit(&self.tally);
    }
}

/// What a sleep came to.
enum Slept<R> {
    /// The look in front of it was not in vain.
    Found(R),
    Rung,
    Late,
    /// The run is aborted.
    Closed,
}

/// Stands in line at a bell, looks once more, and sleeps until it rings, or until then.
fn sleep<R>(
    bell: &Bell,
    deadline: Option<Instant>,
    mut look: impl FnMut() -> Option<R>,
) -> Slept<R> {
    let mut wait = bell.wait();
    let rung = poll_fn(|cx| match Pin::new(&mut wait).poll(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Slept::Rung),
        Poll::Ready(Err(_)) => Poll::Ready(Slept::Closed),
        // In line from here on: whoever comes after the look rings.
        Poll::Pending => look().map_or(Poll::Pending, |found| Poll::Ready(Slept::Found(found))),
    });
    drive(pin!(rung), deadline, Impatience::Spent).unwrap_or(Slept::Late)
}

#[cfg(test)]
mod tests {
    use super::super::desk::Staff;
    use super::*;
    use crate::{Context as RunContext, lock};
    use std::sync::Mutex;
    use std::task::{Context, Waker};
    use std::thread;

    const ITEMS: u64 = 3_000;

    /// An edge with so much room, and what aborts its run.
    fn open(buffer: usize, makers: usize, takers: usize) -> (Ends, Arc<Office>, Control) {
        let (control, _errors) = Control::new(&RunContext::background(), None, 1);
        let office = Office::new(&"stage".into(), buffer, Staff::fixed(takers), true);
        let office = Arc::new(office);
        (edge(&control, &office, 1, makers, takers), office, control)
    }

    type Ends = (Entrance<u64>, Exit<u64>);

    /// Puts `items`; how many of them nobody took.
    fn put_all(mut entrance: Entrance<u64>, items: impl Iterator<Item = u64>) -> u64 {
        let desk = Desk::new();
        items.for_each(|item| entrance.put(Parcel::of_source(item, item), &desk));
        entrance.finish(&desk);
        desk.counts().recalled
    }

    fn take_all(mut exit: Exit<u64>) -> Vec<u64> {
        let desk = Desk::new();
        std::iter::from_fn(|| exit.take(&desk)).map(|parcel| parcel.item).collect()
    }

    /// In a pair; in a pair that others have come to; and with two of each from the beginning.
    #[test]
    fn all_that_is_put_is_taken_once_and_whoever_sleeps_is_woken() {
        for buffer in [1, 2, 3, 64] {
            for (planned, come) in [(1, 1), (1, 2), (2, 2)] {
                let ((entrance, exit), office, _control) = open(buffer, planned, planned);
                let (entrances, exits) = (vec![entrance; come], vec![exit; come]);
                let taken = Mutex::new(Vec::new());
                thread::scope(|scope| {
                    for (at, entrance) in entrances.into_iter().enumerate() {
                        let items = (at as u64..ITEMS).step_by(come);
                        scope.spawn(|| assert_eq!(put_all(entrance, items), 0));
                    }
                    for exit in exits {
                        scope.spawn(|| {
                            let items = take_all(exit);
                            assert!(come > 1 || items.is_sorted(), "out of order");
                            lock(&taken).extend(items);
                        });
                    }
                });
                let mut taken = taken.into_inner().unwrap();
                taken.sort_unstable();
                assert!(taken.into_iter().eq(0..ITEMS), "{buffer} {planned} {come}");
                assert_eq!(office.depth.items(), 0);
            }
        }
    }

    /// In the middle of it: then each item has been taken, or was recalled.
    #[test]
    fn nothing_is_lost_or_taken_twice_when_the_run_is_aborted() {
        for round in 0..300 {
            for (planned, come) in [(1, 1), (1, 2), (2, 2)] {
                let ((entrance, exit), office, control) = open(1 + round % 4, planned, planned);
                let (entrances, exits) = (vec![entrance; come], vec![exit; come]);
                let makers = entrances.len() as u64;
                let (taken, recalled) = (AtomicCell::new(0_u64), AtomicCell::new(0_u64));
                thread::scope(|scope| {
                    for entrance in entrances {
                        scope.spawn(|| recalled.fetch_add(put_all(entrance, 0..100)));
                    }
                    for exit in exits {
                        scope.spawn(|| taken.fetch_add(take_all(exit).len() as u64));
                    }
                    (0..round % 50).for_each(|_| thread::yield_now());
                    control.abort();
                });
                assert_eq!(taken.load() + recalled.load(), makers * 100);
                assert_eq!(office.depth.items(), 0);
            }
        }
    }

    /// Who has a line alone is told what is in it, as who shares it is.
    #[test]
    fn what_waits_is_counted_and_no_more_fits_than_there_is_room() {
        for parties in [1, 2] {
            let ((mut entrance, mut exit), office, control) = open(5, parties, parties);
            let desk = Desk::new();
            for n in 0..5 {
                assert!(entrance.has_room());
                entrance.put(Parcel::of_source(n, n), &desk);
                assert_eq!(
                    (office.depth.items(), exit.load()),
                    (n as usize + 1, (n as usize + 1, 0))
                );
            }
            assert!(!entrance.has_room());
            // It would sleep for ever: the run is aborted, and so it is recalled.
            control.abort();
            entrance.put(Parcel::of_source(5, 5), &desk);
            assert_eq!(desk.counts().recalled, 1);
            drop(entrance);
            assert_eq!(exit.take(&desk).map(|parcel| parcel.item), Some(0));
            assert_eq!((office.depth.items(), exit.load().0), (4, 4));
            assert_eq!(take_all(exit), [1, 2, 3, 4]);
        }
    }

    /// A maker sleeps, and another one is always as quick as the taker: no half of the room is ever free.
    #[test]
    fn who_sleeps_beside_a_line_that_is_kept_full_has_a_try() {
        for planned in [1, 2] {
            let ((mut entrance, mut exit), ..) = open(4, planned, planned);
            let _another = entrance.clone();
            let desk = Desk::new();
            let mut put = |n| entrance.put(Parcel::of_source(n, n), &desk);
            (0..4).for_each(&mut put);
            let edge = Arc::clone(&exit.edge);
            let mut wait = edge.room.wait();
            let mut is_rung = || {
                let mut context = Context::from_waker(Waker::noop());
                Pin::new(&mut wait).poll(&mut context).is_ready()
            };
            assert!(!is_rung());
            if let Line::Pair(pair) = &edge.line {
                pair.await_room();
            }
            let rung = (4..14).find(|n| {
                assert_eq!(exit.take(&desk).map(|parcel| parcel.item), Some(n - 4));
                put(*n);
                is_rung()
            });
            assert!(rung.is_some_and(|n| n < 12), "passed by for ever");
        }
    }

    #[test]
    fn a_deadline_ends_a_wait_and_loses_nothing() {
        for parties in [1, 2] {
            let ((mut entrance, mut exit), ..) = open(2, parties, parties);
            let desk = Desk::new();
            let now = Some(Instant::now());
            assert!(matches!(exit.take_until(now, &desk), Taken::Late));
            entrance.put(Parcel::of_source(7, 7), &desk);
            assert!(matches!(exit.take_until(now, &desk), Taken::Item(parcel) if parcel.item == 7));
            drop(entrance);
            assert!(matches!(exit.take_until(now, &desk), Taken::End));
        }
    }
}
