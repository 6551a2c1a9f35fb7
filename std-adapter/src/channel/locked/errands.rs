//! What must not happen under the lock: foreign code.

use crate::foreign::{call, discard};
use std::mem;
use std::task::Waker;
use std::thread::panicking;

/// What is left to be done outside the lock. Mostly one waker is to be woken, or none: more than that is put on the heap.
#[derive(Default)]
pub(super) struct Errands {
    wake: Option<Waker>,
    drop: Option<Waker>,
    others: Vec<Errand>,
}

enum Errand {
    Wake(Waker),
    Drop(#[expect(dead_code, reason = "it is dropped with the list")] Waker),
}

impl Errands {
    pub(super) fn wake(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.wake.is_none() => self.wake = Some(waker),
            waker => self.others.extend(waker.map(Errand::Wake)),
        }
    }

    pub(super) fn discard(&mut self, waker: Option<Waker>) {
        match waker {
            Some(waker) if self.drop.is_none() => self.drop = Some(waker),
            waker => self.others.extend(waker.map(Errand::Drop)),
        }
    }

    #[inline]
    pub(super) fn run(mut self) {
        if self.wake.is_none() && self.drop.is_none() && self.others.is_empty() {
            // Nothing is in it: most calls are spared the glue of its drop.
            mem::forget(self);
        } else {
            self.wake_all();
        }
    }

    fn wake_all(&mut self) {
        if let Some(waker) = self.wake.take() {
            waker.wake();
        }
        while let Some(errand) = self.others.pop() {
            if let Errand::Wake(waker) = errand {
                waker.wake();
            }
        }
    }
}

impl Drop for Errands {
    /// If a waker has panicked, the others are woken all the same, and of their panics nobody hears: a second one would end the program.
    fn drop(&mut self) {
        if panicking() {
            while self.wake.is_some() || !self.others.is_empty() {
                call(|| self.wake_all());
            }
            discard(self.drop.take());
        }
    }
}
