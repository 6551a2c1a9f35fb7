//! Who works here: calling, adding and dismissing workers, all under one lock, which no job and no submission takes while things
//! go well.
//!
//! The lock is held for no system call but a wake's, and that which starts the thread of the timers where it does not run: workers are started with it released.

use super::builder::Settings;
use super::job::WorkerId;
use super::metrics::{Staff, Tally};
use super::scale::{Decision, Load, SCALE_EVENTS, ScaleEvent, ScaleReason};
use super::shared::Shared;
use super::worker::{Fate, Slot, Worker};
use crate::foreign::ask;
use crate::lock;
use crate::park::deadline_after;
use crate::thread::{Builder, JoinHandle, SpawnError};
use crate::timer::{self, Timer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard};
use std::task::Waker;
use std::time::{Duration, Instant};

pub(super) struct Roster {
    pub(super) life: Life,
    pub(super) min: usize,
    pub(super) max: usize,
    /// Workers, those counted that are being started, those not that were told to go.
    pub(super) live: usize,
    /// Threads that are being started.
    pub(super) hiring: usize,
    /// The last thread that was to be started was refused, or its worker lost at its start.
    pub(super) refused: bool,
    /// Of a worker's thread, in bytes.
    pub(super) stack_size: Option<usize>,
    /// Those that were told to go, and have not gone.
    pub(super) leaving: usize,
    /// Threads that are no workers and empty the queues, since there is no worker to be had.
    pub(super) clearing: usize,
    /// Those that rest; the last one that lay down is called first.
    resting: Vec<Resting>,
    pub(super) slots: BTreeMap<WorkerId, Arc<Slot>>,
    pub(super) threads: BTreeMap<WorkerId, JoinHandle<()>>,
    pub(super) next_id: usize,
    /// Places that are lent to threads of scopes, counted as live.
    pub(super) lent: usize,
    peak: usize,
    pub(super) spawn_failures: u64,
    scalings: u64,
    events: VecDeque<ScaleEvent>,
    changed: Duration,
    /// The books of workers that have gone.
    pub(super) departed: Tally,
    check: Option<Timer>,
    /// Those that abort a drain which a worker has begun. Dropped with the lock released.
    pub(super) limits: Vec<Timer>,
    /// Threads that somebody waits for, having taken them off the list.
    pub(super) joining: usize,
    last_check: Duration,
    /// The waits that had been counted at the last check.
    waits_then: super::Histogram,
    expired_then: u64,
}

struct Resting {
    slot: Arc<Slot>,
    waker: Waker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    Open,
    /// Nothing gets in; what is in is run.
    Draining,
    /// Nothing is begun.
    Aborted,
}

/// How a worker goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// It is down as leaving.
    Left,
    /// By a panic outside of its jobs: it is still counted.
    Lost {
        /// As one that searches.
        searching: bool,
        /// It had begun to serve: the hook at its start was not what panicked.
        started: bool,
    },
}

/// Whether a worker may rest.
pub(super) enum Rest {
    /// It may, until then; without an end if none is named.
    Until(Option<Instant>),
    /// It must look again.
    Not,
    /// It must go, and is down as leaving.
    Leave,
}

impl Roster {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            life: Life::Open,
            min: settings.min_workers,
            max: settings.max_workers,
            live: 0,
            hiring: 0,
            refused: false,
            stack_size: settings.stack_size,
            leaving: 0,
            clearing: 0,
            resting: Vec::new(),
            slots: BTreeMap::new(),
            threads: BTreeMap::new(),
            next_id: 0,
            lent: 0,
            peak: 0,
            spawn_failures: 0,
            scalings: 0,
            events: VecDeque::new(),
            changed: Duration::ZERO,
            departed: Tally::default(),
            check: None,
            limits: Vec::new(),
            joining: 0,
            last_check: Duration::ZERO,
            waits_then: super::Histogram::default(),
            expired_then: 0,
        }
    }

    pub(super) fn note(&mut self, shared: &Shared, from: usize, reason: ScaleReason) {
        if from == self.live {
            return;
        }
        self.changed = shared.built.elapsed();
        self.scalings += 1;
        if self.events.len() == SCALE_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(ScaleEvent { at: self.changed, from, to: self.live, reason });
        self.peak = self.peak.max(self.live);
    }

    /// No more checks; the caller drops the timer with the lock released.
    pub(super) fn check_off(&mut self) -> Option<Timer> {
        self.check.take()
    }

    /// How many there are too few.
    fn missing(&self) -> usize {
        self.min.saturating_sub(self.live)
    }

    fn take_out(&mut self, slot: &Arc<Slot>) -> bool {
        let at = self.resting.iter().position(|resting| Arc::ptr_eq(&resting.slot, slot));
        at.map(|at| self.resting.remove(at)).is_some()
    }
}

