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

/// Watches for panics until the guard goes.
pub(super) fn watch() -> Option<Guard> {
    HOOK.is_completed().then(|| {
        WATCH.with_borrow_mut(|watch| watch.depth += 1);
        Guard
    })
}

/// The backtrace of the panic that was just caught.
pub(super) fn take() -> Option<String> {
    WATCH.with_borrow_mut(|watch| watch.last.take())
}

pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        WATCH.with_borrow_mut(|watch| watch.depth -= 1);
    }
}
