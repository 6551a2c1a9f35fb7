//! The scripts, the sizes, and what must not stand in any file.

use std::path::Path;

use crate::tree::{File, files, root};
use crate::{Finding, expect_lines, expect_none};

/// A file that no longer fits in a head.
const LONG: usize = 600;

fn too_long(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    if lines > LONG {
        vec![Finding::new(&file.path, LONG, format!("{lines} lines"))]
    } else {
        vec![]
    }
}

#[test]
fn files_fit_in_a_head() {
    let mut files = files();
    files.retain(|file| file.path.ends_with(".rs"));
    let findings: Vec<Finding> = files.iter().flat_map(too_long).collect();
    expect_none(&findings, "Look for the second idea in it, and give that a file of its own.");
}

#[test]
fn a_long_file_is_found() {
    let file = |lines| File { path: "x.rs".into(), text: "x\n".repeat(lines) };
    expect_lines(&too_long(&file(LONG)), &[]);
    expect_lines(&too_long(&file(LONG + 1)), &[LONG]);
}

/// Directories that only some machine has. (In pieces, so that this list is no finding of its own.)
const MACHINES: &[&str] = &["work", "root", "farm", "home", "Users", "tmp"];

fn machine_paths(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for name in MACHINES {
            let found = line.match_indices(&format!("/{name}/")).any(|(start, _)| {
                let before = line[..start].chars().last();
                !before.is_some_and(|c| {
                    c.is_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | '}')
                })
            });
            if found {
                findings.push(Finding::new(&file.path, at + 1, format!("a path below /{name}")));
            }
        }
    }
    findings
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    let findings: Vec<Finding> = files().iter().flat_map(machine_paths).collect();
    expect_none(
        &findings,
        "Paths begin at the project's root; for scratch room there is mktemp and temp_dir().",
    );
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = ["cd /", "home/someone\nsrc/", "work/x\n$dir/", "tmp/y\n\"/", "tmp/x\""].concat();
    expect_lines(&machine_paths(&File { path: "x".into(), text }), &[1, 4]);
}

/// What is wrong with one script of ci/, given what `.ci/run` and the workflow say.
fn script_faults(script: &File, executable: bool, run: &str, workflow: &str) -> Vec<Finding> {
    let mut faults = Vec::new();
    let mut fault = |line, what: &str| faults.push(Finding::new(&script.path, line, what));
    let mut lines = script.text.lines();
    if lines.next() != Some("#!/usr/bin/env bash") {
        fault(1, "does not begin with #!/usr/bin/env bash");
    }
    if !lines.next().is_some_and(|line| line.starts_with("# ") && line.len() > 20) {
        fault(2, "does not say here why it exists");
    }
    if !script.text.lines().any(|line| line == "set -euo pipefail") {
        fault(0, "lacks `set -euo pipefail`");
    }
    for (at, line) in script.text.lines().enumerate() {
        // `trap - EXIT` says on purpose that the output of the last command is to be the last.
        let line = line.trim();
        let replaces =
            line.starts_with("trap ") && line.ends_with(" EXIT") && line != "trap - EXIT";
        if replaces && !line.contains("finished") {
            fault(
                at + 1,
                "has a trap on EXIT that does not call `finished`, which says what it took",
            );
        }
    }
    if !executable {
        fault(0, "is not executable");
    }
    let name = script.path.rsplit('/').next().unwrap_or_default();
    let called = |text: &str| {
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        code.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')))
            .any(|word| word == name)
    };
    if !called(run) {
        fault(0, "is not called by .ci/run");
    }
    if !called(workflow) {
        fault(0, "is not called by the workflow");
    }
    faults
}

#[cfg(unix)]
fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().expect("a file of the project").permissions().mode() & 0o111 == 0o111
}

/// Elsewhere files carry no such bit.
#[cfg(not(unix))]
fn executable(_: &Path) -> bool {
    true
}

fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("{path} is missing")).text
}

#[test]
fn every_script_says_why_it_exists_and_is_called() {
    let files = files();
    let (run, workflow) = (text_of(&files, ".ci/run"), text_of(&files, ".github/workflows/ci.yml"));
    let mut findings = Vec::new();
    for script in files.iter().filter(|file| file.path.starts_with("ci/")) {
        findings.extend(script_faults(
            script,
            executable(&root().join(&script.path)),
            run,
            workflow,
        ));
    }
    expect_none(&findings, "See any other script in ci/ for the form.");
}

#[test]
fn a_script_in_bad_form_is_found() {
    let script = |text: &str| File { path: "ci/lint".into(), text: text.into() };
    let good =
        script("#!/usr/bin/env bash\n# Reads what the compiler lets pass.\nset -euo pipefail\n");
    expect_lines(&script_faults(&good, true, "for check in lint docs", "run: ci/lint"), &[]);
    expect_lines(&script_faults(&good, false, "# lint\ndocs", "run: ci/linters"), &[0, 0, 0]);
    expect_lines(&script_faults(&script("#!/bin/sh\n\n"), true, "lint", "lint"), &[1, 2, 0]);
    let traps =
        "trap 'rm -f x' EXIT\ntrap 'finished; rm -f x' EXIT\ntrap - EXIT\ntrap 'exit 1' INT\n";
    let traps = script(&(good.text.clone() + traps));
    expect_lines(&script_faults(&traps, true, "lint", "lint"), &[4]);
}

/// The first two commands that a page gives on lines of their own.
fn commands(page: &str) -> Vec<&str> {
    page.lines().filter(|line| line.starts_with("cargo ")).take(2).collect()
}

#[test]
fn the_two_commands_of_the_readme_are_what_the_scripts_run() {
    let files = files();
    let commands = commands(text_of(&files, "README.md"));
    let [first, second] = commands[..] else {
        panic!("README.md gives {commands:?}, not two commands")
    };
    for (command, path) in [(first, ".ci/run"), (second, "ci/test")] {
        let script = text_of(&files, path);
        assert!(script.contains(command), "{path} does not run `{command}`, as README.md gives it");
    }
}
