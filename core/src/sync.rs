//! The only door to atomics, cells, fences and spin hints.
//!
//! Everything else in this crate imports them from here, so that the same algorithm, unchanged, runs on
//! one of four floors:
//!
//! | floor | chosen by | what it is for |
//! |---|---|---|
//! | [`core::sync::atomic`] | default | every target with compare-and-swap |
//! | `portable-atomic` | feature `portable-atomic` | targets without it; the *binary* picks the backend |
//! | `loom` | `--cfg aqueduct_loom` | exploring interleavings and memory orderings |
//! | the interrupt checker | `--cfg aqueduct_interrupt` | calling a hook before every atomic access |
//!
//! No other file may know which floor it stands on; `tests/tidy` checks it.

// Without a floor `lib.rs` leaves everything else out, so that this advice stands alone.
#![cfg_attr(not(any(target_has_atomic = "ptr", feature = "portable-atomic")), allow(unused))]

#[cfg(not(any(target_has_atomic = "ptr", feature = "portable-atomic")))]
compile_error!(
    "this target has no compare-and-swap: switch on the feature `portable-atomic` of aqueduct-core, and let your binary \
     choose how portable-atomic stands in for it: by its feature `critical-section` (any chip; needs an implementation \
     of the crate `critical-section`, as HALs have) or by its feature `unsafe-assume-single-core` (one core, privileged \
     mode). See \"Targets without compare-and-swap\" in the documentation of aqueduct-core"
);

#[cfg(target_pointer_width = "16")]
compile_error!(
    "aqueduct-core needs a `usize` of 32 bits or more: in 16, the numbers with which it tells one lap of a ring from another \
     come round after a few hundred, and its counts of readers, permits and waiters are too small to be of use"
);

pub(crate) use floor::{AtomicUsize, UnsafeCell, spin_loop};

#[cfg(feature = "alloc")]
pub(crate) use floor::AtomicPtr;

pub(crate) use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// The cell of what a lock protects, the same on every floor: a lock gives out references, and no checker sees what is
/// done with those. Its models put a cell of the checker inside.
pub(crate) use core::cell::UnsafeCell as UnsafePayload;

/// Keeps two hot words off each other's cache line, where the target has cache lines to speak of.
///
/// On bare metal (`target_os = "none"`) it is the bare value: a microcontroller has one core and little
/// memory.
#[cfg(not(target_os = "none"))]
pub(crate) use crossbeam_utils::CachePadded as Padded;

#[cfg(target_os = "none")]
pub(crate) use unpadded::Padded;

#[cfg(target_os = "none")]
mod unpadded {
    pub(crate) struct Padded<T>(T);

    impl<T> Padded<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(value)
        }
    }

    impl<T> core::ops::Deref for Padded<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> core::ops::DerefMut for Padded<T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

/// A copy of a word that others write, kept so that their cache line is not asked for it each time.
///
/// On bare metal it is nothing, and [`IS_KEPT`](Self::IS_KEPT) says so: there is no such line, and memory is scarce. Nor is
/// it anything under the interrupt checker, so that either way has its evidence: the copies from loom, their absence from here.
#[cfg(not(any(target_os = "none", aqueduct_interrupt)))]
pub(crate) use kept::Copied;

#[cfg(any(target_os = "none", aqueduct_interrupt))]
pub(crate) use unkept::Copied;

#[cfg(not(any(target_os = "none", aqueduct_interrupt)))]
mod kept {
    pub(crate) struct Copied(usize);

    impl Copied {
        pub(crate) const IS_KEPT: bool = true;

        pub(crate) fn new(value: usize) -> Self {
            Self(value)
        }

        #[inline(always)]
        pub(crate) fn get(&self) -> usize {
            self.0
        }

        #[inline(always)]
        pub(crate) fn set(&mut self, value: usize) {
            self.0 = value;
        }
    }
}

#[cfg(any(target_os = "none", aqueduct_interrupt))]
mod unkept {
    pub(crate) struct Copied;

    impl Copied {
        pub(crate) const IS_KEPT: bool = false;

        pub(crate) fn new(_: usize) -> Self {
            Self
        }

        pub(crate) fn get(&self) -> usize {
            unreachable!("no copy is kept")
        }

        pub(crate) fn set(&mut self, _: usize) {}
    }
}

/// A copy, perhaps an old one, of a word that others write, for whoever finds out by a compare-and-swap.
///
/// On bare metal it is nothing: memory is scarce.
#[cfg(not(target_os = "none"))]
pub(crate) use guessed::Guess;

