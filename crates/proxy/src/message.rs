//! Messages that the proxy itself sends, and fields of messages that it changes.

/// An error or a notice, taken apart: the letter of each field, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    kind: u8,
    fields: Vec<(u8, Vec<u8>)>,
}

impl Report {
    /// Reads a whole message of the kind `E` or `N`.
    pub fn parse(message: &[u8]) -> Option<Report> {
        let (kind, mut rest) = (*message.first()?, message.get(5..)?);
        let mut fields = vec![];
        loop {
            let letter = *rest.first()?;
            if letter == 0 {
                return (rest.len() == 1).then_some(Report { kind, fields });
            }
            let end = rest.iter().position(|byte| *byte == 0)?;
            fields.push((letter, rest[1..end].to_vec()));
            rest = &rest[end + 1..];
        }
    }

    /// The field of that letter.
    pub fn get(&self, letter: u8) -> Option<&[u8]> {
        let found = self.fields.iter().find(|(it, _)| *it == letter);
        found.map(|(_, value)| value.as_slice())
    }

    /// The field as a number.
    pub fn number(&self, letter: u8) -> Option<usize> {
        std::str::from_utf8(self.get(letter)?).ok()?.parse().ok()
    }

    /// Gives the field that value; adds it where the protocol's order has it if it is new.
    pub fn set(&mut self, letter: u8, value: impl Into<Vec<u8>>) {
        const ORDER: &[u8] = b"SVCMDHPpqWstcdnFLR";
        let value = value.into();
        if let Some(field) = self.fields.iter_mut().find(|(it, _)| *it == letter) {
            field.1 = value;
            return;
        }
        let rank = |letter: u8| ORDER.iter().position(|it| *it == letter);
        let at = self
            .fields
            .iter()
            .position(|(it, _)| rank(*it) > rank(letter));
        self.fields
            .insert(at.unwrap_or(self.fields.len()), (letter, value));
    }

    /// Leaves the field out.
    pub fn remove(&mut self, letter: u8) {
        self.fields.retain(|(it, _)| *it != letter);
    }

    /// The message.
    pub fn message(&self) -> Vec<u8> {
        let mut body = vec![];
        for (letter, value) in &self.fields {
            body.push(*letter);
            body.extend_from_slice(value);
            body.push(0);
        }
        body.push(0);
        message(self.kind, &body)
    }
}

/// Why the proxy ends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: &'static str,
    /// What is the matter.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// The way out.
    pub hint: Option<String>,
}

impl Refusal {
    /// Without DETAIL and HINT.
    pub fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// With that DETAIL.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Refusal {
        Refusal {
            detail: Some(detail.into()),
            ..self
        }
    }

    /// With that HINT.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// As the client gets it: a FATAL error.
    pub fn to_message(&self) -> Vec<u8> {
        let text = |letter: u8, text: &str| (letter, text.replace('\0', "").into_bytes());
        let mut fields = vec![
            text(b'S', "FATAL"),
            text(b'V', "FATAL"),
            text(b'C', self.code),
            text(b'M', &self.message),
        ];
        fields.extend(self.detail.as_deref().map(|it| text(b'D', it)));
        fields.extend(self.hint.as_deref().map(|it| text(b'H', it)));
        let kind = b'E';
        Report { kind, fields }.message()
    }
}

/// A message of that kind.
pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![kind];
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// CommandComplete.
pub fn command_complete(tag: &[u8]) -> Vec<u8> {
    message(b'C', &[tag, b"\0"].concat())
}

/// NoData.
pub fn no_data() -> Vec<u8> {
    message(b'n', b"")
}

/// The bytes up to the next NUL, and those behind it.
pub fn c_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_order() {
        let refusal = Refusal::new("42601", "wrong").detail("d").hint("h");
        let mut report = Report::parse(&refusal.to_message()).unwrap();
        assert_eq!(report.message(), refusal.to_message());
        report.set(b'W', "where");
        report.set(b'P', "7");
        report.remove(b'D');
        let letters: Vec<u8> = report.fields.iter().map(|(it, _)| *it).collect();
        assert_eq!(letters, b"SVCMHPW");
        assert_eq!(report.number(b'P'), Some(7));
    }

    #[test]
    fn broken_reports_are_none() {
        for bytes in [
            &b""[..],
            b"E\0\0\0\x05",
            b"E\0\0\0\x05x",
            b"E\0\0\0\x05\0\0",
        ] {
            assert_eq!(Report::parse(bytes), None);
        }
    }
}
