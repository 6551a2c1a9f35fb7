//! Programs as users of `lock_api` write them, generic over the raw lock, with ours put in.

use aqueduct::sync::RawRwLock;
use aqueduct_core::rwlock::{Fair, ReaderPriority, WriterPriority};
use lock_api::{
    RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
    {RawRwLockDowngrade, RawRwLockRecursiveTimed, RawRwLockTimed, RawRwLockUpgradeTimed},
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A cache for any raw lock that is as able as ours.
struct Cache<R>(RwLock<R, BTreeMap<u32, String>>);

impl<R> Cache<R>
where
    R: RawRwLockTimed<Duration = Duration, Instant = Instant>
        + RawRwLockRecursiveTimed
        + RawRwLockUpgradeTimed
        + RawRwLockDowngrade,
{
    fn new() -> Self {
        Self(RwLock::new(BTreeMap::new()))
    }

    fn get_or_insert(&self, key: u32) -> String {
        let cache = self.0.upgradable_read();
        if let Some(text) = cache.get(&key) {
            return text.clone();
        }
        let mut cache = RwLockUpgradableReadGuard::upgrade(cache);
        cache.insert(key, key.to_string());
        let cache = RwLockWriteGuard::downgrade(cache);
        RwLockReadGuard::map(cache, |cache| &cache[&key]).clone()
    }

    fn clear_within(&self, limit: Duration) -> bool {
        self.0.try_write_for(limit).map(|mut cache| cache.clear()).is_some()
    }
}

fn a_program<R>()
where
    R: RawRwLockTimed<Duration = Duration, Instant = Instant>
        + RawRwLockRecursiveTimed
        + RawRwLockUpgradeTimed
        + RawRwLockDowngrade
        + Send
        + Sync
        + 'static,
{
    let cache = Arc::new(Cache::<R>::new());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..300 {
                    let key = (n * (thread + 1)) % 40;
                    assert_eq!(cache.get_or_insert(key), key.to_string());
                    if n % 100 == 0 {
                        assert!(cache.clear_within(Duration::MAX));
                    }
                }
            });
        }
    });
    let reader = cache.0.read();
    assert!(!cache.clear_within(Duration::from_micros(10)));
    assert!(cache.0.try_write_until(Instant::now()).is_none());
    let again = cache.0.try_read_recursive_for(Duration::ZERO).expect("one is inside");
    let upgradable = cache.0.try_upgradable_read_for(Duration::ZERO).expect("beside readers");
    assert!(RwLockUpgradableReadGuard::try_upgrade_for(upgradable, Duration::ZERO).is_err());
    drop((reader, again));
    assert!(cache.clear_within(Duration::ZERO));

    // A guard that owns its lock, and goes to another thread with it.
    let shared = Arc::new(RwLock::<R, u32>::new(1));
    let mut guard = shared.write_arc();
    *guard += 1;
    let reader = shared.clone();
    let reader = std::thread::spawn(move || *reader.read());
    drop(guard);
    assert_eq!(reader.join().unwrap(), 2);
}

#[test]
fn a_cache_over_any_raw_lock_runs_over_each_policy() {
    a_program::<RawRwLock<WriterPriority>>();
    a_program::<RawRwLock<ReaderPriority>>();
    a_program::<RawRwLock<Fair>>();
}
