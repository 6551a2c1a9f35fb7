//! A line of parties, first come, first served; each can leave from anywhere, at the same cost.

/// Where a party is. Its own until it is taken out with [`Line::remove`].
pub(in crate::channel) type Key = usize;

/// A doubly linked list in a vector whose places are used again: nothing is allocated once it was as long as it
/// gets.
pub(super) struct Line<P> {
    places: Vec<Place<P>>,
    /// The first of the free places, linked by `next`.
    free: Option<Key>,
    first: Option<Key>,
    last: Option<Key>,
}

struct Place<P> {
    /// None if the place is free.
    party: Option<P>,
    /// A party that has been met stays in its place, out of the line, until its owner takes it out.
    is_in_line: bool,
    prev: Option<Key>,
    next: Option<Key>,
}

impl<P> Line<P> {
    pub(super) const fn new() -> Self {
        Self { places: Vec::new(), free: None, first: None, last: None }
    }

    /// Takes a place that is not in line.
    pub(super) fn insert(&mut self, party: P) -> Key {
        let place = Place { party: Some(party), is_in_line: false, prev: None, next: None };
        match self.free {
            Some(key) => {
                self.free = self.places[key].next;
                self.places[key] = place;
                key
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        }
    }

    /// Takes a place at the end of the line.
    pub(super) fn push(&mut self, party: P) -> Key {
        let key = self.insert(party);
        let last = self.last.replace(key);
        self.places[key].is_in_line = true;
        self.places[key].prev = last;
        match last {
            Some(last) => self.places[last].next = Some(key),
            None => self.first = Some(key),
        }
        key
    }

    pub(super) fn first(&self) -> Option<Key> {
        self.first
    }

    /// The keys of those in line, first come first.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        std::iter::successors(self.first, |&key| self.places[key].next)
    }

    pub(super) fn get(&self, key: Key) -> &P {
        self.places[key].party.as_ref().expect("whoever has the key has the place")
    }

    pub(super) fn get_mut(&mut self, key: Key) -> &mut P {
        self.places[key].party.as_mut().expect("whoever has the key has the place")
    }

    /// Takes a party out of the line, not out of its place.
    pub(super) fn unlink(&mut self, key: Key) {
        let place = &mut self.places[key];
        if !std::mem::take(&mut place.is_in_line) {
            return;
        }
        let (prev, next) = (place.prev.take(), place.next.take());
        match prev {
            Some(prev) => self.places[prev].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.places[next].prev = prev,
            None => self.last = prev,
        }
    }

    /// Takes a party out, wherever it stands.
    pub(super) fn remove(&mut self, key: Key) -> P {
        self.unlink(key);
        let place = &mut self.places[key];
        place.next = self.free.replace(key);
        place.party.take().expect("whoever has the key has the place")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_party_leaves_from_the_front_the_middle_and_the_end() {
        let mut line = Line::new();
        let keys = ['a', 'b', 'c', 'd', 'e'].map(|party| line.push(party));
        let order = |line: &Line<char>| line.keys().map(|key| *line.get(key)).collect::<String>();
        assert_eq!(order(&line), "abcde");
        assert_eq!(line.remove(keys[2]), 'c');
        line.unlink(keys[0]);
        line.unlink(keys[0]);
        assert_eq!(line.remove(keys[4]), 'e');
        assert_eq!((order(&line).as_str(), line.first()), ("bd", Some(keys[1])));
        *line.get_mut(keys[0]) = 'A';
        assert_eq!(line.remove(keys[0]), 'A');
        line.push('f');
        assert_eq!(order(&line), "bdf");
        assert_eq!([line.remove(keys[1]), line.remove(keys[3])], ['b', 'd']);
        assert_eq!(order(&line), "f");
    }

    #[test]
    fn places_are_used_again() {
        let mut line = Line::new();
        for round in 0..100 {
            let (one, two) = (line.push(round), line.insert(round + 1));
            assert_eq!(line.keys().count(), 1);
            assert_eq!((line.remove(one), line.remove(two)), (round, round + 1));
        }
        assert_eq!(line.places.len(), 2);
        assert_eq!((line.first, line.last), (None, None));
    }
}
