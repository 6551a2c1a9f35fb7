//! Operation lists applied to a channel and to a plain model side by side.

mod model;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use aqueduct_core::channel::{
    AnyChannel, Channel, ForceSendError, Permit, Progress, Recv, RecvError, RecvMany, Reserve,
    ReserveError, Send, SendError, StaticChannel, TryRecvError, TrySendError,
};
use aqueduct_core::wait::Slots;

use self::model::{Answer, Model, Wish};
use crate::bell::{Bell, unless_told};
use crate::ledger::{Item, Ledger};
use crate::queue::quiet_planned_panics;

/// What both channels of core offer, so that one test serves both.
#[expect(missing_docs, reason = "the channels' own methods")]
pub trait BoundedChannel<T>: AnyChannel<Item = T> + Sized {
    fn try_send(&self, value: T) -> Result<(), TrySendError<T>>;
    fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>>;
    fn try_recv(&self) -> Result<T, TryRecvError>;
    fn try_recv_many(&self, max: usize, f: impl FnMut(T)) -> usize;
    fn send(&self, value: T) -> Send<'_, Self>;
    fn reserve(&self) -> Reserve<'_, Self>;
    fn recv(&self) -> Recv<'_, Self>;
    fn recv_many<F: FnMut(T)>(&self, max: usize, f: F) -> RecvMany<'_, Self, F>;
    fn close(&self) -> bool;
    fn is_closed(&self) -> bool;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn is_full(&self) -> bool;
    fn capacity(&self) -> usize;
}

macro_rules! forward {
    ([$($generics:tt)*] $channel:ty) => {
        impl<$($generics)*> BoundedChannel<T> for $channel {
            fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
                <$channel>::try_send(self, value)
            }
            fn force_send(&self, value: T) -> Result<Option<T>, ForceSendError<T>> {
                <$channel>::force_send(self, value)
            }
            fn try_recv(&self) -> Result<T, TryRecvError> {
                <$channel>::try_recv(self)
            }
            fn try_recv_many(&self, max: usize, f: impl FnMut(T)) -> usize {
                <$channel>::try_recv_many(self, max, f)
            }
            fn send(&self, value: T) -> Send<'_, Self> {
                <$channel>::send(self, value)
            }
            fn reserve(&self) -> Reserve<'_, Self> {
                <$channel>::reserve(self)
            }
            fn recv(&self) -> Recv<'_, Self> {
                <$channel>::recv(self)
            }
            fn recv_many<F: FnMut(T)>(&self, max: usize, f: F) -> RecvMany<'_, Self, F> {
                <$channel>::recv_many(self, max, f)
            }
            fn close(&self) -> bool {
                <$channel>::close(self)
            }
            fn is_closed(&self) -> bool {
                <$channel>::is_closed(self)
            }
            fn len(&self) -> usize {
                <$channel>::len(self)
            }
            fn is_empty(&self) -> bool {
                <$channel>::is_empty(self)
            }
            fn is_full(&self) -> bool {
                <$channel>::is_full(self)
            }
            fn capacity(&self) -> usize {
                <$channel>::capacity(self)
            }
        }
    };
}

forward!([T, P: Progress] Channel<T, P>);
forward!([T, const N: usize] StaticChannel<T, N, Slots<2>>);

/// For a channel whose parties may wait for each other.
#[derive(Debug)]
pub enum Waiting {}

impl Progress for Waiting {
    const LOCK_FREE: bool = false;

    fn give_way() {
        std::thread::yield_now();
    }
}

/// What a future in a place is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// `send`
    Send,
    /// `send` of an item whose drop panics.
    SendBomb,
    /// `reserve`
    Reserve,
    /// `recv`
    Recv,
    /// `recv_many` of at most so many.
    RecvMany(u8),
}

