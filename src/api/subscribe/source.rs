//! What a publisher has: its publication, its tables and types, its history.

use electric_schema::model::{Table, TypeDefinition};
use electric_schema::names::{qualified_quoted, quote_ident, quote_literal};
use electric_schema::op::FORMAT;
use serde_json::Value;

use crate::error::{Error, SqlState};
use crate::follow;
use crate::pg::names;
use crate::pg::publisher::{Publisher, Spool};
use crate::pg::xact;
use crate::store;

/// An electrified table on the publisher.
pub struct Source {
    /// Its shape.
    pub table: Table,
    partitioned: bool,
}

/// All that is read of a publisher in the transaction of its slot.
pub struct Found {
    /// Its electrified tables.
    pub tables: Vec<Source>,
    /// The types that they use, in an order in which each can be made.
    pub types: Vec<TypeDefinition>,
    /// Its history: the rows of our own tables that follow.
    pub records: Vec<Spool>,
}

/// The publication of the publisher.
pub fn published(publisher: &Publisher) -> Result<String, Error> {
    // Row security would leave rows out in silence.
    publisher.run("SET row_security = off")?;
    publisher.run("SET lc_monetary = 'C'")?;
    let extension = publisher
        .texts("SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'electric'")?;
    if extension.is_empty() {
        return Err(Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "the publisher does not have the extension \"electric\"",
        )
        .hint("On the publisher: CREATE EXTENSION electric; SELECT electric.enable('…');"));
    }
    let found = publisher.texts(
        "SELECT pubname::text FROM pg_catalog.pg_publication \
         WHERE pubname::text = electric.status() ->> 'publication'",
    )?;
    found.into_iter().next().ok_or_else(|| {
        Error::new(
            SqlState::ObjectNotInPrerequisiteState,
            "nothing is electrified on the publisher",
        )
        .hint("On the publisher: SELECT electric.enable('…');")
    })
}

/// Drops a slot of that name that nobody uses. No other database makes one of it: it is left from a publisher that could
/// not be reached, or a server that stopped.
pub fn drop_left(publisher: &Publisher, slot: &str) -> Result<(), Error> {
    publisher
        .texts(&format!(
            "SELECT pg_catalog.pg_drop_replication_slot(slot_name)::text FROM pg_catalog.pg_replication_slots \
             WHERE slot_name = {} AND NOT active",
            quote_literal(slot)
        ))
        .map(drop)
}

fn understand(publisher: &Publisher) -> Result<(), Error> {
    let newer = publisher.texts(&format!(
        "SELECT id::text FROM electric.ddl_commands WHERE (op ->> 'format')::int > {FORMAT} ORDER BY id LIMIT 1"
    ))?;
    match newer.first() {
        Some(id) => Err(follow::too_new(&format!("command {id}"))),
        None => Ok(()),
    }
}

/// Reads what there is. Nothing is written here meanwhile, and no lock is held.
pub fn read(publisher: &Publisher) -> Result<Found, Error> {
    understand(publisher)?;
    let tables = publisher.texts(
        "SELECT pg_catalog.json_build_object('table', e.shape, 'partitioned', c.relkind = 'p')::text \
         FROM electric.electrified AS e JOIN pg_catalog.pg_class AS c ON c.oid = e.relation ORDER BY c.oid",
    )?;
    let tables = tables.iter().map(|text| {
        let mut value: Value = serde_json::from_str(text)?;
        Ok(Source {
            partitioned: value["partitioned"] == true,
            table: serde_json::from_value(value["table"].take())?,
        })
    });
    let tables = tables.collect::<Result<_, Error>>()?;
    let types = publisher.texts(
        "SELECT t.definition::text FROM electric.electrified_types AS t ORDER BY \
         (SELECT max(c.id) FROM electric.ddl_commands AS c WHERE c.command = 'create_type' \
          AND c.relation = pg_catalog.format('%I.%I', t.definition ->> 'schema', t.definition ->> 'name'))",
    )?;
    let types = types.iter().map(|text| Ok(serde_json::from_str(text)?));
    let types = types.collect::<Result<_, Error>>()?;
    // The statements are in a view that a role with REPLICATION may read; the column it may not.
    let shows_queries =
        publisher.texts("SELECT pg_catalog.to_regclass('electric.queries')::text")?;
    let shows_queries = shows_queries.first().is_some_and(|name| !name.is_empty());
    let records = store::records().map(|(name, columns)| {
        let list = listed(columns.iter().copied());
        let rows = if name == "ddl_commands" && shows_queries {
            format!(
                "(SELECT {list} FROM (SELECT id, migration_id, command, relation, postgres, sqlite, op, hash \
                 FROM electric.ddl_commands) AS c JOIN electric.queries USING (id, relation))"
            )
        } else {
            format!("electric.{name} ({list})")
        };
        publisher.spool(&format!("COPY {rows} TO STDOUT"))
    });
    Ok(Found {
        tables,
        types,
        records: records.collect::<Result<_, _>>()?,
    })
}

/// Copies the rows of a table.
pub fn copy_rows(publisher: &Publisher, source: &Source) -> Result<(), Error> {
    let Source { table, partitioned } = source;
    let id = names::relation_of(&table.schema, &table.name)
        .ok_or_else(|| missing(&table.qualified_name()))?;
    let columns: Vec<String> = table.columns.iter().map(|c| c.name.clone()).collect();
    // Tables that inherit are tables of their own.
    let only = if *partitioned { "" } else { "ONLY " };
    let name = qualified_quoted(&table.schema, &table.name);
    let list = listed(columns.iter().map(String::as_str));
    publisher.copy(
        &format!("COPY (SELECT {list} FROM {only}{name}) TO STDOUT"),
        id,
        &columns,
    )
}

/// Writes the history. Gives the tables that have it.
pub fn write_records(records: &[Spool]) -> Result<Vec<pgrx::pg_sys::Oid>, Error> {
    let mut written = Vec::new();
    for ((name, columns), spool) in store::records().zip(records) {
        let id = names::relation_of("electric", name).ok_or_else(|| missing(name))?;
        let columns: Vec<String> = columns.into_iter().map(str::to_owned).collect();
        spool.copy(id, &columns);
        written.push(id);
    }
    xact::command_counter_increment();
    Ok(written)
}

fn missing(name: &str) -> Error {
    Error::internal(format!("table {name} is missing"))
}

fn listed<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    columns.map(quote_ident).collect::<Vec<_>>().join(", ")
}
