//! A program without std and without an allocator, on the core alone: that it links is the proof that core needs
//! neither, and that it ends with status 0 that the queue works there. `ci/features` builds and runs it.
#![no_std]
#![no_main]

use core::ffi::c_int;
use core::panic::PanicInfo;

use aqueduct_core::queue::StaticQueue;

// A host's linker wants a C library for the code before `main`; a chip would have a reset handler.
// SAFETY: the C standard's declaration of `abort`, which may be called anywhere.
#[link(name = "c")]
unsafe extern "C" {
    safe fn abort() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    abort()
}

static QUEUE: StaticQueue<u32, 3> = StaticQueue::new();

// SAFETY: no other symbol of this program or of the C library has this name and expects something else of it.
#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    let all_taken = (0..3).all(|value| QUEUE.push(value).is_ok());
    let full = QUEUE.push(3) == Err(3);
    let in_order = (0..3).all(|value| QUEUE.pop() == Some(value));
    let empty = QUEUE.pop().is_none();
    c_int::from(!(all_taken && full && in_order && empty))
}
