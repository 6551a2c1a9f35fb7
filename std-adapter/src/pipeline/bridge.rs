//! A source without a thread: the workers of the first stage take its items themselves, a grain at a time.

use super::Pipeline;
use super::desk::{Desk, Office, Wait};
use super::edge::{Exit, Taken, can_hold};
use super::error::{BoxError, BuildError};
use super::flow::{Below, Flow, Items, Launch, Order, Pump};
use super::order::Gate;
use super::parcel::{Parcel, Sink};
use super::source::{FromIter, NAME, Register, Source, Stopped, exact_size};
use crate::foreign::discard;
use crate::lock;
use crate::park::Patience;
use crate::thread::{self, Panicked, SpawnError};
use crossbeam_utils::atomic::AtomicCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Instant;

/// A source that the workers of the stage behind it share: made by [`Pipeline::bridge`].
pub struct Bridge<I> {
    items: I,
    grain: usize,
}

impl<I> fmt::Debug for Bridge<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bridge").field("grain", &self.grain).finish_non_exhaustive()
    }
}

impl<I> Bridge<I> {
    pub(super) fn new(items: I) -> Self {
        Self { items, grain: 1 }
    }
}

impl<I> Pipeline<Bridge<I>> {
    /// How many items a worker takes at a time; 1 if nothing else is said.
    ///
    /// To take an item costs about as much as a lock does, twenty nanoseconds and more. Where the work on it costs no more than that, a dozen at a time cost
    /// hardly more than one. But those that a worker has taken are its own: they wait until all are there, and then until it has worked on those in front of
    /// them, though others have nothing to do. So it is not for iterators that wait, least of all for what comes of their own items. Where the next item
    /// would have to wait for a place in a [window](Self::ordered), it takes fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pipeline::Pipeline;
    ///
    /// let (evens, _) = Pipeline::bridge(0..1_000_u64)
    ///     .grain(32)
    ///     .map("double", |n| n * 2)
    ///     .concurrency(2)
    ///     .reduce(|| 0, |count, n| count + u64::from(n % 2 == 0), |a, b| a + b)?;
    /// assert_eq!(evens, 1_000);
    /// # Ok::<(), aqueduct::pipeline::PipelineError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// That of a number that cannot be is told by the run: [`BuildError::Zero`], or [`BuildError::Buffer`] above
    /// [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY).
    pub fn grain(mut self, items: usize) -> Self {
        self.flow.grain = items;
        self
    }
}

impl<I> Flow for Bridge<I>
where
    I: Iterator + Send,
    I::Item: Send,
{
    type Item = I::Item;

    fn position(&self) -> usize {
        0
    }

    fn name(&self) -> Arc<str> {
        NAME.into()
    }

    fn makers(&self, _: bool) -> usize {
        1
    }

    fn is_in_order(&self) -> bool {
        true
    }

    fn total(&self) -> Option<u64> {
        exact_size(&self.items)
    }

    fn check(&self, _: Order<'_>) -> Result<(), BuildError> {
        match self.grain {
            0 => Err(BuildError::Zero { stage: NAME.into() }),
            items if !can_hold(items) => Err(BuildError::Buffer { stage: NAME.into(), items }),
            _ => Ok(()),
        }
    }

    fn into_shared<'scope>(self) -> Result<Bridge<Items<'scope, I::Item>>, Self>
    where
        Self: 'scope,
    {
        Ok(Bridge { items: Box::new(self.items), grain: self.grain })
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<Self::Item> + 'scope,
    {
        Source(FromIter(self.items)).launch(launch, sink, below)
    }
}

impl<'scope, T> Bridge<Items<'scope, T>> {
    /// Opens it for the workers of this stage.
    pub(super) fn open(
        self,
        launch: &mut Launch<'_, '_>,
        gate: Option<Gate>,
        stage: &Arc<Office>,
    ) -> Shared<'scope, T> {
        let register = Register::open(launch, gate, 0);
        let inside = Inside { items: Some(self.items), register };
        let (inside, is_held_up) = (Mutex::new(inside), AtomicCell::new(false));
        let (source, stage) = (Arc::new(Origin { inside, is_held_up }), Arc::clone(stage));
        Shared { source, grain: self.grain, stage, hand: VecDeque::new(), next: 0, waiting: 0 }
    }
}

