//! The channel, preempted anywhere: nothing is lost, and nobody sleeps beside what it waits for.
//!
//! The lock-free one, as all that is checked here: a channel whose `Progress` says otherwise waits for what it has preempted, and
//! must not be used so. What it does instead is explored by the models of `tests/loom/half_way.rs`.

use super::harness::{self, Run, Subject};
use super::tasks::{Asked, Tasks};
use aqueduct_core::channel::{
    Permit, RecvError, ReserveError, SendError, StaticChannel, TryRecvError, TrySendError,
};
use aqueduct_core::wait::Slots;
use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Context, Poll};

type Tested<const N: usize> = StaticChannel<u32, N, Slots<3>>;

/// An operation. Values are numbered by who sends them, so that each is sent at most once.
#[derive(Clone, Copy, Debug)]
enum Op {
    TrySend(u32),
    ForceSend(u32),
    TryRecv,
    /// A batch of two, from this value on.
    SendMany(u32),
    /// A batch that promises two and has one: a place is claimed, and given up.
    SendFewer(u32),
    RecvMany,
    Close,
    /// Starts a wait in a place and polls it once.
    Recv(usize),
    Send(usize, u32),
    Reserve(usize),
    /// The same through a watch, which looks one poll after it has noticed a wake-up: it can be dropped in between.
    WatchRecv(usize),
    WatchSend(usize),
    /// Polls again what waits in a place.
    PollRecv(usize),
    PollSend(usize),
    PollReserve(usize),
    /// Drops what waits in a place.
    DropRecv(usize),
    DropSend(usize),
    DropReserve(usize),
    /// Uses, or drops, the permit that was reserved last.
    SendReserved(u32),
    DropPermit,
    /// Drops the one that was reserved first.
    DropFirstPermit,
}

#[derive(Debug)]
#[allow(dead_code, reason = "for reports, which print it")]
enum Outcome {
    Sent(Vec<u32>),
    Refused(u32),
    Displaced(u32, Option<u32>),
    Received(Vec<u32>),
    Done,
}

struct Object<const N: usize> {
    // Dropped before what they borrow.
    receivers: Tasks<Result<u32, RecvError>>,
    senders: Tasks<(u32, Result<(), SendError<u32>>)>,
    reservers: Tasks<Result<Permit<'static, Tested<N>>, ReserveError>>,
    permits: RefCell<Vec<Permit<'static, Tested<N>>>>,
    channel: &'static Tested<N>,
    /// Owns `channel`.
    memory: *mut Tested<N>,
    ledger: RefCell<Ledger>,
}

/// What went in, and what came out.
#[derive(Default)]
struct Ledger {
    sent: Vec<u32>,
    received: Vec<u32>,
}

struct Channels<const N: usize> {
    filled: u32,
    /// The count of skips of the oldest value is full: the channel may call itself full until that is received.
    is_worn: bool,
}

/// Values that are said to be so many.
struct Batch {
    left: std::ops::Range<u32>,
    promised: usize,
}

impl Iterator for Batch {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.promised = self.promised.saturating_sub(1);
        self.left.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.promised, Some(self.promised))
    }
}

impl<const N: usize> Object<N> {
    fn received(&self, asked: Asked<Result<u32, RecvError>>) -> Outcome {
        match asked {
            Asked::Ready(Ok(value)) => {
                self.ledger.borrow_mut().received.push(value);
                Outcome::Received(vec![value])
            }
            _ => Outcome::Done,
        }
    }

    fn sent(&self, asked: Asked<(u32, Result<(), SendError<u32>>)>) -> Outcome {
        match asked {
            Asked::Ready((value, Ok(()))) => {
                self.ledger.borrow_mut().sent.push(value);
                Outcome::Sent(vec![value])
            }
            Asked::Ready((value, Err(SendError(back)))) => {
                assert_eq!(value, back);
                Outcome::Refused(value)
            }
            _ => Outcome::Done,
        }
    }

    fn sent_many(&self, mut batch: Batch) -> Outcome {
        let first = batch.left.start;
        let sent = self.channel.try_send_many(&mut batch);
        let end = match sent {
            Ok(sent) => first + sent as u32,
            Err(SendError(refused)) => refused,
        };
        let taken = batch.left.start - first;
        assert_eq!(end + u32::from(sent.is_err()), first + taken, "a value is lost");
        self.ledger.borrow_mut().sent.extend(first..end);
        Outcome::Sent((first..end).collect())
    }

