//! Rust source as the rules look at it: each line split into code and comment, strings blanked.

/// One line of a Rust file.
#[derive(Default)]
pub(crate) struct Line {
    /// What the compiler sees, with the contents of string and character literals left out.
    pub(crate) code: String,
    /// What stands in comments on this line, markers included.
    pub(crate) comment: String,
    /// Inside an item under `#[cfg(test)]`.
    pub(crate) test: bool,
    /// Part of a `use`.
    pub(crate) import: bool,
}

impl Line {
    /// A line that carries a comment and nothing else.
    fn is_comment(&self) -> bool {
        self.code.trim().is_empty() && !self.comment.is_empty()
    }

    fn is_attribute(&self) -> bool {
        self.code.trim_start().starts_with("#[")
    }
}

pub(crate) struct Source {
    pub(crate) lines: Vec<Line>,
}

/// What the end of one character leaves the next one in.
enum State {
    Code,
    LineComment,
    BlockComment(usize),
    Text { hashes: Option<usize> },
}

impl Source {
    pub(crate) fn parse(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut lines = vec![Line::default()];
        let mut state = State::Code;
        let mut at = 0;
        while at < chars.len() {
            let rest = &chars[at..];
            let c = rest[0];
            let line = lines.last_mut().expect("starts with one");
            if c == '\n' {
                if matches!(state, State::LineComment) {
                    state = State::Code;
                }
                lines.push(Line::default());
                at += 1;
                continue;
            }
            at += match state {
                State::Code if rest.starts_with(&['/', '/']) => {
                    line.comment.push_str("//");
                    state = State::LineComment;
                    2
                }
                State::Code if rest.starts_with(&['/', '*']) => {
                    state = State::BlockComment(1);
                    2
                }
                State::Code => {
                    if let Some((length, opened)) = opens_text(rest, line.code.chars().last()) {
                        line.code.push('"');
                        state = opened;
                        length
                    } else if let Some(length) = character_literal(rest) {
                        line.code.push_str("' '");
                        length
                    } else {
                        line.code.push(c);
                        1
                    }
                }
                State::LineComment => {
                    line.comment.push(c);
                    1
                }
                State::BlockComment(depth) => match rest {
                    ['*', '/', ..] => {
                        state =
                            if depth == 1 { State::Code } else { State::BlockComment(depth - 1) };
                        2
                    }
                    ['/', '*', ..] => {
                        state = State::BlockComment(depth + 1);
                        2
                    }
                    _ => {
                        line.comment.push(c);
                        1
                    }
                },
                State::Text { hashes: None } if c == '\\' => {
                    // An escaped line end must still count as a line.
                    if rest.get(1) == Some(&'\n') { 1 } else { 2 }
                }
                State::Text { hashes } => {
                    let hashes = hashes.unwrap_or(0);
                    let closes = c == '"'
                        && rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
                    if closes {
                        line.code.push('"');
                        state = State::Code;
                        1 + hashes
                    } else {
                        1
                    }
                }
            };
        }
        let mut source = Self { lines };
        source.mark_tests();
        source.mark_imports();
        source
    }

    fn mark_imports(&mut self) {
        let mut importing = false;
        for line in &mut self.lines {
            let before = line.code.trim().split("use ").next().unwrap_or_default();
            importing |= line.code.contains("use ")
                && matches!(before, "" | "pub " | "pub(crate) " | "pub(super) ");
            line.import = importing;
            importing &= !line.code.contains(';');
        }
    }

    /// Marks what stands under `#[cfg(test)]`: the attribute, and the item after it up to its closing brace or
    /// semicolon.
    fn mark_tests(&mut self) {
        let mut at = 0;
        while at < self.lines.len() {
            let code = self.lines[at].code.trim();
            if !(code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test")) {
                at += 1;
                continue;
            }
            let mut depth = 0i32;
            let mut opened = false;
            while let Some(line) = self.lines.get_mut(at) {
                line.test = true;
                at += 1;
                for c in line.code.chars() {
                    match c {
                        '{' => (depth, opened) = (depth + 1, true),
                        '}' => depth -= 1,
                        ';' if depth == 0 => opened = true,
                        _ => {}
                    }
                }
                if opened && depth == 0 {
                    break;
                }
            }
        }
    }

