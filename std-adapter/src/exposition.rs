//! Prometheus's text exposition, version 0.0.4: how its lines are written, for all that writes pages.

use std::fmt::{self, Display, Write};

/// What a server says that a page is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page under construction. All samples of a family stand together, behind its head.
pub(crate) struct Exposition {
    /// What the names of all families begin with.
    prefix: &'static str,
    text: String,
}

impl Exposition {
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self { prefix, text: String::new() }
    }

    /// The head of a family: what it is, for people and for the scraper.
    pub(crate) fn head(&mut self, family: &str, kind: &str, help: &str) -> fmt::Result {
        let prefix = self.prefix;
        writeln!(self.text, "# HELP {prefix}_{family} {help}")?;
        writeln!(self.text, "# TYPE {prefix}_{family} {kind}")
    }

    pub(crate) fn sample(
        &mut self,
        name: &str,
        labels: &Labels,
        value: impl Display,
    ) -> fmt::Result {
        writeln!(self.text, "{}_{name}{{{}}} {value}", self.prefix, labels.0)
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// The labels of a sample, with their values.
#[derive(Clone)]
pub(crate) struct Labels(String);

impl Labels {
    pub(crate) fn new(label: &str, value: &str) -> Self {
        Self(format!("{label}=\"{}\"", Escaped(value)))
    }

    /// One label more.
    pub(crate) fn and(&self, label: &str, value: impl Display) -> Self {
        Self(format!("{},{label}=\"{}\"", self.0, Escaped(value)))
    }
}

/// A label's value: three characters have to be escaped.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_string().chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}
