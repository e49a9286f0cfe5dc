//! The streaming replication protocol over a unix socket: a logical slot of `pgoutput` and its stream.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use postgres_protocol::message::frontend;

use crate::database::Database;
use crate::pgoutput;

/// The publication that the extension keeps.
pub const PUBLICATION: &str = "electric_publication";

/// Settings that make text forms the same everywhere: what replicas must use.
pub const SESSION: &[(&str, &str)] = &[
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
];

/// How long an answer may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds from the Unix epoch to the one of Postgres.
const EPOCH: Duration = Duration::from_secs(946_684_800);

/// A log position.
pub type Lsn = u64;

/// Reads `16/B374D848`.
pub fn parse_lsn(text: &str) -> Result<Lsn> {
    let (high, low) = text
        .split_once('/')
        .with_context(|| format!("not an LSN: {text:?}"))?;
    Ok(Lsn::from_str_radix(high, 16)? << 32 | Lsn::from_str_radix(low, 16)?)
}

/// A slot that was just made.
#[derive(Debug, Clone)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// All that is committed up to here is in the snapshot, all that comes after in the stream.
    pub consistent_point: Lsn,
    /// The exported snapshot, good until the connection's next command.
    pub snapshot: String,
}

/// What arrived.
#[derive(Debug)]
pub enum Received {
    /// A message of pgoutput.
    Change(pgoutput::Message),
    /// The stream is complete up to here.
    Keepalive(Lsn),
}

/// The connection is gone, or the server is: it may be tried again.
#[derive(Debug)]
pub struct Disconnected(String);

impl std::fmt::Display for Disconnected {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.0)
    }
}

impl std::error::Error for Disconnected {}

/// Whether the error says that the connection or the server is gone, rather than that something is wrong.
pub fn is_disconnect(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let of_client = cause.downcast_ref::<postgres::Error>();
        cause.is::<Disconnected>()
            || cause.is::<std::io::Error>()
            || of_client.is_some_and(crate::errors::is_disconnect)
    })
}

/// A walsender connection.
pub struct Connection {
    socket: UnixStream,
    input: Vec<u8>,
    confirmed: Lsn,
}

impl Connection {
    /// Connects to the walsender of a database as superuser.
    pub fn open(database: &Database<'_>) -> Result<Connection> {
        let cluster = database.cluster();
        let path = cluster
            .socket_directory()
            .join(format!(".s.PGSQL.{}", cluster.port()));
        let socket = UnixStream::connect(path).context("no walsender")?;
        let mut connection = Connection {
            socket,
            input: Vec::new(),
            confirmed: 0,
        };
        let mut parameters = vec![
            ("user", "postgres"),
            ("database", database.name()),
            ("replication", "database"),
        ];
        parameters.push(("application_name", "electric_replica"));
        parameters.extend_from_slice(SESSION);
        let mut buffer = BytesMut::new();
        frontend::startup_message(parameters, &mut buffer)?;
        connection.socket.write_all(&buffer)?;
        connection.until_ready()?;
        Ok(connection)
    }

    /// Makes a logical slot, which goes with the connection if it is `temporary`.
    pub fn create_slot(&mut self, name: &str, temporary: bool) -> Result<Slot> {
        let temporary = if temporary { " TEMPORARY" } else { "" };
        let sql = format!(
            "CREATE_REPLICATION_SLOT \"{name}\"{temporary} LOGICAL pgoutput (SNAPSHOT 'export')"
        );
        self.send_query(&sql)?;
        let rows = self.until_ready()?;
        match rows.as_slice() {
            [row] => match row.as_slice() {
                [Some(name), Some(lsn), Some(snapshot), ..] => Ok(Slot {
                    name: name.clone(),
                    consistent_point: parse_lsn(lsn)?,
                    snapshot: snapshot.clone(),
                }),
                other => bail!("a slot without snapshot: {other:?}"),
            },
            other => bail!("unexpected answer: {other:?}"),
        }
    }

    /// Starts the stream of a slot from where it was confirmed.
    pub fn start(&mut self, slot: &str) -> Result<()> {
        let sql = format!(
            "START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0 (proto_version '1', publication_names '{PUBLICATION}')"
        );
        self.send_query(&sql)?;
        let end = Instant::now() + PATIENCE;
        loop {
            match self.message(end)? {
                (b'W', _) => return Ok(()),
                (b'E', body) => return Err(server_error(&body)),
                _ => {}
            }
        }
    }

