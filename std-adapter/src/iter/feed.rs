//! Threads that are fed by whoever asks for their results.
//!
//! Two channels, each with room for the whole window: one to the threads, one back. What is drawn and not returned is never more than
//! that, so neither the asker nor a thread ever waits for room. A thread waits for work; the asker for a result, and only when the
//! window is full or the items are at their end.

use crate::channel::{self, Receiver, Sender};
use crate::foreign::discard;
use crate::thread::{Builder, Panicked, Scope, SpawnError, catch};
use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

/// Places of the window for each thread.
const PLACES: usize = 4;
/// The most places of a window: the memory for them is set aside at the start.
const MOST: usize = 1 << 16;

type Function<'env, T, R> = Arc<dyn Fn(T) -> R + Send + Sync + 'env>;
type Work<'env> = Box<dyn FnOnce() + Send + 'env>;
/// Waits for a thread.
type Join<'env> = Box<dyn FnOnce() + Send + 'env>;
type Spawn<'env> = Box<dyn Fn(usize, Work<'env>) -> Result<Join<'env>, SpawnError> + Send + 'env>;

/// An item or a result, with its number.
type Numbered<T> = (u64, T);

/// The source, the threads, and what is on its way between them.
pub(super) struct Feed<'env, I: Iterator, R> {
    /// None at its end.
    items: Option<I>,
    f: Function<'env, I::Item, R>,
    spawn: Spawn<'env>,
    wanted: usize,
    window: usize,
    threads: Option<Threads<'env, I::Item, R>>,
    /// What was done without threads.
    done: VecDeque<Numbered<Result<R, Panicked>>>,
    next: u64,
    in_flight: usize,
}

struct Threads<'env, T, R> {
    work: Sender<Numbered<T>>,
    /// To take back what nobody has begun with.
    unbegun: Receiver<Numbered<T>>,
    results: Receiver<Numbered<Result<R, Panicked>>>,
    joins: Vec<Join<'env>>,
}

impl<I: Iterator, R: Send + 'static> Feed<'static, I, R>
where
    I::Item: Send + 'static,
{
    pub(super) fn new<F>(items: I, threads: usize, f: F) -> Self
    where
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        let spawn: Spawn<'static> = Box::new(|nth, work| {
            let thread = builder(nth).spawn(work)?;
            Ok(Box::new(move || discard(thread.join())))
        });
        Self::build(items, threads, Arc::new(f), spawn)
    }
}

impl<'env, I: Iterator, R: Send + 'env> Feed<'env, I, R>
where
    I::Item: Send + 'env,
{
    pub(super) fn new_in<F>(scope: &Scope<'env, '_>, items: I, threads: usize, f: F) -> Self
    where
        F: Fn(I::Item) -> R + Send + Sync + 'env,
    {
        let scope = scope.clone();
        let spawn: Spawn<'env> = Box::new(move |nth, work| {
            let thread = builder(nth).spawn_scoped(&scope, work)?;
            Ok(Box::new(move || discard(thread.join())))
        });
        Self::build(items, threads, Arc::new(f), spawn)
    }
}

fn builder(nth: usize) -> Builder {
    Builder::new().name(format!("par-map-{nth}"))
}

impl<'env, I: Iterator, R> Feed<'env, I, R>
where
    I::Item: Send + 'env,
    R: Send + 'env,
{
    fn build(items: I, wanted: usize, f: Function<'env, I::Item, R>, spawn: Spawn<'env>) -> Self {
        let window = wanted.saturating_mul(PLACES).clamp(1, MOST);
        let items = Some(items);
        let done = VecDeque::new();
        Self { items, f, spawn, wanted, window, threads: None, done, next: 0, in_flight: 0 }
    }

    fn start(&self) -> Threads<'env, I::Item, R> {
        let (work, unbegun) = channel::bounded(self.window);
        let (finished, results) = channel::bounded(self.window);
        let threads = (0..self.wanted).map_while(|nth| {
            let (work, finished, f) = (unbegun.clone(), finished.clone(), Arc::clone(&self.f));
            let work = move || {
                for (number, item) in work {
                    let result = catch(|| f(item));
                    if finished.send((number, result)).is_err() {
                        return;
                    }
                }
            };
            (self.spawn)(nth, Box::new(work)).ok()
        });
        let joins = threads.collect();
        Threads { work, unbegun, results, joins }
    }

    /// Draws an item and hands it out. False if there is none, or the window is full.
    fn feed(&mut self) -> bool {
        if self.in_flight == self.window {
            return false;
        }
        let Some(item) = self.items.as_mut().and_then(Iterator::next) else {
            self.items = None;
            return false;
        };
        if self.threads.is_none() {
            self.threads = Some(self.start());
        }
        let numbered = (self.next, item);
        self.next += 1;
        self.in_flight += 1;
        match &self.threads {
            Some(threads) if !threads.joins.is_empty() => {
                threads.work.send(numbered).expect("it is closed when we stop");
            }
            _ => {
                let (number, item) = numbered;
                self.done.push_back((number, catch(|| (self.f)(item))));
            }
        }
        true
    }

    /// A result that is there.
    fn try_result(&mut self) -> Option<Numbered<Result<R, Panicked>>> {
        let results = self.threads.as_ref().map(|threads| &threads.results);
        self.done.pop_front().or_else(|| results?.try_recv().ok())
    }

    /// The next result; none if all have been returned.
    fn result(&mut self) -> Option<Numbered<Result<R, Panicked>>> {
        if self.in_flight == 0 {
            return None;
        }
        let threads = self.threads.as_ref().expect("something is with them");
        Some(threads.results.recv().expect("each item comes back"))
    }

    /// Returns a result to whoever asked; none at the end.
    fn give(&mut self, result: Option<Result<R, Panicked>>) -> Option<R> {
        match result {
            Some(Ok(value)) => {
                self.in_flight -= 1;
                Some(value)
            }
            Some(Err(panicked)) => {
                self.stop();
                panicked.resume()
            }
            None => {
                self.stop();
                None
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.items.as_ref().map_or((0, Some(0)), Iterator::size_hint);
        let most = most.and_then(|most| most.checked_add(self.in_flight));
        (least.saturating_add(self.in_flight), most)
    }
}

impl<I: Iterator, R> Feed<'_, I, R> {
    /// Ends the threads. What nobody has begun with is dropped, and what nobody has asked for; nobody asks for a panic of that either.
    fn stop(&mut self) {
        discard(self.items.take());
        self.in_flight = 0;
        self.done.drain(..).for_each(discard);
        if let Some(Threads { work, unbegun, results, joins }) = self.threads.take() {
            work.close();
            unbegun.try_iter().for_each(discard);
            joins.into_iter().for_each(|join| join());
            results.try_iter().for_each(discard);
        }
    }
}

