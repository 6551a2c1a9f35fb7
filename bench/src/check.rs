//! Did the run do its work? Every item says who sent it and as which; every consumer looks at each
//! item as it comes, and at the end the consumers' notes must add up to what was sent.
//!
//! Found: an item lost, doubled, invented, torn, or overtaken by a later one of the same producer on
//! the way to the same consumer. The cost is a few additions per item, the same for all candidates;
//! the floor's `pair-loop` says how much.

use std::marker::PhantomData;

/// Something to send.
pub(crate) trait Payload: Copy + Send + Sync + Unpin + 'static {
    const NAME: &'static str;

    fn make(id: Id) -> Self;

    /// Who sent it and as which.
    ///
    /// # Panics
    ///
    /// If its parts do not belong together.
    fn id(&self) -> Id;
}

/// A producer in the upper 16 bits, its how-many-th item in the lower 48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

impl Id {
    const SEQ_BITS: u32 = 48;

    pub(crate) fn new(producer: usize, seq: u64) -> Self {
        debug_assert!(seq < 1 << Self::SEQ_BITS);
        Self((producer as u64) << Self::SEQ_BITS | seq)
    }

    fn producer(self) -> usize {
        (self.0 >> Self::SEQ_BITS) as usize
    }

    fn seq(self) -> u64 {
        self.0 & ((1 << Self::SEQ_BITS) - 1)
    }
}

impl Payload for u64 {
    const NAME: &'static str = "u64";

    fn make(id: Id) -> Self {
        id.0
    }

    fn id(&self) -> Id {
        Id(*self)
    }
}

/// Eight times the same eight bytes, so that any mixture of two items shows.
impl Payload for [u8; 64] {
    const NAME: &'static str = "bytes64";

    fn make(id: Id) -> Self {
        let mut bytes = [0; 64];
        for part in bytes.as_chunks_mut::<8>().0 {
            *part = id.0.to_ne_bytes();
        }
        bytes
    }

    fn id(&self) -> Id {
        let words = self.as_chunks::<8>().0;
        let first = u64::from_ne_bytes(words[0]);
        let differing = words.iter().fold(0, |all, word| all | (u64::from_ne_bytes(*word) ^ first));
        assert_eq!(differing, 0, "a torn item: {self:?}");
        Id(first)
    }
}

/// What one producer has still to send, made as it is asked for.
#[derive(Debug)]
pub(crate) struct Load<T> {
    producer: usize,
    next: u64,
    end: u64,
    payload: PhantomData<fn() -> T>,
}

impl<T: Payload> Load<T> {
    pub(crate) fn new(producer: usize, items: u64) -> Self {
        Self { producer, next: 0, end: items, payload: PhantomData }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.next == self.end
    }

    /// The item that came last was refused: it comes again.
    pub(crate) fn refused(&mut self) {
        self.next -= 1;
    }
}

impl<T: Payload> Iterator for Load<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.is_done() {
            return None;
        }
        self.next += 1;
        Some(T::make(Id::new(self.producer, self.next - 1)))
    }

    /// Exact: who claims several places at once wants to know how many.
    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }
}

/// What one consumer has seen, producer by producer.
#[derive(Clone, Debug)]
pub(crate) struct Seen(Vec<Lane>);

/// What a party of a run brings back: nothing, if it sends; its end and its notes, if it receives.
pub(crate) type Back<R> = Option<(R, Seen)>;

/// Two sets of numbers with the same count, sum and sum of squares, both without repetition where
/// one consumer looked, differ only if several errors cancel out exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lane {
    next: u64,
    count: u64,
    sum: u64,
    squares: u64,
}

impl Seen {
    pub(crate) fn nothing(producers: usize) -> Self {
        Self(vec![Lane::default(); producers])
    }

    /// Notes one item.
    ///
    /// # Panics
    ///
    /// If it is torn, comes from nobody, or comes after a later one of its producer.
    #[inline]
    pub(crate) fn take(&mut self, item: &impl Payload) {
        let id = item.id();
        let seq = id.seq();
        let Some(lane) = self.0.get_mut(id.producer()) else {
            panic!("an item that nobody sent: {id:?}");
        };
        assert!(seq >= lane.next, "item {seq} of producer {} out of order", id.producer());
        lane.next = seq + 1;
        lane.count += 1;
        lane.sum = lane.sum.wrapping_add(seq);
        lane.squares = lane.squares.wrapping_add(seq.wrapping_mul(seq));
    }
}

/// Holds what all consumers have seen against what each producer sent (`0..sent[producer]`).
///
/// # Panics
///
/// If it does not add up.
pub(crate) fn settle(seen: impl IntoIterator<Item = Seen>, sent: &[u64]) {
    let mut total = vec![Lane::default(); sent.len()];
    for Seen(lanes) in seen {
        for (all, lane) in total.iter_mut().zip(lanes) {
            all.next = all.next.max(lane.next);
            all.count += lane.count;
            all.sum = all.sum.wrapping_add(lane.sum);
            all.squares = all.squares.wrapping_add(lane.squares);
        }
    }
    for (producer, (lane, &n)) in total.iter().zip(sent).enumerate() {
        assert_eq!(*lane, Lane::of(n), "what arrived from producer {producer} is not what it sent");
    }
}

