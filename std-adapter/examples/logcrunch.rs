//! The most frequent words of one column of a log: read chunks → parse → keyed reduce → top.
//!
//! ```text
//! logcrunch FILE [COLUMN]
//! ```
//!
//! prints what `awk '{ print $COLUMN }' FILE | LC_ALL=C sort | uniq -c | LC_ALL=C sort -rn | head` prints. Without a FILE it makes up a log,
//! and holds the result against that of a loop.

use aqueduct::pipeline::{Emitter, Pipeline};
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::Mutex;
use std::{env, thread};

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 20;

const TOP: usize = 10;

type Counts = HashMap<Vec<u8>, u64>;

/// Words and how often they came, the most frequent first.
type Top = Vec<(u64, Vec<u8>)>;

/// The column of a line, as awk splits it; empty if there is none. Column 0 is the line.
fn column(line: &[u8], column: usize) -> &[u8] {
    if column == 0 {
        return line;
    }
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    words.nth(column - 1).unwrap_or_default()
}

/// Sends whole lines, some [`CHUNK`] of bytes at a time.
fn chunks(mut log: impl BufRead, out: &mut Emitter<'_, Vec<u8>>) -> io::Result<()> {
    loop {
        let mut chunk = Vec::with_capacity(CHUNK + CHUNK / 8);
        (&mut log).take(CHUNK as u64).read_to_end(&mut chunk)?;
        log.read_until(b'\n', &mut chunk)?;
        if chunk.is_empty() || out.send(chunk).is_err() {
            return Ok(());
        }
    }
}

fn crunch(log: impl BufRead + Send, number: usize) -> Result<Top, Box<dyn Error>> {
    let workers = thread::available_parallelism()?.get();
    let hasher = RandomState::new();
    // A part of the words for each worker; keyed, so nobody ever waits for one of these locks.
    let parts: Vec<Mutex<Counts>> = (0..workers).map(|_| Mutex::default()).collect();
    Pipeline::source(|out| Ok(chunks(log, out)?))
        .flat_map("parse", |chunk: Vec<u8>| {
            let mut counts = HashMap::<&[u8], u64>::new();
            for line in chunk.split_inclusive(|&byte| byte == b'\n') {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                *counts.entry(column(line, number)).or_default() += 1;
            }
            let mut shares = vec![Vec::new(); workers];
            for (word, count) in counts {
                // The remainder is smaller than a `usize`.
                let part = (hasher.hash_one(word) % workers as u64) as usize;
                shares[part].push((word.to_vec(), count));
            }
            shares.into_iter().enumerate().collect::<Vec<_>>()
        })
        .concurrency(workers)
        .buffer(2 * workers)
        .map("reduce", |(part, share): (usize, Vec<_>)| {
            let mut counts = parts[part].lock().expect("nobody panics");
            for (word, count) in share {
                *counts.entry(word).or_default() += count;
            }
        })
        .concurrency(workers)
        .keyed(|(part, _): &(usize, Vec<_>)| *part)
        .run(drop)?;
    let words = parts.into_iter().flat_map(|part| part.into_inner().expect("nobody panics"));
    let mut words: Top = words.map(|(word, count)| (count, word)).collect();
    // As `sort -rn`: equal counts by the word, backwards.
    words.sort_unstable_by(|a, b| b.cmp(a));
    words.truncate(TOP);
    Ok(words)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args_os().skip(1);
    let Some(path) = args.next() else { return try_on_a_made_up_log() };
    let number = match args.next() {
        Some(number) => number.to_str().ok_or("COLUMN is a number")?.parse()?,
        None => 1,
    };
    let top = crunch(BufReader::with_capacity(CHUNK, File::open(path)?), number)?;
    print(&top)
}

fn print(top: &[(u64, Vec<u8>)]) -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for (count, word) in top {
        write!(out, "{count:>7} ")?;
        out.write_all(word)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn try_on_a_made_up_log() -> Result<(), Box<dyn Error>> {
    let mut log = Vec::new();
    let mut dice = 1_u64;
    for line in 0..200_000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Low numbers are more frequent.
        let client = (dice >> 40) % (1 + (dice >> 20) % 997);
        writeln!(log, "{line} 192.0.2.{client} GET /")?;
    }
    let top = crunch(&log[..], 2)?;
    print(&top)?;

    let mut counts = HashMap::<&[u8], u64>::new();
    log.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).for_each(|line| {
        *counts.entry(column(line, 2)).or_default() += 1;
    });
    let mut expected: Vec<_> = counts.into_iter().map(|(word, n)| (n, word.to_vec())).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    expected.truncate(TOP);
    assert_eq!(top, expected);
    Ok(())
}
