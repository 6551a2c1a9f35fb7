//! Ending a pool: drain, abort, and what is left.

use super::job::{JobId, WorkerId};
use super::outcome::JobError;
use super::places;
use super::queue::Entry;
use super::roster::Life;
use super::shared::Shared;
use super::worker::{Slot, is_thread_of, is_worker_of};
use crate::foreign::discard;
use crate::park::deadline_after;
use crate::{lock, timer};
use std::cell::RefCell;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use std::{fmt, mem, ptr};

/// How a shutdown went.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Job, Pool};
/// use std::time::Duration;
///
/// let pool = Pool::builder().max_workers(1).build()?;
/// let (go, wait) = std::sync::mpsc::channel::<()>();
/// let stuck = pool.submit_job(Job::new(move || wait.recv().is_err()).name("the stuck one"))?;
/// let report = pool.shutdown_timeout(Duration::from_millis(10));
/// if let [job] = &report.running[..] {
///     assert_eq!(job.name.as_deref(), Some("the stuck one"));
/// }
/// drop(go);
/// assert!(pool.shutdown().is_complete());
/// # drop(stuck);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Jobs that were cancelled in the queue by this call.
    pub cancelled: usize,
    /// Jobs whose functions had not returned when the call did.
    pub running: Vec<RunningJob>,
    /// Workers that had not gone when the call returned. (The thread of one that has may still run destructors of thread-local values.)
    pub workers: usize,
}

impl ShutdownReport {
    /// Whether nothing runs any more.
    pub fn is_complete(&self) -> bool {
        self.workers == 0 && self.running.is_empty()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cancelled, {} workers left", self.cancelled, self.workers)?;
        for job in &self.running {
            write!(f, "\n{}", job.id)?;
            if let Some(name) = &job.name {
                write!(f, ", {name},")?;
            }
            match job.worker {
                Some(worker) => write!(f, " runs on {worker}")?,
                None => f.write_str(" runs on a thread that is no worker")?,
            }
        }
        Ok(())
    }
}

/// A job that runs, as a report names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningJob {
    /// Which job.
    pub id: JobId,
    /// What it is called, if it has a name.
    pub name: Option<Arc<str>>,
    /// Where it runs: which worker, or thread in a worker's place; `None` for one that submitted it, waits for it, or shuts the pool down.
    pub worker: Option<WorkerId>,
}

impl Shared {
    pub(super) fn queues_closed(&self) -> bool {
        lock(&self.roster).life != Life::Open
    }

