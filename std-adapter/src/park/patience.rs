//! How long to look before going to sleep, and how to spend the time between two looks.

use crossbeam_utils::Backoff;
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// A bounded back-off for loops of the form "try, wait a moment, try again, ... then register and sleep".
///
/// It gives the CPU away, for a party that needs this one. In a crowd it first burns a few cycles, twice 15 spin hints, some hundred nanoseconds
/// each: whoever gives way at once then gives way to another one who waits for the same thing, and finds as little. Four
/// receivers of one channel, with room for 16, made more than one switch for each value so, on two CPUs: 850 ns, where it is 65 with the
/// pause. And whoever looks at once takes every value alone, each of which costs the other side the cache lines that a batch would
/// cost it once. Two who have a channel to themselves do not pause: who comes onto the CPU instead has something else to do
/// (a merge of four such channels took 85 ns an item with it, 45 without).
///
/// Who [stands in line](super::Impatience::Meeting) at a channel and is served there looks into its own mailbox, where it is in nobody's way: eight times, three
/// spin hints apart. To give a CPU away that nobody wants takes longer than a value takes from one CPU to the other (a round trip was 730
/// ns, and is 410).
///
/// How often it gives way before it is time to sleep depends on who is worse off for it. Whoever waits for a lock, before
/// it stands in line, is passed over by those who stand there: a few times. Whoever waits for a value or for room loses
/// nothing, and follows the rule of the ski rental (Karlin, Manasse, McGeoch, Owicki 1994): to try for as long as a
/// sleep [would cost](Rent) costs twice the best choice at worst.
///
/// On a machine with one CPU it never spins: whoever we wait for needs the CPU that we would burn, and has it sooner
/// when we give it away than when we go to sleep and must be woken.
pub(crate) struct Patience {
    pause: Pause,
    pauses_left: Cell<u32>,
    yields_left: Cell<u32>,
    deadline: Option<Instant>,
}

impl Patience {
    /// In a crowd: 15 spin hints. Of 8 to 64, on two CPUs, with room for 3 to 512, no number was better than 15 to 20 anywhere. One pause is just enough on
    /// a good day; on a slower one a tenth of the runs found no end of giving way.
    const CROWD: Pause = Pause { times: 2, steps: 4 };
    /// In line: 3 spin hints. Fewer, or more and more often, was worse in one pattern or another.
    const LINE: Pause = Pause { times: 8, steps: 2 };
    const NONE: Pause = Pause { times: 0, steps: 0 };
    /// Turns that give the CPU away, for whoever is not alone in waiting.
    pub(super) const YIELDS: u32 = 12;

    /// A few turns, for a lock, or for a party that is at work: while two who wait for it give a CPU to each other, again and again, the
    /// system takes that one for busy and lets all who work share the other (the stage of a pipeline, two workers of 2 us an item, took
    /// 3.3 us for one, where it is 1.9). It ends early at `deadline`: on a busy machine a turn may take milliseconds.
    pub(crate) fn until(deadline: Option<Instant>) -> Self {
        Self::new(Pause { times: 1, ..Self::CROWD }, Self::YIELDS, deadline)
    }

    /// For a value, or for room for one, where so many take part: more than two are a crowd.
    pub(crate) fn for_hand_over(parties: usize, deadline: Option<Instant>) -> Self {
        let pause = if parties > 2 { Self::CROWD } else { Self::NONE };
        Self::new(pause, Rent::of_this_thread().yields(), deadline)
    }

    pub(super) fn for_meeting(deadline: Option<Instant>) -> Self {
        Self::new(Self::LINE, Rent::of_this_thread().yields(), deadline)
    }

    /// Gives the CPU away so many times, and burns nothing.
    pub(crate) fn giving_way(turns: u32, deadline: Option<Instant>) -> Self {
        Self::new(Self::NONE, turns, deadline)
    }

    fn new(pause: Pause, yields: u32, deadline: Option<Instant>) -> Self {
        let pauses_left = Cell::new(if *SEVERAL_CPUS { pause.times } else { 0 });
        Self { pause, pauses_left, yields_left: Cell::new(yields), deadline }
    }

    /// Waits a moment. False when it is time to sleep.
    pub(crate) fn wait(&self) -> bool {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
        if take_one(&self.pauses_left) {
            let backoff = Backoff::new();
            for _ in 0..self.pause.steps {
                backoff.spin();
            }
        } else if take_one(&self.yields_left) {
            std::thread::yield_now();
        } else {
            return false;
        }
        true
    }

