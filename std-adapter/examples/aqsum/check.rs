//! `aqsum --check FILE`: are the files what a list says?

use crate::args::{Args, OnError};
use crate::hash::{Digest, Hasher, Unreadable, reason};
use crate::name;
use crate::session::{AHEAD, Ending, Next, Session, complaint};
use aqueduct::pipeline::{BoxError, Pipeline, Policy, StageError};
use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

/// The longest line that is looked at, in bytes: more than any name that a system can open. What is longer counts
/// as badly formatted, and costs no memory.
const LONGEST: usize = 64 * 1024;

/// A line of the list.
#[derive(Debug, PartialEq)]
enum Line {
    Entry { digest: Digest, path: PathBuf },
    Malformed,
}

/// What became of a line.
enum Verdict {
    Matches(PathBuf),
    Differs(PathBuf),
    Unreadable(Unreadable),
    Malformed,
}

#[derive(Default)]
struct Tally {
    matches: u64,
    differ: u64,
    unreadable: u64,
    malformed: u64,
}

pub(crate) fn run(args: &Args, list: &Path) -> Result<Ending, Box<dyn Error>> {
    let from_stdin = list == Path::new("-");
    let title = if from_stdin { "'standard input'".into() } else { name::shown(list) };
    let file = match from_stdin {
        true => None,
        false => Some(File::open(list).map_err(|error| Unreadable::new(list, error))?),
    };
    let session = Session::new(args)?;
    let pipeline = Pipeline::source(|out| {
        let mut parser = Parser { from_stdin, ..Parser::default() };
        let list: Box<dyn BufRead> = match file {
            Some(file) => Box::new(BufReader::new(file)),
            None => Box::new(io::stdin().lock()),
        };
        read_lines(list, |line| match parser.parse(line) {
            Some(line) => Ok(out.send(line)?),
            None => Ok(out.check()?),
        })
        .map_err(|error| match error.downcast_ref() {
            Some(error) => format!("{title}: {}", reason(error)).into(),
            None => error,
        })
    })
    .stage_init(
        "hash",
        || session.hasher(),
        |hasher, line| Ok::<_, BoxError>(verdict(hasher, line)),
    )
    .concurrency(session.jobs)
    .buffer(AHEAD)
    .on_error(|error: &StageError| {
        session.progress.complain(complaint(error));
        Policy::Skip
    })
    .ordered(session.window());

    let mut tally = Tally::default();
    let (mut bytes, mut stopped) = (0, false);
    let (ending, report) = session.run(pipeline, |out, (verdict, read)| {
        if !matches!(verdict, Verdict::Malformed) {
            bytes += read;
            session.progress.file(bytes);
        }
        tally.add(&verdict);
        verdict.write(out, &session)?;
        stopped = args.on_error == OnError::Stop && verdict.is_failure();
        Ok(if stopped { Next::End } else { Next::GoOn })
    })?;
    match ending {
        Ending::Success => {}
        Ending::Failed if stopped => {}
        // Cut short, by its reader, its user or an error of the list, which has been said: there is nothing to sum up.
        early => return Ok(early),
    }
    let panics = report.map_or(0, |report| report.failed());
    let passed = tally.conclude(&title, |message| session.progress.complain(message));
    Ok(if passed && panics == 0 { Ending::Success } else { Ending::Failed })
}

/// Hashes what the line names; and how many bytes that were.
fn verdict(hasher: &mut Hasher, line: Line) -> (Verdict, u64) {
    let Line::Entry { digest, path } = line else { return (Verdict::Malformed, 0) };
    let sum = if path == Path::new("-") {
        hasher.bytes(io::stdin().lock()).map_err(|error| Unreadable::new(&path, error))
    } else {
        hasher.file(&path)
    };
    match sum {
        Ok((sum, read)) if sum == digest => (Verdict::Matches(path), read),
        Ok((_, read)) => (Verdict::Differs(path), read),
        Err(unreadable) => (Verdict::Unreadable(unreadable), 0),
    }
}

impl Verdict {
    /// Of a file: a line that is none is only warned of.
    fn is_failure(&self) -> bool {
        matches!(self, Self::Differs(_) | Self::Unreadable(_))
    }

