//! Reads keywords, names and strings off the tokens of a text.

use crate::ast::{Column, Name};
use crate::decode;
use crate::error::{Fault, Notice};
use crate::lexer::{Kind, Token};
use crate::names::{folded, truncated};

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// A place in the tokens of a text. Keywords, names and strings are taken from there; `parser.rs` says in which order.
pub(crate) struct Cursor<'a> {
    pub text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    notices: Vec<Notice>,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str, tokens: impl Iterator<Item = Token>) -> Self {
        Self {
            text,
            tokens: tokens.collect(),
            at: 0,
            notices: vec![],
        }
    }

    /// The token so far ahead.
    pub fn peek(&self, ahead: usize) -> Option<Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn slice(&self, token: Token) -> &'a str {
        &self.text[token.start..token.end]
    }

    /// Is the token so far ahead this keyword?
    pub fn is(&self, ahead: usize, keyword: &str) -> bool {
        self.peek(ahead).is_some_and(|token| {
            token.kind == Kind::Word && self.slice(token).eq_ignore_ascii_case(keyword)
        })
    }

    pub fn is_symbol(&self, ahead: usize, symbol: u8) -> bool {
        self.peek(ahead)
            .is_some_and(|token| token.kind == Kind::Symbol(symbol))
    }

    /// Goes past this keyword, if it is next.
    pub fn take(&mut self, keyword: &str) -> bool {
        let taken = self.is(0, keyword);
        self.at += usize::from(taken);
        taken
    }

    pub fn take_symbol(&mut self, symbol: u8) -> bool {
        let taken = self.is_symbol(0, symbol);
        self.at += usize::from(taken);
        taken
    }

    pub fn expect(&mut self, keyword: &str) -> Result<()> {
        if self.take(keyword) {
            return Ok(());
        }
        Err(self.unexpected())
    }

    pub fn expect_symbol(&mut self, symbol: u8) -> Result<()> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        Err(self.unexpected())
    }

    /// The error that the next token is.
    pub fn unexpected(&self) -> Fault {
        let Some(token) = self.peek(0) else {
            return Fault::new("syntax error at end of input", self.text.len());
        };
        let what = match token.kind {
            Kind::Unterminated(what) => format!("unterminated {what}"),
            Kind::Junk if self.slice(token).starts_with('$') => {
                "trailing junk after parameter".to_owned()
            }
            Kind::Junk => "trailing junk after numeric literal".to_owned(),
            _ if self.is_empty_name(token) => "zero-length delimited identifier".to_owned(),
            _ => "syntax error".to_owned(),
        };
        let message = format!("{what} at or near \"{}\"", self.slice(token));
        Fault::new(message, token.start)
    }

    /// Is it `""`? Postgres does not even read it.
    fn is_empty_name(&self, token: Token) -> bool {
        matches!(
            (token.kind, token.end - token.start),
            (Kind::Quoted, 2) | (Kind::UnicodeQuoted, 4)
        )
    }

    /// A name: any word, or anything in double quotes.
    pub fn identifier(&mut self) -> Result<String> {
        let token = self.peek(0).ok_or_else(|| self.unexpected())?;
        if self.is_empty_name(token) {
            return Err(self.unexpected());
        }
        let raw = self.slice(token);
        let name = match token.kind {
            Kind::Word => {
                self.at += 1;
                return Ok(folded(raw, &mut self.notices));
            }
            Kind::Quoted => {
                self.at += 1;
                decode::quoted(raw)
            }
            Kind::UnicodeQuoted => {
                self.at += 1;
                decode::unicode_quoted(raw, self.escape()?, token.start)?
            }
            _ => return Err(self.unexpected()),
        };
        Ok(truncated(name, &mut self.notices))
    }

    /// The character that introduces escapes in the `U&` literal or name before.
    fn escape(&mut self) -> Result<char> {
        if !self.take("uescape") {
            return Ok('\\');
        }
        let simple = "UESCAPE must be followed by a simple string literal";
        let Some(token) = self.peek(0) else {
            return Err(Fault::new(
                format!("{simple} at end of input"),
                self.text.len(),
            ));
        };
        let near = |what: &str| {
            let message = format!("{what} at or near \"{}\"", self.slice(token));
            Fault::new(message, token.start)
        };
        if token.kind != Kind::String {
            return Err(near(simple));
        }
        let escape = decode::escape_character(&decode::string(self.slice(token)))
            .ok_or_else(|| near("invalid Unicode escape character"))?;
        self.at += 1;
        Ok(escape)
    }

    /// Goes past the next token, whatever it is.
    pub fn step(&mut self) {
        self.at += 1;
    }

    /// The token before.
    pub fn last(&self) -> Option<Token> {
        self.tokens.get(self.at.checked_sub(1)?).copied()
    }

    /// What was told so far; after that, nothing.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Where more can be told.
    pub fn notices(&mut self) -> &mut Vec<Notice> {
        &mut self.notices
    }

    /// Names with points between them, at most so many.
    pub fn dotted(&mut self, most: usize) -> Result<Vec<String>> {
        let mut parts = vec![self.identifier()?];
        while parts.len() < most && self.take_symbol(b'.') {
            parts.push(self.identifier()?);
        }
        Ok(parts)
    }

    pub fn name(&mut self) -> Result<Name> {
        let parts = self.dotted(2)?;
        self.name_of(parts)
    }

    /// The name of a table made of these parts. Too many or too few are an error at what follows them.
    pub fn name_of(&self, parts: Vec<String>) -> Result<Name> {
        let mut parts = parts.into_iter();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), None, _) => Ok(Name { schema: None, name }),
            (schema, Some(name), None) => Ok(Name { schema, name }),
            _ => Err(self.unexpected()),
        }
    }

    pub fn column(&mut self) -> Result<Column> {
        let parts = self.dotted(3)?;
        self.column_of(parts)
    }

    /// The column that these parts name, with its table.
    pub fn column_of(&self, mut parts: Vec<String>) -> Result<Column> {
        match parts.pop() {
            Some(name) if !parts.is_empty() => Ok(Column {
                table: self.name_of(parts)?,
                name,
            }),
            _ => Err(self.unexpected()),
        }
    }

    /// One or more, with commas between them.
    pub fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut all = vec![one(self)?];
        while self.take_symbol(b',') {
            all.push(one(self)?);
        }
        Ok(all)
    }

    pub fn is_string(&self) -> bool {
        self.peek(0).is_some_and(|token| {
            matches!(
                token.kind,
                Kind::String | Kind::EscapeString | Kind::UnicodeString | Kind::DollarString
            )
        })
    }

    /// The value of a string, if one is next.
    pub fn string(&mut self) -> Result<Option<String>> {
        let Some(token) = self.peek(0).filter(|_| self.is_string()) else {
            return Ok(None);
        };
        let raw = self.slice(token);
        self.at += 1;
        Ok(Some(match token.kind {
            Kind::EscapeString => decode::escape_string(raw, token.start)?,
            Kind::UnicodeString => decode::unicode_string(raw, self.escape()?, token.start)?,
            Kind::DollarString => decode::dollar_string(raw),
            _ => decode::string(raw),
        }))
    }

    pub fn expect_string(&mut self) -> Result<String> {
        match self.string()? {
            Some(value) => Ok(value),
            None => Err(self.unexpected()),
        }
    }
}
