//! The sequential queue of waiters, and the search for an order of effects that explains a run.

use std::collections::HashSet;

use aqueduct_core::wait::Storage;

use super::{Answer, Op, Start, WAITS};
use crate::harness::{Call, Run};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    One,
    Some,
    All,
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Status {
    Gone,
    /// Made in this epoch, and not in line.
    Made(u8),
    InLine(u8),
    /// Made in this epoch, it has the token, and is still inside that poll.
    Took(u8),
    Granted(Kind),
    Answered(Answer),
}

/// The sequential queue. What is posted and has not reached anybody is `posted`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Line {
    waits: [Status; WAITS],
    order: Vec<usize>,
    posted: Vec<Kind>,
    epoch: u8,
    token: bool,
    closed: bool,
    relay: bool,
    /// For each call, whether its effect was done.
    done: u16,
}

impl Line {
    fn grant(&mut self, nth: usize, kind: Kind) {
        self.order.retain(|&other| other != nth);
        self.waits[nth] = Status::Granted(kind);
        if self.relay && nth == 0 && !self.closed {
            self.posted.push(Kind::One);
        }
    }

    /// What may happen next inside of a call that is under way; `None` if nothing is left to happen.
    fn effect(&self, call: usize, op: Op, answer: Answer) -> Vec<Line> {
        let mut next = self.clone();
        if self.done & (1 << call) != 0 {
            // A `notify_all` came while it took the token: it gives that back.
            return match op {
                Op::Poll(nth) if matches!(self.waits[nth], Status::Took(e) if e != self.epoch) => {
                    next.waits[nth] = Status::Granted(Kind::All);
                    next.posted.push(Kind::One);
                    vec![next]
                }
                _ => vec![],
            };
        }
        next.done |= 1 << call;
        match op {
            _ if answer == Answer::Busy => {}
            Op::Poll(nth) => match self.waits[nth] {
                Status::Gone => {
                    next.done = self.done;
                    next.waits[nth] = Status::Made(self.epoch);
                }
                Status::Made(_) if answer == Answer::NoSlot => {}
                Status::Made(epoch) => {
                    let mut all = Vec::new();
                    if epoch != self.epoch {
                        next.waits[nth] = Status::Granted(Kind::All);
                        return vec![next];
                    }
                    if self.token && self.order.is_empty() {
                        let mut taken = next.clone();
                        taken.token = false;
                        taken.waits[nth] = Status::Took(epoch);
                        all.push(taken);
                    }
                    if self.closed {
                        let mut closed = next.clone();
                        closed.waits[nth] = Status::Granted(Kind::Close);
                        all.push(closed);
                    }
                    if all.is_empty() {
                        next.waits[nth] = Status::InLine(epoch);
                        next.order.push(nth);
                        all.push(next);
                    }
                    return all;
                }
                // It sees by itself that its epoch is over.
                Status::InLine(epoch) if epoch != self.epoch && answer == Answer::Notified => {
                    next.grant(nth, Kind::All);
                }
                _ => {}
            },
            Op::Cancel(nth) => {
                if let Status::Granted(kind @ (Kind::One | Kind::Some)) = self.waits[nth] {
                    next.posted.push(kind);
                }
                next.order.retain(|&other| other != nth);
                next.waits[nth] = Status::Gone;
            }
            Op::One if !self.closed => next.posted.push(Kind::One),
            Op::Some(n) if !self.closed => next.posted.extend(std::iter::repeat_n(Kind::Some, n)),
            Op::One | Op::Some(_) => {}
            Op::All => {
                next.epoch += 1;
                next.posted.push(Kind::All);
            }
            Op::Close => {
                next.closed = true;
                next.posted.push(Kind::Close);
            }
        }
        vec![next]
    }

    /// Something posted reaches whom it is for.
    fn reach(&self, posted: usize) -> Option<Line> {
        let mut next = self.clone();
        let kind = next.posted.remove(posted);
        let is_old = |&nth: &usize| matches!(self.waits[nth], Status::InLine(e) if e != self.epoch);
        match kind {
            // These reach one waiter after the other, and others may come in between.
            Kind::All => {
                if let Some(nth) = self.order.iter().copied().find(is_old) {
                    next.grant(nth, kind);
                    next.posted.push(kind);
                }
            }
            // What was notified before the close comes first.
            Kind::Close
                if next.posted.iter().any(|kind| matches!(kind, Kind::One | Kind::Some)) =>
            {
                return None;
            }
            Kind::Close => {
                if let Some(&nth) = self.order.first() {
                    next.grant(nth, kind);
                    next.posted.push(kind);
                }
            }
            Kind::One | Kind::Some => {
                match self.order.iter().copied().find(|nth| !is_old(nth)) {
                    Some(nth) => next.grant(nth, kind),
                    // Those who are there are about to be reached by a `notify_all`.
                    None if kind == Kind::One => next.token = true,
                    None => {}
                }
            }
        }
        Some(next)
    }

