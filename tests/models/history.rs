//! Is there a sequential order that explains what several parties saw of a bounded queue?
//!
//! A **history** is one chain of [`Step`]s per party, each with the moments when its call began and ended.
//! [`explain`] searches for an order of all steps that keeps each chain's order and never puts a step
//! before one that had ended when it began (linearizability; Wing and Gong's search, with Lowe's memory of
//! where it has been), and in which every step's outcome is what a plain bounded FIFO would have answered.
//!
//! A batch is one step per item, all with the batch's moments: each item is its own operation, and others
//! may come between. A forced push into a full queue is two: the oldest item out, then its own in, which
//! cannot be refused; while it is frozen between the two, others see neither.
//!
//! # The one relaxation
//!
//! A call that is part-way may hold a slot, which is then missing from the capacity. [`Step::others`] says
//! what is known of the calls that are part-way around a step. *Occupied* are the items in the queue and
//! the slots held, but an item that was ordered before it is shown in its slot counts once.
//!
//! - Occupied slots are never more than the capacity, and a push is accepted only while they are fewer.
//! - A push is refused, or a forced push displaces, or gives its item back if there is nothing to displace,
//!   only if the occupied slots make up the capacity.
//! - `len` may count slots held; `is_full` and `is_empty` are `len`'s.
//!
//! Empty has no relaxation: an item whose push has not ended may be ordered later, and that is all.

use std::collections::{HashSet, VecDeque};

/// One call, or one item of a batch, and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done, and what came of it.
    pub event: Event,
    /// When its call began.
    pub began: u64,
    /// When its call ended.
    pub ended: u64,
    /// What is known of others that are part-way around this step.
    pub others: Others,
}

/// What calls that are part-way around a step may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// Up to so many slots.
    HoldUpTo(usize),
    /// Exactly what these hold, who stand still: the party that was preempted, and the one that it had
    /// preempted in turn.
    Frozen([Option<Frozen>; 2]),
}

impl Others {
    /// Nobody else is part-way.
    pub const NONE: Self = Self::HoldUpTo(0);
}

/// A call that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frozen {
    /// The chain that it is in.
    pub chain: usize,
    /// Those of its steps whose items, if they are pushes, are not shown yet.
    pub unshown: (usize, usize),
    /// How many slots it holds.
    pub holds: usize,
}

/// What a step did, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A push that was accepted.
    Pushed(u64),
    /// A push that was refused: full.
    Refused,
    /// A pop that got an item.
    Popped(u64),
    /// A pop that got none: empty.
    Empty,
    /// The first half of a forced push into a full queue: the oldest item is taken out. The second half
    /// is [`Pushed`](Event::Pushed).
    Displaced(u64),
    /// A forced push that gave its own item back: full and empty at once.
    Bounced,
    /// An answer of `len`.
    Len(usize),
    /// An answer of `is_empty`.
    IsEmpty(bool),
    /// An answer of `is_full`.
    IsFull(bool),
}

impl Event {
    /// The steps of a forced push of `value`. Items in one history have different values.
    pub fn forced(value: u64, displaced: Option<u64>) -> Vec<Event> {
        match displaced {
            None => vec![Event::Pushed(value)],
            Some(displaced) if displaced == value => vec![Event::Bounced],
            Some(displaced) => vec![Event::Displaced(displaced), Event::Pushed(value)],
        }
    }
}

/// Searches for a sequential order of the steps of all `chains`, from a queue that holds `start`, to one
/// that holds `end` (if known). `Err` tells how far the best attempt came.
pub fn explain(
    capacity: usize,
    start: &[u64],
    chains: &[Vec<Step>],
    end: Option<&[u64]>,
) -> Result<(), String> {
    let steps = chains.iter().map(Vec::len).sum();
    let mut search = Search {
        capacity,
        chains,
        end,
        at: vec![0; chains.len()],
        items: start.iter().copied().collect(),
        left: steps,
        seen: HashSet::new(),
        remember: steps > 12,
        best: steps + 1,
        stuck: String::new(),
    };
    if search.go() { Ok(()) } else { Err(search.stuck) }
}