    fn reserved(&self, asked: Asked<Result<Permit<'static, Tested<N>>, ReserveError>>) -> Outcome {
        if let Asked::Ready(Ok(permit)) = asked {
            self.permits.borrow_mut().push(permit);
        }
        Outcome::Done
    }

    fn send(&self, value: u32) -> impl Future<Output = (u32, Result<(), SendError<u32>>)> + use<N> {
        let channel = self.channel;
        async move { (value, channel.send(value).await) }
    }

    fn watch_recv(&self) -> impl Future<Output = Result<u32, RecvError>> + use<N> {
        let mut watch = self.channel.watch_recv();
        let mut noticed = false;
        poll_fn(move |cx| {
            if notices(&mut noticed, watch.poll_ready(cx), cx) {
                return Poll::Pending;
            }
            match watch.try_recv() {
                Ok(value) => Poll::Ready(Ok(value)),
                Err(TryRecvError::Closed) => Poll::Ready(Err(RecvError)),
                Err(TryRecvError::Empty) => Poll::Pending,
            }
        })
    }

    fn watch_send(
        &self,
    ) -> impl Future<Output = Result<Permit<'static, Tested<N>>, ReserveError>> + use<N> {
        let mut watch = self.channel.watch_send();
        let mut noticed = false;
        poll_fn(move |cx| {
            if notices(&mut noticed, watch.poll_ready(cx), cx) {
                return Poll::Pending;
            }
            match watch.try_reserve() {
                Ok(permit) => Poll::Ready(Ok(permit)),
                Err(TrySendError::Closed(())) => Poll::Ready(Err(ReserveError)),
                Err(TrySendError::Full(())) => Poll::Pending,
            }
        })
    }

    /// Runs whoever is woken until nobody is.
    fn settle(&self) {
        loop {
            let ran = self.receivers.run_one().map(|asked| self.received(asked));
            let ran = ran.or_else(|| self.senders.run_one().map(|asked| self.sent(asked)));
            let ran = ran.or_else(|| self.reservers.run_one().map(|asked| self.reserved(asked)));
            if ran.is_none() {
                return;
            }
        }
    }
}

/// Whether a watch has just noticed a wake-up. Then it looks at its next poll, for which this asks. It also asks
/// for the one after that look, which stands in line again if the look has found nothing.
fn notices(noticed: &mut bool, ready: Poll<()>, cx: &Context<'_>) -> bool {
    if ready.is_ready() {
        cx.waker().wake_by_ref();
    }
    *noticed = ready.is_ready() && !*noticed;
    *noticed
}

impl<const N: usize> Drop for Object<N> {
    fn drop(&mut self) {
        for place in 0..2 {
            self.receivers.cancel(place);
            self.senders.cancel(place);
            self.reservers.cancel(place);
        }
        self.permits.get_mut().clear();
        // SAFETY: `memory` came from a box, and all that borrowed from it is gone.
        drop(unsafe { Box::from_raw(self.memory) });
    }
}

impl<const N: usize> Subject for Channels<N> {
    type Object = Object<N>;
    type Op = Op;
    type Outcome = Outcome;

    fn name(&self) -> String {
        let worn = if self.is_worn { ", worn" } else { "" };
        format!("channel of {N}, {} in{worn}", self.filled)
    }

    fn fresh(&self) -> Object<N> {
        let memory = Box::into_raw(Box::new(Tested::<N>::with_storage(Slots::new(), Slots::new())));
        // SAFETY: it is freed when the object is dropped, after all that borrows from it.
        let channel: &'static Tested<N> = unsafe { &*memory };
        let object = Object {
            receivers: Tasks::new(2),
            senders: Tasks::new(2),
            reservers: Tasks::new(2),
            permits: RefCell::default(),
            channel,
            memory,
            ledger: RefCell::default(),
        };
        for value in 900..900 + self.filled {
            channel.try_send(value).unwrap();
            object.ledger.borrow_mut().sent.push(value);
        }
        // What is given up while there is a later place leaves a void ticket, and the tail goes round.
        while self.is_worn
            && let (Ok(first), Ok(last)) = (channel.try_reserve(), channel.try_reserve())
        {
            drop(first);
            drop(last);
        }
        object
    }

