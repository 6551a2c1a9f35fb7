//! Every memory ordering in core has a label, and every label a partner in its protocol.

use std::collections::{BTreeMap, BTreeSet};

use crate::protocols::section;
use crate::source::{Source, words};
use crate::tree::{File, files, is_test_module, rust_files};
use crate::{Finding, expect_lines, expect_none};

const ORDERINGS: &[&str] = &["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// How far above an access its label may stand; a comment that begins there is read from its first line.
const REACH: usize = 4;

/// The memory orderings that code gives to calls, line by line (from 0); imports and tests left out.
///
/// A word counts where an argument ends: `Acquire` can also be the name of a type.
fn orderings(source: &Source) -> Vec<(usize, Vec<&str>)> {
    let given = |code| {
        let words: Vec<&str> = words(code).map(|(_, word)| word).collect();
        let next = words.iter().skip(1).chain([&","]);
        let given = words
            .iter()
            .zip(next)
            .filter(|(word, next)| ORDERINGS.contains(word) && matches!(**next, ")" | "," | ";"));
        given.map(|(word, _)| *word).collect::<Vec<&str>>()
    };
    let lines = source.lines.iter().enumerate().filter(|(_, line)| !line.import && !line.test);
    lines.map(|(at, line)| (at, given(&line.code))).filter(|(_, given)| !given.is_empty()).collect()
}

/// `party:step`, or `alone` where nobody else can be there (`&mut self`).
fn is_label(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
    };
    text == "alone"
        || text.split_once(':').is_some_and(|(party, step)| is_word(party) && is_word(step))
}

/// The labels that one line of comment gives: `// push:publish - why`, or several before the dash, with commas.
fn labels_given(comment: &str) -> Vec<&str> {
    let given = comment.strip_prefix("// ").and_then(|comment| comment.split_once(" - "));
    let labels: Vec<&str> =
        given.map(|(labels, _)| labels.split(", ").collect()).unwrap_or_default();
    if labels.iter().all(|label| is_label(label)) { labels } else { vec![] }
}

fn unlabelled(file: &File) -> Vec<Finding> {
    let source = Source::parse(&file.text);
    let bare = orderings(&source).into_iter().filter(|(at, _)| {
        source.comments_near(*at, REACH).lines().all(|line| labels_given(line).is_empty())
    });
    bare.map(|(at, _)| Finding::new(&file.path, at + 1, "a memory ordering without a label"))
        .collect()
}

/// The programs for chips share numbers with their interrupt handlers: what order that needs, they owe a word on, too.
fn firmware_files() -> Vec<File> {
    rust_files(&["tests/firmware/rt/", "tests/firmware/interrupt/"])
}

fn core_files() -> Vec<File> {
    let mut files = rust_files(&["core/src/"]);
    files.retain(|file| file.path != "core/src/sync.rs" && !is_test_module(&file.path));
    files
}

#[test]
fn every_memory_ordering_has_a_label() {
    let findings: Vec<Finding> =
        core_files().iter().chain(&firmware_files()).flat_map(unlabelled).collect();
    expect_none(
        &findings,
        "On the line or within four above it: `// push:publish - Release: what a weaker ordering would break`. The\n\
         label stands in the Pairs of the area's PROTOCOL.md, beside its partner.",
    );
}

#[test]
fn an_ordering_without_a_label_is_found() {
    let planted = "\
pub use crate::sync::{
    Acquire, Release,
};
// push:publish - Release: the value first.
x.store(1, Release);
y.compare_exchange(
    0,
    1,
    AcqRel,
    Relaxed,
);
// A comment, and no label.
z.load(Acquire);
struct Acquire<'a>(&'a u8);
fn wait() -> Acquire<'static> {}
#[cfg(test)]
mod tests {
    fn f() { x.load(SeqCst); }
}
";
    let file = File { path: "core/src/x.rs".into(), text: planted.into() };
    // Line 9 is more than four below the label; the imports and the tests owe none.
    expect_lines(&unlabelled(&file), &[9, 10, 13]);
    assert_eq!(labels_given("// push:a, pop:b-2 - why"), ["push:a", "pop:b-2"]);
    assert_eq!(labels_given("// alone - why"), ["alone"]);
    assert!(labels_given("// see push:a - why").is_empty());
    assert!(labels_given("// note: this - why").is_empty());
}

/// The orderings that a line of comment says its access has: `// push:publish - SeqCst (why not Release): why`.
fn orderings_said(comment: &str) -> Vec<&str> {
    if labels_given(comment).is_empty() {
        return vec![];
    }
    let said = comment.split_once(" - ").map_or("", |(_, said)| said);
    let said = said.split([':', '(']).next().unwrap_or(said);
    words(said).map(|(_, word)| word).filter(|word| ORDERINGS.contains(word)).collect()
}

/// Orderings that are one thing in the code and another in the comment on it.
///
/// The ordering of an exchange that fails stands beside the other one, or on the next line. It may be named
/// anywhere in the comment; `Relaxed` there goes without saying.
fn misnamed(file: &File) -> Vec<Finding> {
    let source = Source::parse(&file.text);
    let lines = orderings(&source);
    let mut findings = Vec::new();
    for (at, given) in &lines {
        let comments = source.comments_near(*at, REACH);
        for (nth, ordering) in given.iter().enumerate() {
            let said = comments.lines().any(|line| orderings_said(line).contains(ordering));
            let of_failure = nth > 0 || lines.iter().any(|(other, _)| other + 1 == *at);
            let named = words(&comments).any(|(_, word)| word == *ordering);
            if !(said || of_failure && (named || *ordering == "Relaxed")) {
                let what = format!("`{ordering}`, which no comment on it says");
                findings.push(Finding::new(&file.path, at + 1, what));
            }
        }
    }
    findings
}

