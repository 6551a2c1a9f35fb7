//! Who asked for what while holding what, and whether that makes a circle.

use super::{Cycle, Step};
use crate::sync::order::Mode;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::panic::Location;

/// The number of a lock; never used twice.
pub(super) type Id = u64;

/// A lock in the hands of a thread.
#[derive(Clone, Copy)]
pub(super) struct Holding {
    pub(super) lock: Id,
    pub(super) mode: Mode,
    pub(super) at: &'static Location<'static>,
}

/// A thread held one lock and asked for the next.
struct Edge {
    held: Mode,
    asked: Mode,
    step: Step,
}

/// The orders that have been seen: from each lock to those that were asked for while it was held.
#[derive(Default)]
pub(super) struct Graph {
    edges: HashMap<Id, HashMap<Id, Vec<Edge>>>,
}

impl Mode {
    /// Whether one who asks so may have to wait for one who holds so, directly or because of a writer in between.
    fn waits_for(self, held: Self) -> bool {
        !matches!(
            (self, held),
            (Self::Read { passes: true }, Self::Read { .. } | Self::Upgradable)
                | (Self::Upgradable, Self::Read { passes: true })
        )
    }
}

impl Graph {
    /// A thread that holds `held` asks for `asked`. Remembers it; the circle that it makes, if it does.
    pub(super) fn ask(&mut self, thread: &str, held: &[Holding], asked: Holding) -> Option<Cycle> {
        let mut cycle = None;
        for &holding in held {
            let step = Step { thread: thread.to_owned(), held_at: holding.at, asked_at: asked.at };
            if holding.lock == asked.lock {
                if asked.mode.waits_for(holding.mode) {
                    cycle.get_or_insert(Cycle { steps: vec![step] });
                }
                continue;
            }
            let known = self.edges.entry(holding.lock).or_default().entry(asked.lock).or_default();
            if known.iter().any(|edge| (edge.held, edge.asked) == (holding.mode, asked.mode)) {
                continue;
            }
            known.push(Edge { held: holding.mode, asked: asked.mode, step: step.clone() });
            if cycle.is_none()
                && let Some(way) = self.way(asked, holding)
            {
                cycle = Some(Cycle { steps: [vec![step], way].concat() });
            }
        }
        cycle
    }

    /// The shortest way from what is asked for back to what is held, if there is one.
    fn way(&self, from: Holding, to: Holding) -> Option<Vec<Step>> {
        // What stands in line: a lock, how it is asked for, and the way there.
        let mut line = VecDeque::from([(from.lock, from.mode, Vec::<&Edge>::new())]);
        let mut seen = HashSet::from([(from.lock, from.mode)]);
        while let Some((lock, asked, way)) = line.pop_front() {
            for (&next, edges) in self.edges.get(&lock).into_iter().flatten() {
                for edge in edges.iter().filter(|edge| asked.waits_for(edge.held)) {
                    let way = [&way[..], &[edge]].concat();
                    if next == to.lock && edge.asked.waits_for(to.mode) {
                        return Some(way.iter().map(|edge| edge.step.clone()).collect());
                    }
                    if next != to.lock && seen.insert((next, edge.asked)) {
                        line.push_back((next, edge.asked, way));
                    }
                }
            }
        }
        None
    }

    /// Forgets a lock that is gone.
    pub(super) fn forget(&mut self, lock: Id) {
        self.edges.remove(&lock);
        remove_everywhere(&mut self.edges, lock);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }
}

fn remove_everywhere<K: Eq + Hash, V>(edges: &mut HashMap<K, HashMap<Id, V>>, lock: Id) {
    edges.retain(|_, targets| {
        targets.remove(&lock);
        !targets.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Mode = Mode::Read { passes: false };
    const PASSING: Mode = Mode::Read { passes: true };

    #[track_caller]
    fn holding(lock: Id, mode: Mode) -> Holding {
        Holding { lock, mode, at: Location::caller() }
    }

    #[track_caller]
    fn ask(graph: &mut Graph, held: (Id, Mode), asked: (Id, Mode)) -> usize {
        let held = [holding(held.0, held.1)];
        let cycle = graph.ask("t", &held, holding(asked.0, asked.1));
        cycle.map_or(0, |cycle| cycle.steps().len())
    }

    #[test]
    fn a_circle_of_any_length_is_found_once() {
        for length in 2..6 {
            let mut graph = Graph::default();
            for lock in 1..length {
                assert_eq!(ask(&mut graph, (lock, Mode::Write), (lock + 1, Mode::Write)), 0);
            }
            assert_eq!(ask(&mut graph, (length, Mode::Write), (1, Mode::Write)), length as usize);
            assert_eq!(ask(&mut graph, (length, Mode::Write), (1, Mode::Write)), 0, "it is known");
        }
    }

    #[test]
    fn the_same_order_over_and_over_is_none() {
        let mut graph = Graph::default();
        for _ in 0..3 {
            assert_eq!(ask(&mut graph, (1, Mode::Write), (2, READ)), 0);
            assert_eq!(ask(&mut graph, (1, READ), (3, Mode::Write)), 0);
            assert_eq!(ask(&mut graph, (2, READ), (3, Mode::Upgradable)), 0);
        }
    }

    #[test]
    fn a_thread_that_waits_for_itself_is_found() {
        for (held, asked, waits) in [
            (Mode::Write, Mode::Write, true),
            (READ, READ, true),
            (READ, Mode::Upgradable, true),
            (PASSING, PASSING, false),
            (Mode::Upgradable, PASSING, false),
            (PASSING, Mode::Upgradable, false),
            (PASSING, Mode::Write, true),
            (Mode::Write, PASSING, true),
        ] {
            let found = ask(&mut Graph::default(), (1, held), (1, asked));
            assert_eq!(found, usize::from(waits), "{held:?}, then {asked:?}");
        }
    }

    #[test]
    fn readers_that_pass_make_no_circle() {
        let mut graph = Graph::default();
        assert_eq!(ask(&mut graph, (1, PASSING), (2, PASSING)), 0);
        assert_eq!(ask(&mut graph, (2, PASSING), (1, PASSING)), 0);
        // One writer in it does.
        assert_eq!(ask(&mut graph, (2, PASSING), (1, Mode::Write)), 0, "still read from 1 to 2");
        assert_eq!(ask(&mut graph, (1, PASSING), (2, Mode::Write)), 2);
    }

    #[test]
    fn a_lock_that_is_gone_leaves_nothing() {
        let mut graph = Graph::default();
        assert_eq!(ask(&mut graph, (1, Mode::Write), (2, Mode::Write)), 0);
        assert_eq!(ask(&mut graph, (2, Mode::Write), (3, Mode::Write)), 0);
        graph.forget(2);
        assert!(graph.is_empty());
        assert_eq!(ask(&mut graph, (3, Mode::Write), (1, Mode::Write)), 0);
    }
}
