//! Who of a crew of workers looks for work, and whether somebody must be called: one word beside a queue.
//!
//! A pool of threads has a queue of jobs and workers that run them. Whoever queues a job has to know one thing: must a
//! worker be called, or will one come by itself? [`Crew`] answers with one load. It holds no job, no worker and no
//! waker; those are its owner's.
//!
//! # Progress
//!
//! Every operation is one atomic step, and wait-free where the target has that step.
//!
//! The protocol, with its proofs:
#![doc = include_str!("crew/PROTOCOL.md")]

use crate::sync::{self, AtomicUsize, Relaxed, SeqCst, const_unless_loom};
use core::fmt;

/// Somebody rests, and can be woken.
const RESTING: usize = 1;
/// A worker more may be added.
const ROOM: usize = 2;
/// There are more workers than there should be.
const SURPLUS: usize = 4;
/// One worker that searches.
const SEARCHER: usize = 8;

/// The word of a crew. See the [module](self).
///
/// # Examples
///
/// A worker that finds nothing rests, and is called:
///
/// ```
/// use aqueduct_core::{crew::Crew, queue::StaticQueue};
///
/// static JOBS: StaticQueue<u32, 4> = StaticQueue::new();
/// static CREW: Crew = Crew::new();
///
/// // The worker, under the lock of its owner: it is down as one that rests, and looks once more.
/// CREW.search();
/// CREW.set_resting(true);
/// CREW.rest();
/// assert!(JOBS.is_empty());
///
/// // Whoever has work.
/// JOBS.push(7).unwrap();
/// assert!(CREW.is_short_handed()); // so wake the worker:
/// CREW.set_resting(false);
/// CREW.search();
/// assert!(!CREW.is_short_handed()); // it is on its way
/// ```
pub struct Crew {
    word: AtomicUsize,
}

impl Crew {
    const_unless_loom! {
        /// A crew of nobody.
        pub const fn new() -> Self {
            Self { word: AtomicUsize::new(0) }
        }
    }

    /// For whoever has just queued a job: must somebody be called? That is, nobody searches, and somebody rests or may
    /// be added.
    ///
    /// The job was queued by a `SeqCst` read-modify-write, as the queues of this crate do it.
    #[inline]
    pub fn is_short_handed(&self) -> bool {
        sync::total_order();
        // ask:sleep - SeqCst: after the push in the total order, as search:end comes before the last look at the queue;
        // one of the two sees the other.
        let word = self.word.load(SeqCst);
        word < SEARCHER && word & (RESTING | ROOM) != 0
    }

    /// One more searches: a worker that has run out of work, or one that is being woken or added.
    ///
    /// To call no more than one, whoever calls does this under its lock, having asked
    /// [`is_short_handed`](Self::is_short_handed) again there.
    #[inline]
    pub fn search(&self) {
        // search:begin - SeqCst: a submitter that reads it leaves its job to us, and our search comes after it in the
        // total order.
        self.word.fetch_add(SEARCHER, SeqCst);
        sync::total_order();
    }

    /// A searcher has found a job. True if nobody searches any more, though somebody could be called: then it looks at
    /// the queue, and if there is more, it calls.
    #[inline]
    #[must_use = "if true, look whether there is more to do"]
    pub fn found(&self) -> bool {
        // search:end - SeqCst: see ask:sleep. Whoever asked before this left its job to us.
        let before = self.word.fetch_sub(SEARCHER, SeqCst);
        sync::total_order();
        before / SEARCHER == 1 && before & (RESTING | ROOM) != 0
    }

    /// A searcher goes to rest, or away. It is down as one that rests already, and now must look at the queue once more.
    #[inline]
    pub fn rest(&self) {
        // search:end - SeqCst: see ask:sleep. Whoever asked before this left its job to us.
        self.word.fetch_sub(SEARCHER, SeqCst);
        sync::total_order();
    }

    /// Notes whether anybody rests. Under the owner's lock.
    pub fn set_resting(&self, is_so: bool) {
        self.set(RESTING, is_so);
    }

    /// Notes whether a worker may be added. Under the owner's lock.
    pub fn set_room(&self, is_so: bool) {
        self.set(ROOM, is_so);
    }

    /// Notes whether a worker should go. Under the owner's lock.
    pub fn set_surplus(&self, is_so: bool) {
        self.set(SURPLUS, is_so);
    }

