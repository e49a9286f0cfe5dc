//! What literals and quoted names stand for.

use crate::error::Fault;

const ESCAPE_HINT: &str = "Unicode escapes must be \\uXXXX or \\UXXXXXXXX.";
const UNICODE_HINT: &str = "Unicode escapes must be \\XXXX or \\+XXXXXX.";

/// The value of `'…'`.
pub(crate) fn string(raw: &str) -> String {
    let segments: Vec<&str> = segments(raw, 0, false).map(|(_, text)| text).collect();
    segments.concat().replace("''", "'")
}

/// The value of `E'…'`, which begins at the byte `start` of the text.
pub(crate) fn escape_string(raw: &str, start: usize) -> Result<String, Fault> {
    let mut value = Vec::with_capacity(raw.len());
    for (at, segment) in segments(raw, 1, true) {
        unescape(segment, start + at, &mut value)?;
    }
    // Octal and hexadecimal escapes are bytes, so only the whole can be told to be text.
    let invalid = |byte: u8| {
        let message = format!("invalid byte sequence for encoding \"UTF8\": 0x{byte:02x}");
        Fault::new(message, start).sqlstate("22021")
    };
    if value.contains(&0) {
        return Err(invalid(0));
    }
    String::from_utf8(value).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        invalid(error.as_bytes()[at])
    })
}

/// The value of `U&'…'`, which begins at the byte `start` of the text.
pub(crate) fn unicode_string(raw: &str, escape: char, start: usize) -> Result<String, Fault> {
    let mut value = String::with_capacity(raw.len());
    for (at, segment) in segments(raw, 2, false) {
        unicode(segment, escape, '\'', start + at, &mut value)?;
    }
    Ok(value)
}

/// The value of `$tag$…$tag$`.
pub(crate) fn dollar_string(raw: &str) -> String {
    let tag = raw[1..].find('$').map_or(raw.len(), |at| at + 2);
    raw.get(tag..raw.len() - tag).unwrap_or("").to_owned()
}

/// The name that `"…"` stands for.
pub(crate) fn quoted(raw: &str) -> String {
    raw[1..raw.len() - 1].replace("\"\"", "\"")
}

/// The name that `U&"…"` stands for, which begins at the byte `start` of the text.
pub(crate) fn unicode_quoted(raw: &str, escape: char, start: usize) -> Result<String, Fault> {
    let mut value = String::with_capacity(raw.len());
    unicode(&raw[3..raw.len() - 1], escape, '"', start + 3, &mut value)?;
    Ok(value)
}

/// What stands between the quotes of a string and of its continuations, and where. The first quote comes after `prefix` bytes.
fn segments(raw: &str, prefix: usize, backslashes: bool) -> impl Iterator<Item = (usize, &str)> {
    let bytes = raw.as_bytes();
    let mut open = prefix + 1;
    std::iter::from_fn(move || {
        let start = open;
        let mut at = open;
        loop {
            match bytes.get(at)? {
                b'\\' if backslashes => at += 2,
                b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
                b'\'' => break,
                _ => at += 1,
            }
        }
        // Up to the next opening quote are only blanks and `--` comments, and these may hold quotes.
        open = at + 1;
        while let Some(byte) = bytes.get(open) {
            open += match byte {
                b'\'' => break,
                b'-' => {
                    let newline = |byte: &u8| matches!(byte, b'\n' | b'\r');
                    let rest = &bytes[open..];
                    rest.iter().position(newline).unwrap_or(rest.len())
                }
                _ => 1,
            };
        }
        open += 1;
        Some((start, &raw[start..at]))
    })
}

/// Adds the bytes that a segment of an `E'…'` stands for.
fn unescape(raw: &str, start: usize, value: &mut Vec<u8>) -> Result<(), Fault> {
    let mut chars = raw.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().copied();
        match (char, next) {
            ('\'', Some((_, '\''))) => {
                chars.next();
                value.push(b'\'');
            }
            ('\\', Some((_, escape))) => {
                chars.next();
                match escape {
                    'b' => value.push(0x08),
                    'f' => value.push(0x0c),
                    'n' => value.push(b'\n'),
                    'r' => value.push(b'\r'),
                    't' => value.push(b'\t'),
                    // Since version 16; `v` before.
                    'v' => value.push(0x0b),
                    '0'..='7' => {
                        let (code, end) = number(raw, at + 1, 3, 8);
                        // As in C: what does not fit is cut off.
                        value.push((code & 0xff) as u8);
                        skip_to(&mut chars, end);
                    }
                    'x' => {
                        let (code, end) = number(raw, at + 2, 2, 16);
                        value.push(if end == at + 2 { b'x' } else { code as u8 });
                        skip_to(&mut chars, end);
                    }
                    'u' | 'U' => {
                        let char = unicode_escape(raw, at, start)?;
                        push(value, char.value);
                        skip_to(&mut chars, char.end);
                    }
                    other => push(value, other),
                }
            }
            _ => push(value, char),
        }
    }
    Ok(())
}

