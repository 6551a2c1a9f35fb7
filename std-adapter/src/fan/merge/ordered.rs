//! The first items of all inputs, the smallest on top: a binary heap whose order is a function.

use super::source::{Input, InputId};
use super::{Ask, Look};
use crate::channel::TryRecvError;
use std::cmp;
use std::sync::Arc;

pub(super) type Compare<T> = Box<dyn FnMut(&T, &T) -> cmp::Ordering + Send>;

/// An item may come when each input has shown one.
pub(super) struct Ordered<T> {
    compare: Compare<T>,
    /// A heap: no item comes before the one at half its index. One item at most of each input.
    heads: Vec<(InputId, T)>,
    /// The inputs of which none is in the heap.
    missing: Vec<Arc<Input<T>>>,
}

impl<T> Ordered<T> {
    pub(super) fn new(compare: Compare<T>) -> Self {
        Self { compare, heads: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn missing(&self) -> impl Iterator<Item = &Arc<Input<T>>> {
        self.missing.iter()
    }

    /// The list has changed.
    pub(super) fn arrange(&mut self, list: &[Arc<Input<T>>]) {
        let mut shown: Vec<InputId> = self.heads.iter().map(|(id, _)| *id).collect();
        shown.sort_unstable();
        let is_missing = |input: &&Arc<Input<T>>| shown.binary_search(&input.id).is_err();
        self.missing = list.iter().filter(is_missing).cloned().collect();
    }

    pub(super) fn look(&mut self, list: &[Arc<Input<T>>], ask: Ask<T>) -> Look<T> {
        // All of them: behind one that is empty may be one that has ended, for which a sleeper does not sleep. From the back, so that the
        // one that moves to a place that is free has been asked.
        for place in (0..self.missing.len()).rev() {
            let input = &self.missing[place];
            match ask(&input.receiver) {
                Ok(item) => self.took(place, item),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Look::Gone(input.id),
            }
        }
        if !self.missing.is_empty() {
            return Look::Nothing;
        }
        let Some((id, item)) = self.pop() else { return Look::NoInputs };
        // By number; it may have been taken out meanwhile.
        if let Ok(at) = list.binary_search_by_key(&id, |input| input.id) {
            self.missing.push(Arc::clone(&list[at]));
        }
        Look::Item(item)
    }

    /// The first item of the input at this place among the missing.
    pub(super) fn took(&mut self, place: usize, item: T) {
        let input = self.missing.swap_remove(place);
        self.heads.push((input.id, item));
        let mut at = self.heads.len() - 1;
        while at > 0 && self.is_before(at, (at - 1) / 2) {
            self.heads.swap(at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
    }

    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.missing.clear();
    }

    fn pop(&mut self) -> Option<(InputId, T)> {
        if self.heads.is_empty() {
            return None;
        }
        let first = self.heads.swap_remove(0);
        let mut at = 0;
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(self.heads.len());
            let Some(least) =
                children.reduce(|one, other| if self.is_before(other, one) { other } else { one })
            else {
                break;
            };
            if !self.is_before(least, at) {
                break;
            }
            self.heads.swap(least, at);
            at = least;
        }
        Some(first)
    }

    fn is_before(&mut self, one: usize, other: usize) -> bool {
        let ((one_id, one), (other_id, other)) = (&self.heads[one], &self.heads[other]);
        (self.compare)(one, other).then(one_id.cmp(other_id)).is_lt()
    }
}