    /// Whether a worker should go: a hint, between two jobs, to look under the owner's lock.
    #[inline]
    pub fn has_surplus(&self) -> bool {
        // surplus:look - Relaxed: a hint; what is decided is decided under the owner's lock.
        self.word.load(Relaxed) & SURPLUS != 0
    }

    /// How many search. By the time you look it may have changed.
    pub fn searchers(&self) -> usize {
        // searchers:look - Relaxed: a statistic.
        self.word.load(Relaxed) / SEARCHER
    }

    fn set(&self, bit: usize, is_so: bool) {
        // note:set - SeqCst: before search:end of the same party, so that whoever reads that it searches no more also
        // reads that it rests.
        if is_so {
            self.word.fetch_or(bit, SeqCst);
        } else {
            // note:clear - SeqCst: in the total order with note:set; the owner's lock orders the two.
            self.word.fetch_and(!bit, SeqCst);
        }
    }
}

impl Default for Crew {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("searchers", &self.searchers()).finish_non_exhaustive()
    }
}

/// Numbers for whoever needs one that nobody else has, from 0 on; and how many were given out.
///
/// # Examples
///
/// ```
/// use aqueduct_core::crew::Numbers;
///
/// static JOBS: Numbers = Numbers::new();
/// assert_eq!((JOBS.give(), JOBS.give()), (0, 1));
/// assert_eq!(JOBS.given(), 2);
/// ```
pub struct Numbers {
    next: AtomicUsize,
}

impl Numbers {
    const_unless_loom! {
        /// None given out yet.
        pub const fn new() -> Self {
            Self { next: AtomicUsize::new(0) }
        }
    }

    /// The next number. It wraps after `usize::MAX`.
    #[inline]
    pub fn give(&self) -> usize {
        // number:give - Relaxed: only the number itself is used.
        self.next.fetch_add(1, Relaxed)
    }

    /// How many were given out.
    pub fn given(&self) -> usize {
        // number:count - Relaxed: a statistic.
        self.next.load(Relaxed)
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Numbers").field("given", &self.given()).finish()
    }
}

/// A number on a wall: somebody shows it, and whoever passes sees it, or an earlier one. It says nothing about anything else.
///
/// # Examples
///
/// ```
/// use aqueduct_core::crew::Notice;
///
/// static MINUTES: Notice = Notice::new();
/// assert_eq!(MINUTES.seen(), 0);
/// MINUTES.show(7);
/// assert_eq!(MINUTES.seen(), 7);
/// ```
pub struct Notice {
    number: AtomicUsize,
}

impl Notice {
    const_unless_loom! {
        /// It shows 0.
        pub const fn new() -> Self {
            Self { number: AtomicUsize::new(0) }
        }
    }

    /// From now on it shows this.
    #[inline]
    pub fn show(&self, number: usize) {
        // notice:show - Relaxed: the number is all that is said.
        self.number.store(number, Relaxed);
    }

    /// What it shows. By the time you look it may have changed.
    #[inline]
    pub fn seen(&self) -> usize {
        // notice:see - Relaxed: the number is all that is used.
        self.number.load(Relaxed)
    }
}

impl Default for Notice {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("number", &self.seen()).finish()
    }
}

#[cfg(all(test, not(any(aqueduct_loom, aqueduct_interrupt))))]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_while_one_searches_or_nobody_can_come() {
        let crew = Crew::new();
        assert!(!crew.is_short_handed());
        crew.set_room(true);
        assert!(crew.is_short_handed());
        crew.search();
        assert!(!crew.is_short_handed());
        crew.search();
        assert!(!crew.found(), "the other one searches on");
        assert!(crew.found(), "the last one calls");
        assert!(crew.is_short_handed());
        crew.set_room(false);
        assert!(!crew.is_short_handed());
        crew.search();
        assert!(!crew.found(), "there is nobody to call");
    }

    #[test]
    fn notes_do_not_disturb_each_other() {
        let crew = Crew::new();
        crew.set_resting(true);
        crew.set_surplus(true);
        crew.search();
        crew.set_resting(false);
        assert!(crew.has_surplus());
        assert_eq!(crew.searchers(), 1);
        crew.rest();
        crew.set_surplus(false);
        assert!(!crew.has_surplus() && !crew.is_short_handed());
    }
}
