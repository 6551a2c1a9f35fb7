//! The bounded channel.

use crate::record::{Tally, Tape, hold, now_and_then_yield, record};
use crate::search::{self, Model, Recorded, explain};
use aqueduct::park::block_on;
use aqueduct_core::channel::{Channel, Progress, TryRecvError, TrySendError};
use aqueduct_tests::channel::Waiting;
use aqueduct_tests::share;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

/// A call: its events, and how many places it may hold while it is part-way.
#[derive(Debug)]
pub(crate) struct Call {
    events: Vec<Event>,
    holds: usize,
}

impl Call {
    pub(crate) fn new(events: impl IntoIterator<Item = Event>, holds: usize) -> Self {
        Self { events: events.into_iter().collect(), holds }
    }

    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    pub(crate) fn holds(&self) -> usize {
        self.holds
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Sent(u64),
    Full,
    /// The first half of a forced send into a full channel; the second is `Sent`, or `SendClosed`.
    Displaced(u64),
    /// A forced send that gave its own value back.
    Bounced,
    SendClosed,
    Received(u64),
    Empty,
    RecvClosed,
    /// Whether it was the first to close.
    Closed(bool),
}

/// A plain bounded FIFO that can be closed.
///
/// As of the queue, a call of another party that is part-way may hold places (a forced send two), which are missing from the
/// capacity: full is exact but for them. Empty and closed are exact: once anybody was told that it is closed,
/// nothing goes in, and no receiver is told so before everything is out. A place that is reserved and then used is one event, at
/// any moment in between.
pub(crate) struct Fifo {
    capacity: usize,
    left: VecDeque<u64>,
}

impl Fifo {
    /// With what was left in the end.
    pub(crate) fn new(capacity: usize, left: impl IntoIterator<Item = u64>) -> Self {
        Self { capacity, left: left.into_iter().collect() }
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    items: VecDeque<u64>,
    is_closed: bool,
}

impl Model for Fifo {
    type State = State;
    type Call = Call;

    fn start(&self) -> State {
        State { items: VecDeque::new(), is_closed: false }
    }

    fn events(&self, call: &Call) -> usize {
        call.events.len()
    }

    fn step(&self, state: &State, event: search::Event<'_, Call>, next: &mut Vec<State>) {
        let State { items, is_closed } = state;
        let may_be_full = items.len() + event.recorded.around >= self.capacity;
        let mut after = state.clone();
        let happens = match event.recorded.call.events[event.nth] {
            Event::Sent(value) => {
                after.items.push_back(value);
                !is_closed && items.len() < self.capacity
            }
            Event::Full => !is_closed && may_be_full,
            Event::Displaced(value) => may_be_full && after.items.pop_front() == Some(value),
            Event::Bounced => !is_closed && may_be_full && items.is_empty(),
            Event::Received(value) => after.items.pop_front() == Some(value),
            Event::Empty => !is_closed && items.is_empty(),
            Event::SendClosed => *is_closed,
            Event::RecvClosed => *is_closed && items.is_empty(),
            Event::Closed(first) => {
                after.is_closed = true;
                first != *is_closed
            }
        };
        if happens {
            next.push(after);
        }
    }

    fn may_end(&self, state: &State) -> bool {
        state.items == self.left
    }
}

/// The channel that is held against the model. What went in, or not, is an event.
trait Subject: Sync {
    fn try_send(&self, value: u64) -> Event;
    fn send(&self, value: u64) -> Event;
    /// Reserves a place, if there is one now, and uses it or not.
    fn reserve(&self, value: Option<u64>) -> Option<Event>;
    fn force_send(&self, value: u64) -> Vec<Event>;
    fn try_recv(&self) -> Event;
    fn recv(&self) -> Event;
    fn close(&self) -> bool;
}

impl<P: Progress> Subject for Channel<u64, P> {
    fn try_send(&self, value: u64) -> Event {
        match Channel::try_send(self, value) {
            Ok(()) => Event::Sent(value),
            Err(TrySendError::Full(back)) if back == value => Event::Full,
            Err(TrySendError::Closed(back)) if back == value => Event::SendClosed,
            Err(other) => panic!("another value came back: {other:?}"),
        }
    }

    fn send(&self, value: u64) -> Event {
        block_on(Channel::send(self, value)).map_or(Event::SendClosed, |()| Event::Sent(value))
    }

    fn reserve(&self, value: Option<u64>) -> Option<Event> {
        let mut reserving = pin!(Channel::reserve(self));
        let permit = match reserving.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => return Some(Event::Full),
            Poll::Ready(Err(_)) => return Some(Event::SendClosed),
            Poll::Ready(Ok(permit)) => permit,
        };
        now_and_then_yield();
        let value = value?;
        Some(permit.send(value).map_or(Event::SendClosed, |()| Event::Sent(value)))
    }

