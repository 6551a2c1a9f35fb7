//! How a call holds its thread: it tries, waits a moment and tries again, and at last sleeps.

use crate::context::{Context, ContextError};
use crate::park::{Impatience, drive, patiently};
use std::future::Future;
use std::pin::pin;
use std::time::Instant;

/// Until `attempt` has something, or the future is ready, or `deadline` has come. Tries once at the least.
pub(super) fn until<F: Future>(
    deadline: Option<Instant>,
    attempt: impl FnMut() -> Option<F::Output>,
    future: F,
) -> Option<F::Output> {
    patiently(deadline, attempt).or_else(|| drive(pin!(future), deadline, Impatience::Spun))
}

/// Until `attempt` has something, or the future is ready.
pub(super) fn forever<F: Future>(
    attempt: impl FnMut() -> Option<F::Output>,
    future: F,
) -> F::Output {
    until(None, attempt, future).expect("without a deadline there is no way out but ready")
}

/// Until `attempt` has something, or the future is ready, or the context is done; does not try if it is done already.
pub(super) fn while_wanted<F: Future>(
    context: &Context,
    attempt: impl FnMut() -> Option<F::Output>,
    future: F,
) -> Result<F::Output, ContextError> {
    if let Some(error) = context.err() {
        return Err(error);
    }
    match patiently(context.deadline(), attempt) {
        Some(output) => Ok(output),
        None => context.block_on(pin!(future)),
    }
}
