//! The arms of a selection: each knows how to try, how to wait, and keeps what came of it.

use super::desk::Desk;
use crate::Context;
use crate::channel::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::channel::flavor::{Flavor, Ring, Shared};
use crate::channel::locked::{Key, Locked, Received, Token};
use crate::channel::permit::Permit;
use crate::channel::{Receiver, Sender};
use crate::context::{ContextError, Done};
use aqueduct_core::channel as core;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Instant;

/// One arm. Which of its calls comes when is told at the top of `run.rs`.
pub trait Arm {
    /// Does what the arm is for, if that can be done now; what came of it stays in the arm.
    fn attempt(&mut self) -> bool;

    /// As [`attempt`](Self::attempt), if nothing is to be waited for [afterwards](Self::settle).
    fn attempt_made(&mut self) -> bool {
        self.attempt()
    }

    /// Whether an attempt may go on; leaves everything as it is.
    fn is_ready(&mut self) -> bool;

    /// Stands in line, where one can stand in line and be woken without being chosen. `Ready`: it was woken, and
    /// stands there no more.
    fn watch(&mut self, cx: &mut task::Context<'_>) -> Poll<()>;

    /// Has the waker woken when the arm may have become ready, where `watch` does not do that.
    fn observe(&mut self, _waker: &Waker) {}

    /// Whether the arm is met by a counterpart, who has to claim the selection.
    fn has_counterpart(&self) -> bool {
        false
    }

    /// Stands where it can be claimed; false if there is a counterpart already.
    fn stand(&mut self, _token: &Arc<Token>, _arm: usize, _waker: &Waker) -> bool {
        true
    }

    /// Goes from there; true if it has been claimed, and what came of it is in the arm.
    fn withdraw(&mut self) -> bool {
        false
    }

    /// Leaves all lines. A wake-up that was not used goes to the next.
    fn leave(&mut self);

    /// Waits for what was promised to the arm that is chosen; false if the promise is broken. All arms have left their lines.
    fn settle(&mut self) -> bool {
        true
    }

    /// When it goes on at the latest.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Where its channel is, to be recognised by.
    fn address(&self) -> usize {
        0
    }

    /// Puts the value that was received on the desk of the channel; none if the channel was closed.
    fn deliver(&mut self) -> Option<u64> {
        panic!("the arm that was selected does not receive");
    }

    /// Whether it sends.
    fn sends(&self) -> bool {
        false
    }

    /// Sends the value that lies on the desk of the channel; false if it lies there still, for the channel is closed.
    fn dispatch(&mut self, _: u64) -> bool {
        unreachable!("only an arm that sends is given a value");
    }
}

/// An arm that can be used again.
pub(super) trait Again<'a>: Arm {
    /// The same arm, before anything came of it.
    fn fresh(&self) -> Box<dyn Again<'a> + 'a>;
}

pub(super) fn address<T>(channel: &Arc<Shared<T>>) -> usize {
    Arc::as_ptr(channel).addr()
}

/// An arm that receives.
pub struct RecvArm<'a, T> {
    receiver: &'a Receiver<T>,
    line: RecvLine<'a, T>,
    received: Option<Result<T, RecvError>>,
}