#[test]
fn comments_name_the_ordering_that_stands_in_the_code() {
    let findings: Vec<Finding> = core_files().iter().flat_map(misnamed).collect();
    expect_none(
        &findings,
        "After its label and the dash a comment says the ordering, so that an ordering that is changed without thought shows:\n\
         `// push:publish - Release: why`.",
    );
}

#[test]
fn an_ordering_that_is_not_what_its_comment_says_is_found() {
    let planted = "\
// push:publish - Release (Relaxed would lose the value): the value first.
x.store(1, Relaxed);
// pop:take - AcqRel: both; what a failed one reads is only a guess.
x.compare_exchange(0, 1, AcqRel, Relaxed);
// pop:look - Relaxed: a guess.
x.load(Acquire);
";
    let file = File { path: "core/src/x.rs".into(), text: planted.into() };
    expect_lines(&misnamed(&file), &[2, 6]);
}

/// The labels of one area: where the code gives each, and which its protocol pairs.
#[derive(Default)]
struct Area {
    given: BTreeMap<String, (String, usize)>,
    paired: Option<BTreeSet<String>>,
}

/// `queue` for `core/src/queue.rs`, `core/src/queue/ring.rs` and `core/src/queue/PROTOCOL.md`.
fn area(path: &str) -> Option<&str> {
    path.strip_prefix("core/src/")?.split(['/', '.']).next()
}

fn unpaired(files: &[File]) -> Vec<Finding> {
    let mut areas: BTreeMap<&str, Area> = BTreeMap::new();
    for file in files {
        let Some(area) = area(&file.path) else { continue };
        if file.path.ends_with("/PROTOCOL.md") {
            let pairs = section(&file.text, "Pairs").unwrap_or_default();
            let labels = pairs.split('`').skip(1).step_by(2).filter(|code| is_label(code));
            areas.entry(area).or_default().paired = Some(labels.map(String::from).collect());
        } else if file.path.ends_with(".rs")
            && file.path != "core/src/sync.rs"
            && !is_test_module(&file.path)
        {
            for (at, line) in Source::parse(&file.text).lines.iter().enumerate() {
                if !line.test {
                    for label in labels_given(&line.comment) {
                        let place = (file.path.clone(), at + 1);
                        areas.entry(area).or_default().given.entry(label.into()).or_insert(place);
                    }
                }
            }
        }
    }
    let mut findings = Vec::new();
    for (name, Area { given, paired }) in &areas {
        let protocol = format!("core/src/{name}/PROTOCOL.md");
        let Some(paired) = paired else {
            let places = given.iter().take(1);
            findings.extend(places.map(|(_, (path, line))| {
                Finding::new(path, *line, format!("there is no {protocol}"))
            }));
            continue;
        };
        for (label, (path, line)) in given {
            if !paired.contains(label) {
                findings.push(Finding::new(
                    path,
                    *line,
                    format!("`{label}` is in no pair of {protocol}"),
                ));
            }
        }
        for label in paired.iter().filter(|label| !given.contains_key(*label)) {
            findings.push(Finding::new(&protocol, 0, format!("no code gives the label `{label}`")));
        }
    }
    findings
}

#[test]
fn labels_in_the_code_and_pairs_in_the_protocols_agree() {
    expect_none(
        &unpaired(&files()),
        "The Pairs of a PROTOCOL.md list every label of its area's code, and nothing else: | `push:publish` |\n\
         `pop:observe` | the value is there |. A label that changed its name changes it in both.",
    );
}

#[test]
fn a_label_without_a_partner_is_found_on_either_side() {
    let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
    let code = "x(); // push:a - why\n// pop:new - why\n#[cfg(test)]\nmod t { // test:x - why\n}";
    let protocol =
        "# The ring\n## Pairs\n| `push:a` | `pop:gone` | that |\n## Rejected\n`not:here`\n";
    let planted = [
        file("core/src/queue/PROTOCOL.md", protocol),
        file("core/src/queue/ring.rs", code),
        file("core/src/wait.rs", "// wait:x - why"),
        file("core/src/channel.rs", "fn nothing() {}"),
    ];
    let findings = unpaired(&planted);
    expect_lines(&findings, &[2, 0, 1]);
    assert!(
        findings[0].what.contains("pop:new") && findings[1].what.contains("pop:gone"),
        "{findings:#?}"
    );
    assert!(findings[2].what.contains("core/src/wait/PROTOCOL.md"), "{findings:#?}");
}

fn silent_fences(file: &File) -> Vec<Finding> {
    let source = Source::parse(&file.text);
    let fences = source.lines.iter().enumerate().filter(|(_, line)| {
        let calls = words(&line.code).any(|(_, word)| matches!(word, "fence" | "total_order"));
        calls && !(line.import || line.test || line.code.contains("fn total_order"))
    });
    let silent = fences.filter(|(at, _)| source.comments_near(*at, REACH).trim().is_empty());
    silent.map(|(at, _)| Finding::new(&file.path, at + 1, "a fence without a word")).collect()
}

#[test]
fn no_fence_stands_silent() {
    let findings: Vec<Finding> =
        rust_files(&["core/src/"]).iter().flat_map(silent_fences).collect();
    expect_none(
        &findings,
        "Say which two accesses it keeps in order, and what is lost without it.",
    );
}

#[test]
fn a_silent_fence_is_found() {
    let planted = "use crate::sync::fence;\n\n\n\n\n\nfence(SeqCst);\n// sleep:look - why\ntotal_order();\nfn total_order() {}";
    let file = File { path: "core/src/x.rs".into(), text: planted.into() };
    expect_lines(&silent_fences(&file), &[7]);
}
