//! Facts about relations, from `pg_class` and what hangs on it.

use std::collections::BTreeMap;

use pgrx::pg_sys;

use super::cached::{CachedRow, cached};
use super::compat::catalog as c;
use super::heap::{self, Key};
use super::value::Value;

/// What `pg_class` says of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The relation's name.
    pub name: String,
    /// Its schema.
    pub schema: pg_sys::Oid,
    /// `relkind`.
    pub kind: u8,
    /// `relpersistence`.
    pub persistence: u8,
    /// Whether it is a partition of another table.
    pub is_partition: bool,
    /// `relreplident`.
    pub replica_identity: u8,
    /// `relnatts`.
    pub columns: i16,
}

/// The class row of a relation; `None` if it is gone.
pub fn class(relation: pg_sys::Oid) -> Option<Class> {
    use pg_sys::*;
    cached(
        SysCacheIdentifier::RELOID,
        relation.into(),
        |row: &CachedRow| Class {
            name: row.name(Anum_pg_class_relname),
            schema: row.oid(Anum_pg_class_relnamespace),
            kind: row.char(Anum_pg_class_relkind),
            persistence: row.char(Anum_pg_class_relpersistence),
            is_partition: row.bool(Anum_pg_class_relispartition),
            replica_identity: row.char(Anum_pg_class_relreplident),
            columns: row.get(Anum_pg_class_relnatts).unwrap_or(0),
        },
    )
}

/// The owner of a relation; `None` if it is gone.
pub fn owner(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    cached(
        pg_sys::SysCacheIdentifier::RELOID,
        relation.into(),
        |row: &CachedRow| row.oid(pg_sys::Anum_pg_class_relowner),
    )
}

/// The table that an index belongs to; `None` if the relation is no index.
pub fn table_of_index(index: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // Most relations that are asked about are none, and what kind one is the caches know: that a new one is no index
    // would take a look at the catalog.
    // SAFETY: looks up a system cache.
    if !matches!(unsafe { pg_sys::get_rel_relkind(index) } as u8, b'i' | b'I') {
        return None;
    }
    cached(
        pg_sys::SysCacheIdentifier::INDEXRELID,
        index.into(),
        |row: &CachedRow| row.oid(pg_sys::Anum_pg_index_indrelid),
    )
}

/// Whether a relation has a column of that name.
pub fn has_column(relation: pg_sys::Oid, name: &str) -> bool {
    std::ffi::CString::new(name).is_ok_and(|name| {
        // SAFETY: looks up a cache.
        unsafe { pg_sys::get_attnum(relation, name.as_ptr()) != 0 }
    })
}

/// The indexes of a table.
pub fn indexes(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    use pg_sys::*;
    let key = Key::oid(Anum_pg_index_indrelid, table);
    let by_table = Oid::from(IndexIndrelidIndexId);
    heap::scan(IndexRelationId, by_table, &[key], |row| {
        row.oid(Anum_pg_index_indexrelid)
    })
}

/// Whether a table has an index that a failed CREATE INDEX CONCURRENTLY left invalid, and REINDEX would make valid.
pub fn has_invalid_index(table: pg_sys::Oid) -> bool {
    use pg_sys::*;
    heap::scan(
        IndexRelationId,
        Oid::from(IndexIndrelidIndexId),
        &[Key::oid(Anum_pg_index_indrelid, table)],
        |row| row.bool(Anum_pg_index_indislive) && !row.bool(Anum_pg_index_indisvalid),
    )
    .contains(&true)
}

/// The children of a table or partitioned table, in the order in which the server locks them.
pub fn children(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    if heap::is_empty(c::INHERITANCE) {
        return Vec::new();
    }
    let mut found = heap::scan(
        c::INHERITANCE,
        c::INHERITANCE_BY_PARENT,
        &[Key::oid(c::inheritance::PARENT, relation)],
        |row| row.oid(c::inheritance::CHILD),
    );
    found.sort_by_key(|id| id.to_u32());
    found
}

