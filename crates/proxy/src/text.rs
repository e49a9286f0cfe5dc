//! The characters of a text that a client sends, whatever its encoding.

use electric_ddlx::SyntaxError;

/// How a client encodes texts, as far as it matters to where statements begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// One byte for each character.
    SingleByte,
    /// Two bytes, each beyond ASCII (`EUC_…`): characters count as in `TwoBytes`, with one of three bytes behind 0x8f.
    Euc,
    /// The second byte may be one of ASCII (`BIG5`, `GBK`, `UHC`, `JOHAB`): read alone it could be a backslash.
    TwoBytes,
    /// Like that, but the bytes 0xa1 to 0xdf are characters of their own.
    ShiftJis,
    /// Like `TwoBytes`, with characters of four bytes whose second one is a digit.
    Gb18030,
}

impl Encoding {
    /// The one that `client_encoding` names.
    pub fn of_setting(name: &[u8]) -> Encoding {
        let name: String = String::from_utf8_lossy(name)
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_uppercase())
            .collect();
        match name.as_str() {
            "UTF8" | "UNICODE" => Encoding::Utf8,
            "SJIS" | "MSKANJI" | "SHIFTJIS" | "WIN932" | "WINDOWS932" | "SHIFTJIS2004" => {
                Encoding::ShiftJis
            }
            "BIG5" | "WIN950" | "WINDOWS950" | "GBK" | "WIN936" | "WINDOWS936" | "UHC"
            | "WIN949" | "WINDOWS949" | "JOHAB" => Encoding::TwoBytes,
            "GB18030" => Encoding::Gb18030,
            name if name.starts_with("EUC") => Encoding::Euc,
            _ => Encoding::SingleByte,
        }
    }

    /// Bytes of the character that these begin with; never 0, and perhaps more than there are.
    fn length(self, bytes: &[u8]) -> usize {
        let first = bytes.first().copied().unwrap_or_default();
        match self {
            _ if first.is_ascii() => 1,
            Encoding::Utf8 | Encoding::SingleByte => 1,
            Encoding::Euc if first == 0x8f => 3,
            Encoding::ShiftJis if (0xa1..=0xdf).contains(&first) => 1,
            Encoding::Gb18030 if bytes.get(1).is_some_and(u8::is_ascii_digit) => 4,
            _ => 2,
        }
    }
}

/// A text as UTF-8 with the same ASCII characters at the same places, and something beyond ASCII for each other one.
#[derive(Debug)]
pub struct Decoded<'a> {
    text: std::borrow::Cow<'a, str>,
    /// Where in the original each character begins, and the last one ends; empty if the text is the original.
    starts: Vec<usize>,
}

impl<'a> Decoded<'a> {
    /// Reads the bytes. Those that are said to be UTF-8 and are not are taken as one character each: the server refuses them.
    pub fn new(bytes: &'a [u8], encoding: Encoding) -> Self {
        if (bytes.is_ascii() || encoding == Encoding::Utf8)
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Decoded {
                text: text.into(),
                starts: vec![],
            };
        }
        let mut text = String::with_capacity(bytes.len());
        let mut starts = Vec::with_capacity(bytes.len() + 1);
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            starts.push(at);
            text.push(if byte.is_ascii() {
                char::from(*byte)
            } else {
                'ä'
            });
            at += encoding.length(&bytes[at..]);
        }
        starts.push(bytes.len());
        Decoded {
            text: text.into(),
            starts,
        }
    }

    /// The text to look into.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An error about the text, in ASCII if the client's encoding is not UTF-8.
    pub fn reported(&self, error: SyntaxError) -> SyntaxError {
        if self.starts.is_empty() {
            return error;
        }
        SyntaxError {
            message: error.message.replace(|c: char| !c.is_ascii(), "?"),
            ..error
        }
    }

    /// The place in the original of a place in the text, both in bytes, where `chars` characters come before it.
    pub fn original(&self, at: usize, chars: usize) -> usize {
        if self.starts.is_empty() {
            at
        } else {
            self.starts.get(chars).copied().unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_byte_is_not_read_as_ascii() {
        // Katakana SO in Shift JIS ends in the byte of a backslash.
        let bytes = b"'\x83\x5c' ELECTRIC";
        let decoded = Decoded::new(bytes, Encoding::of_setting(b"SJIS"));
        assert_eq!(decoded.text(), "'ä' ELECTRIC");
        assert_eq!(decoded.original(decoded.text().find('E').unwrap(), 4), 5);
    }

    #[test]
    fn utf8_is_taken_as_it_is() {
        let decoded = Decoded::new("ä b".as_bytes(), Encoding::Utf8);
        assert_eq!((decoded.text(), decoded.original(3, 2)), ("ä b", 3));
        assert_eq!(Decoded::new(b"\xff\xfe", Encoding::Utf8).text(), "ää");
        assert_eq!(
            Decoded::new(b"\xe4", Encoding::of_setting(b"LATIN1")).text(),
            "ä"
        );
        assert_eq!(Decoded::new(b"\x83", Encoding::ShiftJis).text(), "ä");
    }
}