    /// May a call have had this answer now?
    fn answers(&mut self, op: Op, answer: Answer, may_be_late: bool) -> bool {
        let Op::Poll(nth) = op else { return true };
        let granted = match self.waits[nth] {
            Status::Granted(Kind::Close) => Some(Answer::Closed),
            Status::Granted(_) | Status::Took(_) => Some(Answer::Notified),
            Status::Answered(answer) => Some(answer),
            _ => None,
        };
        match answer {
            Answer::None | Answer::Busy | Answer::NoSlot => true,
            Answer::Pending => may_be_late || granted.is_none(),
            _ => {
                self.waits[nth] = Status::Answered(answer);
                granted == Some(answer)
            }
        }
    }
}

/// A moment of a run: a call begins, or ends.
#[derive(Clone, Copy)]
enum Moment {
    Begin(usize),
    End(usize),
}

struct Search<'a> {
    moments: Vec<Moment>,
    /// Operation, answer, and whether a poll in it may be late: somebody else was under way.
    calls: Vec<(Op, Answer, bool)>,
    found: &'a [Option<Answer>; WAITS],
    token: bool,
    tried: HashSet<(usize, Line)>,
}

impl Search<'_> {
    fn explains(&mut self, at: usize, line: Line) -> bool {
        if !self.tried.insert((at, line.clone())) {
            return false;
        }
        // Something posted arrives, or a call under way takes effect, ..
        for posted in 0..line.posted.len() {
            if let Some(next) = line.reach(posted)
                && self.explains(at, next)
            {
                return true;
            }
        }
        for call in self.under_way(at) {
            let (op, answer, _) = self.calls[call];
            for next in line.effect(call, op, answer) {
                if self.explains(at, next) {
                    return true;
                }
            }
        }
        // .. or the next moment comes.
        match self.moments.get(at) {
            Some(Moment::Begin(_)) => self.explains(at + 1, line),
            Some(&Moment::End(call)) => {
                let (op, answer, may_be_late) = self.calls[call];
                let mut next = line;
                next.done & (1 << call) != 0
                    && next.answers(op, answer, may_be_late)
                    // Nobody is under way any more: everything has arrived.
                    && (!self.under_way(at + 1).is_empty() || next.posted.is_empty())
                    && self.explains(at + 1, next)
            }
            None => self.is_as_found(&line),
        }
    }

    fn under_way(&self, at: usize) -> Vec<usize> {
        let mut calls = Vec::new();
        for moment in &self.moments[..at] {
            match *moment {
                Moment::Begin(call) => calls.push(call),
                Moment::End(call) => calls.retain(|&other| other != call),
            }
        }
        calls
    }

    fn is_as_found(&self, line: &Line) -> bool {
        (0..WAITS).all(|nth| match (self.found[nth], line.waits[nth]) {
            (None, Status::InLine(_) | Status::Granted(_) | Status::Took(_)) => false,
            (None, _) => true,
            (Some(answer), Status::InLine(_)) => answer == Answer::Pending,
            (Some(answer), Status::Granted(Kind::Close)) => answer == Answer::Closed,
            (Some(answer), Status::Granted(_)) => answer == Answer::Notified,
            (Some(_), _) => false,
        }) && line.token == self.token
            && line.posted.is_empty()
    }
}

/// Is there an order of effects that explains the answers, and what was `found` at last?
pub(super) fn explain<W: Storage + 'static, F: Fn() -> W>(
    start: &Start<F>,
    run: &Run<'_, Start<F>>,
    found: &[Option<Answer>; WAITS],
    token: bool,
) -> Result<(), String> {
    let calls = run.calls.iter().map(|call| {
        let alone = |other: &Call<'_, Op, Answer>| {
            std::ptr::eq(call, other) || other.ended < call.began || call.ended < other.began
        };
        (*call.op, call.outcome, !run.calls.iter().all(alone))
    });
    let mut moments: Vec<(u32, Moment)> = Vec::new();
    for (nth, call) in run.calls.iter().enumerate() {
        moments.push((call.began, Moment::Begin(nth)));
        moments.push((call.ended, Moment::End(nth)));
    }
    moments.sort_by_key(|(time, _)| *time);
    let mut waits = [Status::Made(0); WAITS];
    waits[..start.in_line].fill(Status::InLine(0));
    let line = Line {
        waits,
        order: (0..start.in_line).collect(),
        posted: vec![],
        epoch: 0,
        token: start.token,
        closed: false,
        relay: start.relay,
        done: 0,
    };
    let mut search = Search {
        moments: moments.into_iter().map(|(_, moment)| moment).collect(),
        calls: calls.collect(),
        found,
        token,
        tried: HashSet::new(),
    };
    if search.explains(0, line) {
        return Ok(());
    }
    Err(format!("no order explains this; at last the waits found {found:?}, token {token}"))
}
