//! DDLX in a client's text becomes calls in the same text, and what the server says of that text is put into the client's
//! terms again.
//!
//! The text stays one text: the server runs what it holds in one transaction, or in the client's, as it would have done.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use electric_ddlx::{FoundKind, SyntaxError, find, mentions};

use crate::message::Report;
use crate::text::{Decoded, Encoding};

/// A word that nobody can guess: what the server sends of our calls is known by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark(String);

/// By which protocol a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A `Query`, whose answer describes the rows without being asked.
    Simple,
    /// A `Parse`.
    Extended,
}

impl Mark {
    /// Of 16 random bytes.
    pub fn new(random: [u8; 16]) -> Mark {
        Mark(random.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The value that stands before each tag.
    pub fn value(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The name of the column that has it.
    pub fn column(&self, protocol: Protocol) -> String {
        let letter = match protocol {
            Protocol::Simple => 'q',
            Protocol::Extended => 'p',
        };
        format!("electric_{letter}_{}", self.0)
    }

    fn quote(&self) -> String {
        format!("$e{}$", self.0)
    }
}

/// What was done to a text, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    calls: Vec<Call>,
    broken: Vec<(Range<usize>, SyntaxError)>,
}

/// A statement that became a call. Places are in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Call {
    client: Range<usize>,
    server: Range<usize>,
    text: u64,
}

fn fingerprint(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Where a place in the text that the server got is in the client's.
enum Place {
    Same(usize),
    InCall(usize),
}

impl Rewrite {
    /// The text that the server gets, and what that means, if there is DDLX in the client's.
    pub fn of(
        text: &[u8],
        encoding: Encoding,
        mark: &Mark,
        protocol: Protocol,
    ) -> Option<(Vec<u8>, Rewrite)> {
        if !mentions(text) {
            return None;
        }
        let decoded = Decoded::new(text, encoding);
        let found = find(decoded.text());
        if found.is_empty() {
            return None;
        }
        let before = format!(
            "SELECT '{}' AS {}, electric.ddlx({}",
            mark.0,
            mark.column(protocol),
            mark.quote()
        );
        let after = format!("{})", mark.quote());
        let mut rewrite = Rewrite::default();
        let mut new = Vec::with_capacity(text.len() + 256);
        // Bytes of the decoded text up to which characters are counted, those characters, and what is copied of the original.
        let (mut at, mut chars, mut copied) = (0, 0, 0);
        let mut grown = 0;
        for statement in found {
            let Range { start, end } = statement.range;
            chars += decoded.text()[at..start].chars().count();
            let length = decoded.text()[start..end].chars().count();
            let client = chars..chars + length;
            let original = decoded.original(start, chars)..decoded.original(end, chars + length);
            (at, chars) = (end, chars + length);
            match statement.kind {
                FoundKind::Other => {}
                FoundKind::Invalid(error) => rewrite.broken.push((client, decoded.reported(error))),
                FoundKind::Ddlx(_) => {
                    let own = text.get(original.clone())?;
                    if own
                        .windows(after.len() - 1)
                        .any(|it| it == mark.quote().as_bytes())
                    {
                        return None;
                    }
                    new.extend_from_slice(text.get(copied..original.start)?);
                    new.extend_from_slice(before.as_bytes());
                    new.extend_from_slice(own);
                    new.extend_from_slice(after.as_bytes());
                    copied = original.end;
                    let begin = client.start + grown;
                    grown += before.len() + after.len();
                    rewrite.calls.push(Call {
                        server: begin..client.end + grown,
                        client,
                        text: fingerprint(own),
                    });
                }
            }
        }
        new.extend_from_slice(text.get(copied..)?);
        Some((new, rewrite))
    }

    /// Puts an error or a notice of the server into the client's terms. `done` statements that became calls have completed.
    pub fn translate(&self, report: &mut Report, done: usize) {
        if let Some(position) = report.number(b'P') {
            self.translate_position(report, position);
        } else if let (Some(position), Some(query)) = (report.number(b'p'), report.get(b'q')) {
            let text = fingerprint(query);
            let call = self.calls.get(done).filter(|call| call.text == text);
            if let Some(call) = call {
                report.set(b'P', (call.client.start + position).to_string());
                report.remove(b'p');
                report.remove(b'q');
            }
        }
        if let Some(context) = report.get(b'W').filter(|_| !self.calls.is_empty()) {
            without_call(context)
                .map(|context| report.set(b'W', context))
                .unwrap_or_else(|| report.remove(b'W'));
        }
    }

    fn translate_position(&self, report: &mut Report, position: usize) {
        match self.place(position.saturating_sub(1)) {
            Place::InCall(start) => {
                // Nothing but our own name can be wrong there.
                if matches!(report.get(b'C'), Some(b"3F000" | b"42883")) {
                    report.set(b'M', "the extension \"electric\" is not in this database");
                    report.set(b'H', "A superuser can run CREATE EXTENSION electric.");
                }
                report.set(b'P', (start + 1).to_string());
            }
            Place::Same(place) => {
                report.set(b'P', (place + 1).to_string());
                let broken = self.broken.iter().find(|(range, _)| {
                    // What ends too early is wrong at its end.
                    range.start <= place && place <= range.end
                });
                if let Some((_, error)) = broken {
                    report.set(b'C', error.sqlstate);
                    report.set(b'M', error.message.as_str());
                    report.set(b'P', error.char_position.to_string());
                    if let Some(hint) = error.hint {
                        report.set(b'H', hint);
                    }
                }
            }
        }
    }

    fn place(&self, server: usize) -> Place {
        let mut shift = 0;
        for call in &self.calls {
            if server < call.server.start {
                break;
            }
            if server < call.server.end {
                return Place::InCall(call.client.start);
            }
            shift = call.server.end - call.client.end;
        }
        Place::Same(server.saturating_sub(shift))
    }
}

/// The context without the lines that stand for our call.
fn without_call(context: &[u8]) -> Option<Vec<u8>> {
    const NAME: &[u8] = b"ddlx";
    let mut lines: Vec<&[u8]> = context.split(|byte| *byte == b'\n').collect();
    while lines
        .last()
        .is_some_and(|line| line.windows(NAME.len()).any(|it| it == NAME))
    {
        lines.pop();
    }
    (!lines.is_empty()).then(|| lines.join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::message;

    fn mark() -> Mark {
        Mark::new([7; 16])
    }

    fn rewritten(text: &str) -> (String, Rewrite) {
        let (new, rewrite) =
            Rewrite::of(text.as_bytes(), Encoding::Utf8, &mark(), Protocol::Simple).unwrap();
        (String::from_utf8(new).unwrap(), rewrite)
    }

    fn error(fields: &str) -> Report {
        let body = fields.replace('|', "\0") + "\0\0";
        Report::parse(&message(b'E', body.as_bytes())).unwrap()
    }

    #[test]
    fn statements_become_calls_where_they_stand() {
        let (new, _) = rewritten(
            "SELECT 'ELECTRIC'; /* x */ ALTER TABLE \"é\" ENABLE ELECTRIC -- y\n; SELECT 2",
        );
        let m = "07".repeat(16);
        assert_eq!(
            new,
            format!(
                "SELECT 'ELECTRIC'; /* x */ SELECT '{m}' AS electric_q_{m}, electric.ddlx($e{m}$ALTER TABLE \"é\" ENABLE ELECTRIC$e{m}$) -- y\n; SELECT 2"
            )
        );
    }

    #[test]
    fn other_texts_are_left_alone() {
        for text in [
            "SELECT 1",
            "SELECT 'electric'",
            "CREATE TABLE electric (a int)",
            "",
            ";",
        ] {
            let none = Rewrite::of(text.as_bytes(), Encoding::Utf8, &mark(), Protocol::Simple);
            assert_eq!(none, None, "{text}");
        }
    }

    #[test]
    fn positions_are_those_of_the_clients_text() {
        let text = "SELECT 'ü'; ELECTRIC ENABLE t; SELECT nope; ELECTRIC ENABLE t; SELECT no";
        let (new, rewrite) = rewritten(text);
        for word in ["nope", "no", "'ü'"] {
            let chars = |text: &str| text[..text.rfind(word).unwrap()].chars().count() + 1;
            let mut report = error(&format!("SERROR|C42703|P{}", chars(&new)));
            rewrite.translate(&mut report, 0);
            assert_eq!(report.number(b'P'), Some(chars(text)), "{word}");
        }
        let call = new.find("electric.ddlx").unwrap();
        let mut report = error(&format!("SERROR|C42883|Mx|P{call}"));
        rewrite.translate(&mut report, 0);
        assert_eq!(report.number(b'P'), Some(13));
        assert!(report.get(b'H').is_some());
    }

    #[test]
    fn internal_positions_become_those_of_the_text() {
        let (_, rewrite) = rewritten("/* é */ ELECTRIC ENABLE t; ELECTRIC ENABLE u");
        let mut report = error("SERROR|p17|qELECTRIC ENABLE u|WSQL function \"ddlx\" statement 1");
        let before = report.clone();
        rewrite.translate(&mut report, 0);
        assert_eq!(report.number(b'p'), before.number(b'p'), "not of the first");
        rewrite.translate(&mut report, 1);
        assert_eq!(report, error("SERROR|P44"));
    }

    #[test]
    fn what_is_wrong_with_ddlx_is_said_in_its_own_terms() {
        let text = "SELECT 1; ELECTRIC ENABLE t; ELECTRIC GRANT JUNK ON t TO ANYONE";
        let (new, rewrite) = rewritten(text);
        let place = new.rfind("ELECTRIC").unwrap() + 1;
        let mut report = error(&format!(
            "C42601|Msyntax error at or near \"ELECTRIC\"|P{place}"
        ));
        rewrite.translate(&mut report, 0);
        assert_eq!(
            report,
            error("C42601|Msyntax error at or near \"JUNK\"|P45")
        );
    }
}