struct Search<'a> {
    capacity: usize,
    chains: &'a [Vec<Step>],
    end: Option<&'a [u64]>,
    /// The next step of each chain.
    at: Vec<u32>,
    items: VecDeque<u64>,
    left: usize,
    seen: HashSet<(Vec<u32>, VecDeque<u64>)>,
    remember: bool,
    best: usize,
    stuck: String,
}

impl Search<'_> {
    /// Depth first, without recursion: histories may be long.
    fn go(&mut self) -> bool {
        let mut path: Vec<(usize, Undo)> = Vec::new();
        // The chain to try first from here; 0 is a place that was just reached.
        let mut first = 0;
        loop {
            if first == 0 {
                if self.left == 0 && self.end.is_none_or(|end| self.items.iter().eq(end)) {
                    return true;
                }
                if self.left < self.best {
                    self.best = self.left;
                    self.stuck = self.describe();
                }
                if self.remember && !self.seen.insert((self.at.clone(), self.items.clone())) {
                    first = self.chains.len();
                }
            }
            if let Some(taken) = self.step_from(first) {
                self.at[taken.0] += 1;
                self.left -= 1;
                path.push(taken);
                first = 0;
            } else if let Some((chain, undo)) = path.pop() {
                self.left += 1;
                self.at[chain] -= 1;
                undo.apply(&mut self.items);
                first = chain + 1;
            } else {
                return false;
            }
        }
    }

    /// Applies the next step of the first chain, from `first` on, that may come next.
    fn step_from(&mut self, first: usize) -> Option<(usize, Undo)> {
        // Whatever ended before another began must come first.
        let first_end = self.heads().map(|step| step.ended).min()?;
        let chains = self.chains;
        (first..chains.len()).find_map(|chain| {
            let step = chains[chain].get(self.at[chain] as usize)?;
            if first_end < step.began {
                return None;
            }
            Some((chain, self.apply(step)?))
        })
    }

    fn describe(&self) -> String {
        format!(
            "no sequential order explains it: the best attempt leaves {} steps, with {:?} in the queue, \
             where {:?} was at the end; next of each party: {:?}",
            self.left,
            self.items,
            self.end,
            self.heads().collect::<Vec<_>>(),
        )
    }

    fn heads(&self) -> impl Iterator<Item = &Step> {
        self.chains.iter().zip(&self.at).filter_map(|(chain, &at)| chain.get(at as usize))
    }

    /// Fewest and most slots that may be occupied; `None` if there are more than that.
    fn occupied(&self, others: Others) -> Option<(usize, usize)> {
        let len = self.items.len();
        let (least, most) = match others {
            Others::HoldUpTo(held) => (len, len + held),
            Others::Frozen(parties) => {
                let mut occupied = len;
                for frozen in parties.into_iter().flatten() {
                    // Ordered already, though not shown: their items count, and their slots, too.
                    let ordered = (self.at[frozen.chain] as usize).min(frozen.unshown.1);
                    let ahead = self.chains[frozen.chain][frozen.unshown.0.min(ordered)..ordered]
                        .iter()
                        .filter(|step| matches!(step.event, Event::Pushed(_)))
                        .count();
                    occupied += frozen.holds.checked_sub(ahead)?;
                }
                (occupied, occupied)
            }
        };
        (least <= self.capacity).then_some((least, most))
    }

    /// Applies the step to the items, if it may have this outcome here.
    fn apply(&mut self, step: &Step) -> Option<Undo> {
        let len = self.items.len();
        let (least, most) = self.occupied(step.others)?;
        let (must_be_full, may_be_full) = (least >= self.capacity, most >= self.capacity);
        let undo = match step.event {
            Event::Pushed(value) => {
                if must_be_full {
                    return None;
                }
                self.items.push_back(value);
                Undo::Unpush
            }
            Event::Refused if may_be_full => Undo::Nothing,
            Event::Refused => return None,
            Event::Popped(value) => {
                if self.items.front() != Some(&value) {
                    return None;
                }
                self.items.pop_front();
                Undo::Unpop(value)
            }
            Event::Empty if len == 0 => Undo::Nothing,
            Event::Empty => return None,
            Event::Displaced(value) => {
                if !may_be_full || self.items.front() != Some(&value) {
                    return None;
                }
                self.items.pop_front();
                Undo::Unpop(value)
            }
            Event::Bounced if may_be_full && len == 0 => Undo::Nothing,
            Event::Bounced => return None,
            Event::Len(answer) => {
                if answer < len || answer > most.min(self.capacity) {
                    return None;
                }
                Undo::Nothing
            }
            Event::IsEmpty(true) if len == 0 => Undo::Nothing,
            Event::IsEmpty(false) if most > 0 => Undo::Nothing,
            Event::IsEmpty(_) => return None,
            Event::IsFull(true) if may_be_full => Undo::Nothing,
            Event::IsFull(false) if len < self.capacity => Undo::Nothing,
            Event::IsFull(_) => return None,
        };
        Some(undo)
    }
}

