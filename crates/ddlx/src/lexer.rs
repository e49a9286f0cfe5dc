//! Postgres' lexical rules (`scan.l`), to the letter: where tokens begin and end, and nothing more.
//!
//! sqlparser's tokenizer for Postgres cannot serve here; `tests/sqlparser.rs` shows each reason. It finds ends of tokens where
//! Postgres does not (`||--` hides a comment, `x'\'` does not end, `$→$` begins no string, the escapes of an `E'…'` end with its
//! first line), so it would split a client's text at the wrong places. It gives up on the whole text where Postgres goes on
//! (`E'\303\244'`), and does not say where and why in Postgres' words. And it copies every literal of the text.
//!
//! `standard_conforming_strings` is taken to be on, as it is unless somebody turns it off.

/// A token: bytes `start..end` of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The kinds of tokens that make a difference here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// `"…"`
    Quoted,
    /// `U&"…"`
    UnicodeQuoted,
    /// `'…'`, perhaps continued on later lines.
    String,
    /// `E'…'`
    EscapeString,
    /// `U&'…'`
    UnicodeString,
    /// `$tag$…$tag$`
    DollarString,
    /// `B'…'` or `X'…'`
    BitString,
    /// A number.
    Number,
    /// A number or parameter with a letter right behind it, which is included.
    Junk,
    /// `$1`
    Parameter,
    /// Punctuation or an operator of one character; also a character that belongs to nothing.
    Symbol(u8),
    /// A longer operator.
    Operator,
    /// What begins here does not end.
    Unterminated(&'static str),
}

/// The tokens of a text from some place on, without blanks and comments.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Up to here, each character is a token: what is left of a run of operator characters.
    single_until: usize,
}

/// May this byte begin a name? All of a character beyond ASCII may.
pub(crate) fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

