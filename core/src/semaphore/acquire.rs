//! The future of a semaphore: try, stand in line, and perhaps compete.

use super::state::{COMPETE, Given, HAND_OVER, State, in_word};
use super::{AcquireError, MAX_PERMITS, Policy, Semaphore, SemaphorePermit, TryAcquireError};
use crate::wait::{Place, Post, Slots, Storage};
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// How one request stands.
struct Request {
    permits: usize,
    place: Place,
    /// How often it was woken in vain.
    lost: usize,
}

impl Request {
    const fn new(permits: usize) -> Self {
        Self { permits, place: None, lost: 0 }
    }

    fn poll<P: Policy, W: Storage>(
        &mut self,
        semaphore: &Semaphore<P, W>,
        waker: &Waker,
    ) -> Poll<Result<(), AcquireError>> {
        if self.permits > MAX_PERMITS {
            return Poll::Ready(Err(AcquireError::TooMany));
        }
        if self.place.is_none() {
            match semaphore.take(self.permits) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(TryAcquireError::Closed) => return Poll::Ready(Err(AcquireError::Closed)),
                Err(TryAcquireError::NoPermits) => {}
            }
        }
        let mut turn = None;
        loop {
            let class = if self.lost < P::PATIENCE { COMPETE } else { HAND_OVER };
            // No second look at the permits is needed: whoever registers asks for a drain, and the drainer looks.
            let polled = semaphore.waiters.poll(&mut self.place, waker, class, self.permits);
            // It stands in line again, or did and has been served; what is left was looked at by whoever drained then. In
            // the second case nobody may be woken any more: a waker that panics would take what was granted with it.
            if self.place.is_some() || polled.is_ready() {
                core::mem::forget(turn.take());
            }
            let Poll::Ready(grant) = polled else { return Poll::Pending };
            match Given::of(grant) {
                Given::Permits(_) => return Poll::Ready(Ok(())),
                Given::Closed => return Poll::Ready(Err(AcquireError::Closed)),
                Given::Woken => {
                    if semaphore.compete(self.permits) {
                        return Poll::Ready(Ok(()));
                    }
                    self.lost += 1;
                    turn = Some(LostTurn(semaphore));
                }
            }
        }
    }

    fn cancel<P: Policy, W: Storage>(&mut self, semaphore: &Semaphore<P, W>) {
        match semaphore.waiters.cancel(&mut self.place).map(Given::of) {
            Some(Given::Permits(n)) => semaphore.put(n),
            Some(Given::Woken) => semaphore.decline(),
            Some(Given::Closed) | None => {}
        }
    }
}

/// The turn of a woken waiter that has lost. Forgotten if that stands in line again; if there was no slot for it, or its waker
/// panicked, the next one is woken for what is left.
struct LostTurn<'s, P: Policy, W: Storage>(&'s Semaphore<P, W>);

impl<P: Policy, W: Storage> Drop for LostTurn<'_, P, W> {
    fn drop(&mut self) {
        self.0.waiters.post(|word| match State(word.0) {
            seen if seen.available() > 0 && seen.needs_kick() => Post::Kick(word),
            _ => Post::Nothing,
        });
    }
}

impl<P: Policy, W: Storage> Semaphore<P, W> {
    /// What a woken waiter does: takes what it asked for if it is still there, and lets the next one be woken if
    /// there may be something left for it.
    fn compete(&self, n: usize) -> bool {
        /// What was won; it goes back if the waker of the next in line panics.
        struct Won<'s, P: Policy, W: Storage> {
            semaphore: &'s Semaphore<P, W>,
            permits: usize,
        }

