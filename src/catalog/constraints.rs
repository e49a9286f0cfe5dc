//! Constraints of a table, from `pg_constraint`.

use std::collections::BTreeMap;

use electric_schema::model::{Action, Constraint, ForeignKey, References};
use pgrx::pg_sys;

use super::Reader;
use super::indexes;
use super::uses::Uses;
use crate::pg::calls::Calls;
use crate::pg::compat::catalog as c;
use crate::pg::heap::{self, Key};
use crate::pg::relation;
use crate::pg::{deparse, names as server, types};

/// A row of `pg_constraint`.
pub(super) struct ConstraintRow {
    pub(super) id: pg_sys::Oid,
    pub(super) name: String,
    pub(super) kind: u8,
    pub(super) deferrable: bool,
    pub(super) validated: bool,
    /// What a CHECK calls.
    calls: Option<Calls>,
    pub(super) index: pg_sys::Oid,
    pub(super) referenced: pg_sys::Oid,
    pub(super) on_update: u8,
    pub(super) on_delete: u8,
    pub(super) columns: Vec<i16>,
    pub(super) referenced_columns: Vec<i16>,
}

impl Reader {
    /// The constraints, but for parts that come and go with partitions.
    pub(super) fn constraints(&self) -> Vec<ConstraintRow> {
        use c::constraint::*;
        heap::scan(
            c::CONSTRAINTS,
            c::CONSTRAINTS_BY_RELATION,
            &[Key::oid(RELATION, self.id)],
            |row| {
                let row = row.whole();
                // A key to a partitioned table has a part for each partition, which comes and goes with that.
                let is_part = row.char(KIND) == b'f' && row.oid(PARENT) != pg_sys::Oid::INVALID;
                (!is_part).then(|| ConstraintRow {
                    id: row.oid(OID),
                    name: row.name(NAME),
                    kind: row.char(KIND),
                    deferrable: row.bool(DEFERRABLE),
                    validated: row.bool(VALIDATED),
                    calls: row.get::<String>(TREE).as_deref().map(Calls::of),
                    index: row.oid(INDEX),
                    referenced: row.oid(REFERENCED),
                    on_update: row.char(ON_UPDATE),
                    on_delete: row.char(ON_DELETE),
                    columns: row.int2s(COLUMNS),
                    referenced_columns: row.int2s(REFERENCED_COLUMNS),
                })
            },
        )
        .into_iter()
        .flatten()
        .collect()
    }

    /// A constraint that is no foreign key.
    pub(super) fn constraint(&mut self, row: &ConstraintRow) -> Option<Constraint> {
        // A key compares as the types and collations of its columns say, and uses nothing else.
        let is_key = matches!(row.kind, b'p' | b'u');
        let mut uses = Uses::default();
        if !(is_key
            && row
                .columns
                .iter()
                .all(|number| self.plain.contains_key(number)))
        {
            uses = Uses::of(c::CONSTRAINTS, row.id, &self.own);
            if is_key || row.kind == b'x' {
                let index = Uses::of(pg_sys::RelationRelationId, row.index, &self.own);
                uses = uses.and(index);
            }
        }
        if row.kind == b'x' {
            uses = uses.computing(&indexes::calls(row.index));
        }
        if let Some(calls) = &row.calls {
            uses = uses.computing(calls);
        }
        let columns = self.column_names(&row.columns);
        Some(Constraint {
            name: row.name.clone(),
            definition: if is_plain_primary_key(row) {
                deparse::primary_key(&columns)
            } else {
                deparse::constraint(row.id)?
            },
            columns,
            validated: row.validated,
            is_local: self.needs.add(uses),
        })
    }

    /// A foreign key.
    pub(super) fn foreign_key(&self, row: &ConstraintRow) -> Option<ForeignKey> {
        let class = relation::class(row.referenced)?;
        let names: BTreeMap<i16, String> = if row.referenced == self.id {
            self.names.clone()
        } else {
            row.referenced_columns
                .iter()
                .filter_map(|number| Some((*number, types::column_name(row.referenced, *number)?)))
                .collect()
        };
        Some(ForeignKey {
            name: row.name.clone(),
            columns: self.column_names(&row.columns),
            references: References {
                schema: server::schema_name(class.schema)?,
                table: class.name,
                columns: row
                    .referenced_columns
                    .iter()
                    .filter_map(|number| names.get(number).cloned())
                    .collect(),
            },
            on_delete: action(row.on_delete),
            on_update: action(row.on_update),
            definition: deparse::constraint(row.id)?,
            validated: row.validated,
            sqlite: false,
        })
    }
}

/// Whether a constraint is a PRIMARY KEY that says nothing but its columns. PostgreSQL 18 has more to say.
fn is_plain_primary_key(row: &ConstraintRow) -> bool {
    let columns = || relation::class(row.index).map(|index| index.columns);
    cfg!(pre_pg18)
        && row.kind == b'p'
        && !row.deferrable
        && columns().and_then(|n| usize::try_from(n).ok()) == Some(row.columns.len())
}

fn action(code: u8) -> Action {
    match code {
        b'r' => Action::Restrict,
        b'c' => Action::Cascade,
        b'n' => Action::SetNull,
        b'd' => Action::SetDefault,
        _ => Action::NoAction,
    }
}
