//! How a selection is made.
//!
//! 1. Try all arms, in random order, or in the given one. The first that goes on is chosen.
//! 2. Stand in line for all arms at which one is woken without being chosen: rings, contexts. Then try all
//!    again, for what came in between has woken nobody.
//! 3. Stand in line for all arms at which one is met, with one [`Token`]: channels under a lock. Where it could go on already,
//!    the lock of that channel says so, and it is 1. again.
//! 4. Sleep.
//! 5. Take the token back. If it had been claimed, that arm is chosen. Else it is 1. again: from now on nobody can claim us, so
//!    of what we try one arm at most goes on.
//!
//! In the end all arms leave their lines. One that was woken and not tried passes the wake-up on; one that was tried, and did not go
//! on, has used it: else those who sleep at an empty channel would wake each other in turn for ever.
//!
//! The arm that is chosen may have been promised a value that is still to be made. That is waited for last, when nobody is kept from anything by
//! us: whoever makes it may wait at another of the channels. If the promise is broken, it is 1. again, for once without promises: others may
//! make and break them for ever.

use super::arm::Arm;
use crate::channel::locked::Token;
use crate::park::{Parker, Patience, deadline_after};
use std::cell::Cell;
use std::ops::DerefMut;
use std::task::Context;
use std::time::{Duration, Instant};

/// How long a selection waits.
pub enum Limit {
    /// Until an arm goes on.
    None,
    /// Not at all.
    Now,
    /// For so long.
    After(Duration),
    /// Until then.
    At(Instant),
}

impl Limit {
    /// None: does not wait. `Some(None)`: without a limit.
    fn deadline(self) -> Option<Option<Instant>> {
        match self {
            Self::Now => None,
            Self::None => Some(None),
            Self::After(timeout) => Some(deadline_after(timeout)),
            Self::At(deadline) => Some(Some(deadline)),
        }
    }
}

/// Completes one arm, and says which; none if none went on in time.
pub(super) fn select<D>(arms: &mut [(usize, D)], is_biased: bool, limit: Limit) -> Option<usize>
where
    D: DerefMut<Target: Arm>,
{
    let attempt = |arms: &mut [(usize, D)]| {
        if !is_biased {
            shuffle(arms);
        }
        arms.iter_mut().position(|(_, arm)| arm.attempt())
    };
    let Some(place) = attempt(arms) else {
        return wait_and_settle(arms, limit.deadline()?, attempt);
    };
    let (index, chosen) = &mut arms[place];
    if chosen.settle() {
        return Some(*index);
    }
    let limit = limit.deadline();
    take_made(arms, limit)?.or_else(|| wait_and_settle(arms, limit?, attempt))
}

/// What can be had without a promise, after one that was broken: the next may be as well, and so on. `None` if it is time to give up.
fn take_made<D>(arms: &mut [(usize, D)], limit: Option<Option<Instant>>) -> Option<Option<usize>>
where
    D: DerefMut<Target: Arm>,
{
    let made = arms.iter_mut().find_map(|(index, arm)| arm.attempt_made().then_some(*index));
    (made.is_some() || !limit.is_none_or(is_over)).then_some(made)
}

fn wait_and_settle<D>(
    arms: &mut [(usize, D)],
    limit: Option<Instant>,
    mut attempt: impl FnMut(&mut [(usize, D)]) -> Option<usize>,
) -> Option<usize>
where
    D: DerefMut<Target: Arm>,
{
    loop {
        let place = wait(arms, limit, &mut attempt);
        arms.iter_mut().for_each(|(_, arm)| arm.leave());
        let (index, chosen) = &mut arms[place?];
        if chosen.settle() {
            return Some(*index);
        }
        if let Some(index) = take_made(arms, Some(limit))? {
            return Some(index);
        }
    }
}