    /// The comments that speak for line `at` (from 0): its own, those on the `reach` lines above it, and, where
    /// one of these belongs to a block of comment lines, the block.
    pub(crate) fn comments_near(&self, at: usize, reach: usize) -> String {
        let mut first = at.saturating_sub(reach);
        if self.lines[first].is_comment() {
            while first > 0 && self.lines[first - 1].is_comment() {
                first -= 1;
            }
        }
        self.lines[first..=at].iter().map(|line| format!("{}\n", line.comment)).collect()
    }

    /// The comment block straight above line `at` (from 0), over any attributes between.
    pub(crate) fn comment_above(&self, at: usize) -> String {
        let mut first = at;
        while first > 0
            && (self.lines[first - 1].is_comment() || self.lines[first - 1].is_attribute())
        {
            first -= 1;
        }
        self.lines[first..at].iter().map(|line| format!("{}\n", line.comment)).collect()
    }

    /// The words and the punctuation from column `from` of line `at` on, across line ends.
    pub(crate) fn tokens_from(&self, at: usize, from: usize) -> impl Iterator<Item = &str> {
        let first = &self.lines[at].code[from..];
        let later = self.lines[at + 1..].iter().map(|line| line.code.as_str());
        std::iter::once(first).chain(later).flat_map(|code| words(code).map(|(_, word)| word))
    }
}

/// The identifiers of `code` and its other characters one by one, with their columns; white space left out.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut at = 0;
    std::iter::from_fn(move || {
        at += code[at..].find(|c: char| !c.is_whitespace())?;
        let start = at;
        let first = code[at..].chars().next()?;
        at += if is_word(first) {
            code[at..].find(|c| !is_word(c)).unwrap_or(code.len() - at)
        } else {
            first.len_utf8()
        };
        Some((start, &code[start..at]))
    })
}

/// Whether a string literal begins here, how long its opening is, and the state inside it.
fn opens_text(rest: &[char], before: Option<char>) -> Option<(usize, State)> {
    if rest[0] == '"' {
        return Some((1, State::Text { hashes: None }));
    }
    // A raw string's r (or br, cr) is no part of a longer word.
    if before.is_some_and(|c| c.is_alphanumeric() && !matches!(c, 'b' | 'c') || c == '_')
        || rest[0] != 'r'
    {
        return None;
    }
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    (rest.get(1 + hashes) == Some(&'"'))
        .then_some((2 + hashes, State::Text { hashes: Some(hashes) }))
}

/// The length of the character literal that begins here; `None` for a lifetime.
fn character_literal(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', ..] => rest[3..].iter().position(|c| *c == '\'').map(|n| n + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

#[test]
fn code_comments_and_strings_are_told_apart() {
    let text = r###"
let a = "// no comment"; // a comment
let b = '"'; let c: &'static str = r#"a " quote"#; /* one /* two */ still */ let d = '\'';
let e = "two \
lines"; // end
"###;
    let source = Source::parse(text);
    let code: Vec<&str> = source.lines.iter().map(|line| line.code.trim()).collect();
    assert_eq!(code[1], r#"let a = "";"#);
    assert_eq!(source.lines[1].comment, "// a comment");
    assert_eq!(code[2], r#"let b = ' '; let c: &'static str = "";  let d = ' ';"#);
    assert_eq!(source.lines[2].comment, " one  two  still ");
    assert_eq!(code[4], r#"";"#);
    assert_eq!(source.lines[4].comment, "// end");
}

#[test]
fn test_modules_are_marked_and_what_follows_them_is_not() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod d;\nfn e() {}";
    let marked: Vec<bool> = Source::parse(text).lines.iter().map(|line| line.test).collect();
    assert_eq!(marked, [false, true, true, true, true, false, true, true, false]);
}

#[test]
fn a_comment_block_is_read_to_its_top() {
    let source = Source::parse("// top\n// 2\n// 3\n// 4\na();\nb();");
    assert!(source.comments_near(5, 2).contains("top"));
    assert!(!source.comments_near(5, 1).contains("//"));
    let source = Source::parse("/// doc\n#[inline]\nunsafe fn f() {}");
    assert!(source.comment_above(2).contains("doc"));
}
