//! How a pool is to be.

use super::Pool;
use super::panics;
use super::scale::{ScalePolicy, ScaleReason, Thresholds};
use super::shared::Shared;
use super::submit::Full;
use crate::core::queue::MAX_CAPACITY;
use crate::thread::SpawnError;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Hook = Arc<dyn Fn() + Send + Sync>;

pub(super) struct Settings {
    pub(super) name: String,
    pub(super) min_workers: usize,
    pub(super) max_workers: usize,
    pub(super) queue_capacity: usize,
    pub(super) full: Full,
    pub(super) policy: Box<dyn ScalePolicy>,
    pub(super) check_interval: Duration,
    pub(super) keep_alive: Duration,
    pub(super) max_compensation: usize,
    pub(super) run_timeout: Option<Duration>,
    pub(super) queue_timeout: Option<Duration>,
    pub(super) stack_size: Option<usize>,
    on_thread_start: Option<Hook>,
    on_thread_stop: Option<Hook>,
}

impl Settings {
    pub(super) fn thread_started(&self) {
        if let Some(hook) = &self.on_thread_start {
            hook();
        }
    }

    pub(super) fn thread_stopped(&self) {
        if let Some(hook) = &self.on_thread_stop {
            hook();
        }
    }
}

/// How a [`Pool`] is to be.
///
/// # Examples
///
/// ```
/// use aqueduct::pool::{Full, Pool};
/// use std::time::Duration;
///
/// let pool = Pool::builder()
///     .name("thumbnails")
///     .min_workers(1)
///     .max_workers(8)
///     .queue_capacity(100)
///     .on_full(Full::BlockTimeout(Duration::from_secs(1)))
///     .keep_alive(Duration::from_secs(30))
///     .build()?;
/// assert_eq!(pool.submit(|| 7)?.join()?.value, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a builder builds nothing until `build` is called"]
pub struct Builder {
    settings: Settings,
    thresholds: Thresholds,
    own_policy: bool,
    capture_backtraces: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            settings: Settings {
                name: String::from("aqueduct-pool"),
                min_workers: 0,
                max_workers: processors,
                queue_capacity: 1024,
                full: Full::Block,
                policy: Box::new(Thresholds::default()),
                check_interval: Duration::from_secs(1),
                keep_alive: Duration::from_secs(10),
                max_compensation: processors.max(4),
                run_timeout: None,
                queue_timeout: None,
                stack_size: None,
                on_thread_start: None,
                on_thread_stop: None,
            },
            thresholds: Thresholds::default(),
            own_policy: false,
            capture_backtraces: false,
        }
    }

    /// What its threads are called, with the number of the worker behind it; "aqueduct-pool" unless said otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The fewest workers, started at once; 0 unless said otherwise: a pool without work has no threads then.
    pub fn min_workers(mut self, count: usize) -> Self {
        self.settings.min_workers = count;
        self
    }

    /// The most workers; the number of processors unless said otherwise.
    pub fn max_workers(mut self, count: usize) -> Self {
        self.settings.max_workers = count;
        self
    }

    /// How many jobs of each priority may wait; 1024 unless said otherwise. As many again, with [keys](super::Job::key), may wait for their
    /// turn, and what is [set aside](super::Full::CallerRuns) comes on top. With 0 a job is accepted only for a worker that is
    /// free, or can be started.
    ///
    /// A queue takes its memory, 64 bytes per place, when its priority is first used.
    pub fn queue_capacity(mut self, jobs: usize) -> Self {
        self.settings.queue_capacity = jobs;
        self
    }

    /// What happens to a job for which there is no room; [`Full::Block`] unless said otherwise.
    pub fn on_full(mut self, full: Full) -> Self {
        self.settings.full = full;
        self
    }

    /// At so many queued jobs per worker a worker is added; 0.8 unless said otherwise. See [`Thresholds::up`].
    pub fn scale_up_threshold(mut self, queued_per_worker: f64) -> Self {
        self.thresholds.up = queued_per_worker;
        self
    }

    /// At so many queued jobs per worker, or fewer, workers go; 0.2 unless said otherwise. See [`Thresholds::down`].
    pub fn scale_down_threshold(mut self, queued_per_worker: f64) -> Self {
        self.thresholds.down = queued_per_worker;
        self
    }

    /// How long after a change of the number of workers no check lets any of them go; 5 s unless said otherwise. Whoever has rested for the
    /// [keep-alive](Self::keep_alive) time goes all the same.
    pub fn cool_down(mut self, time: Duration) -> Self {
        self.thresholds.cool_down = time;
        self
    }

    /// Whether a job that finds nobody at rest brings a worker, whatever the thresholds say; true unless said otherwise.
    pub fn grow_on_submit(mut self, grow: bool) -> Self {
        self.thresholds.on_submit = grow;
        self
    }

    /// Who decides how many workers there should be, instead of the thresholds.
    pub fn scale_policy(mut self, policy: impl ScalePolicy) -> Self {
        self.settings.policy = Box::new(policy);
        self.own_policy = true;
        self
    }

    /// How often the load is looked at, while there is any or somebody could go; 1 s unless said otherwise. A thread that the system has
    /// refused is tried again then; where no check can come, with the next submission.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.settings.check_interval = interval;
        self
    }

    /// How long a worker rests before it goes, where more are left than the fewest; 10 s unless said otherwise.
    pub fn keep_alive(mut self, time: Duration) -> Self {
        self.settings.keep_alive = time;
        self
    }

    /// How many workers more than the most there may be in the place of those that are overdue, or in a
    /// [blocking](super::JobContext::blocking) section, one for each; the number of processors, but 4 at least, unless said otherwise.
    pub fn max_compensation(mut self, count: usize) -> Self {
        self.settings.max_compensation = count;
        self
    }

    /// How long a job may run that says nothing about it. See [`Job::timeout`](super::Job::timeout).
    pub fn run_timeout(mut self, limit: Duration) -> Self {
        self.settings.run_timeout = Some(limit);
        self
    }

    /// How long a job may wait that says nothing about it. See [`Job::queue_timeout`](super::Job::queue_timeout).
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.settings.queue_timeout = Some(limit);
        self
    }

    /// The size of a worker's stack, in bytes, and of that of a thread in a worker's place.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.settings.stack_size = Some(bytes);
        self
    }

    /// Called on each worker's thread before its first job; what it asks of the pool, it asks as a job of that worker. A panic in it costs the pool that worker; another is tried at the next
    /// [check](Self::check_interval).
    pub fn on_thread_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.settings.on_thread_start = Some(Arc::new(hook));
        self
    }

    /// Called on each worker's thread after its last job; what it asks of the pool, it asks as a job of that worker.
    pub fn on_thread_stop(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.settings.on_thread_stop = Some(Arc::new(hook));
        self
    }

    /// Keeps the backtraces of jobs that panic, for [`JobPanic::backtrace`](super::JobPanic::backtrace).
    ///
    /// This puts a panic hook in front of the one that is there, for the rest of the process. It costs nothing until a job panics, and
    /// some milliseconds then.
    pub fn capture_backtraces(mut self, capture: bool) -> Self {
        self.capture_backtraces = capture;
        self
    }

    /// Builds the pool, with the fewest workers that it may have.
    ///
    /// # Errors
    ///
    /// What cannot be: see [`BuildError`].
    pub fn build(self) -> Result<Pool, BuildError> {
        let mut settings = self.settings;
        if settings.max_workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if settings.min_workers > settings.max_workers {
            let (min, max) = (settings.min_workers, settings.max_workers);
            return Err(BuildError::Bounds { min, max });
        }
        if settings.queue_capacity > MAX_CAPACITY {
            return Err(BuildError::Capacity(settings.queue_capacity));
        }
        if settings.check_interval.is_zero() {
            return Err(BuildError::CheckInterval);
        }
        if settings.name.contains('\0') {
            return Err(BuildError::Name);
        }
        if !self.own_policy {
            let Thresholds { up, down, .. } = self.thresholds;
            // Written so that it fails for what is no number.
            if !(down >= 0.0 && up > down && up.is_finite()) {
                return Err(BuildError::Thresholds { up, down });
            }
            settings.policy = Box::new(self.thresholds);
        }
        if self.capture_backtraces {
            panics::install();
        }
        let shared = Shared::new(settings);
        shared.open();
        let pool = Pool::from_shared(shared);
        let hired = pool.shared().hire_fewest(ScaleReason::Minimum);
        hired.map_err(BuildError::Spawn)?;
        Ok(pool)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("name", &self.settings.name)
            .field("min_workers", &self.settings.min_workers)
            .field("max_workers", &self.settings.max_workers)
            .field("queue_capacity", &self.settings.queue_capacity)
            .finish_non_exhaustive()
    }
}

