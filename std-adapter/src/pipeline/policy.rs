//! What becomes of a run when an item fails.

use super::error::StageError;

/// What to do about an item that failed.
///
/// Given to [`on_error`](super::Pipeline::on_error) as it is, or returned by a closure that looks at each error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Policy {
    /// End the run as a serial loop with `?` would: everything in front of the failed item is finished and
    /// delivered, nothing behind it is begun, and the error is what the run returns. The default.
    #[default]
    Stop,
    /// Leave the item out, keep the error for the report, and go on.
    Collect,
}

/// Something that decides about errors: a [`Policy`], or a closure from [`StageError`] to one.
///
/// The closure runs on the worker that met the error, before anything else is done about it, so it is also the
/// place to show errors as they come. If it panics, the run stops.
///
/// # Examples
///
/// ```
/// use aqueduct::pipeline::{Pipeline, Policy, StageError};
///
/// let report = Pipeline::from_iter(["1", "two", "3"])
///     .stage("parse", |text: &str| text.parse::<u32>())
///     .on_error(|error: &StageError| {
///         eprintln!("{error}");
///         Policy::Collect
///     })
///     .run(|number| println!("{number}"))?;
/// assert_eq!((report.delivered(), report.failed()), (2, 1));
/// # Ok::<(), aqueduct::pipeline::PipelineError>(())
/// ```
pub trait ErrorPolicy: Send + Sync {
    /// What to do about this error.
    fn decide(&self, error: &StageError) -> Policy;
}

impl ErrorPolicy for Policy {
    fn decide(&self, _: &StageError) -> Policy {
        *self
    }
}

impl<F> ErrorPolicy for F
where
    F: Fn(&StageError) -> Policy + Send + Sync,
{
    fn decide(&self, error: &StageError) -> Policy {
        self(error)
    }
}
