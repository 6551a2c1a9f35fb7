//! Deadlocks that could happen, found before they do: the feature `deadlock-detection`.
//!
//! A thread that asks for a lock while it holds others has put them into an order: those before this one. The order of each such
//! call is remembered, for the life of the locks. When a call would make a circle of it (this thread has A and asks for B, while
//! some thread once had B and asked for A) it is reported *before* the call waits, with the lines at which the locks were
//! taken and asked for, on both sides; whether or not the other thread is there just now. (The method is that of the
//! Linux kernel's lockdep.)
//!
//! What is watched: [`Mutex`](super::Mutex) and [`RwLock`](super::RwLock), and those of their calls that hold the thread. Without
//! a limit they both ask and hold; with one, or with `try_`, they hold only, since they give up one day. (With a context that
//! nobody ends they do not; that is not found.) Guards that were awaited are not watched: a task is not its thread.
//!
//! A guard counts as held by the thread that made it, until it is dropped. So one that was given to another thread, or that a task
//! made with `try_` or a blocking call and took along to another thread, may be reported where nothing can go wrong, and what its
//! new owner asks for is not held against it. Await the guards that are to go elsewhere:
//! [`park::block_on(mutex.lock())`](crate::park::block_on) where there is no task.
//!
//! Reading counts as writing, since a writer that waits in between makes it so; except under
//! [`ReaderPriority`](crate::core::rwlock::ReaderPriority), where readers never wait for each other.
//!
//! # Panics
//!
//! The report is a panic of the thread that asks. To do something else, [`set_hook`].
//!
//! # Examples
//!
//! ```
//! # #[cfg(debug_assertions)] {
//! use aqueduct::{sync::Mutex, thread::catch};
//!
//! let (accounts, journal) = (Mutex::new(0), Mutex::new(0));
//! {
//!     let _account = accounts.lock_blocking();
//!     let _entry = journal.lock_blocking();
//! }
//! let panicked = catch(|| {
//!     let _entry = journal.lock_blocking();
//!     let _account = accounts.lock_blocking(); // the other way round
//! });
//! assert!(panicked.unwrap_err().message().contains("can deadlock"));
//! # }
//! ```

#[cfg(debug_assertions)]
mod graph;
#[cfg(debug_assertions)]
pub(super) mod watch;

use crate::lock;
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex};

/// Threads that can wait for each other: each step's thread holds what that of the step before asks for, and the last one
/// closes the circle.
#[derive(Clone, Debug)]
pub struct Cycle {
    steps: Vec<Step>,
}

/// One thread of a [`Cycle`]: what it holds, and what it asks for.
#[derive(Clone, Debug)]
pub struct Step {
    thread: String,
    held_at: &'static Location<'static>,
    asked_at: &'static Location<'static>,
}

impl Cycle {
    /// The steps. The first is the call that was about to wait; one alone is a thread that waits for itself.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// The name of the thread.
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Where it took the lock that it held.
    pub fn held_at(&self) -> &'static Location<'static> {
        self.held_at
    }

    /// Where, holding that, it asked for the next.
    pub fn asked_at(&self) -> &'static Location<'static> {
        self.asked_at
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "these locks can deadlock, each thread asking for what the next one holds:")?;
        for Step { thread, held_at, asked_at } in &self.steps {
            write!(
                f,
                "\n  thread {thread:?} holds one taken at {held_at}, and asks at {asked_at}"
            )?;
        }
        Ok(())
    }
}

type Hook = Arc<dyn Fn(&Cycle) + Send + Sync>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Calls `hook` with each circle, in the thread that asks, instead of the panic. The call then goes on, and perhaps does
/// deadlock; the same two orders are not reported again.
///
/// # Examples
///
/// ```
/// aqueduct::sync::deadlock::set_hook(|cycle| eprintln!("{cycle}"));
/// ```
pub fn set_hook(hook: impl Fn(&Cycle) + Send + Sync + 'static) {
    let before = lock(&HOOK).replace(Arc::new(hook));
    // With nothing locked: what it captured may have a destructor that sets the next one, or takes locks that are watched.
    drop(before);
}

#[cfg(debug_assertions)]
fn hook() -> Option<Hook> {
    lock(&HOOK).clone()
}
