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
    /// One item at most of each input. So many of them as are `sifted` are a heap: no item comes before the one at half its index.
    heads: Vec<(InputId, T)>,
    sifted: usize,
    /// The inputs of which none is there.
    missing: Vec<Arc<Input<T>>>,
}

impl<T> Ordered<T> {
    pub(super) fn new(compare: Compare<T>) -> Self {
        Self { compare, heads: Vec::new(), sifted: 0, missing: Vec::new() }
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
        self.sift();
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
    }

    pub(super) fn clear(&mut self) {
        self.sifted = 0;
        self.heads.clear();
        self.missing.clear();
    }

    /// Puts those that have come where they belong. A comparison may panic: nothing moves before all have been made.
    fn sift(&mut self) {
        for new in self.sifted..self.heads.len() {
            let mut place = new;
            while place > 0 && self.is_before(new, (place - 1) / 2) {
                place = (place - 1) / 2;
            }
            let mut at = new;
            while at > place {
                self.heads.swap(at, (at - 1) / 2);
                at = (at - 1) / 2;
            }
            self.sifted = new + 1;
        }
    }

    /// The smallest, of those that are all sifted. What was said of comparisons goes here, too.
    fn pop(&mut self) -> Option<(InputId, T)> {
        let last = self.heads.len().checked_sub(1)?;
        // Where the last one belongs when the first has gone.
        let mut at = 0;
        loop {
            let children = 2 * at + 1..(2 * at + 3).min(last);
            let least =
                children.reduce(|one, other| if self.is_before(other, one) { other } else { one });
            match least {
                Some(least) if self.is_before(least, last) => at = least,
                _ => break,
            }
        }
        // It goes there, and each one above it a place up; the first comes out at the top.
        while at > 0 {
            self.heads.swap(at, last);
            at = (at - 1) / 2;
        }
        self.sifted = last;
        Some(self.heads.swap_remove(0))
    }

    fn is_before(&mut self, one: usize, other: usize) -> bool {
        let ((one_id, one), (other_id, other)) = (&self.heads[one], &self.heads[other]);
        (self.compare)(one, other).then(one_id.cmp(other_id)).is_lt()
    }
}
