//! Operation lists applied to a semaphore and to a plain model side by side.

mod model;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use aqueduct_core::semaphore::{
    Acquire, AcquireOwned, Fair, Greedy, MAX_PERMITS, OverRelease, OwnedSemaphorePermit, Policy,
    Semaphore, SemaphorePermit, TryAcquireError,
};
use aqueduct_core::wait::{Growable, Slots, Storage};

use self::model::{Model, Request, Stands};
use crate::bell::{Bell, unless_told};
use crate::queue::quiet_planned_panics;

/// A number of permits in an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// This many.
    Few(u8),
    /// So many less than a semaphore can have.
    Most(u8),
    /// One more than that, or far more.
    TooMany {
        /// As many as a `usize` can say.
        far: bool,
    },
}

impl Count {
    fn get(self) -> usize {
        match self {
            Self::Few(n) => n.into(),
            Self::Most(less) => MAX_PERMITS - usize::from(less),
            Self::TooMany { far } => {
                if far {
                    usize::MAX
                } else {
                    MAX_PERMITS + 1
                }
            }
        }
    }
}

/// One operation of a list. Requests stand in numbered places, guards in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SemaphoreOp {
    /// `try_acquire_many`; the guard goes to the end of the row.
    TryAcquire(Count),
    /// `try_acquire_many_owned`
    TryAcquireOwned(Count),
    /// Polls the request in this place; if there is none, makes it first, for so many permits.
    Poll(u8, Count),
    /// As `Poll`, with `acquire_many_owned`.
    PollOwned(u8, Count),
    /// As `Poll`, with a waker that panics.
    PollPanics(u8, Count),
    /// The request in this place is dropped.
    Cancel(u8),
    /// A guard is dropped.
    Drop(u8),
    /// `forget` on a guard.
    Forget(u8),
    /// `split` off so many from a guard.
    Split(u8, u8),
    /// `merge` of the second guard into the first.
    Merge(u8, u8),
    /// `release` of so many: refused, unless so many guards were forgotten.
    Release(Count),
    /// `add_permits`
    Add(Count),
    /// `forget_permits`
    ForgetPermits(Count),
    /// `resize`
    Resize(Count),
    /// `close`
    Close,
}

/// A semaphore, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// How many permits it has at first.
    pub permits: Count,
    /// Whether it is `Greedy`.
    pub greedy: bool,
    /// Whether its slots are on the heap; otherwise there are two.
    pub growable: bool,
    /// What is done.
    pub ops: Vec<SemaphoreOp>,
}

/// In how many places requests can stand.
const PLACES: usize = 5;

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the semaphore and its model differ.
    pub fn run(&self) {
        quiet_planned_panics();
        match (self.greedy, self.growable) {
            (false, false) => self.on(Fair, 0, Slots::<2>::new(), Some(2)),
            (false, true) => self.on(Fair, 0, Growable::new(), None),
            (true, false) => self.on(Greedy, Greedy::PATIENCE, Slots::<2>::new(), Some(2)),
            (true, true) => self.on(Greedy, Greedy::PATIENCE, Growable::new(), None),
        }
    }

    fn on<P: Policy, W: Storage>(
        &self,
        policy: P,
        patience: usize,
        storage: W,
        slots: Option<usize>,
    ) {
        let permits = self.permits.get().min(MAX_PERMITS);
        let semaphore = Arc::new(Semaphore::with_policy(permits, policy, storage));
        let mut pair = Pair {
            semaphore: &semaphore,
            model: Model::new(permits, patience, slots),
            requests: [const { None }; PLACES],
            guards: Vec::new(),
            bells: Default::default(),
        };
        for &op in &self.ops {
            pair.apply(op);
            pair.look();
        }
        pair.finish();
        assert_eq!(Arc::strong_count(&semaphore), 1);
    }
}

enum Guard<'s, P: Policy, W: Storage> {
    Borrowed(SemaphorePermit<'s, P, W>),
    Owned(OwnedSemaphorePermit<P, W>),
}

impl<P: Policy, W: Storage> Guard<'_, P, W> {
    fn num_permits(&self) -> usize {
        match self {
            Self::Borrowed(guard) => guard.num_permits(),
            Self::Owned(guard) => guard.num_permits(),
        }
    }

    fn forget(self) {
        match self {
            Self::Borrowed(guard) => guard.forget(),
            Self::Owned(guard) => guard.forget(),
        }
    }

    fn split(&mut self, n: usize) -> Option<Self> {
        match self {
            Self::Borrowed(guard) => guard.split(n).map(Self::Borrowed),
            Self::Owned(guard) => guard.split(n).map(Self::Owned),
        }
    }

    /// Gives the other back if it is of another kind.
    fn merge(&mut self, other: Self) -> Result<(), Self> {
        match (self, other) {
            (Self::Borrowed(guard), Self::Borrowed(other)) => {
                guard.merge(other).map_err(Self::Borrowed)
            }
            (Self::Owned(guard), Self::Owned(other)) => guard.merge(other).map_err(Self::Owned),
            (_, other) => Err(other),
        }
    }
}

