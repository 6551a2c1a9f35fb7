//! What is done about the end of a job, with its lock released.

use super::cell::Sink;
use super::outcome::Outcome;
use crate::Context;
use crate::context::StopHandle;
use crate::core::semaphore::{Fair, OwnedSemaphorePermit};
use crate::core::wait::Growable;
use crate::foreign::call;
use crate::timer::Timer;
use std::task::Waker;

/// Everybody who is to hear of the end of a job, and everything that it holds no longer.
pub(super) struct Told<R> {
    pub(super) waker: Option<Waker>,
    pub(super) context: Option<Context>,
    pub(super) timer: Option<Timer>,
    pub(super) tie: Option<StopHandle>,
    pub(super) permit: Option<OwnedSemaphorePermit<Fair, Growable>>,
    pub(super) sink: Option<(Sink<R>, Outcome<R>)>,
}

impl<R> Told<R> {
    pub(super) fn tell(self) {
        drop(self.timer);
        if let Some(tie) = self.tie {
            tie.stop();
        }
        drop(self.permit);
        // Foreign code, each for itself: one that panics keeps nothing from the others.
        if let Some((sink, outcome)) = self.sink {
            call(|| sink(outcome));
        }
        if let Some(waker) = self.waker {
            call(|| waker.wake());
        }
        if let Some(context) = self.context {
            call(|| context.cancel());
        }
    }
}
