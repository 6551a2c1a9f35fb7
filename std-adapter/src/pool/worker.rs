//! A worker: takes jobs until there are none, looks a little longer, rests.

use super::cell::Meta;
use super::job::{JobId, WorkerId};
use super::light::{Done, Light, TICK};
use super::metrics::Tally;
use super::phase::End;
use super::queue::{Entry, Queued};
use super::roster::{Exit, Rest};
use super::shared::Shared;
use super::shutdown::Clearing;
use super::stretch::Stretch;
use crate::foreign::{self, discard};
use crate::lock;
use crate::park::{Parker, Patience};
use crate::thread::catch;
use std::cell::{Cell, RefCell};
use std::ptr;
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

    /// Puts a job on the desk, if jobs may still be begun.
    fn enter(&self, job: &Entry, waited: Duration) -> bool {
        let mut desk = lock(&self.desk);
        if desk.closed {
            return false;
        }
        desk.tally.waited(job.meta().priority, waited);
        desk.jobs.push(Arc::clone(job));
        true
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
    pub(super) fn begin_light(&self, id: JobId, before: Option<Done>) -> bool {
        let mut desk = lock(&self.desk);
        if let Some(before) = before {
            desk.end_light(before);
        }
        if desk.closed {
            desk.tally.count(End::Cancelled);
            return false;
        }
        desk.lights.push(id);
        true
    }

    /// Takes a light job down, if there is one, and notes times.
    /// Says whether it ran inside of a job with an outcome, which may be over.
    pub(super) fn end_light(&self, done: Option<Done>, times: impl FnOnce(&mut Tally)) -> bool {
        let mut desk = lock(&self.desk);
        if let Some(done) = done {
            desk.end_light(done);
        }
        times(&mut desk.tally);
        !desk.jobs.is_empty()
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
    }
}

