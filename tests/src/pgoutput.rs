//! Decodes the messages of the `pgoutput` plugin, protocol version 1.

use anyhow::{Context, Result, bail};

/// A logical replication message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A transaction begins.
    Begin {
        /// Where its commit record ends up.
        final_lsn: u64,
        /// Its id.
        xid: u32,
    },
    /// The transaction is complete.
    Commit {
        /// LSN of the commit.
        commit_lsn: u64,
        /// LSN after the commit: what to confirm.
        end_lsn: u64,
    },
    /// The shape of a table, as of the rows that follow.
    Relation(Relation),
    /// A type that is not built in.
    Type {
        /// Its oid.
        oid: u32,
        /// Its schema, empty for pg_catalog.
        schema: String,
        /// Its name.
        name: String,
    },
    /// A new row.
    Insert {
        /// Oid of the table.
        relation: u32,
        /// The row.
        new: Vec<Datum>,
    },
    /// A changed row.
    Update {
        /// Oid of the table.
        relation: u32,
        /// The old row or its key, where it was sent.
        old: Option<OldRow>,
        /// The row.
        new: Vec<Datum>,
    },
    /// A row that went.
    Delete {
        /// Oid of the table.
        relation: u32,
        /// The row or its key.
        old: OldRow,
    },
    /// Tables emptied.
    Truncate {
        /// Oids of the tables.
        relations: Vec<u32>,
    },
    /// Where the transaction came from, if it was replicated.
    Origin,
    /// `pg_logical_emit_message`.
    Logical,
}

/// The shape of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns' names in order.
    pub columns: Vec<String>,
    /// For each column, whether the replica identity has it.
    pub identity: Vec<bool>,
}

/// A column's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Datum {
    /// NULL.
    Null,
    /// A large value that did not change and is not sent.
    Unchanged,
    /// The value in text form.
    Text(String),
}

impl Datum {
    /// The text form, `None` for NULL.
    pub fn text(&self) -> Option<&str> {
        match self {
            Datum::Text(text) => Some(text),
            Datum::Null | Datum::Unchanged => None,
        }
    }
}

/// What is sent of a row's former state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OldRow {
    /// The columns of the replica identity; the others are NULL here.
    Key(Vec<Datum>),
    /// All columns (REPLICA IDENTITY FULL).
    Full(Vec<Datum>),
}

impl OldRow {
    /// The values.
    pub fn data(&self) -> &[Datum] {
        match self {
            OldRow::Key(data) | OldRow::Full(data) => data,
        }
    }
}

/// Decodes one message.
pub fn decode(bytes: &[u8]) -> Result<Message> {
    let mut reader = Reader(bytes);
    let tag = reader.byte()?;
    let message = match tag {
        b'B' => {
            let final_lsn = reader.u64()?;
            reader.u64()?; // time of commit
            Message::Begin {
                final_lsn,
                xid: reader.u32()?,
            }
        }
        b'C' => {
            reader.byte()?; // flags
            let (commit_lsn, end_lsn) = (reader.u64()?, reader.u64()?);
            reader.u64()?; // time of commit
            Message::Commit {
                commit_lsn,
                end_lsn,
            }
        }
        b'R' => Message::Relation(reader.relation()?),
        b'Y' => Message::Type {
            oid: reader.u32()?,
            schema: reader.string()?,
            name: reader.string()?,
        },
        b'I' => {
            let relation = reader.u32()?;
            reader.expect(b'N')?;
            Message::Insert {
                relation,
                new: reader.tuple()?,
            }
        }
        b'U' => {
            let relation = reader.u32()?;
            let (old, next) = match reader.byte()? {
                b'K' => (Some(OldRow::Key(reader.tuple()?)), reader.byte()?),
                b'O' => (Some(OldRow::Full(reader.tuple()?)), reader.byte()?),
                other => (None, other),
            };
            if next != b'N' {
                bail!("update without a new row: {:?}", char::from(next));
            }
            Message::Update {
                relation,
                old,
                new: reader.tuple()?,
            }
        }
        b'D' => {
            let relation = reader.u32()?;
            let old = match reader.byte()? {
                b'K' => OldRow::Key(reader.tuple()?),
                b'O' => OldRow::Full(reader.tuple()?),
                other => bail!("delete without an old row: {:?}", char::from(other)),
            };
            Message::Delete { relation, old }
        }
        b'T' => {
            let count = reader.u32()?;
            reader.byte()?; // CASCADE, RESTART IDENTITY
            let relations = (0..count).map(|_| reader.u32()).collect::<Result<_>>()?;
            Message::Truncate { relations }
        }
        b'O' => return Ok(Message::Origin),
        b'M' => return Ok(Message::Logical),
        other => bail!("unknown pgoutput message {:?}", char::from(other)),
    };
    if !reader.0.is_empty() {
        bail!("{} bytes left after {message:?}", reader.0.len());
    }
    Ok(message)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, tail) = self
            .0
            .split_at_checked(count)
            .context("truncated pgoutput message")?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn expect(&mut self, tag: u8) -> Result<()> {
        match self.byte()? {
            found if found == tag => Ok(()),
            found => bail!(
                "expected {:?}, found {:?}",
                char::from(tag),
                char::from(found)
            ),
        }
    }

    fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into()?))
    }

    fn string(&mut self) -> Result<String> {
        let end = self
            .0
            .iter()
            .position(|b| *b == 0)
            .context("unterminated string")?;
        let text = std::str::from_utf8(self.take(end)?)?.to_owned();
        self.take(1)?;
        Ok(text)
    }

    fn relation(&mut self) -> Result<Relation> {
        let (oid, schema, name) = (self.u32()?, self.string()?, self.string()?);
        self.byte()?; // replica identity setting
        let (mut columns, mut identity) = (Vec::new(), Vec::new());
        for _ in 0..self.u16()? {
            identity.push(self.byte()? & 1 == 1);
            columns.push(self.string()?);
            self.u32()?; // type
            self.u32()?; // modifier
        }
        Ok(Relation {
            oid,
            schema,
            name,
            columns,
            identity,
        })
    }

    fn tuple(&mut self) -> Result<Vec<Datum>> {
        let count = self.u16()?;
        (0..count)
            .map(|_| match self.byte()? {
                b'n' => Ok(Datum::Null),
                b'u' => Ok(Datum::Unchanged),
                b't' => {
                    let length = usize::try_from(self.u32()?)?;
                    Ok(Datum::Text(
                        std::str::from_utf8(self.take(length)?)?.to_owned(),
                    ))
                }
                other => bail!("unknown kind of value {:?}", char::from(other)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_with_its_old_row_is_decoded() {
        let mut bytes = vec![b'U', 0, 0, 0, 7, b'O', 0, 1, b't', 0, 0, 0, 1, b'a'];
        bytes.extend([b'N', 0, 2, b'n', b'u']);
        let expected = Message::Update {
            relation: 7,
            old: Some(OldRow::Full(vec![Datum::Text("a".into())])),
            new: vec![Datum::Null, Datum::Unchanged],
        };
        assert_eq!(decode(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_truncated_message_is_an_error() {
        assert!(decode(&[b'I', 0, 0]).is_err());
        assert!(decode(&[b'D', 0, 0, 0, 1, b'X']).is_err());
    }
}