        impl<P: Policy, W: Storage> Drop for Won<'_, P, W> {
            fn drop(&mut self) {
                if self.permits > 0 {
                    self.semaphore.put(self.permits);
                }
            }
        }

        // Nobody waits for no permits, so 0 says that it lost.
        let mut won = Won { semaphore: self, permits: 0 };
        self.waiters.post(|word| {
            let seen = State(word.0);
            let wins = !seen.is_closed() && !seen.is_reserved() && n <= seen.available();
            won.permits = if wins { n } else { 0 };
            let next = if wins { State(seen.0 - in_word(n)) } else { seen }.decided();
            // If it lost, it stands in line again, and that asks for a drain; or else see `LostTurn`.
            if wins && next.available() > 0 && next.needs_kick() {
                Post::Kick(next.word())
            } else {
                Post::Change(next.word())
            }
        });
        core::mem::take(&mut won.permits) > 0
    }

    /// What a woken waiter does that wants nothing any more: the next one is woken in its place.
    fn decline(&self) {
        self.waiters.post(|word| {
            let next = State(word.0).decided();
            if next.needs_kick() { Post::Kick(next.word()) } else { Post::Change(next.word()) }
        });
    }
}

/// A request for permits. Made by [`acquire`](Semaphore::acquire).
///
/// # Cancel safety
///
/// Dropping it leaves the line; what was handed to it goes to the next. `mem::forget` of one that waits keeps its
/// slot, and what it was handed, for ever. Under [`Greedy`](super::Greedy) that may be the turn to look: while the one that was woken
/// is neither polled nor dropped, those behind it wait, however many permits are free.
///
/// It does not outlive its semaphore. This does not compile:
///
/// ```compile_fail,E0597
/// let request = {
///     let semaphore = aqueduct_core::semaphore::Semaphore::new(1);
///     semaphore.acquire()
/// };
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a, P: Policy = super::Fair, W: Storage = Slots<8>> {
    semaphore: &'a Semaphore<P, W>,
    request: Request,
}

impl<'a, P: Policy, W: Storage> Acquire<'a, P, W> {
    pub(super) fn new(semaphore: &'a Semaphore<P, W>, n: usize) -> Self {
        Self { semaphore, request: Request::new(n) }
    }
}

impl<'a, P: Policy, W: Storage> Future for Acquire<'a, P, W> {
    type Output = Result<SemaphorePermit<'a, P, W>, AcquireError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { semaphore, request } = &mut *self;
        let result = core::task::ready!(request.poll(semaphore, cx.waker()));
        Poll::Ready(result.map(|()| SemaphorePermit::new(semaphore, request.permits)))
    }
}

impl<P: Policy, W: Storage> Drop for Acquire<'_, P, W> {
    fn drop(&mut self) {
        self.request.cancel(self.semaphore);
    }
}

impl<P: Policy, W: Storage> fmt::Debug for Acquire<'_, P, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("permits", &self.request.permits)
            .field("registered", &self.request.place.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
pub use owned::AcquireOwned;

#[cfg(all(feature = "alloc", target_has_atomic = "ptr"))]
mod owned {
    use super::*;
    use crate::semaphore::OwnedSemaphorePermit;
    use alloc::sync::Arc;

    /// A request for permits that keeps its semaphore alive. Made by
    /// [`acquire_owned`](Semaphore::acquire_owned); as [`Acquire`] in all else.
    #[must_use = "futures do nothing unless awaited"]
    pub struct AcquireOwned<P: Policy = crate::semaphore::Fair, W: Storage = Slots<8>> {
        semaphore: Arc<Semaphore<P, W>>,
        request: Request,
    }

    impl<P: Policy, W: Storage> AcquireOwned<P, W> {
        pub(crate) fn new(semaphore: Arc<Semaphore<P, W>>, n: usize) -> Self {
            Self { semaphore, request: Request::new(n) }
        }
    }

    impl<P: Policy, W: Storage> Future for AcquireOwned<P, W> {
        type Output = Result<OwnedSemaphorePermit<P, W>, AcquireError>;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let Self { semaphore, request } = &mut *self;
            let result = core::task::ready!(request.poll(semaphore, cx.waker()));
            Poll::Ready(
                result.map(|()| OwnedSemaphorePermit::new(semaphore.clone(), request.permits)),
            )
        }
    }

    impl<P: Policy, W: Storage> Drop for AcquireOwned<P, W> {
        fn drop(&mut self) {
            self.request.cancel(&self.semaphore);
        }
    }

    impl<P: Policy, W: Storage> fmt::Debug for AcquireOwned<P, W> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("AcquireOwned")
                .field("permits", &self.request.permits)
                .field("registered", &self.request.place.is_some())
                .finish_non_exhaustive()
        }
    }
}
