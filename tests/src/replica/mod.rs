//! A replica in SQLite that follows the publication as SPEC S6 tells clients to.
//!
//! First contact takes a snapshot: the records, run in order, then the rows. From there on it follows the stream, one
//! transaction of Postgres being one of SQLite. Rows that a table already had when it was enabled are copied from a
//! later snapshot, up to which the stream's rows of that table are passed over.

mod compare;
mod events;
pub mod ledger;
mod rows;
mod source;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use electric_schema::model::Table;
use postgres::Client;
use serde_json::Value;

use crate::database::{CommandRow, Database};
use crate::pgoutput::{Datum, Message, OldRow, Relation};
use crate::replication::{Connection, Lsn, Received, parse_lsn};
use ledger::{Ledger, parse_text_array};
use rows::Writer;
use source::{slot_name, snapshot, texts};

pub use compare::Comparison;
pub use events::{Event, Row, Transaction};

/// How long catching up may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two questions how far the stream is.
const PAUSE: Duration = Duration::from_millis(20);

/// A change of the stream with the shape its rows have.
struct Change {
    relation: Arc<Relation>,
    kind: Kind,
}

enum Kind {
    Insert(Vec<Datum>),
    Update(Option<OldRow>, Vec<Datum>),
    Delete(OldRow),
    Truncate,
}

/// A snapshot from which earlier rows are to be copied, once the stream has come to it.
struct Pending {
    consistent_point: Lsn,
    /// Its open transaction holds the snapshot.
    snapshot: Client,
}

/// A SQLite replica.
pub struct Replica<'a> {
    database: &'a Database<'a>,
    sqlite: rusqlite::Connection,
    stream: Connection,
    slot: String,
    relations: HashMap<u32, Arc<Relation>>,
    /// The shapes announced, by qualified name.
    shapes: BTreeMap<String, Table>,
    ledger: Ledger,
    /// Tables whose earlier rows are still to be copied.
    incomplete: BTreeSet<String>,
    pending: Option<Pending>,
    /// The transaction that is arriving: its id, its commit's position, its changes.
    open: Option<(u32, Lsn, Vec<Change>)>,
    applied: Lsn,
}

impl<'a> Replica<'a> {
    /// Makes a replica, in memory or in a file, with what is there so far, and begins to follow. What it read at first
    /// contact is the transaction returned. No transaction may be open in the same thread: the slot waits for its end.
    pub fn follow(
        database: &'a Database<'a>,
        file: Option<&Path>,
    ) -> Result<(Replica<'a>, Transaction)> {
        Self::begin(database, file, true)
    }

    /// The same with a slot that outlives the connection, for [`Replica::resume`].
    pub fn follow_durably(database: &'a Database<'a>) -> Result<(Replica<'a>, Transaction)> {
        Self::begin(database, None, false)
    }

    fn begin(
        database: &'a Database<'a>,
        file: Option<&Path>,
        temporary: bool,
    ) -> Result<(Replica<'a>, Transaction)> {
        let sqlite = match file {
            Some(path) => rusqlite::Connection::open(path)?,
            None => rusqlite::Connection::open_in_memory()?,
        };
        let mut stream = Connection::open(database)?;
        let slot = stream.create_slot(&slot_name(database), temporary)?;
        let mut snapshot = snapshot(database, &slot.snapshot)?;
        let mut replica = Replica {
            database,
            sqlite,
            stream,
            slot: slot.name.clone(),
            relations: HashMap::new(),
            shapes: BTreeMap::new(),
            ledger: Ledger::default(),
            incomplete: BTreeSet::new(),
            pending: None,
            open: None,
            applied: slot.consistent_point,
        };
        let first = replica.first_contact(&mut snapshot)?;
        replica.stream.start(&slot.name)?;
        Ok((replica, first))
    }

    /// Connects again after the server went away, and goes on from where it was: from the position that the server heard
    /// confirmed, which may be before the one that was applied.
    pub fn resume(&mut self) -> Result<()> {
        self.open = None;
        self.pending = None;
        self.relations.clear();
        self.stream = Connection::open(self.database)?;
        if !self.incomplete.is_empty() {
            self.await_copy()?;
        }
        let slot = self.slot.clone();
        self.stream.start(&slot)
    }

    /// Applies everything committed before this call and returns it.
    pub fn catch_up(&mut self) -> Result<Vec<Transaction>> {
        let mut client = self
            .database
            .cluster()
            .connect(self.database.name(), "postgres")?;
        let row = client.query_one("SELECT pg_current_wal_flush_lsn()::text", &[])?;
        self.catch_up_to(parse_lsn(row.get(0))?)
    }

