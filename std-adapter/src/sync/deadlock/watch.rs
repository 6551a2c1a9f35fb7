//! What a lock and a guard carry while threads are watched.
//!
//! One table for all threads, since a guard may be dropped in another thread than it was made in. That is slow, and for debug
//! builds good enough.

use super::graph::{Graph, Holding, Id};
use crate::lock;
use crate::sync::order::Mode;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, OnceLock};
use std::thread::{self, ThreadId};

#[derive(Default)]
struct Table {
    graph: Graph,
    /// What each thread holds, by the number of the guard.
    held: HashMap<ThreadId, Vec<(u64, Holding)>>,
    /// Numbers given away, to locks and to guards.
    numbers: u64,
}

impl Table {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

/// Which lock it is, for the table.
pub(in crate::sync) struct Order {
    /// Given at the first use: locks are made in constants.
    id: OnceLock<Id>,
}

impl Order {
    pub(in crate::sync) const fn new() -> Self {
        Self { id: OnceLock::new() }
    }

    /// The thread asks for the lock, and will wait if it has to.
    ///
    /// # Panics
    ///
    /// When that could deadlock, and no hook is set.
    #[track_caller]
    pub(in crate::sync) fn will_wait(&self, mode: Mode) {
        let asked = self.holding(mode);
        let me = thread::current();
        let cycle = {
            let mut table = lock(&TABLE);
            let held: Vec<_> = match table.held.get(&me.id()) {
                Some(held) => held.iter().map(|&(_, holding)| holding).collect(),
                None => return,
            };
            table.graph.ask(me.name().unwrap_or("(without a name)"), &held, asked)
        };
        let Some(cycle) = cycle else { return };
        match super::hook() {
            Some(hook) => hook(&cycle),
            // A panic in a panic would end the process.
            None if thread::panicking() => eprintln!("{cycle}"),
            None => panic!("{cycle}"),
        }
    }

    /// The thread has the lock.
    #[track_caller]
    pub(in crate::sync) fn held(&self, mode: Mode) -> Held {
        let holding = self.holding(mode);
        let me = thread::current().id();
        let mut table = lock(&TABLE);
        let guard = table.number();
        table.held.entry(me).or_default().push((guard, holding));
        Held { guard: Some((me, guard)) }
    }

    #[track_caller]
    fn holding(&self, mode: Mode) -> Holding {
        let id = *self.id.get_or_init(|| lock(&TABLE).number());
        Holding { lock: id, mode, at: Location::caller() }
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        if let Some(&id) = self.id.get() {
            lock(&TABLE).graph.forget(id);
        }
    }
}

/// That a thread has a lock, until this is dropped.
pub(in crate::sync) struct Held {
    /// None for a guard that nobody watches.
    guard: Option<(ThreadId, u64)>,
}

impl Held {
    pub(in crate::sync) fn untracked() -> Self {
        Self { guard: None }
    }

    /// It is held in another way from now on.
    pub(in crate::sync) fn becomes(&mut self, mode: Mode) {
        let Some((thread, guard)) = self.guard else { return };
        let mut table = lock(&TABLE);
        let held = table.held.get_mut(&thread).into_iter().flatten();
        for (_, holding) in held.filter(|(number, _)| *number == guard) {
            holding.mode = mode;
        }
    }

    pub(in crate::sync) fn is_tracked(&self) -> bool {
        self.guard.is_some()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((thread, guard)) = self.guard else { return };
        let mut table = lock(&TABLE);
        if let Some(held) = table.held.get_mut(&thread) {
            held.retain(|&(number, _)| number != guard);
            if held.is_empty() {
                table.held.remove(&thread);
            }
        }
    }
}
