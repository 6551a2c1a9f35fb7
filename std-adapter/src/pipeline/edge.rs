//! The queue between two neighbours: bounded in items, moved in small batches, and never a place where one is kept back.

use super::control::Control;
use super::desk::{Count, Desk, Office, Wait};
use super::parcel::{Parcel, Sink};
use super::shelf::{Bill, Shelf};
use crate::core::wait::{Growable, WaitQueue};
use crate::lock;
use crate::park::{Impatience, Patience, drive};
use aqueduct_core::queue::MAX_CAPACITY;
use aqueduct_core::queue::spsc::{Producer, ring};
use crossbeam_utils::CachePadded;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most items that a party moves at a time.
const BATCH: usize = 16;

/// How long a taker that finds nothing naps before it sleeps: makers that are at work fill their shelves meanwhile, and need not wake
/// it for each item. An item that comes once it sleeps wakes it at once; so this is the longest that one lies on a shelf while somebody has nothing to
/// do.
const NAP: Duration = Duration::from_micros(200);

/// Whether a buffer can have this size.
pub(super) fn can_hold(capacity: usize) -> bool {
    (1..=MAX_CAPACITY).contains(&capacity)
}

/// Where a party sleeps. An abort closes it, for good.
pub(super) type Bell = WaitQueue<Growable>;

/// The queue, and all that is under way in front of it and behind.
struct Edge<T> {
    /// On lines of its own: the fields below are read for each item, and this is written for each batch.
    state: CachePadded<Mutex<State<T>>>,
    /// Rung for those who wait for items.
    items: Arc<Bell>,
    /// Rung for those who wait for room.
    room: Arc<Bell>,
    /// How many items a shelf or a hand may have at a time.
    batch: usize,
    /// Places of the line; the others are the shelves'.
    places: usize,
    /// Places that shelves may hold, all together.
    shelves: usize,
    /// Places of the line that hands may hold, all together.
    hands: usize,
    /// There is one taker, and there will be no other.
    one_taker: bool,
    office: Arc<Office>,
}

struct State<T> {
    line: VecDeque<Parcel<T>>,
    /// Places that are taken by items in hands: the sum of their places.
    held: usize,
    /// What the office has been told of the two.
    noted: usize,
    makers: usize,
    takers: usize,
    /// Takers that nap or sleep, or are about to.
    hungry: usize,
    /// Those of them that sleep until they are called.
    asleep: usize,
    /// One of them was called, and has not come yet.
    called: bool,
    /// Makers that wait for room.
    blocked: usize,
    /// One of them was let in, and has not come yet.
    let_in: bool,
    /// Nobody takes any more.
    closed: bool,
    /// The takers' ends of the shelves.
    shelves: Vec<Shelf<T>>,
    hands: Vec<Hand<T>>,
}

/// What a taker has taken and not begun.
struct Palm<T> {
    items: VecDeque<Parcel<T>>,
    /// How many of the line's places it has: so many as there were items in it when somebody last looked with the edge's lock.
    places: usize,
}

type Hand<T> = Arc<Mutex<Palm<T>>>;

/// An edge in front of a stage, one of so many that share its buffer, between so many makers and takers.
pub(super) fn edge<T>(
    control: &Control,
    office: &Arc<Office>,
    lanes: usize,
    makers: usize,
    takers: usize,
) -> (Entrance<T>, Exit<T>) {
    let buffer = (office.buffer / lanes).max(1);
    let batch = (buffer / makers.saturating_add(takers).max(1)).clamp(1, BATCH);
    // A maker that waits for room has a whole batch in its hand; one of these is its own.
    let places = buffer - (batch - 1) * makers;
    let edge = Arc::new(Edge {
        state: CachePadded::new(Mutex::new(State {
            line: VecDeque::new(),
            held: 0,
            noted: 0,
            makers: 0,
            takers: 0,
            hungry: 0,
            asleep: 0,
            called: false,
            blocked: 0,
            let_in: false,
            closed: false,
            shelves: Vec::new(),
            hands: Vec::new(),
        })),
        items: control.bell(),
        room: control.bell(),
        batch,
        places,
        shelves: (batch - 1) * makers,
        hands: (batch - 1) * takers,
        one_taker: takers == 1 && office.is_fixed,
        office: Arc::clone(office),
    });
    (Entrance::new(&edge), Exit::new(&edge))
}