    /// Applies everything up to that position of the log and returns it.
    pub fn catch_up_to(&mut self, target: Lsn) -> Result<Vec<Transaction>> {
        let end = Instant::now() + PATIENCE;
        let mut applied = Vec::new();
        self.stream.confirm(self.applied)?;
        while Instant::now() < end {
            match self.stream.receive(PAUSE)? {
                Some(Received::Change(message)) => applied.extend(self.arrived(message)?),
                Some(Received::Keepalive(lsn)) => {
                    applied.extend(self.copy_pending(lsn)?);
                    if self.open.is_none() {
                        self.applied = self.applied.max(lsn);
                    }
                    if lsn >= target && self.open.is_none() && self.pending.is_none() {
                        return Ok(applied);
                    }
                }
                None => self.stream.confirm(self.applied)?,
            }
        }
        bail!("the stream did not reach {target:X} in {PATIENCE:?}")
    }

    /// Applies what arrives in that time, at most one transaction.
    pub fn poll(&mut self, timeout: Duration) -> Result<Vec<Transaction>> {
        match self.stream.receive(timeout)? {
            Some(Received::Change(message)) => self.arrived(message),
            Some(Received::Keepalive(lsn)) => Ok(self.copy_pending(lsn)?.into_iter().collect()),
            None => Ok(vec![]),
        }
    }

    /// The SQLite database.
    pub fn sqlite(&self) -> &rusqlite::Connection {
        &self.sqlite
    }

    /// The shapes announced so far, by qualified name.
    pub fn shapes(&self) -> &BTreeMap<String, Table> {
        &self.shapes
    }

    /// The records so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Compares rows and schema of both sides.
    pub fn compare(&self) -> Result<Comparison> {
        compare::compare(self.database, &self.sqlite, &self.shapes, &self.ledger)
    }

    /// Catches up and fails the test unless both sides are the same; returns what arrived.
    #[track_caller]
    pub fn must_agree(&mut self) -> Vec<Transaction> {
        let applied = match self.catch_up() {
            Ok(applied) => applied,
            Err(error) => panic!("the replica cannot follow: {error:#}"),
        };
        match self.compare() {
            Ok(comparison) => assert!(
                comparison.differences.is_empty(),
                "{:#?}",
                comparison.differences
            ),
            Err(error) => panic!("the two sides cannot be compared: {error:#}"),
        }
        applied
    }

    /// The records and rows of a snapshot.
    fn first_contact(&mut self, snapshot: &mut Client) -> Result<Transaction> {
        let mut first = Transaction::default();
        let migrations = snapshot.query(
            "SELECT id, version FROM electric.migrations ORDER BY id",
            &[],
        )?;
        for row in migrations {
            let (id, version): (i64, String) = (row.get(0), row.get(1));
            self.ledger.begin(id, &version)?;
            first.events.push(Event::Migration { id, version });
        }
        let commands = crate::database::commands(snapshot);
        self.sqlite.pragma_update(None, "foreign_keys", false)?;
        let transaction = self.sqlite.transaction()?;
        for command in commands {
            self.ledger.command(&command)?;
            run_command(&transaction, &mut self.shapes, &command)?;
            first.events.push(Event::Command(command));
        }
        for table in self.shapes.values() {
            first.events.push(copy(snapshot, &transaction, table)?);
        }
        check_foreign_keys(&transaction)?;
        transaction.commit()?;
        Ok(first)
    }

    /// Takes a message; with a commit, applies the transaction.
    fn arrived(&mut self, message: Message) -> Result<Vec<Transaction>> {
        let (relation, kind) = match message {
            Message::Relation(relation) => {
                self.relations.insert(relation.oid, Arc::new(relation));
                return Ok(vec![]);
            }
            Message::Begin { final_lsn, xid } => {
                self.open = Some((xid, final_lsn, Vec::new()));
                return Ok(vec![]);
            }
            Message::Commit { end_lsn, .. } => return self.commit(end_lsn),
            Message::Type { .. } | Message::Origin | Message::Logical => return Ok(vec![]),
            Message::Truncate { relations } => {
                for relation in relations {
                    self.change(relation, Kind::Truncate)?;
                }
                return Ok(vec![]);
            }
            Message::Insert { relation, new } => (relation, Kind::Insert(new)),
            Message::Update { relation, old, new } => (relation, Kind::Update(old, new)),
            Message::Delete { relation, old } => (relation, Kind::Delete(old)),
        };
        self.change(relation, kind)?;
        Ok(vec![])
    }

