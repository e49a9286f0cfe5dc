//! The machine-readable form of a change: the `op` of a DDL command.

use serde_json::{Map, Value, json};

use crate::change::{Change, LabelPosition};
use crate::model::Table;

/// The version of the records' format. A replica that meets a newer one stops.
pub const FORMAT: u32 = 1;

/// `{"op": command, …, "table": …}`: what changed, and the table that results (none for changes of types). Whether a table
/// that is made holds rows already, `has_rows`, only the server knows.
pub fn op(change: &Change, table: Option<&Table>) -> Result<Value, serde_json::Error> {
    let mut op = Map::new();
    op.insert("op".into(), change.command().into());
    op.insert("format".into(), FORMAT.into());
    match change {
        Change::CreateType(definition) => {
            op.insert("type".into(), serde_json::to_value(definition)?);
        }
        Change::CreateTable { .. } | Change::DisableTable => {}
        Change::AddColumn {
            column,
            existing_value,
            constraints,
            foreign_keys,
        } => {
            op.insert("column".into(), serde_json::to_value(column)?);
            op.insert("existing_value".into(), json!(existing_value));
            op.insert("constraints".into(), serde_json::to_value(constraints)?);
            op.insert("foreign_keys".into(), serde_json::to_value(foreign_keys)?);
        }
        Change::CreateIndex(index) | Change::DropIndex(index) => {
            op.insert("index".into(), serde_json::to_value(index)?);
        }
        Change::RenameIndex { from, to } => {
            op.insert("index".into(), serde_json::to_value(to)?);
            op.insert("from".into(), json!(from.name));
        }
        Change::AddEnumValue {
            enum_type,
            value,
            position,
        } => {
            op.insert("type".into(), serde_json::to_value(enum_type)?);
            op.insert("value".into(), json!(value));
            op.insert(
                "before".into(),
                match position {
                    LabelPosition::Before(label) => json!(label),
                    LabelPosition::Last => Value::Null,
                },
            );
        }
        Change::SetDefault(column) | Change::DropDefault(column) | Change::DropNotNull(column) => {
            op.insert("column".into(), serde_json::to_value(column)?);
        }
        Change::ValidateConstraint(name) | Change::DropConstraint { name, .. } => {
            op.insert("constraint".into(), json!(name));
        }
        Change::WidenColumn { column, from } => {
            op.insert("column".into(), serde_json::to_value(column)?);
            op.insert("from".into(), serde_json::to_value(from)?);
        }
        Change::ReplaceTable { from, .. } => {
            op.insert(
                "from".into(),
                json!({"schema": from.schema, "name": from.name, "sqlite_name": from.sqlite_name}),
            );
        }
        Change::Grant(grants) | Change::Revoke(grants) => {
            op.insert("grants".into(), serde_json::to_value(grants)?);
        }
        Change::Assign(assignments) | Change::Unassign(assignments) => {
            op.insert("assignments".into(), serde_json::to_value(assignments)?);
        }
        Change::Sqlite(statement) => {
            op.insert("statement".into(), json!(statement));
        }
    }
    if let Some(table) = table {
        op.insert("table".into(), serde_json::to_value(table)?);
    }
    Ok(Value::Object(op))
}
