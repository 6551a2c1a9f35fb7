//! A tree of contexts that grows, is cancelled, times out and is dropped, all at once.

use aqueduct::context::ContextError;
use aqueduct::park::{block_on, block_on_timeout};
use aqueduct::{Context, thread, timer};
use aqueduct_tests::share;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Threads derive from, wait for, cancel and drop contexts of one tree. Every wait ends, and every callback that was not
/// stopped and whose context was done runs once.
#[test]
fn a_tree_under_every_kind_of_use() {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    for round in 0..share(100) as u32 {
        RUNS.store(0, SeqCst);
        let root = Context::background();
        let middle = root.with_timeout(Duration::from_micros(u64::from(round) * 20));
        let registered = thread::scope(|scope| {
            let users = [0, 1, 2, 3].map(|user| {
                let middle = &middle;
                scope.spawn(move || {
                    let mut registered = 0;
                    let mut kept = Vec::new();
                    for turn in 0.. {
                        let context = if turn % 2 == user % 2 {
                            middle.child()
                        } else {
                            middle.with_timeout(Duration::from_micros(300))
                        };
                        match (turn + user) % 5 {
                            0 => context.cancel_with(format!("turn {turn}")),
                            1 => {
                                let _ = block_on_timeout(
                                    pin!(context.done()),
                                    Duration::from_micros(10),
                                );
                            }
                            2 => {
                                let stop = context.after_func(|| {
                                    RUNS.fetch_add(1, SeqCst);
                                });
                                if turn % 3 == 0 && stop.stop() {
                                    // Taken back: it does not run.
                                } else {
                                    registered += 1;
                                    kept.push(context);
                                }
                            }
                            3 => {
                                let _ = context.wait_timeout(Duration::from_micros(10));
                            }
                            _ => assert!(context.with_value(turn).value::<u32>() == Some(&turn)),
                        }
                        if middle.is_done() {
                            assert_eq!(middle.wait(), middle.err().unwrap());
                            return (registered, kept);
                        }
                    }
                    unreachable!("the deadline comes")
                })
            });
            if round % 2 == 0 {
                root.cancel();
            }
            let mut registered = 0;
            for user in users {
                let (count, kept) = user.unwrap().join().unwrap();
                registered += count;
                for context in kept {
                    context.wait();
                    // Whoever decided may still be about to tell, and who goes with the last handle is told no more. After a
                    // cancel of ours the callbacks are out of the context: called, or in the hands of who calls them.
                    context.cancel();
                }
            }
            root.cancel();
            registered
        })
        .unwrap();
        let start = Instant::now();
        while RUNS.load(SeqCst) != registered {
            assert!(start.elapsed() < Duration::from_secs(60), "{registered} were registered");
            std::thread::yield_now();
        }
    }
}

/// Sleeps of all lengths in many threads, most of them dropped before their time.
#[test]
fn timers_are_set_and_cancelled_from_everywhere() {
    thread::scope(|scope| {
        for user in 0..4_u64 {
            let sleeper = move || {
                for turn in 0..share(300) as u64 {
                    let length = Duration::from_micros((turn * 7 + user * 13) % 200);
                    let deadline = Instant::now() + length;
                    let dropped = timer::sleep_until(deadline + Duration::from_secs(3600));
                    assert!(block_on_timeout(pin!(dropped), Duration::ZERO).is_none());
                    block_on(timer::sleep_until(deadline));
                    assert!(Instant::now() >= deadline);
                    let context = Context::background().with_deadline(deadline + length);
                    assert_eq!(block_on(context.done()), ContextError::DeadlineExceeded);
                }
            };
            scope.spawn(sleeper).expect("a thread");
        }
    })
    .unwrap();
}