    fn write(&self, out: &mut impl Write, session: &Session) -> io::Result<()> {
        let (path, word) = match self {
            Self::Matches(path) => (path, "OK"),
            Self::Differs(path) => (path, "FAILED"),
            Self::Unreadable(unreadable) => {
                session.progress.complain(unreadable);
                (&unreadable.path, "FAILED open or read")
            }
            Self::Malformed => return Ok(()),
        };
        // Here coreutils 9.1 escapes a name only where it would break the line.
        if name::breaks_line(path) {
            out.write_all(b"\\")?;
            name::write_escaped(out, path)?;
        } else {
            name::write(out, path)?;
        }
        writeln!(out, ": {word}")
    }
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Matches(_) => &mut self.matches,
            Verdict::Differs(_) => &mut self.differ,
            Verdict::Unreadable(_) => &mut self.unreadable,
            Verdict::Malformed => &mut self.malformed,
        } += 1;
    }

    /// Sums up as sha256sum does. Whether all is well.
    fn conclude(&self, title: &str, complain: impl Fn(String)) -> bool {
        if self.matches + self.differ + self.unreadable == 0 {
            complain(format!("{title}: no properly formatted checksum lines found"));
            return false;
        }
        let warn = |count: u64, one: &dyn Display, many: &dyn Display| match count {
            0 => {}
            1 => complain(format!("WARNING: 1 {one}")),
            _ => complain(format!("WARNING: {count} {many}")),
        };
        warn(self.malformed, &"line is improperly formatted", &"lines are improperly formatted");
        warn(self.unreadable, &"listed file could not be read", &"listed files could not be read");
        warn(self.differ, &"computed checksum did NOT match", &"computed checksums did NOT match");
        self.unreadable + self.differ == 0
    }
}

/// Calls `take` with each line, without the newline, and with nothing of a line that is too long but its beginning.
fn read_lines(
    mut list: impl BufRead,
    mut take: impl FnMut(&[u8]) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let mut line = Vec::new();
    loop {
        let block = list.fill_buf()?;
        if block.is_empty() {
            return if line.is_empty() { Ok(()) } else { take(&line) };
        }
        let (part, ends) = match block.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&block[..at], true),
            None => (block, false),
        };
        let used = part.len() + usize::from(ends);
        line.extend_from_slice(&part[..part.len().min(LONGEST + 1 - line.len())]);
        list.consume(used);
        if ends {
            take(&line)?;
            line.clear();
        }
    }
}

/// Understands the lines that `sha256sum` writes, in all its formats.
#[derive(Default)]
struct Parser {
    /// The list itself comes from standard input, so no entry can.
    from_stdin: bool,
    /// One space between sum and name (the format of old BSDs) or two; a list may not mix them, lest names that begin
    /// with a space be confused with others.
    one_space: Option<bool>,
}

impl Parser {
    /// What a line says; `None` if it is empty or a comment.
    fn parse(&mut self, line: &[u8]) -> Option<Line> {
        if line.first() == Some(&b'#') {
            return None;
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let entry = (line.len() <= LONGEST).then(|| self.entry(line)).flatten();
        Some(entry.map_or(Line::Malformed, |(digest, path)| Line::Entry { digest, path }))
    }

    fn entry(&mut self, line: &[u8]) -> Option<(Digest, PathBuf)> {
        let line = trim_start(line);
        let (escaped, line) = match line.strip_prefix(b"\\") {
            Some(line) => (true, line),
            None => (false, line),
        };
        let (digest, name) = match line.strip_prefix(b"SHA256") {
            Some(tagged) => Self::tagged(tagged)?,
            None => self.plain(line)?,
        };
        let name = if escaped { name::unescape(name)? } else { until_zero(name).to_vec() };
        if self.from_stdin && name == b"-" {
            return None;
        }
        Some((digest, name::path(name)))
    }

    /// The sum, a space, a space or asterisk, the name.
    fn plain<'a>(&mut self, line: &'a [u8]) -> Option<(Digest, &'a [u8])> {
        let (digits, rest) = line.split_at_checked(64)?;
        let digest = digest(digits)?;
        let rest = rest.strip_prefix(b" ").or_else(|| rest.strip_prefix(b"\t"))?;
        if rest.is_empty() {
            return None;
        }
        let marked = rest.len() > 1 && matches!(rest[0], b' ' | b'*');
        if !marked {
            return (*self.one_space.get_or_insert(true)).then_some((digest, rest));
        }
        let one_space = *self.one_space.get_or_insert(false);
        Some((digest, if one_space { rest } else { &rest[1..] }))
    }

    /// Behind the name of the algorithm: the name in parentheses, an equals sign, the sum.
    fn tagged(rest: &[u8]) -> Option<(Digest, &[u8])> {
        let rest = rest.strip_prefix(b" ").unwrap_or(rest).strip_prefix(b"(")?;
        let end = rest.iter().rposition(|&byte| byte == b')')?;
        let (name, rest) = (&rest[..end], &rest[end + 1..]);
        let digits = trim_start(trim_start(rest).strip_prefix(b"=")?);
        Some((digest(digits)?, name))
    }
}

fn digest(digits: &[u8]) -> Option<Digest> {
    let mut digest = Digest::default();
    if digits.len() != 2 * digest.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16);
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(value(pair[0])? << 4 | value(pair[1])?).ok()?;
    }
    Some(digest)
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

/// No name holds a zero byte: sha256sum sees it end there.
fn until_zero(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == 0).next().unwrap_or_default()
}
