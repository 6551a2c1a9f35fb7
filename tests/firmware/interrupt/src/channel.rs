//! The futures of `StaticChannel`: whoever sleeps is woken when there is what it sleeps for, and a future that is dropped
//! takes nothing with it.

use aqueduct_core::channel::{Permit, Recv, Send, StaticChannel};
use aqueduct_core::wait::Slots;
use core::task::Poll;

use crate::bell::Bell;
use crate::harness::{Object, inside};
use crate::ledger::{Item, Ledger, Party};

const CAPACITY: usize = 2;

type Channel = StaticChannel<Item, CAPACITY, Slots<2>>;

static CHANNEL: Channel = StaticChannel::with_storage(Slots::new(), Slots::new());
static BELLS: [Bell; 2] = [const { Bell::new() }; 2];
static LEDGER: Ledger = Ledger::new();

fn send_in_handler() {
    let item = LEDGER.next(Party::Handler);
    match CHANNEL.try_send(item) {
        Ok(()) => LEDGER.is_in(Party::Handler),
        Err(error) => assert!(error.into_inner() == item, "another value came back"),
    }
}

fn receive(party: Party) -> bool {
    let value = CHANNEL.try_recv();
    if let Ok(item) = value {
        LEDGER.is_out(party, item);
    }
    value.is_ok()
}

/// What a sleeper owes the books once its future is ready.
trait Sleeper {
    type Output;
    fn poll(&mut self, bell: &'static Bell) -> Poll<Self::Output>;
    fn settle(output: Self::Output);
    /// Whether there is now what it sleeps for.
    fn can_go_on() -> bool;
}

impl Sleeper for Recv<'static, Channel> {
    type Output = Item;

    fn poll(&mut self, bell: &'static Bell) -> Poll<Item> {
        bell.poll(self).map(|received| received.expect("nobody closes it"))
    }

    fn settle(item: Item) {
        LEDGER.is_out(Party::Main, item);
    }

    fn can_go_on() -> bool {
        !CHANNEL.is_empty()
    }
}

impl Sleeper for Send<'static, Channel> {
    type Output = ();

    fn poll(&mut self, bell: &'static Bell) -> Poll<()> {
        bell.poll(self).map(|sent| sent.expect("nobody closes it"))
    }

    fn settle((): ()) {
        LEDGER.is_in(Party::Main);
    }

    fn can_go_on() -> bool {
        !CHANNEL.is_full()
    }
}

/// What main did inside is over, and `polled` came of it: if the sleeper still sleeps though it could go on, it must have
/// been woken, and go on.
fn wake_up<S: Sleeper>(mut sleeper: S, bell: &'static Bell, mut polled: Poll<S::Output>) {
    let has_rung = bell.has_rung();
    if polled.is_pending() && S::can_go_on() {
        assert!(has_rung, "a sleeper was not woken");
        polled = sleeper.poll(bell);
        assert!(polled.is_ready(), "a woken sleeper found nothing");
    }
    if let Poll::Ready(output) = polled {
        S::settle(output);
    }
    drop(sleeper);
    bell.silence();
}

/// Polls a sleeper for the first time. True if it has nothing to wait for, and is in the books.
fn is_done_at_once<S: Sleeper>(sleeper: &mut S, bell: &'static Bell) -> bool {
    let polled = sleeper.poll(bell);
    let is_ready = polled.is_ready();
    if let Poll::Ready(output) = polled {
        S::settle(output);
    }
    is_ready
}

/// Two sleepers of one kind; the first goes inside, and the other must get what was meant for it.
fn cancel_first<S: Sleeper>(make: impl Fn() -> S) {
    let (mut first, mut second) = (make(), None);
    if !is_done_at_once(&mut first, &BELLS[0]) {
        let mut sleeper = make();
        assert!(!is_done_at_once(&mut sleeper, &BELLS[1]), "it overtook one that sleeps");
        second = Some(sleeper);
    }
    inside(|| drop(first));
    BELLS[0].silence();
    if let Some(second) = second {
        wake_up(second, &BELLS[1], Poll::Pending);
    }
}

