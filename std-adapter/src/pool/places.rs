//! Who is in a worker's place, or has another in his: workers whose jobs block or are late, and threads of scopes.

use super::job::WorkerId;
use super::roster::{Life, Roster};
use super::scale::ScaleReason;
use super::shared::Shared;
use super::worker::Slot;
use super::worker::this_worker;
use crate::lock;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

/// Workers that are stuck: in a job that is over, or in a blocking section. However often a worker is in here, it is one.
#[derive(Default)]
pub(super) struct Away {
    workers: BTreeMap<WorkerId, Stuck>,
}

#[derive(Default)]
struct Stuck {
    /// The jobs inside each other that are over, and run.
    late: usize,
    /// The blocking sections inside each other.
    sections: usize,
}

impl Away {
    fn change(&mut self, worker: WorkerId, change: impl FnOnce(&mut Stuck)) {
        let stuck = self.workers.entry(worker).or_default();
        change(stuck);
        if stuck.late == 0 && stuck.sections == 0 {
            self.workers.remove(&worker);
        }
    }

    /// The worker's thread is about to end.
    pub(super) fn forget(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }

    /// Workers that run a job beyond its end.
    pub(super) fn overdue(&self) -> usize {
        self.workers.values().filter(|stuck| stuck.late > 0).count()
    }

    /// Blocking sections.
    pub(super) fn blocking(&self) -> usize {
        self.workers.values().map(|stuck| stuck.sections).sum()
    }
}

impl Shared {
    /// How many workers are stuck.
    pub(super) fn away(&self) -> usize {
        lock(&self.away).workers.len()
    }

    /// A worker runs a job beyond its end; or has come back from it.
    pub(super) fn note_overdue(&self, worker: WorkerId, is_so: bool) {
        let change = |late: usize| if is_so { late + 1 } else { late.saturating_sub(1) };
        lock(&self.away).change(worker, |stuck| stuck.late = change(stuck.late));
    }

    /// A worker became overdue or blocked: others may come in its place.
    pub(super) fn replace_overdue(self: &Arc<Self>) {
        self.update_notes(&lock(&self.roster));
        self.fit_door();
        self.call_if_left();
    }

    /// A job that was overdue or blocked goes on. Workers that are too many now are not called while they rest, and go after their jobs.
    pub(super) fn fewer_may_be(&self) {
        self.update_notes(&lock(&self.roster));
        self.fit_door();
    }

    /// Without a queue: as many jobs are let in as there may be workers for them now.
    pub(super) fn fit_door(&self) {
        let Some(door) = &self.door else { return };
        let most = || {
            let roster = lock(&self.roster);
            self.most(&roster).saturating_sub(roster.lent)
        };
        // With nothing locked, since it wakes who waits. Of several that do this at once, the last one looks once more.
        let mut permits = most();
        loop {
            // Bounds are far below the most permits.
            let _ = door.resize(permits);
            let now = most();
            if now == permits {
                return;
            }
            permits = now;
        }
    }

    /// A job of this worker waits without using a processor, until the guard is dropped.
    pub(super) fn begin_blocking(self: &Arc<Self>, worker: WorkerId) -> Blocking {
        lock(&self.away).change(worker, |stuck| stuck.sections += 1);
        self.replace_overdue();
        Blocking { pool: Arc::clone(self), worker }
    }

    /// The same, if this thread is a worker of this pool.
    pub(super) fn begin_blocking_here(self: &Arc<Self>) -> Option<Blocking> {
        this_worker(self).map(|worker| self.begin_blocking(worker))
    }

    /// A worker's place for a thread of a scope, if one is free.
    pub(super) fn lend_place(self: &Arc<Self>) -> Option<Place> {
        // Without a queue: not one for which a job was let in. It is ours until there is one fewer.
        let permit = self.door.as_ref().map(|door| Arc::clone(door).try_acquire_owned());
        let _permit = permit.transpose().ok()?;
        let mut roster = lock(&self.roster);
        if roster.live >= self.most(&roster) || roster.life != Life::Open {
            return None;
        }
        let id = WorkerId(roster.next_id);
        roster.next_id += 1;
        let slot = Slot::new(id);
        roster.slots.insert(id, Arc::clone(&slot));
        roster.lent += 1;
        self.count_lent(roster, |live| live + 1);
        Some(Place { pool: Arc::clone(self), slot })
    }

