//! A state that threads and tasks change, and wait for: what a wait group, a barrier and an event are made of.
//!
//! Whoever waits makes its [`Wait`] first and looks at the state then, with the state locked. Whoever changes the state does
//! so with it locked, and notifies all then. So a change that the look did not see comes after the wait was made, and its
//! notification reaches it: nothing is lost between looking and sleeping.
//!
//! Neither the lock nor the notification is on anybody's fast path: these are places where threads meet.

use crate::core::wait::{Growable, Wait, WaitQueue};
use crate::park::{Impatience, drive, patiently};
use crate::{Context, context::ContextError, lock};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{self, Poll};
use std::time::Instant;

pub(super) struct Monitor<S> {
    state: Mutex<S>,
    changed: WaitQueue<Growable>,
}

impl<S> Monitor<S> {
    pub(super) const fn new(state: S) -> Self {
        Self { state: Mutex::new(state), changed: WaitQueue::with_storage(Growable::new()) }
    }

    /// Looks at the state, or changes it in a way that nobody waits for.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut S) -> R) -> R {
        look(&mut lock(&self.state))
    }

    /// Changes the state; with `true` it is told to all who wait.
    pub(super) fn change<R>(&self, change: impl FnOnce(&mut S) -> (R, bool)) -> R {
        // Unlocked before anybody is woken: wakers are foreign code.
        let (result, tell) = self.look(change);
        if tell {
            self.changed.notify_all();
        }
        result
    }

    /// A future that is ready when `look` finds what it is looking for.
    pub(super) fn until<R, L>(&self, look: L) -> Until<'_, S, L>
    where
        L: FnMut(&mut S) -> Option<R> + Unpin,
    {
        Until { monitor: self, wait: None, look }
    }

    /// Sleeps until `look` finds what it is looking for, or `deadline` has come.
    pub(super) fn wait<R>(
        &self,
        deadline: Option<Instant>,
        look: impl Fn(&mut S) -> Option<R> + Unpin,
    ) -> Option<R> {
        patiently(deadline, || self.look(&look))
            .or_else(|| drive(pin!(self.until(&look)), deadline, Impatience::Spent))
    }

    /// Sleeps until `look` finds what it is looking for, or the context is done.
    pub(super) fn wait_ctx<R>(
        &self,
        context: &Context,
        look: impl Fn(&mut S) -> Option<R> + Unpin,
    ) -> Result<R, ContextError> {
        if let Some(error) = context.err() {
            return Err(error);
        }
        match patiently(context.deadline(), || self.look(&look)) {
            Some(found) => Ok(found),
            None => context.block_on(pin!(self.until(&look))),
        }
    }
}

pub(super) struct Until<'a, S, L> {
    monitor: &'a Monitor<S>,
    /// Made before each look.
    wait: Option<Wait<'a, Growable>>,
    look: L,
}

impl<S, R, L: FnMut(&mut S) -> Option<R> + Unpin> Future for Until<'_, S, L> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<R> {
        let Self { monitor, wait, look } = &mut *self;
        loop {
            let waiting = wait.get_or_insert_with(|| monitor.changed.wait());
            if let Some(result) = monitor.look(&mut *look) {
                *wait = None;
                return Poll::Ready(result);
            }
            if Pin::new(waiting).poll(cx).is_pending() {
                return Poll::Pending;
            }
            // It has changed since; perhaps not to what we want.
            *wait = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// The race that would lose: the change comes, and is told, after the look and before the sleep.
    #[test]
    fn a_change_right_after_the_look_is_seen() {
        let monitor = Monitor::new(());
        let mut looks = 0;
        let mut until = monitor.until(|()| {
            looks += 1;
            if looks == 1 {
                monitor.changed.notify_all();
                return None;
            }
            Some(looks)
        });
        let mut cx = task::Context::from_waker(Waker::noop());
        assert_eq!(Pin::new(&mut until).poll(&mut cx), Poll::Ready(2));
    }
}
