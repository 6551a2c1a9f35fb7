//! Operation lists applied to a queue of waiters and to a plain model side by side; and the model, which is
//! also that of whoever waits on a channel.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use aqueduct_core::wait::{Closed, Growable, Slots, Storage, Wait, WaitQueue};

use crate::bell::{Bell, unless_told};
use crate::queue::quiet_planned_panics;

/// Those who wait to be notified, as the documentation of `WaitQueue` has it. Waits stand in numbered places.
#[derive(Debug)]
pub struct Line {
    /// How many can wait; `None` for any number.
    slots: Option<usize>,
    places: Vec<Option<Waiting>>,
    /// Who stands in line, oldest first.
    waiting: VecDeque<usize>,
    epoch: usize,
    token: bool,
    closed: bool,
    /// How often a wait found no slot.
    self_wakes: usize,
    /// Who was woken, in order, since [`Line::woken`] was asked.
    woken: Vec<usize>,
}

/// What made a wait complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    One,
    Some,
    All,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Has no slot: not polled yet, or none was free.
    Outside {
        made: usize,
    },
    InLine,
    /// Chosen, and not polled since. Keeps its slot.
    Chosen(Notice),
    Done(Result<(), Closed>),
}

impl Line {
    /// A line for waits in so many places, of which `slots` can have a slot.
    pub fn new(places: usize, slots: Option<usize>) -> Self {
        Self {
            slots,
            places: vec![None; places],
            waiting: VecDeque::new(),
            epoch: 0,
            token: false,
            closed: false,
            self_wakes: 0,
            woken: Vec::new(),
        }
    }

    /// `wait`
    pub fn make(&mut self, place: usize) {
        assert!(self.places[place].is_none());
        self.places[place] = Some(Waiting::Outside { made: self.epoch });
    }

    /// Is there a wait in this place?
    pub fn has(&self, place: usize) -> bool {
        self.places[place].is_some()
    }

    /// `is_registered`
    pub fn is_registered(&self, place: usize) -> bool {
        matches!(self.places[place], Some(Waiting::InLine | Waiting::Chosen(_)))
    }

    /// `poll`
    pub fn poll(&mut self, place: usize) -> Poll<Result<(), Closed>> {
        let notice = match self.places[place].expect("there is a wait") {
            Waiting::Done(answer) => return Poll::Ready(answer),
            Waiting::InLine => return Poll::Pending,
            Waiting::Chosen(notice) => notice,
            Waiting::Outside { made } if made != self.epoch => Notice::All,
            Waiting::Outside { .. } if self.waiting.is_empty() && self.token => {
                self.token = false;
                Notice::One
            }
            Waiting::Outside { .. } if self.closed => Notice::Closed,
            Waiting::Outside { .. } => {
                let used = (0..self.places.len()).filter(|&place| self.is_registered(place));
                if self.slots == Some(used.count()) {
                    self.self_wakes += 1;
                    self.woken.push(place);
                } else {
                    self.places[place] = Some(Waiting::InLine);
                    self.waiting.push_back(place);
                }
                return Poll::Pending;
            }
        };
        let answer = if notice == Notice::Closed { Err(Closed) } else { Ok(()) };
        self.places[place] = Some(Waiting::Done(answer));
        Poll::Ready(answer)
    }

    /// The wait is dropped.
    pub fn cancel(&mut self, place: usize) {
        match self.places[place].take() {
            Some(Waiting::InLine) => self.waiting.retain(|&other| other != place),
            Some(Waiting::Chosen(Notice::One)) => self.put_one(),
            Some(Waiting::Chosen(Notice::Some)) => self.notify(1),
            _ => {}
        }
    }

    /// `notify_one`
    pub fn notify_one(&mut self) {
        if !self.closed {
            self.put_one();
        }
    }

    /// `notify`
    pub fn notify(&mut self, n: usize) {
        for _ in 0..n {
            if !self.choose(Notice::Some) {
                break;
            }
        }
    }

    /// `notify_all`
    pub fn notify_all(&mut self) {
        self.epoch += 1;
        while self.choose(Notice::All) {}
    }

    /// `close`
    pub fn close(&mut self) {
        self.closed = true;
        while self.choose(Notice::Closed) {}
    }

    /// `has_waiters`
    pub fn has_waiters(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The oldest of those who wait.
    pub fn oldest(&self) -> Option<usize> {
        self.waiting.front().copied()
    }

    /// Who was woken since the last call of this, oldest first.
    pub fn woken(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.woken)
    }

    fn put_one(&mut self) {
        self.token |= !self.choose(Notice::One);
    }

    /// Completes the oldest; false if nobody waits.
    fn choose(&mut self, notice: Notice) -> bool {
        let Some(place) = self.waiting.pop_front() else { return false };
        self.places[place] = Some(Waiting::Chosen(notice));
        self.woken.push(place);
        true
    }
}

/// One operation of a list. Waits stand in numbered places, of which there are as many as the case says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitOp {
    /// `wait`, if there is none in this place. It is not polled.
    Make(u8),
    /// Polls the wait in this place, with the place's waker; makes it first if there is none.
    Poll(u8),
    /// As `Poll`, with a waker that panics.
    PollPanics(u8),
    /// The wait in this place is dropped.
    Cancel(u8),
    /// `notify_one`
    NotifyOne,
    /// `notify`
    Notify(u8),
    /// `notify` of more than any count in the queue can hold.
    NotifyMany,
    /// `notify_all`
    NotifyAll,
    /// `close`
    Close,
}

