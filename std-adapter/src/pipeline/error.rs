//! What can go wrong: with one item, with the builder, with a run.

use super::metrics::{AtWork, name_all};
use super::report::Report;
use crate::context;
use crate::thread::{Panicked, SpawnError};
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Any error, as the functions of stages and sources return it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The failure of one item in one stage: where, which, and why.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::{Pipeline, Policy};
///
/// let report = Pipeline::from_iter(["7", "x"])
///     .stage("parse", |text: &str| text.parse::<u32>())
///     .on_error(Policy::Collect)
///     .run(drop)?;
/// let error = &report.errors()[0];
/// assert_eq!((error.stage(), error.stage_index(), error.item()), ("parse", 1, 1));
/// assert_eq!(error.to_string(), "stage `parse` (1), item 1: invalid digit found in string");
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
// One pointer: errors travel through channels and results, and successes should not pay for their size.
pub struct StageError(Box<Failure>);

struct Failure {
    stage: Arc<str>,
    stage_index: usize,
    item: u64,
    key: Option<String>,
    attempt: u32,
    cause: Cause,
}

/// Why an item failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The stage's function returned this error.
    Failed(BoxError),
    /// The stage's function panicked.
    Panicked(Panicked),
}

impl StageError {
    pub(super) fn new(stage: &Arc<str>, stage_index: usize, item: u64, cause: Cause) -> Self {
        let (stage, key, attempt) = (Arc::clone(stage), None, 1);
        Self(Box::new(Failure { stage, stage_index, item, key, attempt, cause }))
    }

    pub(super) fn at(mut self, attempt: u32, key: Option<String>) -> Self {
        (self.0.attempt, self.0.key) = (attempt, key);
        self
    }

    /// The name of the stage that failed.
    pub fn stage(&self) -> &str {
        &self.0.stage
    }

    /// The position of the stage that failed. The source is 0, the first stage 1.
    pub fn stage_index(&self) -> usize {
        self.0.stage_index
    }

    /// Which item it was: its position in what the source made, counted from 0.
    pub fn item(&self) -> u64 {
        self.0.item
    }

    /// The item's key, as its `Debug` shows it, where the stage is [`keyed`](super::Pipeline::keyed).
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Which attempt at the item this was, counted from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// What happened.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// What happened, for good.
    pub fn into_cause(self) -> Cause {
        self.0.cause
    }
}

impl Cause {
    /// The stage's own error, if it returned one and it is of this type.
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        match self {
            Self::Failed(error) => error.downcast_ref(),
            Self::Panicked(_) => None,
        }
    }

    fn as_error(&self) -> &(dyn Error + 'static) {
        match self {
            Self::Failed(error) => error.as_ref(),
            Self::Panicked(panicked) => panicked,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_error(), f)
    }
}

impl fmt::Debug for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StageError")
            .field("stage", &self.stage())
            .field("stage_index", &self.stage_index())
            .field("item", &self.item())
            .field("key", &self.key())
            .field("attempt", &self.attempt())
            .field("cause", self.cause())
            .finish()
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { stage, stage_index, item, key, attempt, cause } = &*self.0;
        write!(f, "stage `{stage}` ({stage_index}), item {item}")?;
        if let Some(key) = key {
            write!(f, ", key {key}")?;
        }
        if *attempt > 1 {
            write!(f, ", attempt {attempt}")?;
        }
        write!(f, ": {cause}")
    }
}

impl Error for StageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.cause().as_error())
    }
}

