//! [`Barrier`]: everybody's arrival.

use super::error::TimeoutError;
use super::monitor::Monitor;
use crate::context::{Context, ContextError};
use crate::park::deadline_after;
use std::fmt;
use std::mem;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

/// A place where a number of threads and tasks wait for each other, again and again.
///
/// The first so many waits end together, then the next so many, and so on. Of each round one, the last to arrive, is told
/// that it [leads](BarrierWaitResult::is_leader).
///
/// A wait that gives up, by its limit, its context or the drop of its future, *takes its arrival back*: the barrier
/// is as if it had never come, and the others go on waiting for as many as before. (Java's `CyclicBarrier` breaks for all
/// of them instead. Whoever wants that shares a [`Context`] and cancels it.) If the round was complete at that moment, the wait
/// has succeeded.
///
/// # Examples
///
/// ```
/// use aqueduct::{sync::Barrier, thread};
///
/// let barrier = Barrier::new(3);
/// let leaders = thread::scope(|scope| {
///     let parties = [(); 3].map(|()| scope.spawn(|| barrier.wait().is_leader()).expect("a thread"));
///     parties.map(|party| usize::from(party.join().unwrap())).iter().sum::<usize>()
/// })?;
/// assert_eq!(leaders, 1);
/// # Ok::<(), thread::Panicked>(())
/// ```
///
/// # Memory ordering
///
/// What each did before it arrived is visible to all after their waits.
pub struct Barrier {
    parties: usize,
    round: Monitor<Round>,
}

struct Round {
    number: u64,
    arrived: usize,
}

/// What a [`Barrier`] says to those whom it lets go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    is_leader: bool,
}

impl BarrierWaitResult {
    /// Whether this one is the one of the round: the last that arrived.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

impl Barrier {
    /// A barrier for `parties`. For 0 or 1 nobody ever waits, and everybody leads.
    pub const fn new(parties: usize) -> Self {
        Self { parties, round: Monitor::new(Round { number: 0, arrived: 0 }) }
    }

    /// Arrives, and sleeps until all have.
    pub fn wait(&self) -> BarrierWaitResult {
        self.wait_until(None).expect("without a limit the wait ends when all have arrived")
    }

    /// Arrives, and sleeps until all have, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if not all have; the arrival is taken back.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::sync::{Barrier, TimeoutError};
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// for _ in 0..9 {
    ///     assert_eq!(barrier.wait_timeout(Duration::ZERO), Err(TimeoutError));
    /// }
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, TimeoutError> {
        self.wait_until(deadline_after(timeout))
    }

    /// Arrives, and sleeps until all have, until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`TimeoutError`] if not all have; the arrival is taken back.
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, TimeoutError> {
        self.wait_until(Some(deadline))
    }

    /// Arrives, and sleeps until all have, until `context` is done at most. If it is done already, it does not arrive.
    ///
    /// # Errors
    ///
    /// The context is done; the arrival is taken back.
    pub fn wait_ctx(&self, context: &Context) -> Result<BarrierWaitResult, ContextError> {
        if let Some(error) = context.err() {
            return Err(error);
        }
        let arrival = match self.arrive() {
            Ok(leader) => return Ok(leader),
            Err(arrival) => arrival,
        };
        let number = arrival.number;
        let waited = self.round.wait_ctx(context, |round| round.is_over(number));
        waited.or_else(|error| arrival.take_back().ok_or(error))
    }

    /// Arrives at the first poll, and waits until all have.
    ///
    /// # Cancel safety
    ///
    /// Dropping it takes the arrival back.
    pub async fn wait_async(&self) -> BarrierWaitResult {
        let arrival = match self.arrive() {
            Ok(leader) => return leader,
            Err(arrival) => arrival,
        };
        let number = arrival.number;
        self.round.until(move |round: &mut Round| round.is_over(number)).await
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<BarrierWaitResult, TimeoutError> {
        let arrival = match self.arrive() {
            Ok(leader) => return Ok(leader),
            Err(arrival) => arrival,
        };
        let number = arrival.number;
        let waited = self.round.wait(deadline, |round| round.is_over(number));
        waited.or_else(|| arrival.take_back()).ok_or(TimeoutError)
    }

    /// The last one to arrive begins the next round.
    fn arrive(&self) -> Result<BarrierWaitResult, Arrival<'_>> {
        self.round.change(|round| {
            round.arrived += 1;
            if round.arrived < self.parties {
                return (Err(Arrival { barrier: self, number: round.number }), false);
            }
            round.arrived = 0;
            round.number += 1;
            (Ok(BarrierWaitResult { is_leader: true }), true)
        })
    }
}

impl Round {
    fn is_over(&self, number: u64) -> Option<BarrierWaitResult> {
        (self.number != number).then_some(BarrierWaitResult { is_leader: false })
    }
}

/// One that has arrived; its drop takes the arrival back, unless the round is over.
struct Arrival<'a> {
    barrier: &'a Barrier,
    number: u64,
}

impl Arrival<'_> {
    /// Gives up; unless the round is over, which is as good as having waited for it.
    fn take_back(self) -> Option<BarrierWaitResult> {
        let over = self.leave();
        mem::forget(self);
        over
    }

    fn leave(&self) -> Option<BarrierWaitResult> {
        self.barrier.round.look(|round| {
            let over = round.is_over(self.number);
            if over.is_none() {
                round.arrived -= 1;
            }
            over
        })
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

// A panic of one that waits takes its arrival back.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = self.round.look(|round| round.arrived);
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("arrived", &arrived)
            .finish_non_exhaustive()
    }
}
