//! Wakers that count their calls, and may panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Wake, Waker};

/// Counts how often it was woken, by any of its wakers.
#[derive(Debug, Default)]
pub struct Bell(Arc<AtomicUsize>);

impl Bell {
    /// A waker of its own: no two of them are the same to [`Waker::will_wake`].
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::new(Ring { bell: self.0.clone(), panics: false }))
    }

    /// A waker that panics once it has counted, unless the thread is panicking already.
    pub fn waker_that_panics(&self) -> Waker {
        Waker::from(Arc::new(Ring { bell: self.0.clone(), panics: true }))
    }

    /// How often it was woken.
    pub fn rung(&self) -> usize {
        self.0.load(Relaxed)
    }

    /// How many wakers of it exist, clones not counted.
    pub fn wakers(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

struct Ring {
    bell: Arc<AtomicUsize>,
    panics: bool,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.bell.fetch_add(1, Relaxed);
        if self.panics && !std::thread::panicking() {
            panic!("the waker panics, as it was told");
        }
    }
}

/// Calls `f`, in which something may panic as it was told: a waker, a closure, a drop. Then it is `None`. Any other
/// panic passes.
pub fn unless_told<R>(f: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => Some(result),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            if text.is_some_and(|text| text.contains("as it was told")) {
                None
            } else {
                resume_unwind(panic)
            }
        }
    }
}
