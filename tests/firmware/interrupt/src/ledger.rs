//! The books of values that go through a queue: none lost, none twice, each producer's in order.

use aqueduct_firmware_rt::Word;

/// Who puts in or takes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Party {
    Main = 0,
    Handler = 1,
}

/// A value: who made it, and the how manyth of theirs it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Item(u32);

impl Item {
    fn of(party: Party, number: u32) -> Self {
        assert!(number < 32, "more values in one run than the books have room for");
        Self((party as u32) << 31 | number)
    }

    fn producer(self) -> usize {
        (self.0 >> 31) as usize
    }

    fn number(self) -> u32 {
        self.0 & !(1 << 31)
    }
}

/// Who put in how many, which are out, and who has seen up to which. Each party writes its own words only.
pub(crate) struct Ledger {
    put_in: [Word; 2],
    /// By who took them, then by who made them: a bit each.
    taken: [[Word; 2]; 2],
    /// By who took, then by who made: one more than the number of the latest.
    latest: [[Word; 2]; 2],
}

impl Ledger {
    pub(crate) const fn new() -> Self {
        const fn pair() -> [Word; 2] {
            [Word::new(0), Word::new(0)]
        }
        Self { put_in: pair(), taken: [pair(), pair()], latest: [pair(), pair()] }
    }

    pub(crate) fn clear(&self) {
        let rows = [&self.put_in, &self.taken[0], &self.taken[1], &self.latest[0], &self.latest[1]];
        rows.into_iter().flatten().for_each(|word| word.set(0));
    }

    /// The value that `party` puts in next.
    pub(crate) fn next(&self, party: Party) -> Item {
        Item::of(party, self.put_in[party as usize].get())
    }

    /// That value is in.
    pub(crate) fn is_in(&self, party: Party) {
        self.put_in[party as usize].add(1);
    }

    /// `party` has taken `item` out.
    pub(crate) fn is_out(&self, party: Party, item: Item) {
        let (bit, producer) = (1 << item.number(), item.producer());
        let all = self.taken[0][producer].get() | self.taken[1][producer].get();
        assert!(all & bit == 0, "{item:?} came out twice");
        self.taken[party as usize][producer].add(bit);
        let latest = &self.latest[party as usize][producer];
        assert!(item.number() >= latest.get(), "{item:?} came out after a later one");
        latest.set(item.number() + 1);
    }

    /// How many `party` has put in, and how many it has taken out.
    pub(crate) fn counts(&self, party: Party) -> (u32, u32) {
        let taken = &self.taken[party as usize];
        (
            self.put_in[party as usize].get(),
            taken[0].get().count_ones() + taken[1].get().count_ones(),
        )
    }

    /// Both parties have done their part; what main takes out from now on comes after all that is out already.
    pub(crate) fn only_main_from_now_on(&self) {
        for producer in 0..2 {
            let by_handler = self.latest[Party::Handler as usize][producer].get();
            self.latest[Party::Main as usize][producer].raise(by_handler);
        }
    }

    /// The queue is empty: all that was put in is out.
    pub(crate) fn balance(&self) {
        for producer in 0..2 {
            let out = self.taken[0][producer].get() | self.taken[1][producer].get();
            let all = (1u64 << self.put_in[producer].get()) - 1;
            assert!(u64::from(out) == all, "put in by {producer}: {all:#b}, taken out: {out:#b}");
        }
    }
}