    fn change(&mut self, relation: u32, kind: Kind) -> Result<()> {
        let relation = self
            .relations
            .get(&relation)
            .context("a row of a relation never described")?;
        let (_, _, changes) = self.open.as_mut().context("a row outside a transaction")?;
        changes.push(Change {
            relation: relation.clone(),
            kind,
        });
        Ok(())
    }

    fn commit(&mut self, end_lsn: Lsn) -> Result<Vec<Transaction>> {
        let (xid, final_lsn, changes) = self.open.take().context("a commit without a begin")?;
        // After a restart the server may send again what it did not hear confirmed.
        if end_lsn <= self.applied {
            return Ok(vec![]);
        }
        let mut applied: Vec<_> = self.copy_pending(final_lsn)?.into_iter().collect();
        let (transaction, created) = self.apply(xid, &changes)?;
        applied.push(transaction);
        self.applied = end_lsn;
        if !created.is_empty() {
            self.incomplete.extend(created);
            self.await_copy()?;
        }
        self.stream.confirm(self.applied)?;
        Ok(applied)
    }

    /// Applies one transaction in one of SQLite; returns it with the tables that it created, or made anew.
    fn apply(&mut self, xid: u32, changes: &[Change]) -> Result<(Transaction, BTreeSet<String>)> {
        let unchecked = |change: &Change| {
            is_record(&change.relation, "ddl_commands") || matches!(change.kind, Kind::Truncate)
        };
        let checked = !changes.iter().any(unchecked) && self.incomplete.is_empty();
        self.sqlite.pragma_update(None, "foreign_keys", checked)?;
        let sqlite = self.sqlite.transaction()?;
        let mut result = Transaction {
            xid,
            events: Vec::new(),
        };
        let mut created = BTreeSet::new();
        let mut deletes = false;
        for change in changes {
            let relation = &*change.relation;
            if relation.schema == "electric" {
                if let Some(event) = record(&mut self.ledger, relation, &change.kind)? {
                    if let Event::Command(command) = &event {
                        run_command(&sqlite, &mut self.shapes, command)?;
                        if matches!(command.command.as_str(), "create_table" | "replace_table") {
                            created.insert(command.relation.clone());
                        }
                    }
                    result.events.push(event);
                }
                continue;
            }
            let name = electric_schema::names::qualified(&relation.schema, &relation.name);
            if self.incomplete.contains(&name) || created.contains(&name) {
                continue;
            }
            let table = self.shapes.get(&name);
            let table =
                table.with_context(|| format!("a row of {name}, which was never announced"))?;
            let writer = Writer::new(&sqlite, table);
            writer.check_columns(relation)?;
            let (action, new) = match &change.kind {
                Kind::Insert(new) => {
                    writer.insert(new.iter().map(Datum::text))?;
                    ("insert", new.as_slice())
                }
                Kind::Update(old, new) => {
                    writer.update(old.as_ref(), new)?;
                    ("update", new.as_slice())
                }
                Kind::Delete(old) => {
                    // Gone already only where an ON DELETE CASCADE of SQLite took it.
                    let found = writer.delete(old)?;
                    ensure!(
                        found || deletes,
                        "delete of a row of {name} that is not here: {old:?}"
                    );
                    deletes = true;
                    ("delete", &[][..])
                }
                Kind::Truncate => {
                    writer.truncate()?;
                    ("truncate", &[][..])
                }
            };
            let texts = new.iter().map(|datum| datum.text().map(str::to_owned));
            let columns = relation.columns.iter().cloned().zip(texts).collect();
            result.events.push(Event::Row(Row {
                action,
                table: name,
                columns,
            }));
        }
        if !checked && self.incomplete.is_empty() && created.is_empty() {
            check_foreign_keys(&sqlite)?;
        }
        let what = result.outline();
        sqlite
            .commit()
            .with_context(|| format!("transaction {xid}: {what:?}"))?;
        Ok((result, created))
    }

    /// Takes a snapshot that has the rows which the new tables had before they were enabled.
    fn await_copy(&mut self) -> Result<()> {
        self.pending = None;
        let mut connection = Connection::open(self.database)?;
        let slot = connection.create_slot(&slot_name(self.database), true)?;
        let snapshot = snapshot(self.database, &slot.snapshot)?;
        self.pending = Some(Pending {
            consistent_point: slot.consistent_point,
            snapshot,
        });
        Ok(())
    }

