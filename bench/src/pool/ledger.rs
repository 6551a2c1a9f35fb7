//! Has every job run, and has it run once? Each job signs for its number; the last one wakes whoever waits for the end.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};

use crossbeam_utils::CachePadded;

/// So many pages, so that jobs that run at the same time sign on different cache lines.
const PAGES: u64 = 16;
/// A page's upper bits count its signatures, the lower ones add up their numbers.
const COUNT: u32 = 44;

/// The numbers `0..jobs`, each to be signed for once.
pub(crate) struct Ledger {
    jobs: u64,
    pages: [CachePadded<AtomicU64>; PAGES as usize],
    /// Pages that are not complete.
    open: CachePadded<AtomicUsize>,
    waiter: OnceLock<Thread>,
}

impl Ledger {
    /// Lives as long as the program, so that a job holds a plain reference: counting references would cost every
    /// candidate what some jobs cost. It is 2 KiB.
    pub(crate) fn of(jobs: u64) -> &'static Self {
        assert!(jobs < 1 << 24, "a page holds no more");
        let open = (0..PAGES).filter(|&page| Self::page_of(jobs, page).0 > 0).count();
        Box::leak(Box::new(Self {
            jobs,
            pages: Default::default(),
            open: AtomicUsize::new(open).into(),
            waiter: OnceLock::new(),
        }))
    }

    pub(crate) fn jobs(&self) -> u64 {
        self.jobs
    }

    /// Job `n` has run.
    #[inline]
    pub(crate) fn sign(&self, n: u64) {
        let page = n % PAGES;
        let before = self.pages[page as usize].fetch_add((1 << COUNT) + n, Ordering::Relaxed);
        if (before >> COUNT) + 1 == Self::page_of(self.jobs, page).0
            && self.open.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(waiter) = self.waiter.get()
        {
            waiter.unpark();
        }
    }

    /// To be called by the thread that will [wait](Self::wait), before the first job can run.
    pub(crate) fn attend(&self) {
        self.waiter.set(thread::current()).expect("one thread waits");
    }

    pub(crate) fn wait(&self) {
        while self.open.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }

    /// Once nothing runs any more.
    ///
    /// # Panics
    ///
    /// If a job has not run, or one has run twice.
    pub(crate) fn settle(&self) {
        for (at, page) in self.pages.iter().enumerate() {
            let (count, sum) = Self::page_of(self.jobs, at as u64);
            let signed = page.load(Ordering::Acquire);
            assert_eq!(signed, (count << COUNT) + sum, "a job has not run, or has run twice");
        }
    }

    /// How many numbers a page has to hold, and their sum.
    #[inline]
    fn page_of(jobs: u64, page: u64) -> (u64, u64) {
        let count = (jobs + PAGES - 1 - page) / PAGES;
        (count, page * count + PAGES * (count * count.saturating_sub(1) / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_hold_all_numbers() {
        for jobs in [1, 15, 16, 17, 1000] {
            let pages = (0..PAGES).map(|page| Ledger::page_of(jobs, page));
            let sums = pages.fold((0, 0), |all, page| (all.0 + page.0, all.1 + page.1));
            assert_eq!(sums, (jobs, jobs * (jobs - 1) / 2));
        }
    }

    #[test]
    fn complete_work_is_accepted() {
        let ledger = Ledger::of(100);
        ledger.attend();
        thread::scope(|scope| {
            scope.spawn(|| (0..100).for_each(|n| ledger.sign(n)));
            ledger.wait();
        });
        ledger.settle();
    }

    #[test]
    #[should_panic(expected = "has not run, or has run twice")]
    fn a_job_that_ran_instead_of_another_is_noticed() {
        let ledger = Ledger::of(100);
        (0..100).for_each(|n| ledger.sign(if n == 16 { 32 } else { n }));
        ledger.settle();
    }
}
