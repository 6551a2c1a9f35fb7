//! Who is in a worker's place, or has another in his: jobs that block or are late, and threads of scopes.

use super::job::WorkerId;
use super::roster::{Life, Roster};
use super::scale::ScaleReason;
use super::shared::Shared;
use super::worker::Slot;
use crate::lock;
use std::cell::RefCell;
use std::sync::{Arc, MutexGuard};

impl Shared {
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

    /// A job waits without using a processor, until the guard is dropped.
    pub(super) fn begin_blocking(self: &Arc<Self>) -> Blocking {
        lock(&self.roster).blocking += 1;
        self.replace_overdue();
        Blocking(Arc::clone(self))
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
pub(super) struct Blocking(Arc<Shared>);

impl Blocking {
    /// Whether another worker may be in the place of this one.
    pub(super) fn is_made_up_for(&self) -> bool {
        let roster = lock(&self.0.roster);
        self.0.overdue() + roster.blocking <= self.0.settings.max_compensation
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        lock(&self.0.roster).blocking -= 1;
        self.0.fewer_may_be();
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