    /// Lets nothing in any more, and adds no worker any more, but to a drain in which nobody works.
    fn close(&self, life: Life) {
        let mut roster = lock(&self.roster);
        roster.life = roster.life.max(life);
        self.queues.close();
        let check = roster.check_off();
        let limits = (life == Life::Aborted).then(|| mem::take(&mut roster.limits));
        let wakers = self.call_all(&mut roster);
        // Before the queues are emptied: see `clear_up`.
        self.crew.set_room(true);
        drop(roster);
        drop((check, limits));
        self.lines.room.close();
        if let Some(door) = &self.door {
            door.close();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Runs all that is in.
    pub(super) fn drain(self: &Arc<Self>) -> ShutdownReport {
        self.drain_until(None);
        self.report(0)
    }

    /// Runs all that is in, until the deadline.
    fn drain_until(self: &Arc<Self>, deadline: Option<Instant>) -> Drained {
        self.close(Life::Draining);
        if is_thread_of(self) || Clearing::is_here(self) {
            // It cannot wait for itself, and two that waited for each other would wait for ever.
            self.hire_again();
            return Drained::Elsewhere;
        }
        let all_gone = || {
            // Before the roster: whoever has taken a job out is down there until it has run.
            let nothing_is_in = self.queues.is_empty();
            let nobody_is_in_line = self.lines.are_empty();
            let roster = lock(&self.roster);
            let gone = roster.live == 0 && roster.leaving == 0 && roster.hiring == 0;
            let aborted = roster.life == Life::Aborted;
            let at_rest = gone && roster.clearing == 0;
            let nobody_comes = gone || (roster.refused && self.nobody_works(&roster));
            drop(roster);
            if nobody_comes && !aborted && !nothing_is_in {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return false;
                }
                // With nobody who works, and none to be had, what is in is run here.
                let _clearing = Clearing::begin(self);
                if let Some(job) = self.queues.take(0) {
                    job.run_here(self);
                }
                return false;
            }
            // Somebody in a line comes when the one before is over, and is run by whoever has that.
            at_rest && (aborted || (nothing_is_in && nobody_is_in_line))
        };
        let is_done = places::wait(self, || self.wait_until(deadline, all_gone));
        if !is_done {
            return Drained::Late;
        }
        self.join_threads();
        Drained::All
    }

    /// If threads were refused before, and nobody works, perhaps there is one to be had now.
    fn hire_again(self: &Arc<Self>) {
        let mut roster = lock(&self.roster);
        let is_stuck = roster.refused && roster.live > 0 && self.nobody_works(&roster);
        roster.refused = false;
        drop(roster);
        if is_stuck {
            self.call_if_left();
        }
    }

    /// Ends all that has not begun, and asks what runs to stop. When this returns, nothing begins any more.
    pub(super) fn abort(self: &Arc<Self>) -> ShutdownReport {
        self.close(Life::Aborted);
        let mut slots: Vec<_> = lock(&self.roster).slots.values().cloned().collect();
        slots.push(Arc::clone(&self.outside));
        let running: Vec<Entry> = slots.iter().flat_map(|slot| slot.close()).collect();
        let waiting = std::iter::from_fn(|| self.queues.take(0));
        let cancelled =
            waiting.map(|job| usize::from(job.end(self, JobError::Cancelled))).sum::<usize>();
        let cancelled = cancelled + self.cancel_lines();
        for job in running {
            job.stop();
            discard(job);
        }
        self.tell_quiet();
        self.report(cancelled)
    }

    /// A job got in while the pool was being closed, and came to light when nobody was left to look: it is cancelled, or run here.
    pub(super) fn clear_up(self: &Arc<Self>) {
        let aborted = self.is_aborted();
        let _clearing = Clearing::begin(self);
        while let Some(job) = self.queues.take(0) {
            if aborted {
                job.end(self, JobError::Cancelled);
            } else {
                job.run_here(self);
            }
        }
    }

    pub(super) fn is_aborted(&self) -> bool {
        lock(&self.roster).life == Life::Aborted
    }

    /// Cancels all that wait for the turn of their key; says how many.
    pub(super) fn cancel_lines(self: &Arc<Self>) -> usize {
        let end = |job: Entry| {
            let is_ended = job.end_queued(self, JobError::Cancelled);
            discard(job);
            is_ended
        };
        self.lines.take_all().into_iter().filter_map(|job| end(job).then_some(())).count()
    }

    /// Waits for the threads, which have nothing left to do, so that they are gone when this returns, whoever else waits for them.
    fn join_threads(&self) {
        let mut roster = lock(&self.roster);
        let threads = mem::take(&mut roster.threads);
        let limits = mem::take(&mut roster.limits);
        roster.joining += threads.len();
        drop(roster);
        drop(limits);
        for thread in threads.into_values() {
            let _ = thread.join();
            lock(&self.roster).joining -= 1;
            self.tell_quiet();
        }
        self.wait_until(None, || lock(&self.roster).joining == 0);
    }

    fn report(&self, cancelled: usize) -> ShutdownReport {
        let roster = lock(&self.roster);
        let slots: Vec<_> = roster.slots.values().cloned().collect();
        let workers = roster.live + roster.leaving;
        drop(roster);
        let mut running = Vec::new();
        let mut add = |slot: &Slot, worker| {
            for job in slot.jobs() {
                running.push(RunningJob { id: job.meta().id, name: job.name(), worker });
                discard(job);
            }
            running.extend(slot.lights().into_iter().map(|id| RunningJob {
                id,
                name: None,
                worker,
            }));
        };
        slots.iter().for_each(|slot| add(slot, Some(slot.id())));
        add(&self.outside, None);
        ShutdownReport { cancelled, running, workers }
    }

    /// Drains until the deadline, then aborts.
    pub(super) fn drain_or_abort(self: &Arc<Self>, limit: Duration) -> ShutdownReport {
        let deadline = deadline_after(limit);
        match self.drain_until(deadline) {
            Drained::All => return self.report(0),
            Drained::Late => {}
            Drained::Elsewhere => match deadline {
                None => return self.report(0),
                Some(deadline) if Instant::now() < deadline => {
                    self.abort_at(deadline);
                    return self.report(0);
                }
                Some(_) => {}
            },
        }
        self.abort()
    }

    /// Aborts then, unless the pool has ended before.
    fn abort_at(self: &Arc<Self>, deadline: Instant) {
        let pool = Arc::downgrade(self);
        let timer = timer::call_at(deadline, move || {
            if let Some(pool) = pool.upgrade() {
                pool.abort();
            }
        });
        // Without a thread for timers there is no limit.
        if let Ok(timer) = timer {
            lock(&self.roster).limits.push(timer);
        }
    }
}

/// How a drain went.
enum Drained {
    All,
    /// It was not over in time.
    Late,
    /// It goes on without whoever has asked for it, who is in its way.
    Elsewhere,
}

thread_local! {
    /// The pools whose queues this thread empties, the latest last.
    static CLEARED: RefCell<Vec<*const Shared>> = const { RefCell::new(Vec::new()) };
}

/// While it lives, a thread that is no worker has a job in its hands that somebody may wait for, or takes jobs out of the queues and runs them;
/// and the pool is not at rest.
pub(super) struct Clearing<'a>(&'a Shared);