enum RecvLine<'a, T> {
    Ring(core::RecvWatch<'a, Ring<T>>),
    Locked(RecvStand<'a, T>),
}

impl<'a, T> RecvArm<'a, T> {
    /// An arm that has not been tried.
    pub fn new(receiver: &'a Receiver<T>) -> Self {
        let line = match &receiver.channel.flavor {
            Flavor::Ring(ring) => RecvLine::Ring(ring.watch_recv()),
            Flavor::Locked(channel) => {
                RecvLine::Locked(RecvStand { channel, key: None, watcher: None })
            }
        };
        Self { receiver, line, received: None }
    }

    /// What the chosen arm has received.
    pub fn take(&mut self) -> Result<T, RecvError> {
        self.received.take().expect("the arm was chosen")
    }

    fn desk(&self) -> &'a Desk<T> {
        &self.receiver.channel.desk
    }

    fn keep(&mut self, received: Result<Received<T>, RecvError>) {
        self.received = match received {
            Ok(Received::Value(value)) => Some(Ok(value)),
            Err(RecvError) => Some(Err(RecvError)),
            Ok(Received::Promised(key)) => {
                if let RecvLine::Locked(stand) = &mut self.line {
                    stand.key = Some(key);
                }
                None
            }
        };
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn attempt(&mut self) -> bool {
        let received = match &mut self.line {
            RecvLine::Ring(watch) => {
                watch.try_recv().map(Received::Value).map_err(TryRecvError::from)
            }
            RecvLine::Locked(stand) => stand.channel.try_meet(),
        };
        match received {
            Ok(received) => self.keep(Ok(received)),
            Err(TryRecvError::Disconnected) => self.keep(Err(RecvError)),
            Err(TryRecvError::Empty) => return false,
        }
        true
    }

    fn attempt_made(&mut self) -> bool {
        let RecvLine::Locked(stand) = &mut self.line else { return self.attempt() };
        match stand.channel.try_recv_made() {
            Ok(value) => self.keep(Ok(Received::Value(value))),
            Err(TryRecvError::Disconnected) => self.keep(Err(RecvError)),
            Err(TryRecvError::Empty) => return false,
        }
        true
    }

    fn is_ready(&mut self) -> bool {
        match &mut self.line {
            RecvLine::Ring(watch) => watch.is_ready(),
            RecvLine::Locked(stand) => stand.channel.is_recv_ready(),
        }
    }

    fn watch(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        match &mut self.line {
            RecvLine::Ring(watch) => watch.poll_ready(cx),
            RecvLine::Locked(_) => Poll::Pending,
        }
    }

    fn observe(&mut self, waker: &Waker) {
        if let RecvLine::Locked(stand) = &mut self.line {
            stand.unwatch();
            stand.watcher = Some(stand.channel.watch(Locked::<T>::SENDER, waker));
        }
    }

    fn has_counterpart(&self) -> bool {
        matches!(self.line, RecvLine::Locked(_))
    }

    fn stand(&mut self, token: &Arc<Token>, arm: usize, waker: &Waker) -> bool {
        match &mut self.line {
            RecvLine::Ring(_) => true,
            RecvLine::Locked(stand) => {
                stand.key = stand.channel.stand_to_recv(token, arm, waker);
                stand.key.is_some()
            }
        }
    }

    fn withdraw(&mut self) -> bool {
        if let RecvLine::Locked(stand) = &mut self.line
            && let Some(key) = stand.key.take()
            && let Some(received) = stand.channel.withdraw_recv(key)
        {
            self.keep(Ok(received));
            return true;
        }
        false
    }

    fn settle(&mut self) -> bool {
        if let RecvLine::Locked(stand) = &mut self.line
            && let Some(key) = stand.key.take()
        {
            self.received = stand.channel.wait_for_promised(key).map(Ok);
        }
        self.received.is_some()
    }

    fn leave(&mut self) {
        match &mut self.line {
            RecvLine::Ring(watch) => watch.leave(),
            RecvLine::Locked(stand) => stand.unwatch(),
        }
    }

    fn address(&self) -> usize {
        address(&self.receiver.channel)
    }

    fn deliver(&mut self) -> Option<u64> {
        self.take().ok().map(|value| self.desk().put(value))
    }
}

impl<'a, T> Again<'a> for RecvArm<'a, T> {
    fn fresh(&self) -> Box<dyn Again<'a> + 'a> {
        Box::new(Self::new(self.receiver))
    }
}

/// A place in line at a channel under a lock, for an arm.
struct RecvStand<'a, T> {
    channel: &'a Locked<T>,
    /// Its place; once the arm is chosen, the one into which a promised value will come.
    key: Option<Key>,
    watcher: Option<u64>,
}

impl<T> RecvStand<'_, T> {
    fn unwatch(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            self.channel.unwatch(watcher);
        }
    }
}

impl<T> Drop for RecvStand<'_, T> {
    fn drop(&mut self) {
        self.unwatch();
        // Only if a panic has come between standing and withdrawing, or between a promise and the wait for it.
        if let Some(key) = self.key.take() {
            self.channel.cancel_recv(key);
        }
    }
}

/// An arm that sends.
pub struct SendArm<'a, T> {
    sender: &'a Sender<T>,
    line: SendLine<'a, T>,
    chosen: Option<Chosen<'a, T>>,
}

enum SendLine<'a, T> {
    Ring(core::SendWatch<'a, Ring<T>>),
    Locked(SendStand<'a, T>),
}

/// What a chosen arm may do with its value; none if the channel is closed.
pub struct Chosen<'a, T>(Option<Permit<'a, T>>);

impl<T> Chosen<'_, T> {
    /// Sends the value.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        match self.0 {
            Some(permit) => permit.send(value),
            None => Err(SendError(value)),
        }
    }
}

impl<'a, T> SendArm<'a, T> {
    /// An arm that has not been tried.
    pub fn new(sender: &'a Sender<T>) -> Self {
        let line = match &sender.channel.flavor {
            Flavor::Ring(ring) => SendLine::Ring(ring.watch_send()),
            Flavor::Locked(channel) => {
                SendLine::Locked(SendStand { channel, key: None, watcher: None })
            }
        };
        Self { sender, line, chosen: None }
    }