impl<T> Edge<T> {
    /// Calls a taker, if there is something for it and nobody is on the way. One that naps will come by itself, and is left alone
    /// while others are awake.
    fn call(&self, state: &mut State<T>) -> bool {
        let nobody = state.asleep > 0 || state.hungry == state.takers;
        let call = nobody && state.hungry > 0 && !state.called && !state.line.is_empty();
        state.called |= call;
        call
    }

    /// Lets a waiting maker in, once half of the places are free that hands leave: so that it has something to do when it comes, and comes before the
    /// line is empty. What a hand has places for may be used up long since; its owner says so when all of it is.
    fn let_in(&self, state: &mut State<T>) -> bool {
        let free = state.line.len() <= self.places.saturating_sub(state.held) / 2;
        let let_in = state.blocked > 0 && !state.let_in && free;
        state.let_in |= let_in;
        let_in
    }

    /// Moves what is on a maker's shelf into the line, and the parcel behind it, as far as there are places; or the parcel onto the shelf.
    fn move_on(
        &self,
        state: &mut State<T>,
        shelf: Option<&mut Producer<'static, Parcel<T>>>,
        bill: &Bill,
        parcel: Option<Parcel<T>>,
    ) -> Option<Parcel<T>> {
        let mut free = self.places.saturating_sub(state.line.len() + state.held);
        if let Some(at) = state.shelf_of(bill) {
            let State { shelves, line, asleep, .. } = state;
            free -= shelves[at].pop_many(free, |parcel| line.push_back(parcel));
            if *asleep == 0 {
                bill.forget();
            }
        }
        match (parcel, shelf) {
            (Some(parcel), _) if free > 0 => state.line.push_back(parcel),
            // No place is free, and hands never have them all: so there is something in the line, for which somebody is called.
            (Some(parcel), Some(shelf)) => {
                let refused = shelf.push(parcel).err();
                if refused.is_none() {
                    bill.write();
                }
                return refused;
            }
            (parcel, _) => return parcel,
        }
        None
    }

    /// An item: from the line, then from shelves, then from others' hands. What is next goes into the own hand, which is empty, if nobody sleeps.
    fn find(&self, state: &mut State<T>, palm: &mut Palm<T>, mine: &Hand<T>) -> Option<Parcel<T>> {
        state.held -= std::mem::take(&mut palm.places);
        let Some(first) = state.next() else {
            let State { hands, held, .. } = state;
            let mut others = hands.iter().filter(|hand| !Arc::ptr_eq(hand, mine));
            palm.items = others.find_map(|other| {
                let mut other = lock(other);
                let half = other.items.len() / 2;
                let half = other.items.split_off(half);
                // A hand may be empty, and its owner busy for an hour: whoever has found that out gives its places back.
                *held -= other.places - other.items.len();
                other.places = other.items.len();
                Some(half).filter(|half| !half.is_empty())
            })?;
            let first = palm.items.pop_front();
            palm.places = palm.items.len();
            *held += palm.places;
            return first;
        };
        let room = self.hands.saturating_sub(state.held);
        let more = state.queued().min(self.batch - 1).min(room);
        if state.asleep > 0 || more == 0 {
            return Some(first);
        }
        let State { line, shelves, held, .. } = state;
        let free = self.places.saturating_sub(line.len() + *held);
        let of_line = line.len().min(more);
        palm.items.extend(line.drain(..of_line));
        // The places of a shelf are not the line's; those of a hand are.
        let most = (more - of_line).min(free);
        let mut wanted = most;
        for shelf in shelves {
            wanted -= shelf.pop_many(wanted, |parcel| palm.items.push_back(parcel));
        }
        palm.places = of_line + most - wanted;
        *held += palm.places;
        Some(first)
    }

