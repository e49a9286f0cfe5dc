//! Rows of catalogs and of our own tables, read and written without the executor.
//!
//! Scans use a snapshot of the moment, not the transaction's: under REPEATABLE READ the latter is older than the
//! catalog and would show changes that are someone else's, already recorded. No privileges are checked and no
//! triggers fire, so that a migration needs no rights on the `electric` schema.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::known::Known;
use super::names::from_server;
pub use super::row::Row;
use super::touched;
pub use super::version::{Version, is_there, update_version};
use crate::error::Error;

/// A condition on a column of the index that is scanned.
pub struct Key {
    column: u32,
    strategy: u32,
    procedure: pg_sys::Oid,
    value: pg_sys::Datum,
}

/// Which rows a scan sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Those that are there at this moment: what a migration compares with.
    Now,
    /// Those that the statement which calls us sees, as it sees the rows of the user's tables.
    ByStatement,
}

impl Key {
    fn equal(column: u32, procedure: u32, value: pg_sys::Datum) -> Self {
        Key {
            column,
            strategy: pg_sys::BTEqualStrategyNumber,
            procedure: pg_sys::Oid::from(procedure),
            value,
        }
    }

    /// `column = oid`.
    pub fn oid(column: u32, value: pg_sys::Oid) -> Self {
        Key::equal(column, pg_sys::F_OIDEQ, value.into())
    }

    /// `column = bigint`.
    pub fn int8(column: u32, value: i64) -> Self {
        Key::equal(column, pg_sys::F_INT8EQ, value.into())
    }

    /// `column > smallint`.
    pub fn int2_above(column: u32, value: i16) -> Self {
        Key {
            strategy: pg_sys::BTGreaterStrategyNumber,
            procedure: pg_sys::Oid::from(pg_sys::F_INT2GT),
            ..Key::equal(column, pg_sys::F_INT2EQ, value.into())
        }
    }

    /// `column >= bigint`.
    pub fn int8_from(column: u32, value: i64) -> Self {
        Key {
            strategy: pg_sys::BTGreaterEqualStrategyNumber,
            procedure: pg_sys::Oid::from(pg_sys::F_INT8GE),
            ..Key::int8(column, value)
        }
    }

    /// `column <= bigint`.
    pub fn int8_up_to(column: u32, value: i64) -> Self {
        Key {
            strategy: pg_sys::BTLessEqualStrategyNumber,
            procedure: pg_sys::Oid::from(pg_sys::F_INT8LE),
            ..Key::int8(column, value)
        }
    }

    /// `column = text`.
    pub fn text(column: u32, value: &str) -> Self {
        Key::equal(column, pg_sys::F_TEXTEQ, text(value))
    }
}

/// All rows that match, in no particular order.
pub fn scan<T>(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut each: impl FnMut(&Row) -> T,
) -> Vec<T> {
    let mut found = Vec::new();
    // SAFETY: relation and index belong together; the tuple is used before the next is fetched.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        // Some tables of ours are empty nearly everywhere, and asked by each command.
        if index == pg_sys::Oid::INVALID && has_no_pages(table) {
            pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
            return found;
        }
        let mut keys = scan_keys(keys);
        let scan = pg_sys::systable_beginscan(
            table,
            index,
            index != pg_sys::Oid::INVALID,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            found.push(each(&Row::of(tuple, (*table).rd_att)));
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
    }
    found
}

/// Whether nothing was ever written to a table, as to some catalogs where nobody uses what they are for.
pub fn is_empty(relation: pg_sys::Oid) -> bool {
    // SAFETY: a table is open while its size is asked for.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        let is_empty = has_no_pages(table);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        is_empty
    }
}

/// Whether nothing was ever written to a table, or nothing is left after VACUUM.
unsafe fn has_no_pages(table: pg_sys::Relation) -> bool {
    // SAFETY: the caller has opened the table.
    unsafe { pg_sys::RelationGetNumberOfBlocksInFork(table, pg_sys::ForkNumber::MAIN_FORKNUM) == 0 }
}

