//! What several scenarios need: wakers that count, polls by hand, threads that are seen to sleep, a process of one's own.

use aqueduct_tests::process::LOOKS_FOR_LEAKS;
pub(crate) use aqueduct_tests::process::{FOR_EVER, eventually, threads};
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A waker that counts its calls, and whose clones can be counted.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// Where the system tells a thread who it is.
const THIS_THREAD: &str = "/proc/thread-self";

/// Threads of which it can be seen that they sleep, so that what is to wake them is not there before they do.
///
/// A system that is not Linux does not tell: nobody is waited for there, and what is to wake a sleeper may come too early.
#[derive(Clone, Default)]
pub(crate) struct Sleepers(Arc<Mutex<Vec<PathBuf>>>);

impl Sleepers {
    /// `f`, for a thread of its own, which says first who it is.
    pub(crate) fn call<R, F: FnOnce() -> R>(&self, f: F) -> impl FnOnce() -> R + use<R, F> {
        let threads = Arc::clone(&self.0);
        move || {
            if let Ok(thread) = fs::read_link(THIS_THREAD) {
                threads.lock().unwrap().push(Path::new("/proc").join(thread));
            }
            f()
        }
    }

    /// Waits until so many have come, and all sleep at the same time.
    pub(crate) fn until_asleep(&self, count: usize) {
        eventually("all sleep", || self.are_asleep(count));
    }

    /// Whether so many have come, and all sleep; so they do where that cannot be told.
    pub(crate) fn are_asleep(&self, count: usize) -> bool {
        if !Path::new(THIS_THREAD).exists() {
            return true;
        }
        let look = || self.0.lock().unwrap().iter().map(|thread| sleeps(thread)).collect();
        let first: Option<Vec<u64>> = look();
        // Who sleeps at both looks, and has not gone to sleep in between, has slept all the time from one to the other.
        first.as_ref().is_some_and(|all| all.len() == count) && first == look()
    }
}

/// How often a thread has gone to sleep so far; `None` unless it sleeps.
fn sleeps(thread: &Path) -> Option<u64> {
    let status = fs::read_to_string(thread.join("status")).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let times = field("voluntary_ctxt_switches:")?.parse().ok();
    times.filter(|_| field("State:").is_some_and(|state| state.starts_with('S')))
}

/// Counts how many of it were dropped.
#[derive(Clone, Default)]
pub(crate) struct Drops(Arc<AtomicUsize>);

impl Drops {
    pub(crate) fn item(&self) -> DropItem {
        DropItem(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

/// A value whose drop is counted.
pub(crate) struct DropItem(Drops);

impl Drop for DropItem {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, SeqCst);
    }
}

/// Runs `test`, which is called `name`, in a process of its own: for what counts the threads, the timers or the memory of
/// the process, and would count those of other tests.
pub(crate) fn alone(name: &str, test: impl FnOnce()) {
    const ALONE: &str = "AQUEDUCT_TEST_ALONE";
    if std::env::var_os(LOOKS_FOR_LEAKS).is_some() {
        // It leaves nothing in the process that has called it, and looks after its own.
        return;
    }
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().expect("we run from a file"))
        .args([name, "--exact", "--test-threads=1", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("it can be run again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The bytes of memory that this process has resident; `None` where that cannot be told.
pub(crate) fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages = statm.split(' ').nth(1)?.parse::<usize>().ok()?;
    Some(pages * 4096)
}
