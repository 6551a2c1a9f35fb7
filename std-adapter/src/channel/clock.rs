//! Channels whose sender is the clock: [`after`], [`at`], [`tick`], [`never()`].
//!
//! Each is an ordinary channel of one place, and a timer that sends into it. The timer belongs to the receivers: it is freed
//! when it has done its work, or when the last of them goes. The sides know of no sender, so nothing disconnects.

use super::Receiver;
use super::flavor::Shared;
use super::side::receivers_of_clock;
use crate::lock;
use crate::park::deadline_after;
use crate::thread::SpawnError;
use crate::timer::{self, Timer};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// A channel that delivers one message, `duration` from now: the instant at which it was due.
///
/// It does not disconnect, unless somebody closes it: after that message it is empty for ever. A duration too long for the
/// clock, such as [`Duration::MAX`], never passes. Dropping the last receiver frees the timer.
///
/// # Examples
///
/// ```
/// use aqueduct::channel::{self, after};
/// use std::time::Duration;
///
/// let (_sender, receiver) = channel::bounded::<u8>(1);
/// let result = aqueduct::select! {
///     recv(receiver) -> value => value.ok(),
///     recv(after(Duration::from_millis(1))) -> _ => None,
/// };
/// assert_eq!(result, None);
/// ```
///
/// In a loop, make one before it: [`at`] and `after` count from when they are called.
///
/// # Panics
///
/// If the timer thread is not running and the system refuses to start it.
pub fn after(duration: Duration) -> Receiver<Instant> {
    deadline_after(duration).map_or_else(never, at)
}

/// A channel that delivers one message, at `instant`: that instant. At once, if it has passed.
///
/// Otherwise as [`after`].
///
/// # Examples
///
/// ```
/// use aqueduct::channel::at;
/// use std::time::{Duration, Instant};
///
/// let soon = Instant::now() + Duration::from_millis(1);
/// assert_eq!(at(soon).recv(), Ok(soon));
/// assert!(Instant::now() >= soon);
/// ```
///
/// # Panics
///
/// If the timer thread is not running and the system refuses to start it.
pub fn at(instant: Instant) -> Receiver<Instant> {
    let channel = Arc::new(Shared::new(1));
    if instant <= Instant::now() {
        let _ = channel.try_send(instant);
        return receiver(channel, None);
    }
    let target = Arc::downgrade(&channel);
    let timer = timer::call_at(instant, move || {
        if let Some(channel) = target.upgrade() {
            let _ = channel.try_send(instant);
        }
    });
    receiver(channel, Some(Clock::Once { _timer: expect(timer) }))
}

/// A channel that delivers a message every `period`, the first one `period` from now: the instant at which it was due.
///
/// It holds one message: while nobody has taken that, the ticks that come are dropped, as Go's ticker does it; and a tick that
/// was missed, for the machine was busy, is not made up for. It does not disconnect, unless somebody closes it. Dropping the last
/// receiver frees the timer; until then it goes on, whether or not anybody receives.
///
/// # Examples
///
/// ```
/// use aqueduct::channel::tick;
/// use std::time::Duration;
///
/// let period = Duration::from_millis(2);
/// let ticks = tick(period);
/// let (first, second) = (ticks.recv().unwrap(), ticks.recv().unwrap());
/// assert!(second - first >= period);
/// ```
///
/// # Panics
///
/// If `period` is zero, which would keep a CPU busy. If the timer thread is not running and the system refuses to
/// start it.
pub fn tick(period: Duration) -> Receiver<Instant> {
    assert!(!period.is_zero(), "the period of a tick is zero");
    let Some(first) = deadline_after(period) else { return never() };
    let channel = Arc::new(Shared::new(1));
    let ticker =
        Arc::new(Ticker { target: Arc::downgrade(&channel), period, timer: Mutex::new(None) });
    expect(ticker.arm(first));
    receiver(channel, Some(Clock::Ticking { _ticker: ticker }))
}

/// A channel that never delivers anything and never disconnects: an arm of a selection that is switched off.
///
/// # Examples
///
/// ```
/// use aqueduct::channel::{self, never};
///
/// let (sender, receiver) = channel::bounded(1);
/// sender.send(1).unwrap();
/// let source = Some(&receiver).filter(|_| false);
/// let value = aqueduct::select! {
///     recv(source.unwrap_or(&never())) -> value => value.ok(),
///     default => None,
/// };
/// assert_eq!(value, None);
/// ```
pub fn never<T>() -> Receiver<T> {
    receiver(Arc::new(Shared::new(1)), None)
}

fn receiver<T>(channel: Arc<Shared<T>>, clock: Option<Clock>) -> Receiver<T> {
    let side = receivers_of_clock(&channel, clock);
    Receiver { channel, side }
}

fn expect<T>(result: Result<T, SpawnError>) -> T {
    result.unwrap_or_else(|error| panic!("no thread for timers: {error}"))
}

/// What sends into such a channel; dropping it stops it.
pub(super) enum Clock {
    Once { _timer: Timer },
    Ticking { _ticker: Arc<Ticker> },
}

/// A timer that sets itself again.
pub(super) struct Ticker {
    target: Weak<Shared<Instant>>,
    period: Duration,
    /// The next tick's. It holds us weakly, so it goes with the last receiver.
    timer: Mutex<Option<Timer>>,
}

impl Ticker {
    fn arm(self: &Arc<Self>, due: Instant) -> Result<(), SpawnError> {
        let ticker = Arc::downgrade(self);
        // Locked until the timer is in: it may be due at once, and set the next one, which must not be taken for the spent
        // one.
        let mut slot = lock(&self.timer);
        let timer = timer::call_at(due, move || {
            if let Some(ticker) = ticker.upgrade() {
                ticker.tick(due);
            }
        })?;
        let spent = slot.replace(timer);
        drop(slot);
        drop(spent);
        Ok(())
    }

    /// On the timer thread.
    fn tick(self: &Arc<Self>, due: Instant) {
        let Some(channel) = self.target.upgrade() else { return };
        // Armed first: whoever receives this one may count on the next.
        if let Some(next) = self.next(due) {
            // It is the timer thread that we are on, so there is one.
            let _ = self.arm(next);
        }
        let _ = channel.try_send(due);
    }

    /// The first instant of the grid that is still to come.
    fn next(&self, due: Instant) -> Option<Instant> {
        let late = Instant::now().saturating_duration_since(due);
        let missed = late.as_nanos() / self.period.as_nanos();
        let missed = u32::try_from(missed).unwrap_or(u32::MAX).min(u32::MAX - 1);
        due.checked_add(self.period.checked_mul(missed + 1)?)
    }
}