    fn ring(&self, items: bool, room: bool) {
        if items {
            self.items.notify_one();
        }
        if room {
            self.room.notify_one();
        }
    }

    /// Several edges may share an office.
    fn note_depth(&self, state: &mut State<T>) {
        let depth = state.line.len() + state.held;
        let before = std::mem::replace(&mut state.noted, depth);
        match depth.checked_sub(before) {
            Some(0) => {}
            Some(more) => drop(self.office.depth.moved.fetch_add(more)),
            None => drop(self.office.depth.moved.fetch_sub(before - depth)),
        }
    }
}

/// The end of an edge where items go in.
pub(super) struct Entrance<T> {
    edge: Arc<Edge<T>>,
    /// None where the buffer is too small for batches, or was when this maker came.
    shelf: Option<Producer<'static, Parcel<T>>>,
    bill: Bill,
    left: bool,
}

impl<T> Entrance<T> {
    fn new(edge: &Arc<Edge<T>>) -> Self {
        let mut state = lock(&edge.state);
        state.makers += 1;
        let bill = Bill::new(state.asleep > 0);
        // A maker beyond those that were planned, or one that comes while the line has more than its places, since somebody who left has
        // emptied a shelf into it: no place of the buffer is free for its shelf.
        let shelves = (edge.batch - 1) * (state.shelves.len() + 1);
        let has_place = shelves <= edge.shelves && state.line.len() + state.held <= edge.places;
        let shelf = (edge.batch > 1 && has_place).then(|| {
            let (shelf, items) = ring(edge.batch - 1);
            state.shelves.push(Shelf::new(items, bill.clone()));
            edge.office.depth.add(&bill);
            shelf
        });
        drop(state);
        Self { edge: Arc::clone(edge), shelf, bill, left: false }
    }

    /// Takes what is on the shelf away, and out of the count of makers. What nobody will take is returned.
    fn leave(&mut self) -> Vec<Parcel<T>> {
        let mut rest = Vec::new();
        if std::mem::replace(&mut self.left, true) {
            return rest;
        }
        let mut state = lock(&self.edge.state);
        if let Some(at) = state.shelf_of(&self.bill) {
            let mut shelf = state.shelves.swap_remove(at);
            self.edge.office.depth.remove(&self.bill);
            while let Some(parcel) = shelf.pop() {
                rest.push(parcel);
            }
        }
        state.makers -= 1;
        let ends = state.makers == 0;
        if !state.closed {
            // The shelf's places of the buffer are not the line's, so this is within bounds.
            state.line.extend(rest.drain(..));
        }
        let call = !ends && self.edge.call(&mut state);
        self.edge.note_depth(&mut state);
        drop(state);
        if ends {
            self.edge.items.notify_all();
        }
        self.edge.ring(call, false);
        rest
    }
}

impl<T> Clone for Entrance<T> {
    fn clone(&self) -> Self {
        Self::new(&self.edge)
    }
}

fn recall<T>(parcels: &[Parcel<T>], desk: &Desk) {
    let lost = parcels.iter().filter(|parcel| parcel.load.is_some()).count();
    desk.add(Count::Recalled, lost as u64);
}

impl<T: Send> Sink<T> for Entrance<T> {
    /// Lays it on the shelf, and moves what is there into the line when it is enough, or awaited.
    #[inline]
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let Some(shelf) = &mut self.shelf else { return self.hand_over(Some(parcel), desk) };
        match shelf.push(parcel) {
            Ok(()) if !self.bill.write() => {}
            Ok(()) => self.hand_over(None, desk),
            Err(parcel) => self.hand_over(Some(parcel), desk),
        }
    }

    fn has_room(&self) -> bool {
        self.shelf.as_ref().is_some_and(|shelf| !shelf.is_full())
    }

    fn finish(mut self, desk: &Desk) {
        recall(&self.leave(), desk);
    }
}

