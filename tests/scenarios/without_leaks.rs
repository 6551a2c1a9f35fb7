//! What the tests of this program leave behind. The name sorts behind those of all others, so that this one is the last to run.

use aqueduct::timer;
use aqueduct_tests::process::{LOOKS_FOR_LEAKS, eventually, threads};
use std::collections::BTreeSet;
use std::process::Command;

const NAME: &str = "without_leaks::no_test_leaves_a_thread_or_a_timer";

/// R38, R81: Each group of tests runs in a process of its own, one test after the other; then this one runs there, and finds
/// as many threads as where nothing has run before it, and no timer. Of tests that count their rounds, a twentieth is run.
#[test]
fn no_test_leaves_a_thread_or_a_timer() {
    if let Some(before) = std::env::var_os(LOOKS_FOR_LEAKS) {
        return match before.to_str().and_then(|before| before.parse().ok()) {
            Some(before) => look(before),
            None => println!("threads: {}", threads().unwrap_or(0)),
        };
    }
    let list = child("", &["--list", "--format", "terse"]);
    let names: Vec<_> = list.lines().filter_map(|line| line.strip_suffix(": test")).collect();
    assert_eq!(names.last(), Some(&NAME), "a check of what is left comes last");
    let group = |name: &str| name.split("::").next().expect("the first").to_owned();
    let mut groups: BTreeSet<_> = names.iter().map(|name| group(name)).collect();
    assert!(groups.remove(&group(NAME)) && groups.len() > 10, "{groups:?}");

    let run = |before: &str, tests: &[&str]| {
        child(before, &[tests, &["--exact", "--test-threads=1", "--nocapture"]].concat())
    };
    let alone = run("unknown", &[NAME]);
    let before = alone.lines().find_map(|line| line.split_once("threads: ")).expect("a count").1;
    for of in groups {
        let tests = names.iter().filter(|name| group(name) == of || **name == NAME);
        run(before, &tests.copied().collect::<Vec<_>>());
    }
}

fn look(before: usize) {
    eventually("no timer is left", || timer::pending() == 0);
    eventually("no thread is left", || threads().unwrap_or(0) == before);
}

/// Runs this program again; what it says.
fn child(before: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("we run from a file"));
    command.env(LOOKS_FOR_LEAKS, before).env("AQUEDUCT_STRESS_SHARE", "20");
    let output = command.args(arguments).output();
    let output = output.expect("it can be run again");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{arguments:?}\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}