impl Shared {
    /// Before the first job.
    pub(super) fn open(&self) {
        self.update_notes(&lock(&self.roster));
    }

    /// The most workers that there may be now.
    pub(super) fn most(&self, roster: &Roster) -> usize {
        roster.max + self.away().min(self.settings.max_compensation)
    }

    /// Whether nobody is left who would come to what is queued: all are stuck, or their places are lent.
    pub(super) fn nobody_works(&self, roster: &Roster) -> bool {
        roster.live <= self.away() + roster.lent
    }

    /// Whether somebody rests who may get up: more than the most do not work at once, though more may be there for a while.
    fn may_call(&self, roster: &Roster) -> bool {
        let awake = roster.live - roster.resting.len();
        !roster.resting.is_empty() && awake < self.most(roster)
    }

    pub(super) fn update_notes(&self, roster: &Roster) {
        let most = self.most(roster);
        self.crew.set_resting(self.may_call(roster));
        // Closed: a submission that was half-way through comes to `summon`, which sees to its job.
        self.crew.set_room(roster.life != Life::Open || roster.live < most);
        self.crew.set_surplus(roster.live > most);
    }

    /// The books of all parties together.
    pub(super) fn add_tallies(&self, roster: &Roster) -> Tally {
        let mut sum = roster.departed.clone();
        roster.slots.values().for_each(|slot| slot.add_to(&mut sum));
        self.outside.add_to(&mut sum);
        sum
    }

    fn load(&self, roster: &Roster) -> Load {
        let now = self.built.elapsed();
        Load {
            now,
            queued: self.queues.len(),
            workers: roster.live,
            idle: roster.resting.len(),
            min: roster.min,
            max: self.most(roster),
            unchanged_for: now.saturating_sub(roster.changed),
            ..Load::default()
        }
    }

    /// Calls a worker for a job that was just queued, if none will come by itself.
    pub(super) fn call_if_needed(self: &Arc<Self>) {
        if self.crew.is_short_handed() {
            self.summon();
        }
    }

    /// Calls a worker if something is left in the queues that none will come to by itself.
    pub(super) fn call_if_left(self: &Arc<Self>) {
        if !self.queues.is_empty() {
            self.call_if_needed();
        }
    }

    /// Calls one worker, if that is still called for: the one that lay down last, or a new one.
    pub(super) fn summon(self: &Arc<Self>) {
        let mut roster = lock(&self.roster);
        if !self.crew.is_short_handed() {
            return;
        }
        if roster.life == Life::Aborted || (roster.life == Life::Draining && roster.live == 0) {
            drop(roster);
            return self.clear_up();
        }
        if self.may_call(&roster)
            && let Some(resting) = roster.resting.pop()
        {
            return self.call(roster, resting);
        }
        // Where nobody works, one comes unasked; while the pool drains, nobody else.
        let nobody_works = self.nobody_works(&roster);
        let may_grow = roster.live < self.most(&roster)
            && (roster.life == Life::Open || (nobody_works && !roster.refused));
        if may_grow && (nobody_works || self.policy_wants_more(&roster)) {
            // Refused a thread, another try would come to the same.
            let _ = self.hire(roster, ScaleReason::Submission);
        } else {
            self.update_notes(&roster);
            self.await_check(&mut roster, may_grow);
            let is_stuck = roster.life == Life::Draining && nobody_works;
            drop(roster);
            if is_stuck {
                // Whoever drains may have to run it.
                self.tell_quiet();
            }
        }
    }