fn reserve_now() -> Option<Permit<'static, Channel>> {
    match BELLS[0].poll(&mut CHANNEL.reserve()) {
        Poll::Ready(permit) => permit.ok(),
        Poll::Pending => None,
    }
}

pub(crate) struct Futures;

impl Object for Futures {
    const NAME: &'static str = "StaticChannel's futures";
    const STATES: u32 = CAPACITY as u32 + 1;
    const OPERATIONS: &'static [&'static str] = &[
        "poll a Recv",
        "drop a Recv",
        "poll a Send",
        "drop a Send",
        "poll a Reserve, send",
        "send by a Permit",
        "drop a Permit",
    ];
    const INTERRUPTIONS: &'static [&'static str] = &[
        "try_send",
        "try_recv",
        "try_send until full",
        "try_recv until empty",
        "try_recv, try_send",
        "force_send",
    ];
    const LIMIT: u32 = 3_000;

    fn run(state: u32, operation: usize) {
        LEDGER.clear();
        let next = || {
            let item = LEDGER.next(Party::Main);
            LEDGER.is_in(Party::Main);
            item
        };
        (0..state).for_each(|_| CHANNEL.try_send(next()).expect("there is room"));
        match operation {
            0 => {
                let mut recv = CHANNEL.recv();
                let polled = inside(|| recv.poll(&BELLS[0]));
                wake_up(recv, &BELLS[0], polled);
            }
            1 => cancel_first(|| CHANNEL.recv()),
            2 => {
                let mut send = CHANNEL.send(LEDGER.next(Party::Main));
                let polled = inside(|| Sleeper::poll(&mut send, &BELLS[0]));
                wake_up(send, &BELLS[0], polled);
            }
            3 => cancel_first(|| CHANNEL.send(LEDGER.next(Party::Main))),
            4 => {
                let item = LEDGER.next(Party::Main);
                let mut reserve = CHANNEL.reserve();
                let mut polled = inside(|| BELLS[0].poll(&mut reserve));
                if polled.is_pending() && !CHANNEL.is_full() {
                    assert!(BELLS[0].has_rung(), "a sleeper was not woken");
                    polled = BELLS[0].poll(&mut reserve);
                    assert!(polled.is_ready(), "a woken sleeper found no room");
                }
                if let Poll::Ready(Ok(permit)) = polled {
                    permit.send(item).expect("nobody closes it");
                    LEDGER.is_in(Party::Main);
                }
            }
            5 => {
                let permit = reserve_now();
                let item = LEDGER.next(Party::Main);
                match inside(|| permit.map(|permit| permit.send(item))) {
                    Some(sent) => {
                        sent.expect("nobody closes it");
                        LEDGER.is_in(Party::Main);
                    }
                    None => assert!(state as usize == CAPACITY, "no place was to be had"),
                }
            }
            _ => {
                let permit = reserve_now();
                let mut send = CHANNEL.send(LEDGER.next(Party::Main));
                let is_done = is_done_at_once(&mut send, &BELLS[1]);
                inside(|| drop(permit));
                if !is_done {
                    wake_up(send, &BELLS[1], Poll::Pending);
                }
            }
        }
        BELLS.iter().for_each(Bell::silence);
        LEDGER.only_main_from_now_on();
        while receive(Party::Main) {}
        LEDGER.balance();
    }

    fn interrupt(interruption: usize) {
        match interruption {
            0 => send_in_handler(),
            1 => _ = receive(Party::Handler),
            2 => (0..=CAPACITY).for_each(|_| send_in_handler()),
            3 => while receive(Party::Handler) {},
            4 => {
                receive(Party::Handler);
                send_in_handler();
            }
            _ => {
                let item = LEDGER.next(Party::Handler);
                let displaced = CHANNEL.force_send(item).expect("nobody closes it");
                if displaced != Some(item) {
                    LEDGER.is_in(Party::Handler);
                    displaced.into_iter().for_each(|item| LEDGER.is_out(Party::Handler, item));
                }
            }
        }
    }
}
