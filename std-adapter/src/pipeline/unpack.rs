//! Stages that make none, one or several items of one: what they hand on is taken out of its wrapping here.

use super::control::{Control, Spot};
use super::desk::{Count, Desk};
use super::error::BuildError;
use super::flow::{Below, Flow, Launch, Order, Pump};
use super::order::{Gate, Reorder};
use super::parcel::{Parcel, Sink};
use super::stage::{Judged, Plan, Staged};
use crate::foreign::discard;
use crate::thread::{self, SpawnError};
use std::sync::Arc;

/// A flow of options, of which only what is there goes on: `filter`, `filter_map`.
pub struct Sifted<P>(pub(super) P);

/// A flow of lists, whose items go on one by one: `flat_map`.
pub struct Unpacked<P>(pub(super) P);

macro_rules! staged {
    ($name:ident) => {
        impl<P: Staged> Staged for $name<P> {
            type In = P::In;

            fn plan(&mut self) -> &mut Plan {
                self.0.plan()
            }
        }

        impl<P: Judged> Judged for $name<P> {
            type Policy = P::Policy;
            type WithPolicy<Q> = $name<P::WithPolicy<Q>>;
            type WithKey<F> = $name<P::WithKey<F>>;

            fn map_policy<Q>(self, f: impl FnOnce(P::Policy) -> Q) -> Self::WithPolicy<Q> {
                $name(self.0.map_policy(f))
            }

            fn with_key<F>(self, key: F) -> Self::WithKey<F> {
                $name(self.0.with_key(key))
            }
        }
    };
}

staged!(Sifted);
staged!(Unpacked);

/// What both say of themselves: what the stage says whose items they unwrap.
macro_rules! as_the_stage {
    () => {
        fn position(&self) -> usize {
            self.0.position()
        }

        fn name(&self) -> Arc<str> {
            self.0.name()
        }

        fn is_in_order(&self) -> bool {
            self.0.is_in_order()
        }

        fn total(&self) -> Option<u64> {
            self.0.total()
        }

        fn check(&self, asked: Order<'_>) -> Result<(), BuildError> {
            self.0.check(asked)
        }
    };
}

impl<P, T> Flow for Sifted<P>
where
    P: Flow<Item = Option<T>>,
    T: Send,
{
    type Item = T;

    as_the_stage!();

    fn makers(&self, is_ordered: bool) -> usize {
        self.0.makers(is_ordered)
    }

    fn launch<'scope, S>(
        self,
        launch: &mut Launch<'scope, '_>,
        sink: S,
        below: Below,
    ) -> Result<Pump<'scope>, SpawnError>
    where
        Self: 'scope,
        S: Sink<T> + 'scope,
    {
        let every_number = below.every_number;
        self.0.launch(launch, Sieve { sink, every_number }, below)
    }
}

#[derive(Clone)]
struct Sieve<S> {
    sink: S,
    every_number: bool,
}

impl<T: Send, S: Sink<T>> Sink<Option<T>> for Sieve<S> {
    fn put(&mut self, parcel: Parcel<Option<T>>, desk: &Desk) {
        let Parcel { seq, item, done, load, fare } = parcel;
        let load = match load {
            Some(None) => {
                desk.count(Count::Filtered);
                None
            }
            load => load.flatten(),
        };
        // What is left out is not under way any more.
        let fare = fare.filter(|_| load.is_some());
        if load.is_some() || self.every_number {
            self.sink.put(Parcel { seq, item, done, load, fare }, desk);
        }
    }

    fn finish(self, desk: &Desk) {
        self.sink.finish(desk);
    }
}

impl<P: Flow<Item: IntoIterator<Item: Send>>> Flow for Unpacked<P> {
    type Item = <P::Item as IntoIterator>::Item;

    as_the_stage!();

