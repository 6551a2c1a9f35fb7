//! Where a value changes hands between a caller who knows its type and an arm that is known by what it does.

use crate::lock;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Belongs to a channel; a value lies there for the length of one call. [`Select`](super::Select) holds arms of many types and
/// has forgotten them; the channel has not.
pub(in crate::channel) struct Desk<T> {
    drawer: Mutex<Drawer<T>>,
}

struct Drawer<T> {
    values: BTreeMap<u64, T>,
    next: u64,
}

impl<T> Desk<T> {
    pub(in crate::channel) const fn new() -> Self {
        Self { drawer: Mutex::new(Drawer { values: BTreeMap::new(), next: 0 }) }
    }

    pub(super) fn put(&self, value: T) -> u64 {
        let mut drawer = lock(&self.drawer);
        drawer.next += 1;
        let key = drawer.next;
        drawer.values.insert(key, value);
        key
    }

    pub(super) fn put_back(&self, key: u64, value: T) {
        lock(&self.drawer).values.insert(key, value);
    }

    pub(super) fn take(&self, key: u64) -> T {
        lock(&self.drawer).values.remove(&key).expect("what was put there for us")
    }
}
