//! A worker: takes jobs until there are none, looks a little longer, rests.

use super::cell::Meta;
use super::job::{JobId, Priority, WorkerId};
use super::light::{Done, Light};
use super::metrics::Tally;
use super::phase::End;
use super::queue::{Entry, Queued};
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
    /// The light ones among them.
    lights: Vec<JobId>,
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
        Some(desk.jobs.len() + desk.lights.len() - 1)
    }

    /// Takes a job off the desk, which is over like this, unless it was over before, and whose function ran for so long. The caller drops
    /// the entry with nothing locked.
    pub(super) fn leave(&self, job: &Meta, end: Option<End>, ran_for: Duration) -> Option<Entry> {
        let mut desk = lock(&self.desk);
        let at = desk.jobs.iter().rposition(|other| other.meta().id == job.id);
        let entry = at.map(|at| desk.jobs.remove(at));
        if let Some(end) = end {
            desk.tally.count(end);
        }
        desk.tally.ran(job.priority, ran_for);
        entry
    }

    /// Puts a light job on the desk, if jobs may still be begun, and takes down the one before it.
    pub(super) fn begin_light(&self, id: JobId, waited: Duration, before: Option<Done>) -> bool {
        let mut desk = lock(&self.desk);
        if let Some(before) = before {
            desk.end_light(before);
        }
        if desk.closed {
            desk.tally.count(End::Cancelled);
            return false;
        }
        desk.tally.waited(Priority::Normal, waited);
        desk.lights.push(id);
        true
    }

    /// Takes a light job down.
    pub(super) fn end_light(&self, done: Done) {
        lock(&self.desk).end_light(done);
    }

    /// The light jobs that run here.
    pub(super) fn lights(&self) -> Vec<JobId> {
        lock(&self.desk).lights.clone()
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

    /// A job is over like this that did not run here.
    pub(super) fn count(&self, end: End) {
        lock(&self.desk).tally.count(end);
    }

    pub(super) fn add_to(&self, sum: &mut Tally) {
        sum.add(&lock(&self.desk).tally);
    }
}

impl Desk {
    fn end_light(&mut self, done: Done) {
        if let Some(at) = self.lights.iter().rposition(|id| *id == done.id) {
            self.lights.swap_remove(at);
        }
        self.tally.count(done.end);
        self.tally.ran(Priority::Normal, done.ran_for);
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
    /// A light job that is done, and not yet in the books: it is taken down with the next, or before anything else is done.
    done: Cell<Option<Done>>,
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

/// The pool whose worker this thread is.
pub(super) fn pool_of_this_thread<T>(f: impl FnOnce(Option<&Arc<Shared>>) -> T) -> T {
    let worker = WORKER.try_with(|worker| worker.borrow().clone()).ok().flatten();
    f(worker.as_ref().map(|worker| &worker.shared))
}

/// What is to be done at this thread's desk: its own, if it is a worker of this pool.
pub(super) fn on_this_thread(shared: &Arc<Shared>, work: impl FnOnce(&Slot)) {
    match current(shared) {
        Some(worker) => work(&worker.slot),
        None => work(&shared.outside),
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
    if !job.begin(shared) {
        return;
    }
    let slot = worker.unwrap_or(&shared.outside);
    let began = Instant::now();
    let waited = began.saturating_duration_since(job.meta().submitted);
    let Some(depth) = slot.enter(job, waited) else {
        job.give_up(shared);
        return;
    };
    Arc::clone(job).perform(shared, began, worker, depth);
}

impl Worker {
    /// One that was called, and is counted as searching.
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self { shared, slot, searching: Cell::new(true), done: Cell::new(None) }
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
        worker.write_up();
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
                match job {
                    Queued::Light(light) => self.run_light(light),
                    Queued::Job(job) => {
                        self.write_up();
                        self.run(&job);
                        let _ = catch(|| drop(job));
                    }
                }
                if shared.crew.has_surplus()
                    && let Some(exit) = shared.leave_if_surplus()
                {
                    return exit;
                }
            } else if !self.searching.replace(true) {
                self.write_up();
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

    fn run_light(&self, light: Light) {
        let before = self.done.take();
        self.done.set(light.run(&self.shared, &self.slot, before));
    }

    /// Enters the last light job in the books.
    fn write_up(&self) {
        if let Some(done) = self.done.take() {
            self.slot.end_light(done);
        }
    }

    fn run(&self, job: &Entry) {
        run(&self.shared, job, Some(&self.slot));
    }
}
