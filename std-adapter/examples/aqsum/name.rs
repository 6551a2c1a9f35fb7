//! Names of files as coreutils writes them, one to a line, and back.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The characters that would break a line, or the escape itself, and what stands for each behind a backslash.
const ESCAPES: [(u8, u8); 3] = [(b'\n', b'n'), (b'\r', b'r'), (b'\\', b'\\')];

/// Whether a line with this name has to begin with a backslash.
pub(crate) fn needs_escape(path: &Path) -> bool {
    bytes(path).iter().any(|&byte| escape(byte).is_some())
}

/// Whether the name would end the line that it is on.
pub(crate) fn breaks_line(path: &Path) -> bool {
    bytes(path).contains(&b'\n')
}

/// Writes the name as it is.
pub(crate) fn write(out: &mut impl Write, path: &Path) -> io::Result<()> {
    out.write_all(bytes(path))
}

/// Writes the name, without the backslash in front of the line.
pub(crate) fn write_escaped(out: &mut impl Write, path: &Path) -> io::Result<()> {
    let mut rest = bytes(path);
    while let Some(at) = rest.iter().position(|&byte| escape(byte).is_some()) {
        let (plain, special) = rest.split_at(at);
        out.write_all(plain)?;
        out.write_all(&[b'\\', escape(special[0]).unwrap_or_default()])?;
        rest = &special[1..];
    }
    out.write_all(rest)
}

/// What [`write_escaped`] made of a name, turned back; `None` if it cannot have made this.
pub(crate) fn unescape(name: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match byte {
            b'\\' => {
                let code = bytes.next()?;
                ESCAPES.iter().find(|(_, stands)| stands == code)?.0
            }
            0 => return None,
            byte => byte,
        });
    }
    Some(plain)
}

/// A name for people: one line, whatever is in it.
pub(crate) fn shown(path: &Path) -> Cow<'_, str> {
    let name = path.to_string_lossy();
    if name.contains(char::is_control) { format!("{path:?}").into() } else { name }
}

/// The path of these bytes.
pub(crate) fn path(bytes: Vec<u8>) -> PathBuf {
    #[cfg(unix)]
    return <OsString as std::os::unix::ffi::OsStringExt>::from_vec(bytes).into();
    #[cfg(not(unix))]
    return OsString::from(String::from_utf8_lossy(&bytes).into_owned()).into();
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn escape(byte: u8) -> Option<u8> {
    ESCAPES.iter().find(|(plain, _)| *plain == byte).map(|(_, stands)| *stands)
}
