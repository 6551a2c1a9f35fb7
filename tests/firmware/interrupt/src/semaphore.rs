//! `Semaphore`: permits add up, and nobody who waits is forgotten.

use aqueduct_core::semaphore::{Fair, Semaphore};
use aqueduct_core::wait::Slots;
use aqueduct_firmware_rt::Word;
use core::task::Poll;

use crate::bell::Bell;
use crate::harness::{Object, inside};

const TOTAL: u32 = 3;

static SEMAPHORE: Semaphore<Fair, Slots<2>> =
    Semaphore::with_policy(TOTAL as usize, Fair, Slots::new());
static BELL: Bell = Bell::new();
/// How many permits each party has, and how many main's operation may take or give while it goes on.
static MAINS: Word = Word::new(0);
static HANDLERS: Word = Word::new(0);
static MAY_TAKE: Word = Word::new(0);
static MAY_GIVE: Word = Word::new(0);
/// Whether somebody may be in line, who then goes first.
static IS_AWAITED: Word = Word::new(0);

/// Takes `n` permits and keeps them in a party's word.
fn take(party: &Word, n: u32) {
    let permit = SEMAPHORE.try_acquire_many(n as usize);
    if let Ok(permit) = permit {
        permit.forget();
        party.add(n);
    }
}

fn give_back(party: &Word, n: u32) {
    SEMAPHORE.release(n as usize).expect("they are in use");
    party.set(party.get() - n);
}

/// The handler takes `n`, if they are there; that must be so where enough are free whatever main does.
fn take_in_handler(n: u32) {
    let free = TOTAL - MAINS.get() - HANDLERS.get();
    let before = HANDLERS.get();
    take(&HANDLERS, n);
    if HANDLERS.get() != before {
        assert!(n <= free + MAY_GIVE.get(), "more permits than there are");
    } else {
        let must = free.saturating_sub(MAY_TAKE.get()) >= n && IS_AWAITED.get() == 0;
        assert!(!must, "refused {n} permits that were free");
    }
}

pub(crate) struct Permits;

impl Object for Permits {
    const NAME: &'static str = "Semaphore";
    /// How many permits main has, and whether the handler has one.
    const STATES: u32 = 6;
    const OPERATIONS: &'static [&'static str] = &[
        "try_acquire",
        "try_acquire_many(2)",
        "release",
        "try_acquire, drop",
        "poll an Acquire for all",
        "drop an Acquire for all",
    ];
    const INTERRUPTIONS: &'static [&'static str] = &[
        "try_acquire",
        "try_acquire_many(2)",
        "release",
        "try_acquire, drop",
        "try_acquire until refused",
    ];
    const LIMIT: u32 = 1_500;

    fn run(state: u32, operation: usize) {
        take(&MAINS, state % 3);
        take(&HANDLERS, state / 3);
        let (may_take, may_give) = [(1, 0), (2, 0), (0, 1), (1, 0), (3, 0), (3, 0)][operation];
        MAY_TAKE.set(may_take);
        MAY_GIVE.set(may_give);
        IS_AWAITED.set(u32::from(operation >= 4));
        let mut request = SEMAPHORE.acquire_many(TOTAL as usize);
        match operation {
            0 | 1 => {
                let n = operation as u32 + 1;
                let permit = inside(|| SEMAPHORE.try_acquire_many(n as usize));
                if let Ok(permit) = permit {
                    permit.forget();
                    MAINS.add(n);
                }
            }
            2 if MAINS.get() > 0 => {
                inside(|| SEMAPHORE.release(1)).expect("one is in use");
                MAINS.set(MAINS.get() - 1);
            }
            2 => assert!(inside(|| SEMAPHORE.available_permits()) <= TOTAL as usize),
            3 => {
                let _ = inside(|| SEMAPHORE.try_acquire().map(drop));
            }
            4 => {
                let mut polled = inside(|| BELL.poll(&mut request));
                give_back_all();
                if polled.is_pending() {
                    assert!(BELL.has_rung(), "a waiter was not woken");
                    polled = BELL.poll(&mut request);
                }
                let Poll::Ready(Ok(permit)) = polled else {
                    panic!("woken, and no permits are there");
                };
                assert!(permit.num_permits() == TOTAL as usize);
            }
            _ => {
                let polled = BELL.poll(&mut request);
                inside(|| drop((polled, request)));
                give_back_all();
                assert!(
                    SEMAPHORE.available_permits() == TOTAL as usize,
                    "permits went with a request"
                );
                BELL.silence();
                return;
            }
        }
        drop(request);
        give_back_all();
        assert!(SEMAPHORE.available_permits() == TOTAL as usize, "permits were lost or made");
        assert!(!BELL.has_rung() || operation == 4, "nobody waited");
    }

    fn interrupt(interruption: usize) {
        match interruption {
            0 | 1 => take_in_handler(interruption as u32 + 1),
            2 => give_back(&HANDLERS, HANDLERS.get().min(1)),
            3 => drop(SEMAPHORE.try_acquire()),
            _ => (0..TOTAL + 1 - HANDLERS.get() - MAINS.get()).for_each(|_| take_in_handler(1)),
        }
    }
}

fn give_back_all() {
    for party in [&MAINS, &HANDLERS] {
        give_back(party, party.get());
    }
}
