//! Where a thread leaves its result, and where its handle finds it.

use super::{Panicked, catch};
use crate::{foreign, lock};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// One thread's result.
pub(super) struct Outcome<T>(Mutex<State<T>>);

enum State<T> {
    Running(Option<Waker>),
    Ended(Result<T, Panicked>),
    Taken,
}

impl<T> Outcome<T> {
    pub(super) fn pair() -> (Arc<Self>, Arc<Self>) {
        let ours = Arc::new(Self(Mutex::new(State::Running(None))));
        (Arc::clone(&ours), ours)
    }

    pub(super) fn fill(&self, result: Result<T, Panicked>) {
        let before = mem::replace(&mut *lock(&self.0), State::Ended(result));
        if let State::Running(Some(waker)) = before {
            // If it panics, that is no reason to lose the result, or to fail the scope.
            foreign::call(|| waker.wake());
        }
    }

    pub(super) fn take(&self) -> Result<T, Panicked> {
        match mem::replace(&mut *lock(&self.0), State::Taken) {
            State::Ended(result) => result,
            State::Taken => panic!("the result of this thread was already taken"),
            State::Running(_) => unreachable!("a thread that has ended left its outcome"),
        }
    }

    pub(super) fn poll(&self, context: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
        // Cloned and dropped outside the lock: a waker is foreign code.
        let mut waker = Some(context.waker().clone());
        {
            let mut state = lock(&self.0);
            if let State::Running(registered) = &mut *state {
                mem::swap(registered, &mut waker);
                return Poll::Pending;
            }
        }
        Poll::Ready(self.take())
    }

    /// Lets go of it. Whoever does that last, the thread or its handle, has the result, which nobody will read: the panic in it, or
    /// in the destructor of what is in it.
    pub(super) fn leave(self: Arc<Self>) -> Option<Panicked> {
        let unread = || {
            let state = Arc::into_inner(self)?.0.into_inner();
            match state.unwrap_or_else(PoisonError::into_inner) {
                State::Ended(result) => result.err(),
                State::Running(_) | State::Taken => None,
            }
        };
        catch(unread).unwrap_or_else(Some)
    }
}
