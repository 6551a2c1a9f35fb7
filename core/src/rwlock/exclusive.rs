//! A value that only its owner reaches: what makes a mutex of a read-write lock.

use core::fmt;

/// A value that can be reached through an exclusive reference only, so that a shared one does no harm in any thread.
///
/// A [`RwLock`](super::RwLock) asks of its value that readers in several threads may share it. Around a value for
/// which that is not so, a cell say, put this: the lock can then be shared, and whoever wants the value has to write.
///
/// # Examples
///
/// ```
/// use aqueduct_core::rwlock::{Exclusive, RwLock, RwLockWriteGuard};
/// use core::cell::Cell;
///
/// static SEEN: RwLock<Exclusive<Cell<u32>>> = RwLock::new(Exclusive::new(Cell::new(0)));
///
/// let seen = SEEN.try_write().expect("nobody else is here");
/// let seen = RwLockWriteGuard::map(seen, Exclusive::get_mut);
/// seen.set(seen.get() + 1);
/// ```
///
/// It still has to be possible to send the value. This does not compile:
///
/// ```compile_fail,E0277
/// use aqueduct_core::rwlock::{Exclusive, RwLock};
///
/// fn share(_: &(impl Sync + ?Sized)) {}
/// share(&RwLock::new(Exclusive::new(std::rc::Rc::new(1))));
/// ```
#[derive(Default)]
pub struct Exclusive<T: ?Sized> {
    value: T,
}

// SAFETY: a shared reference to it gives nothing: no method takes one but `fmt`, which does not look at the value.
unsafe impl<T: ?Sized> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    /// Around `value`.
    pub const fn new(value: T) -> Self {
        Self { value }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T: ?Sized> Exclusive<T> {
    /// The value, for whoever has this for himself.
    pub const fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized> fmt::Debug for Exclusive<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exclusive").finish_non_exhaustive()
    }
}
