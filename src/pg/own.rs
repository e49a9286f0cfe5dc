//! Our own tables: found by what they are, members of the extension with the columns and indexes that it made.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::cached::cached;
use super::column::{raise, raise_damaged, type_of};
use super::compat;
use super::known::Known;
use super::{names, touched};
use crate::error::{Error, SqlState};

/// A table as the extension makes it.
#[derive(Debug)]
pub struct Spec {
    /// Its name.
    pub name: &'static CStr,
    /// Names and types of its columns, which are the first that the table has.
    pub columns: &'static [(&'static str, pg_sys::Oid)],
    /// Its indexes, each with the numbers of its columns.
    pub indexes: &'static [(&'static CStr, &'static [i16])],
}

impl Spec {
    /// The names of its columns.
    pub fn column_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        // A name that is a word of Rust is written as `r#word` there.
        let bare = |(name, _): &(&'static str, _)| name.strip_prefix("r#").unwrap_or(name);
        self.columns.iter().map(bare)
    }

    /// Its name.
    pub fn shown(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }
}

/// One of our tables and an index of it.
#[derive(Debug, Clone, Copy)]
pub struct Indexed {
    /// The table.
    pub table: pg_sys::Oid,
    /// The index.
    pub index: pg_sys::Oid,
}

/// Finds a table of ours and an index of it. What was found holds until something about them changes. Errors: 55000 where the
/// extension is not created, XX001 where the table is not as it was made.
pub fn find(spec: &'static Spec, index: &'static CStr) -> Result<Indexed, Error> {
    thread_local!(static FOUND: Known<&'static CStr, Indexed> = const { Known::new() });
    FOUND.with(|found| found.get(index, || look_up(spec, index)))
}

/// The schema of the extension, if that is created in this database.
pub fn schema() -> Result<Option<pg_sys::Oid>, Error> {
    if names::own_extension() == pg_sys::Oid::INVALID {
        return Ok(None);
    }
    match names::own_schema() {
        pg_sys::Oid::INVALID => Err(damaged(
            "schema electric is damaged",
            "It is not a member of the extension \"electric\".",
        )),
        schema => Ok(Some(schema)),
    }
}

/// What the extension has here is not as it was made or written.
pub fn damaged(message: impl Into<String>, detail: impl Into<String>) -> Error {
    Error::new(SqlState::of_code("XX001"), message)
        .detail(detail)
        .hint("Undo what was done to it, restore the electric schema from a backup, or drop the extension and create it again.")
}

/// The error that the extension is not there, which may have been another moment ago.
pub fn not_created() -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "extension \"electric\" is not created in this database",
    )
    .hint("CREATE EXTENSION electric;")
}

fn look_up(spec: &Spec, index: &CStr) -> Result<Indexed, Error> {
    let schema = schema()?.ok_or_else(not_created)?;
    let wrong = |detail: String| {
        damaged(
            format!("table electric.{} is damaged", spec.shown()),
            detail,
        )
        .table("electric", spec.shown())
    };
    let found = |name| {
        let id = names::relation_id(name, schema);
        touched::listen(id);
        id
    };
    let (table, index_id) = (found(spec.name), found(index));
    if table == pg_sys::Oid::INVALID {
        let error = wrong("It is not there.".to_owned());
        return Err(match is_of_this_version() {
            true => error,
            false => outdated(spec),
        });
    }
    if !names::is_member(pg_sys::RelationRelationId, table, names::own_extension()) {
        return Err(wrong(
            "It is not a member of the extension \"electric\".".to_owned(),
        ));
    }
    match of_table(table, spec) {
        None => return Err(gone()),
        Some(Err(detail)) => return Err(wrong(detail)),
        Some(Ok(())) => {}
    }
    let name = index.to_string_lossy();
    let columns = spec.indexes.iter().find(|(of, _)| *of == index);
    let is_it = columns.is_some_and(|(_, columns)| is_index_of(index_id, table, columns, spec));
    if !is_it {
        return Err(wrong(format!(
            "Its index {name} is not the one that the extension made."
        )));
    }
    Ok(Indexed {
        table,
        index: index_id,
    })
}

/// Whether the extension in this database is of the library's version.
fn is_of_this_version() -> bool {
    names::extension_version(names::own_extension()).as_deref() == Some(env!("CARGO_PKG_VERSION"))
}

fn outdated(spec: &Spec) -> Error {
    Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        format!(
            "table electric.{} is not there: the extension \"electric\" in this database is older than its library",
            spec.shown()
        ),
    )
    .hint("ALTER EXTENSION electric UPDATE;")
}

/// The error that the extension went while a lock was waited for.
pub fn gone() -> Error {
    Error::new(SqlState::ObjectNotInPrerequisiteState, GONE).hint(AGAIN)
}

const GONE: &str = "extension \"electric\" was dropped while this command waited for it";
const AGAIN: &str = "Run the command again.";

/// Raises the error that a table is not there which was there a moment ago.
pub(super) fn raise_gone(table: pg_sys::Oid) -> ! {
    if names::own_extension() != pg_sys::Oid::INVALID {
        raise_damaged(table, "It is not there.");
    }
    let state = pgrx::PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    raise(pg_sys::panic::ErrorReport::new(state, GONE, "electric").set_hint(AGAIN))
}

