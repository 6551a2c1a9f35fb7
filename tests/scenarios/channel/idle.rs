//! A program in which everybody waits, and nothing comes.

use crate::support::eventually;
use aqueduct::channel::{RecvCtxError, RecvError, bounded, never};
use aqueduct::context::ContextError;
use aqueduct::thread::{Builder, JoinHandle};
use aqueduct::{Context, select};
use std::fs;
use std::time::{Duration, Instant};

const SLEEPERS: usize = 1_000;

/// Threads that wait for what never comes, in each way that a context ends: half of them at a channel without room.
fn sleepers(context: &Context) -> Vec<JoinHandle<()>> {
    let channels = [bounded::<u32>(1), bounded(0)];
    let spawn = |nth: usize| {
        let context = context.clone();
        let receiver = channels[nth % 2].1.clone();
        let sleep = move || match nth / 2 % 3 {
            0 => assert_eq!(receiver.recv(), Err(RecvError)),
            1 => match receiver.recv_ctx(&context) {
                Err(RecvCtxError::Done(error)) => assert_eq!(error, ContextError::Canceled),
                // Its context closes the channel, and either may reach it first.
                Err(RecvCtxError::Disconnected) => {}
                Ok(value) => panic!("nobody has sent {value}"),
            },
            _ => select! {
                recv(receiver) -> end => assert_eq!(end, Err(RecvError)),
                recv(never::<u32>()) -> _ => unreachable!("never"),
                done(context) -> error => assert_eq!(error, ContextError::Canceled),
            },
        };
        Builder::new().name("sleeper").stack_size(128 * 1024).spawn(sleep).unwrap()
    };
    let threads = (0..SLEEPERS).map(spawn).collect();
    // Those who do not look at the context hear of its end from the close.
    context.after_func(move || {
        for (sender, _) in channels {
            sender.close();
        }
    });
    threads
}

/// R02, R47: A thousand threads that wait, in every way that a channel has, all end when the context is cancelled.
#[test]
fn a_thousand_who_wait_end_at_cancel() {
    let context = Context::background();
    let threads = sleepers(&context);
    end(&context, threads);
}

/// Nor do they use the CPU while they wait. What a kernel counts on a busy machine decides no ordinary test, so this one is for
/// whoever wants the figures: `cargo test -p aqueduct-tests --test scenarios -- --ignored --nocapture use_no_cpu`.
#[test]
#[ignore = "a measurement of five seconds, on Linux"]
fn a_thousand_who_wait_use_no_cpu() {
    let context = Context::background();
    let threads = sleepers(&context);
    eventually("all sleep", || {
        let tasks = tasks();
        tasks.len() == SLEEPERS && tasks.iter().all(|task| task.sleeps)
    });
    let total = || tasks().iter().fold((0, 0), |sum, it| (sum.0 + it.nanoseconds, sum.1 + it.runs));
    let before = total();
    std::thread::sleep(Duration::from_secs(5));
    let after = total();
    println!(
        "{SLEEPERS} threads that wait: {} us of CPU in 5 s, in {} runs",
        (after.0 - before.0) / 1000,
        after.1 - before.1
    );
    assert!(after.0 - before.0 < 20_000_000, "two ticks of the clock, for all of them");
    end(&context, threads);
}

fn end(context: &Context, threads: Vec<JoinHandle<()>>) {
    let start = Instant::now();
    context.cancel();
    for thread in threads {
        thread.join().unwrap();
    }
    println!("{SLEEPERS} threads that wait: all ended {:?} after cancel", start.elapsed());
}

/// What the kernel says of a sleeper.
struct Task {
    sleeps: bool,
    /// Time on a CPU.
    nanoseconds: u64,
    /// How often it was put on a CPU.
    runs: u64,
}

fn tasks() -> Vec<Task> {
    let read = |path: std::path::PathBuf| {
        let stat = fs::read_to_string(path.join("stat")).ok()?;
        let (name, rest) = stat.rsplit_once(") ")?;
        let schedule = fs::read_to_string(path.join("schedstat")).ok()?;
        let mut schedule = schedule.split_whitespace().map_while(|number| number.parse().ok());
        name.ends_with("(sleeper").then_some(Task {
            sleeps: rest.starts_with('S'),
            nanoseconds: schedule.next()?,
            runs: schedule.nth(1)?,
        })
    };
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    tasks.filter_map(|task| read(task.ok()?.path())).collect()
}