/// May this byte continue a name?
pub(crate) fn continues_name(byte: u8) -> bool {
    begins_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Is it a blank? Vertical tabs are since version 16, and an error before.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_newline(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_operator(byte: u8) -> bool {
    is_sql_operator(byte) || is_other_operator(byte)
}

fn is_sql_operator(byte: u8) -> bool {
    b"+-*/<>=".contains(&byte)
}

/// Operator characters that let an operator end in `+` or `-`.
fn is_other_operator(byte: u8) -> bool {
    b"~!@#^&|`?%".contains(&byte)
}

impl<'a> Lexer<'a> {
    /// The tokens of the text from the byte `from` on.
    pub fn new(text: &'a str, from: usize) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: from,
            single_until: from,
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    fn starts_with(&self, at: usize, what: &[u8]) -> bool {
        self.bytes.get(at..).is_some_and(|it| it.starts_with(what))
    }

    /// The first place from `at` on whose byte is not like that.
    fn past(&self, at: usize, like: impl Fn(u8) -> bool) -> usize {
        self.bytes[at..]
            .iter()
            .position(|byte| !like(*byte))
            .map_or(self.bytes.len(), |length| at + length)
    }

    /// Goes past blanks and comments. An error is the place of a comment that does not end.
    fn skip_blanks(&mut self) -> Result<(), usize> {
        loop {
            self.at = self.past(self.at, is_space);
            if self.starts_with(self.at, b"--") {
                self.at = self.past(self.at, |byte| !is_newline(byte));
            } else if self.starts_with(self.at, b"/*") {
                self.at = self.comment_end(self.at).ok_or(self.at)?;
            } else {
                return Ok(());
            }
        }
    }

    /// Where the comment at this place ends, and those in it.
    fn comment_end(&self, start: usize) -> Option<usize> {
        let mut depth = 1_usize;
        let mut at = start + 2;
        while depth > 0 {
            at = self.past(at, |byte| byte != b'*' && byte != b'/');
            self.byte(at)?;
            if self.starts_with(at, b"/*") {
                depth += 1;
                at += 2;
            } else if self.starts_with(at, b"*/") {
                depth -= 1;
                at += 2;
            } else {
                at += 1;
            }
        }
        Some(at)
    }

    /// Where the quoted part ends whose opening quote is just before this place: behind its closing quote.
    fn quote_end(&self, mut at: usize, quote: u8, backslashes: bool) -> Option<usize> {
        loop {
            at = self.past(at, |byte| byte != quote && byte != b'\\');
            match self.byte(at)? {
                b'\\' if backslashes => at += 2,
                b'\\' => at += 1,
                _ if self.byte(at + 1) == Some(quote) => at += 2,
                _ => return Some(at + 1),
            }
            if at > self.bytes.len() {
                return None;
            }
        }
    }

    /// Where the string goes on that seems to end at this place: behind the next opening quote, if nothing but blanks with a
    /// line break and `--` comments come before it.
    fn continuation(&self, end: usize) -> Option<usize> {
        let mut at = end;
        let mut broken = false;
        loop {
            let blanks = self.past(at, is_space);
            broken |= self.bytes[at..blanks].iter().any(|it| is_newline(*it));
            at = blanks;
            if !self.starts_with(at, b"--") {
                return (broken && self.byte(at) == Some(b'\'')).then_some(at + 1);
            }
            at = self.past(at, |byte| !is_newline(byte));
        }
    }

    /// A string whose opening quote is at this place, with all its continuations.
    fn string(&self, quote: usize, backslashes: bool) -> Option<usize> {
        let mut open = quote + 1;
        loop {
            let end = self.quote_end(open, b'\'', backslashes)?;
            match self.continuation(end) {
                Some(next) => open = next,
                None => return Some(end),
            }
        }
    }

    fn or_unterminated(&self, end: Option<usize>, kind: Kind, what: &'static str) -> (Kind, usize) {
        match end {
            Some(end) => (kind, end),
            None => (Kind::Unterminated(what), self.bytes.len()),
        }
    }

    /// What begins with `$`: a dollar-quoted string, a parameter or nothing known.
    fn dollar(&self, start: usize) -> (Kind, usize) {
        let at = start + 1;
        if self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            let end = self.past(at, |byte| byte.is_ascii_digit());
            return self.or_junk(Kind::Parameter, end);
        }
        let tag_end = self.past(at, |byte| continues_name(byte) && byte != b'$');
        if self.byte(tag_end) != Some(b'$') {
            return (Kind::Symbol(b'$'), at);
        }
        // A tag holds no `$`, so the first place that reads like it is the end. Going from `$` to `$` stays linear for any tag.
        let delimiter = &self.bytes[start..=tag_end];
        let mut search = tag_end + 1;
        let end = loop {
            search = self.past(search, |byte| byte != b'$');
            if self.byte(search).is_none() {
                break None;
            }
            if self.starts_with(search, delimiter) {
                break Some(search + delimiter.len());
            }
            search += 1;
        };
        self.or_unterminated(end, Kind::DollarString, "dollar-quoted string")
    }

    /// A number that begins with a digit or a point.
    fn number(&self, start: usize) -> (Kind, usize) {
        let digit = |byte: u8| byte.is_ascii_digit();
        if self.byte(start) == Some(b'0') {
            let like: Option<fn(u8) -> bool> = match self.byte(start + 1) {
                Some(b'x' | b'X') => Some(|byte| byte.is_ascii_hexdigit()),
                Some(b'o' | b'O') => Some(|byte| matches!(byte, b'0'..=b'7')),
                Some(b'b' | b'B') => Some(|byte| matches!(byte, b'0' | b'1')),
                _ => None,
            };
            if let Some(like) = like {
                let end = self.digits(start + 2, like);
                if end > start + 2 {
                    return self.or_junk(Kind::Number, end);
                }
            }
        }
        let mut end = self.digits(start, digit);
        // Two points are a token of their own.
        if self.byte(end) == Some(b'.') && self.byte(end + 1) != Some(b'.') {
            end = self.digits(end + 1, digit);
        }
        if matches!(self.byte(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(end + 1), Some(b'+' | b'-')));
            let exponent = end + 1 + sign;
            if self.byte(exponent).is_some_and(digit) {
                end = self.digits(exponent, digit);
            }
        }
        self.or_junk(Kind::Number, end)
    }

    /// Digits, and underscores between them.
    fn digits(&self, start: usize, like: impl Fn(u8) -> bool) -> usize {
        let mut end = start;
        loop {
            end = self.past(end, &like);
            let more = self.byte(end + 1).is_some_and(&like);
            if end == start || self.byte(end) != Some(b'_') || !more {
                return end;
            }
            end += 1;
        }
    }

    fn or_junk(&self, kind: Kind, end: usize) -> (Kind, usize) {
        match self.byte(end) {
            Some(byte) if begins_name(byte) => {
                let rest = self.past(end + 1, |byte| byte & 0xc0 == 0x80);
                (Kind::Junk, rest)
            }
            _ => (kind, end),
        }
    }

    /// An operator: up to a comment, and without a `+` or `-` at its end unless it holds a character that SQL's operators lack.
    fn operator(&mut self, start: usize) -> (Kind, usize) {
        // Never beyond a comment, or runs such as `+/**/+/**/` would be read again and again.
        let mut run = start;
        while self.byte(run).is_some_and(is_operator)
            && !self.starts_with(run, b"--")
            && !self.starts_with(run, b"/*")
        {
            run += 1;
        }
        let operator = &self.bytes[start..run];
        let mut length = operator.len();
        if !operator.iter().any(|byte| is_other_operator(*byte)) {
            while length > 1 && matches!(operator[length - 1], b'+' | b'-') {
                length -= 1;
            }
        }
        self.single_until = run;
        self.operator_of(start, start + length)
    }

    fn operator_of(&self, start: usize, end: usize) -> (Kind, usize) {
        if end - start == 1 {
            (Kind::Symbol(self.bytes[start]), end)
        } else {
            (Kind::Operator, end)
        }
    }

    /// The kind of the token that begins here, and its end.
    fn token(&mut self, start: usize, first: u8) -> (Kind, usize) {
        let second = self.byte(start + 1);
        let third = self.byte(start + 2);
        match (first, second, third) {
            (b'\'', ..) => {
                self.or_unterminated(self.string(start, false), Kind::String, "quoted string")
            }
            (b'"', ..) => self.or_unterminated(
                self.quote_end(start + 1, b'"', false),
                Kind::Quoted,
                "quoted identifier",
            ),
            (b'e' | b'E', Some(b'\''), _) => self.or_unterminated(
                self.string(start + 1, true),
                Kind::EscapeString,
                "quoted string",
            ),
            (b'b' | b'B', Some(b'\''), _) => self.or_unterminated(
                self.string(start + 1, false),
                Kind::BitString,
                "bit string literal",
            ),
            (b'x' | b'X', Some(b'\''), _) => self.or_unterminated(
                self.string(start + 1, false),
                Kind::BitString,
                "hexadecimal string literal",
            ),
            (b'u' | b'U', Some(b'&'), Some(b'\'')) => self.or_unterminated(
                self.string(start + 2, false),
                Kind::UnicodeString,
                "quoted string",
            ),
            (b'u' | b'U', Some(b'&'), Some(b'"')) => self.or_unterminated(
                self.quote_end(start + 3, b'"', false),
                Kind::UnicodeQuoted,
                "quoted identifier",
            ),
            (b'$', ..) => self.dollar(start),
            (b'0'..=b'9', ..) | (b'.', Some(b'0'..=b'9'), _) => self.number(start),
            (b':', Some(b':' | b'='), _) | (b'.', Some(b'.'), _) => (Kind::Operator, start + 2),
            _ if begins_name(first) => (Kind::Word, self.past(start, continues_name)),
            _ if start < self.single_until => (Kind::Symbol(first), start + 1),
            _ if is_operator(first) => self.operator(start),
            _ => (Kind::Symbol(first), start + 1),
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        let (start, (kind, end)) = match self.skip_blanks() {
            Ok(()) => {
                let start = self.at;
                (start, self.token(start, self.byte(start)?))
            }
            Err(start) => (start, (Kind::Unterminated("/* comment"), self.bytes.len())),
        };
        self.at = end;
        Some(Token { kind, start, end })
    }
}