fn push(bytes: &mut Vec<u8>, char: char) {
    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

fn skip_to(chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>, end: usize) {
    while chars.next_if(|(at, _)| *at < end).is_some() {}
}

/// The number that begins at this place, of at most so many digits, and its end.
fn number(text: &str, start: usize, most: usize, radix: u32) -> (u32, usize) {
    let mut value = 0;
    let mut end = start;
    for char in text[start..].chars().take(most) {
        let Some(digit) = char.to_digit(radix) else {
            break;
        };
        value = value * radix + digit;
        end += 1;
    }
    (value, end)
}

struct Decoded {
    value: char,
    end: usize,
}

/// The character of `\uXXXX`, `\UXXXXXXXX` or of two of them that are a surrogate pair.
fn unicode_escape(raw: &str, at: usize, start: usize) -> Result<Decoded, Fault> {
    let read = |at: usize| -> Result<(u32, usize), Fault> {
        let most = if raw[at + 1..].starts_with('u') { 4 } else { 8 };
        let (code, end) = number(raw, at + 2, most, 16);
        if end == at + 2 + most {
            return Ok((code, end));
        }
        let fault = Fault::new("invalid Unicode escape", start + at);
        Err(fault.hint(ESCAPE_HINT).sqlstate("22025"))
    };
    let near = |what: &str, at: usize, end: usize| {
        Fault::new(
            format!("{what} at or near \"{}\"", &raw[at..end]),
            start + at,
        )
    };
    let (code, end) = read(at)?;
    if is_high_surrogate(code) {
        let second = raw[end..].starts_with("\\u") || raw[end..].starts_with("\\U");
        let (low, last) = if second { read(end)? } else { (0, end) };
        if let Some(value) = surrogates(code, low) {
            return Ok(Decoded { value, end: last });
        }
        // Postgres points at what should have been the second one, be it the closing quote.
        let shown = if second {
            last
        } else {
            raw[end..]
                .chars()
                .next()
                .map_or(end, |it| end + it.len_utf8())
        };
        if shown == end {
            return Err(Fault::new(
                "invalid Unicode surrogate pair at or near \"'\"",
                start + end,
            ));
        }
        return Err(near("invalid Unicode surrogate pair", end, shown));
    }
    if is_low_surrogate(code) {
        return Err(near("invalid Unicode surrogate pair", at, end));
    }
    match char::from_u32(code) {
        Some(value) if code != 0 => Ok(Decoded { value, end }),
        _ => Err(near("invalid Unicode escape value", at, end)),
    }
}

fn is_high_surrogate(code: u32) -> bool {
    (0xd800..=0xdbff).contains(&code)
}

fn is_low_surrogate(code: u32) -> bool {
    (0xdc00..=0xdfff).contains(&code)
}

/// The character of a surrogate pair.
fn surrogates(high: u32, low: u32) -> Option<char> {
    if !is_high_surrogate(high) || !is_low_surrogate(low) {
        return None;
    }
    char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
}

/// Adds what a segment of a `U&'…'` or `U&"…"` stands for.
fn unicode(
    raw: &str,
    escape: char,
    quote: char,
    start: usize,
    value: &mut String,
) -> Result<(), Fault> {
    let read = |at: usize| -> Result<(u32, usize), Fault> {
        let rest = &raw[at + 1..];
        let (from, digits) = if rest.starts_with('+') {
            (at + 2, 6)
        } else {
            (at + 1, 4)
        };
        let (code, end) = number(raw, from, digits, 16);
        if end == from + digits {
            Ok((code, end))
        } else {
            Err(Fault::new("invalid Unicode escape", start + at).hint(UNICODE_HINT))
        }
    };
    let mut at = 0;
    while let Some(char) = raw[at..].chars().next() {
        let next = at + char.len_utf8();
        let doubled = raw[next..].starts_with(char);
        if char != escape || doubled {
            value.push(char);
            let both = doubled && (char == escape || char == quote);
            at = if both { next + char.len_utf8() } else { next };
            continue;
        }
        let (code, end) = read(at)?;
        if is_high_surrogate(code) {
            let second = raw[end..].starts_with(escape);
            let (low, last) = if second { read(end)? } else { (0, end) };
            let pair = surrogates(code, low);
            value.push(
                pair.ok_or_else(|| Fault::new("invalid Unicode surrogate pair", start + end))?,
            );
            at = last;
            continue;
        }
        if is_low_surrogate(code) {
            return Err(Fault::new("invalid Unicode surrogate pair", start + at));
        }
        match char::from_u32(code) {
            Some(char) if code != 0 => value.push(char),
            _ => return Err(Fault::new("invalid Unicode escape value", start + at)),
        }
        at = end;
    }
    Ok(())
}

/// The escape character that `UESCAPE` names, if it may be one.
pub(crate) fn escape_character(value: &str) -> Option<char> {
    let mut chars = value.chars();
    let escape = chars.next()?;
    let fits = escape.is_ascii()
        && !escape.is_ascii_hexdigit()
        && !matches!(escape, '+' | '\'' | '"')
        && !crate::lexer::is_space(escape as u8);
    (fits && chars.next().is_none()).then_some(escape)
}
