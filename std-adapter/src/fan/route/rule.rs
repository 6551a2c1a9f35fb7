//! Which of the branches that want an item gets it.

use crate::lock;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Mutex;

/// How a [`Router`](super::Router) chooses among the branches that want an item.
pub struct Rule<T> {
    kind: Kind<T>,
}

enum Kind<T> {
    Key(Box<dyn Fn(&T) -> u64 + Send + Sync>),
    Turns(Mutex<Turns>),
    First,
}

#[derive(Default)]
struct Turns {
    /// The number of the branch that had the last one.
    last: Option<u64>,
    /// How many there were, less those that were given back.
    count: u64,
}

impl<T> Rule<T> {
    /// Items with the same key go to the same branch, as long as that wants them and is there.
    ///
    /// Each branch draws a lot for each key, and the highest wins (rendezvous hashing; Thaler and Ravishankar, 1998), so that
    /// a branch that comes or goes moves no key between two others. It takes a step per branch and item. How keys are spread is
    /// different in each router, so that nobody can choose keys which all go to one.
    pub fn by_key<K: Hash>(key: impl Fn(&T) -> K + Send + Sync + 'static) -> Self {
        let hasher = RandomState::new();
        Self { kind: Kind::Key(Box::new(move |item| hasher.hash_one(key(item)))) }
    }

    /// The branches take turns: of those that want all items each gets as many as any other. A branch that is slow holds up the
    /// sender when its turn comes; where the fast ones are to get more, [`share`](crate::fan::share()).
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::fan::{self, Rule};
    ///
    /// let deal = fan::route(Rule::round_robin());
    /// let hands = [(); 3].map(|()| deal.add_branch(9));
    /// for card in 0..9 {
    ///     deal.send(card).unwrap();
    /// }
    /// assert!(hands.iter().all(|hand| hand.len() == 3));
    /// ```
    pub fn round_robin() -> Self {
        Self { kind: Kind::Turns(Mutex::default()) }
    }

    /// The one that was added first.
    pub fn first() -> Self {
        Self { kind: Kind::First }
    }

    /// The place of one of the branches with these numbers, which ascend. None if there are none.
    pub(super) fn choose(
        &self,
        item: &T,
        mut numbers: impl Iterator<Item = u64> + Clone,
    ) -> Option<(usize, Turn<'_>)> {
        match &self.kind {
            Kind::First => numbers.next().map(|_| (0, Turn::none())),
            Kind::Key(hash) => {
                let hash = hash(item);
                let lots = numbers.map(|number| lot(hash, number)).enumerate();
                lots.max_by_key(|&(_, lot)| lot).map(|(place, _)| (place, Turn::none()))
            }
            Kind::Turns(turns) => {
                let mut had = lock(turns);
                let next = |number: u64| had.last.is_none_or(|last| number > last);
                let place = numbers.clone().position(next).unwrap_or(0);
                let before = had.last.replace(numbers.nth(place)?);
                had.count += 1;
                let nth = had.count;
                Some((place, Turn { given: Some(Given { turns, before, nth }) }))
            }
        }
    }
}

/// What a key's hash and a branch's number draw together: all bits of both in all bits (Steele, Lea and Flood, 2014).
fn lot(hash: u64, number: u64) -> u64 {
    let mixed = hash ^ number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A turn, given back when it is dropped unless somebody has taken the next one.
pub(super) struct Turn<'a> {
    given: Option<Given<'a>>,
}

struct Given<'a> {
    turns: &'a Mutex<Turns>,
    before: Option<u64>,
    nth: u64,
}

impl Turn<'_> {
    pub(super) fn none() -> Self {
        Self { given: None }
    }

    /// The item was sent.
    pub(super) fn keep(mut self) {
        self.given = None;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(Given { turns, before, nth }) = self.given.take() {
            let mut turns = lock(turns);
            // By its place among the turns: the branch may have had another one since.
            if turns.count == nth {
                *turns = Turns { last: before, count: nth - 1 };
            }
        }
    }
}

impl<T> fmt::Debug for Rule<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Key(_) => "Rule::by_key",
            Kind::Turns(_) => "Rule::round_robin",
            Kind::First => "Rule::first",
        })
    }
}