impl<'a> Clearing<'a> {
    pub(super) fn begin(shared: &'a Shared) -> Self {
        // The list is gone while the thread's own destructors run.
        let _ = CLEARED.try_with(|pools| pools.borrow_mut().push(shared));
        lock(&shared.roster).clearing += 1;
        Self(shared)
    }

    /// The same, but on a worker of the pool, which is down as one.
    pub(super) fn unless_worker(shared: &'a Arc<Shared>) -> Option<Self> {
        (!is_worker_of(shared)).then(|| Self::begin(shared))
    }

    /// Whether this very thread is at it: a job that it runs may shut the pool down.
    pub(super) fn is_here(shared: &Shared) -> bool {
        let is_listed = |pools: &RefCell<Vec<_>>| pools.borrow().contains(&ptr::from_ref(shared));
        CLEARED.try_with(is_listed).unwrap_or(false)
    }
}

impl Drop for Clearing<'_> {
    fn drop(&mut self) {
        let _ = CLEARED.try_with(|pools| pools.borrow_mut().pop());
        lock(&self.0.roster).clearing -= 1;
        self.0.tell_quiet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Pool;
    use std::sync::mpsc;
    use std::thread;

    /// The thread of a worker takes its time to end: a destructor of a thread-local value waits.
    #[test]
    fn nobody_says_done_while_another_waits_for_the_threads() {
        struct Slow(mpsc::Receiver<()>, mpsc::Sender<&'static str>);

        impl Drop for Slow {
            fn drop(&mut self) {
                let _ = self.0.recv();
                let _ = self.1.send("the thread");
            }
        }

        thread_local! {
            static SLOW: RefCell<Option<Slow>> = const { RefCell::new(None) };
        }

        let pool = Pool::builder().min_workers(1).max_workers(1).build().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (note, ends) = mpsc::channel();
        let slow = Slow(wait, note.clone());
        pool.submit(move || SLOW.set(Some(slow))).unwrap().join().unwrap();
        thread::scope(|scope| {
            let shut_down = || {
                let (pool, note) = (&pool, note.clone());
                scope.spawn(move || {
                    assert!(pool.shutdown().is_complete());
                    note.send("a shutdown").unwrap();
                })
            };
            let roster = || lock(&pool.shared().roster);
            let first = shut_down();
            while roster().live > 0 || roster().leaving > 0 || !roster().threads.is_empty() {
                thread::yield_now();
            }
            let second = shut_down();
            while !second.is_finished() && !pool.shared().quiet.has_waiters() {
                thread::yield_now();
            }
            drop(go);
            first.join().unwrap();
            second.join().unwrap();
        });
        drop(note);
        assert_eq!(ends.iter().collect::<Vec<_>>(), ["the thread", "a shutdown", "a shutdown"]);
    }
}