    /// The system refused the thread of a scope.
    pub(super) fn note_refused_thread(&self) {
        lock(&self.roster).spawn_failures += 1;
    }

    fn take_place_back(self: &Arc<Self>) {
        let mut roster = lock(&self.roster);
        roster.lent -= 1;
        self.count_lent(roster, |live| live - 1);
        // Jobs may have found no room for a worker meanwhile.
        self.call_if_left();
        self.tell_quiet();
    }

    /// The thread of a scope that has given its place back goes on. If there are too many then, a worker goes after its job.
    fn take_place_again(&self) {
        let mut roster = lock(&self.roster);
        roster.lent += 1;
        self.count_lent(roster, |live| live + 1);
    }

    /// Goes with every change of the places that are lent.
    fn count_lent(&self, mut roster: MutexGuard<'_, Roster>, live: impl FnOnce(usize) -> usize) {
        let from = roster.live;
        roster.live = live(from);
        roster.note(self, from, ScaleReason::Scope);
        self.update_notes(&roster);
        drop(roster);
        self.fit_door();
    }
}

/// A blocking section. Dropping it ends it.
pub(super) struct Blocking {
    pool: Arc<Shared>,
    worker: WorkerId,
}

impl Blocking {
    /// Whether another worker may be in the place of this one.
    pub(super) fn is_made_up_for(&self) -> bool {
        self.pool.away() <= self.pool.settings.max_compensation
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        lock(&self.pool.away)
            .change(self.worker, |stuck| stuck.sections = stuck.sections.saturating_sub(1));
        self.pool.fewer_may_be();
    }
}

/// A place among the workers, with a desk, lent to a thread of a scope. Dropping it gives it back.
pub(super) struct Place {
    pool: Arc<Shared>,
    slot: Arc<Slot>,
}

/// As a thread that is in a place knows it.
type Lent = (Arc<Shared>, Arc<Slot>);

thread_local! {
    /// The place that this thread is in.
    static LENT: RefCell<Option<Lent>> = const { RefCell::new(None) };
}

impl Place {
    /// This thread is in that place while `f` runs, which does not panic.
    pub(super) fn hold(&self, f: impl FnOnce()) {
        LENT.set(Some((Arc::clone(&self.pool), Arc::clone(&self.slot))));
        f();
        LENT.take();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut roster = lock(&self.pool.roster);
        roster.slots.remove(&self.slot.id());
        self.slot.add_to(&mut roster.departed);
        drop(roster);
        self.pool.take_place_back();
    }
}

/// The desk of the place of this pool that this thread is in.
pub(super) fn here(shared: &Arc<Shared>) -> Option<Arc<Slot>> {
    let is_of = |(pool, _): &&Lent| Arc::ptr_eq(pool, shared);
    let slot = |lent: &RefCell<Option<Lent>>| {
        lent.borrow().as_ref().filter(is_of).map(|(_, slot)| Arc::clone(slot))
    };
    // The key is gone while the thread's own destructors run.
    LENT.try_with(slot).ok().flatten()
}

/// Waits for something that may need a worker of this pool. If this thread is in the place of one, it gives that back meanwhile.
pub(super) fn wait<T>(shared: &Arc<Shared>, wait: impl FnOnce() -> T) -> T {
    /// Takes the place again, whatever happens.
    struct Away(Option<Lent>);

    impl Drop for Away {
        fn drop(&mut self) {
            if let Some((pool, _)) = &self.0 {
                pool.take_place_again();
                LENT.set(self.0.take());
            }
        }
    }

    // The key is gone while the thread's own destructors run, and with it the place.
    let lent =
        LENT.try_with(|lent| lent.borrow_mut().take_if(|(pool, _)| Arc::ptr_eq(pool, shared)));
    let away = Away(lent.ok().flatten());
    if let Some((pool, _)) = &away.0 {
        pool.take_place_back();
    }
    wait()
}

#[cfg(test)]
mod tests {
    use crate::lock;
    use crate::pool::{Job, JobHandle, Pool, Work};
    use std::sync::mpsc;
    use std::time::Duration;

    /// From now on the system refuses this pool all threads; or none.
    fn refuse_threads(pool: &Pool, is_so: bool) {
        lock(&pool.shared().roster).stack_size = is_so.then_some(usize::MAX / 2);
    }

