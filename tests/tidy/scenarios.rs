//! The table of scenarios speaks of every line of the two lists, and of every test that cites one.

use crate::tree::{File, files};
use crate::{Finding, expect_lines, expect_none};

const DIRECTORY: &str = "tests/scenarios/";

/// The lists, and how many lines each has.
const LISTS: [(char, usize); 2] = [('C', 65), ('R', 84)];

/// The names of lines in a text: a list's letter and two digits; a `b` may follow.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| {
        let digits =
            word.strip_prefix(['C', 'R']).map(|rest| rest.strip_suffix('b').unwrap_or(rest));
        digits.is_some_and(|digits| digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The lines of the lists that the table says nothing of.
fn left_out(table: &str) -> Vec<String> {
    let lines = LISTS.into_iter().flat_map(|(list, last)| (1..=last).map(move |n| (list, n)));
    let lines = lines.map(|(list, n)| format!("{list}{n:02}"));
    lines.filter(|line| !names(table).any(|name| name == line)).collect()
}

/// Where tests cite lines for which the table does not send its reader to their file.
fn not_in_the_table(table: &str, file: &File) -> Vec<Finding> {
    let path = format!("`{}`", file.path.trim_start_matches(DIRECTORY));
    let rows: Vec<&str> = table.lines().filter(|row| row.contains(&path)).collect();
    let mut findings = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let cited = line.trim_start().strip_prefix("///").into_iter().flat_map(names);
        for name in
            cited.filter(|cited| !rows.iter().any(|row| names(row).any(|name| name == *cited)))
        {
            findings.push(Finding::new(
                &file.path,
                at + 1,
                format!("{name} is not in the table with {path}"),
            ));
        }
    }
    findings
}

fn table(files: &[File]) -> &str {
    let table = files.iter().find(|file| file.path == format!("{DIRECTORY}README.md"));
    &table.expect("the table of scenarios").text
}

#[test]
fn every_line_of_the_lists_is_tried_or_explained() {
    let files = files();
    let left_out = left_out(table(&files));
    assert!(left_out.is_empty(), "{DIRECTORY}README.md does not say where {left_out:?} are tried");
}

#[test]
fn every_line_that_a_test_cites_leads_to_it() {
    let files = files();
    let tests =
        files.iter().filter(|file| file.path.starts_with(DIRECTORY) && file.path.ends_with(".rs"));
    let findings: Vec<Finding> =
        tests.flat_map(|file| not_in_the_table(table(&files), file)).collect();
    expect_none(
        &findings,
        "Cite the line that the test is about, and name its file in that line's row.",
    );
}

#[test]
fn a_line_that_is_left_out_is_found() {
    let mut table: String = (1..=65).map(|n| format!("| C{n:02} |\n")).collect();
    (1..=84).filter(|n| *n != 54).for_each(|n| table += &format!("R{n:02}, "));
    assert_eq!(left_out(&table), ["R54"]);
}

#[test]
fn a_line_that_leads_elsewhere_is_found() {
    let text = "/// R01: so\n// R02\n/// C53b, R03 (C999)\n";
    let file = File { path: format!("{DIRECTORY}pool/jobs.rs"), text: text.into() };
    let table =
        "| R01 | | `pool/jobs.rs` |\n| C53b | | `x/pool/jobs.rs` |\n| R03 | | `jobs.rs` |\n";
    expect_lines(&not_in_the_table(table, &file), &[3, 3]);
}
