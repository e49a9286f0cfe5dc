//! Are both sides the same? Rows, and the schema as each side's own catalog has it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use electric_schema::model::{SqliteType, Table};
use postgres::Client;
use rusqlite::types::Value;

use super::ledger::Ledger;
use super::rows::{quoted, value};
use super::source::{replica_client, texts};
use crate::database::{Database, commands};
use crate::replication::PUBLICATION;

/// How many differing rows are shown of each side.
const SHOWN: usize = 3;

/// The outcome of a comparison.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Rows of each table, by its qualified name.
    pub rows: BTreeMap<String, usize>,
    /// Columns compared.
    pub columns: usize,
    /// Indexes compared.
    pub indexes: usize,
    /// What differs; empty if nothing does.
    pub differences: Vec<String>,
}

impl Comparison {
    fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, postgres: &T, sqlite: &T) {
        if postgres != sqlite {
            self.differences
                .push(format!("{what}: {postgres:?} expected, {sqlite:?} found"));
        }
    }
}

pub(super) fn compare(
    database: &Database<'_>,
    sqlite: &rusqlite::Connection,
    shapes: &BTreeMap<String, Table>,
    ledger: &Ledger,
) -> Result<Comparison> {
    let mut result = Comparison::default();
    let mut client = replica_client(database)?;
    let electrified = electrified(&mut client)?;
    result.expect(
        "electrified tables",
        &electrified,
        &shapes.keys().cloned().collect(),
    );
    let expected: BTreeSet<_> = shapes.values().map(|t| t.sqlite_name.clone()).collect();
    let sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    result.expect(
        "tables of SQLite",
        &expected,
        &names(sqlite, sql, "")?.into_iter().collect(),
    );
    let history = commands(&mut client);
    result.expect(
        "last command",
        &history.last().map_or(0, |c| c.id),
        &ledger.last_command(),
    );
    let hash = history.last().map_or("", |c| c.hash.as_str());
    result.expect("end of the chain", &hash, &ledger.hash());
    for (name, table) in shapes
        .iter()
        .filter(|(name, _)| electrified.contains(*name))
    {
        postgres_schema(&mut client, name, table, &mut result)?;
        sqlite_schema(sqlite, name, table, &mut result)?;
        rows(&mut client, sqlite, name, table, &mut result)?;
    }
    Ok(result)
}

fn electrified(client: &mut Client) -> Result<BTreeSet<String>> {
    let sql = "SELECT schemaname::text, tablename::text FROM pg_publication_tables \
               WHERE pubname = $1 AND schemaname <> 'electric'";
    let rows = client.query(sql, &[&PUBLICATION])?;
    Ok(rows
        .iter()
        .map(|row| electric_schema::names::qualified(row.get(0), row.get(1)))
        .collect())
}

/// The recorded shape against Postgres' catalog, so that a wrong record cannot hide behind a wrong replica.
fn postgres_schema(
    client: &mut Client,
    name: &str,
    table: &Table,
    result: &mut Comparison,
) -> Result<()> {
    let sql = "SELECT attname::text, NOT attnotnull FROM pg_attribute \
               WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let actual: Vec<(String, bool)> = client
        .query(sql, &[&name])?
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let recorded = table
        .columns
        .iter()
        .map(|c| (c.name.clone(), c.nullable))
        .collect();
    result.expect(
        &format!("columns of {name} (name, nullable) in the record"),
        &actual,
        &recorded,
    );
    let sql = "SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, n), pg_attribute a \
               WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND a.attrelid = i.indrelid \
               AND a.attnum = k.attnum ORDER BY k.n";
    let key: Vec<String> = client
        .query(sql, &[&name])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    result.expect(
        &format!("primary key of {name} in the record"),
        &key,
        &table.primary_key,
    );
    let sql = "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
               WHERE i.indrelid = $1::text::regclass AND i.indisvalid \
               AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid AND contype IN ('p', 'u', 'x'))";
    let indexes: BTreeSet<String> = client
        .query(sql, &[&name])?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let recorded = table
        .indexes
        .iter()
        .map(|index| index.name.clone())
        .collect();
    result.expect(
        &format!("indexes of {name} in the record"),
        &indexes,
        &recorded,
    );
    Ok(())
}

/// Whether the primary key is one in SQLite: not where it would refuse rows, because NaN is NULL there, because JSON
/// does not tell arrays of other bounds apart, or because rows may break it until the transaction ends.
fn keeps_key(table: &Table) -> bool {
    let deferrable = table.primary_key_constraint.as_ref();
    let deferrable = deferrable.is_some_and(|key| key.definition.contains(") DEFERRABLE"));
    let mut columns = table
        .primary_key
        .iter()
        .filter_map(|name| table.column(name));
    !deferrable
        && columns.all(|column| {
            column.sqlite_type != SqliteType::Real && column.data_type.base().array_dims == 0
        })
}

