//! A row of a table, as a scan finds it.

use std::cell::OnceCell;

use pgrx::pg_sys;

use super::column::{Column, Name, OfColumn, Readable, damaged, type_of};
use super::version::Version;

/// A row under the scan.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    /// Its values, where they were read at once.
    values: OnceCell<Vec<Option<pg_sys::Datum>>>,
}

impl Row {
    /// A row of that descriptor.
    ///
    /// # Safety
    /// The tuple must belong to the descriptor, and both outlive the row.
    pub(super) unsafe fn of(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Row {
        Row {
            tuple,
            descriptor,
            values: OnceCell::new(),
        }
    }

    /// The row, with all its values read at once: to reach one the server goes over those before it.
    pub fn whole(&self) -> &Row {
        self.values.get_or_init(|| {
            // SAFETY: the tuple belongs to the descriptor, and there is a place for each of its columns.
            unsafe {
                let width = usize::try_from((*self.descriptor).natts).unwrap_or(0);
                let mut values = vec![pg_sys::Datum::from(0); width];
                let mut nulls = vec![true; width];
                let (into, null) = (values.as_mut_ptr(), nulls.as_mut_ptr());
                pg_sys::heap_deform_tuple(self.tuple, self.descriptor, into, null);
                let values = values.into_iter().zip(nulls);
                values
                    .map(|(value, null)| (!null).then_some(value))
                    .collect()
            }
        });
        self
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
    pub(super) fn datum(&self, column: u32) -> Option<pg_sys::Datum> {
        if let Some(values) = self.values.get() {
            return values.get(column as usize - 1).copied().flatten();
        }
        let mut null = false;
        // SAFETY: the tuple belongs to the descriptor, which is asked whether it has the column.
        let datum = unsafe {
            if type_of(self.descriptor, column).is_none() {
                damaged(self.descriptor, column, "is not there");
            }
            pg_sys::heap_getattr(self.tuple, column as i32, self.descriptor, &mut null)
        };
        (!null).then_some(datum)
    }

    /// The columns that a row of a catalog begins with, as the server's struct has them.
    ///
    /// # Safety
    /// The rows of this table must begin with such a struct.
    pub(super) unsafe fn begins_with<T>(&self) -> &T {
        // SAFETY: the values of a row begin where its header says.
        unsafe {
            let header = (*self.tuple).t_data;
            &*header.byte_add(usize::from((*header).t_hoff)).cast()
        }
    }

    /// The value of that column; `None` for NULL. A column that has no such value is an error of the server's, XX001.
    pub fn get<T: Readable>(&self, column: u32) -> Option<T> {
        // SAFETY: the tuple belongs to the descriptor, which says of what type the value is.
        unsafe {
            match type_of(self.descriptor, column) {
                Some(data_type) if T::TYPES.contains(&data_type) => {}
                _ => damaged(self.descriptor, column, "is of another type"),
            }
            self.datum(column).map(|datum| T::read(datum))
        }
    }

    /// The value of a column of ours; as [`Row::get`], and one that is NULL though it must not be is such an error too.
    pub fn read<T: OfColumn>(&self, column: Column<T>) -> T {
        match T::of(self.get(column.number())) {
            Some(value) => value,
            // SAFETY: as above.
            None => unsafe { damaged(self.descriptor, column.number(), "is NULL") },
        }
    }

    /// The expression in that column, as the server keeps it; `None` for NULL.
    pub fn tree(&self, column: u32) -> Option<pg_sys::Datum> {
        // SAFETY: the tuple belongs to the descriptor.
        unsafe {
            if type_of(self.descriptor, column) != Some(pg_sys::PG_NODE_TREEOID) {
                damaged(self.descriptor, column, "is of another type");
            }
        }
        self.datum(column)
    }

    /// The oid in that column, or the invalid one.
    pub fn oid(&self, column: u32) -> pg_sys::Oid {
        self.get(column).unwrap_or(pg_sys::Oid::INVALID)
    }

    /// The `name` in that column.
    pub fn name(&self, column: u32) -> String {
        let name: Option<Name> = self.get(column);
        name.map_or_else(String::new, |name| name.0)
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
        self.get(column).unwrap_or_default()
    }

    /// The numbers of an `int2vector` or `int2[]` column.
    pub fn int2s(&self, column: u32) -> Vec<i16> {
        self.get(column).unwrap_or_default()
    }
}

/// The elements of an array of one dimension without NULLs.
///
/// # Safety
/// The datum must be an array of elements of that size.
pub(super) unsafe fn elements<T: Copy>(datum: pg_sys::Datum) -> Vec<T> {
    // SAFETY: such arrays begin as an `int2vector` does, with their elements in its place of `values`. An empty one
    // has no dimension.
    unsafe {
        let array: *const pg_sys::int2vector =
            pg_sys::pg_detoast_datum(datum.cast_mut_ptr()).cast();
        if (*array).ndim != 1 || (*array).dataoffset != 0 {
            return Vec::new();
        }
        let count = usize::try_from((*array).dim1).unwrap_or(0);
        let first: *const T = (&raw const (*array).values).cast();
        std::slice::from_raw_parts(first, count).to_vec()
    }
}
