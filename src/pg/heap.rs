//! Rows of catalogs and of our own tables, read and written without the executor.
//!
//! Scans use a snapshot of the moment, not the transaction's: under REPEATABLE READ the latter is older than the
//! catalog and would show changes that are someone else's, already recorded. No privileges are checked and no
//! triggers fire, so that a migration needs no rights on the `electric` schema.

use std::cell::Cell;

use pgrx::pg_sys;

use super::column::{Readable, damaged, raise_damaged, type_of};
use super::own;
use super::reserve;
pub use super::row::Row;
use super::value::{IDS, Value, text};
pub use super::version::{Version, is_there, update_version};

/// A condition on a column of the index that is scanned.
pub struct Key {
    column: u32,
    strategy: u32,
    procedure: pg_sys::Oid,
    value: pg_sys::Datum,
    /// The types of columns that it can be about.
    types: &'static [pg_sys::Oid],
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
    fn equal(
        column: u32,
        procedure: u32,
        value: pg_sys::Datum,
        types: &'static [pg_sys::Oid],
    ) -> Self {
        Key {
            column,
            strategy: pg_sys::BTEqualStrategyNumber,
            procedure: pg_sys::Oid::from(procedure),
            value,
            types,
        }
    }

    /// `column = oid`.
    pub fn oid(column: u32, value: pg_sys::Oid) -> Self {
        Key::equal(column, pg_sys::F_OIDEQ, value.into(), &IDS)
    }

    /// `column = bigint`.
    pub fn int8(column: u32, value: i64) -> Self {
        Key::equal(column, pg_sys::F_INT8EQ, value.into(), i64::TYPES)
    }

