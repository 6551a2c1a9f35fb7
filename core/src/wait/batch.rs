//! The wakers that one pass of a drainer has collected, and the promise that each of them is woken.

use core::task::Waker;
use heapless::Deque;

use crate::sync::CHECKED;

/// How many wakers one pass collects: they stand on the drainer's stack, which may be an interrupt handler's.
/// Two words each, so fewer where stacks are small; nothing but a second pass depends on it.
const CAPACITY: usize = if CHECKED {
    2
} else if cfg!(target_os = "none") {
    4
} else {
    16
};

/// Wakers to call, oldest first, once the drainer has left.
pub(crate) struct Batch(Deque<Waker, CAPACITY>);

impl Batch {
    pub(crate) const fn new() -> Self {
        Self(Deque::new())
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full()
    }

    /// Takes a waker to call later. There must be room.
    pub(crate) fn push(&mut self, waker: Waker) {
        let pushed = self.0.push_back(waker);
        debug_assert!(pushed.is_ok(), "the drainer looks for room before it grants");
    }

    /// Calls every waker, oldest first. The batch is lent, so that it stays where it is on the stack.
    ///
    /// A waker that panics takes nobody down with it: while the panic unwinds, the others are woken, and then
    /// `after_panic` runs. (A second panic there is a panic while unwinding, which aborts.)
    pub(crate) fn wake(&mut self, after_panic: impl FnOnce()) {
        let mut rest = Rest { batch: self, after_panic: Some(after_panic) };
        rest.wake_all();
        rest.after_panic = None;
    }
}

/// A guard over the wakers not yet called.
struct Rest<'b, F: FnOnce()> {
    batch: &'b mut Batch,
    after_panic: Option<F>,
}

impl<F: FnOnce()> Rest<'_, F> {
    fn wake_all(&mut self) {
        while let Some(waker) = self.batch.0.pop_front() {
            waker.wake();
        }
    }
}

impl<F: FnOnce()> Drop for Rest<'_, F> {
    fn drop(&mut self) {
        self.wake_all();
        if let Some(after_panic) = self.after_panic.take() {
            after_panic();
        }
    }
}
