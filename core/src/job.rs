//! Functions in place: a closure of any type in a few words, to lie in a queue until it is called, once.
//!
//! A queue of functions is a queue of `Box<dyn FnOnce()>` as a rule: an allocation for each, made by one party and freed by
//! another. Most closures capture two or three words, and could lie in the queue's slot. [`InlineFn`] does that, and
//! needs no allocator; what does not fit is handed back, or [boxed](InlineFn::boxed).
//!
//! # Examples
//!
//! Work that an interrupt handler leaves to the main loop:
//!
//! ```
//! use aqueduct_core::{job::InlineFn, queue::StaticQueue};
//!
//! static LATER: StaticQueue<InlineFn<3>, 16> = StaticQueue::new();
//! # use std::sync::atomic::{AtomicU32, Ordering};
//! # static SEEN: AtomicU32 = AtomicU32::new(0);
//!
//! // The handler:
//! let reading = 512;
//! let job = InlineFn::new(move || SEEN.store(reading, Ordering::Relaxed)).ok().expect("a word fits into three");
//! let _ = LATER.push(job);
//!
//! // The main loop:
//! while let Some(job) = LATER.pop() {
//!     job.call();
//! }
//! assert_eq!(SEEN.load(Ordering::Relaxed), 512);
//! ```

#[cfg(feature = "alloc")]
use alloc::boxed::Box;
use core::any::TypeId;
use core::fmt;
use core::mem::{self, ManuallyDrop, MaybeUninit};
use core::ptr;

/// A function that is called once, in `WORDS` words and one more. See the [module](self).
///
/// Dropped uncalled, it drops the closure.
///
/// # Progress
///
/// Nothing here waits, allocates (but [`boxed`](Self::boxed)), or is shared: it is a value.
pub struct InlineFn<const WORDS: usize> {
    /// The closure, initialised until it is called, taken out, or dropped. Only the owner of the whole touches it: no method looks at
    /// it through `&self`, so that it is safe to share, though the closure itself may not be.
    space: MaybeUninit<[usize; WORDS]>,
    /// Who knows its type.
    table: &'static Table,
}

/// What was known about the closure when it was put in.
struct Table {
    /// Moves the closure out of the space, and calls it. Once.
    call: unsafe fn(*mut ()),
    /// Drops the closure in the space.
    drop: unsafe fn(*mut ()),
    type_id: fn() -> TypeId,
}

/// The table of a type.
struct TableOf<F>(F);

impl<F: FnOnce() + Send + 'static> TableOf<F> {
    const TABLE: Table =
        Table { call: call::<F>, drop: drop_in_place::<F>, type_id: TypeId::of::<F> };
}

/// # Safety
///
/// An `F` lies at `space`, and is not used again.
unsafe fn call<F: FnOnce()>(space: *mut ()) {
    // SAFETY: the caller says that an F is there, which is now ours.
    let f = unsafe { space.cast::<F>().read() };
    f();
}

/// # Safety
///
/// An `F` lies at `space`, and is not used again.
unsafe fn drop_in_place<F>(space: *mut ()) {
    // SAFETY: the caller says that an F is there, which is now ours.
    unsafe { ptr::drop_in_place(space.cast::<F>()) };
}

impl<const WORDS: usize> InlineFn<WORDS> {
    /// Puts a closure in. It has to be `Send`: whoever takes it out of a queue may be another thread.
    ///
    /// # Errors
    ///
    /// The closure, if it [does not fit](Self::fits).
    #[inline]
    pub fn new<F: FnOnce() + Send + 'static>(f: F) -> Result<Self, F> {
        if !Self::fits::<F>() {
            return Err(f);
        }
        let mut space = MaybeUninit::<[usize; WORDS]>::uninit();
        // SAFETY: an F is no longer than the space and needs no stricter alignment, as was just asked.
        unsafe { space.as_mut_ptr().cast::<F>().write(f) };
        Ok(Self { space, table: &TableOf::<F>::TABLE })
    }

    /// Puts a closure in, or into a box, if it does not fit.
    ///
    /// # Panics
    ///
    /// If not even a box fits: with no words at all.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn boxed<F: FnOnce() + Send + 'static>(f: F) -> Self {
        Self::new(f).unwrap_or_else(|f| {
            Self::new(Box::new(f)).unwrap_or_else(|_| panic!("a box does not fit into no words"))
        })
    }

    /// Whether a closure of this type lies in `WORDS` words, at their alignment.
    #[inline]
    pub const fn fits<F>() -> bool {
        mem::size_of::<F>() <= mem::size_of::<[usize; WORDS]>()
            && mem::align_of::<F>() <= mem::align_of::<usize>()
    }

    /// Calls it.
    #[inline]
    pub fn call(self) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the closure that the table is of lies in the space, and `this` is neither used nor dropped after.
        unsafe { (this.table.call)(this.space.as_mut_ptr().cast()) };
    }

    /// Takes the closure out again, out of its box as well, for whoever still knows its type.
    ///
    /// # Errors
    ///
    /// All of it, if that is another closure's.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct_core::{job::InlineFn, queue::StaticQueue};
    ///
    /// static LATER: StaticQueue<InlineFn<3>, 1> = StaticQueue::new();
    ///
    /// /// Leaves `f` to the main loop, or gives it back.
    /// fn later<F: FnOnce() + Send + 'static>(f: F) -> Result<(), F> {
    ///     LATER.push(InlineFn::new(f)?).map_err(|job| job.into_inner().expect("the same closure"))
    /// }
    ///
    /// assert!(later(|| ()).is_ok());
    /// let refused = later(|| println!("there was no room, so here and now")).unwrap_err();
    /// refused();
    /// ```
    pub fn into_inner<F: FnOnce() + Send + 'static>(self) -> Result<F, Self> {
        if (self.table.type_id)() == TypeId::of::<F>() {
            let this = ManuallyDrop::new(self);
            // SAFETY: the closure in the space is an F, by its type's identity, and `this` is not used after.
            return Ok(unsafe { this.space.as_ptr().cast::<F>().read() });
        }
        #[cfg(feature = "alloc")]
        if (self.table.type_id)() == TypeId::of::<Box<F>>() {
            let this = ManuallyDrop::new(self);
            // SAFETY: what is in the space is a Box<F>, by its type's identity, and `this` is not used after.
            let boxed = unsafe { this.space.as_ptr().cast::<Box<F>>().read() };
            return Ok(*boxed);
        }
        Err(self)
    }
}

