//! The channel of std programs: blocking, awaited and selected calls on both ends, with room and without.

use crate::channel::{Call, Event, Fifo};
use crate::record::{Tally, Tape, hold, now_and_then_yield, record};
use crate::search::{self, Model, Recorded, explain};
use aqueduct::channel::{Receiver, Select, Sender, TryRecvError, TrySendError, bounded};
use aqueduct::park::block_on;
use aqueduct::select;
use aqueduct_tests::share;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Both ends, and a bug for those who have one.
struct Ends {
    sender: Sender<u64>,
    receiver: Receiver<u64>,
    planted: Option<Planted>,
    last: Mutex<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Planted {
    /// What was received last is received again, now and then.
    ReceivesTwice,
    /// A send that was refused says that it was sent.
    LosesWhatItCouldNotSend,
}

impl Ends {
    fn new(capacity: usize, planted: Option<Planted>) -> Self {
        let (sender, receiver) = bounded(capacity);
        Self { sender, receiver, planted, last: Mutex::new(0) }
    }

    fn received(&self, value: u64) -> Event {
        let last = std::mem::replace(&mut *self.last.lock().unwrap(), value);
        match self.planted {
            Some(Planted::ReceivesTwice) if value.is_multiple_of(7) && last > 0 => {
                Event::Received(last)
            }
            _ => Event::Received(value),
        }
    }

    fn try_send(&self, value: u64) -> Event {
        match self.sender.try_send(value) {
            Ok(()) => Event::Sent(value),
            Err(_)
                if self.planted == Some(Planted::LosesWhatItCouldNotSend)
                    && value.is_multiple_of(7) =>
            {
                Event::Sent(value)
            }
            Err(TrySendError::Full(_)) => Event::Full,
            Err(TrySendError::Disconnected(_)) => Event::SendClosed,
        }
    }

    fn try_recv(&self) -> Event {
        match self.receiver.try_recv() {
            Ok(value) => self.received(value),
            Err(TryRecvError::Empty) => Event::Empty,
            Err(TryRecvError::Disconnected) => Event::RecvClosed,
        }
    }

    fn send(&self, value: u64, way: usize) -> Event {
        let sent = match way {
            0 => self.sender.send(value),
            1 => block_on(self.sender.send_async(value)),
            2 => select! { send(self.sender, value) -> sent => sent },
            _ => {
                let mut select = Select::new();
                select.send(&self.sender);
                select.select().send(&self.sender, value)
            }
        };
        sent.map_or(Event::SendClosed, |()| Event::Sent(value))
    }

    fn recv(&self, way: usize) -> Event {
        let received = match way {
            0 => self.receiver.recv(),
            1 => block_on(self.receiver.recv_async()),
            2 => select! { recv(self.receiver) -> value => value },
            _ => {
                let mut select = Select::new();
                select.recv(&self.receiver);
                select.select().recv(&self.receiver)
            }
        };
        received.map_or(Event::RecvClosed, |value| self.received(value))
    }

    /// Reserves a place, if there is one now, and uses it or not.
    fn reserve(&self, value: Option<u64>) -> Option<Event> {
        let permit = match self.sender.try_reserve() {
            Ok(permit) => permit,
            Err(TrySendError::Full(())) => return Some(Event::Full),
            Err(TrySendError::Disconnected(())) => return Some(Event::SendClosed),
        };
        now_and_then_yield();
        let value = value?;
        Some(permit.send(value).map_or(Event::SendClosed, |()| Event::Sent(value)))
    }

    fn force_send(&self, value: u64) -> Vec<Event> {
        match self.sender.force_send(value) {
            Ok(None) => vec![Event::Sent(value)],
            Ok(Some(back)) if back == value => vec![Event::Bounced],
            Ok(Some(oldest)) => vec![Event::Displaced(oldest), Event::Sent(value)],
            Err(closed) => {
                let displaced = closed.displaced.map(Event::Displaced);
                displaced.into_iter().chain([Event::SendClosed]).collect()
            }
        }
    }

