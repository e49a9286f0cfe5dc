//! `jsonb` from JSON text, as the server keeps it.
//!
//! The server's parser allocates for every token, sorts every object by pairs of 72 bytes, and copies the result once more: for an
//! op it took as long as writing the rows of a record. Here the text is read once, and each value is written where it
//! will stay or next to it.
//!
//! Source of the format: `src/include/utils/jsonb.h` and `numeric.c` of PostgreSQL, the same since 9.4 and kept for good,
//! as values on disk have it. Builds with assertions compare each value with the server's own.

use std::borrow::Cow;

/// Whether a child's entry says where it ends, not how long it is: each 32nd does.
const HAS_OFFSET: u32 = 0x8000_0000;
const STRIDE: usize = 32;
/// The bits of a child's entry that tell a length.
const LENGTH: u32 = 0x0FFF_FFFF;

const STRING: u32 = 0;
const NUMERIC: u32 = 0x1000_0000;
const FALSE: u32 = 0x2000_0000;
const TRUE: u32 = 0x3000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;

/// The bits of a container's header that tell what it is.
const OBJECT: u32 = 0x2000_0000;
const ARRAY: u32 = 0x4000_0000;

/// Containers in containers, at most so many.
const DEEPEST: usize = 100;

/// The value as `jsonb`, without the length that a value on disk begins with. `None` for what is left to the server's parser:
/// JSON with blanks between its parts, with other numbers than whole ones of 64 bits or with escapes in keys, a scalar, what is
/// very deep or long, and what is no JSON.
pub fn from_text(json: &str) -> Option<Vec<u8>> {
    if json.len() > LENGTH as usize / 4 {
        return None;
    }
    let mut writer = Writer {
        json,
        at: 0,
        depth: 0,
        out: Vec::with_capacity(json.len() * 2),
        members: Vec::with_capacity(64),
    };
    let value = writer.value()?;
    (value.kind == CONTAINER && writer.at == json.len()).then_some(writer.out)
}

/// A value that is written, before it is in its place: where, and without the padding in front of it.
#[derive(Clone, Copy)]
struct Piece {
    kind: u32,
    start: usize,
    length: usize,
}

impl Piece {
    /// Numbers and containers begin at a multiple of four.
    fn is_aligned(self) -> bool {
        matches!(self.kind, NUMERIC | CONTAINER)
    }
}

/// An element of an array, or a pair of an object.
#[derive(Clone, Copy)]
struct Member<'j> {
    key: &'j str,
    value: Piece,
}

struct Writer<'j> {
    json: &'j str,
    /// The next byte to be read.
    at: usize,
    depth: usize,
    out: Vec<u8>,
    /// Those of the containers that are open, innermost last.
    members: Vec<Member<'j>>,
}