impl<const WORDS: usize> Drop for InlineFn<WORDS> {
    fn drop(&mut self) {
        // SAFETY: whoever calls the closure or takes it out forgets this value, so it is still in the space, for the last time.
        unsafe { (self.table.drop)(self.space.as_mut_ptr().cast()) };
    }
}

impl<const WORDS: usize> fmt::Debug for InlineFn<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InlineFn").finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "alloc"))]
mod tests {
    extern crate std;

    use super::*;
    use alloc::sync::Arc;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::mpsc;

    #[test]
    fn a_closure_is_called_with_what_it_captured_and_dropped_once() {
        let (sender, receiver) = mpsc::channel();
        let witness = Arc::new(7);
        let f = InlineFn::<4>::new({
            let witness = Arc::clone(&witness);
            move || sender.send(*witness).unwrap()
        });
        let f = f.ok().expect("two or three words");
        assert_eq!(Arc::strong_count(&witness), 2);
        f.call();
        assert_eq!(receiver.try_iter().collect::<alloc::vec::Vec<_>>(), [7]);
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn one_that_is_not_called_is_dropped_once_inline_or_boxed() {
        let witness = Arc::new(());
        let small = Arc::clone(&witness);
        let large = (Arc::clone(&witness), [0_u64; 9]);
        let small = InlineFn::<1>::boxed(move || drop(small));
        let large = InlineFn::<1>::boxed(move || drop(large));
        assert_eq!(Arc::strong_count(&witness), 3);
        drop((small, large));
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn what_is_too_long_or_too_strictly_aligned_is_handed_back() {
        #[repr(align(32))]
        struct Strict(u8);

        let long = [1_usize; 3];
        let refused = InlineFn::<2>::new(move || assert_eq!(long, [1; 3]));
        refused.expect_err("three words into two")();
        let strict = Strict(9);
        let refused = InlineFn::<8>::new(move || assert_eq!({ &strict }.0, 9));
        let boxed = InlineFn::<8>::boxed(refused.expect_err("at an odd place"));
        boxed.call();
        assert!(InlineFn::<0>::new(|| ()).is_ok(), "nothing captured takes no room");
    }

    #[test]
    fn a_closure_comes_out_as_what_it_was_and_as_nothing_else() {
        fn through<F: FnOnce() + Send + 'static>(f: F) -> F {
            let other = InlineFn::<2>::boxed(|| unreachable!());
            let other = other.into_inner::<F>().err().expect("another closure");
            drop(other);
            InlineFn::<2>::boxed(f).into_inner().expect("the same")
        }

        let witness = Arc::new(());
        let (small, large) = (Arc::clone(&witness), (Arc::clone(&witness), [0_u64; 9]));
        through(move || drop(small))();
        let large = through(move || drop(large));
        assert_eq!(Arc::strong_count(&witness), 2);
        large();
        assert_eq!(Arc::strong_count(&witness), 1);
    }

    #[test]
    fn a_panic_passes_and_drops_what_was_captured() {
        let witness = Arc::new(());
        let captured = Arc::clone(&witness);
        let f = InlineFn::<1>::boxed(move || {
            let _captured = captured;
            panic!("on purpose")
        });
        assert!(catch_unwind(AssertUnwindSafe(|| f.call())).is_err());
        assert_eq!(Arc::strong_count(&witness), 1);
    }
}
