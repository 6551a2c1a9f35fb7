//! A context on its way to another process: its deadline and its end, as lines of text.
//!
//! | header | value |
//! |---|---|
//! | `aqueduct-timeout` | how long is left until the deadline, in whole microseconds, rounded down; 2^64 - 1 at the most |
//! | `aqueduct-error` | `canceled` or `deadline-exceeded`, if it is done |
//! | `aqueduct-cause` | what it was cancelled with, as text; all but printable ASCII, and `%`, and a space at either end, as `%` and two hexadecimal digits |
//!
//! The time that is left, and not the time of day: two machines seldom agree on that. So what the message spends on its way
//! comes on top.

use super::{Context, ContextError};
use std::error::Error;
use std::fmt::{self, Write};
use std::time::{Duration, Instant};

const TIMEOUT: &str = "aqueduct-timeout";
const ERROR: &str = "aqueduct-error";
const CAUSE: &str = "aqueduct-cause";

const CANCELED: &str = "canceled";
const DEADLINE_EXCEEDED: &str = "deadline-exceeded";

impl Context {
    /// Writes what another process needs in order to go on under this context: name and value of each header, in any map
    /// of strings, be it of HTTP, a message broker or a file.
    ///
    /// These are the time that is left until the [deadline](Self::deadline) and, if it is done, why, with the
    /// [cause](Self::cause) as text. Values are fit for HTTP. What is done already is told; a cancellation that comes later is
    /// for the connection to tell, by closing, or by writing the headers once more. Values of
    /// [`with_value`](Self::with_value) are types of your own: write those that should go along yourself, as below.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::Context;
    /// use std::{collections::HashMap, time::Duration};
    ///
    /// struct Trace(String);
    ///
    /// // Here:
    /// let context = Context::background().with_timeout(Duration::from_secs(60)).with_value(Trace("7f".into()));
    /// let mut headers = HashMap::new();
    /// context.write_headers(|name, value| drop(headers.insert(name.to_owned(), value.to_owned())));
    /// headers.insert("trace".to_owned(), context.value::<Trace>().unwrap().0.clone());
    ///
    /// // There:
    /// let get = |name: &str| headers.get(name).map(String::as_str);
    /// let request = Context::from_headers(&Context::background(), get)?;
    /// let request = request.with_value(Trace(headers["trace"].clone()));
    /// assert!(request.deadline().is_some() && !request.is_done());
    /// assert_eq!(request.value::<Trace>().unwrap().0, "7f");
    /// # Ok::<(), aqueduct::context::HeaderError>(())
    /// ```
    pub fn write_headers(&self, mut write: impl FnMut(&str, &str)) {
        if let Some(deadline) = self.deadline() {
            let left = deadline.saturating_duration_since(Instant::now());
            // 600,000 years and more are as good as so many.
            let micros = u64::try_from(left.as_micros()).unwrap_or(u64::MAX);
            write(TIMEOUT, &micros.to_string());
        }
        let Some(error) = self.err() else { return };
        match error {
            ContextError::Canceled => write(ERROR, CANCELED),
            ContextError::DeadlineExceeded => write(ERROR, DEADLINE_EXCEEDED),
        }
        // A cause that is the error itself says nothing new.
        if let Some(cause) = self.cause().filter(|cause| !cause.is::<ContextError>()) {
            write(CAUSE, &escape(&cause.to_string()));
        }
    }

