//! No repetition may hang unseen. What runs in a [`race`](crate::team::race) has an end by itself; the making and the ending of a
//! pool, a pipeline, or the emptying of a channel are on the program's own thread, and nobody else would notice.

use std::process;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::team::PATIENCE;

/// A thread that ends the program when a run is not over in time. It sleeps while all goes well: a run that begins or
/// ends does not wake it, which would cost the run some switches.
pub(crate) struct Watch(Arc<Watched>);

struct Watched {
    now: Mutex<Now>,
    gone: Condvar,
}

enum Now {
    Idle,
    Runs {
        what: String,
        since: Instant,
    },
    /// Nothing will run any more.
    Over,
}

impl Watched {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Somewhat more patient than a race, which says better what has happened.
    pub(crate) fn new() -> Self {
        Self::with(PATIENCE + Duration::from_secs(5), |what, patience| {
            eprintln!("{what}: no end after {patience:?}: an item was lost or a wake-up missed");
            process::exit(101);
        })
    }

    fn with(patience: Duration, late: impl FnOnce(&str, Duration) + Send + 'static) -> Self {
        let watched = Arc::new(Watched { now: Mutex::new(Now::Idle), gone: Condvar::new() });
        thread::spawn({
            let watched = watched.clone();
            move || {
                let mut now = watched.now();
                loop {
                    // Whatever begins while this thread sleeps has its end later than that.
                    let left = match &*now {
                        Now::Over => return,
                        Now::Idle => patience,
                        Now::Runs { what, since } => match patience.checked_sub(since.elapsed()) {
                            Some(left) if left > Duration::ZERO => left,
                            _ => return late(what, patience),
                        },
                    };
                    let woken = watched.gone.wait_timeout(now, left);
                    now = woken.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        });
        Self(watched)
    }

    /// Runs `work`, which goes by the name of `what`.
    pub(crate) fn over<R>(&self, what: String, work: impl FnOnce() -> R) -> R {
        *self.0.now() = Now::Runs { what, since: Instant::now() };
        let result = work();
        *self.0.now() = Now::Idle;
        result
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.0.now() = Now::Over;
        self.0.gone.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_run_that_hangs_is_named() {
        let (called, calls) = mpsc::channel();
        let watch = Watch::with(Duration::from_millis(500), move |what, _| {
            called.send(what.to_string()).unwrap();
        });
        watch.over("the first".into(), || ());
        // It has no end but this one.
        let named = watch.over("the second".into(), || calls.recv());
        assert_eq!(named.as_deref(), Ok("the second"));
    }

    #[test]
    fn between_runs_and_after_them_nobody_is_late() {
        let (called, calls) = mpsc::channel::<()>();
        let watch = Watch::with(Duration::from_millis(1), move |_, _| called.send(()).unwrap());
        // The thread is in its loop and may see idle times as long as it likes.
        drop(watch);
        assert_eq!(calls.recv(), Err(mpsc::RecvError), "ended without a call");
    }
}
