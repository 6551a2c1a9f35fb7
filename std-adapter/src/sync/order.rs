//! In what order threads take locks: what a lock and a guard carry for the feature `deadlock-detection`.
//!
//! Each lock has an [`Order`], each guard a [`Held`]. Without the feature, or without debug assertions, both are of size zero, and
//! what is called on them is empty.

use crate::core::rwlock::{Policy, ReaderPriority};
use std::any::TypeId;

#[cfg(all(feature = "deadlock-detection", debug_assertions))]
pub(super) use super::deadlock::watch::{Held, Order};
#[cfg(not(all(feature = "deadlock-detection", debug_assertions)))]
pub(super) use off::{Held, Order};

/// How a lock is held, or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    Read {
        /// No writer that waits keeps a reader out, so that two readers never wait for each other.
        passes: bool,
    },
    Upgradable,
    Write,
}

impl Mode {
    pub(super) fn read<P: Policy>() -> Self {
        Self::Read { passes: TypeId::of::<P>() == TypeId::of::<ReaderPriority>() }
    }
}

#[cfg(not(all(feature = "deadlock-detection", debug_assertions)))]
mod off {
    use super::Mode;

    pub(in crate::sync) struct Order;

    impl Order {
        pub(in crate::sync) const fn new() -> Self {
            Self
        }

        #[inline(always)]
        pub(in crate::sync) fn will_wait(&self, _: Mode) {}

        #[inline(always)]
        pub(in crate::sync) fn held(&self, _: Mode) -> Held {
            Held
        }
    }

    pub(in crate::sync) struct Held;

    impl Held {
        #[inline(always)]
        pub(in crate::sync) fn untracked() -> Self {
            Self
        }

        #[inline(always)]
        pub(in crate::sync) fn becomes(&mut self, _: Mode) {}

        #[inline(always)]
        pub(in crate::sync) fn is_tracked(&self) -> bool {
            false
        }
    }
}

#[cfg(test)]
#[cfg(not(all(feature = "deadlock-detection", debug_assertions)))]
mod tests {
    use crate::core::rwlock as core;
    use crate::core::wait::Growable;
    use crate::sync::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};

    #[test]
    fn off_it_costs_nothing() {
        type Inner<T> = core::RwLock<T, core::WriterPriority, Growable>;
        assert_eq!(size_of::<Mutex<u64>>(), size_of::<Inner<u64>>());
        assert_eq!(size_of::<RwLock<u64>>(), size_of::<Inner<u64>>());
        assert_eq!(size_of::<RwLockReadGuard<'_, u64>>(), size_of::<&Inner<u64>>());
        // The lock, for core and for us: what a downgrade to an upgradable reader needs.
        assert_eq!(size_of::<RwLockWriteGuard<'_, u64>>(), size_of::<[&Inner<u64>; 2]>());
    }
}