/// Whether the table itself holds a row that is visible now. No lock is kept: two commands that look, and then
/// want the table for themselves, would wait for each other.
pub fn has_rows(relation: pg_sys::Oid) -> bool {
    // SAFETY: the snapshot is registered as long as the scan lasts; the slot is of the table's kind.
    unsafe {
        let table = pg_sys::try_table_open(relation, pg_sys::AccessShareLock as i32);
        if table.is_null() {
            return false;
        }
        if has_no_pages(table) {
            pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
            return false;
        }
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let scan = pg_sys::table_beginscan(table, snapshot, 0, std::ptr::null_mut());
        let slot = pg_sys::table_slot_create(table, std::ptr::null_mut());
        let found =
            pg_sys::table_scan_getnextslot(scan, pg_sys::ScanDirection::ForwardScanDirection, slot);
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        pg_sys::table_endscan(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        found
    }
}

/// The row that comes last in the index, a bigint that grows from row to row. `known` is one that this session has seen, or
/// 0, and is kept up: the server reads a page of the index as far as it may have to, and without a bound that is all of it.
pub fn last<T>(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    known: &Cell<i64>,
    of: impl Fn(&Row) -> T,
) -> Option<T> {
    let of = |row: &Row| {
        known.set(row.get(1).unwrap_or(0));
        of(row)
    };
    let bound = [Key::int8_from(1, known.get())];
    last_of(relation, index, &bound, Seen::Now, of)
        // It was rolled back, or is of a history that is gone.
        .or_else(|| last_of(relation, index, &[], Seen::Now, of))
}

/// The row that comes last in the index among those that match.
pub fn last_of<T>(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    seen: Seen,
    of: impl FnOnce(&Row) -> T,
) -> Option<T> {
    let mut of = Some(of);
    let mut found = None;
    let backward = pg_sys::ScanDirection::BackwardScanDirection;
    ordered(relation, index, keys, backward, seen, |row| {
        found = of.take().map(|of| of(row));
        false
    });
    found
}

/// The rows that match, in the order of the index.
pub fn scan_ordered<T>(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut each: impl FnMut(&Row) -> T,
) -> Vec<T> {
    seen_in_order(relation, index, keys, Seen::Now, &mut each)
}

/// The rows that match and are seen, in the order of the index.
pub fn seen_in_order<T>(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    seen: Seen,
    mut each: impl FnMut(&Row) -> T,
) -> Vec<T> {
    let mut found = Vec::new();
    let forward = pg_sys::ScanDirection::ForwardScanDirection;
    ordered(relation, index, keys, forward, seen, |row| {
        found.push(each(row));
        true
    });
    found
}

/// Calls `each` of the rows that match and are seen, in the order of the index, until it says `false`.
pub fn seen_while(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    seen: Seen,
    each: impl FnMut(&Row) -> bool,
) {
    let forward = pg_sys::ScanDirection::ForwardScanDirection;
    ordered(relation, index, keys, forward, seen, each);
}

/// Calls `each` row in the order of the index, until it says `false`.
fn ordered(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    direction: pg_sys::ScanDirection::Type,
    seen: Seen,
    mut each: impl FnMut(&Row) -> bool,
) {
    // SAFETY: as in `scan`; the snapshot is registered as long as the scan lasts. A statement that calls us has one.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::AccessShareLock as i32);
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
        let snapshot = pg_sys::RegisterSnapshot(match seen {
            // Once this transaction migrates nobody else does, and what it adds follows on what others did.
            Seen::ByStatement if !super::locks::migrates_over_old_snapshot() => {
                pg_sys::GetActiveSnapshot()
            }
            Seen::Now | Seen::ByStatement => pg_sys::GetLatestSnapshot(),
        });
        let mut keys = scan_keys(keys);
        let scan = pg_sys::systable_beginscan_ordered(
            table,
            index,
            snapshot,
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext_ordered(scan, direction);
            if tuple.is_null() || !each(&Row::of(tuple, (*table).rd_att)) {
                break;
            }
        }
        pg_sys::systable_endscan_ordered(scan);
        pg_sys::UnregisterSnapshot(snapshot);
        pg_sys::index_close(index, pg_sys::AccessShareLock as i32);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
    }
}

/// Adds a row; `None` is NULL. One value per column of the table.
pub fn insert(relation: pg_sys::Oid, values: &[Option<pg_sys::Datum>]) -> Result<(), Error> {
    let width = intact(relation, Some(values.len()))?;
    // SAFETY: the values match the table's columns, which only we define; its indexes are plain.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::RowExclusiveLock as i32);
        let (mut datums, mut nulls) = split(values, width);
        let tuple =
            pg_sys::heap_form_tuple((*table).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
        pg_sys::CatalogTupleInsert(table, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(table, pg_sys::RowExclusiveLock as i32);
    }
    Ok(())
}

/// Replaces the rows that match by `values`. Gives the version of the last.
pub fn update(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    values: &[Option<pg_sys::Datum>],
) -> Result<Option<Version>, Error> {
    let width = intact(relation, Some(values.len()))?;
    let mut version = None;
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan; the values match the columns of its table, which only we define.
        version = Some(unsafe { replace(table, &mut (*old).t_self, values, width) });
    });
    Ok(version)
}

