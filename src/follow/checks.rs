//! CHECKs that are NOT VALID. Rows for which one does not hold are copied like any other, and to the server a copied row
//! is a new one, which it refuses. So such a CHECK is made here when it has become valid, and not before.

use electric_schema::change::Change;
use electric_schema::dialect::postgres;
use electric_schema::model::{Table, TypeDefinition};
use electric_schema::names::{qualified_quoted, quote_ident};

use crate::error::Error;
use crate::pg::{names, spi};

/// The statements that do a change here.
pub fn statements(change: &Change, table: Option<&Table>) -> Result<Vec<String>, Error> {
    let valid = table.map(valid);
    let said = |change: &Change| postgres::statements(change, valid.as_ref());
    Ok(match (change, table) {
        (Change::CreateType(definition), _) => said(&Change::CreateType(valid_type(definition))),
        (
            Change::AddColumn {
                column,
                existing_value,
                constraints,
                foreign_keys,
            },
            _,
        ) => said(&Change::AddColumn {
            column: column.clone(),
            existing_value: existing_value.clone(),
            constraints: constraints
                .iter()
                .filter(|of| of.validated)
                .cloned()
                .collect(),
            foreign_keys: foreign_keys.clone(),
        }),
        (Change::ValidateConstraint(name), Some(table)) if !has_constraint(table, name)? => {
            let made = table
                .checks
                .iter()
                .filter(|check| check.name == *name && !check.is_local);
            made.map(|check| {
                format!(
                    "ALTER TABLE {} ADD CONSTRAINT {} {}",
                    qualified_quoted(&table.schema, &table.name),
                    quote_ident(name),
                    check.definition
                )
            })
            .collect()
        }
        (Change::DropConstraint { name, .. }, Some(table)) if !has_constraint(table, name)? => {
            Vec::new()
        }
        _ => said(change),
    })
}

fn valid(table: &Table) -> Table {
    let mut valid = table.clone();
    valid.checks.retain(|check| check.validated);
    valid
}

fn valid_type(definition: &TypeDefinition) -> TypeDefinition {
    TypeDefinition {
        not_valid: Vec::new(),
        ..definition.clone()
    }
}

fn has_constraint(table: &Table, name: &str) -> Result<bool, Error> {
    let Some(id) = names::relation_of(&table.schema, &table.name) else {
        return Ok(false);
    };
    let found: Option<String> = spi::value(
        "SELECT conname::text FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid AND conname::text = $2",
        &[&id.to_u32().to_string(), name],
    )?;
    Ok(found.is_some())
}
