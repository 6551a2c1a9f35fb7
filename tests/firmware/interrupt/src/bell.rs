//! A waker that counts how often it was woken.

use aqueduct_firmware_rt::Word;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// One waiter's bell.
pub(crate) struct Bell(Word);

impl Bell {
    pub(crate) const fn new() -> Self {
        Self(Word::new(0))
    }

    /// Whether it rang since it was last asked or silenced.
    pub(crate) fn has_rung(&self) -> bool {
        let rung = self.0.get() > 0;
        self.silence();
        rung
    }

    pub(crate) fn silence(&self) {
        self.0.set(0);
    }

    /// Polls `future` with this bell.
    pub(crate) fn poll<F: Future + Unpin>(&'static self, future: &mut F) -> Poll<F::Output> {
        // SAFETY: the functions of the table only use the bell behind the pointer, which is there for ever.
        let waker = unsafe { Waker::from_raw(raw(self)) };
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }
}

fn raw(bell: &'static Bell) -> RawWaker {
    const TABLE: RawWakerVTable = RawWakerVTable::new(
        // SAFETY: every pointer of this table comes from `raw`.
        |pointer| raw(unsafe { bell_of(pointer) }),
        ring,
        ring,
        |_| (),
    );
    RawWaker::new((&raw const *bell).cast(), &TABLE)
}

// SAFETY: as the table asks, the pointer is one of `raw`.
unsafe fn ring(pointer: *const ()) {
    // SAFETY: as above.
    unsafe { bell_of(pointer) }.0.add(1);
}

/// # Safety
///
/// The pointer is one of [`raw`].
unsafe fn bell_of(pointer: *const ()) -> &'static Bell {
    // SAFETY: `raw` made it of such a reference.
    unsafe { &*pointer.cast() }
}