/// An iterator that workers share, as one of them has it.
pub(super) struct Shared<'scope, T> {
    source: Arc<Origin<'scope, T>>,
    grain: usize,
    stage: Arc<Office>,
    /// What this one has taken and not begun, from this number on.
    hand: VecDeque<T>,
    next: u64,
    /// So many of those are in the stage's count of what waits. None is taken out of it before all are begun.
    waiting: usize,
}

struct Origin<'scope, T> {
    inside: Mutex<Inside<'scope, T>>,
    /// Whoever is inside waits for a place in a window.
    is_held_up: AtomicCell<bool>,
}

struct Inside<'scope, T> {
    /// None once it has come to its end, or nothing more is wanted.
    items: Option<Items<'scope, T>>,
    register: Register,
}

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        let (source, stage) = (Arc::clone(&self.source), Arc::clone(&self.stage));
        Self { source, grain: self.grain, stage, hand: VecDeque::new(), next: 0, waiting: 0 }
    }
}

impl<T> Shared<'_, T> {
    /// Starts those who take from it. They begin when all are there; if that fails, they find nothing.
    pub(super) fn let_in<E>(&self, start: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let mut inside = lock(&self.source.inside);
        let started = start();
        let items = started.is_err().then(|| inside.items.take());
        drop(inside);
        drop(items);
        started
    }

    /// The next item; waits while another worker takes from the source.
    #[inline]
    fn take(&mut self, desk: &Desk) -> Taken<T> {
        match self.hand.pop_front() {
            Some(item) => {
                self.next += 1;
                Taken::Item(Parcel::of_source(self.next - 1, item))
            }
            None => self.take_more(desk),
        }
    }

    fn take_more(&mut self, desk: &Desk) -> Taken<T> {
        let mut inside = self.source.enter(desk);
        let first = inside.take(&self.source, desk);
        if let (Some(first), true) = (&first, self.grain > 1) {
            self.next = first.seq + 1;
            inside.take_into(&mut self.hand, self.grain - 1);
        }
        drop(inside);
        let before = std::mem::replace(&mut self.waiting, self.hand.len());
        if before != self.waiting {
            let grains = &self.stage.depth.grains;
            grains.fetch_add(self.waiting);
            grains.fetch_sub(before);
        }
        first.map_or(Taken::End, Taken::Item)
    }
}

impl<T> Drop for Shared<'_, T> {
    fn drop(&mut self) {
        self.stage.depth.grains.fetch_sub(self.waiting);
        // There is something in it only if a panic took the owner away.
        if !self.hand.is_empty() {
            lock(&self.source.inside).register.recall(self.hand.len());
            self.hand.drain(..).for_each(discard);
        }
    }
}

