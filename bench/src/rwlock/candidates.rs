//! Who takes part in family `rwlock`: ours under its three policies and once more under lock_api's
//! guards, then the peers by name.

use std::sync::RwLock;

use aqueduct::sync::{RawRwLock, ReaderPriority, RwLock as Ours, WriterPriority};
use aqueduct_core::rwlock::Fair;

use super::{Guarded, Lock, Shape, candidate};
use crate::family::{Candidate, OURS};

pub(super) fn all(shape: Shape) -> Vec<Candidate> {
    vec![
        candidate::<Ours<Guarded>>(shape),
        candidate::<Ours<Guarded, Fair>>(shape),
        candidate::<lock_api::RwLock<RawRwLock, Guarded>>(shape),
        candidate::<Ours<Guarded, ReaderPriority>>(shape),
        candidate::<async_lock::RwLock<Guarded>>(shape),
        candidate::<crossbeam_utils::sync::ShardedLock<Guarded>>(shape),
        candidate::<parking_lot::RwLock<Guarded>>(shape),
        candidate::<spin::RwLock<Guarded>>(shape),
        candidate::<RwLock<Guarded>>(shape),
        candidate::<Tokio>(shape),
        candidate::<usync::RwLock<Guarded>>(shape),
    ]
}

macro_rules! ours {
    ($policy:ident, $name:expr) => {
        impl Lock for Ours<Guarded, $policy> {
            const NAME: &'static str = $name;

            fn new(value: Guarded) -> Self {
                Self::with_policy(value, $policy)
            }

            #[inline]
            fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
                f(&self.read_blocking())
            }

            #[inline]
            fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
                f(&mut self.write_blocking())
            }
        }
    };
}

ours!(WriterPriority, OURS);
ours!(Fair, "aqueduct-fair");
ours!(ReaderPriority, "aqueduct-readers");

/// The default policy once more, under the guards of lock_api: the same state and the same line, and another
/// way to wait, through the raw lock.
impl Lock for lock_api::RwLock<RawRwLock, Guarded> {
    const NAME: &'static str = "aqueduct-lock-api";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write())
    }
}

/// Its calls for threads.
impl Lock for async_lock::RwLock<Guarded> {
    const NAME: &'static str = "async-lock";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read_blocking())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write_blocking())
    }
}

/// Eight of std's locks: a reader takes one of them, a writer all.
impl Lock for crossbeam_utils::sync::ShardedLock<Guarded> {
    const NAME: &'static str = "crossbeam-utils";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read().expect("nobody panics"))
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write().expect("nobody panics"))
    }
}

impl Lock for parking_lot::RwLock<Guarded> {
    const NAME: &'static str = "parking_lot";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write())
    }
}

/// Never sleeps.
impl Lock for spin::RwLock<Guarded> {
    const NAME: &'static str = "spin";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write())
    }
}

impl Lock for RwLock<Guarded> {
    const NAME: &'static str = "std";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read().expect("nobody panics"))
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write().expect("nobody panics"))
    }
}

/// Its calls for threads.
struct Tokio(tokio::sync::RwLock<Guarded>);

impl Lock for Tokio {
    const NAME: &'static str = "tokio";

    fn new(value: Guarded) -> Self {
        Self(tokio::sync::RwLock::new(value))
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.0.blocking_read())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.0.blocking_write())
    }
}

impl Lock for usync::RwLock<Guarded> {
    const NAME: &'static str = "usync";

    fn new(value: Guarded) -> Self {
        Self::new(value)
    }

    #[inline]
    fn read<R>(&self, f: impl FnOnce(&Guarded) -> R) -> R {
        f(&self.read())
    }

    #[inline]
    fn write<R>(&self, f: impl FnOnce(&mut Guarded) -> R) -> R {
        f(&mut self.write())
    }
}
