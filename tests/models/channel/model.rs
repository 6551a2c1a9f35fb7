//! A bounded channel as its documentation has it: what is in, who has a place in it, and two lines of sleepers.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::task::Poll;

use aqueduct_core::channel::{TryRecvError, TrySendError};

use crate::wait::Line;

/// What is in, and who waits.
pub(super) struct Model {
    capacity: usize,
    inside: VecDeque<Entry>,
    /// Places that were reserved, and passed by a receiver: they still take room, but are not in line any more.
    passed: Vec<u64>,
    permits: u64,
    closed: bool,
    senders: Line,
    receivers: Line,
    futures: Vec<Option<Wish>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Value(u64),
    Reserved(u64),
}

/// What a future is for.
#[derive(Clone, Copy)]
pub(super) enum Wish {
    Send(u64),
    Reserve,
    Recv,
    RecvMany(usize),
}

/// What became of it.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Sent(Result<(), u64>),
    /// The number of the permit.
    Reserved(Option<u64>),
    Received(Option<Vec<u64>>),
}

impl Model {
    pub(super) fn new(capacity: usize, places: usize, slots: Option<usize>) -> Self {
        Self {
            capacity,
            inside: VecDeque::new(),
            passed: Vec::new(),
            permits: 0,
            closed: false,
            senders: Line::new(places, slots),
            receivers: Line::new(places, slots),
            futures: vec![None; places],
        }
    }

    /// How many places are taken.
    fn taken(&self) -> usize {
        self.inside.len() + self.passed.len()
    }

