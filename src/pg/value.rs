//! Values on their way to the server, each with what it is: where it goes says whether it fits.

use pgrx::{IntoDatum, pg_sys};

use super::column::{Moment, Xid8};
use super::jsonb;

/// A value of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// NULL, of any type.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `integer`.
    Int4(i32),
    /// `bigint`.
    Int8(i64),
    /// `oid`, or one of the types that name what has such an id.
    Oid(pg_sys::Oid),
    /// `xid8`.
    Xid8(Xid8),
    /// `timestamptz`.
    Moment(Moment),
    /// `text`.
    Text(&'a str),
    /// `text[]`.
    Texts(&'a [String]),
    /// `json`.
    Json(&'a str),
    /// `jsonb`, from JSON text.
    Jsonb(&'a str),
}

impl<'a> Value<'a> {
    /// A text that may be missing.
    pub fn text_or_null(text: Option<&'a str>) -> Value<'a> {
        text.map_or(Value::Null, Value::Text)
    }

    /// Texts that may be missing.
    pub fn texts_or_null(texts: Option<&'a [String]>) -> Value<'a> {
        texts.map_or(Value::Null, Value::Texts)
    }

    /// Whether a column of that type can have the value.
    pub(super) fn fits(&self, data_type: pg_sys::Oid) -> bool {
        match self {
            Value::Null => true,
            Value::Bool(_) => data_type == pg_sys::BOOLOID,
            Value::Int4(_) => data_type == pg_sys::INT4OID,
            Value::Int8(_) => data_type == pg_sys::INT8OID,
            Value::Oid(_) => IDS.contains(&data_type),
            Value::Xid8(_) => data_type == pg_sys::XID8OID,
            Value::Moment(_) => data_type == pg_sys::TIMESTAMPTZOID,
            Value::Text(_) => data_type == pg_sys::TEXTOID,
            Value::Texts(_) => data_type == pg_sys::TEXTARRAYOID,
            Value::Json(_) => data_type == pg_sys::JSONOID,
            Value::Jsonb(_) => data_type == pg_sys::JSONBOID,
        }
    }

    /// The datum of that type, in the current memory context; `None` for NULL.
    pub(super) fn datum(&self) -> Option<pg_sys::Datum> {
        match *self {
            Value::Null => None,
            Value::Bool(value) => Some(value.into()),
            Value::Int4(value) => Some(value.into()),
            Value::Int8(value) => Some(value.into()),
            Value::Moment(value) => Some(value.0.into()),
            Value::Oid(value) => Some(value.into()),
            Value::Xid8(value) => Some(pg_sys::Datum::from(value.0)),
            Value::Text(value) | Value::Json(value) => Some(text(value)),
            Value::Texts(values) => values.to_vec().into_datum(),
            Value::Jsonb(value) => Some(jsonb::from_text(value)),
        }
    }
}

/// The types whose values are ids.
pub(super) const IDS: [pg_sys::Oid; 3] = [pg_sys::OIDOID, pg_sys::REGCLASSOID, pg_sys::REGTYPEOID];

/// A `text` datum.
pub(super) fn text(value: &str) -> pg_sys::Datum {
    value.into_datum().unwrap_or(pg_sys::Datum::from(0))
}
