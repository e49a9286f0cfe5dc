//! What is said about a text: errors and notices in Postgres' words, with their place.

use std::fmt;

/// SQLSTATE of a syntax error.
pub(crate) const SYNTAX_ERROR: &str = "42601";

/// Why a text is not DDLX, as Postgres would say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Such as `syntax error at or near "JUNK"`.
    pub message: String,
    /// A way out, where the message alone does not show it.
    pub hint: Option<&'static str>,
    /// `42601`, or what Postgres has for an escape that it does not take (`22025`, `22021`).
    pub sqlstate: &'static str,
    /// Where in the text, in bytes, from 0.
    pub byte_offset: usize,
    /// Where in the text, in characters, from 1: a cursor position as Postgres counts them.
    pub char_position: usize,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// What Postgres tells while it reads a name that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `identifier "…" will be truncated to "…"`.
    pub message: String,
}

impl Notice {
    /// The SQLSTATE of the notice: `name_too_long`.
    pub const SQLSTATE: &'static str = "42622";
}

/// An error whose place is known in bytes only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub message: String,
    pub hint: Option<&'static str>,
    pub sqlstate: &'static str,
    pub at: usize,
}

impl Fault {
    /// A fault with SQLSTATE 42601 and no hint.
    pub fn new(message: impl Into<String>, at: usize) -> Fault {
        Fault {
            message: message.into(),
            hint: None,
            sqlstate: SYNTAX_ERROR,
            at,
        }
    }

    pub fn hint(self, hint: &'static str) -> Fault {
        Fault {
            hint: Some(hint),
            ..self
        }
    }

    pub fn sqlstate(self, sqlstate: &'static str) -> Fault {
        Fault { sqlstate, ..self }
    }

    /// The error, where `chars` characters of `text` come before the byte `from`. Counting from there keeps a text with many
    /// errors linear.
    pub fn in_text(self, text: &str, from: usize, chars: usize) -> SyntaxError {
        SyntaxError {
            char_position: chars + text[from..self.at].chars().count() + 1,
            byte_offset: self.at,
            message: self.message,
            hint: self.hint,
            sqlstate: self.sqlstate,
        }
    }
}
