//! The machine-readable form of a change: the `op` of a DDL command.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::bounded::{self, Fault};
use crate::change::{Change, LabelPosition};
use crate::model::Table;

mod read;
pub use read::{Names, Read, Unreadable};

/// The version of the records' format. A replica that meets a newer one stops.
pub const FORMAT: u32 = 1;

/// What a command did, as JSON text by the keys of its parts, and how many more bytes there may be.
pub struct Op(BTreeMap<&'static str, String>, usize);

impl Op {
    /// `{"op": command, …, "table": …}`: what changed, and the table that results (none for changes of types), in no more
    /// bytes than `room`.
    pub fn of(change: &Change, table: Option<&Table>, room: usize) -> Result<Op, Fault> {
        let mut op = Op(BTreeMap::new(), room);
        op.shape("op", change.command())?;
        op.shape("format", &FORMAT)?;
        match change {
            Change::CreateType(definition) => op.shape("type", definition)?,
            Change::CreateTable { .. } | Change::DisableTable => {}
            Change::AddColumn {
                column,
                existing_value,
                constraints,
                foreign_keys,
            } => {
                op.shape("column", column)?;
                op.shape("existing_value", existing_value)?;
                op.shape("constraints", constraints)?;
                op.shape("foreign_keys", foreign_keys)?;
            }
            Change::CreateIndex(index) | Change::DropIndex(index) => op.shape("index", index)?,
            Change::RenameIndex { from, to } => {
                op.shape("index", to)?;
                op.shape("from", &from.name)?;
            }
            Change::AddEnumValue {
                enum_type,
                value,
                position,
            } => {
                op.shape("type", enum_type)?;
                op.shape("value", value)?;
                let before = match position {
                    LabelPosition::Before(label) => Some(label),
                    LabelPosition::Last => None,
                };
                op.shape("before", &before)?;
            }
            Change::SetDefault(column)
            | Change::DropDefault(column)
            | Change::DropNotNull(column) => op.shape("column", column)?,
            Change::ValidateConstraint(name) | Change::DropConstraint { name, .. } => {
                op.shape("constraint", name)?;
            }
            Change::WidenColumn {
                column,
                from,
                constraints,
            } => {
                op.shape("column", column)?;
                op.shape("from", from)?;
                if !constraints.is_empty() {
                    op.shape("constraints", constraints)?;
                }
            }
            Change::ReplaceTable { from, .. } => {
                op.sorted("from", &json!({"schema": from.schema, "name": from.name, "sqlite_name": from.sqlite_name}))?;
            }
            Change::Grant(grants) | Change::Revoke(grants) => {
                op.sorted("grants", grants)?;
            }
            Change::Assign(assignments) | Change::Unassign(assignments) => {
                op.sorted("assignments", assignments)?;
            }
            Change::Sqlite(statement) => op.shape("statement", statement)?,
        }
        if let Some(table) = table {
            op.shape("table", table)?;
        }
        Ok(op)
    }

    /// Adds a part whose keys are written in their order: those of [`crate::model`] are.
    fn shape(&mut self, key: &'static str, part: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        let text = bounded::json(part, &mut self.1)?;
        self.0.insert(key, text);
        Ok(())
    }

    /// Adds a part whose keys are put into their order.
    fn sorted(&mut self, key: &'static str, part: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        let text = bounded::json(part, &mut self.1)?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(Fault::Json)?;
        self.0.insert(key, crate::hash::canonical_json(&value));
        Ok(())
    }

    /// Says whether a table that is made holds rows already: only the server knows.
    pub fn has_rows(&mut self, has_rows: bool) {
        self.0.insert("has_rows", has_rows.to_string());
    }

    /// The table that results, as JSON.
    pub fn table(&self) -> Option<&str> {
        self.0.get("table").map(String::as_str)
    }

    /// The whole as canonical JSON: what the chain hashes.
    pub fn text(&self) -> String {
        let length = |(key, part): (&&str, &String)| key.len() + part.len() + 4;
        let mut text = String::with_capacity(self.0.iter().map(length).sum::<usize>() + 2);
        for (key, part) in &self.0 {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.extend(["\"", key, "\":", part]);
        }
        text.push('}');
        debug_assert!(
            serde_json::from_str(&text)
                .is_ok_and(|value| crate::hash::canonical_json(&value) == text),
            "the keys of an op are out of order: {text}"
        );
        text
    }
}
