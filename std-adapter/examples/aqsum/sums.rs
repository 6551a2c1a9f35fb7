//! `aqsum PATH...`: a line for each file.

use crate::args::{Args, OnError};
use crate::hash::{Digest, Unreadable};
use crate::session::{AHEAD, Ending, Next, Session, complaint};
use crate::{name, walk};
use aqueduct::pipeline::{Pipeline, Policy, StageError};
use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that was read.
struct Sum {
    digest: Digest,
    path: PathBuf,
    bytes: u64,
}

pub(crate) fn run(args: &Args) -> Result<Ending, Box<dyn Error>> {
    let session = Arc::new(Session::new(args));
    let on_error = args.on_error;
    let critic = Arc::clone(&session);
    let pipeline = Pipeline::from_iter(args.paths.clone().into_iter().flat_map(walk::files))
        .stage_init("hash", session.hashers(), |hasher, found| {
            let path = found?;
            let (digest, bytes) = hasher.file(&path)?;
            Ok::<_, Unreadable>(Sum { digest, path, bytes })
        })
        .concurrency(session.jobs())
        .buffer(AHEAD)
        .on_error(move |error: &StageError| {
            // The error that stops is named at the end, behind all that came before it.
            if on_error == OnError::Collect && !critic.is_aborted() {
                critic.progress.complain(complaint(error));
            }
            Policy::from(on_error)
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
