//! Backtraces of the panics of jobs: taken in the panic hook, the only place that still sees the stack.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// Whether a job runs on this thread whose panics are of interest, and the last one's backtrace.
    static WATCH: RefCell<Watch> = const { RefCell::new(Watch { depth: 0, last: None }) };
}

struct Watch {
    depth: usize,
    last: Option<String>,
}

static HOOK: Once = Once::new();

/// From now on panics of jobs have a backtrace. The hook that is there is called as before.
pub(super) fn install() {
    HOOK.call_once(|| {
        let next = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let _ = WATCH.try_with(|watch| {
                if let Ok(mut watch) = watch.try_borrow_mut()
                    && watch.depth > 0
                {
                    watch.last = Some(Backtrace::force_capture().to_string());
                }
            });
            next(info);
        }));
    });
}

/// Watches for panics until the guard goes: those of before, which somebody has caught, and of the jobs around this one are not its own.
pub(super) fn watch() -> Option<Guard> {
    HOOK.is_completed().then(|| {
        WATCH.with_borrow_mut(|watch| {
            watch.depth += 1;
            Guard { around: watch.last.take().filter(|_| watch.depth > 1) }
        })
    })
}

/// The backtrace of the panic that was just caught.
pub(super) fn take() -> Option<String> {
    WATCH.with_borrow_mut(|watch| watch.last.take())
}

pub(super) struct Guard {
    /// The backtrace of the job around this one, which may be unwinding.
    around: Option<String>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        WATCH.with_borrow_mut(|watch| {
            watch.depth -= 1;
            watch.last = self.around.take();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::job::try_once;
    use crate::pool::outcome::JobError;
    use crate::thread::catch;
    use std::panic::resume_unwind;

    /// The backtrace of a job that panics like this.
    fn backtrace(job: impl FnOnce()) -> Option<String> {
        match try_once(job) {
            Err(JobError::Panicked(panic)) => panic.backtrace().map(String::from),
            other => panic!("it panics: {other:?}"),
        }
    }

    fn caught() {
        catch(|| panic!("caught by the job itself")).unwrap_err();
    }

    /// Runs a job when it is dropped.
    struct Runs;

    impl Drop for Runs {
        fn drop(&mut self) {
            try_once(|| ()).unwrap();
        }
    }

    #[test]
    fn a_backtrace_is_that_of_its_own_job() {
        install();
        assert!(backtrace(|| panic!("on purpose")).is_some());
        try_once(caught).unwrap();
        // What is thrown without a panic hook has none.
        let thrown = || resume_unwind(Box::new(7));
        assert_eq!(backtrace(thrown), None, "that of the job before");
        try_once(|| {
            caught();
            assert_eq!(backtrace(thrown), None, "that of the job around it");
        })
        .unwrap();
        let interrupted = backtrace(|| {
            let _runs = Runs;
            panic!("on purpose");
        });
        assert!(interrupted.is_some(), "a job ran while it unwound");
    }
}
