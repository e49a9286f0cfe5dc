//! Indexes of a table, from `pg_index`.

use electric_schema::model::Index;
use electric_schema::names;
use pgrx::pg_sys;

use super::Reader;
use super::uses::Uses;
use crate::pg::calls::Calls;
use crate::pg::heap::{self, Key, Row};
use crate::pg::relation::{self, IndexClass};
use crate::pg::{deparse, types};

/// A row of `pg_index`.
struct IndexRow {
    id: pg_sys::Oid,
    unique: bool,
    nulls_not_distinct: bool,
    /// How many of the columns are keys; others are included.
    keys: usize,
    /// The columns' numbers; 0 stands for an expression.
    columns: Vec<i16>,
    /// Those of the keys.
    options: Vec<i16>,
    collations: Vec<pg_sys::Oid>,
    classes: Vec<pg_sys::Oid>,
    predicate: Option<String>,
    /// What its expressions and its predicate call.
    calls: Calls,
}

impl Reader {
    /// The indexes that back no constraint. One that is invalid (a failed CONCURRENTLY) does not count.
    pub(super) fn indexes(&mut self, backing: &[pg_sys::Oid]) -> Option<Vec<(pg_sys::Oid, Index)>> {
        use pg_sys::*;
        let rows = heap::scan(
            IndexRelationId,
            Oid::from(IndexIndrelidIndexId),
            &[Key::oid(Anum_pg_index_indrelid, self.id)],
            |row| {
                let row = row.whole();
                let id = row.oid(Anum_pg_index_indexrelid);
                let counts = row.bool(Anum_pg_index_indisvalid)
                    && row.bool(Anum_pg_index_indislive)
                    && !backing.contains(&id);
                counts.then(|| IndexRow {
                    id,
                    unique: row.bool(Anum_pg_index_indisunique),
                    nulls_not_distinct: row.bool(Anum_pg_index_indnullsnotdistinct),
                    keys: row
                        .get::<i16>(Anum_pg_index_indnkeyatts)
                        .and_then(|keys| usize::try_from(keys).ok())
                        .unwrap_or(0),
                    columns: row.int2s(Anum_pg_index_indkey),
                    options: row.int2s(Anum_pg_index_indoption),
                    collations: row.oids(Anum_pg_index_indcollation),
                    classes: row.oids(Anum_pg_index_indclass),
                    predicate: row
                        .tree(Anum_pg_index_indpred)
                        .and_then(|tree| deparse::expression(tree, self.id)),
                    calls: calls_of(row),
                })
            },
        );
        rows.into_iter()
            .flatten()
            .map(|row| Some((row.id, self.index(row)?)))
            .collect()
    }

    fn index(&mut self, row: IndexRow) -> Option<Index> {
        let class = relation::index_class(row.id)?;
        let columns: Vec<Option<String>> = row
            .columns
            .iter()
            .map(|number| self.names.get(number).map(|name| deparse::quoted(name)))
            .collect();
        let key = |(i, name): (usize, &Option<String>)| {
            let key = match name {
                Some(name) => name.clone(),
                None => deparse::index_key(row.id, i32::try_from(i).ok()? + 1)?,
            };
            let option = row.options.get(i).copied().unwrap_or(0);
            Some(format!("{key}{}", direction(option)))
        };
        let keys = columns.iter().take(row.keys).enumerate().map(key);
        let keys = keys.collect::<Option<Vec<String>>>()?;
        let (definition, uses) = if self.is_plain(&row, &class) {
            let included = columns.into_iter().skip(row.keys).flatten().collect();
            (
                self.plain_index(&row, &class, &keys, included),
                Uses::default(),
            )
        } else {
            let uses = Uses::of(pg_sys::RelationRelationId, row.id, &self.own);
            (printed(row.id, &class)?, uses.computing(&row.calls))
        };
        debug_assert_eq!(Some(&definition), printed(row.id, &class).as_ref());
        Some(Index {
            unique: row.unique,
            method: types::access_method(class.method)?,
            keys,
            predicate: row.predicate,
            options: class.options,
            definition,
            is_local: self.needs.add(uses),
            sqlite_name: None,
            name: class.name,
        })
    }

    /// Whether an index says nothing but columns and storage options, and uses nothing but the server's own.
    fn is_plain(&self, row: &IndexRow, class: &IndexClass) -> bool {
        let is_plain = |(i, number)| {
            let Some(&(type_id, collation)) = self.plain.get(number) else {
                return false;
            };
            let of_key = |oids: &[pg_sys::Oid]| oids.get(i).copied();
            let is_own = of_key(&row.collations)
                .is_none_or(|own| own == pg_sys::Oid::INVALID || own == collation);
            let is_default = |class: pg_sys::Oid| types::is_btree_default(class, type_id);
            is_own && of_key(&row.classes).is_none_or(is_default)
        };
        class.method == pg_sys::BTREE_AM_OID
            && row.predicate.is_none()
            && row.columns.iter().enumerate().all(is_plain)
    }

    /// The definition of such an index as the server prints it: that takes the server as long as making the index does.
    fn plain_index(
        &self,
        row: &IndexRow,
        class: &IndexClass,
        keys: &[String],
        included: Vec<String>,
    ) -> String {
        let mut text = format!(
            "CREATE {}INDEX {} ON {}.{} USING btree ({})",
            if row.unique { "UNIQUE " } else { "" },
            deparse::quoted(&class.name),
            deparse::quoted(&self.schema),
            deparse::quoted(&self.class.name),
            keys.join(", ")
        );
        if !included.is_empty() {
            text.push_str(&format!(" INCLUDE ({})", included.join(", ")));
        }
        if row.nulls_not_distinct {
            text.push_str(" NULLS NOT DISTINCT");
        }
        if let Some(options) = &class.options {
            text.push_str(&format!(" WITH ({options})"));
        }
        text
    }
}

/// What the expressions and the predicate of an index call.
pub(super) fn calls(index: pg_sys::Oid) -> Calls {
    let key = Key::oid(pg_sys::Anum_pg_index_indexrelid, index);
    let by_id = pg_sys::Oid::from(pg_sys::IndexRelidIndexId);
    heap::scan(pg_sys::IndexRelationId, by_id, &[key], calls_of)
        .pop()
        .unwrap_or_default()
}

fn calls_of(row: &Row) -> Calls {
    [
        pg_sys::Anum_pg_index_indexprs,
        pg_sys::Anum_pg_index_indpred,
    ]
    .into_iter()
    .filter_map(|column| row.get::<String>(column))
    .map(|tree| Calls::of(&tree))
    .fold(Calls::default(), Calls::and)
}

/// The definition as the server prints it. That of a partitioned table's index it prints with ONLY, which would leave
/// partitions without.
fn printed(id: pg_sys::Oid, class: &IndexClass) -> Option<String> {
    let head = format!("INDEX {} ON ", names::quote_ident_if_needed(&class.name));
    Some(deparse::index(id)?.replacen(&format!("{head}ONLY "), &head, 1))
}

/// Direction and place of NULLs, where they are not the default.
fn direction(option: i16) -> &'static str {
    let option = u32::from(option.unsigned_abs());
    let descending = option & pg_sys::INDOPTION_DESC != 0;
    let nulls_first = option & pg_sys::INDOPTION_NULLS_FIRST != 0;
    match (descending, nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    }
}
