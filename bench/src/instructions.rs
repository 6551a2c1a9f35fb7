//! Instructions per operation, counted by valgrind: the same on a machine that is busy as on one that
//! is not, so that a change that makes an uncontended path longer shows whatever the noise.
//!
//! Each path is run twice under `valgrind --tool=callgrind`, so many operations and none; the difference,
//! by the number of operations, is what one costs. (So neither marks in the code nor a runner of the
//! same version are needed, as iai-callgrind and gungraun need them.)
//!
//! What is recorded holds for one compiler on one kind of processor. Another compiler gets more slack;
//! on another processor nothing is judged.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use aqueduct::Context;
use aqueduct::channel::bounded;
use aqueduct::sync::{Mutex, RawRwLock, RwLock, Semaphore};
use aqueduct_core::queue::{ArrayQueue, spsc};
use serde::{Deserialize, Serialize};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write down what is counted as what holds from now on
    #[arg(long)]
    record: bool,
    /// Where that is kept; `instructions.json` beside this program's manifest if not given
    #[arg(long, value_name = "FILE")]
    recorded: Option<PathBuf>,
    /// Run one path so many times: what is started under valgrind
    #[arg(long, num_args = 2, value_names = ["PATH", "OPS"], hide = true)]
    alone: Vec<String>,
}

/// How much longer a path may be than recorded, in parts of it: with the compiler it was recorded with,
/// and with another.
const SLACK: f64 = 0.03;
const SLACK_OTHER_COMPILER: f64 = 0.20;

const OPS: u64 = 20_000;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Recorded {
    rustc: String,
    arch: String,
    /// Instructions per operation, by path.
    paths: BTreeMap<String, f64>,
}