/// Whether the table is plain, and has the columns that it was made with; what is wrong, if something is. `None` if it is gone.
fn of_table(id: pg_sys::Oid, spec: &Spec) -> Option<Result<(), String>> {
    // SAFETY: the relation is open while its descriptor and list of indexes are read.
    unsafe {
        let table = pg_sys::try_relation_open(id, pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return None;
        }
        let (class, descriptor) = ((*table).rd_rel, (*table).rd_att);
        let is_plain = (*class).relkind as u8 == pg_sys::RELKIND_RELATION
            && (*class).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
            && (*class).relam == pg_sys::HEAP_TABLE_AM_OID
            && !(*class).relispartition;
        let width = usize::try_from((*descriptor).natts).unwrap_or(0);
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let as_made = || {
            for (n, (name, (_, data_type))) in spec.column_names().zip(spec.columns).enumerate() {
                let found = type_of(descriptor, number(n + 1)).is_some_and(|found| {
                    let attribute = compat::attribute(descriptor, (n + 1) as i16);
                    let of = CStr::from_ptr((*attribute).attname.data.as_ptr());
                    found == *data_type && of.to_bytes() == name.as_bytes()
                });
                if !found {
                    return Err(format!(
                        "Its column {} is not \"{name}\" of type {}.",
                        n + 1,
                        CStr::from_ptr(pg_sys::format_type_be(*data_type)).to_string_lossy()
                    ));
                }
            }
            // Columns that came and went are nobody's concern. One more is of a later version, which a session that has this
            // library still may meet: rows of ours have NULL there.
            let more = spec.columns.len() + 1..=width;
            for n in more {
                let is_there = type_of(descriptor, number(n)).is_some();
                if is_there && (*compat::attribute(descriptor, n as i16)).attnotnull {
                    return Err(format!("It has a column {n} more."));
                }
            }
            Ok(())
        };
        let checked = if !is_plain {
            Err("It is not a plain table of access method heap.".to_owned())
        } else {
            as_made()
        };
        let list = pg_sys::RelationGetIndexList(table);
        let length = if list.is_null() {
            0
        } else {
            usize::try_from((*list).length).unwrap_or(0)
        };
        let indexes: Vec<pg_sys::Oid> = (0..length)
            .map(|i| (*(*list).elements.add(i)).oid_value)
            .collect();
        pg_sys::relation_close(table, pg_sys::AccessShareLock as i32);
        // Rows are written without the executor, which could handle others.
        Some(
            checked.and_then(|()| match indexes.into_iter().all(is_plain_index) {
                true => Ok(()),
                false => Err("It has an index of expressions, or of some rows only.".to_owned()),
            }),
        )
    }
}

fn is_plain_index(index: pg_sys::Oid) -> bool {
    use pg_sys::{Anum_pg_index_indexprs, Anum_pg_index_indpred, SysCacheIdentifier};
    cached(SysCacheIdentifier::INDEXRELID, index.into(), |row| {
        row.is_null(Anum_pg_index_indexprs) && row.is_null(Anum_pg_index_indpred)
    })
    .unwrap_or(true)
}

/// Whether the relation is a valid B-tree of that table on those columns, ordered as their types are by themselves and
/// texts byte by byte.
fn is_index_of(index: pg_sys::Oid, table: pg_sys::Oid, columns: &[i16], spec: &Spec) -> bool {
    use pg_sys::*;
    let method = cached(SysCacheIdentifier::RELOID, index.into(), |row| {
        (
            row.char(Anum_pg_class_relkind),
            row.oid(Anum_pg_class_relam),
        )
    });
    let expected: Vec<(Oid, Oid)> = columns
        .iter()
        .filter_map(|column| spec.columns.get(usize::from(column.unsigned_abs()) - 1))
        .map(|(_, data_type)| {
            // SAFETY: looks up the catalog.
            let class = unsafe { GetDefaultOpClass(*data_type, BTREE_AM_OID) };
            let collation = match *data_type {
                TEXTOID => C_COLLATION_OID,
                _ => Oid::INVALID,
            };
            (class, collation)
        })
        .collect();
    method == Some((RELKIND_INDEX, BTREE_AM_OID))
        && cached(SysCacheIdentifier::INDEXRELID, index.into(), |row| {
            let (classes, collations) = (
                row.oids(Anum_pg_index_indclass),
                row.oids(Anum_pg_index_indcollation),
            );
            let found: Vec<(Oid, Oid)> = classes.into_iter().zip(collations).collect();
            row.oid(Anum_pg_index_indrelid) == table
                && row.bool(Anum_pg_index_indisvalid)
                && row.bool(Anum_pg_index_indisready)
                && row.bool(Anum_pg_index_indislive)
                && row.int2s(Anum_pg_index_indkey) == columns
                && row.int2s(Anum_pg_index_indoption).iter().all(|it| *it == 0)
                && found == expected
        })
        .unwrap_or(false)
}
