//! `jsonb` values from JSON text.

use std::ffi::CString;

use electric_schema::jsonb;
use pgrx::{IntoDatum, pg_sys};

/// A `jsonb` datum from JSON text; an error of the server (22P02 and the like) if it is none.
pub fn from_text(json: &str) -> pg_sys::Datum {
    // Like `bytea` it is bytes after their length.
    let Some(datum) = jsonb::from_text(json).and_then(|bytes| bytes.as_slice().into_datum()) else {
        return parsed(json);
    };
    debug_assert_eq!(bytes(datum), bytes(parsed(json)), "{json}");
    datum
}

/// The text of a `jsonb` datum.
pub(super) fn to_text(datum: pg_sys::Datum) -> String {
    // SAFETY: jsonb_out takes a jsonb and returns a C string.
    unsafe {
        let text = pgrx::direct_function_call_as_datum(pg_sys::jsonb_out, &[Some(datum)]);
        text.map_or_else(String::new, |text| {
            super::names::from_server(std::ffi::CStr::from_ptr(text.cast_mut_ptr()).to_bytes())
        })
    }
}

/// By the server's parser.
fn parsed(json: &str) -> pg_sys::Datum {
    let json = CString::new(json).unwrap_or_default();
    let argument = Some(pg_sys::Datum::from(json.as_ptr()));
    // SAFETY: jsonb_in takes a C string and returns a jsonb.
    unsafe { pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[argument]) }
        .unwrap_or(pg_sys::Datum::from(0))
}

/// The bytes of a value that was just made.
fn bytes(datum: pg_sys::Datum) -> &'static [u8] {
    // SAFETY: a complete value, which lasts as long as its memory context: longer than the comparison.
    unsafe { pgrx::varlena_to_byte_slice(datum.cast_mut_ptr()) }
}
