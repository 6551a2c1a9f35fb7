//! The example `aqsum`, as a program: its output beside that of coreutils, its exit statuses, its signals.
#![cfg(target_os = "linux")]

mod check;
#[path = "../program/mod.rs"]
mod program;
mod run;
mod sums;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// The program.
static AQSUM: LazyLock<PathBuf> = LazyLock::new(|| program::example("aqsum"));

/// The sum of `hello\n`.
const HELLO: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// Whether there is something to compare with. Without it a test says so, and proves less.
fn coreutils() -> bool {
    let there = Command::new("sha256sum").arg("--version").output().is_ok();
    if !there {
        eprintln!("SKIPPED: there is no sha256sum on this machine to compare with");
    }
    there
}

/// Where the commands of a test run.
struct Place(program::Place);

impl Place {
    fn new(test: &str) -> Self {
        Self(program::Place::new(&format!("aqsum-{test}")))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a name in the place")).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        command
    }

    fn aqsum<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.command(&*AQSUM).args(args).output().unwrap()
    }

    /// What coreutils prints for each path in turn.
    fn reference(&self, paths: &[&str]) -> Vec<u8> {
        let script =
            r#"for path; do find "$path" -type f -print0 | sort -z | xargs -0r sha256sum; done"#;
        self.command("sh").args(["-c", script, "sh"]).args(paths).output().unwrap().stdout
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A source of numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A tree with all that makes names and files odd.
fn odd_tree(place: &Place) {
    let names: [&[u8]; 16] = [
        b"plain",
        b"empty",
        b"with space",
        b" leading",
        b"-dash",
        b"new\nline",
        b"back\\slash",
        b"carriage\rreturn",
        b"tab\t",
        b"\\",
        b"\n",
        b"not utf-8 \xff\xfe",
        b"\xc3\xa4",
        b"*",
        b"\x7f",
        b".hidden",
    ];
    for name in names {
        let content = if name == b"empty" { b"" } else { name };
        let name = OsString::from_vec(name.to_vec());
        place.write(Path::new("tree").join(&name), content);
        place.write(Path::new("tree/sub").join(&name).join("deeper"), "x");
    }
    // Neighbours that sort otherwise as names than as the beginnings of paths.
    for name in ["d/inner", "d-x", "d.x/inner", "d0"] {
        place.write(Path::new("tree/order").join(name), "y");
    }
    place.write("tree/large", vec![b'l'; 3 << 20 | 17]);
    place.write("tree/block", vec![b'b'; 128 * 1024]);
    symlink("plain", place.path("tree/link to file")).unwrap();
    symlink("sub", place.path("tree/link to directory")).unwrap();
    symlink("nowhere", place.path("tree/dangling")).unwrap();
    fs::create_dir(place.path("tree/nothing in it")).unwrap();
}
