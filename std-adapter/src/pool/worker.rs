//! A worker: takes jobs until there are none, looks a little longer, rests.

use super::job::{Priority, WorkerId};
use super::metrics::Tally;
use super::phase::End;
use super::queue::Entry;
use super::roster::{Exit, Rest};
use super::shared::Shared;
use crate::lock;
use crate::park::{Parker, Patience};
use crate::thread::catch;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A worker, as others see it.
pub(super) struct Slot {
    id: WorkerId,
    desk: Mutex<Desk>,
    /// What became of it while it rested.
    pub(super) fate: Mutex<Fate>,
}

/// What a worker has before it.
#[derive(Default)]
struct Desk {
    /// The jobs it runs: more than one where one waits for the next.
    jobs: Vec<Entry>,
    /// No job may be begun any more.
    closed: bool,
    /// Its share of the books.
    tally: Tally,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It rests, and is written down as resting.
    Resting,
    /// It was called: it searches.
    Called,
    /// It was told to go.
    Dismissed,
}

impl Slot {
    pub(super) fn new(id: WorkerId) -> Arc<Self> {
        let fate = Mutex::new(Fate::Called);
        Arc::new(Self { id, desk: Mutex::default(), fate })
    }

    pub(super) fn id(&self) -> WorkerId {
        self.id
    }

    /// Puts a job on the desk, if jobs may still be begun; says how many are below it.
    fn enter(&self, job: &Entry, waited: Duration) -> Option<usize> {
        let mut desk = lock(&self.desk);
        if desk.closed {
            return None;
        }
        desk.tally.waited(job.meta().priority, waited);
        desk.jobs.push(Arc::clone(job));
        Some(desk.jobs.len() - 1)
    }

    /// Takes a job off the desk.
    fn leave(&self, job: &Entry) {
        let mut desk = lock(&self.desk);
        let at = desk.jobs.iter().rposition(|other| Arc::ptr_eq(other, job));
        let job = at.map(|at| desk.jobs.remove(at));
        drop(desk);
        drop(job);
    }

    /// From now on no job is begun here; those that run.
    pub(super) fn close(&self) -> Vec<Entry> {
        let mut desk = lock(&self.desk);
        desk.closed = true;
        desk.jobs.clone()
    }

    /// The jobs that run here.
    pub(super) fn jobs(&self) -> Vec<Entry> {
        lock(&self.desk).jobs.clone()
    }

    /// A job is over like this; its function ran for so long, if it ran here.
    pub(super) fn count(&self, end: End, ran: Option<(Priority, Duration)>) {
        let mut desk = lock(&self.desk);
        desk.tally.count(end);
        if let Some((priority, time)) = ran {
            desk.tally.ran(priority, time);
        }
    }

    /// A function returned whose job had been over before.
    pub(super) fn count_late(&self, priority: Priority, time: Duration) {
        lock(&self.desk).tally.ran(priority, time);
    }

    pub(super) fn add_to(&self, sum: &mut Tally) {
        sum.add(&lock(&self.desk).tally);
    }
}

