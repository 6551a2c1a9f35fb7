//! The semaphore, preempted anywhere: no permit is lost or made up, and nobody sleeps beside its permits.

use super::harness::{self, Run, Subject, interrupted};
use super::tasks::{Asked, Tasks};
use aqueduct_core::semaphore::{
    AcquireError, Fair, Greedy, MAX_PERMITS, Policy, Semaphore, SemaphorePermit, TryAcquireError,
};
use aqueduct_core::wait::Slots;
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

type Tested<P> = Semaphore<P, Slots<3>>;
type Guard<P> = SemaphorePermit<'static, P, Slots<3>>;

#[derive(Clone, Copy, Debug)]
enum Op {
    Try(usize),
    /// Drops the guard taken first, of those there are.
    Release,
    /// Forgets a guard and gives its permits back without one.
    ForgetAndRelease,
    Add(usize),
    ForgetPermits(usize),
    Resize(usize),
    Close,
    /// Starts a request for so many in a place and polls it once.
    Acquire(usize, usize),
    Poll(usize),
    Drop(usize),
}

#[derive(Debug)]
#[allow(dead_code, reason = "for reports, which print it")]
enum Outcome {
    Got(usize),
    Refused(TryAcquireError),
    Failed(AcquireError),
    Done,
}

struct Object<P: Policy + 'static> {
    // Dropped before what they borrow.
    tasks: Tasks<Result<Guard<P>, AcquireError>>,
    guards: RefCell<Vec<Guard<P>>>,
    semaphore: &'static Tested<P>,
    /// Owns `semaphore`.
    memory: *mut Tested<P>,
    /// What is asked for in each place.
    asked: [Cell<usize>; 2],
    /// How many permits there should be.
    total: Cell<usize>,
    /// Whether a `resize` was told a number that others' changes may race with.
    resized: Cell<bool>,
    /// The most permits that were in use at once.
    peak: Cell<usize>,
}

struct Semaphores<P> {
    permits: usize,
    held: usize,
    policy: P,
}