    /// What the chosen arm may do.
    pub fn take(&mut self) -> Chosen<'a, T> {
        self.chosen.take().expect("the arm was chosen")
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn attempt(&mut self) -> bool {
        let permit = match &mut self.line {
            SendLine::Ring(watch) => {
                watch.try_reserve().map(Permit::of_ring).map_err(TrySendError::from)
            }
            SendLine::Locked(stand) => stand.channel.try_reserve().map(Permit::of_locked),
        };
        self.chosen = match permit {
            Ok(permit) => Some(Chosen(Some(permit))),
            Err(TrySendError::Disconnected(())) => Some(Chosen(None)),
            Err(TrySendError::Full(())) => return false,
        };
        true
    }

    fn is_ready(&mut self) -> bool {
        match &mut self.line {
            SendLine::Ring(watch) => watch.is_ready(),
            SendLine::Locked(stand) => stand.channel.is_send_ready(),
        }
    }

    fn watch(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        match &mut self.line {
            SendLine::Ring(watch) => watch.poll_ready(cx),
            SendLine::Locked(_) => Poll::Pending,
        }
    }

    fn observe(&mut self, waker: &Waker) {
        if let SendLine::Locked(stand) = &mut self.line {
            stand.unwatch();
            stand.watcher = Some(stand.channel.watch(Locked::<T>::RECEIVER, waker));
        }
    }

    fn has_counterpart(&self) -> bool {
        matches!(self.line, SendLine::Locked(_))
    }

    fn stand(&mut self, token: &Arc<Token>, arm: usize, waker: &Waker) -> bool {
        match &mut self.line {
            SendLine::Ring(_) => true,
            SendLine::Locked(stand) => {
                stand.key = stand.channel.stand_to_send(token, arm, waker);
                stand.key.is_some()
            }
        }
    }

    fn withdraw(&mut self) -> bool {
        if let SendLine::Locked(stand) = &mut self.line
            && let Some(key) = stand.key.take()
            && let Some(right) = stand.channel.withdraw_send(key)
        {
            self.chosen = Some(Chosen(Some(Permit::of_locked(right))));
            return true;
        }
        false
    }

    fn leave(&mut self) {
        match &mut self.line {
            SendLine::Ring(watch) => watch.leave(),
            SendLine::Locked(stand) => stand.unwatch(),
        }
    }

    fn address(&self) -> usize {
        address(&self.sender.channel)
    }

    fn sends(&self) -> bool {
        true
    }

    fn dispatch(&mut self, key: u64) -> bool {
        let desk = &self.sender.channel.desk;
        match self.take().send(desk.take(key)) {
            Ok(()) => true,
            Err(SendError(value)) => {
                desk.put_back(key, value);
                false
            }
        }
    }
}

impl<'a, T> Again<'a> for SendArm<'a, T> {
    fn fresh(&self) -> Box<dyn Again<'a> + 'a> {
        Box::new(Self::new(self.sender))
    }
}

/// A place in line at a channel under a lock, for an arm.
struct SendStand<'a, T> {
    channel: &'a Locked<T>,
    key: Option<Key>,
    watcher: Option<u64>,
}

impl<T> SendStand<'_, T> {
    fn unwatch(&mut self) {
        if let Some(watcher) = self.watcher.take() {
            self.channel.unwatch(watcher);
        }
    }
}

impl<T> Drop for SendStand<'_, T> {
    fn drop(&mut self) {
        self.unwatch();
        // Only if a panic has come between standing and withdrawing.
        if let Some(key) = self.key.take() {
            drop(self.channel.withdraw_send(key));
        }
    }
}

/// An arm that is chosen when a context is done.
pub struct DoneArm<'a> {
    context: &'a Context,
    done: Option<Done>,
}

impl<'a> DoneArm<'a> {
    /// An arm that has not been tried.
    pub fn new(context: &'a Context) -> Self {
        Self { context, done: None }
    }

    /// Why the context is done.
    pub fn take(&mut self) -> ContextError {
        self.context.err().expect("the arm was chosen")
    }
}

impl Arm for DoneArm<'_> {
    fn attempt(&mut self) -> bool {
        self.context.is_done()
    }

    fn is_ready(&mut self) -> bool {
        self.context.is_done()
    }

    fn watch(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        let done = self.done.get_or_insert_with(|| self.context.done_watched());
        Pin::new(done).poll(cx).map(drop)
    }

    fn leave(&mut self) {
        self.done = None;
    }

    fn deadline(&self) -> Option<Instant> {
        self.context.deadline()
    }
}

impl<'a> Again<'a> for DoneArm<'a> {
    fn fresh(&self) -> Box<dyn Again<'a> + 'a> {
        Box::new(Self::new(self.context))
    }
}