thread_local! {
    /// The worker that this thread is, if it is one.
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
    /// The pool that this thread was started for, until it has ended: destructors of thread-local values know it, too.
    static STARTED_FOR: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// So many jobs for which there was no room a thread runs inside of each other: a job that submits the next one is no tower then, however
/// long the chain.
const DEEP: usize = 32;

thread_local! {
    /// How many of them this thread runs.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// While it lives, this thread runs one more job for which there was no room, or which nobody else came to.
pub(super) struct Inside(());

impl Inside {
    pub(super) fn one_more() -> Self {
        INSIDE.set(INSIDE.get() + 1);
        Self(())
    }

    /// Whether this thread runs as many as it may.
    pub(super) fn is_deep() -> bool {
        INSIDE.get() >= DEEP
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(INSIDE.get() - 1);
    }
}

/// A worker, as its own thread sees it.
pub(super) struct Worker {
    shared: Arc<Shared>,
    slot: Arc<Slot>,
    /// Whether the crew counts it as searching.
    searching: Cell<bool>,
    /// A light job that is done, and on the desk yet: it is taken down with the next, or before anything else is done.
    done: Cell<Option<Done>>,
    /// The times of light jobs that are over and not yet in the books.
    stretch: RefCell<Stretch>,
    /// The [tick](Shared::show_time) that this worker has shown; 0 if it shows none.
    shown: Cell<u64>,
}

/// Whether this thread is a worker of this pool.
pub(super) fn is_worker_of(shared: &Arc<Shared>) -> bool {
    current(shared).is_some()
}

/// Whether this thread was started for this pool. Whoever waits for all threads of the pool waits for this one.
pub(super) fn is_thread_of(shared: &Shared) -> bool {
    ptr::eq(STARTED_FOR.get(), shared)
}

/// The worker of this pool that this thread is.
pub(super) fn this_worker(shared: &Arc<Shared>) -> Option<WorkerId> {
    current(shared).map(|worker| worker.slot.id)
}

fn current(shared: &Arc<Shared>) -> Option<Rc<Worker>> {
    // The key is gone while the thread's own destructors run.
    let worker = WORKER.try_with(|worker| worker.borrow().clone()).ok().flatten();
    worker.filter(|worker| Arc::ptr_eq(&worker.shared, shared))
}

/// Whether this thread runs jobs of this pool that it is about to wait for: a worker, or one that does what there is no worker for.
pub(super) fn may_help(shared: &Arc<Shared>) -> bool {
    is_worker_of(shared) || Clearing::is_here(shared)
}

/// Where this thread [may](may_help): runs the job that it is about to wait for, if nobody has begun it. If that stands in the line of
/// its key, those before it come first, as far as nobody has begun them.
pub(super) fn help(shared: &Arc<Shared>, job: &Entry) {
    if !may_help(shared) {
        return;
    }
    while let Some(first) = job.line().and_then(|key| shared.lines.first(key)) {
        let has_gone_on = run_inside(shared, &first);
        discard(first);
        if !has_gone_on {
            return;
        }
    }
    run_inside(shared, job);
}

/// Whether this thread is a worker of this pool that runs a job with a key.
pub(super) fn has_turn_here(shared: &Arc<Shared>) -> bool {
    current(shared).is_some_and(|worker| worker.slot.jobs().iter().any(|job| job.meta().is_keyed))
}

/// The pool whose worker this thread is.
pub(super) fn pool_of_this_thread<T>(f: impl FnOnce(Option<&Arc<Shared>>) -> T) -> T {
    let worker = WORKER.try_with(|worker| worker.borrow().clone()).ok().flatten();
    f(worker.as_ref().map(|worker| &worker.shared))
}

/// Runs a light job inside of another, if this thread is a worker of this pool; else hands it back.
pub(super) fn run_on_this_worker(shared: &Arc<Shared>, light: Light) -> Result<(), Light> {
    match current(shared) {
        Some(worker) => {
            worker.run_inside(light);
            Ok(())
        }
        None => Err(light),
    }
}

/// Runs a job on this thread, inside of another one if it is a worker; false if it can be neither begun nor passed over.
pub(super) fn run_inside(shared: &Arc<Shared>, job: &Entry) -> bool {
    match current(shared) {
        Some(worker) => {
            let has_gone_on = worker.run(job);
            // The one around it may be over, and its function may run on for hours.
            shared.tell_quiet();
            has_gone_on
        }
        None => run(shared, job, None),
    }
}

/// Runs a job, if it can be begun, and passes the turn of its key on, if that can be taken. False if neither.
fn run(shared: &Arc<Shared>, job: &Entry, worker: Option<&Slot>) -> bool {
    // Those behind it wait for it; and it may itself shut the pool down.
    let is_alone = worker.is_none() && job.meta().is_keyed;
    let _clearing = is_alone.then(|| Clearing::begin(shared));
    let begun = run_one(shared, job, worker);
    let key = job.take_turn();
    let mut next = key.and_then(|key| shared.next_of_key(key));
    while let Some(job) = next {
        run_one(shared, &job, worker);
        next = job.take_turn().and_then(|key| shared.next_of_key(key));
        // The last hold on it may be ours, and what it returned has a destructor of the user's.
        discard(job);
    }
    if worker.is_none() {
        shared.tell_quiet();
    }
    begun || key.is_some()
}

/// Runs a job; false if it could not be begun.
fn run_one(shared: &Arc<Shared>, job: &Entry, worker: Option<&Slot>) -> bool {
    if !job.begin(shared) {
        return false;
    }
    let slot = worker.unwrap_or(&shared.outside);
    let began = Instant::now();
    let now = shared.age_at(began);
    shared.doubt_time(now);
    let waited = Duration::from_nanos(now.saturating_sub(job.meta().submitted));
    if slot.enter(job, waited) {
        Arc::clone(job).perform(shared, began, worker);
    } else {
        job.give_up(shared);
    }
    true
}

impl Worker {
    /// One that was called, and is counted as searching.
    pub(super) fn new(shared: Arc<Shared>, slot: Arc<Slot>) -> Self {
        Self {
            shared,
            slot,
            searching: Cell::new(true),
            done: Cell::new(None),
            stretch: RefCell::default(),
            shown: Cell::new(0),
        }
    }

    /// The life of a worker's thread.
    pub(super) fn work(self) {
        let worker = Rc::new(self);
        let settings = &worker.shared.settings;
        // A worker that is lost by a panic outside of the jobs (in a hook) is accounted for, and replaced.
        let mut started = false;
        STARTED_FOR.set(Arc::as_ptr(&worker.shared));
        WORKER.with(|current| *current.borrow_mut() = Some(Rc::clone(&worker)));
        let exit = catch(|| {
            settings.thread_started();
            started = true;
            // The hook may have run a job, after all others were over.
            worker.shared.tell_quiet();
            worker.serve()
        });
        worker.write_up();
        worker.shared.tell_quiet();
        foreign::call(|| settings.thread_stopped());
        WORKER.with(|current| current.borrow_mut().take());
        let exit = exit.unwrap_or_else(|panicked| {
            discard(panicked);
            Exit::Lost { searching: worker.searching.get(), started }
        });
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
                        discard(job);
                    }
                }
                if shared.crew.has_surplus()
                    && let Some(exit) = shared.leave_if_surplus()
                {
                    return exit;
                }
            } else if !self.searching.replace(true) {
                // There is time to read the clock, whoever has shown it.
                shared.doubt_time(u64::MAX);
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
        if !self.stretch.borrow().is_open() {
            self.stretch.borrow_mut().open(self.shared.now());
        }
        let submitted = light.submitted;
        self.done.set(light.run(&self.slot, self.done.take()));
        // One that was not begun any more has no times.
        if self.done.get().is_some() && self.stretch.borrow_mut().add(submitted) {
            let now = self.note_times();
            self.show(now);
        }
    }

    /// Runs a light job inside of another one that could not queue it. Among short ones it shares their readings.
    fn run_inside(&self, light: Light) {
        if !self.stretch.borrow().may_take_in() {
            let told = self.stretch.borrow().told();
            let own = |took| self.stretch.borrow_mut().tell(told, took);
            return light.run_timed(&self.shared, &self.slot, own);
        }
        let submitted = light.submitted;
        if let Some(done) = light.run(&self.slot, None) {
            let mut stretch = self.stretch.borrow_mut();
            let now = stretch.add(submitted).then(|| self.shared.now());
            let is_in_a_job = self.slot.end_light(Some(done), |books| {
                if let Some(now) = now {
                    stretch.read(now, |wait, run| books.light(wait, run));
                }
            });
            drop(stretch);
            if is_in_a_job {
                self.shared.tell_quiet();
            }
            if let Some(now) = now {
                self.show(now);
            }
        }
    }

    /// The clock was read: shows it, where one short job comes after the other.
    fn show(&self, now: u64) {
        let is_brisk = self.stretch.borrow().is_brisk();
        if !is_brisk {
            self.shared.doubt_time(now);
        }
        let tick = if is_brisk { now >> TICK } else { 0 };
        if self.shown.replace(tick) != tick {
            self.shared.show_time(tick << TICK);
        }
    }

    /// Reads the clock, takes the last light job down, and notes how long it and those before it took.
    fn note_times(&self) -> u64 {
        let now = self.shared.now();
        let mut stretch = self.stretch.borrow_mut();
        let note = |books: &mut Tally| stretch.read(now, |wait, run| books.light(wait, run));
        self.slot.end_light(self.done.take(), note);
        now
    }

    /// Enters the last light jobs in the books. What comes next is none, and may take its time.
    fn write_up(&self) {
        // First, since whoever sees that all is done may submit the next.
        if self.shown.take() != 0 {
            self.shared.show_time(0);
        }
        if !self.stretch.borrow().is_told() {
            self.note_times();
        }
        self.stretch.borrow_mut().close();
    }

    fn run(&self, job: &Entry) -> bool {
        run(&self.shared, job, Some(&self.slot))
    }
}