impl<T> Entrance<T> {
    /// Moves the shelf's items into the line, and the one that it has no place for; waits while there is none in the line either.
    #[cold]
    fn hand_over(&mut self, mut parcel: Option<Parcel<T>>, desk: &Desk) {
        let Self { edge, shelf, bill, .. } = self;
        let mut state = lock(&edge.state);
        let patience = Patience::until(None);
        let (mut patient, mut aborted) = (true, false);
        while !state.closed && !aborted {
            parcel = edge.move_on(&mut state, shelf.as_mut(), bill, parcel);
            let done = parcel.is_none();
            let call = edge.call(&mut state);
            let let_in = done && edge.let_in(&mut state);
            edge.note_depth(&mut state);
            if done || patient {
                drop(state);
                edge.ring(call, let_in);
                if done {
                    return;
                }
                patient = patience.wait();
                state = lock(&edge.state);
                continue;
            }
            state.blocked += 1;
            // Made under the lock: whoever closes the edge from now on reaches it.
            let mut wait = edge.room.wait();
            drop(state);
            edge.ring(call, false);
            aborted = desk.during(Wait::Blocked, || {
                matches!(drive(Pin::new(&mut wait), None, Impatience::Spent), Some(Err(_)))
            });
            state = lock(&edge.state);
            state.blocked -= 1;
            state.let_in = false;
        }
        // Nobody will take what is on the shelf, nor what comes.
        let mut lost: Vec<_> = parcel.into_iter().collect();
        if let Some(at) = state.shelf_of(bill) {
            while let Some(parcel) = state.shelves[at].pop() {
                lost.push(parcel);
            }
        }
        drop(state);
        recall(&lost, desk);
    }
}

impl<T> Drop for Entrance<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The end of an edge where items come out. All of an edge's share the items.
pub(super) struct Exit<T> {
    edge: Arc<Edge<T>>,
    /// What is next here, where nobody else takes: it needs no lock.
    own: Palm<T>,
    /// Items that are next here, unless somebody else has nothing to do and takes them.
    hand: Hand<T>,
    /// Whether something was put into the hand when it was last filled.
    filled: bool,
}