    /// A child of `parent` with what [`write_headers`](Self::write_headers) has written in another process: `read` looks a
    /// header up by its name, which is in lower case.
    ///
    /// Its deadline is the earlier of the parent's and of what is left in the header, counted from now. If what was written was
    /// done, so is this, with the same error and the text of the cause. Without any of the headers it is a plain
    /// [`child`](Self::child).
    ///
    /// # Errors
    ///
    /// A header that is there says something else than `write_headers` would.
    ///
    /// # Examples
    ///
    /// ```
    /// use aqueduct::{Context, context::ContextError};
    ///
    /// let read = |name: &str| match name {
    ///     "aqueduct-error" => Some("canceled"),
    ///     "aqueduct-cause" => Some("the client hung up"),
    ///     _ => None,
    /// };
    /// let context = Context::from_headers(&Context::background(), read)?;
    /// assert_eq!(context.err(), Some(ContextError::Canceled));
    /// assert_eq!(context.cause().unwrap().to_string(), "the client hung up");
    ///
    /// let malformed = Context::from_headers(&Context::background(), |_| Some("soon")).unwrap_err();
    /// assert_eq!((malformed.name(), malformed.value()), ("aqueduct-timeout", "soon"));
    /// # Ok::<(), aqueduct::context::HeaderError>(())
    /// ```
    pub fn from_headers<'h>(
        parent: &Context,
        mut read: impl FnMut(&str) -> Option<&'h str>,
    ) -> Result<Context, HeaderError> {
        let timeout = read(TIMEOUT).map(parse_timeout).transpose()?;
        let cause = read(CAUSE)
            .map(|value| unescape(value).ok_or_else(|| HeaderError::new(CAUSE, value)))
            .transpose()?;
        let error = match read(ERROR) {
            None => None,
            Some(CANCELED) => Some(ContextError::Canceled),
            Some(DEADLINE_EXCEEDED) => Some(ContextError::DeadlineExceeded),
            Some(other) => return Err(HeaderError::new(ERROR, other)),
        };
        match (error, timeout) {
            (None, None) => Ok(parent.child()),
            (None, Some(timeout)) => Ok(parent.with_timeout(timeout)),
            (Some(ContextError::DeadlineExceeded), _) => Ok(parent.with_timeout(Duration::ZERO)),
            (Some(ContextError::Canceled), _) => {
                // Without its deadline, which may come before the cancellation otherwise.
                let context = parent.child();
                match cause {
                    Some(cause) => context.cancel_with(cause),
                    None => context.cancel(),
                }
                Ok(context)
            }
        }
    }
}

fn parse_timeout(value: &str) -> Result<Duration, HeaderError> {
    // `parse` alone would take a sign.
    let micros = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok());
    micros.flatten().map(Duration::from_micros).ok_or_else(|| HeaderError::new(TIMEOUT, value))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (nth, byte) in text.bytes().enumerate() {
        match byte {
            // HTTP takes spaces around a value away.
            b' ' if nth != 0 && nth != last => escaped.push(' '),
            b'!'..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => write!(escaped, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    escaped
}

fn unescape(value: &str) -> Option<String> {
    let mut text = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b' '..=b'~' => byte,
            _ => return None,
        });
    }
    String::from_utf8(text).ok()
}

/// A header that says something else than [`Context::write_headers`] would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderError {
    name: &'static str,
    value: String,
}

impl HeaderError {
    fn new(name: &'static str, value: &str) -> Self {
        Self { name, value: value.to_owned() }
    }

    /// The name of the header.
    pub fn name(&self) -> &str {
        self.name
    }

    /// What it says.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed header {}: {:?}", self.name, self.value)
    }
}

impl Error for HeaderError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was() {
        let foreign = ["%41", "naïve\r\nInjected: header", "\u{1F980}\0\t"];
        let spaces = [" ", "  ", "   ", " in  front", "behind \t ", "100 %"];
        for text in ["", "plain text"].into_iter().chain(foreign).chain(spaces) {
            let escaped = escape(text);
            assert!(escaped.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{escaped:?}");
            assert_eq!(escaped.trim(), escaped, "on its way that may be taken away");
            assert_eq!(unescape(&escaped).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for value in ["%", "%4", "%zz", "%+1", "%FF", "naïve", "a\nb"] {
            assert_eq!(unescape(value), None, "{value:?}");
        }
    }

    #[test]
    fn a_timeout_is_digits() {
        assert_eq!(parse_timeout("0"), Ok(Duration::ZERO));
        assert_eq!(parse_timeout(&u64::MAX.to_string()), Ok(Duration::from_micros(u64::MAX)));
        for value in ["", "-1", "+1", " 1", "1 ", "1.5", "1s", "18446744073709551616"] {
            assert!(parse_timeout(value).is_err(), "{value:?}");
        }
    }
}
