//! `WaitQueue`: notifications that somebody can be given are given, each once, and those who wait are woken; whatever is
//! polled, dropped or notified meanwhile.

use aqueduct_core::wait::{Slots, Wait, WaitQueue};
use aqueduct_firmware_rt::Word;

use crate::bell::Bell;
use crate::harness::{Object, inside};

static QUEUE: WaitQueue<Slots<3>> = WaitQueue::with_storage(Slots::new());
static BELLS: [Bell; 3] = [const { Bell::new() }; 3];

/// What was notified in this run: with memory, without, and everybody.
static ONES: Word = Word::new(0);
static OTHERS: Word = Word::new(0);
static ALLS: Word = Word::new(0);

/// The notifications, by number, and their books; `call` is how they are made.
fn notify(kind: usize, call: impl FnOnce(fn())) {
    let (count, notify): (&Word, fn()) = match kind {
        0 => (&ONES, || QUEUE.notify_one()),
        1 => (&OTHERS, || QUEUE.notify(1)),
        _ => (&ALLS, || QUEUE.notify_all()),
    };
    call(notify);
    count.add(1);
}

/// A wait that may be in line, and has its bell.
struct Waiter {
    wait: Wait<'static, Slots<3>>,
    bell: &'static Bell,
    was_in_line: bool,
    was_ready_inside: bool,
}

impl Waiter {
    fn new(number: usize, is_in_line: bool) -> Self {
        let mut waiter = Self {
            wait: QUEUE.wait(),
            bell: &BELLS[number],
            was_in_line: false,
            was_ready_inside: false,
        };
        if is_in_line {
            assert!(waiter.bell.poll(&mut waiter.wait).is_pending(), "nothing was notified yet");
            waiter.was_in_line = true;
        }
        waiter
    }

    /// Whether it was notified. If it stood in line for that, it must have been woken.
    fn is_notified(&mut self) -> bool {
        let is_ready = self.bell.poll(&mut self.wait).is_ready();
        let has_rung = self.bell.has_rung();
        if is_ready && !self.was_ready_inside && self.was_in_line {
            assert!(has_rung, "notified, and not woken");
        }
        is_ready
    }
}

pub(crate) struct Queue;

impl Object for Queue {
    const NAME: &'static str = "WaitQueue";
    /// A bit for each of two waits: whether it is in line.
    const STATES: u32 = 4;
    const OPERATIONS: &'static [&'static str] =
        &["notify_one", "notify(1)", "notify_all", "poll a Wait", "drop a Wait"];
    const INTERRUPTIONS: &'static [&'static str] = &[
        "notify_one",
        "notify(1)",
        "notify_all",
        "notify_one, three times",
        "notify_all, notify_one",
    ];
    const LIMIT: u32 = 3_000;

    fn run(state: u32, operation: usize) {
        [&ONES, &OTHERS, &ALLS].into_iter().for_each(|count| count.set(0));
        let mut first = Some(Waiter::new(0, state & 1 != 0));
        let mut second = Waiter::new(1, state & 2 != 0);
        match (operation, &mut first) {
            (0..3, _) => notify(operation, inside),
            (3, Some(waiter)) => {
                waiter.was_ready_inside = inside(|| waiter.bell.poll(&mut waiter.wait)).is_ready();
                waiter.was_in_line = true;
            }
            _ => {
                let dropped = first.take();
                inside(|| drop(dropped));
            }
        }
        let is_in_line = |waiter: &Waiter| u32::from(waiter.was_in_line);
        let in_line = first.as_ref().map_or(0, is_in_line) + is_in_line(&second);
        let there = 1 + u32::from(first.is_some());
        let ready = first.as_mut().map_or(0, |waiter| u32::from(waiter.is_notified()))
            + u32::from(second.is_notified());
        drop((first, second));
        // One that comes when all is over.
        let left = u32::from(Waiter::new(2, false).is_notified());

        let (ones, others, alls) = (ONES.get(), OTHERS.get(), ALLS.get());
        if alls > 0 {
            assert!(ready == there, "not everybody was notified");
            assert!(left <= ones, "notify_all was remembered");
        } else {
            assert!(ready + left <= ones + others, "notified more often than that");
            // Notifications of one that find nobody in line merge; those that find somebody do not.
            assert!(ones == 0 || ready >= 1, "a notification was lost");
            let sure = if operation == 3 { state.count_ones() } else { in_line };
            assert!(
                ready >= sure.min(ones + others),
                "a notification was lost beside those in line"
            );
        }
    }

    fn interrupt(interruption: usize) {
        match interruption {
            0..3 => notify(interruption, |call| call()),
            3 => (0..3).for_each(|_| notify(0, |call| call())),
            _ => [2, 0].into_iter().for_each(|kind| notify(kind, |call| call())),
        }
    }
}
