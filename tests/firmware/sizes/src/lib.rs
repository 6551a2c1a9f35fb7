//! What the candidates share: a panic handler, a waker that does nothing, a poll.
//!
//! Each file of `candidates/` is a library of the same functions, `op_..`, over a static object: the same element, capacity
//! and number of waiters for each candidate of a family. `table.sh` links them, one operation at a time and all
//! together, and measures what has come in.
#![no_std]

mod formulas;

use core::cell::UnsafeCell;
use core::future::Future;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

/// What is put in and taken out.
pub type Element = u32;
/// How many of them fit.
pub const CAPACITY: usize = 8;
/// How many tasks can wait on one side.
pub const WAITERS: usize = 2;

/// Gives what is measured a name by which the linker can be asked for it.
#[macro_export]
macro_rules! measured {
    ($($item:item)*) => {$(
        // SAFETY: a candidate is linked by itself, and the names in one differ.
        #[unsafe(no_mangle)]
        $item
    )*};
}

/// Polls a future once, as an executor would.
pub fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Static memory for what is made at run time: the ends of a ring.
pub struct Place<T>(UnsafeCell<MaybeUninit<T>>);

// SAFETY: these programs are linked and measured, never run.
unsafe impl<T> Sync for Place<T> {}

impl<T> Place<T> {
    /// Nothing in it yet.
    pub const fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// Puts a value in.
    pub fn put(&self, value: T) {
        // SAFETY: see above.
        let place = unsafe { &mut *self.0.get() };
        place.write(value);
    }

    /// What is in it.
    #[expect(clippy::mut_from_ref, reason = "these programs are never run")]
    pub fn get(&self) -> &mut T {
        // SAFETY: see above.
        let place = unsafe { &mut *self.0.get() };
        // SAFETY: see above.
        unsafe { place.assume_init_mut() }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
