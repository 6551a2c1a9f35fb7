//! The examples `aqzip` and `logcrunch`, as programs: what they print beside what gzip, awk, sort and uniq make of it.
#![cfg(target_os = "linux")]

mod program;

use std::fs;
use std::process::{Command, Stdio};

/// What `aqzip` compresses at a time.
const BLOCK: usize = 128 << 10;

/// What `logcrunch` reads at a time.
const CHUNK: usize = 1 << 20;

/// Numbers that look random and are the same each time.
fn dice(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    }
}

/// Runs a script of the shell with these arguments; what it prints. Any command of a pipe may fail it.
fn shell(script: &str, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("bash");
    command.args(["-o", "pipefail", "-c", script, "bash"]).args(arguments);
    let output = command.env("LC_ALL", "C").stdin(Stdio::null()).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {said}");
    output.stdout
}

/// Text that compresses, with noise in between that does not.
fn content(bytes: usize) -> Vec<u8> {
    let mut dice = dice(bytes as u64);
    let mut content = Vec::with_capacity(bytes + 64);
    while content.len() < bytes {
        match dice() % 3 {
            0 => content.extend((0..dice() % 40).map(|_| dice() as u8)),
            _ => content.extend_from_slice(b"the same words again and again, and once more"),
        }
    }
    content.truncate(bytes);
    content
}

/// `aqzip FILE | gzip -t` passes, and the same bytes come out: of files of no block, of a part of one, of whole ones and of many.
#[test]
fn what_is_compressed_is_a_gzip_file_of_the_same_bytes() {
    let aqzip = program::example("aqzip");
    let aqzip = aqzip.to_str().expect("a path of ours");
    let sizes = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 12 * BLOCK + 17];
    let place = program::Place::new("aqzip");
    let file = place.path().join("in");
    let path = file.to_str().expect("a path of ours");
    for (bytes, levels) in sizes.into_iter().zip([["1", "6"], ["0", "9"]].into_iter().cycle()) {
        let content = content(bytes);
        fs::write(&file, &content).unwrap();
        for level in levels {
            shell(r#""$3" "$1" "$2" | gzip -t"#, &[path, level, aqzip]);
            let again = shell(r#""$3" "$1" "$2" | gzip -dc"#, &[path, level, aqzip]);
            assert!(again == content, "{bytes} bytes at level {level}");
        }
    }
    let mut missing = Command::new(aqzip);
    let output = missing.arg("no such file").output().expect("it runs");
    assert!(!output.status.success() && output.stdout.is_empty());
    let mut level = Command::new(aqzip);
    let output = level.arg(path).arg("10").output().expect("it runs");
    assert!(!output.status.success() && output.stdout.is_empty());
}

/// A log whose columns have words that come often and seldom, with blanks of all kinds, gaps, and bytes that are no text.
fn log(lines: usize, ends: bool) -> Vec<u8> {
    let mut dice = dice(lines as u64 + 1);
    let mut log = Vec::new();
    for _ in 0..lines {
        for _ in 0..dice() % 4 {
            log.extend_from_slice([&b" "[..], b"\t", b"  ", b" \t "][dice() as usize % 4]);
            let word = dice() % (1 + dice() % 50);
            log.extend_from_slice(format!("w{word}").as_bytes());
            if dice().is_multiple_of(20) {
                log.extend_from_slice(b"\xff\xfe");
            }
        }
        log.push(b'\n');
    }
    if !ends {
        log.extend_from_slice(b"w1 last");
    }
    log
}

/// It prints what `awk | sort | uniq -c | sort -rn | head` prints: of every column, ties and empty words included, with chunks that end in the
/// middle of a line and lines that are longer than a chunk.
#[test]
fn the_most_frequent_words_are_those_of_awk_and_sort() {
    let logcrunch = program::example("logcrunch");
    let logcrunch = logcrunch.to_str().expect("a path of ours");
    let mut long = log(100, true);
    long.resize(long.len() + CHUNK + CHUNK / 2, b'x');
    long.extend_from_slice(b" w1 w2\nw1 w1\n");
    let place = program::Place::new("logcrunch");
    let path = place.path().join("in");
    for (case, log) in
        [log(0, true), log(0, false), log(5, true), log(150_000, false), long].iter().enumerate()
    {
        fs::write(&path, log).unwrap();
        let path = path.to_str().expect("a path of ours");
        for column in ["0", "1", "2", "7"] {
            let awk = r#"awk -v n="$2" '{ print $n }' "$1" | sort | uniq -c | sort -rn > "$1.all"; head "$1.all""#;
            let expected = shell(awk, &[path, column]);
            let ours = shell(r#""$3" "$1" "$2""#, &[path, column, logcrunch]);
            let (ours, expected) =
                (String::from_utf8_lossy(&ours), String::from_utf8_lossy(&expected));
            assert!(
                ours == expected,
                "log {case}, column {column}:\n{ours:.400}\n\n{expected:.400}"
            );
        }
    }
}
