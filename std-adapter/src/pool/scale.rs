//! How many workers there should be: pure decisions on snapshots.

use std::fmt;
use std::time::Duration;

/// How many [`ScaleEvent`]s a pool remembers.
pub const SCALE_EVENTS: usize = 256;

/// What a decision is made on.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Load {
    /// Since the pool was built.
    pub now: Duration,
    /// Entries in the queues.
    pub queued: usize,
    /// Workers, those counted that are being started.
    pub workers: usize,
    /// Workers that rest.
    pub idle: usize,
    /// The fewest there may be.
    pub min: usize,
    /// The most there may be now, those in place of overdue and blocked ones included.
    pub max: usize,
    /// Since the number of workers last changed.
    pub unchanged_for: Duration,
    /// Jobs that were begun since the last check. On a submission: 0.
    pub begun: u64,
    /// Jobs that were not begun in the time that they [may wait](super::Job::queue_timeout), since the last check. On a submission: 0.
    pub expired: u64,
    /// What 95 % of both waited at most. On a submission, or if there were none: `None`.
    pub p95_wait: Option<Duration>,
    /// Since the last check. On a submission: zero.
    pub window: Duration,
}

impl Load {
    /// One for a policy's own tests: nothing is going on, and then what `set` makes of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::pool::{Decision, Load, ScalePolicy, Thresholds};
    ///
    /// let busy = Load::of(|load| {
    ///     (load.queued, load.workers, load.max) = (8, 2, 4);
    /// });
    /// assert_eq!(Thresholds::default().on_check(&busy), Decision::Grow(2));
    /// ```
    pub fn of(set: impl FnOnce(&mut Self)) -> Self {
        let mut load = Self::default();
        set(&mut load);
        load
    }

    /// Queued entries per worker; without workers, each entry counts as one worker's.
    pub fn per_worker(&self) -> f64 {
        self.queued as f64 / self.workers.max(1) as f64
    }
}

/// What a check decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Leave it.
    Hold,
    /// So many more, up to the most there may be.
    Grow(usize),
    /// So many fewer, of those that rest, down to the fewest there may be. Busy workers are never waited for.
    Shrink(usize),
}

/// Decides how many workers there should be.
///
/// Both questions are asked with a lock of the pool held: answer from the snapshot, at once, and call nothing of the pool. The
/// bounds are the pool's to keep, as is keep-alive; and where nobody works, since there is no worker or all are late or blocked, one comes
/// unasked, so that no accepted job waits for ever.
///
/// # Panics
///
/// A policy that panics has said no, or [`Hold`](Decision::Hold); the panic hook is all that hears of it.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Decision, Load, Pool, ScalePolicy};
/// use std::time::Duration;
///
/// /// One worker for ten jobs that wait, within a tenth of a second.
/// struct Tens;
///
/// impl ScalePolicy for Tens {
///     fn on_submit(&self, _: &Load) -> bool {
///         false
///     }
///
///     fn on_check(&self, load: &Load) -> Decision {
///         match load.queued.div_ceil(10).saturating_sub(load.workers) {
///             0 => Decision::Hold,
///             more => Decision::Grow(more),
///         }
///     }
/// }
///
/// let check = Duration::from_millis(100);
/// let pool = Pool::builder().max_workers(8).scale_policy(Tens).check_interval(check).build()?;
/// assert_eq!(pool.submit(|| 7)?.join()?.value, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ScalePolicy: Send + Sync + 'static {
    /// A job was queued, nobody rests, and nobody is on the way to take it: add a worker?
    ///
    /// Whoever says no is not asked again at each submission, but after the next check, or when a worker has come, gone or lain down. What is to
    /// grow with the queue belongs into [`on_check`](Self::on_check).
    fn on_submit(&self, load: &Load) -> bool;

    /// Some time has passed while there was work, or more workers than there must be.
    fn on_check(&self, load: &Load) -> Decision;
}

/// Queued jobs per worker, with a lower and an upper threshold: the default.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// At so many queued jobs per worker a worker is added.
    pub up: f64,
    /// At so many queued jobs per worker, or fewer, resting workers go. Below `up`; between the two nothing changes.
    pub down: f64,
    /// How long after a change no check lets anybody go.
    pub cool_down: Duration,
    /// The share of the workers that may go at a check; at least one.
    pub shrink_rate: f64,
    /// Whether a submission that finds nobody at rest adds a worker even below `up`.
    pub on_submit: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            up: 0.8,
            down: 0.2,
            cool_down: Duration::from_secs(5),
            shrink_rate: 0.25,
            on_submit: true,
        }
    }
}

