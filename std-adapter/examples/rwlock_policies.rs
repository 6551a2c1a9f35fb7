//! One lock, three policies: who comes in first when readers and writers meet.
//!
//! Go: `sync.RWMutex`, which has one policy (a writer that waits keeps new readers out).

use aqueduct::core::rwlock::{Fair, Policy, ReaderPriority, WriterPriority};
use aqueduct::park::{block_on, block_on_timeout};
use aqueduct::sync::RwLock;
use aqueduct::thread;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;

/// Does a new reader pass a writer that waits? And when a writer leaves, and both wait, is the reader let in first?
fn who_is_first<P: Policy>(policy: P) -> (bool, bool) {
    let lock = RwLock::with_policy((), policy);

    let inside = lock.read_blocking();
    let mut writer = pin!(lock.write());
    assert!(block_on_timeout(writer.as_mut(), Duration::ZERO).is_none(), "stands in line now");
    let passes = lock.try_read().is_ok();
    drop(inside);
    let inside = block_on(writer);

    let (mut writer, mut reader) = (pin!(lock.write()), pin!(lock.read()));
    assert!(block_on_timeout(writer.as_mut(), Duration::ZERO).is_none());
    assert!(block_on_timeout(reader.as_mut(), Duration::ZERO).is_none());
    drop(inside);
    let first = block_on_timeout(reader.as_mut(), Duration::ZERO);
    (passes, first.is_some())
}

/// Four threads read what a fifth writes: whatever the policy, nobody sees half of it.
fn readers_and_a_writer<P: Policy>(policy: P) -> Result<u64, Box<dyn Error>> {
    let accounts = RwLock::with_policy([500_i64, 500], policy);
    let reads = thread::scope(|scope| -> Result<u64, Box<dyn Error>> {
        let writer = scope.spawn(|| {
            for amount in 0..200 {
                let mut accounts = accounts.write_blocking();
                accounts[0] -= amount;
                accounts[1] += amount;
            }
        })?;
        let readers = (0..4).map(|_| {
            scope.spawn(|| {
                let reads = (0..200).map(|_| accounts.read_blocking().iter().sum::<i64>());
                reads.filter(|&sum| sum == 1_000).count() as u64
            })
        });
        let mut reads = 0;
        for reader in readers.collect::<Result<Vec<_>, _>>()? {
            reads += reader.join()?;
        }
        writer.join()?;
        Ok(reads)
    })??;
    assert_eq!(accounts.into_inner().iter().sum::<i64>(), 1_000);
    Ok(reads)
}

fn main() -> Result<(), Box<dyn Error>> {
    let seen = [
        ("WriterPriority", who_is_first(WriterPriority), readers_and_a_writer(WriterPriority)?),
        ("ReaderPriority", who_is_first(ReaderPriority), readers_and_a_writer(ReaderPriority)?),
        ("Fair", who_is_first(Fair), readers_and_a_writer(Fair)?),
    ];
    println!("policy          a reader passes a waiting writer  readers first after a writer");
    for (policy, (passes, first), reads) in seen {
        println!("{policy:<15} {passes:<33} {first}");
        assert_eq!(reads, 800, "each read saw the whole");
    }
    assert_eq!(seen.map(|(_, who, _)| who), [(false, false), (true, true), (false, true)]);
    Ok(())
}
