//! Spans for a run, the threads of its stages, and its items, if the feature `tracing` is on, and somebody listens; else nothing, at no cost.
//!
//! The span of a run is made where the run is started, so that its parent is the span in which that happened. Those of its stages' threads are
//! made below it, by name: a thread is in no span when it begins, and whoever calls another worker is in one of its own. That of an item is made on
//! the thread that is in its stage's, which is its parent without being named.

use super::error::PipelineError;
use super::report::Report;

/// The span of a run.
#[derive(Clone)]
pub(super) struct Run {
    /// In one word: it is part of what a failed wait hands back.
    #[cfg(feature = "tracing")]
    span: std::sync::Arc<tracing::Span>,
}

/// The span of a thread of a stage.
pub(super) struct Stage {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

/// The span of an item in a stage.
pub(super) struct Item {
    /// None if nobody would see it: then all that is paid is the look at that, and no more for each thing that happens to the item.
    #[cfg(feature = "tracing")]
    span: Option<Box<tracing::Span>>,
}

impl Run {
    /// How it ended.
    pub(super) fn over(&self, result: &Result<Report, PipelineError>) {
        self.record_outcome(match result {
            Ok(report) if report.is_complete() => "completed",
            Ok(_) => "drained",
            Err(PipelineError::Build(_) | PipelineError::Spawn(_)) => "not_begun",
            Err(PipelineError::Stopped { .. }) => "stopped",
            Err(PipelineError::Cancelled { .. }) => "cancelled",
            Err(PipelineError::Aborted { .. }) => "aborted",
            Err(PipelineError::Output { .. }) => "refused",
            Err(PipelineError::Worker { .. }) => "worker_lost",
        });
    }
}

#[cfg(feature = "tracing")]
impl Run {
    pub(super) fn started() -> Self {
        let span = tracing::debug_span!(
            target: "aqueduct::pipeline",
            "run",
            outcome = tracing::field::Empty,
        );
        Self { span: span.into() }
    }

    /// The span of one thread of a stage.
    pub(super) fn stage(&self, name: &str, index: usize) -> Stage {
        let span = tracing::debug_span!(
            target: "aqueduct::pipeline",
            parent: &*self.span,
            "stage",
            name,
            index,
        );
        Stage { span }
    }

    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }

    fn record_outcome(&self, outcome: &'static str) {
        self.span.record("outcome", outcome);
    }
}

#[cfg(feature = "tracing")]
impl Stage {
    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        self.span.in_scope(f)
    }
}

#[cfg(feature = "tracing")]
impl Item {
    #[inline]
    pub(super) fn begun(item: u64) -> Self {
        let is_wanted = tracing::span_enabled!(
            target: "aqueduct::pipeline",
            tracing::Level::TRACE,
            "item",
            item,
            attempt,
            outcome,
        );
        Self { span: is_wanted.then(|| Self::seen(item)) }
    }

    #[cold]
    fn seen(item: u64) -> Box<tracing::Span> {
        let span = tracing::trace_span!(
            target: "aqueduct::pipeline",
            "item",
            item,
            attempt = tracing::field::Empty,
            outcome = tracing::field::Empty,
        );
        Box::new(span)
    }

    #[inline]
    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        let _entered = self.span.as_ref().map(|span| span.enter());
        f()
    }

    /// It failed, and is tried once more.
    pub(super) fn tried_again(&self, attempt: u32) {
        if let Some(span) = &self.span {
            span.record("attempt", attempt);
        }
    }

    /// As [`over`](Self::over), and nothing more is to happen in it.
    #[inline]
    pub(super) fn close(self, outcome: &'static str) {
        self.over(outcome);
    }

    /// What became of it in this stage.
    #[inline]
    pub(super) fn over(&self, outcome: &'static str) {
        if let Some(span) = &self.span {
            span.record("outcome", outcome);
        }
    }
}

#[cfg(not(feature = "tracing"))]
impl Run {
    pub(super) fn started() -> Self {
        Self {}
    }

    pub(super) fn stage(&self, _: &str, _: usize) -> Stage {
        Stage {}
    }

    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }

    fn record_outcome(&self, _: &'static str) {}
}

#[cfg(not(feature = "tracing"))]
impl Stage {
    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

#[cfg(not(feature = "tracing"))]
impl Item {
    pub(super) fn begun(_: u64) -> Self {
        Self {}
    }

    pub(super) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }

    pub(super) fn tried_again(&self, _: u32) {}

    pub(super) fn over(&self, _: &'static str) {}

    pub(super) fn close(self, _: &'static str) {}
}
