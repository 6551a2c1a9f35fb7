//! The read-write lock: one model for each pair of parties that may miss or disturb each other, and for each roll-back.
//!
//! What the lock protects is a cell of loom's, so an access that is not ordered fails the model by itself; a lost wake-up
//! shows as a deadlock, for whoever waits parks his thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use aqueduct_core::rwlock::{Fair, Policy, RawRwLock, ReaderPriority, WriterPriority};
use aqueduct_core::wait::Slots;
use loom::cell::UnsafeCell;
use loom::thread;

use crate::{Outcomes, explore};

/// A lock and what it protects.
struct Shared<P: Policy> {
    lock: RawRwLock<P, Slots<3>>,
    data: UnsafeCell<usize>,
    seen: Outcomes,
}

// SAFETY: the cell is touched by those inside the lock only, which is what the models check.
unsafe impl<P: Policy> Sync for Shared<P> {}

impl<P: Policy> Shared<P> {
    fn note(&self, what: impl Into<String>) {
        self.seen.record(what.into());
    }

    fn look(&self) -> usize {
        // SAFETY: the caller is inside, as loom checks.
        self.data.with(|data| unsafe { *data })
    }

    fn add(&self, n: usize) {
        // SAFETY: the caller is inside as the writer, as loom checks.
        self.data.with_mut(|data| unsafe { *data += n });
    }

    fn leave_read(&self) {
        // SAFETY: the caller is inside as a reader, and leaves once.
        unsafe { self.lock.unlock_read() };
    }

    fn leave_write(&self) {
        // SAFETY: the caller is inside as the writer, and leaves once.
        unsafe { self.lock.unlock_write() };
    }

    fn write(&self, n: usize) {
        block_on(self, self.lock.write());
        self.add(n);
        self.leave_write();
    }