enum Asks<'s, P: Policy, W: Storage> {
    Borrowed(Acquire<'s, P, W>),
    Owned(AcquireOwned<P, W>),
}

/// A semaphore and its model, side by side.
struct Pair<'s, P: Policy, W: Storage> {
    semaphore: &'s Arc<Semaphore<P, W>>,
    model: Model,
    requests: [Option<Asks<'s, P, W>>; PLACES],
    guards: Vec<Guard<'s, P, W>>,
    bells: [Bell; PLACES],
}

/// Calls what may wake somebody whose waker panics; that it did so is all that the panic tells.
fn wakes(f: impl FnOnce()) {
    unless_told(f);
}

impl<'s, P: Policy, W: Storage> Pair<'s, P, W> {
    fn apply(&mut self, op: SemaphoreOp) {
        let semaphore = self.semaphore;
        match op {
            SemaphoreOp::TryAcquire(n) => {
                let guard = semaphore.try_acquire_many(n.get()).map(Guard::Borrowed);
                self.tried(n.get(), guard);
            }
            SemaphoreOp::TryAcquireOwned(n) => {
                let guard = semaphore.clone().try_acquire_many_owned(n.get()).map(Guard::Owned);
                self.tried(n.get(), guard);
            }
            SemaphoreOp::Poll(place, n)
            | SemaphoreOp::PollOwned(place, n)
            | SemaphoreOp::PollPanics(place, n) => {
                let place = usize::from(place) % PLACES;
                if self.requests[place].is_none() {
                    let permits = n.get();
                    self.requests[place] = Some(match op {
                        SemaphoreOp::PollOwned(..) => {
                            Asks::Owned(semaphore.clone().acquire_many_owned(permits))
                        }
                        _ => Asks::Borrowed(semaphore.acquire_many(permits)),
                    });
                    let stands = Stands::Outside;
                    self.model.places[place] =
                        Some(Request { permits, lost: 0, stands, deaf: false });
                }
                self.poll(place, matches!(op, SemaphoreOp::PollPanics(..)));
            }
            SemaphoreOp::Cancel(place) => {
                let place = usize::from(place) % PLACES;
                wakes(|| self.requests[place] = None);
                self.model.cancel(place);
            }
            SemaphoreOp::Drop(nth) => {
                let Some(guard) = self.guard(nth) else { return };
                let n = guard.num_permits() as isize;
                wakes(|| drop(guard));
                self.model.held -= n;
                self.model.put(n);
            }
            SemaphoreOp::Forget(nth) => {
                let Some(guard) = self.guard(nth) else { return };
                let n = guard.num_permits() as isize;
                guard.forget();
                self.model.held -= n;
                self.model.forgotten += n;
            }
            SemaphoreOp::Split(nth, n) => {
                let Some(mut guard) = self.guard(nth) else { return };
                let (before, n) = (guard.num_permits(), usize::from(n));
                let off = guard.split(n);
                assert_eq!(
                    off.as_ref().map(Guard::num_permits),
                    (n <= before).then_some(n),
                    "split"
                );
                let rest = if n <= before { before - n } else { before };
                assert_eq!(guard.num_permits(), rest, "split");
                self.guards.push(guard);
                self.guards.extend(off);
            }
            SemaphoreOp::Merge(nth, other) => {
                let Some(mut guard) = self.guard(nth) else { return };
                let Some(other) = self.guard(other) else { return self.guards.push(guard) };
                let sum = guard.num_permits() + other.num_permits();
                let left = guard.merge(other).err();
                let parts = guard.num_permits() + left.as_ref().map_or(0, Guard::num_permits);
                assert_eq!(parts, sum, "merge");
                self.guards.push(guard);
                self.guards.extend(left);
            }
            SemaphoreOp::Release(n) => self.release(n.get()),
            SemaphoreOp::Add(n) => {
                let total = (self.model.total as usize).checked_add(n.get());
                let expected = self.model.retarget(total);
                wakes(|| assert_eq!(semaphore.add_permits(n.get()), expected, "add_permits"));
            }
            SemaphoreOp::Resize(n) => {
                let expected = self.model.retarget(Some(n.get()));
                wakes(|| assert_eq!(semaphore.resize(n.get()), expected, "resize"));
            }
            SemaphoreOp::ForgetPermits(n) => {
                let fewer = self.model.available().min(n.get());
                assert_eq!(semaphore.forget_permits(n.get()), fewer, "forget_permits");
                self.model.balance -= fewer as isize;
                self.model.total -= fewer as isize;
            }
            SemaphoreOp::Close => {
                let first = !self.model.closed;
                wakes(|| assert_eq!(semaphore.close(), first, "close"));
                self.model.closed = true;
                self.model.serve();
            }
        }
    }

