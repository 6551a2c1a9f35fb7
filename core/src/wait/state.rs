//! The queue's bits in the word of a primitive: who drains, whether to look again, and which classes wait.
//!
//! The primitive keeps its own state in the bits from [`FREE_BIT`] upwards of the same word. One word, because
//! then "I wait", "nobody waits, I leave" and "take one or refuse" stand in one modification order, and no
//! two of them can miss each other.

/// Somebody drains: unlinks, grants, and will look again before leaving.
const DRAINING: usize = 1 << 0;
/// Something happened since the drainer looked.
const DIRTY: usize = 1 << 1;
/// Somebody of class 0 waits; the bits of the other classes follow. Set by the registrant, cleared by the drainer
/// on leaving.
const HAS: usize = 1 << 2;
/// As many classes as the primitive with the most has: a read-write lock.
const CLASSES: u32 = 5;
const HAS_ANY: usize = HAS * ((1 << CLASSES) - 1);

/// The first bit of the word that belongs to the primitive.
pub(crate) const FREE_BIT: u32 = HAS.trailing_zeros() + CLASSES;

/// A value of the word, with the questions and the transitions that concern the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Word(pub(crate) usize);

impl Word {
    pub(crate) const fn is_draining(self) -> bool {
        self.0 & DRAINING != 0
    }

    pub(crate) const fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    /// Does anybody wait, of any class?
    pub(crate) const fn is_awaited(self) -> bool {
        self.0 & HAS_ANY != 0
    }

    /// Does anybody of `class` wait?
    pub(crate) fn is_awaited_by(self, class: usize) -> bool {
        self.0 & (HAS << class) != 0
    }

    /// Would a message be lost without a kick? Also while somebody drains: the drainer may have looked already.
    pub(crate) const fn needs_kick(self) -> bool {
        self.0 & (HAS_ANY | DRAINING) != 0
    }

    /// Somebody of `class` waits from now on.
    pub(crate) fn with_waiter(self, class: usize) -> Self {
        Self(self.0 | (HAS << class))
    }

    /// Asks for a drain. True: the one whose compare-and-swap writes this word is the drainer. False: somebody
    /// else is, and will look again.
    ///
    /// Never both bits at once: a drainer's own DIRTY would cost every drain a second pass.
    pub(crate) fn kicked(self) -> (Self, bool) {
        if self.is_draining() {
            (Self(self.0 | DIRTY), false)
        } else {
            (Self(self.0 | DRAINING), true)
        }
    }

    /// The drainer has left, and found the lists of the classes in `vacant` empty.
    pub(crate) fn left(self, vacant: Vacant) -> Self {
        Self(self.0 & !(DRAINING | vacant.0))
    }
}

/// What the drainer clears of DIRTY before it looks again.
pub(crate) const NOT_DIRTY: usize = !DIRTY;

/// The classes whose lists are empty, as the HAS bits to clear.
#[derive(Clone, Copy, Default)]
pub(crate) struct Vacant(usize);

impl Vacant {
    pub(crate) fn with(self, class: usize) -> Self {
        Self(self.0 | (HAS << class))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMITIVE: usize = 0b1011 << FREE_BIT;

    #[test]
    fn every_state_and_every_step_out_of_it() {
        // bits: HAS[0], DIRTY, DRAINING   -> kicked: bits, am I the drainer?   -> left by a drainer who found nobody
        let table: [(usize, (usize, bool), Option<usize>); 6] = [
            (0b000, (0b001, true), None),
            (0b001, (0b011, false), Some(0b000)),
            (0b011, (0b011, false), None),
            (0b100, (0b101, true), None),
            (0b101, (0b111, false), Some(0b000)),
            (0b111, (0b111, false), None),
        ];
        for (bits, (kicked, drains), left) in table {
            let word = Word(bits | PRIMITIVE);
            assert_eq!(word.kicked(), (Word(kicked | PRIMITIVE), drains), "{bits:#b} kicked");
            assert_eq!(word.is_draining(), bits & 1 != 0);
            assert_eq!(word.is_dirty(), bits & 2 != 0);
            assert_eq!(word.is_awaited(), bits & 4 != 0);
            assert_eq!(word.needs_kick(), bits & 5 != 0);
            // Only a drainer leaves, and only when nothing happened since it looked.
            let may_leave = word.is_draining() && !word.is_dirty();
            assert_eq!(may_leave, left.is_some(), "{bits:#b} left");
            if let Some(left) = left {
                assert_eq!(word.left(Vacant::default().with(0)), Word(left | PRIMITIVE));
            }
        }
    }

    #[test]
    fn classes_do_not_touch_each_other_nor_the_primitive() {
        for class in 0..CLASSES as usize {
            let word = Word(PRIMITIVE).with_waiter(class);
            assert_eq!(word.0, PRIMITIVE | (4 << class));
            for other in 0..CLASSES as usize {
                let after = word.kicked().0.left(Vacant::default().with(other));
                assert_eq!(after.is_awaited(), class != other);
                assert_eq!(after.0 >> FREE_BIT, PRIMITIVE >> FREE_BIT);
            }
        }
        assert_eq!(
            HAS_ANY.leading_zeros(),
            usize::BITS - FREE_BIT,
            "HAS ends where the primitive begins"
        );
    }
}