/// How a taker waits.
#[derive(Clone, Copy, PartialEq)]
enum Rest {
    Awake,
    /// For [`NAP`] at most; makers may keep things on their shelves meanwhile.
    Napping,
    Asleep,
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
    fn new(edge: &Arc<Edge<T>>) -> Self {
        let hand = Arc::new(Mutex::new(Palm::empty()));
        let mut state = lock(&edge.state);
        state.takers += 1;
        if !edge.one_taker {
            state.hands.push(Arc::clone(&hand));
        }
        drop(state);
        Self { edge: Arc::clone(edge), own: Palm::empty(), hand, filled: false }
    }

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
    pub(super) fn take_until(&mut self, deadline: Option<Instant>, desk: &Desk) -> Taken<T> {
        if self.filled {
            let next = match self.edge.one_taker {
                true => self.own.items.pop_front(),
                false => lock(&self.hand).items.pop_front(),
            };
            if let Some(item) = next {
                return Taken::Item(item);
            }
        }
        let patience = Patience::until(deadline);
        let (mut patient, mut napped, mut aborted, mut late) =
            (true, self.edge.batch == 1, false, false);
        // How it last waited.
        let mut rest = Rest::Awake;
        loop {
            let mut state = lock(&self.edge.state);
            match std::mem::replace(&mut rest, Rest::Awake) {
                Rest::Awake => {}
                waited => {
                    state.hungry -= 1;
                    state.asleep -= usize::from(waited == Rest::Asleep);
                    state.called = false;
                }
            }
            let found = {
                let mut hand = (!self.edge.one_taker).then(|| lock(&self.hand));
                let palm = hand.as_deref_mut().unwrap_or(&mut self.own);
                let found = self.edge.find(&mut state, palm, &self.hand);
                self.filled = palm.places > 0;
                found
            };
            if let Some(item) = found {
                let call = self.edge.call(&mut state);
                let let_in = self.edge.let_in(&mut state);
                self.edge.note_depth(&mut state);
                drop(state);
                self.edge.ring(call, let_in);
                return Taken::Item(item);
            }
            self.edge.note_depth(&mut state);
            if aborted {
                // Under the lock: what is put from now on is recalled by whoever puts it.
                state.closed = true;
                drop(state);
                self.edge.room.notify_all();
                return Taken::End;
            }
            if state.makers == 0 {
                return Taken::End;
            }
            if late {
                return Taken::Late;
            }
            if patient {
                let let_in = self.edge.let_in(&mut state);
                drop(state);
                self.edge.ring(false, let_in);
                patient = patience.wait();
                continue;
            }
            state.hungry += 1;
            let mut until = deadline;
            if napped {
                rest = Rest::Asleep;
                state.asleep += 1;
                for shelf in &state.shelves {
                    shelf.bill.await_items();
                }
                // What was laid on a shelf since we looked.
                if state.shelves.iter().any(|shelf| !shelf.is_empty()) {
                    continue;
                }
            } else {
                rest = Rest::Napping;
                let nap = Instant::now().checked_add(NAP);
                until = deadline.min(nap).or(nap);
            }
            let let_in = self.edge.let_in(&mut state);
            // Made under the lock: whoever ends the edge from now on reaches it.
            let mut wait = self.edge.items.wait();
            drop(state);
            self.edge.ring(false, let_in);
            desk.during(Wait::Starved, || {
                let waited = drive(Pin::new(&mut wait), until, Impatience::Spent);
                aborted = matches!(waited, Some(Err(_)));
                late = waited.is_none()
                    && (napped || deadline.is_some_and(|end| Instant::now() >= end));
            });
            napped = true;
        }
    }

    /// How many items wait, and how many of those who take them are free to.
    pub(super) fn load(&self) -> (usize, usize) {
        let state = lock(&self.edge.state);
        (state.queued(), state.hungry)
    }

    /// Whether the next item has to be looked for, and is not in the hand.
    pub(super) fn hand_is_empty(&self) -> bool {
        !self.filled || (self.own.items.is_empty() && lock(&self.hand).items.is_empty())
    }
}

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        Self::new(&self.edge)
    }
}

impl<T> Palm<T> {
    fn empty() -> Self {
        Self { items: VecDeque::new(), places: 0 }
    }
}

impl<T> State<T> {
    /// How many items wait for a taker, those in hands not counted.
    fn queued(&self) -> usize {
        let laid: usize = self.shelves.iter().map(Shelf::len).sum();
        self.line.len() + laid
    }

    /// The next of the line, or else of a shelf.
    fn next(&mut self) -> Option<Parcel<T>> {
        let next = self.line.pop_front();
        next.or_else(|| self.shelves.iter_mut().find_map(Shelf::pop))
    }

    fn shelf_of(&self, bill: &Bill) -> Option<usize> {
        self.shelves.iter().position(|shelf| shelf.bill.is(bill))
    }
}

impl<T> Drop for Exit<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.edge.state);
        state.hands.retain(|hand| !Arc::ptr_eq(hand, &self.hand));
        state.takers -= 1;
        // There is something in them only if a panic took the owner away.
        for palm in [&mut *lock(&self.hand), &mut self.own] {
            state.held -= std::mem::take(&mut palm.places);
            while let Some(item) = palm.items.pop_back() {
                state.line.push_front(item);
            }
        }
        let (call, let_in) = (self.edge.call(&mut state), self.edge.let_in(&mut state));
        let ends = state.takers == 0;
        state.closed |= ends;
        let dropped = if ends { std::mem::take(&mut state.line) } else { VecDeque::new() };
        self.edge.note_depth(&mut state);
        drop(state);
        drop(dropped);
        if ends {
            self.edge.room.notify_all();
        }
        self.edge.ring(call, let_in);
    }
}