/// The partitioned tables of this database.
pub fn partitioned() -> Vec<pg_sys::Oid> {
    heap::scan(c::PARTITIONED, pg_sys::Oid::INVALID, &[], |row| {
        row.oid(c::PARTITIONED_RELATION)
    })
}

/// The tables that a table inherits from, or is a partition of.
pub fn parents(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    if heap::is_empty(c::INHERITANCE) {
        return Vec::new();
    }
    heap::scan_ordered(
        c::INHERITANCE,
        c::INHERITANCE_BY_CHILD,
        &[Key::oid(c::inheritance::CHILD, relation)],
        |row| row.oid(c::inheritance::PARENT),
    )
}

/// The partitioned table at the root, if the relation is a partition.
pub fn root_of_partition(relation: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let mut root = None;
    let mut at = relation;
    // SAFETY: looks up a system cache.
    while unsafe { pg_sys::get_rel_relispartition(at) } {
        at = heap::scan(
            c::INHERITANCE,
            c::INHERITANCE_BY_CHILD,
            &[Key::oid(c::inheritance::CHILD, at)],
            |row| row.oid(c::inheritance::PARENT),
        )
        .pop()?;
        root = Some(at);
    }
    root
}

/// Whether a table holds a row that is visible now, in itself or in its partitions.
pub fn has_rows(relation: pg_sys::Oid) -> bool {
    has_rows_itself(relation) || descendants(relation).into_iter().any(has_rows_itself)
}

/// Whether a table holds a row that is visible now, its partitions left aside.
pub fn has_rows_itself(relation: pg_sys::Oid) -> bool {
    class(relation).is_some_and(|class| class.kind == b'r') && heap::has_rows(relation)
}

/// One end of a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dependency {
    /// The catalog it is in.
    pub class: pg_sys::Oid,
    /// Its id.
    pub object: pg_sys::Oid,
}

/// What the object depends on, the server's own objects left out.
pub fn dependencies(class: pg_sys::Oid, object: pg_sys::Oid) -> Vec<Dependency> {
    heap::scan(
        c::DEPENDENCIES,
        c::DEPENDENCIES_BY_DEPENDER,
        &[
            Key::oid(c::dependency::CLASS, class),
            Key::oid(c::dependency::OBJECT, object),
        ],
        |row| Dependency {
            class: row.oid(c::dependency::REFERENCED_CLASS),
            object: row.oid(c::dependency::REFERENCED),
        },
    )
}

/// The sequences that columns of the table own, by the column's number; whether each is that of an identity column.
pub fn owned_sequences(relation: pg_sys::Oid) -> BTreeMap<i16, (pg_sys::Oid, bool)> {
    let found = heap::scan(
        c::DEPENDENCIES,
        c::DEPENDENCIES_BY_REFERENCE,
        &[
            Key::oid(c::dependency::REFERENCED_CLASS, pg_sys::RelationRelationId),
            Key::oid(c::dependency::REFERENCED, relation),
        ],
        |row| {
            let kind = row.char(c::dependency::KIND);
            if row.oid(c::dependency::CLASS) != pg_sys::RelationRelationId
                || !matches!(kind, b'a' | b'i')
            {
                return None;
            }
            let column = row.get::<i32>(c::dependency::REFERENCED_SUB_OBJECT)?;
            let column = i16::try_from(column).ok().filter(|column| *column > 0)?;
            Some((column, (row.oid(c::dependency::OBJECT), kind == b'i')))
        },
    );
    // Indexes depend on columns, too.
    let is_sequence = |id| class(id).is_some_and(|class| class.kind == b'S');
    let mut sequences = BTreeMap::new();
    for (column, (id, is_identity)) in found.into_iter().flatten() {
        if !sequences.contains_key(&column) && is_sequence(id) {
            sequences.insert(column, (id, is_identity));
        }
    }
    sequences
}