/// How to take a step back.
enum Undo {
    Nothing,
    Unpush,
    Unpop(u64),
}

impl Undo {
    fn apply(self, items: &mut VecDeque<u64>) {
        match self {
            Undo::Nothing => {}
            Undo::Unpush => drop(items.pop_back()),
            Undo::Unpop(value) => items.push_front(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event::*, *};

    fn step(event: Event, began: u64, ended: u64) -> Step {
        Step { event, began, ended, others: Others::NONE }
    }

    #[test]
    fn overlapping_calls_may_be_put_in_any_order_and_others_may_not() {
        let pop_meets_push =
            |began| vec![vec![step(Pushed(1), 0, 5)], vec![step(Popped(1), began, began + 1)]];
        assert_eq!(explain(1, &[], &pop_meets_push(2), Some(&[])), Ok(()));
        assert_eq!(explain(1, &[], &pop_meets_push(6), Some(&[])), Ok(()));
        // Empty after the push had ended
        let late = vec![vec![step(Pushed(1), 0, 1)], vec![step(Empty, 2, 3)]];
        assert!(explain(1, &[], &late, None).is_err());
        // Empty while it was under way
        let early = vec![vec![step(Pushed(1), 0, 3)], vec![step(Empty, 1, 2)]];
        assert_eq!(explain(1, &[], &early, Some(&[1])), Ok(()));
    }

    #[test]
    fn reordered_duplicated_invented_and_lost_items_are_told() {
        let two = vec![step(Pushed(1), 0, 1), step(Pushed(2), 2, 3)];
        let pops = |first, second| {
            vec![two.clone(), vec![step(Popped(first), 4, 5), step(Popped(second), 6, 7)]]
        };
        assert_eq!(explain(2, &[], &pops(1, 2), Some(&[])), Ok(()));
        assert!(explain(2, &[], &pops(2, 1), None).is_err());
        assert!(explain(2, &[], &pops(1, 1), None).is_err());
        assert!(explain(2, &[], &pops(1, 3), None).is_err());
        assert!(explain(2, &[], &[two], Some(&[2])).unwrap_err().contains("best attempt"));
    }

    fn holds(holds: usize) -> Others {
        Others::Frozen([Some(Frozen { chain: 0, unshown: (0, 0), holds }), None])
    }

    #[test]
    fn a_push_is_refused_only_when_items_and_held_slots_make_up_the_capacity() {
        let refused = |others| vec![vec![Step { others, ..step(Refused, 0, 1) }]];
        assert!(explain(2, &[1], &refused(Others::NONE), None).is_err());
        assert_eq!(explain(2, &[1], &refused(Others::HoldUpTo(1)), None), Ok(()));
        assert_eq!(explain(2, &[1], &refused(holds(1)), None), Ok(()));
        assert_eq!(explain(2, &[1, 2], &refused(Others::NONE), None), Ok(()));
        // More held slots than the queue has room for: not this order.
        assert!(explain(2, &[1, 2], &refused(holds(1)), None).is_err());
        // A slot is held throughout: the pop made room, so the push that follows must be accepted.
        let pop_then = |event| {
            vec![vec![
                Step { others: holds(1), ..step(Popped(1), 0, 1) },
                Step { others: holds(1), ..step(event, 2, 3) },
            ]]
        };
        assert!(explain(2, &[1], &pop_then(Refused), None).is_err());
        assert_eq!(explain(2, &[1], &pop_then(Pushed(2)), Some(&[2])), Ok(()));
    }

    #[test]
    fn an_item_ordered_before_it_is_shown_does_not_count_twice() {
        // A is frozen with its slot claimed; B's push goes behind it.
        let behind = |holds| {
            let frozen = Frozen { chain: 0, unshown: (0, 1), holds };
            let others = Others::Frozen([Some(frozen), None]);
            vec![vec![step(Pushed(1), 0, 3)], vec![Step { others, ..step(Pushed(2), 1, 2) }]]
        };
        assert_eq!(explain(2, &[], &behind(1), Some(&[1, 2])), Ok(()));
        assert_eq!(explain(2, &[], &behind(1), Some(&[2, 1])), Ok(()));
        // An item that has no slot yet cannot be ordered first.
        assert!(explain(2, &[], &behind(0), Some(&[1, 2])).is_err());
    }

    #[test]
    fn a_forced_push_displaces_the_oldest_and_only_when_full() {
        let forced = |displaced| {
            let steps = Event::forced(3, displaced).into_iter().map(|event| step(event, 0, 1));
            vec![steps.collect()]
        };
        assert_eq!(explain(2, &[1, 2], &forced(Some(1)), Some(&[2, 3])), Ok(()));
        assert!(explain(2, &[1, 2], &forced(Some(2)), None).is_err());
        assert!(explain(2, &[1, 2], &forced(Some(3)), None).is_err());
        assert!(explain(2, &[1, 2], &forced(None), None).is_err());
        assert!(explain(3, &[1, 2], &forced(Some(1)), None).is_err());
        assert_eq!(explain(3, &[1, 2], &forced(None), Some(&[1, 2, 3])), Ok(()));
        // Its item may come back only where others hold every slot.
        let bounced = |others| vec![vec![Step { others, ..step(Bounced, 0, 1) }]];
        assert_eq!(explain(1, &[], &bounced(holds(1)), Some(&[])), Ok(()));
        assert!(explain(1, &[], &bounced(Others::NONE), None).is_err());
        assert!(explain(2, &[], &bounced(holds(1)), None).is_err());
    }

    #[test]
    fn lengths_are_held_to_what_was_there() {
        let len = |answer| vec![vec![step(Len(answer), 0, 1)]];
        assert_eq!(explain(3, &[1, 2], &len(2), None), Ok(()));
        assert!(explain(3, &[1, 2], &len(1), None).is_err());
        assert!(explain(3, &[1, 2], &len(3), None).is_err());
        let asked = |event| vec![vec![step(event, 0, 1)]];
        assert!(explain(2, &[1, 2], &asked(IsFull(false)), None).is_err());
        assert!(explain(2, &[1], &asked(IsFull(true)), None).is_err());
        assert!(explain(2, &[1], &asked(IsEmpty(true)), None).is_err());
        assert!(explain(2, &[], &asked(IsEmpty(false)), None).is_err());
    }

    #[test]
    fn a_long_history_is_searched_with_a_memory() {
        // Four parties that each push and pop 500 times, all calls overlapping the next round's.
        let chains: Vec<Vec<Step>> = (0..4u64)
            .map(|party| {
                (0..500u64)
                    .flat_map(|round| {
                        let (value, at) = (party * 1000 + round, round * 10);
                        [step(Pushed(value), at, at + 4), step(Popped(value), at + 5, at + 9)]
                    })
                    .collect()
            })
            .collect();
        assert_eq!(explain(8, &[], &chains, Some(&[])), Ok(()));
        let mut wrong = chains;
        wrong[3][999].event = Popped(0);
        assert!(explain(8, &[], &wrong, Some(&[])).is_err());
    }
}
