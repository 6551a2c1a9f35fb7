//! What happens under the lock: how one stands in line, and leaves. [The story](super) is in the parent.

use super::errands::Errands;
use super::line::Key;
use super::state::{Grant, Offer, Received, Receiver, Sender, Sought, State, Stored, Want};
use super::token::{Claim, Token};
use crate::channel::error::{RecvError, SendError, TryRecvError, TrySendError};
use std::mem;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// How a receiver that is to be handed a value fares in its place.
pub(super) enum Fate<T> {
    Waits,
    Has(T),
    Closed,
    /// The promise was broken: the place is given up, start again.
    Again,
}

/// The waker of a poll. It is cloned outside the lock, and only if it has to be left there: a state that needs it says so.
pub(super) struct Caller<'a> {
    pub(super) waker: &'a Waker,
    pub(super) clone: Option<Waker>,
}

/// The state needs a clone of the waker.
pub(super) struct NeedsWaker;

impl Caller<'_> {
    /// A clone to be left in a place.
    fn take(&mut self) -> Result<Waker, NeedsWaker> {
        self.clone.take().ok_or(NeedsWaker)
    }

    /// Leaves a clone in a place, unless one is there.
    fn leave_in(
        &mut self,
        slot: &mut Option<Waker>,
        errands: &mut Errands,
    ) -> Result<(), NeedsWaker> {
        if !slot.as_ref().is_some_and(|left| left.will_wake(self.waker)) {
            errands.discard(slot.replace(self.take()?));
        }
        Ok(())
    }
}

impl<T> State<T> {
    // ------------------------------------------------------------ futures that send