/// SQLite's catalog against the recorded shape.
fn sqlite_schema(
    sqlite: &rusqlite::Connection,
    name: &str,
    table: &Table,
    result: &mut Comparison,
) -> Result<()> {
    let mut statement = sqlite
        .prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?) ORDER BY cid")?;
    let actual: Vec<(String, String, bool, i64)> = statement
        .query_map([&table.sqlite_name], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    let keyed = keeps_key(table);
    let mut expected = Vec::new();
    for column in &table.columns {
        let declared = match column.sqlite_type {
            SqliteType::Integer => "INTEGER",
            SqliteType::Real => "REAL",
            SqliteType::Text => "TEXT",
            SqliteType::Blob => "BLOB",
        };
        let key = (1..)
            .zip(&table.primary_key)
            .find(|(_, key)| keyed && **key == column.name)
            .map_or(0, |(i, _)| i);
        let not_null = !column.nullable && column.sqlite_type != SqliteType::Real;
        expected.push((column.name.clone(), declared.to_owned(), not_null, key));
    }
    result.expect(
        &format!("columns of {name} (name, type, not null, key) in SQLite"),
        &expected,
        &actual,
    );
    result.columns += actual.len();
    let strict = names(
        sqlite,
        "SELECT CAST(strict AS TEXT) FROM pragma_table_list WHERE name = ?1",
        &table.sqlite_name,
    )?;
    result.expect(&format!("STRICT of {name}"), &vec!["1".to_owned()], &strict);

    let sql =
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?1";
    let actual: BTreeSet<String> = names(sqlite, sql, &table.sqlite_name)?
        .into_iter()
        .collect();
    let expected = table
        .indexes
        .iter()
        .filter_map(|index| index.sqlite_name.clone())
        .collect();
    result.expect(&format!("indexes of {name} in SQLite"), &expected, &actual);
    result.indexes += actual.len();

    let mut expected: Vec<String> = Vec::new();
    for key in table.foreign_keys.iter().filter(|key| key.sqlite) {
        let target = if key.references.schema == "public" {
            key.references.table.clone()
        } else {
            format!("{}.{}", key.references.schema, key.references.table)
        };
        let target = target.to_ascii_lowercase();
        for (column, referenced) in key.columns.iter().zip(&key.references.columns) {
            expected.push(format!("{column} -> {target} {referenced}").to_ascii_lowercase());
        }
    }
    let sql = "SELECT lower(\"from\" || ' -> ' || \"table\" || ' ' || \"to\") FROM pragma_foreign_key_list(?1)";
    let mut actual = names(sqlite, sql, &table.sqlite_name)?;
    expected.sort();
    actual.sort();
    result.expect(
        &format!("foreign keys of {name} in SQLite"),
        &expected,
        &actual,
    );
    Ok(())
}

fn rows(
    client: &mut Client,
    sqlite: &rusqlite::Connection,
    name: &str,
    table: &Table,
    result: &mut Comparison,
) -> Result<()> {
    let mut postgres = Vec::new();
    for row in texts(client, table)? {
        let values = table.columns.iter().zip(&row);
        postgres.push(
            values
                .map(|(column, text)| value(column, text.as_deref()))
                .collect::<Result<Vec<_>>>()?,
        );
    }
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    let sql = format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        quoted(&table.sqlite_name)
    );
    let mut statement = sqlite.prepare(&sql)?;
    let replicated = statement
        .query_map([], |row| {
            (0..columns.len())
                .map(|i| row.get(i))
                .collect::<Result<Vec<Value>, _>>()
        })?
        .collect::<Result<Vec<_>, _>>()?;
    result.rows.insert(name.to_owned(), replicated.len());
    let count = (postgres.len(), replicated.len());
    let sorted = |rows: Vec<Vec<Value>>| {
        let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    };
    let (postgres, replicated) = (sorted(postgres), sorted(replicated));
    if postgres != replicated {
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter()
                .filter(|row| b.binary_search(row).is_err())
                .take(SHOWN)
                .cloned()
                .collect()
        };
        result.differences.push(format!(
            "rows of {name}: {} in Postgres, {} in SQLite; only in Postgres {:#?}, only in SQLite {:#?}",
            count.0,
            count.1,
            only(&postgres, &replicated),
            only(&replicated, &postgres)
        ));
    }
    Ok(())
}

/// The texts a query gives, for one parameter where it has one.
fn names(sqlite: &rusqlite::Connection, sql: &str, parameter: &str) -> Result<Vec<String>> {
    let mut statement = sqlite.prepare(sql)?;
    let parameters: &[&dyn rusqlite::ToSql] = if statement.parameter_count() == 0 {
        &[]
    } else {
        &[&parameter]
    };
    Ok(statement
        .query_map(parameters, |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}