    /// What `len` may say.
    pub(super) fn lens(&self) -> RangeInclusive<usize> {
        self.inside.len()..=self.taken()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many values the channel has.
    pub(super) fn values_inside(&self) -> usize {
        self.inside.iter().filter(|entry| matches!(entry, Entry::Value(_))).count()
    }

    /// How many values futures have.
    pub(super) fn values_outside(&self) -> usize {
        self.futures.iter().filter(|wish| matches!(wish, Some(Wish::Send(_)))).count()
    }

    pub(super) fn woken(&mut self) -> Vec<usize> {
        let mut woken = self.senders.woken();
        woken.extend(self.receivers.woken());
        woken
    }

    // ------------------------------------------------------------ at once

    fn enter<T>(&mut self, entry: Entry, value: T) -> Result<(), TrySendError<T>> {
        if self.closed {
            Err(TrySendError::Closed(value))
        } else if self.taken() == self.capacity {
            Err(TrySendError::Full(value))
        } else {
            self.inside.push_back(entry);
            Ok(())
        }
    }

    pub(super) fn try_send(&mut self, value: u64) -> Result<(), TrySendError<u64>> {
        self.enter(Entry::Value(value), value)?;
        self.receivers.notify(1);
        Ok(())
    }

    /// The value comes back as the error if the channel is closed, and as the displaced one if there is nothing to
    /// displace.
    pub(super) fn force_send(&mut self, value: u64) -> Result<Option<u64>, u64> {
        let displaced = match self.enter(Entry::Value(value), ()) {
            Ok(()) => None,
            Err(TrySendError::Closed(())) => return Err(value),
            Err(TrySendError::Full(())) => match self.pop() {
                Some(oldest) => {
                    self.inside.push_back(Entry::Value(value));
                    Some(oldest)
                }
                None => Some(value),
            },
        };
        self.receivers.notify(1);
        Ok(displaced)
    }

    /// The oldest value. It passes by the places before it; and on a closed channel, by all, for they will not
    /// be used.
    fn pop(&mut self) -> Option<u64> {
        let values = self.values_inside();
        while values > 0 || self.closed {
            match self.inside.pop_front()? {
                Entry::Value(value) => return Some(value),
                Entry::Reserved(number) => self.passed.push(number),
            }
        }
        None
    }

    pub(super) fn try_recv(&mut self) -> Result<u64, TryRecvError> {
        match self.pop() {
            Some(value) => {
                self.senders.notify(1);
                Ok(value)
            }
            None if self.closed => Err(TryRecvError::Closed),
            None => Err(TryRecvError::Empty),
        }
    }

    pub(super) fn try_recv_many(&mut self, max: usize) -> Vec<u64> {
        let mut got = Vec::new();
        while got.len() < max {
            let Some(value) = self.pop() else { break };
            got.push(value);
        }
        self.senders.notify(got.len());
        got
    }

    /// The closure panicked with the last of `got`; `left` values are still in.
    pub(super) fn try_recv_many_panicked(&mut self, got: &[u64], left: usize) {
        for &value in got {
            assert_eq!(self.pop(), Some(value), "try_recv_many");
        }
        while self.values_inside() > left {
            self.pop();
        }
        // Nobody sleeps beside the room that it made; who is woken in vain, sleeps again.
        self.senders.notify(self.capacity);
    }

    pub(super) fn close(&mut self) -> bool {
        let first = !self.closed;
        self.closed = true;
        self.receivers.close();
        self.senders.close();
        first
    }

    // ------------------------------------------------------------ permits

    /// The number that the next permit will have.
    pub(super) fn next_permit(&self) -> u64 {
        self.permits
    }

    pub(super) fn send_permit(&mut self, number: u64, value: u64) -> Result<(), u64> {
        if let Some(place) = self.place_of(number) {
            self.inside[place] = Entry::Value(value);
        } else {
            self.passed.retain(|&passed| passed != number);
            if self.closed {
                // As it is with a value that is refused, the room it leaves is no news on a closed channel.
                return Err(value);
            }
            self.inside.push_back(Entry::Value(value));
        }
        self.receivers.notify(1);
        Ok(())
    }

    /// Whether a receiver has passed the place of this permit.
    pub(super) fn is_passed(&self, number: u64) -> bool {
        self.passed.contains(&number)
    }

    /// A permit whose place was passed may have two for a moment, as it finds the ring; then it wakes a sender for the one that it
    /// lets go of, though that is no news here, where nobody looked meanwhile.
    pub(super) fn may_tell_of_room(&mut self, is_told: impl FnOnce(usize) -> bool) {
        if self.senders.oldest().is_some_and(is_told) {
            self.senders.notify(1);
        }
    }

    pub(super) fn give_up(&mut self, number: u64) {
        match self.place_of(number) {
            Some(place) => drop(self.inside.remove(place)),
            None => self.passed.retain(|&passed| passed != number),
        }
        self.senders.notify(1);
    }

    fn place_of(&self, number: u64) -> Option<usize> {
        self.inside.iter().position(|&entry| entry == Entry::Reserved(number))
    }

    // ------------------------------------------------------------ futures

    pub(super) fn make(&mut self, place: usize, wish: Wish) {
        self.futures[place] = Some(wish);
    }

    /// The value that a `send` in this place still has.
    pub(super) fn value_of(&self, place: usize) -> Option<Option<u64>> {
        match self.futures[place] {
            Some(Wish::Send(value)) => Some(Some(value)),
            _ => None,
        }
    }

    pub(super) fn cancel(&mut self, place: usize) {
        self.futures[place] = None;
        self.senders.cancel(place);
        self.receivers.cancel(place);
    }

    pub(super) fn poll(&mut self, place: usize) -> Poll<Answer> {
        let wish = self.futures[place].expect("made before");
        // Whoever stands in line asks the line first, and so uses the wake-up that it was given.
        let stands = self.senders.has(place) || self.receivers.has(place);
        let mut answer = if stands { None } else { self.attempt(wish) };
        while answer.is_none() {
            let line = match wish {
                Wish::Send(_) | Wish::Reserve => &mut self.senders,
                Wish::Recv | Wish::RecvMany(_) => &mut self.receivers,
            };
            if !line.has(place) {
                line.make(place);
            }
            let woken = line.poll(place).is_ready();
            if woken {
                line.cancel(place);
            }
            answer = self.attempt(wish);
            if !woken && answer.is_none() {
                return Poll::Pending;
            }
        }
        // A wake-up that comes just now goes to the next.
        self.cancel(place);
        Poll::Ready(answer.expect("the loop ended"))
    }

    fn attempt(&mut self, wish: Wish) -> Option<Answer> {
        Some(match wish {
            Wish::Send(value) => match self.try_send(value) {
                Ok(()) => Answer::Sent(Ok(())),
                Err(TrySendError::Closed(value)) => Answer::Sent(Err(value)),
                Err(TrySendError::Full(_)) => return None,
            },
            Wish::Reserve => match self.enter(Entry::Reserved(self.permits), ()) {
                Ok(()) => {
                    self.permits += 1;
                    Answer::Reserved(Some(self.permits - 1))
                }
                Err(TrySendError::Closed(())) => Answer::Reserved(None),
                Err(TrySendError::Full(())) => return None,
            },
            Wish::Recv => match self.try_recv() {
                Ok(value) => Answer::Received(Some(vec![value])),
                Err(TryRecvError::Closed) => Answer::Received(None),
                Err(TryRecvError::Empty) => return None,
            },
            Wish::RecvMany(0) => Answer::Received(Some(vec![])),
            Wish::RecvMany(max) => match self.try_recv_many(max) {
                got if !got.is_empty() => Answer::Received(Some(got)),
                _ if self.closed => Answer::Received(None),
                _ => return None,
            },
        })
    }
}
