//! The server as a replica reads it outside the stream: snapshots and text forms.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use electric_schema::model::Table;
use postgres::{Client, SimpleQueryMessage};

use super::rows::quoted;
use crate::database::Database;
use crate::replication::SESSION;

/// A name for a slot that nobody else has.
pub fn slot_name(database: &Database<'_>) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!(
        "replica_{}_{}",
        database.name(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// A connection whose transaction sees that snapshot, with the settings of a replica.
pub fn snapshot(database: &Database<'_>, snapshot: &str) -> Result<Client> {
    let mut client = replica_client(database)?;
    client.batch_execute(&format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'"
    ))?;
    Ok(client)
}

/// An ordinary connection with the settings of a replica.
pub fn replica_client(database: &Database<'_>) -> Result<Client> {
    let mut client = database.cluster().connect(database.name(), "postgres")?;
    for (name, value) in SESSION {
        client.batch_execute(&format!("SET {name} = '{value}'"))?;
    }
    Ok(client)
}

/// All rows of a table in text form, columns as its shape has them.
pub fn texts(client: &mut Client, table: &Table) -> Result<Vec<Vec<Option<String>>>> {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    // Text forms as the type's output function makes them: a cast to text differs, for boolean or inet.
    let sql = format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        table.qualified_name()
    );
    let mut result = Vec::new();
    for message in client.simple_query(&sql)? {
        if let SimpleQueryMessage::Row(row) = message {
            result.push(
                (0..row.len())
                    .map(|i| row.get(i).map(str::to_owned))
                    .collect(),
            );
        }
    }
    Ok(result)
}
