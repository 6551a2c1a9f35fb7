use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};

/// Runs a future to its end on this context, for programs without an executor.
///
/// After each poll that leaves the future pending, `relax` runs: `cortex_m::asm::wfe` on a microcontroller,
/// whose interrupts are events that end the wait; [`core::hint::spin_loop`] where nothing better exists.
/// When `relax` returns, the future is polled again, so that one which waits for an interrupt handler's
/// `notify` needs no waker at all.
///
/// Nor is one used: to be woken ends no wait. A future that wakes itself in order to be polled again, as one does that lets others go
/// first, or has found no slot to wait in, is polled again when `relax` comes back, and with `wfe` that is at the next event, whatever it
/// is. For such futures, let `relax` come back by itself now and then.
///
/// Threads have something better: `aqueduct::park::block_on`.
///
/// # Examples
///
/// ```
/// let answer = aqueduct_core::block_on(async { 42 }, core::hint::spin_loop);
/// assert_eq!(answer, 42);
/// ```
pub fn block_on<F: Future>(future: F, mut relax: impl FnMut()) -> F::Output {
    let mut future = pin!(future);
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut cx) {
            Poll::Ready(output) => return output,
            Poll::Pending => relax(),
        }
    }
}
