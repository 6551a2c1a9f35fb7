//! A waker that panics, called by somebody who has just been granted what he waits for: nothing is lost by it.
//!
//! Others have to be frozen between a change and the kick that belongs to it, so that ours is the kick that wakes: a second
//! thread is held there by a handler. What has to happen in the middle of our poll is done by our own waker, when it is
//! cloned and when it is dropped.

use super::harness::interrupted;
use aqueduct_core::rwlock::{RwLock, WriterPriority};
use aqueduct_core::semaphore::{Greedy, Semaphore};
use aqueduct_core::wait::Slots;
use std::cell::Cell;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

/// Panics where it is woken.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic!("as planned");
    }
}

fn bomb() -> Waker {
    Waker::from(Arc::new(Bomb))
}

fn ask<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

fn pending<F: Future + Unpin>(future: &mut F) {
    assert!(ask(future, Waker::noop()).is_pending());
}

/// What a waker does when it is cloned for the second time, which is when a woken waiter that has lost registers again;
/// and when a clone is dropped for the second time, which is when that was granted at once.
struct Hooks<'a> {
    clones: Cell<u32>,
    drops: Cell<u32>,
    registers: &'a dyn Fn(),
    granted: &'a dyn Fn(),
}

static HOOKS: RawWakerVTable = RawWakerVTable::new(
    |hooks| {
        // SAFETY: the waker is made and dropped within `ask_with`, by whose hooks it is.
        let Hooks { clones, registers, .. } = unsafe { &*hooks.cast::<Hooks<'_>>() };
        clones.set(clones.get() + 1);
        if clones.get() == 2 {
            registers();
        }
        RawWaker::new(hooks, &HOOKS)
    },
    |_| (),
    |_| (),
    |hooks| {
        // SAFETY: as above.
        let Hooks { drops, granted, .. } = unsafe { &*hooks.cast::<Hooks<'_>>() };
        drops.set(drops.get() + 1);
        if drops.get() == 2 {
            granted();
        }
    },
);

/// Polls a woken waiter, which loses, and gets what it asks for when it registers again. `None` if a waker panicked.
fn ask_with<F: Future + Unpin>(
    future: &mut F,
    registers: &dyn Fn(),
    granted: &dyn Fn(),
) -> Option<F::Output> {
    let hooks = Hooks { clones: Cell::new(0), drops: Cell::new(0), registers, granted };
    // SAFETY: the functions use the pointer while `hooks` lives, and in this thread: where the poll has come to its end, no
    // clone is left, and where a waker has panicked, the grant was taken before that.
    let waker = unsafe { Waker::from_raw(RawWaker::new((&raw const hooks).cast(), &HOOKS)) };
    let waker = ManuallyDrop::new(waker);
    let polled = catch_unwind(AssertUnwindSafe(|| ask(future, &waker)));
    assert_eq!(
        (hooks.clones.get(), hooks.drops.get()),
        (2, 2),
        "it was granted when it registered"
    );
    match polled {
        Ok(Poll::Ready(output)) => Some(output),
        Ok(Poll::Pending) => panic!("it was granted"),
        Err(_) => None,
    }
}

/// Another thread, which is frozen in the middle of what it does.
struct Other {
    go: Sender<()>,
    frozen: Receiver<bool>,
}

impl Other {
    /// One that does `before`, and is frozen before the `step`-th step of `body`.
    fn spawn<'s, T, R>(
        scope: &'s thread::Scope<'s, '_>,
        step: u32,
        before: impl FnOnce() -> T + Send + 's,
        body: impl FnOnce(T) -> R + Send + 's,
    ) -> Self {
        let ((go, told), (freezes, frozen)) = (channel(), channel());
        scope.spawn(move || {
            told.recv().unwrap();
            let made = before();
            let mut freeze = || {
                freezes.send(true).unwrap();
                told.recv().unwrap();
            };
            let body = || catch_unwind(AssertUnwindSafe(|| body(made)));
            if !interrupted(step, &mut freeze, body).1 {
                freezes.send(false).unwrap();
            }
        });
        Self { go, frozen }
    }

    /// Lets it run until it is frozen; false if it came to its end.
    fn run(&self) -> bool {
        self.go.send(()).unwrap();
        self.frozen.recv().unwrap()
    }

    fn thaw(&self) {
        // Nobody listens if it came to its end.
        let _ = self.go.send(());
    }
}

/// The permits that a loser was handed when it stood in line again were lost: it made up for the turn that it had lost, once more.
#[test]
fn permits_that_are_granted_at_once_are_kept() {
    let mut combinations = 0;
    for step in 1.. {
        let semaphore = Semaphore::with_policy(3, Greedy, Slots::<4>::new());
        let two = semaphore.try_acquire_many(2).unwrap();
        let (mut loser, mut behind) = (semaphore.acquire(), semaphore.acquire_many(2));
        let mut held = semaphore.try_acquire().unwrap();
        pending(&mut loser);
        for lost in 1..=Greedy::PATIENCE {
            drop(held);
            held = semaphore.try_acquire().unwrap();
            if lost < Greedy::PATIENCE {
                pending(&mut loser);
            }
        }
        assert!(ask(&mut behind, &bomb()).is_pending());
        let held = Cell::new(Some(held));
        let (permit, froze) = thread::scope(|scope| {
            let other = Other::spawn(scope, step, || two, drop);
            let froze = Cell::new(false);
            let release = || drop(held.take());
            let polled = ask_with(&mut loser, &release, &|| froze.set(other.run()));
            other.thaw();
            (polled.expect("nobody is woken by it").expect("it is open"), froze.get())
        });
        // First the one who would panic.
        drop((behind, loser));
        assert_eq!((permit.num_permits(), semaphore.available_permits()), (1, 2), "@{step}");
        drop(permit);
        assert_eq!(semaphore.available_permits(), 3, "@{step}");
        if !froze {
            break;
        }
        combinations += 1;
    }
    println!("interrupt: semaphore, a waker panics: {combinations} combinations");
}

/// The lock that a loser was handed when it stood in line again was lost: it said that it had looked, and so woke another.
#[test]
fn a_lock_that_is_granted_at_once_is_left_again() {
    let (mut combinations, mut panicked) = (0, false);
    for step in 1.. {
        let lock = RwLock::with_policy((), WriterPriority, Slots::<4>::new());
        let (mut loser, mut writer) = (lock.upgradable_read(), lock.write());
        let mut held = lock.try_write().unwrap();
        // Both have lost as often as they can but once, and are woken for the last time.
        pending(&mut loser);
        for lost in 1..=WriterPriority::PATIENCE {
            drop(held);
            held = lock.try_write().unwrap();
            if lost < WriterPriority::PATIENCE {
                pending(&mut loser);
            }
        }
        pending(&mut writer);
        for lost in 1..=WriterPriority::PATIENCE {
            drop(held);
            held = lock.try_write().unwrap();
            if lost < WriterPriority::PATIENCE {
                pending(&mut writer);
            }
        }
        let held = Cell::new(Some(held));
        let mut reader = lock.read();
        let (guard, froze) = thread::scope(|scope| {
            // The writer stands behind the loser, and keeps a reader out until it goes.
            let before = move || {
                pending(&mut writer);
                assert!(ask(&mut reader, &bomb()).is_pending());
                (writer, reader)
            };
            let body = |(writer, reader)| {
                drop(writer);
                reader
            };
            let other = Other::spawn(scope, step, before, body);
            let froze = Cell::new(false);
            let leave = || drop(held.take());
            let polled = ask_with(&mut loser, &leave, &|| froze.set(other.run()));
            other.thaw();
            (polled, froze.get())
        });
        panicked |= guard.is_none();
        drop((guard, loser));
        assert!(lock.try_write().is_some(), "@{step}: {lock:?}");
        if !froze {
            break;
        }
        combinations += 1;
    }
    assert!(panicked, "no waker was called in the middle of it");
    println!("interrupt: rwlock, a waker panics: {combinations} combinations");
}
