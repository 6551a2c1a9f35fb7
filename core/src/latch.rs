//! A decision that is made once, by whoever comes first, and read with one load.
//!
//! # Progress
//!
//! Every operation is one atomic step, and wait-free where the target has that step.
//!
//! The protocol:
#![doc = include_str!("latch/PROTOCOL.md")]

use crate::sync::{AcqRel, Acquire, AtomicUsize, const_unless_loom};
use core::fmt;
use core::num::NonZeroUsize;

/// Nothing is decided.
const OPEN: usize = 0;

/// A number that is set once and then stays: how something ended, say. See the [module](self).
///
/// Where the decision is more than a number, let the number say where the rest is, and write that first: whoever reads the
/// number sees what was written before it was set.
///
/// # Examples
///
/// ```
/// use aqueduct_core::latch::Latch;
/// use core::num::NonZeroUsize;
///
/// const LATE: NonZeroUsize = NonZeroUsize::new(1).unwrap();
/// const STOPPED: NonZeroUsize = NonZeroUsize::new(2).unwrap();
/// static END: Latch = Latch::new();
///
/// assert_eq!(END.get(), None);
/// assert_eq!(END.set(STOPPED), Ok(()));
/// assert_eq!(END.set(LATE), Err(STOPPED));
/// assert_eq!(END.get(), Some(STOPPED));
/// ```
pub struct Latch {
    word: AtomicUsize,
}

impl Latch {
    const_unless_loom! {
        /// Nothing is decided yet.
        pub const fn new() -> Self {
            Self { word: AtomicUsize::new(OPEN) }
        }
    }

    /// What was decided, if anything was.
    #[inline]
    pub fn get(&self) -> Option<NonZeroUsize> {
        // latch:get - Acquire: reads latch:set, so what the decision rests on is visible.
        NonZeroUsize::new(self.word.load(Acquire))
    }

    /// Decides, unless that was done before.
    ///
    /// # Errors
    ///
    /// It was: the earlier decision, which stays.
    #[inline]
    pub fn set(&self, decision: NonZeroUsize) -> Result<(), NonZeroUsize> {
        // latch:set - AcqRel: latch:get reads it, so what we wrote before is visible to whoever knows of the decision.
        // Failure Acquire: as latch:get.
        match self.word.compare_exchange(OPEN, decision.get(), AcqRel, Acquire) {
            Ok(_) => Ok(()),
            Err(earlier) => Err(NonZeroUsize::new(earlier).expect("only OPEN is zero")),
        }
    }
}

impl Default for Latch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("decision", &self.get()).finish()
    }
}