impl<'scope, T> Origin<'scope, T> {
    fn enter(&self, desk: &Desk) -> MutexGuard<'_, Inside<'scope, T>> {
        let free = || match self.inside.try_lock() {
            Ok(inside) => Some(inside),
            Err(TryLockError::Poisoned(inside)) => Some(inside.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        free().or_else(|| Patience::until(None).keep_trying(free)).unwrap_or_else(|| {
            let wait = if self.is_held_up.load() { Wait::Blocked } else { Wait::Starved };
            desk.during(wait, || lock(&self.inside))
        })
    }
}

impl<T> Inside<'_, T> {
    /// The next item. Whoever has this desk waits while a window is full.
    fn take(&mut self, source: &Origin<'_, T>, desk: &Desk) -> Option<Parcel<T>> {
        let Self { items, register } = self;
        let from = items.as_mut()?;
        let ended = if register.is_open() {
            register.expect();
            match thread::catch(|| from.next()) {
                Ok(Some(item)) => {
                    let waits = register.room() == 0;
                    if waits {
                        source.is_held_up.store(true);
                    }
                    let admitted = register.admit(item, desk);
                    if waits {
                        source.is_held_up.store(false);
                    }
                    if admitted.is_some() {
                        return admitted;
                    }
                    Ok(Err(Stopped.into()))
                }
                Ok(None) => Ok(Ok(())),
                Err(panicked) => Err(panicked),
            }
        } else {
            Ok(Err(Stopped.into()))
        };
        self.end(ended);
        None
    }

    /// As many of those that follow it, and need not wait: a place that they would wait for may be that of one in this hand.
    fn take_into(&mut self, hand: &mut VecDeque<T>, most: usize) {
        let Self { items: Some(from), register } = self else { return };
        let most = register.room().min(most);
        let taken = thread::catch(|| {
            for _ in 0..most {
                if !register.is_open() {
                    // Found again by whoever asks next.
                    break;
                }
                register.expect();
                let Some(item) = from.next() else { return true };
                register.let_in();
                hand.push_back(item);
            }
            false
        });
        match taken {
            Ok(false) => {}
            Ok(true) => self.end(Ok(Ok(()))),
            Err(panicked) => self.end(Err(panicked)),
        }
    }

    fn end(&mut self, ended: Result<Result<(), BoxError>, Panicked>) {
        let items = self.items.take();
        // A panic at the end of the iterator is one of the source, unless there was one already.
        let ended = match (ended, thread::catch(|| drop(items))) {
            (Ok(_), Err(panicked)) => Err(panicked),
            (Err(panicked), Err(second)) => {
                discard(second);
                Err(panicked)
            }
            (ended, Ok(())) => ended,
        };
        self.register.end(ended);
    }
}

/// What the workers of a stage take from.
pub(super) enum Supply<'scope, T> {
    Edge(Exit<T>),
    Source(Shared<'scope, T>),
}

impl<T> Clone for Supply<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Edge(exit) => Self::Edge(exit.clone()),
            Self::Source(source) => Self::Source(source.clone()),
        }
    }
}

impl<T> Supply<'_, T> {
    /// The next item, if it comes by then. From a source it comes when it comes.
    pub(super) fn take_until(&mut self, deadline: Option<Instant>, desk: &Desk) -> Taken<T> {
        match self {
            Self::Edge(exit) => exit.take_until(deadline, desk),
            Self::Source(source) => source.take(desk),
        }
    }

    /// How many items wait, and how many of those who take them are free to.
    pub(super) fn load(&self) -> (usize, usize) {
        match self {
            Self::Edge(exit) => exit.load(),
            Self::Source(_) => (0, 0),
        }
    }

    /// Whether the next item has to be looked for, and is not in the own hand.
    pub(super) fn hand_is_empty(&self) -> bool {
        match self {
            Self::Edge(_) => true,
            Self::Source(source) => source.hand.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Context;
    use crate::pipeline::control::Control;
    use crate::pipeline::desk::Staff;
    use crate::pipeline::trace;

    /// The system refuses the second thread: the first, which is there, begins nothing.
    #[test]
    fn nothing_is_begun_where_a_thread_is_refused() {
        let (control, _errors) = Control::new(&Context::background(), None, 1);
        let control = Arc::new(control);
        let stage = Arc::new(Office::new(&"stage".into(), 0, Staff::fixed(2), true));
        let taken = thread::scope(|scope| {
            let mut launch = Launch::new(scope, &control, &trace::Run::started(), 1);
            let items: Items<'_, u32> = Box::new(0..);
            let source = Bridge::new(items).open(&mut launch, None, &stage);
            let mut first = None;
            let refused = source.let_in(|| {
                let mut source = source.clone();
                let work = move || matches!(source.take(&Desk::new()), Taken::End);
                first = Some(std::thread::spawn(work));
                Err("refused")
            });
            assert_eq!(refused, Err("refused"));
            first.expect("it was started").join().unwrap()
        });
        assert!(taken.unwrap());
    }
}
