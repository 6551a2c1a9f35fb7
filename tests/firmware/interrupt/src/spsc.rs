//! `spsc::StaticRing`: one end is main's, the other the handler's; whose is which changes from run to run.

use aqueduct_core::queue::spsc::{Consumer, Producer, StaticRing};
use aqueduct_firmware_rt::Word;

use crate::harness::{Object, inside};
use crate::ledger::{Item, Ledger, Party};
use crate::turn::Turn;

const CAPACITY: usize = 3;

static RING: Turn<StaticRing<Item, CAPACITY>> = Turn::new(StaticRing::new());
static PRODUCER: Turn<Option<Producer<'static, Item>>> = Turn::new(None);
static CONSUMER: Turn<Option<Consumer<'static, Item>>> = Turn::new(None);
static LEDGER: Ledger = Ledger::new();
/// How many values were in when main's operation began.
static FILLED: Word = Word::new(0);
static IS_MAIN_PRODUCER: Word = Word::new(0);

#[inline(always)]
fn producing<R>(user: impl FnOnce(&mut Producer<'static, Item>) -> R) -> R {
    PRODUCER.with(|end| user(end.as_mut().expect("the ring is split")))
}

#[inline(always)]
fn consuming<R>(user: impl FnOnce(&mut Consumer<'static, Item>) -> R) -> R {
    CONSUMER.with(|end| user(end.as_mut().expect("the ring is split")))
}

fn push_in_handler() -> bool {
    let item = LEDGER.next(Party::Handler);
    match producing(|producer| producer.push(item)) {
        Ok(()) => LEDGER.is_in(Party::Handler),
        Err(back) => {
            assert!(back == item, "another value came back");
            let (put_in, _) = LEDGER.counts(Party::Handler);
            assert!(
                FILLED.get() + put_in >= CAPACITY as u32,
                "refused a value though there was room"
            );
            return false;
        }
    }
    true
}

fn pop_in_handler() -> bool {
    let value = consuming(Consumer::pop);
    if let Some(item) = value {
        LEDGER.is_out(Party::Handler, item);
    } else {
        let (_, taken) = LEDGER.counts(Party::Handler);
        assert!(FILLED.get() <= taken, "refused to hand out a value that was in");
    }
    value.is_some()
}

fn two_items() -> impl Iterator<Item = Item> {
    (0..2).map(|_| {
        let item = LEDGER.next(Party::Main);
        LEDGER.is_in(Party::Main);
        item
    })
}

pub(crate) struct Ring;

impl Object for Ring {
    const NAME: &'static str = "spsc::StaticRing<_, 3>";
    const STATES: u32 = CAPACITY as u32 + 1;
    const OPERATIONS: &'static [&'static str] = &["push", "push_many", "pop", "pop_many", "peek"];
    const INTERRUPTIONS: &'static [&'static str] =
        &["pop or push", "twice", "until refused", "pop_many or push_many"];
    const LIMIT: u32 = 1_000;

    fn run(state: u32, operation: usize) {
        if PRODUCER.with(|end| end.is_none()) {
            let (producer, consumer) = RING.take().split();
            PRODUCER.with(|end| *end = Some(producer));
            CONSUMER.with(|end| *end = Some(consumer));
        }
        LEDGER.clear();
        for _ in 0..state {
            let item = LEDGER.next(Party::Main);
            producing(|producer| producer.push(item)).expect("there is room");
            LEDGER.is_in(Party::Main);
        }
        FILLED.set(state);
        IS_MAIN_PRODUCER.set(u32::from(operation < 2));
        match operation {
            0 => {
                let item = LEDGER.next(Party::Main);
                match producing(|producer| inside(|| producer.push(item))) {
                    Ok(()) => LEDGER.is_in(Party::Main),
                    Err(back) => assert!(back == item, "another value came back"),
                }
            }
            1 => {
                producing(|producer| inside(|| producer.push_many(&mut two_items())));
            }
            2 => {
                let value = consuming(|consumer| inside(|| consumer.pop()));
                value.into_iter().for_each(|item| LEDGER.is_out(Party::Main, item));
            }
            3 => {
                let take = |item| LEDGER.is_out(Party::Main, item);
                consuming(|consumer| inside(|| consumer.pop_many(2, take)));
            }
            _ => consuming(|consumer| {
                let is_in = !consumer.is_empty();
                let seen = inside(|| consumer.peek().copied());
                assert!(seen.is_some() || !is_in, "nothing to see though something is in");
                let popped = consumer.pop().inspect(|item| LEDGER.is_out(Party::Main, *item));
                assert!(seen.is_none() || seen == popped, "another value than was seen");
            }),
        }
        LEDGER.only_main_from_now_on();
        while let Some(item) = consuming(Consumer::pop) {
            LEDGER.is_out(Party::Main, item);
        }
        LEDGER.balance();
    }

    fn interrupt(interruption: usize) {
        let one = if IS_MAIN_PRODUCER.get() != 0 { pop_in_handler } else { push_in_handler };
        match interruption {
            0 => _ = one(),
            1 => _ = (one(), one()),
            2 => while one() {},
            _ if IS_MAIN_PRODUCER.get() != 0 => {
                consuming(|consumer| {
                    consumer.pop_many(2, |item| LEDGER.is_out(Party::Handler, item))
                });
            }
            _ => {
                let mut items = core::iter::once_with(|| {
                    let item = LEDGER.next(Party::Handler);
                    LEDGER.is_in(Party::Handler);
                    item
                });
                producing(|producer| producer.push_many(&mut items));
            }
        }
    }
}