/// What a pool cannot be.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// `max_workers` is 0.
    NoWorkers,
    /// `min_workers` is above `max_workers`.
    Bounds {
        /// The fewest that were asked for.
        min: usize,
        /// The most that were asked for.
        max: usize,
    },
    /// The queue's capacity is above [`MAX_CAPACITY`].
    Capacity(usize),
    /// `check_interval` is zero.
    CheckInterval,
    /// A threshold is no number or negative, or the upper one is not above the lower one.
    Thresholds {
        /// The upper one.
        up: f64,
        /// The lower one.
        down: f64,
    },
    /// The name contains a zero byte.
    Name,
    /// The system refused a thread for one of the fewest workers.
    Spawn(SpawnError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => f.write_str("a pool needs a worker: max_workers is 0"),
            Self::Bounds { min, max } => write!(f, "min_workers {min} is above max_workers {max}"),
            Self::Capacity(capacity) => {
                write!(f, "a queue of {capacity} jobs is too long; the most is {MAX_CAPACITY}")
            }
            Self::CheckInterval => f.write_str("check_interval is zero"),
            Self::Thresholds { up, down } => {
                write!(
                    f,
                    "the upper threshold {up} must be above the lower one {down}, and both 0 or more"
                )
            }
            Self::Name => f.write_str("the name contains a zero byte"),
            Self::Spawn(_) => f.write_str("no thread for the fewest workers"),
        }
    }
}

impl Error for BuildError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spawn(error) => Some(error),
            _ => None,
        }
    }
}
