//! No public type is missing in the tables.

use std::fs;
use std::path::{Path, PathBuf};

/// Those that users cannot name, or that come in the type of another only, and those of optional features, which these tests are
/// built without.
const LEFT_OUT: &[(&str, &[&str])] = &[
    ("core/src/channel/future.rs", &["Key"]),
    ("core/src/wait/slot.rs", &["Slot"]),
    ("core/src/channel/stream.rs", &["RecvStream", "SendSink"]),
    ("std-adapter/src/channel/locked/token.rs", &["Token"]),
    ("std-adapter/src/channel/select/arm.rs", &["RecvArm", "SendArm", "Chosen", "DoneArm"]),
    ("std-adapter/src/channel/select/run.rs", &["Limit"]),
    ("std-adapter/src/sync/deadlock.rs", &["Cycle", "Step"]),
    ("std-adapter/src/pipeline/cap.rs", &["Capped"]),
    ("std-adapter/src/pipeline/desk.rs", &["Desk"]),
    ("std-adapter/src/pipeline/parcel.rs", &["Parcel"]),
    ("std-adapter/src/pipeline/flow.rs", &["Below", "Launch", "Order"]),
    ("std-adapter/src/pipeline/keyed.rs", &["Unkeyed", "ByKey"]),
    ("std-adapter/src/pipeline/machine.rs", &["Scan", "Batching", "Pace", "Quiet"]),
    ("std-adapter/src/pipeline/order.rs", &["Ordered", "OnCommit"]),
    ("std-adapter/src/pipeline/policy.rs", &["Keeping", "Burying"]),
    ("std-adapter/src/pipeline/serial.rs", &["Serial", "Due"]),
    ("std-adapter/src/pipeline/stage.rs", &["Stage", "Plan"]),
    ("std-adapter/src/pipeline/unpack.rs", &["Sifted", "Unpacked"]),
    ("std-adapter/src/pipeline/work.rs", &["Map", "Try", "TryInit", "Fused"]),
];

fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names after `pub struct` and `pub enum`.
fn public_types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
        rest.split(|c: char| !c.is_alphanumeric()).next()
    })
}

/// Whether a row of a table asks for the type.
fn is_asked_for(table: &str, name: &str) -> bool {
    table
        .lines()
        .filter(|line| line.trim_end().ends_with("\";"))
        .any(|row| row.split(|c: char| !c.is_alphanumeric()).any(|word| word == name))
}

#[test]
fn every_public_type_is_in_a_table() {
    let tests = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&tests).parent().expect("tests/ has a parent");
    let (mut missing, mut types) = (Vec::new(), 0);
    for (source, table) in [
        ("core/src", include_str!("core_types.rs")),
        ("std-adapter/src", include_str!("std_types.rs")),
    ] {
        let mut files = Vec::new();
        rust_files(&root.join(source), &mut files);
        for file in files {
            let text = fs::read_to_string(&file).expect("a file of the project");
            let path = file.strip_prefix(root).expect("below the root").to_str().expect("UTF-8");
            let left_out =
                LEFT_OUT.iter().find(|(file, _)| *file == path).map_or(&[][..], |(_, names)| names);
            for name in public_types(&text) {
                types += 1;
                if !left_out.contains(&name) && !is_asked_for(table, name) {
                    missing.push(format!("{path}: {name}"));
                }
            }
        }
    }
    assert!(types > 50, "{types} types found");
    assert!(missing.is_empty(), "in no table:\n{}", missing.join("\n"));
}

/// Types of core without `defmt::Format`: what its user cannot name, and futures and iterators, of which whoever polls
/// them knows all there is to know.
const UNLOGGED: &[&str] = &[
    "Key",
    "Slot",
    "IntoIter",
    "Exclusive",
    "Acquire",
    "AcquireOwned",
    "Send",
    "Recv",
    "RecvMany",
    "Reserve",
    "RecvWatch",
    "SendWatch",
    "RecvStream",
    "SendSink",
    "Read",
    "Write",
    "UpgradableRead",
    "Upgrade",
    "RawAcquire",
    "RawUpgrade",
];

#[test]
fn every_object_of_core_can_be_logged() {
    let tests = std::env::var("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    let core = Path::new(&tests).parent().expect("tests/ has a parent").join("core/src");
    let formats = fs::read_to_string(core.join("format.rs")).expect("the impls of defmt::Format");
    let mut files = Vec::new();
    rust_files(&core, &mut files);
    let mut missing = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a file of the project");
        missing.extend(
            public_types(&text)
                .filter(|name| !UNLOGGED.contains(name) && !has_format(&formats, name))
                .map(|name| format!("{}: {name}", file.display())),
        );
    }
    assert!(missing.is_empty(), "without defmt::Format:\n{}", missing.join("\n"));
}

/// Whether a row of the table of formats begins with the type, after its generics.
fn has_format(table: &str, name: &str) -> bool {
    table.lines().filter(|line| line.trim_end().ends_with(['{', '}'])).any(|row| {
        let row = row.split_once("] ").or_else(|| row.split_once(" for ")).map(|(_, row)| row);
        let path = row.and_then(|row| row.split(['<', ' ']).next()).unwrap_or_default();
        path.rsplit("::").next() == Some(name)
    })
}

#[test]
fn a_type_that_is_missing_is_found() {
    assert!(
        has_format("    [T] spsc::A<'_, T> {\n", "A") && !has_format("use x::{\n A,\n};\n", "A")
    );
    let names: Vec<_> =
        public_types("pub struct A<T> {\n    pub enum B {\npub(crate) struct C;\n").collect();
    assert_eq!(names, ["A", "B"]);
    let table = "use x::C;\nT => A<T>, [\"SS\"], \"U--\";\n";
    assert!(is_asked_for(table, "A"));
    assert!(!is_asked_for(table, "B") && !is_asked_for(table, "C"));
}