/// A queue of waiters, and what is done with it.
#[derive(Debug, Clone)]
pub struct Case {
    /// In how many places waits can stand.
    pub places: usize,
    /// Whether the slots are on the heap; otherwise there are two.
    pub growable: bool,
    /// What is done.
    pub ops: Vec<WaitOp>,
}

impl Case {
    /// Runs the case.
    ///
    /// # Panics
    ///
    /// If the queue and its model differ.
    pub fn run(&self) {
        quiet_planned_panics();
        if self.growable {
            self.on(&WaitQueue::with_storage(Growable::new()), None);
        } else {
            self.on(&WaitQueue::with_storage(Slots::<2>::new()), Some(2));
        }
    }

    fn on<W: Storage>(&self, queue: &WaitQueue<W>, slots: Option<usize>) {
        let mut pair = Pair {
            queue,
            line: Line::new(self.places, slots),
            waits: (0..self.places).map(|_| None).collect(),
            bells: (0..self.places).map(|_| Bell::default()).collect(),
            rung: vec![0; self.places],
        };
        for &op in &self.ops {
            pair.apply(op);
        }
        pair.finish();
    }
}

/// A queue of waiters and its model, side by side.
struct Pair<'q, W: Storage> {
    queue: &'q WaitQueue<W>,
    line: Line,
    waits: Vec<Option<Wait<'q, W>>>,
    bells: Vec<Bell>,
    /// How often each bell should have rung.
    rung: Vec<usize>,
}

impl<W: Storage> Pair<'_, W> {
    fn apply(&mut self, op: WaitOp) {
        let place = match op {
            WaitOp::Make(place)
            | WaitOp::Poll(place)
            | WaitOp::PollPanics(place)
            | WaitOp::Cancel(place) => usize::from(place) % self.waits.len(),
            _ => 0,
        };
        // A waker that panics does so in the face of whoever wakes, when the work is done.
        unless_told(|| self.on_queue(op, place));
        match op {
            WaitOp::Cancel(_) => self.line.cancel(place),
            WaitOp::NotifyOne => self.line.notify_one(),
            WaitOp::Notify(n) => self.line.notify(n.into()),
            WaitOp::NotifyMany => self.line.notify(self.waits.len()),
            WaitOp::NotifyAll => self.line.notify_all(),
            WaitOp::Close => self.line.close(),
            // These two decide something; see there.
            WaitOp::Make(_) => {}
            WaitOp::Poll(_) | WaitOp::PollPanics(_) => self.poll(place, op),
        }
        self.look();
    }

    fn on_queue(&mut self, op: WaitOp, place: usize) {
        match op {
            WaitOp::Cancel(_) => self.waits[place] = None,
            WaitOp::NotifyOne => self.queue.notify_one(),
            WaitOp::Notify(n) => self.queue.notify(n.into()),
            WaitOp::NotifyMany => self.queue.notify(usize::MAX),
            WaitOp::NotifyAll => self.queue.notify_all(),
            WaitOp::Close => self.queue.close(),
            WaitOp::Make(_) | WaitOp::Poll(_) | WaitOp::PollPanics(_) => {
                if self.waits[place].is_none() {
                    self.waits[place] = Some(self.queue.wait());
                    self.line.make(place);
                }
            }
        }
    }

    fn poll(&mut self, place: usize, op: WaitOp) {
        let bell = &self.bells[place];
        let panics = matches!(op, WaitOp::PollPanics(_));
        let waker = if panics { bell.waker_that_panics() } else { bell.waker() };
        let wait = self.waits[place].as_mut().expect("made before");
        let polled = unless_told(|| Pin::new(wait).poll(&mut Context::from_waker(&waker)));
        let expected = self.line.poll(place);
        match polled {
            Some(polled) => assert_eq!(polled, expected, "poll"),
            // It found no slot, and woke itself.
            None => assert!(panics && expected.is_pending(), "a poll panicked"),
        }
    }

    fn look(&mut self) {
        for place in self.line.woken() {
            self.rung[place] += 1;
        }
        for (place, bell) in self.bells.iter().enumerate() {
            assert_eq!(bell.rung(), self.rung[place], "how often place {place} was woken");
            let wait = self.waits[place].as_ref();
            let registered = wait.is_some_and(Wait::is_registered);
            assert_eq!(registered, self.line.is_registered(place), "is_registered of {place}");
            let in_line = self.line.waiting.contains(&place);
            assert_eq!(bell.wakers(), usize::from(in_line), "wakers kept of place {place}");
        }
        assert_eq!(self.queue.has_waiters(), self.line.has_waiters(), "has_waiters");
        assert_eq!(self.queue.is_closed(), self.line.closed, "is_closed");
        assert_eq!(self.queue.self_wakes(), self.line.self_wakes, "self_wakes");
    }

    /// Everybody goes, and then the slots are all there, and the token where it should be.
    fn finish(mut self) {
        for place in 0..self.waits.len() {
            self.apply(WaitOp::Cancel(place as u8));
        }
        for place in 0..self.waits.len() {
            self.apply(WaitOp::Poll(place as u8));
        }
    }
}