    fn read(&self) -> usize {
        block_on(self, self.lock.read());
        let data = self.look();
        self.leave_read();
        data
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits to the end; notes whether that took any sleep.
fn block_on<P: Policy, F: Future + Unpin>(shared: &Shared<P>, mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut slept = false;
    loop {
        let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        if let Poll::Ready(output) = polled {
            shared.note(if slept { "slept" } else { "at once" });
            return output;
        }
        slept = true;
        thread::park();
    }
}

/// Polls once, and gives up. True if it was ready.
fn ask_once(mut future: impl Future<Output = ()> + Unpin) -> bool {
    Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

type Party<P> = fn(&Shared<P>);

/// Runs the parties in every interleaving, after `before`; then the lock is free, and `after` looks at the data.
fn model<P: Policy + Default + 'static>(
    name: &str,
    before: Party<P>,
    parties: &'static [Party<P>],
    after: fn(usize),
    expected: &[&str],
) {
    let seen = Outcomes::default();
    let policy = std::any::type_name::<P>().rsplit("::").next().unwrap();
    explore(&format!("rwlock: {name}, {policy}"), {
        let seen = seen.clone();
        move || {
            let shared = Arc::new(Shared::<P> {
                lock: RawRwLock::with_policy(P::default(), Slots::new()),
                data: UnsafeCell::new(0),
                seen: seen.clone(),
            });
            before(&shared);
            let threads: Vec<_> = parties
                .iter()
                .map(|party| {
                    let shared = shared.clone();
                    thread::spawn(move || party(&shared))
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert!(shared.lock.try_write(), "free in the end: {:?}", shared.lock);
            after(shared.look());
        }
    });
    seen.must_include(expected);
}

fn nothing<P: Policy>(_: &Shared<P>) {}

fn held_by_a_reader<P: Policy>(shared: &Shared<P>) {
    assert!(shared.lock.try_read());
}

fn held_by_a_writer<P: Policy>(shared: &Shared<P>) {
    assert!(shared.lock.try_write());
}

/// Makes a model a test under each policy.
macro_rules! each_policy {
    ($($(#[$doc:meta])* fn $name:ident<$policy:ident>() $body:block)+) => {$(
        $(#[$doc])*
        mod $name {
            use super::*;

            fn model_of<$policy: Policy + Default + 'static>() $body

            #[test]
            fn writers_first() {
                model_of::<WriterPriority>();
            }

            #[test]
            fn readers_first() {
                model_of::<ReaderPriority>();
            }

            #[test]
            fn fair() {
                model_of::<Fair>();
            }
        }
    )+};
}

each_policy! {
    /// `lock:leave`, `lock:take`: the next writer sees what this one did, and is alone.
    fn two_writers<P>() {
        model::<P>(
            "two writers",
            nothing,
            &[|shared| shared.write(1), |shared| shared.write(10)],
            |data| assert_eq!(data, 11),
            &["at once", "slept"],
        );
    }

    /// `lock:first`, without any wait: the orderings of the fast path.
    fn two_who_try<P>() {
        model::<P>(
            "two who try",
            nothing,
            &[
                |shared| {
                    if shared.lock.try_write() {
                        shared.add(1);
                        shared.leave_write();
                        shared.note("wrote");
                    }
                },
                |shared| {
                    if shared.lock.try_read() {
                        shared.note(format!("read {}", shared.look()));
                        shared.leave_read();
                    }
                    if shared.lock.try_write() {
                        shared.add(1);
                        shared.leave_write();
                    }
                },
            ],
            |data| assert!((1..=2).contains(&data)),
            &["wrote", "read 0", "read 1"],
        );
    }

    /// A reader and a writer: the reader sees all or nothing, and the writer disturbs none.
    fn a_reader_and_a_writer<P>() {
        model::<P>(
            "a reader and a writer",
            nothing,
            &[
                |shared| shared.write(1),
                |shared| {
                    let data = shared.read();
                    shared.note(format!("read {data}"));
                },
            ],
            |data| assert_eq!(data, 1),
            &["read 0", "read 1", "slept"],
        );
    }

    /// The last one leaves while another registers: his wake-up is not lost.
    fn a_writer_leaves_while_a_reader_registers<P>() {
        model::<P>(
            "a writer leaves while a reader registers",
            held_by_a_writer,
            &[
                |shared| {
                    shared.add(1);
                    shared.leave_write();
                },
                |shared| assert_eq!(shared.read(), 1),
            ],
            |data| assert_eq!(data, 1),
            &["at once", "slept"],
        );
    }

    fn a_reader_leaves_while_a_writer_registers<P>() {
        model::<P>(
            "a reader leaves while a writer registers",
            held_by_a_reader,
            &[
                |shared| {
                    shared.look();
                    shared.leave_read();
                },
                |shared| shared.write(1),
            ],
            |data| assert_eq!(data, 1),
            &["at once", "slept"],
        );
    }

    /// A writer gives up: whom it held back comes in, though a reader stays inside for good.
    fn a_cancelled_writer_releases_a_reader<P>() {
        model::<P>(
            "a cancelled writer releases a reader",
            held_by_a_reader,
            &[
                |shared| {
                    if ask_once(shared.lock.write()) {
                        shared.add(1);
                        shared.leave_write();
                        shared.note("was last");
                    }
                },
                |shared| {
                    shared.read();
                    // Only now does the one from the beginning leave.
                    shared.leave_read();
                },
            ],
            |_| {},
            &["at once", "was last"],
        );
    }

    /// A grant that meets a cancellation: to whomever the lock was given, the other one gets it in the end.
    fn a_writer_leaves_while_the_next_gives_up<P>() {
        model::<P>(
            "a writer leaves while the next gives up",
            held_by_a_writer,
            &[
                |shared| shared.leave_write(),
                |shared| {
                    if ask_once(shared.lock.write()) {
                        shared.add(1);
                        shared.leave_write();
                        shared.note("was faster");
                    }
                },
                |shared| shared.write(1),
            ],
            |data| assert!((1..=2).contains(&data)),
            &["slept", "was faster"],
        );
    }

    /// `lock:change`: what the writer did is there for the reader who comes in beside it.
    fn a_downgrade_lets_a_reader_in<P>() {
        model::<P>(
            "a downgrade lets a reader in",
            held_by_a_writer,
            &[
                |shared| {
                    shared.add(1);
                    // SAFETY: the writer is inside, by our hands.
                    unsafe { shared.lock.downgrade() };
                },
                |shared| {
                    assert_eq!(shared.read(), 1);
                    shared.leave_read();
                },
            ],
            |data| assert_eq!(data, 1),
            &["at once", "slept"],
        );
    }

    /// `serve:look`: the upgrade waits for a reader, and no writer gets between.
    fn an_upgrade_and_a_writer_in_line<P>() {
        model::<P>(
            "an upgrade and a writer in line",
            |shared| {
                assert!(shared.lock.try_upgradable_read());
                assert!(shared.lock.try_read());
            },
            &[
                |shared| {
                    let before = shared.look();
                    // SAFETY: the upgradable reader is inside, by our hands.
                    block_on(shared, unsafe { shared.lock.upgrade() });
                    assert_eq!(shared.look(), before);
                    shared.add(1);
                    shared.leave_write();
                },
                |shared| shared.write(1),
                |shared| {
                    assert_eq!(shared.look(), 0);
                    shared.leave_read();
                },
            ],
            |data| assert_eq!(data, 2),
            &["at once", "slept"],
        );
    }

    /// An upgrade gives up: whom it kept out comes in.
    fn a_cancelled_upgrade_releases_a_reader<P>() {
        model::<P>(
            "a cancelled upgrade releases a reader",
            |shared| {
                assert!(shared.lock.try_upgradable_read());
                assert!(shared.lock.try_read());
            },
            &[
                |shared| {
                    // SAFETY: the upgradable reader is inside, by our hands.
                    if ask_once(unsafe { shared.lock.upgrade() }) {
                        shared.add(1);
                        shared.leave_write();
                        shared.note("was last");
                    } else {
                        shared.look();
                        // SAFETY: the upgradable reader is inside as before, by our hands.
                        unsafe { shared.lock.unlock_upgradable() };
                    }
                },
                |shared| {
                    shared.read();
                    // Only now does the one from the beginning leave.
                    shared.leave_read();
                },
            ],
            |_| {},
            &["at once", "slept", "was last"],
        );
    }
}
