//! `RwLock`: what it protects is whole whenever somebody is let in, and no write is lost.

use aqueduct_core::rwlock::{
    Fair, Policy, ReaderPriority, RwLock, RwLockUpgradableReadGuard, WriterPriority,
};
use aqueduct_core::wait::Slots;
use aqueduct_firmware_rt::Word;
use core::marker::PhantomData;
use core::task::Poll;

use crate::bell::Bell;
use crate::harness::{Object, inside};

/// Two halves that are always written together.
type Lock<P> = RwLock<[u32; 2], P, Slots<2>>;

/// A policy with a lock in a static.
pub(crate) trait Kind: Policy + 'static {
    const NAME: &'static str;
    fn lock() -> &'static Lock<Self>;
}

macro_rules! kinds {
    ($($policy:ident),*) => {$(
        impl Kind for $policy {
            const NAME: &'static str = concat!("RwLock<_, ", stringify!($policy), ">");

            fn lock() -> &'static Lock<Self> {
                static LOCK: Lock<$policy> = RwLock::with_policy([0, 0], $policy, Slots::new());
                &LOCK
            }
        }
    )*};
}

kinds!(WriterPriority, ReaderPriority, Fair);

static BELL: Bell = Bell::new();
/// How many writes there were, by either party.
static WRITES: [Word; 2] = [Word::new(0), Word::new(0)];
/// Whether main reads all the time.
static IS_READ: Word = Word::new(0);
/// Whether main's operation only reads, so that readers must be let in.
static ONLY_READS: Word = Word::new(0);

fn look(halves: &[u32; 2]) {
    assert!(halves[0] == halves[1], "half of a write was seen");
}

fn write(halves: &mut [u32; 2], writes: &Word) {
    look(halves);
    halves[0] = halves[0].wrapping_add(1);
    writes.add(1);
    halves[1] = halves[1].wrapping_add(1);
}

fn read_in_handler<P: Kind>() {
    match P::lock().try_read() {
        Some(guard) => look(&guard),
        None => assert!(ONLY_READS.get() == 0, "a reader was refused beside readers"),
    }
}

fn write_in_handler<P: Kind>() {
    if let Some(mut guard) = P::lock().try_write() {
        assert!(IS_READ.get() == 0, "a writer was let in beside a reader");
        write(&mut guard, &WRITES[1]);
    }
}

fn upgrade_in_handler<P: Kind>() {
    let Some(guard) = P::lock().try_upgradable_read() else { return };
    look(&guard);
    if let Ok(mut guard) = RwLockUpgradableReadGuard::try_upgrade(guard) {
        assert!(IS_READ.get() == 0, "a reader became the writer beside another");
        write(&mut guard, &WRITES[1]);
    }
}

/// The lock of a policy, as an object to preempt.
pub(crate) struct Of<P>(PhantomData<P>);

impl<P: Kind> Object for Of<P> {
    const NAME: &'static str = P::NAME;
    /// Whether main reads already.
    const STATES: u32 = 2;
    const OPERATIONS: &'static [&'static str] = &[
        "try_read, drop",
        "try_write, drop",
        "try_upgradable_read, try_upgrade, drop",
        "poll a Write",
        "drop a Write",
        "poll a Read",
    ];
    const INTERRUPTIONS: &'static [&'static str] =
        &["try_read", "try_write", "try_upgradable_read, try_upgrade", "all of them, twice"];
    const LIMIT: u32 = 1_500;

    fn run(state: u32, operation: usize) {
        let lock = P::lock();
        WRITES.iter().for_each(|writes| writes.set(0));
        let before = lock.try_read().expect("nobody is inside")[0];
        let reading = (state == 1).then(|| lock.try_read().expect("nobody writes"));
        IS_READ.set(state);
        ONLY_READS.set(u32::from(operation == 0));
        match operation {
            0 => {
                let seen = inside(|| lock.try_read().map(|guard| look(&guard)));
                assert!(seen.is_some(), "a reader was refused though nobody writes");
            }
            1 => inside(|| {
                if let Some(mut guard) = lock.try_write() {
                    write(&mut guard, &WRITES[0]);
                }
            }),
            2 => inside(|| {
                let Some(guard) = lock.try_upgradable_read() else { return };
                if let Ok(mut guard) = RwLockUpgradableReadGuard::try_upgrade(guard) {
                    write(&mut guard, &WRITES[0]);
                }
            }),
            3 => {
                let mut request = lock.write();
                let mut polled = inside(|| BELL.poll(&mut request));
                IS_READ.set(0);
                drop(reading);
                if polled.is_pending() {
                    assert!(BELL.has_rung(), "a writer was not woken");
                    polled = BELL.poll(&mut request);
                }
                let Poll::Ready(mut guard) = polled else {
                    panic!("a woken writer was not let in")
                };
                write(&mut guard, &WRITES[0]);
            }
            4 => {
                let mut request = lock.write();
                let polled = BELL.poll(&mut request);
                inside(|| drop((polled, request)));
            }
            _ => {
                let mut request = lock.read();
                let mut polled = inside(|| BELL.poll(&mut request));
                if polled.is_pending() {
                    assert!(BELL.has_rung(), "a reader was not woken");
                    polled = BELL.poll(&mut request);
                }
                let Poll::Ready(guard) = polled else { panic!("a woken reader was not let in") };
                look(&guard);
            }
        }
        BELL.silence();
        let halves = lock.try_read().expect("nobody writes, and nobody waits");
        look(&halves);
        let writes = WRITES[0].get() + WRITES[1].get();
        assert!(halves[0].wrapping_sub(before) == writes, "a write was lost");
    }

    fn interrupt(interruption: usize) {
        match interruption {
            0 => read_in_handler::<P>(),
            1 => write_in_handler::<P>(),
            2 => upgrade_in_handler::<P>(),
            _ => {
                for _ in 0..2 {
                    read_in_handler::<P>();
                    write_in_handler::<P>();
                    upgrade_in_handler::<P>();
                }
            }
        }
    }
}
