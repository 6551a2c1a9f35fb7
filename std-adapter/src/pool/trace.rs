//! A span for each job, if the feature `tracing` is on, and somebody listens; else nothing, at no cost.
//!
//! The span is made where the job is submitted, so that its parent is the span in which that happened, whatever thread runs the job. It is
//! entered while the job's function runs.

use super::job::{JobId, Options};

/// The span of a job.
pub(super) struct Trace {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

#[cfg(feature = "tracing")]
impl Trace {
    pub(super) fn submitted(id: JobId, options: &Options) -> Self {
        let span = tracing::debug_span!(
            target: "aqueduct::pool",
            "job",
            id = id.0,
            name = options.name.as_deref(),
            priority = options.priority.label(),
            outcome = tracing::field::Empty,
        );
        Self { span }
    }

    /// Runs the function of the job inside the span.
    pub(super) fn run<T>(&self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }

    /// How the job ended.
    pub(super) fn over(&self, outcome: &'static str) {
        self.span.record("outcome", outcome);
    }

    /// Whether somebody would see the span of a job.
    pub(super) fn is_wanted() -> bool {
        tracing::span_enabled!(target: "aqueduct::pool", tracing::Level::DEBUG, "job")
    }
}

#[cfg(not(feature = "tracing"))]
impl Trace {
    pub(super) fn submitted(_: JobId, _: &Options) -> Self {
        Self {}
    }

    pub(super) fn run<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }

    pub(super) fn over(&self, _: &'static str) {}

    pub(super) fn is_wanted() -> bool {
        false
    }
}