    fn apply(&self, object: &Object<N>, op: &Op) -> Outcome {
        let channel = object.channel;
        match *op {
            Op::TrySend(value) => match channel.try_send(value) {
                Ok(()) => {
                    object.ledger.borrow_mut().sent.push(value);
                    Outcome::Sent(vec![value])
                }
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => {
                    Outcome::Refused(back)
                }
            },
            Op::ForceSend(value) => match channel.force_send(value) {
                Ok(displaced) => {
                    let mut ledger = object.ledger.borrow_mut();
                    ledger.sent.push(value);
                    ledger.received.extend(displaced);
                    Outcome::Displaced(value, displaced)
                }
                Err(closed) => {
                    object.ledger.borrow_mut().received.extend(closed.displaced);
                    Outcome::Refused(closed.value)
                }
            },
            Op::TryRecv => match channel.try_recv() {
                Ok(value) => {
                    object.ledger.borrow_mut().received.push(value);
                    Outcome::Received(vec![value])
                }
                Err(TryRecvError::Empty | TryRecvError::Closed) => Outcome::Done,
            },
            Op::SendMany(first) => object.sent_many(Batch { left: first..first + 2, promised: 2 }),
            Op::SendFewer(first) => object.sent_many(Batch { left: first..first + 1, promised: 2 }),
            Op::RecvMany => {
                let mut got = Vec::new();
                channel.try_recv_many(2, |value| got.push(value));
                object.ledger.borrow_mut().received.extend(&got);
                Outcome::Received(got)
            }
            Op::Close => {
                channel.close();
                Outcome::Done
            }
            Op::Recv(place) => object.received(object.receivers.start(place, channel.recv())),
            Op::Send(place, value) => object.sent(object.senders.start(place, object.send(value))),
            Op::Reserve(place) => object.reserved(object.reservers.start(place, channel.reserve())),
            Op::WatchRecv(place) => {
                object.received(object.receivers.start(place, object.watch_recv()))
            }
            Op::WatchSend(place) => {
                object.reserved(object.reservers.start(place, object.watch_send()))
            }
            Op::PollRecv(place) => object.received(object.receivers.poll(place)),
            Op::PollSend(place) => object.sent(object.senders.poll(place)),
            Op::PollReserve(place) => object.reserved(object.reservers.poll(place)),
            Op::DropRecv(place) => {
                object.receivers.cancel(place);
                Outcome::Done
            }
            Op::DropSend(place) => {
                object.senders.cancel(place);
                Outcome::Done
            }
            Op::DropReserve(place) => {
                object.reservers.cancel(place);
                Outcome::Done
            }
            Op::SendReserved(value) => {
                let permit = object.permits.borrow_mut().pop();
                match permit.map(|permit| permit.send(value)) {
                    Some(Ok(())) => {
                        object.ledger.borrow_mut().sent.push(value);
                        Outcome::Sent(vec![value])
                    }
                    Some(Err(SendError(back))) => {
                        assert!(channel.is_closed(), "a permit is good while the channel is open");
                        Outcome::Refused(back)
                    }
                    None => Outcome::Done,
                }
            }
            Op::DropPermit => {
                let permit = object.permits.borrow_mut().pop();
                drop(permit);
                Outcome::Done
            }
            Op::DropFirstPermit => {
                let mut permits = object.permits.borrow_mut();
                let first = (!permits.is_empty()).then(|| permits.remove(0));
                drop(permits);
                drop(first);
                Outcome::Done
            }
        }
    }

