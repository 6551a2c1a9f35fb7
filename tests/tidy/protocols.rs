//! The protocol files tell the whole story, in the same six parts.

use crate::tree::{File, files};
use crate::{Finding, expect_lines, expect_none};

const HEADINGS: &[&str] =
    &["Words", "State", "Steps", "Pairs", "The race that would lose", "Rejected"];

/// The headings of a Markdown text, with their lines (from 0), code blocks left out.
pub(crate) fn headings(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if let Some((marks, title)) = line.split_once(' ')
            && !in_code
            && !marks.is_empty()
            && marks.chars().all(|c| c == '#')
        {
            found.push((at, title.trim()));
        }
    }
    found
}

/// What stands under the heading that begins with `title`, up to the next of the six.
pub(crate) fn section(text: &str, title: &str) -> Option<String> {
    let headings = headings(text);
    let (from, _) = headings.iter().find(|(_, heading)| heading.starts_with(title))?;
    let to = headings
        .iter()
        .find(|(at, heading)| at > from && HEADINGS.iter().any(|title| heading.starts_with(title)))
        .map_or(usize::MAX, |(at, _)| *at);
    Some(text.lines().take(to).skip(from + 1).map(|line| format!("{line}\n")).collect())
}

fn lacking_parts(file: &File) -> Vec<Finding> {
    let headings = headings(&file.text);
    let mut after = None;
    let mut findings = Vec::new();
    for title in HEADINGS {
        let place =
            headings.iter().find(|(at, heading)| heading.starts_with(title) && Some(*at) > after);
        match place {
            Some((at, _)) => after = Some(*at),
            None => findings.push(Finding::new(
                &file.path,
                0,
                format!("no heading `{title}` in its place"),
            )),
        }
    }
    findings
}

#[test]
fn every_protocol_has_its_six_parts() {
    let mut files = files();
    files.retain(|file| file.path.ends_with("PROTOCOL.md"));
    let findings: Vec<Finding> = files.iter().flat_map(lacking_parts).collect();
    expect_none(
        &findings,
        &format!("A PROTOCOL.md has these headings, in this order: {HEADINGS:?}."),
    );
}

/// Protocols that `architecture` does not name.
fn untold(architecture: &str, protocols: &[File]) -> Vec<Finding> {
    let is_untold = |file: &&File| !architecture.contains(&format!("`{}`", file.path));
    let finding = |file| Finding::new(file, 0, "is not in the table of ARCHITECTURE.md");
    protocols.iter().filter(is_untold).map(|file| finding(&file.path)).collect()
}

#[test]
fn the_architecture_names_every_protocol() {
    let (protocols, others): (Vec<_>, Vec<_>) =
        files().into_iter().partition(|file| file.path.ends_with("PROTOCOL.md"));
    let architecture = others.iter().find(|file| file.path == "ARCHITECTURE.md").expect("is there");
    expect_none(&untold(&architecture.text, &protocols), "Each story has a line there.");
}

#[test]
fn a_protocol_that_is_not_named_is_found() {
    let file = |path: &str| File { path: path.into(), text: String::new() };
    let protocols = [file("x/PROTOCOL.md"), file("y/PROTOCOL.md")];
    let findings = untold("| `y/PROTOCOL.md` | `y/` |", &protocols);
    assert!(matches!(&findings[..], [one] if one.path == "x/PROTOCOL.md"), "{findings:#?}");
}

#[test]
fn a_missing_part_is_found() {
    let text = "# Ring\n## Words\n## State\n## Steps per party\n### push\n## Pairs\n## Rejected\n";
    let file = File { path: "x/PROTOCOL.md".into(), text: text.into() };
    let findings = lacking_parts(&file);
    expect_lines(&findings, &[0]);
    assert!(findings[0].what.contains("The race"), "{findings:#?}");
    assert_eq!(
        section("## Pairs\na\n### sub\nb\n## Rejected\nc", "Pairs").as_deref(),
        Some("a\n### sub\nb\n")
    );
}