/// Puts a row in the stead of the one in that place.
///
/// # Safety
/// The table must be open and have a row there that counts; the values must match its columns.
pub(super) unsafe fn replace(
    table: pg_sys::Relation,
    place: *mut pg_sys::ItemPointerData,
    values: &[Option<pg_sys::Datum>],
    width: usize,
) -> Version {
    let (mut datums, mut nulls) = split(values, width);
    // SAFETY: as the caller promises.
    unsafe {
        let tuple =
            pg_sys::heap_form_tuple((*table).rd_att, datums.as_mut_ptr(), nulls.as_mut_ptr());
        (*tuple).t_self = *place;
        pg_sys::CatalogTupleUpdate(table, place, tuple);
        let version = Version::of(tuple);
        pg_sys::heap_freetuple(tuple);
        version
    }
}

/// Sets one column of the rows that match, in a catalog of the server's.
pub fn set(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    column: u32,
    value: pg_sys::Datum,
) {
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan; the arrays have a place for each column of its table.
        unsafe {
            let width = (*(*table).rd_att).natts as usize;
            let (mut values, mut nulls) = (vec![value; width], vec![false; width]);
            let mut replaced = vec![false; width];
            replaced[column as usize - 1] = true;
            let tuple = pg_sys::heap_modify_tuple(
                old,
                (*table).rd_att,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                replaced.as_mut_ptr(),
            );
            pg_sys::CatalogTupleUpdate(table, &mut (*tuple).t_self, tuple);
            pg_sys::heap_freetuple(tuple);
        }
    });
}

/// Removes the rows that match.
pub fn delete(relation: pg_sys::Oid, index: pg_sys::Oid, keys: &[Key]) -> Result<(), Error> {
    intact(relation, None)?;
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan.
        unsafe { pg_sys::CatalogTupleDelete(table, &mut (*old).t_self) }
    });
    Ok(())
}

/// Whether a table of ours still has the columns it was made with, and plain indexes only: rows are written without
/// the executor, which could handle others. Gives the number of values that a row takes, those of columns that came
/// and went included.
pub(super) fn intact(relation: pg_sys::Oid, columns: Option<usize>) -> Result<usize, Error> {
    thread_local!(static INTACT: Known<(pg_sys::Oid, Option<usize>), usize> = const { Known::new() });
    INTACT.with(|intact| {
        intact.get((relation, columns), || {
            touched::listen(relation);
            look_whether_intact(relation, columns)
        })
    })
}

fn look_whether_intact(relation: pg_sys::Oid, columns: Option<usize>) -> Result<usize, Error> {
    use pg_sys::{Anum_pg_index_indexprs, Anum_pg_index_indpred, SysCacheIdentifier};
    // SAFETY: the relation is open while its descriptor and list of indexes are read.
    let (dropped, indexes) = unsafe {
        let table = pg_sys::table_open(relation, pg_sys::RowExclusiveLock as i32);
        let descriptor = (*table).rd_att;
        let dropped: Vec<bool> = (1..=(*descriptor).natts)
            .map(|number| (*super::compat::attribute(descriptor, number as i16)).attisdropped)
            .collect();
        let list = pg_sys::RelationGetIndexList(table);
        let length = if list.is_null() {
            0
        } else {
            (*list).length as usize
        };
        let indexes: Vec<pg_sys::Oid> = (0..length)
            .map(|i| (*(*list).elements.add(i)).oid_value)
            .collect();
        pg_sys::table_close(table, pg_sys::NoLock as i32);
        (dropped, indexes)
    };
    let plain = |index: &pg_sys::Oid| {
        cached(SysCacheIdentifier::INDEXRELID, (*index).into(), |row| {
            row.datum(Anum_pg_index_indexprs).is_none()
                && row.datum(Anum_pg_index_indpred).is_none()
        })
        .unwrap_or(true)
    };
    let as_made = columns.is_none_or(|columns| {
        dropped.len() >= columns
            && dropped[..columns].iter().all(|dropped| !dropped)
            && dropped[columns..].iter().all(|dropped| *dropped)
    });
    if !as_made || !indexes.iter().all(plain) {
        let name = super::names::relation_name(relation).unwrap_or_default();
        return Err(
            Error::internal(format!("table electric.{name} was altered"))
                .detail("Its columns or indexes are not those that the extension made.")
                .hint("Undo the change; the tables of the extension are not to be altered."),
        );
    }
    Ok(dropped.len())
}

/// Removes those of the rows that match for which `goes` says so.
pub fn delete_where(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut goes: impl FnMut(&Row) -> bool,
) -> Result<(), Error> {
    intact(relation, None)?;
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan, and of that table.
        unsafe {
            let row = Row::of(old, (*table).rd_att);
            if goes(&row) {
                pg_sys::CatalogTupleDelete(table, &mut (*old).t_self);
            }
        }
    });
    Ok(())
}