#[cfg(target_os = "none")]
pub(crate) use unguessed::Guess;

#[cfg(not(target_os = "none"))]
mod guessed {
    use super::{AtomicUsize, Relaxed, const_unless_loom};

    pub(crate) struct Guess(AtomicUsize);

    impl Guess {
        const_unless_loom! {
            pub(crate) const fn new(value: usize) -> Self {
                Self(AtomicUsize::new(value))
            }
        }

        #[inline(always)]
        pub(crate) fn get(&self) -> Option<usize> {
            // Relaxed: nothing is read through it, and an old value only costs a turn.
            Some(self.0.load(Relaxed))
        }

        #[inline(always)]
        pub(crate) fn set(&self, value: usize) {
            // Relaxed: as above.
            self.0.store(value, Relaxed);
        }
    }
}

#[cfg(target_os = "none")]
mod unguessed {
    pub(crate) struct Guess;

    impl Guess {
        pub(crate) const fn new(_: usize) -> Self {
            Self
        }

        pub(crate) fn get(&self) -> Option<usize> {
            None
        }

        pub(crate) fn set(&self, _: usize) {}
    }
}

/// Declares a function that is `const` on every floor but loom's, whose atomics are made at run time.
macro_rules! const_unless_loom {
    ($(#[$attribute:meta])* $visibility:vis const fn $($rest:tt)*) => {
        #[cfg(not(aqueduct_loom))]
        $(#[$attribute])*
        $visibility const fn $($rest)*

        #[cfg(aqueduct_loom)]
        $(#[$attribute])*
        $visibility fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// Builds an array of `$length` times `$new`, in a const context too except on loom's floor.
#[cfg(not(aqueduct_loom))]
macro_rules! array {
    ($new:expr; $length:expr) => {
        [const { $new }; $length]
    };
}
#[cfg(aqueduct_loom)]
macro_rules! array {
    ($new:expr; $length:expr) => {
        core::array::from_fn::<_, { $length }, _>(|_| $new)
    };
}
pub(crate) use array;

/// Whether a checker drives this build. Sizes that are free to choose are then small, so that a model of two
/// or three parties reaches their limits.
pub(crate) const CHECKED: bool = cfg!(any(aqueduct_loom, aqueduct_interrupt));

/// Orders a `SeqCst` read-modify-write before a later `SeqCst` load of another word, under loom only.
///
/// The pairs that need this (labelled `sleep` in the protocols) use `SeqCst` on all four accesses, which
/// orders them by the single total order and, on every target we know, costs nothing beyond the
/// read-modify-write itself. loom treats a `SeqCst` load or store as an acquire or release and would
/// report executions that the memory model forbids; there, and only there, a fence stands in.
#[inline(always)]
pub(crate) fn total_order() {
    #[cfg(aqueduct_loom)]
    loom::sync::atomic::fence(SeqCst);
}

/// How many spin hints to give a party that is half-way through, before going on without it.
///
/// Bounded, and only to spare work: on another CPU it is done meanwhile. Under loom there is no time, and a look is a
/// branch of its own; in an interrupt handler that has preempted that party it is in vain.
pub(crate) const PATIENCE: usize = if cfg!(aqueduct_loom) {
    0
} else if cfg!(any(aqueduct_interrupt, target_os = "none")) {
    1
} else {
    32
};

#[cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]
mod floor {
    #[cfg(all(feature = "alloc", not(feature = "portable-atomic")))]
    pub(crate) use core::sync::atomic::AtomicPtr;
    #[cfg(not(feature = "portable-atomic"))]
    pub(crate) use core::sync::atomic::AtomicUsize;
    #[cfg(all(feature = "alloc", feature = "portable-atomic"))]
    pub(crate) use portable_atomic::AtomicPtr;
    #[cfg(feature = "portable-atomic")]
    pub(crate) use portable_atomic::AtomicUsize;

    pub(crate) use super::plain_cell::UnsafeCell;
    pub(crate) use core::hint::spin_loop;
}

#[cfg(aqueduct_loom)]
mod floor {
    use core::sync::atomic::Ordering;
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::hint::spin_loop;
    use loom::sync::atomic;
    #[cfg(feature = "alloc")]
    pub(crate) use loom::sync::atomic::AtomicPtr;

    /// loom's, with a second word that each load touches by a read-modify-write.
    ///
    /// loom decides where to preempt by the *last* access to an object before the one at hand, whoever made
    /// it. A party that loads a word and then exchanges it hides, by its own load, every earlier load of
    /// others: loom never tries the exchange before those. `looks` makes two loads of one word depend on
    /// each other, so that it does. It is Relaxed, and synchronises nothing.
    pub(crate) struct AtomicUsize {
        value: atomic::AtomicUsize,
        looks: atomic::AtomicUsize,
    }

    impl AtomicUsize {
        pub(crate) fn new(value: usize) -> Self {
            Self { value: atomic::AtomicUsize::new(value), looks: atomic::AtomicUsize::new(0) }
        }

        pub(crate) fn load(&self, order: Ordering) -> usize {
            self.looks.fetch_add(1, Ordering::Relaxed);
            self.value.load(order)
        }
    }

    impl core::ops::Deref for AtomicUsize {
        type Target = atomic::AtomicUsize;

        fn deref(&self) -> &Self::Target {
            &self.value
        }
    }
}

#[cfg(all(aqueduct_interrupt, not(aqueduct_loom)))]
mod floor {
    #[cfg(feature = "alloc")]
    pub(crate) use super::interrupt::AtomicPtr;
    pub(crate) use super::interrupt::{AtomicUsize, spin_loop};
    pub(crate) use super::plain_cell::UnsafeCell;
}

/// A cell with loom's interface over [`core::cell::UnsafeCell`]: access is a closure, so that loom can see
/// where it begins and ends.
#[cfg(not(aqueduct_loom))]
mod plain_cell {
    #[repr(transparent)]
    pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        #[inline(always)]
        pub(crate) const fn new(value: T) -> Self {
            Self(core::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
            f(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
            f(self.0.get())
        }
    }
}

/// The floor of the interrupt checker: before every atomic access, and in every turn of a spin loop, a hook
/// runs on the same thread, as an interrupt handler would.
///
/// Public, and hidden, for the checker in `tests/interrupt` alone.
#[cfg(aqueduct_interrupt)]
#[doc(hidden)]
pub mod interrupt {
    use core::sync::atomic::{self, Ordering};

    static HOOK: atomic::AtomicPtr<()> = atomic::AtomicPtr::new(core::ptr::null_mut());

    /// Makes `hook` run before every atomic access of this crate, in every thread, from now on.
    pub fn install(hook: fn()) {
        HOOK.store(hook as *mut (), Ordering::Release);
    }

    fn step() {
        let hook = HOOK.load(Ordering::Acquire);
        if !hook.is_null() {
            // SAFETY: the only store to HOOK, in `install`, is of a `fn()`.
            let hook = unsafe { core::mem::transmute::<*mut (), fn()>(hook) };
            hook();
        }
    }

    pub(crate) fn spin_loop() {
        step();
        core::hint::spin_loop();
    }

    pub(crate) struct AtomicUsize(atomic::AtomicUsize);

    impl AtomicUsize {
        pub(crate) const fn new(value: usize) -> Self {
            Self(atomic::AtomicUsize::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> usize {
            step();
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: usize, order: Ordering) {
            step();
            self.0.store(value, order);
        }

        pub(crate) fn swap(&self, value: usize, order: Ordering) -> usize {
            step();
            self.0.swap(value, order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: usize,
            new: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            step();
            self.0.compare_exchange(current, new, success, failure)
        }

        pub(crate) fn compare_exchange_weak(
            &self,
            current: usize,
            new: usize,
            success: Ordering,
            failure: Ordering,
        ) -> Result<usize, usize> {
            self.compare_exchange(current, new, success, failure)
        }

        pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
            step();
            self.0.fetch_add(value, order)
        }

        pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
            step();
            self.0.fetch_sub(value, order)
        }

        pub(crate) fn fetch_and(&self, value: usize, order: Ordering) -> usize {
            step();
            self.0.fetch_and(value, order)
        }

        pub(crate) fn fetch_or(&self, value: usize, order: Ordering) -> usize {
            step();
            self.0.fetch_or(value, order)
        }
    }

    #[cfg(feature = "alloc")]
    pub(crate) struct AtomicPtr<T>(atomic::AtomicPtr<T>);

    #[cfg(feature = "alloc")]
    impl<T> AtomicPtr<T> {
        pub(crate) const fn new(value: *mut T) -> Self {
            Self(atomic::AtomicPtr::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> *mut T {
            step();
            self.0.load(order)
        }

        pub(crate) fn compare_exchange(
            &self,
            current: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            step();
            self.0.compare_exchange(current, new, success, failure)
        }
    }
}
