//! The programs of `examples/`, for tests that run them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, process};

/// An example, built as the test was that asks for it.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("we run from a file");
    let profile = test.parent().and_then(Path::parent).expect("TARGET/PROFILE/deps/TEST");
    // `cargo test` builds examples, `cargo test --test NAME` does not, and an old one would tell nothing.
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--package", "aqueduct", "--example", name]);
    build.current_dir(env!("CARGO_MANIFEST_DIR"));
    build.arg("--target-dir").arg(profile.parent().expect("TARGET/PROFILE"));
    if profile.ends_with("release") {
        build.arg("--release");
    }
    let status = build.status().expect("cargo started this test");
    assert!(status.success(), "the example is built");
    profile.join("examples").join(name)
}

/// An empty directory of a test's own, also where the same test runs twice at a time. It goes with this value.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("{test}-{}", process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("cargo gave us a place");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