    fn force_send(&self, value: u64) -> Vec<Event> {
        match Channel::force_send(self, value) {
            Ok(None) => vec![Event::Sent(value)],
            Ok(Some(back)) if back == value => vec![Event::Bounced],
            Ok(Some(oldest)) => vec![Event::Displaced(oldest), Event::Sent(value)],
            Err(closed) => {
                assert_eq!(closed.value, value, "another value came back");
                closed
                    .displaced
                    .map(Event::Displaced)
                    .into_iter()
                    .chain([Event::SendClosed])
                    .collect()
            }
        }
    }

    fn try_recv(&self) -> Event {
        match Channel::try_recv(self) {
            Ok(value) => Event::Received(value),
            Err(TryRecvError::Empty) => Event::Empty,
            Err(TryRecvError::Closed) => Event::RecvClosed,
        }
    }

    fn recv(&self) -> Event {
        block_on(Channel::recv(self)).map_or(Event::RecvClosed, Event::Received)
    }

    fn close(&self) -> bool {
        Channel::close(self)
    }
}

/// What a party does in one round. Party 0 never waits and closes in the end, so that nobody waits for ever.
fn script(subject: &impl Subject, calls: usize, tape: &mut Tape<'_, Call>) {
    let one = |holds, event| Call { events: vec![event], holds };
    for nth in 0..calls {
        let value = tape.value();
        let what = tape.random(16);
        let may_wait = tape.party != 0;
        let uses = tape.random(3) > 0;
        tape.call(|| {
            let call = match what {
                _ if !may_wait && nth == calls * 9 / 10 => one(0, Event::Closed(subject.close())),
                0..=3 => one(1, subject.try_send(value)),
                4..=7 => one(1, subject.try_recv()),
                8 | 9 if may_wait => one(1, subject.send(value)),
                10 | 11 if may_wait => one(1, subject.recv()),
                12 => {
                    let events = subject.reserve(uses.then_some(value)).into_iter().collect();
                    // Two if the place was taken away.
                    Call { events, holds: 2 }
                }
                13 => Call { events: subject.force_send(value), holds: 2 },
                14 if nth > calls * 9 / 10 => one(0, Event::Closed(subject.close())),
                _ => one(1, subject.try_recv()),
            };
            now_and_then_yield();
            call
        });
    }
}

fn history<S: Subject>(
    make: impl Fn(usize) -> S,
    round: u64,
    calls: usize,
    tally: &Tally,
) -> (Fifo, Vec<Vec<Recorded<Call>>>) {
    let capacity = [1, 2, 3, 5][round as usize % 4];
    let subject = make(capacity);
    let chains =
        record(round, tally, |call: &Call| call.holds, |tape| script(&subject, calls, tape));
    let left = std::iter::from_fn(|| match subject.try_recv() {
        Event::Received(value) => Some(value),
        _ => None,
    });
    (Fifo { capacity, left: left.collect() }, chains)
}

#[test]
fn recorded_histories_of_channels_are_linearizable() {
    let tally = Tally::default();
    hold(share(1_500), |round| history(Channel::new, round, 40, &tally)).unwrap();
    hold(share(12), |round| history(Channel::new, round, 2_000, &tally)).unwrap();
    tally.tell("channel");
}

/// Empty and full are as exact where parties may wait for each other.
#[test]
fn recorded_histories_of_channels_whose_parties_may_wait_are_linearizable() {
    let tally = Tally::default();
    let waiting = Channel::<_, Waiting>::with_progress;
    hold(share(1_500), |round| history(waiting, round, 40, &tally)).unwrap();
    hold(share(12), |round| history(waiting, round, 2_000, &tally)).unwrap();
    tally.tell("channel whose parties may wait");
}

/// The channel with a bug; it never waits.
struct Planted {
    capacity: usize,
    state: Mutex<State>,
    bug: Bug,
    turn: AtomicUsize,
}

#[derive(Clone, Copy)]
enum Bug {
    /// Drops the youngest value when it is closed.
    LosesOnClose,
    /// Tells receivers that it is closed while something is in.
    ClosedBeforeEmpty,
    /// Lets a value in after it was closed.
    OpenAfterClose,
    /// A forced send displaces the youngest.
    DisplacesYoungest,
}

impl Planted {
    fn new(capacity: usize, bug: Bug) -> Self {
        let state = Mutex::new(State { items: VecDeque::new(), is_closed: false });
        Self { capacity, state, bug, turn: AtomicUsize::new(0) }
    }
}

impl Subject for Planted {
    fn try_send(&self, value: u64) -> Event {
        let mut state = self.state.lock().unwrap();
        let is_open =
            matches!(self.bug, Bug::OpenAfterClose) && self.turn.fetch_add(1, SeqCst) % 5 == 4;
        if state.is_closed && !is_open {
            return Event::SendClosed;
        }
        if state.items.len() == self.capacity {
            return Event::Full;
        }
        state.items.push_back(value);
        Event::Sent(value)
    }