    /// Nobody is to be had until something changes: the next check, at the latest, if one may come. Without checks each submission tries.
    fn await_check(self: &Arc<Self>, roster: &mut Roster, may_come: bool) {
        if may_come {
            self.arm_check(roster);
        }
        self.crew.set_room(may_come && roster.check.is_none());
    }

    /// Asks the policy about a submission. One that panics has said no: whoever asks may be a worker with a job in its hands.
    fn policy_wants_more(&self, roster: &Roster) -> bool {
        let load = self.load(roster);
        ask(|| self.settings.policy.on_submit(&load)).unwrap_or(false)
    }

    /// Wakes one that was taken off the list of those that rest.
    fn call(&self, roster: MutexGuard<'_, Roster>, resting: Resting) {
        self.crew.search();
        self.crew.set_resting(self.may_call(&roster));
        *lock(&resting.slot.fate) = Fate::Called;
        drop(roster);
        resting.waker.wake();
    }

    /// Adds a worker. Refused a thread, the pool goes on with those that it has; the next check tries again, or the next submission.
    fn hire(
        self: &Arc<Self>,
        mut roster: MutexGuard<'_, Roster>,
        reason: ScaleReason,
    ) -> Result<(), SpawnError> {
        let id = WorkerId(roster.next_id);
        roster.next_id += 1;
        let slot = Slot::new(id);
        roster.slots.insert(id, Arc::clone(&slot));
        roster.live += 1;
        let from = roster.live - 1;
        roster.note(self, from, reason);
        self.crew.search();
        self.update_notes(&roster);
        self.arm_check(&mut roster);
        let mut builder = Builder::new().name(format!("{}-{}", self.settings.name, id.0));
        if let Some(bytes) = roster.stack_size {
            builder = builder.stack_size(bytes);
        }
        roster.hiring += 1;
        drop(roster);
        let worker = Worker::new(Arc::clone(self), slot);
        let spawned = builder.spawn(move || worker.work());
        let mut roster = lock(&self.roster);
        roster.hiring -= 1;
        let hired = match spawned {
            Ok(thread) => {
                let is_there = roster.slots.contains_key(&id);
                // If it has gone already, nobody is left to take it off the list; but a shutdown waits for the thread.
                if is_there || roster.life != Life::Open {
                    roster.threads.insert(id, thread);
                }
                // Gone, it has said itself how it went.
                roster.refused &= !is_there;
                Ok(())
            }
            Err(error) => {
                roster.refused = true;
                roster.slots.remove(&id);
                roster.live -= 1;
                roster.spawn_failures += 1;
                let from = roster.live + 1;
                roster.note(self, from, ScaleReason::Refused);
                self.crew.rest();
                self.update_notes(&roster);
                self.await_check(&mut roster, true);
                Err(error)
            }
        };
        drop(roster);
        self.tell_quiet();
        hired
    }

    /// Starts the fewest workers that there may be.
    pub(super) fn hire_fewest(self: &Arc<Self>, reason: ScaleReason) -> Result<(), SpawnError> {
        let missing = lock(&self.roster).missing();
        // No more than are missing now: one that comes may go at once, by a panic of its hook.
        for _ in 0..missing {
            let roster = lock(&self.roster);
            if roster.life != Life::Open || roster.missing() == 0 {
                break;
            }
            self.hire(roster, reason)?;
        }
        Ok(())
    }

    /// A searcher lies down, if it may. Then it must look at the queues once more.
    pub(super) fn lie_down(&self, slot: &Arc<Slot>, waker: &Waker) -> Rest {
        let mut roster = lock(&self.roster);
        let reason = if roster.life != Life::Open {
            // Nobody would call it.
            if !self.queues.is_empty() {
                return Rest::Not;
            }
            ScaleReason::Shutdown
        } else if roster.live > self.most(&roster) {
            ScaleReason::Surplus
        } else {
            *lock(&slot.fate) = Fate::Resting;
            roster.resting.push(Resting { slot: Arc::clone(slot), waker: waker.clone() });
            self.crew.set_resting(true);
            self.crew.rest();
            return Rest::Until(self.keep_until(&roster));
        };
        self.strike(&mut roster, reason);
        self.crew.rest();
        Rest::Leave
    }

