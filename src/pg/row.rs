//! A row of a table, as a scan finds it.

use std::ffi::CStr;

use pgrx::{FromDatum, pg_sys};

use super::names::from_server;
use super::version::Version;

/// A row under the scan.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// A row of that descriptor.
    ///
    /// # Safety
    /// The tuple must belong to the descriptor, and both outlive the row.
    pub(super) unsafe fn of(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Row {
        Row { tuple, descriptor }
    }

    /// The transaction or subtransaction that wrote it.
    pub fn xmin(&self) -> pg_sys::TransactionId {
        // SAFETY: the tuple has a header.
        unsafe { pg_sys::HeapTupleHeaderGetXmin((*self.tuple).t_data) }
    }

    /// What tells this version of the row from all others that its table has or had.
    pub fn version(&self) -> Version {
        // SAFETY: the tuple is one of its table's, with a header and a place.
        unsafe { Version::of(self.tuple) }
    }

    /// The datum of that column; `None` for NULL.
    pub fn datum(&self, column: u32) -> Option<pg_sys::Datum> {
        let mut null = false;
        // SAFETY: the tuple belongs to the descriptor; column numbers come from the server's headers or from the
        // definition of our own tables.
        let datum =
            unsafe { pg_sys::heap_getattr(self.tuple, column as i32, self.descriptor, &mut null) };
        (!null).then_some(datum)
    }

    /// The value of that column; `None` for NULL.
    pub fn get<T: FromDatum>(&self, column: u32) -> Option<T> {
        // SAFETY: callers ask for the Rust type of the column's SQL type.
        self.datum(column)
            .and_then(|datum| unsafe { T::from_datum(datum, false) })
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

    /// The ids of an `oidvector` column.
    pub fn oids(&self, column: u32) -> Vec<pg_sys::Oid> {
        self.get::<pgrx::Array<pg_sys::Oid>>(column)
            .map_or_else(Vec::new, |array| array.iter().flatten().collect())
    }

    /// The numbers of an `int2vector` or `int2[]` column.
    pub fn int2s(&self, column: u32) -> Vec<i16> {
        self.get::<pgrx::Array<i16>>(column)
            .map_or_else(Vec::new, |array| array.iter().flatten().collect())
    }
}
