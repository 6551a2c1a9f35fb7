//! How a node ended: decided once, and asked for all the time.
//!
//! Most ends are one of two, and a number says which. An end that was given a cause is written down first, and the number says that it
//! is there.

use super::{Cause, ContextError};
use crate::core::latch::Latch;
use std::num::NonZeroUsize;
use std::sync::OnceLock;

/// How a node ended.
#[derive(Clone)]
pub(super) struct Outcome {
    pub(super) error: ContextError,
    /// Only if one was given.
    pub(super) cause: Option<Cause>,
}

impl From<ContextError> for Outcome {
    fn from(error: ContextError) -> Self {
        Self { error, cause: None }
    }
}

static CANCELED: Outcome = Outcome { error: ContextError::Canceled, cause: None };
static DEADLINE_EXCEEDED: Outcome = Outcome { error: ContextError::DeadlineExceeded, cause: None };

const IS_CANCELED: NonZeroUsize = NonZeroUsize::new(1).unwrap();
const IS_LATE: NonZeroUsize = NonZeroUsize::new(2).unwrap();
const IS_EXPLAINED: NonZeroUsize = NonZeroUsize::new(3).unwrap();

/// An outcome, once there is one.
#[derive(Default)]
pub(super) struct Decision {
    latch: Latch,
    /// The outcome with a cause that came first. It counts only if the latch says so.
    explained: OnceLock<Outcome>,
}

impl Decision {
    /// The outcome, if it is decided.
    #[inline]
    pub(super) fn get(&self) -> Option<&Outcome> {
        match self.latch.get()? {
            IS_CANCELED => Some(&CANCELED),
            IS_LATE => Some(&DEADLINE_EXCEEDED),
            _ => self.explained.get(),
        }
    }

    /// Decides, unless it is decided. After this it is.
    ///
    /// Two who explain themselves at the same time may both end with the words of the one who wrote first, and each of them may
    /// be the one that decides.
    pub(super) fn decide(&self, outcome: Outcome) {
        let code = match &outcome {
            Outcome { error: ContextError::Canceled, cause: None } => IS_CANCELED,
            Outcome { error: ContextError::DeadlineExceeded, cause: None } => IS_LATE,
            Outcome { cause: Some(_), .. } => {
                if self.latch.get().is_some() {
                    return;
                }
                let _ = self.explained.set(outcome);
                IS_EXPLAINED
            }
        };
        let _ = self.latch.set(code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    fn explained(error: ContextError, text: &str) -> Outcome {
        Outcome { error, cause: Some(Arc::new(std::io::Error::other(text.to_owned()))) }
    }

    fn says(decision: &Decision) -> Option<(ContextError, Option<String>)> {
        let outcome = decision.get()?;
        Some((outcome.error, outcome.cause.as_ref().map(ToString::to_string)))
    }

    #[test]
    fn the_first_decision_stays() {
        use ContextError::{Canceled, DeadlineExceeded};
        let outcomes = || {
            [Canceled.into(), DeadlineExceeded.into()]
                .into_iter()
                .chain([explained(Canceled, "cause"), explained(DeadlineExceeded, "late")])
        };
        for first in outcomes() {
            let decision = Decision::default();
            assert_eq!(says(&decision), None);
            decision.decide(first.clone());
            let said = says(&decision);
            let cause = first.cause.as_ref().map(ToString::to_string);
            assert_eq!(said, Some((first.error, cause)));
            for later in outcomes() {
                decision.decide(later);
                assert_eq!(says(&decision), said);
            }
        }
    }

    /// Whoever has decided finds an outcome, and all find the same; a cause is never found beside another's error.
    #[test]
    fn deciders_agree() {
        for _ in 0..200 {
            let decision = &Decision::default();
            let said = thread::scope(|scope| {
                let deciders = [
                    ContextError::Canceled.into(),
                    explained(ContextError::Canceled, "cancelled"),
                    explained(ContextError::DeadlineExceeded, "late"),
                ]
                .map(|outcome| {
                    scope.spawn(move || {
                        decision.decide(outcome);
                        says(decision).expect("it is decided")
                    })
                });
                deciders.map(|decider| decider.join().expect("it does not panic"))
            });
            assert!(said.iter().all(|it| *it == said[0]), "{said:?}");
            match &said[0] {
                (ContextError::Canceled, None) => {}
                (ContextError::Canceled, Some(cause)) => assert_eq!(cause, "cancelled"),
                (ContextError::DeadlineExceeded, cause) => {
                    assert_eq!(cause.as_deref(), Some("late"))
                }
            }
        }
    }
}
