//! The followers of a node, in the order in which they came: entering and leaving take a few steps, however many there are.
//!
//! A vector of slots with a list of the vacant ones: a child that is made and dropped, which is what happens most, finds the slot
//! that the last one left. (A `BTreeMap` by number keeps the order by itself, and took four times as many instructions.)

use std::num::NonZeroU64;

/// Things that come in order, and leave in any.
pub(super) struct Table<T> {
    slots: Vec<Slot<T>>,
    /// The first vacant slot; as many as there are slots if there is none.
    vacant: usize,
    taken: usize,
    /// The number of the next to come.
    next: NonZeroU64,
}

enum Slot<T> {
    Taken { number: NonZeroU64, item: T },
    Vacant { next: usize },
}

/// Where something stands. Its number is never used twice, so leaving twice is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    slot: usize,
    /// Not zero, so that no place takes no more room than one.
    number: NonZeroU64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), vacant: 0, taken: 0, next: NonZeroU64::MIN }
    }
}

impl<T> Table<T> {
    /// An empty table keeps room for so many.
    const KEPT: usize = 32;

    pub(super) fn is_empty(&self) -> bool {
        self.taken == 0
    }

    /// Where the next [`insert`](Self::insert) will put it.
    pub(super) fn next_place(&self) -> Place {
        Place { slot: self.vacant, number: self.next }
    }

    /// Puts it at the end.
    pub(super) fn insert(&mut self, item: T) -> Place {
        let place = self.next_place();
        let taken = Slot::Taken { number: place.number, item };
        match self.slots.get_mut(place.slot) {
            Some(slot) => {
                let Slot::Vacant { next } = *slot else {
                    unreachable!("the list has vacant slots only")
                };
                self.vacant = next;
                *slot = taken;
            }
            None => {
                self.slots.push(taken);
                self.vacant = self.slots.len();
            }
        }
        self.next = self.next.checked_add(1).expect("nobody counts so far");
        self.taken += 1;
        place
    }

    /// Takes it out, unless it has left already.
    pub(super) fn remove(&mut self, place: Place) -> Option<T> {
        let slot = self.slots.get_mut(place.slot)?;
        if !matches!(slot, Slot::Taken { number, .. } if *number == place.number) {
            return None;
        }
        let Slot::Taken { item, .. } = std::mem::replace(slot, Slot::Vacant { next: self.vacant })
        else {
            unreachable!("it was taken a moment ago")
        };
        self.vacant = place.slot;
        self.taken -= 1;
        if self.taken == 0 && self.slots.len() > Self::KEPT {
            // So that one busy moment does not cost memory for ever.
            self.slots = Vec::new();
            self.vacant = 0;
        }
        Some(item)
    }

    /// All that are in, in any order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Taken { item, .. } => Some(item),
            Slot::Vacant { .. } => None,
        })
    }

    /// Takes all out, in the order in which they came.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        let slots = std::mem::take(&mut self.slots);
        (self.vacant, self.taken) = (0, 0);
        let taken = |slot| match slot {
            Slot::Taken { number, item } => Some((number, item)),
            Slot::Vacant { .. } => None,
        };
        let mut items: Vec<_> = slots.into_iter().filter_map(taken).collect();
        items.sort_unstable_by_key(|(number, _)| *number);
        items.into_iter().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Against a map by number, over a long pseudo-random sequence of coming, leaving, leaving again, and all leaving.
    #[test]
    fn a_table_is_a_map_by_number() {
        let (mut table, mut model) = (Table::default(), BTreeMap::new());
        let mut gone: Vec<Place> = Vec::new();
        let mut random = 0x9E37_79B9_7F4A_7C15_u64;
        for turn in 0..20_000_u64 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Grows to hundreds, and shrinks to nothing, in turns.
            let grows = turn % 2_000 < 1_200;
            if random % 8 < if grows { 6 } else { 2 } {
                let promised = table.next_place();
                let place = table.insert(turn);
                assert_eq!(place, promised);
                model.insert(place.number, (place, turn));
            } else if !model.is_empty() {
                let nth = (random >> 8) as usize % model.len();
                let (place, item) = *model.values().nth(nth).expect("there are so many");
                model.remove(&place.number);
                assert_eq!(table.remove(place), Some(item));
                gone.push(place);
            }
            if let Some(&place) = gone.get((random >> 32) as usize % gone.len().max(1)) {
                assert_eq!(table.remove(place), None, "it has left already");
            }
            if turn % 4_999 == 4_998 {
                let all: Vec<_> = table.take_all().collect();
                assert_eq!(all, model.values().map(|(_, item)| *item).collect::<Vec<_>>());
                gone.extend(std::mem::take(&mut model).into_values().map(|(place, _)| place));
            }
            assert_eq!(table.taken, model.len());
            assert_eq!(table.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn a_slot_that_was_left_is_used_again_and_room_is_given_back() {
        let mut table = Table::default();
        for item in 0..1_000_000 {
            let place = table.insert(item);
            assert_eq!(place.slot, 0);
            table.remove(place);
        }
        let places: Vec<_> = (0..10_000).map(|item| table.insert(item)).collect();
        assert_eq!(table.slots.len(), 10_000);
        for place in places {
            table.remove(place);
        }
        assert_eq!(table.slots.capacity(), 0);
        assert_eq!(table.insert(7).slot, 0);
        assert_eq!(table.take_all().collect::<Vec<_>>(), [7]);
    }
}