    /// Copies those rows, once the stream has come to the snapshot.
    fn copy_pending(&mut self, reached: Lsn) -> Result<Option<Transaction>> {
        let Some(mut pending) = self.pending.take_if(|p| reached >= p.consistent_point) else {
            return Ok(None);
        };
        self.sqlite.pragma_update(None, "foreign_keys", false)?;
        let sqlite = self.sqlite.transaction()?;
        let mut result = Transaction::default();
        for table in self
            .incomplete
            .iter()
            .filter_map(|name| self.shapes.get(name))
        {
            result
                .events
                .push(copy(&mut pending.snapshot, &sqlite, table)?);
        }
        check_foreign_keys(&sqlite)?;
        sqlite.commit()?;
        self.incomplete.clear();
        Ok(Some(result))
    }
}

fn is_record(relation: &Relation, name: &str) -> bool {
    relation.schema == "electric" && relation.name == name
}

/// Takes a row of the extension's own tables.
fn record(ledger: &mut Ledger, relation: &Relation, kind: &Kind) -> Result<Option<Event>> {
    let field = |row: &[Datum], name: &str| -> Result<String> {
        let position = relation.columns.iter().position(|column| column == name);
        let datum = position.and_then(|position| row.get(position));
        let text = datum.and_then(Datum::text).map(str::to_owned);
        text.with_context(|| format!("electric.{} lacks {name}: {row:?}", relation.name))
    };
    match (relation.name.as_str(), kind) {
        ("migrations", Kind::Insert(row)) => {
            let (id, version) = (field(row, "id")?.parse()?, field(row, "version")?);
            ledger.begin(id, &version)?;
            Ok(Some(Event::Migration { id, version }))
        }
        ("migrations", Kind::Update(_, row)) => {
            let (id, version) = (field(row, "id")?.parse()?, field(row, "version")?);
            ledger.name(id, &version)?;
            Ok(Some(Event::Named { id, version }))
        }
        ("ddl_commands", Kind::Insert(row)) => {
            let command = CommandRow {
                id: field(row, "id")?.parse()?,
                migration_id: field(row, "migration_id")?.parse()?,
                command: field(row, "command")?,
                relation: field(row, "relation")?,
                query: field(row, "query")?,
                postgres: parse_text_array(&field(row, "postgres")?)?,
                sqlite: parse_text_array(&field(row, "sqlite")?)?,
                op: serde_json::from_str(&field(row, "op")?)?,
                hash: field(row, "hash")?,
            };
            ledger.command(&command)?;
            Ok(Some(Event::Command(command)))
        }
        ("migrations" | "ddl_commands", _) => {
            bail!("a row of electric.{} was changed", relation.name)
        }
        ("grants" | "assignments", _) => Ok(None),
        (other, _) => bail!("a row of electric.{other} in the publication"),
    }
}

/// Runs a command's SQLite statements and remembers the shape that results.
fn run_command(
    sqlite: &rusqlite::Transaction<'_>,
    shapes: &mut BTreeMap<String, Table>,
    command: &CommandRow,
) -> Result<()> {
    for statement in &command.sqlite {
        sqlite
            .execute(statement, [])
            .with_context(|| format!("command {}: {statement}", command.id))?;
    }
    match command.op.get("table") {
        _ if command.command == "disable_table" => {
            let shape = shapes.remove(&command.relation);
            shape.with_context(|| format!("{} was disabled, never enabled", command.relation))?;
        }
        None | Some(Value::Null) => {}
        Some(table) => {
            let table: Table = serde_json::from_value(table.clone())
                .with_context(|| format!("the table of command {}", command.id))?;
            let before = command.replaced();
            let before = before.unwrap_or_else(|| table.qualified_name());
            let known = shapes.remove(&before).is_some();
            shapes.insert(table.qualified_name(), table);
            ensure!(
                known || command.command == "create_table",
                "command {} on a table never created",
                command.id
            );
            ensure!(
                !known || command.command != "create_table",
                "command {} creates a table twice",
                command.id
            );
        }
    }
    Ok(())
}

/// Copies all rows of a table.
fn copy(client: &mut Client, sqlite: &rusqlite::Transaction<'_>, table: &Table) -> Result<Event> {
    let writer = Writer::new(sqlite, table);
    let rows = texts(client, table)?;
    for row in &rows {
        writer.insert(row.iter().map(Option::as_deref))?;
    }
    Ok(Event::Copied {
        table: table.qualified_name(),
        rows: rows.len(),
    })
}

fn check_foreign_keys(sqlite: &rusqlite::Transaction<'_>) -> Result<()> {
    let mut statement = sqlite.prepare("PRAGMA foreign_key_check")?;
    let mut broken = Vec::new();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        broken.push(format!(
            "{} references {}",
            row.get::<_, String>(0)?,
            row.get::<_, String>(2)?
        ));
    }
    ensure!(
        broken.is_empty(),
        "foreign keys broken in SQLite: {broken:?}"
    );
    Ok(())
}
