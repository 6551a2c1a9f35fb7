//! The calls that hold a thread: they try and stand in line under one lock, and are patient there.

use super::Locked;
use super::future::{Receiving, Sending, Waiter};
use super::state::{Offer, Received, Want};
use super::token::Claim;
use crate::channel::error::{
    RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
use crate::park::{Borrowed, Impatience, Parker, drive, keep_driving};
use std::pin::Pin;
use std::time::Instant;

impl<T> Locked<T> {
    // As `try_send`: it is not to burden the ring's path.
    #[inline(never)]
    pub(in crate::channel) fn send_until(
        &self,
        value: T,
        deadline: Option<Instant>,
    ) -> Result<(), SendTimeoutError<T>> {
        let mut parker: Option<Borrowed> = None;
        let mut sending = Sending::to_stand(self);
        self.locked(|state, errands| match state.send(value, errands) {
            Ok(()) => Ok(()),
            Err(TrySendError::Disconnected(value)) => Err(SendTimeoutError::Disconnected(value)),
            Err(TrySendError::Full(value)) => {
                // The waker is ours: its clone is nobody else's code.
                let waker = parker.insert(Parker::borrow()).waker().clone();
                sending.stand_at(state.list_sender(Offer::Value(value), Some(waker), errands));
                Ok(())
            }
        })?;
        let Some(parker) = parker else { return Ok(()) };
        match keep_driving(&parker, Pin::new(&mut sending), deadline, Impatience::Meeting) {
            Some(sent) => sent.map_err(|SendError(value)| SendTimeoutError::Disconnected(value)),
            // None if it was taken at the last moment.
            None => {
                sending.take_back().map_or(Ok(()), |value| Err(SendTimeoutError::Timeout(value)))
            }
        }
    }

    #[inline(never)]
    pub(in crate::channel) fn recv_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<T, RecvTimeoutError> {
        let mut parker: Option<Borrowed> = None;
        let mut receiving = Receiving::new(self, Waiter::Thread);
        let received = self.locked(|state, errands| match state.receive(None, errands) {
            Ok(Received::Value(value)) => Ok(Some(value)),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Ok(Received::Promised(key)) => {
                receiving.stand_at(key);
                Ok(None)
            }
            Err(TryRecvError::Empty) => {
                let waker = parker.insert(Parker::borrow()).waker().clone();
                let want = Want::Open(Claim::Alone);
                receiving.stand_at(state.list_receiver(want, Some(waker), errands));
                Ok(None)
            }
        })?;
        if let Some(value) = received {
            return Ok(value);
        }
        let waiting = Pin::new(&mut receiving);
        let received = match &parker {
            Some(parker) => keep_driving(parker, waiting, deadline, Impatience::Meeting),
            // Its place has no waker yet.
            None => drive(waiting, deadline, Impatience::Meeting),
        };
        match received {
            Some(received) => received.map_err(|RecvError| RecvTimeoutError::Disconnected),
            // What is there by now comes before the limit.
            None => {
                let given = receiving.give_up().or_else(|| self.try_recv_made().ok());
                given.ok_or(RecvTimeoutError::Timeout)
            }
        }
    }
}
