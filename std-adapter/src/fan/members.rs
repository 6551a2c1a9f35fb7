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
    /// The contexts of those before it whose followers may not have been told yet.
    outdated: Vec<Context>,
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
        let view = View::new(Vec::new());
        let state = State { view, outdated: Vec::new(), next: 0, is_closed: false };
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
        state.replace(list);
        drop(state);
        self.tell();
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
        state.replace(list);
        // Wakers, and the destructors of what is in a channel, are foreign code.
        drop(state);
        self.tell();
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
        let gone = Arc::clone(&state.view.list);
        state.replace(Vec::new());
        drop(state);
        self.tell();
        Some(gone)
    }

    /// As [`clear`](Self::clear), and closes them. True if this call did it.
    pub(super) fn close(&self) -> bool {
        let gone = self.clear();
        gone.iter().flat_map(|list| list.iter()).for_each(|member| member.close());
        gone.is_some()
    }

    /// Makes readers look again.
    pub(super) fn touch(&self) {
        lock(&self.state).outdate();
        self.tell();
    }

    /// Tells the followers of all views that have been replaced: also where another thread did that and has not come to
    /// tell them yet. So whoever returns from a change has it seen by every reader that looks from then on.
    fn tell(&self) {
        let outdated = lock(&self.state).outdated.clone();
        outdated.iter().for_each(Context::cancel);
        lock(&self.state).outdated.retain(|context| !context.is_done());
    }
}

impl<M> State<M> {
    /// Puts in a new view; [`Members::tell`] is to follow, without the lock.
    fn replace(&mut self, list: Vec<Arc<M>>) {
        self.outdate();
        self.view.list = Arc::new(list);
    }

    /// A view with the same list, and followers of its own.
    fn outdate(&mut self) {
        let changed = mem::take(&mut self.view.changed);
        self.outdated.push(changed);
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Number(u64);

    impl Member for Number {
        fn close(&self) {}
    }

    #[test]
    fn who_returns_from_a_change_has_it_seen_also_beside_one_who_is_half_way_through() {
        let members = Members::new();
        let seen = members.view();
        // Another thread has put in a view, and has lost its CPU.
        lock(&members.state).replace(vec![Arc::new(Number(7))]);
        assert!(!seen.is_stale());
        assert!(members.add(Number).is_ok());
        assert!(seen.is_stale(), "or the next send would miss the new branch");
        let numbers: Vec<_> = members.view().list.iter().map(|member| member.0).collect();
        assert_eq!(numbers, [7, 0]);
        members.tell();
        assert!(lock(&members.state).outdated.is_empty(), "nothing is kept for ever");
    }
}
