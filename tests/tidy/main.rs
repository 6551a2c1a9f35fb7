//! The rules of the house, read off the source.
//!
//! Each rule is a function from text to findings, so that it can be tried on a planted violation as well as
//! on the tree: a rule that cannot fail would be no rule. What each is for stands in `STYLE.md`.
#![cfg(not(any(aqueduct_loom, aqueduct_interrupt)))]

mod source;
mod tree;

mod doors;
mod house;
mod links;
mod orderings;
mod protocols;
mod scenarios;
mod unsafety;

/// One place that breaks a rule.
#[derive(Debug, PartialEq)]
struct Finding {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

/// Fails with every finding, one a line, and what to do about them.
#[track_caller]
fn expect_none(findings: &[Finding], advice: &str) {
    let list: String =
        findings.iter().map(|f| format!("  {}:{}: {}\n", f.path, f.line, f.what)).collect();
    assert!(findings.is_empty(), "\n{list}{advice}\n");
}

/// For the tests of a rule: it found these lines, and no others.
#[track_caller]
fn expect_lines(findings: &[Finding], lines: &[usize]) {
    let found: Vec<usize> = findings.iter().map(|f| f.line).collect();
    assert_eq!(found, lines, "{findings:#?}");
}