/// One operation of a list. Futures stand in numbered places, permits in a row; values are numbered in the order in
/// which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelOp {
    /// `try_send`
    TrySend,
    /// `try_send` of an item whose drop panics.
    TrySendBomb,
    /// `force_send`
    ForceSend,
    /// `try_recv`
    TryRecv,
    /// `try_recv_many` with this maximum.
    TryRecvMany(u8),
    /// `try_recv_many` of everything into a closure that panics when it is given the item after so many.
    TryRecvManyPanics(u8),
    /// Polls the future in this place; if there is none, makes this one first.
    Poll(u8, Party),
    /// The future in this place is dropped.
    Cancel(u8),
    /// `into_value`, if the future in this place is a `send`.
    IntoValue(u8),
    /// `send` on a permit.
    SendPermit(u8),
    /// A permit is dropped.
    DropPermit(u8),
    /// A permit is forgotten, and its place with it.
    ForgetPermit(u8),
    /// `close`
    Close,
}

/// A channel, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// The capacity; for the static channel, the next of 1, 2, 3, 5 that is not below it.
    pub capacity: usize,
    /// Whether the channel is on the heap; otherwise there are two slots for each side.
    pub on_heap: bool,
    /// What is done.
    pub ops: Vec<ChannelOp>,
}

/// In how many places futures can stand.
const PLACES: usize = 6;

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the channel and its model differ, or an item is not dropped exactly once.
    pub fn run(&self) {
        quiet_planned_panics();
        let ledger = &Ledger::new(self.ops.len() + 1);
        match (self.on_heap, self.capacity) {
            (true, capacity) => {
                self.on(Channel::new(capacity), None, ledger);
                ledger.settle().unwrap();
                ledger.reset();
                self.on(Channel::<_, Waiting>::with_progress(capacity), None, ledger);
            }
            (false, ..=1) => self.on(inline::<1>(), Some(2), ledger),
            (false, 2) => self.on(inline::<2>(), Some(2), ledger),
            (false, 3) => self.on(inline::<3>(), Some(2), ledger),
            (false, _) => self.on(inline::<5>(), Some(2), ledger),
        }
        ledger.settle().unwrap();
    }

    fn on<'l, C: BoundedChannel<Item<'l>>>(
        &self,
        channel: C,
        slots: Option<usize>,
        ledger: &'l Ledger,
    ) {
        let mut pair = Pair {
            channel: &channel,
            model: Model::new(channel.capacity(), PLACES, slots),
            futures: [const { None }; PLACES],
            permits: Vec::new(),
            bells: Default::default(),
            rung: [0; PLACES],
            got: Rc::default(),
            made: 0,
            ledger,
        };
        for &op in &self.ops {
            pair.apply(op);
            pair.look();
        }
        for place in 0..PLACES {
            pair.apply(ChannelOp::Cancel(place as u8));
            pair.look();
        }
        drop(pair);
        unless_told(|| drop(channel));
    }
}

fn inline<'l, const N: usize>() -> StaticChannel<Item<'l>, N, Slots<2>> {
    StaticChannel::with_storage(Slots::new(), Slots::new())
}

/// Where `recv_many` puts what it gets.
type Got = Rc<RefCell<Vec<u64>>>;
type Sink<'l> = Box<dyn FnMut(Item<'l>) + 'l>;

