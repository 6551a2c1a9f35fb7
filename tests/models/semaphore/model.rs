//! A semaphore as its documentation has it: a number, and who waits, in order.

use std::collections::VecDeque;
use std::task::Poll;

use aqueduct_core::semaphore::{AcquireError, MAX_PERMITS, TooManyPermits, TryAcquireError};

use super::PLACES;

/// The number, and who waits.
pub(super) struct Model {
    /// Permits that can be taken; below zero, how many are owed.
    pub(super) balance: isize,
    pub(super) total: isize,
    /// In the hands of guards, of requests that were served and not polled, and of nobody.
    pub(super) held: isize,
    pub(super) granted: isize,
    pub(super) forgotten: isize,
    pub(super) closed: bool,
    /// Somebody was woken to compete, and has not decided.
    woken: bool,
    /// How often a request loses before it is handed its permits.
    patience: usize,
    slots: Option<usize>,
    pub(super) self_wakes: usize,
    pub(super) places: [Option<Request>; PLACES],
    /// Who waits to be woken, and who to be handed permits, oldest first.
    competing: VecDeque<usize>,
    in_order: VecDeque<usize>,
    pub(super) rung: [usize; PLACES],
}

#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) permits: usize,
    pub(super) lost: usize,
    pub(super) stands: Stands,
    /// A panic ended its poll: until it is polled again, nobody need wake it.
    pub(super) deaf: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// Has no slot: not polled yet, or none was free.
    Outside,
    InLine,
    /// The rest keep their slots until they are polled.
    Served,
    Woken,
    Told,
}

impl Model {
    pub(super) fn new(permits: usize, patience: usize, slots: Option<usize>) -> Self {
        Self {
            balance: permits as isize,
            total: permits as isize,
            held: 0,
            granted: 0,
            forgotten: 0,
            closed: false,
            woken: false,
            patience,
            slots,
            self_wakes: 0,
            places: [None; PLACES],
            competing: VecDeque::new(),
            in_order: VecDeque::new(),
            rung: [0; PLACES],
        }
    }

    pub(super) fn in_use(&self) -> isize {
        self.held + self.granted + self.forgotten
    }

    pub(super) fn available(&self) -> usize {
        self.balance.max(0) as usize
    }

    pub(super) fn take(&mut self, n: usize) -> Result<(), TryAcquireError> {
        if self.closed {
            return Err(TryAcquireError::Closed);
        }
        if n > 0 && (!self.in_order.is_empty() || n > self.available()) {
            return Err(TryAcquireError::NoPermits);
        }
        self.balance -= n as isize;
        self.held += n as isize;
        Ok(())
    }

    /// Permits come back from guards, or come.
    pub(super) fn put(&mut self, n: isize) {
        self.balance += n;
        self.serve();
    }

    /// Everybody is served who can be.
    pub(super) fn serve(&mut self) {
        loop {
            let line =
                if self.in_order.is_empty() { &mut self.competing } else { &mut self.in_order };
            let Some(&place) = line.front() else { return };
            let request = self.places[place].as_mut().expect("who waits has a place");
            let compete = request.lost < self.patience;
            let enough = request.permits as isize <= self.balance;
            request.stands = match () {
                () if self.closed => Stands::Told,
                () if !enough || compete && self.woken => return,
                () if compete => {
                    self.woken = true;
                    Stands::Woken
                }
                () => {
                    self.balance -= request.permits as isize;
                    self.granted += request.permits as isize;
                    Stands::Served
                }
            };
            line.pop_front();
            self.rung[place] += usize::from(!request.deaf);
        }
    }

    pub(super) fn poll(&mut self, place: usize) -> Poll<Result<(), AcquireError>> {
        let request = self.places[place].as_mut().expect("made before");
        request.deaf = false;
        let mut request = *request;
        let n = request.permits;
        let ready = match request.stands {
            _ if n > MAX_PERMITS => Err(AcquireError::TooMany),
            Stands::InLine => return Poll::Pending,
            Stands::Served => {
                self.granted -= n as isize;
                self.held += n as isize;
                Ok(())
            }
            Stands::Told => Err(AcquireError::Closed),
            Stands::Woken => {
                self.woken = false;
                match self.take(n) {
                    Ok(()) => {
                        self.places[place] = None;
                        self.serve();
                        Ok(())
                    }
                    Err(TryAcquireError::Closed) => Err(AcquireError::Closed),
                    Err(TryAcquireError::NoPermits) => {
                        request.lost += 1;
                        request.stands = Stands::InLine;
                        self.places[place] = Some(request);
                        self.line_of(request).push_back(place);
                        self.serve();
                        return Poll::Pending;
                    }
                }
            }
            Stands::Outside => match self.take(n) {
                Ok(()) => Ok(()),
                Err(TryAcquireError::Closed) => Err(AcquireError::Closed),
                Err(TryAcquireError::NoPermits) => {
                    let has_slot = |request: &Request| request.stands != Stands::Outside;
                    let used = self.places.iter().flatten().filter(|&request| has_slot(request));
                    if self.slots == Some(used.count()) {
                        self.self_wakes += 1;
                        self.rung[place] += 1;
                    } else {
                        request.stands = Stands::InLine;
                        self.places[place] = Some(request);
                        self.line_of(request).push_back(place);
                    }
                    return Poll::Pending;
                }
            },
        };
        self.places[place] = None;
        Poll::Ready(ready)
    }

    /// A panic ended the poll of this place.
    pub(super) fn deafen(&mut self, place: usize) {
        if let Some(request) = &mut self.places[place] {
            request.deaf = request.stands == Stands::InLine;
        }
    }

    fn line_of(&mut self, request: Request) -> &mut VecDeque<usize> {
        if request.lost < self.patience { &mut self.competing } else { &mut self.in_order }
    }

    pub(super) fn cancel(&mut self, place: usize) {
        let Some(request) = self.places[place].take() else { return };
        match request.stands {
            Stands::InLine => {
                self.line_of(request).retain(|&other| other != place);
                self.serve();
            }
            Stands::Served => {
                self.granted -= request.permits as isize;
                self.put(request.permits as isize);
            }
            Stands::Woken => {
                self.woken = false;
                self.serve();
            }
            Stands::Outside | Stands::Told => {}
        }
    }

    pub(super) fn retarget(&mut self, total: Option<usize>) -> Result<(), TooManyPermits> {
        let total = total.filter(|&total| total <= MAX_PERMITS).ok_or(TooManyPermits)? as isize;
        let more = total - self.total;
        self.total = total;
        self.put(more);
        Ok(())
    }
}