    fn makers(&self, is_ordered: bool) -> usize {
        // In front of an ordered point the lists are put in order, and one at a time is taken apart.
        if is_ordered { 1 } else { self.0.makers(false) }
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
        let (commits, control) = (below.commits, Arc::clone(&launch.control));
        let spot = Spot { name: self.0.name(), index: self.0.position() };
        let every_number = below.every_number;
        if below.gate.is_none() {
            let unwrap = Unwrap { sink, anew: None, every_number, commits, control, spot };
            return self.0.launch(launch, unwrap, below);
        }
        // A window follows, which counts on the numbers, so the items are numbered anew, which takes having them in order.
        let window = below.window;
        let anew = Some(Numbering { next: 0, gate: below.gate });
        let unwrap = Unwrap { sink, anew, every_number, commits, control, spot };
        let behind = Below { commits, every_number: commits, ..Below::default() };
        let (reorder, above) = Reorder::new(window, unwrap, behind, (), &launch.control);
        launch.has_one_way_out = true;
        self.0.launch(launch, reorder, above)
    }
}

#[derive(Clone)]
struct Unwrap<S> {
    sink: S,
    anew: Option<Numbering>,
    /// See [`Below::every_number`].
    every_number: bool,
    /// See [`Below::commits`].
    commits: bool,
    control: Arc<Control>,
    spot: Spot,
}

/// Behind an ordered point, where one party is at a time.
#[derive(Clone)]
struct Numbering {
    next: u64,
    gate: Option<Gate>,
}

impl<S> Unwrap<S> {
    fn hand_on<T>(&mut self, mut parcel: Parcel<T>, desk: &Desk)
    where
        S: Sink<T>,
    {
        if let Some(Numbering { next, gate }) = &mut self.anew {
            parcel.seq = *next;
            *next += 1;
            if gate.as_mut().is_some_and(|gate| !gate.enter(desk)) {
                return desk.add(Count::Recalled, u64::from(parcel.load.is_some()));
            }
        }
        self.sink.put(parcel, desk);
    }
}

impl<L, S> Sink<L> for Unwrap<S>
where
    L: IntoIterator + Send,
    L::Item: Send,
    S: Sink<L::Item>,
{
    fn put(&mut self, parcel: Parcel<L>, desk: &Desk) {
        let Parcel { seq, item, done, load, fare } = parcel;
        if let Some(list) = load {
            let mut made: u64 = 0;
            // Whoever puts the lists in order takes others' apart as well.
            let own = desk.item();
            desk.is_at(item);
            let mut list = thread::catch(|| list.into_iter().peekable());
            let is_done = list.as_mut().map_or(Ok(false), |list| {
                // A list may have no end: it is run as long as somebody wants what is in it.
                while self.control.admits(item) {
                    let next = thread::catch(|| {
                        let load = list.next()?;
                        // Where nobody asks which is the last, none is kept back until the list has made the next.
                        let is_last = done > item && self.commits && list.peek().is_none();
                        Some((load, if is_last { done } else { item }))
                    });
                    let Some((load, done)) = next? else { return Ok(true) };
                    // The first goes on for the item itself.
                    desk.add(Count::Added, u64::from(made > 0));
                    made += 1;
                    let (load, fare) = (Some(load), fare.clone());
                    self.hand_on(Parcel { seq, item, done, load, fare }, desk);
                }
                Ok(false)
            });
            // What is left of it may panic when it is dropped; of several panics the first is told.
            let dropped = list.and_then(|list| thread::catch(|| drop(list)));
            let is_done = match (is_done, dropped) {
                (Ok(is_done), Ok(())) => Ok(is_done),
                (Ok(_), Err(panicked)) => Err(panicked),
                (Err(panicked), dropped) => {
                    discard(dropped);
                    Err(panicked)
                }
            };
            own.map_or_else(|| desk.is_between(), |own| desk.is_at(own));
            match is_done {
                Err(panicked) => {
                    self.control.stop_at(&self.spot, item, panicked, desk);
                    // It failed, beside all that it had made.
                    desk.add(Count::Added, u64::from(made > 0));
                }
                Ok(true) if made == 0 => desk.count(Count::Filtered),
                Ok(false) if made == 0 => desk.count(Count::Recalled),
                Ok(_) => {}
            }
            if made > 0 {
                return;
            }
        }
        if self.every_number {
            // So that those who count on every number hear of the item.
            self.hand_on(Parcel { seq, item, done, load: None, fare: None }, desk);
        }
    }

    fn finish(self, desk: &Desk) {
        self.sink.finish(desk);
    }
}
