//! Links between the project's own pages lead somewhere.

use crate::protocols::headings;
use crate::tree::{File, files, root};
use crate::{Finding, expect_lines, expect_none};

/// The targets of `[text](target)` on each line (from 0), code left out.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        // A target can stand in no inline code: the pieces outside backticks begin where a link may close.
        for piece in line.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                found.push((at, target));
            }
        }
    }
    found
}

/// The anchor that a heading gets where Markdown is shown with anchors.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// `exists` answers whether a path from the root is there; `text` gives a page of the project.
fn dead_links<'a>(
    file: &File,
    exists: impl Fn(&str) -> bool,
    text: impl Fn(&str) -> Option<&'a str>,
) -> Vec<Finding> {
    let directory = file.path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut findings = Vec::new();
    for (at, target) in links(&file.text) {
        // An address, or a path of rustdoc's.
        if target.contains("://") || target.starts_with("mailto:") || target.contains("::") {
            continue;
        }
        let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
        let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
        for part in path.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let path = if path.is_empty() { file.path.clone() } else { parts.join("/") };
        let lost =
            || Finding::new(&file.path, at + 1, format!("the link to `{target}` leads nowhere"));
        if !exists(&path) {
            findings.push(lost());
        } else if !fragment.is_empty()
            && let Some(text) = text(&path)
            && !headings(text).iter().any(|(_, heading)| anchor(heading) == fragment)
        {
            findings.push(lost());
        }
    }
    findings
}

#[test]
fn links_between_pages_lead_somewhere() {
    let files = files();
    let pages: Vec<&File> = files.iter().filter(|file| file.path.ends_with(".md")).collect();
    let page =
        |path: &str| pages.iter().find(|page| page.path == path).map(|page| page.text.as_str());
    let findings: Vec<Finding> = pages
        .iter()
        .flat_map(|file| dead_links(file, |path| root().join(path).exists(), page))
        .collect();
    expect_none(&findings, "The page or the heading was moved, or never was.");
}

#[test]
fn a_dead_link_is_found() {
    let text = "# Here\n[a](b.md) [c](../gone.md)\n[d](#here) [e](#there)\n[f](https://x.y/z) [g](crate::queue)\n\
                [h](b.md#part-two) [i](b.md#part-three)\n```\n[j](gone)\n```\n";
    let file = File { path: "docs/page.md".into(), text: text.into() };
    let pages = |path: &str| match path {
        "docs/page.md" => Some(text),
        "docs/b.md" => Some("## Part two\n"),
        _ => None,
    };
    expect_lines(&dead_links(&file, |path| pages(path).is_some(), pages), &[2, 3, 5]);
}