fn change(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut each: impl FnMut(pg_sys::Relation, pg_sys::HeapTuple),
) {
    // SAFETY: as in `scan`; the tuples are copied before the table changes under the scan.
    unsafe {
        let table = pg_sys::table_open(relation, pg_sys::RowExclusiveLock as i32);
        let mut keys = scan_keys(keys);
        let scan = pg_sys::systable_beginscan(
            table,
            index,
            true,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        let mut tuples = Vec::new();
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            tuples.push(pg_sys::heap_copytuple(tuple));
        }
        pg_sys::systable_endscan(scan);
        for tuple in &tuples {
            each(table, *tuple);
            pg_sys::heap_freetuple(*tuple);
        }
        pg_sys::table_close(table, pg_sys::RowExclusiveLock as i32);
    }
}

/// Datums and null flags, filled up to the width of the table.
fn split(values: &[Option<pg_sys::Datum>], width: usize) -> (Vec<pg_sys::Datum>, Vec<bool>) {
    let missing = width.saturating_sub(values.len());
    values
        .iter()
        .copied()
        .chain(std::iter::repeat_n(None, missing))
        .map(|value| (value.unwrap_or(pg_sys::Datum::from(0)), value.is_none()))
        .unzip()
}

unsafe fn scan_keys(keys: &[Key]) -> Vec<pg_sys::ScanKeyData> {
    keys.iter()
        .map(|key| {
            let mut data = pg_sys::ScanKeyData::default();
            // SAFETY: fills the struct it is given.
            unsafe {
                pg_sys::ScanKeyInit(
                    &mut data,
                    key.column as pg_sys::AttrNumber,
                    key.strategy as pg_sys::StrategyNumber,
                    key.procedure,
                    key.value,
                );
            }
            data
        })
        .collect()
}

/// The row of a system cache with that key.
pub fn cached<T>(cache: u32, key: pg_sys::Datum, of: impl FnOnce(&CachedRow) -> T) -> Option<T> {
    // SAFETY: the tuple is released after its last use.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(cache as i32, key);
        if tuple.is_null() {
            return None;
        }
        let found = of(&CachedRow { cache, tuple });
        pg_sys::ReleaseSysCache(tuple);
        Some(found)
    }
}

/// A row of a system cache.
pub struct CachedRow {
    cache: u32,
    tuple: pg_sys::HeapTuple,
}

impl CachedRow {
    /// The value of that column; `None` for NULL.
    pub fn get<T: FromDatum>(&self, column: u32) -> Option<T> {
        // SAFETY: callers ask for the Rust type of the column's SQL type.
        self.datum(column)
            .and_then(|datum| unsafe { T::from_datum(datum, false) })
    }

    /// The datum of that column; `None` for NULL.
    pub fn datum(&self, column: u32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: the tuple came from this cache.
        let datum = unsafe {
            pg_sys::SysCacheGetAttr(
                self.cache as i32,
                self.tuple,
                column as pg_sys::AttrNumber,
                &mut null,
            )
        };
        (!null).then_some(datum)
    }

    /// The ids of an `oidvector` column.
    pub fn oids(&self, column: u32) -> Vec<pg_sys::Oid> {
        let datum = self.datum(column);
        // SAFETY: the column is a vector of ids.
        datum.map_or_else(Vec::new, |datum| unsafe { super::row::elements(datum) })
    }

    /// The oid in that column, or the invalid one.
    pub fn oid(&self, column: u32) -> pg_sys::Oid {
        self.get(column).unwrap_or(pg_sys::Oid::INVALID)
    }

    /// The `name` in that column.
    pub fn name(&self, column: u32) -> String {
        // SAFETY: a NameData is a nul-terminated string.
        self.datum(column).map_or_else(String::new, |datum| unsafe {
            from_server(CStr::from_ptr(datum.cast_mut_ptr()).to_bytes())
        })
    }

    /// The `"char"` in that column.
    pub fn char(&self, column: u32) -> u8 {
        self.get::<i8>(column).unwrap_or(0) as u8
    }

    /// The boolean in that column.
    pub fn bool(&self, column: u32) -> bool {
        self.get(column).unwrap_or(false)
    }
}

/// A `text` datum.
pub fn text(value: &str) -> pg_sys::Datum {
    value.into_datum().unwrap_or(pg_sys::Datum::from(0))
}

/// A `text[]` datum.
pub fn texts(values: &[String]) -> pg_sys::Datum {
    values
        .to_vec()
        .into_datum()
        .unwrap_or(pg_sys::Datum::from(0))
}