    fn send(&self, value: u64) -> Event {
        self.try_send(value)
    }

    fn reserve(&self, value: Option<u64>) -> Option<Event> {
        value.map(|value| self.try_send(value))
    }

    fn force_send(&self, value: u64) -> Vec<Event> {
        let mut state = self.state.lock().unwrap();
        if state.is_closed {
            return vec![Event::SendClosed];
        }
        let mut events = Vec::new();
        if state.items.len() == self.capacity {
            let displaced = match self.bug {
                Bug::DisplacesYoungest => state.items.pop_back(),
                _ => state.items.pop_front(),
            };
            events.extend(displaced.map(Event::Displaced));
        }
        state.items.push_back(value);
        events.push(Event::Sent(value));
        events
    }

    fn try_recv(&self) -> Event {
        let mut state = self.state.lock().unwrap();
        if state.is_closed && matches!(self.bug, Bug::ClosedBeforeEmpty) {
            return Event::RecvClosed;
        }
        match state.items.pop_front() {
            Some(value) => Event::Received(value),
            None if state.is_closed => Event::RecvClosed,
            None => Event::Empty,
        }
    }

    fn recv(&self) -> Event {
        self.try_recv()
    }

    fn close(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        if matches!(self.bug, Bug::LosesOnClose) {
            state.items.pop_back();
        }
        !std::mem::replace(&mut state.is_closed, true)
    }
}

fn is_found_out(bug: Bug) {
    let planted = |capacity| Planted::new(capacity, bug);
    let complaint = hold(200, |round| history(planted, round, 40, &Tally::default())).unwrap_err();
    assert!(complaint.contains("no sequential order"), "{complaint}");
}

#[test]
fn a_channel_that_loses_a_value_on_close_is_found_out() {
    is_found_out(Bug::LosesOnClose);
}

#[test]
fn a_channel_that_says_closed_before_it_is_empty_is_found_out() {
    is_found_out(Bug::ClosedBeforeEmpty);
}

#[test]
fn a_channel_that_is_open_after_close_is_found_out() {
    is_found_out(Bug::OpenAfterClose);
}

#[test]
fn a_channel_that_displaces_the_youngest_is_found_out() {
    is_found_out(Bug::DisplacesYoungest);
}

/// A history written by hand: per party, the events of each call, when it began and when it ended.
fn by_hand(chains: &[&[(&[Event], u64, u64)]], left: &[u64]) -> Result<(), String> {
    let recorded = |&(events, began, ended): &(&[Event], _, _)| Recorded {
        call: Call { events: events.to_vec(), holds: 0 },
        began,
        ended,
        around: 0,
    };
    let chains: Vec<Vec<_>> =
        chains.iter().map(|chain| chain.iter().map(recorded).collect()).collect();
    explain(&Fifo { capacity: 2, left: left.iter().copied().collect() }, &chains)
}

#[test]
fn histories_written_by_hand_are_judged_as_in_the_textbook() {
    use Event::{Closed, Displaced, Received, RecvClosed, SendClosed, Sent};
    // A send that meets a close: in and received, or refused; not in and lost.
    let close: &[(&[_], _, _)] = &[(&[Closed(true)], 2, 3)];
    fn send(events: &[Event], ended: u64) -> [(&[Event], u64, u64); 1] {
        [(events, 0, ended)]
    }
    by_hand(&[&send(&[Sent(1)], 9), close, &[(&[Received(1)], 4, 5), (&[RecvClosed], 6, 7)]], &[])
        .unwrap();
    by_hand(&[&send(&[SendClosed], 9), close, &[(&[RecvClosed], 4, 5)]], &[]).unwrap();
    by_hand(&[&send(&[Sent(1)], 9), close, &[(&[RecvClosed], 4, 5)]], &[]).unwrap_err();
    by_hand(&[&send(&[Sent(1)], 9), close, &[(&[RecvClosed], 4, 5)]], &[1]).unwrap_err();
    by_hand(&[&send(&[SendClosed], 1), close], &[]).unwrap_err();
    by_hand(&[&[(&[Sent(1)], 4, 5)], close], &[1]).unwrap_err();
    by_hand(&[close, close], &[]).unwrap_err();
    // A forced send is two events: between them a receiver may see neither value, and a close may come.
    let two: &[(&[_], _, _)] = &[(&[Sent(1)], 0, 1), (&[Sent(2)], 2, 3)];
    by_hand(&[two, &[(&[Displaced(1), Sent(3)], 4, 9)]], &[2, 3]).unwrap();
    by_hand(&[two, &[(&[Displaced(2), Sent(3)], 4, 9)]], &[1, 3]).unwrap_err();
    by_hand(&[two, &[(&[Displaced(1), SendClosed], 4, 9)], &[(&[Closed(true)], 5, 6)]], &[2])
        .unwrap();
}