/// The parameters of a sequence.
pub fn sequence(id: pg_sys::Oid, owned: bool) -> Option<electric_schema::model::Sequence> {
    let class = class(id)?;
    let schema = super::names::schema_name(class.schema)?;
    heap::scan(
        c::SEQUENCES,
        c::SEQUENCES_BY_RELATION,
        &[Key::oid(c::sequence::RELATION, id)],
        |row| {
            let number = |column| row.get::<i64>(column).unwrap_or(0);
            electric_schema::model::Sequence {
                schema: schema.clone(),
                name: class.name.clone(),
                data_type: match row.oid(c::sequence::TYPE) {
                    pg_sys::INT2OID => "smallint",
                    pg_sys::INT4OID => "integer",
                    _ => "bigint",
                }
                .to_owned(),
                start: number(c::sequence::START),
                increment: number(c::sequence::INCREMENT),
                min: number(c::sequence::MIN),
                max: number(c::sequence::MAX),
                cache: number(c::sequence::CACHE),
                cycle: row.bool(c::sequence::CYCLE),
                owned,
            }
        },
    )
    .into_iter()
    .next()
}

/// What `pg_class` says of an index.
pub struct IndexClass {
    /// Its name.
    pub name: String,
    /// Its access method.
    pub method: pg_sys::Oid,
    /// Its storage options as `pg_get_indexdef` prints them between `WITH (` and `)`.
    pub options: Option<String>,
}

/// The class row of an index; `None` if it is gone.
pub fn index_class(id: pg_sys::Oid) -> Option<IndexClass> {
    use pg_sys::*;
    cached(SysCacheIdentifier::RELOID, id.into(), |row: &CachedRow| {
        IndexClass {
            name: row.name(Anum_pg_class_relname),
            method: row.oid(Anum_pg_class_relam),
            options: row
                .get::<Vec<std::string::String>>(Anum_pg_class_reloptions)
                .map(|options| storage_options(&options)),
        }
    })
}

fn storage_options(options: &[String]) -> String {
    use electric_schema::names::{quote_ident_if_needed, quote_literal};
    let printed = options.iter().map(|option| {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let value = if quote_ident_if_needed(value) == value {
            value.to_owned()
        } else {
            quote_literal(value)
        };
        format!("{}={value}", quote_ident_if_needed(name))
    });
    printed.collect::<Vec<_>>().join(", ")
}

/// What `pg_publication` says of a publication.
#[derive(Debug, Clone, Copy)]
pub struct Publication {
    /// Its owner.
    pub owner: pg_sys::Oid,
    /// FOR ALL TABLES.
    pub all_tables: bool,
    /// `publish_via_partition_root`.
    pub via_root: bool,
    /// Whether it publishes every kind of change.
    pub everything: bool,
}

/// The publication of that id.
pub fn publication(id: pg_sys::Oid) -> Option<Publication> {
    use pg_sys::*;
    let cache = SysCacheIdentifier::PUBLICATIONOID;
    cached(cache, id.into(), |row: &CachedRow| self::Publication {
        owner: row.oid(Anum_pg_publication_pubowner),
        all_tables: row.bool(Anum_pg_publication_puballtables),
        via_root: row.bool(Anum_pg_publication_pubviaroot),
        everything: [
            Anum_pg_publication_pubinsert,
            Anum_pg_publication_pubupdate,
            Anum_pg_publication_pubdelete,
            Anum_pg_publication_pubtruncate,
        ]
        .into_iter()
        .all(|column| row.bool(column)),
    })
}

/// How a relation is a member of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// Not by itself.
    None,
    /// With all its rows and columns.
    Whole,
    /// With a row filter or a column list.
    Part,
}

