//! How large what the catalog holds may be: measured before it is printed or copied, since each copy may be larger than the one
//! before. What is more than a whole record may be is refused here already, by the table that is read.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::{entry, names, reserve};
use crate::limits;

/// A tree is text with a number for each byte of a constant, so it may be this often as large as what it says.
const TREE: usize = 4;

thread_local! {
    /// The table that is read.
    static TABLE: Cell<pg_sys::Oid> = const { Cell::new(pg_sys::Oid::INVALID) };
}

/// Reads that table, or something of it.
pub fn of_table<T>(table: pg_sys::Oid, body: impl FnOnce() -> T) -> T {
    /// Puts back what was there, also when an error passes.
    struct Before(pg_sys::Oid);
    impl Drop for Before {
        fn drop(&mut self) {
            TABLE.set(self.0);
        }
    }
    let _before = Before(TABLE.replace(table));
    body()
}

/// A stored expression, which is about to be read. Raises the error if it is too large.
pub fn tree(tree: pg_sys::Datum) {
    // SAFETY: a value of variable length, which is only measured.
    let size = unsafe { pg_sys::toast_raw_datum_size(tree) };
    allow("an expression", size / TREE);
}

/// A definition or value as the server printed it. Raises the error if it is too large.
///
/// # Safety
/// A C string.
pub unsafe fn printed(text: *const std::ffi::c_char) -> String {
    // SAFETY: as the caller promises.
    let bytes = unsafe { CStr::from_ptr(text) }.to_bytes();
    allow("a value", bytes.len());
    names::from_server(bytes)
}

/// A definition that the server printed as `text`. Raises the error if it is too large.
///
/// # Safety
/// A text.
pub unsafe fn definition(text: pg_sys::Datum) -> Option<String> {
    // SAFETY: a value of variable length, which is only measured; as the caller promises.
    unsafe {
        allow("a definition", pg_sys::toast_raw_datum_size(text));
        pgrx::FromDatum::from_datum(text, false)
    }
}

fn allow(what: &str, size: usize) {
    if size <= limits::RECORD {
        reserve::expect(size);
        return;
    }
    let table = TABLE.get();
    let what = match table {
        pg_sys::Oid::INVALID => what.to_owned(),
        table => {
            let (schema, name) = names::shown(table);
            format!(
                "{what} of table {}",
                electric_schema::refusal::shown(&schema, &name)
            )
        }
    };
    entry::raise(limits::too_large(&what, size))
}