/// A pipeline was described in a way that cannot run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// A stage was given no worker at all.
    ZeroConcurrency {
        /// The stage's name.
        stage: String,
    },
    /// A buffer is of a size that a channel cannot have: 0, or above
    /// [`MAX_CAPACITY`](aqueduct_core::queue::MAX_CAPACITY). So is a [grain](super::Pipeline::grain) above that.
    Buffer {
        /// The name of the stage behind the buffer; `output` for the output's, `source` for a grain.
        stage: String,
        /// The size that was asked for, in items.
        items: usize,
    },
    /// An ordered window has no place for an item, or more than a channel can have.
    Window {
        /// The size that was asked for, in items.
        items: usize,
    },
    /// A stage is to have more workers at least than at most.
    Range {
        /// The stage's name.
        stage: String,
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
    },
    /// A number that has to be at least 1 is 0: the size of a batch, a rate, a cap, a grain (of the `source`).
    Zero {
        /// The name of the stage.
        stage: String,
    },
    /// A cap on what is in flight stands behind workers that overtake each other: the item that all wait for might not
    /// be admitted. It belongs behind the source, or behind an ordered point.
    CapOutOfOrder,
    /// A step that remembers (a batch, a scan, a rate, a quiet time) stands in front of an ordered point or a commit point, and behind workers that overtake
    /// each other. What it makes is in the order in which its items come, and that would not be the source's. Put an
    /// [`ordered`](super::Pipeline::ordered) in front of it.
    StepOutOfOrder {
        /// The name of the step.
        stage: String,
    },
    /// The number of a stage's workers cannot change: keys would change hands, or the stage remembers what it has seen. Or it cannot change by itself:
    /// where workers [share](super::Pipeline::bridge) a source, nothing waits that would say how many it takes.
    FixedConcurrency {
        /// The stage's name.
        stage: String,
    },
    /// There is no stage of this name.
    NoSuchStage {
        /// The name.
        stage: String,
    },
    /// An ordered window lets fewer items in than a stage in front of it has workers: some would never work.
    WindowTooSmall {
        /// The window.
        window: usize,
        /// The stage's name.
        stage: String,
        /// The stage's workers.
        concurrency: usize,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroConcurrency { stage } => write!(f, "stage `{stage}` has a concurrency of 0"),
            Self::Buffer { stage, items } => {
                write!(f, "what waits at `{stage}` cannot be {items} items")
            }
            Self::Window { items } => write!(f, "an ordered window cannot be of {items} items"),
            Self::Range { stage, min, max } => {
                write!(f, "stage `{stage}` has {min} workers at least, and {max} at most")
            }
            Self::Zero { stage } => write!(f, "`{stage}` needs a number of at least 1"),
            Self::CapOutOfOrder => f.write_str(
                "a cap on what is in flight stands behind workers that overtake each other",
            ),
            Self::StepOutOfOrder { stage } => write!(
                f,
                "`{stage}` stands in front of an ordered point, and behind workers that overtake each other: put another in front of it"
            ),
            Self::FixedConcurrency { stage } => {
                write!(f, "the number of workers of stage `{stage}` is fixed")
            }
            Self::NoSuchStage { stage } => write!(f, "there is no stage `{stage}`"),
            Self::WindowTooSmall { window, stage, concurrency } => write!(
                f,
                "an ordered window of {window} is too small for the {concurrency} workers of stage `{stage}`"
            ),
        }
    }
}

impl Error for BuildError {}

/// Why a run did not deliver everything.
#[derive(Debug)]
#[non_exhaustive]
pub enum PipelineError {
    /// The pipeline was described in a way that cannot run. Nothing was begun.
    Build(BuildError),
    /// The system refused a thread. Nothing was begun.
    Spawn(SpawnError),
    /// An item failed, and the policy was to stop. What came before it was delivered.
    Stopped {
        /// The failure: of all that called for a stop, the one that is first in the order of the source.
        error: StageError,
        /// What was done up to there.
        report: Box<Report>,
    },
    /// The run's context was cancelled, or its deadline passed.
    Cancelled {
        /// What the context was cancelled with.
        cause: context::Cause,
        /// Who was at work at that moment, and on what.
        at_work: Vec<AtWork>,
        /// What was done up to there.
        report: Box<Report>,
    },
    /// The run was aborted by hand, or its output was closed, or dropped, before the last item had come out.
    Aborted {
        /// What was done up to there.
        report: Box<Report>,
    },
    /// The function that takes the output returned an error.
    Output {
        /// That error.
        cause: BoxError,
        /// What was done up to there.
        report: Box<Report>,
    },
    /// A worker was lost to a panic outside the stage's function, such as one in the destructor of an item; or its state panicked when it
    /// had done its last, which costs no item.
    Worker {
        /// The stage's name.
        stage: String,
        /// The panic.
        panicked: Panicked,
        /// What was done up to there. What the lost worker had in its hands is missing from it.
        report: Box<Report>,
    },
}

impl PipelineError {
    /// What was done until the run ended; `None` if nothing was begun.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Build(_) | Self::Spawn(_) => None,
            Self::Stopped { report, .. }
            | Self::Cancelled { report, .. }
            | Self::Aborted { report }
            | Self::Output { report, .. }
            | Self::Worker { report, .. } => Some(report),
        }
    }
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Build(_) => f.write_str("the pipeline cannot run as it was built"),
            Self::Spawn(_) => f.write_str("the pipeline could not start its threads"),
            Self::Stopped { .. } => f.write_str("the pipeline was stopped by a failure"),
            Self::Cancelled { at_work, .. } => {
                f.write_str("the pipeline was cancelled")?;
                name_all(at_work, f)
            }
            Self::Aborted { .. } => f.write_str("the pipeline was aborted"),
            Self::Output { .. } => f.write_str("the output of the pipeline was refused"),
            Self::Worker { stage, .. } => write!(f, "a worker of stage `{stage}` was lost"),
        }
    }
}

impl Error for PipelineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Build(error) => Some(error),
            Self::Spawn(error) => Some(error),
            Self::Stopped { error, .. } => Some(error),
            Self::Cancelled { cause, .. } => Some(cause.as_ref()),
            Self::Output { cause, .. } => Some(cause.as_ref()),
            Self::Aborted { .. } => None,
            Self::Worker { panicked, .. } => Some(panicked),
        }
    }
}

impl From<BuildError> for PipelineError {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl From<SpawnError> for PipelineError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}
