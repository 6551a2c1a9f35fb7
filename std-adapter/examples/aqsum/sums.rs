//! `aqsum PATH...`: a line for each file.

use crate::args::{Args, OnError};
use crate::hash::{Digest, Unreadable};
use crate::session::{AHEAD, Ending, Next, Session, complaint};
use crate::{name, walk};
use aqueduct::pipeline::{Pipeline, Policy, StageError};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A file that was read.
struct Sum {
    digest: Digest,
    path: PathBuf,
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Result<Ending, Box<dyn Error>> {
    let session = Session::new(args)?;
    let pipeline = Pipeline::source(|out| {
        for root in &args.paths {
            for entry in walk::entries(root.clone()) {
                match entry {
                    Some(found) => out.send(found)?,
                    None => out.check()?,
                }
            }
        }
        Ok(())
    })
    .stage_init(
        "hash",
        || session.hasher(),
        |hasher, found: walk::Found| {
            let path = found?;
            let (digest, bytes) = hasher.file(&path)?;
            Ok::<_, Unreadable>(Sum { digest, path, bytes })
        },
    )
    .concurrency(session.jobs)
    .buffer(AHEAD)
    .on_error(|error: &StageError| {
        // The error that stops is named at the end, behind all that came before it.
        if args.on_error == OnError::Collect && !session.is_aborted() {
            session.progress.complain(complaint(error));
        }
        Policy::from(args.on_error)
    })
    .ordered(session.window());

    let mut bytes = 0;
    let (ending, report) = session.run(pipeline, |out, sum| {
        bytes += sum.bytes;
        session.progress.file(bytes);
        write_line(out, &sum.digest, &sum.path)?;
        Ok(Next::GoOn)
    })?;
    Ok(match (ending, report) {
        (Ending::Success, Some(report)) if report.failed() > 0 => Ending::Failed,
        (ending, _) => ending,
    })
}

/// The line of `sha256sum`: a backslash if the name is escaped, the sum, two spaces, the name.
fn write_line(out: &mut impl Write, digest: &Digest, path: &Path) -> io::Result<()> {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let mut line = [b' '; 66];
    for (pair, byte) in line.chunks_exact_mut(2).zip(digest) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    if name::needs_escape(path) {
        out.write_all(b"\\")?;
    }
    out.write_all(&line)?;
    name::write_escaped(out, path)?;
    out.write_all(b"\n")
}
