//! Which worker an item goes to, if that is not whoever is free: the same one for the same key.

use super::desk::Desk;
use super::edge::Entrance;
use super::parcel::{Parcel, Sink};
use crate::foreign::ask;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;

/// What an item's key is.
pub trait Key<In>: Clone + Send + Sync {
    /// The key, kept while the item is worked on.
    type Key;
    /// Whether there are keys at all.
    const KEYED: bool;

    #[doc(hidden)]
    fn of(&self, item: &In) -> Self::Key;

    /// Which of so many lanes.
    #[doc(hidden)]
    fn lane(&self, item: &In, lanes: usize) -> usize;

    #[doc(hidden)]
    fn show(&self, key: &Self::Key) -> Option<String>;
}

/// The items have no keys.
#[derive(Clone, Copy, Debug)]
pub struct Unkeyed;

impl<In> Key<In> for Unkeyed {
    type Key = ();
    const KEYED: bool = false;

    fn of(&self, _: &In) {}

    fn lane(&self, _: &In, _: usize) -> usize {
        0
    }

    fn show(&self, (): &()) -> Option<String> {
        None
    }
}

/// The keys that a function finds: [`keyed`](super::Pipeline::keyed).
pub struct ByKey<F, T> {
    function: F,
    hasher: RandomState,
    key: PhantomData<fn() -> T>,
}

impl<F, T> ByKey<F, T> {
    pub(super) fn new(function: F) -> Self {
        Self { function, hasher: RandomState::new(), key: PhantomData }
    }
}

impl<F: Clone, T> Clone for ByKey<F, T> {
    fn clone(&self) -> Self {
        let (function, hasher) = (self.function.clone(), self.hasher.clone());
        Self { function, hasher, key: PhantomData }
    }
}

impl<In, F, T> Key<In> for ByKey<F, T>
where
    F: Fn(&In) -> T + Clone + Send + Sync,
    T: Hash + fmt::Debug,
{
    type Key = T;
    const KEYED: bool = true;

    fn of(&self, item: &In) -> T {
        (self.function)(item)
    }

    fn lane(&self, item: &In, lanes: usize) -> usize {
        // The remainder is smaller than a `usize`.
        (self.hasher.hash_one((self.function)(item)) % lanes as u64) as usize
    }

    fn show(&self, key: &T) -> Option<String> {
        Some(format!("{key:?}"))
    }
}

/// The ways into a stage: one, or one for each of its workers.
pub(super) struct Lanes<T, K> {
    lanes: Vec<Entrance<T>>,
    key: K,
}

impl<T, K> Lanes<T, K> {
    pub(super) fn new(lanes: Vec<Entrance<T>>, key: K) -> Self {
        Self { lanes, key }
    }
}

impl<T, K: Clone> Clone for Lanes<T, K> {
    fn clone(&self) -> Self {
        Self { lanes: self.lanes.clone(), key: self.key.clone() }
    }
}

impl<T: Send, K: Key<T>> Sink<T> for Lanes<T, K> {
    fn put(&mut self, parcel: Parcel<T>, desk: &Desk) {
        let lanes = self.lanes.len();
        let lane = match &parcel.load {
            _ if lanes == 1 => 0,
            // Where the key cannot be told, any lane will do: the worker asks again, and then a policy what to do.
            Some(load) => ask(|| self.key.lane(load, lanes)).unwrap_or(0),
            None => (parcel.seq % lanes as u64) as usize,
        };
        self.lanes[lane].put(parcel, desk);
    }

    fn has_room(&self) -> bool {
        matches!(&*self.lanes, [only] if only.has_room())
    }

    fn finish(self, desk: &Desk) {
        for lane in self.lanes {
            lane.finish(desk);
        }
    }
}
