//! Tasks for subjects whose operations wait: futures in numbered places, wakers that leave a mark, and an
//! executor that runs until nobody is woken.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A mark that a waker leaves.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One place for a future.
struct Place<T> {
    future: RefCell<Option<Pin<Box<dyn Future<Output = T>>>>>,
    woken: Arc<Woken>,
    /// Whether the future is pending; readable while it is being polled.
    pending: Cell<bool>,
}

/// What came of asking a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked<T> {
    Ready(T),
    Pending,
    /// There is no such task, or it is inside a poll that was preempted: an executor would not poll it either.
    No,
}

/// Numbered places for futures that borrow an object which outlives them.
pub(crate) struct Tasks<T> {
    places: Vec<Place<T>>,
}

impl<T> Tasks<T> {
    pub(crate) fn new(places: usize) -> Self {
        let place = || Place {
            future: RefCell::default(),
            woken: Arc::default(),
            pending: Cell::new(false),
        };
        Self { places: (0..places).map(|_| place()).collect() }
    }

    /// Puts a future into a free place and polls it once.
    pub(crate) fn start(
        &self,
        place: usize,
        future: impl Future<Output = T> + 'static,
    ) -> Asked<T> {
        {
            let Ok(mut slot) = self.places[place].future.try_borrow_mut() else { return Asked::No };
            if slot.is_some() {
                return Asked::No;
            }
            *slot = Some(Box::pin(future));
        }
        self.poll(place)
    }

    /// Polls the future in a place; one that is ready leaves.
    pub(crate) fn poll(&self, place: usize) -> Asked<T> {
        let place = &self.places[place];
        let Ok(mut slot) = place.future.try_borrow_mut() else { return Asked::No };
        let Some(future) = slot.as_mut() else { return Asked::No };
        place.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(place.woken.clone());
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                place.pending.set(true);
                Asked::Pending
            }
            Poll::Ready(output) => {
                place.pending.set(false);
                *slot = None;
                Asked::Ready(output)
            }
        }
    }

    /// Drops the future in a place; true if there was one.
    pub(crate) fn cancel(&self, place: usize) -> bool {
        let place = &self.places[place];
        let Ok(mut slot) = place.future.try_borrow_mut() else { return false };
        place.pending.set(false);
        // Inside the borrow, as the future's owner would: nobody polls what is being dropped.
        let was_there = slot.is_some();
        drop(slot.take());
        was_there
    }

    pub(crate) fn is_pending(&self, place: usize) -> bool {
        self.places[place].pending.get()
    }

    /// Whether the future is pending and its waker was called since its last poll.
    pub(crate) fn is_woken(&self, place: usize) -> bool {
        let place = &self.places[place];
        place.pending.get() && place.woken.0.load(Ordering::Relaxed)
    }

    pub(crate) fn pending(&self) -> usize {
        self.places.iter().filter(|place| place.pending.get()).count()
    }

    /// Polls a task that was woken, if there is one.
    pub(crate) fn run_one(&self) -> Option<Asked<T>> {
        let place = (0..self.places.len()).find(|&place| self.is_woken(place))?;
        Some(self.poll(place))
    }
}