impl<'j> Writer<'j> {
    fn next(&self) -> Option<u8> {
        self.json.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.next() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn takes_word(&mut self, word: &str) -> Option<()> {
        let found = self.json.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        found.then_some(())
    }

    /// Reads a value, and writes it at the end.
    fn value(&mut self) -> Option<Piece> {
        let literal = |kind| Piece {
            kind,
            start: 0,
            length: 0,
        };
        match self.next()? {
            b'{' => self.container(OBJECT),
            b'[' => self.container(ARRAY),
            b'"' => self.string(),
            b't' => self.takes_word("true").map(|()| literal(TRUE)),
            b'f' => self.takes_word("false").map(|()| literal(FALSE)),
            b'n' => self.takes_word("null").map(|()| literal(NULL)),
            _ => self.number(),
        }
    }

    /// What stands between quotes, and whether there are escapes in it.
    fn quoted(&mut self) -> Option<(&'j str, bool)> {
        if !self.takes(b'"') {
            return None;
        }
        let start = self.at;
        let mut escapes = false;
        loop {
            match self.next()? {
                b'"' => break,
                b'\\' => {
                    escapes = true;
                    self.at += 2;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        let text = self.json.get(start..self.at)?;
        self.at += 1;
        Some((text, escapes))
    }

    fn string(&mut self) -> Option<Piece> {
        let before = self.at;
        let (text, escapes) = self.quoted()?;
        let text = if escapes {
            Cow::Owned(serde_json::from_str::<String>(&self.json[before..self.at]).ok()?)
        } else {
            Cow::Borrowed(text)
        };
        // No text of the server's holds this character: its parser says so.
        if escapes && text.contains('\0') {
            return None;
        }
        let start = self.out.len();
        self.out.extend_from_slice(text.as_bytes());
        Some(Piece {
            kind: STRING,
            start,
            length: self.out.len() - start,
        })
    }

    fn number(&mut self) -> Option<Piece> {
        let rest = &self.json[self.at..];
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let end = rest.bytes().position(|byte| !is_part(byte));
        let text = &rest[..end.unwrap_or(rest.len())];
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.starts_with('+') || (digits.starts_with('0') && digits.len() > 1) {
            return None;
        }
        let value: i64 = text.parse().ok()?;
        self.at += text.len();
        self.pad();
        let start = self.out.len();
        numeric(value, &mut self.out);
        Some(Piece {
            kind: NUMERIC,
            start,
            length: self.out.len() - start,
        })
    }

    fn container(&mut self, what: u32) -> Option<Piece> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        self.at += 1;
        let end = if what == OBJECT { b'}' } else { b']' };
        let (members, start) = (self.members.len(), self.out.len());
        if !self.takes(end) {
            loop {
                let mut key = "";
                if what == OBJECT {
                    let (text, escapes) = self.quoted()?;
                    if escapes || !self.takes(b':') {
                        return None;
                    }
                    key = text;
                }
                let value = self.value()?;
                self.members.push(Member { key, value });
                if self.takes(end) {
                    break;
                }
                if !self.takes(b',') {
                    return None;
                }
            }
        }
        self.depth -= 1;
        self.close(what, members, start)
    }

    /// Writes the container of the members from that one on, whose values were written from `start` on, in their place.
    fn close(&mut self, what: u32, members: usize, start: usize) -> Option<Piece> {
        let is_object = what == OBJECT;
        if is_object {
            let order = |member: &Member<'j>| (member.key.len(), member.key);
            let of_object = &mut self.members[members..];
            of_object.sort_unstable_by_key(order);
            // The server keeps the last of them.
            if of_object.windows(2).any(|two| two[0].key == two[1].key) {
                return None;
            }
        }
        self.pad();
        let container = self.out.len();
        let count = self.members.len() - members;
        let entries = if is_object { count * 2 } else { count };
        self.put(what | u32::try_from(count).ok()?);
        self.out.resize(container + 4 + entries * 4, 0);
        let mut entry = Entries {
            at: container + 4,
            number: 0,
            length: 0,
        };
        if is_object {
            for at in members..self.members.len() {
                let key = self.members[at].key;
                self.out.extend_from_slice(key.as_bytes());
                entry.write(&mut self.out, STRING, key.len())?;
            }
        }
        for at in members..self.members.len() {
            let value = self.members[at].value;
            let before = self.out.len();
            if value.is_aligned() {
                self.pad();
            }
            self.out
                .extend_from_within(value.start..value.start + value.length);
            let length = self.out.len() - before;
            entry.write(&mut self.out, value.kind, length)?;
        }
        self.members.truncate(members);
        // Where its parts were is where it goes, if it can begin there.
        let length = self.out.len() - container;
        let start = start.next_multiple_of(4);
        self.out.copy_within(container.., start);
        self.out.truncate(start + length);
        Some(Piece {
            kind: CONTAINER,
            start,
            length,
        })
    }

    fn pad(&mut self) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
    }

    fn put(&mut self, word: u32) {
        self.out.extend_from_slice(&word.to_ne_bytes());
    }
}

/// The entries of a container's children, one after the other.
struct Entries {
    at: usize,
    number: usize,
    length: u32,
}

impl Entries {
    fn write(&mut self, out: &mut [u8], kind: u32, length: usize) -> Option<()> {
        let length = u32::try_from(length).ok()?;
        self.length += length;
        let entry = if self.number.is_multiple_of(STRIDE) {
            kind | HAS_OFFSET | self.length
        } else {
            kind | length
        };
        out[self.at..self.at + 4].copy_from_slice(&entry.to_ne_bytes());
        self.at += 4;
        self.number += 1;
        (self.length <= LENGTH).then_some(())
    }
}

/// A whole number as `numeric`, in its short form: the length, a header, and digits to the base of 10,000 without zeros at either end.
fn numeric(value: i64, out: &mut Vec<u8>) {
    const BASE: u64 = 10_000;
    const SHORT: u16 = 0x8000;
    const NEGATIVE: u16 = 0x2000;
    let mut digits = [0_u16; 5];
    let mut first = digits.len();
    let mut left = value.unsigned_abs();
    while left > 0 {
        first -= 1;
        digits[first] = (left % BASE) as u16;
        left /= BASE;
    }
    let weight = (digits.len() - first).saturating_sub(1) as u16;
    let digits = &digits[first..];
    let zeros = digits.iter().rev().take_while(|digit| **digit == 0);
    let digits = &digits[..digits.len() - zeros.count()];
    let length = 4 + 2 + 2 * digits.len() as u32;
    let length = if cfg!(target_endian = "little") {
        length << 2
    } else {
        length
    };
    let sign = if value < 0 { NEGATIVE } else { 0 };
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&(SHORT | sign | weight).to_ne_bytes());
    for digit in digits {
        out.extend_from_slice(&digit.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_the_server() {
        for json in [
            "",
            "1",
            "\"a\"",
            "null",
            "[1.5]",
            "[1e3]",
            "[01]",
            "[-]",
            "[+1]",
            "[tru]",
            "[1",
            "[1]]",
            "[1,]",
            "{",
            "{\"a\"}",
            "[ 1]",
            "{\"a\":1,\"a\":2}",
            "{\"\\n\":1}",
            "[\"\\u0000\"]",
            "[\"\\x\"]",
            "[\"\n\"]",
            "[9223372036854775808]",
            "[\"a\\",
            "[-+1]",
        ] {
            assert_eq!(from_text(json), None, "{json}");
        }
        let deep = "[".repeat(DEEPEST + 1) + &"]".repeat(DEEPEST + 1);
        assert_eq!(from_text(&deep), None);
        assert!(from_text(&deep[1..deep.len() - 1]).is_some());
    }
}
