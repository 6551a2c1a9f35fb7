//! Read-write locks among threads: every way in beside every other, and the bound of each policy, measured.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};

use aqueduct::park::block_on;
use aqueduct_core::rwlock::{
    Fair, Policy, ReaderPriority, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
    WriterPriority,
};
use aqueduct_core::wait::{Growable, Slots};

/// Two counts that are equal whenever nobody writes.
type Pair = (usize, usize);

fn write(pair: &mut Pair) {
    pair.0 += 1;
    std::hint::black_box(&pair);
    pair.1 += 1;
}

fn whole(pair: &Pair) -> usize {
    assert_eq!(pair.0, pair.1, "somebody writes beside us");
    pair.0
}

/// Polls once, and gives up.
fn ask_once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

fn every_way_in<P: Policy + Default + 'static>() {
    const ROUNDS: usize = 5_000;
    const THREADS: usize = 4;
    let lock = RwLock::with_policy((0, 0), P::default(), Slots::<4>::new());
    let written = AtomicUsize::new(0);
    let count = || written.fetch_add(1, SeqCst);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (lock, count) = (&lock, &count);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    match (thread + round) % 10 {
                        0 | 1 => drop(whole(&block_on(lock.read()))),
                        2 => {
                            write(&mut block_on(lock.write()));
                            count();
                        }
                        3 => {
                            if let Some(mut guard) = lock.try_write() {
                                write(&mut guard);
                                count();
                            }
                        }
                        4 => {
                            if let Some(guard) = lock.try_read() {
                                whole(&guard);
                            }
                        }
                        5 => {
                            let upgradable = block_on(lock.upgradable_read());
                            let before = whole(&upgradable);
                            let upgrade = RwLockUpgradableReadGuard::upgrade(upgradable);
                            let mut guard = block_on(upgrade);
                            assert_eq!(whole(&guard), before, "somebody got between");
                            write(&mut guard);
                            count();
                        }
                        6 => {
                            let mut guard = block_on(lock.write());
                            write(&mut guard);
                            count();
                            let now = whole(&guard);
                            let guard = RwLockWriteGuard::downgrade_to_upgradable(guard);
                            let guard = RwLockUpgradableReadGuard::downgrade(guard);
                            assert_eq!(whole(&guard), now);
                        }
                        7 => {
                            if let Some(mut guard) = ask_once(lock.write()) {
                                write(&mut guard);
                                count();
                            }
                        }
                        8 => {
                            if let Some(guard) = ask_once(lock.upgradable_read()) {
                                let before = whole(&guard);
                                let mut upgrade = RwLockUpgradableReadGuard::upgrade(guard);
                                let mut cx = Context::from_waker(Waker::noop());
                                if Pin::new(&mut upgrade).poll(&mut cx).is_pending() {
                                    let guard = upgrade.cancel().expect("pending");
                                    assert_eq!(whole(&guard), before);
                                }
                            }
                        }
                        _ => drop(ask_once(lock.read())),
                    }
                }
            });
        }
    });
    let pair = lock.into_inner();
    assert_eq!(whole(&pair), written.into_inner());
}

#[test]
fn every_way_into_a_read_write_lock_beside_every_other() {
    every_way_in::<WriterPriority>();
    every_way_in::<ReaderPriority>();
    every_way_in::<Fair>();
}

/// Readers and writers by the dozen; each notes, for every time that it had to wait, how many of the other kind came in
/// meanwhile. Returns the most that a reader and a writer met. At least one had to wait: a writer, for whoever reads first.
///
/// Whoever comes in counts himself a moment after: each thread of the other kind may be inside uncounted when the wait
/// begins.
fn longest_waits<P: Policy + Default + 'static>(readers: usize, writers: usize) -> (usize, usize) {
    const WRITES: usize = 300;
    let lock = RwLock::with_policy((), P::default(), Growable::new());
    let (reads_in, writes_in) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (longest_read, longest_write) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (waits, done) = (AtomicUsize::new(0), AtomicBool::new(false));

    /// Waits for `future`; if it was not ready at once, notes how far `others` went meanwhile.
    fn timed<F: Future>(
        future: F,
        waits: &AtomicUsize,
        others: &AtomicUsize,
        longest: &AtomicUsize,
    ) -> F::Output {
        let mut future = pin!(future);
        let mut cx = Context::from_waker(Waker::noop());
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        waits.fetch_add(1, SeqCst);
        let before = others.load(SeqCst);
        let output = block_on(future);
        longest.fetch_max(others.load(SeqCst) - before, SeqCst);
        output
    }

    let first = block_on(lock.read());
    std::thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    let guard = timed(lock.read(), &waits, &writes_in, &longest_read);
                    reads_in.fetch_add(1, SeqCst);
                    std::thread::yield_now();
                    drop(guard);
                }
            });
        }
        let writers: Vec<_> = (0..writers)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..WRITES {
                        let guard = timed(lock.write(), &waits, &reads_in, &longest_write);
                        writes_in.fetch_add(1, SeqCst);
                        drop(guard);
                        std::thread::yield_now();
                    }
                })
            })
            .collect();
        while waits.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        drop(first);
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, SeqCst);
    });
    (longest_read.into_inner(), longest_write.into_inner())
}

/// C63, R53: a writer that waits gets in after at most the readers that were inside, whatever the storm of new ones.
#[test]
fn under_writer_priority_a_storm_of_readers_delays_a_writer_by_those_inside_only() {
    const READERS: usize = 4;
    let (_, longest) = longest_waits::<WriterPriority>(READERS, 1);
    println!("writer priority: at most {longest} readers came in before a writer that waited");
    assert!(longest <= READERS, "{longest} readers passed a writer that waited");
}

/// C63: nobody waits longer than one phase of the other kind, and the one that is on.
#[test]
fn under_fair_readers_and_writers_wait_for_one_phase_of_each_other() {
    const READERS: usize = 4;
    const WRITERS: usize = 2;
    let (read, write) = longest_waits::<Fair>(READERS, WRITERS);
    println!("fair: at most {read} writers before a reader, {write} readers before a writer");
    assert!(read <= 2, "{read} writers came in before a reader that waited");
    // A phase before each of the writers in line, and those inside.
    assert!(write <= READERS * (WRITERS + 1), "{write} readers before a writer that waited");
}

/// A reader waits for the writer that is inside, and for one that is just being handed the lock because it has lost so often.
#[test]
fn under_reader_priority_a_reader_waits_for_one_writer() {
    let (longest, _) = longest_waits::<ReaderPriority>(1, 3);
    println!("reader priority: at most {longest} writers came in before a reader that waited");
    assert!(longest <= 2, "{longest} writers passed a reader that waited");
}