impl<P: Policy + 'static> Object<P> {
    fn held(&self) -> usize {
        self.guards.borrow().iter().map(SemaphorePermit::num_permits).sum()
    }

    fn got(&self, guard: Guard<P>) -> Outcome {
        let permits = guard.num_permits();
        self.guards.borrow_mut().push(guard);
        self.peak.set(self.peak.get().max(self.held()));
        Outcome::Got(permits)
    }

    fn asked(&self, asked: Asked<Result<Guard<P>, AcquireError>>) -> Outcome {
        match asked {
            Asked::Ready(Ok(guard)) => self.got(guard),
            Asked::Ready(Err(error)) => Outcome::Failed(error),
            Asked::Pending | Asked::No => Outcome::Done,
        }
    }

    fn settle(&self) {
        while let Some(asked) = self.tasks.run_one() {
            self.asked(asked);
        }
    }

    /// Whether somebody sleeps who could have what it asks for.
    fn sleeper(&self) -> Result<(), String> {
        let available = self.semaphore.available_permits();
        let wanted = (0..2).filter(|&place| self.tasks.is_pending(place));
        let least = wanted.map(|place| self.asked[place].get()).min();
        match least {
            // Under Fair the head may ask for more; but with one sleeper it is the head.
            Some(least)
                if self.semaphore.is_closed()
                    || self.tasks.pending() == 1 && least <= available =>
            {
                Err(format!("a request for {least} sleeps beside {available}"))
            }
            Some(_) if self.tasks.pending() == 2 => {
                let most = self.asked.iter().map(Cell::get).max().unwrap_or(0);
                if most <= available {
                    return Err(format!("two requests sleep beside {available}"));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl<P: Policy + 'static> Drop for Object<P> {
    fn drop(&mut self) {
        self.tasks.cancel(0);
        self.tasks.cancel(1);
        self.guards.get_mut().clear();
        // SAFETY: `memory` came from a box, and all that borrowed from it is gone.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

impl<P: Policy + std::fmt::Debug + 'static> Subject for Semaphores<P> {
    type Object = Object<P>;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        format!("{:?} semaphore of {}, {} in use", self.policy, self.permits, self.held)
    }

    fn fresh(&self) -> Object<P> {
        let semaphore = Tested::with_policy(self.permits, self.policy, Slots::new());
        let memory = Box::into_raw(Box::new(semaphore));
        // SAFETY: it is freed when the object is dropped, after all that borrows from it.
        let semaphore: &'static Tested<P> = unsafe { &*memory };
        let guards = (0..self.held).map(|_| semaphore.try_acquire().unwrap()).collect();
        Object {
            tasks: Tasks::new(2),
            guards: RefCell::new(guards),
            semaphore,
            memory,
            asked: Default::default(),
            total: Cell::new(self.permits),
            resized: Cell::new(false),
            peak: Cell::new(self.held),
        }
    }

    fn apply(&self, object: &Object<P>, op: &Op) -> Outcome {
        let semaphore = object.semaphore;
        match *op {
            Op::Try(n) => match semaphore.try_acquire_many(n) {
                Ok(guard) => object.got(guard),
                Err(why) => Outcome::Refused(why),
            },
            Op::Release => {
                let guard = object.guards.borrow_mut().pop();
                drop(guard);
                Outcome::Done
            }
            Op::ForgetAndRelease => {
                let guard = object.guards.borrow_mut().pop();
                if let Some(guard) = guard {
                    let n = guard.num_permits();
                    guard.forget();
                    semaphore.release(n).expect("they are in use");
                }
                Outcome::Done
            }
            Op::Add(n) => {
                object.total.set(object.total.get() + n);
                semaphore.add_permits(n).unwrap();
                Outcome::Done
            }
            Op::ForgetPermits(n) => {
                let gone = semaphore.forget_permits(n);
                object.total.set(object.total.get() - gone);
                Outcome::Got(gone)
            }
            Op::Resize(n) => {
                object.resized.set(true);
                semaphore.resize(n).unwrap();
                Outcome::Done
            }
            Op::Close => {
                semaphore.close();
                Outcome::Done
            }
            Op::Acquire(place, n) => {
                if !object.tasks.is_pending(place) {
                    object.asked[place].set(n);
                }
                object.asked(object.tasks.start(place, semaphore.acquire_many(n)))
            }
            Op::Poll(place) => object.asked(object.tasks.poll(place)),
            Op::Drop(place) => {
                object.tasks.cancel(place);
                Outcome::Done
            }
        }
    }

    fn check(&self, object: Object<P>, run: &Run<'_, Self>) -> Result<(), String> {
        object.settle();
        object.sleeper()?;
        let resizes = run.calls.iter().filter_map(|call| match *call.op {
            Op::Resize(n) => Some(n),
            _ => None,
        });
        let told: Vec<usize> = resizes.collect();
        let added: usize =
            run.calls.iter().map(|call| if let Op::Add(n) = *call.op { n } else { 0 }).sum();
        let (peak, most) =
            (object.peak.get(), told.iter().copied().fold(self.permits, usize::max) + added);
        if peak > most {
            return Err(format!("{peak} were in use, and there were never more than {most}"));
        }
        if object.resized.get() {
            // The last one to have begun may have been overtaken by one that is done; each leaves the number
            // that it was told, give or take what the others added.
            let total = object.semaphore.available_permits() + object.held();
            let most = told.iter().max().unwrap_or(&0) + added;
            object.tasks.cancel(0);
            object.tasks.cancel(1);
            if object.held() <= most && total > most {
                return Err(format!("{total} permits, and no resize allows more than {most}"));
            }
            let changes = |op: &Op| matches!(op, Op::Add(_) | Op::ForgetPermits(_));
            object.guards.borrow_mut().clear();
            let free = object.semaphore.available_permits();
            if !told.contains(&free) && !run.calls.iter().any(|call| changes(call.op)) {
                return Err(format!("{free} permits in the end, and {told:?} were told"));
            }
            return Ok(());
        }
        object.tasks.cancel(0);
        object.tasks.cancel(1);
        let (available, held) = (object.semaphore.available_permits(), object.held());
        if available + held != object.total.get() {
            let total = object.total.get();
            return Err(format!("{available} free and {held} in use, of {total}"));
        }
        object.guards.borrow_mut().clear();
        let semaphore = object.semaphore;
        if !semaphore.is_closed() && semaphore.try_acquire_many(object.total.get()).is_err() {
            return Err("not all of them can be taken".into());
        }
        Ok(())
    }
}

fn handlers() -> Vec<Vec<Op>> {
    use Op::*;
    vec![
        vec![Try(1)],
        vec![Try(2)],
        vec![Release],
        vec![ForgetAndRelease],
        vec![Add(1)],
        vec![Add(2)],
        vec![ForgetPermits(1)],
        vec![Resize(1)],
        vec![Resize(3)],
        vec![Resize(1), Try(1), Try(1)],
        vec![Add(1), Try(1), Try(1)],
        vec![Resize(0), Resize(2), Try(2), Try(1)],
        vec![Close],
        vec![Try(1), Release],
        vec![Release, Try(1)],
        vec![Release, Release],
        vec![Add(1), ForgetPermits(1)],
        vec![Release, Close],
        vec![Close, Release],
        // Registers and cancels its own.
        vec![Acquire(1, 1), Drop(1)],
        vec![Acquire(1, 2), Drop(1)],
        vec![Acquire(1, 1)],
        vec![Acquire(1, 2)],
        vec![Acquire(1, 1), Release],
        vec![Acquire(1, 1), Release, Drop(1)],
        vec![Acquire(1, 1), Release, Poll(1)],
        vec![Acquire(1, 1), Release, Try(1), Poll(1)],
        vec![Acquire(1, 2), Release, Poll(1), Release, Poll(1)],
        vec![Acquire(1, 2), Add(1), Drop(1), Try(1)],
    ]
}

fn preempted() -> Vec<Vec<Op>> {
    use Op::*;
    vec![
        vec![Try(1)],
        vec![Try(2)],
        vec![Release],
        vec![ForgetAndRelease],
        vec![Add(2)],
        vec![ForgetPermits(2)],
        vec![Resize(0)],
        vec![Resize(1)],
        vec![Resize(3)],
        vec![Close],
        vec![Acquire(0, 1)],
        vec![Acquire(0, 2)],
        vec![Acquire(0, 0)],
        vec![Acquire(0, 1), Poll(0)],
        vec![Acquire(0, 2), Drop(0)],
        vec![Acquire(0, 1), Release],
        vec![Acquire(0, 1), Release, Poll(0)],
        vec![Acquire(0, 1), Release, Drop(0)],
        vec![Acquire(0, 2), Add(2), Drop(0)],
        vec![Acquire(0, 2), Acquire(1, 1), Drop(0)],
        vec![Acquire(0, 2), Acquire(1, 1), Release, Release],
        vec![Acquire(0, 1), Release, Try(1), Poll(0)],
        vec![Acquire(0, 1), Close, Poll(0)],
    ]
}

fn check<P: Policy + std::fmt::Debug + 'static>(policy: P) -> u64 {
    let mut combinations = 0;
    for permits in 0..=2 {
        for held in 0..=permits {
            let subject = Semaphores { permits, held, policy };
            for a in preempted() {
                combinations += harness::preempt(&subject, &a, &handlers());
            }
        }
    }
    combinations
}

#[test]
fn every_call_on_a_fair_semaphore_preempted_by_every_other() {
    println!("interrupt: semaphore, fair: {} combinations", check(Fair));
}

#[test]
fn every_call_on_a_greedy_semaphore_preempted_by_every_other() {
    println!("interrupt: semaphore, greedy: {} combinations", check(Greedy));
}

#[test]
fn a_semaphore_preempted_at_two_steps_and_within_a_handler() {
    use Op::*;
    let handlers = [
        vec![Release],
        vec![Try(1)],
        vec![Acquire(1, 1), Drop(1)],
        vec![Acquire(1, 1)],
        vec![Poll(1)],
    ];
    let mut combinations = 0;
    for a in [
        vec![Acquire(0, 1)],
        vec![Acquire(0, 1), Release, Drop(0)],
        vec![Release],
        vec![Acquire(0, 2)],
    ] {
        let fair = Semaphores { permits: 2, held: 2, policy: Fair };
        combinations += harness::preempt_twice(&fair, &a, &handlers, &handlers);
        combinations += harness::preempt_nested(&fair, &a, &handlers, &handlers);
        let greedy = Semaphores { permits: 2, held: 2, policy: Greedy };
        combinations += harness::preempt_twice(&greedy, &a, &handlers, &handlers);
        combinations += harness::preempt_nested(&greedy, &a, &handlers, &handlers);
    }
    println!("interrupt: semaphore, twice and nested: {combinations} combinations");
}

/// Forgetting takes only what is free, and what a resize says holds, but for what was forgotten.
#[test]
fn permits_are_forgotten_while_they_are_made_fewer() {
    let mut combinations = 0;
    for (total, held, resized) in [(3, 0, 0), (5, 4, 4), (5, 3, 4), (3, 1, 5), (5, 4, 5)] {
        for step in 1.. {
            let semaphore = Semaphore::new(total);
            let guard = semaphore.try_acquire_many(held).unwrap();
            let mut resize = || semaphore.resize(resized).unwrap();
            let (gone, fired) = interrupted(step, &mut resize, || semaphore.forget_permits(total));
            if !fired {
                break;
            }
            drop(guard);
            // Forgotten before, which the resize makes up for; or what the resize says is lowered by it.
            let now = semaphore.available_permits();
            assert!(
                (now == resized || now + gone == resized) && gone <= total.max(resized) - held,
                "{total}, {held} held, {resized} @{step}: {gone} gone, {now} now"
            );
            semaphore.resize(2).unwrap();
            assert_eq!(semaphore.available_permits(), 2, "{total}, {held} held, {resized} @{step}");
            combinations += 1;
        }
    }
    println!("interrupt: semaphore, forget: {combinations} combinations");
}

/// The number goes from the most to none, and back meanwhile: what was added is there, and no more.
#[test]
fn all_permits_go_and_come_back() {
    const ALL: usize = MAX_PERMITS;
    let mut combinations = 0;
    for step in 1.. {
        let semaphore = Semaphore::new(ALL);
        let mut expected = 0;
        let mut add = || {
            if semaphore.add_permits(ALL).is_ok() {
                expected = ALL;
                let all = semaphore.try_acquire_many(ALL).expect("they were added");
                assert!(semaphore.try_acquire().is_err(), "@{step}");
                drop(all);
            }
        };
        let (_, fired) = interrupted(step, &mut add, || semaphore.resize(0).unwrap());
        if !fired {
            break;
        }
        assert_eq!(semaphore.available_permits(), expected, "@{step}");
        combinations += 1;
    }
    println!("interrupt: semaphore, all of them: {combinations} combinations");
}

/// A woken waiter loses, and another one takes its slot before it can stand in line again: who stood behind it is served.
#[test]
fn a_loser_without_a_slot_keeps_nobody_asleep() {
    let mut combinations = 0;
    for step in 1.. {
        let semaphore = Semaphore::with_policy(3, Greedy, Slots::<2>::new());
        let held = semaphore.try_acquire_many(3).unwrap();
        let (mut loser, mut behind) = (semaphore.acquire_many(3), semaphore.acquire_many(1));
        let mut newcomer = semaphore.acquire_many(3);
        let (bell, noop) = (Arc::new(Bell::default()), Waker::noop());
        assert!(ask(&mut loser, noop).is_pending());
        assert!(ask(&mut behind, &bell.clone().into()).is_pending());
        drop(held);
        let mut barger = semaphore.try_acquire_many(3).unwrap();
        drop(barger.split(1));
        let mut register = || drop(ask(&mut newcomer, noop));
        let (lost, fired) = interrupted(step, &mut register, || ask(&mut loser, noop).is_pending());
        if !fired {
            break;
        }
        assert!(
            lost && bell.0.load(Relaxed) == 1,
            "a permit is free beside one who waits for one, @{step}"
        );
        combinations += 1;
    }
    println!("interrupt: semaphore, no slot for a loser: {combinations} combinations");
}

/// Counts how often it is rung.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

fn ask<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}