    fn check(&self, object: Object<N>, _: &Run<'_, Self>) -> Result<(), String> {
        object.settle();
        let channel = object.channel;
        let is_closed = channel.is_closed();
        let reserved = object.permits.borrow().len();
        let values = {
            let ledger = object.ledger.borrow();
            ledger.sent.len() - ledger.received.len()
        };
        if object.receivers.pending() > 0 && (is_closed || values > 0) {
            return Err(format!("a receiver sleeps beside {values} values"));
        }
        let room = channel.capacity() - values - reserved;
        let senders = object.senders.pending() + object.reservers.pending();
        if senders > 0 && (is_closed || room > 0 && !self.is_worn) {
            return Err(format!("a sender sleeps beside room for {room}"));
        }
        // All room is there again once the permits are gone.
        object.permits.borrow_mut().clear();
        object.settle();
        object.permits.borrow_mut().clear();
        for place in 0..2 {
            object.senders.cancel(place);
            object.reservers.cancel(place);
            object.receivers.cancel(place);
        }
        let left: Vec<u32> = std::iter::from_fn(|| channel.try_recv().ok()).collect();
        if !is_closed {
            for value in 0..N as u32 {
                if channel.try_send(value).is_err() {
                    return Err(format!("room for {value} only"));
                }
            }
            if channel.try_send(0).is_ok() {
                return Err("room for too many".into());
            }
        }
        let mut ledger = object.ledger.borrow_mut();
        ledger.received.extend(left);
        let Ledger { sent, received } = &mut *ledger;
        sent.sort_unstable();
        received.sort_unstable();
        if sent != received {
            return Err(format!("sent {sent:?}, received {received:?}"));
        }
        Ok(())
    }
}

/// What a handler does: single calls, and the pairs that have a story.
fn handlers() -> Vec<Vec<Op>> {
    use Op::*;
    vec![
        vec![TrySend(1)],
        vec![ForceSend(1)],
        vec![TryRecv],
        vec![RecvMany],
        vec![SendMany(1)],
        vec![SendFewer(1)],
        vec![Close],
        vec![TrySend(1), TrySend(2)],
        vec![TryRecv, TryRecv],
        vec![TryRecv, TrySend(1)],
        vec![TrySend(1), TryRecv],
        vec![ForceSend(1), ForceSend(2)],
        vec![Close, TryRecv],
        vec![Close, TrySend(1)],
        vec![TrySend(1), Close],
        // Registers and cancels its own wait.
        vec![Recv(1), DropRecv(1)],
        vec![Send(1, 1), DropSend(1)],
        vec![Reserve(1), DropReserve(1)],
        vec![Recv(1)],
        vec![Send(1, 1)],
        vec![Reserve(1)],
        vec![Recv(1), TrySend(1)],
        vec![Recv(1), TrySend(1), DropRecv(1)],
        vec![Send(1, 1), TryRecv],
        vec![Send(1, 1), TryRecv, DropSend(1)],
        vec![Reserve(1), TryRecv, DropReserve(1)],
        vec![Recv(1), TrySend(1), TrySend(2), PollRecv(1)],
        vec![Reserve(1), SendReserved(1)],
        vec![Reserve(1), DropPermit],
        vec![Reserve(1), TrySend(1), SendReserved(2)],
        vec![WatchRecv(1)],
        vec![WatchSend(1)],
        vec![WatchRecv(1), DropRecv(1)],
        vec![WatchSend(1), DropReserve(1)],
        vec![WatchRecv(1), TrySend(1), PollRecv(1), DropRecv(1)],
        vec![WatchSend(1), TryRecv, PollReserve(1), DropReserve(1)],
    ]
}

