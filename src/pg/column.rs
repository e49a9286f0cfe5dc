//! Reading values: each Rust type knows the types of columns that it can be read from.

use std::ffi::CStr;
use std::marker::PhantomData;

use pgrx::{FromDatum, pg_sys};

use super::compat;
use super::names::{self, from_server};
use super::row::elements;

/// A column of a table, by its number from 1, and what is read from it: `Option` where it may be NULL.
pub struct Column<T> {
    number: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<T> {}

impl<T> Column<T> {
    /// The column of that number.
    pub const fn new(number: u32) -> Self {
        Column {
            number,
            of: PhantomData,
        }
    }

    /// Its number.
    pub const fn number(self) -> u32 {
        self.number
    }
}

/// What can be read from columns of some types.
pub trait Readable: Sized {
    /// Those types.
    const TYPES: &'static [pg_sys::Oid];
    /// Whether such a value is a pointer to somewhere else.
    const BY_REFERENCE: bool = true;

    /// Reads a value.
    ///
    /// # Safety
    /// It must be of one of the types, and not NULL.
    unsafe fn read(datum: pg_sys::Datum) -> Self;
}

macro_rules! by_value {
    ($rust:ty, $default:expr, $($sql:ident),+) => {
        impl Readable for $rust {
            const TYPES: &'static [pg_sys::Oid] = &[$(pg_sys::$sql),+];
            const BY_REFERENCE: bool = false;

            unsafe fn read(datum: pg_sys::Datum) -> Self {
                // SAFETY: the datum is the value itself, whatever it is.
                unsafe { <$rust>::from_datum(datum, false) }.unwrap_or($default)
            }
        }
    };
}

by_value!(bool, false, BOOLOID);
by_value!(i8, 0, CHAROID);
by_value!(i16, 0, INT2OID);
by_value!(i32, 0, INT4OID);
by_value!(i64, 0, INT8OID);
by_value!(
    pg_sys::Oid,
    pg_sys::Oid::INVALID,
    OIDOID,
    REGCLASSOID,
    REGTYPEOID,
    REGPROCOID
);

/// An `xid8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xid8(pub u64);

impl Readable for Xid8 {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::XID8OID];
    const BY_REFERENCE: bool = false;

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        Xid8(datum.value() as u64)
    }
}

/// A `timestamptz`, in microseconds since 2000-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(pub i64);

impl Readable for Moment {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::TIMESTAMPTZOID];
    const BY_REFERENCE: bool = false;

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        Moment(datum.value() as i64)
    }
}

/// A `name`.
pub struct Name(pub String);

impl Readable for Name {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::NAMEOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        // SAFETY: a NameData is a nul-terminated string.
        Name(from_server(
            unsafe { CStr::from_ptr(datum.cast_mut_ptr()) }.to_bytes(),
        ))
    }
}

/// A `text`, or the text of a `json` or a `pg_node_tree`.
impl Readable for String {
    const TYPES: &'static [pg_sys::Oid] =
        &[pg_sys::TEXTOID, pg_sys::JSONOID, pg_sys::PG_NODE_TREEOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        // SAFETY: all are bytes after their length, once they are unpacked.
        unsafe {
            let text = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
            from_server(pgrx::varlena_to_byte_slice(text))
        }
    }
}

/// A `text[]`; a NULL in it reads as the empty text.
impl Readable for Vec<String> {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::TEXTARRAYOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        // SAFETY: an array of texts.
        let texts: Option<Vec<Option<String>>> = unsafe { Vec::from_datum(datum, false) };
        let texts = texts.unwrap_or_default().into_iter();
        texts.map(Option::unwrap_or_default).collect()
    }
}

/// A `jsonb`; null where it is nested deeper than can be read.
impl Readable for serde_json::Value {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::JSONBOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        let text = super::jsonb::to_text(datum);
        serde_json::from_str(&text).unwrap_or(serde_json::Value::Null)
    }
}

/// The ids of an `oidvector` or `oid[]`.
impl Readable for Vec<pg_sys::Oid> {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::OIDVECTOROID, pg_sys::OIDARRAYOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        // SAFETY: an array of ids.
        unsafe { elements(datum) }
    }
}

/// The numbers of an `int2vector` or `int2[]`.
impl Readable for Vec<i16> {
    const TYPES: &'static [pg_sys::Oid] = &[pg_sys::INT2VECTOROID, pg_sys::INT2ARRAYOID];

    unsafe fn read(datum: pg_sys::Datum) -> Self {
        // SAFETY: an array of numbers.
        unsafe { elements(datum) }
    }
}

/// What is read from a column of a table of ours.
pub trait OfColumn: Sized {
    /// What is read where it is not NULL.
    type Value: Readable;

    /// Of what was read; `None` if that cannot be.
    fn of(value: Option<Self::Value>) -> Option<Self>;
}

impl<T: Readable> OfColumn for T {
    type Value = T;

    fn of(value: Option<T>) -> Option<T> {
        value
    }
}

impl<T: Readable> OfColumn for Option<T> {
    type Value = T;

    fn of(value: Option<T>) -> Option<Option<T>> {
        Some(value)
    }
}

/// The type of that column; none where there is no such column, or it was dropped.
///
/// # Safety
/// The descriptor must be one of the server's.
pub(super) unsafe fn type_of(descriptor: pg_sys::TupleDesc, number: u32) -> Option<pg_sys::Oid> {
    // SAFETY: the number is looked at before the column is.
    unsafe {
        let width = u32::try_from((*descriptor).natts).unwrap_or(0);
        if number == 0 || number > width {
            return None;
        }
        let attribute = compat::attribute(descriptor, i16::try_from(number).ok()?);
        (!(*attribute).attisdropped).then_some((*attribute).atttypid)
    }
}

/// Raises the error that a table is not as it should be.
///
/// # Safety
/// The descriptor must be one of the server's.
pub(super) unsafe fn damaged(descriptor: pg_sys::TupleDesc, number: u32, what: &str) -> ! {
    // SAFETY: as the caller promises.
    let table = unsafe {
        match (*descriptor).natts {
            1.. => (*compat::attribute(descriptor, 1)).attrelid,
            _ => pg_sys::Oid::INVALID,
        }
    };
    raise_damaged(table, &format!("Its column {number} {what}."))
}

/// Raises the error that a table is not as it should be.
pub(super) fn raise_damaged(table: pg_sys::Oid, detail: &str) -> ! {
    let (schema, name) = names::shown(table);
    let report = pg_sys::panic::ErrorReport::new(
        pgrx::PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        format!("table {schema}.{name} is damaged"),
        "electric",
    );
    raise(report.set_detail(detail.to_owned()))
}

/// Raises an error as the server does.
pub(super) fn raise(report: pg_sys::panic::ErrorReport) -> ! {
    std::panic::panic_any(report)
}
