//! Rows on their way into SQLite.

use anyhow::{Context, Result, bail, ensure};
use electric_schema::model::{Column, SqliteType, Table};
use electric_schema::value::{SqliteValue, to_sqlite};
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use crate::pgoutput::{Datum, OldRow, Relation};

/// A value of Postgres as the replica stores it.
pub fn value(column: &Column, text: Option<&str>) -> Result<Value> {
    let value = to_sqlite(&column.data_type, text)
        .map_err(|e| anyhow::anyhow!("column {}: value {text:?}: {e:?}", column.name))?;
    let value = match value {
        SqliteValue::Null => Value::Null,
        SqliteValue::Integer(number) => Value::Integer(number),
        SqliteValue::Real(number) => Value::Real(number),
        SqliteValue::Text(text) => Value::Text(text),
        SqliteValue::Blob(bytes) => Value::Blob(bytes),
    };
    // What STRICT would refuse or convert: the two halves of S6's table must agree.
    let fits = match column.sqlite_type {
        _ if value == Value::Null => true,
        SqliteType::Integer => matches!(value, Value::Integer(_)),
        SqliteType::Real => matches!(value, Value::Real(_)),
        SqliteType::Text => matches!(value, Value::Text(_)),
        SqliteType::Blob => matches!(value, Value::Blob(_)),
    };
    ensure!(
        fits,
        "column {} is {:?}, its value {value:?}",
        column.name,
        column.sqlite_type
    );
    Ok(value)
}

/// A name as SQLite's own quoting has it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Writes rows of one table.
pub struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    table: &'a Table,
}

impl<'a> Writer<'a> {
    /// A writer for rows of that shape.
    pub fn new(transaction: &'a Transaction<'a>, table: &'a Table) -> Self {
        Writer { transaction, table }
    }

    /// Every column of a row must have been announced before the row comes, and none that is gone may be missing.
    pub fn check_columns(&self, relation: &Relation) -> Result<()> {
        let announced: Vec<&str> = self.table.columns.iter().map(|c| c.name.as_str()).collect();
        ensure!(
            relation.columns == announced,
            "rows of {} have the columns {:?}, announced were {announced:?}",
            self.table.qualified_name(),
            relation.columns
        );
        Ok(())
    }

    /// A new row, given as texts in the order of the shape's columns.
    pub fn insert<'t>(&self, texts: impl Iterator<Item = Option<&'t str>>) -> Result<()> {
        let columns = &self.table.columns;
        let values = columns
            .iter()
            .zip(texts)
            .map(|(column, text)| value(column, text));
        let values = values.collect::<Result<Vec<_>>>()?;
        ensure!(
            values.len() == columns.len(),
            "a row of {} values",
            values.len()
        );
        let names: Vec<_> = columns.iter().map(|c| quoted(&c.name)).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(&self.table.sqlite_name),
            names.join(", "),
            vec!["?"; names.len()].join(", ")
        );
        self.execute(&sql, &values)?;
        Ok(())
    }

    /// A changed row.
    pub fn update(&self, old: Option<&OldRow>, new: &[Datum]) -> Result<()> {
        let mut assignments = Vec::new();
        let mut values = Vec::new();
        for (column, datum) in self.table.columns.iter().zip(new) {
            if *datum != Datum::Unchanged {
                assignments.push(format!("{} = ?", quoted(&column.name)));
                values.push(value(column, datum.text())?);
            }
        }
        let new_key = self.key(new);
        let old_key = old.map_or_else(|| self.key(new), |old| self.key(old.data()))?;
        let sql = format!(
            "UPDATE {} SET {} WHERE {}",
            quoted(&self.table.sqlite_name),
            assignments.join(", "),
            self.key_condition()
        );
        let changed = self.execute(&sql, &[values.clone(), old_key.clone()].concat())?;
        if changed == 1 {
            return Ok(());
        }
        // ON UPDATE CASCADE: SQLite moved the row to its new key already, with the row it references.
        let changed = self.execute(&sql, &[values, new_key?].concat())?;
        ensure!(
            changed == 1,
            "update of a row of {} that is not here: {old_key:?}",
            self.table.qualified_name()
        );
        Ok(())
    }

    /// A row that went; says whether it was still here.
    pub fn delete(&self, old: &OldRow) -> Result<bool> {
        let sql = format!(
            "DELETE FROM {} WHERE {}",
            quoted(&self.table.sqlite_name),
            self.key_condition()
        );
        Ok(self.execute(&sql, &self.key(old.data())?)? == 1)
    }

    /// All rows went.
    pub fn truncate(&self) -> Result<()> {
        self.execute(
            &format!("DELETE FROM {}", quoted(&self.table.sqlite_name)),
            &[],
        )?;
        Ok(())
    }

    fn execute(&self, sql: &str, values: &[Value]) -> Result<usize> {
        let mut statement = self
            .transaction
            .prepare_cached(sql)
            .with_context(|| sql.to_owned())?;
        let changed = statement.execute(params_from_iter(values));
        changed.with_context(|| format!("{sql} with {values:?}"))
    }

    fn key_condition(&self) -> String {
        let parts: Vec<_> = self
            .table
            .primary_key
            .iter()
            .map(|c| format!("{} IS ?", quoted(c)))
            .collect();
        parts.join(" AND ")
    }

    fn key(&self, row: &[Datum]) -> Result<Vec<Value>> {
        let table = self.table.qualified_name();
        let mut key = Vec::new();
        for name in &self.table.primary_key {
            let position = self.table.columns.iter().position(|c| c.name == *name);
            let position =
                position.with_context(|| format!("key column {name} of {table} is unknown"))?;
            match row.get(position) {
                Some(Datum::Text(text)) => {
                    key.push(value(&self.table.columns[position], Some(text))?)
                }
                other => bail!("key column {name} of {table} is {other:?}"),
            }
        }
        Ok(key)
    }
}
