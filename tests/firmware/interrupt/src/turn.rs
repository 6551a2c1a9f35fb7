//! What is lent out whole, in a static: to main, or to the handler.

use aqueduct_firmware_rt::Word;
use core::cell::UnsafeCell;

/// A value that one party at a time has: a `RefCell` that a handler may find borrowed.
///
/// There is one processor, and a handler ends before what it preempted goes on: between the look at the word and its
/// change nobody can come who is still there afterwards.
pub(crate) struct Turn<T> {
    is_lent: Word,
    value: UnsafeCell<T>,
}

// SAFETY: whoever has the value has it alone, as `take` and `with` check; it may be in any context, so it must be `Send`.
unsafe impl<T: Send> Sync for Turn<T> {}

impl<T> Turn<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { is_lent: Word::new(0), value: UnsafeCell::new(value) }
    }

    /// Lends the value out for ever.
    #[expect(clippy::mut_from_ref, reason = "the word sees to it that there is one")]
    pub(crate) fn take(&'static self) -> &'static mut T {
        assert!(self.is_lent.get() == 0, "somebody else has it");
        self.is_lent.set(1);
        // SAFETY: nobody has it, and nobody will.
        unsafe { &mut *self.value.get() }
    }

    /// Lends the value to `user`.
    #[inline(always)]
    pub(crate) fn with<R>(&self, user: impl FnOnce(&mut T) -> R) -> R {
        assert!(self.is_lent.get() == 0, "somebody else has it");
        self.is_lent.set(1);
        // SAFETY: nobody else has it until the word is cleared.
        let result = user(unsafe { &mut *self.value.get() });
        self.is_lent.set(0);
        result
    }
}