    fn tried(&mut self, n: usize, guard: Result<Guard<'s, P, W>, TryAcquireError>) {
        let expected = self.model.take(n);
        assert_eq!(
            guard.as_ref().map(Guard::num_permits),
            expected.as_ref().map(|()| n),
            "try_acquire"
        );
        self.guards.extend(guard);
    }

    /// Takes a guard out of the row.
    fn guard(&mut self, nth: u8) -> Option<Guard<'s, P, W>> {
        let nth = usize::from(nth).checked_rem(self.guards.len())?;
        Some(self.guards.remove(nth))
    }

    fn poll(&mut self, place: usize, panics: bool) {
        let bell = &self.bells[place];
        let waker = if panics { bell.waker_that_panics() } else { bell.waker() };
        let cx = &mut Context::from_waker(&waker);
        let polled = unless_told(|| match self.requests[place].as_mut().expect("made before") {
            Asks::Borrowed(request) => {
                Pin::new(request).poll(cx).map(|ready| ready.map(Guard::Borrowed))
            }
            Asks::Owned(request) => Pin::new(request).poll(cx).map(|ready| ready.map(Guard::Owned)),
        });
        let request = self.model.places[place].expect("made before");
        let expected = self.model.poll(place);
        let Some(polled) = polled else {
            // A waker panicked: its own, for there was no slot; or another's, after it had competed.
            match expected {
                Poll::Ready(ready) => {
                    ready.expect("nobody is woken by an error");
                    // It does not have the permits, then, and may ask again.
                    let n = request.permits as isize;
                    self.model.places[place] = Some(Request { stands: Stands::Outside, ..request });
                    self.model.held -= n;
                    self.model.put(n);
                }
                Poll::Pending => self.model.deafen(place),
            }
            return;
        };
        match (polled, expected) {
            (Poll::Pending, Poll::Pending) => {}
            (Poll::Ready(ready), Poll::Ready(expected)) => {
                let n = ready.as_ref().map(Guard::num_permits).map_err(|error| *error);
                assert_eq!(n, expected.map(|()| request.permits), "poll of place {place}");
                wakes(|| self.requests[place] = None);
                self.guards.extend(ready);
            }
            (polled, expected) => {
                panic!("poll of place {place}: ready {}, not {expected:?}", polled.is_ready())
            }
        }
    }

    fn release(&mut self, n: usize) {
        // So many are in use, but not by nobody: to release them would be to release what another holds.
        let held = |n: isize| n > self.model.forgotten && n <= self.model.in_use();
        if isize::try_from(n).is_ok_and(held) {
            return;
        }
        let expected = if n as isize > self.model.in_use() || n > MAX_PERMITS {
            Err(OverRelease)
        } else {
            self.model.forgotten -= n as isize;
            self.model.put(n as isize);
            Ok(())
        };
        wakes(|| assert_eq!(self.semaphore.release(n), expected, "release"));
    }

    fn look(&self) {
        let Self { semaphore, model, .. } = self;
        assert_eq!(model.balance + model.in_use(), model.total, "the model keeps its own books");
        assert_eq!(semaphore.available_permits(), model.available(), "available_permits");
        assert_eq!(semaphore.is_closed(), model.closed, "is_closed");
        assert_eq!(semaphore.self_wakes(), model.self_wakes, "self_wakes");
        for (place, bell) in self.bells.iter().enumerate() {
            assert_eq!(bell.rung(), model.rung[place], "how often place {place} was woken");
        }
    }

    /// Everybody goes, and everything comes back.
    fn finish(mut self) {
        for place in 0..PLACES {
            self.apply(SemaphoreOp::Cancel(place as u8));
            self.look();
        }
        while !self.guards.is_empty() {
            self.apply(SemaphoreOp::Drop(0));
        }
        self.release(self.model.forgotten as usize);
        assert_eq!((self.model.balance, self.model.in_use()), (self.model.total, 0));
        self.look();
    }
}