impl ScalePolicy for Thresholds {
    fn on_submit(&self, load: &Load) -> bool {
        self.on_submit || load.workers < load.min.max(1) || load.per_worker() >= self.up
    }

    fn on_check(&self, load: &Load) -> Decision {
        if load.queued > 0 && load.idle == 0 && load.per_worker() >= self.up {
            // As many as bring the load below, but at most twice as many as there are.
            let wanted = (load.queued as f64 / self.up).floor() as usize + 1;
            let most = (2 * load.workers).max(1).min(load.max);
            return grow(load, wanted.min(most));
        }
        if load.per_worker() <= self.down && load.unchanged_for >= self.cool_down {
            return shrink(load, self.shrink_rate);
        }
        Decision::Hold
    }
}

/// Keeps what 95 % of the jobs wait under a target.
///
/// It adds workers at a check where the wait was above it, or one job in twenty was not begun [in time](super::Job::queue_timeout); and lets one go
/// where the wait was below a half: between the two nothing changes. That takes its time: a tenth more workers at each check, and, when one has
/// gone that was needed, a check until there is another. So let the [cool-down](Self::cool_down) be 20 checks at least.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyTarget {
    /// What 95 % of the jobs should wait at most.
    pub p95: Duration,
    /// How long after a change no check lets anybody go.
    pub cool_down: Duration,
}

impl LatencyTarget {
    /// A target, with ten times its length, but 30 s at least, between a change and the next shrinking.
    pub fn new(p95: Duration) -> Self {
        Self { p95, cool_down: p95.saturating_mul(10).max(Duration::from_secs(30)) }
    }
}

impl ScalePolicy for LatencyTarget {
    fn on_submit(&self, load: &Load) -> bool {
        load.workers < load.min.max(1)
    }

    fn on_check(&self, load: &Load) -> Decision {
        // Where jobs wait and none was begun, the wait is at least the window.
        let stuck = (load.queued > 0 && load.begun == 0).then_some(load.window);
        let wait = load.p95_wait.max(stuck);
        // How long those would have waited that were not begun in time, nobody knows.
        let too_many_expired = load.expired > (load.begun + load.expired) / 20;
        let too_long = wait.is_some_and(|wait| wait > self.p95) || too_many_expired;
        if load.idle == 0 && too_long {
            // A tenth more at least, so that large pools follow as quickly as small ones.
            return grow(load, load.workers + load.workers.div_ceil(10).max(1));
        }
        let relaxed = load.expired == 0 && wait.is_none_or(|wait| wait < self.p95 / 2);
        if relaxed && load.queued == 0 && load.unchanged_for >= self.cool_down {
            return shrink(load, 0.0);
        }
        Decision::Hold
    }
}

fn grow(load: &Load, wanted: usize) -> Decision {
    match wanted.min(load.max).saturating_sub(load.workers) {
        0 => Decision::Hold,
        more => Decision::Grow(more),
    }
}

/// Lets a share of the workers go, of those that rest; at least one, and none below the fewest.
fn shrink(load: &Load, rate: f64) -> Decision {
    let share = ((load.workers as f64 * rate).floor() as usize).max(1);
    match share.min(load.idle).min(load.workers.saturating_sub(load.min)) {
        0 => Decision::Hold,
        fewer => Decision::Shrink(fewer),
    }
}

/// A change of the number of workers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScaleEvent {
    /// Since the pool was built.
    pub at: Duration,
    /// How many there were.
    pub from: usize,
    /// How many there are.
    pub to: usize,
    /// Why.
    pub reason: ScaleReason,
}

/// Why the number of workers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScaleReason {
    /// The fewest there may be were started.
    Minimum,
    /// A job found nobody at rest.
    Submission,
    /// A check found too few, or too many.
    Check,
    /// One had rested for the keep-alive time.
    KeepAlive,
    /// The bounds were changed.
    Resized,
    /// One in the place of another that was overdue or blocked was not needed any more.
    Surplus,
    /// A worker was lost to a panic outside of its jobs.
    Lost,
    /// A thread of a [scope](super::Pool::scope) took a place, or gave it back.
    Scope,
    /// The system refused the thread.
    Refused,
    /// The pool is being shut down.
    Shutdown,
}

impl fmt::Display for ScaleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minimum => "minimum",
            Self::Submission => "submission",
            Self::Check => "check",
            Self::KeepAlive => "keep-alive",
            Self::Resized => "resized",
            Self::Surplus => "surplus",
            Self::Lost => "lost",
            Self::Scope => "scope",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        })
    }
}
