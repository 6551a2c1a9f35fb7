//! How a call holds its thread: it tries, stands in line, is patient there, and at last sleeps.
//!
//! Who is in line is known to the policy, who tries is not. So where a policy makes a promise to those who wait, they stand in
//! line from their first failed try on; to be patient outside it is for those whom nothing was promised.

use crate::context::{Context, ContextError};
use crate::core::rwlock::Policy;
use crate::park::{Impatience, Patience, drive};
use std::future::Future;
use std::pin::pin;
use std::time::Instant;

/// What a call does between its first failed try and the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Nothing.
    AtOnce,
    /// Gives way a few times, and tries again each time: a holder who needs nothing but the CPU is done by then, and a try costs
    /// everybody less than a place in line.
    Lingers,
}

/// How often one who lingers gives way.
///
/// Of four threads with two permits each operation took, by the best peer's: 1.9 at 0 turns, 1.1 at 1, 0.9 at 3 as at 12.
const TURNS: u32 = 3;

impl Manner {
    pub(super) const fn of_readers<P: Policy>() -> Self {
        if P::READERS_MAY_LINGER { Self::Lingers } else { Self::AtOnce }
    }

    pub(super) const fn of_writers<P: Policy>() -> Self {
        if P::WRITERS_MAY_LINGER { Self::Lingers } else { Self::AtOnce }
    }
}

/// Until `attempt` has something, or the future is ready, or `deadline` has come. Tries once at the least.
#[inline]
pub(super) fn until<F: Future>(
    manner: Manner,
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> Option<F::Output>,
    line_up: impl FnOnce() -> F,
) -> Option<F::Output> {
    // Nothing is made ready for a wait before it is known that there will be one: that is most of an uncontended call.
    attempt().or_else(|| wait(manner, deadline, attempt, line_up))
}

#[cold]
#[inline(never)]
fn wait<F: Future>(
    manner: Manner,
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<F::Output>,
    line_up: impl FnOnce() -> F,
) -> Option<F::Output> {
    linger(manner, deadline, attempt).or_else(|| {
        #[cfg(test)]
        tests::report(manner);
        drive(pin!(line_up()), deadline, Impatience::GiveWay)
    })
}

/// Until `attempt` has something, or the future is ready.
#[inline]
pub(super) fn forever<F: Future>(
    manner: Manner,
    attempt: impl FnMut() -> Option<F::Output>,
    line_up: impl FnOnce() -> F,
) -> F::Output {
    until(manner, None, attempt, line_up).expect("without a deadline there is no way out but ready")
}

/// Until `attempt` has something, or the future is ready, or the context is done; does not try if it is done already.
pub(super) fn while_wanted<F: Future>(
    manner: Manner,
    context: &Context,
    mut attempt: impl FnMut() -> Option<F::Output>,
    line_up: impl FnOnce() -> F,
) -> Result<F::Output, ContextError> {
    if let Some(error) = context.err() {
        return Err(error);
    }
    match attempt().or_else(|| linger(manner, context.deadline(), attempt)) {
        Some(output) => Ok(output),
        None => context.block_on_patiently(pin!(line_up())),
    }
}

/// What comes after a try that failed, and before the line.
fn linger<R>(
    manner: Manner,
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<R>,
) -> Option<R> {
    match manner {
        Manner::AtOnce => None,
        Manner::Lingers => Patience::giving_way(TURNS, deadline).keep_trying(attempt),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::future::poll_fn;
    use std::sync::mpsc::Sender;
    use std::task::Poll;

    thread_local! {
        /// Who is told how this thread came to stand in line, when it is about to.
        pub(in crate::sync) static WATCHED_BY: RefCell<Option<Sender<Manner>>> =
            const { RefCell::new(None) };
    }

    pub(super) fn report(manner: Manner) {
        WATCHED_BY.with_borrow(|watcher| {
            if let Some(watcher) = watcher {
                watcher.send(manner).expect("the watcher waits for it");
            }
        });
    }

    /// How many tries come before the first poll, which is what stands in line.
    #[test]
    fn who_does_not_linger_tries_once() {
        let tries_before_the_line = |manner| {
            let tries = Cell::new(0);
            let attempt = || {
                tries.set(tries.get() + 1);
                None
            };
            forever(manner, attempt, || poll_fn(|_| Poll::Ready(tries.get())))
        };
        assert_eq!(tries_before_the_line(Manner::AtOnce), 1);
        assert_eq!(tries_before_the_line(Manner::Lingers), 1 + TURNS);
    }

    /// Who gets in at once makes nothing ready for a wait.
    #[test]
    fn who_need_not_wait_makes_no_future() {
        let line_up = || -> std::future::Pending<u32> { unreachable!("there is no wait") };
        assert_eq!(forever(Manner::AtOnce, || Some(7), line_up), 7);
        let context = Context::background();
        assert_eq!(while_wanted(Manner::Lingers, &context, || Some(7), line_up), Ok(7));
    }
}
