//! Every piece of unsafe code has its reason beside it.

use crate::source::{Source, words};
use crate::tree::{File, rust_files};
use crate::{Finding, expect_lines, expect_none};

/// How far above a block its reason may stand.
const REACH: usize = 6;

fn unexplained(file: &File) -> Vec<Finding> {
    let source = Source::parse(&file.text);
    let mut findings = Vec::new();
    for (at, line) in source.lines.iter().enumerate() {
        let keywords = words(&line.code).filter(|(_, word)| *word == "unsafe");
        for (column, keyword) in keywords {
            let next = source.tokens_from(at, column + keyword.len());
            // What the ABI's name is does not matter; its quotes are two tokens.
            let next: Vec<&str> =
                next.take(4).filter(|token| !matches!(*token, "extern" | "\"")).collect();
            let missing = match (next.first().copied(), next.get(1).copied()) {
                // The type of a function, not a function.
                (Some("fn"), Some("(")) => None,
                (Some("fn" | "trait"), _) => {
                    let above = source.comment_above(at);
                    let public = words(&line.code).next().is_some_and(|(_, word)| word == "pub");
                    let explained =
                        above.contains("# Safety") || (!public && above.contains("SAFETY:"));
                    (!explained).then_some("a `# Safety` section in its documentation")
                }
                _ => {
                    let explained = source.comments_near(at, REACH).contains("SAFETY:");
                    (!explained).then_some("a SAFETY comment just above")
                }
            };
            if let Some(missing) = missing {
                findings.push(Finding::new(&file.path, at + 1, format!("lacks {missing}")));
            }
        }
    }
    findings
}

#[test]
fn unsafe_code_says_why_it_is_sound() {
    let findings: Vec<Finding> = rust_files(&[""]).iter().flat_map(unexplained).collect();
    expect_none(
        &findings,
        "One block, one reason, about this very call: which line of the file's list of who may touch what makes it\n\
         sound.",
    );
}

#[test]
fn unsafe_code_without_a_reason_is_found() {
    let planted = r#"
fn a() { unsafe { b() } }

type C = unsafe fn(u8);

unsafe impl Send for D {}

/// Does.
pub unsafe fn e() {}





// SAFETY: the reason.
fn f() { unsafe { b() } }

/// # Safety
///
/// Never call it.
#[inline]
pub unsafe fn g() {}

// SAFETY: as the trait asks.
unsafe fn h() {}
let text = "unsafe { }"; // unsafe { }





unsafe extern "C" { safe fn i(); }
"#;
    let file = File { path: "x.rs".into(), text: planted.into() };
    expect_lines(&unexplained(&file), &[2, 6, 9, 32]);
}