    /// Sends `value`, or puts it in line: then its place is in `key`.
    pub(super) fn send_or_stand(
        &mut self,
        value: &mut Option<T>,
        key: &mut Option<Key>,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<(), SendError<T>>>, NeedsWaker> {
        let item = value.take().expect("polled after it was ready");
        match self.send(item, errands) {
            Ok(()) => Ok(Poll::Ready(Ok(()))),
            Err(TrySendError::Disconnected(item)) => Ok(Poll::Ready(Err(SendError(item)))),
            Err(TrySendError::Full(item)) => match caller.take() {
                Ok(waker) => {
                    *key = Some(self.list_sender(Offer::Value(item), Some(waker), errands));
                    Ok(Poll::Pending)
                }
                Err(needs) => {
                    *value = Some(item);
                    Err(needs)
                }
            },
        }
    }

    /// How the send at `key` fares; its place is given up unless it waits on.
    pub(super) fn poll_send(
        &mut self,
        key: Key,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<(), SendError<T>>>, NeedsWaker> {
        let is_closed = self.is_closed;
        let sender = self.senders.get_mut(key);
        match mem::replace(&mut sender.offer, Offer::Taken) {
            Offer::Value(value) if !is_closed => {
                sender.offer = Offer::Value(value);
                caller.leave_in(&mut sender.waker, errands)?;
                Ok(Poll::Pending)
            }
            Offer::Value(value) => {
                errands.discard(self.senders.remove(key).waker);
                Ok(Poll::Ready(Err(SendError(value))))
            }
            Offer::In(value) => {
                sender.offer = Offer::Left(value);
                Ok(Poll::Ready(Ok(())))
            }
            _ => {
                self.senders.remove(key);
                Ok(Poll::Ready(Ok(())))
            }
        }
    }

    /// Takes a send out of its place; its value, if nobody has received it.
    pub(super) fn withdraw_value(&mut self, key: Key, errands: &mut Errands) -> Option<T> {
        let sender = self.senders.remove(key);
        errands.discard(sender.waker);
        match sender.offer {
            Offer::Value(value) => Some(value),
            Offer::In(value) => {
                self.room.retain(|stored| !matches!(stored, Stored::Of(other) if *other == key));
                self.admit(errands);
                Some(value)
            }
            _ => None,
        }
    }

    /// Gets the right to send, or stands in line for it: then its place is in `key`.
    pub(super) fn reserve_or_stand(
        &mut self,
        key: &mut Option<Key>,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<Grant, SendError<()>>>, NeedsWaker> {
        match self.reserve(errands) {
            Ok(grant) => Ok(Poll::Ready(Ok(grant))),
            Err(TrySendError::Disconnected(())) => Ok(Poll::Ready(Err(SendError(())))),
            Err(TrySendError::Full(())) => {
                let waker = Some(caller.take()?);
                *key = Some(self.list_sender(Offer::Later(Claim::Alone), waker, errands));
                Ok(Poll::Pending)
            }
        }
    }

    /// How the reservation at `key` fares. Its place is given up unless it waits on.
    pub(super) fn poll_reserve(
        &mut self,
        key: Key,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<Grant, SendError<()>>>, NeedsWaker> {
        let is_closed = self.is_closed;
        let sender = self.senders.get_mut(key);
        if matches!(sender.offer, Offer::Later(_)) && !is_closed {
            caller.leave_in(&mut sender.waker, errands)?;
            return Ok(Poll::Pending);
        }
        Ok(Poll::Ready(self.withdraw_send(key, errands).ok_or(SendError(()))))
    }

    /// Takes an arm or a reservation out of its place; what it was granted, if it was.
    pub(super) fn withdraw_send(&mut self, key: Key, errands: &mut Errands) -> Option<Grant> {
        let sender = self.senders.remove(key);
        errands.discard(sender.waker);
        match sender.offer {
            Offer::Asked(receiver) => Some(Grant::Receiver(receiver)),
            Offer::Granted => Some(Grant::Place),
            _ => None,
        }
    }

    // ------------------------------------------------------------ futures that receive

    /// Takes a value, or stands in line to be told that there is one: then its place is in `key`, as before it if it has been there.
    pub(super) fn receive_or_be_told(
        &mut self,
        key: &mut Option<Key>,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<T, RecvError>>, NeedsWaker> {
        let received = match self.receive(None, errands) {
            Ok(Received::Value(value)) => Ok(value),
            Ok(Received::Promised(_)) => unreachable!("where there is room, nothing is promised"),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => {
                match *key {
                    Some(at) if matches!(self.receivers.get(at).want, Want::ToBeTold) => {
                        let receiver = self.receivers.get_mut(at);
                        caller.leave_in(&mut receiver.waker, errands)?;
                    }
                    at => {
                        let waker = Some(caller.take()?);
                        if let Some(told) = at {
                            self.receivers.remove(told);
                        }
                        *key = Some(self.list_receiver(Want::ToBeTold, waker, errands));
                    }
                }
                return Ok(Poll::Pending);
            }
        };
        if let Some(at) = key.take() {
            errands.discard(self.receivers.remove(at).waker);
        }
        Ok(Poll::Ready(received))
    }

    /// Takes a value, or stands in line to be handed one, or has been promised one: then its place is in `key`.
    pub(super) fn receive_or_stand(
        &mut self,
        key: &mut Option<Key>,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Poll<Result<T, RecvError>>, NeedsWaker> {
        if self.capacity == 0 && caller.clone.is_none() {
            // It may be promised a value, and then has to be woken for it.
            return Err(NeedsWaker);
        }
        match self.receive(Some(&mut caller.clone), errands) {
            Ok(Received::Value(value)) => return Ok(Poll::Ready(Ok(value))),
            Err(TryRecvError::Disconnected) => return Ok(Poll::Ready(Err(RecvError))),
            Ok(Received::Promised(at)) => *key = Some(at),
            Err(TryRecvError::Empty) => {
                let waker = Some(caller.take()?);
                *key = Some(self.list_receiver(Want::Open(Claim::Alone), waker, errands));
            }
        }
        Ok(Poll::Pending)
    }

    /// How the receive at `key`, which is to be handed a value, fares; its place is given up unless it waits on.
    pub(super) fn poll_handed(
        &mut self,
        key: Key,
        caller: &mut Caller<'_>,
        errands: &mut Errands,
    ) -> Result<Fate<T>, NeedsWaker> {
        let is_closed = self.is_closed;
        let receiver = self.receivers.get_mut(key);
        match receiver.want {
            // A promise outlives the close: the two have met before it.
            Want::Promised => {}
            Want::Open(_) if !is_closed => {}
            _ => {
                let receiver = self.receivers.remove(key);
                errands.discard(receiver.waker);
                return Ok(match receiver.want {
                    Want::Handed(_, value) => Fate::Has(value),
                    Want::Broken => Fate::Again,
                    // There may be a value that somebody else has been told of.
                    Want::Open(_) if self.capacity > 0 => Fate::Again,
                    _ => Fate::Closed,
                });
            }
        }
        caller.leave_in(&mut receiver.waker, errands)?;
        Ok(Fate::Waits)
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
        match receiver.want {
            Want::Handed(nth, value) => self.pass_on(nth, value, errands),
            Want::Told => self.tell_the_next(errands),
            _ => {}
        }
    }

    // ------------------------------------------------------------ arms of selections, and calls with a limit

    /// Puts an arm that sends in line; none if it would go on at once.
    pub(super) fn stand_to_send(
        &mut self,
        token: &Arc<Token>,
        arm: usize,
        waker: Waker,
        errands: &mut Errands,
    ) -> Option<Key> {
        if self.is_reserve_ready(token) {
            errands.discard(Some(waker));
            return None;
        }
        let offer = Offer::Later(Claim::Arm(Arc::clone(token), arm));
        Some(self.list_sender(offer, Some(waker), errands))
    }

    /// Puts an arm that receives in line; none if it would go on at once.
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

    /// Takes a party that is to be handed a value out of its place; what it got, if it was claimed.
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

    /// Puts a sender at the end of its line, and tells those who look for one.
    pub(super) fn list_sender(
        &mut self,
        offer: Offer<T>,
        waker: Option<Waker>,
        errands: &mut Errands,
    ) -> Key {
        // If all places are reserved, a receiver may take a value from hand to hand.
        let is_receivable =
            self.capacity == 0 || self.room.is_empty() && matches!(offer, Offer::Value(_));
        let key = self.senders.push(Sender { offer, waker });
        if is_receivable {
            self.tell_one(errands);
        }
        key
    }

    /// The same for a receiver.
    pub(super) fn list_receiver(
        &mut self,
        want: Want<T>,
        waker: Option<Waker>,
        errands: &mut Errands,
    ) -> Key {
        let key = self.receivers.push(Receiver { want, waker });
        self.tell(Sought::Receiver, errands);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Else a selection with both arms at one channel would never sleep.
    #[test]
    fn an_arm_is_no_counterpart_of_the_other_arms_of_its_selection() {
        let (mut state, mut errands) = (State::<u8>::new(0), Errands::default());
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

    /// Else a thread would be told of the end while there is a value that a task was told of.
    #[test]
    fn a_close_sends_whoever_is_to_be_handed_a_value_back_to_look() {
        let (mut state, mut errands) = (State::<u8>::new(1), Errands::default());
        let mut caller = Caller { waker: Waker::noop(), clone: None };
        let told = state.list_receiver(Want::ToBeTold, None, &mut errands);
        let handed = state.list_receiver(Want::Open(Claim::Alone), None, &mut errands);
        assert!(state.send(1, &mut errands).is_ok());
        assert!(matches!(state.receivers.get(told).want, Want::Told));
        state.close(&mut errands);
        let fate = state.poll_handed(handed, &mut caller, &mut errands);
        assert!(matches!(fate, Ok(Fate::Again)));
        assert!(matches!(state.receive(None, &mut errands), Ok(Received::Value(1))));
    }

    /// A task that was told goes: the value is handed to the thread behind it, and the next sender moves in.
    #[test]
    fn who_was_told_and_goes_leaves_it_to_whoever_is_next() {
        let (mut state, mut errands) = (State::<u8>::new(1), Errands::default());
        let mut caller = Caller { waker: Waker::noop(), clone: None };
        let told = state.list_receiver(Want::ToBeTold, None, &mut errands);
        assert!(state.send(1, &mut errands).is_ok());
        // It came while the other was looking.
        let handed = state.receivers.push(Receiver { want: Want::Open(Claim::Alone), waker: None });
        let sender = state.list_sender(Offer::Value(2), None, &mut errands);
        state.cancel_recv(told, &mut errands);
        assert!(matches!(state.poll_handed(handed, &mut caller, &mut errands), Ok(Fate::Has(1))));
        assert!(matches!(state.senders.get(sender).offer, Offer::In(2)));
    }

    /// The last place goes to a reservation while nothing is in: those in line get the values in line, from hand to hand.
    #[test]
    fn a_value_in_line_behind_a_reservation_is_handed_to_who_is_in_line() {
        let (mut state, mut errands) = (State::<u8>::new(1), Errands::default());
        let mut caller = Caller { waker: Waker::noop(), clone: None };
        let told = state.list_receiver(Want::ToBeTold, None, &mut errands);
        let handed = state.receivers.push(Receiver { want: Want::Open(Claim::Alone), waker: None });
        assert!(state.send(0, &mut errands).is_ok());
        let watcher = state.watch(Sought::Sender, Waker::noop().clone());
        let reserve = state.list_sender(Offer::Later(Claim::Alone), None, &mut errands);
        let [first, second] =
            [1, 2].map(|value| state.list_sender(Offer::Value(value), None, &mut errands));
        let told = state.receive_or_be_told(&mut Some(told), &mut caller, &mut errands);
        assert!(matches!(told, Ok(Poll::Ready(Ok(0)))));
        assert!(matches!(state.senders.get(reserve).offer, Offer::Granted));
        assert!(matches!(state.poll_handed(handed, &mut caller, &mut errands), Ok(Fate::Has(1))));
        assert!(matches!(state.senders.get(first).offer, Offer::Taken));
        assert!(matches!(state.senders.get(second).offer, Offer::Value(2)));
        assert!(state.unwatch(watcher).is_none(), "who only looks hears of it, too");
    }

    /// A task that was to be told goes, or is told, and a thread is first: what it gets is the oldest, and who waits moves up before
    /// anybody else comes in.
    #[test]
    fn a_newcomer_does_not_overtake_where_a_task_has_left_the_line() {
        let (mut state, mut errands) = (State::<u8>::new(1), Errands::default());
        let mut caller = Caller { waker: Waker::noop(), clone: None };
        let [_, second] = [(); 2].map(|()| state.list_receiver(Want::ToBeTold, None, &mut errands));
        let handed = state.list_receiver(Want::Open(Claim::Alone), None, &mut errands);
        assert!(state.send(0, &mut errands).is_ok());
        assert_eq!(state.send(1, &mut errands), Err(TrySendError::Full(1)), "a task is first");
        let sender = state.list_sender(Offer::Value(1), None, &mut errands);
        state.cancel_recv(second, &mut errands);
        assert_eq!(state.send(2, &mut errands), Err(TrySendError::Full(2)));
        assert!(matches!(state.poll_handed(handed, &mut caller, &mut errands), Ok(Fate::Has(0))));
        assert!(matches!(state.senders.get(sender).offer, Offer::In(1)));

        let mut state = State::<u8>::new(1);
        assert!(state.reserve(&mut errands).is_ok());
        let told = state.list_receiver(Want::ToBeTold, None, &mut errands);
        let handed = state.list_receiver(Want::Open(Claim::Alone), None, &mut errands);
        state.list_sender(Offer::Value(1), None, &mut errands);
        assert!(matches!(state.receivers.get(told).want, Want::Told));
        assert_eq!(state.send(2, &mut errands), Err(TrySendError::Full(2)));
        assert!(matches!(state.poll_handed(handed, &mut caller, &mut errands), Ok(Fate::Has(1))));
        assert!(state.send_reserved(3, &mut errands).is_ok());
    }

    /// A value that comes back to the channel is one like any other for those who sleep.
    #[test]
    fn who_was_told_of_a_returned_value_and_goes_tells_the_next() {
        let (mut state, mut errands) = (State::<u8>::new(1), Errands::default());
        let handed = state.list_receiver(Want::Open(Claim::Alone), None, &mut errands);
        let tasks = [(); 2].map(|()| state.list_receiver(Want::ToBeTold, None, &mut errands));
        assert!(state.send(1, &mut errands).is_ok());
        state.cancel_recv(handed, &mut errands);
        assert!(matches!(state.receivers.get(tasks[0]).want, Want::Told));
        state.cancel_recv(tasks[0], &mut errands);
        assert!(matches!(state.receivers.get(tasks[1]).want, Want::Told));
        assert!(matches!(state.receive(None, &mut errands), Ok(Received::Value(1))));
    }
}
