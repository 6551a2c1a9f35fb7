//! What happens under the lock: how values pass. [The story](super) is in the parent.

use super::errands::Errands;
use super::line::{Key, Line};
use super::token::{Claim, Token};
use crate::channel::error::{TryRecvError, TrySendError};
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::task::Waker;

pub(super) struct State<T> {
    /// How many values there is room for.
    pub(super) capacity: usize,
    /// What is in, oldest first.
    pub(super) room: VecDeque<Stored<T>>,
    /// Places that belong to those who have the right to send.
    pub(super) reserved: usize,
    /// If anybody is in this line, there is no place left.
    pub(super) senders: Line<Sender<T>>,
    pub(super) receivers: Line<Receiver<T>>,
    /// Values whose receivers went before they looked, by the order in which they were handed over: for whoever receives
    /// next.
    returned: BTreeMap<u64, T>,
    /// How many values have been handed over.
    handed: u64,
    pub(super) is_closed: bool,
    /// Those who want to know, and take no part.
    watchers: BTreeMap<u64, (Sought, Waker)>,
    next_watcher: u64,
}

/// A value that is in.
pub(super) enum Stored<T> {
    Value(T),
    /// It lies with the sender in this place, who was in line.
    Of(Key),
}

/// Whom a watcher waits for.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::channel) enum Sought {
    /// A value that can be received.
    Sender,
    /// A receiver, or a place.
    Receiver,
}

/// A sender in its place.
pub(super) struct Sender<T> {
    pub(super) offer: Offer<T>,
    /// None if it has been woken.
    pub(super) waker: Option<Waker>,
}

pub(super) enum Offer<T> {
    /// In line, with the value.
    Value(T),
    /// In line; the value is made when it is asked for, or when there is a place.
    Later(Claim),
    /// The value is in; the sender may take it back until it is received.
    In(T),
    /// The value is in, and the sender has gone. The place belongs to whoever receives it.
    Left(T),
    /// A receiver has taken the value.
    Taken,
    /// The receiver in this place has been promised a value.
    Asked(Key),
    /// One of the reserved places is its own.
    Granted,
}

/// A receiver in its place.
pub(super) struct Receiver<T> {
    pub(super) want: Want<T>,
    /// None if it has been woken, or does not sleep yet.
    pub(super) waker: Option<Waker>,
}

pub(super) enum Want<T> {
    /// In line, to be handed a value.
    Open(Claim),
    /// In line, to be told that there is something.
    ToBeTold,
    /// It has been told, and will look.
    Told,
    /// A sender makes the value.
    Promised,
    /// Here it is; the how-manieth it was to be handed over.
    Handed(u64, T),
    /// The sender went without making it.
    Broken,
    /// The receiver went without waiting for it. The place belongs to whoever promised.
    Abandoned,
}

/// What a receiver got.
pub(in crate::channel) enum Received<T> {
    Value(T),
    /// A value will come into this place.
    Promised(Key),
}