impl Lane {
    /// The notes on 0, 1, .. n-1 arriving in order.
    fn of(n: u64) -> Self {
        let (wide, last) = (u128::from(n), u128::from(n.saturating_sub(1)));
        // A sequence number has 48 bits, so the products fit; the sums wrap at 64 bits as above.
        let (sum, squares) = (wide * last / 2, cubic(wide, last));
        Self { next: n, count: n, sum: sum as u64, squares: squares as u64 }
    }
}

/// `0² + 1² + .. + last²` for `last = n - 1`, modulo 2^64. The product n·last·(2n-1) needs up to 145
/// bits, so the division by 6 is done on the factors first.
fn cubic(n: u128, last: u128) -> u128 {
    let (half, odd) = (n * last / 2, 2 * n - u128::from(n > 0));
    if half % 3 == 0 { (half / 3).wrapping_mul(odd) } else { half.wrapping_mul(odd / 3) }
}

/// `total` items shared out among `parts`, as evenly as they go.
pub(crate) fn share(total: u64, parts: usize) -> Vec<u64> {
    let n = parts as u64;
    (0..n).map(|part| total / n + u64::from(part < total % n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(producers: usize, ids: &[(usize, u64)]) -> Seen {
        let mut seen = Seen::nothing(producers);
        for &(producer, seq) in ids {
            seen.take(&u64::make(Id::new(producer, seq)));
        }
        seen
    }

    #[test]
    fn complete_work_is_accepted() {
        let one = seen(2, &[(0, 0), (1, 1), (0, 2)]);
        let two = seen(2, &[(1, 0), (0, 1)]);
        settle([one, two], &[3, 2]);
        settle([], &[0, 0]);
    }

    #[test]
    fn the_closed_forms_are_the_sums() {
        let mut lane = Lane::default();
        for seq in 0..2000 {
            assert_eq!(Lane::of(seq), lane);
            lane = Lane {
                next: seq + 1,
                count: seq + 1,
                sum: lane.sum + seq,
                squares: lane.squares + seq * seq,
            };
        }
    }

    #[test]
    #[should_panic(expected = "not what it sent")]
    fn a_lost_item_is_noticed() {
        settle([seen(1, &[(0, 0), (0, 2)])], &[3]);
    }

    #[test]
    #[should_panic(expected = "not what it sent")]
    fn an_item_that_two_consumers_got_is_noticed() {
        settle([seen(1, &[(0, 0), (0, 1)]), seen(1, &[(0, 1)])], &[2]);
    }

    #[test]
    #[should_panic(expected = "not what it sent")]
    fn a_doubled_item_in_place_of_a_lost_one_is_noticed() {
        settle([seen(1, &[(0, 0), (0, 1), (0, 3)]), seen(1, &[(0, 1)])], &[4]);
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn an_overtaken_item_is_noticed() {
        seen(1, &[(0, 1), (0, 0)]);
    }

    #[test]
    #[should_panic(expected = "out of order")]
    fn an_item_that_one_consumer_got_twice_is_noticed() {
        seen(1, &[(0, 0), (0, 0)]);
    }

    #[test]
    #[should_panic(expected = "nobody sent")]
    fn an_invented_item_is_noticed() {
        seen(1, &[(1, 0)]);
    }

    #[test]
    #[should_panic(expected = "torn")]
    fn a_torn_item_is_noticed() {
        let mut bytes = <[u8; 64]>::make(Id::new(0, 1));
        bytes[56..].copy_from_slice(&2_u64.to_ne_bytes());
        bytes.id();
    }

    #[test]
    fn payloads_carry_their_id() {
        let id = Id::new(3, (1 << 48) - 1);
        assert_eq!((u64::make(id).id(), <[u8; 64]>::make(id).id()), (id, id));
        assert_eq!((id.producer(), id.seq()), (3, (1 << 48) - 1));
    }

    #[test]
    fn a_load_knows_what_is_left_and_repeats_what_was_refused() {
        let mut load = Load::<u64>::new(2, 3);
        assert_eq!((load.size_hint(), load.next()), ((3, Some(3)), Some(Id::new(2, 0).0)));
        load.refused();
        assert_eq!(load.by_ref().map(|item| item.id().seq()).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(load.is_done() && load.next().is_none());
    }

    #[test]
    fn shares_are_even_and_complete() {
        assert_eq!(share(10, 4), [3, 3, 2, 2]);
        assert_eq!(share(1, 2), [1, 0]);
    }
}