enum Pending<'c, 'l, C: BoundedChannel<Item<'l>>> {
    Send(Send<'c, C>),
    Reserve(Reserve<'c, C>),
    Recv(Recv<'c, C>),
    RecvMany(RecvMany<'c, C, Sink<'l>>),
}

/// A channel and its model, side by side.
struct Pair<'c, 'l, C: BoundedChannel<Item<'l>>> {
    channel: &'c C,
    model: Model,
    futures: [Option<Pending<'c, 'l, C>>; PLACES],
    /// With the number that the model knows each by.
    permits: Vec<(u64, Permit<'c, C>)>,
    bells: [Bell; PLACES],
    /// How often each bell should have rung.
    rung: [usize; PLACES],
    got: Got,
    made: u64,
    ledger: &'l Ledger,
}

impl<'c, 'l, C: BoundedChannel<Item<'l>>> Pair<'c, 'l, C> {
    fn item(&mut self, bomb: bool) -> (u64, Item<'l>) {
        self.made += 1;
        let value = self.made;
        (value, if bomb { self.ledger.bomb(value) } else { self.ledger.item(value) })
    }

    fn apply(&mut self, op: ChannelOp) {
        match op {
            ChannelOp::TrySend | ChannelOp::TrySendBomb => {
                let (value, item) = self.item(op == ChannelOp::TrySendBomb);
                let sent =
                    BoundedChannel::try_send(self.channel, item).map_err(|refused| match refused {
                        TrySendError::Full(item) => TrySendError::Full(item.into_value()),
                        TrySendError::Closed(item) => TrySendError::Closed(item.into_value()),
                    });
                assert_eq!(sent, self.model.try_send(value), "try_send");
            }
            ChannelOp::ForceSend => {
                let (value, item) = self.item(false);
                let sent = BoundedChannel::force_send(self.channel, item)
                    .map(|old| old.map(Item::into_value));
                let sent = sent.map_err(|error| {
                    assert!(error.displaced.is_none(), "force_send: closed before it began");
                    error.value.into_value()
                });
                assert_eq!(sent, self.model.force_send(value), "force_send");
            }
            ChannelOp::TryRecv => {
                let received = BoundedChannel::try_recv(self.channel).map(Item::into_value);
                assert_eq!(received, self.model.try_recv(), "try_recv");
            }
            ChannelOp::TryRecvMany(max) => {
                let mut got = Vec::new();
                let max = usize::from(max);
                let received = BoundedChannel::try_recv_many(self.channel, max, |item| {
                    got.push(item.into_value())
                });
                assert_eq!(received, got.len(), "try_recv_many: how many it says");
                assert_eq!(got, self.model.try_recv_many(max), "try_recv_many");
            }
            ChannelOp::TryRecvManyPanics(after) => self.try_recv_many_panics(after.into()),
            ChannelOp::Poll(place, what) => self.poll(usize::from(place) % PLACES, what),
            ChannelOp::Cancel(place) => {
                let place = usize::from(place) % PLACES;
                // It may have an item whose drop panics.
                unless_told(|| self.futures[place] = None);
                self.model.cancel(place);
            }
            ChannelOp::IntoValue(place) => {
                let place = usize::from(place) % PLACES;
                match self.futures[place].take() {
                    Some(Pending::Send(send)) => {
                        let value = send.into_value().map(Item::into_value);
                        assert_eq!(Some(value), self.model.value_of(place), "into_value");
                        self.model.cancel(place);
                    }
                    other => self.futures[place] = other,
                }
            }
            ChannelOp::SendPermit(nth) => {
                let Some((number, permit)) = self.permit(nth) else { return };
                let (value, item) = self.item(false);
                let sent = permit.send(item).map_err(|SendError(item)| item.into_value());
                let is_passed = self.model.is_passed(number);
                assert_eq!(sent, self.model.send_permit(number, value), "send on a permit");
                if is_passed {
                    let (bells, rung) = (&self.bells, &self.rung);
                    self.model.may_tell_of_room(|place| bells[place].rung() > rung[place]);
                }
            }
            ChannelOp::DropPermit(nth) => {
                let Some((number, permit)) = self.permit(nth) else { return };
                drop(permit);
                self.model.give_up(number);
            }
            ChannelOp::ForgetPermit(nth) => {
                if let Some((_, permit)) = self.permit(nth) {
                    std::mem::forget(permit);
                }
            }
            ChannelOp::Close => {
                assert_eq!(BoundedChannel::close(self.channel), self.model.close(), "close");
            }
        }
    }

    fn permit(&mut self, nth: u8) -> Option<(u64, Permit<'c, C>)> {
        let nth = usize::from(nth).checked_rem(self.permits.len())?;
        Some(self.permits.remove(nth))
    }

    fn try_recv_many_panics(&mut self, after: usize) {
        let mut got = Vec::new();
        let received = unless_told(|| {
            BoundedChannel::try_recv_many(self.channel, usize::MAX, |item| {
                got.push(item.value());
                assert!(got.len() <= after, "the closure panics, as it was told");
                item.into_value();
            })
        });
        match received {
            Some(received) => {
                assert_eq!(received, got.len(), "try_recv_many: how many it says");
                assert_eq!(got, self.model.try_recv_many(usize::MAX), "try_recv_many");
            }
            None => {
                assert_eq!(got.len(), after + 1);
                // Those that were claimed and not handed over are dropped, the next first.
                let left = self.ledger.live() - self.model.values_outside();
                self.model.try_recv_many_panicked(&got, left);
            }
        }
    }

    fn poll(&mut self, place: usize, what: Party) {
        if self.futures[place].is_none() {
            let (future, wish) = match what {
                Party::Send | Party::SendBomb => {
                    let (value, item) = self.item(what == Party::SendBomb);
                    (Pending::Send(self.channel.send(item)), Wish::Send(value))
                }
                Party::Reserve => (Pending::Reserve(self.channel.reserve()), Wish::Reserve),
                Party::Recv => (Pending::Recv(self.channel.recv()), Wish::Recv),
                Party::RecvMany(max) => {
                    let got = self.got.clone();
                    let sink: Sink = Box::new(move |item| got.borrow_mut().push(item.into_value()));
                    let max = usize::from(max);
                    (Pending::RecvMany(self.channel.recv_many(max, sink)), Wish::RecvMany(max))
                }
            };
            self.futures[place] = Some(future);
            self.model.make(place, wish);
        }
        let waker = self.bells[place].waker();
        let answer = match self.futures[place].as_mut().expect("made above") {
            Pending::Send(future) => poll(future, &waker)
                .map(|sent| Answer::Sent(sent.map_err(|SendError(item)| item.into_value()))),
            Pending::Reserve(future) => poll(future, &waker).map(|reserved| match reserved {
                Ok(permit) => {
                    let number = self.model.next_permit();
                    self.permits.push((number, permit));
                    Answer::Reserved(Some(number))
                }
                Err(ReserveError) => Answer::Reserved(None),
            }),
            Pending::Recv(future) => poll(future, &waker).map(|received| {
                Answer::Received(received.ok().map(|item| vec![item.into_value()]))
            }),
            Pending::RecvMany(future) => poll(future, &waker).map(|received| {
                let got = self.got.take();
                if let Ok(count) = received {
                    assert_eq!(count, got.len(), "recv_many: how many it says");
                }
                assert!(received != Err(RecvError) || got.is_empty(), "recv_many");
                Answer::Received(received.ok().map(|_| got))
            }),
        };
        assert_eq!(answer, self.model.poll(place), "poll of place {place}");
        if answer.is_ready() {
            self.futures[place] = None;
        }
    }

    fn look(&mut self) {
        let Self { channel, model, .. } = self;
        let len = channel.len();
        // Reserved places that a receiver has passed may be counted, or not.
        assert!(model.lens().contains(&len), "len is {len}, not in {:?}", model.lens());
        assert_eq!(channel.is_empty(), len == 0, "is_empty");
        assert_eq!(channel.is_full(), len == channel.capacity(), "is_full");
        assert_eq!(BoundedChannel::is_closed(*channel), model.is_closed(), "is_closed");
        self.ledger.judge(model.values_inside() + model.values_outside()).unwrap();
        for place in model.woken() {
            self.rung[place] += 1;
        }
        for (place, bell) in self.bells.iter().enumerate() {
            assert_eq!(bell.rung(), self.rung[place], "how often place {place} was woken");
        }
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}
