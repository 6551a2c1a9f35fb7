//! Bounded queues of any make, in their non-waiting form: `StaticQueue`, `StaticChannel`, and their peers.

use core::marker::PhantomData;

use crate::harness::{Object, inside};
use crate::ledger::{Item, Ledger, Party};
use aqueduct_firmware_rt::Word;

/// One queue, in a static.
pub(crate) trait Bounded {
    const NAME: &'static str;
    const CAPACITY: u32;
    /// How many instructions the longest of the [`INTERRUPTIONS`] may take.
    const LIMIT: u32;
    /// Whether it can displace a value; else `force_push` is a plain push.
    const CAN_FORCE: bool = true;

    fn push(item: Item) -> Result<(), Item>;
    fn pop() -> Option<Item>;
    /// As `StaticQueue::force_push`.
    fn force_push(item: Item) -> Option<Item>;
    fn len() -> usize;
    /// It refused what it should not have. For a peer's row this is a number, for ours a fault.
    fn refused(what: &str) {
        panic!("{what}");
    }
}

static LEDGER: Ledger = Ledger::new();
/// How many values were in when main's operation began, and how many that may take out.
static FILLED: Word = Word::new(0);
static MAY_TAKE: Word = Word::new(0);

const OPERATIONS: &[&str] = &["push", "pop", "force_push", "len"];
const INTERRUPTIONS: &[&str] = &[
    "push",
    "pop",
    "force_push",
    "push until full",
    "pop until empty",
    "push, pop",
    "pop, push",
    "push, pop, for two laps",
    "force_push, for a lap and one",
];

/// The operations, by either party, with their books.
struct Of<Q>(PhantomData<Q>);

impl<Q: Bounded> Of<Q> {
    fn pushed(party: Party, item: Item, result: Result<(), Item>) -> bool {
        match result {
            Ok(()) => LEDGER.is_in(party),
            Err(back) => assert!(back == item, "another value came back"),
        }
        result.is_ok()
    }

    fn popped(party: Party, value: Option<Item>) -> bool {
        if let Some(item) = value {
            LEDGER.is_out(party, item);
        }
        value.is_some()
    }

    fn forced(party: Party, item: Item, displaced: Option<Item>) {
        if displaced == Some(item) {
            // Every place was half-way: only one operation is.
            assert!(Q::CAPACITY == 1 || !Q::CAN_FORCE, "no place was to be had");
            return;
        }
        LEDGER.is_in(party);
        Self::popped(party, displaced);
    }

    /// How many values are in for certain, and at most, as far as the handler can know.
    fn bounds() -> (u32, u32) {
        let (put_in, taken) = LEDGER.counts(Party::Handler);
        let sum = FILLED.get() + put_in - taken.min(FILLED.get() + put_in);
        // Main's operation has one place, whatever it does.
        (sum.saturating_sub(MAY_TAKE.get()), sum + 1)
    }

    fn push() -> bool {
        let (_, most) = Self::bounds();
        let item = LEDGER.next(Party::Handler);
        let is_in = Self::pushed(Party::Handler, item, Q::push(item));
        if !is_in && most < Q::CAPACITY {
            Q::refused("refused a value though there was room");
        }
        is_in
    }

    fn pop() -> bool {
        let (least, _) = Self::bounds();
        let is_out = Self::popped(Party::Handler, Q::pop());
        if !is_out && least > 0 {
            Q::refused("refused to hand out a value that was in");
        }
        is_out
    }

    fn force_push() {
        let item = LEDGER.next(Party::Handler);
        Self::forced(Party::Handler, item, Q::force_push(item));
    }
}

/// A [`Bounded`] as an object to preempt.
pub(crate) struct Preempted<Q>(PhantomData<Q>);

impl<Q: Bounded> Object for Preempted<Q> {
    const NAME: &'static str = Q::NAME;
    const STATES: u32 = Q::CAPACITY + 1;
    const OPERATIONS: &'static [&'static str] = OPERATIONS;
    const INTERRUPTIONS: &'static [&'static str] = INTERRUPTIONS;
    const LIMIT: u32 = Q::LIMIT;

    fn run(state: u32, operation: usize) {
        LEDGER.clear();
        for _ in 0..state {
            let item = LEDGER.next(Party::Main);
            if !Of::<Q>::pushed(Party::Main, item, Q::push(item)) {
                Q::refused("refused a value though nobody else was there");
            }
        }
        FILLED.set(LEDGER.counts(Party::Main).0);
        MAY_TAKE.set(u32::from(matches!(operation, 1 | 2)));
        let item = LEDGER.next(Party::Main);
        match operation {
            0 => {
                let result = inside(|| Q::push(item));
                Of::<Q>::pushed(Party::Main, item, result);
            }
            1 => {
                let value = inside(Q::pop);
                Of::<Q>::popped(Party::Main, value);
            }
            2 => {
                let displaced = inside(|| Q::force_push(item));
                Of::<Q>::forced(Party::Main, item, displaced);
            }
            _ => assert!(inside(Q::len) <= Q::CAPACITY as usize, "longer than it can be"),
        }
        LEDGER.only_main_from_now_on();
        while Of::<Q>::popped(Party::Main, Q::pop()) {}
        LEDGER.balance();
    }

    fn interrupt(interruption: usize) {
        match interruption {
            0 => {
                Of::<Q>::push();
            }
            1 => {
                Of::<Q>::pop();
            }
            2 => Of::<Q>::force_push(),
            3 => while Of::<Q>::push() {},
            4 => while Of::<Q>::pop() {},
            5 => {
                Of::<Q>::push();
                Of::<Q>::pop();
            }
            6 => {
                Of::<Q>::pop();
                Of::<Q>::push();
            }
            7 => {
                for _ in 0..2 * Q::CAPACITY {
                    Of::<Q>::push();
                    Of::<Q>::pop();
                }
            }
            _ => (0..=Q::CAPACITY).for_each(|_| Of::<Q>::force_push()),
        }
    }
}
