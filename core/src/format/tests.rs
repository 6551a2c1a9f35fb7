//! The texts stay in the symbol table; what can be seen here is what goes over the wire: an index that stands for the
//! text, and the numbers.

extern crate std;

use super::*;
use std::sync::{Mutex, MutexGuard};
use std::vec::Vec;

static WIRE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// defmt's one logger is this module's alone: nothing else of this crate logs.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[defmt::global_logger]
struct Collect;

// SAFETY: `sent` lets one record at a time be written, and in one thread from acquire to release.
unsafe impl defmt::Logger for Collect {
    fn acquire() {}

    /// # Safety
    ///
    /// None to keep: what is written is there at once.
    unsafe fn flush() {}

    /// # Safety
    ///
    /// As the trait's: after `acquire`.
    unsafe fn release() {}

    /// # Safety
    ///
    /// As the trait's: after `acquire`.
    unsafe fn write(bytes: &[u8]) {
        WIRE.lock().unwrap().extend_from_slice(bytes);
    }
}

defmt::timestamp!("");

fn sent(value: &impl Format) -> Vec<u8> {
    let _alone: MutexGuard<'_, ()> = ONE_AT_A_TIME.lock().unwrap();
    WIRE.lock().unwrap().clear();
    defmt::println!("{}", *value);
    core::mem::take(&mut *WIRE.lock().unwrap())
}

/// Whether a value sends these numbers, one after the other. defmt sends sizes as 32 bits.
fn sends(value: &impl Format, numbers: &[u32]) -> bool {
    let expected: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    sent(value).windows(expected.len()).any(|bytes| bytes == expected)
}

#[test]
fn objects_send_their_numbers() {
    let queue = StaticQueue::<u8, 500>::new();
    assert!(sends(&queue, &[0, 500]));
    queue.push(1).unwrap();
    assert!(sends(&queue, &[1, 500]) && !sends(&queue, &[0, 500]));

    let mut ring = spsc::StaticRing::<u8, 300>::new();
    assert!(sends(&ring, &[300]));
    let (mut producer, consumer) = ring.split();
    producer.push(7).unwrap();
    assert!(sends(&producer, &[1, 300]) && sends(&consumer, &[1, 300]));

    let channel = StaticChannel::<u8, 200>::new();
    channel.try_send(1).unwrap();
    assert!(sends(&channel, &[1, 200]));

    let semaphore = Semaphore::new(9000);
    let permit = semaphore.try_acquire_many(4000).unwrap();
    assert!(sends(&permit, &[4000]) && sends(&semaphore, &[5000]));
    let open = sent(&semaphore);
    semaphore.close();
    let closed = sent(&semaphore);
    assert_eq!(open.iter().zip(&closed).filter(|(open, closed)| open != closed).count(), 1);
}

#[test]
fn a_lock_and_its_guards_send_the_value_unless_it_is_being_written() {
    const VALUE: u32 = 0x1234_5678;
    let lock = RwLock::new(VALUE);
    assert!(sends(&lock, &[VALUE]));
    assert!(sends(&lock.try_read().unwrap(), &[VALUE]));
    assert!(sends(&RwLockReadGuard::map(lock.try_read().unwrap(), |word| word), &[VALUE]));
    let guard = lock.try_write().unwrap();
    assert!(sends(&guard, &[VALUE]));
    assert!(!sends(&lock, &[VALUE]));
}

#[test]
fn the_cases_of_an_error_have_texts_of_their_own_whatever_its_value_is() {
    struct NoFormat;
    assert_ne!(sent(&TrySendError::Full(NoFormat)), sent(&TrySendError::Closed(NoFormat)));
    assert_ne!(sent(&TryRecvError::Empty), sent(&TryRecvError::Closed));
    assert_ne!(sent(&AcquireError::Closed), sent(&AcquireError::TooMany));
    assert_ne!(sent(&TryAcquireError::Closed), sent(&TryAcquireError::NoPermits));
    assert_ne!(sent(&SendError(NoFormat)), sent(&RecvError));
}
