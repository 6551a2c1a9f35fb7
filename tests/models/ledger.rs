//! Payloads that are counted: each [`Item`] is known to its [`Ledger`], which tells which were dropped never
//! or twice. A double drop is recorded, not undefined: an item owns nothing but a reference.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering::Relaxed};

/// The book of all items made with it.
#[derive(Debug)]
pub struct Ledger {
    made: AtomicUsize,
    drops: Box<[AtomicU8]>,
    /// How many were dropped at least once, and how many drops there were beyond that.
    gone: AtomicUsize,
    excess: AtomicUsize,
    discarded: Mutex<Vec<u64>>,
}

impl Ledger {
    /// A book with room for `items` items.
    pub fn new(items: usize) -> Self {
        let drops = (0..items).map(|_| AtomicU8::new(0)).collect();
        let [made, gone, excess] = [const { AtomicUsize::new(0) }; 3];
        Self { made, drops, gone, excess, discarded: Mutex::default() }
    }

    /// A new item.
    pub fn item(&self, value: u64) -> Item<'_> {
        let id = self.made.fetch_add(1, Relaxed);
        assert!(id < self.drops.len(), "the ledger has no room for another item");
        Item { ledger: self, id, value, panics: false, taken: false }
    }

    /// A new item whose drop panics, unless the thread is panicking already.
    pub fn bomb(&self, value: u64) -> Item<'_> {
        let mut item = self.item(value);
        item.panics = true;
        item
    }

    /// How many items exist now.
    pub fn live(&self) -> usize {
        self.made.load(Relaxed) - self.gone.load(Relaxed)
    }

    /// Has every item been dropped, and exactly once?
    pub fn settle(&self) -> Result<(), String> {
        self.judge(0)
    }

    /// Do exactly `live` items exist, and has every other been dropped exactly once?
    pub fn judge(&self, live: usize) -> Result<(), String> {
        if self.excess.load(Relaxed) > 0 {
            let twice = |id: &usize| self.drops[*id].load(Relaxed) > 1;
            let twice: Vec<_> = (0..self.all().len()).filter(twice).collect();
            return Err(format!("items dropped more than once: {twice:?}"));
        }
        match self.live() {
            now if now == live => Ok(()),
            now => Err(format!("{now} items exist, where {live} should")),
        }
    }

    /// Forgets all items; none may be used any more.
    pub fn reset(&self) {
        for drops in self.all() {
            drops.store(0, Relaxed);
        }
        for count in [&self.made, &self.gone, &self.excess] {
            count.store(0, Relaxed);
        }
        self.discarded.lock().unwrap().clear();
    }

    /// The values of the items that were dropped otherwise than by [`Item::into_value`], since the last
    /// call of this, in order.
    pub fn discarded(&self) -> Vec<u64> {
        std::mem::take(&mut self.discarded.lock().unwrap())
    }

    fn all(&self) -> &[AtomicU8] {
        &self.drops[..self.made.load(Relaxed)]
    }
}

/// A payload whose drop is booked.
#[derive(Debug)]
pub struct Item<'a> {
    ledger: &'a Ledger,
    id: usize,
    value: u64,
    panics: bool,
    taken: bool,
}

impl Item<'_> {
    /// The value that it was made with.
    pub fn value(&self) -> u64 {
        self.value
    }

    /// The value; the item is dropped, quietly even if it is a bomb.
    pub fn into_value(mut self) -> u64 {
        self.panics = false;
        self.taken = true;
        self.value
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        // Three drops are as bad as two.
        let before = self.ledger.drops[self.id].swap(1, Relaxed);
        if before == 0 {
            self.ledger.gone.fetch_add(1, Relaxed);
        } else {
            self.ledger.drops[self.id].store(2, Relaxed);
            self.ledger.excess.fetch_add(1, Relaxed);
        }
        if !self.taken {
            self.ledger.discarded.lock().unwrap().push(self.value);
        }
        if self.panics && !std::thread::panicking() {
            panic!("the drop of item {} panics, as it was told", self.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaks_and_double_drops_are_told() {
        let ledger = Ledger::new(4);
        let one = ledger.item(1);
        let two = ledger.item(2);
        assert_eq!((one.value(), ledger.live()), (1, 2));
        drop(one);
        assert_eq!(ledger.discarded(), [1]);
        assert_eq!(ledger.judge(1), Ok(()));
        assert!(ledger.settle().unwrap_err().contains("1 items exist"));
        // SAFETY: a plain copy of the fields; the second drop is what this test is about.
        let copy = unsafe { std::ptr::read(&two) };
        assert_eq!(two.into_value(), 2);
        drop(copy);
        assert!(ledger.settle().unwrap_err().contains("more than once: [1]"));
        ledger.reset();
        assert_eq!(ledger.settle(), Ok(()));
    }

    #[test]
    fn a_bomb_panics_once_it_is_booked() {
        let ledger = Ledger::new(1);
        let bomb = ledger.bomb(1);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(bomb)));
        assert!(dropped.is_err());
        assert_eq!(ledger.settle(), Ok(()));
    }
}
