//! A task for unit tests: a waker that counts, and a way to poll with it.

extern crate std;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::{Arc, Mutex};
use std::task::Wake;

/// A task that counts how often it is woken.
#[derive(Default)]
pub(crate) struct Task(Mutex<usize>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
    }
}

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn wakes(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

/// Polls once, as `task`.
pub(crate) fn poll<F: Future + Unpin>(task: &Arc<Task>, future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(task.clone())))
}

/// Polls once, as a task that nobody asks.
pub(crate) fn look<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}