    fn keep_until(&self, roster: &Roster) -> Option<Instant> {
        (roster.live > roster.min).then(|| deadline_after(self.settings.keep_alive)).flatten()
    }

    /// One worker fewer, which will have left when it says so.
    fn strike(&self, roster: &mut Roster, reason: ScaleReason) {
        roster.live -= 1;
        roster.leaving += 1;
        let from = roster.live + 1;
        roster.note(self, from, reason);
        self.update_notes(roster);
    }

    /// One that rests has seen work: it searches. False if somebody has called or dismissed it already.
    pub(super) fn get_up(&self, slot: &Arc<Slot>) -> bool {
        let mut roster = lock(&self.roster);
        let was_in = roster.take_out(slot);
        if was_in {
            *lock(&slot.fate) = Fate::Called;
            self.crew.search();
            self.crew.set_resting(self.may_call(&roster));
        }
        was_in
    }

    /// The time of one that rests has come.
    pub(super) fn age_out(&self, slot: &Arc<Slot>) -> Rest {
        let mut roster = lock(&self.roster);
        if roster.live <= roster.min {
            return Rest::Until(None);
        }
        if !roster.take_out(slot) {
            return Rest::Not;
        }
        self.strike(&mut roster, ScaleReason::KeepAlive);
        Rest::Leave
    }

    /// Between two jobs: goes, if there are too many.
    pub(super) fn leave_if_surplus(&self) -> Option<Exit> {
        let mut roster = lock(&self.roster);
        if roster.live <= self.most(&roster) {
            self.update_notes(&roster);
            return None;
        }
        self.strike(&mut roster, ScaleReason::Surplus);
        Some(Exit::Left)
    }

    /// Tells up to `count` of those that rest to go, those first that have rested longest.
    fn dismiss(&self, roster: &mut Roster, count: usize, reason: ScaleReason) -> Vec<Waker> {
        let count = count.min(roster.resting.len());
        let dismissed: Vec<Resting> = roster.resting.drain(..count).collect();
        let mut wakers = Vec::with_capacity(count);
        for resting in dismissed {
            *lock(&resting.slot.fate) = Fate::Dismissed;
            self.strike(roster, reason);
            wakers.push(resting.waker);
        }
        wakers
    }

    /// A worker's thread is about to end.
    pub(super) fn depart(self: &Arc<Self>, slot: &Arc<Slot>, exit: Exit) {
        lock(&self.away).forget(slot.id());
        let mut roster = lock(&self.roster);
        if let Exit::Lost { searching, .. } = exit {
            self.strike(&mut roster, ScaleReason::Lost);
            if searching {
                self.crew.rest();
            }
        }
        roster.leaving -= 1;
        roster.slots.remove(&slot.id());
        slot.add_to(&mut roster.departed);
        // A shutdown waits for the thread itself to end.
        let thread = (roster.life == Life::Open).then(|| roster.threads.remove(&slot.id()));
        self.update_notes(&roster);
        let has_failed = matches!(exit, Exit::Lost { started: false, .. });
        roster.refused |= has_failed;
        if has_failed && roster.life == Life::Open {
            // As where the system refuses a thread: the next check tries again. At once, it would be without end if the hook always panics.
            self.crew.set_room(false);
            self.arm_check(&mut roster);
        }
        let has_ended = roster.life != Life::Open && roster.live == 0 && roster.leaving == 0;
        let limits = has_ended.then(|| std::mem::take(&mut roster.limits));
        drop(roster);
        drop((thread, limits));
        if exit != Exit::Left && !has_failed {
            let _ = self.hire_fewest(ScaleReason::Lost);
        }
        self.fit_door();
        // It may have left a job to somebody who relied on it.
        self.call_if_left();
        self.tell_quiet();
    }

