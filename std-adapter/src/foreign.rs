//! Foreign code whose panics are nobody's concern: destructors above all, which may panic as functions may.
//!
//! What was thrown has a destructor too, and that may panic in its turn: a panic is only over when its payload is gone.

use crate::thread::catch;
use std::mem;

/// Calls it; false if it panicked.
pub(crate) fn call(f: impl FnOnce()) -> bool {
    let Err(panicked) = catch(f) else { return true };
    // A payload that panics when it is dropped, with one that does: whoever goes so far loses the memory.
    if let Err(again) = catch(|| drop(panicked)) {
        mem::forget(again);
    }
    false
}

/// Calls it; nothing if it panicked.
pub(crate) fn ask<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch(f).map_err(discard).ok()
}

/// Drops it, and its destructor's panic as well.
pub(crate) fn discard<T>(value: T) {
    call(|| drop(value));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::panic_any;

    /// Throws another one when it is dropped.
    struct Bomb(u32);

    impl Drop for Bomb {
        fn drop(&mut self) {
            if let Some(less) = self.0.checked_sub(1) {
                panic_any(Bomb(less));
            }
        }
    }

    #[test]
    fn a_panic_ends_here_whatever_was_thrown() {
        for depth in 0..5 {
            assert_eq!(call(|| drop(Bomb(depth))), depth == 0);
            discard(Bomb(depth));
            assert_eq!(ask(|| panic_any(Bomb(depth))), None::<()>);
        }
        assert!(call(|| ()));
        assert_eq!(ask(|| 7), Some(7));
    }
}
