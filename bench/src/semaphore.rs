//! Family `semaphore`: permits, taken and given back by threads and by tasks.
//!
//! An operation is one acquisition and its release.
//!
//! | workload | |
//! |---|---|
//! | `uncontended`, `uncontended/try` | one thread, one permit of 2; waiting if need be, or not |
//! | `4t2p` | 4 threads, 2 permits, given back at once |
//! | `4t2p/held` | the same, and the holder gives up the CPU once while it holds |
//! | `weighted`, `weighted/held` | 4 threads, 4 permits, 1, 2 or 3 at a time |
//! | `async/..` | by tasks on two workers; where several want permits, the holder yields once while it holds: two tasks that never yield never meet at 2 permits |
//!
//! Every contended run counts the permits that are out at each moment; the uncontended ones look, at
//! the end, at how many there are.

mod candidates;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::check::share;
use crate::family::{Candidate, Cell};
use crate::go;
use crate::measure::Sample;
use crate::tasks::{Task, race_tasks};
use crate::team::{Job, race};

/// What a candidate must be able to do for threads. A permit that is dropped is given back.
pub(crate) trait Semaphore: Send + Sync + 'static {
    const NAME: &'static str;
    /// Whether several permits can be had at once.
    const WEIGHTED: bool;

    fn new(permits: usize) -> Self;

    /// Waits for `n` permits.
    fn acquire(&self, n: usize) -> impl Sized + '_;

    fn try_acquire(&self, n: usize) -> Option<impl Sized + '_>;
}

/// The same for tasks.
pub(crate) trait AsyncSemaphore: Semaphore {
    fn acquire_async(&self, n: usize) -> impl Future<Output = impl Send + '_> + Send + '_;
}

pub(crate) fn cells() -> Vec<Cell> {
    Shape::ALL
        .iter()
        .map(|&(name, shape)| {
            let mut candidates = candidates::all(shape);
            if !shape.is_weighted() && !matches!(shape, Shape::Try) {
                let workload = name.strip_prefix("async/").unwrap_or(name);
                candidates.extend(go::candidate("semaphore", workload.into()));
            }
            Cell::new("semaphore", name.into(), "acquire and release", candidates)
        })
        .collect()
}

#[derive(Clone, Copy)]
enum Shape {
    Uncontended,
    Try,
    Threads(Contest),
    Task,
    Tasks(Contest),
}

/// What several parties want.
#[derive(Clone, Copy)]
struct Contest {
    permits: usize,
    /// How many the nth operation asks for, repeating.
    weights: &'static [usize],
    held: bool,
}

const PARTIES: usize = 4;

