//! Finds DDLX statements in the SQL that a client sends.
//!
//! A text is taken apart where Postgres' grammar does: at each `;` that is neither in parentheses (a rule's actions) nor in the
//! body of `CREATE FUNCTION … BEGIN ATOMIC … END`. psql has the same rule, but tells the end of a body by counting every `BEGIN`,
//! `CASE` and `END`, which are also names and labels; here the `END` of a body is the one behind a `;`, as in the grammar.
//!
//! The text is what reaches a server. Scripts for psql are not: lines of data behind `COPY … FROM stdin` and commands with a
//! backslash go no further than psql, so here they are read as the SQL that a server would take them for.

use crate::ast::Statement;
use crate::error::SyntaxError;
use crate::lexer::{Kind, Lexer};
use crate::parser::{self, Located};
use std::ops::Range;

/// A statement in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it stands, in bytes: from its first token to its last, without the `;`. Between statements are only blanks, comments
    /// and `;`.
    pub range: Range<usize>,
    /// What it is.
    pub kind: FoundKind,
}

/// What a statement is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundKind {
    /// DDLX.
    Ddlx(Box<Located<Statement>>),
    /// It begins as DDLX does, and is not.
    Invalid(SyntaxError),
    /// Anything else: Postgres knows.
    Other,
}

/// The statements of the text, in order, if at least one begins as DDLX does; nothing otherwise.
///
/// A text without the word `electric` costs one search for it. One with an error that Postgres sees before it runs anything, such
/// as a string without end, may still hold DDLX: nothing of such a text may be run. `standard_conforming_strings` is taken to be on.
pub fn find(text: &str) -> Vec<Found> {
    if !mentions(text.as_bytes()) {
        return vec![];
    }
    let mut found = vec![];
    let mut any = false;
    // Characters before a byte, for the positions of errors.
    let mut counted = (0, 0);
    for range in statements(text) {
        let kind = if mentions(&text.as_bytes()[range.start..range.end])
            && parser::begins_statement(text, range.start, range.end)
        {
            any = true;
            counted = (
                range.start,
                counted.1 + text[counted.0..range.start].chars().count(),
            );
            match parser::parse_one(text, range.start, range.next) {
                Ok(located) => FoundKind::Ddlx(Box::new(located)),
                Err(fault) => FoundKind::Invalid(fault.in_text(text, counted.0, counted.1)),
            }
        } else {
            FoundKind::Other
        };
        found.push(Found {
            range: range.start..range.end,
            kind,
        });
    }
    if any { found } else { vec![] }
}

/// Is the word `electric` in these bytes, in whatever case? (Horspool's search.) Without it there is no DDLX in them.
pub fn mentions(text: &[u8]) -> bool {
    const WORD: &[u8] = b"electric";
    const LAST: usize = WORD.len() - 1;
    let mut at = LAST;
    while let Some(byte) = text.get(at) {
        if text[at - LAST..=at].eq_ignore_ascii_case(WORD) {
            return true;
        }
        // As far as the last letter may lie from its place in the word.
        at += match byte.to_ascii_lowercase() {
            b'i' => 1,
            b'r' => 2,
            b't' => 3,
            b'c' => 4,
            b'e' => 5,
            b'l' => 6,
            _ => WORD.len(),
        };
    }
    false
}

/// A statement: bytes `start..end`, and `next` is where its `;` stands, or the text's length.
struct Extent {
    start: usize,
    end: usize,
    next: usize,
}

/// What the words so far tell of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Nothing,
    Create,
    CreateOr,
    CreateOrReplace,
    /// `CREATE [OR REPLACE] FUNCTION` or `PROCEDURE`, wherever it goes on.
    Routine,
    Other,
}

impl Head {
    /// After one more word.
    fn then(self, word: &str) -> Head {
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        match self {
            Self::Nothing if is("create") => Self::Create,
            Self::Create if is("or") => Self::CreateOr,
            Self::CreateOr if is("replace") => Self::CreateOrReplace,
            Self::Create | Self::CreateOrReplace if is("function") || is("procedure") => {
                Self::Routine
            }
            Self::Routine => Self::Routine,
            _ => Self::Other,
        }
    }
}

/// What came before a token, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Begin,
    /// The beginning of a statement in a body.
    Body,
    Other,
}

/// The statements of a text.
fn statements(text: &str) -> Vec<Extent> {
    let mut all = vec![];
    let mut current: Option<(usize, usize)> = None;
    let mut parentheses = 0_usize;
    let mut bodies = 0_usize;
    let mut head = Head::Nothing;
    let mut before = Before::Other;
    for token in Lexer::new(text, 0) {
        let mut now = Before::Other;
        match token.kind {
            Kind::Symbol(b'(') => parentheses += 1,
            Kind::Symbol(b')') => parentheses = parentheses.saturating_sub(1),
            Kind::Symbol(b';') if parentheses == 0 && bodies == 0 => {
                if let Some((start, end)) = current.take() {
                    let next = token.start;
                    all.push(Extent { start, end, next });
                }
                head = Head::Nothing;
                before = Before::Other;
                continue;
            }
            Kind::Symbol(b';') if parentheses == 0 => {
                head = Head::Nothing;
                now = Before::Body;
            }
            Kind::Word if parentheses == 0 => {
                let word = &text[token.start..token.end];
                if bodies > 0 && before == Before::Body && word.eq_ignore_ascii_case("end") {
                    bodies -= 1;
                    head = Head::Other;
                } else if head == Head::Routine
                    && before == Before::Begin
                    && word.eq_ignore_ascii_case("atomic")
                {
                    bodies += 1;
                    head = Head::Nothing;
                    now = Before::Body;
                } else {
                    head = head.then(word);
                    if word.eq_ignore_ascii_case("begin") {
                        now = Before::Begin;
                    }
                }
            }
            _ if head != Head::Routine => head = Head::Other,
            _ => {}
        }
        before = now;
        current = Some((current.map_or(token.start, |(start, _)| start), token.end));
    }
    if let Some((start, end)) = current {
        let next = text.len();
        all.push(Extent { start, end, next });
    }
    all
}