thread_local! {
    /// The worker that this thread is, if it is one.
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// A worker, as its own thread sees it.
pub(super) struct Worker {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// Whether the crew counts it as searching.
    searching: Cell<bool>,
}

/// Whether this thread is a worker of this pool.
pub(super) fn is_worker_of(shared: &Arc<Shared>) -> bool {
    current(shared).is_some()
}

fn current(shared: &Arc<Shared>) -> Option<Rc<Worker>> {
    // The key is gone while the thread's own destructors run.
    let worker = WORKER.try_with(|worker| worker.borrow().clone()).ok().flatten();
    worker.filter(|worker| Arc::ptr_eq(&worker.shared, shared))
}

/// On a worker of this pool: runs the job that it is about to wait for, if nobody has begun it.
pub(super) fn help(shared: &Arc<Shared>, job: impl FnOnce() -> Entry) {
    if let Some(worker) = current(shared) {
        let job = job();
        if job.has_turn() {
            worker.run(&job);
        }
    }
}

/// Runs a job on the thread that submitted it.
pub(super) fn run_here(shared: &Arc<Shared>, job: &Entry) {
    match current(shared) {
        Some(worker) => worker.run(job),
        None => run(shared, job, None),
    }
}

/// Runs a job, if it can still be begun, and passes the turn of its key on.
fn run(shared: &Arc<Shared>, job: &Entry, worker: Option<&Slot>) {
    run_one(shared, job, worker);
    let mut next = pass_turn(shared, job);
    while let Some(job) = next {
        run_one(shared, &job, worker);
        next = pass_turn(shared, &job);
        // The last hold on it may be ours, and what it returned has a destructor of the user's.
        let _ = catch(|| drop(job));
    }
    if worker.is_none() {
        shared.tell_quiet();
    }
}

/// Passes the turn of the job's key on; the next job is the caller's to run, if there is no place for it in the queue.
fn pass_turn(shared: &Arc<Shared>, job: &Entry) -> Option<Entry> {
    job.take_turn().and_then(|key| shared.next_of_key(key))
}

fn run_one(shared: &Arc<Shared>, job: &Entry, worker: Option<&Slot>) {
    if !job.begin() {
        return;
    }
    let slot = worker.unwrap_or(&shared.outside);
    let began = Instant::now();
    let waited = began.saturating_duration_since(job.meta().submitted);
    let Some(depth) = slot.enter(job, waited) else {
        job.give_up();
        return;
    };
    Arc::clone(job).perform(began, worker, depth);
    slot.leave(job);
}

impl Worker {
    /// One that was called, and is counted as searching.
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self { shared, slot, searching: Cell::new(true) }
    }

    /// The life of a worker's thread.
    pub(super) fn work(self) {
        let worker = Rc::new(self);
        let settings = &worker.shared.settings;
        // A worker that is lost by a panic outside of the jobs (in a hook, or in a policy) is accounted for, and replaced.
        let exit = catch(|| {
            settings.thread_started();
            WORKER.with(|current| *current.borrow_mut() = Some(Rc::clone(&worker)));
            worker.serve()
        });
        WORKER.with(|current| current.borrow_mut().take());
        let _ = catch(|| settings.thread_stopped());
        let exit = exit.unwrap_or(Exit::Lost { searching: worker.searching.get() });
        worker.shared.depart(&worker.slot, exit);
    }

    /// Serves until it has left, or was dismissed.
    fn serve(&self) -> Exit {
        let shared = &self.shared;
        // Workers begin their turns at different numbers, so that their aging does not coincide.
        let mut turn = self.slot.id.0.wrapping_mul(7);
        let mut patience = Patience::until(None);
        loop {
            if let Some(job) = shared.queues.take(turn) {
                turn = turn.wrapping_add(1);
                if self.searching.replace(false) && shared.crew.found() && !shared.queues.is_empty()
                {
                    shared.summon();
                }
                self.run(&job);
                let _ = catch(|| drop(job));
                if shared.crew.has_surplus()
                    && let Some(exit) = shared.leave_if_surplus()
                {
                    return exit;
                }
            } else if !self.searching.replace(true) {
                shared.crew.search();
                patience = Patience::until(None);
                shared.tell_quiet();
            } else if !patience.wait() {
                if let Some(exit) = self.rest() {
                    return exit;
                }
                patience = Patience::until(None);
            }
        }
    }

    /// Rests until called (none) or dismissed.
    fn rest(&self) -> Option<Exit> {
        let shared = &self.shared;
        let parker = Parker::borrow();
        let mut deadline = match shared.lie_down(&self.slot, parker.waker()) {
            Rest::Until(deadline) => deadline,
            Rest::Not => return None,
            Rest::Leave => {
                self.searching.set(false);
                return Some(Exit::Left);
            }
        };
        if !shared.queues.is_empty() && shared.get_up(&self.slot) {
            return None;
        }
        loop {
            let woken = parker.sleep(deadline);
            let fate = *lock(&self.slot.fate);
            match fate {
                Fate::Called => return None,
                Fate::Dismissed => break,
                Fate::Resting if woken => {}
                Fate::Resting => match shared.age_out(&self.slot) {
                    Rest::Until(later) => deadline = later,
                    // Called or dismissed in this moment: the letter is on its way.
                    Rest::Not => {}
                    Rest::Leave => break,
                },
            }
        }
        self.searching.set(false);
        Some(Exit::Left)
    }

    fn run(&self, job: &Entry) {
        run(&self.shared, job, Some(&self.slot));
    }
}
