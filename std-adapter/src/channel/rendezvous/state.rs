//! What happens under the lock. [The story](super) is in the parent.

use super::line::{Key, Line};
use super::token::{Claim, Token};
use crate::channel::error::{TryRecvError, TrySendError};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::task::Waker;

pub(super) struct State<T> {
    senders: Line<Sender<T>>,
    receivers: Line<Receiver<T>>,
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

/// Whom a watcher waits for.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::channel) enum Sought {
    Sender,
    Receiver,
}

/// A sender in its place.
struct Sender<T> {
    offer: Offer<T>,
    /// None if it has been woken.
    waker: Option<Waker>,
}

enum Offer<T> {
    /// In line, with the value.
    Value(T),
    /// In line; the value is made when it is asked for.
    Later(Claim),
    /// A receiver has taken the value.
    Taken,
    /// The receiver in this place has been promised a value.
    Asked(Key),
}

/// A receiver in its place.
struct Receiver<T> {
    want: Want<T>,
    /// None if it has been woken, or does not sleep yet.
    waker: Option<Waker>,
}

enum Want<T> {
    /// In line.
    Open(Claim),
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

/// How a receiver that stands in its place fares.
pub(super) enum Fate<T> {
    Waits,
    Has(T),
    Closed,
    /// The promise was broken: the place is given up, start again.
    Again,
}

/// What is left to be done outside the lock.
#[derive(Default)]
pub(super) struct Errands {
    wake: Option<Waker>,
    wake_too: Vec<Waker>,
    drop: Option<Waker>,
    drop_too: Vec<Waker>,
}

impl Errands {
    fn wake(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.wake.is_none() => self.wake = Some(waker),
            waker => self.wake_too.extend(waker),
        }
    }

    fn discard(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.drop.is_none() => self.drop = Some(waker),
            waker => self.drop_too.extend(waker),
        }
    }

    pub(super) fn run(mut self) {
        self.wake_all();
    }

    fn wake_all(&mut self) {
        while let Some(waker) = self.wake.take().or_else(|| self.wake_too.pop()) {
            waker.wake();
        }
    }
}

impl Drop for Errands {
    /// A waker has panicked: the others are woken all the same.
    fn drop(&mut self) {
        self.wake_all();
    }
}

impl<T> State<T> {
    pub(super) const fn new() -> Self {
        Self {
            senders: Line::new(),
            receivers: Line::new(),
            returned: BTreeMap::new(),
            handed: 0,
            is_closed: false,
            watchers: BTreeMap::new(),
            next_watcher: 0,
        }
    }

    // ------------------------------------------------------------ to meet

    /// Claims the first receiver in line that can be had, and takes it out of the line. Its place must be filled.
    fn claim_receiver(&mut self) -> Option<Key> {
        while let Some(key) = self.receivers.first() {
            // Lost: its selection has been chosen elsewhere, and will take it out of its place.
            self.receivers.unlink(key);
            if let Want::Open(claim) = &self.receivers.get(key).want
                && claim.take()
            {
                return Some(key);
            }
        }
        None
    }

    pub(super) fn send(&mut self, value: T, errands: &mut Errands) -> Result<(), TrySendError<T>> {
        if self.is_closed {
            return Err(TrySendError::Disconnected(value));
        }
        match self.claim_receiver() {
            Some(key) => {
                self.hand(key, None, value, errands);
                Ok(())
            }
            None => Err(TrySendError::Full(value)),
        }
    }

    pub(super) fn promise(&mut self, _: &mut Errands) -> Result<Key, TrySendError<()>> {
        if self.is_closed {
            return Err(TrySendError::Disconnected(()));
        }
        let key = self.claim_receiver().ok_or(TrySendError::Full(()))?;
        self.receivers.get_mut(key).want = Want::Promised;
        Ok(key)
    }

