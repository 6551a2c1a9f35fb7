//! The parties of a fan, which change while it is in use: all read one list, and whoever changes it puts another in its place.
//!
//! A reader keeps the list that it has seen, and one load tells it whether there is a newer one: the list's context is done. A reader
//! that sleeps has that context wake it.

use crate::context::{Context, StopHandle};
use crate::lock;
use std::mem;
use std::sync::{Arc, Mutex};

/// What is in such a list.
pub(super) trait Member {
    /// Ends it: whoever sleeps at it wakes.
    fn close(&self);
}

pub(super) struct Members<M: Member> {
    state: Mutex<State<M>>,
    /// The contexts that close us.
    bonds: Mutex<Vec<StopHandle>>,
}

struct State<M> {
    view: View<M>,
    /// The number of the next member. None is used twice.
    next: u64,
    is_closed: bool,
}

/// A list as it once was.
pub(super) struct View<M> {
    pub(super) list: Arc<Vec<Arc<M>>>,
    /// Done when there is a newer one.
    pub(super) changed: Context,
}

impl<M> View<M> {
    fn new(list: Vec<Arc<M>>) -> Self {
        Self { list: Arc::new(list), changed: Context::background() }
    }

    pub(super) fn is_stale(&self) -> bool {
        self.changed.is_done()
    }
}

impl<M> Clone for View<M> {
    fn clone(&self) -> Self {
        Self { list: Arc::clone(&self.list), changed: self.changed.clone() }
    }
}

impl<M: Member> Members<M> {
    pub(super) fn new() -> Self {
        let state = State { view: View::new(Vec::new()), next: 0, is_closed: false };
        Self { state: Mutex::new(state), bonds: Mutex::new(Vec::new()) }
    }

    pub(super) fn view(&self) -> View<M> {
        lock(&self.state).view.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Adds what `make` makes of its number. If we are closed it is given back, with the number, and not added.
    pub(super) fn add(&self, make: impl FnOnce(u64) -> M) -> Result<u64, (u64, M)> {
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        let member = make(number);
        if state.is_closed {
            return Err((number, member));
        }
        let mut list = Vec::clone(&state.view.list);
        list.push(Arc::new(member));
        let before = mem::replace(&mut state.view, View::new(list));
        drop(state);
        before.changed.cancel();
        Ok(number)
    }

    /// Takes out those for whom `goes` is true.
    pub(super) fn take(&self, mut goes: impl FnMut(&M) -> bool) -> Vec<Arc<M>> {
        let mut state = lock(&self.state);
        let (gone, list): (Vec<_>, Vec<_>) =
            state.view.list.iter().cloned().partition(|member| goes(member));
        if gone.is_empty() {
            return gone;
        }
        let before = mem::replace(&mut state.view, View::new(list));
        // Wakers, and the destructors of what is in a channel, are foreign code.
        drop(state);
        before.changed.cancel();
        gone
    }

    /// Takes out, and closes, those for whom `goes` is true. How many that were.
    pub(super) fn remove(&self, goes: impl FnMut(&M) -> bool) -> usize {
        let gone = self.take(goes);
        gone.iter().for_each(|member| member.close());
        gone.len()
    }

    /// Takes all out, and nobody in any more. None if that was done before.
    pub(super) fn clear(&self) -> Option<Arc<Vec<Arc<M>>>> {
        let mut state = lock(&self.state);
        if mem::replace(&mut state.is_closed, true) {
            return None;
        }
        let before = mem::replace(&mut state.view, View::new(Vec::new()));
        drop(state);
        before.changed.cancel();
        Some(before.list)
    }

    /// As [`clear`](Self::clear), and closes them. True if this call did it.
    pub(super) fn close(&self) -> bool {
        let gone = self.clear();
        gone.iter().flat_map(|list| list.iter()).for_each(|member| member.close());
        gone.is_some()
    }

    /// Makes readers look again.
    pub(super) fn touch(&self) {
        let changed = Context::background();
        let before = mem::replace(&mut lock(&self.state).view.changed, changed);
        before.cancel();
    }
}

impl<M: Member + Send + Sync + 'static> Members<M> {
    /// Closes when `context` is done.
    pub(super) fn close_on(self: &Arc<Self>, context: &Context) {
        let members = Arc::downgrade(self);
        let bond = context.after_func(move || {
            if let Some(members) = members.upgrade() {
                members.close();
            }
        });
        lock(&self.bonds).push(bond);
    }
}

impl<M: Member> Drop for Members<M> {
    fn drop(&mut self) {
        for bond in mem::take(&mut *lock(&self.bonds)) {
            bond.stop();
        }
    }
}
