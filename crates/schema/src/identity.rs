//! What tells the parts of a table apart on the server that has it: numbers that survive renames.
//!
//! A shape is text, the same wherever it is read. Text alone cannot tell a column that was dropped and made again
//! from one that stayed, nor a CHECK that was replaced from one whose function was renamed. The ids of catalog rows
//! can, but hold only in the database that gave them: after a dump and restore they say nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::Table;

/// Ids of a table's parts, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The database and table that the ids are of. Ids of another place are not compared.
    pub place: String,
    /// `attnum`, `atttypid`, `atttypmod` and `attcollation` of each column.
    pub columns: BTreeMap<String, (i16, u32, i32, u32)>,
    /// `pg_constraint.oid`, foreign keys left out: their text names nothing that may be renamed.
    pub constraints: BTreeMap<String, u32>,
    /// `pg_class.oid` of indexes that back no constraint.
    pub indexes: BTreeMap<String, u32>,
    /// The tables it inherits from, or is a partition of.
    pub parents: Vec<u32>,
}

impl Ids {
    /// Whether the ids of both can be compared.
    fn is_comparable(&self, other: &Ids) -> bool {
        self.place == other.place
    }

    /// The name that each recorded column has now, the dropped ones left out; `None` where ids cannot be compared.
    pub fn successors(&self, now: &Ids) -> Option<BTreeMap<String, String>> {
        if !self.is_comparable(now) {
            return None;
        }
        let names: BTreeMap<i16, &String> = now
            .columns
            .iter()
            .map(|(name, column)| (column.0, name))
            .collect();
        let found = self.columns.iter().filter_map(|(name, column)| {
            names
                .get(&column.0)
                .map(|now| (name.clone(), (*now).clone()))
        });
        Some(found.collect())
    }

    /// Whether the table joined or left others since it was recorded.
    pub fn changed_parents(&self, now: &Ids) -> bool {
        self.is_comparable(now) && self.parents != now.parents
    }

    /// Takes into `recorded` what merely reads differently now, because something it names was renamed or moved: the
    /// same type, the same constraint, the same index.
    pub fn refresh(&self, now: &Ids, recorded: &mut Table, actual: &Table) {
        if !self.is_comparable(now) {
            return;
        }
        for column in &mut recorded.columns {
            let same = self
                .columns
                .get(&column.name)
                .is_some_and(|before| now.columns.get(&column.name) == Some(before));
            if let Some(read) = actual.column(&column.name).filter(|_| same) {
                assign(&mut column.data_type, &read.data_type);
                assign(&mut column.collation, &read.collation);
            }
        }
        let same = |name: &String| {
            self.constraints
                .get(name)
                .is_some_and(|id| now.constraints.get(name) == Some(id))
        };
        let lists = [
            (&mut recorded.unique, &actual.unique),
            (&mut recorded.checks, &actual.checks),
            (&mut recorded.exclusions, &actual.exclusions),
        ];
        for (before, after) in lists {
            for constraint in before.iter_mut().filter(|c| same(&c.name)) {
                if let Some(read) = after.iter().find(|c| c.name == constraint.name) {
                    let text = read
                        .definition
                        .strip_suffix(NOT_VALID)
                        .unwrap_or(&read.definition);
                    let suffix = if constraint.validated { "" } else { NOT_VALID };
                    constraint.definition = format!("{text}{suffix}");
                    constraint.is_local = read.is_local;
                }
            }
        }
        for index in &mut recorded.indexes {
            let same = self
                .indexes
                .get(&index.name)
                .is_some_and(|id| now.indexes.get(&index.name) == Some(id));
            if let Some(read) = actual.indexes.iter().find(|i| same && i.name == index.name) {
                let sqlite_name = index.sqlite_name.take();
                assign(index, read);
                index.sqlite_name = sqlite_name;
            }
        }
    }
}

const NOT_VALID: &str = " NOT VALID";

/// Copies what differs: nearly always nothing does.
fn assign<T: Clone + PartialEq>(to: &mut T, from: &T) {
    if to != from {
        to.clone_from(from);
    }
}