impl Shape {
    const ALL: [(&'static str, Self); 9] = {
        const fn plain(held: bool) -> Contest {
            Contest { permits: 2, weights: &[1], held }
        }
        const fn weighted(held: bool) -> Contest {
            Contest { permits: 4, weights: &[1, 3, 2, 1, 2], held }
        }
        [
            ("uncontended", Self::Uncontended),
            ("uncontended/try", Self::Try),
            ("4t2p", Self::Threads(plain(false))),
            ("4t2p/held", Self::Threads(plain(true))),
            ("weighted", Self::Threads(weighted(false))),
            ("weighted/held", Self::Threads(weighted(true))),
            ("async/uncontended", Self::Task),
            ("async/4t2p/held", Self::Tasks(plain(true))),
            ("async/weighted/held", Self::Tasks(weighted(true))),
        ]
    };

    fn is_weighted(self) -> bool {
        matches!(self, Self::Threads(c) | Self::Tasks(c) if c.weights.len() > 1)
    }

    fn is_async(self) -> bool {
        matches!(self, Self::Task | Self::Tasks(_))
    }
}

/// None if it cannot do that.
fn candidate<S: Semaphore>(shape: Shape) -> Option<Candidate> {
    if shape.is_async() || shape.is_weighted() && !S::WEIGHTED {
        return None;
    }
    Some(Candidate::new(S::NAME, move |ops| match shape {
        Shape::Uncontended => uncontended::<S>(ops, take_and_release),
        Shape::Try => uncontended::<S>(ops, try_and_release),
        Shape::Threads(contest) => contended::<S>(contest, ops),
        Shape::Task | Shape::Tasks(_) => unreachable!("refused above"),
    }))
}

/// As [`candidate`], for one that also serves tasks.
fn async_candidate<S: AsyncSemaphore>(shape: Shape) -> Option<Candidate> {
    if !shape.is_async() {
        return candidate::<S>(shape);
    }
    if shape.is_weighted() && !S::WEIGHTED {
        return None;
    }
    Some(Candidate::new(S::NAME, move |ops| match shape {
        Shape::Tasks(contest) => contended_async::<S>(contest, ops),
        _ => uncontended_async::<S>(ops),
    }))
}

fn uncontended<S: Semaphore>(ops: u64, work: fn(&S, u64)) -> Sample {
    let semaphore = proved::<S>(2);
    let job: Job<S> = Box::new(move || {
        work(&semaphore, ops);
        semaphore
    });
    let (sample, semaphores) = race(ops, vec![job]);
    semaphores.iter().for_each(|semaphore| prove(semaphore, 2));
    sample
}

fn contended<S: Semaphore>(contest: Contest, ops: u64) -> Sample {
    let semaphore = Arc::new(proved::<S>(contest.permits));
    let out = Arc::new(Out::of(contest.permits));
    let jobs = share(ops, PARTIES)
        .into_iter()
        .enumerate()
        .map(|(me, ops)| -> Job<()> {
            let (semaphore, out) = (semaphore.clone(), out.clone());
            Box::new(move || take_turns(&*semaphore, &out, contest, me, ops))
        })
        .collect();
    let (sample, _) = race(ops, jobs);
    prove(&*semaphore, contest.permits);
    sample
}

fn uncontended_async<S: AsyncSemaphore>(ops: u64) -> Sample {
    let semaphore = proved::<S>(2);
    let task: Task<S> = Box::pin(async move {
        for _ in 0..ops {
            drop(semaphore.acquire_async(1).await);
        }
        semaphore
    });
    let (sample, semaphores) = race_tasks(ops, vec![task]);
    semaphores.iter().for_each(|semaphore| prove(semaphore, 2));
    sample
}

fn contended_async<S: AsyncSemaphore>(contest: Contest, ops: u64) -> Sample {
    let semaphore = Arc::new(proved::<S>(contest.permits));
    let out = Arc::new(Out::of(contest.permits));
    let tasks = share(ops, PARTIES)
        .into_iter()
        .enumerate()
        .map(|(me, ops)| -> Task<()> {
            let (semaphore, out) = (semaphore.clone(), out.clone());
            Box::pin(async move {
                for n in weights(contest, me, ops) {
                    let permit = semaphore.acquire_async(n).await;
                    out.take(n);
                    if contest.held {
                        tokio::task::yield_now().await;
                    }
                    out.give_back(n);
                    drop(permit);
                }
            })
        })
        .collect();
    let (sample, _) = race_tasks(ops, tasks);
    prove(&*semaphore, contest.permits);
    sample
}

#[inline(never)]
fn take_and_release<S: Semaphore>(semaphore: &S, ops: u64) {
    for _ in 0..ops {
        drop(semaphore.acquire(1));
    }
}

#[inline(never)]
fn try_and_release<S: Semaphore>(semaphore: &S, ops: u64) {
    for _ in 0..ops {
        let permit = semaphore.try_acquire(1);
        assert!(permit.is_some(), "a free semaphore refuses");
        drop(permit);
    }
}

#[inline(never)]
fn take_turns<S: Semaphore>(semaphore: &S, out: &Out, contest: Contest, me: usize, ops: u64) {
    for n in weights(contest, me, ops) {
        let permit = semaphore.acquire(n);
        out.take(n);
        if contest.held {
            thread::yield_now();
        }
        out.give_back(n);
        drop(permit);
    }
}

fn weights(contest: Contest, me: usize, ops: u64) -> impl Iterator<Item = usize> {
    contest.weights.iter().copied().cycle().skip(me).take(ops as usize)
}

/// How many permits are out, counted beside the semaphore: from after they were had until before they
/// are given back, so never too many.
struct Out {
    now: AtomicUsize,
    permits: usize,
}

impl Out {
    fn of(permits: usize) -> Self {
        Self { now: AtomicUsize::new(0), permits }
    }

