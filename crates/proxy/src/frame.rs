//! Finds the messages in a stream of bytes, and holds on to no more of them than must be looked at.

/// Bytes of a message's head: its kind and its length.
pub const HEAD: usize = 5;

/// What becomes of a message that was looked at.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on as it is.
    Pass,
    /// These bytes go on instead of it: another message, or none.
    Replace(Vec<u8>),
}

/// Who looks at messages.
pub trait Reader {
    /// How many bytes from its head on must be there before [`Reader::message`] is called for a message of this kind and
    /// length. At least `HEAD`, at most `total`.
    fn need(&mut self, kind: u8, total: usize) -> usize;

    /// Looks at a message, or at the beginning of one that is longer than what was asked for. Only a whole message can be
    /// replaced.
    fn message(&mut self, bytes: &[u8]) -> Fate;
}

/// Where in the stream we are.
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of a message that must be looked at and is not all there.
    held: Vec<u8>,
    /// Bytes of the current message that have yet to pass.
    passing: usize,
    /// A length that cannot be was met. The other side will say so; nothing behind it is known to be a message.
    lost: bool,
}

impl Framer {
    /// Takes bytes that came in. What is to go on are the bytes added to `out`, and after them the returned part of `input`;
    /// one of the two is empty if `out` was.
    pub fn feed<'a>(
        &mut self,
        reader: &mut impl Reader,
        input: &'a [u8],
        out: &mut Vec<u8>,
    ) -> &'a [u8] {
        let mut at = 0;
        // From here on the input is passed as it is.
        let mut from = 0;
        if !self.held.is_empty() {
            at = self.fill_held(reader, input, out);
            from = at;
        }
        while self.held.is_empty() && at < input.len() {
            if self.lost {
                at = input.len();
                break;
            }
            let passed = self.passing.min(input.len() - at);
            at += passed;
            self.passing -= passed;
            if self.passing > 0 || at == input.len() {
                break;
            }
            let rest = &input[at..];
            let Some(total) = self.total(rest) else {
                if !self.lost {
                    self.held.extend_from_slice(rest);
                    break;
                }
                continue;
            };
            let need = reader.need(rest[0], total).clamp(HEAD, total);
            if rest.len() < need {
                self.held.extend_from_slice(rest);
                break;
            }
            match reader.message(&rest[..need]) {
                Fate::Replace(bytes) if need == total => {
                    out.extend_from_slice(&input[from..at]);
                    out.extend_from_slice(&bytes);
                    at += need;
                    from = at;
                }
                _ => {
                    at += need;
                    self.passing = total - need;
                }
            }
        }
        if out.is_empty() {
            return &input[from..at];
        }
        out.extend_from_slice(&input[from..at]);
        &[]
    }

    /// Whether the stream stands between two messages.
    pub fn between_messages(&self) -> bool {
        self.held.is_empty() && self.passing == 0
    }

    /// Completes what is held by the beginning of the input; returns how much of that was used.
    fn fill_held(&mut self, reader: &mut impl Reader, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut used = 0;
        let mut take = |held: &mut Vec<u8>, want: usize| {
            let more = want.saturating_sub(held.len()).min(input.len() - used);
            held.extend_from_slice(&input[used..used + more]);
            used += more;
            held.len() >= want
        };
        let mut held = std::mem::take(&mut self.held);
        if take(&mut held, HEAD) {
            match self.total(&held) {
                None => out.append(&mut held),
                Some(total) => {
                    let need = reader.need(held[0], total).clamp(HEAD, total);
                    if take(&mut held, need) {
                        match reader.message(&held) {
                            Fate::Replace(bytes) if need == total => {
                                out.extend_from_slice(&bytes);
                            }
                            _ => {
                                out.extend_from_slice(&held);
                                self.passing = total - need;
                            }
                        }
                        held = vec![];
                    }
                }
            }
        }
        self.held = held;
        used
    }

    /// Bytes of the message that begins here, if that can be told yet.
    fn total(&mut self, bytes: &[u8]) -> Option<usize> {
        let length: [u8; 4] = bytes.get(1..HEAD)?.try_into().ok()?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or_default();
        if length < HEAD - 1 {
            self.lost = true;
            return None;
        }
        Some(length + 1)
    }
}