    /// Whichever comes first.
    fn either(&self, value: u64, may_wait: bool) -> Option<Event> {
        let mut select = Select::new();
        let send = select.send(&self.sender);
        select.recv(&self.receiver);
        let chosen = if may_wait { select.select() } else { select.try_select().ok()? };
        Some(if chosen.index() == send {
            let sent = chosen.send(&self.sender, value);
            sent.map_or(Event::SendClosed, |()| Event::Sent(value))
        } else {
            let received = chosen.recv(&self.receiver);
            received.map_or(Event::RecvClosed, |value| self.received(value))
        })
    }
}

/// What a party does in one round. Party 0 never waits and closes in the end, so that nobody waits for ever.
fn script(ends: &Ends, kinds: usize, calls: usize, tape: &mut Tape<'_, Call>) {
    for nth in 0..calls {
        let value = tape.value();
        let (what, way) = (tape.random(kinds), tape.random(4));
        let may_wait = tape.party != 0;
        tape.call(|| {
            let event = match what {
                _ if !may_wait && nth == calls * 9 / 10 => Some(Event::Closed(ends.sender.close())),
                0..=2 if may_wait => Some(ends.send(value, way)),
                3..=5 if may_wait => Some(ends.recv(way)),
                6 | 7 => ends.either(value, may_wait),
                8 | 9 => Some(ends.try_send(value)),
                12 => ends.reserve((way > 0).then_some(value)),
                13 => {
                    let events = ends.force_send(value);
                    now_and_then_yield();
                    return Call::new(events, 2);
                }
                _ => Some(ends.try_recv()),
            };
            now_and_then_yield();
            Call::new(event, 1)
        });
    }
}

fn chains(
    ends: &Ends,
    kinds: usize,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> Vec<Vec<Recorded<Call>>> {
    record(round, tally, Call::holds, |tape| script(ends, kinds, calls, tape))
}

/// Kinds of calls that any channel has.
const ANYWHERE: usize = 12;
/// With those that take room for a value.
const WITH_ROOM: usize = 14;

fn with_room(round: u64, calls: usize, tally: &Tally) -> (Fifo, Vec<Vec<Recorded<Call>>>) {
    let capacity = [1, 2, 3, 5][round as usize % 4];
    let ends = Ends::new(capacity, None);
    let chains = chains(&ends, WITH_ROOM, round, calls, tally);
    (Fifo::new(capacity, ends.receiver.try_iter()), chains)
}

#[test]
fn recorded_histories_of_channels_with_selections_are_linearizable() {
    let tally = Tally::default();
    hold(share(400), |round| with_room(round, 40, &tally)).unwrap();
    hold(share(4), |round| with_room(round, 2_000, &tally)).unwrap();
    tally.tell("channel of std");
}

/// Where a send meets a receive.
///
/// A send that succeeds is two events: it offers its value, and it finds it taken. A receive is one, which takes an offer. So it
/// lies within both calls: they overlap. Full and empty can always be explained, since nobody sees from outside whether
/// a counterpart stands in line already.
struct Meeting;

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Floor {
    offered: BTreeSet<u64>,
    taken: BTreeSet<u64>,
    is_closed: bool,
}

impl Model for Meeting {
    type State = Floor;
    type Call = Call;

    fn start(&self) -> Floor {
        Floor::default()
    }

    fn events(&self, call: &Call) -> usize {
        call.events().iter().map(|event| if let Event::Sent(_) = event { 2 } else { 1 }).sum()
    }

    fn step(&self, floor: &Floor, event: search::Event<'_, Call>, next: &mut Vec<Floor>) {
        let mut after = floor.clone();
        // A call has one event, or the two halves of one.
        let happens = match event.recorded.call.events()[0] {
            Event::Sent(value) if event.nth == 0 => !floor.is_closed && after.offered.insert(value),
            Event::Sent(value) => after.taken.remove(&value),
            Event::Received(value) => {
                after.taken.insert(value);
                !floor.is_closed && after.offered.remove(&value)
            }
            Event::Full | Event::Empty => !floor.is_closed,
            Event::SendClosed | Event::RecvClosed => floor.is_closed,
            Event::Closed(first) => {
                after.is_closed = true;
                first != floor.is_closed
            }
            Event::Displaced(_) | Event::Bounced => false,
        };
        if happens {
            next.push(after);
        }
    }

    fn may_end(&self, floor: &Floor) -> bool {
        floor.offered.is_empty() && floor.taken.is_empty()
    }
}

fn without_room(
    capacity: usize,
    planted: Option<Planted>,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> (Meeting, Vec<Vec<Recorded<Call>>>) {
    // Of those alone, also where one with room is planted: else it would be a kind of call that betrays it.
    (Meeting, chains(&Ends::new(capacity, planted), ANYWHERE, round, calls, tally))
}

#[test]
fn recorded_histories_of_rendezvous_are_meetings() {
    let tally = Tally::default();
    hold(share(400), |round| without_room(0, None, round, 40, &tally)).unwrap();
    hold(share(4), |round| without_room(0, None, round, 2_000, &tally)).unwrap();
    tally.tell("rendezvous");
}

fn is_found_out(capacity: usize, planted: Option<Planted>) {
    let history = |round| without_room(capacity, planted, round, 40, &Tally::default());
    let complaint = hold(200, history).unwrap_err();
    assert!(complaint.contains("no sequential order"), "{complaint}");
}

#[test]
fn a_rendezvous_with_room_is_found_out() {
    is_found_out(1, None);
}

#[test]
fn a_rendezvous_that_receives_twice_is_found_out() {
    is_found_out(0, Some(Planted::ReceivesTwice));
}

#[test]
fn a_rendezvous_that_loses_what_it_could_not_send_is_found_out() {
    is_found_out(0, Some(Planted::LosesWhatItCouldNotSend));
}

/// Party by party, the one event of each call, when it began and when it ended.
fn by_hand(chains: &[&[(Event, u64, u64)]]) -> Result<(), String> {
    let recorded = |&(event, began, ended): &(Event, _, _)| Recorded {
        call: Call::new(Some(event), 0),
        began,
        ended,
        around: 0,
    };
    let chains: Vec<Vec<_>> =
        chains.iter().map(|chain| chain.iter().map(recorded).collect()).collect();
    explain(&Meeting, &chains)
}

#[test]
fn meetings_written_by_hand_are_judged_as_in_the_textbook() {
    use Event::{Closed, Empty, Full, Received, RecvClosed, SendClosed, Sent};
    by_hand(&[&[(Sent(1), 0, 5)], &[(Received(1), 4, 9)]]).unwrap();
    by_hand(&[&[(Sent(1), 4, 9)], &[(Received(1), 0, 5)]]).unwrap();
    // One after the other: somebody has kept the value in between.
    by_hand(&[&[(Sent(1), 0, 3)], &[(Received(1), 4, 9)]]).unwrap_err();
    by_hand(&[&[(Sent(1), 4, 9)], &[(Received(1), 0, 3)]]).unwrap_err();
    by_hand(&[&[(Sent(1), 0, 9)]]).unwrap_err();
    by_hand(&[&[(Sent(1), 0, 9)], &[(Received(1), 0, 9)], &[(Received(1), 0, 9)]]).unwrap_err();
    by_hand(&[&[(Full, 0, 9)], &[(Empty, 0, 9)]]).unwrap();
    // They met before the close, or not at all.
    let close: &[(Event, u64, u64)] = &[(Closed(true), 4, 5)];
    by_hand(&[&[(Sent(1), 0, 9)], &[(Received(1), 3, 9)], close]).unwrap();
    by_hand(&[&[(Sent(1), 0, 9)], &[(Received(1), 6, 9)], close]).unwrap_err();
    by_hand(&[&[(SendClosed, 0, 9)], &[(RecvClosed, 3, 9)], close]).unwrap();
    by_hand(&[&[(SendClosed, 0, 3)], close]).unwrap_err();
}
