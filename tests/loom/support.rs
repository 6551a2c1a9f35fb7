//! What the models of things that wait have in common: threads that sleep as loom's do, and objects that live for
//! one execution.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use crate::{Outcomes, explore};

/// Explores `execution` on what `fresh` makes each time; fails unless each of `expected` was seen.
#[track_caller]
pub(crate) fn model<T: 'static>(
    name: &str,
    expected: &[&str],
    fresh: impl Fn() -> T + Send + Sync + 'static,
    execution: impl Fn(&'static T, &Outcomes) + Send + Sync + 'static,
) {
    let seen = Outcomes::default();
    explore(name, {
        let seen = seen.clone();
        move || {
            let object = Box::into_raw(Box::new(fresh()));
            // SAFETY: the box is freed below, when the execution's threads are joined.
            execution(unsafe { &*object }, &seen);
            // SAFETY: from `Box::into_raw`, and no thread is left that might use it.
            drop(unsafe { Box::from_raw(object) });
        }
    });
    seen.must_include(expected);
}

/// Wakes a thread of loom's.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits to the end. A wake-up that is lost shows as a deadlock.
pub(crate) fn block_on<F: Future>(future: F, seen: &Outcomes, who: &str) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    let mut slept = false;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            seen.record(format!("{who} {}", if slept { "slept" } else { "did not sleep" }));
            return output;
        }
        slept = true;
        thread::park();
    }
}

/// Polls once, with a waker that nobody listens to.
pub(crate) fn look<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A waker that tells, once all threads are joined, which of them called it.
#[derive(Clone, Default)]
pub(crate) struct Bell(Arc<Rung>);

#[derive(Default)]
struct Rung(Mutex<Option<thread::ThreadId>>);

impl Wake for Rung {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = Some(thread::current().id());
    }
}

impl Bell {
    pub(crate) fn poll<F: Future + Unpin>(&self, future: &mut F) -> Poll<F::Output> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(self.0.clone())))
    }

    pub(crate) fn rung_by(&self) -> Option<thread::ThreadId> {
        *self.0.0.lock().unwrap()
    }
}
