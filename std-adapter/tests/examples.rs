//! The short programs of `examples/`: each runs, checks its own result, and is listed where its readers look.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn each_short_program_runs_and_is_listed() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = std::env::current_exe().expect("we run from a file");
    let profile = test.parent().and_then(Path::parent).expect("TARGET/PROFILE/deps/TEST");
    let list = fs::read_to_string(here.join("README.md")).expect("the list");
    let mut programs = 0;
    for entry in fs::read_dir(here.join("examples")).expect("the programs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        programs += 1;
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        assert!(list.contains(&format!("(examples/{name}.rs)")), "{name} is not in README.md");

        let mut run = Command::new(env!("CARGO"));
        run.args(["run", "--quiet", "--package", "aqueduct", "--example", name]);
        run.current_dir(here).arg("--target-dir").arg(profile.parent().expect("TARGET/PROFILE"));
        if profile.ends_with("release") {
            run.arg("--release");
        }
        let output = run.output().expect("cargo started this test");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
        assert!(!output.stdout.is_empty(), "{name} says nothing");
    }
    assert!(programs > 0);
}