/// What somebody may send a value with.
#[derive(Clone, Copy)]
pub(super) enum Grant {
    /// One of the reserved places.
    Place,
    /// The receiver in this place, who waits for it.
    Receiver(Key),
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            room: VecDeque::with_capacity(capacity),
            reserved: 0,
            senders: Line::new(),
            receivers: Line::new(),
            returned: BTreeMap::new(),
            handed: 0,
            is_closed: false,
            watchers: BTreeMap::new(),
            next_watcher: 0,
        }
    }

    // ------------------------------------------------------------ to send

    /// Hands the oldest value to the first receiver in line, and lets this one in behind it; or lets it in.
    pub(super) fn send(&mut self, value: T, errands: &mut Errands) -> Result<(), TrySendError<T>> {
        if self.senders.first().is_some() && self.capacity > 0 {
            // Somebody has come first: those who have become first among the receivers since then get theirs.
            self.hand_out(errands);
        }
        self.send_next(value, errands)
    }

    /// As `send`, for whose turn it is.
    fn send_next(&mut self, value: T, errands: &mut Errands) -> Result<(), TrySendError<T>> {
        if self.is_closed {
            return Err(TrySendError::Disconnected(value));
        }
        match self.claim_receiver() {
            Some(key) => {
                let oldest = match self.take_oldest() {
                    Some(oldest) => {
                        self.room.push_back(Stored::Value(value));
                        oldest
                    }
                    None => value,
                };
                self.hand(key, None, oldest, errands);
            }
            None if self.has_place() => {
                self.room.push_back(Stored::Value(value));
                self.tell_one(errands);
            }
            None => return Err(TrySendError::Full(value)),
        }
        Ok(())
    }

    /// The same, in place of the oldest value if there is no place: which comes back, or the value itself if all places are
    /// reserved.
    pub(super) fn force_send(
        &mut self,
        value: T,
        errands: &mut Errands,
    ) -> Result<Option<T>, TrySendError<T>> {
        match self.send(value, errands) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(value)) => Ok(Some(match self.take_oldest() {
                Some(oldest) => {
                    self.room.push_back(Stored::Value(value));
                    oldest
                }
                None => value,
            })),
            Err(closed) => Err(closed),
        }
    }

    /// Takes a place for a value that is still to be made; where there is no room, a receiver.
    pub(super) fn reserve(&mut self, errands: &mut Errands) -> Result<Grant, TrySendError<()>> {
        if self.is_closed {
            return Err(TrySendError::Disconnected(()));
        }
        if self.capacity == 0 {
            let key = self.claim_receiver().ok_or(TrySendError::Full(()))?;
            self.receivers.get_mut(key).want = Want::Promised;
            return Ok(Grant::Receiver(key));
        }
        match self.reserve_some(1, errands) {
            1 => Ok(Grant::Place),
            _ => Err(TrySendError::Full(())),
        }
    }

    /// Takes up to so many places; how many it took.
    pub(super) fn reserve_some(&mut self, most: usize, _: &mut Errands) -> usize {
        if self.is_closed {
            return 0;
        }
        let places = most.min(self.places());
        self.reserved += places;
        places
    }

    /// Gives so many places back that were reserved.
    pub(super) fn give_back(&mut self, places: usize, errands: &mut Errands) {
        self.reserved -= places;
        self.admit(errands);
    }

    /// Sends with a place that was reserved, which is given back.
    pub(super) fn send_reserved(&mut self, value: T, errands: &mut Errands) -> Result<(), T> {
        self.reserved -= 1;
        let sent = self.send_next(value, errands).map_err(TrySendError::into_inner);
        // A receiver may have taken it from hand to hand.
        self.admit(errands);
        sent
    }

    // ------------------------------------------------------------ to receive

    /// Takes the oldest value, and lets in who waits for its place. `waker` is woken when a promised value comes.
    pub(super) fn receive(
        &mut self,
        waker: Option<&mut Option<Waker>>,
        errands: &mut Errands,
    ) -> Result<Received<T>, TryRecvError> {
        self.receive_if(true, waker, errands)
    }

    /// As `receive`, if the value is made: then it waits for nobody. Whoever is first in line keeps its turn.
    pub(super) fn receive_made(&mut self, errands: &mut Errands) -> Result<T, TryRecvError> {
        match self.receive_if(false, None, errands)? {
            Received::Value(value) => Ok(value),
            Received::Promised(_) => unreachable!("no promise was asked for"),
        }
    }

    #[inline(always)]
    fn receive_if(
        &mut self,
        may_be_promised: bool,
        waker: Option<&mut Option<Waker>>,
        errands: &mut Errands,
    ) -> Result<Received<T>, TryRecvError> {
        if let Some(value) = self.take_returned() {
            return Ok(Received::Value(value));
        }
        if let Some(value) = self.take_oldest() {
            self.admit(errands);
            return Ok(Received::Value(value));
        }
        if self.is_closed {
            return Err(TryRecvError::Disconnected);
        }
        while let Some(key) = self.first_offer() {
            if !may_be_promised
                && matches!(&self.senders.get(key).offer, Offer::Later(claim) if claim.is_takeable(None))
            {
                break;
            }
            self.senders.unlink(key);
            let sender = self.senders.get_mut(key);
            match mem::replace(&mut sender.offer, Offer::Taken) {
                Offer::Value(value) => {
                    errands.wake(sender.waker.take());
                    return Ok(Received::Value(value));
                }
                Offer::Later(claim) if claim.take() => {
                    errands.wake(sender.waker.take());
                    let waker = waker.and_then(Option::take);
                    let place = self.receivers.insert(Receiver { want: Want::Promised, waker });
                    sender.offer = Offer::Asked(place);
                    return Ok(Received::Promised(place));
                }
                // Its selection has been chosen elsewhere.
                lost => sender.offer = lost,
            }
        }
        Err(TryRecvError::Empty)
    }

    /// The first sender in line from whom something can be had when nothing is in. Where there is room, that is a value: then all
    /// places are reserved, and those who are to make one first wait for a place.
    fn first_offer(&self) -> Option<Key> {
        if self.capacity == 0 {
            return self.senders.first();
        }
        self.senders.keys().find(|&key| matches!(self.senders.get(key).offer, Offer::Value(_)))
    }

    fn take_returned(&mut self) -> Option<T> {
        if self.returned.is_empty() {
            return None;
        }
        self.returned.pop_first().map(|(_, value)| value)
    }

    /// Takes the oldest value out of the room. Its place is to be filled, by [`admit`](Self::admit) at the least.
    fn take_oldest(&mut self) -> Option<T> {
        let key = match self.room.pop_front()? {
            Stored::Value(value) => return Some(value),
            Stored::Of(key) => key,
        };
        match mem::replace(&mut self.senders.get_mut(key).offer, Offer::Taken) {
            Offer::In(value) => Some(value),
            Offer::Left(value) => {
                self.senders.remove(key);
                Some(value)
            }
            _ => unreachable!("what lies with its sender is in until it is taken"),
        }
    }

    // ------------------------------------------------------------ to let in, and to hand over

    /// How many places are left.
    fn places(&self) -> usize {
        self.capacity - self.room.len() - self.reserved
    }

    pub(super) fn has_place(&self) -> bool {
        self.room.len() + self.reserved < self.capacity
    }

    pub(super) fn is_full(&self) -> bool {
        !self.has_place()
    }

    /// Lets in those in line, while there are places.
    pub(super) fn admit(&mut self, errands: &mut Errands) {
        if self.is_closed {
            return;
        }
        let mut has_granted = false;
        while self.has_place() {
            let Some(key) = self.senders.first() else {
                self.tell(Sought::Receiver, errands);
                return;
            };
            self.senders.unlink(key);
            let sender = self.senders.get_mut(key);
            match mem::replace(&mut sender.offer, Offer::Taken) {
                Offer::Value(value) => {
                    sender.offer = Offer::In(value);
                    errands.wake(sender.waker.take());
                    self.room.push_back(Stored::Of(key));
                    if let Some(receiver) = self.claim_receiver() {
                        let oldest = self.take_oldest().expect("one has just come in");
                        self.hand(receiver, None, oldest, errands);
                    } else {
                        self.tell_one(errands);
                    }
                }
                Offer::Later(claim) if claim.take() => {
                    sender.offer = Offer::Granted;
                    errands.wake(sender.waker.take());
                    self.reserved += 1;
                    has_granted = true;
                }
                // Its selection has been chosen elsewhere.
                lost => sender.offer = lost,
            }
        }
        if has_granted && self.room.is_empty() {
            self.tell_of_line(errands);
        }
    }

    /// All places are reserved and nothing is in: from now on the values in line are received from hand to hand. As many hear of it
    /// as there are.
    fn tell_of_line(&mut self, errands: &mut Errands) {
        let has_value = |key: &Key| matches!(self.senders.get(*key).offer, Offer::Value(_));
        for _ in 0..self.senders.keys().filter(has_value).count() {
            self.tell_the_next(errands);
            if self.receivers.first().is_none() && self.watchers.is_empty() {
                break;
            }
        }
    }

    /// Hands what there is to those in line who are to be handed a value, up to the first who is to be told.
    fn hand_out(&mut self, errands: &mut Errands) {
        while self.has_value()
            && let Some(key) = self.claim_receiver()
        {
            self.hand_oldest(key, errands);
        }
    }

    /// Whether there is something to be received, where there is room: in it, or in line while all of it is reserved.
    fn has_value(&self) -> bool {
        !self.room.is_empty()
            || !self.returned.is_empty()
            || !self.is_closed && self.first_offer().is_some()
    }

    /// Claims the first receiver in line, if it is to be handed a value, and takes it out of the line. Its place must be filled.
    fn claim_receiver(&mut self) -> Option<Key> {
        while let Some(key) = self.receivers.first() {
            let is_claimed = match &self.receivers.get(key).want {
                Want::ToBeTold => return None,
                Want::Open(claim) => claim.take(),
                _ => false,
            };
            // Lost: its selection has been chosen elsewhere, and will take it out of its place.
            self.receivers.unlink(key);
            if is_claimed {
                return Some(key);
            }
        }
        None
    }

    /// Tells the first receiver in line that there is something, if it is to be told; and all who watch.
    pub(super) fn tell_one(&mut self, errands: &mut Errands) {
        if let Some(key) = self.receivers.first()
            && let receiver = self.receivers.get_mut(key)
            && matches!(receiver.want, Want::ToBeTold)
        {
            receiver.want = Want::Told;
            errands.wake(receiver.waker.take());
            self.receivers.unlink(key);
        }
        self.tell(Sought::Sender, errands);
    }

    /// One who was told goes without a look: the next one's, if there is something.
    pub(super) fn tell_the_next(&mut self, errands: &mut Errands) {
        if !self.has_value() {
            return;
        }
        match self.claim_receiver() {
            Some(key) => self.hand_oldest(key, errands),
            None => self.tell_one(errands),
        }
    }

    /// Puts what is received next, where there is something, into the place of a receiver that was claimed.
    fn hand_oldest(&mut self, key: Key, errands: &mut Errands) {
        let value = self.receive_made(errands).expect("it is there");
        self.hand(key, None, value, errands);
    }

    /// Puts a value into the place of a receiver that was claimed.
    fn hand(&mut self, key: Key, nth: Option<u64>, value: T, errands: &mut Errands) {
        let nth = nth.unwrap_or_else(|| {
            self.handed += 1;
            self.handed
        });
        let receiver = self.receivers.get_mut(key);
        receiver.want = Want::Handed(nth, value);
        errands.wake(receiver.waker.take());
    }

    /// A value that was received, says its sender, and has no receiver: to the next one, now or later.
    pub(super) fn pass_on(&mut self, nth: u64, value: T, errands: &mut Errands) {
        match self.claim_receiver() {
            Some(key) => self.hand(key, Some(nth), value, errands),
            None => {
                self.returned.insert(nth, value);
                self.tell_one(errands);
            }
        }
    }

    pub(super) fn keep_promise(
        &mut self,
        key: Key,
        value: T,
        errands: &mut Errands,
    ) -> Result<(), T> {
        if matches!(self.receivers.get(key).want, Want::Abandoned) {
            self.receivers.remove(key);
            if self.is_closed {
                return Err(value);
            }
            self.handed += 1;
            self.pass_on(self.handed, value, errands);
        } else {
            self.hand(key, None, value, errands);
        }
        Ok(())
    }

    pub(super) fn break_promise(&mut self, key: Key, errands: &mut Errands) {
        let receiver = self.receivers.get_mut(key);
        if matches!(receiver.want, Want::Abandoned) {
            self.receivers.remove(key);
        } else {
            receiver.want = Want::Broken;
            errands.wake(receiver.waker.take());
        }
    }

    // ------------------------------------------------------------ to end, and to know

    pub(super) fn close(&mut self, errands: &mut Errands) -> bool {
        if mem::replace(&mut self.is_closed, true) {
            return false;
        }
        // Those in line keep their places until they look.
        let Self { senders, receivers, .. } = self;
        for key in senders.keys().collect::<Vec<_>>() {
            errands.wake(senders.get_mut(key).waker.take());
        }
        for key in receivers.keys().collect::<Vec<_>>() {
            errands.wake(receivers.get_mut(key).waker.take());
        }
        self.tell(Sought::Sender, errands);
        self.tell(Sought::Receiver, errands);
        true
    }

    /// Whether a `try_send` would go on.
    pub(super) fn is_send_ready(&self) -> bool {
        let first = self.receivers.keys().map(|key| &self.receivers.get(key).want);
        self.is_closed
            || self.has_place()
            || first
                .take_while(|want| !matches!(want, Want::ToBeTold))
                .any(|want| is_met(want, None))
    }

    /// Whether a reservation by somebody with this token would go on.
    pub(super) fn is_reserve_ready(&self, own: &Arc<Token>) -> bool {
        let has_grant = match self.capacity {
            0 => self.receivers.keys().any(|key| is_met(&self.receivers.get(key).want, Some(own))),
            _ => self.has_place(),
        };
        self.is_closed || has_grant
    }

    /// Whether a receive, by somebody with this token, would go on.
    pub(super) fn is_recv_ready(&self, own: Option<&Arc<Token>>) -> bool {
        let is_met = |key| match &self.senders.get(key).offer {
            Offer::Value(_) => true,
            Offer::Later(claim) => self.capacity == 0 && claim.is_takeable(own),
            _ => false,
        };
        self.is_closed
            || !self.room.is_empty()
            || !self.returned.is_empty()
            || self.senders.keys().any(is_met)
    }

    pub(super) fn watch(&mut self, sought: Sought, waker: Waker) -> u64 {
        self.next_watcher += 1;
        self.watchers.insert(self.next_watcher, (sought, waker));
        self.next_watcher
    }

    pub(super) fn unwatch(&mut self, id: u64) -> Option<Waker> {
        self.watchers.remove(&id).map(|(_, waker)| waker)
    }

    /// Tells all who wait for one of these: none of them takes anything.
    pub(super) fn tell(&mut self, who: Sought, errands: &mut Errands) {
        if !self.watchers.is_empty() {
            let (told, others) = mem::take(&mut self.watchers)
                .into_iter()
                .partition(|(_, (sought, _))| *sought == who);
            self.watchers = others;
            for (_, waker) in BTreeMap::into_values(told) {
                errands.wake(Some(waker));
            }
        }
    }
}

/// Whether somebody with this token can hand it a value.
fn is_met<T>(want: &Want<T>, own: Option<&Arc<Token>>) -> bool {
    matches!(want, Want::Open(claim) if claim.is_takeable(own))
}