/// Whether and how the relation is itself a member of the publication.
pub fn membership(relation: pg_sys::Oid, publication: pg_sys::Oid) -> Membership {
    heap::scan(
        c::PUBLICATION_RELATIONS,
        c::PUBLICATION_RELATIONS_BY_RELATION,
        &[
            Key::oid(c::publication_relation::RELATION, relation),
            Key::oid(c::publication_relation::PUBLICATION, publication),
        ],
        |row| {
            let whole = row.datum(c::publication_relation::FILTER).is_none()
                && row.datum(c::publication_relation::COLUMNS).is_none();
            if whole {
                Membership::Whole
            } else {
                Membership::Part
            }
        },
    )
    .pop()
    .unwrap_or(Membership::None)
}

/// What depends on the object.
pub fn dependents(class: pg_sys::Oid, object: pg_sys::Oid) -> Vec<Dependency> {
    heap::scan(
        c::DEPENDENCIES,
        c::DEPENDENCIES_BY_REFERENCE,
        &[
            Key::oid(c::dependency::REFERENCED_CLASS, class),
            Key::oid(c::dependency::REFERENCED, object),
        ],
        |row| Dependency {
            class: row.oid(c::dependency::CLASS),
            object: row.oid(c::dependency::OBJECT),
        },
    )
}

/// The tables whose foreign keys reference this one, with the names of those keys.
pub fn referencing(relation: pg_sys::Oid) -> Vec<(pg_sys::Oid, String)> {
    dependents(pg_sys::RelationRelationId, relation)
        .into_iter()
        .filter(|dependent| dependent.class == c::CONSTRAINTS)
        .flat_map(|dependent| {
            heap::scan(
                c::CONSTRAINTS,
                c::CONSTRAINTS_BY_ID,
                &[Key::oid(c::constraint::OID, dependent.object)],
                |row| {
                    let is_key = row.char(c::constraint::KIND) == b'f'
                        && row.oid(c::constraint::REFERENCED) == relation;
                    is_key.then(|| {
                        (
                            row.oid(c::constraint::RELATION),
                            row.name(c::constraint::NAME),
                        )
                    })
                },
            )
        })
        .flatten()
        .collect()
}

/// Says of a constraint of a table that its rows obey it, without a look at them.
pub fn mark_valid(relation: pg_sys::Oid, constraint: &str) {
    let key = Key::oid(c::constraint::RELATION, relation);
    let ids = heap::scan(c::CONSTRAINTS, c::CONSTRAINTS_BY_RELATION, &[key], |row| {
        (row.name(c::constraint::NAME) == constraint).then(|| row.oid(c::constraint::OID))
    });
    for id in ids.into_iter().flatten() {
        let key = Key::oid(c::constraint::OID, id);
        let (by_id, column) = (c::CONSTRAINTS_BY_ID, c::constraint::VALIDATED);
        heap::set(c::CONSTRAINTS, by_id, &[key], column, Value::Bool(true));
    }
    invalidate(relation);
}

/// The leaf partitions below a partitioned table, and the partitioned ones in between.
pub fn descendants(relation: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = children(relation);
    let mut next = 0;
    while let Some(&id) = found.get(next) {
        found.extend(children(id));
        next += 1;
    }
    found
}

/// The triggers on a table that are not the server's own.
pub fn triggers(table: pg_sys::Oid) -> Vec<String> {
    let found = heap::scan(
        pg_sys::TriggerRelationId,
        pg_sys::Oid::from(pg_sys::TriggerRelidNameIndexId),
        &[Key::oid(pg_sys::Anum_pg_trigger_tgrelid, table)],
        |row| {
            let is_internal = row.bool(pg_sys::Anum_pg_trigger_tgisinternal);
            (!is_internal).then(|| row.name(pg_sys::Anum_pg_trigger_tgname))
        },
    );
    found.into_iter().flatten().collect()
}

/// Has everybody who keeps something about the relation read it anew, those who decode the log included.
pub fn invalidate(relation: pg_sys::Oid) {
    // SAFETY: inside a transaction, for a relation that the catalog has.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) }
}
