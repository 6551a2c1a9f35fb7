//! Go as a candidate: `go/main.go`, with its neighbours, does the same work with goroutines on two threads, checks it, and
//! prints what it took. One process a repetition, in turn with the other candidates; its start and
//! the building are not counted.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::family::{Candidate, PERCENTILES};
use crate::measure::Sample;

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
}

/// # Panics
///
/// If it does not do its work: then it has said on standard error what went wrong.
fn run(family: &str, workload: &str, ops: u64) -> Sample {
    let out = Command::new(&*PROGRAM)
        .args([family, workload, &ops.to_string()])
        .env("GOMAXPROCS", "2")
        .output()
        .unwrap_or_else(|e| panic!("{}: {e}", PROGRAM.display()));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "go, {family} {workload}: {said}");
    let took: Took = serde_json::from_slice(&out.stdout).expect("it prints what it took");
    assert_eq!(took.ops, ops, "go has done something else");
    let (cpu, wall) = (Duration::from_nanos(took.cpu_ns), Duration::from_nanos(took.wall_ns));
    let span = Duration::from_nanos(took.span_ns);
    let sample =
        Sample { span, latency: took.latency, ..Sample::of(ops, wall, cpu, took.switches) };
    // Where setting up is not counted, its CPU time and switches would be; and those of waiting.
    if wall == span && took.latency.is_none() {
        sample
    } else {
        Sample { cpu: None, switches: None, ..sample }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
