//! Go as a candidate: `go/main.go`, with its neighbours, does the same work with goroutines on two threads, checks it, and
//! prints what it took. One process a repetition, in turn with the other candidates; its start and
//! the building are not counted.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::family::{Candidate, PERCENTILES};
use crate::measure::Sample;
use crate::team::PATIENCE;

pub(crate) const NAME: &str = "go";

/// What `go version` says; none where Go is not installed, and then it takes no part.
pub(crate) static VERSION: LazyLock<Option<String>> = LazyLock::new(|| {
    let out = Command::new("go").arg("version").output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_string())
});

/// Built once, when it is first wanted, beside this program.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let us = std::env::current_exe().expect("a program has a path");
    let program = us.with_extension("go-peer");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/go/main.go"))
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/go/pipeline.go"))
        .output()
        .unwrap_or_else(|e| panic!("go build: {e}"));
    assert!(built.status.success(), "go build: {}", String::from_utf8_lossy(&built.stderr));
    program
});

/// Who does this workload in Go, if Go is there.
pub(crate) fn candidate(family: &'static str, workload: String) -> Option<Candidate> {
    VERSION.as_ref()?;
    Some(Candidate::new(NAME, move |ops| run(family, &workload, ops)))
}

#[derive(Deserialize)]
struct Took {
    ops: u64,
    /// Where setting up is part of each operation, less than `span_ns`.
    wall_ns: u64,
    span_ns: u64,
    cpu_ns: u64,
    switches: u64,
    /// Where single operations are measured: at each of [`PERCENTILES`], in nanoseconds.
    latency: Option<[f64; PERCENTILES.len()]>,
    /// Where it may drop some: the share of what it sent that has arrived.
    delivered: Option<f64>,
}

/// # Panics
///
/// If it does not do its work: then it has said on standard error what went wrong.
fn run(family: &str, workload: &str, ops: u64) -> Sample {
    let mut program = Command::new(&*PROGRAM);
    program.args([family, workload, &ops.to_string()]).env("GOMAXPROCS", "2");
    let out = output_within(PATIENCE, &mut program);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "go, {family} {workload}: {said}");
    let took: Took = serde_json::from_slice(&out.stdout).expect("it prints what it took");
    assert_eq!(took.ops, ops, "go has done something else");
    let (cpu, wall) = (Duration::from_nanos(took.cpu_ns), Duration::from_nanos(took.wall_ns));
    let span = Duration::from_nanos(took.span_ns);
    let (latency, delivered) = (took.latency, took.delivered);
    let sample = Sample { span, latency, delivered, ..Sample::of(ops, wall, cpu, took.switches) };
    // Where setting up is not counted, its CPU time and switches would be; and those of waiting.
    if wall == span && took.latency.is_none() {
        sample
    } else {
        Sample { cpu: None, switches: None, ..sample }
    }
}

/// # Panics
///
/// If the program cannot be started, or does not end: then it is killed.
fn output_within(patience: Duration, program: &mut Command) -> Output {
    let started = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.unwrap_or_else(|e| panic!("{program:?}: {e}"));
    let mut out = child.stdout.take().expect("it has a pipe");
    let mut err = child.stderr.take().expect("it has a pipe");
    let (closed, said) = mpsc::channel();
    let reader = thread::spawn(move || {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        // A line at the most goes to the first, which its pipe holds meanwhile.
        let read = err.read_to_end(&mut stderr).and_then(|_| out.read_to_end(&mut stdout));
        // If nobody listens any more, it was killed.
        let _ = closed.send(read.map(|_| (stdout, stderr)));
    });
    let Ok(read) = said.recv_timeout(patience) else {
        child.kill().expect("it is ours");
        child.wait().expect("it is killed");
        panic!("{program:?}: no end after {patience:?}: an item was lost or a wake-up missed");
    };
    reader.join().expect("it has sent");
    let status = child.wait().expect("it is ours");
    let (stdout, stderr) = read.expect("a pipe can be read");
    Output { status, stdout, stderr }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "no end after")]
    fn a_program_that_hangs_is_killed() {
        let (input, _held_open) = std::io::pipe().expect("there are pipes");
        output_within(Duration::from_millis(20), Command::new("cat").stdin(input));
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_is_known() {
        let mut program = Command::new("sh");
        let out = output_within(PATIENCE, program.args(["-c", "echo one; echo two >&2; exit 3"]));
        assert_eq!((&*out.stdout, &*out.stderr), (&b"one\n"[..], &b"two\n"[..]));
        assert_eq!(out.status.code(), Some(3));
    }

    #[test]
    fn go_refuses_what_it_does_not_know() {
        if VERSION.is_none() {
            println!("go is not installed");
            return;
        }
        let refused = std::panic::catch_unwind(|| run("channel", "no-such-workload", 10));
        assert!(refused.is_err());
    }

    #[test]
    fn go_notices_what_is_planted() {
        if VERSION.is_none() {
            println!("go is not installed");
            return;
        }
        let refused = std::panic::catch_unwind(|| run("planted", "lost", 1000));
        assert!(refused.is_err());
    }
}
