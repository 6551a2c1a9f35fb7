//! Who may know what: atomics have one door, orderings stay in core, unsafe code below the adapter.

use crate::source::Source;
use crate::tree::{File, is_test_module, rust_files};
use crate::{Finding, expect_lines, expect_none};

const DOOR: &str = "core/src/sync.rs";

/// What only the door may name, and what to use instead.
const BEHIND_THE_DOOR: &[(&str, &str)] = &[
    ("sync::atomic", "crate::sync"),
    ("portable_atomic::", "crate::sync"),
    ("loom::", "crate::sync"),
    ("cell::UnsafeCell", "crate::sync::UnsafeCell"),
    ("hint::spin_loop", "crate::sync::spin_loop"),
];

fn past_the_door(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in Source::parse(&file.text).lines.iter().enumerate() {
        let code: String = line.code.split_whitespace().collect();
        for (name, instead) in BEHIND_THE_DOOR {
            // In std-adapter nothing replaces an atomic: a primitive is missing in core.
            if code.contains(name) && !line.test {
                findings.push(Finding::new(&file.path, at + 1, format!("`{name}`; use {instead}")));
            }
        }
    }
    findings
}

#[test]
fn atomics_come_through_the_one_door() {
    let mut files = rust_files(&["core/src/", "std-adapter/src/"]);
    files.retain(|file| file.path != DOOR && !is_test_module(&file.path));
    let findings: Vec<Finding> = files.iter().flat_map(past_the_door).collect();
    expect_none(
        &findings,
        "Only core/src/sync.rs may know where atomics, cells and spin hints come from: code that goes past it is\n\
         not seen by loom, by the interrupt checker, or by targets without compare-and-swap. In std-adapter a\n\
         primitive is missing in core.",
    );
}

#[test]
fn a_way_past_the_door_is_found() {
    let planted = "use crate::sync::AtomicUsize;\n// core::sync::atomic is elsewhere\n\
                   use core::sync::atomic::AtomicUsize;\nlet x = core::hint:: spin_loop();\n\
                   use core::{sync::atomic::{fence}, mem};\nuse loom::cell::Cell;\ncfg!(aqueduct_loom)";
    let file = File { path: "core/src/x.rs".into(), text: planted.into() };
    expect_lines(&past_the_door(&file), &[3, 4, 5, 6]);
}

/// The words that a program for a chip shares with its handlers are `Word`s of the runtime; peers have their own needs.
#[test]
fn programs_for_chips_share_words_only() {
    let mut files = rust_files(&["tests/firmware/interrupt/"]);
    files.retain(|file| file.path != "tests/firmware/interrupt/src/peers.rs");
    assert!(!files.is_empty(), "the programs for chips are elsewhere");
    let mut findings: Vec<Finding> = files.iter().flat_map(past_the_door).collect();
    // `Turn` is the one place where something whole is lent out.
    findings.retain(|finding| !finding.path.ends_with("/turn.rs"));
    expect_none(&findings, "Use `Word`, or `Turn`: whoever looks for what is shared looks there.");
}

fn orderings_named(file: &File) -> Vec<Finding> {
    let source = Source::parse(&file.text);
    let named = source.lines.iter().enumerate().filter(|(_, line)| {
        let code = line.code.replace("cmp::Ordering::", "");
        code.contains("Ordering::") && !line.test
    });
    named.map(|(at, _)| Finding::new(&file.path, at + 1, "names a memory ordering")).collect()
}

#[test]
fn the_adapter_knows_no_memory_ordering() {
    let findings: Vec<Finding> =
        rust_files(&["std-adapter/src/"]).iter().flat_map(orderings_named).collect();
    expect_none(
        &findings,
        "std-adapter composes what core offers. If it needs an ordering, a primitive is missing in core: write it\n\
         there, with its label, its pair and its models. (For a comparison, write cmp::Ordering::.)",
    );
}

#[test]
fn an_ordering_in_the_adapter_is_found() {
    let planted = "// Ordering::Relaxed\nx.load(Ordering::Relaxed);\nmatch a.cmp(b) { cmp::Ordering::Less => 1 }";
    let file = File { path: "std-adapter/src/x.rs".into(), text: planted.into() };
    expect_lines(&orderings_named(&file), &[2]);
}

/// The attributes that a crate's first file must carry.
fn lacks_attribute(path: &str, text: &str, attribute: &str) -> Vec<Finding> {
    let has = Source::parse(text).lines.iter().any(|line| line.code.trim() == attribute);
    if has { vec![] } else { vec![Finding::new(path, 0, format!("lacks `{attribute}`"))] }
}

#[test]
fn the_adapter_forbids_unsafe_code_and_core_has_no_std() {
    let mut findings = Vec::new();
    for (path, attribute) in
        [("std-adapter/src/lib.rs", "#![forbid(unsafe_code)]"), ("core/src/lib.rs", "#![no_std]")]
    {
        let file = rust_files(&[path]).pop().expect("a crate has a first file");
        findings.extend(lacks_attribute(path, &file.text, attribute));
    }
    expect_none(&findings, "These two lines are promises of ARCHITECTURE.md.");
}

#[test]
fn a_missing_attribute_is_found() {
    let attribute = "#![forbid(unsafe_code)]";
    expect_lines(&lacks_attribute("x", "// #![forbid(unsafe_code)]\npub mod a;", attribute), &[0]);
    expect_lines(&lacks_attribute("x", "//! Doc.\n#![forbid(unsafe_code)]\n", attribute), &[]);
}
