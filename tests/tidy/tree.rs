//! The files of the project.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) struct File {
    /// From the project's root, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn root() -> PathBuf {
    // As cargo says when it runs the test: it may have been built from another copy of the project, where two share
    // a target directory.
    let tests = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&tests).parent().expect("tests/ has a parent").to_path_buf()
}

/// Every text file that belongs to the project, in order of path.
///
/// Left out: what is hidden but the checks', build directories (cargo marks them), and what the
/// fuzzer writes.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut directories = vec![root.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the project") {
            let path = entry.expect("an entry").path();
            let relative = path.strip_prefix(&root).expect("below the root");
            let relative: Vec<&str> =
                relative.iter().map(|part| part.to_str().expect("UTF-8")).collect();
            let name = *relative.last().expect("has a name");
            let hidden = name.starts_with('.') && !matches!(name, ".ci" | ".github" | ".gitignore");
            let relative = relative.join("/");
            if path.is_dir() {
                let built = path.join("CACHEDIR.TAG").exists() || name == "target";
                let fuzzed = matches!(relative.as_str(), "fuzz/corpus" | "fuzz/artifacts");
                if !(hidden || built || fuzzed) {
                    directories.push(path);
                }
            } else if !hidden && let Ok(text) = fs::read_to_string(&path) {
                found.push(File { path: relative, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The Rust files under one of `directories` (`""` for all).
pub(crate) fn rust_files(directories: &[&str]) -> Vec<File> {
    let mut files = files();
    files.retain(|file| {
        file.path.ends_with(".rs")
            && directories.iter().any(|directory| file.path.starts_with(directory))
    });
    files
}

/// A module of tests in a file of its own; those inside a file are marked line by line.
pub(crate) fn is_test_module(path: &str) -> bool {
    path.contains("/src/") && path.ends_with("/tests.rs")
}

#[test]
fn the_walk_finds_the_source_and_passes_over_what_is_built() {
    let paths: Vec<String> = files().into_iter().map(|file| file.path).collect();
    assert!(paths.iter().any(|path| path == "core/src/sync.rs"));
    assert!(paths.iter().any(|path| path == ".ci/run"));
    assert!(!paths.iter().any(|path| path.starts_with("target/") || path.starts_with(".git/")));
}