    /// `column > smallint`.
    pub fn int2_above(column: u32, value: i16) -> Self {
        Key {
            strategy: pg_sys::BTGreaterStrategyNumber,
            procedure: pg_sys::Oid::from(pg_sys::F_INT2GT),
            ..Key::equal(column, pg_sys::F_INT2EQ, value.into(), i16::TYPES)
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
        Key::equal(column, pg_sys::F_TEXTEQ, text(value), &[pg_sys::TEXTOID])
    }
}

/// Opens a table whose rows are read and written here: a plain one, as the server keeps its own. Others are an error of the
/// server's, as is one of ours that went with the extension while the lock was waited for.
///
/// # Safety
/// What is opened must be closed.
pub(super) unsafe fn open(relation: pg_sys::Oid, lock: u32) -> pg_sys::Relation {
    // SAFETY: the relation is open while it is looked at; an error closes it.
    unsafe {
        let table = pg_sys::try_table_open(relation, lock as i32);
        if table.is_null() {
            own::raise_gone(relation);
        }
        let class = (*table).rd_rel;
        if (*class).relkind as u8 != pg_sys::RELKIND_RELATION
            || (*class).relam != pg_sys::HEAP_TABLE_AM_OID
        {
            raise_damaged(relation, "It is not a plain table of access method heap.");
        }
        table
    }
}

/// Waits until nobody is about to drop the table; whether it is there then.
pub fn stays(relation: pg_sys::Oid) -> bool {
    // SAFETY: what is opened is closed.
    unsafe {
        let table = pg_sys::try_table_open(relation, pg_sys::AccessShareLock as i32);
        if !table.is_null() {
            pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        }
        !table.is_null()
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
        let table = open(relation, pg_sys::AccessShareLock);
        // Some tables of ours are empty nearly everywhere, and asked by each command.
        if index == pg_sys::Oid::INVALID && has_no_pages(table) {
            pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
            return found;
        }
        let mut keys = scan_keys(keys, (*table).rd_att);
        let scan = pg_sys::systable_beginscan(
            table,
            index,
            index != pg_sys::Oid::INVALID,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        belongs((*scan).irel, relation);
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            reserve::check();
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
        let table = open(relation, pg_sys::AccessShareLock);
        let index = pg_sys::index_open(index, pg_sys::AccessShareLock as i32);
        belongs(index, relation);
        let snapshot = pg_sys::RegisterSnapshot(match seen {
            // Once this transaction migrates nobody else does, and what it adds follows on what others did.
            Seen::ByStatement if !super::locks::migrates_over_old_snapshot() => {
                pg_sys::GetActiveSnapshot()
            }
            Seen::Now | Seen::ByStatement => pg_sys::GetLatestSnapshot(),
        });
        let mut keys = scan_keys(keys, (*table).rd_att);
        let scan = pg_sys::systable_beginscan_ordered(
            table,
            index,
            snapshot,
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        loop {
            reserve::check();
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

/// Adds a row to a table of ours: one value per column that it was made with.
pub fn insert(relation: pg_sys::Oid, values: &[Value]) {
    // SAFETY: the tuple is made for the table, whose indexes are plain, as was seen when it was found.
    unsafe {
        let table = open(relation, pg_sys::RowExclusiveLock);
        let tuple = tuple_of(table, values);
        pg_sys::CatalogTupleInsert(table, tuple);
        pg_sys::heap_freetuple(tuple);
        pg_sys::table_close(table, pg_sys::RowExclusiveLock as i32);
    }
}

/// A tuple of the values. One that its column cannot have is an error of the server's.
///
/// # Safety
/// The table must be open.
unsafe fn tuple_of(table: pg_sys::Relation, values: &[Value]) -> pg_sys::HeapTuple {
    // SAFETY: there is a value for each column, of its type; columns that came and went are NULL.
    unsafe {
        let descriptor = (*table).rd_att;
        let width = usize::try_from((*descriptor).natts).unwrap_or(0);
        let (mut datums, mut nulls) = (vec![pg_sys::Datum::from(0); width], vec![true; width]);
        for n in 0..width.max(values.len()) {
            let number = u32::try_from(n + 1).unwrap_or(u32::MAX);
            match (type_of(descriptor, number), values.get(n)) {
                (Some(data_type), Some(value)) if value.fits(data_type) => {
                    if let Some(datum) = value.datum() {
                        (datums[n], nulls[n]) = (datum, false);
                    }
                }
                (None, None) => {}
                _ => damaged(descriptor, number, "is of another type"),
            }
        }
        pg_sys::heap_form_tuple(descriptor, datums.as_mut_ptr(), nulls.as_mut_ptr())
    }
}

/// Replaces the rows that match by `values`. Gives the version of the last.
pub fn update(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    values: &[Value],
) -> Option<Version> {
    let mut version = None;
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan.
        version = Some(unsafe { replace(table, &mut (*old).t_self, values) });
    });
    version
}

/// Puts a row in the stead of the one in that place.
///
/// # Safety
/// The table must be open and have a row there that counts.
pub(super) unsafe fn replace(
    table: pg_sys::Relation,
    place: *mut pg_sys::ItemPointerData,
    values: &[Value],
) -> Version {
    // SAFETY: as the caller promises.
    unsafe {
        let tuple = tuple_of(table, values);
        (*tuple).t_self = *place;
        pg_sys::CatalogTupleUpdate(table, place, tuple);
        let version = Version::of(tuple);
        pg_sys::heap_freetuple(tuple);
        version
    }
}

/// Sets one column of the rows that match, in a catalog of the server's.
pub fn set(relation: pg_sys::Oid, index: pg_sys::Oid, keys: &[Key], column: u32, value: Value) {
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan; the arrays have a place for each column of its table, and the value is of
        // the type of that one.
        unsafe {
            match type_of((*table).rd_att, column) {
                Some(data_type) if value.fits(data_type) => {}
                _ => damaged((*table).rd_att, column, "is of another type"),
            }
            let width = (*(*table).rd_att).natts as usize;
            let datum = value.datum();
            let mut values = vec![datum.unwrap_or(pg_sys::Datum::from(0)); width];
            let mut nulls = vec![datum.is_none(); width];
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
pub fn delete(relation: pg_sys::Oid, index: pg_sys::Oid, keys: &[Key]) {
    delete_where(relation, index, keys, |_| true);
}

/// Removes those of the rows that match for which `goes` says so.
pub fn delete_where(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut goes: impl FnMut(&Row) -> bool,
) {
    change(relation, index, keys, |table, old| {
        // SAFETY: `old` is the tuple under the scan, and of that table.
        unsafe {
            let row = Row::of(old, (*table).rd_att);
            if goes(&row) {
                pg_sys::CatalogTupleDelete(table, &mut (*old).t_self);
            }
        }
    });
}

fn change(
    relation: pg_sys::Oid,
    index: pg_sys::Oid,
    keys: &[Key],
    mut each: impl FnMut(pg_sys::Relation, pg_sys::HeapTuple),
) {
    // SAFETY: as in `scan`; the tuples are copied before the table changes under the scan.
    unsafe {
        let table = open(relation, pg_sys::RowExclusiveLock);
        let mut keys = scan_keys(keys, (*table).rd_att);
        let scan = pg_sys::systable_beginscan(
            table,
            index,
            true,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        belongs((*scan).irel, relation);
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

/// An index of another table would lead anywhere.
///
/// # Safety
/// The index must be open, or null.
unsafe fn belongs(index: pg_sys::Relation, table: pg_sys::Oid) {
    // SAFETY: as the caller promises.
    if !index.is_null() && unsafe { (*(*index).rd_index).indrelid } != table {
        raise_damaged(table, "An index that should be its own is another table's.");
    }
}

/// The conditions for the server. One that its column cannot have is an error of the server's.
///
/// # Safety
/// The descriptor must be that of an open table.
unsafe fn scan_keys(keys: &[Key], descriptor: pg_sys::TupleDesc) -> Vec<pg_sys::ScanKeyData> {
    keys.iter()
        .map(|key| {
            let mut data = pg_sys::ScanKeyData::default();
            // SAFETY: as the caller promises; fills the struct it is given.
            unsafe {
                match type_of(descriptor, key.column) {
                    Some(data_type) if key.types.contains(&data_type) => {}
                    _ => damaged(descriptor, key.column, "is of another type"),
                }
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