    #[inline]
    fn take(&self, n: usize) {
        let before = self.now.fetch_add(n, Ordering::Relaxed);
        assert!(before + n <= self.permits, "{} of {} permits are out", before + n, self.permits);
    }

    #[inline]
    fn give_back(&self, n: usize) {
        self.now.fetch_sub(n, Ordering::Relaxed);
    }
}

fn proved<S: Semaphore>(permits: usize) -> S {
    let semaphore = S::new(permits);
    prove(&semaphore, permits);
    semaphore
}

/// All permits are there, and no more.
fn prove<S: Semaphore>(semaphore: &S, permits: usize) {
    let all: Vec<_> = (0..permits).map(|_| semaphore.try_acquire(1)).collect();
    assert!(all.iter().all(Option::is_some), "{} has lost a permit", S::NAME);
    assert!(semaphore.try_acquire(1).is_none(), "{} has a permit too many", S::NAME);
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Under a lock; a fault from the 500th acquisition on.
    struct Planted<const FAULT: u8> {
        state: Mutex<(usize, usize)>,
        freed: Condvar,
    }

    const NONE: u8 = 0;
    const ADMITS: u8 = 1;
    const LOSES: u8 = 2;
    const INVENTS: u8 = 3;

    struct Permit<'a, const FAULT: u8>(&'a Planted<FAULT>, usize);

    impl<const FAULT: u8> Semaphore for Planted<FAULT> {
        const NAME: &'static str = "planted";
        const WEIGHTED: bool = true;

        fn new(permits: usize) -> Self {
            Self { state: Mutex::new((permits, 0)), freed: Condvar::new() }
        }

        fn acquire(&self, n: usize) -> impl Sized + '_ {
            let mut state = self.state.lock().unwrap();
            state.1 += 1;
            if FAULT == ADMITS && state.1 > 500 {
                return Permit(self, 0);
            }
            let mut state = self.freed.wait_while(state, |s| s.0 < n).unwrap();
            state.0 -= n;
            Permit(self, n)
        }

        fn try_acquire(&self, n: usize) -> Option<impl Sized + '_> {
            let mut state = self.state.lock().unwrap();
            state.0 = state.0.checked_sub(n)?;
            Some(Permit(self, n))
        }
    }

    impl<const FAULT: u8> Drop for Permit<'_, FAULT> {
        fn drop(&mut self) {
            let mut state = self.0.state.lock().unwrap();
            state.0 += self.1;
            if state.1 == 1999 {
                state.1 = 5000;
                match FAULT {
                    LOSES => state.0 -= 1,
                    INVENTS => state.0 += 1,
                    _ => {}
                }
            }
            self.0.freed.notify_all();
        }
    }

    const WEIGHTED: Contest = Contest { permits: 4, weights: &[1, 3, 2], held: true };

    #[test]
    fn a_semaphore_that_works_passes() {
        uncontended::<Planted<NONE>>(2500, take_and_release);
        uncontended::<Planted<NONE>>(2500, try_and_release);
        contended::<Planted<NONE>>(WEIGHTED, 2500);
    }

    #[test]
    #[should_panic(expected = "a thread of this run panicked")]
    fn a_semaphore_that_admits_too_many_fails() {
        contended::<Planted<ADMITS>>(WEIGHTED, 5000);
    }

    #[test]
    #[should_panic(expected = "has lost a permit")]
    fn a_semaphore_that_loses_a_permit_fails() {
        uncontended::<Planted<LOSES>>(2000, take_and_release);
    }

    #[test]
    #[should_panic(expected = "a permit too many")]
    fn a_semaphore_that_invents_a_permit_fails() {
        uncontended::<Planted<INVENTS>>(2000, take_and_release);
    }

    #[test]
    #[should_panic(expected = "3 of 2 permits are out")]
    fn more_permits_than_there_are_are_noticed() {
        let out = Out::of(2);
        out.take(2);
        out.give_back(1);
        out.take(2);
    }

    #[test]
    fn every_candidate_does_every_workload() {
        for cell in &mut cells() {
            for candidate in &mut cell.candidates {
                assert_eq!((candidate.run)(1000).ops, 1000, "{}", candidate.name);
            }
        }
    }
}