impl<I: Iterator, R> Drop for Feed<'_, I, R> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The results of several threads, in the order of the items. Made by
/// [`par_map_ordered`](super::ParallelIterator::par_map_ordered).
pub struct ParMapOrdered<'env, I: Iterator, R> {
    feed: Feed<'env, I, R>,
    /// What has come before its turn. The first is next.
    early: VecDeque<Option<Result<R, Panicked>>>,
    first: u64,
}

/// The results of several threads, as they are made. Made by [`par_map`](super::ParallelIterator::par_map).
pub struct ParMap<'env, I: Iterator, R> {
    feed: Feed<'env, I, R>,
}

impl<'env, I: Iterator, R> ParMapOrdered<'env, I, R> {
    pub(super) fn new(feed: Feed<'env, I, R>) -> Self {
        Self { feed, early: VecDeque::new(), first: 0 }
    }
}

impl<I: Iterator, R> Drop for ParMapOrdered<'_, I, R> {
    fn drop(&mut self) {
        self.early.drain(..).for_each(discard);
    }
}

impl<'env, I: Iterator, R> ParMap<'env, I, R> {
    pub(super) fn new(feed: Feed<'env, I, R>) -> Self {
        Self { feed }
    }
}

impl<'env, I: Iterator, R> Iterator for ParMapOrdered<'env, I, R>
where
    I::Item: Send + 'env,
    R: Send + 'env,
{
    type Item = R;

    fn next(&mut self) -> Option<R> {
        loop {
            let is_fed = self.feed.feed();
            let mut come = self.feed.try_result();
            if come.is_none() && !is_fed && !matches!(self.early.front(), Some(Some(_))) {
                come = self.feed.result();
                if come.is_none() {
                    return self.feed.give(None);
                }
            }
            // All that are there, so that they leave no room taken.
            while let Some((number, result)) = come {
                let place = (number - self.first) as usize;
                if self.early.len() <= place {
                    self.early.resize_with(place + 1, || None);
                }
                self.early[place] = Some(result);
                come = self.feed.try_result();
            }
            if let Some(Some(_)) = self.early.front() {
                self.first += 1;
                let result = self.early.pop_front().flatten();
                if matches!(result, Some(Err(_))) {
                    // With the panic the iterator has ended: what would come later does not come.
                    self.early.drain(..).for_each(discard);
                }
                return self.feed.give(result);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.feed.size_hint()
    }
}

impl<'env, I: Iterator, R> Iterator for ParMap<'env, I, R>
where
    I::Item: Send + 'env,
    R: Send + 'env,
{
    type Item = R;

    fn next(&mut self) -> Option<R> {
        loop {
            let is_fed = self.feed.feed();
            let come = self.feed.try_result();
            if come.is_some() || !is_fed {
                let come = come.or_else(|| self.feed.result());
                return self.feed.give(come.map(|(_, result)| result));
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.feed.size_hint()
    }
}

macro_rules! par_map {
    ($name:ident) => {
        impl<'env, I: Iterator, R> $name<'env, I, R> {
            /// At most `places` items are drawn and not returned: one at least, and no more than 65,536. More keep the threads busy where
            /// some items take much longer than others; in memory is what is in the window.
            ///
            /// # Panics
            ///
            /// If the threads have been started: by the first `next`.
            pub fn window(mut self, places: usize) -> Self {
                assert!(self.feed.threads.is_none(), "the window is set before the first item");
                self.feed.window = places.clamp(1, MOST);
                self
            }
        }

        // At the end there are no items left to draw.
        impl<'env, I: Iterator, R> FusedIterator for $name<'env, I, R>
        where
            I::Item: Send + 'env,
            R: Send + 'env,
        {
        }

        impl<I: Iterator, R> fmt::Debug for $name<'_, I, R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("window", &self.feed.window)
                    .field("in_flight", &self.feed.in_flight)
                    .finish_non_exhaustive()
            }
        }
    };
}

par_map!(ParMapOrdered);
par_map!(ParMap);
