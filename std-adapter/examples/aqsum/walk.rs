//! The regular files below a path, in the byte order of their full names.

use crate::hash::Unreadable;
use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// The regular files below `root`, or `root` itself; `None` for what is passed over, so that a walk among nothing else can be ended, too.
///
/// Names come directory by directory, each sorted when it is entered, so no more of them are in memory than the
/// directories on the way down hold. Symbolic links are not followed, and what is neither a file nor a directory is
/// passed over, except as `root`.
pub(crate) fn entries(root: PathBuf) -> impl Iterator<Item = Option<Found>> {
    let entries = WalkDir::new(&root).follow_root_links(false).sort_by(in_path_order).into_iter();
    entries.map(move |entry| match entry {
        Ok(entry) if entry.file_type().is_file() => Some(Ok(entry.into_path())),
        Ok(entry) if entry.file_type().is_dir() || entry.depth() > 0 => None,
        Ok(entry) => {
            let error = io::Error::other("Neither a regular file nor a directory");
            Some(Err(Unreadable::new(entry.path(), error)))
        }
        Err(error) => {
            let path = error.path().unwrap_or(&root).to_owned();
            // Loops are not met where links are not followed, so there is always an error of the system.
            let error = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
            Some(Err(Unreadable::new(&path, error)))
        }
    })
}

/// A file, or what is wrong with it.
pub(crate) type Found = Result<PathBuf, Unreadable>;

/// The order of two neighbours in a directory that puts all full names in byte order: each directory as if its
/// name ended with the slash that follows it there.
fn in_path_order(a: &DirEntry, b: &DirEntry) -> Ordering {
    let (a_name, b_name) = (name(a.path()), name(b.path()));
    let common = a_name.len().min(b_name.len());
    let next = |name: &[u8], entry: &DirEntry| {
        name.get(common).copied().or(entry.file_type().is_dir().then_some(b'/'))
    };
    a_name[..common].cmp(&b_name[..common]).then_with(|| next(a_name, a).cmp(&next(b_name, b)))
}

fn name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}