    /// Waits a moment and tries, again and again, until it is time to sleep: what the last try had.
    pub(crate) fn keep_trying<R>(self, mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
        while self.wait() {
            let result = attempt();
            if result.is_some() {
                return result;
            }
        }
        None
    }
}

/// How a party burns cycles before it gives the CPU away.
#[derive(Clone, Copy)]
struct Pause {
    times: u32,
    /// Each of twice as many spin hints as the one before, beginning with one.
    steps: u32,
}

fn take_one(left: &Cell<u32>) -> bool {
    let is_left = left.get() > 0;
    left.set(left.get().saturating_sub(1));
    is_left
}

/// What a sleep costs on this machine, as the thread has found out by sleeping: the time from the moment at which somebody rang
/// to the one at which it ran. It is some microseconds on bare metal, and a hundred in a virtual machine whose other CPU has
/// gone to sleep, too.
#[derive(Clone, Copy)]
pub(super) struct Rent {
    nanoseconds: u32,
}

thread_local! {
    static RENT: Cell<Rent> = const { Cell::new(Rent::UNKNOWN) };
}

impl Rent {
    const UNKNOWN: Self = Self { nanoseconds: 64 * Self::YIELD };
    /// About what it costs to give the CPU away when nobody wants it.
    const YIELD: u32 = 200;
    /// What comes out of that, whatever was measured: who is woken on a busy machine waits for its turn as well, and that may be
    /// milliseconds.
    const YIELDS: std::ops::RangeInclusive<u32> = 16..=256;

    fn of_this_thread() -> Self {
        // The cell has no destructor, so it is there in the destructors of others.
        RENT.get()
    }

    /// The thread was rung for so long ago, and runs now.
    pub(super) fn was(found: Duration) {
        RENT.set(Self::of_this_thread().learn(found));
    }

    fn yields(self) -> u32 {
        (self.nanoseconds / Self::YIELD).clamp(*Self::YIELDS.start(), *Self::YIELDS.end())
    }

    /// A quarter of what was found last, and three of what was known.
    fn learn(self, found: Duration) -> Self {
        let most = Self::YIELD * Self::YIELDS.end();
        let found = u32::try_from(found.as_nanos()).map_or(most, |found| found.min(most));
        Self { nanoseconds: self.nanoseconds / 4 * 3 + found / 4 }
    }
}

/// Tries again and again, a moment in between, until it is time to sleep: what the last try had. Tries once at the least.
///
/// For those who are not in line yet, where nobody is wronged by that. Whoever stands in line is patient there, by
/// [`Impatience`](super::Impatience).
pub(crate) fn patiently<R>(
    deadline: Option<Instant>,
    mut attempt: impl FnMut() -> Option<R>,
) -> Option<R> {
    // Who succeeds at once does not pay for a patience.
    attempt().or_else(|| Patience::until(deadline).keep_trying(attempt))
}

static SEVERAL_CPUS: LazyLock<bool> =
    LazyLock::new(|| std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sleep_costs_is_learned_and_bounded() {
        let micros = Duration::from_micros;
        let after =
            |found: Duration, times| (0..times).fold(Rent::UNKNOWN, |rent, _| rent.learn(found));
        assert_eq!(Rent::UNKNOWN.yields(), 64);
        assert_eq!(after(micros(0), 1).yields(), 48, "one sleep is not the last word");
        assert_eq!(after(micros(20), 30).yields(), 99);
        assert_eq!(after(micros(1), 30).yields(), 16);
        assert_eq!(after(Duration::MAX, 30).yields(), 255);
    }

    #[test]
    fn patience_ends() {
        let turns =
            |patience: Patience| std::iter::from_fn(|| patience.wait().then_some(())).count();
        let longest = Patience::LINE.times + Rent::YIELDS.end();
        for parties in [2, 3] {
            assert!(turns(Patience::for_hand_over(parties, None)) <= longest as usize);
            assert_eq!(turns(Patience::for_hand_over(parties, Some(Instant::now()))), 0);
        }
        assert!(turns(Patience::for_meeting(None)) <= longest as usize);
        assert!(turns(Patience::until(None)) <= 1 + Patience::YIELDS as usize);
    }
}