    /// Changes the bounds.
    pub(super) fn set_bounds(self: &Arc<Self>, min: usize, max: usize) -> Result<(), SpawnError> {
        let mut roster = lock(&self.roster);
        (roster.min, roster.max) = (min, max);
        let surplus = roster.live.saturating_sub(self.most(&roster));
        let mut wakers = self.dismiss(&mut roster, surplus, ScaleReason::Resized);
        // Those that rest without a limit may have one now: let them lie down again.
        wakers.extend(self.call_all(&mut roster));
        self.update_notes(&roster);
        self.arm_check(&mut roster);
        drop(roster);
        wakers.into_iter().for_each(Waker::wake);
        self.fit_door();
        self.hire_fewest(ScaleReason::Resized)?;
        self.call_if_left();
        Ok(())
    }

    /// Everybody who rests searches; the caller wakes them.
    pub(super) fn call_all(&self, roster: &mut Roster) -> Vec<Waker> {
        let resting = std::mem::take(&mut roster.resting);
        self.crew.set_resting(false);
        resting
            .into_iter()
            .map(|resting| {
                *lock(&resting.slot.fate) = Fate::Called;
                self.crew.search();
                resting.waker
            })
            .collect()
    }

    /// Sees to it that somebody looks at the load after a while, if there is anything to decide.
    fn arm_check(self: &Arc<Self>, roster: &mut Roster) {
        // With one in the place of another it is not.
        let fixed = roster.min == roster.max
            && roster.live == roster.min
            && roster.live >= self.most(roster);
        if roster.life != Life::Open || roster.check.is_some() || fixed {
            return;
        }
        let Some(at) = deadline_after(self.settings.check_interval) else { return };
        let pool = Arc::downgrade(self);
        // Without a thread for timers there are no checks; submissions and keep-alive still scale.
        roster.check = timer::call_at(at, move || {
            if let Some(pool) = pool.upgrade() {
                pool.check();
            }
        })
        .ok();
    }

    /// Looks at the load, and lets the policy decide.
    fn check(self: &Arc<Self>) {
        let mut roster = lock(&self.roster);
        let over = roster.check.take();
        if roster.life != Life::Open {
            drop(roster);
            drop(over);
            return;
        }
        let books = self.add_tallies(&roster);
        let (waits, expired) = (books.waits(), books.all_expired());
        let window = waits.since(&roster.waits_then);
        let mut load = self.load(&roster);
        load.expired = expired - std::mem::replace(&mut roster.expired_then, expired);
        load.begun = window.count() - load.expired;
        load.p95_wait = window.quantile(0.95);
        load.window = load.now.saturating_sub(roster.last_check);
        (roster.waits_then, roster.last_check) = (waits, load.now);
        let mut wakers = Vec::new();
        // There are too few where one was refused, or failed at its start.
        let mut more = roster.missing();
        // A policy that panics has said nothing; the next check must still come.
        match ask(|| self.settings.policy.on_check(&load)).unwrap_or(Decision::Hold) {
            Decision::Hold => {}
            Decision::Grow(count) => {
                more = count.max(more).min(self.most(&roster).saturating_sub(roster.live));
            }
            Decision::Shrink(count) => {
                let count = count.min(roster.live.saturating_sub(roster.min));
                wakers = self.dismiss(&mut roster, count, ScaleReason::Check);
            }
        }
        self.update_notes(&roster);
        // Asleep where there is nothing to do and nobody to let go.
        if roster.live > roster.min || load.queued > 0 {
            self.arm_check(&mut roster);
        }
        drop(roster);
        drop(over);
        wakers.into_iter().for_each(Waker::wake);
        for _ in 0..more {
            let roster = lock(&self.roster);
            if roster.life != Life::Open
                || roster.live >= self.most(&roster)
                || self.hire(roster, ScaleReason::Check).is_err()
            {
                break;
            }
        }
        self.call_if_left();
    }

    pub(super) fn staff(&self) -> Staff {
        let roster = lock(&self.roster);
        let away = lock(&self.away);
        Staff {
            workers: roster.live,
            idle: roster.resting.len(),
            overdue: away.overdue(),
            blocking: away.blocking(),
            peak: roster.peak,
            spawn_failures: roster.spawn_failures,
            scalings: roster.scalings,
            scale_events: roster.events.iter().cloned().collect(),
        }
    }
}