/// The place of the arm that was chosen.
fn wait<D>(
    arms: &mut [(usize, D)],
    limit: Option<Instant>,
    attempt: &mut impl FnMut(&mut [(usize, D)]) -> Option<usize>,
) -> Option<usize>
where
    D: DerefMut<Target: Arm>,
{
    let deadline = arms.iter().filter_map(|(_, arm)| arm.deadline()).chain(limit).min();
    let has_counterparts = arms.iter().any(|(_, arm)| arm.has_counterpart());
    if !has_counterparts {
        let chosen = Patience::for_hand_over(2, deadline).keep_trying(|| attempt(arms));
        if chosen.is_some() {
            return chosen;
        }
    }
    let parker = Parker::borrow();
    let mut cx = Context::from_waker(parker.waker());
    loop {
        // Before all arms are tried: whoever is woken again and again, and finds nothing, sees the limit as well.
        let is_late = is_over(deadline);
        let mut is_in_line = true;
        for (_, arm) in &mut *arms {
            is_in_line &= arm.watch(&mut cx).is_pending();
        }
        if let Some(chosen) = attempt(arms) {
            return Some(chosen);
        }
        if is_late {
            return None;
        }
        if !is_in_line {
            continue;
        }
        let is_in_time;
        if has_counterparts {
            let token = Token::new();
            let stands = arms
                .iter_mut()
                .enumerate()
                .all(|(nth, (_, arm))| arm.stand(&token, nth, parker.waker()));
            // Those who can be met are patient in line.
            is_in_time = !stands || parker.look(deadline) || parker.sleep(deadline);
            token.take_back();
            let mut chosen = None;
            for (place, (_, arm)) in arms.iter_mut().enumerate() {
                if arm.withdraw() {
                    chosen = Some(place);
                }
            }
            if chosen.is_some() {
                return chosen;
            }
        } else {
            is_in_time = parker.sleep(deadline);
        }
        if !is_in_time {
            // What is there by now comes before the limit; and the limit may have been an arm's.
            return attempt(arms);
        }
    }
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Says which arm is ready, and leaves it so; none if none was in time.
pub(super) fn ready<D>(arms: &mut [(usize, D)], is_biased: bool, limit: Limit) -> Option<usize>
where
    D: DerefMut<Target: Arm>,
{
    let look = |arms: &mut [(usize, D)]| {
        if !is_biased {
            shuffle(arms);
        }
        arms.iter_mut().find_map(|(index, arm)| arm.is_ready().then_some(*index))
    };
    look(arms).or_else(|| {
        let limit = limit.deadline()?;
        let deadline = arms.iter().filter_map(|(_, arm)| arm.deadline()).chain(limit).min();
        let parker = Parker::borrow();
        let mut cx = Context::from_waker(parker.waker());
        let chosen = loop {
            let is_late = is_over(deadline);
            let mut is_in_line = true;
            for (_, arm) in &mut *arms {
                is_in_line &= arm.watch(&mut cx).is_pending();
                arm.observe(parker.waker());
            }
            let found = look(arms);
            if found.is_some() || is_late {
                break found;
            }
            if is_in_line && !parker.sleep(deadline) {
                break look(arms);
            }
        };
        arms.iter_mut().for_each(|(_, arm)| arm.leave());
        chosen
    })
}

/// Any order, each as likely as any other.
fn shuffle<T>(items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, random_below(last + 1));
    }
}

fn random_below(bound: usize) -> usize {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    // The cell has no destructor, so it is there in the destructors of others.
    STATE.with(|state| {
        // Marsaglia, Xorshift RNGs (2003).
        let mut next = state.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        state.set(next);
        // The upper bits, mapped to the range by a multiplication (Lemire, 2019).
        ((u128::from(next >> 32) * bound as u128) >> 32) as usize
    })
}

/// Not zero, and not the same in two threads.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::thread::current().id()) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    #[test]
    fn every_order_comes_about_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items);
            *counts.entry(items).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        // Each 10,000 times, with a standard deviation of 91.
        assert!(counts.values().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
    }

    /// Stands in line and is woken again and again, but somebody else is always faster.
    struct Robbed {
        looks: u32,
        stands: bool,
    }

    impl Arm for Robbed {
        fn attempt(&mut self) -> bool {
            self.looks += 1;
            assert!(self.looks < 100, "the limit is never looked at");
            false
        }

        fn is_ready(&mut self) -> bool {
            self.attempt()
        }

        fn watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
            cx.waker().wake_by_ref();
            self.stands = !self.stands;
            if self.stands { Poll::Pending } else { Poll::Ready(()) }
        }

        fn leave(&mut self) {
            self.stands = false;
        }
    }

    /// Promises something each time, and keeps it or not.
    struct Promises {
        are_kept: bool,
        count: u32,
    }

    impl Arm for Promises {
        fn attempt(&mut self) -> bool {
            self.count += 1;
            assert!(self.count < 100, "the limit is never looked at, nor anybody else");
            true
        }

        fn attempt_made(&mut self) -> bool {
            self.are_kept
        }

        fn is_ready(&mut self) -> bool {
            true
        }

        fn watch(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn leave(&mut self) {}

        fn settle(&mut self) -> bool {
            self.are_kept
        }
    }

    #[test]
    fn broken_promises_hold_up_neither_the_limit_nor_those_behind() {
        for limit in [Limit::Now, Limit::At(Instant::now()), Limit::After(Duration::ZERO)] {
            let mut faithless = Promises { are_kept: false, count: 0 };
            assert_eq!(select(&mut [(0, &mut faithless)], true, limit), None);
        }
        let [mut faithless, mut faithful] =
            [false, true].map(|are_kept| Promises { are_kept, count: 0 });
        let arms = &mut [(0, &mut faithless), (1, &mut faithful)];
        assert_eq!(select(arms, true, Limit::None), Some(1));
    }

    #[test]
    fn the_limit_comes_also_under_unbroken_stealing() {
        for limit in [Limit::At(Instant::now()), Limit::After(Duration::ZERO)] {
            let mut robbed = Robbed { looks: 0, stands: false };
            assert_eq!(select(&mut [(0, &mut robbed)], false, limit), None);
            assert!(robbed.looks > 1 && !robbed.stands);
        }
        for limit in [Limit::At(Instant::now()), Limit::After(Duration::ZERO)] {
            let mut robbed = Robbed { looks: 0, stands: false };
            assert_eq!(ready(&mut [(0, &mut robbed)], false, limit), None);
            assert!(robbed.looks > 1 && !robbed.stands);
        }
    }
}