    /// Tells how far the replica is, and asks the server how far the stream is.
    pub fn confirm(&mut self, lsn: Lsn) -> Result<()> {
        self.confirmed = self.confirmed.max(lsn);
        let mut status = vec![b'r'];
        for _ in 0..3 {
            status.extend(self.confirmed.to_be_bytes()); // written, flushed, applied
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)?
            .saturating_sub(EPOCH);
        status.extend(i64::try_from(now.as_micros())?.to_be_bytes());
        status.push(1);
        let mut buffer = BytesMut::new();
        frontend::CopyData::new(status.as_slice())?.write(&mut buffer);
        self.socket.write_all(&buffer)?;
        Ok(())
    }

    /// The next message of the stream, `None` if nothing comes in that time.
    pub fn receive(&mut self, timeout: Duration) -> Result<Option<Received>> {
        let end = Instant::now() + timeout;
        loop {
            let Some((tag, body)) = self.try_message(end)? else {
                return Ok(None);
            };
            match (tag, body.first()) {
                (b'd', Some(b'w')) => {
                    let payload = body.get(25..).context("truncated XLogData")?;
                    return Ok(Some(Received::Change(pgoutput::decode(payload)?)));
                }
                (b'd', Some(b'k')) => {
                    let lsn = body.get(1..9).context("truncated keepalive")?;
                    let lsn = Lsn::from_be_bytes(lsn.try_into()?);
                    if body.get(17) == Some(&1) {
                        self.confirm(self.confirmed)?;
                    }
                    return Ok(Some(Received::Keepalive(lsn)));
                }
                (b'E', _) => return Err(server_error(&body)),
                (b'c' | b'C', _) => {
                    return Err(Disconnected("the server ended the stream".to_owned()).into());
                }
                _ => {}
            }
        }
    }

    fn send_query(&mut self, sql: &str) -> Result<()> {
        let mut buffer = BytesMut::new();
        frontend::query(sql, &mut buffer)?;
        Ok(self.socket.write_all(&buffer)?)
    }

    /// Rows of the answer up to ReadyForQuery.
    fn until_ready(&mut self) -> Result<Vec<Vec<Option<String>>>> {
        let end = Instant::now() + PATIENCE;
        let mut rows = Vec::new();
        loop {
            let (tag, body) = self.message(end)?;
            match tag {
                b'Z' => return Ok(rows),
                b'E' => return Err(server_error(&body)),
                b'R' if body != 0u32.to_be_bytes() => bail!("the server wants a password"),
                b'D' => rows.push(data_row(&body)?),
                _ => {}
            }
        }
    }

    fn message(&mut self, end: Instant) -> Result<(u8, Vec<u8>)> {
        self.try_message(end)?
            .context("no answer from the walsender")
    }

    /// Cuts the next message off the input, reading as needed.
    fn try_message(&mut self, end: Instant) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            if let Some(header) = self.input.first_chunk::<5>() {
                let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]);
                let total = 1 + usize::try_from(length)?;
                if self.input.len() >= total {
                    let rest = self.input.split_off(total);
                    let message = std::mem::replace(&mut self.input, rest);
                    return Ok(Some((message[0], message[5..].to_vec())));
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            let mut chunk = [0; 65_536];
            match self.socket.read(&mut chunk) {
                Ok(0) => {
                    let message = "the server closed the connection".to_owned();
                    return Err(Disconnected(message).into());
                }
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// A DataRow: the number of values, then each with its length, -1 for NULL.
fn data_row(body: &[u8]) -> Result<Vec<Option<String>>> {
    let mut rest = body.get(2..).context("truncated data row")?;
    let mut values = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            values.push(None);
            rest = tail;
            continue;
        };
        let (value, tail) = tail
            .split_at_checked(length)
            .context("truncated data row")?;
        values.push(Some(String::from_utf8_lossy(value).into_owned()));
        rest = tail;
    }
    Ok(values)
}

/// An ErrorResponse: fields of a letter and a text.
fn server_error(body: &[u8]) -> anyhow::Error {
    let fields = body.split(|b| *b == 0).filter(|field| !field.is_empty());
    let text: Vec<String> = fields
        .filter(|field| b"CMDH".contains(&field[0]))
        .map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
        .collect();
    let message = format!("the server says: {}", text.join("; "));
    // Shutting down, crashed, starting up.
    if text.iter().any(|field| field.starts_with("57P")) {
        return Disconnected(message).into();
    }
    anyhow::anyhow!(message)
}
