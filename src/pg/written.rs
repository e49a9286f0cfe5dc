//! Rows that statements write to tables that are not ours: which tables, and what the rows say.
//!
//! It takes no trigger: the tables of migration frameworks stay as they are, and none of their locks is in the way.

use std::cell::UnsafeCell;
use std::collections::HashSet;

use electric_schema::framework::Column;
use pgrx::pg_sys;

use super::compat;
use super::entry;
use super::heap::Row;
use super::names::from_server;

/// A table that a statement wrote to, and the transaction or subtransaction that ran it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: pg_sys::Oid,
    /// `xmin` of its new rows.
    pub xid: pg_sys::TransactionId,
}

/// So many writes are kept in mind: a framework that writes its row first writes it shortly before.
const KEPT: usize = 8;

struct State {
    previous: pg_sys::ExecutorFinish_hook_type,
    /// The writes of this session, newest last, and none twice in a row.
    writes: Vec<Write>,
    /// The tables of which something is kept in mind, and how often they have changed.
    known: HashSet<pg_sys::Oid>,
    generation: u64,
}

struct Local(UnsafeCell<Option<State>>);
// SAFETY: a backend has a single thread.
unsafe impl Sync for Local {}

static STATE: Local = Local(UnsafeCell::new(None));

fn state() -> Option<&'static mut State> {
    // SAFETY: one thread, and no reference outlives the expression that asked for it.
    unsafe { (*STATE.0.get()).as_mut() }
}

unsafe extern "C-unwind" {
    /// `xact.c`, which raises no errors.
    #[allow(clashing_extern_declarations)]
    fn GetCurrentTransactionIdIfAny() -> pg_sys::TransactionId;

    /// `execMain.c`, without pgrx's wrapper: errors of the statement are not ours to catch.
    #[allow(clashing_extern_declarations)]
    fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
}

/// Registers the hook and the callback.
pub fn init() {
    // SAFETY: called once, by _PG_init.
    unsafe {
        *STATE.0.get() = Some(State {
            previous: pg_sys::ExecutorFinish_hook,
            writes: Vec::with_capacity(KEPT + 1),
            known: HashSet::new(),
            generation: 0,
        });
        pg_sys::ExecutorFinish_hook = Some(executor_finish);
        pg_sys::CacheRegisterRelcacheCallback(Some(invalidated), pg_sys::Datum::from(0));
    }
}

// Runs where no error may be thrown.
unsafe extern "C-unwind" fn invalidated(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    if let Some(state) = state()
        && !state.known.is_empty()
        && (relation == pg_sys::Oid::INVALID || state.known.contains(&relation))
    {
        state.known.clear();
        state.generation += 1;
    }
}

/// How often what is kept in mind of tables may have become wrong.
pub fn generation() -> u64 {
    state().map_or(0, |state| state.generation)
}

/// Something of the table is kept in mind from now on.
pub fn keep_in_mind(table: pg_sys::Oid) {
    if let Some(state) = state() {
        state.known.insert(table);
    }
}

/// The tables that this session wrote to last, newest first.
pub fn last() -> Vec<Write> {
    state().map_or_else(Vec::new, |state| {
        state.writes.iter().rev().copied().collect()
    })
}

#[allow(ffi_unwind_calls)]
unsafe extern "C-unwind" fn executor_finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the statement that ends. Nothing in this frame has a destructor: errors of the statement jump over it.
    unsafe {
        match state().and_then(|state| state.previous) {
            Some(previous) => previous(query),
            None => standard_ExecutorFinish(query),
        }
        if !(*(*query).plannedstmt).resultRelations.is_null() {
            note(query);
            if crate::version::awaits_row() {
                entry::finish(entry::guarded(|| {
                    let command = (*(*query).estate).es_output_cid;
                    for table in targets(query) {
                        crate::frameworks::rows_came(table, command);
                    }
                    Ok(entry::void())
                }));
            }
        }
    }
}

/// Keeps in mind where a statement wrote: called for each, so it looks nothing up.
unsafe fn note(query: *mut pg_sys::QueryDesc) {
    // SAFETY: as above.
    unsafe {
        let Some(state) = state() else { return };
        let xid = GetCurrentTransactionIdIfAny();
        for table in targets(query).take(2) {
            let write = Write { table, xid };
            if state.writes.last() != Some(&write) {
                if state.writes.len() == KEPT {
                    state.writes.remove(0);
                }
                state.writes.push(write);
            }
        }
    }
}