    /// `waker` is woken when a promised value comes.
    pub(super) fn receive(
        &mut self,
        waker: Option<&mut Option<Waker>>,
        errands: &mut Errands,
    ) -> Result<Received<T>, TryRecvError> {
        if let Some((_, value)) = self.returned.pop_first() {
            return Ok(Received::Value(value));
        }
        if self.is_closed {
            return Err(TryRecvError::Disconnected);
        }
        while let Some(key) = self.senders.first() {
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
    fn pass_on(&mut self, nth: u64, value: T, errands: &mut Errands) {
        match self.claim_receiver() {
            Some(key) => self.hand(key, Some(nth), value, errands),
            None => {
                self.returned.insert(nth, value);
                self.tell(Sought::Sender, errands);
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

    // ------------------------------------------------------------ to wait

    pub(super) fn wait_to_send(
        &mut self,
        value: T,
        waker: Option<Waker>,
        errands: &mut Errands,
    ) -> Key {
        self.list_sender(Offer::Value(value), waker, errands)
    }

    pub(super) fn wait_to_reserve(&mut self, waker: Option<Waker>, errands: &mut Errands) -> Key {
        self.list_sender(Offer::Later(Claim::Alone), waker, errands)
    }

    pub(super) fn wait_to_recv(&mut self, waker: Option<Waker>, errands: &mut Errands) -> Key {
        self.list_receiver(Want::Open(Claim::Alone), waker, errands)
    }

    pub(super) fn stand_to_send(
        &mut self,
        token: &Arc<Token>,
        arm: usize,
        waker: Waker,
        errands: &mut Errands,
    ) -> Option<Key> {
        if self.is_send_ready(Some(token)) {
            errands.discard(Some(waker));
            return None;
        }
        let offer = Offer::Later(Claim::Arm(Arc::clone(token), arm));
        Some(self.list_sender(offer, Some(waker), errands))
    }

    pub(super) fn stand_to_recv(
        &mut self,
        token: &Arc<Token>,
        arm: usize,
        waker: Waker,
        errands: &mut Errands,
    ) -> Option<Key> {
        if self.is_recv_ready(Some(token)) {
            errands.discard(Some(waker));
            return None;
        }
        let want = Want::Open(Claim::Arm(Arc::clone(token), arm));
        Some(self.list_receiver(want, Some(waker), errands))
    }

    /// Puts a sender at the end of its line, and tells those who look for one.
    fn list_sender(&mut self, offer: Offer<T>, waker: Option<Waker>, errands: &mut Errands) -> Key {
        let key = self.senders.push(Sender { offer, waker });
        self.tell(Sought::Sender, errands);
        key
    }

    /// The same for a receiver.
    fn list_receiver(&mut self, want: Want<T>, waker: Option<Waker>, errands: &mut Errands) -> Key {
        let key = self.receivers.push(Receiver { want, waker });
        self.tell(Sought::Receiver, errands);
        key
    }

    /// How the send at `key` fares; its place is given up unless it waits on.
    pub(super) fn poll_send(
        &mut self,
        key: Key,
        waker: Waker,
        errands: &mut Errands,
    ) -> Option<Result<(), T>> {
        let is_closed = self.is_closed;
        let sender = self.senders.get_mut(key);
        if matches!(sender.offer, Offer::Value(_)) && !is_closed {
            errands.discard(sender.waker.replace(waker));
            return None;
        }
        let taken = self.withdraw_value(key, errands);
        errands.discard(Some(waker));
        Some(taken.map_or(Ok(()), Err))
    }

    /// Takes a send out of its place; its value, if nobody has taken it.
    pub(super) fn withdraw_value(&mut self, key: Key, errands: &mut Errands) -> Option<T> {
        let sender = self.senders.remove(key);
        errands.discard(sender.waker);
        match sender.offer {
            Offer::Value(value) => Some(value),
            _ => None,
        }
    }

    /// How the reservation at `key` fares: `Ok` is the receiver that it has to serve. Its place is given up unless it waits on.
    pub(super) fn poll_reserve(
        &mut self,
        key: Key,
        waker: Waker,
        errands: &mut Errands,
    ) -> Option<Result<Key, ()>> {
        let is_closed = self.is_closed;
        let sender = self.senders.get_mut(key);
        if matches!(sender.offer, Offer::Later(_)) && !is_closed {
            errands.discard(sender.waker.replace(waker));
            return None;
        }
        let asked = self.withdraw_send(key, errands);
        errands.discard(Some(waker));
        Some(asked.ok_or(()))
    }

    /// Takes an arm or a reservation out of its place; the receiver that it has to serve, if it was claimed.
    pub(super) fn withdraw_send(&mut self, key: Key, errands: &mut Errands) -> Option<Key> {
        let sender = self.senders.remove(key);
        errands.discard(sender.waker);
        match sender.offer {
            Offer::Asked(receiver) => Some(receiver),
            _ => None,
        }
    }

    /// How the receive at `key` fares; its place is given up unless it waits on.
    pub(super) fn poll_recv(&mut self, key: Key, waker: Waker, errands: &mut Errands) -> Fate<T> {
        let is_closed = self.is_closed;
        let receiver = self.receivers.get_mut(key);
        match receiver.want {
            // A promise outlives the close: the two have met before it.
            Want::Promised => {}
            Want::Open(_) if !is_closed => {}
            _ => {
                let receiver = self.receivers.remove(key);
                errands.discard(Some(waker));
                errands.discard(receiver.waker);
                return match receiver.want {
                    Want::Handed(_, value) => Fate::Has(value),
                    Want::Broken => Fate::Again,
                    _ => Fate::Closed,
                };
            }
        }
        errands.discard(receiver.waker.replace(waker));
        Fate::Waits
    }

    /// The value at `key`, if one has been handed over: then its place is given up.
    pub(super) fn take_handed(&mut self, key: Key) -> Option<T> {
        if !matches!(self.receivers.get(key).want, Want::Handed(..)) {
            return None;
        }
        match self.receivers.remove(key).want {
            Want::Handed(_, value) => Some(value),
            _ => None,
        }
    }

    /// A receive goes without having looked.
    pub(super) fn cancel_recv(&mut self, key: Key, errands: &mut Errands) {
        let receiver = self.receivers.get_mut(key);
        if matches!(receiver.want, Want::Promised) {
            receiver.want = Want::Abandoned;
            errands.discard(receiver.waker.take());
            return;
        }
        let receiver = self.receivers.remove(key);
        errands.discard(receiver.waker);
        if let Want::Handed(nth, value) = receiver.want {
            self.pass_on(nth, value, errands);
        }
    }

    /// Takes an arm out of its place; what it got, if it was claimed.
    pub(super) fn withdraw_recv(&mut self, key: Key, errands: &mut Errands) -> Option<Received<T>> {
        if matches!(self.receivers.get(key).want, Want::Promised) {
            return Some(Received::Promised(key));
        }
        let receiver = self.receivers.remove(key);
        errands.discard(receiver.waker);
        match receiver.want {
            Want::Handed(_, value) => Some(Received::Value(value)),
            _ => None,
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

    pub(super) fn is_send_ready(&self, own: Option<&Arc<Token>>) -> bool {
        let is_met = |key| match &self.receivers.get(key).want {
            Want::Open(claim) => claim.is_takeable(own),
            _ => false,
        };
        self.is_closed || self.receivers.keys().any(is_met)
    }

    pub(super) fn is_recv_ready(&self, own: Option<&Arc<Token>>) -> bool {
        let is_met = |key| match &self.senders.get(key).offer {
            Offer::Value(_) => true,
            Offer::Later(claim) => claim.is_takeable(own),
            _ => false,
        };
        self.is_closed || !self.returned.is_empty() || self.senders.keys().any(is_met)
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
    fn tell(&mut self, who: Sought, errands: &mut Errands) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a selection with both arms at one channel would never sleep.
    #[test]
    fn an_arm_is_no_counterpart_of_the_other_arms_of_its_selection() {
        let (mut state, mut errands) = (State::<u8>::new(), Errands::default());
        let (token, other) = (Token::new(), Token::new());
        let waker = || Waker::noop().clone();
        let recv = state.stand_to_recv(&token, 0, waker(), &mut errands);
        let send = state.stand_to_send(&token, 1, waker(), &mut errands);
        assert!(recv.is_some() && send.is_some());
        assert!(state.stand_to_recv(&other, 0, waker(), &mut errands).is_none());
        // Taken back, it is nobody's counterpart.
        assert_eq!(token.take_back(), None);
        assert!(state.stand_to_recv(&other, 0, waker(), &mut errands).is_some());
        assert!(state.stand_to_send(&token, 0, waker(), &mut errands).is_none());
        assert!(state.send(1, &mut errands).is_ok(), "the first that can be had");
        assert_eq!(other.take_back(), Some(0));
        assert_eq!(state.send(2, &mut errands), Err(TrySendError::Full(2)));
    }
}
