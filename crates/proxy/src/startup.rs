//! The first packets of a connection, which have no kind.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::message::c_string;

/// Bytes of the longest first packet: Postgres' own limit.
const LONGEST: usize = 10_000;

/// The first packet of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Startup {
    /// The client asks for TLS.
    Tls,
    /// It asks for encryption by GSSAPI.
    Gss,
    /// It asks for another connection's statement to be canceled.
    Cancel(Vec<u8>),
    /// It begins a session.
    Session(Session),
}

/// The packet that begins a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Session {
    /// All of it.
    pub packet: Vec<u8>,
    /// The role.
    pub user: String,
    /// Whether it is to be for replication.
    pub replication: bool,
}

/// Reads a first packet, and not a byte more.
pub async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Startup> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if !(8..=LONGEST).contains(&length) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut packet = vec![0; length];
    packet[..4].copy_from_slice(&head);
    stream.read_exact(&mut packet[4..]).await?;
    parse(packet).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(packet: Vec<u8>) -> Option<Startup> {
    let code = packet.get(4..8)?.try_into().ok()?;
    Some(match u32::from_be_bytes(code) {
        // 1234.5678 and its neighbours, versions that never will be.
        80_877_102 => Startup::Cancel(packet),
        80_877_103 => Startup::Tls,
        80_877_104 => Startup::Gss,
        _ => {
            let (mut user, mut replication) = (String::new(), false);
            let mut rest = &packet[8..];
            while let Some((name, value, more)) = pair(rest) {
                match name {
                    b"user" => user = String::from_utf8_lossy(value).into_owned(),
                    b"replication" => replication |= is_true(value),
                    _ => {}
                }
                rest = more;
            }
            Startup::Session(Session {
                packet,
                user,
                replication,
            })
        }
    })
}

fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = c_string(bytes)?;
    if name.is_empty() {
        return None;
    }
    let (value, rest) = c_string(rest)?;
    Some((name, value, rest))
}

/// As Postgres reads the parameter: a database, or any way to say yes.
fn is_true(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    let begins = |word: &[u8]| !value.is_empty() && word.starts_with(&value);
    begins(b"true") || begins(b"yes") || begins(b"database") || value == b"on" || value == b"1"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(parameters: &[u8]) -> Session {
        let packet = [&[0, 0, 0, 0, 0, 3, 0, 0], parameters].concat();
        match parse(packet) {
            Some(Startup::Session(session)) => session,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn parameters_are_read() {
        let it = session(b"user\0me\0replication\0off\0\0");
        assert_eq!((it.user.as_str(), it.replication), ("me", false));
        for yes in ["on", "1", "TRUE", "t", "yes", "database"] {
            let it = session(format!("replication\0{yes}\0user\0me\0\0").as_bytes());
            assert!(it.replication, "{yes}");
        }
        for no in ["0", "off", "false", "no", "o", ""] {
            assert!(!session(format!("replication\0{no}\0\0").as_bytes()).replication);
        }
        assert!(!session(b"user").replication);
    }
}