    /// The outcome, which would never come if nobody came to the job.
    fn joined<R: 'static>(mut job: JobHandle<R>) -> R {
        let outcome = job.join_timeout(Duration::from_secs(60)).expect("nobody comes to it");
        outcome.unwrap().value
    }

    /// Its job blocks, and has the only worker, until it receives something; and threads are refused from now on.
    fn blocked(pool: &Pool) -> (mpsc::Sender<u32>, JobHandle<u32>) {
        let (send, receive) = mpsc::channel();
        let job = Job::with_context(move |job| job.blocking(|| receive.recv().unwrap()));
        let job = submitted(pool, job);
        while pool.metrics().blocking == 0 {
            std::thread::yield_now();
        }
        refuse_threads(pool, true);
        (send, job)
    }

    fn submitted<W: Work>(pool: &Pool, job: Job<W>) -> JobHandle<W::Output> {
        pool.submit_job(job).unwrap()
    }

    /// Where no check comes, the next submission is the next try, also for what was queued before.
    #[test]
    fn a_pool_without_checks_tries_again_with_the_next_submission() {
        let pool = Pool::builder().max_workers(1).check_interval(Duration::MAX).build().unwrap();
        refuse_threads(&pool, true);
        let waits = pool.submit(|| 7).unwrap();
        assert_eq!(pool.metrics().spawn_failures, 1, "one try for one submission");
        refuse_threads(&pool, false);
        let next = pool.submit(|| 8).unwrap();
        assert_eq!((joined(waits), joined(next)), (7, 8));
    }

    /// The only worker waits for what is queued, and nobody is to be had: whoever shuts down runs that.
    #[test]
    fn a_shutdown_runs_what_nobody_comes_to() {
        let pool = Pool::builder().max_workers(1).check_interval(Duration::MAX).build().unwrap();
        let (send, blocked) = blocked(&pool);
        let waits = pool.submit(move || send.send(7).unwrap()).unwrap();
        let (ended, wait) = mpsc::channel();
        let inner = pool.clone();
        std::thread::spawn(move || ended.send(inner.shutdown().is_complete()));
        assert_eq!(wait.recv_timeout(Duration::from_secs(60)), Ok(true));
        assert_eq!(joined(blocked), 7);
        assert!(waits.is_finished());
    }

    /// The same where it begins to wait for that only when the shutdown waits for it.
    #[test]
    fn a_shutdown_that_waits_runs_what_nobody_comes_to() {
        let pool = Pool::builder().max_workers(2).check_interval(Duration::MAX).build().unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (send, receive) = mpsc::channel();
        let (tell, begun) = mpsc::channel();
        let first = Job::with_context(move |job| {
            tell.send(()).unwrap();
            let _ = wait.recv();
            job.blocking(|| receive.recv().unwrap())
        });
        let first = submitted(&pool, first);
        begun.recv().unwrap();
        refuse_threads(&pool, true);
        let waits = pool.submit(move || send.send(7).unwrap()).unwrap();
        assert!(pool.metrics().spawn_failures > 0 && !waits.is_finished());
        let (ended, end) = mpsc::channel();
        let inner = pool.clone();
        std::thread::spawn(move || ended.send(inner.shutdown().is_complete()));
        while !(pool.is_shut_down() && pool.shared().quiet.has_waiters()) {
            std::thread::yield_now();
        }
        drop(go);
        assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(true));
        assert_eq!(joined(first), 7);
    }

    /// The same where a worker shuts the pool down, once there are threads again.
    #[test]
    fn a_worker_that_shuts_down_has_what_nobody_came_to_run() {
        let pool = Pool::builder().max_workers(1).check_interval(Duration::MAX).build().unwrap();
        refuse_threads(&pool, false);
        let inner = pool.clone();
        let first = Job::with_context(move |job| {
            let (send, receive) = mpsc::channel();
            job.blocking(|| {
                refuse_threads(&inner, true);
                drop(job.submit(move || send.send(7).unwrap()).unwrap());
                refuse_threads(&inner, false);
                inner.shutdown();
                receive.recv().unwrap()
            })
        });
        assert_eq!(joined(submitted(&pool, first)), 7);
        assert!(pool.shutdown().is_complete());
    }
}