/// A path and what runs it so many times.
type Measured = (&'static str, fn(u64));

/// Each starts from a fresh object; what that costs is in both runs.
const PATHS: [Measured; 21] = [
    ("queue push + pop", queue),
    ("spsc push + pop", ring),
    ("channel try_send + try_recv", channel_try),
    ("channel send + recv", channel),
    ("channel send_many + recv_many, 16", channel_many),
    ("channel send_from + recv_many, 16", channel_from),
    ("channel send + recv, room for one", channel_of_one),
    ("select_biased of 4, each ready in turn", |ops| select(4, ops)),
    ("select_biased of 4, each ready in turn, room for one", |ops| select(1, ops)),
    ("select_biased of 4, none ready", |ops| select_none(4, ops)),
    ("select_biased of 4, none ready, room for one", |ops| select_none(1, ops)),
    ("semaphore try_acquire + release", semaphore_try),
    ("semaphore acquire + release, a thread", semaphore),
    ("rwlock try_read + unlock", try_read),
    ("rwlock read + unlock, a thread", read),
    ("rwlock try_write + unlock", try_write),
    ("rwlock write + unlock, a thread", write),
    ("lock_api read + unlock", lock_api_read),
    ("mutex lock + unlock, a thread", mutex),
    ("context is_done, depth 8", is_done),
    ("context child + drop", child),
];

pub(crate) fn run(args: &Args) -> Result<(), String> {
    if let [path, ops] = &args.alone[..] {
        return alone(path, ops.parse().map_err(|e| format!("{ops}: {e}"))?);
    }
    let now = count()?;
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.json");
    let file = args.recorded.clone().unwrap_or_else(beside);
    if args.record {
        let text = serde_json::to_string_pretty(&now).expect("the keys are strings");
        fs::write(&file, text + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let then = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let (table, verdict) = compare(&then, &now);
    print!("{table}");
    verdict
}

fn alone(path: &str, ops: u64) -> Result<(), String> {
    let (_, run) = PATHS.iter().find(|(name, _)| *name == path).ok_or("no such path")?;
    run(black_box(ops));
    Ok(())
}

fn count() -> Result<Recorded, String> {
    let mut paths = BTreeMap::new();
    for (name, _) in PATHS {
        let (some, none) = (valgrind(name, OPS)?, valgrind(name, 0)?);
        let each = some.saturating_sub(none) as f64 / OPS as f64;
        // A tenth of an instruction is start-up that was not quite the same.
        paths.insert(name.into(), (each * 10.0).round() / 10.0);
    }
    Ok(Recorded { rustc: env!("BENCH_RUSTC").into(), arch: std::env::consts::ARCH.into(), paths })
}

/// How many instructions this program executes when it does nothing but that.
fn valgrind(path: &str, ops: u64) -> Result<u64, String> {
    let us = std::env::current_exe().map_err(|e| e.to_string())?;
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(us)
        .args(["instructions", "--alone", path, &ops.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if !out.status.success() {
        return Err(format!("valgrind, {path}: {said}"));
    }
    collected(&said).ok_or_else(|| format!("valgrind counts nothing: {said}"))
}

/// The number in callgrind's line `Collected : 1234`.
fn collected(said: &str) -> Option<u64> {
    let (_, number) = said.lines().find(|line| line.contains("Collected"))?.rsplit_once(':')?;
    number.trim().parse().ok()
}

/// A table of both, and whether the paths are no longer than they may be.
fn compare(then: &Recorded, now: &Recorded) -> (String, Result<(), String>) {
    let same = then.rustc == now.rustc;
    let slack = if same { SLACK } else { SLACK_OTHER_COMPILER };
    let mut text = format!("{}, {}\n", now.rustc, now.arch);
    if then.arch != now.arch {
        text += &format!("recorded on {}: nothing is judged\n", then.arch);
    } else if !same {
        text += &format!("recorded with {}: slack {:.0} %\n", then.rustc, slack * 100.0);
    }
    let mut faults = Vec::new();
    for (path, &each) in &now.paths {
        let Some(&recorded) = then.paths.get(path) else {
            faults.push(format!("{path}: not recorded"));
            continue;
        };
        let change = (each / recorded - 1.0) * 100.0;
        text += &format!(
            "{path:<40} {each:>8.1} instructions, {recorded:>8.1} recorded ({change:+.1} %)\n"
        );
        if each > recorded * (1.0 + slack) {
            faults.push(format!("{path}: {each} instructions instead of {recorded}"));
        } else if same && each < recorded * (1.0 - SLACK) {
            text += "    shorter than recorded: record it anew (--record), so that it stays so\n";
        }
    }
    faults.extend(
        then.paths
            .keys()
            .filter(|p| !now.paths.contains_key(*p))
            .map(|p| format!("{p}: not counted")),
    );
    if then.arch != now.arch || faults.is_empty() {
        return (text, Ok(()));
    }
    (text, Err(format!("longer than they may be: {}", faults.join("; "))))
}

fn queue(ops: u64) {
    let queue = ArrayQueue::new(64);
    for n in 0..ops {
        assert_eq!(black_box(&queue).push(n), Ok(()));
        assert_eq!(black_box(&queue).pop(), Some(n));
    }
}

fn ring(ops: u64) {
    let (mut producer, mut consumer) = spsc::ring(64);
    for n in 0..ops {
        assert_eq!(black_box(&mut producer).push(n), Ok(()));
        assert_eq!(black_box(&mut consumer).pop(), Some(n));
    }
}

fn channel_try(ops: u64) {
    let (sender, receiver) = bounded(64);
    for n in 0..ops {
        assert_eq!(black_box(&sender).try_send(n), Ok(()));
        assert_eq!(black_box(&receiver).try_recv(), Ok(n));
    }
}

fn channel(ops: u64) {
    send_and_receive(64, ops);
}

/// Under a lock, where the others are rings.
fn channel_of_one(ops: u64) {
    send_and_receive(1, ops);
}

fn send_and_receive(room: usize, ops: u64) {
    let (sender, receiver) = bounded(room);
    for n in 0..ops {
        assert_eq!(black_box(&sender).send(n), Ok(()));
        assert_eq!(black_box(&receiver).recv(), Ok(n));
    }
}

/// An operation is a batch, there and back.
fn channel_many(ops: u64) {
    let (sender, receiver) = bounded(64);
    let mut buffer = Vec::with_capacity(16);
    for _ in 0..ops {
        assert_eq!(black_box(&sender).send_many(&mut (0..16)), Ok(16));
        assert_eq!(black_box(&receiver).recv_many(&mut buffer, 16), 16);
        assert_eq!(buffer.last(), Some(&15));
        buffer.clear();
    }
}

/// An operation is a batch, there and back.
fn channel_from(ops: u64) {
    let (sender, receiver) = bounded(64);
    let (mut values, mut buffer) = (VecDeque::with_capacity(16), Vec::with_capacity(16));
    for _ in 0..ops {
        values.extend(0..16);
        assert_eq!(black_box(&sender).send_from(&mut values), Ok(()));
        assert_eq!(black_box(&receiver).recv_many(&mut buffer, 16), 16);
        assert_eq!(buffer.last(), Some(&15));
        buffer.clear();
    }
}

/// Biased, since a random order would cost another number of instructions in each run. Sending is in it.
fn select(room: usize, ops: u64) {
    let channels: [_; 4] = std::array::from_fn(|_| bounded(room));
    let [a, b, c, d] = channels.each_ref().map(|(_, receiver)| receiver);
    for n in 0..ops {
        assert_eq!(channels[(n % 4) as usize].0.try_send(n), Ok(()));
        let item = aqueduct::select_biased! {
            recv(black_box(a)) -> item => item,
            recv(black_box(b)) -> item => item,
            recv(black_box(c)) -> item => item,
            recv(black_box(d)) -> item => item,
        };
        assert_eq!(item, Ok(n));
    }
}

fn select_none(room: usize, ops: u64) {
    let channels: [_; 4] = std::array::from_fn(|_| bounded::<u64>(room));
    let [a, b, c, d] = channels.each_ref().map(|(_, receiver)| receiver);
    for _ in 0..ops {
        let item = aqueduct::select_biased! {
            recv(black_box(a)) -> item => item.ok(),
            recv(black_box(b)) -> item => item.ok(),
            recv(black_box(c)) -> item => item.ok(),
            recv(black_box(d)) -> item => item.ok(),
            default => None,
        };
        assert_eq!(item, None);
    }
}

fn semaphore_try(ops: u64) {
    let semaphore = Semaphore::new(2);
    for _ in 0..ops {
        drop(black_box(&semaphore).try_acquire().expect("nobody else has one"));
    }
}

fn semaphore(ops: u64) {
    let semaphore = Semaphore::new(2);
    for _ in 0..ops {
        drop(black_box(&semaphore).acquire_blocking().expect("nobody closes it"));
    }
}

fn try_read(ops: u64) {
    let lock = RwLock::new(0);
    for _ in 0..ops {
        assert_eq!(*black_box(&lock).try_read().expect("nobody writes"), 0);
    }
}

fn read(ops: u64) {
    let lock = RwLock::new(0);
    for _ in 0..ops {
        assert_eq!(*black_box(&lock).read_blocking(), 0);
    }
}

fn try_write(ops: u64) {
    let lock = RwLock::new(0);
    for _ in 0..ops {
        *black_box(&lock).try_write().expect("nobody else is in") += 1;
    }
    assert_eq!(lock.into_inner(), ops);
}

fn write(ops: u64) {
    let lock = RwLock::new(0);
    for _ in 0..ops {
        *black_box(&lock).write_blocking() += 1;
    }
    assert_eq!(lock.into_inner(), ops);
}

fn lock_api_read(ops: u64) {
    let lock = lock_api::RwLock::<RawRwLock, u64>::new(0);
    for _ in 0..ops {
        assert_eq!(*black_box(&lock).read(), 0);
    }
}

fn mutex(ops: u64) {
    let lock = Mutex::new(0);
    for _ in 0..ops {
        *black_box(&lock).lock_blocking() += 1;
    }
    assert_eq!(lock.into_inner(), ops);
}

fn is_done(ops: u64) {
    let mut chain = vec![Context::background()];
    while chain.len() < 8 {
        chain.push(chain[chain.len() - 1].child());
    }
    for _ in 0..ops {
        assert!(!black_box(&chain[7]).is_done());
    }
}

fn child(ops: u64) {
    let parent = Context::background();
    for _ in 0..ops {
        drop(black_box(&parent).child());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(rustc: &str, arch: &str, paths: &[(&str, f64)]) -> Recorded {
        let paths = paths.iter().map(|&(name, each)| (name.into(), each)).collect();
        Recorded { rustc: rustc.into(), arch: arch.into(), paths }
    }

    #[test]
    fn a_longer_path_fails_and_a_shorter_one_is_mentioned() {
        let then = recorded("r", "a", &[("one", 100.0), ("two", 100.0)]);
        let now = |one, two| recorded("r", "a", &[("one", one), ("two", two)]);
        assert_eq!(compare(&then, &now(103.0, 97.0)).1, Ok(()));
        let (text, verdict) = compare(&then, &now(90.0, 100.0));
        assert!(verdict.is_ok() && text.contains("shorter than recorded"), "{text}");
        let (_, verdict) = compare(&then, &now(100.0, 103.1));
        assert!(verdict.unwrap_err().contains("two: 103.1 instructions instead of 100"));
    }

    #[test]
    fn another_compiler_gets_more_slack_and_another_processor_no_judgement() {
        let then = recorded("r", "a", &[("one", 100.0)]);
        assert!(compare(&then, &recorded("s", "a", &[("one", 119.0)])).1.is_ok());
        assert!(compare(&then, &recorded("s", "a", &[("one", 121.0)])).1.is_err());
        let (text, verdict) = compare(&then, &recorded("r", "b", &[("one", 999.0)]));
        assert!(verdict.is_ok() && text.contains("nothing is judged"), "{text}");
    }

    #[test]
    fn a_path_that_is_only_on_one_side_fails() {
        let (none, one) = (recorded("r", "a", &[]), recorded("r", "a", &[("one", 1.0)]));
        assert!(compare(&none, &one).1.unwrap_err().contains("one: not recorded"));
        assert!(compare(&one, &none).1.unwrap_err().contains("one: not counted"));
    }

    #[test]
    fn callgrinds_number_is_found() {
        let said = "==7== \n==7== Events    : Ir\n==7== Collected : 176531\n";
        assert_eq!(collected(said), Some(176_531));
        assert_eq!(collected("==7== nothing"), None);
    }

    #[test]
    fn every_path_runs_and_every_name_is_its_own() {
        for (name, _) in PATHS {
            alone(name, 100).unwrap();
        }
        let names: std::collections::BTreeSet<_> = PATHS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), PATHS.len());
        assert!(alone("no-such-path", 1).is_err());
    }
}