/// The tables that a statement writes to.
unsafe fn targets(query: *mut pg_sys::QueryDesc) -> impl Iterator<Item = pg_sys::Oid> {
    // SAFETY: the list has indexes, from 1, into the list of the statement's tables; both live as long as the statement.
    unsafe {
        let statement = (*query).plannedstmt;
        let (targets, tables) = ((*statement).resultRelations, (*statement).rtable);
        (0..(*targets).length as usize).map(move |n| {
            let index = (*(*targets).elements.add(n)).int_value as usize - 1;
            let table: *const pg_sys::RangeTblEntry =
                (*(*tables).elements.add(index)).ptr_value.cast();
            (*table).relid
        })
    }
}

/// A value is longer than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// How to read a column as text.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Its number.
    pub number: u32,
    output: pg_sys::Oid,
    is_varlena: bool,
    /// Whether it is a boolean.
    pub is_boolean: bool,
}

impl Reader {
    /// The value in a row; `None` for NULL. One of more than `most` bytes is not read.
    pub fn text(&self, row: &Row, most: usize) -> Result<Option<String>, TooLong> {
        let Some(datum) = row.datum(self.number) else {
            return Ok(None);
        };
        // SAFETY: a value of variable length is only measured before it is known to be short. `output` is the output
        // function of the column's type, one of the server's own; it gives a C string.
        unsafe {
            let header = pg_sys::VARHDRSZ;
            if self.is_varlena && pg_sys::toast_raw_datum_size(datum).saturating_sub(header) > most
            {
                return Err(TooLong);
            }
            let text = pg_sys::OidOutputFunctionCall(self.output, datum);
            let bytes = std::ffi::CStr::from_ptr(text).to_bytes();
            let copy = match bytes.len() > most {
                true => Err(TooLong),
                false => Ok(Some(from_server(bytes))),
            };
            pg_sys::pfree(text.cast());
            copy
        }
    }
}

/// The columns of an ordinary table, each with a way to read it if its type is one of the server's own: no code of
/// anybody's else runs then. The caller holds a lock on it.
pub fn columns(table: pg_sys::Oid) -> Vec<(Column, Option<Reader>)> {
    let mut found = Vec::new();
    // SAFETY: the table is locked, so its descriptor stays; the texts are copied.
    unsafe {
        let relation = pg_sys::try_relation_open(table, pg_sys::NoLock as i32);
        if relation.is_null() {
            return found;
        }
        let descriptor = (*relation).rd_att;
        let is_heap = (*(*relation).rd_rel).relkind as u8 == pg_sys::RELKIND_RELATION
            && (*(*relation).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID;
        for number in 1..=(*descriptor).natts {
            let attribute = compat::attribute(descriptor, number as i16);
            if !is_heap || (*attribute).attisdropped {
                continue;
            }
            let shown = pg_sys::format_type_extended(
                (*attribute).atttypid,
                (*attribute).atttypmod,
                pg_sys::FORMAT_TYPE_TYPEMOD_GIVEN as u16,
            );
            let column = Column {
                name: from_server(
                    std::ffi::CStr::from_ptr((*attribute).attname.data.as_ptr()).to_bytes(),
                ),
                data_type: from_server(std::ffi::CStr::from_ptr(shown).to_bytes()),
            };
            pg_sys::pfree(shown.cast());
            let base = pg_sys::getBaseType((*attribute).atttypid);
            let reader = is_plain(base).then(|| {
                let (mut output, mut is_varlena) = (pg_sys::Oid::INVALID, false);
                pg_sys::getTypeOutputInfo(base, &mut output, &mut is_varlena);
                Reader {
                    number: number as u32,
                    output,
                    is_varlena,
                    is_boolean: base == pg_sys::BOOLOID,
                }
            });
            found.push((column, reader));
        }
        pg_sys::relation_close(relation, pg_sys::NoLock as i32);
    }
    found
}

fn is_plain(data_type: pg_sys::Oid) -> bool {
    [
        pg_sys::TEXTOID,
        pg_sys::VARCHAROID,
        pg_sys::BPCHAROID,
        pg_sys::NAMEOID,
        pg_sys::INT2OID,
        pg_sys::INT4OID,
        pg_sys::INT8OID,
        pg_sys::NUMERICOID,
        pg_sys::UUIDOID,
        pg_sys::BOOLOID,
        pg_sys::DATEOID,
        pg_sys::TIMESTAMPOID,
        pg_sys::TIMESTAMPTZOID,
    ]
    .contains(&data_type)
}

/// A row that a command wrote or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// As it is now.
    New,
    /// As it was.
    Old,
}

