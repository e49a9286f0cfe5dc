//! JSON that may not become longer than it should: a text can be six times as long as what it says, so its length is known
//! only when it is written.

use std::fmt;
use std::io::{self, Write};

use serde::Serialize;

/// Why something is not written as JSON.
#[derive(Debug)]
pub enum Fault {
    /// There is no room for it.
    TooLong,
    /// It has no form in JSON.
    Json(serde_json::Error),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLong => f.write_str("longer than there is room for"),
            Fault::Json(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Fault {}

/// The value as JSON, which takes of the `room` as many bytes as it has.
pub fn json(value: &(impl Serialize + ?Sized), room: &mut usize) -> Result<String, Fault> {
    let mut text = Text {
        bytes: Vec::with_capacity(128),
        room: *room,
    };
    serde_json::to_writer(&mut text, value).map_err(|error| match error.is_io() {
        true => Fault::TooLong,
        false => Fault::Json(error),
    })?;
    *room = text.room;
    String::from_utf8(text.bytes).map_err(|error| Fault::Json(serde::ser::Error::custom(error)))
}

/// What is written, and for how many more bytes there is room.
struct Text {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(room) = self.room.checked_sub(bytes.len()) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        self.room = room;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_takes_room() {
        let mut room = 100;
        assert_eq!(json(&["a", "b"], &mut room).unwrap(), r#"["a","b"]"#);
        assert_eq!(room, 91);
    }

    #[test]
    fn a_control_character_is_six_bytes() {
        let text = "\u{1}".repeat(10);
        let mut room = 61;
        assert!(matches!(json(&text, &mut room), Err(Fault::TooLong)));
        room = 62;
        assert_eq!(json(&text, &mut room).unwrap().len(), 62);
        assert_eq!(room, 0);
    }
}
