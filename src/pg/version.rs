//! A version of a row that was read before: whether it is there still, and another in its stead.

use pgrx::pg_sys;

use super::heap;
use super::row::Row;
use super::value::Value;

/// A version of a row: its place, and who wrote it there. A place is given away again only when what was there is gone for
/// all, and a transaction writes nothing to a place that it has written to before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    block: (u16, u16),
    offset: u16,
    xmin: u32,
}

impl Version {
    /// # Safety
    /// The tuple must have a header, and its place in a table.
    pub(super) unsafe fn of(tuple: pg_sys::HeapTuple) -> Version {
        // SAFETY: the caller passes such a tuple. The id stays as it was written when the row is frozen.
        unsafe {
            let place = (*tuple).t_self;
            Version {
                block: (place.ip_blkid.bi_hi, place.ip_blkid.bi_lo),
                offset: place.ip_posid,
                xmin: (*(*tuple).t_data).t_choice.t_heap.t_xmin.into_inner(),
            }
        }
    }

    fn place(self) -> pg_sys::ItemPointerData {
        pg_sys::ItemPointerData {
            ip_blkid: pg_sys::BlockIdData {
                bi_hi: self.block.0,
                bi_lo: self.block.1,
            },
            ip_posid: self.offset,
        }
    }

    fn block(self) -> u32 {
        u32::from(self.block.0) << 16 | u32::from(self.block.1)
    }
}

/// Whether the version is the one of its row that counts now, which `is_it` knows the row by: after VACUUM FULL another may be
/// in its place. That is a look at its page; to find it by an index takes three times as long.
pub fn is_there(relation: pg_sys::Oid, version: Version, is_it: impl Fn(&Row) -> bool) -> bool {
    // SAFETY: the table is open meanwhile.
    unsafe {
        let table = heap::open(relation, pg_sys::AccessShareLock);
        let is_there = is_in(table, version, is_it);
        pg_sys::table_close(table, pg_sys::AccessShareLock as i32);
        is_there
    }
}

/// # Safety
/// The table must be open.
unsafe fn is_in(table: pg_sys::Relation, version: Version, is_it: impl Fn(&Row) -> bool) -> bool {
    // SAFETY: the snapshot is registered, and the page pinned, as long as the tuple is looked at.
    unsafe {
        let main = pg_sys::ForkNumber::MAIN_FORKNUM;
        // Pages at the end go with VACUUM.
        if version.block() >= pg_sys::RelationGetNumberOfBlocksInFork(table, main) {
            return false;
        }
        let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
        let mut tuple = pg_sys::HeapTupleData {
            t_self: version.place(),
            ..Default::default()
        };
        let mut page: pg_sys::Buffer = 0;
        let found = pg_sys::heap_fetch(table, snapshot, &mut tuple, &mut page, false);
        let mut is_there = false;
        if found {
            let row = Row::of(&mut tuple, (*table).rd_att);
            is_there = row.version() == version && is_it(&row);
            pg_sys::ReleaseBuffer(page);
        }
        pg_sys::UnregisterSnapshot(snapshot);
        is_there
    }
}

/// Puts `values` in the stead of a version, and gives theirs; `None` if it is not there any more, as [`is_there`] has it.
pub fn update_version(
    relation: pg_sys::Oid,
    version: Version,
    is_it: impl Fn(&Row) -> bool,
    values: &[Value],
) -> Option<Version> {
    // SAFETY: the table is open meanwhile.
    unsafe {
        let table = heap::open(relation, pg_sys::RowExclusiveLock);
        let written = is_in(table, version, is_it)
            .then(|| heap::replace(table, &mut version.place(), values));
        pg_sys::table_close(table, pg_sys::RowExclusiveLock as i32);
        written
    }
}