/// What is preempted: every operation, from every state of the waits that it may meet.
fn preempted() -> Vec<Vec<Op>> {
    use Op::*;
    vec![
        vec![TrySend(11)],
        vec![ForceSend(11)],
        vec![TryRecv],
        vec![RecvMany],
        vec![SendMany(11)],
        vec![SendFewer(11)],
        vec![Recv(0), SendMany(11)],
        vec![Close],
        vec![Recv(0)],
        vec![Send(0, 11)],
        vec![Reserve(0)],
        vec![Recv(0), PollRecv(0)],
        vec![Send(0, 11), PollSend(0)],
        vec![Reserve(0), PollReserve(0)],
        vec![Recv(0), DropRecv(0)],
        vec![Send(0, 11), DropSend(0)],
        vec![Reserve(0), DropReserve(0)],
        vec![Recv(0), TrySend(11)],
        vec![Send(0, 11), TryRecv],
        vec![Reserve(0), TryRecv],
        vec![Recv(0), TrySend(11), DropRecv(0)],
        vec![Send(0, 11), TryRecv, DropSend(0)],
        vec![Reserve(0), SendReserved(11)],
        vec![Reserve(0), DropPermit],
        // The place was taken away, and passed over: the tail is at another, so that the permit has two for a moment.
        vec![Reserve(0), TrySend(11), TryRecv, Reserve(1), DropPermit, SendReserved(12)],
        vec![Recv(0), Close, PollRecv(0)],
        vec![Send(0, 11), Close, PollSend(0)],
        vec![WatchRecv(0)],
        vec![WatchSend(0)],
        vec![WatchRecv(0), TrySend(11), PollRecv(0), PollRecv(0)],
        vec![WatchSend(0), TryRecv, PollReserve(0), PollReserve(0)],
        vec![WatchRecv(0), TrySend(11), PollRecv(0), DropRecv(0)],
        vec![WatchSend(0), TryRecv, PollReserve(0), DropReserve(0)],
    ]
}

/// What comes before: the states of the places that single calls do not leave.
fn histories() -> Vec<Vec<Op>> {
    use Op::*;
    vec![
        vec![],
        // A permit whose place was taken away; then passed over, too; then with its place behind the tail.
        vec![Reserve(0), TrySend(31), TryRecv],
        vec![Reserve(0), TrySend(31), TryRecv, Reserve(0), DropPermit],
        vec![Reserve(0), TrySend(31), TryRecv, TrySend(32), TryRecv],
        // A void ticket that nobody has passed.
        vec![Reserve(0), Reserve(0), ForceSend(31), DropFirstPermit],
        vec![TrySend(31), Reserve(0), TryRecv],
    ]
}

fn check<const N: usize>() -> u64 {
    let mut combinations = 0;
    for filled in 0..=N as u32 {
        let subject = Channels::<N> { filled, is_worn: false };
        for history in histories() {
            for what in preempted() {
                let a = [&*history, &*what].concat();
                combinations += harness::preempt(&subject, &a, &handlers());
            }
        }
    }
    combinations
}

#[test]
fn every_call_on_a_channel_preempted_by_every_other() {
    let combinations = check::<1>() + check::<2>() + check::<3>();
    assert!(combinations > 500_000, "only {combinations}");
    println!("interrupt: channel: {combinations} combinations");
}

/// Beside a value that nobody received places were reserved and given up until its slot could count no more of them.
#[test]
fn a_channel_that_calls_itself_full_too_early_loses_nothing() {
    use Op::*;
    let meeting = [vec![TrySend(1)], vec![ForceSend(2)], vec![TryRecv]];
    let mut combinations = 0;
    for filled in 1..=2 {
        let subject = Channels::<4> { filled, is_worn: true };
        for history in [vec![], vec![Reserve(0)], vec![TryRecv, Reserve(0), TryRecv]] {
            for what in preempted().into_iter().chain([
                vec![ForceSend(11), ForceSend(12)],
                vec![TrySend(11), ForceSend(12), SendReserved(13)],
                vec![TryRecv, SendReserved(11), ForceSend(12)],
            ]) {
                let a = [&*history, &*what].concat();
                combinations += harness::preempt(&subject, &a, &handlers());
                combinations += harness::preempt_twice(&subject, &a, &meeting, &meeting);
            }
        }
    }
    println!("interrupt: channel, worn: {combinations} combinations");
}

#[test]
fn a_handler_within_a_handler_on_a_channel() {
    use Op::*;
    let cs = [vec![TrySend(21)], vec![TryRecv], vec![Close], vec![Recv(1), DropRecv(1)]];
    let bs = [vec![TrySend(1)], vec![TryRecv], vec![Send(1, 1), DropSend(1)]];
    let mut combinations = 0;
    for filled in 0..=1 {
        let subject = Channels::<1> { filled, is_worn: false };
        for a in [vec![Recv(0)], vec![Send(0, 11)], vec![Recv(0), DropRecv(0)], vec![TrySend(11)]] {
            combinations += harness::preempt_nested(&subject, &a, &bs, &cs);
        }
    }
    println!("interrupt: channel, nested: {combinations} combinations");
}