/// So many pages of a table are read, its last ones: the books of a framework are smaller. A table that is larger and only
/// looks like books must not be read as a whole after each statement that writes to it.
const MOST_PAGES: pg_sys::BlockNumber = 256;

/// Calls `each` row at the end of a table that the snapshot shows, and its tuple.
///
/// # Safety
/// The table must be a locked heap.
unsafe fn newest(
    table: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    mut each: impl FnMut(pg_sys::HeapTuple, &Row),
) {
    // SAFETY: the table is open as long as the scan, and a tuple is used before the next is fetched. Only a scan that starts
    // at the beginning takes limits.
    unsafe {
        let relation = pg_sys::table_open(table, pg_sys::NoLock as i32);
        let pages =
            pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let (none, in_step) = (std::ptr::null_mut(), false);
        let scan = pg_sys::table_beginscan_strat(relation, snapshot, 0, none, true, in_step);
        if pages > MOST_PAGES {
            pg_sys::heap_setscanlimits(scan, pages - MOST_PAGES, MOST_PAGES);
        }
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            each(tuple, &Row::of(tuple, (*relation).rd_att));
        }
        pg_sys::table_endscan(scan);
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
    }
}

/// Calls `each` row of the table that the command of this transaction with that number wrote or replaced. The statement
/// that runs holds a lock on the table.
pub fn by_command(
    table: pg_sys::Oid,
    command: pg_sys::CommandId,
    mut each: impl FnMut(Which, &Row),
) {
    // SAFETY: the scan sees every row of a heap, dead ones too; the headers tell who wrote it. What asks for the number
    // of a command asks of this transaction's own.
    unsafe {
        newest(table, &raw mut pg_sys::SnapshotAnyData, |tuple, row| {
            let header = (*tuple).t_data;
            let xmin = pg_sys::HeapTupleHeaderGetXmin(header);
            if pg_sys::TransactionIdIsCurrentTransactionId(xmin)
                && pg_sys::HeapTupleHeaderGetCmin(header) == command
            {
                each(Which::New, row);
                return;
            }
            let mask = u32::from((*header).t_infomask);
            if mask
                & (pg_sys::HEAP_XMAX_INVALID
                    | pg_sys::HEAP_XMAX_IS_MULTI
                    | pg_sys::HEAP_XMAX_LOCK_ONLY)
                == 0
                && pg_sys::TransactionIdIsCurrentTransactionId((*header).t_choice.t_heap.t_xmax)
                && pg_sys::HeapTupleHeaderGetCmax(header) == command
            {
                each(Which::Old, row);
            }
        });
    }
}

/// Calls `each` row of the table that the transaction or subtransaction wrote and that is there now. The caller holds a lock on
/// the table.
pub fn by_transaction<T>(
    table: pg_sys::Oid,
    xid: pg_sys::TransactionId,
    mut each: impl FnMut(&Row) -> T,
) -> Vec<T> {
    let mut found = Vec::new();
    // SAFETY: the snapshot is registered while it is used; where an error passes, the end of the transaction lets it go.
    unsafe {
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        newest(table, snapshot, |_, row| {
            if row.xmin() == xid {
                found.push(each(row));
            }
        });
        pg_sys::UnregisterSnapshot(snapshot);
    }
    found
}

/// Runs `body` with a lock on the table under which its columns stay, if the table is there and the lock is to be had
/// at once.
pub fn unless_locked<T>(table: pg_sys::Oid, body: impl FnOnce() -> T) -> Option<T> {
    let mode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: what is taken is given back; where an error passes, the end of the transaction does it.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(table, mode) {
            return None;
        }
        let result = body();
        pg_sys::UnlockRelationOid(table, mode);
        Some(result)
    }
}
